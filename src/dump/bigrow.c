/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/bigrow.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "dump/session.h"
#include "pg/copy.h"
#include "pg/quote.h"

#define SQL_MAX ((size_t)1 << 20)
#define KEY_TEXT_MAX 400 /* a key may be long itself */

/* "invalid memory alloc request size 1073741824", an internal error there */
#define STATE_INTERNAL "XX000"

bool
bigrow_is(const struct pg_conn *conn, const struct err *err)
{
	const char *state = pg_sqlstate(conn);

	return strcmp(state, PG_STATE_PROGRAM_LIMIT) == 0 ||
	    (strcmp(state, STATE_INTERNAL) == 0 &&
	    strstr(err->msg, "alloc request size") != NULL);
}

/* "id, part" of the table's primary key, quoted; "" when it has none. */
static int
key_columns(struct pg_conn *conn, const char *table, char **out,
    struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, SQL_MAX);
	buf_add_str(&sql, "SELECT coalesce(pg_catalog.string_agg("
	    "pg_catalog.quote_ident(a.attname), ', ' ORDER BY k.n), '')"
	    " FROM pg_catalog.pg_index i, LATERAL pg_catalog.unnest("
	    "i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n),"
	    " pg_catalog.pg_attribute a WHERE i.indisprimary"
	    " AND k.n <= i.indnkeyatts AND a.attrelid = i.indrelid"
	    " AND a.attnum = k.attnum AND i.indrelid = ");
	pg_quote_literal(&sql, table);
	buf_add_str(&sql, "::pg_catalog.regclass");
	rc = buf_check(&sql, "the statement", err);
	if (rc == 0)
		rc = pg_query_value(conn, buf_str(&sql), out, err);
	buf_free(&sql);
	return rc;
}

/* The row that would have come next. */
static int
find_row(struct pg_conn *conn, const struct copystmt *stmt, uint64_t rows,
    const char *key, struct buf *out, struct err *err)
{
	struct pg_result *res = NULL;
	struct buf sql;
	char *list;
	int rc;

	list = *key == '\0' ? xstrdup("ctid") :
	    xasprintf("ctid, pg_catalog.\"left\"(ROW(%s)::pg_catalog.text, "
	    "%d)", key, KEY_TEXT_MAX);
	buf_init(&sql, SQL_MAX);
	copystmt_select(stmt, list, &sql);
	buf_printf(&sql, " OFFSET %llu LIMIT 1", (unsigned long long)rows);
	rc = buf_check(&sql, "the statement", err);
	if (rc == 0)
		rc = pg_query(conn, &res, err, 0, NULL, buf_str(&sql));
	if (rc == 0 && pg_rows(res) == 1) {
		buf_printf(out, "row at ctid %s", pg_value(res, 0, 0));
		if (*key != '\0')
			buf_printf(out, ", key (%s) = %s", key,
			    pg_value(res, 0, 1));
	}
	pg_result_free(res);
	buf_free(&sql);
	free(list);
	return rc;
}

int
bigrow_explain(struct pg_conn *conn, const char *snapshot,
    const struct copystmt *stmt, uint64_t rows, struct err *err)
{
	struct err why = ERR_INIT;
	struct buf where;
	char *key = NULL;

	buf_init(&where, ERR_MSG_MAX / 2);
	if (session_join(conn, snapshot, NULL, &why) != 0 ||
	    key_columns(conn, stmt->table, &key, &why) != 0 ||
	    find_row(conn, stmt, rows, key != NULL ? key : "", &where,
	    &why) != 0)
		log_err(LOG_DEBUG, &why);
	if (where.len > 0)
		(void)err_wrap(err, "%s: is too large for COPY (1 GiB of "
		    "text)", buf_str(&where));
	else
		(void)err_wrap(err, "row %llu is too large for COPY (1 GiB "
		    "of text)", (unsigned long long)rows + 1);
	err->hint[0] = '\0';
	buf_free(&where);
	free(key);
	return err_hint(err, "pg_dump cannot dump it either; split the value "
	    "over several rows, move it into a large object, or leave the "
	    "table's rows out: --exclude-table-data");
}
