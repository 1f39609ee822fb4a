/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "load/loadjob.h"
#include "pg/copy.h"
#include "pg/quote.h"
#include "pipe/pool.h"

/* What one COPY takes; a table of less is loaded by one. */
#define RANGE_BYTES ((uint64_t)32 << 20)
#define POLL_MS 200
#define SQL_MAX 65536
#define NAMES_MAX 1000

/* An item, until its last range is loaded. */
struct loading {
	const struct dump_part *part;
	const struct dump_item *item;
	struct dump_chunk *chunks;
	atomic_uint users;  /* of the chunks: ranges, and who submits */
	atomic_uint wanted; /* ranges not loaded yet */
	atomic_bool begun;  /* some of it is loaded */
};

struct unit {
	struct loading *loading;
	size_t first, n; /* chunks */
};

struct shared {
	struct loadjob *job;
	struct pool *pool;
};

struct worker {
	const struct shared *shared;
	struct repo *repo;
	struct dumpread *reader;
	struct pg_conn *conn;
	struct objects *objects; /* while large objects are loaded */
};

int
rows_session(const struct loadjob *j, struct pg_conn *conn, struct err *err)
{
	char encoding[ARCHIVE_ENCODING_MAX];
	struct buf sql;
	int rc;

	archive_head_encoding(&j->head, encoding);
	buf_init(&sql, SQL_MAX);
	if (encoding[0] != '\0') {
		buf_add_str(&sql, "SET client_encoding TO ");
		pg_quote_literal(&sql, encoding);
		buf_add_str(&sql, "; ");
	}
	/* check_function_bodies, xmloption: as pg_restore has them. */
	buf_printf(&sql, "SET standard_conforming_strings TO %s; "
	    "SET check_function_bodies TO off; SET xmloption TO content; "
	    "SET row_security TO off",
	    archive_head_std_strings(&j->head) ? "on" : "off");
	if (j->params->role != NULL) {
		buf_add_str(&sql, "; SET ROLE ");
		pg_quote_name(&sql, j->params->role);
	}
	rc = buf_check(&sql, "session settings", err);
	if (rc == 0)
		rc = pg_execute(conn, buf_str(&sql), err);
	buf_free(&sql);
	return rc;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;
	const struct loadjob *j = ((const struct shared *)arg)->job;

	w->shared = arg;
	if (repo_clone(j->params->repo, &w->repo, err) != 0 ||
	    dumpread_new(&w->reader, j->set, w->repo, err) != 0 ||
	    pg_connect_database(&w->conn, j->params->conninfo,
		j->result->database, "load", err) != 0)
		return -1;
	return rows_session(j, w->conn, err);
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	pg_disconnect(w->conn);
	dumpread_free(w->reader);
	repo_close(w->repo);
}

static void
release(struct loading *l)
{
	if (atomic_fetch_sub(&l->users, 1) == 1)
		free(l->chunks);
}

static int
sink(void *arg, const void *data, size_t len, struct err *err)
{
	struct worker *w = arg;
	const struct loadjob *j = w->shared->job;
	int rc;

	if (pool_failed(w->shared->pool))
		return err_set(err, ERR_CANCELLED, "another connection failed");
	rc = w->objects != NULL ? objects_feed(w->objects, data, len, err) :
	    pg_copy_in_put(w->conn, data, len, err);
	atomic_fetch_add(&j->params->progress->done_bytes, len);
	return rc;
}

/* COPY ends with its newline and semicolon in the archive. */
static char *
copy_statement(const struct archive_entry *e)
{
	size_t len = strlen(e->copy_stmt);

	while (len > 0 && (e->copy_stmt[len - 1] == '\n' ||
		e->copy_stmt[len - 1] == ';'))
		len--;
	return xstrndup(e->copy_stmt, len);
}

