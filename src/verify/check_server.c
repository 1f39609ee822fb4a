/* SPDX-License-Identifier: PostgreSQL */
/* The server: settings, archive_command, rights, the clock. */
#include "config.h"

#include "verify/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pg/autoconf.h"

#define AUTOCONF_MAX ((size_t)4 << 20)
#define CLOCK_NOTE_US (5 * INT64_C(1000000))
#define TIMEOUT_NOTE_S 3600
#define RESTART "restart the server: the new value stands in its file already"

/* Is another value set, which a restart brings? */
static bool
waits_for_restart(struct check *c, const char *setting)
{
	char *sql = xasprintf("SELECT pending_restart FROM "
	    "pg_catalog.pg_settings WHERE name = '%s'", setting);
	char *waits = check_query(c, setting, sql);
	bool yes = waits != NULL && waits[0] == 't';

	free(waits);
	free(sql);
	return yes;
}

/* What stands in the server's command line is not changed by a statement. */
static const char *
next_for(struct check *c, const char *setting, const char *next)
{
	char *sql = xasprintf("SELECT source FROM pg_catalog.pg_settings "
	    "WHERE name = '%s'", setting);
	char *source = check_query(c, setting, sql);

	if (source != NULL && strcmp(source, "command line") == 0)
		next = "it is set on the server's command line (-c, as in a "
		    "container's command), which is stronger than any file: "
		    "correct it there and restart the server";
	free(source);
	free(sql);
	return next;
}

static void
check_wal_level(struct check *c)
{
	char *level = check_query(c, "wal_level", "SHOW wal_level");

	if (level == NULL)
		return;
	if (strcmp(level, "minimal") == 0)
		check_tell(c, CHECK_FAILED, "wal_level", waits_for_restart(c,
		    "wal_level") ? RESTART : next_for(c, "wal_level",
		    "ALTER SYSTEM SET wal_level = 'replica'; then restart the "
		    "server"),
		    "is minimal, and such WAL cannot be recovered from");
	else
		check_tell(c, CHECK_OK, "wal_level", NULL, "%s", level);
	free(level);
}

/*
 * Did `restore` turn it off? It says so in marks, which ALTER SYSTEM drops; its
 * restore_command stays.
 */
static bool
was_restored(const struct check *c)
{
	struct err ignored = ERR_INIT;
	char *path;
	bool yes = false;
	struct buf b;

	if (c->pgdata == NULL)
		return false;
	path = xasprintf("%s/" AUTOCONF_NAME, c->pgdata);
	buf_init(&b, AUTOCONF_MAX);
	if (io_read_file(path, &b, &ignored) == 0)
		yes = strstr(buf_str(&b), "archive_mode") != NULL &&
		    (strstr(buf_str(&b), AUTOCONF_BEGIN) != NULL ||
			strstr(buf_str(&b), "archive-get") != NULL);
	buf_free(&b);
	free(path);
	return yes;
}

static void
tell_archive_off(struct check *c)
{
	const char *next = next_for(c, "archive_mode", "ALTER SYSTEM SET "
	    "archive_mode = on; then restart the server (a reload is not "
	    "enough)");

	if (waits_for_restart(c, "archive_mode"))
		check_tell(c, CHECK_FAILED, "archive_mode", RESTART, "is off, "
		    "and no WAL is archived, until the server is restarted");
	else if (c->in_recovery)
		check_tell(c, CHECK_NOTE, "archive_mode", next, "is off: this "
		    "standby would archive nothing when it is promoted");
	else if (was_restored(c))
		check_tell(c, CHECK_FAILED, "archive_mode", "if it takes the "
		    "old one's place: ALTER SYSTEM RESET archive_mode; then "
		    "restart the server, and type: dapk-backup backup", "was "
		    "turned off by 'dapk-backup restore', so that this "
		    "server does not write into its source's archive: "
		    "nothing that it does now can be recovered");
	else
		check_tell(c, CHECK_FAILED, "archive_mode", next, "is off: no "
		    "WAL is archived, and nothing after a backup could be "
		    "recovered");
}

/*
 * How long a segment takes to fill, by what the server has written since its
 * statistics began; 0: not known. *idle: seconds since one was archived.
 */
