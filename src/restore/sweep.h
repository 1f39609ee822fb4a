/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_SWEEP_H
#define RESTORE_SWEEP_H

/*
 * Internal to src/restore: removes from a data directory and its tablespaces
 * what the backup does not have, or has as something else. Links are removed
 * and never followed, but for pg_wal; of a tablespace only this server's own
 * directory is looked at; a mount point and what lies on it stays. One
 * thread.
 */
#include "core/err.h"
#include "restore/pathset.h"
#include "restore/plan.h"

struct sweep_counts {
	uint64_t files, directories, links;
	uint64_t mounts; /* that were left where they are */
};

/*
 * dir: descriptor of plan->dir. dry: only counted and named. What is removed
 * is named in the log: links always, the rest with --verbose (or dry).
 * ERR_REFUSED: something is in the way that may not be removed.
 */
int sweep_run(const struct restore_plan *plan, const struct pathset *set,
    int dir, bool dry, struct sweep_counts *out, struct err *err) ERR_USE;

#endif
