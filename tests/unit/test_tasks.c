/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dump/tasks.h"

#define MB ((uint64_t)1 << 20)
#define GB ((uint64_t)1 << 30)
#define BLOCK 8192

static struct task_table
heap(uint64_t bytes)
{
	return (struct task_table){ bytes / BLOCK, bytes, true };
}

static void
small_tables_and_those_without_ranges_stay_whole(void **state)
{
	struct task_table t = heap(64 * MB);

	(void)state;
	assert_int_equal(tasks_range_blocks(&t), 0);
	t = heap(10 * GB);
	t.splittable = false;
	assert_int_equal(tasks_range_blocks(&t), 0);
	t = (struct task_table){ 0, 0, true };
	assert_int_equal(tasks_range_blocks(&t), 0);
}

static void
ranges_hold_what_they_should_and_keep_their_size_as_a_table_grows(void **state)
{
	struct task_table t = heap(2 * GB);

	(void)state;
	assert_int_equal(tasks_range_blocks(&t), 8192); /* 64 MiB */
	t = heap(3 * GB);
	assert_int_equal(tasks_range_blocks(&t), 8192);
	/* With ten times as much in TOAST, fewer blocks. */
	t.bytes = 11 * t.blocks * BLOCK;
	assert_int_equal(tasks_range_blocks(&t), 512);
	/* Nearly all of it in TOAST: no range is smaller than the least. */
	t = (struct task_table){ 1000, 100 * GB, true };
	assert_int_equal(tasks_range_blocks(&t), TASK_RANGE_BLOCKS_MIN);
	/* The largest a heap can be. */
	t = heap((uint64_t)BLOCK << 32);
	assert_true(t.blocks / tasks_range_blocks(&t) < TASK_RANGES_MAX);
}

static void
every_block_is_in_one_range_and_the_largest_table_is_first(void **state)
{
	struct task_table t[4] = { heap(MB), heap(1000 * MB), heap(0),
		heap(200 * MB + BLOCK) };
	uint64_t next = 0;
	struct task_plan p;
	size_t i, seen[4] = { 0 };

	(void)state;
	tasks_plan(&p, t, 4);
	assert_int_equal(p.list[0].table, 1);
	assert_int_equal(p.list[p.n - 1].table, 2);
	for (i = 0; i < p.n; i++) {
		const struct task *k = &p.list[i];

		assert_int_equal(k->range, seen[k->table]++);
		if (k->n_ranges == 1)
			continue;
		if (k->range == 0)
			next = 0;
		assert_int_equal(k->first_block, next);
		next = k->end_block;
		assert_true((next == 0) == (k->range + 1 == k->n_ranges));
		assert_true(k->first_block < t[k->table].blocks);
		assert_true(next == 0 || next > k->first_block);
	}
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 16);
	assert_int_equal(seen[2], 1);
	assert_int_equal(seen[3], 4);
	tasks_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    small_tables_and_those_without_ranges_stay_whole),
		cmocka_unit_test(
		    ranges_hold_what_they_should_and_keep_their_size_as_a_table_grows),
		cmocka_unit_test(
		    every_block_is_in_one_range_and_the_largest_table_is_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
