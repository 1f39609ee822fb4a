/* SPDX-License-Identifier: PostgreSQL */
/*
 * The hot path is one libpq row at a time from copy_rows() into its target:
 * nothing is allocated for a row here.
 */
#include "config.h"

#include "dump/copyout.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "dump/bigrow.h"
#include "pg/copy.h"
#include "pg/rights.h"
#include "pipe/pool.h"

#define POLL_MS 100
#define SQL_MAX ((size_t)4 << 20) /* 1,600 columns of 63 bytes and quotes */
#define ROWS_BETWEEN_LOOKS 256
/* libpq keeps a buffer for the largest row: beyond this a new connection. */
#define ROW_KEPT_MAX ((size_t)4 << 20)
#define STATE_RECOVERY_CONFLICT "40001"

struct shared {
	const struct copyout *job;
	struct pool *pool;
	pthread_mutex_t lock;
	atomic_bool stop; /* the owner gives up */
	const struct task **left; /* not lockable by workers */
	size_t n_left;
};

struct worker {
	struct shared *shared;
	struct pg_conn *conn;
	void *writer; /* of the target */
	const struct fact *joined; /* the transaction has its lock */
	bool cancelled;
};

struct unit { /* what the pool is given */
	struct shared *shared;
	const struct task *task; /* or */
	const struct lobs_item *lobs;
};

static bool
given_up(const struct shared *s)
{
	return atomic_load(&s->stop) ||
	    (s->pool != NULL && pool_failed(s->pool));
}

/* Another one failed: do not wait for what the server may never send. */
static void
look_around(void *arg)
{
	struct worker *w = arg;

	if (w->cancelled || !given_up(w->shared))
		return;
	w->cancelled = true;
	pg_cancel(w->conn);
}

static int
connect_worker(struct worker *w, struct err *err)
{
	const struct copyout *job = w->shared->job;
	struct session s;

	if (session_open(&s, job->conninfo, job->leader->database, job->role,
	    err) != 0)
		return -1;
	/* Of the session only the connection is kept. */
	w->conn = s.conn;
	s.conn = NULL;
	if (s.system_id != job->leader->system_id)
		err_set(err, ERR_POSTGRES, "the connection string leads to "
		    "different servers");
	else if (session_settings(w->conn, job->settings, err) == 0) {
		session_close(&s);
		pg_on_wait(w->conn, look_around, w);
		return 0;
	}
	session_close(&s);
	return -1;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;

	w->shared = arg;
	if (connect_worker(w, err) != 0)
		return err_wrap(err, "connection of a worker");
	return w->shared->job->target->writer_new(&w->writer,
	    w->shared->job->target_arg, err);
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	w->shared->job->target->writer_free(w->writer);
	pg_disconnect(w->conn);
}

/* Add to what is done, but of a table no more than its size says. */
static void
count(const struct copyout *job, const struct task *t, uint64_t *counted,
    uint64_t now)
{
	if (now > t->bytes)
		now = t->bytes;
	atomic_fetch_add(job->done_bytes, now - *counted);
	*counted = now;
}

static void
fill_statement(struct copystmt *c, const struct fact *f, const struct task *t)
{
	memset(c, 0, sizeof(*c));
	c->table = f->quoted;
	c->columns = f->columns;
	c->columns_len = f->columns_len;
	c->foreign = f->relkind == 'f';
	c->condition = f->condition;
	c->ranged = t->n_ranges > 1;
	c->first_block = t->first_block;
	c->end_block = t->end_block;
}

static int
copy_failed(const struct worker *w, const struct copystmt *stmt,
    uint64_t rows, struct err *err)
{
	const struct copyout *job = w->shared->job;
	const char *state = pg_sqlstate(w->conn);

	if (err->code != ERR_POSTGRES)
		return -1;
	if (bigrow_is(w->conn, err))
		return bigrow_explain(w->conn, job->snapshot, stmt, rows, err);
	if (job->leader->standby &&
	    strcmp(state, STATE_RECOVERY_CONFLICT) == 0)
		return err_hint(err, "the standby replayed what the dump's "
		    "snapshot still needs: set hot_standby_feedback = on "
		    "there, or a larger max_standby_streaming_delay");
	/* In another language the error stands without a hint. */
	if (strstr(err->msg, "row-level security") != NULL)
		return rights_hint(w->conn, "the rows that the policy hides "
		    "would be missing; type: ALTER ROLE", " BYPASSRLS; or "
		    "leave them out on purpose with --enable-row-security",
		    err);
	return -1;
}

