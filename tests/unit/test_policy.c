/* SPDX-License-Identifier: PostgreSQL */
/*
 * Retention, example by example: what stays, what goes, and the sentence that
 * people read about it. test_policy_random.c has the promise as such.
 */
#include "config.h"

#include "fixture_policy.h"

#include <inttypes.h>

static void
why_is(const struct policy_set *s, bool keep, const char *why)
{
	assert_string_equal(s->why, why);
	assert_int_equal(s->keep, keep);
	assert_int_equal(s->keep, s->reason != POLICY_GOES);
}

static void
odd_has(const struct policy *p, const char *part)
{
	size_t i;

	for (i = 0; i < p->n_odd; i++)
		if (strstr(p->odd[i], part) != NULL)
			return;
	for (i = 0; i < p->n_odd; i++)
		print_message("odd: %s\n", p->odd[i]);
	fail_msg("nothing odd says: %s", part);
}

/* Backups every 10 days, oldest first: 50, 40, 30.5 ... days ago. */
static struct policy_line *
cat_common(struct policy *p)
{
	struct policy_line *l;

	cat_new(p);
	l = cat_line(p, UINT64_C(7312345678901234567), 15);
	cat_backup(l, days_ago(54), 1, 100);
	cat_backup(l, days_ago(44), 1, 200);
	cat_backup(l, days_ago(34), 1, 300);
	cat_backup(l, days_ago(24), 1, 400);
	cat_backup(l, days_ago(14), 1, 500);
	cat_backup(l, days_ago(4), 1, 600);
	cat_timeline(l, 1, 0, 0, 90, 700, NOW - HOUR);
	return l;
}

static void
the_backup_before_the_window_stays_and_says_why(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	policy_decide(&p);
	assert_int_equal(p.window, at("2026-10-23 14:00:00Z"));
	why_is(&l->sets[0], false, "goes: 54 days old, and nothing within "
	    "30 days needs it");
	why_is(&l->sets[1], false, "goes: 44 days old, and nothing within "
	    "30 days needs it");
	why_is(&l->sets[2], true, "kept although 34 days old: needed to "
	    "restore 2026-10-23 14:00:00+00");
	why_is(&l->sets[3], true, "kept: 24 days old, within 30 days");
	why_is(&l->sets[5], true, "kept: 4 days old, within 30 days");
	assert_false(policy_keeps_wal(l, 1, 299));
	assert_true(policy_keeps_wal(l, 1, 300));
	assert_true(policy_keeps_wal(l, 1, 100000));
	assert_string_equal(l->wal_why, "kept from 00000001000000010000002C "
	    "on: needed to restore 2026-10-23 14:00:00+00 and later");
	assert_int_equal(p.n_odd, 0);
	cat_free(&p);
}

static void
without_retain_nothing_goes(void **state)
{
	struct policy_line *l;
	struct policy p;
	size_t i;

	(void)state;
	l = cat_common(&p);
	p.rules.retain_us = 0;
	p.rules.keep[KEEP_DAILY] = 1;
	policy_decide(&p);
	for (i = 0; i < l->n; i++)
		why_is(&l->sets[i], true,
		    "kept: no retain is set, so nothing goes");
	assert_true(policy_keeps_wal(l, 1, 1));
	cat_free(&p);
}

static void
snapshots_stay_with_their_own_wal_only(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	cat_backup(l, at("2026-08-31 22:00:00Z"), 1, 20);
	cat_backup(l, at("2026-08-30 22:00:00Z"), 1, 10);
	cat_backup(l, at("2025-12-30 22:00:00Z"), 1, 1);
	p.rules.keep[KEEP_MONTHLY] = 4; /* November, October, September? no */
	p.rules.keep[KEEP_YEARLY] = 2;
	policy_decide(&p);
	/* 54 days ago is September 29th, 24 days ago is October 29th. */
	why_is(&l->sets[0], true, "kept: monthly snapshot of 2026-09");
	why_is(&l->sets[1], false, "goes: 44 days old, and nothing within "
	    "30 days needs it");
	why_is(&l->sets[3], true, "kept: 24 days old, within 30 days");
	why_is(&l->sets[6], true, "kept: monthly snapshot of 2026-08");
	why_is(&l->sets[7], false, "goes: 83 days old, and nothing within "
	    "30 days needs it");
	why_is(&l->sets[8], true, "kept: yearly snapshot of 2025");
	assert_true(policy_keeps_wal(l, 1, 100));
	assert_true(policy_keeps_wal(l, 1, 101));
	assert_false(policy_keeps_wal(l, 1, 102));
	assert_false(policy_keeps_wal(l, 1, 99));
	assert_true(policy_keeps_wal(l, 1, 20));
	assert_false(policy_keeps_wal(l, 1, 10));
	cat_free(&p);
}

