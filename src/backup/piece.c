/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/piece.h"

#include <stdlib.h>
#include <string.h>

#include "backup/entries.h"
#include "core/crc32c.h"
#include "core/mem.h"

/* Many a backup has nothing to renew: its writer is made when needed. */
static int
open_kind(struct piece_writer *w, enum piece_kind kind, struct err *err)
{
	const struct piece_shared *s = w->shared;

	if (w->writers[kind] != NULL)
		return 0;
	if (pack_writer_new(&w->writers[kind], s->pack, s->compress_level,
	    err) != 0)
		return -1;
	if (s->parent != NULL)
		gather_init(&w->gathers[kind], w->writers[kind], kind,
		    s->block_size);
	return 0;
}

int
piece_writer_init(struct piece_writer *w, const struct piece_shared *s,
    struct err *err)
{
	const size_t blocks = FORMAT_FRAME_PLAIN_MAX / s->block_size + 1;
	uint8_t *zeros;

	memset(w, 0, sizeof(*w));
	w->shared = s;
	w->sums = xcalloc(blocks, sizeof(*w->sums));
	w->block_shift = crc32c_shift(s->block_size);
	if (open_kind(w, PIECE_NEW, err) != 0)
		return -1;
	if (s->parent == NULL)
		return 0;
	w->kept = xcalloc(blocks, sizeof(*w->kept));
	w->due = xcalloc(blocks, sizeof(*w->due));
	zeros = xcalloc(1, s->block_size);
	(void)page_sums(zeros, s->block_size, s->block_size,
	    s->fingerprint_seed, &w->zeros);
	free(zeros);
	return compare_open(&w->compare, s->parent, err);
}

void
piece_writer_fini(struct piece_writer *w)
{
	unsigned kind;

	compare_close(&w->compare);
	for (kind = 0; kind < PIECE_KINDS; kind++) {
		gather_free(&w->gathers[kind]);
		pack_writer_free(w->writers[kind]);
	}
	free(w->sums);
	free(w->kept);
	free(w->due);
}

int
piece_writer_flush(struct piece_writer *w, struct err *err)
{
	unsigned kind;

	for (kind = 0; kind < PIECE_KINDS; kind++)
		if (w->writers[kind] != NULL &&
		    pack_writer_flush(w->writers[kind], err) != 0)
			return -1;
	return 0;
}

/* The file's CRC so far, from the blocks' own: the bytes are not read again. */
static uint32_t
add_crcs(const struct piece_writer *w, uint32_t crc, size_t len)
{
	size_t bs = w->shared->block_size, i;

	for (i = 0; (i + 1) * bs <= len; i++)
		crc = crc32c_combine_shift(crc, w->sums[i].crc,
		    w->block_shift);
	if (len % bs != 0)
		crc = crc32c_combine(crc, w->sums[i].crc, len % bs);
	return crc;
}

/* A piece of which nothing is taken over. */
static int
store_whole(struct piece_writer *w, struct piece_file *f,
    enum piece_kind kind, uint64_t off, const uint8_t *data, size_t len,
    size_t blocks, struct err *err)
{
	struct frame_ref ref;

	if (open_kind(w, kind, err) != 0 ||
	    pack_writer_add(w->writers[kind], f->path,
	    off / w->shared->block_size, data, len, w->sums, &ref, err) != 0)
		return -1;
	f->changed = true;
	runs_add(f->runs,
	    &(struct map_run){ blocks, ref.pack, ref.frame, 0 });
	return 0;
}

/* The parent's run that has this block; *skip: blocks of it before. */
static const struct map_run *
parent_run(struct piece_file *f, uint64_t block, uint64_t *skip)
{
	while (f->run != f->run_end &&
	    block - f->run_block >= f->run->blocks) {
		f->run_block += f->run->blocks;
		f->run++;
	}
	*skip = block - f->run_block;
	return f->run == f->run_end ? NULL : f->run;
}

static bool
same(const struct page_sum *a, const struct page_sum *b)
{
	return a->fingerprint == b->fingerprint && a->crc == b->crc;
}

/*
 * Which of n blocks, from the i-th at hand on, are the parent's, by their
 * fingerprint and CRC: those of this run, from `skip` on. Adds how many.
 */
static int
compare_run(struct piece_writer *w, const struct piece_file *f,
    const struct map_run *run, uint64_t skip, size_t i, size_t n,
    size_t *equal, struct err *err)
{
	const struct parent *p = w->shared->parent;
	const struct page_sum *sums = NULL;
	const bool zeros = run->pack == MAP_PACK_ZEROS;
	size_t k;

	if (!zeros && (p->condemned[run->pack] ||
	    p->made[run->pack] < f->before)) {
		memset(w->due + i, true, n * sizeof(*w->due));
		return 0;
	}
	if (!zeros && compare_sums(&w->compare, run, &sums, err) != 0)
		return -1;
	if (!zeros && sums == NULL)
		return 0;
	for (k = 0; k < n; k++) {
		if (!same(zeros ? &w->zeros : &sums[skip + k],
		    &w->sums[i + k]))
			continue;
		w->kept[i + k] = (struct map_run){ 1, zeros ? run->pack :
			ENTRIES_FOREIGN + run->pack, run->frame,
			zeros ? 0 : run->block + (uint32_t)(skip + k) };
		(*equal)++;
	}
	return 0;
}

