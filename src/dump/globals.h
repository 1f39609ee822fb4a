/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_GLOBALS_H
#define DUMP_GLOBALS_H

/*
 * What belongs to the whole cluster and to no database: roles with their
 * passwords and memberships, tablespaces, settings of roles and databases.
 * The text is pg_dumpall's own, and is stored as a dump without a database.
 *
 *	globals_run(&params, &commit, err);	reads and stores them
 *
 *	globals_read(&g, &params, err);		only reads
 *	g.text ...
 *	globals_free(&g);
 *
 * One thread, which must live while pg_dumpall runs.
 */
#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "dump/dump.h"
#include "dump/session.h"
#include "pg/pgtools.h"

struct globals {
	struct session session;
	struct session_snapshot snapshot; /* its position and time count */
	struct pgtool tool;
	struct buf text;
	char *encoding;
	char **options; /* what pg_dumpall was given */
	size_t n_options;
};

/* *out is filled on success; commit_free() it then. */
int globals_run(const struct dump_params *params, struct commit *out,
    struct err *err) ERR_USE;

/*
 * ERR_REFUSED when the user may not read the passwords of roles and did not
 * say that they can be left out (params->no_role_passwords).
 */
int globals_read(struct globals *out, const struct dump_params *params,
    struct err *err) ERR_USE;
void globals_free(struct globals *g); /* also of zeroes */

#endif
