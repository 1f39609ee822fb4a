/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/time.h"

/* With the rules in the variable no zone files are needed. */
static void
set_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

/* To seconds since 1970. */
static int64_t
parse(const char *s)
{
	struct err err = ERR_INIT;
	bool local = false;
	int64_t t = 0;

	if (time_parse(s, &t, &local, &err) != 0)
		fail_msg("%s: %s", s, err.msg);
	return t / 1000000 + TIME_UNIX_EPOCH_OFFSET;
}

static void
refuse(const char *s)
{
	struct err err = ERR_INIT;
	bool local = false;
	int64_t t = 0;

	if (time_parse(s, &t, &local, &err) == 0)
		fail_msg("'%s' was taken for a time", s);
	assert_int_equal(err.code, ERR_USAGE);
	assert_string_not_equal(err.hint, "");
}

static void
zones_shift_the_clock(void **state)
{
	assert_int_equal(parse("2000-01-01 00:00:00Z"), 946684800);
	assert_int_equal(parse("2000-01-01T00:00:00+00"), 946684800);
	assert_int_equal(parse("2000-01-01 00:00 UTC"), 946684800);
	assert_int_equal(parse("2000-01-01 05:30:00+05:30"), 946684800);
	assert_int_equal(parse("1999-12-31 16:00:00-0800"), 946684800);
	assert_int_equal(parse("2000-01-01 01:00:00 +01"), 946684800);
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = { "", "yesterday", "13am",
		"2026-02-30 00:00:00Z", "2026-13-01 00:00:00Z",
		"2026-01-01", "2026-01-01 24:61:00Z", "2026-01-01 13am",
		"2026-01-01 12:00:00 am", "2026-01-01 12:00:00+99",
		"2026-01-01 12:00:00+1", "2026-01-01 12:00:00.Z",
		"2026-01-01 12:00:60Z", "26-01-01 12:00:00Z",
		"2026-01-01 12:00:00Zx", "2026-1-1 12:00:00Z",
		"2025-02-29 12:00:00Z", "2026-01-01 12:00:00 CET" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i]);
	assert_int_equal(parse("2024-02-29 00:00:00Z"), 1709164800);
}

static void
fractions_are_microseconds(void **state)
{
	struct err err = ERR_INIT;
	char text[TIME_TEXT_MAX];
	bool local;
	int64_t t;

	assert_int_equal(time_parse("2000-01-01 00:00:00.5Z", &t, &local,
	    &err), 0);
	assert_int_equal(t, 500000);
	assert_false(local);
	assert_int_equal(time_parse("2000-01-01 00:00:00.1234567Z", &t, &local,
	    &err), 0);
	assert_int_equal(t, 123456);
	assert_int_equal(time_parse("1999-12-31 23:59:59.999999Z", &t, &local,
	    &err), 0);
	assert_int_equal(t, -1);
	assert_string_equal(time_format(-1, text),
	    "1999-12-31 23:59:59.999999+00");
}

static void
what_is_formatted_is_parsed_back(void **state)
{
	static const int64_t times[] = { 0, 1, -1, 848669467123456,
		-946684800000000, 4102444800000000 };
	struct err err = ERR_INIT;
	char text[TIME_TEXT_MAX];
	bool local;
	int64_t back;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_int_equal(time_parse(time_format(times[i], text), &back,
		    &local, &err), 0);
		assert_true(back == times[i]);
		assert_false(local);
	}
	assert_string_equal(time_format(848669467123456, text),
	    "2026-11-22 13:31:07.123456+00");
}

static void
without_a_zone_the_local_one_is_meant_and_told(void **state)
{
	struct err err = ERR_INIT;
	bool local = false;
	int64_t t;

	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	assert_int_equal(time_parse("2026-07-01 14:00:00", &t, &local, &err),
	    0);
	assert_true(local);
	assert_int_equal(t / 1000000 + TIME_UNIX_EPOCH_OFFSET, 1782907200);
	assert_int_equal(parse("2026-01-01 13:00:00"), 1767268800);
	set_zone("UTC");
	assert_int_equal(parse("2026-01-01 12:00:00"), 1767268800);
}

static void
local_times_that_a_clock_change_skips_or_repeats_are_refused(void **state)
{
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	refuse("2026-03-29 02:30:00"); /* skipped */
	refuse("2026-10-25 02:30:00"); /* twice */
	assert_int_equal(parse("2026-03-29 01:59:59"), 1774745999);
	assert_int_equal(parse("2026-03-29 03:00:00"), 1774746000);
	assert_int_equal(parse("2026-10-25 01:59:59"), 1792886399);
	assert_int_equal(parse("2026-10-25 03:00:00"), 1792893600);
	/* With an offset both hours have a name. */
	assert_int_equal(parse("2026-10-25 02:30:00+02"), 1792888200);
	assert_int_equal(parse("2026-10-25 02:30:00+01"), 1792891800);
	set_zone("UTC");
}

static void
the_monotonic_clock_does_not_go_back(void **state)
{
	int64_t a = time_monotonic(), b;

	time_sleep_ms(1);
	b = time_monotonic();
	assert_true(b - a >= 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zones_shift_the_clock),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(fractions_are_microseconds),
		cmocka_unit_test(what_is_formatted_is_parsed_back),
		cmocka_unit_test(without_a_zone_the_local_one_is_meant_and_told),
		cmocka_unit_test(
		    local_times_that_a_clock_change_skips_or_repeats_are_refused),
		cmocka_unit_test(the_monotonic_clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
