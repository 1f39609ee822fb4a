/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/replication.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/cancel.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/conn_private.h"
#include "pg/quote.h"

#define OPTIONS_MAJOR 15 /* options in parentheses, one COPY for all */
#define COMMAND_MAX 4096
#define TABLESPACES_MAX 100000
#define RATE_MIN_KB 32
#define RATE_MAX_KB 1048576
#define DATA_CORRUPTED "XX001"

struct replication {
	struct pg_conn *conn;
	int major;
	const struct base_backup_begin *begin;
	bool in_copy;
	size_t n_copies; /* that have begun */
	PGresult *next;	 /* looked at, not used yet */
};

int
replication_open(struct replication **out, const char *conninfo,
    const char *command, struct err *err)
{
	struct replication *r = xcalloc(1, sizeof(*r));

	if (conn_open_replication(&r->conn, conninfo, command, err) != 0) {
		free(r);
		err_wrap(err, "replication connection");
		if (err->code == ERR_CANCELLED)
			return -1;
		err->hint[0] = '\0'; /* psql would connect another way */
		return err_hint(err, "the role needs REPLICATION, pg_hba.conf "
		    "a line for database \"replication\", and the server "
		    "max_wal_senders");
	}
	r->major = pg_server_version(r->conn) / 10000;
	*out = r;
	return 0;
}

void
replication_close(struct replication *r)
{
	if (r == NULL)
		return;
	if (r->next != NULL)
		r->conn->pq->PQclear(r->next);
	pg_disconnect(r->conn);
	free(r);
}

/* The next result; NULL at the end of the command. */
static int
next_result(struct replication *r, PGresult **out, struct err *err)
{
	int64_t cancelled_at = 0;

	if (r->next != NULL) {
		*out = r->next;
		r->next = NULL;
		return 0;
	}
	if (conn_wait_result(r->conn, 0, &cancelled_at, err) != 0)
		return -1;
	*out = r->conn->pq->PQgetResult(r->conn->conn);
	if (cancelled_at != 0) {
		r->conn->pq->PQclear(*out);
		return cancel_error(err);
	}
	return 0;
}

/* A result of this status; any other is an error. */
static int
expect_result(struct replication *r, ExecStatusType status, PGresult **out,
    struct err *err)
{
	const struct libpq *pq = r->conn->pq;
	PGresult *res = NULL;
	ExecStatusType got;

	if (next_result(r, &res, err) != 0)
		return -1;
	got = res == NULL ? PGRES_EMPTY_QUERY : pq->PQresultStatus(res);
	if (got == status) {
		*out = res;
		return 0;
	}
	if (res == NULL || got != PGRES_FATAL_ERROR)
		err_set(err, ERR_POSTGRES, "the server answered a replication "
		    "command in a way that is not known");
	else
		conn_error(r->conn, res, err);
	pq->PQclear(res);
	return -1;
}

static int
send_command(struct replication *r, const char *command, struct err *err)
{
	if (!r->conn->pq->PQsendQuery(r->conn->conn, command))
		return conn_error(r->conn, NULL, err);
	return 0;
}

/* Read up to the end of the command. */
static int
end_command(struct replication *r, struct err *err)
{
	const struct libpq *pq = r->conn->pq;
	PGresult *res;
	bool failed = false;

	for (;;) {
		if (next_result(r, &res, err) != 0)
			return -1;
		if (res == NULL)
			return failed ? -1 : 0;
		if (!failed && pq->PQresultStatus(res) == PGRES_FATAL_ERROR) {
			conn_error(r->conn, res, err);
			failed = true;
		}
		pq->PQclear(res);
	}
}

static const char *
value(const struct replication *r, const PGresult *res, int row, int column)
{
	return column < r->conn->pq->PQnfields(res) ?
	    r->conn->pq->PQgetvalue(res, row, column) : "";
}

int
replication_identify(struct replication *r, struct replication_system *out,
    struct err *err)
{
	PGresult *res = NULL;
	uint64_t tli = 0;
	int rc = 0;

