/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/progress.h"
#include "core/log.h"

#define MB ((uint64_t)1 << 20)
#define SECOND INT64_C(1000000)

static void
a_line_says_percent_bytes_rate_and_time_left(void **state)
{
	char line[PROGRESS_LINE_MAX];

	(void)state;
	progress_line(line, 120, "copying", 250 * MB, 1000 * MB, 250 * MB,
	    10 * SECOND);
	assert_memory_equal(line, "copying  25% [", 14);
	assert_non_null(strstr(line, "250 MB of 1000 MB, 25 MB/s, 0:30 "
	    "left"));
	assert_non_null(strstr(line, "[##########..............................]"));
}

static void
a_line_never_reaches_the_last_column(void **state)
{
	char line[PROGRESS_LINE_MAX];
	unsigned width;

	(void)state;
	for (width = 0; width < 300; width++) {
		progress_line(line, width, "waiting for WAL in the "
		    "repository", 599 * MB, 600 * MB, 599 * MB, SECOND);
		assert_true(strlen(line) < (width < 2 ? 2 : width));
		assert_true(strlen(line) < PROGRESS_LINE_MAX);
		progress_line(line, width, "copying", 1, 0, 0, 0);
		assert_true(strlen(line) < (width < 2 ? 2 : width));
	}
	progress_line(line, 20, "copying", 300 * MB, 600 * MB, 1, 1);
	assert_string_equal(line, "50%");
}

static void
nothing_is_promised_before_something_is_known(void **state)
{
	char line[PROGRESS_LINE_MAX];

	(void)state;
	progress_line(line, 120, "waiting for the checkpoint", 0, 0, 0, 0);
	assert_string_equal(line, "waiting for the checkpoint");
	progress_line(line, 120, "copying", 0, 600 * MB, 0, 5 * SECOND);
	assert_null(strstr(line, "left"));
	progress_line(line, 120, "copying", MB, 600 * MB, MB, SECOND / 10);
	assert_null(strstr(line, "left"));
}

static void
more_than_all_is_shown_as_all(void **state)
{
	char line[PROGRESS_LINE_MAX];

	(void)state;
	progress_line(line, 120, "copying", 700 * MB, 600 * MB, 700 * MB,
	    SECOND);
	assert_non_null(strstr(line, "100%"));
	assert_non_null(strstr(line, "600 MB of 600 MB"));
	assert_non_null(strstr(line, "0:00 left"));
}

/* Standard error as a file meanwhile; returns what was written. */
static size_t
written(enum config_progress when, unsigned updates, char *out, size_t size)
{
	struct config cfg = { .progress = when };
	struct progress p;
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t n;
	unsigned i;

	assert_non_null(f);
	assert_true(saved >= 0);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	progress_start(&p, &cfg);
	for (i = 0; i < updates; i++)
		progress_update(&p, "copying", i, updates);
	log_info("a message");
	progress_end(&p);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_int_equal(close(saved), 0);
	rewind(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	assert_int_equal(fclose(f), 0);
	return n;
}

static void
without_a_terminal_auto_shows_nothing(void **state)
{
	char out[1000];

	(void)state;
	(void)written(PROGRESS_AUTO, 1000, out, sizeof(out));
	assert_string_equal(out, "dapk-backup: a message\n");
	(void)written(PROGRESS_NEVER, 1000, out, sizeof(out));
	assert_string_equal(out, "dapk-backup: a message\n");
}

static void
many_updates_are_few_redraws(void **state)
{
	char out[10000];

	(void)state;
	(void)written(PROGRESS_ALWAYS, 100000, out, sizeof(out));
	/* one line, since all of it takes less than ten seconds */
	assert_non_null(strstr(out, "copying   0%"));
	assert_null(strstr(strstr(out, "copying") + 1, "copying"));
	assert_null(strchr(out, '\r'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_percent_bytes_rate_and_time_left),
		cmocka_unit_test(a_line_never_reaches_the_last_column),
		cmocka_unit_test(
		    nothing_is_promised_before_something_is_known),
		cmocka_unit_test(more_than_all_is_shown_as_all),
		cmocka_unit_test(without_a_terminal_auto_shows_nothing),
		cmocka_unit_test(many_updates_are_few_redraws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
