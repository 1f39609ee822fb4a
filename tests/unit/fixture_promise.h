/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_PROMISE_H
#define FIXTURE_PROMISE_H

/*
 * The promise of retention, worked out by brute force for a world and what
 * was decided of it: nothing of it looks at how the policy does that.
 */
#include <inttypes.h>
#include <time.h>

#include "fixture_world.h"

/* What was decided, for each set and segment of the world. */
struct decision {
	bool *sets[4], *segs[4];
	int64_t window;
};

static struct world *current;
static int64_t wrong_by; /* the clock that decided */

#define HOLDS(what, ...)                                                     \
	do {                                                                 \
		if (!(what)) {                                               \
			print_error("seed %" PRIu64 ", clock wrong by %"     \
			    PRId64 " hours: ", current->seed,                \
			    wrong_by / HOUR);                                \
			print_error(__VA_ARGS__);                            \
			print_error("\n");                                   \
			fail();                                              \
		}                                                            \
	} while (0)

static inline void
decide(struct world *w, int64_t now, struct decision *d)
{
	struct policy p;
	size_t i, k;

	world_show(w, now, &p);
	policy_decide(&p);
	d->window = p.window;
	for (i = 0; i < w->n; i++) {
		struct wline *l = &w->lines[i];
		struct policy_line *line = &p.lines[i];

		d->sets[i] = xcalloc(l->n + 1, sizeof(bool));
		d->segs[i] = xcalloc(l->n_segs + 1, sizeof(bool));
		for (k = 0; k < line->n; k++) {
			const struct policy_set *s = &line->sets[k];

			d->sets[i][strtoul(s->label, NULL, 10)] = s->keep;
			HOLDS(strncmp(s->why, s->keep ? "kept" : "goes", 4)
				== 0 && strlen(s->why) > 10,
			    "no sentence: %s", s->why);
		}
		for (k = 0; k < l->n_segs; k++)
			d->segs[i][k] = l->segs[k].there &&
			    policy_keeps_wal(line, l->segs[k].timeline,
				l->segs[k].number);
	}
	world_show_free(&p);
}

static inline void
decision_free(struct world *w, struct decision *d)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		free(d->sets[i]);
		free(d->segs[i]);
	}
}

/* Times at which something was stored, as the catalogue has them. */
struct evidence {
	int64_t *times;
	size_t n;
	int64_t now, limit;
	size_t ahead; /* times from the future */
};

static inline int
by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static inline void
add_evidence(struct evidence *e, int64_t t)
{
	if (t > e->now + HOUR)
		e->ahead++;
	else
		e->times[e->n++] = t > e->now ? e->now : t;
}

static inline void
find_evidence(struct world *w, int64_t now, struct evidence *e)
{
	size_t i, k, m, max = 1;
	struct policy p;

	world_show(w, now, &p);
	for (i = 0; i < p.n; i++)
		max += p.lines[i].n + 2 * p.lines[i].n_timelines +
		    w->lines[i].n_segs;
	*e = (struct evidence) { .now = now, .limit = 35 * DAY };
	if (e->limit < w->rules.retain_us)
		e->limit = w->rules.retain_us;
	e->times = xcalloc(max, sizeof(int64_t));
	for (i = 0; i < p.n; i++) {
		for (k = 0; k < p.lines[i].n; k++)
			add_evidence(e, p.lines[i].sets[k].stop);
		for (k = 0; k < p.lines[i].n_timelines; k++) {
			struct policy_timeline *t = &p.lines[i].timelines[k];

			if (t->newest != 0)
				add_evidence(e, t->newest);
			if (t->wanted_since != 0)
				add_evidence(e, t->wanted_since);
			for (m = 0; m < t->n_stored; m++)
				add_evidence(e, t->stored[m]);
		}
	}
	world_show_free(&p);
	qsort(e->times, e->n, sizeof(int64_t), by_time);
}

static inline int64_t
overlap(int64_t a, int64_t b, int64_t from, int64_t to)
{
	if (a < from)
		a = from;
	if (b > to)
		b = to;
	return a < b ? b - a : 0;
}

/* What was lived, and what not, between a time and now. */
static inline int64_t
lived(const struct evidence *e, int64_t from, bool was)
{
	int64_t sum = 0, next;
	size_t i;

	if (e->n == 0)
		return was ? e->now - from : 0;
	if (was)
		sum += overlap(INT64_MIN, e->times[0], from, e->now);
	for (i = 0; i < e->n; i++) {
		next = i + 1 < e->n ? e->times[i + 1] : e->now;
		if ((next - e->times[i] <= e->limit) == was)
			sum += overlap(e->times[i], next, from, e->now);
	}
	return sum;
}

static inline bool
is_future(const struct wset *s, int64_t now)
{
	return s->set.stop > now + HOUR;
}