static void
days_and_iso_weeks_are_utc(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_new(&p);
	p.rules.retain_us = HOUR;
	p.rules.keep[KEEP_WEEKLY] = 2;
	p.rules.keep[KEEP_DAILY] = 3;
	l = cat_line(&p, 1, 17);
	cat_timeline(l, 1, 0, 0, 1, 900, NOW);
	/* 2026-11-15 is a Sunday: the end of week 46. */
	cat_backup(l, at("2026-11-15 23:59:59Z"), 1, 10);
	cat_backup(l, at("2026-11-16 00:00:00Z"), 1, 20);
	cat_backup(l, at("2026-11-19 23:59:59Z"), 1, 30);
	cat_backup(l, at("2026-11-20 00:00:00Z"), 1, 40);
	cat_backup(l, at("2026-11-20 12:00:00Z"), 1, 50);
	cat_backup(l, at("2026-11-21 12:00:00Z"), 1, 60);
	policy_decide(&p);
	why_is(&l->sets[0], true, "kept: weekly snapshot of 2026-W46");
	assert_false(l->sets[1].keep);
	why_is(&l->sets[2], true, "kept: daily snapshot of 2026-11-19");
	assert_false(l->sets[3].keep);
	why_is(&l->sets[4], true, "kept: daily snapshot of 2026-11-20");
	why_is(&l->sets[5], true, "kept although 26 hours old: needed to "
	    "restore 2026-11-22 13:00:00+00");
	cat_free(&p);
}

static void
a_pin_holds_until_its_time_and_says_so(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[0].pinned = true;
	l->sets[0].pin_until = at("2027-01-01 00:00:00Z");
	l->sets[0].pin_reason = "before the migration";
	l->sets[1].pinned = true;
	l->sets[1].pin_until = NOW - HOUR;
	l->sets[5].pinned = true;
	policy_decide(&p);
	why_is(&l->sets[0], true,
	    "kept: pinned until 2027-01-01 (before the migration)");
	assert_true(policy_keeps_wal(l, 1, 100));
	assert_true(policy_keeps_wal(l, 1, 101));
	assert_false(policy_keeps_wal(l, 1, 102));
	assert_false(l->sets[1].keep);
	why_is(&l->sets[5], true,
	    "kept: 4 days old, within 30 days; also pinned");
	cat_free(&p);
}

static void
what_is_in_use_or_wanted_stays_with_its_wal(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[0].in_use = true;
	l->sets[1].wanted_by = "offsite";
	cat_backup(l, days_ago(36), 1, 280)->wanted_by = "offsite";
	policy_decide(&p);
	why_is(&l->sets[0], true,
	    "kept: in use by a backup that is being made");
	/* 44 days are more than 30 and 7. */
	why_is(&l->sets[1], false, "goes: 44 days old, and nothing within "
	    "30 days needs it; repository offsite waits for it longer than "
	    "is allowed");
	why_is(&l->sets[6], true,
	    "kept although 36 days old: repository offsite waits for it");
	assert_true(policy_keeps_wal(l, 1, 281));
	assert_false(policy_keeps_wal(l, 1, 282));
	cat_free(&p);
}

