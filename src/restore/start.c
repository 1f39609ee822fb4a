/* SPDX-License-Identifier: PostgreSQL */
/*
 * Starting the restored server, waiting for the target, and the proof that it
 * was reached: what the server says it did is held against the plan. The log
 * is always there; a connection tells more when pg_hba.conf lets us in (peer
 * over the socket does, for a role of the system user's name).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "pg/conn.h"
#include "restore/postmaster.h"
#include "restore/startlog.h"

#define STEP_MS 100
#define TELL_US (5 * INT64_C(1000000))
#define CONNECT_US (2 * INT64_C(1000000))
#define CONNECT_TRIES 3
#define COMMAND_MAX ((size_t)16 << 10)

struct wait {
	struct restore_plan *plan;
	struct postmaster pm;
	struct startlog log;
	int log_fd;
	uint64_t log_at;
	struct pg_conn *conn;
	unsigned tries_left; /* to connect */
	int64_t next_try, next_tell;
	int64_t last_progress;
	pg_lsn lsn; /* replayed, when connected */
	int64_t commit_time;
};

/* New lines of the log; growth is progress, as each segment gives a line. */
static int
read_log(struct wait *w, struct err *err)
{
	uint8_t piece[8192];
	size_t got;

	do {
		if (io_pread_upto(w->log_fd, piece, sizeof(piece), w->log_at,
			&got, w->pm.log, err) != 0)
			return -1;
		startlog_feed(&w->log, piece, got);
		w->log_at += got;
		if (got > 0)
			w->last_progress = time_monotonic();
	} while (got == sizeof(piece));
	return 0;
}

static const char *
user_name(unsigned attempt)
{
	const struct passwd *pw = getpwuid(geteuid());

	return attempt % 2 == 0 && pw != NULL ? pw->pw_name : "postgres";
}

static void
try_connect(struct wait *w)
{
	struct err e = ERR_INIT;
	char *conninfo;

	if (w->conn != NULL || w->tries_left == 0 || !w->log.consistent ||
	    time_monotonic() < w->next_try)
		return;
	if (!w->log.ready && !w->log.ready_read_only)
		return;
	conninfo = xasprintf("host='%s' port=%u dbname=postgres user='%s' "
			     "connect_timeout=10 password=''",
	    w->pm.sockets, w->pm.port, user_name(w->tries_left - 1));
	w->tries_left--;
	if (pg_connect(&w->conn, conninfo, "restore", &e) != 0) {
		w->conn = NULL;
		log_debug("no connection: %s", e.msg);
		if (w->tries_left == 0)
			log_info("no connection to the restored server (%s): "
				 "its log tells the progress", e.msg);
	}
	free(conninfo);
	w->next_try = time_monotonic() + (w->tries_left % 2 == 0 ? 0 :
								   CONNECT_US);
}

/* What the server itself says; losing the connection loses nothing. */
static void
ask(struct wait *w)
{
	static const char sql[] = "SELECT pg_catalog.pg_last_wal_replay_lsn(), "
				  "pg_catalog.pg_last_xact_replay_timestamp()";
	struct err e = ERR_INIT;
	struct pg_result *res = NULL;
	pg_lsn lsn = 0;
	bool local;

	if (w->conn == NULL)
		return;
	if (pg_query(w->conn, &res, &e, 0, NULL, sql) != 0) {
		pg_disconnect(w->conn);
		w->conn = NULL;
		return;
	}
	if (pg_rows(res) == 1 && lsn_parse(pg_value(res, 0, 0), &lsn)) {
		if (lsn != w->lsn)
			w->last_progress = time_monotonic();
		w->lsn = lsn;
		if (!pg_is_null(res, 0, 1) &&
		    time_parse(pg_value(res, 0, 1), &w->commit_time, &local,
			&e) != 0)
			w->commit_time = 0;
	}
	pg_result_free(res);
}

