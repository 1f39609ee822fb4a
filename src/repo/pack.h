/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PACK_H
#define REPO_PACK_H

/*
 * Packs: many files' frames in one object.
 *
 * Writing (one pack_writer a worker thread):
 *
 *	pack_writer_new(&w, &shared, level)
 *	pack_writer_add(w, path, first_block, plain, len, sums, &ref, err)
 *	...
 *	pack_writer_flush(w, err)	seals and puts what is not full yet
 *	pack_writer_free(w)
 *
 * A pack is sealed (page sums, index) and handed to `put` when its bytes pass
 * the target size. Pack numbers are drawn from a counter that all writers of
 * an attempt share, so a frame's pack is known as soon as it is added.
 *
 * Reading: struct pack_cache keeps the indexes of the packs used last; it
 * serves one thread.
 */
#include <stdatomic.h>

#include "core/err.h"
#include "repo/object.h"
#include "repo/repo.h"

#define PACK_TARGET_DEFAULT ((size_t)8 << 20)
/* Of a backup that has a parent: small packs die whole (tests/simulate). */
#define PACK_TARGET_INCREMENTAL ((size_t)4 << 20)

/*
 * The commit names every pack and has to stay an object itself, which some
 * 400,000 lines are: large databases get larger packs (up to what an object
 * may have), rather than an error after the last of them.
 */
size_t pack_target(uint64_t bytes, bool has_parent);

/* Where a piece of a file went. */
struct frame_ref {
	uint32_t pack; /* number of the attempt's pack */
	uint32_t frame;
};

/* Of one block; see FORMAT.md section 6. */
struct page_sum {
	uint64_t fingerprint;
	uint32_t crc;
};

/*
 * Takes a sealed pack: object->bytes is it. Called by the writer's thread;
 * must put it durably or keep it (swap object->bytes with an empty buffer of
 * the same ceiling) and have it durable before the commit.
 */
typedef int (*pack_put)(void *arg, const struct pack_id *id,
    struct object_writer *object, struct err *err);

struct pack_shared {
	const struct repo *repo;
	struct incarnation inc;
	enum repo_kind kind;
	char label[FORMAT_LABEL_MAX];
	uint32_t attempt;
	uint32_t block_size; /* of a dump 0 */
	size_t target; /* bytes; PACK_TARGET_DEFAULT */
	atomic_uint next_number;
	pack_put put;
	void *put_arg;
};

struct pack_writer;
int pack_writer_new(struct pack_writer **out, struct pack_shared *shared,
    int level, struct err *err) ERR_USE;
void pack_writer_free(struct pack_writer *w);

/*
 * Add up to 1 MiB (whole blocks; only a file's last may be short) of a file.
 * sums: one for each block, or NULL (computed here).
 */
int pack_writer_add(struct pack_writer *w, const char *path,
    uint64_t first_block, const void *plain, size_t len,
    const struct page_sum *sums, struct frame_ref *ref,
    struct err *err) ERR_USE;

/*
 * The same of blocks that lie apart in the file: their numbers, ascending,
 * one for each block of plain; only the file's last block may be short.
 */
int pack_writer_add_gathered(struct pack_writer *w, const char *path,
    const uint64_t *blocks, const void *plain, size_t len,
    const struct page_sum *sums, struct frame_ref *ref,
    struct err *err) ERR_USE;

/* Add a map frame (section 5). */
int pack_writer_add_map(struct pack_writer *w, const void *plain, size_t len,
    struct frame_ref *ref, struct err *err) ERR_USE;

/* Of a dump: a chunk of an item (up to 1 MiB), and a chunk list. */
int pack_writer_add_chunk(struct pack_writer *w, const char *path,
    const void *plain, size_t len, struct frame_ref *ref,
    struct err *err) ERR_USE;
int pack_writer_add_list(struct pack_writer *w, const void *plain, size_t len,
    struct frame_ref *ref, struct err *err) ERR_USE;

int pack_writer_flush(struct pack_writer *w, struct err *err) ERR_USE;

/* Fingerprint and CRC of each block of `len` bytes; returns how many. */
size_t page_sums(const void *plain, size_t len, uint32_t block_size,
    uint64_t seed, struct page_sum *out);

/* By label, attempt, number: the order of strcmp() and numbers. */
int pack_id_compare(const struct pack_id *a, const struct pack_id *b);

/*
 * Opens the highest generation of a pack that no damage object names, so
 * that who reads gets what was repaired. packs, which several caches may
 * share, knows the generations; NULL: one of its own.
 */
struct packset;
struct pack_cache;
struct pack_cache *pack_cache_new_shared(struct repo *repo,
    const struct incarnation *inc, size_t capacity, struct packset *packs);
struct pack_cache *pack_cache_new(struct repo *repo,
    const struct incarnation *inc, size_t capacity);
void pack_cache_free(struct pack_cache *c);

/*
 * The pack's open reader; valid until the next call. size: of the first
 * generation, by the commit (commit_pack_first_size()), 0 when it is not
 * known; a first generation of another size is ERR_DAMAGED.
 */
int pack_cache_open(struct pack_cache *c, const struct pack_id *id,
    uint64_t size, struct object_reader **out, struct err *err) ERR_USE;

/* One frame's plain bytes (cleared before). */
int pack_cache_frame(struct pack_cache *c, const struct pack_id *id,
    uint32_t frame, struct frame_header *h, struct buf *out,
    struct err *err) ERR_USE;

#endif
