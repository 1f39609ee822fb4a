/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_STARTLOG_H
#define RESTORE_STARTLOG_H

/*
 * Internal to src/restore: what the server's log says about a recovery. It
 * is the one witness that is always there: no connection is possible before
 * consistency, and none at all when pg_hba.conf does not let us in. Messages
 * of PostgreSQL 13 to 18 with lc_messages = C; any log_line_prefix. Source:
 * src/backend/access/transam/xlogrecovery.c, xlog.c, postmaster.c. Pure.
 *
 *	startlog_init(&log);
 *	startlog_feed(&log, bytes, len);	as the file grows
 *	startlog_free(&log);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "pg/walname.h"
#include "pg/walread.h"

#define STARTLOG_FATAL_MAX ((size_t)1536)
#define STARTLOG_FETCH_MAX 768

enum startlog_stop {
	STOP_NONE,
	STOP_CONSISTENT,
	STOP_XACT, /* before or after a commit or abort */
	STOP_LSN,
	STOP_NAME
};

struct startlog {
	bool consistent;
	bool ready; /* accepts connections */
	bool ready_read_only;
	bool paused; /* at the end of recovery */
	bool promoted; /* archive recovery complete */
	bool target_shutdown;
	bool insufficient; /* a setting is lower than the primary's */
	char setting[128]; /* then: its name */
	char setting_value[64]; /* and the value needed */
	enum startlog_stop stop;
	bool stop_after; /* the record was replayed */
	uint32_t stop_xid;
	pg_lsn stop_lsn;
	char stop_name[WAL_RESTORE_POINT_NAME_MAX];
	pg_lsn redo_done; /* start of the last record replayed, 0: not yet */
	uint32_t timeline; /* the new one, 0: not yet */
	int64_t last_commit_time; /* 0: not said */
	char segment[WAL_FILE_NAME_MAX]; /* restored last */
	uint64_t segments;
	struct buf fatal; /* FATAL and PANIC lines with their details */
	/* What archive-get said last: "error: ..." and "hint: ...", or "". */
	char fetch_error[STARTLOG_FETCH_MAX];
	char fetch_hint[STARTLOG_FETCH_MAX];
	struct buf line; /* not complete yet */
	bool in_fatal;
	bool in_fetch; /* the line before was archive-get's error */
};

void startlog_init(struct startlog *log);
void startlog_free(struct startlog *log);
void startlog_feed(struct startlog *log, const void *data, size_t len);

#endif