	if (send_command(r, "IDENTIFY_SYSTEM", err) != 0 ||
	    expect_result(r, PGRES_TUPLES_OK, &res, err) != 0)
		return err_wrap(err, "identify the server");
	if (r->conn->pq->PQntuples(res) != 1 ||
	    !text_u64(value(r, res, 0, 0), UINT64_MAX, &out->system_id) ||
	    !text_u64(value(r, res, 0, 1), UINT32_MAX, &tli))
		rc = err_set(err, ERR_POSTGRES, "IDENTIFY_SYSTEM gave no "
		    "system identifier");
	out->timeline = (uint32_t)tli;
	r->conn->pq->PQclear(res);
	if (rc == 0)
		rc = end_command(r, err);
	return rc;
}

/* Slower than the server can is done by who reads. */
static uint64_t
rate_kb(uint64_t max_rate)
{
	uint64_t kb = max_rate / 1024;

	if (max_rate == 0 || kb > RATE_MAX_KB)
		return 0;
	return kb < RATE_MIN_KB ? RATE_MIN_KB : kb;
}

static void
make_command(const struct replication *r, const struct base_backup_params *p,
    struct buf *b)
{
	uint64_t kb = rate_kb(p->max_rate);

	if (r->major >= OPTIONS_MAJOR) {
		buf_add_str(b, "BASE_BACKUP (LABEL ");
		pg_quote_literal(b, p->label); /* no backslash in it */
		buf_printf(b, ", PROGRESS true, CHECKPOINT '%s', WAIT false, "
		    "TABLESPACE_MAP true, MANIFEST 'yes', "
		    "MANIFEST_CHECKSUMS 'CRC32C'",
		    p->fast ? "fast" : "spread");
		if (kb > 0)
			buf_printf(b, ", MAX_RATE %llu",
			    (unsigned long long)kb);
		buf_printf(b, "%s)", p->incremental ? ", INCREMENTAL true" :
		    "");
		return;
	}
	buf_add_str(b, "BASE_BACKUP LABEL ");
	pg_quote_literal(b, p->label);
	buf_printf(b, " PROGRESS%s NOWAIT", p->fast ? " FAST" : "");
	if (kb > 0)
		buf_printf(b, " MAX_RATE %llu", (unsigned long long)kb);
	buf_add_str(b, " TABLESPACE_MAP MANIFEST 'yes'"
	    " MANIFEST_CHECKSUMS 'CRC32C'");
}

static int
read_position(const struct replication *r, const PGresult *res, pg_lsn *lsn,
    uint32_t *timeline, struct err *err)
{
	uint64_t tli = 0;

	if (r->conn->pq->PQntuples(res) != 1 ||
	    !lsn_parse(value(r, res, 0, 0), lsn) ||
	    !text_u64(value(r, res, 0, 1), UINT32_MAX, &tli) || tli == 0)
		return err_set(err, ERR_POSTGRES, "the server did not tell "
		    "the backup's position");
	*timeline = (uint32_t)tli;
	return 0;
}

static int
read_tablespaces(const struct replication *r, const PGresult *res,
    struct base_backup_begin *out, struct err *err)
{
	const struct libpq *pq = r->conn->pq;
	int n = pq->PQntuples(res), i;
	struct base_backup_tablespace *ts;
	uint64_t oid, kb;

	if (n < 1 || n > TABLESPACES_MAX)
		return err_set(err, ERR_POSTGRES, "the server told of %d "
		    "tablespaces", n);
	out->tablespaces = xcalloc((size_t)n, sizeof(*out->tablespaces));
	out->n_tablespaces = (size_t)n;
	for (i = 0; i < n; i++) {
		ts = &out->tablespaces[i];
		if (text_u64(value(r, res, i, 2), UINT64_MAX / 1024, &kb))
			ts->size = kb * 1024;
		if (pq->PQgetisnull(res, i, 0))
			continue;
		if (!text_u64(value(r, res, i, 0), UINT32_MAX, &oid) ||
		    oid == 0)
			return err_set(err, ERR_POSTGRES, "the server named "
			    "a tablespace without a number");
		ts->oid = (uint32_t)oid;
		ts->path = xstrdup(value(r, res, i, 1));
	}
	return 0;
}

