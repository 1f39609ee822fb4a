/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_WALCOLLECT_H
#define BACKUP_WALCOLLECT_H

/*
 * Internal to evidence.c: reads a range of WAL, from pg_wal where it still is
 * and else from the repository, on several threads, and collects the blocks
 * of main forks that it changes. That the range is whole is proved by its
 * records: each has a CRC and names the one before it.
 */
#include "core/err.h"
#include "pg/blockset.h"
#include "pg/control.h"
#include "pg/history.h"
#include "repo/repo.h"

#define WALCOLLECT_REASON_MAX 512

struct walcollect {
	struct repo *repo;
	const struct incarnation *inc;
	const char *pgdata;
	const struct control *control;
	const struct history *path; /* that `to` is on */
	pg_lsn from, to; /* both begin a record, or end one; from < to */
	/*
	 * The repository goes before pg_wal up to here: what the parent
	 * needed is stored for certain, and a data directory that was set
	 * back (a snapshot of its disk) has other WAL in the same place,
	 * which then does not go on from what is stored.
	 */
	pg_lsn stored_to;
	unsigned jobs;
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
	/* Filled: */
	uint64_t segments;
	char reason[WALCOLLECT_REASON_MAX]; /* "": all of it was read */
};

/*
 * Add to the set. 0 with a reason: the range could not be read whole, or
 * something in it was not understood. -1: cancelled, or the pulse failed.
 */
int walcollect(struct walcollect *w, struct blockset *set,
    struct err *err) ERR_USE;

#endif
