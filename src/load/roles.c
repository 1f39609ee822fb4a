/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/process.h"
#include "load/loadjob.h"
#include "load/sqllex.h"

#define GLOBALS_MAX ((size_t)512 << 20)

/* Is there such a role or tablespace? */
static int
exists(struct loadjob *j, bool role, const struct sql_token *name, bool *is,
    struct err *err)
{
	struct pg_result *res;
	const char *param;
	struct buf b;
	int rc;

	buf_init(&b, name->len + 1);
	sqllex_value(name, true, &b);
	param = buf_str(&b);
	rc = pg_query(j->conn, &res, err, 1, &param, role ?
	    "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1" :
	    "SELECT FROM pg_catalog.pg_tablespace WHERE spcname = $1");
	if (rc == 0) {
		*is = pg_rows(res) > 0;
		pg_result_free(res);
		if (*is)
			log_info("%s %s is there already", role ? "role" :
			    "tablespace", param);
	}
	buf_free(&b);
	return rc;
}

/* The next token that is no space. */
static bool
next(struct sqllex *lex, struct sql_token *t)
{
	do
		if (!sqllex_next(lex, t))
			return false;
	while (t->kind == SQL_SPACE);
	return true;
}

/* Is it the line that newer versions guard their text with? */
static bool
is_guard(const char *line)
{
	return strncmp(line, "\\restrict ", 10) == 0 ||
	    strncmp(line, "\\unrestrict ", 12) == 0;
}

/*
 * One statement, up to its ; or the text's end. psql would run a backslash
 * outside of strings as a command of its own: no name may smuggle in one.
 */
static int
skip_statement(struct sqllex *lex, struct err *err)
{
	struct sql_token t;

	while (sqllex_next(lex, &t)) {
		if (sqllex_is_char(&t, ';'))
			break;
		if (sqllex_is_char(&t, '\\'))
			return err_set(err, ERR_REFUSED, "the text has a "
			    "command for psql in it, which pg_dumpall does "
			    "not write: %.*s", (int)strcspn(t.start, "\n"),
			    t.start);
	}
	return 0;
}

/*
 * The text without CREATE ROLE and CREATE TABLESPACE of what exists, which
 * would stop psql: the superuser of initdb always does.
 */
static int
leave_out_existing(struct loadjob *j, const char *text, struct buf *out,
    struct err *err)
{
	struct sqllex lex = { .p = text, .std_strings = true };
	struct sql_token create, what, name;
	const char *begin;

	for (;;) {
		bool is = false;

		begin = lex.p;
		if (!next(&lex, &create))
			break;
		/* psql of some older minor version does not know it. */
		if (is_guard(create.start)) {
			lex.p += strcspn(lex.p, "\n");
			buf_add(out, begin, (size_t)(create.start - begin));
			continue;
		}
		if (sqllex_is_word(&create, "create") && next(&lex, &what) &&
		    (sqllex_is_word(&what, "role") ||
			sqllex_is_word(&what, "tablespace")) &&
		    next(&lex, &name) && exists(j, sqllex_is_word(&what,
			"role"), &name, &is, err) != 0)
			return -1;
		lex.p = create.start;
		if (skip_statement(&lex, err) != 0)
			return -1;
		buf_add(out, begin, is ? (size_t)(create.start - begin) :
		    (size_t)(lex.p - begin));
	}
	buf_add_str(out, begin);
	return buf_check(out, "the globals", err);
}

static int
run_psql(struct loadjob *j, const struct buf *text, struct err *err)
{
	struct pgtool_connection pc = { .env = NULL };
	struct pgtool psql = { .path = NULL };
	struct process *p = NULL;
	int rc;

	rc = pgtool_find(&psql, PGTOOL_PSQL, j->params->bin_dir,
	    j->server_version / 10000, err);
	if (rc == 0)
		rc = pgtool_connect(&pc, j->conn, NULL, err);
	if (rc == 0) {
		const char *argv[] = { psql.path, "-X", "-q",
			"--no-password", "-v", "ON_ERROR_STOP=1", "-d",
			pc.dbname, NULL };
		const struct process_spec spec = { .argv = argv,
			.env = pc.env, .in = PROCESS_PIPE,
			.code = ERR_POSTGRES };

		rc = process_start(&p, &spec, err);
	}
	if (rc == 0)
		rc = process_write(p, text->data, text->len, err);
	if (rc == 0)
		rc = process_wait(p, err);
	process_free(p);
	pgtool_connection_free(&pc);
	pgtool_free(&psql);
	return rc;
}

int
roles_load(struct loadjob *j, struct err *err)
{
	const struct dump_item *item = dumpset_find(j->set, "globals");
	struct buf text, ready;
	int rc;

	if (item == NULL)
		return err_set(err, ERR_DAMAGED, "the dump has no globals");
	buf_init(&text, GLOBALS_MAX);
	buf_init(&ready, GLOBALS_MAX);
	rc = dumpread_all(j->reader, item, &text, err);
	if (rc == 0)
		rc = leave_out_existing(j, buf_str(&text), &ready, err);
	if (rc == 0)
		rc = run_psql(j, &ready, err);
	buf_free(&ready);
	buf_free(&text);
	return rc;
}
