/* SPDX-License-Identifier: PostgreSQL */
/*
 * All waiting is a poll() on the connection's socket, in short turns: the
 * signal handler of core/cancel.h only leaves a note, which could come just
 * before the poll.
 */
#include "config.h"

#include "pg/conn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pg/conn_private.h"
#include "pg/libpq.h"

#define POLL_TURN_MS 200
#define CONNECT_TIMEOUT_DEFAULT_S 60
#define CONNECT_TIMEOUT_MAX_S 86400
#define CANCEL_WAIT_US INT64_C(15000000)
/* A statement begun after a signal (to clean up) may take this long. */
#define CANCEL_GRACE_US INT64_C(5000000)
#define CONN_PARAMS_MAX 128
#define CONN_TEXT_MAX 8192

/*
 * Given to the server at its start, where they beat ALTER ROLE and ALTER
 * DATABASE, and set again, where they beat PGTZ, PGDATESTYLE and a pooler
 * that drops options. All exist in 13 to 18.
 */
#define START_OPTIONS                                   \
	"-c search_path= -c statement_timeout=0 "       \
	"-c lock_timeout=0 "                            \
	"-c idle_in_transaction_session_timeout=0 "     \
	"-c client_min_messages=warning -c jit=off "    \
	"-c max_parallel_workers_per_gather=0"

/* set_config() leaves out what this version does not have. */
#define SETTINGS_SQL                                                        \
	"SELECT pg_catalog.set_config(s.name, v.value, false)"              \
	" FROM pg_catalog.pg_settings AS s,"                                \
	" (VALUES ('search_path', ''), ('statement_timeout', '0'),"         \
	" ('lock_timeout', '0'), ('transaction_timeout', '0'),"             \
	" ('idle_in_transaction_session_timeout', '0'),"                    \
	" ('idle_session_timeout', '0'), ('jit', 'off'),"                   \
	" ('max_parallel_workers_per_gather', '0'),"                        \
	" ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'),"        \
	" ('TimeZone', 'UTC'), ('client_encoding', 'SQL_ASCII'),"           \
	" ('client_min_messages', 'warning'), ('bytea_output', 'hex'),"     \
	" ('standard_conforming_strings', 'on'),"                           \
	" ('default_transaction_isolation', 'read committed'),"             \
	" ('default_transaction_deferrable', 'off')"                        \
	" ) AS v(name, value) WHERE s.name OPERATOR(pg_catalog.=) v.name"

/* Overrule what conninfo and the environment say. */
static const struct {
	const char *keyword;
	const char *value;
} fixed_params[] = {
	{ "options", START_OPTIONS },
	{ "client_encoding", "SQL_ASCII" },
};

/* Where conninfo says nothing. */
static const struct {
	const char *keyword;
	const char *value;
} default_params[] = {
	{ "keepalives", "1" },
	{ "keepalives_idle", "60" },
	{ "keepalives_interval", "10" },
	{ "keepalives_count", "6" },
};

#define N_FIXED (sizeof(fixed_params) / sizeof(fixed_params[0]))
#define N_DEFAULT (sizeof(default_params) / sizeof(default_params[0]))

/* Keywords and values for libpq; the strings live in opts or are static. */
struct params {
	const char *keywords[CONN_PARAMS_MAX + 1];
	const char *values[CONN_PARAMS_MAX + 1];
	size_t n;
};

static void
param_set(struct params *p, const char *keyword, const char *value)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->keywords[i], keyword) == 0)
			break;
	if (i == CONN_PARAMS_MAX)
		return; /* libpq knows some 40 keywords */
	p->keywords[i] = keyword;
	p->values[i] = value;
	if (i == p->n)
		p->n++;
}

static bool
param_has(const struct params *p, const char *keyword)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->keywords[i], keyword) == 0)
			return true;
	return false;
}

/* A server's message on one line. */
static void
one_line(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == ' '))
		n--;
	for (; n > 0; n--, s++) {
		if (*s == '\n')
			buf_add_str(b, "; ");
		else if (*s != '\t')
			buf_add_byte(b, (uint8_t)*s);
	}
}

