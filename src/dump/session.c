/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/session.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pg/quote.h"

#define SQL_MAX 8192
#define EPOCH_SQL \
	"(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)" \
	"::pg_catalog.int8"
#define STATE_LOCK_NOT_AVAILABLE "55P03"

static int
set_role(struct pg_conn *conn, const char *role, struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, SQL_MAX);
	buf_add_str(&sql, "SET ROLE ");
	pg_quote_name(&sql, role);
	rc = buf_check(&sql, "role name", err);
	if (rc == 0)
		rc = pg_execute(conn, buf_str(&sql), err);
	buf_free(&sql);
	return rc;
}

static int
read_facts(struct session *s, struct err *err)
{
	static const char sql[] = "SELECT pg_catalog.current_database(),"
	    " pg_catalog.pg_is_in_recovery(), system_identifier,"
	    " pg_catalog.current_setting('server_version')"
	    " FROM pg_catalog.pg_control_system()";
	struct pg_result *res;
	const char *version;
	int rc = 0;

	if (pg_query(s->conn, &res, err, 0, NULL, sql) != 0)
		return -1;
	s->database = xstrdup(pg_value(res, 0, 0));
	s->standby = strcmp(pg_value(res, 0, 1), "t") == 0;
	/* Debian says "15.20 (Debian 15.20-0+deb12u1)". */
	version = pg_value(res, 0, 3);
	s->version = xstrndup(version, strcspn(version, " "));
	if (!text_u64(pg_value(res, 0, 2), UINT64_MAX, &s->system_id))
		rc = err_set(err, ERR_POSTGRES, "the server's system "
		    "identifier is no number");
	pg_result_free(res);
	return rc;
}

int
session_open(struct session *s, const char *conninfo, const char *database,
    const char *role, struct err *err)
{
	memset(s, 0, sizeof(*s));
	if ((database == NULL ? pg_connect(&s->conn, conninfo, "dump", err) :
	    pg_connect_database(&s->conn, conninfo, database, "dump",
	    err)) != 0)
		return -1;
	s->version_num = pg_server_version(s->conn);
	s->major = s->version_num / 10000;
	if (s->major < SESSION_MAJOR_MIN || s->major > SESSION_MAJOR_MAX) {
		err_set(err, ERR_UNSUPPORTED, "the server is PostgreSQL %d; "
		    "this version dumps %d to %d", s->major,
		    SESSION_MAJOR_MIN, SESSION_MAJOR_MAX);
		goto fail;
	}
	if (read_facts(s, err) != 0 ||
	    (role != NULL && set_role(s->conn, role, err) != 0))
		goto fail;
	return 0;
fail:
	session_close(s);
	return -1;
}

void
session_close(struct session *s)
{
	pg_disconnect(s->conn);
	free(s->version);
	free(s->database);
	memset(s, 0, sizeof(*s));
}

int
session_begin(struct session *s, bool deferrable, struct err *err)
{
	return pg_execute(s->conn, deferrable ?
	    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE" :
	    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", err);
}

int
session_rollback(struct session *s, struct err *err)
{
	return pg_execute(s->conn, "ROLLBACK", err);
}

/* Text of microseconds since 1970. */
static int64_t
from_epoch(const char *text)
{
	uint64_t us = 0;

	(void)text_u64(text, INT64_MAX, &us); /* the server writes numbers */
	return time_from_unix((int64_t)(us / 1000000)) +
	    (int64_t)(us % 1000000);
}

int
session_time(struct session *s, int64_t *out, struct err *err)
{
	char *text = NULL;

	if (pg_query_value(s->conn, "SELECT " EPOCH_SQL, &text, err) != 0)
		return -1;
	*out = from_epoch(text != NULL ? text : "");
	free(text);
	return 0;
}

int
session_snapshot(struct session *s, struct session_snapshot *out,
    struct err *err)
{
	static const char sql[] = "SELECT pg_catalog.pg_export_snapshot(),"
	    " CASE WHEN pg_catalog.pg_is_in_recovery()"
	    " THEN pg_catalog.pg_last_wal_replay_lsn()"
	    " ELSE pg_catalog.pg_current_wal_lsn() END, " EPOCH_SQL;
	struct pg_result *res;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (pg_query(s->conn, &res, err, 0, NULL, sql) != 0)
		return err_wrap(err, "export the snapshot");
	if (!lsn_parse(pg_value(res, 0, 1), &out->lsn))
		rc = err_set(err, ERR_POSTGRES, "the server told no position "
		    "of the snapshot");
	out->time = from_epoch(pg_value(res, 0, 2));
	out->name = xstrdup(pg_value(res, 0, 0));
	pg_result_free(res);
	return rc;
}

void
session_snapshot_free(struct session_snapshot *snap)
{
	free(snap->name);
	memset(snap, 0, sizeof(*snap));
}

int
session_settings(struct pg_conn *conn,
    const struct session_settings *settings, struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, SQL_MAX);
	buf_add_str(&sql, "SET client_encoding TO ");
	pg_quote_literal(&sql, settings->encoding);
	buf_printf(&sql, "; SET standard_conforming_strings TO %s",
	    settings->standard_strings ? "on" : "off");
	buf_printf(&sql, "; SET row_security TO %s",
	    settings->row_security ? "on" : "off");
	buf_add_str(&sql, "; SET extra_float_digits TO ");
	pg_quote_literal(&sql, settings->extra_float_digits != NULL ?
	    settings->extra_float_digits : "3");
	/* A scan that joins another's would give the rows in any order. */
	buf_add_str(&sql, "; SET synchronize_seqscans TO off"
	    "; SET DateStyle TO ISO; SET IntervalStyle TO postgres");
	/* pg_dump leaves these to the role, the database and PGTZ. */
	buf_add_str(&sql, "; RESET TimeZone; RESET bytea_output");
	rc = buf_check(&sql, "settings", err);
	if (rc == 0)
		rc = pg_execute(conn, buf_str(&sql), err);
	buf_free(&sql);
	return rc == 0 ? 0 : err_wrap(err, "prepare the session");
}

int
session_join(struct pg_conn *conn, const char *snapshot, const char *lock,
    struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, SQL_MAX);
	buf_add_str(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
	    "SET TRANSACTION SNAPSHOT ");
	pg_quote_literal(&sql, snapshot);
	if (lock != NULL)
		buf_printf(&sql, "; LOCK TABLE %s IN ACCESS SHARE MODE NOWAIT",
		    lock);
	rc = buf_check(&sql, "lock", err);
	if (rc == 0 && pg_in_transaction(conn))
		rc = pg_execute(conn, "ROLLBACK", err);
	if (rc == 0)
		rc = pg_execute(conn, buf_str(&sql), err);
	if (rc != 0 && strcmp(pg_sqlstate(conn),
	    STATE_LOCK_NOT_AVAILABLE) == 0)
		err->code = ERR_LOCKED;
	buf_free(&sql);
	return rc;
}
