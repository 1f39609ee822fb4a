/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/leader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "dump/tables.h"
#include "pipe/pool.h"

#define POLL_MS 50
#define WATCH_US 1000000

/*
 * As pg/conn.h has them, but for search_path: a pattern without a schema
 * means what it means for psql and for pg_dump by hand.
 */
#define PG_DUMP_OPTIONS "-c client_min_messages=warning -c jit=off" \
	" -c max_parallel_workers_per_gather=0"

/* In pg_stat_activity, to be told from our own sessions. */
#define PG_DUMP_NAME "pg_dump of dapk-backup"

/*
 * Does pg_dump's session wait for somebody who waits for us? It locks tables
 * that we have locked, but behind who came between; that would never end, as
 * the server cannot know that we wait for pg_dump.
 */
#define BLOCKED_SQL                                                        \
	"SELECT a.pid FROM pg_catalog.pg_stat_activity a"                  \
	" WHERE a.wait_event_type = 'Lock'"                                \
	" AND a.datname = pg_catalog.current_database()"                   \
	" AND a.usename = SESSION_USER"                                    \
	" AND a.application_name = '" PG_DUMP_NAME "'"                     \
	" AND EXISTS (SELECT FROM pg_catalog.unnest("                      \
	"pg_catalog.pg_blocking_pids(a.pid)) AS b (pid)"                   \
	" WHERE pg_catalog.pg_backend_pid() = ANY ("                       \
	"pg_catalog.pg_blocking_pids(b.pid)))"

int
leader_open(struct leader *l, const struct leader_params *params,
    struct err *err)
{
	memset(l, 0, sizeof(*l));
	if (session_open(&l->session, params->conninfo, params->database,
	    params->role, err) != 0)
		return -1;
	if (pgtool_find(&l->tool, PGTOOL_DUMP, params->bin_dir,
	    l->session.major, err) == 0 &&
	    pgtool_connect(&l->connection, l->session.conn, NULL, err) == 0) {
		pgtool_set(&l->connection, "PGOPTIONS", PG_DUMP_OPTIONS);
		pgtool_set(&l->connection, "PGAPPNAME", PG_DUMP_NAME);
		return 0;
	}
	leader_end(l);
	return -1;
}

void
leader_end(struct leader *l)
{
	facts_free(&l->facts);
	archive_reader_free(l->reader);
	free(l->said);
	session_snapshot_free(&l->snapshot);
	pgtool_connection_free(&l->connection);
	pgtool_free(&l->tool);
	session_close(&l->session);
	memset(l, 0, sizeof(*l));
}

void
leader_release(struct leader *l)
{
	pg_disconnect(l->session.conn);
	l->session.conn = NULL;
}

