/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/pooler.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pg/conn_private.h"

/*
 * An idle pooler gives the process that was used last to who comes next, so
 * that the second session gets the first one's at once; one that takes turns
 * changes it with the second query; a busy one sooner or later.
 */
#define ROUNDS 10

#define PROCESS_SQL                                                     \
	"SELECT pg_catalog.concat(pg_catalog.pg_backend_pid(), ' ',"    \
	" pg_catalog.pg_postmaster_start_time())"

/* The number that the first session's process has, and which server's. */
static int
process_of(struct pg_conn *conn, char **out, struct err *err)
{
	free(*out);
	*out = NULL;
	if (pg_query_value(conn, PROCESS_SQL, out, err) != 0)
		return -1;
	if (*out == NULL)
		return err_set(err, ERR_POSTGRES, "the server does not tell "
		    "which process serves this session");
	return 0;
}

static int
refuse(const char *mode, const char *why, struct err *err)
{
	(void)err_set(err, ERR_REFUSED, "the connection goes through a "
	    "connection pooler in %s mode (%s): locks, settings and an "
	    "exported snapshot do not last there", mode, why);
	return err_hint(err, "connect to the server itself (its own host and "
	    "port in the connection string), or to a pool in session mode");
}

/* One round; what was proved is the error. */
static int
probe(struct pg_conn *first, struct pg_conn *second, const char *process,
    struct err *err)
{
	static const char changed[] = "the server process changed between "
				      "two queries of one session";
	char *now = NULL, *other = NULL;
	int i, ret = -1;

	for (i = 0; i < 2; i++) {
		if (process_of(first, &now, err) != 0)
			goto out;
		if (strcmp(now, process) != 0) {
			(void)refuse("transaction or statement", changed, err);
			goto out;
		}
	}
	if (pg_execute(second, "BEGIN", err) != 0) {
		if (strstr(err->msg, "statement pooling") != NULL)
			(void)refuse("statement",
			    "it does not allow transactions", err);
		goto out;
	}
	/* The second one has a process for itself until its COMMIT. */
	if (process_of(second, &other, err) != 0)
		goto out;
	if (strcmp(other, process) == 0) {
		(void)refuse("transaction",
		    "two sessions were given one server process", err);
		goto out;
	}
	if (process_of(first, &now, err) != 0)
		goto out;
	if (strcmp(now, process) != 0) {
		(void)refuse("transaction or statement", changed, err);
		goto out;
	}
	ret = pg_execute(second, "COMMIT", err);
out:
	free(now);
	free(other);
	return ret;
}

/* The process that libpq was told of when it connected? */
static bool
direct(const struct pg_conn *conn, const char *process)
{
	return strtol(process, NULL, 10) ==
	    conn->pq->PQbackendPID(conn->conn);
}

int
pooler_check(struct pg_conn *conn, const char *conninfo, const char *database,
    const char *command, struct err *err)
{
	struct pg_conn *second = NULL;
	char *process = NULL;
	int i, ret = -1;

	if (process_of(conn, &process, err) != 0)
		goto out;
	if (direct(conn, process)) {
		ret = 0;
		goto out;
	}
	if (pg_connect_database(&second, conninfo, database, command,
		err) != 0) {
		(void)err_wrap(err, "the connection goes through a pooler; "
		    "second connection");
		goto out;
	}
	for (i = 0; i < ROUNDS; i++)
		if (probe(conn, second, process, err) != 0)
			goto out;
	ret = 0;
out:
	pg_disconnect(second);
	free(process);
	return ret;
}
