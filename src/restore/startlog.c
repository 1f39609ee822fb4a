/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/startlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/time.h"

#define LINE_BYTES_MAX ((size_t)64 << 10)

void
startlog_init(struct startlog *log)
{
	memset(log, 0, sizeof(*log));
	buf_init(&log->fatal, STARTLOG_FATAL_MAX);
	buf_init(&log->line, LINE_BYTES_MAX);
}

void
startlog_free(struct startlog *log)
{
	buf_free(&log->fatal);
	buf_free(&log->line);
}

/* The text after `what`, or NULL. */
static const char *
after(const char *line, const char *what)
{
	const char *p = strstr(line, what);

	return p == NULL ? NULL : p + strlen(what);
}

/* Up to `end`, into out. */
static void
take(char *out, size_t size, const char *p, const char *end)
{
	const size_t n = strcspn(p, end);

	(void)snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), p);
}

static pg_lsn
take_lsn(const char *p)
{
	char text[LSN_TEXT_MAX];
	pg_lsn lsn = 0;

	p += *p == '"';
	take(text, sizeof(text), p, "\" ,\n");
	return lsn_parse(text, &lsn) ? lsn : 0;
}

static void
stop_line(struct startlog *log, const char *p)
{
	const char *q;

	log->stop_after = strncmp(p, "after ", 6) == 0;
	if (after(p, "after reaching consistency") != NULL)
		log->stop = STOP_CONSISTENT;
	else if ((q = after(p, "of transaction ")) != NULL) {
		log->stop = STOP_XACT;
		log->stop_xid = (uint32_t)strtoul(q, NULL, 10);
	} else if ((q = after(p, "WAL location (LSN) ")) != NULL) {
		log->stop = STOP_LSN;
		log->stop_lsn = take_lsn(q);
	} else if ((q = after(p, "at restore point \"")) != NULL) {
		log->stop = STOP_NAME;
		/* the name may hold a quote: it ends at the last one */
		take(log->stop_name, sizeof(log->stop_name), q, "\n");
		q = strstr(log->stop_name, "\", time ");
		if (q != NULL)
			log->stop_name[q - log->stop_name] = '\0';
	}
}

static void
last_commit(struct startlog *log, const char *p)
{
	struct err ignored = ERR_INIT; /* then the time is not said */
	char text[TIME_TEXT_MAX];
	bool local;

	take(text, sizeof(text), p, "\n");
	if (time_parse(text, &log->last_commit_time, &local, &ignored) != 0)
		log->last_commit_time = 0;
}

/* "NAME = 10 is a lower setting than on the primary server, where ... 100." */
static void
lower_setting(struct startlog *log, const char *line, const char *phrase)
{
	const char *eq = phrase, *name, *value;

	while (eq > line && *eq != '=')
		eq--;
	name = eq;
	while (name > line && name[-1] == ' ')
		name--;
	while (name > line && name[-1] != ' ' && name[-1] != '\t')
		name--;
	if (eq == line)
		return;
	take(log->setting, sizeof(log->setting), name, " =");
	value = after(phrase, "value was ");
	if (value != NULL)
		take(log->setting_value, sizeof(log->setting_value), value,
		    ".\n");
}

static void
bad_line(struct startlog *log, const char *line)
{
	const char *p;

	if ((p = strstr(line, "is a lower setting than on")) != NULL &&
	    log->setting[0] == '\0')
		lower_setting(log, line, p);
	if (strstr(line, "insufficient parameter settings") != NULL)
		log->insufficient = true;
	if ((p = strstr(line, "FATAL:  ")) != NULL ||
	    (p = strstr(line, "PANIC:  ")) != NULL) {
		log->in_fatal = true;
	} else if (!log->in_fatal ||
	    ((p = strstr(line, "DETAIL:  ")) == NULL &&
		(p = strstr(line, "HINT:  ")) == NULL)) {
		log->in_fatal = false;
		return;
	}
	buf_printf(&log->fatal, "%s%s", log->fatal.len == 0 ? "" : "; ", p);
}

/* restore_command writes to the server's log as it is. */
static void
fetch_line(struct startlog *log, const char *line)
{
	const char *p;

	if ((p = after(line, "dapk-backup archive-get: error: ")) != NULL) {
		take(log->fetch_error, sizeof(log->fetch_error), p, "\n");
		log->fetch_hint[0] = '\0';
		log->in_fetch = true;
		return;
	}
	if (log->in_fetch && strncmp(line, "  hint: ", 8) == 0)
		take(log->fetch_hint, sizeof(log->fetch_hint), line + 8, "\n");
	log->in_fetch = false;
}

static void
one_line(struct startlog *log, const char *line)
{
	const char *p;

	fetch_line(log, line);
	bad_line(log, line);
	if ((p = after(line, "restored log file \"")) != NULL) {
		take(log->segment, sizeof(log->segment), p, "\"");
		log->segments++;
	} else if ((p = after(line, "recovery stopping ")) != NULL)
		stop_line(log, p);
	else if (after(line, "consistent recovery state reached") != NULL)
		log->consistent = true;
	else if ((p = after(line, "redo done at ")) != NULL)
		log->redo_done = take_lsn(p);
	else if ((p = after(line, "last completed transaction was at log "
				  "time ")) != NULL)
		last_commit(log, p);
	else if ((p = after(line, "selected new timeline ID: ")) != NULL)
		log->timeline = (uint32_t)strtoul(p, NULL, 10);
	else if (after(line, "archive recovery complete") != NULL)
		log->promoted = true;
	else if (after(line, "pausing at the end of recovery") != NULL)
		log->paused = true;
	else if (after(line, "shutdown at recovery target") != NULL)
		log->target_shutdown = true;
	else if (after(line, "ready to accept connections") != NULL)
		log->ready = true;
	else if (after(line, "ready to accept read") != NULL)
		log->ready_read_only = true;
}

void
startlog_feed(struct startlog *log, const void *data, size_t len)
{
	const char *p = data, *const end = p + len;
	const char *nl;

	while (p < end) {
		nl = memchr(p, '\n', (size_t)(end - p));
		buf_add(&log->line, p,
		    (size_t)((nl == NULL ? end : nl) - p));
		if (nl == NULL)
			return;
		if (log->line.len > 0)
			one_line(log, buf_str(&log->line));
		buf_clear(&log->line); /* a line too long is passed over */
		p = nl + 1;
	}
}