static void
wal_that_another_repository_waits_for_stays_for_a_time(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->timelines[0].wanted_from = 250;
	l->timelines[0].wanted_since = days_ago(36);
	l->timelines[0].wanted_by = "offsite";
	policy_decide(&p);
	assert_true(policy_keeps_wal(l, 1, 250));
	assert_false(policy_keeps_wal(l, 1, 249));
	l->timelines[0].wanted_since = days_ago(38);
	policy_decide(&p);
	assert_false(policy_keeps_wal(l, 1, 250));
	odd_has(&p, "repository offsite waits since 2026-10-15 14:00:00+00 "
	    "for WAL of timeline 1, longer than keep-for-mirror allows");
	cat_free(&p);
}

static void
the_last_good_backup_of_an_old_system_stays_with_its_wal(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	/* The older system has the larger number: only time counts. */
	l = cat_line(&p, UINT64_C(7999999999999999999), 13);
	cat_backup(l, days_ago(90), 2, 50);
	cat_backup(l, days_ago(80), 2, 60);
	cat_timeline(l, 1, 0, 0, 10, 45, days_ago(95));
	cat_timeline(l, 2, 1, 40 * SEG, 40, 70, days_ago(79));
	policy_decide(&p);
	why_is(&l->sets[0], false, "goes: 90 days old, and nothing within "
	    "30 days needs it");
	why_is(&l->sets[1], true, "kept: the last good backup of system "
	    "7999999999999999999 (PostgreSQL 13)");
	assert_false(policy_keeps_wal(l, 2, 59));
	assert_true(policy_keeps_wal(l, 2, 60));
	assert_true(policy_keeps_wal(l, 2, 70));
	assert_false(policy_keeps_wal(l, 1, 45));
	assert_true(p.lines[0].sets[2].keep);
	assert_int_equal(p.n_odd, 0);
	cat_free(&p);
}

static void
bad_backups_do_not_count(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[1].usable = false;
	l->sets[2].clean = false;
	l->sets[5].usable = false;
	policy_decide(&p);
	/* Two before the window: a clean one, and the newest whole one. */
	why_is(&l->sets[0], true, "kept although 54 days old: needed to "
	    "restore 2026-10-23 14:00:00+00");
	why_is(&l->sets[1], false, "goes: 44 days old, and not usable");
	why_is(&l->sets[2], true, "kept although 34 days old: the newest "
	    "from before 2026-10-23 14:00:00+00 that is whole, though it has "
	    "damaged pages");
	why_is(&l->sets[5], true, "kept: 4 days old, within 30 days");
	assert_true(policy_keeps_wal(l, 1, 100));
	assert_false(policy_keeps_wal(l, 1, 99));
	odd_has(&p, "the newest backup of system 7312345678901234567 "
	    "(PostgreSQL 15), set-5, is not usable");
	cat_free(&p);
}

static void
where_nothing_is_usable_nothing_goes(void **state)
{
	struct policy_line *l;
	struct policy p;
	size_t i;

	(void)state;
	l = cat_common(&p);
	for (i = 0; i < l->n; i++)
		l->sets[i].usable = false;
	policy_decide(&p);
	why_is(&l->sets[0], true, "kept: no backup of system "
	    "7312345678901234567 (PostgreSQL 15) is usable, so none goes");
	assert_true(policy_keeps_wal(l, 1, 1));
	assert_string_equal(l->wal_why, "all WAL is kept: system "
	    "7312345678901234567 (PostgreSQL 15) has no usable backup");
	odd_has(&p, "no backup of system 7312345678901234567 (PostgreSQL 15) "
	    "is usable: nothing of it goes");
	cat_free(&p);
}

static void
one_damaged_page_for_ever_does_not_keep_everything(void **state)
{
	struct policy_line *l;
	struct policy p;
	size_t i;

	(void)state;
	l = cat_common(&p);
	for (i = 0; i < l->n; i++)
		l->sets[i].clean = false;
	policy_decide(&p);
	assert_false(l->sets[1].keep);
	why_is(&l->sets[2], true, "kept although 34 days old: needed to "
	    "restore 2026-10-23 14:00:00+00, though it has damaged pages");
	odd_has(&p, "has damaged pages, and there is none without");
	cat_free(&p);
}

