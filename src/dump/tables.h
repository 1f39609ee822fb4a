/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_TABLES_H
#define DUMP_TABLES_H

/*
 * Tables to be locked before the snapshot is taken, so that none can change
 * between the snapshot and its COPY. Names are bytes as the server has them
 * (client_encoding SQL_ASCII). One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"

struct table_names {
	struct table_name {
		uint32_t oid;
		char *schema, *name;
	} *list;
	size_t n, room;
};

/* Of a whole database: what a pg_dump without selection takes. */
int tables_list(struct pg_conn *conn, struct table_names *out,
    struct err *err) ERR_USE;

/* One more, by oid; looked up. One that is gone by now is no error. */
int tables_add(struct pg_conn *conn, struct table_names *t, uint32_t oid,
    struct err *err) ERR_USE;
void tables_free(struct table_names *t);

/*
 * Lock them in the open transaction, ACCESS SHARE; timeout_ms for each lock,
 * 0: wait. *vanished: one was dropped or renamed meanwhile, and the
 * transaction has failed: list them again (not an error of its own).
 */
int tables_lock(struct pg_conn *conn, const struct table_names *t,
    uint64_t timeout_ms, bool *vanished, struct err *err) ERR_USE;

/* The oids that the transaction holds such locks on, ascending; free(). */
int tables_locked(struct pg_conn *conn, uint32_t **oids, size_t *n,
    struct err *err) ERR_USE;

bool tables_has(const uint32_t *oids, size_t n, uint32_t oid);

#endif
