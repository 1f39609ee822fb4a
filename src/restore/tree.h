/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_TREE_H
#define RESTORE_TREE_H

/*
 * Internal to src/restore: the directories and links of the restored tree,
 * its small files, and the sync of all that it spreads over.
 *
 *	tree_init(&t, plan)
 *	tree_begin(&t, err)		directories and the marker
 *	tree_dir(), tree_link()		in the manifest's order
 *	tree_check(&t, path, err)	before anything is written at path
 *	tree_sync(&t, err)
 *	tree_unmark(&t, err)
 *	tree_free(&t)
 *
 * All paths are relative to the data directory. The process's umask is 0.
 * One thread.
 */
#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"
#include "repo/pathguard.h"
#include "restore/plan.h"

struct tree {
	const struct restore_plan *plan;
	int fd; /* the data directory */
	struct path_guard guard;
	char *wal; /* directory that pg_wal links to, or NULL */
	/* a directory of each file system mounted inside (delta) */
	struct tree_mount {
		char *path;
		dev_t device;
	} *mounts;
	size_t n_mounts;
};

void tree_init(struct tree *t, const struct restore_plan *plan);
void tree_free(struct tree *t);
int tree_begin(struct tree *t, struct err *err) ERR_USE;

/*
 * ERR_DAMAGED: absolute, with "..", with an empty part, or below a symbolic
 * link that is not ours.
 */
int tree_check(const struct tree *t, const char *path, struct err *err) ERR_USE;

int tree_dir(struct tree *t, const char *path, uint32_t mode,
    struct err *err) ERR_USE;
int tree_link(struct tree *t, const char *path, const char *target,
    struct err *err) ERR_USE;

/* Make what is missing above path (or path itself when it ends with '/'). */
int tree_parents(struct tree *t, const char *path, struct err *err) ERR_USE;

int tree_write(struct tree *t, const char *path, const void *data, size_t len,
    uint32_t mode, struct err *err) ERR_USE;
/* The same, and it and its directory are on disk. */
int tree_write_durable(struct tree *t, const char *path, const void *data,
    size_t len, uint32_t mode, struct err *err) ERR_USE;

/* Everything written so far is on disk afterwards. */
int tree_sync(struct tree *t, struct err *err) ERR_USE;

int tree_unmark(struct tree *t, struct err *err) ERR_USE;

#endif