int
base_backup_begin(struct replication *r,
    const struct base_backup_params *params, struct base_backup_begin *out,
    struct err *err)
{
	PGresult *position = NULL, *list = NULL;
	struct buf command;
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&command, COMMAND_MAX);
	make_command(r, params, &command);
	rc = buf_check(&command, "BASE_BACKUP", err);
	if (rc == 0)
		rc = send_command(r, buf_str(&command), err);
	if (rc == 0)
		rc = expect_result(r, PGRES_TUPLES_OK, &position, err);
	if (rc == 0)
		rc = read_position(r, position, &out->start_lsn,
		    &out->timeline, err);
	if (rc == 0)
		rc = expect_result(r, PGRES_TUPLES_OK, &list, err);
	if (rc == 0)
		rc = read_tablespaces(r, list, out, err);
	r->conn->pq->PQclear(position);
	r->conn->pq->PQclear(list);
	buf_free(&command);
	r->begin = out;
	if (rc != 0) {
		base_backup_begin_free(out);
		return err_wrap(err, "start the backup");
	}
	return 0;
}

void
base_backup_begin_free(struct base_backup_begin *b)
{
	size_t i;

	for (i = 0; i < b->n_tablespaces; i++)
		free(b->tablespaces[i].path);
	free(b->tablespaces);
	memset(b, 0, sizeof(*b));
}

/* Does a COPY follow? 0: no, what follows is the end. */
static int
enter_copy(struct replication *r, struct err *err)
{
	const struct libpq *pq = r->conn->pq;
	PGresult *res = NULL;

	if (next_result(r, &res, err) != 0)
		return -1;
	if (res == NULL)
		return err_set(err, ERR_POSTGRES, "the server ended the "
		    "backup early");
	switch (pq->PQresultStatus(res)) {
	case PGRES_COPY_OUT:
		pq->PQclear(res);
		r->in_copy = true;
		r->n_copies++;
		return 1;
	case PGRES_TUPLES_OK:
		r->next = res;
		return 0;
	default:
		conn_error(r->conn, res, err);
		pq->PQclear(res);
		return -1;
	}
}

/* Which archive "n" NAME \0 PATH \0 announces. */
static int
find_archive(const struct replication *r, const char *message, size_t len,
    size_t *out, struct err *err)
{
	const struct base_backup_begin *b = r->begin;
	const char *name = message + 1, *end = message + len;
	const char *path = memchr(name, '\0', (size_t)(end - name));
	size_t i;

	if (path != NULL)
		path++;
	if (path == NULL || path >= end ||
	    memchr(path, '\0', (size_t)(end - path)) == NULL)
		return err_set(err, ERR_POSTGRES, "the server announced an "
		    "archive in a way that is not known");
	for (i = 0; i < b->n_tablespaces; i++)
		if (strtoul(name, NULL, 10) == b->tablespaces[i].oid &&
		    (b->tablespaces[i].oid != 0 || *path == '\0')) {
			*out = i;
			return 0;
		}
	return err_set(err, ERR_POSTGRES, "the server sends archive %s, which "
	    "it did not tell of", name);
}

/* 15 and later: a letter says what a message is. 0: to be skipped. */
static int
typed_message(struct replication *r, size_t len, struct base_backup_event *ev,
    struct err *err)
{
	switch (r->conn->message[0]) {
	case 'd':
		ev->type = BASE_BACKUP_DATA;
		ev->data = (const uint8_t *)r->conn->message + 1;
		ev->len = len - 1;
		return 1;
	case 'n':
		ev->type = BASE_BACKUP_ARCHIVE;
		return find_archive(r, r->conn->message, len, &ev->tablespace,
		    err) != 0 ? -1 : 1;
	case 'm':
		ev->type = BASE_BACKUP_MANIFEST;
		return 1;
	case 'p':
		return 0;
	default:
		return err_set(err, ERR_POSTGRES, "the server sent a message "
		    "of kind 0x%02x, which is not known",
		    (unsigned)(uint8_t)r->conn->message[0]);
	}
}