/* " key=value" as psql reads it inside double quotes of a shell. */
static void
add_hint_param(struct buf *b, const char *keyword, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	buf_printf(b, "%s%s=", b->len == 0 ? "" : " ", keyword);
	if (strpbrk(value, " '\"\\$`") == NULL) {
		buf_add_str(b, value);
		return;
	}
	buf_add_byte(b, '\'');
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_byte(b, '\\');
		if (strchr("\"\\$`", *value) != NULL)
			buf_add_byte(b, '\\');
		buf_add_byte(b, (uint8_t)*value);
	}
	buf_add_byte(b, '\'');
}

/* What to type next when this connection was refused with this message. */
static int
connect_hint(const struct pg_conn *c, const char *msg, struct err *err)
{
	const char *user = c->pq->PQuser(c->conn);
	struct buf target;
	int ret;

	user = user != NULL ? user : "";
	if (strstr(msg, "Peer authentication failed") != NULL)
		return err_hint(err, "run this as the operating system user "
		    "that the database user \"%s\" stands for "
		    "(su - %s -c '...'), or give another user in the "
		    "connection string; see \"peer\" in pg_hba.conf", user,
		    user);
	if (strstr(msg, "unsupported startup parameter") != NULL)
		return err_hint(err, "connect to the server itself, not "
		    "through a connection pooler");
	if (strstr(msg, "no password supplied") != NULL ||
	    strstr(msg, "password authentication failed") != NULL)
		return err_hint(err, "put the password of \"%s\" into "
		    "~/.pgpass (host:port:database:user:password, mode 600)",
		    user);
	buf_init(&target, CONN_TEXT_MAX);
	add_hint_param(&target, "host", c->pq->PQhost(c->conn));
	add_hint_param(&target, "port", c->pq->PQport(c->conn));
	add_hint_param(&target, "user", user);
	add_hint_param(&target, "dbname", c->pq->PQdb(c->conn));
	if (strstr(msg, "no pg_hba.conf entry") != NULL)
		ret = err_hint(err, "allow it in pg_hba.conf and reload the "
		    "server; then try: psql \"%s\"", buf_str(&target));
	else
		ret = err_hint(err, "try: psql \"%s\"", buf_str(&target));
	buf_free(&target);
	return ret;
}

static int
connect_error(const struct pg_conn *c, struct err *err)
{
	const char *msg = c->pq->PQerrorMessage(c->conn);
	struct buf b;

	buf_init(&b, CONN_TEXT_MAX);
	one_line(&b, msg);
	(void)err_set(err, ERR_POSTGRES, "cannot connect to PostgreSQL: %s",
	    buf_str(&b));
	buf_free(&b);
	return connect_hint(c, msg, err);
}

void
conn_wait_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	/* EINTR, time-out and ready are all "look again". */
	(void)poll(&pfd, 1, POLL_TURN_MS);
}

/* Seconds for each host; libpq leaves connect_timeout to whoever polls. */
static int64_t
connect_timeout_us(const struct pg_conn *c)
{
	PQconninfoOption *opts = c->pq->PQconninfo(c->conn), *o;
	uint64_t seconds = 0, hosts = 1;
	const char *s;

	for (o = opts; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (strcmp(o->keyword, "connect_timeout") == 0 &&
		    !text_u64(o->val, CONNECT_TIMEOUT_MAX_S, &seconds))
			seconds = 0;
		if (strcmp(o->keyword, "host") == 0)
			for (s = o->val; *s != '\0'; s++)
				hosts += *s == ',';
	}
	if (opts != NULL)
		c->pq->PQconninfoFree(opts);
	if (seconds == 0)
		seconds = CONNECT_TIMEOUT_DEFAULT_S;
	return (int64_t)(seconds * hosts) * 1000000;
}

static int
finish_connecting(struct pg_conn *c, struct err *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	struct pollfd pfd;
	int64_t deadline;

	if (c->pq->PQstatus(c->conn) == CONNECTION_BAD)
		return connect_error(c, err);
	deadline = time_monotonic() + connect_timeout_us(c);
	for (;;) {
		if (cancel_check(err) != 0)
			return -1;
		pfd.fd = c->pq->PQsocket(c->conn);
		pfd.events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		if (poll(&pfd, 1, POLL_TURN_MS) > 0)
			state = c->pq->PQconnectPoll(c->conn);
		if (state == PGRES_POLLING_OK)
			return 0;
		if (state == PGRES_POLLING_FAILED)
			return connect_error(c, err);
		if (time_monotonic() > deadline) {
			(void)err_set(err, ERR_POSTGRES, "cannot connect to "
			    "PostgreSQL: no answer in time");
			return connect_hint(c, "", err);
		}
	}
}

