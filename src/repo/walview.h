/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALVIEW_H
#define REPO_WALVIEW_H

/*
 * What WAL of an incarnation is stored, asked of the store once: timelines,
 * segments, histories, and what the summaries of segments say. Each is read
 * when it is first needed and then stays as it was.
 *
 *	v = walview_new(repo, &inc);
 *	walview_remember(v, cache);		or not: repo/walcache.h
 *	walview_each_folder(v, timeline, fn, arg, err);
 *	walview_seek(v, timeline, log, seg, &items, &n, err);
 *	walview_facts(v, &items[i], err);
 *	walview_free(v);
 *
 * One thread. A view that remembers has the items of some folders in memory
 * and the others in files; else it takes some 100 bytes a segment, and several
 * threads may seek in a timeline that was listed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/history.h"
#include "repo/repo.h"
#include "repo/walstore.h"

/* A stored segment or .partial file; of several generations the highest. */
struct walview_item {
	uint32_t timeline, log, seg; /* of the name */
	uint32_t generation;
	bool partial;
	bool known; /* walview_facts() was called: the rest is filled in */
	bool parsed, ended, has_commits, sealed;
	uint8_t hash[WAL_HASH_SIZE];
	uint64_t size; /* stored bytes (part 0) */
	int64_t mtime;
	/* as in struct wal_summary */
	pg_lsn end, unfinished;
	int64_t max_commit_time, max_time;
	pg_lsn max_time_lsn;
};

/* What the records of a part of a segment say, once they were read. */
struct walview_span {
	uint32_t timeline, log, seg;
	uint8_t hash[WAL_HASH_SIZE];
	pg_lsn from, to; /* which records count */
	pg_lsn last, end; /* start and end of the last one; 0: none */
	int64_t max_commit_time, max_time; /* 0: none has a time */
	pg_lsn max_time_lsn;
};

struct walcache;
struct walview;

struct walview *walview_new(struct repo *repo, const struct incarnation *inc);
void walview_free(struct walview *v); /* NULL is fine */

/* Before anything is asked. The cache (NULL: none) must live longer. */
void walview_remember(struct walview *v, struct walcache *cache);

/* Timelines that have anything stored, ascending. */
int walview_timelines(struct walview *v, const uint32_t **out, size_t *n,
    struct err *err) ERR_USE;

/*
 * A timeline's segments and .partial files, ascending by name, a segment
 * before its .partial; two contents of one name are two items, which follow
 * each other. The folders that have any, one after another.
 *
 * In a view that remembers items stay where they are until WALVIEW_FOLDERS
 * other folders were asked for; else as long as the view.
 */
#define WALVIEW_FOLDERS 20
typedef int (*walview_folder_fn)(void *arg, struct walview_item *items,
    size_t n, struct err *err);
int walview_each_folder(struct walview *v, uint32_t timeline,
    walview_folder_fn fn, void *arg, struct err *err) ERR_USE;

/*
 * The first item from this name on, and those that follow it in its folder at
 * least; *n is 0 when there is none.
 */
int walview_seek(struct walview *v, uint32_t timeline, uint32_t log,
    uint32_t seg, struct walview_item **out, size_t *n,
    struct err *err) ERR_USE;

/*
 * All of a timeline at once, of a view that does not remember. They stay the
 * view's and where they are.
 */
int walview_segments(struct walview *v, uint32_t timeline,
    struct walview_item **out, size_t *n, struct err *err) ERR_USE;

/* As wal_store_history(), read once; the history stays the view's. */
int walview_history(struct walview *v, uint32_t timeline,
    const struct history **out, struct err *err) ERR_USE;

/*
 * Fill in what the summary says. A generation that is damaged is replaced in
 * the item by one that holds; ERR_DAMAGED: none does.
 */
int walview_facts(struct walview *v, struct walview_item *item,
    struct err *err) ERR_USE;

/*
 * The same of several that will be asked for next: from a store over a
 * network they are read several at once. What fails is left to walview_facts().
 */
int walview_facts_ahead(struct walview *v, struct walview_item *const *items,
    size_t n, struct err *err) ERR_USE;

/*
 * Tag and summary (or NULL) of the object itself, with the same about
 * generations: the store is asked.
 */
int walview_describe(struct walview *v, struct walview_item *item,
    struct format_wal_tag *tag, struct wal_summary *sum,
    struct err *err) ERR_USE;

/* What was found out about these records before, or NULL; and to keep it. */
const struct walview_span *walview_find_span(const struct walview *v,
    const struct walview_item *item, pg_lsn from, pg_lsn to);
void walview_add_span(struct walview *v, const struct walview_item *item,
    const struct walview_span *span);

/* An unbroken range of a timeline's segments. */
struct wal_range {
	uint32_t timeline;
	char first[WAL_SEGMENT_NAME_LEN + 1];
	char last[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t segments;
	uint64_t stored_bytes;
};

/*
 * Ranges of all timelines, ascending: two ranges of one timeline have a gap
 * between them. segment_size: of a commit or WAL object. Caller frees.
 */
int walview_ranges(struct walview *v, uint32_t segment_size,
    struct wal_range **out, size_t *n, struct err *err) ERR_USE;

/*
 * Tell the cache what it does not have, if all timelines were listed. Then
 * nothing more is asked.
 */
void walview_keep(struct walview *v);

/* The item as others know it: with its name. */
void walview_stored(const struct walview_item *item, struct wal_stored *out);
void walview_segment_name(const struct walview_item *item,
    char out[WAL_SEGMENT_NAME_LEN + 1]);

/* By name, segments before .partial files, then hash. */
int walview_compare(const struct walview_item *a,
    const struct walview_item *b);

#endif
