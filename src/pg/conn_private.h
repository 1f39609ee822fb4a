/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_CONN_PRIVATE_H
#define PG_CONN_PRIVATE_H

/* Internal to src/pg: what conn.c, copy.c and replication.c share. */
#include "pg/conn.h"
#include "pg/libpq.h"

struct pg_conn {
	const struct libpq *pq;
	PGconn *conn;
	void (*on_wait)(void *arg); /* pg_on_wait() */
	void *on_wait_arg;
	char *message;	      /* of COPY, libpq's memory */
	uint64_t copied_rows; /* of the last COPY that ended */
	char sqlstate[6];     /* of the last error */
};

struct pg_result {
	const struct libpq *pq;
	PGresult *res;
};

/* A connection to a walsender; it takes replication commands only. */
int conn_open_replication(struct pg_conn **out, const char *conninfo,
    const char *command, struct err *err) ERR_USE;

/* From an error result, or without one (NULL) from the connection. */
int conn_error(struct pg_conn *c, const PGresult *res, struct err *err);

/* A turn of waiting until there is something to read, or a signal. */
void conn_wait_readable(int fd);

/*
 * The next message of a COPY from the server, in c->message until the next
 * call. 1: there is one, 0: the COPY has ended.
 */
int conn_copy_next(struct pg_conn *c, size_t *len, struct err *err) ERR_USE;

/* Ask the server to cancel what it does for this connection. */
void conn_send_cancel(const struct pg_conn *c);

/*
 * Wait until PQgetResult() does not block. *cancelled_at is when the
 * statement was cancelled, 0 when it was not.
 */
int conn_wait_result(struct pg_conn *c, int64_t cancel_after,
    int64_t *cancelled_at, struct err *err) ERR_USE;

#endif
