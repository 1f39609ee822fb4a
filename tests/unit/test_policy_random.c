/* SPDX-License-Identifier: PostgreSQL */
/*
 * The promise of retention, over thousands of random histories. What must
 * hold is worked out here once more, by brute force and from the promise:
 * nothing of it looks at how the policy does it.
 *
 *	DAPK_TEST_WORLDS=100000 test_policy_random	more of them
 *	DAPK_TEST_SEED=4711 test_policy_random		just that one
 */
#include "config.h"

#include "fixture_world.h"

#include <inttypes.h>
#include <time.h>

#define WORLDS 4000

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

static void
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

static void
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

static int
by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
add_evidence(struct evidence *e, int64_t t)
{
	if (t > e->now + HOUR)
		e->ahead++;
	else
		e->times[e->n++] = t > e->now ? e->now : t;
}

static void
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

static int64_t
overlap(int64_t a, int64_t b, int64_t from, int64_t to)
{
	if (a < from)
		a = from;
	if (b > to)
		b = to;
	return a < b ? b - a : 0;
}

/* What was lived, and what not, between a time and now. */
static int64_t
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

static bool
is_future(const struct wset *s, int64_t now)
{
	return s->set.stop > now + HOUR;
}

static bool
counts(const struct wset *s)
{
	return s->there && s->set.readable && !s->set.dismissed;
}

static bool
is_backup(const struct wset *s)
{
	return s->set.kind == REPO_BACKUP;
}

/* Has the line a clean usable backup? Else a damaged one is good. */
static bool
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

static bool
is_good(const struct wset *s, bool clean)
{
	return counts(s) && s->set.usable && (s->set.clean || !clean);
}

static bool
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
static bool
is_on_path(const struct wtimeline *t, const struct wset *s)
{
	size_t i;

	for (i = 0; i < t->path.n; i++)
		if (t->path.entries[i].timeline == s->set.timeline)
			return s->set.stop_lsn <= t->path.entries[i].end;
	return false;
}

/* May recovery along the path ask for this segment of this timeline? */
static bool
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
static void
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
static uint64_t
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
static bool
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

static void
note_event(struct events *e, int64_t t, int64_t window)
{
	if (t < e->first)
		e->first = t;
	if (t > e->last)
		e->last = t;
	if (t <= window && t > e->last_before)
		e->last_before = t;
}

static void
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

static void
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
static void
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
static void
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
static void
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

/* Pins, intents, the window ...: whether one set stays, as far as it alone
 * tells. 1 it must, -1 it must not, 0 others decide. */
static int
alone(const struct world *w, const struct evidence *e, const struct wset *s,
    int64_t window)
{
	const struct policy_set *set = &s->set;
	int64_t age = lived(e, set->stop, true);

	if (set->in_use || pin_holds(e, set, window))
		return 1;
	if (set->dismissed)
		return -1;
	if (w->rules.retain_us == 0 || !set->readable ||
	    is_future(s, e->now) || age < w->rules.retain_us)
		return 1;
	if (set->wanted_by != NULL &&
	    set->stop > window - w->rules.mirror_us)
		return 1;
	return 0;
}

static bool
same_sort(const struct policy_set *a, const struct policy_set *b)
{
	return a->kind == b->kind && (a->kind == REPO_BACKUP ||
	    (strcmp(a->database, b->database) == 0 &&
		strcmp(a->options, b->options) == 0));
}

/* Is it the newest of its sort in its line, of those like it? level 2: good,
 * 1: usable, 0: any. */
static bool
is_newest(const struct world *w, size_t line, size_t at_index, int level,
    int64_t now)
{
	const struct wline *l = &w->lines[line];
	const struct wset *s = &l->sets[at_index];
	bool clean = has_clean(l, now);
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct wset *o = &l->sets[i];
		bool like = level == 2 && is_backup(o) ? is_good(o, clean) :
		    counts(o) && (o->set.usable || level == 0);

		if (is_future(o, now) || !same_sort(&o->set, &s->set))
			continue;
		if (o == s && !like)
			return false;
		if (like && o->set.stop > s->set.stop)
			return false;
	}
	return true;
}

