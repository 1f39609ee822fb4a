/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "load/load.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "load/loadjob.h"
#include "pg/pooler.h"
#include "pg/quote.h"

#define SQL_MAX 65536

static void
enter(struct loadjob *j, enum load_phase phase)
{
	atomic_store(&j->params->progress->phase, (unsigned)phase);
	if (j->params->tick != NULL)
		j->params->tick(j->params->tick_arg);
}

static int
connect_to(struct loadjob *j, const char *database, struct err *err)
{
	const struct load_params *p = j->params;

	pg_disconnect(j->conn);
	j->conn = NULL;
	if ((database == NULL ? pg_connect(&j->conn, p->conninfo, "load",
	    err) : pg_connect_database(&j->conn, p->conninfo, database,
	    "load", err)) != 0)
		return -1;
	free(j->result->database);
	j->result->database = NULL;
	return pg_query_value(j->conn, "SELECT pg_catalog.current_database()",
	    &j->result->database, err);
}

static int
check_server(struct loadjob *j, struct err *err)
{
	const struct commit_dump *d = &dumpset_commit(j->set)->dump;
	const int now = pg_server_version(j->conn) / 10000;
	const int then = (int)(d->server_version_num / 10000);

	j->server_version = pg_server_version(j->conn);
	j->result->server_version = j->server_version;
	if (now < then) {
		(void)err_set(err, ERR_REFUSED, "the dump is of PostgreSQL %d "
		    "and the server is %d: definitions are not made for an "
		    "older one", then, now);
		return err_hint(err, "export it with --format plain and edit "
		    "what the older server does not know");
	}
	return pooler_check(j->conn, j->params->conninfo,
	    j->result->database, "load", err);
}

static int
run_statement(struct loadjob *j, const char *before, const char *schema,
    const char *name, const char *after, struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, SQL_MAX);
	buf_add_str(&sql, before);
	if (name != NULL)
		pg_quote_qualified(&sql, schema, name);
	else
		pg_quote_name(&sql, schema);
	buf_add_str(&sql, after);
	rc = buf_check(&sql, "a statement", err);
	if (rc == 0)
		rc = pg_execute(j->conn, buf_str(&sql), err);
	buf_free(&sql);
	return rc;
}

/* ---------------------------------------------------- another schema */

static int
has_schema(struct loadjob *j, bool *has, struct err *err)
{
	struct pg_result *res;
	const char *name = j->params->into_schema;

	if (pg_query(j->conn, &res, err, 1, &name,
		"SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1") != 0)
		return -1;
	*has = pg_rows(res) > 0;
	pg_result_free(res);
	return 0;
}

/* The schema is made from the dump's own entry, or plainly, unless there. */
static int
prepare_schema(struct loadjob *j, const char *from, struct err *err)
{
	bool has = false, made = false;
	size_t i;

	if (has_schema(j, &has, err) != 0)
		return -1;
	for (i = 0; i < j->head.n; i++) {
		struct archive_entry *e = &j->head.entries[i];

		if (strcmp(e->desc, "SCHEMA") != 0 ||
		    strcmp(e->tag, from) != 0 || e->skip)
			continue;
		/* initdb makes public: there is nothing of it in the dump. */
		if (has || strcmp(from, "public") == 0)
			e->skip = true;
		else
			made = true;
	}
	if (has || made || j->params->data_only || j->params->dry_run)
		return 0;
	j->result->touched = true;
	return run_statement(j, "CREATE SCHEMA ", j->params->into_schema,
	    NULL, "", err);
}

static int
change_schema(struct loadjob *j, struct err *err)
{
	const char **schemas = j->params->select.schemas;
	const char *const *bodies;
	size_t i, n;

	if (j->params->into_schema == NULL)
		return 0;
	if (schemas == NULL || schemas[0] == NULL || schemas[1] != NULL ||
	    strpbrk(schemas[0], "*?") != NULL) {
		(void)err_set(err, ERR_USAGE, "--into-schema takes the "
		    "objects of one schema");
		return err_hint(err, "name it: --schema NAME --into-schema "
		    "%s", j->params->into_schema);
	}
	if (prepare_schema(j, schemas[0], err) != 0 ||
	    reschema_new(&j->reschema, &j->head, schemas[0],
		j->params->into_schema, err) != 0 ||
	    reschema_apply(j->reschema, &j->head, err) != 0)
		return -1;
	bodies = reschema_bodies(j->reschema, &n);
	for (i = 0; i < n; i++)
		log_warning("function %s: its body names schema %s, which "
		    "stays as it is", bodies[i], schemas[0]);
	return 0;
}

/* ------------------------------------------------------------ the load */

static int
switch_triggers(struct loadjob *j, const char *what, struct err *err)
{
	size_t i;

	if (!j->params->disable_triggers)
		return 0;
	for (i = 0; i < j->parts.n; i++) {
		const struct archive_entry *e = j->parts.list[i].entry;

		if (!e->skip && archive_entry_is_table_data(e) &&
		    run_statement(j, "ALTER TABLE ", e->namespace, e->tag,
			what, err) != 0)
			return err_wrap(err, "table %s.%s", e->namespace,
			    e->tag);
	}
	return 0;
}

static int
load_rows_of_all(struct loadjob *j, struct err *err)
{
	struct err again = ERR_INIT;
	int rc;

	if (rows_session(j, j->conn, err) != 0 ||
	    switch_triggers(j, " DISABLE TRIGGER ALL", err) != 0)
		return -1;
	rc = rows_load(j, err);
	if (switch_triggers(j, " ENABLE TRIGGER ALL", rc == 0 ? err :
		&again) != 0) {
		if (rc != 0)
			log_err(LOG_ERROR, &again);
		rc = -1;
	}
	return rc;
}

