/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_SESSION_H
#define DUMP_SESSION_H

/*
 * Sessions of a dump: the leader's, which holds the locks and exports the
 * snapshot, and the workers', which read under it.
 *
 *	session_open(&leader, conninfo, "shop", role, err);
 *	session_begin(&leader, deferrable, err);	locks may be taken now
 *	session_snapshot(&leader, &snap, err);		from here on it stands
 *	session_settings(leader.conn, &settings, err);	as pg_dump has them
 *
 *	session_join(conn, snap.name, lock, err);	a worker's
 *
 * One thread a session.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"
#include "pg/walname.h"

#define SESSION_MAJOR_MIN 13
#define SESSION_MAJOR_MAX 18

struct session {
	struct pg_conn *conn;
	int version_num; /* 150020 */
	int major;
	char *version;	/* "15.20" */
	char *database; /* bytes as the server has them */
	bool standby;
	uint64_t system_id;
};

/*
 * database NULL: the one that conninfo or the environment names. role NULL:
 * the user's own rights. ERR_UNSUPPORTED: a server's version that is not
 * known here.
 */
int session_open(struct session *s, const char *conninfo,
    const char *database, const char *role, struct err *err) ERR_USE;
void session_close(struct session *s); /* also of zeroes */

/*
 * Begin the transaction whose snapshot is taken by the first statement that
 * needs one: locks come before it. deferrable: a snapshot that no
 * serializable transaction can contradict, which may have to be waited for.
 */
int session_begin(struct session *s, bool deferrable,
    struct err *err) ERR_USE;
int session_rollback(struct session *s, struct err *err) ERR_USE;

/* The server's clock. Not before the snapshot: this takes one. */
int session_time(struct session *s, int64_t *out, struct err *err) ERR_USE;

struct session_snapshot {
	char *name; /* of pg_export_snapshot(), valid while s lives */
	pg_lsn lsn;
	int64_t time; /* core/time.h's, by the server's clock */
};

int session_snapshot(struct session *s, struct session_snapshot *out,
    struct err *err) ERR_USE;
void session_snapshot_free(struct session_snapshot *snap);

/* What the archive says and the user wants of the text that COPY sends. */
struct session_settings {
	const char *encoding;		/* "UTF8" */
	bool standard_strings;
	bool row_security;		/* --enable-row-security */
	const char *extra_float_digits; /* NULL: 3, which keeps every bit */
};

int session_settings(struct pg_conn *conn,
    const struct session_settings *settings, struct err *err) ERR_USE;

/*
 * End what the connection's transaction was and begin one under the leader's
 * snapshot. lock: the quoted name of a table to be locked without waiting,
 * or NULL. The leader has that lock: not to get it means that somebody waits
 * to change the table, and waiting behind him would never end (TRAPS T129).
 * That is ERR_LOCKED.
 */
int session_join(struct pg_conn *conn, const char *snapshot, const char *lock,
    struct err *err) ERR_USE;

#endif
