/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/tasks.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

uint64_t
tasks_range_blocks(const struct task_table *t)
{
	uint64_t blocks = TASK_RANGE_BLOCKS_MIN;

	/* A last range that is a small rest is not worth a split. */
	if (!t->splittable || t->bytes <= TASK_RANGE_BYTES + TASK_RANGE_BYTES / 2)
		return 0;
	/* As many as fit; in doubles, as the product may exceed 64 bits. */
	while ((double)(2 * blocks) * (double)t->bytes <=
	    (double)TASK_RANGE_BYTES * (double)t->blocks)
		blocks *= 2;
	while (t->blocks / blocks >= TASK_RANGES_MAX)
		blocks *= 2;
	return blocks < t->blocks ? blocks : 0;
}

static void
add_ranges(struct task_plan *plan, const struct task_table *t, size_t table)
{
	uint64_t size = tasks_range_blocks(t), i, n = 1;
	struct task *task;

	if (size != 0)
		n = (t->blocks + size - 1) / size;
	for (i = 0; i < n; i++) {
		task = &plan->list[plan->n++];
		memset(task, 0, sizeof(*task));
		task->table = table;
		task->range = (uint32_t)i;
		task->n_ranges = (uint32_t)n;
		task->bytes = t->bytes / n;
		if (n == 1)
			continue;
		task->first_block = i * size;
		task->end_block = i + 1 == n ? 0 : (i + 1) * size;
	}
}

struct order {
	uint64_t bytes;
	size_t table;
};

static int
compare_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->table < y->table ? -1 : x->table > y->table;
}

void
tasks_plan(struct task_plan *out, const struct task_table *tables, size_t n)
{
	struct order *order = xcalloc(n + 1, sizeof(*order));
	size_t i, room = 0;
	uint64_t size;

	for (i = 0; i < n; i++) {
		order[i] = (struct order){ tables[i].bytes, i };
		size = tasks_range_blocks(&tables[i]);
		room += size == 0 ? 1 :
		    (size_t)((tables[i].blocks + size - 1) / size);
	}
	qsort(order, n, sizeof(*order), compare_order);
	out->list = xcalloc(room + 1, sizeof(*out->list));
	out->n = 0;
	for (i = 0; i < n; i++)
		add_ranges(out, &tables[order[i].table], order[i].table);
	free(order);
}

void
tasks_free(struct task_plan *plan)
{
	free(plan->list);
	memset(plan, 0, sizeof(*plan));
}