/* The transaction has the snapshot, and the table is locked. */
static int
copy_rows(struct worker *w, const struct fact *f, const struct task *t,
    size_t *largest, struct err *err)
{
	const struct copyout *job = w->shared->job;
	uint64_t rows = 0, bytes = 0, counted = 0;
	struct copystmt stmt;
	const char *row;
	struct buf sql;
	size_t len;
	int rc;

	fill_statement(&stmt, f, t);
	buf_init(&sql, SQL_MAX);
	copystmt_make(&stmt, &sql);
	rc = buf_check(&sql, "the COPY statement", err);
	if (rc == 0)
		rc = pg_copy_out_begin(w->conn, buf_str(&sql), err);
	buf_free(&sql);
	if (rc != 0)
		return copy_failed(w, &stmt, 0, err);
	while ((rc = pg_copy_out_next(w->conn, &row, &len, err)) > 0) {
		if (job->target->write(w->writer, row, len, true, err) != 0)
			return -1;
		bytes += len;
		*largest = len > *largest ? len : *largest;
		if (++rows % ROWS_BETWEEN_LOOKS != 0 && len < ROW_KEPT_MAX)
			continue;
		count(job, t, &counted, bytes);
		if (given_up(w->shared))
			return err_set(err, ERR_CANCELLED, "given up");
	}
	if (rc < 0)
		return copy_failed(w, &stmt, rows, err);
	if (rows != pg_copy_rows(w->conn))
		return err_set(err, ERR_POSTGRES, "the server counted %llu "
		    "rows and sent %llu", (unsigned long long)
		    pg_copy_rows(w->conn), (unsigned long long)rows);
	count(job, t, &counted, t->bytes);
	atomic_fetch_add(job->rows, rows);
	atomic_fetch_add(job->bytes, bytes);
	return 0;
}

/*
 * The name led COPY to the table. Its lock keeps it from being renamed, but
 * not its schema.
 */
static int
check_name(struct worker *w, const struct fact *f, struct err *err)
{
	const char *params[1] = { f->quoted };
	struct pg_result *res;
	uint64_t oid = 0;

	if (pg_query(w->conn, &res, err, 1, params,
	    "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid") != 0)
		return -1;
	(void)text_u64(pg_value(res, 0, 0), UINT32_MAX, &oid);
	pg_result_free(res);
	if (oid == f->entry->oid)
		return 0;
	(void)err_set(err, ERR_POSTGRES, "its schema was renamed while the "
	    "dump ran");
	return err_hint(err, "run the dump again");
}

static int
copy_table(struct worker *w, const struct fact *f, const struct task *t,
    struct err *err)
{
	const struct copyout_target *to = w->shared->job->target;
	const struct copyout_item item = { .fact = f,
		.dump_id = f->entry->dump_id, .range = t->range,
		.ranges = t->n_ranges };
	size_t largest = 0;

	if (to->begin(w->writer, &item, err) != 0 ||
	    copy_rows(w, f, t, &largest, err) != 0 ||
	    check_name(w, f, err) != 0 ||
	    to->end(w->writer, err) != 0)
		return -1;
	if (largest <= ROW_KEPT_MAX || w->shared->pool == NULL)
		return 0;
	pg_disconnect(w->conn);
	w->conn = NULL;
	w->joined = NULL;
	return connect_worker(w, err);
}

static void
leave(struct shared *s, const struct task *t)
{
	(void)pthread_mutex_lock(&s->lock);
	s->left[s->n_left++] = t;
	(void)pthread_mutex_unlock(&s->lock);
}

/* 1: joined; 0: the lock is not to be had. */
static int
join(struct worker *w, const struct fact *f, struct err *err)
{
	const struct copyout *job = w->shared->job;
	char *only;
	int rc;

	if (f != NULL && w->joined == f)
		return 1;
	w->joined = NULL;
	/* LOCK TABLE is not for foreign tables; pg_dump locks none either. */
	only = f == NULL || f->relkind == 'f' ? NULL :
	    xasprintf("ONLY %s", f->quoted);
	rc = session_join(w->conn, job->snapshot, only, err);
	free(only);
	if (rc == 0) {
		w->joined = f;
		return 1;
	}
	if (err->code != ERR_LOCKED)
		return -1;
	err_clear(err);
	return 0;
}

static int
run_task(struct worker *w, const struct task *t, struct err *err)
{
	const struct fact *f = &w->shared->job->facts->list[t->table];
	int rc = join(w, f, err);

	if (rc == 0) {
		log_debug("%s: somebody waits to change it; it is left to "
		    "the session that has locked it", f->quoted);
		leave(w->shared, t);
		return 0;
	}
	if (rc > 0)
		rc = copy_table(w, f, t, err);
	if (rc < 0)
		return err_wrap(err, "table %s", f->quoted);
	return 0;
}

