/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_POOLER_H
#define PG_POOLER_H

/*
 * Is there a connection pooler between us and the server that gives one
 * session's server process to others between transactions? Settings and
 * locks of the session would be lost or hit strangers, and an exported
 * snapshot would end with its transaction's process (TRAPS T128). A pooler
 * that keeps the process for the session is fine.
 *
 * Not asked of the pooler, but proved: a session whose process changes, or is
 * met in a second session, is not a session.
 */
#include <stdbool.h>

#include "core/err.h"
#include "pg/conn.h"

/*
 * conn is outside of a transaction; conninfo and database (NULL: conninfo's)
 * are what it was made of. ERR_REFUSED: transaction or statement pooling. A
 * server that is reached directly costs one query, a pooler a second
 * connection and some more.
 */
int pooler_check(struct pg_conn *conn, const char *conninfo,
    const char *database, const char *command, struct err *err) ERR_USE;

#endif
