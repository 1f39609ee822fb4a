/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "dump/dump.h"
#include "dump/lobs.h"
#include "dump/work.h"
#include "pg/conn.h"

int
dump_plan(const struct dump_params *params, struct dump_outline *out,
    struct err *err)
{
	struct dump_work w;
	const struct task *t;
	struct dump_outline_table *table;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (work_open(&w, params, NULL, NULL, err) != 0)
		return -1;
	if (work_prepare(&w, err) != 0) {
		work_close(&w);
		return -1;
	}
	out->database = xstrdup(w.leader.session.database);
	out->server_version = xstrdup(w.leader.session.version);
	out->pg_dump_path = xstrdup(w.leader.tool.path);
	out->pg_dump_version = xstrdup(w.leader.tool.version);
	out->standby = w.leader.session.standby;
	out->n_entries = w.leader.head->n;
	out->large_objects = w.lobs.objects;
	out->bytes = w.leader.facts.bytes;
	out->tasks = w.tasks.n + w.lobs.n;
	out->tables = xcalloc(w.leader.facts.n + 1, sizeof(*out->tables));
	for (i = 0; i < w.tasks.n; i++) {
		t = &w.tasks.list[i];
		if (t->range != 0)
			continue;
		table = &out->tables[out->n_tables++];
		table->name = xstrdup(w.leader.facts.list[t->table].quoted);
		table->bytes = w.leader.facts.list[t->table].bytes;
		table->ranges = t->n_ranges;
	}
	work_close(&w);
	return 0;
}

void
dump_outline_free(struct dump_outline *o)
{
	size_t i;

	for (i = 0; i < o->n_tables; i++)
		free(o->tables[i].name);
	free(o->tables);
	free(o->database);
	free(o->server_version);
	free(o->pg_dump_path);
	free(o->pg_dump_version);
	memset(o, 0, sizeof(*o));
}

int
dump_databases(char ***out, size_t *n, const char *conninfo, struct err *err)
{
	static const char sql[] = "SELECT datname FROM pg_catalog.pg_database"
	    " WHERE datallowconn AND NOT datistemplate"
	    " ORDER BY datname COLLATE \"C\"";
	struct pg_conn *conn;
	struct pg_result *res = NULL;
	int rc, i;

	*out = NULL;
	*n = 0;
	if (pg_connect(&conn, conninfo, "dump", err) != 0)
		return -1;
	rc = pg_query(conn, &res, err, 0, NULL, sql);
	if (rc == 0) {
		*n = (size_t)pg_rows(res);
		*out = xcalloc(*n + 1, sizeof(**out));
		for (i = 0; i < pg_rows(res); i++)
			(*out)[i] = xstrdup(pg_value(res, i, 0));
	}
	pg_result_free(res);
	pg_disconnect(conn);
	return rc == 0 ? 0 : err_wrap(err, "list the databases");
}

void
dump_databases_free(char **list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
}
