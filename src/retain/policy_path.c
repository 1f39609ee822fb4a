/* SPDX-License-Identifier: PostgreSQL */
/*
 * Live timelines, the bases of their paths, and the WAL that these need.
 *
 * A path has up to as many entries as there are timelines, and each live
 * timeline has a path: what a path asks of a timeline ("the newest good
 * backup that was made before it was left") is answered from a table.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "retain/policy_private.h"

static int
by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct policy_slot *
find_slot(const struct policy_line_work *lw, uint32_t timeline)
{
	size_t low = 0, high = lw->n_slots, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (lw->slots[mid].timeline < timeline)
			low = mid + 1;
		else
			high = mid;
	}
	return low < lw->n_slots && lw->slots[low].timeline == timeline ?
	    &lw->slots[low] : NULL;
}

/* The line's timelines and those of its backups, ascending, each once. */
static void
list_known(struct policy_line *line)
{
	size_t i, n = 0, out = 0;

	line->known = xcalloc(line->n + line->n_timelines + 1,
	    sizeof(*line->known));
	for (i = 0; i < line->n_timelines; i++)
		line->known[n++] = line->timelines[i].timeline;
	for (i = 0; i < line->n; i++)
		if (line->sets[i].kind == REPO_BACKUP &&
		    line->sets[i].readable)
			line->known[n++] = line->sets[i].timeline;
	if (n > 0)
		qsort(line->known, n, sizeof(*line->known), by_number);
	for (i = 0; i < n; i++)
		if (out == 0 || line->known[out - 1] != line->known[i])
			line->known[out++] = line->known[i];
	line->n_known = out;
}

static int
by_lsn(const void *a, const void *b)
{
	const struct policy_item *x = *(struct policy_item *const *)a;
	const struct policy_item *y = *(struct policy_item *const *)b;

	if (x->set->stop_lsn != y->set->stop_lsn)
		return x->set->stop_lsn < y->set->stop_lsn ? -1 : 1;
	return (x->stop > y->stop) - (x->stop < y->stop);
}

/*
 * Its place in the WAL says that a backup is later than one of the window:
 * then it is of the window too, whatever the clock said.
 */
static void
place_in_window(struct policy_slot *slot)
{
	bool passed = false;
	size_t i;

	for (i = 0; i < slot->n; i++) {
		struct policy_item *item = slot->backups[i];

		if (passed && !item->window && !item->future) {
			item->window = item->displaced = true;
			item->why |= POLICY_BIT(POLICY_WINDOW);
		}
		passed = passed || item->window;
	}
}

static bool
is_newer(const struct policy_item *a, const struct policy_item *than)
{
	return than == NULL || a->stop >= than->stop;
}

static void
lower(pg_lsn *a, pg_lsn to)
{
	if (to < *a)
		*a = to;
}

static void
fill_prefix(struct policy_slot *slot)
{
	struct policy_prefix p = { .window_start = UINT64_MAX,
		.future_start = UINT64_MAX, .future_clean = UINT64_MAX };
	size_t i;

	for (i = 0; i < slot->n; i++) {
		struct policy_item *item = slot->backups[i];

		if (item->window && item->set->usable) {
			lower(&p.window_start, item->set->start_lsn);
		} else if (item->set->usable && !item->future) {
			if (item->good && is_newer(item, p.good))
				p.good = item;
			if (is_newer(item, p.usable))
				p.usable = item;
			if (item->good)
				p.good_place = item;
			p.usable_place = item;
		} else if (item->good && item->future) {
			lower(&p.future_start, item->set->start_lsn);
			if (item->set->clean)
				lower(&p.future_clean, item->set->start_lsn);
		}
		slot->prefix[i] = p;
	}
}