static void
tell(struct wait *w)
{
	char lsn[LSN_TEXT_MAX], text[TIME_TEXT_MAX];

	if (time_monotonic() < w->next_tell)
		return;
	w->next_tell = time_monotonic() + TELL_US;
	ask(w);
	if (w->lsn != 0)
		log_info("replayed to LSN %s%s%s", lsn_format(w->lsn, lsn),
		    w->commit_time == 0 ? "" : ", last commit ",
		    w->commit_time == 0 ?
			"" : time_format_local(w->commit_time, text));
	else
		log_info("replaying: %llu WAL files fetched%s%s",
		    (unsigned long long)w->log.segments,
		    w->log.segment[0] == '\0' ? "" : ", last ",
		    w->log.segment);
}

/* Has what was asked for happened? */
static bool
arrived(const struct wait *w)
{
	const struct config *c = w->plan->config;

	if (c->standby)
		return w->log.ready_read_only;
	if (plan_has_target(w->plan) && c->action == ACTION_PAUSE)
		return w->log.paused;
	if (plan_has_target(w->plan) && c->action == ACTION_SHUTDOWN)
		return w->log.target_shutdown && w->pm.pid == 0;
	return w->log.promoted && w->log.ready;
}

/* Why recovery went no further, with what to do about it. */
static int
failed(struct wait *w, const char *how, struct err *err)
{
	const struct startlog *log = &w->log;
	struct buf ctl;

	buf_init(&ctl, COMMAND_MAX);
	plan_pg_ctl(w->plan, w->pm.bin, &ctl);
	if (log->insufficient && log->setting[0] != '\0') {
		err_set(err, ERR_POSTGRES,
		    "recovery %s: %s is too low, it must be at least %s", how,
		    log->setting, log->setting_value);
		err_hint(err, "put %s = %s into %s/postgresql.auto.conf (its "
			      "last line counts), then start again: %s restart",
		    log->setting, log->setting_value, w->plan->dir,
		    buf_str(&ctl));
	} else
		err_set(err, ERR_POSTGRES, "recovery %s%s%s%s%s", how,
		    log->fatal.len > 0 ? ": " : "", buf_str(&log->fatal),
		    log->fetch_error[0] != '\0' ? "; archive-get: " : "",
		    log->fetch_error);
	if (log->fetch_hint[0] != '\0')
		err_hint(err, "%s; then: %s restart (the server's log is %s)",
		    log->fetch_hint, buf_str(&ctl), w->pm.log);
	err_hint(err, "the server's log is %s; once the reason is mended: %s "
		      "restart", w->pm.log, buf_str(&ctl));
	buf_free(&ctl);
	return -1;
}

static int
check_ended(struct wait *w, struct err *err)
{
	char how[64];
	const int st = w->pm.exit_status;

	if (w->log.target_shutdown && w->plan->config->action ==
	    ACTION_SHUTDOWN)
		return 0; /* arrived() */
	if (WIFEXITED(st))
		(void)snprintf(how, sizeof(how),
		    "failed, the server ended with code %d", WEXITSTATUS(st));
	else
		(void)snprintf(how, sizeof(how),
		    "failed, the server was ended by signal %d",
		    WTERMSIG(st));
	return failed(w, how, err);
}

static int
wait_for_target(struct wait *w, struct err *err)
{
	const int64_t limit = (int64_t)w->plan->config->start_timeout_ms * 1000;
	bool running;

	w->last_progress = time_monotonic();
	w->next_tell = w->last_progress + TELL_US;
	for (;;) {
		running = postmaster_running(&w->pm);
		if (read_log(w, err) != 0 || cancel_check(err) != 0)
			return -1;
		if (arrived(w))
			return 0;
		if (!running)
			return check_ended(w, err);
		if (w->log.insufficient)
			return failed(w, "cannot go on", err);
		if (limit > 0 && time_monotonic() - w->last_progress > limit)
			return failed(w, "made no progress within "
					 "--start-timeout", err);
		try_connect(w);
		tell(w);
		if (w->plan->params.tick != NULL)
			w->plan->params.tick(w->plan->params.tick_arg);
		time_sleep_ms(STEP_MS);
	}
}