static inline bool
counts(const struct wset *s)
{
	return s->there && s->set.readable && !s->set.dismissed;
}

static inline bool
is_backup(const struct wset *s)
{
	return s->set.kind == REPO_BACKUP;
}

/* Has the line a clean usable backup? Else a damaged one is good. */
static inline bool
has_clean(const struct wline *l, int64_t now)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (is_backup(&l->sets[i]) && counts(&l->sets[i]) &&
		    l->sets[i].set.usable && l->sets[i].set.clean &&
		    !is_future(&l->sets[i], now))
			return true;
	return false;
}

static inline bool
is_good(const struct wset *s, bool clean)
{
	return counts(s) && s->set.usable && (s->set.clean || !clean);
}

static inline bool
pin_holds(const struct evidence *e, const struct policy_set *s,
    int64_t window)
{
	if (!s->pinned || s->pin_until == 0)
		return s->pinned;
	return s->pin_created > e->now + HOUR ||
	    s->pin_until + lived(e, s->pin_created > window ? s->pin_created :
		window, false) > e->now;
}

/* Is a backup on the path of a timeline? */
static inline bool
is_on_path(const struct wtimeline *t, const struct wset *s)
{
	size_t i;

	for (i = 0; i < t->path.n; i++)
		if (t->path.entries[i].timeline == s->set.timeline)
			return s->set.stop_lsn <= t->path.entries[i].end;
	return false;
}

/* May recovery along the path ask for this segment of this timeline? */
static inline bool
path_asks(const struct wtimeline *t, const struct wseg *s)
{
	size_t i;

	for (i = 0; i < t->path.n; i++) {
		const struct history_entry *e = &t->path.entries[i];

		if (e->timeline == s->timeline)
			return e->begin / SEG <= s->number &&
			    s->number <= e->end / SEG;
	}
	return false;
}

/*
 * How far one gets from each segment on a path: reach[s] is the last one that
 * is there without a gap, 0: not even s. kept: only with what is kept, and
 * of what was there nothing may lack that recovery might ask for.
 */
static inline void
find_reach(const struct wline *l, const struct wtimeline *t, const bool *kept,
    uint64_t *reach)
{
	bool *there = xcalloc(l->max_segment + 2, sizeof(bool));
	bool *lost = xcalloc(l->max_segment + 2, sizeof(bool));
	uint64_t s;
	size_t i;

	for (i = 0; i < l->n_segs; i++) {
		if (!l->segs[i].there || !path_asks(t, &l->segs[i]))
			continue;
		if (kept != NULL && !kept[i] && !t->known)
			continue; /* the catalogue cannot know of both */
		there[l->segs[i].number] = true;
		if (kept != NULL && !kept[i])
			lost[l->segs[i].number] = true;
	}
	reach[l->max_segment + 1] = 0;
	for (s = l->max_segment; s > 0; s--) {
		if (!there[s] || lost[s])
			reach[s] = 0;
		else
			reach[s] = reach[s + 1] != 0 ? reach[s + 1] : s;
	}
	free(there);
	free(lost);
}

/* The last segment of a timeline that was begun by then. */
static inline uint64_t
position(const struct wline *l, const struct wtimeline *t, int64_t time)
{
	uint64_t last = t->path.entries[t->path.n - 1].begin / SEG;
	size_t i;

	for (i = 0; i < l->n_segs; i++)
		if (l->segs[i].timeline == t->path.timeline &&
		    l->segs[i].time <= time && l->segs[i].number > last)
			last = l->segs[i].number;
	return last;
}

/* Can this moment be restored by some good backup (that is kept)? */
static inline bool
restorable(const struct wline *l, const struct wtimeline *t, int64_t time,
    bool clean, const bool *kept, const uint64_t *reach)
{
	uint64_t need = position(l, t, time);
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct wset *s = &l->sets[i];

		if (!is_backup(s) || !is_good(s, clean) ||
		    s->true_stop > time || !is_on_path(t, s) ||
		    (kept != NULL && !kept[i]))
			continue;
		/* With no right clock at all nobody can promise a time. */
		if (kept == NULL && s->true_stop != s->set.stop)
			continue;
		if (reach[s->set.start_lsn / SEG] >= need &&
		    reach[s->set.start_lsn / SEG] >=
			(s->set.stop_lsn - 1) / SEG)
			return true;
	}
	return false;
}

/* When a timeline really had something that still is there. */
struct events {
	int64_t first, last;
	int64_t last_before; /* the last at or before the window's beginning */
};

static inline void
note_event(struct events *e, int64_t t, int64_t window)
{
	if (t < e->first)
		e->first = t;
	if (t > e->last)
		e->last = t;
	if (t <= window && t > e->last_before)
		e->last_before = t;
}

