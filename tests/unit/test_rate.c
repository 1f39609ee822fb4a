/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "pipe/rate.h"
#include "core/time.h"

#define CHUNK ((uint64_t)1 << 20)
#define RATE ((uint64_t)100 << 20)

struct taker {
	pthread_t id;
	struct rate *rate;
	unsigned chunks;
};

static void *
take_chunks(void *arg)
{
	struct taker *t = arg;
	unsigned i;

	for (i = 0; i < t->chunks; i++)
		(void)rate_take(t->rate, CHUNK, NULL, NULL);
	return NULL;
}

static void
several_threads_together_keep_the_rate(void **state)
{
	struct rate r;
	struct taker takers[4];
	int64_t begun, us;
	size_t i;

	rate_init(&r, RATE);
	begun = time_monotonic();
	for (i = 0; i < 4; i++) {
		takers[i].rate = &r;
		takers[i].chunks = 25;
		assert_int_equal(pthread_create(&takers[i].id, NULL,
		    take_chunks, &takers[i]), 0);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(takers[i].id, NULL), 0);
	us = time_monotonic() - begun;
	/* 100 MiB at 100 MiB a second: never faster, whatever the machine. */
	assert_true(us > 950000);
	assert_true(us < 3000000);
	rate_free(&r);
}

static void
small_takes_add_up(void **state)
{
	struct rate r;
	int64_t begun = time_monotonic(), us;
	unsigned i;

	rate_init(&r, (uint64_t)3000000);
	for (i = 0; i < 1000; i++)
		assert_true(rate_take(&r, 1000, NULL, NULL));
	us = time_monotonic() - begun;
	assert_true(us > 316000 && us < 1500000);
	rate_free(&r);
}

static void
without_a_limit_nothing_waits(void **state)
{
	struct rate r;
	int64_t begun = time_monotonic();
	unsigned i;

	rate_init(&r, 0);
	for (i = 0; i < 1000; i++)
		assert_true(rate_take(&r, UINT64_MAX / 2, NULL, NULL));
	assert_true(time_monotonic() - begun < 500000);
	rate_free(&r);
}

static bool
stop_soon(void *arg)
{
	unsigned *n = arg;

	return ++*n > 2;
}

static void
who_waits_can_be_stopped(void **state)
{
	struct rate r;
	int64_t begun = time_monotonic();
	unsigned asked = 0;

	rate_init(&r, 1000);
	assert_true(rate_take(&r, CHUNK, NULL, NULL));
	assert_false(rate_take(&r, CHUNK, stop_soon, &asked));
	assert_true(time_monotonic() - begun < 2000000);
	rate_free(&r);
}

static void
time_not_used_is_not_saved_up_for_a_burst(void **state)
{
	struct rate r;
	int64_t begun;
	unsigned i;

	rate_init(&r, RATE);
	r.next -= 10000000; /* as if idle for ten seconds */
	begun = time_monotonic();
	for (i = 0; i < 100; i++)
		assert_true(rate_take(&r, CHUNK, NULL, NULL));
	assert_true(time_monotonic() - begun > 700000);
	rate_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_threads_together_keep_the_rate),
		cmocka_unit_test(small_takes_add_up),
		cmocka_unit_test(without_a_limit_nothing_waits),
		cmocka_unit_test(who_waits_can_be_stopped),
		cmocka_unit_test(time_not_used_is_not_saved_up_for_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
