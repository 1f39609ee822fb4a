/* SPDX-License-Identifier: PostgreSQL */
/*
 * A writer fills one object in a buffer that is allocated once: the ceiling
 * is the target, one more frame, and what sealing adds. The size that counts
 * for the target is that of the sealed pack.
 */
#include "config.h"

#include "repo/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/hash.h"

#define SUM_SIZE 12 /* in a page-sum frame */
#define PACK_SLACK ((size_t)2 << 20)
#define PACK_TARGET_MIN ((size_t)64 << 10)
#define BLOCK_MIN 512
#define PACKS_WANTED_MAX 250000

struct pack_writer {
	struct pack_shared *shared;
	struct frame_codec *codec;
	size_t target;
	bool open; /* object is being filled as pack `number` */
	uint32_t number;
	struct object_writer object;
	struct buf sums; /* content of the page-sum frame */
	struct buf blocks; /* block list of the frame at hand */
	struct page_sum *computed; /* room for a frame's */
};

size_t
page_sums(const void *plain, size_t len, uint32_t block_size, uint64_t seed,
    struct page_sum *out)
{
	const uint8_t *p = plain;
	size_t n = 0, step;

	for (; len > 0; p += step, len -= step, n++) {
		step = len < block_size ? len : block_size;
		out[n].fingerprint = hash_64(p, step, seed);
		out[n].crc = crc32c(p, step);
	}
	return n;
}

size_t
pack_target(uint64_t bytes, bool has_parent)
{
	const size_t least = has_parent ? PACK_TARGET_INCREMENTAL :
					  PACK_TARGET_DEFAULT;
	uint64_t target = bytes / PACKS_WANTED_MAX;

	if (target < least)
		return least;
	return target < STORAGE_OBJECT_MAX ? (size_t)target :
	    STORAGE_OBJECT_MAX;
}

static size_t
clamp_target(size_t target)
{
	if (target < PACK_TARGET_MIN)
		return PACK_TARGET_MIN;
	if (target > STORAGE_OBJECT_MAX - PACK_SLACK)
		return STORAGE_OBJECT_MAX - PACK_SLACK;
	return target;
}

int
pack_writer_new(struct pack_writer **out, struct pack_shared *shared,
    int level, struct err *err)
{
	struct pack_writer *w;
	size_t max;

	if (shared->kind == REPO_BACKUP &&
	    (shared->block_size < BLOCK_MIN ||
		shared->block_size > FORMAT_FRAME_PLAIN_MAX))
		return err_set(err, ERR_BUG, "block size %u",
		    shared->block_size);
	w = xcalloc(1, sizeof(*w));
	w->shared = shared;
	w->codec = frame_codec_new(level);
	w->target = clamp_target(shared->target);
	max = w->target + PACK_SLACK;
	buf_init(&w->object.bytes, max);
	(void)buf_reserve(&w->object.bytes, max); /* once, below the ceiling */
	buf_init(&w->sums, FORMAT_FRAME_PLAIN_MAX);
	buf_init(&w->blocks, FORMAT_BLOCKS_MAX);
	if (shared->kind == REPO_BACKUP)
		w->computed = xcalloc(FORMAT_FRAME_PLAIN_MAX /
		    shared->block_size + 1, sizeof(*w->computed));
	*out = w;
	return 0;
}

void
pack_writer_free(struct pack_writer *w)
{
	if (w == NULL)
		return;
	frame_codec_free(w->codec);
	object_writer_free(&w->object);
	buf_free(&w->sums);
	buf_free(&w->blocks);
	free(w->computed);
	free(w);
}

static int
open_pack(struct pack_writer *w, struct err *err)
{
	const struct pack_shared *s = w->shared;
	struct object_header h;

	if (w->open)
		return 0;
	w->number = atomic_fetch_add(&w->shared->next_number, 1);
	memset(&h, 0, sizeof(h));
	h.type = OBJECT_PACK;
	memcpy(h.repository_id, s->repo->id, sizeof(h.repository_id));
	h.system_id = s->inc.system_id;
	(void)snprintf(h.name, sizeof(h.name), "%s", s->label);
	h.has_pack = true;
	h.attempt = s->attempt;
	h.number = w->number;
	if (object_writer_begin(&w->object, &h, s->repo->attempt, err) != 0)
		return -1;
	buf_clear(&w->sums);
	w->open = true;
	return 0;
}

int
pack_writer_flush(struct pack_writer *w, struct err *err)
{
	struct frame_header h = { .type = FRAME_SUMS };
	struct pack_id id;

	if (!w->open)
		return 0;
	if (w->sums.len > 0 &&
	    object_writer_add(&w->object, w->codec, &h, w->sums.data,
		w->sums.len, err) != 0)
		return -1;
	if (object_writer_finish(&w->object, err) != 0)
		return -1;
	memset(&id, 0, sizeof(id));
	memcpy(id.label, w->shared->label, sizeof(id.label));
	id.attempt = w->shared->attempt;
	id.number = w->number;
	id.kind = w->shared->kind;
	w->open = false;
	return w->shared->put(w->shared->put_arg, &id, &w->object, err);
}