static void
period_name(int rule, int64_t t, char out[32])
{
	time_t seconds = (time_t)((t - at("1970-01-01 00:00:00Z")) / 1000000);
	struct tm tm;

	assert_non_null(gmtime_r(&seconds, &tm));
	if (rule == KEEP_DAILY)
		strftime(out, 32, "%Y-%m-%d", &tm);
	else if (rule == KEEP_WEEKLY)
		strftime(out, 32, "%G %V", &tm);
	else if (rule == KEEP_MONTHLY)
		strftime(out, 32, "%Y-%m", &tm);
	else
		strftime(out, 32, "%Y", &tm);
}

/* Is it the newest of one of the last periods? By counting what is newer. */
static bool
is_snapshot(struct world *w, size_t line, size_t at_index, int64_t now)
{
	const struct wset *s = &w->lines[line].sets[at_index];
	bool good = is_good(s, !is_backup(s) ||
	    has_clean(&w->lines[line], now)) && !is_future(s, now);
	char seen[512][32], mine[32], name[32];
	size_t i, k, m, n;
	int r;

	for (r = 0; r < 4 && good; r++) {
		bool newest = true;

		n = 0;
		period_name(r, s->set.stop, mine);
		for (i = 0; i < w->n; i++) {
			bool clean = has_clean(&w->lines[i], now);

			for (k = 0; k < w->lines[i].n; k++) {
				struct wset *o = &w->lines[i].sets[k];

				if (!is_good(o, !is_backup(o) || clean) ||
				    is_future(o, now) ||
				    !same_sort(&o->set, &s->set) ||
				    o->set.stop <= s->set.stop)
					continue;
				period_name(r, o->set.stop, name);
				newest = newest && strcmp(name, mine) != 0;
				for (m = 0; m < n; m++)
					if (strcmp(seen[m], name) == 0)
						break;
				if (m == n && n < 512)
					memcpy(seen[n++], name, 32);
			}
		}
		if (newest && n < w->rules.keep[r])
			return true;
	}
	return false;
}

/* Two that ended in the same microsecond: one of them is enough. */
static bool
has_twin(const struct world *w, size_t line, size_t at_index)
{
	const struct wset *s = &w->lines[line].sets[at_index];
	size_t i, k;

	for (i = 0; i < w->n; i++)
		for (k = 0; k < w->lines[i].n; k++)
			if ((i != line || k != at_index) &&
			    w->lines[i].sets[k].set.stop == s->set.stop &&
			    same_sort(&w->lines[i].sets[k].set, &s->set))
				return true;
	return false;
}

static bool
no_usable(const struct wline *l, int64_t now, bool future)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (is_backup(&l->sets[i]) && counts(&l->sets[i]) &&
		    l->sets[i].set.usable &&
		    (future || !is_future(&l->sets[i], now)))
			return false;
	return true;
}

/* The last good one is kept, for each sort, with all its WAL since. */
static bool
must_stay_as_last(const struct world *w, size_t line, size_t i, int64_t now)
{
	const struct wset *s = &w->lines[line].sets[i];

	if (!counts(s) || is_future(s, now))
		return false;
	if (is_backup(s) && no_usable(&w->lines[line], now, false))
		return true;
	return is_newest(w, line, i, 2, now) || is_newest(w, line, i, 1, now) ||
	    (!is_backup(s) && is_newest(w, line, i, 0, now));
}

static void
check_last_wal(const struct world *w, const struct decision *d, size_t line,
    const struct policy_set *s)
{
	const struct wline *l = &w->lines[line];
	size_t i;

	for (i = 0; i < l->n_segs; i++)
		HOLDS(!l->segs[i].there || l->segs[i].timeline != s->timeline ||
		    l->segs[i].number < s->start_lsn / SEG ||
		    d->segs[line][i],
		    "the last good backup %s lost WAL %" PRIu64, s->label,
		    l->segs[i].number);
}

