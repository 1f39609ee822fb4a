/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "core/mem.h"

#define ARGS_MAX 16

static char *args[ARGS_MAX];
static int n_args;

/* Split at blanks; parse. */
static int
parse(const char *line, struct parsed *p, struct err *err)
{
	static char text[512];
	char *save = NULL, *word;

	err_clear(err);
	(void)snprintf(text, sizeof(text), "dapk-backup %s", line);
	n_args = 0;
	for (word = strtok_r(text, " ", &save); word != NULL;
	    word = strtok_r(NULL, " ", &save))
		args[n_args++] = word;
	args[n_args] = NULL;
	return parse_arguments(n_args, args, p, err);
}

static const char *
value(const struct parsed *p, const char *name)
{
	const char *v = NULL;
	size_t i;

	for (i = 0; i < p->n_given; i++) {
		if (strcmp(p->given[i].option->name, name) == 0)
			v = p->given[i].value;
	}
	return v;
}

static void
refused(const char *line, const char *message, const char *hint)
{
	struct parsed p;
	struct err err = ERR_INIT;

	if (parse(line, &p, &err) == 0)
		fail_msg("accepted: %s", line);
	assert_int_equal(err.code, ERR_USAGE);
	if (strstr(err.msg, message) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", line, err.msg, message);
	if (hint != NULL && strstr(err.hint, hint) == NULL)
		fail_msg("%s: hint \"%s\" lacks \"%s\"", line, err.hint,
		    hint);
	parsed_free(&p);
}

static void
options_may_stand_before_and_after_the_command(void **state)
{
	struct parsed p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse("--config /c -j 2 backup --max-rate=1MB "
	    "--dry-run -D /d", &p, &err), 0);
	assert_string_equal(p.command->name, "backup");
	assert_string_equal(value(&p, "config"), "/c");
	assert_string_equal(value(&p, "jobs"), "2");
	assert_string_equal(value(&p, "max-rate"), "1MB");
	assert_string_equal(value(&p, "dry-run"), "yes");
	assert_string_equal(value(&p, "pgdata"), "/d");
	assert_int_equal(p.n_arguments, 0);
	parsed_free(&p);
}

static void
a_short_option_means_what_its_command_says(void **state)
{
	struct parsed p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse("restore -D /d -nq", &p, &err), 0);
	assert_string_equal(value(&p, "directory"), "/d");
	assert_null(value(&p, "pgdata"));
	assert_string_equal(value(&p, "dry-run"), "yes");
	assert_string_equal(value(&p, "quiet"), "yes");
	parsed_free(&p);
	assert_int_equal(parse("backup -h/run -j8", &p, &err), 0);
	assert_string_equal(value(&p, "host"), "/run");
	assert_string_equal(value(&p, "jobs"), "8");
	assert_false(p.help);
	parsed_free(&p);
}

static void
dash_h_is_help_where_it_is_no_host(void **state)
{
	struct parsed p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse("-h", &p, &err), 0);
	assert_true(p.help);
	assert_null(p.command);
	parsed_free(&p);
	assert_int_equal(parse("info -h", &p, &err), 0);
	assert_true(p.help);
	parsed_free(&p);
	assert_int_equal(parse("help restore", &p, &err), 0);
	assert_true(p.help);
	assert_string_equal(p.command->name, "restore");
	parsed_free(&p);
	/* help for a command line that would be refused otherwise */
	assert_int_equal(parse("archive-get --help", &p, &err), 0);
	assert_true(p.help);
	parsed_free(&p);
	assert_int_equal(parse("--version", &p, &err), 0);
	assert_true(p.version);
	parsed_free(&p);
}

static void
switches_can_be_turned_off(void **state)
{
	struct parsed p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse("archive-push --no-wal-header-check x", &p,
	    &err), 0);
	assert_string_equal(value(&p, "wal-header-check"), "no");
	assert_string_equal(p.arguments[0], "x");
	parsed_free(&p);
	assert_int_equal(parse("archive-push --wal-header-check=off x", &p,
	    &err), 0);
	assert_string_equal(value(&p, "wal-header-check"), "off");
	parsed_free(&p);
	refused("backup --no-jobs", "unknown option --no-jobs", NULL);
	refused("archive-push --no-all=yes x", "takes no value", NULL);
}

