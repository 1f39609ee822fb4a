/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/quote.h"
#include "pg/rights.h"

/* A statement locks this many: fewer round trips, and errors stay readable. */
#define LOCK_BATCH 100
#define LOCK_SQL_MAX ((size_t)1 << 20)
#define SQL_MAX 8192
#define TABLES_MAX 10000000

#define STATE_UNDEFINED_TABLE "42P01"
#define STATE_UNDEFINED_SCHEMA "3F000"
#define STATE_WRONG_OBJECT "42809" /* a view took the name */
#define STATE_LOCK_TIMEOUT "55P03"

/* Who keeps us from which of these tables. */
#define HOLDER_SQL                                                         \
	"SELECT n.nspname, c.relname, l.pid, coalesce(a.usename, ''),"     \
	" pg_catalog.left(coalesce(a.query, ''), 100)"                     \
	" FROM pg_catalog.pg_locks l"                                      \
	" JOIN pg_catalog.pg_class c ON c.oid = l.relation"                \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"        \
	" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"        \
	" WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'" \
	" AND l.database = (SELECT oid FROM pg_catalog.pg_database"        \
	" WHERE datname = pg_catalog.current_database())"                  \
	" AND l.relation = ANY ($1::pg_catalog.oid[])"                     \
	" ORDER BY l.granted DESC LIMIT 1"

/*
 * Members of an extension come with CREATE EXTENSION, except the tables whose
 * rows it declared to be configuration.
 */
#define LIST_SQL                                                           \
	"SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c"    \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"        \
	" WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"       \
	" AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"   \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"              \
	" WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"    \
	" AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'"      \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e"           \
	" WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig)))"        \
	" ORDER BY c.oid"

#define ONE_SQL                                                            \
	"SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c"    \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"        \
	" WHERE c.relkind IN ('r', 'p') AND c.oid = %u"

static int
query_names(struct pg_conn *conn, const char *sql, struct table_names *out,
    struct err *err)
{
	struct pg_result *res;
	struct table_name *t;
	uint64_t oid;
	int i, n, rc = 0;

	if (pg_query(conn, &res, err, 0, NULL, sql) != 0)
		return -1;
	n = pg_rows(res);
	if (n > TABLES_MAX)
		rc = err_set(err, ERR_REFUSED, "the database has %d tables, "
		    "more than can be dumped", n);
	for (i = 0; rc == 0 && i < n; i++) {
		if (!text_u64(pg_value(res, i, 0), UINT32_MAX, &oid)) {
			rc = err_set(err, ERR_POSTGRES, "the server told a "
			    "table's number as \"%s\"", pg_value(res, i, 0));
			break;
		}
		if (out->n == out->room) {
			out->room = out->room == 0 ? 64 : 2 * out->room;
			out->list = xreallocarray(out->list, out->room,
			    sizeof(*out->list));
		}
		t = &out->list[out->n++];
		t->oid = (uint32_t)oid;
		t->schema = xstrdup(pg_value(res, i, 1));
		t->name = xstrdup(pg_value(res, i, 2));
	}
	pg_result_free(res);
	return rc;
}

int
tables_list(struct pg_conn *conn, struct table_names *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (query_names(conn, LIST_SQL, out, err) != 0) {
		tables_free(out);
		return err_wrap(err, "list the tables");
	}
	return 0;
}

int
tables_add(struct pg_conn *conn, struct table_names *t, uint32_t oid,
    struct err *err)
{
	char sql[sizeof(ONE_SQL) + 16];

	(void)snprintf(sql, sizeof(sql), ONE_SQL, (unsigned)oid);
	if (query_names(conn, sql, t, err) != 0)
		return err_wrap(err, "look up a table");
	return 0;
}

void
tables_free(struct table_names *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->list[i].schema);
		free(t->list[i].name);
	}
	free(t->list);
	memset(t, 0, sizeof(*t));
}

static bool
is_vanished(const char *state)
{
	return strcmp(state, STATE_UNDEFINED_TABLE) == 0 ||
	    strcmp(state, STATE_UNDEFINED_SCHEMA) == 0 ||
	    strcmp(state, STATE_WRONG_OBJECT) == 0;
}

static int
lock_batch(struct pg_conn *conn, const struct table_name *list, size_t n,
    struct err *err)
{
	struct buf sql;
	size_t i;
	int rc;