static void
receive_notice(void *arg, const PGresult *res)
{
	const struct pg_conn *c = arg;
	const char *msg = c->pq->PQresultErrorField(res,
	    PG_DIAG_MESSAGE_PRIMARY);

	if (msg != NULL)
		log_warning("PostgreSQL: %s", msg);
}

/* Our parameters over those of conninfo. *opts owns the strings. */
static int
collect_params(struct pg_conn *c, const char *conninfo, const char *app_name,
    struct params *p, PQconninfoOption **opts, struct err *err)
{
	PQconninfoOption *o;
	char *msg = NULL;
	size_t i;

	p->n = 0;
	/* A lone word is a database's name, as for psql. */
	if (strchr(conninfo, '=') == NULL && strstr(conninfo, "://") == NULL) {
		if (*conninfo != '\0')
			param_set(p, "dbname", conninfo);
	} else {
		*opts = c->pq->PQconninfoParse(conninfo, &msg);
		/* libpq's message may quote a piece of the password. */
		if (msg != NULL)
			c->pq->PQfreemem(msg);
		if (*opts == NULL)
			return err_set(err, ERR_CONFIG, "the connection string "
			    "cannot be parsed: expected \"host=... user=...\" "
			    "(values with spaces in single quotes) or "
			    "\"postgresql://...\"");
	}
	for (o = *opts; o != NULL && o->keyword != NULL; o++)
		if (o->val != NULL && *o->val != '\0')
			param_set(p, o->keyword, o->val);
	for (i = 0; i < N_DEFAULT; i++)
		if (!param_has(p, default_params[i].keyword))
			param_set(p, default_params[i].keyword,
			    default_params[i].value);
	/* Else libpq would take a database named like the user. */
	if (!param_has(p, "dbname") && !param_has(p, "service") &&
	    getenv("PGDATABASE") == NULL && getenv("PGSERVICE") == NULL)
		param_set(p, "dbname", "postgres");
	for (i = 0; i < N_FIXED; i++)
		param_set(p, fixed_params[i].keyword, fixed_params[i].value);
	param_set(p, "application_name", app_name);
	return 0;
}

static int
open_conn(struct pg_conn **out, const char *conninfo, const char *database,
    const char *command, bool replication, struct err *err)
{
	struct pg_conn *c = xcalloc(1, sizeof(*c));
	const struct libpq *pq = NULL;
	PQconninfoOption *opts = NULL;
	char *app_name = xasprintf("dapk-backup %s", command);
	struct params params;
	int ret = -1;

	if (libpq_get(&pq, err) != 0)
		goto out;
	c->pq = pq;
	if (collect_params(c, conninfo != NULL ? conninfo : "", app_name,
	    &params, &opts, err) != 0)
		goto out;
	if (replication)
		param_set(&params, "replication", "true");
	if (database != NULL)
		param_set(&params, "dbname", database);
	params.keywords[params.n] = NULL;
	params.values[params.n] = NULL;
	c->conn = c->pq->PQconnectStartParams(params.keywords, params.values,
	    0);
	if (c->conn == NULL) {
		(void)err_set(err, ERR_POSTGRES, "libpq is out of memory");
		goto out;
	}
	(void)c->pq->PQsetNoticeReceiver(c->conn, receive_notice, c);
	if (finish_connecting(c, err) != 0)
		goto out;
	/* A walsender runs no SQL. */
	if (!replication && pg_execute(c, SETTINGS_SQL, err) != 0) {
		(void)err_wrap(err, "prepare the session");
		goto out;
	}
	*out = c;
	c = NULL;
	ret = 0;
out:
	if (opts != NULL)
		pq->PQconninfoFree(opts);
	free(app_name);
	pg_disconnect(c);
	return ret;
}

int
pg_connect(struct pg_conn **out, const char *conninfo, const char *command,
    struct err *err)
{
	return open_conn(out, conninfo, NULL, command, false, err);
}

int
pg_connect_database(struct pg_conn **out, const char *conninfo,
    const char *database, const char *command, struct err *err)
{
	return open_conn(out, conninfo, database, command, false, err);
}

