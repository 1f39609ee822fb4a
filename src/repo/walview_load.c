/* SPDX-License-Identifier: PostgreSQL */
/*
 * Of a view that remembers, the folders that were asked for last are in
 * memory, so that it does not grow with the archive.
 */
#include "config.h"

#include "repo/walview_private.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* One more than are promised, and some between which the search goes back. */
#define LOADED_MAX (WALVIEW_FOLDERS + 4)

size_t
walview_find_folder(const struct walview_timeline *t, uint32_t log)
{
	size_t low = 0, high = t->n_folders, mid;

	/* Where none is missing the number says where it is. */
	if (high > 0 && log >= t->folders[0].log &&
	    log - t->folders[0].log < high &&
	    t->folders[log - t->folders[0].log].log == log)
		return log - t->folders[0].log;
	while (low < high) {
		mid = low + (high - low) / 2;
		if (t->folders[mid].log < log)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct walview_loaded *
find_loaded(struct walview *v, uint32_t timeline, uint32_t log)
{
	struct walview_loaded *l = v->loaded + v->last_loaded;
	size_t i;

	if (v->last_loaded < v->n_loaded && l->timeline == timeline &&
	    l->log == log)
		return l;
	for (i = 0; i < v->n_loaded; i++) {
		l = &v->loaded[i];
		if (l->timeline != timeline || l->log != log)
			continue;
		v->last_loaded = i;
		return l;
	}
	return NULL;
}

static bool
write_one(struct walview *v, struct walview_loaded *l)
{
	size_t i, k;

	if (!l->dirty)
		return true;
	for (i = 0; i < v->n && v->timelines[i].timeline != l->timeline; i++)
		;
	if (i == v->n)
		return false;
	k = walview_find_folder(&v->timelines[i], l->log);
	if (k == v->timelines[i].n_folders ||
	    v->timelines[i].folders[k].log != l->log ||
	    !walcache_put(v->cache, &v->timelines[i].folders[k], l->items))
		return false;
	l->dirty = false;
	return true;
}

/* Room for one more: what was not asked for for the longest time goes. */
static struct walview_loaded *
new_loaded(struct walview *v)
{
	struct walview_loaded *oldest = NULL, *l;
	size_t i;

	for (i = 0; v->n_loaded >= LOADED_MAX && i < v->n_loaded; i++)
		if (oldest == NULL || v->loaded[i].used < oldest->used)
			oldest = &v->loaded[i];
	if (oldest != NULL && write_one(v, oldest)) {
		free(oldest->items);
		l = oldest;
	} else { /* what cannot be written stays in memory */
		v->loaded = xreallocarray(v->loaded, v->n_loaded + 1,
		    sizeof(*v->loaded));
		l = &v->loaded[v->n_loaded++];
	}
	memset(l, 0, sizeof(*l));
	v->last_loaded = (size_t)(l - v->loaded);
	return l;
}

void
walview_take(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct walview_item *items, size_t n)
{
	struct walview_loaded *l = find_loaded(v, t->timeline, f->log);

	if (l == NULL)
		l = new_loaded(v);
	else
		free(l->items);
	*l = (struct walview_loaded){ .timeline = t->timeline, .log = f->log,
		.items = items, .n = n, .dirty = true, .used = ++v->uses };
	f->n_items = (uint32_t)n;
	/* Of another number of items: not into the same place. */
	f->where = WALCACHE_NOWHERE;
}

int
walview_load(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct walview_item **out, size_t *n,
    struct err *err)
{
	struct walview_loaded *l = find_loaded(v, t->timeline, f->log);
	struct walview_item *items;

	if (l == NULL) {
		items = walcache_load(v->cache, f);
		if (items != NULL) {
			l = new_loaded(v);
			l->timeline = t->timeline;
			l->log = f->log;
			l->items = items;
			l->n = f->n_items;
		} else {
			if (walview_list_folder(v, t, f, err) != 0)
				return -1;
			l = find_loaded(v, t->timeline, f->log);
			if (l == NULL)
				return err_set(err, ERR_BUG, "a folder of WAL "
				    "was listed and is not loaded");
		}
	}
	l->used = ++v->uses;
	*out = l->items;
	*n = l->n;
	return 0;
}

void
walview_touch(struct walview *v, const struct walview_item *item)
{
	struct walview_loaded *l;

	v->changed = true;
	if (v->cache == NULL)
		return;
	l = find_loaded(v, item->timeline, item->log);
	if (l != NULL)
		l->dirty = true;
}

bool
walview_write_back(struct walview *v)
{
	size_t i;

	for (i = 0; i < v->n_loaded; i++)
		if (!write_one(v, &v->loaded[i]))
			return false;
	return true;
}

void
walview_forget(struct walview *v, uint32_t timeline)
{
	size_t i, kept = 0;

	for (i = 0; i < v->n_loaded; i++) {
		if (v->loaded[i].timeline == timeline)
			free(v->loaded[i].items);
		else
			v->loaded[kept++] = v->loaded[i];
	}
	v->n_loaded = kept;
}

void
walview_unload(struct walview *v)
{
	size_t i;

	for (i = 0; i < v->n_loaded; i++)
		free(v->loaded[i].items);
	free(v->loaded);
	v->loaded = NULL;
	v->n_loaded = 0;
}
