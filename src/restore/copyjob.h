/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_COPYJOB_H
#define RESTORE_COPYJOB_H

/*
 * Internal to copyback: what its files share. The calling thread
 * (copyback.c) makes files and cuts them into parts; a job is parts of one
 * large or of many small files, and belongs to one worker (copyworker.c),
 * who compares what is there already (copycompare.c).
 */
#include <stdatomic.h>

#include "repo/filemap.h"
#include "repo/packset.h"
#include "repo/packsums.h"
#include "restore/copyback.h"
#include "restore/damage.h"

/* Content of a batch: what a gathered frame's blocks are spread over. */
#define COPY_WINDOW ((uint64_t)32 << 20)
#define COPY_OLD_BYTES ((size_t)256 << 10)

struct part_sum {
	uint32_t crc;
	uint64_t len;
};

struct copyfile {
	char *path; /* as in the manifest */
	uint64_t size;
	uint32_t mode;
	uint32_t crc;
	struct map_run *runs; /* the whole map */
	size_t n_runs;
	uint64_t old_size; /* of what is there; only with `there` */
	uint32_t old_mode;
	bool there; /* a file of ours is: to be compared, and changed in place */
	uint32_t n_parts;
	struct part_sum *sums; /* of each part */
	atomic_uint references; /* a part holds one */
	atomic_bool failed;
	atomic_bool damaged; /* some of it is in the list of the damage */
	atomic_bool changed;
};

/* Consecutive blocks of a file, a job's or a batch's. */
struct copypart {
	struct copyfile *file;
	uint32_t index;  /* of the file's parts */
	uint64_t block;  /* the first */
	uint64_t blocks; /* 0: an empty file */
	size_t run;	 /* that holds the first one */
	uint64_t skip;	 /* blocks of that run before it */
};

struct copyjob {
	size_t n;
	struct copypart list[];
};

struct copyback {
	struct copyback_params p;
	uint32_t block_size;
	uint32_t shift; /* for joining CRCs of whole blocks */
	bool remote; /* the store is not this host's: requests take time */
	uint64_t job_bytes; /* of a large file */
	struct pack_table packs;
	struct packset *set;
	struct sums_cache *sums; /* NULL: nothing is compared */
	struct pool *pool;
	struct pack_cache *cache; /* the calling thread's, for maps */
	struct filemap map;
	struct copypart *small; /* files that wait for being sorted */
	size_t n_small;
	struct copyback_counts counts;
};

/* Blocks of a batch that lie together in the file and in a frame. */
struct piece {
	struct copyfile *file;
	uint64_t block;	 /* of the file */
	uint32_t blocks;
	uint32_t len;	 /* bytes */
	uint32_t pack;	 /* in the table */
	uint32_t frame;
	uint32_t at;	 /* first block within the frame */
	uint32_t sum;	 /* place of the first one's CRC in worker.crcs */
};

struct copyworker {
	struct copyback *cb;
	struct repo *repo;
	struct pack_cache *cache;
	struct frame_codec *codec;
	struct buf raw;
	uint8_t *plain;
	uint64_t *blocks; /* of the frame at hand */
	size_t n_blocks;

	/* the file that is open */
	struct copyfile *file;
	int fd;
	uint64_t written_from, written_to;
	bool wrote;

	/* the batch */
	struct piece *pieces;
	size_t n_pieces, cap_pieces;
	uint32_t *crcs; /* of all its blocks */
	size_t n_crcs, cap_crcs;

	/* comparing */
	const struct pack_sums *sums; /* of pack sums_pack, or NULL */
	uint32_t sums_pack;
	uint8_t *old; /* old_len bytes of the open file from old_at on */
	uint64_t old_at;
	size_t old_len;
};

/* Bytes of block `block` of the file. */
static inline uint32_t
copy_block_len(const struct copyback *cb, const struct copyfile *f,
    uint64_t block)
{
	const uint64_t left = f->size - block * cb->block_size;

	return left < cb->block_size ? (uint32_t)left : cb->block_size;
}

int copyworker_init(void *worker, void *arg, struct err *err) ERR_USE;
void copyworker_fini(void *worker);

/* The pool's: runs and frees a struct copyjob. */
int copyworker_run(void *worker, void *job, bool skip, struct err *err);

/* Give back a part's reference; who gives the last one checks the file. */
int copyfile_release(struct copyback *cb, struct copyfile *f, bool ok,
    struct err *err);

/* Open for writing what is not open yet. */
int copyworker_open(struct copyworker *w, struct copyfile *f,
    struct err *err) ERR_USE;

/* Is the error one that --allow-damage goes past? */
bool copy_is_damage(const struct copyback *cb, const struct err *err);

/*
 * Which of a run's n blocks from file block `block` on are not there yet:
 * `differs` (room for n) is set. CRCs of those that are go to crcs[].
 */
int copycompare_run(struct copyworker *w, struct copyfile *f, uint64_t block,
    const struct map_run *run, uint64_t skip, size_t n, bool *differs,
    uint32_t *crcs, struct err *err) ERR_USE;
/* The open file changes: nothing of it is at hand any more. */
void copycompare_forget(struct copyworker *w);

#endif
