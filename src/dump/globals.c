/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/globals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/process.h"
#include "dump/store.h"
#include "pg/pooler.h"

/* A hundred thousand roles with their settings take some 30 MB. */
#define GLOBALS_MAX ((size_t)512 << 20)
#define FIXED_ARGS 10
#define HOST_MAX 256

/* Of what dump hands to pg_dump, what pg_dumpall understands of globals. */
static const char *const shared_options[] = { "no-owner", "no-privileges",
	"no-comments", "no-security-labels", "no-tablespaces",
	"quote-all-identifiers", NULL };

static void
add_option(struct globals *g, char *text)
{
	g->options = xreallocarray(g->options, g->n_options + 1,
	    sizeof(*g->options));
	g->options[g->n_options++] = text;
}

static void
choose_options(struct globals *g, const struct dump_params *params)
{
	size_t i, k;

	for (i = 0; i < params->n_options; i++)
		for (k = 0; shared_options[k] != NULL; k++)
			if (strcmp(params->options[i].name,
				shared_options[k]) == 0)
				add_option(g, head_option_text(
				    &params->options[i]));
	if (params->no_role_passwords)
		add_option(g, xstrdup("--no-role-passwords"));
}

/* Passwords are in pg_authid, which only superusers read without a grant. */
static int
check_passwords(struct globals *g, struct err *err)
{
	char *may = NULL;
	int rc;

	rc = pg_query_value(g->session.conn, "SELECT pg_catalog."
	    "has_table_privilege('pg_catalog.pg_authid', 'SELECT')", &may,
	    err);
	if (rc == 0 && (may == NULL || strcmp(may, "t") != 0)) {
		rc = err_set(err, ERR_REFUSED, "this user may not read the "
		    "passwords of roles, and without them nobody could log "
		    "in with one after a load");
		(void)err_hint(err, "dump the globals as a superuser, or "
		    "without passwords: --no-role-passwords");
	}
	free(may);
	return rc;
}

static int
run_pg_dumpall(struct globals *g, const struct dump_params *params,
    const struct pgtool_connection *pc, struct err *err)
{
	struct process_spec spec = { .env = pc->env, .code = ERR_POSTGRES };
	const char **argv = xcalloc(g->n_options + FIXED_ARGS, sizeof(*argv));
	char *role = params->role == NULL ? NULL :
	    xasprintf("--role=%s", params->role);
	size_t i, n = 0;
	int rc;

	argv[n++] = g->tool.path;
	argv[n++] = "--globals-only";
	argv[n++] = "--no-password";
	argv[n++] = "-d";
	argv[n++] = pc->dbname;
	argv[n++] = "-l";
	argv[n++] = pc->dbname; /* a name with = would be taken for one */
	if (role != NULL)
		argv[n++] = role;
	for (i = 0; i < g->n_options; i++)
		argv[n++] = g->options[i];
	spec.argv = argv;
	rc = process_run(&spec, &g->text, err);
	free(role);
	free(argv);
	return rc;
}

static int
read_all(struct globals *g, const struct dump_params *params, struct err *err)
{
	struct pgtool_connection pc = { .env = NULL };
	int rc = -1;

	if (pooler_check(g->session.conn, params->conninfo,
		g->session.database, "dump", err) != 0 ||
	    pgtool_find(&g->tool, PGTOOL_DUMPALL, params->bin_dir,
		g->session.major, err) != 0 ||
	    pg_query_value(g->session.conn,
		"SELECT pg_catalog.current_setting('server_encoding')",
		&g->encoding, err) != 0 ||
	    (!params->no_role_passwords && check_passwords(g, err) != 0) ||
	    session_begin(&g->session, false, err) != 0 ||
	    session_snapshot(&g->session, &g->snapshot, err) != 0 ||
	    session_rollback(&g->session, err) != 0 ||
	    pgtool_connect(&pc, g->session.conn, NULL, err) != 0)
		goto out;
	choose_options(g, params);
	if (run_pg_dumpall(g, params, &pc, err) != 0)
		goto out;
	if (g->text.len == 0)
		(void)err_set(err, ERR_POSTGRES, "%s wrote nothing",
		    g->tool.path);
	else
		rc = 0;
out:
	pgtool_connection_free(&pc);
	return rc;
}

