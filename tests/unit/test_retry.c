/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/time.h"
#include "storage/retry.h"

static void
pauses_grow_up_to_a_limit_and_vary(void **state)
{
	uint64_t low, high, last = 0;
	unsigned n;

	(void)state;
	for (n = 0; n < 40; n++) {
		low = retry_pause_ms(n, 0);
		high = retry_pause_ms(n, retry_pause_ms(n, 0) * 2);
		assert_true(low >= last);
		assert_true(high > low && high <= 15000);
		last = low;
	}
	assert_int_equal(retry_pause_ms(0, 0), 50);
	assert_int_equal(last, 5000);
}

static void
trying_ends_with_the_time(void **state)
{
	struct retry r;
	int64_t begun = time_boottime();
	unsigned n = 0;

	(void)state;
	retry_begin(&r, 700);
	while (retry_wait(&r, 0))
		n++;
	assert_true(n >= 1 && n <= 8);
	assert_true(time_boottime() - begun < 1000000);
}

static void
the_server_may_ask_for_more_time_than_there_is(void **state)
{
	struct retry r;
	int64_t begun = time_boottime();

	(void)state;
	retry_begin(&r, 2000);
	assert_false(retry_wait(&r, 5000));
	/* it is not waited for in vain */
	assert_true(time_boottime() - begun < 500000);
	retry_begin(&r, 2000);
	assert_true(retry_wait(&r, 400));
	assert_true(time_boottime() - begun >= 400000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_grow_up_to_a_limit_and_vary),
		cmocka_unit_test(trying_ends_with_the_time),
		cmocka_unit_test(
		    the_server_may_ask_for_more_time_than_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
