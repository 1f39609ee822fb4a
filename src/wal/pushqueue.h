/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHQUEUE_H
#define WAL_PUSHQUEUE_H

/*
 * archive-queue-max: WAL that cannot be archived waits in pg_wal until the
 * disk is full and the server stops. Whoever would rather lose WAL than that
 * says how much may wait; beyond it archive-push gives up what it could not
 * store, one file with each call, the oldest first, so that the newest WAL
 * waits on. Asked after a failure only: what is slow is not given up.
 *
 *	wal_queue_find(&q, cluster, pgdata, path, err);
 *	if (q.may_go && q.waiting > limit) wal_queue_give_up(&q, ...);
 *	wal_queue_free(&q);
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"
#include "wal/cluster.h"

struct wal_queue {
	struct wal_cluster cluster;
	struct wal_file file; /* the one that was to be archived */
	bool may_go; /* the archiver waits for it, and it is no history */
	uint64_t waiting;     /* bytes of WAL that wait to be archived */
};

/*
 * Without the status files of the data directory that the file is in nothing
 * waits. q is to be freed after an error too.
 */
int wal_queue_find(struct wal_queue *q, const char *cluster,
    const char *pgdata, const char *path, struct err *err) ERR_USE;
void wal_queue_free(struct wal_queue *q);

/*
 * It is given up, because of `why`: durably noted when this returns 0
 * (repo/gap.h). What replay does not need (.backup, .partial) is not noted.
 */
int wal_queue_give_up(const struct wal_queue *q, const char *state_directory,
    const struct err *why, struct err *err) ERR_USE;

/*
 * Each attempt to reach a store that is away takes its time, in which a busy
 * server writes more than one segment. So for some seconds after one that has
 * failed slowly and was followed by giving up no other one is made with all
 * patience. Whether the store answers again is asked all the same, briefly:
 * what goes without any attempt goes within a moment after one.
 *
 * was_slow: *just: an attempt or a look has failed a moment ago.
 */
void wal_queue_note_slow(const struct wal_queue *q,
    const char *state_directory, const struct err *why);
bool wal_queue_was_slow(const struct wal_queue *q,
    const char *state_directory, bool *just, struct err *why);

/* A look has failed, too. */
void wal_queue_note_silent(const struct wal_queue *q,
    const char *state_directory);

/* WAL was stored: nothing of that counts any more. One system call. */
void wal_queue_forget_slow(const char *cluster, const char *state_directory);

#endif
