/* SPDX-License-Identifier: PostgreSQL */
#ifndef COPY_MIRROR_H
#define COPY_MIRROR_H

/*
 * Keeping the cluster's other repositories up to date: whoever has stored
 * something in one of them adds it to the queues of the others (repo/queue.h)
 * and wakes a process in the background, one for each repository, that works
 * its queue off and compares both sides now and then. What fails is noted and
 * tried again after a pause that grows up to five minutes, by whoever wakes
 * it next.
 *
 *	mirror_tell(cfg, repo, &inc, REPO_BACKUP, label);	or of WAL:
 *	queue_add(q, name, err); mirror_wake(cfg, place, q, &inc);
 *
 * The process has the configuration of the command that woke it, a low
 * priority for processor and disk, nothing open of the data directory, and
 * ends with status 0. To be called without other threads.
 */
#include "config/config.h"
#include "copy/copy.h"
#include "repo/queue.h"

/* place: the queue's repository, its number in the configuration. */
void mirror_wake(const struct config *cfg, unsigned place, struct queue *q,
    const struct incarnation *inc);

/* A new backup or dump: add to the queues of all but the first, and wake. */
void mirror_tell(const struct config *cfg, const struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, const char *label);

/*
 * copy_all() of `c`, which goes to this repository, with its queue: waits for
 * the process in the background, takes away what is there now, and notes the
 * outcome.
 */
int mirror_copy_all(const struct config *cfg, unsigned place, struct copy *c,
    const struct copy_params *p, struct err *err);

/*
 * Works the queue off until it is empty, which is what the process does, and
 * notes the outcome. By the holder of the queue's lock.
 */
int mirror_work(const struct config *cfg, unsigned place, struct queue *q,
    const struct incarnation *inc, struct err *err);

#endif
