/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_COPY_H
#define BACKUP_COPY_H

/*
 * Copying a stretch of the plan into packs: the hot path. A task is either
 * consecutive items of the plan (small files; directories and links between
 * them are passed over) or a range of one file. Each worker of a pool reads
 * a MiB, checks the pages, and gives it to its own pack writer. Where there
 * is a parent it gives only those blocks that differ from the parent's, and
 * those that have to be stored anew for another reason.
 *
 *	pool_new(..., sizeof(struct copy_worker), copy_worker_init,
 *	    copy_worker_fini, &shared, err);
 *	task = copy_task_new(&shared, first, n);
 *	pool_submit(pool, copy_task_run, task, err);
 *	...				 when task->done: read its results
 *	pool_each_worker(pool, copy_worker_flush, NULL, err);
 *	copy_task_free(task);
 *
 * Results may be read by the owner once copy_task_done() is true, and the
 * task belongs to the owner in every case, run or not.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backup/gather.h"
#include "backup/piece.h"
#include "backup/plan.h"
#include "core/err.h"
#include "pipe/rate.h"
#include "repo/commit.h"
#include "repo/pack.h"

#define COPY_RANGE ((uint64_t)32 << 20)
#define COPY_BATCH_BYTES ((uint64_t)4 << 20)
#define COPY_BATCH_ITEMS 256

/* The same for all workers. */
struct copy_shared {
	const struct plan *plan;
	const char *pgdata;
	int pgdata_fd;
	struct piece_shared piece;
	uint32_t segment_blocks; /* blocks in a relation's file */
	bool checksums;
	struct rate rate;
	atomic_ullong *done_bytes;
	atomic_bool stop; /* set by the owner: end at the next MiB */
	pthread_mutex_t lock;
	pthread_cond_t done; /* a task is done */
};

/* What became of a file, or of a range of it. */
struct copy_file {
	bool present; /* it was there */
	uint32_t mode;
	int64_t mtime;
	uint64_t size; /* bytes copied */
	uint32_t crc;
	bool changed; /* some of it is stored anew */
	uint32_t first_run, n_runs; /* in the task's runs */
};

/* What the parent has of a file, or of the task's range of it. */
struct copy_parent {
	bool found;
	bool some;	/* only blocks whose bits are set are read */
	bool untouched; /* nothing of the file is read */
	uint64_t size; /* of the whole file */
	uint32_t crc;
	int64_t before; /* packs made before that are not referred to anew */
	uint32_t first_run, n_runs; /* in the task's parent_runs */
	uint32_t first_map, n_map; /* map frames, there too */
	uint32_t first_bits; /* byte in the task's bits */
	uint64_t n_bits;     /* blocks behind that are read */
};

struct copy_damage {
	uint32_t item; /* in the plan */
	uint64_t block;
	uint16_t expected, found;
	const char *reason;
};

struct copy_task {
	struct copy_shared *shared;
	uint32_t first, n; /* items of the plan */
	bool is_range;
	bool last;	 /* range: the file's last one */
	uint64_t offset; /* range */
	uint64_t length;
	struct copy_parent *parents; /* n; NULL: there is no parent */
	struct run_list parent_runs; /* .pack: index in the parent's table */
	uint8_t *bits; /* bit N % 8 of byte N / 8 for block N */
	size_t bits_len;
	/* results */
	bool done; /* under shared->lock */
	struct copy_file *files; /* n */
	struct run_list runs;	 /* .pack: as entries_add_file() takes it */
	struct copy_damage *damaged; /* at most COMMIT_DAMAGED_MAX */
	uint32_t n_damaged;
	uint64_t damaged_count;
};

struct copy_worker {
	struct copy_shared *shared;
	uint8_t *data; /* 1 MiB */
	struct piece_writer out;
	int dir_fd;
	uint32_t dir;
	bool dir_known;
	struct buf path;
};

/* done_bytes: where progress is counted. Others set the members. */
void copy_shared_init(struct copy_shared *s, uint64_t max_rate);
void copy_shared_free(struct copy_shared *s);

int copy_worker_init(void *worker, void *shared, struct err *err) ERR_USE;
void copy_worker_fini(void *worker);
int copy_worker_flush(void *worker, void *arg, struct err *err) ERR_USE;

struct copy_task *copy_task_new(struct copy_shared *s, uint32_t first,
    uint32_t n);
struct copy_task *copy_task_new_range(struct copy_shared *s, uint32_t item,
    uint64_t offset, uint64_t length, bool last);
int copy_task_run(void *worker, void *task, bool skip, struct err *err);
void copy_task_free(struct copy_task *t); /* NULL is fine */

/* Is it done? Waits up to timeout_ms. */
bool copy_task_done(struct copy_task *t, unsigned timeout_ms);

#endif