/*
 * Fill w->kept: of each block at hand where the parent has it, or nothing; and
 * w->due.
 */
static int
compare_piece(struct piece_writer *w, struct piece_file *f, uint64_t first,
    size_t blocks, size_t *equal, struct err *err)
{
	const struct map_run *run;
	uint64_t skip;
	size_t i, n;

	*equal = 0;
	memset(w->kept, 0, blocks * sizeof(*w->kept));
	memset(w->due, 0, blocks * sizeof(*w->due));
	for (i = 0; i < blocks; i += n) {
		run = parent_run(f, first + i, &skip);
		n = blocks - i;
		if (run == NULL)
			break;
		if (n > run->blocks - skip)
			n = (size_t)(run->blocks - skip);
		if (compare_run(w, f, run, skip, i, n, equal, err) != 0)
			return -1;
	}
	return 0;
}

/*
 * A whole frame of which nothing is kept, and nothing waits before it. Less
 * than a frame is gathered: where WAL says what has changed, pieces are as
 * small as single blocks.
 */
static bool
stands_alone(const struct piece_writer *w, size_t got, size_t blocks)
{
	const enum piece_kind kind = w->due[0] ? PIECE_RENEWED : PIECE_NEW;
	size_t i;

	if (got < FORMAT_FRAME_PLAIN_MAX)
		return false;
	for (i = 1; i < blocks; i++)
		if (w->due[i] != w->due[0])
			return false;
	return w->gathers[kind].n == 0;
}

static int
store_changes(struct piece_writer *w, struct piece_file *f, uint64_t off,
    const uint8_t *data, size_t got, size_t blocks, struct err *err)
{
	const uint32_t bs = w->shared->block_size;
	enum piece_kind kind;
	size_t i, equal, len;

	if (compare_piece(w, f, off / bs, blocks, &equal, err) != 0)
		return -1;
	if (equal == 0 && stands_alone(w, got, blocks))
		return store_whole(w, f, w->due[0] ? PIECE_RENEWED :
		    PIECE_NEW, off, data, got, blocks, err);
	for (i = 0; i < blocks; i++) {
		if (w->kept[i].blocks > 0) {
			runs_add(f->runs, &w->kept[i]);
			continue;
		}
		len = got - i * bs < bs ? got - i * bs : bs;
		kind = w->due[i] ? PIECE_RENEWED : PIECE_NEW;
		if (open_kind(w, kind, err) != 0 ||
		    gather_add(&w->gathers[kind], f->path, f->runs,
		    off / bs + i, data + i * bs, len, &w->sums[i], err) != 0)
			return -1;
		f->changed = true;
	}
	return 0;
}

int
piece_store(struct piece_writer *w, struct piece_file *f, uint64_t off,
    const uint8_t *data, size_t len, struct err *err)
{
	const struct piece_shared *s = w->shared;
	size_t blocks = page_sums(data, len, s->block_size,
	    s->fingerprint_seed, w->sums);

	f->crc = add_crcs(w, f->crc, len);
	if (f->has_parent)
		return store_changes(w, f, off, data, len, blocks, err);
	return store_whole(w, f, PIECE_NEW, off, data, len, blocks, err);
}

int
piece_keep(struct piece_writer *w, struct piece_file *f, uint64_t off,
    uint64_t *n, struct err *err)
{
	const struct page_sum *sums = NULL;
	const struct map_run *run;
	uint64_t skip, i;
	bool zeros;

	run = parent_run(f, off / w->shared->block_size, &skip);
	if (run == NULL)
		return 0;
	if (*n > run->blocks - skip)
		*n = run->blocks - skip;
	zeros = run->pack == MAP_PACK_ZEROS;
	if (!zeros && compare_sums(&w->compare, run, &sums, err) != 0)
		return -1;
	if (!zeros && sums == NULL)
		return 0;
	for (i = 0; i < *n; i++)
		f->crc = crc32c_combine_shift(f->crc, zeros ? w->zeros.crc :
		    sums[skip + i].crc, w->block_shift);
	runs_add(f->runs, &(struct map_run){ *n, zeros ? run->pack :
	    ENTRIES_FOREIGN + run->pack, run->frame,
	    zeros ? 0 : run->block + (uint32_t)skip });
	return 1;
}

int
piece_store_block(struct piece_writer *w, struct piece_file *f,
    uint64_t block, const uint8_t *data, uint32_t *crc, struct err *err)
{
	const struct piece_shared *s = w->shared;

	(void)page_sums(data, s->block_size, s->block_size,
	    s->fingerprint_seed, w->sums);
	*crc = w->sums[0].crc;
	f->changed = true;
	return gather_add(&w->gathers[PIECE_NEW], f->path, f->runs, block,
	    data, s->block_size, &w->sums[0], err);
}

int
piece_end(struct piece_writer *w, struct piece_file *f, struct err *err)
{
	unsigned kind;

	for (kind = 0; kind < PIECE_KINDS && w->shared->parent != NULL; kind++)
		if (gather_flush(&w->gathers[kind], f->path, f->runs,
		    err) != 0)
			return -1;
	return 0;
}
