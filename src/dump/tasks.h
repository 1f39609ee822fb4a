/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_TASKS_H
#define DUMP_TASKS_H

/*
 * Who reads what: a table is one task, or, when it is large, one task for
 * each range of its blocks, so that several connections read it at once.
 * Pure.
 *
 *	tasks_plan(&plan, tables, n, max_tasks...);
 *	for (i = 0; i < plan.n; i++) plan.list[i] ...	in this order
 *	tasks_free(&plan);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a range should hold of heap and TOAST together, at most. */
#define TASK_RANGE_BYTES ((uint64_t)64 << 20)
/* Ranges are never smaller than this many blocks: each costs a round trip. */
#define TASK_RANGE_BLOCKS_MIN 64
/* Each has a chunk list or two: well below MANIFEST_LISTS_MAX. */
#define TASK_RANGES_MAX 16384

struct task_table {
	uint64_t blocks; /* of the heap */
	uint64_t bytes;	 /* heap and TOAST */
	bool splittable; /* a heap whose server has TID range scans */
};

struct task {
	size_t table;	/* index in what was given */
	uint32_t range; /* from 0 */
	uint32_t n_ranges;
	uint64_t first_block; /* with n_ranges > 1 */
	uint64_t end_block;   /* the next range's; 0: to the table's end */
	uint64_t bytes;	      /* about */
};

struct task_plan {
	struct task *list;
	size_t n;
};

/*
 * Blocks of a range: a power of two, so that a table that has grown keeps its
 * boundaries and what is stored of it is found again. 0: not to be split.
 */
uint64_t tasks_range_blocks(const struct task_table *t);

/* The largest table comes first, its ranges in order. */
void tasks_plan(struct task_plan *out, const struct task_table *tables,
    size_t n);
void tasks_free(struct task_plan *plan);

#endif