int
conn_open_replication(struct pg_conn **out, const char *conninfo,
    const char *command, struct err *err)
{
	return open_conn(out, conninfo, NULL, command, true, err);
}

static void
conn_drop_message(struct pg_conn *c)
{
	if (c->message != NULL)
		c->pq->PQfreemem(c->message);
	c->message = NULL;
}

void
pg_disconnect(struct pg_conn *conn)
{
	if (conn == NULL)
		return;
	conn_drop_message(conn);
	if (conn->conn != NULL)
		conn->pq->PQfinish(conn->conn);
	free(conn);
}

int
pg_server_version(const struct pg_conn *conn)
{
	return conn->pq->PQserverVersion(conn->conn);
}

int
conn_error(struct pg_conn *c, const PGresult *res, struct err *err)
{
	const char *primary = NULL, *state = NULL, *detail = NULL;
	const char *hint = NULL;
	struct buf b;

	if (res != NULL) {
		primary = c->pq->PQresultErrorField(res,
		    PG_DIAG_MESSAGE_PRIMARY);
		state = c->pq->PQresultErrorField(res, PG_DIAG_SQLSTATE);
		detail = c->pq->PQresultErrorField(res,
		    PG_DIAG_MESSAGE_DETAIL);
		hint = c->pq->PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	}
	if (primary == NULL)
		primary = c->pq->PQerrorMessage(c->conn);
	(void)snprintf(c->sqlstate, sizeof(c->sqlstate), "%s",
	    state != NULL ? state : "");
	buf_init(&b, CONN_TEXT_MAX);
	one_line(&b, primary);
	if (b.len == 0)
		buf_add_str(&b, "connection lost");
	if (detail != NULL) {
		buf_add_str(&b, ": ");
		one_line(&b, detail);
	}
	if (state != NULL)
		buf_printf(&b, " (SQLSTATE %s)", state);
	(void)err_set(err, ERR_POSTGRES, "PostgreSQL: %s", buf_str(&b));
	if (hint != NULL)
		(void)err_hint(err, "%s", hint);
	buf_free(&b);
	return -1;
}

void
conn_send_cancel(const struct pg_conn *c)
{
	PGcancel *cancel = c->pq->PQgetCancel(c->conn);
	char text[256];

	if (cancel == NULL)
		return;
	/* When it fails the wait ends by time, and the caller disconnects. */
	(void)c->pq->PQcancel(cancel, text, sizeof(text));
	c->pq->PQfreeCancel(cancel);
}

int
conn_wait_result(struct pg_conn *c, int64_t cancel_after, int64_t *cancelled_at,
    struct err *err)
{
	while (c->pq->PQisBusy(c->conn)) {
		if (cancel_requested() && *cancelled_at == 0 &&
		    time_monotonic() >= cancel_after) {
			conn_send_cancel(c);
			*cancelled_at = time_monotonic();
		}
		if (*cancelled_at != 0 &&
		    time_monotonic() > *cancelled_at + CANCEL_WAIT_US)
			return cancel_error(err);
		conn_wait_readable(c->pq->PQsocket(c->conn));
		if (c->on_wait != NULL)
			c->on_wait(c->on_wait_arg);
		if (!c->pq->PQconsumeInput(c->conn))
			return conn_error(c, NULL, err);
	}
	return 0;
}

int
conn_copy_next(struct pg_conn *c, size_t *len, struct err *err)
{
	int n;

	conn_drop_message(c);
	for (;;) {
		if (cancel_check(err) != 0)
			return -1;
		n = c->pq->PQgetCopyData(c->conn, &c->message, 1);
		if (n > 0) {
			*len = (size_t)n;
			return 1;
		}
		if (n == -1)
			return 0;
		if (n < -1)
			return conn_error(c, NULL, err);
		conn_wait_readable(c->pq->PQsocket(c->conn));
		if (c->on_wait != NULL)
			c->on_wait(c->on_wait_arg);
		if (!c->pq->PQconsumeInput(c->conn))
			return conn_error(c, NULL, err);
	}
}

const char *
pg_sqlstate(const struct pg_conn *conn)
{
	return conn->sqlstate;
}

void
pg_cancel(struct pg_conn *conn)
{
	conn_send_cancel(conn);
}

