/* SPDX-License-Identifier: PostgreSQL */
/*
 * What there is of WAL; walview_list.c lists it, walview_load.c has what a
 * view that remembers has in memory.
 */
#include "config.h"

#include "repo/walview_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/each.h"
#include "repo/keyring.h"

struct walview *
walview_new(struct repo *repo, const struct incarnation *inc)
{
	struct walview *v = xcalloc(1, sizeof(*v));

	v->repo = repo;
	v->inc = *inc;
	return v;
}

void
walview_free(struct walview *v)
{
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < v->n; i++) {
		struct walview_timeline *t = &v->timelines[i];

		free(t->items);
		free(t->folders);
		history_free(&t->history);
	}
	walview_unload(v);
	free(v->timelines);
	free(v->numbers);
	free(v->spans);
	free(v);
}

void
walview_remember(struct walview *v, struct walcache *cache)
{
	const struct walview_span *spans;

	v->cache = cache;
	if (cache == NULL)
		return;
	spans = walcache_spans(cache, &v->n_spans);
	v->spans = xcalloc(v->n_spans + 1, sizeof(*v->spans));
	if (v->n_spans > 0)
		memcpy(v->spans, spans, v->n_spans * sizeof(*v->spans));
}

int
walview_timelines(struct walview *v, const uint32_t **out, size_t *n,
    struct err *err)
{
	size_t i;

	if (!v->listed) {
		if (wal_store_timelines(v->repo, &v->inc, &v->numbers, &v->n,
			err) != 0)
			return -1;
		v->timelines = xcalloc(v->n + 1, sizeof(*v->timelines));
		for (i = 0; i < v->n; i++)
			v->timelines[i].timeline = v->numbers[i];
		v->listed = true;
	}
	*out = v->numbers;
	*n = v->n;
	return 0;
}

/* NULL: nothing of that timeline is stored. */
static int
find_timeline(struct walview *v, uint32_t timeline,
    struct walview_timeline **out, struct err *err)
{
	const uint32_t *numbers;
	size_t n, i;

	*out = NULL;
	if (walview_timelines(v, &numbers, &n, err) != 0)
		return -1;
	for (i = 0; i < n && *out == NULL; i++)
		if (numbers[i] == timeline)
			*out = &v->timelines[i];
	return 0;
}

/* The same, and listed. */
static int
find_listed(struct walview *v, uint32_t timeline,
    struct walview_timeline **out, struct err *err)
{
	if (find_timeline(v, timeline, out, err) != 0)
		return -1;
	return *out == NULL || (*out)->listed ? 0 :
	    walview_list(v, *out, err);
}

int
walview_segments(struct walview *v, uint32_t timeline,
    struct walview_item **out, size_t *n, struct err *err)
{
	struct walview_timeline *t;

	*out = NULL;
	*n = 0;
	if (v->cache != NULL)
		return err_set(err, ERR_BUG, "a view that remembers does not "
		    "have all at once");
	if (find_listed(v, timeline, &t, err) != 0)
		return -1;
	if (t == NULL)
		return 0;
	*out = t->items;
	*n = t->n;
	return 0;
}

int
walview_each_folder(struct walview *v, uint32_t timeline,
    walview_folder_fn fn, void *arg, struct err *err)
{
	struct walview_timeline *t;
	struct walview_item *items;
	size_t i, n;

	if (find_listed(v, timeline, &t, err) != 0)
		return -1;
	if (t == NULL)
		return 0;
	for (i = 0; v->cache != NULL && i < t->n_folders; i++) {
		if (t->folders[i].n_items == 0)
			continue;
		if (walview_load(v, t, &t->folders[i], &items, &n, err) != 0 ||
		    (n > 0 && fn(arg, items, n, err) != 0))
			return -1;
	}
	for (i = 0; i < t->n; i += n) {
		for (n = 1; i + n < t->n &&
		     t->items[i + n].log == t->items[i].log; n++)
			;
		if (fn(arg, t->items + i, n, err) != 0)
			return -1;
	}
	return 0;
}

/* Is this the first item of the name? */
static bool
is_first_of(const struct walview_item *items, size_t i, uint32_t log,
    uint32_t seg)
{
	return items[i].log == log && items[i].seg == seg && (i == 0 ||
	    items[i - 1].log != log || items[i - 1].seg != seg);
}

