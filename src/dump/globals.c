/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/globals.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/process.h"
#include "pg/pooler.h"

/* A hundred thousand roles with their settings take some 30 MB. */
#define GLOBALS_MAX ((size_t)512 << 20)
#define FIXED_ARGS 10

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
	argv[n++] = g->session.database;
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
