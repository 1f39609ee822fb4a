/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "repo/renew.h"
#include "core/time.h"

#define DAY (INT64_C(86400) * 1000000)
#define AGE_DAYS 120
#define STRETCHES 10000
#define BEGIN ((int64_t)10000 * DAY) /* in 2027 */

static int64_t made[STRETCHES];

static void
path_of(unsigned i, char path[32])
{
	(void)snprintf(path, 32, "base/5/%u", 16384 + i / 32);
}

static void
set_all(int64_t t)
{
	unsigned i;

	for (i = 0; i < STRETCHES; i++)
		made[i] = t;
}

/* Labels are slow: only where they count, for what lies in the future. */
static int64_t
made_of(const struct renew_params *p, int64_t t)
{
	struct pack_id id = { "", 1, 0, REPO_BACKUP };

	if (t <= p->now)
		return t;
	label_make(t, 1, id.label);
	return renew_made(p, &id);
}

/* A backup; returns how many stretches it stored again. */
static unsigned
night(int64_t now, int64_t parent, unsigned age_days)
{
	struct renew_params p;
	char path[32];
	unsigned i, n = 0;

	renew_init(&p, now, parent, (uint64_t)age_days * 86400000);
	for (i = 0; i < STRETCHES; i++) {
		path_of(i, path);
		if (made_of(&p, made[i]) >=
		    renew_before(&p, path, (i % 32) * RENEW_STRETCH))
			continue;
		made[i] = now;
		n++;
	}
	return n;
}

static int64_t
oldest(int64_t now)
{
	int64_t max = 0;
	unsigned i;

	for (i = 0; i < STRETCHES; i++)
		if (now - made[i] > max)
			max = now - made[i];
	return max;
}

static struct pack_id
some_pack(unsigned number)
{
	struct pack_id id = { "20261122T133107Z-0123456789abcdef", 1, 0,
	    REPO_BACKUP };

	id.number = number;
	return id;
}

static void
a_pack_is_condemned_when_unusable_or_less_than_half_alive(void **state)
{
	struct renew_params p;
	struct pack_id id;
	unsigned i, n = 0;

	renew_init(&p, BEGIN, BEGIN - DAY, 0);
	for (i = 0; i < 1000; i++) {
		id = some_pack(i);
		assert_true(renew_pack_condemned(&p, &id, 1000, 1000, false));
		assert_false(renew_pack_condemned(&p, &id, 1000, 1000, true));
		assert_false(renew_pack_condemned(&p, &id, 1000, 500, true));
		assert_true(renew_pack_condemned(&p, &id, 1000, 333, true));
		assert_true(renew_pack_condemned(&p, &id, 1000, 0, true));
		n += renew_pack_condemned(&p, &id, 1000, 417, true);
	}
	/* Packs that wear out together do not go in one night. */
	assert_in_range(n, 400, 600);
}

static void
a_young_pack_is_condemned_only_when_hardly_anything_is_left(void **state)
{
	struct renew_params p;
	struct pack_id id = some_pack(1);
	int64_t t = 0;

	assert_true(label_time(id.label, &t));
	renew_init(&p, t + 6 * DAY, t, 0);
	assert_false(renew_pack_condemned(&p, &id, 1000, 100, true));
	assert_true(renew_pack_condemned(&p, &id, 1000, 99, true));
	assert_true(renew_pack_condemned(&p, &id, 1000, 999, false));
	renew_init(&p, t + 7 * DAY, t, 0);
	assert_true(renew_pack_condemned(&p, &id, 1000, 100, true));
	/* Of a pack without a time its youth is not known. */
	(void)snprintf(id.label, sizeof(id.label), "?");
	assert_true(renew_pack_condemned(&p, &id, 1000, 100, true));
}

static void
sums_that_make_no_sense_condemn_nothing_that_is_usable(void **state)
{
	struct renew_params p;
	struct pack_id id = some_pack(1);

	renew_init(&p, BEGIN, BEGIN - DAY, 0);
	assert_false(renew_pack_condemned(&p, &id, 0, 0, true));
	assert_false(renew_pack_condemned(&p, &id, 10, 11, true));
	assert_false(renew_pack_condemned(&p, &id, UINT64_MAX, 1, true));
	assert_true(renew_pack_condemned(&p, &id, 0, 0, false));
}

static void
no_byte_grows_older_than_the_refresh_age_and_no_night_has_a_spike(
    void **state)
{
	unsigned n, i, most = 0;
	uint64_t sum = 0;
	int64_t now = BEGIN, max = 0;

	set_all(BEGIN);
	for (i = 1; i <= 600; i++) {
		now += DAY;
		/* The oldest at a backup's start: what was there before. */
		if (oldest(now) > max)
			max = oldest(now);
		n = night(now, now - DAY, AGE_DAYS);
		sum += n;
		if (n > most)
			most = n;
	}
	assert_true(max <= (AGE_DAYS + 1) * DAY);
	assert_true(max > (AGE_DAYS - 5) * DAY);
	/* One period is 90 days; in the first 30 all is young. */
	assert_true(most < STRETCHES * 2 / 90);
	assert_true(sum < (uint64_t)STRETCHES * 600 / 90);
	assert_true(sum > (uint64_t)STRETCHES * 560 / 90);
}

static void
each_age_is_kept_by_weekly_backups_too(void **state)
{
	static const unsigned ages[] = { 60, 120, 365 };
	unsigned i, k, n;
	int64_t now, max;

	for (k = 0; k < 3; k++) {
		set_all(BEGIN);
		now = BEGIN;
		max = 0;
		for (i = 0; i < 150; i++) {
			now += 7 * DAY;
			if (oldest(now) > max)
				max = oldest(now);
			n = night(now, now - 7 * DAY, ages[k]);
			assert_true(n < STRETCHES / 5);
		}
		/* A week is more than 1/8 of the period of 60 days' age. */
		assert_true(max <= (ages[k] + (k == 0 ? 60 : 7)) * DAY);
	}
}