static void
a_branch_keeps_its_parent_up_to_the_branch(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	/* Ten days ago somebody went back to segment 450, in the window. */
	cat_timeline(l, 2, 1, 450 * SEG + 5, 450, 480, NOW - HOUR);
	l->timelines[0].newest = days_ago(10);
	policy_decide(&p);
	assert_true(l->sets[2].keep);
	assert_true(policy_keeps_wal(l, 1, 700));
	assert_true(policy_keeps_wal(l, 2, 450));
	/* Sixty days later the old timeline's end is needed no more. */
	cat_backup(l, NOW + 5 * DAY, 2, 500);
	cat_backup(l, NOW + 35 * DAY, 2, 600);
	l->timelines[1].newest = p.now = NOW + 36 * DAY;
	policy_decide(&p);
	why_is(&l->sets[6], true, "kept although 31 days old: needed to "
	    "restore 2026-11-28 14:00:00+00");
	assert_false(l->sets[2].keep);
	assert_false(l->sets[5].keep);
	assert_false(policy_keeps_wal(l, 1, 450));
	assert_false(policy_keeps_wal(l, 1, 700));
	assert_false(policy_keeps_wal(l, 2, 499));
	assert_true(policy_keeps_wal(l, 2, 500));
	cat_free(&p);
}

static void
the_segment_of_the_branch_stays_on_both_timelines(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_new(&p);
	l = cat_line(&p, 1, 17);
	cat_backup(l, days_ago(200), 1, 300);
	cat_timeline(l, 1, 0, 0, 200, 700, days_ago(100));
	cat_timeline(l, 2, 1, 450 * SEG + 5, 450, 480, NOW - HOUR);
	cat_backup(l, days_ago(120), 1, 600);
	cat_backup(l, days_ago(20), 2, 470);
	policy_decide(&p);
	why_is(&l->sets[0], true, "kept although 200 days old (80 days in "
	    "which nothing was stored do not count): needed to restore "
	    "2026-08-04 14:00:00+00");
	assert_true(policy_keeps_wal(l, 1, 449));
	assert_true(policy_keeps_wal(l, 1, 450));
	assert_true(policy_keeps_wal(l, 2, 450));
	assert_false(policy_keeps_wal(l, 1, 299));
	cat_free(&p);
}

static void
dumps_go_by_age_but_never_the_last(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	cat_dump(l, days_ago(60), "app"); /* 6 */
	cat_dump(l, days_ago(50), "app");
	cat_dump(l, days_ago(50), "app")->options = "--schema=public\n";
	cat_dump(l, days_ago(90), "old");
	cat_dump(l, days_ago(40), "old")->usable = false; /* 10 */
	cat_dump(l, days_ago(29), "new");
	cat_dump(l, days_ago(31), "new");
	cat_dump(l, days_ago(70), "");
	policy_decide(&p);
	why_is(&l->sets[6], false, "goes: 60 days old, more than 30 days, and "
	    "a newer one of the same database is kept");
	why_is(&l->sets[7], true, "kept: the last good dump of database app");
	why_is(&l->sets[8], true,
	    "kept: the last good dump of database app with its options");
	why_is(&l->sets[9], true, "kept: the last good dump of database old");
	why_is(&l->sets[10], true, "kept: the newest dump of database old");
	why_is(&l->sets[11], true, "kept: 29 days old, within 30 days");
	assert_false(l->sets[12].keep);
	why_is(&l->sets[13], true, "kept: the last good dump of the globals");
	cat_free(&p);
}

static void
a_clock_of_2090_makes_nothing_too_old(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[0].pinned = true;
	l->sets[0].pin_created = days_ago(50);
	l->sets[0].pin_until = at("2027-01-01 00:00:00Z");
	p.now = at("2090-01-01 00:00:00Z");
	policy_decide(&p);
	assert_int_equal(p.window, at("2026-10-23 13:00:00Z"));
	assert_false(l->sets[1].keep);
	assert_true(l->sets[2].keep);
	assert_true(l->sets[3].keep);
	assert_true(l->sets[0].keep);
	assert_string_equal(l->sets[0].why, "kept: pinned until 2027-01-01, "
	    "and that long nothing was stored");
	odd_has(&p, "nothing was stored since 2026-11-22 13:00:00+00");
	cat_free(&p);
}

