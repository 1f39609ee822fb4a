/* SPDX-License-Identifier: PostgreSQL */
/*
 * What is not as it should be: sentences for people.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "retain/policy_private.h"

#define EACH_MAX 5 /* sentences of one sort; the rest is counted */

struct odd {
	struct policy_work *w;
	size_t seen; /* of this sort */
};

static void __attribute__((format(printf, 2, 3)))
add(struct policy *p, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->odd = xreallocarray(p->odd, p->n_odd + 1, sizeof(*p->odd));
	p->odd[p->n_odd++] = xstrdup(text);
}

/* Enough said of this sort? */
static bool
enough(struct odd *o)
{
	return ++o->seen > EACH_MAX;
}

static void
say_rest(struct odd *o, const char *what)
{
	if (o->seen > EACH_MAX)
		add(o->w->policy, "and %zu more %s", o->seen - EACH_MAX, what);
	o->seen = 0;
}

static const char *
noun(const struct policy_set *set)
{
	return set->kind == REPO_DUMP ? "dump" : "backup";
}

/* Stretches that did not count, from the window's beginning on. */
static void
find_still(struct odd *o)
{
	const struct policy_lived *l = &o->w->lived;
	char from[POLICY_TEXT_MAX], to[POLICY_TEXT_MAX], us[POLICY_TEXT_MAX];
	size_t i;

	for (i = l->n; i > 0; i--) {
		const struct policy_stretch *s = &l->still[i - 1];

		if (s->to < o->w->policy->window)
			break;
		if (enough(o))
			continue;
		policy_why_span(s->to - s->from, us);
		policy_why_time(s->from, from);
		if (s->to == l->now)
			add(o->w->policy, "nothing was stored since %s, %s "
			    "ago by this host's clock (%s): either the server "
			    "stands still or the clock is wrong; this time "
			    "does not count", from, us,
			    policy_why_time(l->now, to));
		else
			add(o->w->policy, "nothing was stored from %s to %s: "
			    "these %s do not count", from,
			    policy_why_time(s->to, to), us);
	}
	say_rest(o, "stretches without anything");
}

static void
find_future(struct odd *o)
{
	const struct policy *p = o->w->policy;
	char now[POLICY_TEXT_MAX], t[POLICY_TEXT_MAX];
	size_t i, k;

	policy_why_time(o->w->now, now);
	if (o->w->clock_behind)
		add(o->w->policy, "this host's clock (%s) is behind most of "
		    "what is stored: nothing goes until it is right", now);
	for (i = 0; i < p->n; i++) {
		const struct policy_line_work *lw = &o->w->lines[i];

		if (lw->ahead && !o->w->clock_behind)
			add(o->w->policy, "this host's clock (%s) is behind "
			    "most of what is stored of %s: nothing of it goes",
			    now, policy_why_line(lw->line, t));
		for (k = 0; k < lw->line->n; k++) {
			const struct policy_item *item = &lw->items[k];

			if (!item->future || enough(o))
				continue;
			add(o->w->policy, "%s %s ended %s, later than this "
			    "host's clock (%s): one of the two is wrong; when "
			    "it is the %s's, remove it: dapk-backup expire "
			    "--backup %s", noun(item->set), item->set->label,
			    policy_why_time(item->stop, t), now,
			    noun(item->set), item->set->label);
		}
		for (k = 0; k < lw->line->n_timelines; k++) {
			const struct policy_timeline *tl =
			    &lw->line->timelines[k];
			int64_t newest = policy_sane_time(tl->newest);

			if (tl->newest == 0 ||
			    newest <= o->w->now + POLICY_FUTURE_MARGIN ||
			    enough(o))
				continue;
			add(o->w->policy, "WAL of timeline %u was stored %s, "
			    "later than this host's clock (%s): one of the "
			    "two is wrong", tl->timeline,
			    policy_why_time(newest, t), now);
		}
	}
	say_rest(o, "from the future");
}

static void
find_unreadable(struct odd *o)
{
	size_t i, k;

	for (i = 0; i < o->w->policy->n; i++) {
		const struct policy_line_work *lw = &o->w->lines[i];

		for (k = 0; k < lw->line->n; k++) {
			const struct policy_set *s = lw->items[k].set;

			if (s->readable || s->dismissed || enough(o))
				continue;
			add(o->w->policy, "the commit of %s %s cannot be read: "
			    "it stays%s", noun(s), s->label,
			    s->kind == REPO_DUMP ? "" :
				", and so does all WAL of its system");
		}
	}
	say_rest(o, "whose commit cannot be read");
}

