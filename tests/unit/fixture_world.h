/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_WORLD_H
#define FIXTURE_WORLD_H

/*
 * Random histories of a cluster: systems that follow each other or run side
 * by side, timelines that branch, WAL segment by segment, with what was
 * really so (times too) beside what the catalogue says.
 *
 *	world_make(&w, seed);
 *	world_show(&w, now, &p);	what is there, as a catalogue
 *	... w.lines[i].sets[s].there = false ...
 *	world_show_free(&p); world_free(&w);
 */
#include "fixture_policy.h"

#define WORLD_SEGMENTS_MAX 4096

struct wset {
	struct policy_set set;
	int64_t true_stop;
	bool there;
};

struct wseg {
	uint32_t timeline;
	uint64_t number;
	int64_t time;
	bool there;
};

struct wtimeline {
	struct history path;
	uint64_t next; /* segment to be written */
	bool known;    /* its history is stored */
	bool ahead;    /* the store says its WAL comes from the future */
	uint64_t wanted_from;
	int64_t wanted_since;
};

struct wline {
	struct wset *sets;
	size_t n;
	struct wseg *segs;
	size_t n_segs;
	struct wtimeline *timelines; /* number i + 1 */
	size_t n_timelines;
	uint64_t max_segment;
	int64_t *times; /* of segments, for policy_timeline.stored */
};

struct world {
	uint64_t seed, rand;
	struct policy_rules rules;
	int64_t now; /* really */
	struct wline lines[4];
	size_t n;
	unsigned gaps;	 /* of 1000 segments */
	bool dirty;	 /* all backups have damaged pages */
	bool extreme;	 /* some clocks said 2090 ... */
	bool behind;	 /* ... or else 1970 */
	bool mild;	 /* some clocks were wrong by days */
	bool unknown;	 /* some histories are not stored */
	bool unreadable; /* some commits */
	bool weekly;	 /* the catalogue has more times of WAL */
};