static inline void
find_events(const struct wline *l, uint32_t timeline, bool clean,
    int64_t window, struct events *e)
{
	size_t i;

	*e = (struct events) { INT64_MAX, INT64_MIN, INT64_MIN };
	for (i = 0; i < l->n_segs; i++)
		if (l->segs[i].there && l->segs[i].timeline == timeline)
			note_event(e, l->segs[i].time, window);
	for (i = 0; i < l->n; i++)
		if (is_backup(&l->sets[i]) && is_good(&l->sets[i], clean) &&
		    l->sets[i].set.timeline == timeline)
			note_event(e, l->sets[i].true_stop, window);
}

static size_t n_instants, n_restorable;

struct promise {
	struct world *w;
	const struct decision *d;
	size_t line;
	const struct wtimeline *t;
	bool clean;
	uint64_t *before, *after;
};

static inline void
check_instant(const struct promise *p, int64_t time)
{
	const struct wline *l = &p->w->lines[p->line];

	n_instants++;
	if (!restorable(l, p->t, time, p->clean, NULL, p->before))
		return;
	n_restorable++;
	HOLDS(restorable(l, p->t, time, p->clean, p->d->sets[p->line],
		  p->after),
	    "line %zu timeline %u %" PRId64 " hours ago could be restored",
	    p->line, p->t->path.timeline, (p->w->now - time) / HOUR);
}

/* Each moment in the window at which something was, and some between. */
static inline void
check_timeline(struct promise *p, const struct events *e, int64_t window,
    bool latest, bool was_latest)
{
	const struct wline *l = &p->w->lines[p->line];
	int64_t from = e->first > window ? e->first : window;
	size_t i;

	find_reach(l, p->t, NULL, p->before);
	find_reach(l, p->t, p->d->segs[p->line], p->after);
	for (i = 0; i < l->n_segs; i++)
		if (l->segs[i].timeline == p->t->path.timeline &&
		    l->segs[i].time > window)
			check_instant(p, l->segs[i].time);
	for (i = 0; i < l->n; i++)
		if (is_backup(&l->sets[i]) && l->sets[i].true_stop > window &&
		    l->sets[i].set.timeline == p->t->path.timeline)
			check_instant(p, l->sets[i].true_stop);
	for (i = 0; i < 5 && from < e->last; i++)
		check_instant(p, (int64_t)world_pick(p->w, 0,
		    (uint64_t)(e->last - from)) + from);
	if (latest)
		check_instant(p, p->w->now);
	if (was_latest || (e->last_before != INT64_MIN && e->last > window))
		check_instant(p, window);
}

/* The promise as such, for clean backups and for all usable ones. */
static inline void
check_promise(struct world *w, const struct decision *d, int64_t window)
{
	size_t i, k;
	int clean;

	for (i = 0; i < w->n * 2; i++) {
		struct promise p = { .w = w, .d = d, .line = i / 2 };
		struct wline *l = &w->lines[p.line];
		struct events *e;
		int64_t last = INT64_MIN, last_before = INT64_MIN;

		clean = i % 2;
		p.clean = clean;
		p.before = xcalloc(l->max_segment + 2, sizeof(uint64_t));
		p.after = xcalloc(l->max_segment + 2, sizeof(uint64_t));
		e = xcalloc(l->n_timelines, sizeof(*e));
		for (k = 0; k < l->n_timelines; k++) {
			find_events(l, (uint32_t)k + 1,
			    has_clean(l, w->now), window, &e[k]);
			if (e[k].last > last)
				last = e[k].last;
			if (e[k].last_before > last_before)
				last_before = e[k].last_before;
		}
		for (k = 0; k < l->n_timelines; k++) {
			p.t = &l->timelines[k];
			if (e[k].last == INT64_MIN)
				continue;
			check_timeline(&p, &e[k], window, e[k].last == last,
			    e[k].last_before == last_before &&
				last_before != INT64_MIN);
		}
		free(e);
		free(p.before);
		free(p.after);
	}
}

/* Each kept backup has the WAL that makes it consistent. */
static inline void
check_own_wal(struct world *w, const struct decision *d)
{
	size_t i, k, m;

	for (i = 0; i < w->n; i++) {
		const struct wline *l = &w->lines[i];

		for (k = 0; k < l->n; k++) {
			const struct policy_set *s = &l->sets[k].set;

			if (!is_backup(&l->sets[k]) || !s->readable ||
			    !d->sets[i][k])
				continue;
			for (m = 0; m < l->n_segs; m++)
				HOLDS(!l->segs[m].there || d->segs[i][m] ||
				    l->segs[m].timeline != s->timeline ||
				    l->segs[m].number < s->start_lsn / SEG ||
				    l->segs[m].number >
					(s->stop_lsn - 1) / SEG,
				    "kept backup %s of line %zu lacks segment "
				    "%" PRIu64, s->label, i,
				    l->segs[m].number);
		}
	}
}

#endif