static double
seconds_a_segment(struct check *c, uint32_t segment_size, double *idle)
{
	const bool counts = pg_server_version(c->conn) >= 140000;
	char *took, *rate, *sql;
	double seconds = 0, bytes = 0;

	took = check_query(c, "archive_timeout", "SELECT coalesce(round("
	    "extract(epoch FROM pg_catalog.clock_timestamp() - "
	    "last_archived_time)), 0) FROM pg_catalog.pg_stat_archiver");
	sql = xasprintf("SELECT pg_catalog.max(bytes / seconds) FROM (SELECT "
	    "wal_bytes AS bytes, extract(epoch FROM "
	    "pg_catalog.clock_timestamp() - stats_reset) AS seconds FROM "
	    "pg_catalog.pg_stat_wal) AS w WHERE seconds > 600 OR "
	    "(seconds > 0 AND bytes > %" PRIu32 "::pg_catalog.int8 * 2)",
	    segment_size);
	rate = counts ? check_query(c, "archive_timeout", sql) : NULL;
	if (took != NULL)
		*idle = strtod(took, NULL);
	if (rate != NULL)
		bytes = strtod(rate, NULL);
	if (bytes > 0)
		seconds = (double)segment_size / bytes;
	free(sql);
	free(rate);
	free(took);
	return seconds;
}

/* Nothing bounds how long a transaction waits in the segment at hand. */
static void
tell_no_timeout(struct check *c)
{
	const uint32_t size = c->have_control ? c->control.wal_segment_size :
	    UINT32_C(16) << 20;
	char size_text[TEXT_SIZE_MAX];
	double idle = 0, seconds = seconds_a_segment(c, size, &idle);
	struct buf text;

	buf_init(&text, ERR_MSG_MAX);
	buf_printf(&text, "is 0: with this server is lost what stands in a "
	    "segment that is not full yet, up to %s: ",
	    text_human_size(size, size_text));
	if (seconds > 0)
		buf_printf(&text, "the last %.0f s at what it has written "
		    "on average, and more in quieter hours", seconds);
	else
		buf_add_str(&text, "no time bounds it, hours of a quiet "
		    "server");
	if (idle >= 1)
		buf_printf(&text, "; now it would be the last %.0f s", idle);
	check_tell(c, CHECK_NOTE, "archive_timeout", next_for(c,
	    "archive_timeout", "ALTER SYSTEM SET archive_timeout = '1min'; "
	    "SELECT pg_reload_conf();"), "%s", buf_str(&text));
	buf_free(&text);
}

/* How much is lost when this server is. */
static void
check_archive_timeout(struct check *c)
{
	char *timeout = check_query(c, "archive_timeout", "SELECT setting FROM "
	    "pg_catalog.pg_settings WHERE name = 'archive_timeout'");
	long seconds = timeout == NULL ? 0 : strtol(timeout, NULL, 10);

	if (timeout != NULL && seconds == 0)
		tell_no_timeout(c);
	else if (timeout != NULL)
		check_tell(c, seconds > TIMEOUT_NOTE_S ? CHECK_NOTE : CHECK_OK,
		    "archive_timeout", seconds > TIMEOUT_NOTE_S ?
		    next_for(c, "archive_timeout", "ALTER SYSTEM SET "
			"archive_timeout = '1min'; SELECT pg_reload_conf();") :
		    NULL, "%ld s: with this server at most that is lost, and "
		    "the time that archiving takes%s", seconds,
		    c->cfg->n_others > 0 && c->cfg->push_success != PUSH_ALL ?
		    "; with the repository that has it, what the others "
		    "still lack" : "");
	free(timeout);
}

static void
check_archive_settings(struct check *c)
{
	char *mode = check_query(c, "archive_mode", "SHOW archive_mode");
	bool on = mode != NULL && strcmp(mode, "off") != 0;
	bool command;

	if (mode != NULL && !on)
		tell_archive_off(c);
	else if (on && c->in_recovery && strcmp(mode, "always") != 0)
		check_tell(c, CHECK_OK, "archive_mode", NULL, "%s: this server "
		    "is a standby, and its primary archives", mode);
	else if (mode != NULL)
		check_tell(c, CHECK_OK, "archive_mode", NULL, "%s", mode);
	command = check_archive_command(c);
	c->archiving = on && command && (!c->in_recovery ||
	    strcmp(mode, "always") == 0);
	if (!c->in_recovery)
		check_archive_timeout(c);
	free(mode);
}