static inline uint64_t
world_rand(struct world *w)
{
	/* splitmix64 */
	uint64_t z = (w->rand += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* lowest..highest */
static inline uint64_t
world_pick(struct world *w, uint64_t lowest, uint64_t highest)
{
	return lowest + world_rand(w) % (highest - lowest + 1);
}

static inline bool
world_odds(struct world *w, unsigned of_1000)
{
	return world_pick(w, 0, 999) < of_1000;
}

static inline void
world_write(struct world *w, struct wline *l, uint32_t timeline, int64_t time)
{
	struct wtimeline *t = &l->timelines[timeline - 1];

	assert_true(t->next < WORLD_SEGMENTS_MAX);
	l->segs = xreallocarray(l->segs, l->n_segs + 1, sizeof(*l->segs));
	l->segs[l->n_segs++] = (struct wseg) { timeline, t->next, time,
		!world_odds(w, w->gaps) };
	if (t->next > l->max_segment)
		l->max_segment = t->next;
	t->next++;
}

static inline struct wset *
world_set(struct wline *l, int64_t stop)
{
	struct wset *s;

	l->sets = xreallocarray(l->sets, l->n + 1, sizeof(*l->sets));
	s = &l->sets[l->n];
	memset(s, 0, sizeof(*s));
	s->there = true;
	s->true_stop = s->set.stop = stop;
	s->set.start = stop - HOUR;
	s->set.label = xasprintf("%zu", l->n++);
	s->set.readable = s->set.usable = s->set.clean = true;
	s->set.pin_reason = "";
	return s;
}

static inline void
world_backup(struct world *w, struct wline *l, uint32_t timeline, int64_t t)
{
	struct wtimeline *tl = &l->timelines[timeline - 1];
	pg_lsn begin = tl->path.entries[tl->path.n - 1].begin;
	struct wset *s;
	pg_lsn start = tl->next * SEG + world_pick(w, 0, SEG - 100);
	uint64_t n = world_pick(w, 1, 3);

	if (world_odds(w, 100))
		start = tl->next * SEG;
	if (start < begin)
		start = begin;
	while (n-- > 0)
		world_write(w, l, timeline, t);
	s = world_set(l, t + HOUR);
	s->set.kind = REPO_BACKUP;
	s->set.timeline = timeline;
	s->set.start_lsn = start;
	s->set.stop_lsn = tl->next * SEG - world_pick(w, 1, 50);
	if (s->set.stop_lsn <= start || world_odds(w, 100))
		s->set.stop_lsn = tl->next * SEG;
	s->set.clean = !w->dirty && !world_odds(w, 120);
	s->set.usable = !world_odds(w, 80);
	for (n = 0; n < l->n_segs; n++)
		if (l->segs[n].timeline == timeline && !l->segs[n].there &&
		    l->segs[n].number >= start / SEG)
			s->set.usable = false;
}

static inline void
world_dump(struct world *w, struct wline *l, int64_t t)
{
	static const char *const names[] = { "", "app", "shop", "old" };
	struct wset *s = world_set(l, t);

	s->set.kind = REPO_DUMP;
	s->set.database = names[world_pick(w, 0, 3)];
	s->set.options = world_odds(w, 200) ? "--schema=public\n" : "";
	s->set.usable = !world_odds(w, 150);
}

/* Timeline `parent` is left at an LSN: the new timeline's number. */
static inline uint32_t
world_branch(struct wline *l, uint32_t parent, pg_lsn at)
{
	const struct history *from = &l->timelines[parent - 1].path;
	struct wtimeline *t;
	struct history h = { .timeline = (uint32_t)l->n_timelines + 1 };
	size_t i;

	h.entries = xcalloc(from->n + 1, sizeof(*h.entries));
	for (i = 0; i < from->n; i++) {
		h.entries[h.n] = from->entries[i];
		if (h.entries[h.n++].end >= at) {
			h.entries[h.n - 1].end = at;
			break;
		}
	}
	h.entries[h.n++] = (struct history_entry) { h.timeline, at,
		UINT64_MAX };
	l->timelines = xreallocarray(l->timelines, l->n_timelines + 1,
	    sizeof(*l->timelines));
	t = &l->timelines[l->n_timelines++];
	memset(t, 0, sizeof(*t));
	t->path = h;
	t->known = true;
	t->next = at / SEG;
	return h.timeline;
}

static inline uint32_t
world_any_branch(struct world *w, struct wline *l, uint32_t current)
{
	uint32_t parent = world_odds(w, 500) ? current :
	    (uint32_t)world_pick(w, 1, l->n_timelines);
	const struct wtimeline *t = &l->timelines[parent - 1];
	pg_lsn begin = t->path.entries[t->path.n - 1].begin, end;

	end = t->next * SEG;
	if (end < begin)
		end = begin;
	if (world_odds(w, 300))
		begin = end; /* a promotion */
	else if (world_odds(w, 200)) /* long ago: another one's, perhaps */
		begin = 3 * SEG;
	if (begin < 3 * SEG)
		begin = 3 * SEG;
	begin = world_pick(w, begin, end < begin ? begin : end);
	if (world_odds(w, 150))
		begin = begin / SEG * SEG;
	return world_branch(l, parent, begin);
}

static inline void
world_line(struct world *w, struct wline *l, int64_t from, int64_t to)
{
	uint64_t busy = world_pick(w, 1, 4), roll, n;
	uint32_t current;
	int64_t t = from;
	struct history h;

	memset(l, 0, sizeof(*l));
	history_single(1, &h);
	l->timelines = xcalloc(1, sizeof(*l->timelines));
	l->timelines[l->n_timelines++] = (struct wtimeline) { .path = h,
		.next = world_pick(w, 3, 30), .known = true };
	for (current = 1; t < to;) {
		t += (int64_t)world_pick(w, 1, 60 * busy) * HOUR;
		if (world_odds(w, 8))
			t += (int64_t)world_pick(w, 30, 130) * DAY;
		if (t >= to)
			break;
		roll = world_pick(w, 0, 99);
		if (roll < 60) {
			for (n = world_pick(w, 1, 4); n > 0; n--)
				world_write(w, l, current, t);
		} else if (roll < 82)
			world_backup(w, l, current, t);
		else if (roll < 94)
			world_dump(w, l, t);
		else if (roll < 98 && l->n_timelines < 9)
			current = world_any_branch(w, l, current);
		else if (world_odds(w, 300))
			current = (uint32_t)world_pick(w, 1, l->n_timelines);
	}
}

/* What people, processes and clocks did to a set. */
static inline void
world_flags(struct world *w, struct wset *s)
{
	struct policy_set *set = &s->set;

	if (world_odds(w, 50)) {
		set->pinned = true;
		set->pin_created = s->true_stop +
		    (int64_t)world_pick(w, 0, 20) * DAY;
		if (set->pin_created > w->now)
			set->pin_created = w->now;
		if (world_odds(w, 700))
			set->pin_until = set->pin_created +
			    (int64_t)world_pick(w, 1, 100) * DAY;
	}
	set->in_use = world_odds(w, 30);
	set->dismissed = world_odds(w, 40);
	if (world_odds(w, 60))
		set->wanted_by = "offsite";
	if (w->unreadable && world_odds(w, 30))
		set->readable = set->usable = set->clean = false;
	if (w->extreme && world_odds(w, 60))
		set->stop = w->behind ?
		    at("1970-01-01 00:00:00Z") +
			(int64_t)world_pick(w, 0, 400) * DAY :
		    at("2090-01-01 00:00:00Z") +
			(int64_t)world_pick(w, 0, 400) * DAY;
	if (w->mild && world_odds(w, 60))
		set->stop += ((int64_t)world_pick(w, 0, 80) - 40) * DAY;
}

static inline void
world_make(struct world *w, uint64_t seed)
{
	int64_t t, to;
	size_t i, k;

	memset(w, 0, sizeof(*w));
	w->seed = w->rand = seed;
	w->gaps = world_odds(w, 400) ? (unsigned)world_pick(w, 5, 40) : 0;
	w->dirty = world_odds(w, 50);
	w->extreme = world_odds(w, 150);
	w->behind = world_odds(w, 500);
	w->mild = !w->extreme && world_odds(w, 100);
	w->unknown = !w->extreme && world_odds(w, 80);
	w->unreadable = world_odds(w, 80);
	w->weekly = world_odds(w, 300);
	w->rules.retain_us = world_odds(w, 20) ? 0 :
	    (int64_t)world_pick(w, 1, 60) * DAY;
	w->rules.mirror_us = (int64_t)world_pick(w, 0, 20) * DAY;
	for (i = 0; i < 4; i++)
		w->rules.keep[i] = world_odds(w, 500) ? 0 :
		    (unsigned)world_pick(w, 1, 5);
	w->n = world_odds(w, 600) ? 1 : world_pick(w, 2, 3);
	t = at("2026-02-01 00:00:00Z") + (int64_t)world_pick(w, 0, 5000) * HOUR;
	for (i = 0; i < w->n; i++) {
		to = t + (int64_t)world_pick(w, 10, 200) * DAY;
		world_line(w, &w->lines[i], t, to);
		if (!world_odds(w, 200)) /* else they run side by side */
			t = to;
		if (to > w->now)
			w->now = to;
	}
	w->now += (int64_t)world_pick(w, 0, 72) * HOUR;
	if (world_odds(w, 150)) /* everything may be older than the window */
		w->now += (int64_t)world_pick(w, 10, 400) * DAY;
	for (i = 0; i < w->n; i++) {
		struct wline *l = &w->lines[i];

		l->times = xcalloc(l->n_segs + 1, sizeof(*l->times));
		for (k = 0; k < l->n; k++)
			world_flags(w, &l->sets[k]);
		for (k = 0; k < l->n_timelines; k++) {
			l->timelines[k].known = !w->unknown ||
			    !world_odds(w, 300);
			l->timelines[k].ahead = w->extreme &&
			    world_odds(w, 50);
			if (!world_odds(w, 80))
				continue;
			l->timelines[k].wanted_from = world_pick(w, 3,
			    l->timelines[k].next);
			l->timelines[k].wanted_since = w->now -
			    (int64_t)world_pick(w, 0, 90) * DAY;
		}
	}
}

/* A timeline as the store shows it. */
static inline void
world_show_timeline(struct world *w, struct wline *l, size_t at_index,
    int64_t *times, struct policy_timeline *out)
{
	const struct wtimeline *t = &l->timelines[at_index];
	size_t i;

	memset(out, 0, sizeof(*out));
	out->timeline = t->path.timeline;
	out->path = t->known ? &t->path : NULL;
	out->wanted_from = t->wanted_from;
	out->wanted_since = t->wanted_since;
	out->wanted_by = "offsite";
	out->stored = w->weekly ? times : NULL;
	for (i = 0; i < l->n_segs; i++) {
		const struct wseg *s = &l->segs[i];

		if (s->timeline != out->timeline || !s->there)
			continue;
		if (out->first == 0 || s->number < out->first)
			out->first = s->number;
		if (s->number > out->last)
			out->last = s->number;
		if (out->newest == 0 || s->time > out->newest)
			out->newest = s->time;
		if (w->weekly)
			times[out->n_stored++] = s->time;
	}
	if (t->ahead && out->newest != 0)
		out->newest = at("2090-06-01 00:00:00Z");
}

/* Sets that are there; set.label is the index in the world's line. */
static inline void
world_show(struct world *w, int64_t now, struct policy *p)
{
	size_t i, k, used;

	memset(p, 0, sizeof(*p));
	p->rules = w->rules;
	p->now = now;
	p->n = w->n;
	p->lines = xcalloc(p->n, sizeof(*p->lines));
	for (i = 0; i < w->n; i++) {
		struct wline *l = &w->lines[i];
		struct policy_line *out = &p->lines[i];

		out->system_id = 100 - i;
		out->major = 15;
		out->wal_segment_size = SEG;
		out->sets = xcalloc(l->n + 1, sizeof(*out->sets));
		for (k = 0; k < l->n; k++)
			if (l->sets[k].there)
				out->sets[out->n++] = l->sets[k].set;
		out->timelines = xcalloc(l->n_timelines + 1,
		    sizeof(*out->timelines));
		for (k = used = 0; k < l->n_timelines; k++) {
			world_show_timeline(w, l, k, l->times + used,
			    &out->timelines[out->n_timelines++]);
			used += out->timelines[k].n_stored;
		}
	}
}

static inline void
world_show_free(struct policy *p)
{
	size_t i;

	policy_free(p);
	for (i = 0; i < p->n; i++) {
		free(p->lines[i].sets);
		free(p->lines[i].timelines);
	}
	free(p->lines);
}

static inline void
world_free(struct world *w)
{
	size_t i, k;

	for (i = 0; i < w->n; i++) {
		struct wline *l = &w->lines[i];

		for (k = 0; k < l->n; k++)
			free((void *)(uintptr_t)l->sets[k].set.label);
		for (k = 0; k < l->n_timelines; k++)
			history_free(&l->timelines[k].path);
		free(l->sets);
		free(l->segs);
		free(l->timelines);
		free(l->times);
	}
}

#endif