/* The proof. */

static int
not_reached(const struct wait *w, const char *what, struct err *err)
{
	struct buf b;

	buf_init(&b, 512);
	plan_target_text(w->plan, &b);
	err_set(err, ERR_POSTGRES,
	    "recovery ended, but not where it was to end (%s): %s",
	    buf_str(&b), what);
	buf_free(&b);
	return err_hint(err, "do not use this copy before you know why; the "
			     "server's log is %s", w->pm.log);
}

/* What the archive has now: it may have grown since the plan. */
static int
look_again(const struct wait *w, struct wal_reach *out, struct err *err)
{
	const struct restore_plan *plan = w->plan;

	if (wal_reach(plan->params.repo, &plan->backup, &plan->path, out,
		err) == 0)
		return 0;
	err_wrap(err, "looking for what the archive holds now");
	return -1;
}

/*
 * At the end of the archive, and not beyond: WAL that the plan's timelines do
 * not have must not have been replayed. Without a connection the log has the
 * start of the last record.
 */
static int
prove_end(const struct wait *w, struct err *err)
{
	const struct wal_reach *r = &w->plan->reach;
	const pg_lsn at = w->lsn != 0 ? w->lsn : w->log.redo_done;
	char lsn[LSN_TEXT_MAX], want[LSN_TEXT_MAX], text[128];
	struct wal_reach now;
	pg_lsn from, to;

	if (w->plan->config->standby)
		return 0;
	from = w->lsn != 0 ? r->end : r->last_record;
	if (at < from) {
		(void)snprintf(text, sizeof(text),
		    "it was at LSN %s, the archive goes to %s",
		    lsn_format(at, lsn), lsn_format(r->end, want));
		return not_reached(w, text, err);
	}
	if (r->opaque || r->last_record == 0 || at <= from)
		return 0;
	if (look_again(w, &now, err) != 0)
		return -1;
	to = w->lsn != 0 ? now.end : now.last_record;
	if (at <= to || now.opaque)
		return 0;
	(void)snprintf(text, sizeof(text),
	    "it went on to LSN %s, the archive goes to %s on timeline %u",
	    lsn_format(at, lsn), lsn_format(now.end, want),
	    (unsigned)now.end_timeline);
	return not_reached(w, text, err);
}

/*
 * The log names a transaction by its number, which is used again and again,
 * and a restore point by a name; where the last record was read tells which.
 * Nothing is logged before a pause or shutdown.
 */
static bool
ended_at(const struct startlog *log, const struct wal_event *e)
{
	if (log->redo_done == 0)
		return true;
	return log->stop_after ? log->redo_done == e->lsn :
				 log->redo_done <= e->lsn;
}

static int
prove(const struct wait *w, struct err *err)
{
	const struct restore_plan *plan = w->plan;
	const struct wal_event *e = &plan->found.event;
	const struct startlog *log = &w->log;
	bool ok = false;

	switch (plan->target) {
	case TARGET_TIME:
		ok = plan->found.use_lsn ?
		    log->stop == STOP_LSN && log->stop_lsn == e->lsn :
		    log->stop == STOP_XACT && log->stop_xid == e->xid;
		break;
	case TARGET_XID:
		ok = log->stop == STOP_XACT && log->stop_xid == plan->want.xid;
		break;
	case TARGET_LSN:
		ok = log->stop == STOP_LSN && log->stop_lsn == e->lsn;
		break;
	case TARGET_NAME:
		ok = log->stop == STOP_NAME &&
		    strcmp(log->stop_name, plan->want.name) == 0;
		break;
	case TARGET_IMMEDIATE:
		ok = log->stop == STOP_CONSISTENT;
		break;
	case TARGET_DEFAULT:
	case TARGET_LATEST:
		return prove_end(w, err);
	}
	if (!ok)
		return not_reached(w, "the server's log tells another place",
		    err);
	if (plan->found.found && !ended_at(log, e))
		return not_reached(w, "it ended at another record", err);
	if (log->promoted && log->timeline <= plan_recovery_timeline(plan))
		return not_reached(w, "no new timeline was begun", err);
	return 0;
}