static void
a_clock_of_1970_removes_nothing(void **state)
{
	struct policy_line *l;
	struct policy p;
	size_t i;

	(void)state;
	l = cat_common(&p);
	p.now = at("1970-01-02 00:00:00Z");
	policy_decide(&p);
	for (i = 0; i < l->n; i++)
		assert_true(l->sets[i].keep);
	why_is(&l->sets[0], true, "kept: it ended 2026-09-29 14:00:00+00, "
	    "later than this host's clock says it is");
	assert_true(policy_keeps_wal(l, 1, 1));
	odd_has(&p, "this host's clock (1970-01-02 00:00:00+00) is behind "
	    "most of what is stored: nothing goes until it is right");
	cat_free(&p);
}

static void
a_backup_of_the_future_stays_and_is_named(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	cat_backup(l, at("2090-03-01 00:00:00Z"), 1, 150);
	policy_decide(&p);
	assert_int_equal(p.window, at("2026-10-23 14:00:00Z"));
	why_is(&l->sets[6], true, "kept: it ended 2090-03-01 00:00:00+00, "
	    "later than this host's clock says it is");
	assert_true(policy_keeps_wal(l, 1, 150));
	assert_false(policy_keeps_wal(l, 1, 152));
	assert_false(l->sets[1].keep);
	odd_has(&p, "backup set-6 ended 2090-03-01 00:00:00+00, later than "
	    "this host's clock (2026-11-22 14:00:00+00)");
	cat_free(&p);
}

static void
a_backup_whose_clock_stood_in_1970_is_known_by_its_wal(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	cat_backup(l, at("1970-01-01 00:10:00Z"), 1, 450);
	policy_decide(&p);
	why_is(&l->sets[6], true, "kept: its place in the WAL is within "
	    "30 days, whatever its clock said");
	assert_true(l->sets[2].keep);
	odd_has(&p, "backup set-6 says that it ended 1970-01-01 00:10:00+00, "
	    "but comes after newer ones in the WAL");
	cat_free(&p);
}

static void
the_last_backup_by_its_wal_stays_when_its_clock_stood_in_1970(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_common(&p);
	l = cat_line(&p, 5, 15);
	cat_backup(l, days_ago(90), 1, 100);
	cat_backup(l, days_ago(80), 1, 200);
	cat_backup(l, at("1970-01-01 00:10:00Z"), 1, 300);
	cat_timeline(l, 1, 0, 0, 90, 320, days_ago(75));
	policy_decide(&p);
	assert_false(l->sets[0].keep);
	why_is(&l->sets[1], true, "kept: the last good backup of system 5 "
	    "(PostgreSQL 15)");
	why_is(&l->sets[2], true, "kept: by its place in the WAL it is the "
	    "last backup of system 5 (PostgreSQL 15), whatever its clock "
	    "said");
	assert_true(policy_keeps_wal(l, 1, 200));
	cat_free(&p);
}

static void
a_clock_of_1970_is_not_proved_by_a_backup_of_1970(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	cat_backup(l, at("1970-01-01 00:10:00Z"), 1, 450);
	p.now = at("1970-02-04 00:00:00Z");
	policy_decide(&p);
	assert_true(l->sets[6].keep);
	assert_true(policy_keeps_wal(l, 1, 300));
	odd_has(&p, "this host's clock (1970-02-04 00:00:00+00) is behind");
	cat_free(&p);
}

static void
a_system_of_the_future_among_others_stays_whole(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_common(&p);
	l = cat_line(&p, 6, 15);
	cat_backup(l, at("1970-01-01 00:10:00Z"), 1, 300);
	cat_backup(l, NOW + 20 * DAY, 1, 100);
	cat_timeline(l, 1, 0, 0, 90, 320, NOW + 30 * DAY);
	policy_decide(&p);
	assert_true(l->sets[0].keep);
	assert_true(policy_keeps_wal(l, 1, 250));
	assert_false(p.lines[0].sets[0].keep);
	odd_has(&p, "is behind most of what is stored of system 6 "
	    "(PostgreSQL 15): nothing of it goes");
	cat_free(&p);
}