int
globals_read(struct globals *out, const struct dump_params *params,
    struct err *err)
{
	memset(out, 0, sizeof(*out));
	buf_init(&out->text, GLOBALS_MAX);
	if (session_open(&out->session, params->conninfo, NULL, params->role,
		err) == 0 &&
	    read_all(out, params, err) == 0)
		return 0;
	globals_free(out);
	return err_wrap(err, "dump the globals");
}

void
globals_free(struct globals *g)
{
	size_t i;

	for (i = 0; i < g->n_options; i++)
		free(g->options[i]);
	free(g->options);
	free(g->encoding);
	buf_free(&g->text);
	pgtool_free(&g->tool);
	session_snapshot_free(&g->snapshot);
	session_close(&g->session);
	memset(g, 0, sizeof(*g));
}

static void
fill_commit(struct commit *c, struct globals *g,
    const struct dump_params *params)
{
	struct commit_dump *d = &c->dump;
	char host[HOST_MAX];

	(void)snprintf(c->inc.cluster, sizeof(c->inc.cluster), "%s",
	    params->cluster);
	c->inc.major = g->session.major;
	c->inc.system_id = g->session.system_id;
	c->kind = REPO_DUMP;
	c->program = xstrdup(PACKAGE_STRING);
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	c->host = xstrdup(host);
	c->from_standby = g->session.standby;
	c->start_time = g->snapshot.time;
	c->stop_time = g->snapshot.time;
	d->database = xstrdup("");
	d->globals = true;
	d->snapshot_lsn = g->snapshot.lsn;
	d->snapshot_time = g->snapshot.time;
	d->server_version = xstrdup(g->session.version);
	d->server_version_num = (uint32_t)g->session.version_num;
	d->pg_dump_version = xstrdup(g->tool.version);
	d->archive_version = xstrdup("");
	d->encoding = xstrdup(g->encoding);
	d->options = g->options;
	d->n_options = g->n_options;
	g->options = NULL;
	g->n_options = 0;
}

static int
write_text(struct dump_store *st, const struct buf *text, struct err *err)
{
	const struct dump_store_item item = { .path = "globals",
		.ranges = 1 };
	struct dump_writer *w = NULL;
	int rc;

	if (dump_writer_new(&w, st, err) != 0)
		return -1;
	rc = dump_writer_begin(w, &item, err);
	if (rc == 0)
		rc = dump_writer_write(w, text->data, text->len, false, err);
	if (rc == 0)
		rc = dump_writer_end(w, err);
	dump_writer_free(w);
	return rc;
}

int
globals_run(const struct dump_params *params, struct commit *out,
    struct err *err)
{
	struct dump_store_params store;
	struct dump_store *st = NULL;
	struct globals g;
	int rc;

	memset(out, 0, sizeof(*out));
	if (globals_read(&g, params, err) != 0)
		return -1;
	fill_commit(out, &g, params);
	store = (struct dump_store_params){
		.repo = params->repo,
		.inc = &out->inc,
		.database = "",
		.globals = true,
		.start_time = out->start_time,
		.compress_level = params->compress_level,
		.full = params->full,
		.lease_ms = params->lease_ms,
		.refresh_age_ms = params->refresh_age_ms,
	};
	rc = dump_store_new(&st, &store, err);
	if (rc == 0)
		rc = write_text(st, &g.text, err);
	if (rc == 0)
		rc = dump_store_finish(st, out, err);
	dump_store_free(st);
	globals_free(&g);
	if (rc != 0) {
		commit_free(out);
		memset(out, 0, sizeof(*out));
		return err_wrap(err, "dump the globals");
	}
	return 0;
}
