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

#include "fixture_promise.h"

#define WORLDS 4000

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
