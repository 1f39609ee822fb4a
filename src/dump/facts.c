/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/quote.h"

#define QUOTED_MAX 1024
#define ARRAY_MAX ((size_t)256 << 20)

/* Of every relation among $1. */
#define FACTS_SQL                                                          \
	"SELECT c.oid, c.relkind, coalesce(a.amname, ''),"                 \
	" coalesce(pg_catalog.pg_relation_size(c.oid), 0),"                \
	" coalesce(pg_catalog.pg_relation_size(c.oid), 0)"                 \
	" + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE"                     \
	" coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) END,"  \
	" pg_catalog.current_setting('block_size'),"                       \
	" (SELECT x.condition FROM pg_catalog.pg_extension e,"             \
	" LATERAL ROWS FROM (pg_catalog.unnest(e.extconfig),"              \
	" pg_catalog.unnest(e.extcondition)) AS x (oid, condition)"        \
	" WHERE x.oid = c.oid AND x.condition <> '' LIMIT 1)"              \
	" FROM pg_catalog.pg_class c"                                      \
	" LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam"                 \
	" WHERE c.oid = ANY ($1::pg_catalog.oid[])"

/* By oid, to find what a row of the answer is about. */
static int
compare_fact(const void *a, const void *b)
{
	const struct fact *const *x = a, *const *y = b;
	uint32_t i = (*x)->entry->oid, j = (*y)->entry->oid;

	return i < j ? -1 : i > j;
}

static int
list_entries(struct facts *out, const struct archive_head *head,
    struct err *err)
{
	const struct archive_entry *e;
	struct fact *f;
	struct buf b;
	size_t i;

	for (i = 0; i < head->n; i++)
		out->n += archive_entry_is_table_data(&head->entries[i]);
	out->list = xcalloc(out->n + 1, sizeof(*out->list));
	for (f = out->list, i = 0; i < head->n; i++) {
		e = &head->entries[i];
		if (!archive_entry_is_table_data(e))
			continue;
		f->entry = e;
		if (e->copy_stmt == NULL || e->namespace == NULL)
			return err_set(err, ERR_DAMAGED, "pg_dump tells no "
			    "COPY statement of table %s", e->tag);
		if (copystmt_columns(e->copy_stmt, &f->columns,
		    &f->columns_len, err) != 0)
			return -1;
		buf_init(&b, QUOTED_MAX);
		pg_quote_qualified(&b, e->namespace, e->tag);
		f->quoted = xstrdup(buf_str(&b));
		if (buf_check(&b, "a table's name", err) != 0) {
			buf_free(&b);
			return -1;
		}
		buf_free(&b);
		f++;
	}
	return 0;
}

static int
take_row(struct fact *f, const struct pg_result *res, int row,
    struct err *err)
{
	uint64_t bytes, block;

	if (!text_u64(pg_value(res, row, 3), UINT64_MAX, &bytes) ||
	    !text_u64(pg_value(res, row, 4), UINT64_MAX, &f->bytes) ||
	    !text_u64(pg_value(res, row, 5), UINT32_MAX, &block) || block == 0)
		return err_set(err, ERR_POSTGRES, "the server told no size "
		    "of table %s.%s", f->entry->namespace, f->entry->tag);
	f->relkind = pg_value(res, row, 1)[0];
	f->heap = strcmp(pg_value(res, row, 2), "heap") == 0;
	f->blocks = bytes / block;
	if (!pg_is_null(res, row, 6))
		f->condition = xstrdup(pg_value(res, row, 6));
	return 0;
}

static int
match_rows(struct facts *out, struct fact **by_oid,
    const struct pg_result *res, struct err *err)
{
	struct archive_entry wanted = { .oid = 0 };
	struct fact key = { .entry = &wanted };
	const struct fact *key_at = &key;
	struct fact **found;
	uint64_t oid;
	size_t i;
	int row;

	for (row = 0; row < pg_rows(res); row++) {
		if (!text_u64(pg_value(res, row, 0), UINT32_MAX, &oid))
			continue;
		wanted.oid = (uint32_t)oid;
		found = bsearch(&key_at, by_oid, out->n, sizeof(*by_oid),
		    compare_fact);
		if (found != NULL && take_row(*found, res, row, err) != 0)
			return -1;
	}
	for (i = 0; i < out->n; i++) {
		if (out->list[i].relkind == '\0')
			return err_set(err, ERR_POSTGRES, "the server does "
			    "not know table %s.%s, which pg_dump dumps",
			    out->list[i].entry->namespace,
			    out->list[i].entry->tag);
		out->bytes += out->list[i].bytes;
	}
	return 0;
}

int
facts_read(struct facts *out, const struct archive_head *head,
    struct pg_conn *conn, struct err *err)
{
	struct fact **by_oid = NULL;
	struct pg_result *res = NULL;
	const char *params[1];
	struct buf array;
	size_t i;
	int rc = -1;

	memset(out, 0, sizeof(*out));
	buf_init(&array, ARRAY_MAX);
	if (list_entries(out, head, err) != 0)
		goto out;
	by_oid = xcalloc(out->n + 1, sizeof(struct fact *));
	buf_add_byte(&array, '{');
	for (i = 0; i < out->n; i++) {
		by_oid[i] = &out->list[i];
		buf_printf(&array, "%s%u", i > 0 ? "," : "",
		    (unsigned)out->list[i].entry->oid);
	}
	buf_add_byte(&array, '}');
	if (buf_check(&array, "the list of tables", err) != 0)
		goto out;
	qsort(by_oid, out->n, sizeof(struct fact *), compare_fact);
	params[0] = buf_str(&array);
	if (pg_query(conn, &res, err, 1, params, FACTS_SQL) != 0 ||
	    match_rows(out, by_oid, res, err) != 0)
		goto out;
	rc = 0;
out:
	pg_result_free(res);
	free(by_oid);
	buf_free(&array);
	if (rc != 0) {
		facts_free(out);
		return err_wrap(err, "look at the tables");
	}
	return 0;
}

void
facts_free(struct facts *f)
{
	size_t i;

	for (i = 0; i < f->n && f->list != NULL; i++) {
		free(f->list[i].quoted);
		free(f->list[i].condition);
	}
	free(f->list);
	memset(f, 0, sizeof(*f));
}
