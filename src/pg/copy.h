/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_COPY_H
#define PG_COPY_H

/*
 * COPY over a connection of pg/conn.h, in both directions, rows as text or
 * whatever the statement says:
 *
 *	pg_copy_out_begin(conn, "COPY t (a, b) TO STDOUT", err);
 *	while ((rc = pg_copy_out_next(conn, &row, &len, err)) > 0)
 *		...				row is libpq's own memory
 *	pg_copy_rows(conn)			what the server counted
 *
 *	pg_copy_in_begin(conn, "COPY t (a, b) FROM STDIN", err);
 *	pg_copy_in_put(conn, data, len, err);	any pieces, of any size
 *	pg_copy_in_end(conn, &rows, err);
 *
 * A signal (core/cancel.h) cancels the statement on the server and gives
 * ERR_CANCELLED. After an error, or when COPY is left before its end, the
 * connection is only good for pg_cancel() and pg_disconnect(), which rolls
 * back. One thread a connection.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"

/*
 * More than this in one row is what the server cannot send: its text form
 * has to fit into 1 GiB there.
 */
#define PG_COPY_ROW_MAX ((size_t)1 << 30)

/* SQLSTATE of a row that is larger than the server's buffers can be. */
#define PG_STATE_PROGRAM_LIMIT "54000"

int pg_copy_out_begin(struct pg_conn *conn, const char *sql,
    struct err *err) ERR_USE;

/*
 * The next row as it was sent, its \n at the end (text form); valid until
 * the next call. 1: there is one, 0: that was all, -1.
 */
int pg_copy_out_next(struct pg_conn *conn, const char **row, size_t *len,
    struct err *err) ERR_USE;

/* After the end: the rows that the server says it sent. */
uint64_t pg_copy_rows(const struct pg_conn *conn);

int pg_copy_in_begin(struct pg_conn *conn, const char *sql,
    struct err *err) ERR_USE;
int pg_copy_in_put(struct pg_conn *conn, const void *data, size_t len,
    struct err *err) ERR_USE;

/* Only now does the server tell of an error in a row. rows may be NULL. */
int pg_copy_in_end(struct pg_conn *conn, uint64_t *rows,
    struct err *err) ERR_USE;

#endif
