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
#include <time.h>

#include "core/mem.h"
#include "core/time.h"
#include "report/html.h"
#include "report/report.h"
#include "report/scale.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

static int64_t
at(const char *text)
{
	struct err err = ERR_INIT;
	bool local;
	int64_t t;

	if (time_parse(text, &t, &local, &err) != 0)
		fail_msg("%s: %s", text, err.msg);
	return t;
}

static void
assert_html(const char *text, const char *expected)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_non_null(f);
	html_text(f, text);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(out, expected);
	free(out);
}

static void
text_from_outside_stays_text(void **state)
{
	(void)state;
	assert_html("<script>alert(\"x\" & 'y')</script>",
	    "&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)"
	    "&lt;/script&gt;");
	assert_html("&lt;", "&amp;lt;");
	assert_html(NULL, "");
	assert_html("a\nb\tc", "a b c");
	assert_html("Stra\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80",
	    "Stra\xc3\x9f" "e \xe2\x82\xac \xf0\x9f\x98\x80");
}

#define BAD "\xef\xbf\xbd"

static void
what_is_no_text_is_replaced(void **state)
{
	(void)state;
	assert_html("\xff", BAD);
	assert_html("a\xc3", "a" BAD);
	assert_html("\xc3<", BAD "&lt;");	   /* hides no bracket */
	assert_html("\xc0\xbc", BAD BAD);	   /* overlong '<' */
	assert_html("\xe0\x80\xbc", BAD BAD BAD);  /* likewise */
	assert_html("\xed\xa0\x80", BAD BAD BAD);  /* half a pair */
	assert_html("\xf5\x80\x80\x80", BAD BAD BAD BAD);
	assert_html("\x01\x1b[31m\x7f", BAD BAD "[31m" BAD);
	assert_html("\xc2\x9b", BAD BAD);	   /* a terminal's control */
	assert_html("a\xe2\x80\xae" "b", "a" BAD BAD BAD "b"); /* turned */
}

static void
a_moment_lies_between_the_edges(void **state)
{
	const struct scale s = { 1000, 3000 };

	(void)state;
	assert_true(scale_x(&s, 1000) == 0);
	assert_true(scale_x(&s, 2000) == 50);
	assert_true(scale_x(&s, 3000) == 100);
	assert_true(scale_x(&s, INT64_MIN) == 0);
	assert_true(scale_x(&s, INT64_MAX) == 100);
}

static void
assert_ticks(const char *from, const char *to, const char *labels)
{
	const struct scale s = { at(from), at(to) };
	struct scale_tick ticks[SCALE_TICKS_MAX];
	size_t n = scale_ticks(&s, ticks), i;
	char all[256] = "";

	for (i = 0; i < n; i++) {
		assert_in_range(ticks[i].at, s.from, s.to);
		if (i > 0)
			assert_true(ticks[i].at > ticks[i - 1].at);
		(void)strcat(strcat(all, i == 0 ? "" : ","), ticks[i].label);
	}
	assert_string_equal(all, labels);
}

static void
ticks_are_round_and_few(void **state)
{
	(void)state;
	assert_ticks("2026-11-22 14:31:07", "2026-11-22 14:41:07",
	    "14:32,14:34,14:36,14:38,14:40");
	assert_ticks("2026-11-21 20:00", "2026-11-22 20:00",
	    "22 Nov,06:00,12:00,18:00");
	assert_ticks("2026-10-20 10:00", "2026-11-23 10:00",
	    "21 Oct,26 Oct,1 Nov,6 Nov,11 Nov,16 Nov,21 Nov");
	assert_ticks("2026-02-10 00:00", "2026-11-23 00:00",
	    "Mar 2026,May 2026,Jul 2026,Sep 2026,Nov 2026");
	assert_ticks("2017-02-10 00:00", "2026-11-23 00:00",
	    "2018,2020,2022,2024,2026");
}

static void
ticks_never_overflow(void **state)
{
	struct scale_tick ticks[SCALE_TICKS_MAX];
	struct scale s = { at("2026-03-01 00:00"), 0 };
	int64_t span;

	(void)state;
	for (span = SECOND; span < 69 * 365 * DAY;
	    span += span / 7 + 1) {
		s.to = s.from + span;
		assert_true(scale_ticks(&s, ticks) <= SCALE_TICKS_MAX);
		if (span > HOUR)
			assert_true(scale_ticks(&s, ticks) >= 2);
	}
}

static void
bars_fill_the_time_without_a_hole(void **state)
{
	struct scale_bar bars[SCALE_BARS_MAX];
	struct scale s = { at("2026-03-27 13:15"), 0 };
	const char *name = "";
	int64_t span;
	size_t n, i;

	(void)state;
	for (span = SECOND; span < 90 * 365 * DAY; span += span / 5 + 1) {
		s.to = s.from + span;
		n = scale_bars(&s, bars, &name);
		assert_in_range(n, 1, SCALE_BARS_MAX);
		assert_true(bars[0].from <= s.from && bars[n - 1].to >= s.to);
		for (i = 1; i < n; i++)
			assert_true(bars[i].from == bars[i - 1].to);
		for (i = 0; i < n; i++) {
			assert_int_equal(scale_bar_of(bars, n, bars[i].from),
			    i);
			assert_int_equal(scale_bar_of(bars, n, bars[i].to -
			    1), i);
		}
		assert_int_equal(scale_bar_of(bars, n, bars[0].from - 1), n);
		assert_int_equal(scale_bar_of(bars, n, bars[n - 1].to), n);
	}
	assert_string_equal(name, "year");
	s.to = s.from + 30 * DAY;
	assert_in_range(scale_bars(&s, bars, &name), 30, 32);
	assert_string_equal(name, "day");
}

