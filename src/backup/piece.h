/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PIECE_H
#define BACKUP_PIECE_H

/*
 * What both methods do with a piece of a file, wherever it came from: sums of
 * its blocks, comparison with the parent's, what differs into a pack, and the
 * runs that say where all of it is. One thread.
 *
 *	piece_writer_init(&w, &shared, err);
 *	struct piece_file f = { .path = ..., .runs = ..., ... };
 *	piece_store(&w, &f, off, data, len, err);	ascending
 *	piece_end(&w, &f, err);
 *	piece_writer_flush(&w, err);
 *	piece_writer_fini(&w);
 */
#include <stdbool.h>
#include <stdint.h>

#include "backup/compare.h"
#include "backup/gather.h"
#include "backup/parent.h"
#include "core/err.h"
#include "repo/pack.h"

struct piece_shared {
	uint32_t block_size;
	uint64_t fingerprint_seed;
	int compress_level;
	struct pack_shared *pack;
	const struct parent *parent; /* NULL: all is new */
};

/*
 * Where a block is stored: what is stored anew without having changed has
 * packs of its own, in which it will stay (repo/renew.h).
 */
enum piece_kind { PIECE_NEW, PIECE_RENEWED, PIECE_KINDS };

struct piece_writer {
	const struct piece_shared *shared;
	struct page_sum *sums;
	struct map_run *kept; /* of each block at hand: what the parent has */
	struct page_sum zeros; /* of a block of zeros */
	uint32_t block_shift; /* crc32c_shift() of a block */
	bool *due; /* of each: the parent's pack is not to be referred to */
	struct pack_writer *writers[PIECE_KINDS]; /* NULL: not needed yet */
	struct gather gathers[PIECE_KINDS];
	struct compare compare;
};

/* A file, or a stretch of one, that is being stored. */
struct piece_file {
	const char *path;
	struct run_list *runs; /* .pack: as entries_add_file() takes it */
	bool has_parent;
	const struct map_run *run, *run_end; /* the parent's that are left */
	uint64_t run_block; /* of the file, where *run begins */
	int64_t before; /* packs made before that are not referred to anew */
	bool changed;	/* out: some of it is stored anew */
	uint32_t crc;	/* out: of what was stored so far */
};

int piece_writer_init(struct piece_writer *w, const struct piece_shared *s,
    struct err *err) ERR_USE;
void piece_writer_fini(struct piece_writer *w); /* also of a zeroed one */
int piece_writer_flush(struct piece_writer *w, struct err *err) ERR_USE;

/* Up to 1 MiB at `off`, a whole number of blocks but for the file's end. */
int piece_store(struct piece_writer *w, struct piece_file *f, uint64_t off,
    const uint8_t *data, size_t len, struct err *err) ERR_USE;

/*
 * Up to *n blocks at `off` that the parent has and that did not change, which
 * only the caller can know: its run goes on. 1: so it is; 0: they have to be
 * read, as the parent has nothing there or nothing that holds. *n becomes how
 * many of them that is about.
 */
int piece_keep(struct piece_writer *w, struct piece_file *f, uint64_t off,
    uint64_t *n, struct err *err) ERR_USE;

/* One block of a file, and its sum: stored as it is. */
int piece_store_block(struct piece_writer *w, struct piece_file *f,
    uint64_t block, const uint8_t *data, uint32_t *crc,
    struct err *err) ERR_USE;
int piece_end(struct piece_writer *w, struct piece_file *f,
    struct err *err) ERR_USE;

#endif
