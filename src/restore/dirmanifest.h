/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_DIRMANIFEST_H
#define RESTORE_DIRMANIFEST_H

/*
 * Internal to src/restore: the file backup_manifest in the restored
 * directory, against which pg_verifybackup checks what lies there until the
 * server is started (-n: the WAL stays in the repository). It tells of the
 * files as they were restored, and of those that restore itself wrote.
 *
 *	dirmanifest_new(&m, plan, dir, err)
 *	dirmanifest_add(m, entry, err)			FILE and CONFIG
 *	dirmanifest_add_data(m, path, data, len, err)	content at hand
 *	dirmanifest_finish(m, err)	after postgresql.auto.conf is written
 *	dirmanifest_free(m)
 *
 * A file that was there is replaced. Not synced. One thread.
 */
#include <stddef.h>

#include "core/err.h"
#include "repo/manifest.h"
#include "restore/plan.h"

struct dirmanifest;

/* dir: descriptor of plan->dir, open as long as *out is used. */
int dirmanifest_new(struct dirmanifest **out, const struct restore_plan *plan,
    int dir, struct err *err) ERR_USE;
int dirmanifest_add(struct dirmanifest *m, const struct manifest_entry *e,
    struct err *err) ERR_USE;
int dirmanifest_add_data(struct dirmanifest *m, const char *path,
    const void *data, size_t len, struct err *err) ERR_USE;
int dirmanifest_finish(struct dirmanifest *m, struct err *err) ERR_USE;
void dirmanifest_free(struct dirmanifest *m); /* NULL is fine */

#endif