static void
a_day_is_a_day_where_clocks_change(void **state)
{
	(void)state;
	(void)setenv("TZ", "Europe/Berlin", 1);
	tzset();
	bars_fill_the_time_without_a_hole(state);
	ticks_never_overflow(state);
	(void)setenv("TZ", "UTC", 1);
	tzset();
}

static void
a_scale_ends_at_a_round_size(void **state)
{
	(void)state;
	assert_int_equal(scale_round_up(0), 1);
	assert_int_equal(scale_round_up(1000), 1024);
	assert_int_equal(scale_round_up(4 << 20), 5 << 20);
	assert_int_equal(scale_round_up((UINT64_C(90) << 30) + 1),
	    UINT64_C(100) << 30);
	assert_true(scale_round_up(UINT64_MAX) == UINT64_MAX);
}

static void
the_largest_tables_are_kept_and_all_are_counted(void **state)
{
	struct report_tables t = { 0 };
	struct report_table one = { 0 };
	char name[16];
	uint64_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "t%d", (int)(i * 7 % 1000));
		one.name = name;
		one.bytes = i * 7 % 1000;
		report_tables_add(&t, &one);
	}
	assert_int_equal(t.n, REPORT_TABLES_MAX);
	assert_int_equal(t.all, 1000);
	assert_int_equal(t.bytes, 999 * 1000 / 2);
	for (i = 0; i < t.n; i++)
		assert_int_equal(t.list[i].bytes, 999 - i);
	assert_string_equal(t.list[0].name, "t999");
	report_tables_free(&t);
}

#define SEGMENT(n) "0000000100000000000000" n

/* Two windows of one timeline; between them segments 03 and 04 are missing. */
static char *
page_with_hole(bool let_go)
{
	struct removed gone = { .name = let_go ? xstrdup("wal-" SEGMENT("04")
	    "-" SEGMENT("03")) : xstrdup("wal-" SEGMENT("01") "-"
	    SEGMENT("01")) };
	struct wal_range ranges[2] = {
		{ 1, SEGMENT("01"), SEGMENT("02"), 2, 100 },
		{ 1, SEGMENT("05"), SEGMENT("09"), 5, 100 },
	};
	struct info_backup backups[2];
	struct info_window windows[2];
	struct info_incarnation inc = { .backups = { backups, .n = 2 },
		.windows = windows, .n_windows = 2, .ranges = ranges,
		.n_ranges = 2, .removed = { &gone, 1 },
		.wal_segment_size = 1 << 20 };
	struct info info = { .incarnations = &inc, .n = 1 };
	struct notes facts = { 0 };
	struct notes_judgement judgement = { .verdict = NOTES_OK };
	const struct report_place place = { .url = "file:///x",
		.facts = &facts, .judgement = &judgement, .info = &info };
	const struct report r = { .cluster = "main", .host = "h",
		.version = "1", .now = at("2026-11-23 12:00"),
		.places = &place, .n_places = 1 };
	char *out = NULL;
	size_t len, i;
	FILE *f = open_memstream(&out, &len);

	memset(backups, 0, sizeof(backups));
	memset(windows, 0, sizeof(windows));
	for (i = 0; i < 2; i++) {
		backups[i].usable = true;
		backups[i].commit.start_time = r.now - (int64_t)(20 - 10 * i) *
		    DAY;
		backups[i].commit.stop_time = backups[i].commit.start_time + 1;
		windows[i].backup = i;
		windows[i].reach.end_timeline = 1;
		windows[i].reach.proven_time = backups[i].commit.stop_time +
		    HOUR;
	}
	windows[0].reach.gap = true;
	(void)strcpy(windows[0].reach.missing, SEGMENT("03"));
	assert_non_null(f);
	report_write(&r, f);
	assert_int_equal(fclose(f), 0);
	free(gone.name);
	return out;
}

static void
wal_that_retention_let_go_is_no_gap(void **state)
{
	char *lost = page_with_hole(false), *gone = page_with_hole(true);

	(void)state;
	assert_non_null(strstr(lost, "Gap:"));
	assert_non_null(strstr(lost, "WAL segment " SEGMENT("03") " is "
	    "missing"));
	assert_null(strstr(lost, "retention let"));
	assert_null(strstr(gone, "Gap:"));
	assert_non_null(strstr(gone, "retention let the WAL after it go"));
	free(lost);
	free(gone);
}

static void
wal_is_counted_by_the_hour_in_any_order(void **state)
{
	struct info_incarnation inc = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		info_rate_add(&inc, (int64_t)(i * 7919 % 1000) * HOUR / 10 -
		    50 * HOUR, 3);
	assert_int_equal(inc.n_hours, 100);
	for (i = 0; i < 100; i++) {
		assert_int_equal(inc.hours[i].hour, (int)i - 50);
		assert_int_equal(inc.hours[i].segments, 10);
		assert_int_equal(inc.hours[i].bytes, 30);
	}
	free(inc.hours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_from_outside_stays_text),
		cmocka_unit_test(what_is_no_text_is_replaced),
		cmocka_unit_test(a_moment_lies_between_the_edges),
		cmocka_unit_test(ticks_are_round_and_few),
		cmocka_unit_test(ticks_never_overflow),
		cmocka_unit_test(bars_fill_the_time_without_a_hole),
		cmocka_unit_test(a_day_is_a_day_where_clocks_change),
		cmocka_unit_test(a_scale_ends_at_a_round_size),
		cmocka_unit_test(
		    the_largest_tables_are_kept_and_all_are_counted),
		cmocka_unit_test(wal_that_retention_let_go_is_no_gap),
		cmocka_unit_test(wal_is_counted_by_the_hour_in_any_order),
	};

	(void)setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
