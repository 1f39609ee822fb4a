/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/work.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "pg/pooler.h"

/* TID range scans: before, each range would read the whole table. */
#define RANGES_MAJOR 14

int
work_open(struct dump_work *w, const struct dump_params *params,
    leader_pulse *pulse, void *arg, struct err *err)
{
	memset(w, 0, sizeof(*w));
	w->params = params;
	w->leading = (struct leader_params){
		.conninfo = params->conninfo,
		.database = params->database,
		.role = params->role,
		.bin_dir = params->bin_dir,
		.options = params->options,
		.n_options = params->n_options,
		.deferrable = params->serializable_deferrable,
		.lock_wait_ms = params->lock_wait_ms,
		.pulse = pulse,
		.pulse_arg = arg,
	};
	if (leader_open(&w->leader, &w->leading, err) != 0)
		return -1;
	if (pooler_check(w->leader.session.conn, params->conninfo,
	    w->leader.session.database, "dump", err) != 0) {
		work_close(w);
		return -1;
	}
	return 0;
}

static void
plan_tasks(struct dump_work *w)
{
	const struct facts *facts = &w->leader.facts;
	struct task_table *tables = xcalloc(facts->n + 1, sizeof(*tables));
	const struct fact *f;
	size_t i;

	for (i = 0; i < facts->n; i++) {
		f = &facts->list[i];
		tables[i].blocks = f->blocks;
		tables[i].bytes = f->bytes;
		/* An extension's condition is as it is, with its own WHERE. */
		tables[i].splittable = f->heap && f->relkind == 'r' &&
		    f->condition == NULL && f->columns_len > 0 &&
		    w->leader.session.major >= RANGES_MAJOR;
	}
	tasks_plan(&w->tasks, tables, facts->n);
	free(tables);
}

/*
 * pg_dump writes user mappings without their options (passwords of foreign
 * servers) where the role may not see them, and says nothing.
 */
static int
look_at_mappings(const struct leader *l, struct err *err)
{
	const struct archive_entry *e, *first = NULL;
	char *superuser = NULL;
	size_t i, n = 0;

	for (i = 0; i < l->head->n; i++) {
		e = &l->head->entries[i];
		if (strcmp(e->desc, "USER MAPPING") != 0 || e->defn == NULL ||
		    strstr(e->defn, " OPTIONS (") != NULL)
			continue;
		first = first == NULL ? e : first;
		n++;
	}
	if (n == 0)
		return 0;
	if (pg_query_value(l->session.conn, "SELECT pg_catalog."
	    "current_setting('is_superuser')", &superuser, err) != 0)
		return -1;
	if (superuser == NULL || strcmp(superuser, "on") != 0)
		log_warning("%zu user mappings of foreign servers have no "
		    "options in this dump; if they have any (passwords), only "
		    "a superuser's dump has them: %s%s", n, first->tag,
		    n > 1 ? ", ..." : "");
	free(superuser);
	return 0;
}

int
work_prepare(struct dump_work *w, struct err *err)
{
	const struct leader *l = &w->leader;

	if (leader_begin(&w->leader, &w->leading, err) != 0 ||
	    lobs_plan(&w->lobs, l->head, l->session.conn, err) != 0 ||
	    look_at_mappings(l, err) != 0)
		return -1;
	plan_tasks(w);
	log_debug("pg_dump %s: %zu entries, %zu tables with rows, %zu pieces",
	    l->tool.version, l->head->n, l->facts.n, w->tasks.n);
	return 0;
}

void
work_close(struct dump_work *w)
{
	tasks_free(&w->tasks);
	lobs_plan_free(&w->lobs);
	leader_end(&w->leader);
	memset(w, 0, sizeof(*w));
}