static void
nothing_is_due_when_age_is_off_or_times_are_not_known(void **state)
{
	set_all(BEGIN);
	assert_int_equal(night(BEGIN + 5000 * DAY, BEGIN, 0), 0);
	assert_int_equal(night(0, 0, AGE_DAYS), 0);
	assert_int_equal(night(-DAY, -2 * DAY, AGE_DAYS), 0);
	assert_int_equal(night(INT64_MIN, 0, AGE_DAYS), 0);
}

static void
a_clock_years_ahead_makes_a_fifth_due_at_most(void **state)
{
	unsigned i, n;
	int64_t now = BEGIN + 3650 * DAY;

	set_all(BEGIN);
	n = night(now, BEGIN, AGE_DAYS);
	assert_in_range(n, 1, STRETCHES / 5);
	/* It stays so: all is stored again, in shares. */
	for (i = 0; i < 20; i++) {
		now += DAY;
		n = night(now, now - DAY, AGE_DAYS);
		assert_true(n < STRETCHES / 5);
	}
	assert_true(oldest(now) < AGE_DAYS * DAY);
}

static void
a_clock_years_ahead_for_one_night_costs_little_later(void **state)
{
	unsigned i, n;
	int64_t now = BEGIN;

	set_all(BEGIN);
	(void)night(BEGIN + 3650 * DAY, BEGIN, AGE_DAYS);
	now += DAY;
	/* The parent's time lies ahead: nothing. */
	assert_int_equal(night(now, BEGIN + 3650 * DAY, AGE_DAYS), 0);
	for (i = 0; i < 200; i++) {
		now += DAY;
		n = night(now, now - DAY, AGE_DAYS);
		assert_true(n < STRETCHES / 5);
	}
	/* What was made "in the future" has been made again. */
	for (i = 0; i < STRETCHES; i++)
		assert_true(made[i] <= now);
	assert_true(oldest(now) <= (AGE_DAYS + 1) * DAY);
}

static void
a_clock_set_back_makes_nothing_due(void **state)
{
	set_all(BEGIN);
	assert_int_equal(night(BEGIN - 1000 * DAY, BEGIN, AGE_DAYS), 0);
	assert_int_equal(night(BEGIN - 1, BEGIN, AGE_DAYS), 0);
}

static void
a_turn_that_no_backup_took_is_made_up_for(void **state)
{
	unsigned i, n;
	int64_t now = BEGIN;

	set_all(BEGIN);
	for (i = 0; i < 110; i++) {
		now += DAY;
		(void)night(now, now - DAY, AGE_DAYS);
	}
	now += 60 * DAY; /* no backup for two months */
	n = night(now, now - 60 * DAY, AGE_DAYS);
	assert_in_range(n, STRETCHES / 20, STRETCHES / 5);
	for (i = 0; i < 20; i++) {
		now += DAY;
		n = night(now, now - DAY, AGE_DAYS);
		assert_true(n < STRETCHES / 5);
	}
	assert_true(oldest(now) <= AGE_DAYS * DAY);
}

static void
a_pack_of_the_future_or_without_time_counts_as_old(void **state)
{
	struct renew_params p;
	struct pack_id id = some_pack(0);
	int64_t now = 0;

	assert_true(label_time(id.label, &now));
	renew_init(&p, now - DAY / 2, 0, 1);
	assert_int_equal(renew_made(&p, &id), now);
	renew_init(&p, now - 2 * DAY, 0, 1);
	assert_int_equal(renew_made(&p, &id), RENEW_NONE);
	id.label[0] = '\0';
	assert_int_equal(renew_made(&p, &id), RENEW_NONE);
	(void)snprintf(id.label, sizeof(id.label), "%s",
	    "19700101T000000Z-0123456789abcdef");
	assert_int_equal(renew_made(&p, &id), RENEW_NONE);
}

static void
a_label_gives_its_time_back(void **state)
{
	char label[FORMAT_LABEL_MAX];
	int64_t t = 0;

	label_make(BEGIN + 1234567, 99, label);
	assert_true(label_time(label, &t));
	assert_int_equal(t, BEGIN + 1000000);
	assert_false(label_time("20261322T133107Z-0123456789abcdef", &t));
	assert_false(label_time("", &t));
	assert_false(label_time("20261122T133107Z", &t));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_pack_is_condemned_when_unusable_or_less_than_half_alive),
		cmocka_unit_test(
	a_young_pack_is_condemned_only_when_hardly_anything_is_left),
		cmocka_unit_test(
		    sums_that_make_no_sense_condemn_nothing_that_is_usable),
		cmocka_unit_test(
	no_byte_grows_older_than_the_refresh_age_and_no_night_has_a_spike),
		cmocka_unit_test(each_age_is_kept_by_weekly_backups_too),
		cmocka_unit_test(
		    nothing_is_due_when_age_is_off_or_times_are_not_known),
		cmocka_unit_test(
		    a_clock_years_ahead_makes_a_fifth_due_at_most),
		cmocka_unit_test(
		    a_clock_years_ahead_for_one_night_costs_little_later),
		cmocka_unit_test(a_clock_set_back_makes_nothing_due),
		cmocka_unit_test(a_turn_that_no_backup_took_is_made_up_for),
		cmocka_unit_test(
		    a_pack_of_the_future_or_without_time_counts_as_old),
		cmocka_unit_test(a_label_gives_its_time_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