static void
fill_slot(struct policy_slot *slot, int64_t window)
{
	const struct policy_timeline *t = slot->given;
	size_t i;

	qsort(slot->backups, slot->n, sizeof(struct policy_item *), by_lsn);
	place_in_window(slot);
	slot->prefix = xcalloc(slot->n + 1, sizeof(*slot->prefix));
	fill_prefix(slot);
	for (i = 0; i < slot->n; i++) {
		struct policy_item *item = slot->backups[i];

		if (item->window || item->future)
			slot->in_window = true;
		if (item->good && !item->future && item->stop > slot->active)
			slot->active = item->stop;
	}
	if (t == NULL || (t->first == 0 && t->last == 0 && t->newest == 0))
		return;
	if (t->newest == 0 || policy_sane_time(t->newest) > window)
		slot->in_window = true;
	if (t->newest != 0 && policy_sane_time(t->newest) > slot->active)
		slot->active = policy_sane_time(t->newest);
}

static void
make_slots(struct policy_line_work *lw)
{
	struct policy_line *line = lw->line;
	struct policy_slot *slot;
	size_t i;

	list_known(line);
	lw->n_slots = line->n_known;
	lw->slots = xcalloc(lw->n_slots + 1, sizeof(*lw->slots));
	for (i = 0; i < lw->n_slots; i++) {
		lw->slots[i].timeline = line->known[i];
		lw->slots[i].active = INT64_MIN;
	}
	for (i = 0; i < line->n_timelines; i++)
		find_slot(lw, line->timelines[i].timeline)->given =
		    &line->timelines[i];
	for (i = 0; i < line->n; i++) {
		if (line->sets[i].kind != REPO_BACKUP || !lw->items[i].counts)
			continue;
		slot = find_slot(lw, line->sets[i].timeline);
		slot->n++;
	}
	for (i = 0; i < lw->n_slots; i++) {
		lw->slots[i].backups = xcalloc(lw->slots[i].n + 1,
		    sizeof(struct policy_item *));
		lw->slots[i].n = 0;
	}
	for (i = 0; i < line->n; i++) {
		if (line->sets[i].kind != REPO_BACKUP || !lw->items[i].counts)
			continue;
		slot = find_slot(lw, line->sets[i].timeline);
		slot->backups[slot->n++] = &lw->items[i];
	}
}

static const struct history *
path_of(const struct policy_slot *slot)
{
	return slot->given == NULL ? NULL : slot->given->path;
}

/*
 * Timeline 1 needs no history. Of another one without a history nobody knows
 * what its WAL follows; its own base makes that unimportant.
 */
static void
look_for_unknown(struct policy_line_work *lw)
{
	size_t i;

	for (i = lw->n_slots; i > 0; i--) {
		struct policy_slot *s = &lw->slots[i - 1];

		if (lw->blind)
			s->live = true;
		else if (s->live && s->timeline != 1 && path_of(s) == NULL &&
		    (s->n == 0 || s->prefix[s->n - 1].good == NULL))
			lw->blind = true;
	}
}

/*
 * The last time at or before the window's beginning that something came that
 * will stay: WAL, or a good backup. The timeline was the current one then.
 */
static struct policy_slot *
current_at(struct policy_line_work *lw, int64_t window)
{
	struct policy_slot *best = NULL;
	struct policy_item *item;
	int64_t best_time = INT64_MIN, newest;
	size_t i;

	for (i = 0; i < lw->n_slots; i++) {
		struct policy_slot *s = &lw->slots[i];

		item = s->n == 0 ? NULL : s->prefix[s->n - 1].good;
		newest = s->given == NULL || s->given->newest == 0 ?
		    INT64_MIN : policy_sane_time(s->given->newest);
		if (newest != INT64_MIN && newest <= window &&
		    newest >= best_time) {
			best = s;
			best_time = newest;
			lw->before = NULL;
		}
		if (item != NULL && item->stop >= best_time) {
			best = s;
			best_time = item->stop;
			lw->before = item;
		}
	}
	return best;
}

void
policy_path_slots(struct policy_line_work *lw, int64_t window)
{
	struct policy_slot *s;
	size_t i;

	make_slots(lw);
	for (i = 0; i < lw->n_slots; i++) {
		s = &lw->slots[i];
		fill_slot(s, window);
		s->live = s->in_window;
		lw->in_window = lw->in_window || s->in_window;
		if (lw->main == NULL || s->active >= lw->main->active)
			lw->main = s;
	}
	if (lw->n_slots == 0)
		return;
	lw->main->live = true;
	lw->slots[lw->n_slots - 1].live = true;
	s = current_at(lw, window);
	if (s != NULL)
		s->live = true;
	lw->current = s;
	look_for_unknown(lw);
}