static void
find_displaced(struct odd *o)
{
	char t[POLICY_TEXT_MAX];
	size_t i, k;

	for (i = 0; i < o->w->policy->n; i++) {
		const struct policy_line_work *lw = &o->w->lines[i];

		for (k = 0; k < lw->line->n; k++) {
			const struct policy_item *item = &lw->items[k];

			if (!item->displaced || enough(o))
				continue;
			add(o->w->policy, "backup %s says that it ended %s, "
			    "but comes after newer ones in the WAL: a clock "
			    "was wrong", item->set->label,
			    policy_why_time(item->stop, t));
		}
	}
	say_rest(o, "with a time that their WAL contradicts");
}

/* The newest of a kind that can be read, or NULL. */
static const struct policy_item *
newest_of(const struct policy_line_work *lw, enum repo_kind kind)
{
	const struct policy_item *best = NULL;
	size_t i;

	for (i = 0; i < lw->line->n; i++) {
		const struct policy_item *item = &lw->items[i];

		if (item->set->kind == kind && item->counts &&
		    !item->future &&
		    (best == NULL || item->stop > best->stop))
			best = item;
	}
	return best;
}

static void
find_bad_newest(struct policy_work *w, const struct policy_line_work *lw)
{
	const struct policy_item *item;
	char line[POLICY_TEXT_MAX];

	policy_why_line(lw->line, line);
	item = newest_of(lw, REPO_BACKUP);
	if (item == NULL)
		return;
	if (!lw->usable)
		add(w->policy, "no backup of %s is usable: nothing of it goes",
		    line);
	else if (!item->set->usable)
		add(w->policy, "the newest backup of %s, %s, is not usable",
		    line, item->set->label);
	else if (!item->set->clean)
		add(w->policy, "the newest backup of %s, %s, has damaged "
		    "pages%s", line, item->set->label,
		    item->good ? ", and there is none without" : "");
}

/* The earliest good backup that the path of the main timeline has. */
static const struct policy_item *
earliest_good(const struct policy_line_work *lw)
{
	const struct policy_item *best = NULL;
	size_t i;

	for (i = 0; i < lw->line->n; i++) {
		const struct policy_item *item = &lw->items[i];
		const struct policy_timeline *given = lw->main->given;

		if (item->set->kind != REPO_BACKUP || !item->good ||
		    item->future || (best != NULL && item->stop >= best->stop))
			continue;
		if (item->set->timeline == lw->main->timeline ||
		    (given != NULL && given->path != NULL &&
			history_contains(given->path, item->set->timeline,
			    item->set->stop_lsn)))
			best = item;
	}
	return best;
}

/* Another line was there before this one. */
static const struct policy_line *
line_before(const struct policy_work *w, const struct policy_line_work *lw,
    int64_t t)
{
	size_t i;

	for (i = 0; i < w->policy->n; i++) {
		const struct policy_line_work *other = &w->lines[i];

		if (other != lw && other->last != NULL &&
		    other->last->stop < t)
			return other->line;
	}
	return NULL;
}

/* Of all the line's backups, also those that are not good. */
static bool
is_earliest(const struct policy_line_work *lw, const struct policy_item *first)
{
	size_t i;

	for (i = 0; i < lw->line->n; i++)
		if (lw->items[i].set->kind == REPO_BACKUP &&
		    lw->items[i].stop < first->stop)
			return false;
	return true;
}

static void
find_promise(struct policy_work *w, const struct policy_line_work *lw)
{
	const struct policy *p = w->policy;
	const struct policy_item *first;
	const struct policy_line *before;
	char line[POLICY_TEXT_MAX], t[POLICY_TEXT_MAX], begin[POLICY_TEXT_MAX];
	char span[POLICY_TEXT_MAX], other[POLICY_TEXT_MAX];

	if (p->rules.retain_us == 0 || lw->ahead || !lw->in_window ||
	    lw->main == NULL || lw->main->base != NULL || !lw->usable)
		return;
	policy_why_line(lw->line, line);
	policy_why_time(p->window, begin);
	first = earliest_good(lw);
	if (first == NULL) {
		add(w->policy, "no good backup of %s is on the path of "
		    "timeline %u: nothing on it can be restored", line,
		    lw->main->timeline);
		return;
	}
	before = line_before(w, lw, first->stop);
	add(w->policy, "%s can be restored from %s on, not yet from %s, as %s "
	    "of retain promise: its first good backup is %s old%s%s%s", line,
	    policy_why_time(first->stop, t), begin,
	    policy_why_span(p->rules.retain_us, span),
	    policy_why_span(w->now - first->stop, (char[POLICY_TEXT_MAX]){ 0 }),
	    before == NULL ? "" : " (what was before is in ",
	    before == NULL ? "" : policy_why_line(before, other),
	    before == NULL ? "" : ")");
	if (before == NULL && is_earliest(lw, first) && p->n_odd <= 64)
		w->policy->young |= UINT64_C(1) << (p->n_odd - 1);
}

