/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_BACKUPAPI_H
#define PG_BACKUPAPI_H

/*
 * Low-level base backup API: pg_backup_start/stop (15+) and
 * pg_start_backup/pg_stop_backup, non-exclusive (13, 14). The session that
 * started must stay open until the stop; closing it ends the backup on the
 * server (that is how a cancelled backup is cleaned up). One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"
#include "pg/walname.h"

struct backup_begin {
	pg_lsn start_lsn; /* REDO location: where WAL is needed from */
	uint32_t timeline; /* asked after the start (TRAPS T54) */
	int64_t start_time; /* the server's clock, microseconds since 2000 */
};

struct backup_end {
	pg_lsn stop_lsn;
	int64_t stop_time; /* the server's clock */
	char *label; /* backup_label, byte for byte (TRAPS T31) */
	size_t label_len;
	char *tablespace_map; /* "" when there are no tablespaces */
	size_t tablespace_map_len;
	/*
	 * START TIMELINE of the label, 0 when it has none. Another than at the
	 * start means that a standby was promoted meanwhile (TRAPS T55).
	 */
	uint32_t label_timeline;
};

/* The server's clock. */
int backup_api_time(struct pg_conn *conn, int64_t *out,
    struct err *err) ERR_USE;

/* fast: an immediate checkpoint; else spread. Waits for the checkpoint. */
int backup_api_start(struct pg_conn *conn, const char *label, bool fast,
    struct backup_begin *out, struct err *err) ERR_USE;

/* Does not wait for archiving: the caller looks in the repository itself. */
int backup_api_stop(struct pg_conn *conn, struct backup_end *out,
    struct err *err) ERR_USE;
void backup_end_free(struct backup_end *end);

#endif