/* Sort, and join what touches. */
static void
normalize(struct policy_span *list, size_t *n)
{
	size_t i, out = 0;

	for (i = 0; i < *n; i++) {
		struct policy_span *last = out == 0 ? NULL : &list[out - 1];

		if (last != NULL && last->timeline == list[i].timeline &&
		    (last->last == UINT64_MAX ||
			list[i].first <= last->last + 1)) {
			if (list[i].last > last->last)
				last->last = list[i].last;
		} else
			list[out++] = list[i];
	}
	*n = out;
}

static int
by_span(const void *a, const void *b)
{
	const struct policy_span *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

static void
join_spans(struct policy_line_work *lw)
{
	if (lw->n_spans == 0)
		return;
	qsort(lw->spans, lw->n_spans, sizeof(*lw->spans), by_span);
	normalize(lw->spans, &lw->n_spans);
}

void
policy_path_add(struct policy_line_work *lw, uint32_t timeline, uint64_t first,
    uint64_t last)
{
	if (lw->n_spans == lw->cap_spans) {
		join_spans(lw); /* many paths share their beginnings */
		if (lw->n_spans >= lw->cap_spans / 2) {
			lw->cap_spans = lw->cap_spans * 2 + 64;
			lw->spans = xreallocarray(lw->spans, lw->cap_spans,
			    sizeof(*lw->spans));
		}
	}
	lw->spans[lw->n_spans++] = (struct policy_span) { timeline, first,
		last };
}

void
policy_path_finish(struct policy_line_work *lw)
{
	join_spans(lw);
	lw->line->keep = lw->spans;
	lw->line->n_keep = lw->n_spans;
	lw->spans = NULL;
	lw->n_spans = lw->cap_spans = 0;
}

/* What a path has before the window, and where the rest begins. */
struct base {
	struct policy_item *good, *usable, *good_place, *usable_place;
	pg_lsn start; /* lowest of all these; UINT64_MAX: none */
	pg_lsn future, future_clean; /* of those from the future */
};

/* How many of the slot's backups were made at or before the LSN. */
static size_t
count_until(const struct policy_slot *slot, pg_lsn end)
{
	size_t low = 0, high = slot->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (slot->backups[mid]->set->stop_lsn <= end)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The path's next timeline, oldest first, was left at `end`. */
static void
add_to_base(struct base *b, const struct policy_slot *slot, pg_lsn end)
{
	size_t n = count_until(slot, end);
	const struct policy_prefix *p;

	if (n == 0)
		return;
	p = &slot->prefix[n - 1];
	if (p->good != NULL && is_newer(p->good, b->good))
		b->good = p->good;
	if (p->usable != NULL && is_newer(p->usable, b->usable))
		b->usable = p->usable;
	if (p->good_place != NULL)
		b->good_place = p->good_place;
	if (p->usable_place != NULL)
		b->usable_place = p->usable_place;
	lower(&b->start, p->window_start);
	lower(&b->future, p->future_start);
	lower(&b->future_clean, p->future_clean);
}

/* Slots in the order of the path: histories ascend, but nobody promises. */
static void
find_base(const struct policy_line_work *lw, const struct policy_slot *slot,
    struct base *b)
{
	const struct history *path = path_of(slot);
	const struct policy_slot *end = lw->slots + lw->n_slots, *s;
	const struct policy_slot *next = lw->slots;
	uint32_t t;
	size_t i;

	*b = (struct base) { .start = UINT64_MAX, .future = UINT64_MAX,
		.future_clean = UINT64_MAX };
	if (path == NULL) {
		add_to_base(b, slot, UINT64_MAX);
		return;
	}
	for (i = 0; i < path->n; i++) {
		t = path->entries[i].timeline;
		while (next < end && next->timeline < t)
			next++;
		s = next < end && next->timeline == t ? next :
		    find_slot(lw, t);
		if (s != NULL && s->n > 0)
			add_to_base(b, s, path->entries[i].end);
	}
}

static void
add_path(struct policy_line_work *lw, const struct policy_slot *slot)
{
	const struct history *path = path_of(slot);
	uint32_t size = lw->line->wal_segment_size;
	uint64_t first, last;
	size_t i;

	if (path == NULL) {
		policy_path_add(lw, slot->timeline,
		    slot->timeline == 1 ? slot->from : 0, UINT64_MAX);
		return;
	}
	for (i = path->n; i > 0; i--) {
		const struct history_entry *e = &path->entries[i - 1];

		last = e->end == UINT64_MAX ? UINT64_MAX :
		    wal_segno_of_lsn(e->end, size);
		first = wal_segno_of_lsn(e->begin, size);
		if (last < slot->from)
			break;
		policy_path_add(lw, e->timeline,
		    first > slot->from ? first : slot->from, last);
	}
}

static void
mark_base(struct policy_line_work *lw, struct policy_slot *slot,
    struct policy_item *item, bool damaged)
{
	unsigned why = POLICY_BIT(lw->in_window ? POLICY_BASE : POLICY_LAST);

	if (item == NULL)
		return;
	if (!(item->why & why) || slot == lw->main) {
		item->base_of = slot->timeline;
		item->base_damaged = damaged;
		item->base_place = false;
	}
	item->why |= why;
}

/* The last one in the WAL: the same one, unless a clock was wrong. */
static void
mark_place(struct policy_line_work *lw, struct policy_slot *slot,
    struct policy_item *item)
{
	unsigned why = POLICY_BIT(POLICY_BASE) | POLICY_BIT(POLICY_LAST);

	if (item == NULL || (item->why & why))
		return;
	mark_base(lw, slot, item, false);
	item->base_place = true;
}

static void
decide_slot(struct policy_line_work *lw, struct policy_slot *slot)
{
	uint32_t size = lw->line->wal_segment_size;
	struct base b;

	find_base(lw, slot, &b);
	slot->base = b.good;
	mark_base(lw, slot, b.good, false);
	if (b.good == NULL || b.usable == NULL ||
	    b.usable->stop > b.good->stop)
		mark_base(lw, slot, b.usable, b.good != NULL);
	mark_place(lw, slot, b.good_place);
	mark_place(lw, slot, b.usable_place);
	if (b.good == NULL && b.usable == NULL)
		b.start = 0;
	/* One from the future is all that is good: it may be the base. */
	if (b.good == NULL)
		lower(&b.start, b.future);
	else if (!b.good->set->clean)
		lower(&b.start, b.future_clean);
	if (b.good != NULL)
		lower(&b.start, b.good->set->start_lsn);
	if (b.usable != NULL)
		lower(&b.start, b.usable->set->start_lsn);
	if (size == 0)
		return;
	slot->from = wal_segno_of_lsn(b.start, size);
	add_path(lw, slot);
}

void
policy_path_decide(struct policy_work *w, struct policy_line_work *lw)
{
	uint32_t size = lw->line->wal_segment_size;
	struct policy_slot *s;
	size_t i;

	for (i = 0; i < lw->n_slots; i++) {
		s = &lw->slots[i];
		if (s->live)
			decide_slot(lw, s);
		if (size == 0)
			continue;
		if (path_of(s) == NULL && s->timeline != 1)
			policy_path_add(lw, s->timeline, 0, UINT64_MAX);
		if (s->given != NULL && s->given->wanted_since != 0 &&
		    policy_sane_time(s->given->wanted_since) >
			w->mirror_window)
			policy_path_add(lw, s->timeline,
			    s->given->wanted_from, UINT64_MAX);
	}
	/* Wherever the clocks and the WAL disagree: the same, next time too. */
	if (lw->before != NULL && !(lw->before->why &
	    (POLICY_BIT(POLICY_BASE) | POLICY_BIT(POLICY_LAST))))
		mark_base(lw, lw->current, lw->before, false);
	if (lw->last != NULL && size != 0)
		policy_path_add(lw, lw->last->set->timeline,
		    wal_segno_of_lsn(lw->last->set->start_lsn, size),
		    UINT64_MAX);
}