static void
check_each(struct world *w, const struct evidence *e, const struct decision *d)
{
	size_t i, k;

	for (i = 0; i < w->n; i++) {
		for (k = 0; k < w->lines[i].n; k++) {
			const struct wset *s = &w->lines[i].sets[k];
			int must;

			if (!s->there)
				continue;
			must = alone(w, e, s, d->window);
			HOLDS(must != 1 || d->sets[i][k],
			    "set %zu of line %zu must stay", k, i);
			HOLDS(must != -1 || !d->sets[i][k],
			    "set %zu of line %zu must go", k, i);
			HOLDS(d->sets[i][k] || has_twin(w, i, k) ||
			    !must_stay_as_last(w, i, k, e->now),
			    "set %zu of line %zu is a last one", k, i);
			HOLDS(d->sets[i][k] || has_twin(w, i, k) ||
			    !is_snapshot(w, i, k, e->now),
			    "set %zu of line %zu is a snapshot", k, i);
			if (is_backup(s) && counts(s) && !has_twin(w, i, k) &&
			    !is_future(s, e->now) &&
			    is_good(s, has_clean(&w->lines[i], e->now)) &&
			    is_newest(w, i, k, 2, e->now))
				check_last_wal(w, d, i, &s->set);
		}
	}
}

/* No backup is kept and no WAL that nobody can name a reason for. */
struct need {
	uint64_t start; /* of a live path; UINT64_MAX: it is not live */
	size_t good, usable; /* its bases; SIZE_MAX: none */
};

static bool
is_live(const struct world *w, size_t line, size_t tl, int64_t window)
{
	const struct wline *l = &w->lines[line];
	int64_t best = INT64_MIN, best_before = INT64_MIN, newest;
	struct events e, mine = { 0, 0, 0 };
	size_t i, k, highest = 0;

	for (k = 0; k < l->n_timelines; k++) {
		/* Of WAL the catalogue has the newest time only. */
		newest = INT64_MIN;
		for (i = 0; i < l->n_segs; i++)
			if (l->segs[i].there && l->segs[i].timeline == k + 1 &&
			    l->segs[i].time > newest)
				newest = l->segs[i].time;
		e = (struct events) { INT64_MAX, INT64_MIN, INT64_MIN };
		if (newest != INT64_MIN)
			note_event(&e, newest, window);
		for (i = 0; i < l->n; i++) {
			const struct wset *s = &l->sets[i];

			if (!is_backup(s) || !counts(s) ||
			    s->set.timeline != k + 1)
				continue;
			if (s->set.stop > window && k == tl)
				return true;
			if (is_good(s, has_clean(l, w->now)))
				note_event(&e, s->set.stop, window);
		}
		if (k == tl)
			mine = e;
		if (e.last > best)
			best = e.last;
		if (e.last_before > best_before)
			best_before = e.last_before;
		highest = k;
	}
	return mine.last > window || mine.last == best || tl == highest ||
	    (mine.last_before == best_before && best_before != INT64_MIN);
}

static void
find_need(const struct world *w, size_t line, size_t tl, int64_t window,
    struct need *out)
{
	const struct wline *l = &w->lines[line];
	bool clean = has_clean(l, w->now);
	size_t i;

	*out = (struct need) { UINT64_MAX, SIZE_MAX, SIZE_MAX };
	if (!is_live(w, line, tl, window))
		return;
	for (i = 0; i < l->n; i++) {
		const struct wset *s = &l->sets[i];

		if (!is_backup(s) || !counts(s) || !s->set.usable ||
		    !is_on_path(&l->timelines[tl], s))
			continue;
		if (s->set.stop > window) {
			if (s->set.start_lsn / SEG < out->start)
				out->start = s->set.start_lsn / SEG;
			continue;
		}
		if (is_good(s, clean) && (out->good == SIZE_MAX ||
		    s->set.stop > l->sets[out->good].set.stop))
			out->good = i;
		if (out->usable == SIZE_MAX ||
		    s->set.stop > l->sets[out->usable].set.stop)
			out->usable = i;
	}
	if (out->usable == SIZE_MAX)
		out->start = 0; /* nothing is from before the window */
	for (i = 0; i < l->n; i++)
		if ((i == out->good || i == out->usable) &&
		    l->sets[i].set.start_lsn / SEG < out->start)
			out->start = l->sets[i].set.start_lsn / SEG;
}