/* Is the pack full, counting what sealing will add? */
static bool
full(const struct pack_writer *w)
{
	size_t frame_sums;

	if (object_writer_size(&w->object) + w->sums.len >= w->target)
		return true;
	if (w->sums.len == 0)
		return false;
	frame_sums = 8 + SUM_SIZE *
	    (FORMAT_FRAME_PLAIN_MAX / w->shared->block_size + 1);
	return w->sums.len + frame_sums > FORMAT_FRAME_PLAIN_MAX;
}

static int
add_frame(struct pack_writer *w, struct frame_header *h, const void *plain,
    size_t len, struct frame_ref *ref, struct err *err)
{
	if (open_pack(w, err) != 0 ||
	    object_writer_add(&w->object, w->codec, h, plain, len, err) != 0)
		return -1;
	ref->pack = w->number;
	ref->frame = h->number;
	return 0;
}

static void
keep_sums(struct pack_writer *w, uint32_t frame, const struct page_sum *sums,
    size_t n)
{
	uint8_t *p = buf_reserve(&w->sums, 8 + n * SUM_SIZE);
	size_t i;

	if (p == NULL)
		return; /* full() has left room: the add checks all the same */
	put_le32(p, frame);
	put_le32(p + 4, (uint32_t)n);
	p += 8;
	for (i = 0; i < n; i++, p += SUM_SIZE) {
		put_le64(p, sums[i].fingerprint);
		put_le32(p + 8, sums[i].crc);
	}
	w->sums.len += 8 + n * SUM_SIZE;
}

static int
add_blocks(struct pack_writer *w, struct frame_header *h, const void *plain,
    size_t len, const struct page_sum *sums, struct frame_ref *ref,
    struct err *err)
{
	uint32_t block_size = w->shared->block_size;
	size_t n = (len + block_size - 1) / block_size;

	if (len == 0 || len > FORMAT_FRAME_PLAIN_MAX)
		return err_set(err, ERR_BUG, "%s: a frame of %zu bytes",
		    h->path, len);
	h->type = FRAME_FILE;
	h->block_size = block_size;
	h->path_len = strlen(h->path);
	if (add_frame(w, h, plain, len, ref, err) != 0)
		return -1;
	if (sums == NULL) {
		n = page_sums(plain, len, block_size,
		    w->shared->repo->fingerprint_seed, w->computed);
		sums = w->computed;
	}
	keep_sums(w, h->number, sums, n);
	if (buf_check(&w->sums, "the page sums", err) != 0)
		return -1;
	return full(w) ? pack_writer_flush(w, err) : 0;
}

int
pack_writer_add(struct pack_writer *w, const char *path, uint64_t first_block,
    const void *plain, size_t len, const struct page_sum *sums,
    struct frame_ref *ref, struct err *err)
{
	struct frame_header h = { .position = first_block, .path = path };

	return add_blocks(w, &h, plain, len, sums, ref, err);
}

int
pack_writer_add_gathered(struct pack_writer *w, const char *path,
    const uint64_t *blocks, const void *plain, size_t len,
    const struct page_sum *sums, struct frame_ref *ref, struct err *err)
{
	uint32_t block_size = w->shared->block_size;
	struct frame_header h = { .position = blocks[0], .path = path };

	buf_clear(&w->blocks);
	frame_blocks_encode(blocks, (len + block_size - 1) / block_size,
	    &w->blocks);
	if (buf_check(&w->blocks, "a frame's block list", err) != 0)
		return -1;
	h.blocks = w->blocks.data;
	h.blocks_len = w->blocks.len;
	return add_blocks(w, &h, plain, len, sums, ref, err);
}

static int
add_plain(struct pack_writer *w, struct frame_header *h, const void *plain,
    size_t len, struct frame_ref *ref, struct err *err)
{
	if (add_frame(w, h, plain, len, ref, err) != 0)
		return -1;
	return full(w) ? pack_writer_flush(w, err) : 0;
}

int
pack_writer_add_map(struct pack_writer *w, const void *plain, size_t len,
    struct frame_ref *ref, struct err *err)
{
	struct frame_header h = { .type = FRAME_MAP };

	return add_plain(w, &h, plain, len, ref, err);
}

int
pack_writer_add_list(struct pack_writer *w, const void *plain, size_t len,
    struct frame_ref *ref, struct err *err)
{
	struct frame_header h = { .type = FRAME_CHUNK_LIST };

	return add_plain(w, &h, plain, len, ref, err);
}

int
pack_writer_add_chunk(struct pack_writer *w, const char *path,
    const void *plain, size_t len, struct frame_ref *ref, struct err *err)
{
	struct frame_header h = { .type = FRAME_DUMP, .path = path,
		.path_len = strlen(path) };

	if (len == 0 || len > FORMAT_FRAME_PLAIN_MAX)
		return err_set(err, ERR_BUG, "%s: a chunk of %zu bytes", path,
		    len);
	return add_plain(w, &h, plain, len, ref, err);
}
