/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_DUMPREAD_H
#define REPO_DUMPREAD_H

/*
 * The content of a dump (FORMAT.md sections 5.1 and 7.1).
 *
 *	dumpset_open(&set, repo, &inc, label, err);	commit and manifest
 *	items = dumpset_items(set, &n);
 *	dumpset_check_packs(set, err);		before anything is changed
 *	dumpread_new(&r, set, repo_of_this_thread, err);
 *	dumpread_chunks(r, &items[i], &chunks, &n_chunks, err);
 *	dumpread_stream(r, &items[i], chunks, 0, n_chunks, sink, arg, err);
 *	free(chunks);
 *	dumpread_free(r);
 *	dumpset_free(set);
 *
 * A set does not change once it is open: any thread may read it; it takes
 * some 150 bytes and the path for each item. A dumpread serves one thread: it
 * holds a few MiB and the indexes of 16 packs. Chunks take 36 bytes each.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/chunklist.h"
#include "repo/commit.h"
#include "repo/repo.h"

enum dump_item_type {
	DUMP_ITEM_ARCHIVE, /* "archive": pg_dump's table of contents */
	DUMP_ITEM_GLOBALS, /* "globals": pg_dumpall's text */
	DUMP_ITEM_TABLE,   /* "table/SCHEMA/NAME": rows of COPY's text */
	DUMP_ITEM_LARGE_OBJECTS, /* "large_objects/FIRST" */
	DUMP_ITEM_OTHER	   /* of a later version: to be passed over */
};

struct dump_item {
	enum dump_item_type type;
	char *path;
	char *schema, *name; /* TABLE; else NULL */
	uint32_t dump_id, oid;
	uint64_t size, rows;
	uint32_t crc;
	/* Where its chunks are named; .pack: index of dumpset_pack(). */
	struct dump_chunk *chunks;
	size_t n_chunks;
	struct map_run *lists;
	size_t n_lists;
};

/*
 * "table/SCHEMA/NAME", in which '%' and '/' of either name are %25 and %2F:
 * the path of a table's item. The caller frees.
 */
char *dump_table_path(const char *schema, const char *name);

struct dumpset;
int dumpset_open(struct dumpset **out, struct repo *repo,
    const struct incarnation *inc, const char *label,
    struct err *err) ERR_USE;
void dumpset_free(struct dumpset *set); /* NULL is fine */

const struct commit *dumpset_commit(const struct dumpset *set);

/* Ascending by path. */
const struct dump_item *dumpset_items(const struct dumpset *set, size_t *n);
const struct dump_item *dumpset_find(const struct dumpset *set,
    const char *path); /* NULL: none */

/* What a chunk's or list's .pack means; NULL: no such. */
const struct commit_pack *dumpset_pack(const struct dumpset *set,
    uint32_t index);

/*
 * Is each pack that the commit names there, of its size, and not marked
 * damaged? By listing; ERR_DAMAGED names the first that is not.
 */
int dumpset_check_packs(const struct dumpset *set, struct repo *repo,
    struct err *err) ERR_USE;

struct dumpread;
int dumpread_new(struct dumpread **out, const struct dumpset *set,
    struct repo *repo, struct err *err) ERR_USE;
void dumpread_free(struct dumpread *r); /* NULL is fine */

/*
 * All chunks of an item, in order; .pack is an index for dumpset_pack().
 * Their sizes, rows and CRCs make the item's. The caller
 * frees *out.
 */
int dumpread_chunks(struct dumpread *r, const struct dump_item *item,
    struct dump_chunk **out, size_t *n, struct err *err) ERR_USE;

/*
 * The same a list of them at a time, for who has no room for all. That they
 * make the item is known after the last one only.
 */
typedef int (*dumpread_visit)(void *arg, const struct dump_chunk *chunks,
    size_t n, struct err *err);
int dumpread_each(struct dumpread *r, const struct dump_item *item,
    dumpread_visit visit, void *arg, struct err *err) ERR_USE;

/* -1 with *err stops the reading. */
typedef int (*dumpread_sink)(void *arg, const void *data, size_t len,
    struct err *err);

/*
 * The plain bytes of chunks [first, first + n), in order. Each chunk's frame
 * is checked (hash, path, length, CRC), and the item's CRC when these are all
 * of its chunks: the sink has them by then. ERR_DAMAGED.
 */
int dumpread_stream(struct dumpread *r, const struct dump_item *item,
    const struct dump_chunk *chunks, size_t first, size_t n,
    dumpread_sink sink, void *arg, struct err *err) ERR_USE;

/*
 * One chunk's plain bytes, and the zstd frame that it is stored as (both
 * valid until the next call), checked alike.
 */
int dumpread_chunk(struct dumpread *r, const struct dump_item *item,
    const struct dump_chunk *chunk, const void **plain, const void **payload,
    size_t *payload_len, struct err *err) ERR_USE;

/* The whole of a small item, appended to b, whose ceiling is the limit. */
struct buf;
int dumpread_all(struct dumpread *r, const struct dump_item *item,
    struct buf *b, struct err *err) ERR_USE;

#endif