static int
load_rows(struct worker *w, const struct unit *u, struct err *err)
{
	const struct loading *l = u->loading;
	uint64_t rows = 0, want = 0;
	char *sql;
	size_t i;
	int rc;

	if (l->part->entry->copy_stmt == NULL)
		return err_set(err, ERR_UNSUPPORTED, "its rows are not in "
		    "COPY's form");
	for (i = u->first; i < u->first + u->n; i++)
		want += l->chunks[i].rows;
	sql = copy_statement(l->part->entry);
	rc = pg_copy_in_begin(w->conn, sql, err);
	free(sql);
	if (rc == 0)
		rc = dumpread_stream(w->reader, l->item, l->chunks, u->first,
		    u->n, sink, w, err);
	if (rc == 0)
		rc = pg_copy_in_end(w->conn, &rows, err);
	if (rc != 0)
		return -1;
	atomic_fetch_add(&w->shared->job->result->rows, rows);
	/* A trigger or rule may leave rows out: only in existing tables. */
	if (rows != want && !w->shared->job->params->data_only)
		return err_set(err, ERR_POSTGRES, "the server took %" PRIu64
		    " of %" PRIu64 " rows", rows, want);
	return 0;
}

static int
load_objects(struct worker *w, const struct unit *u, struct err *err)
{
	int rc;

	objects_new(&w->objects, w->conn, w->shared->job->result);
	rc = dumpread_stream(w->reader, u->loading->item, u->loading->chunks,
	    u->first, u->n, sink, w, err);
	if (rc == 0)
		rc = objects_finish(w->objects, err);
	objects_free(w->objects);
	w->objects = NULL;
	return rc;
}

static int
run_unit(void *worker, void *job, bool skip, struct err *err)
{
	struct worker *w = worker;
	struct unit *u = job;
	struct loading *l = u->loading;
	const struct archive_entry *e = l->part->entry;
	int rc = 0;

	if (!skip) {
		const bool lobs = archive_entry_is_large_objects(e);

		rc = lobs ? load_objects(w, u, err) : load_rows(w, u, err);
		if (rc == 0) {
			atomic_store(&l->begun, true);
			atomic_fetch_sub(&l->wanted, 1);
		} else if (err->code != ERR_CANCELLED) {
			(void)err_wrap(err, lobs ? "large objects%s%s%s" :
			    "table %s%s%s", lobs || e->namespace == NULL ? "" :
			    e->namespace, lobs ? "" : ".", lobs ? "" : e->tag);
		}
	}
	release(l);
	free(u);
	return rc;
}

/*
 * How many chunks from `first` on make a range: it ends where a row does.
 */
static size_t
range_chunks(const struct dump_chunk *list, size_t first, size_t n)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = first; i < n; i++) {
		bytes += list[i].bytes;
		if (bytes >= RANGE_BYTES && list[i].rows > 0)
			return i + 1 - first;
	}
	return n - first;
}

static int
submit_item(struct shared *s, const struct dump_part *part,
    const struct dump_item *item, struct loading **out, struct err *err)
{
	const bool lobs = archive_entry_is_large_objects(part->entry);
	struct loading *l = xcalloc(1, sizeof(*l));
	size_t n = 0, at = 0, first;
	unsigned ranges = 0;
	int rc;

	l->part = part;
	l->item = item;
	atomic_store(&l->users, 1);
	atomic_store(&l->wanted, 1);
	*out = l;
	rc = dumpread_chunks(s->job->reader, item, &l->chunks, &n, err);
	for (first = 0; rc == 0 && first < n; ranges++)
		first += lobs ? n : range_chunks(l->chunks, first, n);
	if (rc == 0)
		atomic_store(&l->wanted, ranges);
	while (rc == 0 && at < n) {
		struct unit *u = xcalloc(1, sizeof(*u));

		u->loading = l;
		u->first = at;
		u->n = lobs ? n : range_chunks(l->chunks, at, n);
		at += u->n;
		atomic_fetch_add(&l->users, 1);
		rc = pool_submit(s->pool, run_unit, u, err);
		if (s->job->params->tick != NULL)
			s->job->params->tick(s->job->params->tick_arg);
	}
	release(l);
	return rc;
}

struct to_load {
	const struct dump_part *part;
	const struct dump_item *item;
};

