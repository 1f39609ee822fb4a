/* SPDX-License-Identifier: PostgreSQL */
/*
 * Listing a timeline's segments, folder by folder where most of what is there
 * is known from the last time.
 */
#include "config.h"

#include "repo/walview_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"

/* Folders that a timeline still puts into: the last, and the one before. */
#define NEWEST_FOLDERS 2

/* Of a segment's 24 digits those that 256 have in common. */
#define GROUP_DIGITS 22

struct listing {
	struct walview_timeline *t;
	char folder[16]; /* "00000018/", or "" */
	char group[GROUP_DIGITS + 1]; /* what names begin with, or "" */
};

static struct walview_item *
add_item(struct walview_timeline *t)
{
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
		t->items = xreallocarray(t->items, t->cap,
		    sizeof(*t->items));
	}
	return &t->items[t->n++];
}

/* "00000000/000000010000000000000003-HASH.zst" below a timeline. */
static int
note_segment(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct listing *l = arg;
	const char *slash = strchr(entry->name, '/');
	struct walview_item *item;
	struct wal_stored ws;
	char folder[16], name[256];
	uint32_t part;
	int len;

	if (entry->is_directory)
		return 0;
	len = snprintf(name, sizeof(name), "%s%s", l->group, slash == NULL ?
	    entry->name : slash + 1);
	/* What is not a WAL file's name, or in its folder, is none of ours. */
	if (len < 0 || (size_t)len >= sizeof(name) ||
	    !wal_store_parse(name, &ws, &part) || part != 0 ||
	    (ws.file.type != WAL_FILE_SEGMENT &&
		ws.file.type != WAL_FILE_PARTIAL) ||
	    ws.file.timeline != l->t->timeline)
		return 0;
	(void)snprintf(folder, sizeof(folder), "%08X/", ws.file.log);
	if (slash == NULL ? strcmp(l->folder, folder) != 0 :
			    strncmp(entry->name, folder, strlen(folder)) != 0)
		return 0;
	item = add_item(l->t);
	memset(item, 0, sizeof(*item));
	item->timeline = ws.file.timeline;
	item->log = ws.file.log;
	item->seg = ws.file.seg;
	item->partial = ws.file.type == WAL_FILE_PARTIAL;
	item->generation = ws.generation;
	memcpy(item->hash, ws.hash, WAL_HASH_SIZE);
	item->size = entry->size;
	item->mtime = entry->mtime;
	return 0;
}

/* The highest generation comes first. */
static int
compare_items(const void *a, const void *b)
{
	const struct walview_item *x = a, *y = b;
	int order = walview_compare(x, y);

	return order != 0 ? order : x->generation < y->generation ? 1 :
	    x->generation > y->generation ? -1 : 0;
}

/* Sort what was listed from `start` on; of generations the first one stays. */
static void
sort_items(struct walview_timeline *t, size_t start)
{
	size_t i, kept = start;

	if (t->n - start > 1)
		qsort(t->items + start, t->n - start, sizeof(*t->items),
		    compare_items);
	for (i = start; i < t->n; i++)
		if (kept == start ||
		    walview_compare(&t->items[kept - 1], &t->items[i]) != 0)
			t->items[kept++] = t->items[i];
	t->n = kept;
}

static int
list_objects(struct walview *v, struct walview_timeline *t,
    const char *folder, const char *group, struct err *err)
{
	struct listing l = { .t = t };
	char prefix[STORAGE_KEY_MAX], tail[64];
	const size_t start = t->n;

	(void)snprintf(l.folder, sizeof(l.folder), "%s", folder);
	(void)snprintf(l.group, sizeof(l.group), "%s", group);
	(void)snprintf(tail, sizeof(tail), "wal/%08X/%s%s", t->timeline,
	    folder, group);
	repo_key(&v->inc, tail, prefix);
	if (storage_list(v->repo->st, prefix, folder[0] != '\0',
	    note_segment, &l, err) != 0)
		return -1;
	sort_items(t, start);
	return 0;
}