void
pg_on_wait(struct pg_conn *conn, void (*fn)(void *arg), void *arg)
{
	conn->on_wait = fn;
	conn->on_wait_arg = arg;
}

static bool
result_good(const struct pg_conn *c, const PGresult *res)
{
	switch ((int)c->pq->PQresultStatus(res)) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		return true;
	default:
		return false;
	}
}

static bool
is_copy(const struct pg_conn *c, const PGresult *res)
{
	int status = (int)c->pq->PQresultStatus(res);

	return status == PGRES_COPY_OUT || status == PGRES_COPY_IN ||
	    status == PGRES_COPY_BOTH;
}

/* All results of what was sent; the last one, or the first error. */
static int
collect_results(struct pg_conn *c, PGresult **out, struct err *err)
{
	int64_t cancel_after = 0, cancelled_at = 0;
	bool failed = false;
	PGresult *res, *last = NULL;

	if (cancel_requested())
		cancel_after = time_monotonic() + CANCEL_GRACE_US;
	for (;;) {
		if (conn_wait_result(c, cancel_after, &cancelled_at, err) != 0)
			goto fail;
		res = c->pq->PQgetResult(c->conn);
		if (res == NULL)
			break;
		if (failed) {
			c->pq->PQclear(res);
			continue;
		}
		c->pq->PQclear(last);
		last = res;
		if (is_copy(c, res)) {
			/* It would be given again and again. */
			(void)err_set(err, ERR_BUG, "COPY is not for pg_query");
			goto fail;
		}
		failed = !result_good(c, res);
	}
	if (!failed && last != NULL) {
		*out = last;
		return 0;
	}
	if (cancelled_at != 0)
		(void)cancel_error(err);
	else
		(void)conn_error(c, last, err);
fail:
	c->pq->PQclear(last);
	return -1;
}

int
pg_query(struct pg_conn *conn, struct pg_result **out, struct err *err,
    int n_params, const char *const *params, const char *sql)
{
	struct pg_result *r;
	PGresult *res = NULL;

	if (!conn->pq->PQsendQueryParams(conn->conn, sql, n_params, NULL,
	    params, NULL, NULL, 0))
		return conn_error(conn, NULL, err);
	if (collect_results(conn, &res, err) != 0)
		return -1;
	r = xmalloc(sizeof(*r));
	r->pq = conn->pq;
	r->res = res;
	*out = r;
	return 0;
}

int
pg_execute(struct pg_conn *conn, const char *sql, struct err *err)
{
	PGresult *res = NULL;

	if (!conn->pq->PQsendQuery(conn->conn, sql))
		return conn_error(conn, NULL, err);
	if (collect_results(conn, &res, err) != 0)
		return -1;
	conn->pq->PQclear(res);
	return 0;
}

int
pg_rows(const struct pg_result *res)
{
	return res->pq->PQntuples(res->res);
}

const char *
pg_value(const struct pg_result *res, int row, int column)
{
	return res->pq->PQgetvalue(res->res, row, column);
}

bool
pg_is_null(const struct pg_result *res, int row, int column)
{
	return res->pq->PQgetisnull(res->res, row, column) != 0;
}

void
pg_result_free(struct pg_result *res)
{
	if (res == NULL)
		return;
	res->pq->PQclear(res->res);
	free(res);
}

int
pg_query_value(struct pg_conn *conn, const char *sql, char **out,
    struct err *err)
{
	struct pg_result *res;
	int ret = -1;

	if (pg_query(conn, &res, err, 0, NULL, sql) != 0)
		return -1;
	if (pg_rows(res) != 1 || res->pq->PQnfields(res->res) < 1) {
		(void)err_set(err, ERR_POSTGRES, "PostgreSQL gave %d rows "
		    "where one was expected", pg_rows(res));
		goto out;
	}
	*out = pg_is_null(res, 0, 0) ? NULL : xstrdup(pg_value(res, 0, 0));
	ret = 0;
out:
	pg_result_free(res);
	return ret;
}

bool
pg_in_transaction(const struct pg_conn *conn)
{
	return conn->pq->PQtransactionStatus(conn->conn) != PQTRANS_IDLE;
}

int
pg_ping(struct pg_conn *conn, struct err *err)
{
	return pg_execute(conn, "", err);
}
