/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/policy.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "retain/policy_private.h"

static bool
is_future(const struct policy_work *w, int64_t t)
{
	return t > w->now + POLICY_FUTURE_MARGIN;
}

/* Something was stored then, if the clocks are to be believed. */
static void
add_time(const struct policy_work *w, int64_t t, int64_t *times, size_t *n)
{
	t = policy_sane_time(t);
	if (!is_future(w, t))
		times[(*n)++] = t < w->now ? t : w->now;
}

/* Of WAL: the newest, what the caller knows, what waits for another place. */
static void
add_wal_times(const struct policy_work *w, const struct policy_timeline *t,
    int64_t *times, size_t *n, size_t *all)
{
	size_t i;

	for (i = 0; i < t->n_stored; i++)
		add_time(w, t->stored[i], times, n);
	*all += t->n_stored;
	if (t->newest != 0) {
		add_time(w, t->newest, times, n);
		++*all;
	}
	if (t->wanted_since != 0) {
		add_time(w, t->wanted_since, times, n);
		++*all;
	}
}

static void
find_lived(struct policy_work *w)
{
	const struct policy *p = w->policy;
	int64_t *times, still = p->rules.retain_us;
	size_t i, k, n = 0, all = 0, cap = 1;

	for (i = 0; i < p->n; i++) {
		cap += p->lines[i].n + 2 * p->lines[i].n_timelines;
		for (k = 0; k < p->lines[i].n_timelines; k++)
			cap += p->lines[i].timelines[k].n_stored;
	}
	times = xcalloc(cap, sizeof(*times));
	for (i = 0; i < p->n; i++) {
		const struct policy_line *line = &p->lines[i];

		for (k = 0; k < line->n; k++)
			add_time(w, line->sets[k].stop, times, &n);
		all += line->n;
		for (k = 0; k < line->n_timelines; k++)
			add_wal_times(w, &line->timelines[k], times, &n, &all);
	}
	if (still < POLICY_STILL_MIN)
		still = POLICY_STILL_MIN;
	policy_lived_init(&w->lived, times, n, w->now, still);
	/* One that was stored by a wrong clock says nothing about this one. */
	w->clock_behind = all > 0 && n <= all - n;
	free(times);
}

/*
 * A pin does not end while nothing happens, nor while a clock says that it is
 * yet to come. What rested before the window does not count here: a removal
 * changes what is known of that.
 */
static bool
pin_holds(const struct policy_work *w, const struct policy_set *s)
{
	int64_t until = policy_sane_time(s->pin_until);
	int64_t created = policy_sane_time(s->pin_created);
	int64_t from = w->policy->window;

	if (!s->pinned)
		return false;
	return s->pin_until == 0 || is_future(w, created) ||
	    until + policy_lived_still(&w->lived,
		created > from ? created : from) > w->now;
}

static void
judge_set(struct policy_work *w, struct policy_item *item)
{
	const struct policy_set *s = item->set;
	const struct policy *p = w->policy;

	item->stop = policy_sane_time(s->stop);
	item->future = is_future(w, item->stop);
	item->counts = s->readable && !s->dismissed;
	item->window = !item->future && item->stop > p->window;
	if (pin_holds(w, s))
		item->why |= POLICY_BIT(POLICY_PINNED);
	if (s->in_use)
		item->why |= POLICY_BIT(POLICY_IN_USE);
	if (s->dismissed)
		return;
	if (p->rules.retain_us == 0)
		item->why |= POLICY_BIT(POLICY_NOT_ASKED);
	if (!s->readable)
		item->why |= POLICY_BIT(POLICY_UNREADABLE);
	if (item->future)
		item->why |= POLICY_BIT(POLICY_FUTURE);
	if (item->window)
		item->why |= POLICY_BIT(POLICY_WINDOW);
	if (s->wanted_by != NULL && item->stop > w->mirror_window)
		item->why |= POLICY_BIT(POLICY_WANTED);
}

static void
judge_line(struct policy_work *w, struct policy_line_work *lw)
{
	struct policy_line *line = lw->line;
	struct policy_item *item;
	bool clean[2] = { false, false };
	size_t i;

	lw->items = xcalloc(line->n + 1, sizeof(*lw->items));
	for (i = 0; i < line->n; i++) {
		item = &lw->items[i];
		item->set = &line->sets[i];
		item->line = lw;
		judge_set(w, item);
		if (item->set->kind == REPO_BACKUP && !item->set->readable &&
		    !item->set->dismissed)
			lw->unreadable = true;
		if (!item->counts || !item->set->usable)
			continue;
		if (item->set->clean && !item->future)
			clean[item->set->kind == REPO_DUMP] = true;
		if (item->set->kind == REPO_BACKUP)
			lw->usable = true;
	}
	for (i = 0; i < line->n; i++) {
		item = &lw->items[i];
		item->good = item->counts && item->set->usable &&
		    (item->set->clean ||
			!clean[item->set->kind == REPO_DUMP]);
	}
}

