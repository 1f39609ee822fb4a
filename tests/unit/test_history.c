/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg/history.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char three[] =
    "1\t0/5000098\tno recovery target specified\n"
    "\n"
    "2\t0/7000000\tbefore 2026-01-01 00:00:00+00\n";

static void
a_path_of_three_timelines_is_read(void **state)
{
	struct err err = ERR_INIT;
	struct history h;

	assert_int_equal(history_decode(3, three, strlen(three), &h, &err), 0);
	assert_int_equal(h.timeline, 3);
	assert_int_equal(h.n, 3);
	assert_int_equal(h.entries[0].timeline, 1);
	assert_true(h.entries[0].begin == 0);
	assert_true(h.entries[0].end == 0x5000098);
	assert_true(h.entries[1].begin == 0x5000098);
	assert_true(h.entries[1].end == 0x7000000);
	assert_int_equal(h.entries[2].timeline, 3);
	assert_true(h.entries[2].begin == 0x7000000);
	assert_true(h.entries[2].end == UINT64_MAX);
	history_free(&h);
}

static void
a_location_belongs_to_the_timeline_that_wrote_it(void **state)
{
	struct err err = ERR_INIT;
	struct history h;

	assert_int_equal(history_decode(3, three, strlen(three), &h, &err), 0);
	assert_int_equal(history_at(&h, 0)->timeline, 1);
	assert_int_equal(history_at(&h, 0x5000097)->timeline, 1);
	assert_int_equal(history_at(&h, 0x5000098)->timeline, 2);
	assert_int_equal(history_at(&h, 0x7000000)->timeline, 3);
	assert_int_equal(history_at(&h, UINT64_MAX)->timeline, 3);
	assert_null(history_find(&h, 4));
	assert_true(history_contains(&h, 1, 0x5000098)); /* left at */
	assert_false(history_contains(&h, 1, 0x5000099));
	assert_true(history_contains(&h, 3, UINT64_C(0x900000000)));
	assert_false(history_contains(&h, 4, 0x1000000));
	history_free(&h);
}

/* TRAPS T27. */
static void
an_empty_file_and_timeline_1_have_one_entry(void **state)
{
	static const char *const texts[] = { "", "\n", "# 1 0/1 x\n",
		"  \t\n#\n" };
	struct err err = ERR_INIT;
	struct history h;
	size_t i;

	for (i = 0; i < N(texts); i++) {
		assert_int_equal(history_decode(2, texts[i], strlen(texts[i]),
		    &h, &err), 0);
		assert_int_equal(h.n, 1);
		assert_int_equal(h.entries[0].timeline, 2);
		assert_true(h.entries[0].begin == 0);
		history_free(&h);
	}
	history_single(1, &h);
	assert_int_equal(h.n, 1);
	assert_int_equal(history_at(&h, 99)->timeline, 1);
	history_free(&h);
	history_free(&h);
	history_free(NULL);
}

/* TRAPS T26: decimal in the file, hexadecimal in its name. */
static void
timeline_numbers_in_the_file_are_decimal(void **state)
{
	static const char text[] = "10\tA/B000000\tx";
	struct err err = ERR_INIT;
	struct history h;

	assert_int_equal(history_decode(11, text, strlen(text), &h, &err), 0);
	assert_int_equal(h.entries[0].timeline, 10);
	assert_true(h.entries[0].end == UINT64_C(0xa0b000000));
	history_free(&h);
}

static void
a_file_that_makes_no_sense_is_damaged(void **state)
{
	static const struct {
		uint32_t timeline;
		const char *text;
	} cases[] = {
		{ 0, "" },
		{ 3, "x\t0/1\n" },
		{ 3, "1\n" },
		{ 3, "1\t0-1\n" },
		{ 3, "1\t0/\n" },
		{ 3, "A\t0/1\n" },
		{ 3, "0\t0/1\n" },
		{ 3, "4294967297\t0/1\n" },
		{ 3, "3\t0/1\n" },
		{ 3, "4\t0/1\n" },
		{ 3, "2\t0/5\tx\n1\t0/6\tx\n" },
		{ 3, "1\t0/5\tx\n1\t0/6\tx\n" },
		{ 3, "1\t0/5\tx\n2\t0/4\tx\n" },
	};
	struct history h;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(history_decode(cases[i].timeline,
		    cases[i].text, strlen(cases[i].text), &h, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
	}
}

static void
a_null_byte_is_damage_not_an_end(void **state)
{
	struct err err = ERR_INIT;
	struct history h;

	assert_int_equal(history_decode(3, "1\t0/5\n\0junk", 11, &h, &err),
	    -1);
	assert_int_equal(err.code, ERR_DAMAGED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_of_three_timelines_is_read),
		cmocka_unit_test(
		    a_location_belongs_to_the_timeline_that_wrote_it),
		cmocka_unit_test(an_empty_file_and_timeline_1_have_one_entry),
		cmocka_unit_test(timeline_numbers_in_the_file_are_decimal),
		cmocka_unit_test(a_file_that_makes_no_sense_is_damaged),
		cmocka_unit_test(a_null_byte_is_damage_not_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