static void
find_histories(struct odd *o, const struct policy_line_work *lw)
{
	size_t i;

	for (i = 0; i < lw->n_slots; i++) {
		const struct policy_slot *s = &lw->slots[i];

		if (s->timeline == 1 || s->given == NULL ||
		    s->given->path != NULL || enough(o))
			continue;
		add(o->w->policy, "the history of timeline %u is not stored: "
		    "its WAL stays%s", s->timeline, lw->blind && s->live ?
		    ", and so does all that it may follow" : "");
	}
	say_rest(o, "without a history");
}

static void
find_waiting(struct odd *o, const struct policy_line_work *lw)
{
	char t[POLICY_TEXT_MAX];
	size_t i;

	for (i = 0; i < lw->line->n_timelines; i++) {
		const struct policy_timeline *tl = &lw->line->timelines[i];
		int64_t since = policy_sane_time(tl->wanted_since);

		if (tl->wanted_since == 0 || since > o->w->mirror_window ||
		    enough(o))
			continue;
		add(o->w->policy, "repository %.60s waits since %s for WAL of "
		    "timeline %u, longer than keep-for-mirror allows: it is "
		    "not kept for it any more",
		    tl->wanted_by == NULL ? "?" : tl->wanted_by,
		    policy_why_time(since, t), tl->timeline);
	}
	say_rest(o, "timelines that another repository waits for");
}

struct activity {
	const struct policy_line *line;
	int64_t first, last; /* within the window */
};

static void
note_activity(const struct policy_work *w, struct activity *a, int64_t t)
{
	if (t <= w->policy->window || t > w->now + POLICY_FUTURE_MARGIN)
		return;
	if (t < a->first)
		a->first = t;
	if (t > a->last)
		a->last = t;
}

static int
by_first(const void *a, const void *b)
{
	const struct activity *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Two servers that write under one cluster name at the same time. */
static void
find_two_active(struct policy_work *w)
{
	size_t i, k, n = 0, latest = 0;
	struct activity *all = xcalloc(w->policy->n + 1, sizeof(*all));
	char a[POLICY_TEXT_MAX], b[POLICY_TEXT_MAX], t[POLICY_TEXT_MAX];

	for (i = 0; i < w->policy->n; i++) {
		const struct policy_line_work *lw = &w->lines[i];
		struct activity *act = &all[n];

		*act = (struct activity) { lw->line, INT64_MAX, INT64_MIN };
		for (k = 0; k < lw->line->n; k++)
			note_activity(w, act, lw->items[k].stop);
		for (k = 0; k < lw->line->n_timelines; k++)
			if (lw->line->timelines[k].newest != 0)
				note_activity(w, act, policy_sane_time(
				    lw->line->timelines[k].newest));
		if (act->first <= act->last)
			n++;
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), by_first);
	for (i = 1; i < n; i++) {
		if (all[latest].last > all[i].first + POLICY_FUTURE_MARGIN)
			add(w->policy, "%s and %s were both active after %s: "
			    "do two servers archive under one cluster name?",
			    policy_why_line(all[latest].line, a),
			    policy_why_line(all[i].line, b),
			    policy_why_time(all[i].first, t));
		if (all[i].last > all[latest].last)
			latest = i;
	}
	free(all);
}

void
policy_odd_find(struct policy_work *w)
{
	struct odd o = { .w = w };
	size_t i;

	find_future(&o);
	find_still(&o);
	find_two_active(w);
	find_unreadable(&o);
	find_displaced(&o);
	for (i = 0; i < w->policy->n; i++) {
		find_bad_newest(w, &w->lines[i]);
		find_promise(w, &w->lines[i]);
		find_histories(&o, &w->lines[i]);
		find_waiting(&o, &w->lines[i]);
	}
}
