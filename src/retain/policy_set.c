/* SPDX-License-Identifier: PostgreSQL */
/*
 * What is kept among its like: the newest good ones, and keep-*.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "retain/policy_private.h"

static const char *
text(const char *s)
{
	return s == NULL ? "" : s;
}

/* Backups are one sort; dumps of a database with the same options. */
static int
compare_sort(const struct policy_set *a, const struct policy_set *b)
{
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == REPO_BACKUP)
		return 0;
	c = strcmp(text(a->database), text(b->database));
	return c != 0 ? c : strcmp(text(a->options), text(b->options));
}

/* By sort, the newest first. */
static int
by_sort(const void *a, const void *b)
{
	const struct policy_item *x = *(struct policy_item *const *)a;
	const struct policy_item *y = *(struct policy_item *const *)b;
	int c = compare_sort(x->set, y->set);

	if (c != 0)
		return c;
	if (x->stop != y->stop)
		return x->stop > y->stop ? -1 : 1;
	return strcmp(text(y->set->label), text(x->set->label));
}

/* Those that count and are not in the future, by sort. */
static size_t
collect(const struct policy_line_work *lw, bool good, struct policy_item **out)
{
	size_t i, n = 0;

	for (i = 0; i < lw->line->n; i++) {
		struct policy_item *item = &lw->items[i];

		if (item->counts && !item->future && (item->good || !good))
			out[n++] = item;
	}
	return n;
}

/* The newest of a sort, the newest usable one and the newest good one. */
static void
keep_last(struct policy_line_work *lw, struct policy_item **list, size_t n)
{
	const bool dumps = list[0]->set->kind == REPO_DUMP;
	bool usable = false;
	size_t i;

	for (i = 0; i < n; i++) {
		struct policy_item *item = list[i];

		if ((dumps && i == 0) || item->good ||
		    (item->set->usable && !usable))
			item->why |= POLICY_BIT(POLICY_LAST);
		usable = usable || item->set->usable;
		if (item->good) {
			if (!dumps)
				lw->last = item;
			return;
		}
	}
	/* Nothing can be restored: no backup goes, nobody knows better. */
	for (i = 0; i < n && !dumps && !usable; i++) {
		list[i]->why |= POLICY_BIT(POLICY_LAST);
		list[i]->only_bad = true;
	}
}

void
policy_set_last(struct policy_line_work *lw)
{
	struct policy_item **list = xcalloc(lw->line->n + 1, sizeof(*list));
	size_t n = collect(lw, false, list), i, k;

	if (n > 0)
		qsort(list, n, sizeof(struct policy_item *), by_sort);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n; k++)
			if (compare_sort(list[i]->set, list[k]->set) != 0)
				break;
		keep_last(lw, list + i, k - i);
	}
	free(list);
}

/* The newest of each of the last periods that have one. */
static void
keep_periods(struct policy_item **list, size_t n, enum policy_keep_rule rule,
    unsigned periods)
{
	int64_t last = 0, period;
	size_t i;

	for (i = 0; i < n && periods > 0; i++) {
		period = policy_period(rule, list[i]->stop);
		if (i > 0 && period == last)
			continue;
		last = period;
		periods--;
		list[i]->why |= POLICY_BIT(POLICY_SNAPSHOT);
		list[i]->rules |= 1u << rule;
	}
}

void
policy_set_snapshots(struct policy_work *w)
{
	struct policy_item **list;
	size_t i, k, r, n = 0, total = 1;

	for (i = 0; i < w->policy->n; i++)
		total += w->policy->lines[i].n;
	list = xcalloc(total, sizeof(*list));
	for (i = 0; i < w->policy->n; i++)
		n += collect(&w->lines[i], true, list + n);
	if (n > 0)
		qsort(list, n, sizeof(struct policy_item *), by_sort);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n; k++)
			if (compare_sort(list[i]->set, list[k]->set) != 0)
				break;
		for (r = KEEP_DAILY; r <= KEEP_YEARLY; r++)
			keep_periods(list + i, k - i, (enum policy_keep_rule)r,
			    w->policy->rules.keep[r]);
	}
	free(list);
}