/* Each timeline's path has all those before it. */
static void
two_thousand_timelines_and_backups_take_no_time(void **state)
{
	struct policy_line *l;
	struct policy p;
	int64_t begun;
	uint32_t i;

	(void)state;
	cat_new(&p);
	l = cat_line(&p, 1, 17);
	for (i = 1; i <= 2000; i++) {
		cat_timeline(l, i, i - 1, i * 10 * SEG, i * 10, i * 10 + 9,
		    NOW - (2000 - (int)i) * (HOUR / 4));
		cat_backup(l, NOW - (2000 - (int)i) * (HOUR / 4), i,
		    i * 10 + 2);
	}
	begun = time_monotonic();
	policy_decide(&p);
	begun = time_monotonic() - begun;
	print_message("%" PRId64 " ms\n", begun / 1000);
	assert_true(begun < 2000000);
	assert_true(policy_keeps_wal(l, 1500, 15001));
	p.now = NOW + 29 * DAY;
	policy_decide(&p);
	assert_false(policy_keeps_wal(l, 1500, 15001));
	assert_false(l->sets[1000].keep);
	assert_true(l->sets[1999].keep);
	cat_free(&p);
}

static void
a_year_of_rest_makes_nothing_too_old(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	p.now = NOW + 365 * DAY;
	policy_decide(&p);
	assert_true(l->sets[2].keep);
	assert_true(l->sets[3].keep);
	assert_string_equal(l->sets[3].why, "kept: 389 days old (365 days in "
	    "which nothing was stored do not count), within 30 days");
	/* It runs again: ten days more, and the window has moved by ten. */
	cat_backup(l, NOW + 365 * DAY, 1, 701);
	l->timelines[0].newest = p.now = NOW + 375 * DAY;
	policy_decide(&p);
	assert_false(l->sets[2].keep);
	assert_true(l->sets[3].keep);
	odd_has(&p, "nothing was stored from 2026-11-18 14:00:00+00 to "
	    "2027-11-22 14:00:00+00: these 369 days do not count");
	cat_free(&p);
}

static void
what_cannot_be_read_stays_and_keeps_the_wal(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[0].readable = false;
	policy_decide(&p);
	why_is(&l->sets[0], true, "kept: its commit cannot be read, so nobody "
	    "knows what it is");
	assert_true(policy_keeps_wal(l, 1, 1));
	odd_has(&p, "the commit of backup set-0 cannot be read: it stays, "
	    "and so does all WAL of its system");
	l->sets[0].dismissed = true;
	policy_decide(&p);
	why_is(&l->sets[0], false, "goes: somebody named it to be removed");
	assert_false(policy_keeps_wal(l, 1, 1));
	cat_free(&p);
}

static void
what_somebody_named_goes_and_counts_no_more(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->sets[2].dismissed = true;
	l->sets[5].dismissed = true;
	l->sets[4].dismissed = l->sets[4].pinned = true;
	policy_decide(&p);
	assert_false(l->sets[2].keep);
	assert_false(l->sets[5].keep);
	why_is(&l->sets[4], true, "kept: pinned");
	/* The one before has its place. */
	why_is(&l->sets[1], true, "kept although 44 days old: needed to "
	    "restore 2026-10-23 14:00:00+00");
	cat_free(&p);
}

static void
a_promise_that_is_not_met_yet_is_said(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_new(&p);
	l = cat_line(&p, 5, 16);
	cat_backup(l, days_ago(13), 1, 10);
	cat_timeline(l, 1, 0, 0, 3, 20, NOW - HOUR);
	policy_decide(&p);
	/* WAL before the first backup too: another place may need it. */
	assert_true(policy_keeps_wal(l, 1, 3));
	odd_has(&p, "system 5 (PostgreSQL 16) can be restored from 2026-11-09 "
	    "14:00:00+00 on, not yet from 2026-10-23 14:00:00+00, as 30 days "
	    "of retain promise: its first good backup is 13 days old");
	cat_free(&p);
}

