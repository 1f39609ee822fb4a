/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_BIGROW_H
#define DUMP_BIGROW_H

/*
 * A row whose text form is larger than the server can put into one message
 * (1 GiB) ends its COPY: which one it was, so that somebody can do something
 * about it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/copystmt.h"
#include "pg/conn.h"

/* Is *err, from COPY on this connection, the server's complaint of that? */
bool bigrow_is(const struct pg_conn *conn, const struct err *err);

/*
 * Put the row's place (ctid) and primary key into *err. rows: how many came
 * before it. The transaction, which has failed, begins anew under the same
 * snapshot. Returns -1.
 */
int bigrow_explain(struct pg_conn *conn, const char *snapshot,
    const struct copystmt *stmt, uint64_t rows, struct err *err);

#endif