/* Has somebody use for the segment? */
static bool
is_needed(const struct world *w, const struct evidence *e,
    const struct decision *d, size_t line, const struct wseg *s,
    const struct need *needs)
{
	const struct wline *l = &w->lines[line];
	const struct wtimeline *t = &l->timelines[s->timeline - 1];
	size_t i;

	for (i = 0; i < l->n_timelines; i++)
		if (needs[i].start != UINT64_MAX &&
		    s->number >= needs[i].start &&
		    path_asks(&l->timelines[i], s))
			return true;
	for (i = 0; i < l->n; i++) {
		const struct policy_set *b = &l->sets[i].set;

		if (!is_backup(&l->sets[i]) || !d->sets[line][i] ||
		    b->timeline != s->timeline ||
		    s->number < b->start_lsn / SEG)
			continue;
		if (s->number <= b->stop_lsn / SEG ||
		    is_newest(w, line, i, 2, e->now))
			return true;
	}
	return t->wanted_since != 0 && s->number >= t->wanted_from &&
	    t->wanted_since > d->window - w->rules.mirror_us;
}

static void
check_no_more(struct world *w, const struct evidence *e,
    const struct decision *d)
{
	size_t i, k, m;

	for (i = 0; i < w->n; i++) {
		struct wline *l = &w->lines[i];
		struct need *needs = xcalloc(l->n_timelines, sizeof(*needs));

		for (k = 0; k < l->n_timelines; k++)
			find_need(w, i, k, d->window, &needs[k]);
		for (k = 0; k < l->n; k++) {
			bool base = false;

			for (m = 0; m < l->n_timelines; m++)
				base = base || needs[m].good == k ||
				    needs[m].usable == k;
			HOLDS(!d->sets[i][k] || base ||
			    has_twin(w, i, k) ||
			    alone(w, e, &l->sets[k], d->window) == 1 ||
			    must_stay_as_last(w, i, k, e->now) ||
			    is_snapshot(w, i, k, e->now),
			    "nobody needs set %zu of line %zu", k, i);
		}
		for (k = 0; k < l->n_segs; k++)
			HOLDS(!l->segs[k].there ||
			    no_usable(l, e->now, true) || d->segs[i][k] ==
				is_needed(w, e, d, i, &l->segs[k], needs),
			    "timeline %u segment %" PRIu64 " of line %zu: %s",
			    l->segs[k].timeline, l->segs[k].number, i,
			    d->segs[i][k] ? "nobody needs it" : "is needed");
		free(needs);
	}
}

static void
check_lived(const struct world *w, const struct evidence *e,
    const struct decision *d)
{
	HOLDS(lived(e, d->window, true) == w->rules.retain_us,
	    "the window begins at the wrong moment");
	HOLDS(lived(e, d->window + 1, true) < w->rules.retain_us ||
	    w->rules.retain_us == 0, "the window begins too early");
}

/* What was kept is kept again, when `steps` of the removals are done. */
static void
check_again(struct world *w, int64_t now, const struct decision *d,
    uint64_t steps, bool all)
{
	struct world copy = *w;
	struct decision again;
	uint64_t done = 0;
	size_t i, k;

	for (i = 0; i < w->n; i++) {
		const struct wline *l = &w->lines[i];

		copy.lines[i].sets = xcalloc(l->n + 1, sizeof(*l->sets));
		copy.lines[i].segs = xcalloc(l->n_segs + 1, sizeof(*l->segs));
		if (l->n > 0)
			memcpy(copy.lines[i].sets, l->sets,
			    l->n * sizeof(*l->sets));
		if (l->n_segs > 0)
			memcpy(copy.lines[i].segs, l->segs,
			    l->n_segs * sizeof(*l->segs));
		for (k = 0; k < l->n; k++)
			if (l->sets[k].there && !d->sets[i][k] &&
			    (all || done < steps)) {
				copy.lines[i].sets[k].there = false;
				done++;
			}
	}
	for (i = 0; i < w->n; i++)
		for (k = 0; k < w->lines[i].n_segs; k++)
			if (w->lines[i].segs[k].there && !d->segs[i][k] &&
			    (all || done < steps)) {
				copy.lines[i].segs[k].there = false;
				done++;
			}
	decide(&copy, now, &again);
	for (i = 0; i < w->n; i++) {
		for (k = 0; k < w->lines[i].n; k++)
			HOLDS(!d->sets[i][k] || again.sets[i][k],
			    "set %zu of line %zu goes after %" PRIu64
			    " steps", k, i, done);
		for (k = 0; k < w->lines[i].n_segs; k++)
			HOLDS(!d->segs[i][k] || again.segs[i][k],
			    "segment %zu of line %zu goes after %" PRIu64
			    " steps", k, i, done);
	}
	decision_free(&copy, &again);
	for (i = 0; i < w->n; i++) {
		free(copy.lines[i].sets);
		free(copy.lines[i].segs);
	}
}

