/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_CONN_H
#define PG_CONN_H

/*
 * A connection to PostgreSQL. libpq is opened with dlopen() on the first
 * pg_connect(), so that commands without a connection start fast. The session
 * is made safe from its surroundings (TRAPS T32, T62, T63): search_path
 * empty, no time-outs, no parallel query, ISO dates in UTC, UTF-8 off
 * (SQL_ASCII: bytes as they are), TCP keep-alive, PGOPTIONS overruled,
 * application_name "dapk-backup COMMAND".
 *
 *	pg_connect(&conn, conninfo, "backup", err);
 *	pg_query(conn, &res, err, 0, NULL, "SELECT ...");
 *	pg_value(res, 0, 0);
 *	pg_result_free(res);
 *	pg_disconnect(conn);
 *
 * Errors are ERR_POSTGRES with the server's primary message, detail and
 * SQLSTATE, never with the connection string's password; one that cannot be
 * parsed is ERR_CONFIG. A connection belongs to one thread.
 */
#include <stdbool.h>

#include "core/err.h"

struct pg_conn;
struct pg_result;

/*
 * conninfo may be "" or NULL: libpq's environment decides. A name alone is a
 * database; when nothing names one it is "postgres".
 */
int pg_connect(struct pg_conn **out, const char *conninfo,
    const char *command, struct err *err) ERR_USE;

/* The same server and user, and this database, whatever conninfo names. */
int pg_connect_database(struct pg_conn **out, const char *conninfo,
    const char *database, const char *command, struct err *err) ERR_USE;

void pg_disconnect(struct pg_conn *conn); /* NULL is fine */

/*
 * Ask the server to give up what it does for this connection, which goes
 * unanswered. From the connection's own thread.
 */
void pg_cancel(struct pg_conn *conn);

/* The SQLSTATE of the connection's last error, "" when there was none. */
const char *pg_sqlstate(const struct pg_conn *conn);

/* server_version_num, such as 150020; major is that / 10000. */
int pg_server_version(const struct pg_conn *conn);

/*
 * Run one statement; parameters are text, NULL for SQL NULL. A statement
 * that takes long is cancelled when a signal comes (core/cancel.h):
 * ERR_CANCELLED, and the connection stays usable. Statements begun after the
 * signal, which clean up, are cancelled when they take longer than 5 s.
 */
int pg_query(struct pg_conn *conn, struct pg_result **out, struct err *err,
    int n_params, const char *const *params, const char *sql) ERR_USE;

/*
 * Called a few times a second while a statement of this connection is waited
 * for (a checkpoint takes minutes). It must not use the connection. NULL:
 * none.
 */
void pg_on_wait(struct pg_conn *conn, void (*fn)(void *arg), void *arg);

/* The same where no rows are of interest. */
int pg_execute(struct pg_conn *conn, const char *sql, struct err *err) ERR_USE;

int pg_rows(const struct pg_result *res);
/* "" for NULL; pg_is_null() tells them apart. Valid until the free. */
const char *pg_value(const struct pg_result *res, int row, int column);
bool pg_is_null(const struct pg_result *res, int row, int column);
void pg_result_free(struct pg_result *res); /* NULL is fine */

/* Is a transaction open (also one that failed)? */
bool pg_in_transaction(const struct pg_conn *conn);

/* One value of one row, as a new string (caller frees); NULL for SQL NULL. */
int pg_query_value(struct pg_conn *conn, const char *sql, char **out,
    struct err *err) ERR_USE;

/* Is the connection still alive? Sends an empty query (keep-alive, T32). */
int pg_ping(struct pg_conn *conn, struct err *err) ERR_USE;

#endif