static void
fill_reached(const struct wait *w, struct restore_reached *out)
{
	const struct startlog *log = &w->log;
	struct err ignored = ERR_INIT; /* the plan's timeline is as good */
	struct control c;

	memset(out, 0, sizeof(*out));
	out->promoted = log->promoted;
	out->timeline = log->timeline != 0 ? log->timeline :
					     w->plan->path.timeline;
	out->lsn = w->lsn != 0 ? w->lsn : log->redo_done;
	if (out->lsn == 0 && control_read(w->plan->dir, &c, NULL, &ignored) ==
	    0)
		out->lsn = c.min_recovery_point;
	out->last_commit_time = w->commit_time != 0 ? w->commit_time :
						      log->last_commit_time;
	out->port = w->pm.port;
	(void)snprintf(out->socket_directory, sizeof(out->socket_directory),
	    "%s", w->pm.sockets);
	out->socket_temporary = strcmp(w->pm.sockets, w->plan->dir) != 0;
}

static void
say_started(const struct wait *w)
{
	const struct plan_saved *s = &w->plan->saved;
	struct buf ctl;

	log_info("the server's log is %s; pg_hba.conf in use: %s%s",
	    w->pm.log, s->hba_file != NULL ? s->hba_file : w->plan->dir,
	    s->hba_file != NULL ? "" : "/pg_hba.conf");
	buf_init(&ctl, COMMAND_MAX);
	plan_pg_ctl(w->plan, w->pm.bin, &ctl);
	log_info("to stop it: %s stop; to start it again with the same "
		 "options: %s restart", buf_str(&ctl), buf_str(&ctl));
	buf_free(&ctl);
}

/* One more connection may be worth it: it knows the exact end. */
static void
last_questions(struct wait *w)
{
	unsigned i;

	if (w->pm.pid == 0)
		return;
	w->tries_left = w->conn == NULL && w->tries_left > 0 ? 2 : 0;
	for (i = 0; i < 2 && w->conn == NULL && w->tries_left > 0; i++) {
		w->next_try = 0;
		try_connect(w);
	}
	ask(w);
}

int
restore_start(struct restore_plan *plan, struct restore_reached *out,
    struct err *err)
{
	struct wait w = { .plan = plan, .log_fd = -1,
		.tries_left = 2 * CONNECT_TRIES };
	int ret = -1;

	startlog_init(&w.log);
	if (postmaster_prepare(&w.pm, plan, err) != 0)
		goto out;
	log_info("starting PostgreSQL %d in %s (port %u, socket in %s)",
	    plan->inc.major, plan->dir, w.pm.port, w.pm.sockets);
	if (postmaster_start(&w.pm, err) != 0)
		goto out;
	w.log_fd = open(w.pm.log, O_RDONLY | O_CLOEXEC);
	if (w.log_fd < 0) {
		err_sys(err, errno, "open %s", w.pm.log);
		goto out;
	}
	if (wait_for_target(&w, err) != 0)
		goto out;
	last_questions(&w);
	if (prove(&w, err) != 0)
		goto out;
	fill_reached(&w, out);
	if (w.pm.pid != 0)
		say_started(&w);
	w.pm.left_running = w.pm.pid != 0;
	ret = 0;
out:
	pg_disconnect(w.conn);
	if (ret != 0)
		postmaster_stop(&w.pm);
	if (w.log_fd >= 0)
		(void)close(w.log_fd); /* only read from */
	startlog_free(&w.log);
	postmaster_free(&w.pm);
	return ret;
}