static bool
is_in_pgdata(const struct check *c, const char *name)
{
	char *path = xasprintf("%s/%s", c->pgdata, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* What a recovery has left, or is in the middle of. */
static void
check_recovery(struct check *c)
{
	static const char *const signals[] = { "recovery.signal",
		"standby.signal" };
	char *paused, *next;
	size_t i;

	if (!c->same_server)
		return;
	if (c->in_recovery && is_in_pgdata(c, signals[0]) &&
	    !is_in_pgdata(c, signals[1])) {
		paused = check_query(c, "recovery",
		    "SELECT pg_catalog.pg_is_wal_replay_paused()");
		if (paused != NULL && paused[0] == 't')
			check_tell(c, CHECK_FAILED, "recovery", "if it has "
			    "recovered to where it should: SELECT "
			    "pg_wal_replay_resume();", "has paused at its "
			    "target: until it is ended nothing can be written "
			    "and nothing is archived");
		free(paused);
	}
	for (i = 0; i < 2 && !c->in_recovery; i++) {
		if (!is_in_pgdata(c, signals[i]))
			continue;
		next = xasprintf("rm %s/%s", c->pgdata, signals[i]);
		check_tell(c, CHECK_FAILED, "recovery", next, "%s lies in the "
		    "data directory of a server that does not recover: its "
		    "next start would begin a recovery", signals[i]);
		free(next);
	}
}

static void
check_safe_settings(struct check *c)
{
	char *fsync = check_query(c, "fsync", "SHOW fsync");
	char *pages = check_query(c, "full_page_writes",
	    "SHOW full_page_writes");

	if (fsync != NULL && strcmp(fsync, "off") == 0)
		check_tell(c, CHECK_NOTE, "fsync", "ALTER SYSTEM RESET fsync; "
		    "SELECT pg_reload_conf();", "is off: a crash of the "
		    "machine can destroy the database, and what is archived "
		    "need not agree with it");
	if (pages != NULL && strcmp(pages, "off") == 0)
		check_tell(c, CHECK_NOTE, "full_page_writes", "ALTER SYSTEM "
		    "RESET full_page_writes; SELECT pg_reload_conf();", "is "
		    "off: a page that a crash tears stays so, and each backup "
		    "reads everything");
	free(pages);
	free(fsync);
}

/* What backup and check call. */
static void
check_rights(struct check *c)
{
	const bool renamed = pg_server_version(c->conn) >= 150000;
	char *sql = xasprintf("SELECT pg_catalog.string_agg(f, ', ') FROM "
	    "pg_catalog.unnest(ARRAY['%s', '%s', 'pg_switch_wal()', "
	    "'pg_create_restore_point(text)', 'pg_control_system()']) AS f "
	    "WHERE NOT pg_catalog.has_function_privilege('pg_catalog.' || f, "
	    "'EXECUTE')", renamed ? "pg_backup_start(text,boolean)" :
	    "pg_start_backup(text,boolean,boolean)", renamed ?
	    "pg_backup_stop(boolean)" : "pg_stop_backup(boolean,boolean)");
	char *missing = check_query(c, "role", sql);
	char *role = check_query(c, "role", "SELECT pg_catalog.quote_ident("
	    "current_user)");
	char *reads = check_query(c, "role", "SELECT pg_catalog.pg_has_role("
	    "'pg_read_all_settings', 'USAGE')");
	struct buf next;

	buf_init(&next, ERR_HINT_MAX);
	if (missing != NULL && missing[0] != '\0' && role != NULL) {
		buf_printf(&next, "GRANT EXECUTE ON FUNCTION %s TO %s;",
		    missing, role);
		check_tell(c, CHECK_FAILED, "role", buf_str(&next),
		    "%s may not call %s, which backup and check need", role,
		    missing);
	}
	buf_clear(&next);
	if (reads != NULL && reads[0] == 'f' && role != NULL) {
		buf_printf(&next, "GRANT pg_monitor TO %s;", role);
		check_tell(c, CHECK_FAILED, "role", buf_str(&next), "%s may "
		    "not read all settings, such as data_directory", role);
	}
	buf_free(&next);
	free(reads);
	free(role);
	free(missing);
}

static void
check_clock(struct check *c)
{
	const int64_t before = time_now();
	char *text = check_query(c, "clock", "SELECT (extract(epoch FROM "
	    "pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8");
	const int64_t after = time_now();
	int64_t theirs, off;

	if (text == NULL)
		return;
	theirs = strtoll(text, NULL, 10) -
	    TIME_UNIX_EPOCH_OFFSET * INT64_C(1000000);
	off = theirs < before ? theirs - before : theirs > after ?
	    theirs - after : 0;
	if (off > CLOCK_NOTE_US || off < -CLOCK_NOTE_US)
		check_tell(c, CHECK_NOTE, "clock", "let both hosts keep time "
		    "by NTP: timedatectl set-ntp true", "the server's is %.1f s %s this "
		    "host's: a time to recover to is the server's",
		    (double)llabs(off) / 1e6, off > 0 ? "ahead of" :
		    "behind");
	free(text);
}

void
check_server(struct check *c)
{
	check_rights(c);
	check_clock(c);
	check_wal_level(c);
	check_archive_settings(c);
	check_recovery(c);
	check_safe_settings(c);
}
