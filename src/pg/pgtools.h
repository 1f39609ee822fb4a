/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_PGTOOLS_H
#define PG_PGTOOLS_H

/*
 * PostgreSQL's own programs: finding the right version, and giving them the
 * connection that we have.
 *
 *	pgtool_find(&tool, PGTOOL_DUMP, config->pg_bin_dir, major, err)
 *	pgtool_connect(&pc, conn, NULL, err)
 *	argv = { tool.path, "--no-password", "-d", pc.dbname, ..., NULL }
 *	process_start(&p, &(struct process_spec){ .argv = argv,
 *	    .env = pc.env, ... }, err)
 *	pgtool_connection_free(&pc), pgtool_free(&tool)
 *
 * Passwords are handed over in the environment only, never in an argument
 * that every user of the system can read. Thread safe, apart from `conn`.
 */
#include <stddef.h>

#include "core/err.h"
#include "pg/conn.h"

#define PGTOOL_VERSION_MAX 32

enum pgtool_name { PGTOOL_DUMP, PGTOOL_DUMPALL, PGTOOL_RESTORE, PGTOOL_PSQL };

struct pgtool {
	char *path;
	int version_num;		  /* 150020; / 10000 is the major */
	char version[PGTOOL_VERSION_MAX]; /* "15.20", as --version has it */
};

/*
 * The program of this major, else the oldest newer one: in bin_dir alone when
 * that is not NULL, else where packages put it (/usr/lib/postgresql/MAJOR/bin
 * and the like), else along PATH. Debian's pg_wrapper is passed over, since
 * what it starts depends on who asks. ERR_POSTGRES: none, with what was
 * looked at and the package that has it.
 */
int pgtool_find(struct pgtool *out, enum pgtool_name which,
    const char *bin_dir, int major, struct err *err) ERR_USE;
void pgtool_free(struct pgtool *tool); /* also of a zeroed one */

/* "pg_dump" and so on. */
const char *pgtool_program(enum pgtool_name which);

/*
 * The version in what "pg_dump --version" prints; -1 when there is none.
 * text (may be NULL) gets it as it stands there. Pure.
 */
int pgtool_parse_version(const char *said, char text[PGTOOL_VERSION_MAX]);

struct pgtool_connection {
	const char *const *env; /* for struct process_spec */
	char *dbname;		/* for "-d": a connection string, no secret */
	char **owned;		/* what env points to */
	size_t n, room;
};

/*
 * How a program reaches the server that conn is connected to: this host and
 * address and port, also when the connection string names several, and the
 * same user, password, TLS settings, application_name and options (see
 * pg/conn.h). A client encoding is not set, nor PGTZ and PGDATESTYLE. database
 * NULL: conn's. ERR_CONFIG: the connection needs a secret that libpq takes
 * from no variable.
 */
int pgtool_connect(struct pgtool_connection *out, struct pg_conn *conn,
    const char *database, struct err *err) ERR_USE;

/* One more "NAME=value", over what is there. Invalidates nothing but env. */
void pgtool_set(struct pgtool_connection *pc, const char *name,
    const char *value);
void pgtool_connection_free(struct pgtool_connection *pc); /* also zeroed */

#endif