static int
note_folder(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct walview_timeline *t = arg;
	struct walcache_folder *f;
	uint64_t log;

	if (!entry->is_directory || strlen(entry->name) != 9 ||
	    strspn(entry->name, "0123456789ABCDEF") != 8 ||
	    !text_hex_u64(entry->name, 8, &log))
		return 0;
	if (t->n_folders == t->cap_folders) {
		t->cap_folders = t->cap_folders * 2 + 16;
		t->folders = xreallocarray(t->folders, t->cap_folders,
		    sizeof(*t->folders));
	}
	f = &t->folders[t->n_folders++];
	memset(f, 0, sizeof(*f));
	f->timeline = t->timeline;
	f->log = (uint32_t)log;
	f->changed = entry->mtime;
	return 0;
}

static int
compare_folders(const void *a, const void *b)
{
	const struct walcache_folder *x = a, *y = b;

	return x->log < y->log ? -1 : x->log > y->log;
}

/*
 * What summaries said of objects that were there before: of the same name and
 * hash, and as they were. Both lists are ascending.
 */
static void
take_facts(const struct walcache *c, const struct walcache_folder *f,
    struct walview_item *items, size_t n)
{
	struct walview_item old;
	uint32_t k = 0;
	size_t i;
	int order;

	for (i = 0; i < n; i++) {
		order = -1;
		for (; k < f->n_items; k++) {
			walcache_item(c, f, k, &old);
			order = walview_compare(&old, &items[i]);
			if (order >= 0)
				break;
		}
		if (order != 0 || !old.known || old.size != items[i].size ||
		    old.generation != items[i].generation ||
		    old.mtime != items[i].mtime)
			continue;
		items[i] = old;
	}
}

static void
take_all(struct walview_timeline *t, const struct walcache *c,
    const struct walcache_folder *f)
{
	uint32_t i;

	for (i = 0; i < f->n_items; i++)
		walcache_item(c, f, i, add_item(t));
}

/* Its items are those from `start` to `end` of the timeline. */
static void
note_listed(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, const struct walcache_folder *old,
    int64_t now, size_t start, size_t end)
{
	f->listed_at = now;
	f->first_seen = old != NULL && old->changed == f->changed &&
	    old->first_seen < now ? old->first_seen : now;
	f->n_items = (uint32_t)(end - start);
	if (old != NULL)
		take_facts(v->cache, old, t->items + start, end - start);
	v->changed = true;
}

static void
group_of(uint32_t timeline, uint32_t log, uint32_t group,
    char out[GROUP_DIGITS + 1])
{
	char all[WAL_SEGMENT_NAME_LEN + 1];

	(void)snprintf(all, sizeof(all), "%08X%08X%06X", timeline, log,
	    group & 0xffffff);
	memcpy(out, all, GROUP_DIGITS);
	out[GROUP_DIGITS] = '\0';
}

/*
 * A folder that grows, where each thousand names cost a request: what was
 * listed lately is believed but for the last 256 names, and what follows is
 * listed until nothing does.
 */
static int
list_grown(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, const struct walcache_folder *old,
    struct err *err)
{
	const size_t start = t->n;
	const bool changed = v->changed;
	struct walview_item item;
	char folder[16], name[GROUP_DIGITS + 1];
	uint32_t i, group = 0;
	size_t before;

	if (old->n_items > 0) {
		walcache_item(v->cache, old, old->n_items - 1, &item);
		group = item.seg >> 8;
	}
	for (i = 0; i < old->n_items; i++) {
		walcache_item(v->cache, old, i, &item);
		if (item.seg >> 8 < group)
			*add_item(t) = item;
	}
	(void)snprintf(folder, sizeof(folder), "%08X/", f->log);
	do {
		before = t->n;
		group_of(f->timeline, f->log, group++, name);
		if (list_objects(v, t, folder, name, err) != 0)
			return -1;
	} while (t->n > before && group <= UINT32_MAX >> 8);
	note_listed(v, t, f, old, old->listed_at, start, t->n);
	if (t->n - start == old->n_items)
		v->changed = changed; /* not worth being written again */
	walcache_believed(v->cache, old);
	return 0;
}

static bool
is_newest(const struct walview_timeline *t, size_t i)
{
	return i + NEWEST_FOLDERS >= t->n_folders;
}