static int
largest_first(const void *a, const void *b)
{
	const struct to_load *x = a, *y = b;

	if (x->item->size != y->item->size)
		return x->item->size > y->item->size ? -1 : 1;
	return strcmp(x->item->path, y->item->path);
}

static struct to_load *
list_items(const struct loadjob *j, size_t *n)
{
	struct to_load *list;
	uint64_t bytes = 0;
	size_t i, k, room = 0;

	for (i = 0; i < j->parts.n; i++)
		room += j->parts.list[i].n;
	list = xcalloc(room + 1, sizeof(*list));
	*n = 0;
	for (i = 0; i < j->parts.n; i++) {
		const struct dump_part *p = &j->parts.list[i];

		for (k = 0; k < p->n && !p->entry->skip; k++) {
			list[(*n)++] = (struct to_load){ p, p->items[k] };
			bytes += p->items[k]->size;
		}
	}
	if (*n > 1)
		qsort(list, *n, sizeof(*list), largest_first);
	atomic_store(&j->params->progress->total_bytes, bytes);
	return list;
}

void
rows_plan(struct loadjob *j)
{
	struct load_result *r = j->result;
	struct to_load *list = list_items(j, &r->n_plan);
	size_t i;

	r->plan = xcalloc(r->n_plan + 1, sizeof(*r->plan));
	for (i = 0; !j->params->schema_only && i < r->n_plan; i++) {
		const struct archive_entry *e = list[i].part->entry;

		struct buf name;

		buf_init(&name, SQL_MAX);
		if (archive_entry_is_large_objects(e))
			buf_add_str(&name, "large objects");
		else
			pg_quote_qualified(&name, e->namespace, e->tag);
		r->plan[i].name = xstrdup(buf_str(&name));
		buf_free(&name);
		r->plan[i].rows = list[i].item->rows;
		r->plan[i].bytes = list[i].item->size;
	}
	r->n_plan = i;
	free(list);
}

static int
wait_all(struct shared *s, struct err *err)
{
	bool idle = false;

	while (!idle) {
		if (pool_poll(s->pool, POLL_MS, &idle, err) != 0 ||
		    cancel_check(err) != 0)
			return -1;
		if (s->job->params->tick != NULL)
			s->job->params->tick(s->job->params->tick_arg);
	}
	return pool_finish(s->pool, err);
}

/* After all threads ended: how far it went. */
static void
count_tables(struct loadjob *j, struct loading **all, size_t n)
{
	struct load_result *r = j->result;
	struct buf names;
	size_t i;

	buf_init(&names, NAMES_MAX);
	for (i = 0; i < n; i++) {
		const struct archive_entry *e = all[i]->part->entry;

		if (archive_entry_is_table_data(e)) {
			r->tables_whole += all[i]->wanted == 0;
			if (all[i]->wanted > 0 && all[i]->begun)
				buf_printf(&names, "%s%s.%s",
				    names.len > 0 ? ", " : "",
				    e->namespace == NULL ? "" : e->namespace,
				    e->tag);
		}
		free(all[i]);
	}
	r->begun = names.len > 0 ? xstrdup(buf_str(&names)) : NULL;
	buf_free(&names);
}

int
rows_load(struct loadjob *j, struct err *err)
{
	struct shared s = { .job = j };
	struct loading **all;
	struct to_load *list;
	size_t n, i, done = 0;
	int rc;

	list = list_items(j, &n);
	all = xcalloc(n + 1, sizeof(struct loading *));
	for (i = 0; i < n; i++)
		j->result->n_tables += archive_entry_is_table_data(
		    list[i].part->entry);
	rc = pool_new(&s.pool, j->params->jobs, 2 * (size_t)j->params->jobs,
	    sizeof(struct worker), worker_init, worker_fini, &s, err);
	for (i = 0; rc == 0 && i < n; i++) {
		rc = submit_item(&s, list[i].part, list[i].item, &all[i], err);
		done = i + 1;
	}
	if (rc == 0)
		rc = wait_all(&s, err);
	pool_free(s.pool);
	count_tables(j, all, done);
	free(all);
	free(list);
	return rc;
}