static void
two_systems_that_are_active_at_once_are_odd(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	cat_common(&p);
	l = cat_line(&p, 9, 15);
	cat_backup(l, days_ago(10), 1, 10);
	cat_timeline(l, 1, 0, 0, 3, 20, NOW - 2 * HOUR);
	policy_decide(&p);
	odd_has(&p, "system 7312345678901234567 (PostgreSQL 15) and system 9 "
	    "(PostgreSQL 15) were both active after 2026-11-12");
	cat_free(&p);
}

static void
a_timeline_without_a_history_keeps_what_it_may_need(void **state)
{
	struct policy_line *l;
	struct policy p;

	(void)state;
	l = cat_common(&p);
	l->timelines[0].newest = days_ago(8);
	cat_timeline(l, 2, 1, 600 * SEG, 600, 700, NOW);
	history_free((struct history *)(uintptr_t)l->timelines[1].path);
	free((void *)(uintptr_t)l->timelines[1].path);
	l->timelines[1].path = NULL;
	policy_decide(&p);
	assert_true(policy_keeps_wal(l, 1, 1));
	assert_true(policy_keeps_wal(l, 2, 600));
	odd_has(&p, "the history of timeline 2 is not stored: its WAL stays, "
	    "and so does all that it may follow");
	cat_free(&p);
}

static void
an_empty_repository_is_fine(void **state)
{
	struct policy p;

	(void)state;
	cat_new(&p);
	policy_decide(&p);
	assert_int_equal(p.n_odd, 0);
	cat_line(&p, 1, 15);
	policy_decide(&p);
	assert_true(policy_keeps_wal(&p.lines[0], 1, 1));
	cat_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_backup_before_the_window_stays_and_says_why),
		cmocka_unit_test(without_retain_nothing_goes),
		cmocka_unit_test(snapshots_stay_with_their_own_wal_only),
		cmocka_unit_test(days_and_iso_weeks_are_utc),
		cmocka_unit_test(a_pin_holds_until_its_time_and_says_so),
		cmocka_unit_test(what_is_in_use_or_wanted_stays_with_its_wal),
		cmocka_unit_test(
		    wal_that_another_repository_waits_for_stays_for_a_time),
		cmocka_unit_test(
		    the_last_good_backup_of_an_old_system_stays_with_its_wal),
		cmocka_unit_test(bad_backups_do_not_count),
		cmocka_unit_test(where_nothing_is_usable_nothing_goes),
		cmocka_unit_test(
		    one_damaged_page_for_ever_does_not_keep_everything),
		cmocka_unit_test(a_branch_keeps_its_parent_up_to_the_branch),
		cmocka_unit_test(
		    the_segment_of_the_branch_stays_on_both_timelines),
		cmocka_unit_test(dumps_go_by_age_but_never_the_last),
		cmocka_unit_test(a_clock_of_2090_makes_nothing_too_old),
		cmocka_unit_test(a_clock_of_1970_removes_nothing),
		cmocka_unit_test(a_backup_of_the_future_stays_and_is_named),
		cmocka_unit_test(
		    a_backup_whose_clock_stood_in_1970_is_known_by_its_wal),
		cmocka_unit_test(
		    the_last_backup_by_its_wal_stays_when_its_clock_stood_in_1970),
		cmocka_unit_test(
		    a_clock_of_1970_is_not_proved_by_a_backup_of_1970),
		cmocka_unit_test(
		    a_system_of_the_future_among_others_stays_whole),
		cmocka_unit_test(
		    two_thousand_timelines_and_backups_take_no_time),
		cmocka_unit_test(a_year_of_rest_makes_nothing_too_old),
		cmocka_unit_test(what_cannot_be_read_stays_and_keeps_the_wal),
		cmocka_unit_test(what_somebody_named_goes_and_counts_no_more),
		cmocka_unit_test(a_promise_that_is_not_met_yet_is_said),
		cmocka_unit_test(two_systems_that_are_active_at_once_are_odd),
		cmocka_unit_test(
		    a_timeline_without_a_history_keeps_what_it_may_need),
		cmocka_unit_test(an_empty_repository_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