int
base_backup_next(struct replication *r, struct base_backup_event *ev,
    struct err *err)
{
	bool typed = r->major >= OPTIONS_MAJOR;
	size_t len = 0;
	int rc;

	memset(ev, 0, sizeof(*ev));
	for (;;) {
		if (!r->in_copy) {
			rc = enter_copy(r, err);
			if (rc < 0)
				return err_wrap(err, "receive the backup");
			if (rc == 0) {
				ev->type = BASE_BACKUP_END;
				return 0;
			}
			ev->tablespace = r->n_copies - 1;
			ev->type = ev->tablespace < r->begin->n_tablespaces ?
			    BASE_BACKUP_ARCHIVE : BASE_BACKUP_MANIFEST;
			if (!typed)
				return 0;
		}
		rc = conn_copy_next(r->conn, &len, err);
		if (rc < 0)
			return err_wrap(err, "receive the backup");
		if (rc == 0) {
			r->in_copy = false;
			continue;
		}
		if (!typed) {
			ev->type = BASE_BACKUP_DATA;
			ev->data = (const uint8_t *)r->conn->message;
			ev->len = len;
			return 0;
		}
		rc = typed_message(r, len, ev, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
}

/* All was sent before the server complains of checksums: it is no failure. */
static int
read_end(struct replication *r, struct base_backup_end *out, struct err *err)
{
	const struct libpq *pq = r->conn->pq;
	const char *state;
	PGresult *res;
	int rc = 0;

	for (;;) {
		if (next_result(r, &res, err) != 0)
			return -1;
		if (res == NULL)
			return rc;
		if (rc == 0 && pq->PQresultStatus(res) == PGRES_FATAL_ERROR) {
			state = pq->PQresultErrorField(res, PG_DIAG_SQLSTATE);
			if (state != NULL &&
			    strcmp(state, DATA_CORRUPTED) == 0)
				out->bad_checksums = true;
			else
				rc = conn_error(r->conn, res, err);
		}
		pq->PQclear(res);
	}
}

int
base_backup_finish(struct replication *r, struct base_backup_end *out,
    struct err *err)
{
	PGresult *res = NULL;
	int rc;

	memset(out, 0, sizeof(*out));
	if (expect_result(r, PGRES_TUPLES_OK, &res, err) != 0)
		return err_wrap(err, "stop the backup");
	rc = read_position(r, res, &out->stop_lsn, &out->timeline, err);
	r->conn->pq->PQclear(res);
	if (rc == 0)
		rc = read_end(r, out, err);
	return rc == 0 ? 0 : err_wrap(err, "stop the backup");
}

int
replication_upload_begin(struct replication *r, struct err *err)
{
	PGresult *res = NULL;

	if (send_command(r, "UPLOAD_MANIFEST", err) != 0 ||
	    expect_result(r, PGRES_COPY_IN, &res, err) != 0)
		return err_wrap(err, "upload the manifest");
	r->conn->pq->PQclear(res);
	return 0;
}

int
replication_upload_put(struct replication *r, const void *data, size_t len,
    struct err *err)
{
	if (cancel_check(err) != 0)
		return -1;
	if (r->conn->pq->PQputCopyData(r->conn->conn, data, (int)len) != 1)
		return conn_error(r->conn, NULL, err);
	return 0;
}

int
replication_upload_end(struct replication *r, struct err *err)
{
	if (r->conn->pq->PQputCopyEnd(r->conn->conn, NULL) != 1) {
		conn_error(r->conn, NULL, err);
		return err_wrap(err, "upload the manifest");
	}
	if (end_command(r, err) != 0)
		return err_wrap(err, "upload the manifest");
	return 0;
}