	buf_init(&sql, LOCK_SQL_MAX);
	buf_add_str(&sql, "LOCK TABLE ");
	for (i = 0; i < n; i++) {
		buf_add_str(&sql, i > 0 ? ", ONLY " : "ONLY ");
		pg_quote_qualified(&sql, list[i].schema, list[i].name);
	}
	buf_add_str(&sql, " IN ACCESS SHARE MODE");
	rc = buf_check(&sql, "LOCK TABLE", err);
	if (rc == 0)
		rc = pg_execute(conn, buf_str(&sql), err);
	buf_free(&sql);
	return rc;
}

/* The lock did not come in time: name the table and who has it, in *err. */
static int
explain_timeout(struct pg_conn *conn, const struct table_name *list, size_t n,
    uint64_t timeout_ms, struct err *err)
{
	struct pg_result *res = NULL;
	struct err ignored = ERR_INIT;
	const char *params[1];
	struct buf array, name;
	size_t i;

	buf_init(&array, LOCK_SQL_MAX);
	buf_init(&name, SQL_MAX);
	for (i = 0; i < n; i++)
		buf_printf(&array, "%c%u", i == 0 ? '{' : ',',
		    (unsigned)list[i].oid);
	buf_add_byte(&array, '}');
	params[0] = buf_str(&array);
	/* Only to say more: without an answer the first error stands. */
	if (pg_execute(conn, "ROLLBACK", &ignored) == 0 &&
	    pg_query(conn, &res, &ignored, 1, params, HOLDER_SQL) == 0 &&
	    pg_rows(res) == 1) {
		pg_quote_qualified(&name, pg_value(res, 0, 0),
		    pg_value(res, 0, 1));
		err_set(err, ERR_POSTGRES, "table %s could not be locked "
		    "within %llu ms: process %s of user %s is changing it: %s",
		    buf_str(&name), (unsigned long long)timeout_ms,
		    pg_value(res, 0, 2), pg_value(res, 0, 3),
		    pg_value(res, 0, 4));
		err_hint(err, "run it again later, with a larger "
		    "--lock-wait-timeout, or leave the table out: "
		    "--exclude-table");
	}
	pg_result_free(res);
	buf_free(&array);
	buf_free(&name);
	return -1;
}

int
tables_lock(struct pg_conn *conn, const struct table_names *t,
    uint64_t timeout_ms, bool *vanished, struct err *err)
{
	char sql[64];
	size_t i, n;

	*vanished = false;
	(void)snprintf(sql, sizeof(sql), "SET LOCAL lock_timeout TO %llu",
	    (unsigned long long)timeout_ms);
	if (pg_execute(conn, sql, err) != 0)
		return -1;
	for (i = 0; i < t->n; i += n) {
		n = t->n - i < LOCK_BATCH ? t->n - i : LOCK_BATCH;
		if (lock_batch(conn, &t->list[i], n, err) == 0)
			continue;
		if (err->code == ERR_POSTGRES &&
		    is_vanished(pg_sqlstate(conn))) {
			*vanished = true;
			err_clear(err);
			return 0;
		}
		if (err->code == ERR_POSTGRES && timeout_ms > 0 &&
		    strcmp(pg_sqlstate(conn), STATE_LOCK_TIMEOUT) == 0)
			return explain_timeout(conn, &t->list[i], n,
			    timeout_ms, err);
		(void)rights_hint(conn, "dump as a superuser, or type (14 and "
		    "newer): GRANT pg_read_all_data TO", "; or leave the "
		    "table out with -T", err);
		return err_wrap(err, "lock the tables");
	}
	return pg_execute(conn, "SET LOCAL lock_timeout TO 0", err);
}

int
tables_locked(struct pg_conn *conn, uint32_t **oids, size_t *n,
    struct err *err)
{
	static const char sql[] = "SELECT DISTINCT relation FROM"
	    " pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid()"
	    " AND locktype = 'relation' AND granted AND relation IS NOT NULL"
	    " AND mode = 'AccessShareLock' ORDER BY relation";
	struct pg_result *res;
	uint64_t oid;
	int i, rows;

	*oids = NULL;
	*n = 0;
	if (pg_query(conn, &res, err, 0, NULL, sql) != 0)
		return err_wrap(err, "look at the locks");
	rows = pg_rows(res);
	*oids = xcalloc((size_t)rows + 1, sizeof(**oids));
	for (i = 0; i < rows; i++)
		if (text_u64(pg_value(res, i, 0), UINT32_MAX, &oid))
			(*oids)[(*n)++] = (uint32_t)oid;
	pg_result_free(res);
	return 0;
}

static int
compare_oid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

bool
tables_has(const uint32_t *oids, size_t n, uint32_t oid)
{
	return n > 0 &&
	    bsearch(&oid, oids, n, sizeof(*oids), compare_oid) != NULL;
}
