/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_STATE_H
#define REPO_STATE_H

/*
 * The state directory: what this host remembers to be faster. Losing all of
 * it costs time, never data, so nothing in it is synced, and what is read
 * from it is checked against the repository before anything is answered.
 *
 *	STATE/spool/REPOSITORY-SYSTEM-DIRECTORY/	WAL fetched ahead
 *	STATE/pushed/REPOSITORY-SYSTEM/PLACE/		WAL stored ahead
 *	STATE/address/ADDRESS/				which PLACE was there
 *	STATE/queue/REPOSITORY-SYSTEM/NAME/		what NAME still lacks
 *	STATE/catalogue/PLACE/CLUSTER/MAJOR-SYSTEM/	what was read before
 *	STATE/gaps/CLUSTER-SYSTEM			WAL given up (repo/gap.h)
 *	STATE/notes/ADDRESS/CLUSTER/, STATE/notes/servers/	for status (repo/notes.h)
 *	STATE/unreachable/HASH				who was slow to fail (wal/tired.h)
 *
 * REPOSITORY is the repository's id, SYSTEM the system identifier, PLACE the
 * id of a place (repo/repo.h), NAME a repository's name in the configuration.
 */
#include "core/err.h"
#include "repo/repo.h"

/*
 * STATE/kind/REPOSITORY-SYSTEM/last (last may be NULL; inc NULL: without
 * SYSTEM), made with mode 0700. ERR_REFUSED when another user could write
 * into it. The caller frees *out.
 */
int state_folder(const char *state_directory, const char *kind,
    const struct repo *repo, const struct incarnation *inc, const char *last,
    char **out, struct err *err) ERR_USE;

/* The folder alone, made and checked as above. */
int state_make(const char *folder, struct err *err) ERR_USE;

/*
 * May this process keep anything there? Not when the directory is another
 * user's (root looks at what postgres runs), nor when it would become root's
 * because root came first.
 */
bool state_may_keep(const char *state_directory);

/*
 * STATE/catalogue/PLACE/CLUSTER/MAJOR-SYSTEM, or NULL when nothing may be
 * kept there. The caller frees it.
 */
char *state_catalogue(const char *state_directory, const struct repo *repo,
    const struct incarnation *inc);

/*
 * Give the file this content: a reader sees the old one or the new one. Not
 * synced: after a crash of the machine it may be either, or damaged.
 */
int state_replace(const char *path, const void *data, size_t len,
    struct err *err) ERR_USE;

/*
 * The same in pieces. After begin exactly one end must follow: with rc 0 the
 * file takes its place, else it is thrown away; end gives rc or -1.
 */
struct state_file {
	char *path, *tmp;
	int fd;
};

int state_file_begin(struct state_file *f, const char *path,
    struct err *err) ERR_USE;
int state_file_add(struct state_file *f, const void *data, size_t len,
    struct err *err) ERR_USE;
int state_file_end(struct state_file *f, int rc, struct err *err) ERR_USE;

/*
 * The lock file of a folder: a descriptor that holds it until it is closed
 * (and in a child of this process as long as that has it), or -1 when
 * another process has it.
 */
int state_lock(const char *folder);

/*
 * The kernel's id of this boot: what was written before another one may not
 * have reached the disk, or was carried here from another host. The caller
 * frees *out.
 */
int state_boot_id(char **out, struct err *err) ERR_USE;

#endif
