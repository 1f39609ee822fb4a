/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_WAIT_H
#define BACKUP_WAIT_H

/*
 * Does the WAL that a backup needs arrive in the repository? It is looked
 * for there, not asked from the server, which only knows what its
 * archive_command said. But a segment that the server still has to archive
 * is not there yet, even if one of its name is: a server that was set back
 * (a snapshot reverted) writes the names of an abandoned history again, and
 * that WAL is not what this backup needs. One thread.
 *
 *	wait_init(&w, ...); until done: wait_step(&w, &done, err), sleep
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"
#include "pg/walname.h"
#include "repo/repo.h"

struct wait {
	/* Whose archiver brings the WAL; NULL: a primary out of reach. */
	struct pg_conn *conn;
	/*
	 * The backup is a standby's. Then WAL comes when its primary is done
	 * with the segment, which wait_step() sees to when it has conn.
	 */
	bool standby;
	int64_t next_switch; /* when to look at the primary again */
	struct repo *repo;
	const struct incarnation *inc;
	/* To see in pg_wal what is not archived yet; -1: conn is asked. */
	int pgdata_fd;
	bool blind; /* and may not say */
	uint32_t timeline;
	uint32_t segment_size;
	uint64_t next, last; /* segment numbers: stored are those before next */
	uint64_t timeout_ms; /* without anything new */
	int64_t began;
	int64_t progress; /* when something new was seen last, monotonic */
	char archived[32]; /* pg_stat_archiver's count then */
};

/* From the segment of `from` to that of the byte before `to` (T56). */
void wait_init(struct wait *w, pg_lsn from, pg_lsn to);

/*
 * Look once. On time-out: ERR_POSTGRES when archiving fails on the server,
 * ERR_STORAGE when the server has archived but not to here.
 */
int wait_step(struct wait *w, bool *done, struct err *err) ERR_USE;

/*
 * For the time of the copy: fails after the time-out when the server says
 * that archiving fails, or says it archived what is not in this repository.
 * *sure is set when no more question is needed.
 */
int wait_check_archiving(struct wait *w, bool *sure, struct err *err) ERR_USE;

#endif