/* Where the rows go when the database is one that was just made. */
static const char *
created_database(const struct loadjob *j)
{
	size_t i;

	for (i = 0; i < j->head.n; i++)
		if (strcmp(j->head.entries[i].desc, "DATABASE") == 0)
			return j->head.entries[i].tag;
	return NULL;
}

static int
make_definitions(struct loadjob *j, struct err *err)
{
	const char *created = created_database(j);

	if (j->params->data_only)
		return 0;
	if (j->params->create && created == NULL)
		return err_set(err, ERR_REFUSED, "the dump does not have the "
		    "database's own definition: it was made with a selection");
	if (sections_run(j, j->conn, ARCHIVE_SECTION_PRE_DATA, err) != 0) {
		(void)err_wrap(err, "definitions");
		return err_hint(err, "%s", j->params->create ? "--clean with "
		    "--create drops a database of that name first; "
		    "--database NAME loads into another, made before" :
		    "load into an empty database (createdb -T template0 "
		    "NAME), drop what is there first with --clean, or load "
		    "beside it with --schema S --into-schema T");
	}
	j->result->definitions = true;
	return j->params->create ? connect_to(j, created, err) : 0;
}

static int
load_sections(struct loadjob *j, struct err *err)
{
	enter(j, LOAD_PHASE_PRE);
	j->result->touched = true;
	if (make_definitions(j, err) != 0)
		return -1;
	if (!j->params->schema_only) {
		if (sections_run(j, j->conn, ARCHIVE_SECTION_DATA, err) != 0)
			return err_wrap(err, "sequences and large objects");
		enter(j, LOAD_PHASE_ROWS);
		if (load_rows_of_all(j, err) != 0)
			return -1;
	}
	if (j->params->data_only)
		return 0;
	enter(j, LOAD_PHASE_POST);
	if (sections_run(j, j->conn, ARCHIVE_SECTION_POST_DATA, err) != 0)
		return err_wrap(err, "indexes, constraints, access rights");
	j->result->post = true;
	return 0;
}

static int
load_database(struct loadjob *j, struct err *err)
{
	int rc;

	if (dumpparts_head(j->set, j->reader, &j->head, err) != 0 ||
	    dumpparts_find(&j->parts, j->set, &j->head, err) != 0 ||
	    choose_entries(&j->head, &j->params->select, err) != 0 ||
	    change_schema(j, err) != 0)
		return -1;
	rc = sections_open(j, err);
	if (rc == 0 && j->params->dry_run)
		rows_plan(j);
	else if (rc == 0 && (rc = load_sections(j, err)) != 0)
		(void)err_hint(err, j->params->data_only ? "empty the tables "
		    "that have some of the rows, then load again" : "what is "
		    "there is not loaded again: drop it, or the database, or "
		    "load with --clean, which drops all that is to be loaded");
	sections_close(j);
	return rc;
}

static int
check_globals(const struct load_params *p, struct err *err)
{
	if (!p->create && !p->clean && !p->data_only && !p->schema_only &&
	    p->into_schema == NULL && p->select.tables == NULL &&
	    p->select.schemas == NULL)
		return 0;
	return err_set(err, ERR_USAGE, "%s is a dump of roles and "
	    "tablespaces: all of it is loaded, and none of these options is "
	    "for it", p->label);
}

/* Conninfo names the server that is backed up: no database of it by accident. */
static int
check_target(const struct loadjob *j, struct err *err)
{
	const struct load_params *p = j->params;

	if (p->database != NULL || p->create || j->result->globals)
		return 0;
	(void)err_set(err, ERR_USAGE, "which database to load into is not "
	    "said");
	return err_hint(err, "dapk-backup load %s --database NAME, or "
	    "--create for a new one named as it was", p->label);
}

static int
run(struct loadjob *j, struct err *err)
{
	const struct load_params *p = j->params;

	j->result->globals = dumpset_commit(j->set)->dump.globals;
	if (check_target(j, err) != 0 ||
	    dumpset_check_packs(j->set, p->repo, err) != 0 ||
	    dumpread_new(&j->reader, j->set, p->repo, err) != 0 ||
	    connect_to(j, p->database, err) != 0 ||
	    check_server(j, err) != 0)
		return -1;
	if (!j->result->globals)
		return load_database(j, err);
	if (check_globals(p, err) != 0)
		return -1;
	return p->dry_run ? 0 : roles_load(j, err);
}

int
load_run(const struct load_params *params, struct load_result *out,
    struct err *err)
{
	struct loadjob j = { .params = params, .result = out };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = dumpset_open(&j.set, params->repo, params->inc, params->label,
	    err);
	if (rc == 0)
		rc = run(&j, err);
	out->bytes = atomic_load(&params->progress->done_bytes);
	dumpparts_free(&j.parts);
	archive_head_free(&j.head);
	reschema_free(j.reschema);
	dumpread_free(j.reader);
	dumpset_free(j.set);
	pg_disconnect(j.conn);
	return rc == 0 ? 0 : err_wrap(err, "load of dump %s", params->label);
}

void
load_result_free(struct load_result *r)
{
	size_t i;

	for (i = 0; i < r->n_plan; i++)
		free(r->plan[i].name);
	free(r->plan);
	free(r->database);
	free(r->begun);
}
