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
	struct walview *v;
	struct walview_timeline *t;
	char folder[16]; /* "00000018/", or "" */
	char group[GROUP_DIGITS + 1]; /* what names begin with, or "" */
	int64_t now;
	/* What was found: of a view that remembers, of one folder. */
	struct walview_item *items;
	size_t n, cap;
	bool by_folder; /* a folder is done with when the next one begins */
};

static struct walview_item *
add_item(struct listing *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->items = xreallocarray(l->items, l->cap,
		    sizeof(*l->items));
	}
	return &l->items[l->n++];
}

static int end_folder(struct listing *l, struct err *err) ERR_USE;

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
	if (l->by_folder && l->n > 0 && l->items[0].log != ws.file.log &&
	    end_folder(l, err) != 0)
		return -1;
	item = add_item(l);
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

/* Sort what was listed; of generations the first one stays. */
static void
sort_items(struct listing *l)
{
	size_t i, kept = 0;

	if (l->n > 1)
		qsort(l->items, l->n, sizeof(*l->items), compare_items);
	for (i = 0; i < l->n; i++)
		if (kept == 0 ||
		    walview_compare(&l->items[kept - 1], &l->items[i]) != 0)
			l->items[kept++] = l->items[i];
	l->n = kept;
}

static int
list_objects(struct listing *l, const char *folder, const char *group,
    struct err *err)
{
	char prefix[STORAGE_KEY_MAX], tail[64];

	(void)snprintf(l->folder, sizeof(l->folder), "%s", folder);
	(void)snprintf(l->group, sizeof(l->group), "%s", group);
	(void)snprintf(tail, sizeof(tail), "wal/%08X/%s%s", l->t->timeline,
	    folder, group);
	repo_key(&l->v->inc, tail, prefix);
	return storage_list(l->v->repo->st, prefix, folder[0] != '\0',
	    note_segment, l, err);
}