/* One folder: as it is known, or listed. */
static int
load_folder(struct walview *v, struct walview_timeline *t, size_t i,
    uint64_t margin, struct err *err)
{
	struct walcache_folder *f = &t->folders[i];
	const struct walcache_folder *old = walcache_find(v->cache,
	    f->timeline, f->log);
	const int64_t now = time_now();
	const size_t start = t->n;
	char name[16];

	if (old != NULL && walcache_believes(v->cache, old, f->changed,
	    margin, is_newest(t, i))) {
		walcache_believed(v->cache, old);
		*f = *old;
		take_all(t, v->cache, old);
		return 0;
	}
	/* Lately listed, but for its end? */
	if (old != NULL && margin == 0 && is_newest(t, i) &&
	    walcache_believes(v->cache, old, 0, 0, false))
		return list_grown(v, t, f, old, err);
	(void)snprintf(name, sizeof(name), "%08X/", f->log);
	if (list_objects(v, t, name, "", err) != 0)
		return -1;
	note_listed(v, t, f, old, now, start, t->n);
	return 0;
}

/* All at once: fewer requests than one a folder. */
static int
load_all(struct walview *v, struct walview_timeline *t, struct err *err)
{
	const int64_t now = time_now();
	size_t i, start = 0, end;

	if (list_objects(v, t, "", "", err) != 0)
		return -1;
	for (i = 0; i < t->n_folders; i++) {
		struct walcache_folder *f = &t->folders[i];

		/* Of a folder that came into being just now: next time. */
		while (start < t->n && t->items[start].log < f->log)
			start++;
		for (end = start; end < t->n && t->items[end].log == f->log;
		    end++)
			;
		note_listed(v, t, f, walcache_find(v->cache, f->timeline,
		    f->log), now, start, end);
		start = end;
	}
	return 0;
}

static size_t
count_unknown(const struct walview *v, const struct walview_timeline *t,
    uint64_t margin)
{
	const struct walcache_folder *old;
	size_t i, n = 0;

	for (i = 0; i < t->n_folders; i++) {
		old = walcache_find(v->cache, t->folders[i].timeline,
		    t->folders[i].log);
		n += old == NULL || !walcache_believes(v->cache, old,
		    t->folders[i].changed, margin, is_newest(t, i));
	}
	return n;
}

static int
list_remembering(struct walview *v, struct walview_timeline *t,
    struct err *err)
{
	const uint64_t margin = storage_folder_margin(v->repo->st);
	char prefix[STORAGE_KEY_MAX], tail[32];
	size_t i;

	(void)snprintf(tail, sizeof(tail), "wal/%08X/", t->timeline);
	repo_key(&v->inc, tail, prefix);
	/* Before what is in them, so that no change falls in between. */
	if (storage_list(v->repo->st, prefix, true, note_folder, t, err) != 0)
		return -1;
	if (t->n_folders > 1)
		qsort(t->folders, t->n_folders, sizeof(*t->folders),
		    compare_folders);
	if (count_unknown(v, t, margin) > NEWEST_FOLDERS + t->n_folders / 4)
		return load_all(v, t, err);
	for (i = 0; i < t->n_folders; i++)
		if (load_folder(v, t, i, margin, err) != 0)
			return -1;
	return 0;
}

int
walview_list(struct walview *v, struct walview_timeline *t, struct err *err)
{
	if ((v->cache == NULL ? list_objects(v, t, "", "", err) :
	    list_remembering(v, t, err)) != 0) {
		t->n = 0;
		t->n_folders = 0;
		return -1;
	}
	t->listed = true;
	return 0;
}

/* What the cache is to have the next time. */
void
walview_keep(struct walview *v)
{
	size_t i, k, at;

	if (v->cache == NULL || !v->changed || !v->listed)
		return;
	for (i = 0; i < v->n; i++)
		if (!v->timelines[i].listed)
			return;
	walcache_begin(v->cache);
	for (i = 0; i < v->n; i++) {
		const struct walview_timeline *t = &v->timelines[i];

		for (k = at = 0; k < t->n_folders; k++) {
			while (at < t->n &&
			    t->items[at].log < t->folders[k].log)
				at++;
			walcache_add_folder(v->cache, &t->folders[k],
			    t->items + at);
			at += t->folders[k].n_items;
		}
	}
	for (i = v->n_spans > WALCACHE_SPANS_MAX ?
	    v->n_spans - WALCACHE_SPANS_MAX : 0; i < v->n_spans; i++)
		walcache_add_span(v->cache, &v->spans[i]);
	walcache_save(v->cache);
}
