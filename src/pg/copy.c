/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/copy.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/text.h"
#include "pg/conn_private.h"

/*
 * libpq moves what the socket did not take to the front of its buffer each
 * time: small pieces keep that cheap.
 */
#define PUT_PIECE ((size_t)64 * 1024)
#define POLL_TURN_MS 200

/* Until the connection takes a statement again, as those that explain. */
static void
end_failed(struct pg_conn *c)
{
	struct err ignored = ERR_INIT;
	int64_t cancelled_at = 0;
	PGresult *res;

	while (conn_wait_result(c, 0, &cancelled_at, &ignored) == 0 &&
	    (res = c->pq->PQgetResult(c->conn)) != NULL)
		c->pq->PQclear(res);
}

/* Send the statement; the server must answer with this direction. */
static int
begin(struct pg_conn *c, const char *sql, ExecStatusType want,
    struct err *err)
{
	int64_t cancelled_at = 0;
	PGresult *res;
	ExecStatusType got;

	c->copied_rows = 0;
	if (!c->pq->PQsendQuery(c->conn, sql))
		return conn_error(c, NULL, err);
	if (conn_wait_result(c, 0, &cancelled_at, err) != 0)
		return -1;
	res = c->pq->PQgetResult(c->conn);
	got = res == NULL ? PGRES_EMPTY_QUERY : c->pq->PQresultStatus(res);
	if (got != want) {
		if (cancelled_at != 0)
			(void)cancel_error(err);
		else if (got == PGRES_FATAL_ERROR)
			(void)conn_error(c, res, err);
		else
			(void)err_set(err, ERR_BUG, "not a COPY of this "
			    "direction: %s", sql);
	}
	c->pq->PQclear(res);
	if (got == PGRES_FATAL_ERROR)
		end_failed(c);
	return got == want ? 0 : -1;
}

/* What follows the data: the count, or the error. */
static int
finish(struct pg_conn *c, struct err *err)
{
	int64_t cancelled_at = 0;
	bool failed = false, done = false;
	PGresult *res;

	for (;;) {
		if (conn_wait_result(c, 0, &cancelled_at, err) != 0)
			return -1;
		res = c->pq->PQgetResult(c->conn);
		if (res == NULL)
			break;
		if (!failed && !done &&
		    c->pq->PQresultStatus(res) == PGRES_COMMAND_OK) {
			done = text_u64(c->pq->PQcmdTuples(res), UINT64_MAX,
			    &c->copied_rows);
		} else if (!failed) {
			failed = true;
			(void)conn_error(c, res, err);
		}
		c->pq->PQclear(res);
	}
	if (cancelled_at != 0)
		return cancel_error(err);
	if (failed)
		return -1;
	if (!done)
		return err_set(err, ERR_POSTGRES, "the server did not say how "
		    "many rows COPY had");
	return 0;
}

int
pg_copy_out_begin(struct pg_conn *conn, const char *sql, struct err *err)
{
	return begin(conn, sql, PGRES_COPY_OUT, err);
}

int
pg_copy_out_next(struct pg_conn *conn, const char **row, size_t *len,
    struct err *err)
{
	int rc = conn_copy_next(conn, len, err);

	if (rc > 0) {
		*row = conn->message;
		return 1;
	}
	if (rc == 0)
		return finish(conn, err);
	if (err->code == ERR_CANCELLED)
		conn_send_cancel(conn);
	return -1;
}

uint64_t
pg_copy_rows(const struct pg_conn *conn)
{
	return conn->copied_rows;
}

/*
 * Not blocking: libpq's own waiting would not see a signal, and a server
 * that waits for a lock does not read.
 */
int
pg_copy_in_begin(struct pg_conn *conn, const char *sql, struct err *err)
{
	if (begin(conn, sql, PGRES_COPY_IN, err) != 0)
		return -1;
	if (conn->pq->PQsetnonblocking(conn->conn, 1) != 0)
		return conn_error(conn, NULL, err);
	return 0;
}

/* Until the socket took all of it. */
static int
flush(struct pg_conn *c, struct err *err)
{
	struct pollfd pfd;
	int rc;

	for (;;) {
		if (cancel_requested()) {
			conn_send_cancel(c);
			return cancel_error(err);
		}
		rc = c->pq->PQflush(c->conn);
		if (rc == 0)
			return 0;
		if (rc < 0)
			return conn_error(c, NULL, err);
		pfd.fd = c->pq->PQsocket(c->conn);
		pfd.events = POLLIN | POLLOUT;
		/* EINTR, time-out and ready are all "look again". */
		(void)poll(&pfd, 1, POLL_TURN_MS);
		if ((pfd.revents & POLLIN) != 0 &&
		    !c->pq->PQconsumeInput(c->conn))
			return conn_error(c, NULL, err);
	}
}

int
pg_copy_in_put(struct pg_conn *conn, const void *data, size_t len,
    struct err *err)
{
	const char *p = data;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < PUT_PIECE ? len : PUT_PIECE;
		if (conn->pq->PQputCopyData(conn->conn, p, (int)n) != 1)
			return conn_error(conn, NULL, err);
		if (flush(conn, err) != 0)
			return -1;
	}
	return 0;
}

int
pg_copy_in_end(struct pg_conn *conn, uint64_t *rows, struct err *err)
{
	if (conn->pq->PQputCopyEnd(conn->conn, NULL) != 1)
		return conn_error(conn, NULL, err);
	if (flush(conn, err) != 0)
		return -1;
	if (conn->pq->PQsetnonblocking(conn->conn, 0) != 0)
		return conn_error(conn, NULL, err);
	if (finish(conn, err) != 0)
		return -1;
	if (rows != NULL)
		*rows = conn->copied_rows;
	return 0;
}
