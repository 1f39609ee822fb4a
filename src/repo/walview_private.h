/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALVIEW_PRIVATE_H
#define REPO_WALVIEW_PRIVATE_H

/* What the files walview*.c share; no one else includes it. */
#include "repo/walcache.h"
#include "repo/walview.h"

struct walview_timeline {
	uint32_t timeline;
	bool listed;
	/* Of a view that remembers nothing: all, ascending. */
	struct walview_item *items;
	size_t n, cap;
	/* Of one that remembers: ascending. */
	struct walcache_folder *folders;
	size_t n_folders, cap_folders;
	struct history history; /* n 0: not read, or: */
	struct err no_history;
};

/* A folder's items that are in memory. */
struct walview_loaded {
	uint32_t timeline, log;
	struct walview_item *items;
	size_t n;
	bool dirty; /* the files do not have them so */
	uint64_t used; /* by the view's count */
};

struct walview {
	struct repo *repo;
	struct incarnation inc;
	struct walcache *cache; /* or NULL */
	bool changed; /* something is known that the cache has not */
	bool listed;
	uint32_t *numbers; /* of the timelines */
	struct walview_timeline *timelines;
	size_t n;
	struct walview_loaded *loaded;
	size_t n_loaded, last_loaded;
	uint64_t uses;
	struct walview_span *spans;
	size_t n_spans;
	struct history first; /* of timeline 1 when nothing of it is stored */
};

/* List a timeline, or one of its folders again: walview_list.c. */
int walview_list(struct walview *v, struct walview_timeline *t,
    struct err *err) ERR_USE;
int walview_list_folder(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct err *err) ERR_USE;

/* A folder's items: walview_load.c. */
int walview_load(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct walview_item **out, size_t *n,
    struct err *err) ERR_USE;
/* These they are from now on; the view frees them. */
void walview_take(struct walview *v, struct walview_timeline *t,
    struct walcache_folder *f, struct walview_item *items, size_t n);
/* It is not as the files have it. */
void walview_touch(struct walview *v, const struct walview_item *item);
/* False: they could not all be written. */
bool walview_write_back(struct walview *v);
void walview_forget(struct walview *v, uint32_t timeline);
void walview_unload(struct walview *v);

/* The folder of this number, or the first behind it; n_folders: none. */
size_t walview_find_folder(const struct walview_timeline *t, uint32_t log);

#endif
