/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_LEFTOVER_H
#define BACKUP_LEFTOVER_H

/*
 * What an interrupted backup left: packs in a folder without a commit. The
 * next backup goes on under the same label, as the next attempt, and takes
 * those packs for one more source of blocks that may be known. Nothing of
 * them is taken on trust: blocks are compared by fingerprint and CRC, as the
 * parent's are. So it does not matter what else stands in the folder. But a
 * folder that a commit refers to, or a tombstone names, is no such thing: its
 * backup was removed, and its packs may be other backups' only copy.
 *
 *	leftover_find(repo, &inc, now, &found, err);
 *	leftover_read(&left, repo, &inc, label, block_size, pulse, arg, err);
 *	leftover_file(left, path, &runs, &n);
 *	leftover_free(left);
 *
 * Whoever calls holds the lease, so no attempt that left them is alive. One
 * thread; any once read. Takes 32 bytes a run of blocks, and the paths.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/filemap.h"
#include "repo/repo.h"

struct leftover_found {
	char label[FORMAT_LABEL_MAX]; /* "": there is none to go on with */
	uint32_t attempts; /* numbers up to this one are taken */
};

/* Consecutive blocks of a file in a frame. */
struct leftover_run {
	uint32_t path;  /* the leftover's own number of it */
	uint32_t pack;  /* index in packs */
	uint64_t block; /* of the file */
	uint32_t blocks;
	uint32_t frame, in_frame;
};

struct leftover {
	struct commit_pack *packs; /* size as found; all plain bytes "live" */
	uint32_t *table; /* of each: its index in the table of all packs */
	uint32_t n_packs;
	struct leftover_run *runs; /* by path, then block; newest last */
	size_t n_runs;
	char **paths; /* ascending */
	uint32_t n_paths;
};

/* now: microseconds since 2000, the database server's. */
int leftover_find(struct repo *repo, const struct incarnation *inc,
    int64_t now, struct leftover_found *out, struct err *err) ERR_USE;

/* Packs that do not hold are passed over, and said. *out NULL: none is left. */
int leftover_read(struct leftover **out, struct repo *repo,
    const struct incarnation *inc, const char *label, uint32_t block_size,
    int (*pulse)(void *arg, struct err *err), void *arg,
    struct err *err) ERR_USE;
void leftover_free(struct leftover *l); /* NULL is fine */

/* False: nothing of this file. */
bool leftover_file(const struct leftover *l, const char *path,
    const struct leftover_run **runs, size_t *n);

/*
 * The parent's runs of a file (n_old may be 0), and over them what is left,
 * into *out (freed before; the caller frees). Blocks that neither has become
 * runs of zeros.
 */
void leftover_overlay(const struct leftover *l,
    const struct leftover_run *runs, size_t n, const struct map_run *old,
    size_t n_old, struct map_run **out, size_t *n_out);

/* How much of earlier attempts' packs the commit refers to, into the log. */
void leftover_say_used(const struct commit *c);

/*
 * May what a backup that failed has stored stay for the next one (said so)?
 * A cancelled one leaves nothing; nor does one for which there was no room,
 * since archiving needs it.
 */
bool leftover_may_stay(const struct err *why);

#endif