static void
arguments_are_counted(void **state)
{
	struct parsed p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse("archive-get -- -name- --dest", &p, &err), 0);
	assert_int_equal(p.n_arguments, 2);
	assert_string_equal(p.arguments[0], "-name-");
	assert_string_equal(p.arguments[1], "--dest");
	parsed_free(&p);
	refused("archive-push", "path of the WAL file", "archive-push");
	refused("archive-push a b", "too many arguments, from \"b\"",
	    "PATH");
	refused("archive-get a", "where to put it", "NAME DEST");
	refused("backup main", "too many arguments, from \"main\"", NULL);
	refused("", "no command", "--help");
}

static void
mistakes_are_named_with_the_nearest_right_word(void **state)
{
	(void)state;
	refused("bakcup", "unknown command bakcup", "backup");
	refused("frobnicate", "unknown command frobnicate", "--help");
	refused("backup --job 3", "unknown option --job", "--jobs");
	refused("backup --max_rate=3", "unknown option --max_rate",
	    "--max-rate");
	refused("restore --target-tiem now", "--target-tiem",
	    "--target-time");
	refused("backup --target-time now", "backup takes no option",
	    "restore");
	refused("info -j 3", "info takes no option -j", "backup");
	refused("restore --pgdata /x", "restore takes no option --pgdata",
	    "--directory");
	refused("backup -Z", "unknown option -Z", "backup --help");
	refused("backup --jobs", "--jobs needs a value: N", NULL);
	refused("backup -j", "-j needs a value: N", NULL);
	refused("help restoer", "unknown command", "restore");
}

/* What a code means to PostgreSQL must never change by accident. */
static void
exit_codes_are_the_documented_ones(void **state)
{
	static const int plain[] = { [ERR_BUG] = 70, [ERR_USAGE] = 2,
		[ERR_CONFIG] = 2, [ERR_IO] = 3, [ERR_NOT_FOUND] = 1,
		[ERR_EXISTS] = 3, [ERR_DAMAGED] = 5, [ERR_UNSUPPORTED] = 5,
		[ERR_LOCKED] = 6, [ERR_STORAGE] = 3, [ERR_POSTGRES] = 4,
		[ERR_REFUSED] = 1 };
	struct err err = ERR_INIT;
	int code, c;

	(void)state;
	for (c = ERR_BUG; c <= ERR_REFUSED; c++) {
		err.code = (enum err_code)c;
		assert_int_equal(cli_exit_code(COMMAND_BACKUP, &err, false),
		    plain[c]);
		code = cli_exit_code(COMMAND_ARCHIVE_PUSH, &err, false);
		assert_in_range(code, 1, 125);
		code = cli_exit_code(COMMAND_ARCHIVE_GET, &err, false);
		assert_int_equal(code, c == ERR_NOT_FOUND ? 1 : 126);
		code = cli_exit_code(COMMAND_ARCHIVE_GET, &err, true);
		assert_in_range(code, 1, 125);
		assert_true(c == ERR_NOT_FOUND || code != 1);
	}
	err.code = ERR_CANCELLED;
	assert_in_range(cli_exit_code(COMMAND_ARCHIVE_PUSH, &err, false), 1,
	    125);
	assert_int_equal(cli_exit_code(COMMAND_ARCHIVE_GET, &err, false),
	    126);
}

/*
 * A restored server runs archive-get with its source's configuration: the
 * file must go into its own pg_wal, never into the source's.
 */
static void
the_current_data_directory_beats_the_configured_one(void **state)
{
	char dir[] = "/tmp/dapk-test-parse-XXXXXX";
	struct config cfg = { .pgdata = dir };
	int here = open(".", O_RDONLY | O_DIRECTORY);
	int fd;

	(void)state;
	assert_true(here >= 0);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_ptr_equal(cli_server_directory(&cfg), dir);
	assert_int_equal(mkdir("global", 0700), 0);
	fd = open("global/pg_control", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_null(cli_server_directory(&cfg));
	cfg.pgdata_given = true;
	assert_ptr_equal(cli_server_directory(&cfg), dir);
	assert_int_equal(unlink("global/pg_control"), 0);
	assert_int_equal(rmdir("global"), 0);
	assert_int_equal(fchdir(here), 0);
	assert_int_equal(close(here), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    options_may_stand_before_and_after_the_command),
		cmocka_unit_test(a_short_option_means_what_its_command_says),
		cmocka_unit_test(dash_h_is_help_where_it_is_no_host),
		cmocka_unit_test(switches_can_be_turned_off),
		cmocka_unit_test(arguments_are_counted),
		cmocka_unit_test(
		    mistakes_are_named_with_the_nearest_right_word),
		cmocka_unit_test(exit_codes_are_the_documented_ones),
		cmocka_unit_test(
		    the_current_data_directory_beats_the_configured_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
