/* SPDX-License-Identifier: PostgreSQL */
#ifndef COPY_COPY_WORK_H
#define COPY_COPY_WORK_H

/*
 * Internal to src/copy: one incarnation being copied. The owner's thread
 * compares and decides, jobs in the pool list folders and carry objects.
 */
#include <pthread.h>

#include "copy/copy.h"
#include "pipe/pool.h"
#include "pipe/rate.h"
#include "repo/claim.h"
#include "repo/commit.h"
#include "repo/packset.h"
#include "repo/removed.h"
#include "repo/tombstone.h"
#include "repo/walstore.h"

struct copy {
	struct copy_params p;
	struct copy_result result; /* under the lock */
	pthread_mutex_t lock;
	struct rate rate;
	struct pool *pool;
	/* Of the incarnation at hand: */
	struct incarnation inc;
	struct tombstone_set stones; /* of `to` */
	struct removed_set removed;  /* of `to` */
	struct claim *claim; /* held now, or NULL */
	bool in_between;
	atomic_bool stop; /* jobs end as soon as they can */
	struct copy_worker *own; /* the owner's, outside of the pool */
};

struct copy_worker {
	struct copy *c;
	struct repo *from, *to;
	struct frame_codec *codec;
	struct buf raw, other; /* objects */
	uint8_t *plain;	       /* a frame */
};

/* copy.c */

/* Hand over a job; meanwhile progress, lease, signals. */
int copy_submit(struct copy *c, pool_run run, void *job, struct err *err);

/*
 * Wait until no job is left, whatever happens. rc: of what came before; not
 * 0: what is under way is stopped, and *err stays.
 */
int copy_wait(struct copy *c, int rc, struct err *err);

/* For jobs: is it time to end? */
int copy_stopped(struct copy *c, struct err *err);

/* More bytes are known of; any thread. */
void copy_expect(struct copy *c, uint64_t bytes);

/* copy_object.c: any thread, with its own worker. */

/*
 * Put, and look how long it is then. *taken: the name has other bytes, and
 * stays as it is. The same bytes there are success.
 */
int copy_put(struct copy_worker *w, const char *key, const void *data,
    size_t len, bool *taken, struct err *err);

/* What the destination says is never taken for a fault of the object. */
int copy_failed_there(struct err *err);

/* An object was put: count it. */
void copy_count_put(struct copy *c, size_t len);

/* Is it the pack, whole, all of its frames? name: for messages. */
int copy_check_pack(struct copy_worker *w, const struct buf *bytes,
    const char *name, const struct pack_id *id, struct err *err);

/*
 * Is it an error of this object alone: damaged, absent, of a version that is
 * not known? Then the rest goes on.
 */
bool copy_is_of_object(const struct err *err);

/* A damaged object of the source is told and counted. */
void copy_note_damage(struct copy *c, const char *what,
    const struct err *err);
void copy_note_conflict(struct copy *c, const char *what,
    const char *why);

/* copy_wal.c */

/*
 * items NULL: all that the source has. Else those alone, ascending by name,
 * also when they were removed in `to`.
 */
int copy_wal(struct copy *c, struct copy_item *items, size_t n,
    struct err *err);

/* copy_gaps.c: what WAL was given up (repo/gap.h). */
int copy_gaps(struct copy *c, struct err *err);

/* copy_set.c: the lease is taken when the first of them is copied. */

/* All that `to` lacks, the newest first. */
int copy_sets(struct copy *c, enum repo_kind kind, struct err *err);
int copy_one_set(struct copy *c, enum repo_kind kind, const char *label,
    enum copy_outcome *outcome, struct err *err);

#endif