/* Is most of a line from the future? Then nobody knows its order. */
static void
judge_clock(const struct policy_work *w, struct policy_line_work *lw)
{
	const struct policy_line *line = lw->line;
	size_t i, ahead = 0, all = line->n;

	for (i = 0; i < line->n; i++)
		ahead += lw->items[i].future;
	for (i = 0; i < line->n_timelines; i++) {
		if (line->timelines[i].newest == 0)
			continue;
		all++;
		ahead += is_future(w,
		    policy_sane_time(line->timelines[i].newest));
	}
	lw->ahead = w->clock_behind || (ahead > 0 && ahead >= all - ahead);
}

/* All WAL stays: what is needed of it is not known, or nothing is to go. */
static bool
keeps_all(const struct policy_work *w, const struct policy_line_work *lw)
{
	return w->policy->rules.retain_us == 0 || lw->ahead ||
	    lw->line->wal_segment_size == 0 || !lw->usable || lw->unreadable ||
	    lw->blind;
}

static void
keep_own_wal(struct policy_line_work *lw, const struct policy_set *s)
{
	uint32_t size = lw->line->wal_segment_size;
	bool order = s->start_lsn <= s->stop_lsn;

	if (size == 0 || s->kind != REPO_BACKUP || !s->readable)
		return;
	policy_path_add(lw, s->timeline,
	    wal_segno_of_lsn(order ? s->start_lsn : s->stop_lsn, size),
	    wal_segno_of_lsn(order ? s->stop_lsn : s->start_lsn, size));
}

static void
conclude(struct policy_work *w, struct policy_line_work *lw)
{
	struct policy_line *line = lw->line;
	struct policy_item *item;
	size_t i;

	line->keep_all = keeps_all(w, lw);
	for (i = 0; i < line->n; i++) {
		item = &lw->items[i];
		if (lw->ahead && !item->set->dismissed)
			item->why |= POLICY_BIT(POLICY_FUTURE);
		/* What nobody knows the branch of may need any of them. */
		if (lw->blind && item->counts &&
		    item->set->kind == REPO_BACKUP)
			item->why |= POLICY_BIT(POLICY_BASE);
		item->set->keep = item->why != 0;
		if (item->set->keep)
			keep_own_wal(lw, item->set);
		policy_why_set(w, item);
	}
	policy_path_finish(lw);
	policy_why_wal(w, lw);
}

static void
work_free(struct policy_work *w)
{
	size_t i, k;

	for (i = 0; i < w->policy->n; i++) {
		struct policy_line_work *lw = &w->lines[i];

		for (k = 0; k < lw->n_slots; k++) {
			free(lw->slots[k].backups);
			free(lw->slots[k].prefix);
		}
		free(lw->slots);
		free(lw->spans);
		free(lw->items);
	}
	free(w->lines);
	policy_lived_free(&w->lived);
}

void
policy_decide(struct policy *p)
{
	struct policy_work w = { .policy = p, .now = policy_sane_time(p->now) };
	int64_t retain = policy_sane_time(p->rules.retain_us);
	size_t i;

	policy_free(p);
	find_lived(&w);
	p->window = policy_lived_back(&w.lived, retain);
	w.mirror_window = p->window - policy_sane_time(p->rules.mirror_us);
	w.lines = xcalloc(p->n + 1, sizeof(*w.lines));
	for (i = 0; i < p->n; i++) {
		w.lines[i].line = &p->lines[i];
		judge_line(&w, &w.lines[i]);
		judge_clock(&w, &w.lines[i]);
		policy_path_slots(&w.lines[i], p->window);
		policy_set_last(&w.lines[i]);
		policy_path_decide(&w, &w.lines[i]);
	}
	policy_set_snapshots(&w);
	for (i = 0; i < p->n; i++)
		conclude(&w, &w.lines[i]);
	policy_odd_find(&w);
	work_free(&w);
}

void
policy_free(struct policy *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->lines[i].keep);
		free(p->lines[i].known);
		p->lines[i].keep = NULL;
		p->lines[i].known = NULL;
		p->lines[i].n_keep = p->lines[i].n_known = 0;
	}
	for (i = 0; i < p->n_odd; i++)
		free(p->odd[i]);
	free(p->odd);
	p->odd = NULL;
	p->n_odd = 0;
	p->young = 0;
}

static bool
is_known(const struct policy_line *line, uint32_t timeline)
{
	size_t low = 0, high = line->n_known, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (line->known[mid] < timeline)
			low = mid + 1;
		else
			high = mid;
	}
	return low < line->n_known && line->known[low] == timeline;
}

bool
policy_keeps_wal(const struct policy_line *line, uint32_t timeline,
    uint64_t segment)
{
	size_t low = 0, high = line->n_keep, mid;
	const struct policy_span *s;

	if (line->keep_all || !is_known(line, timeline))
		return true;
	/* The last span that begins at or before the segment. */
	while (low < high) {
		mid = low + (high - low) / 2;
		s = &line->keep[mid];
		if (s->timeline < timeline ||
		    (s->timeline == timeline && s->first <= segment))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return false;
	s = &line->keep[low - 1];
	return s->timeline == timeline && segment <= s->last;
}