/* The folder is a new one, behind all or between others. */
static struct walcache_folder *
add_folder(struct walview_timeline *t, size_t at, uint32_t log)
{
	struct walcache_folder *f;

	if (t->n_folders == t->cap_folders) {
		t->cap_folders = t->cap_folders * 2 + 16;
		t->folders = xreallocarray(t->folders, t->cap_folders,
		    sizeof(*t->folders));
	}
	f = &t->folders[at];
	memmove(f + 1, f, (t->n_folders++ - at) * sizeof(*f));
	memset(f, 0, sizeof(*f));
	f->timeline = t->timeline;
	f->log = log;
	return f;
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
	f = add_folder(t, t->n_folders, (uint32_t)log);
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
take_facts(const struct walview_item *old, size_t n_old,
    struct walview_item *items, size_t n)
{
	size_t i, k = 0;
	int order;

	for (i = 0; i < n; i++) {
		order = -1;
		for (; k < n_old; k++) {
			order = walview_compare(&old[k], &items[i]);
			if (order >= 0)
				break;
		}
		if (order == 0 && old[k].known &&
		    old[k].size == items[i].size &&
		    old[k].generation == items[i].generation &&
		    old[k].mtime == items[i].mtime)
			items[i] = old[k];
	}
}

/* These are the folder's items; what is known of them is added. */
static void
note_listed(struct listing *l, struct walcache_folder *f, int64_t listed_at)
{
	const struct walcache_folder *old = walcache_find(l->v->cache,
	    f->timeline, f->log);
	struct walview_item *known = old == NULL ? NULL :
	    walcache_load(l->v->cache, old);

	f->listed_at = listed_at;
	f->first_seen = old != NULL && old->changed == f->changed &&
	    old->first_seen < l->now ? old->first_seen : l->now;
	sort_items(l);
	if (known != NULL)
		take_facts(known, old->n_items, l->items, l->n);
	free(known);
	walview_take(l->v, l->t, f, l->items, l->n);
	l->items = NULL;
	l->n = l->cap = 0;
	l->v->changed = true;
}

/* All of it was listed: a listing may come back to a folder all the same. */
static int
end_folder(struct listing *l, struct err *err)
{
	struct walview_timeline *t = l->t;
	const uint32_t log = l->items[0].log;
	size_t at = walview_find_folder(t, log), n, i;
	struct walview_item *before;
	struct walcache_folder *f;

	/* One that came into being just now is listed again the next time. */
	f = at < t->n_folders && t->folders[at].log == log ?
	    &t->folders[at] : add_folder(t, at, log);
	if (f->listed_at == l->now) {
		if (walview_load(l->v, t, f, &before, &n, err) != 0)
			return -1;
		for (i = 0; i < n; i++)
			*add_item(l) = before[i];
	}
	note_listed(l, f, l->now);
	return 0;
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
list_grown(struct listing *l, struct walcache_folder *f,
    const struct walcache_folder *old, struct err *err)
{
	const bool changed = l->v->changed;
	struct walview_item *items = walcache_load(l->v->cache, old);
	const size_t n_old = old->n_items;
	char folder[16], name[GROUP_DIGITS + 1];
	uint32_t group = 0;
	size_t i, before;

	(void)snprintf(folder, sizeof(folder), "%08X/", f->log);
	if (items == NULL) {
		if (list_objects(l, folder, "", err) != 0)
			return -1;
		note_listed(l, f, l->now);
		return 0;
	}
	if (n_old > 0)
		group = items[n_old - 1].seg >> 8;
	for (i = 0; i < n_old && items[i].seg >> 8 < group; i++)
		*add_item(l) = items[i];
	free(items);
	do {
		before = l->n;
		group_of(f->timeline, f->log, group++, name);
		if (list_objects(l, folder, name, err) != 0)
			return -1;
	} while (l->n > before && group <= UINT32_MAX >> 8);
	walcache_believed(l->v->cache, old);
	note_listed(l, f, old->listed_at);
	if (f->n_items == n_old)
		l->v->changed = changed; /* not worth being written again */
	return 0;
}

static bool
is_newest(const struct walview_timeline *t, size_t i)
{
	return i + NEWEST_FOLDERS >= t->n_folders;
}

/* One folder: as it is known, or listed. */
static int
load_folder(struct listing *l, size_t i, uint64_t margin, struct err *err)
{
	struct walview *v = l->v;
	struct walcache_folder *f = &l->t->folders[i];
	const struct walcache_folder *old = walcache_find(v->cache,
	    f->timeline, f->log);
	char name[16];

	if (old != NULL && walcache_believes(v->cache, old, f->changed,
	    margin, is_newest(l->t, i))) {
		walcache_believed(v->cache, old);
		*f = *old;
		return 0;
	}
	l->now = time_now();
	/* Lately listed, but for its end? */
	if (old != NULL && margin == 0 && is_newest(l->t, i) &&
	    walcache_believes(v->cache, old, 0, 0, false))
		return list_grown(l, f, old, err);
	(void)snprintf(name, sizeof(name), "%08X/", f->log);
	if (list_objects(l, name, "", err) != 0)
		return -1;
	note_listed(l, f, l->now);
	return 0;
}

int
walview_list_folder(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct err *err)
{
	struct listing l = { .v = v, .t = t, .now = time_now() };
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "%08X/", f->log);
	rc = list_objects(&l, name, "", err);
	if (rc == 0)
		note_listed(&l, f, l.now);
	free(l.items);
	return rc;
}

/* All at once: fewer requests than one a folder. */
static int
load_all(struct listing *l, struct err *err)
{
	size_t i;

	l->now = time_now();
	l->by_folder = true;
	if (list_objects(l, "", "", err) != 0 ||
	    (l->n > 0 && end_folder(l, err) != 0))
		return -1;
	for (i = 0; i < l->t->n_folders; i++)
		if (l->t->folders[i].listed_at != l->now)
			note_listed(l, &l->t->folders[i], l->now); /* empty */
	return 0;
}

/* Is it worth listing all at once? Here it costs nothing to go one by one. */
static bool
knows_little(const struct walview *v, const struct walview_timeline *t,
    uint64_t margin)
{
	const struct walcache_folder *old;
	size_t i, n = 0;

	if (storage_is_local(storage_url(v->repo->st)))
		return false;
	for (i = 0; i < t->n_folders; i++) {
		old = walcache_find(v->cache, t->folders[i].timeline,
		    t->folders[i].log);
		n += old == NULL || !walcache_believes(v->cache, old,
		    t->folders[i].changed, margin, is_newest(t, i));
	}
	return n > NEWEST_FOLDERS + t->n_folders / 4;
}

static int
list_remembering(struct listing *l, struct err *err)
{
	struct walview_timeline *t = l->t;
	const uint64_t margin = storage_folder_margin(l->v->repo->st);
	char prefix[STORAGE_KEY_MAX], tail[32];
	size_t i;

	(void)snprintf(tail, sizeof(tail), "wal/%08X/", t->timeline);
	repo_key(&l->v->inc, tail, prefix);
	/* Before what is in them, so that no change falls in between. */
	if (storage_list(l->v->repo->st, prefix, true, note_folder, t, err) !=
	    0)
		return -1;
	if (t->n_folders > 1)
		qsort(t->folders, t->n_folders, sizeof(*t->folders),
		    compare_folders);
	if (knows_little(l->v, t, margin))
		return load_all(l, err);
	for (i = 0; i < t->n_folders; i++)
		if (load_folder(l, i, margin, err) != 0)
			return -1;
	return 0;
}

static int
list_plain(struct listing *l, struct err *err)
{
	if (list_objects(l, "", "", err) != 0)
		return -1;
	sort_items(l);
	l->t->items = l->items;
	l->t->n = l->n;
	l->items = NULL;
	return 0;
}

int
walview_list(struct walview *v, struct walview_timeline *t, struct err *err)
{
	struct listing l = { .v = v, .t = t };
	int rc = v->cache == NULL ? list_plain(&l, err) :
	    list_remembering(&l, err);

	free(l.items);
	if (rc != 0) {
		walview_forget(v, t->timeline);
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
	struct walcache_folder *all = NULL;
	size_t i, n = 0;

	if (v->cache == NULL || !v->changed || !v->listed)
		return;
	for (i = 0; i < v->n; i++)
		if (!v->timelines[i].listed)
			return;
	if (!walview_write_back(v))
		return;
	for (i = 0; i < v->n; i++) {
		const struct walview_timeline *t = &v->timelines[i];

		if (t->n_folders == 0)
			continue;
		all = xreallocarray(all, n + t->n_folders, sizeof(*all));
		memcpy(all + n, t->folders, t->n_folders * sizeof(*all));
		n += t->n_folders;
	}
	walcache_save(v->cache, all, n, v->spans, v->n_spans);
	free(all);
}
