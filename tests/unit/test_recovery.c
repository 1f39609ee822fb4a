/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "restore/command.h"
#include "restore/recovery.h"
#include "restore/startlog.h"

#define HORROR "a b'c\"d\\e%f$g`h;i"

struct set {
	struct config cfg;
	struct repo repo;
	struct restore_plan *plan;
	struct buf text;
};

static struct err err;

static void
set_up(struct set *s)
{
	struct restore_params params = { .repo = &s->repo, .config = &s->cfg,
		.program = "/usr/bin/dapk-backup" };

	memset(s, 0, sizeof(*s));
	assert_int_equal(storage_open(&s->repo.st, &(struct storage_settings){ .url = "file:///srv/repo" }, &err),
	    0);
	(void)snprintf(s->repo.id_text, sizeof(s->repo.id_text), "abc123");
	s->plan = plan_new(&params);
	(void)snprintf(s->plan->inc.cluster, sizeof(s->plan->inc.cluster),
	    "main");
	s->plan->target = TARGET_LATEST;
	s->plan->backup.timeline = 1;
	s->plan->want.inclusive = true;
	history_single(1, &s->plan->path);
	(void)snprintf(s->plan->timeline, sizeof(s->plan->timeline), "latest");
	buf_init(&s->text, RECOVERY_CONF_MAX);
}

static void
tear_down(struct set *s)
{
	storage_close(s->repo.st);
	restore_plan_free(s->plan);
	buf_free(&s->text);
}

static void
block(struct set *s)
{
	buf_clear(&s->text);
	recovery_block(s->plan, &s->text);
}

static void
has(const struct set *s, const char *line)
{
	if (strstr(buf_str(&s->text), line) == NULL)
		fail_msg("'%s' is not in:\n%s", line, buf_str(&s->text));
}

static void
has_not(const struct set *s, const char *line)
{
	if (strstr(buf_str(&s->text), line) != NULL)
		fail_msg("'%s' is in:\n%s", line, buf_str(&s->text));
}

static void
without_a_target_recovery_runs_to_the_end_of_the_archive(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	block(&s);
	has(&s, "restore_command = '''/usr/bin/dapk-backup'' archive-get "
		"--repository-url ''file:///srv/repo'' --repository-id "
		"''abc123'' --cluster ''main'' %f \"%p\"'\n");
	has(&s, "recovery_target_timeline = 'current'\n");
	has(&s, "recovery_target_time = ''\n");
	has_not(&s, "recovery_target_action");
	has(&s, "archive_mode = 'off'\n");
	s.cfg.keep_archiving = true;
	block(&s);
	has_not(&s, "archive_mode");
	tear_down(&s);
}

/* %c of PostgreSQL, quotes of the shell, and nothing of what is only put. */
static void
the_chosen_repository_is_named_with_all_that_reading_it_takes(void **state)
{
	static char url[] = "s3://b", name[] = "off", evil[] = HORROR,
	    file[] = "/etc/dapk 'x'.conf", key[] = "AKIA", secret[] = "geheim",
	    kms[] = "kms", end[] = "https://h:1", auto_[] = "file:/no/such";
	struct config_repository from = { .url = url, .name = name,
		.endpoint = end, .region = evil, .ca_file = evil,
		.path_style = PATH_STYLE_YES, .credentials = auto_,
		.access_key_id = key, .secret_access_key = secret,
		.kms_key_id = kms, .key_file = evil, .timeout_ms = 5000,
		.host_key = HOST_KEY_ACCEPT_NEW };
	struct set s;

	(void)state;
	set_up(&s);
	s.plan->params.from = &from;
	recovery_command(s.plan, &s.text);
	has(&s, " --repository-url 'file:///srv/repo' --storage-timeout 5000ms"
	    " --ca-file 'a b'\\''c\"d\\e%%f$g`h;i' --endpoint 'https://h:1' "
	    "--region 'a b'\\''c\"d\\e%%f$g`h;i' --path-style 'yes' "
	    "--credentials 'file:/no/such' --key-file ");
	has(&s, " --host-key accept-new --repository-id 'abc123' ");
	has_not(&s, "AKIA");
	has_not(&s, "geheim");
	has_not(&s, "kms");
	has_not(&s, "--repository 'off'");
	/* A section of a file says all that itself. */
	s.cfg.config_file = file;
	buf_clear(&s.text);
	recovery_command(s.plan, &s.text);
	has(&s, " --config '/etc/dapk '\\''x'\\''.conf' --repository 'off' "
	    "--repository-id 'abc123' --cluster 'main' %f \"%p\"");
	has_not(&s, "--endpoint");
	/* But not what stood on the command line. */
	s.cfg.repository_given = true;
	buf_clear(&s.text);
	recovery_command(s.plan, &s.text);
	has(&s, " --repository 'off' --storage-timeout 5000ms ");
	has_not(&s, "geheim");
	tear_down(&s);
}