/* Time goes by and nothing happens: what had gone does not come back. */
static void
check_later(struct world *w, const struct decision *d)
{
	struct decision later;
	size_t i, k;

	decide(w, w->now + (int64_t)world_pick(w, 1, 34 * 24) * HOUR, &later);
	if (later.window >= d->window) {
		for (i = 0; i < w->n; i++) {
			for (k = 0; k < w->lines[i].n; k++)
				HOLDS(d->sets[i][k] || !later.sets[i][k],
				    "set %zu of line %zu comes back", k, i);
			for (k = 0; k < w->lines[i].n_segs; k++)
				HOLDS(d->segs[i][k] || !later.segs[i][k],
				    "segment %zu of line %zu comes back", k,
				    i);
		}
	}
	decision_free(w, &later);
}

/* A wrong clock of this host removes nothing that the true one needs. */
static void
check_wrong_clock(struct world *w, const struct evidence *e, int64_t window)
{
	struct decision d;
	int64_t now;
	size_t i, k;

	/* Both this clock and others wrong, each otherwise, is too much. */
	switch (world_pick(w, 0, w->extreme ? 2 : 3)) {
	case 0:
		now = at("1970-01-01 00:00:00Z");
		break;
	case 1:
		now = at("2090-01-01 00:00:00Z");
		break;
	case 2:
		now = w->now + e->limit + 1 +
		    (int64_t)world_pick(w, 0, 100) * DAY;
		break;
	default:
		now = w->now - (int64_t)world_pick(w, 1, 100 * 24) * HOUR;
		/* What rested long enough by now did not then, perhaps. */
		window = w->now - w->rules.retain_us;
	}
	wrong_by = now - w->now;
	decide(w, now, &d);
	check_promise(w, &d, window);
	check_own_wal(w, &d);
	for (i = 0; i < w->n; i++)
		for (k = 0; k < w->lines[i].n; k++)
			HOLDS(d.sets[i][k] ||
			    w->lines[i].sets[k].set.dismissed ||
			    has_twin(w, i, k) ||
			    ((!must_stay_as_last(w, i, k, w->now) ||
				 w->extreme) &&
				(!pin_holds(e, &w->lines[i].sets[k].set,
				     window) ||
				    now < w->now)),
			    "a wrong clock takes set %zu of line %zu", k, i);
	if (now < at("1980-01-01 00:00:00Z") && !w->extreme)
		for (i = 0; i < w->n; i++)
			for (k = 0; k < w->lines[i].n_segs; k++)
				HOLDS(!w->lines[i].segs[k].there ||
				    d.segs[i][k], "1970 removes WAL");
	decision_free(w, &d);
}

static size_t n_worlds, n_sets, n_sets_gone, n_segs, n_segs_gone;

static void
count(const struct world *w, const struct decision *d)
{
	size_t i, k;

	n_worlds++;
	for (i = 0; i < w->n; i++) {
		for (k = 0; k < w->lines[i].n; k++, n_sets++)
			n_sets_gone += !d->sets[i][k];
		for (k = 0; k < w->lines[i].n_segs; k++)
			if (w->lines[i].segs[k].there) {
				n_segs++;
				n_segs_gone += !d->segs[i][k];
			}
	}
}

