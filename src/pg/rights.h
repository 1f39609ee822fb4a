/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_RIGHTS_H
#define PG_RIGHTS_H

/*
 * What a role may not do, and what to type so that it may. As in conn.h a
 * connection belongs to one thread.
 */
#include "core/err.h"
#include "pg/conn.h"

/*
 * When *err is of a right that the session's role lacks, its hint becomes
 * "before ROLE after". A transaction that failed is rolled back for it.
 * Always -1.
 */
int rights_hint(struct pg_conn *conn, const char *before, const char *after,
    struct err *err);

/*
 * May the session's role call all of these ("pg_switch_wal()", ...; their
 * types as in a GRANT)? functions: a comma-separated list of SQL literals.
 * ERR_POSTGRES with the GRANT to type when it may not.
 */
int rights_check_calls(struct pg_conn *conn, const char *functions,
    struct err *err) ERR_USE;

#endif