static void
a_time_has_its_offset_and_stands_after_the_resets(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	s.plan->target = TARGET_TIME;
	s.plan->want.inclusive = false;
	s.cfg.action = ACTION_PAUSE;
	block(&s);
	has(&s, "recovery_target_time = '2000-01-01 00:00:00.000000+00'\n");
	has(&s, "recovery_target_inclusive = 'off'\n");
	has(&s, "recovery_target_action = 'pause'\n");
	assert_true(strstr(buf_str(&s.text), "recovery_target_lsn = ''") <
	    strstr(buf_str(&s.text), "recovery_target_time = '2000"));
	tear_down(&s);
}

static void
a_time_past_the_last_commit_becomes_the_last_records_lsn(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	s.plan->target = TARGET_TIME;
	s.plan->found.use_lsn = true;
	s.plan->found.event.lsn = 0x3000028;
	block(&s);
	s.plan->want.inclusive = false;
	block(&s);
	has(&s, "recovery_target_lsn = '0/3000028'\n");
	has(&s, "recovery_target_inclusive = 'on'\n");
	has_not(&s, "recovery_target_time = '2");
	tear_down(&s);
}

/* WAL after the target may be damaged or missing: it must not be asked for. */
static void
nothing_is_read_ahead_on_the_way_to_a_target(void **state)
{
	static const enum config_target targets[] = { TARGET_TIME, TARGET_XID,
		TARGET_LSN, TARGET_NAME, TARGET_IMMEDIATE };
	struct set s;
	size_t i;

	(void)state;
	set_up(&s);
	s.plan->inc.major = 15;
	s.plan->want.name = "x";
	block(&s);
	has_not(&s, "recovery_prefetch");
	for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		s.plan->target = targets[i];
		block(&s);
		has(&s, "recovery_prefetch = 'off'\n");
	}
	s.plan->inc.major = 14; /* does not know it */
	block(&s);
	has_not(&s, "recovery_prefetch");
	tear_down(&s);
}

static void
a_standby_archives_once_it_is_promoted(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	s.cfg.standby = true;
	block(&s);
	has_not(&s, "archive_mode");
	tear_down(&s);
}

static void
a_lost_timeline_is_not_looked_for(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	history_free(&s.plan->path);
	history_single(2, &s.plan->path);
	s.plan->target = TARGET_LSN;
	s.plan->reach.fork = 0x5000000;
	s.plan->reach.end_timeline = 1;
	block(&s);
	has(&s, "recovery_target_timeline = 'current'\n");
	tear_down(&s);
}

static void
what_fetching_said_last_is_kept(void **state)
{
	static const char text[] =
	    "dapk-backup archive-get: error: first\n  hint: one\n"
	    "x LOG:  something\n"
	    "dapk-backup archive-get: error: second\n  hint: two\n"
	    "  hint: none of it\n";
	struct startlog log;

	(void)state;
	startlog_init(&log);
	startlog_feed(&log, text, strlen(text));
	assert_string_equal(log.fetch_error, "second");
	assert_string_equal(log.fetch_hint, "two");
	startlog_free(&log);
}