static void
check_world(uint64_t seed)
{
	struct evidence e;
	struct decision d;
	struct world w;

	current = &w;
	wrong_by = 0;
	world_make(&w, seed);
	find_evidence(&w, w.now, &e);
	decide(&w, w.now, &d);
	count(&w, &d);
	check_lived(&w, &e, &d);
	check_own_wal(&w, &d);
	check_each(&w, &e, &d);
	if (!w.mild)
		check_promise(&w, &d, d.window);
	if (!w.extreme && !w.mild && !w.unknown && !w.unreadable &&
	    e.n > e.ahead && w.rules.retain_us != 0)
		check_no_more(&w, &e, &d);
	check_again(&w, w.now, &d, world_pick(&w, 1, 60), false);
	check_again(&w, w.now, &d, world_pick(&w, 1, 400), false);
	check_again(&w, w.now, &d, 0, true);
	if (!w.mild) {
		check_later(&w, &d);
		check_wrong_clock(&w, &e, d.window);
	}
	decision_free(&w, &d);
	free(e.times);
	world_free(&w);
}

/* All of a world, for who looks for what went wrong. */
static void
show_world(struct world *w)
{
	struct policy p;
	size_t i, k;

	world_show(w, w->now, &p);
	policy_decide(&p);
	print_message("retain %" PRId64 " days, window %" PRId64 " hours ago; "
	    "extreme %d mild %d unknown %d unreadable %d\n",
	    w->rules.retain_us / DAY, (w->now - p.window) / HOUR, w->extreme,
	    w->mild, w->unknown, w->unreadable);
	for (i = 0; i < p.n_odd; i++)
		print_message("odd: %s\n", p.odd[i]);
	for (i = 0; i < w->n; i++) {
		struct policy_line *l = &p.lines[i];

		print_message("line %zu: %s\n", i, l->wal_why);
		for (k = 0; k < l->n_timelines; k++) {
			const struct history *h = &w->lines[i].timelines[k].path;
			size_t m;

			print_message("  timeline %zu%s, WAL %" PRIu64
			    "..%" PRIu64 ", %" PRId64 " hours ago; path",
			    k + 1, l->timelines[k].path == NULL ?
				" (unknown)" : "", l->timelines[k].first,
			    l->timelines[k].last,
			    (w->now - l->timelines[k].newest) / HOUR);
			for (m = 0; m < h->n; m++)
				print_message(" %u..%.2f",
				    h->entries[m].timeline,
				    (double)h->entries[m].end / SEG);
			print_message("\n");
		}
		for (k = 0; k < l->n; k++) {
			const struct policy_set *s = &l->sets[k];
			const struct wset *o = &w->lines[i].sets[k];

			print_message("  %s %s %" PRId64 " (%" PRId64 ") hours "
			    "ago%s%s%s timeline %u %.2f..%.2f: %s\n",
			    s->kind == REPO_DUMP ? "dump" : "backup", s->label,
			    (w->now - s->stop) / HOUR,
			    (w->now - o->true_stop) / HOUR,
			    s->usable ? "" : " unusable",
			    s->clean ? "" : " dirty",
			    s->dismissed ? " dismissed" : "", s->timeline,
			    (double)s->start_lsn / SEG,
			    (double)s->stop_lsn / SEG, s->why);
		}
		for (k = 0; k < l->n_keep; k++)
			print_message("  keep %u %" PRIu64 "..%" PRIu64 "\n",
			    l->keep[k].timeline, l->keep[k].first,
			    l->keep[k].last);
	}
	world_show_free(&p);
}

static void
the_promise_holds_in_random_worlds(void **state)
{
	const char *seed = getenv("DAPK_TEST_SEED");
	const char *worlds = getenv("DAPK_TEST_WORLDS");
	struct world w;
	uint64_t i, n = worlds == NULL ? WORLDS : strtoull(worlds, NULL, 10);

	(void)state;
	if (seed != NULL) {
		world_make(&w, strtoull(seed, NULL, 10));
		show_world(&w);
		world_free(&w);
		check_world(strtoull(seed, NULL, 10));
		return;
	}
	for (i = 1; i <= n; i++)
		check_world(i);
	print_message("%zu catalogues: %zu of %zu backups and dumps went, "
	    "%zu of %zu segments; %zu moments of windows, %zu could be "
	    "restored, before and after\n", n_worlds, n_sets_gone, n_sets,
	    n_segs_gone, n_segs, n_instants, n_restorable);
	/* A policy that keeps everything proves nothing. */
	assert_true(n_sets_gone * 5 > n_sets);
	assert_true(n_segs_gone * 5 > n_segs);
	assert_true(n_restorable * 3 > n_instants);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_promise_holds_in_random_worlds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