/* Options that only add to what is dumped, or say how, select nothing. */
static bool
selects(const struct leader_params *p)
{
	static const char *const names[] = { "table", "exclude-table",
		"table-and-children", "exclude-table-and-children",
		"exclude-table-data", "exclude-table-data-and-children",
		"schema", "exclude-schema", "extension", "exclude-extension",
		"filter", "section", "schema-only", "no-data",
		"statistics-only", "no-unlogged-table-data" };
	size_t i, j;

	for (i = 0; i < p->n_options; i++)
		for (j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			if (strcmp(p->options[i].name, names[j]) == 0)
				return true;
	return false;
}

/* pg_dump, in its own thread, so that the pulse goes on. */
struct reading {
	struct head_params params;
	struct archive_reader *reader;
	char *said;
};

static int
run_reading(void *worker, void *job, bool skip, struct err *err)
{
	struct reading *r = job;

	(void)worker;
	return skip ? 0 : head_read(&r->reader, &r->said,
	    &r->params, err);
}

/* After it was seen twice: end pg_dump's waiting, all begins anew then. */
struct watch {
	int64_t next;
	uint64_t pid; /* seen blocked at the last look, or 0 */
	bool gave_up;
};

static int
look_for_deadlock(struct leader *l, struct watch *w, struct err *err)
{
	struct pg_result *res;
	uint64_t pid = 0;
	char sql[64];

	if (w->gave_up || time_monotonic() < w->next)
		return 0;
	w->next = time_monotonic() + WATCH_US;
	if (pg_query(l->session.conn, &res, err, 0, NULL, BLOCKED_SQL) != 0)
		return -1;
	if (pg_rows(res) > 0)
		(void)text_u64(pg_value(res, 0, 0), UINT32_MAX, &pid);
	pg_result_free(res);
	w->gave_up = pid != 0 && pid == w->pid;
	w->pid = pid;
	if (!w->gave_up)
		return 0;
	(void)snprintf(sql, sizeof(sql), "SELECT pg_catalog."
	    "pg_cancel_backend(%llu)", (unsigned long long)pid);
	return pg_execute(l->session.conn, sql, err);
}

/* *deadlock: pg_dump waited for who waits for our locks. */
static int
read_head(struct leader *l, const struct leader_params *p, bool *deadlock,
    struct err *err)
{
	struct reading r = { .params = { .tool = &l->tool,
		.connection = &l->connection, .snapshot = l->snapshot.name,
		.role = p->role, .lock_wait_ms = p->lock_wait_ms,
		.options = p->options, .n_options = p->n_options } };
	struct watch watch = { .next = time_monotonic() + WATCH_US };
	struct pool *pool = NULL;
	bool idle = false;
	int rc = -1;

	if (pool_new(&pool, 1, 1, 1, NULL, NULL, NULL, err) != 0)
		return -1;
	if (pool_submit(pool, run_reading, &r, err) != 0)
		goto out;
	while (!idle)
		if (pool_poll(pool, POLL_MS, &idle, err) != 0 ||
		    (p->pulse != NULL && p->pulse(p->pulse_arg, err) != 0) ||
		    look_for_deadlock(l, &watch, err) != 0)
			goto out;
	rc = pool_finish(pool, err);
out:
	pool_free(pool);
	*deadlock = watch.gave_up;
	if (rc != 0) {
		archive_reader_free(r.reader);
		free(r.said);
		return -1;
	}
	l->said = r.said;
	l->reader = r.reader;
	l->head = archive_reader_head(r.reader);
	return 0;
}

/*
 * Tables with rows that are not locked, added to those to be locked next
 * time. Foreign tables cannot be locked.
 */
static int
find_unlocked(struct leader *l, struct table_names *extra, size_t *missing,
    const char **example, struct err *err)
{
	const struct fact *f;
	uint32_t *oids = NULL;
	size_t n = 0, i;
	int rc;

	*missing = 0;
	rc = tables_locked(l->session.conn, &oids, &n, err);
	for (i = 0; rc == 0 && i < l->facts.n; i++) {
		f = &l->facts.list[i];
		if (f->relkind == 'f' || tables_has(oids, n, f->entry->oid))
			continue;
		++*missing;
		*example = f->quoted;
		rc = tables_add(l->session.conn, extra, f->entry->oid, err);
	}
	free(oids);
	return rc;
}

static void
forget(struct leader *l)
{
	facts_free(&l->facts);
	archive_reader_free(l->reader);
	free(l->said);
	l->said = NULL;
	l->reader = NULL;
	l->head = NULL;
	session_snapshot_free(&l->snapshot);
}

/* 1: it stands; 0: again; -1. */
static int
attempt(struct leader *l, const struct leader_params *p,
    const struct table_names *tables, struct table_names *extra, char **why,
    struct err *err)
{
	struct session *s = &l->session;
	const char *example = NULL;
	bool vanished = false, deadlock = false;
	size_t missing = 0;

	if (session_begin(s, p->deferrable, err) != 0 ||
	    tables_lock(s->conn, tables, p->lock_wait_ms, &vanished,
	    err) != 0)
		return -1;
	if (!vanished && tables_lock(s->conn, extra, p->lock_wait_ms,
	    &vanished, err) != 0)
		return -1;
	if (vanished) {
		tables_free(extra);
		*why = xstrdup("a table was dropped or renamed meanwhile");
		return 0;
	}
	l->began = time_monotonic();
	if (session_snapshot(s, &l->snapshot, err) != 0)
		return -1;
	if (read_head(l, p, &deadlock, err) != 0) {
		if (!deadlock || err->code == ERR_CANCELLED)
			return -1;
		err_clear(err);
		*why = xstrdup("somebody waits to change a table");
		return 0;
	}
	if (facts_read(&l->facts, l->head, s->conn, err) != 0 ||
	    find_unlocked(l, extra, &missing, &example, err) != 0)
		return -1;
	if (missing == 0)
		return 1;
	*why = xasprintf("table %s was not locked", example);
	return 0;
}

int
leader_begin(struct leader *l, const struct leader_params *p,
    struct err *err)
{
	struct table_names tables = { 0 }, extra = { 0 };
	bool whole = !selects(p);
	unsigned n = 0, limit = LEADER_ATTEMPTS + (whole ? 0 : 1);
	char *why = NULL;
	int rc = 0;

	for (n = 0; rc == 0 && n < limit; n++) {
		free(why);
		why = NULL;
		/* A selection's first attempt is what tells its tables. */
		if (whole) {
			tables_free(&tables);
			rc = tables_list(l->session.conn, &tables, err);
		}
		if (rc == 0)
			rc = attempt(l, p, &tables, &extra, &why, err);
		if (rc != 0)
			break;
		log_debug("%s; once more", why);
		forget(l);
		rc = session_rollback(&l->session, err);
	}
	if (rc == 0) {
		err_set(err, ERR_POSTGRES, "tables came and went while they "
		    "were to be locked, %u times: %s", n,
		    why != NULL ? why : "");
		rc = err_hint(err, "run it again when fewer tables are "
		    "created and dropped, or leave them out: "
		    "--exclude-table, --exclude-schema");
	}
	if (rc > 0)
		head_log_warnings(l->said);
	free(why);
	tables_free(&tables);
	tables_free(&extra);
	return rc > 0 ? 0 : -1;
}