static int
sink_lobs(void *arg, const void *data, size_t len, bool end_of_object,
    struct err *err)
{
	struct worker *w = arg;

	if (given_up(w->shared))
		return err_set(err, ERR_CANCELLED, "given up");
	atomic_fetch_add(w->shared->job->bytes, len);
	return w->shared->job->target->write(w->writer, data, len,
	    end_of_object, err);
}

static int
run_lobs(struct worker *w, const struct lobs_item *item, struct err *err)
{
	const struct copyout_target *to = w->shared->job->target;
	const struct copyout_item it = { .lobs = item,
		.dump_id = item->dump_id, .ranges = 1 };

	if (join(w, NULL, err) < 0 || to->begin(w->writer, &it, err) != 0 ||
	    lobs_read(w->conn, item, sink_lobs, w, err) != 0 ||
	    to->end(w->writer, err) != 0)
		return err_wrap(err, "%s", item->path);
	return 0;
}

static int
run_unit(void *worker, void *arg, bool skip, struct err *err)
{
	struct unit *u = arg;

	if (skip)
		return 0;
	return u->task != NULL ? run_task(worker, u->task, err) :
	    run_lobs(worker, u->lobs, err);
}

static int
submit_all(struct pool *p, struct unit *units, size_t n, struct err *err)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pool_submit(p, run_unit, &units[i], err) != 0)
			return -1;
	return 0;
}

static int
wait_idle(struct pool *p, copyout_pulse *pulse, void *arg, struct err *err)
{
	bool idle = false;

	while (!idle)
		if (pool_poll(p, POLL_MS, &idle, err) != 0 ||
		    pulse(arg, err) != 0)
			return -1;
	return 0;
}

/* On the leader's connection, whose locks are held since the beginning. */
static int
copy_left(struct shared *s, copyout_pulse *pulse, void *arg, struct err *err)
{
	struct worker w = { .shared = s, .conn = s->job->leader->conn };
	const struct fact *f;
	size_t i;
	int rc = 0;

	if (s->n_left == 0)
		return 0;
	if (session_settings(w.conn, s->job->settings, err) != 0 ||
	    s->job->target->writer_new(&w.writer, s->job->target_arg,
	    err) != 0)
		return -1;
	for (i = 0; rc == 0 && i < s->n_left; i++) {
		f = &s->job->facts->list[s->left[i]->table];
		rc = copy_table(&w, f, s->left[i], err);
		if (rc != 0)
			err_wrap(err, "table %s", f->quoted);
		else
			rc = pulse(arg, err);
	}
	s->job->target->writer_free(w.writer);
	return rc;
}

/* Tables by size, with the large objects before those that are small. */
static size_t
list_units(struct shared *s, struct unit *units)
{
	const struct task_plan *tasks = s->job->tasks;
	const struct lobs_plan *lobs = s->job->lobs;
	size_t i, n = 0, large = 0;

	while (large < tasks->n && tasks->list[large].n_ranges > 1)
		large++;
	for (i = 0; i < large; i++)
		units[n++] = (struct unit){ s, &tasks->list[i], NULL };
	for (i = 0; i < lobs->n; i++)
		units[n++] = (struct unit){ s, NULL, &lobs->list[i] };
	for (i = large; i < tasks->n; i++)
		units[n++] = (struct unit){ s, &tasks->list[i], NULL };
	return n;
}

int
copyout_run(const struct copyout *job, copyout_pulse *pulse, void *arg,
    struct err *err)
{
	struct shared s = { .job = job, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct pool *pool = NULL;
	struct unit *units;
	size_t n, threads;
	int rc = -1;

	s.left = xcalloc(job->tasks->n + 1, sizeof(struct task *));
	units = xcalloc(job->tasks->n + job->lobs->n + 1, sizeof(*units));
	n = list_units(&s, units);
	threads = n < job->jobs ? n : job->jobs;
	if (n > 0) {
		if (pool_new(&pool, threads, n, sizeof(struct worker),
		    worker_init, worker_fini, &s, err) != 0)
			goto out;
		s.pool = pool;
		if (submit_all(pool, units, n, err) != 0 ||
		    wait_idle(pool, pulse, arg, err) != 0 ||
		    pool_finish(pool, err) != 0)
			goto out;
	}
	/* Their memory goes before the leader's copying needs some. */
	pool_free(pool);
	pool = s.pool = NULL;
	rc = copy_left(&s, pulse, arg, err);
out:
	atomic_store(&s.stop, true);
	pool_free(pool);
	free(units);
	free(s.left);
	return rc;
}
