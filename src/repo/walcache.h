/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALCACHE_H
#define REPO_WALCACHE_H

/*
 * What a walview found out the last time, in the state directory: one file an
 * incarnation and place. Two kinds of knowledge are in it. What a segment's
 * summary says is true for ever, since an object is never changed; it goes by
 * name, hash, generation, size and time of the object. Which objects are
 * there may change: a folder's listing is believed
 *
 * - where the store knows times of folders (a directory, SFTP): when the
 *   folder's time is what it was, and that time was old enough when it was
 *   listed that a later change must have moved it;
 * - else (S3): for `believe_us` after it was listed, but for a timeline's
 *   newest folders, which grow.
 *
 * Another repository, place, system or version, or damage of the table of
 * folders: as if there were no cache; damage of a folder's items: as if that
 * one were not known. Items are read folder by folder, so that memory does not
 * grow with the archive. A little that is new is kept in a second file, which
 * counts together with the first one only, so that not all is written each
 * time. Both are written whole, under another name first, and not synced.
 * One thread.
 *
 *	cache = walcache_open(folder, repo, &inc);
 *	walview_remember(v, cache);	the view asks, and notes what is new
 *	walview_keep(v);
 *	walcache_close(cache);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/repo.h"
#include "repo/walview.h"

#define WALCACHE_ITEMS_MAX 10000000
#define WALCACHE_SPANS_MAX 4096
#define WALCACHE_BELIEVE_US (INT64_C(3600) * 1000000)

/* Which file has a folder's items. */
enum walcache_where {
	WALCACHE_NOWHERE, /* they are in memory only */
	WALCACHE_BASE,
	WALCACHE_NEWER,
	WALCACHE_SPILL, /* a file without a name, until walcache_save() */
	WALCACHE_FILES
};

/* A folder: TIMELINE/LOG. Times are microseconds since 2000. */
struct walcache_folder {
	uint32_t timeline, log;
	int64_t changed;    /* the store's; 0: not known */
	int64_t first_seen; /* ours: when that time was first met */
	int64_t listed_at;  /* ours */
	uint32_t n_items;
	enum walcache_where where;
	uint64_t offset; /* there */
	uint64_t hash;	 /* of the items' bytes */
};

struct walcache;

/*
 * folder: where it lies (state_catalogue()). Never fails: what cannot be read
 * is empty.
 */
struct walcache *walcache_open(const char *folder, const struct repo *repo,
    const struct incarnation *inc);
void walcache_close(struct walcache *c); /* NULL is fine */

/* List everything anew; what summaries say is kept. */
void walcache_refresh(struct walcache *c);

/* What is known of a folder, or NULL. */
const struct walcache_folder *walcache_find(const struct walcache *c,
    uint32_t timeline, uint32_t log);

/*
 * The folder's items. NULL when they do not hold: then it is not known any
 * more. The caller frees them.
 */
struct walview_item *walcache_load(struct walcache *c,
    const struct walcache_folder *f);

/*
 * Put the folder's items where walcache_load() finds them. False: they could
 * not be written, and f is as it was.
 */
bool walcache_put(struct walcache *c, struct walcache_folder *f,
    const struct walview_item *items);

/*
 * Is its listing still what is there? changed: the folder's time now; margin:
 * storage_folder_margin(); newest: one of those that grow.
 */
bool walcache_believes(const struct walcache *c,
    const struct walcache_folder *f, int64_t changed, uint64_t margin,
    bool newest);

/* The oldest time at which something was listed that was believed now. */
void walcache_believed(struct walcache *c, const struct walcache_folder *f);
int64_t walcache_known_since(const struct walcache *c);

const struct walview_span *walcache_spans(const struct walcache *c,
    size_t *n);

/*
 * Write what is to be known the next time: all folders, ascending. A failure
 * only costs time later: it is logged at most.
 */
void walcache_save(struct walcache *c, const struct walcache_folder *folders,
    size_t n, const struct walview_span *spans, size_t n_spans);

#endif
