/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_STORE_PRIVATE_H
#define DUMP_STORE_PRIVATE_H

/* What store.c (items, manifest, commit) and writer.c (chunks) share. */
#include <pthread.h>

#include "dump/parent.h"
#include "dump/store.h"
#include "repo/claim.h"
#include "repo/pack.h"
#include "repo/putter.h"

#define STORE_INLINE_MAX 8 /* chunks that stand in the manifest */

struct store_chunk {
	struct dump_chunk c; /* .pack: of this dump, or of the parent */
	bool foreign;
};

/* A range that was written: its chunk lists (own packs), or few chunks. */
struct store_range {
	bool ended;
	uint64_t bytes, rows, total_chunks;
	uint32_t crc;
	struct frame_ref *lists;
	size_t n_lists;
	struct store_chunk *chunks; /* instead of lists */
	size_t n_chunks;
};

struct store_item {
	char *path;
	uint32_t dump_id, oid;
	struct store_range *ranges;
	uint32_t n_ranges, n_ended;
	struct chunkindex *index; /* while it is being written */
	bool indexed;
};

struct dump_store {
	struct repo *repo;
	struct incarnation inc;
	char label[FORMAT_LABEL_MAX];
	uint64_t seed;
	int level;
	struct claim claim;
	struct dump_parent *parent; /* NULL: none */
	struct putter *putter;
	struct pack_shared packs;
	bool begun;	/* something may be stored */
	bool committed;
	pthread_mutex_t lock; /* of what follows */
	struct store_item **items; /* ascending by path */
	size_t n_items, cap_items;
	uint64_t *live; /* of own packs, by number */
	size_t n_live;
	uint64_t *live_foreign; /* of the parent's, by index */
	struct err failed; /* a writer's last pack could not be put */
};

void store_failed(struct dump_store *st, const struct err *err);

/* Live bytes of a pack: of this dump, or of the parent. Takes the lock. */
void store_count(struct dump_store *st, bool foreign, uint32_t pack,
    uint64_t bytes);

/* The item, made when it is new; its index with it. Takes the lock. */
int store_item_begin(struct dump_store *st,
    const struct dump_store_item *item, struct store_item **out,
    struct err *err) ERR_USE;

/* A range is written; the last one frees the index. Takes the lock. */
void store_item_end(struct dump_store *st, struct store_item *item,
    uint32_t range, const struct store_range *done);

#endif