/* The first item from this name on. */
static size_t
lower_bound(const struct walview_item *items, size_t n, uint32_t log,
    uint32_t seg)
{
	size_t low = 0, high = n, mid;

	/* Where nothing is missing the number says where it is. */
	if (n > 0 && seg >= items[0].seg && seg - items[0].seg < n &&
	    is_first_of(items, seg - items[0].seg, log, seg))
		return seg - items[0].seg;
	while (low < high) {
		mid = low + (high - low) / 2;
		if (items[mid].log < log ||
		    (items[mid].log == log && items[mid].seg < seg))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int
walview_seek(struct walview *v, uint32_t timeline, uint32_t log, uint32_t seg,
    struct walview_item **out, size_t *n, struct err *err)
{
	struct walview_timeline *t;
	struct walview_item *items;
	size_t i, at, count;

	*out = NULL;
	*n = 0;
	if (find_listed(v, timeline, &t, err) != 0)
		return -1;
	if (t == NULL)
		return 0;
	if (v->cache == NULL) {
		at = lower_bound(t->items, t->n, log, seg);
		*out = t->items + at;
		*n = t->n - at;
		return 0;
	}
	for (i = walview_find_folder(t, log); i < t->n_folders && *n == 0;
	     i++) {
		if (t->folders[i].n_items == 0)
			continue;
		if (walview_load(v, t, &t->folders[i], &items, &count, err) !=
		    0)
			return -1;
		at = lower_bound(items, count, log, seg);
		*out = items + at;
		*n = count - at;
	}
	return 0;
}

int
walview_history(struct walview *v, uint32_t timeline,
    const struct history **out, struct err *err)
{
	struct walview_timeline *t;

	if (find_timeline(v, timeline, &t, err) != 0)
		return -1;
	if (t == NULL && timeline == 1) {
		if (v->first.n == 0)
			history_single(1, &v->first);
		*out = &v->first;
		return 0;
	}
	if (t == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "WAL file %08X.history is not in the repository",
		    timeline);
	if (t->history.n == 0 && t->no_history.code == ERR_NONE &&
	    wal_store_history(v->repo, &v->inc, timeline, &t->history,
		&t->no_history) != 0)
		memset(&t->history, 0, sizeof(t->history));
	if (t->history.n == 0) {
		*err = t->no_history;
		return -1;
	}
	*out = &t->history;
	return 0;
}

void
walview_segment_name(const struct walview_item *item,
    char out[WAL_SEGMENT_NAME_LEN + 1])
{
	(void)snprintf(out, WAL_SEGMENT_NAME_LEN + 1, "%08X%08X%08X",
	    item->timeline, item->log, item->seg);
}

void
walview_stored(const struct walview_item *item, struct wal_stored *out)
{
	memset(out, 0, sizeof(*out));
	out->file.type = item->partial ? WAL_FILE_PARTIAL : WAL_FILE_SEGMENT;
	out->file.timeline = item->timeline;
	out->file.log = item->log;
	out->file.seg = item->seg;
	walview_segment_name(item, out->file.segment);
	(void)snprintf(out->file.name, sizeof(out->file.name), "%s%s",
	    out->file.segment, item->partial ? ".partial" : "");
	memcpy(out->hash, item->hash, WAL_HASH_SIZE);
	out->generation = item->generation;
	out->size = item->size;
	out->mtime = item->mtime;
}

static int
order_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

int
walview_compare(const struct walview_item *a, const struct walview_item *b)
{
	int order = order_u32(a->timeline, b->timeline);

	if (order == 0)
		order = order_u32(a->log, b->log);
	if (order == 0)
		order = order_u32(a->seg, b->seg);
	if (order == 0)
		order = (int)a->partial - (int)b->partial;
	return order != 0 ? order : memcmp(a->hash, b->hash, WAL_HASH_SIZE);
}

static void
take_summary(struct walview *v, struct walview_item *item,
    const struct wal_summary *sum)
{
	item->known = true;
	item->parsed = sum->parsed;
	item->sealed = sum->sealed;
	item->ended = sum->ended;
	item->has_commits = sum->commits > 0;
	item->end = sum->end;
	item->unfinished = sum->unfinished;
	item->max_commit_time = sum->max_commit_time;
	item->max_time = sum->max_time;
	item->max_time_lsn = sum->max_time_lsn;
	walview_touch(v, item);
}

/* Another generation of the same content that holds. */
static int
other_generation(struct walview *v, struct walview_item *item,
    const struct wal_stored *ws, struct format_wal_tag *tag,
    struct wal_summary *sum, struct err *err)
{
	struct wal_stored *all = NULL;
	size_t i, n = 0;
	int ret;

	if (wal_store_find(v->repo, &v->inc, &ws->file, &all, &n, err) != 0)
		return -1;
	ret = err_set(err, ERR_DAMAGED, "%s is stored damaged",
	    ws->file.name);
	for (i = 0; i < n && ret != 0; i++) {
		struct err why = ERR_INIT;

		if (memcmp(all[i].hash, ws->hash, WAL_HASH_SIZE) == 0)
			ret = wal_store_describe(v->repo, &v->inc, &all[i],
			    tag, sum, &why);
		if (ret != 0)
			continue;
		item->generation = all[i].generation;
		item->size = all[i].size;
		item->mtime = all[i].mtime;
	}
	if (ret == 0)
		err_clear(err);
	free(all);
	return ret;
}

int
walview_describe(struct walview *v, struct walview_item *item,
    struct format_wal_tag *tag, struct wal_summary *sum, struct err *err)
{
	struct wal_stored ws;

	walview_stored(item, &ws);
	if (wal_store_describe(v->repo, &v->inc, &ws, tag, sum, err) == 0)
		return 0;
	if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
		return -1;
	return other_generation(v, item, &ws, tag, sum, err);
}

/* What was looked at without a key says more now that there is one. */
static bool
says_all(const struct repo *repo, const struct walview_item *item)
{
	return item->known && (!item->sealed || repo->ring == NULL ||
	    !keyring_has_key(repo->ring));
}

int
walview_facts(struct walview *v, struct walview_item *item, struct err *err)
{
	struct format_wal_tag tag;
	struct wal_summary sum;

	if (says_all(v->repo, item))
		return 0;
	if (walview_describe(v, item, &tag, &sum, err) != 0)
		return -1;
	take_summary(v, item, &sum);
	return 0;
}

struct ahead {
	struct walview *v;
	struct walview_item *const *items;
	struct wal_summary *sums;
	bool *read;
};

static int
read_ahead(struct repo *repo, void *arg, size_t i, struct err *err)
{
	struct ahead *a = arg;
	struct format_wal_tag tag;
	struct wal_stored ws;

	if (says_all(repo, a->items[i]))
		return 0;
	walview_stored(a->items[i], &ws);
	a->read[i] = wal_store_describe(repo, &a->v->inc, &ws, &tag,
	    &a->sums[i], err) == 0;
	err_clear(err);
	return 0;
}

int
walview_facts_ahead(struct walview *v, struct walview_item *const *items,
    size_t n, struct err *err)
{
	struct ahead a = { .v = v, .items = items };
	size_t i;
	int ret;

	if (storage_is_local(storage_url(v->repo->st)))
		return 0; /* nothing is gained by it */
	a.sums = xcalloc(n + 1, sizeof(*a.sums));
	a.read = xcalloc(n + 1, sizeof(*a.read));
	ret = repo_each(v->repo, n, read_ahead, &a, err);
	for (i = 0; i < n && ret == 0; i++)
		if (a.read[i] && !says_all(v->repo, items[i]))
			take_summary(v, items[i], &a.sums[i]);
	free(a.sums);
	free(a.read);
	return ret;
}

static bool
same_span(const struct walview_span *s, const struct walview_item *item,
    pg_lsn from, pg_lsn to)
{
	return s->timeline == item->timeline && s->log == item->log &&
	    s->seg == item->seg && s->from == from && s->to == to &&
	    memcmp(s->hash, item->hash, WAL_HASH_SIZE) == 0;
}

const struct walview_span *
walview_find_span(const struct walview *v, const struct walview_item *item,
    pg_lsn from, pg_lsn to)
{
	size_t i;

	for (i = 0; i < v->n_spans; i++)
		if (same_span(&v->spans[i], item, from, to))
			return &v->spans[i];
	return NULL;
}

void
walview_add_span(struct walview *v, const struct walview_item *item,
    const struct walview_span *span)
{
	struct walview_span *s;

	v->spans = xreallocarray(v->spans, v->n_spans + 1,
	    sizeof(*v->spans));
	s = &v->spans[v->n_spans++];
	*s = *span;
	s->timeline = item->timeline;
	s->log = item->log;
	s->seg = item->seg;
	memcpy(s->hash, item->hash, WAL_HASH_SIZE);
	v->changed = true;
}

/* Ranges of one timeline are being collected. */
struct ranging {
	struct wal_range **out;
	size_t *n;
	uint32_t segment_size;
	bool open; /* the last range may go on */
	uint64_t last;
};

static int
add_ranges(void *arg, struct walview_item *list, size_t n, struct err *err)
{
	struct ranging *g = arg;
	const uint64_t each = (UINT64_C(1) << 32) / g->segment_size;
	struct wal_range *r;
	uint64_t segno;
	size_t i;

	(void)err;
	for (i = 0; i < n; i++) {
		if (list[i].partial || list[i].seg >= each)
			continue;
		segno = list[i].log * each + list[i].seg;
		r = g->open ? &(*g->out)[*g->n - 1] : NULL;
		if (r != NULL && segno == g->last) {
			r->stored_bytes += list[i].size; /* a conflict */
			continue;
		}
		if (r == NULL || segno != g->last + 1) {
			*g->out = xreallocarray(*g->out, *g->n + 1,
			    sizeof(**g->out));
			r = &(*g->out)[(*g->n)++];
			memset(r, 0, sizeof(*r));
			r->timeline = list[i].timeline;
			walview_segment_name(&list[i], r->first);
			g->open = true;
		}
		walview_segment_name(&list[i], r->last);
		r->segments++;
		r->stored_bytes += list[i].size;
		g->last = segno;
	}
	return 0;
}

int
walview_ranges(struct walview *v, uint32_t segment_size,
    struct wal_range **out, size_t *n, struct err *err)
{
	const uint32_t *timelines;
	size_t i, n_timelines;

	*out = NULL;
	*n = 0;
	if (walview_timelines(v, &timelines, &n_timelines, err) != 0)
		return -1;
	for (i = 0; i < n_timelines; i++) {
		struct ranging g = { .out = out, .n = n,
			.segment_size = segment_size };

		if (walview_each_folder(v, timelines[i], add_ranges, &g,
			err) != 0) {
			free(*out);
			*out = NULL;
			*n = 0;
			return -1;
		}
	}
	return 0;
}