static void
settings_are_read_as_postgresql_reads_them(void **state)
{
	static const char text[] = "#data_directory = 'no'\n"
	    "data_directory='/a b/it''s'  # x\n hba_file /etc/hba\n"
	    "data_directory_mode = 0700\nident_file = ''\n"
	    "HBA_FILE = '/last'";
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	command_setting(text, "data_directory", &b);
	assert_string_equal(buf_str(&b), "/a b/it's");
	command_setting(text, "hba_file", &b);
	assert_string_equal(buf_str(&b), "/last");
	command_setting(text, "ident_file", &b);
	assert_int_equal(b.len, 0);
	command_setting(text, "port", &b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

/* Debian's configuration inside the data directory of another place. */
static void
the_start_command_leads_away_from_the_sources_place(void **state)
{
	static const char conf[] = "data_directory = '/var/lib/old'\n"
	    "hba_file = '/etc/x/pg_hba.conf'\n";
	char dir[64] = "/tmp/dapk start XXXXXX";
	char *path, *command;
	struct set s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/postgresql.conf", dir);
	assert_int_equal(io_write_file_durable(path, conf, strlen(conf), 0600,
	    &err), 0);
	free(path);
	path = xasprintf("%s/pg_hba.conf", dir);
	assert_int_equal(io_write_file_durable(path, "", 0, 0600, &err), 0);
	set_up(&s);
	s.plan->dir = xstrdup(dir);
	assert_int_equal(command_find_settings(s.plan, &err), 0);
	assert_true(restore_start_needs_options(s.plan));
	command = restore_start_command(s.plan);
	buf_add_str(&s.text, command);
	has(&s, " -o '-c data_directory='");
	has_not(&s, " ' start"); /* no word is empty */
	has(&s, dir);
	has(&s, "/pg_hba.conf");
	has_not(&s, "/var/lib/old");
	free(command);
	tear_down(&s);
	free(path);
	assert_int_equal(io_remove_tree(dir, &err), 0);
}

static void
another_timeline_is_named_by_its_number(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	history_free(&s.plan->path);
	history_single(12, &s.plan->path);
	block(&s);
	has(&s, "recovery_target_timeline = '12'\n");
	s.cfg.standby = true;
	block(&s);
	has(&s, "recovery_target_timeline = 'latest'\n");
	tear_down(&s);
}

static void
a_name_keeps_its_quotes_and_backslashes(void **state)
{
	struct set s;

	(void)state;
	set_up(&s);
	s.plan->target = TARGET_NAME;
	s.plan->want.name = "it's a\\b\nc";
	block(&s);
	has(&s, "recovery_target_name = 'it''s a\\\\b\\nc'\n");
	tear_down(&s);
}

/* As PostgreSQL does: %% is %, %f and %p are the names. */
static void
expand(const char *command, struct buf *out)
{
	const char *p;

	for (p = command; *p != '\0'; p++)
		if (*p != '%')
			buf_add_byte(out, (uint8_t)*p);
		else if (*++p == '%')
			buf_add_byte(out, '%');
		else
			buf_add_str(out, *p == 'f' ? "FFF" : "pg_wal/PPP");
}

/* The shell gives the program the very words that were meant. */
static void
horrible_names_reach_the_program_unchanged(void **state)
{
	static const char script[] = "#!/bin/sh\nprintf '[%s]\\n' \"$@\"\n";
	char dir[64] = "/tmp/dapk-recovery-XXXXXX", url[128];
	char *program, *out;
	struct buf command, got;
	struct set s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	program = xasprintf("%s/%s", dir, HORROR);
	out = xasprintf("%s/out", dir);
	assert_int_equal(io_write_file_durable(program, script,
	    strlen(script), 0700, &err), 0);
	set_up(&s);
	s.plan->params.program = program;
	storage_close(s.repo.st);
	s.repo.st = NULL;
	(void)snprintf(url, sizeof(url), "file://%s/x", dir);
	assert_int_equal(storage_open(&s.repo.st, &(struct storage_settings){ .url = url }, &err), 0);
	s.cfg.state_directory = program;
	buf_init(&command, RECOVERY_CONF_MAX);
	buf_init(&got, RECOVERY_CONF_MAX);
	recovery_command(s.plan, &s.text);
	expand(buf_str(&s.text), &command);
	buf_printf(&command, " > %s", out);
	assert_int_equal(system(buf_str(&command)), 0);
	assert_int_equal(io_read_file(out, &got, &err), 0);
	assert_non_null(strstr(buf_str(&got), HORROR "]\n[FFF]\n[pg_wal/PPP]"));
	buf_free(&command);
	buf_free(&got);
	tear_down(&s);
	assert_int_equal(io_remove_tree(dir, &err), 0);
	free(program);
	free(out);
}

static void
settings_of_an_earlier_restore_are_taken_out(void **state)
{
	static const char old[] = "# Do not edit\n"
				  "archive_mode = 'off'\n"
				  "work_mem = '64MB'\n"
				  "Restore_Command = 'cp x'\n"
				  " recovery_target_time='2001-01-01'\n"
				  "recovery_prefetch = off\n" RECOVERY_BEGIN
				  "archive_mode = 'off'\n"
				  "restore_command = 'old'\n" RECOVERY_END
				  "max_connections = 7";
	struct buf b;

	(void)state;
	buf_init(&b, RECOVERY_CONF_MAX);
	recovery_strip(old, strlen(old), false, &b);
	assert_string_equal(buf_str(&b), "# Do not edit\n"
	    "archive_mode = 'off'\nwork_mem = '64MB'\n"
	    "recovery_prefetch = off\nmax_connections = 7\n");
	buf_clear(&b);
	recovery_strip(old, strlen(old), true, &b);
	assert_null(strstr(buf_str(&b), "archive_mode"));
	buf_clear(&b);
	recovery_strip("", 0, true, &b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

/* The server's own words, in pieces as they may be read. */
static void
the_servers_log_tells_where_recovery_stopped(void **state)
{
	static const char text[] =
	    "2026-11-22 20:00:00 UTC [1] LOG:  restored log file "
	    "\"000000010000000000000017\" from archive\n"
	    "x LOG:  consistent recovery state reached at 0/17000100\n"
	    "x LOG:  recovery stopping before commit of transaction 9012, "
	    "time 2026-11-22 20:03:28.344193+00\n"
	    "x LOG:  redo done at 0/1DAD2198 system usage: CPU: user: 0\n"
	    "x LOG:  last completed transaction was at log time "
	    "2000-01-01 00:00:01+00\n"
	    "x LOG:  selected new timeline ID: 2\n"
	    "x LOG:  archive recovery complete\n"
	    "x LOG:  database system is ready to accept connections\n";
	struct startlog log;
	size_t i;

	(void)state;
	startlog_init(&log);
	for (i = 0; i < strlen(text); i += 7)
		startlog_feed(&log, text + i,
		    strlen(text) - i < 7 ? strlen(text) - i : 7);
	assert_true(log.consistent && log.promoted && log.ready);
	assert_int_equal(log.stop, STOP_XACT);
	assert_false(log.stop_after);
	assert_int_equal(log.stop_xid, 9012);
	assert_int_equal(log.redo_done, 0x1DAD2198);
	assert_int_equal(log.last_commit_time, 1000000);
	assert_int_equal(log.timeline, 2);
	assert_string_equal(log.segment, "000000010000000000000017");
	startlog_free(&log);
}

static void
the_setting_that_recovery_refuses_is_named(void **state)
{
	static const char text[] =
	    "x FATAL:  recovery aborted because of insufficient parameter "
	    "settings\n"
	    "x DETAIL:  max_connections = 20 is a lower setting than on the "
	    "primary server, where its value was 100.\n"
	    "x HINT:  You can restart the server after making the necessary "
	    "configuration changes.\n"
	    "x LOG:  startup process exited\n";
	struct startlog log;

	(void)state;
	startlog_init(&log);
	startlog_feed(&log, text, strlen(text));
	assert_true(log.insufficient);
	assert_string_equal(log.setting, "max_connections");
	assert_string_equal(log.setting_value, "100");
	assert_non_null(strstr(buf_str(&log.fatal), "FATAL:  recovery"));
	assert_null(strstr(buf_str(&log.fatal), "exited"));
	startlog_free(&log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    without_a_target_recovery_runs_to_the_end_of_the_archive),
		cmocka_unit_test(
		    the_chosen_repository_is_named_with_all_that_reading_it_takes),
		cmocka_unit_test(
		    a_time_has_its_offset_and_stands_after_the_resets),
		cmocka_unit_test(
		    a_time_past_the_last_commit_becomes_the_last_records_lsn),
		cmocka_unit_test(nothing_is_read_ahead_on_the_way_to_a_target),
		cmocka_unit_test(a_standby_archives_once_it_is_promoted),
		cmocka_unit_test(a_lost_timeline_is_not_looked_for),
		cmocka_unit_test(what_fetching_said_last_is_kept),
		cmocka_unit_test(settings_are_read_as_postgresql_reads_them),
		cmocka_unit_test(
		    the_start_command_leads_away_from_the_sources_place),
		cmocka_unit_test(another_timeline_is_named_by_its_number),
		cmocka_unit_test(a_name_keeps_its_quotes_and_backslashes),
		cmocka_unit_test(horrible_names_reach_the_program_unchanged),
		cmocka_unit_test(settings_of_an_earlier_restore_are_taken_out),
		cmocka_unit_test(the_servers_log_tells_where_recovery_stopped),
		cmocka_unit_test(the_setting_that_recovery_refuses_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
