/* SPDX-License-Identifier: PostgreSQL */
#ifndef PIPE_POOL_H
#define PIPE_POOL_H

/*
 * A fixed set of threads that run jobs from a bounded queue. The only place
 * where threads are made.
 *
 *	struct pool *p = pool_new(threads, queue_length, worker_size,
 *	    init, fini, arg, err);
 *	for each job: pool_submit(p, run, job, err)    (waits while full)
 *	pool_finish(p, err)                            (waits for all)
 *	pool_free(p);
 *
 * Each thread has worker_size zeroed bytes of its own, given to init, run and
 * fini. A job owns what it points to. The first error (in time) wins: jobs
 * that are queued then are not run but only released, and pool_submit() and
 * pool_finish() return that error. pool_submit/finish/free are called by one
 * thread, the owner. Signals are blocked in the pool's threads.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct pool;

/*
 * run: do the job with the thread's own state; release it in every case.
 * skip is true when the job must only be released; worker may then be NULL.
 */
typedef int (*pool_run)(void *worker, void *job, bool skip, struct err *err);
typedef int (*pool_init)(void *worker, void *arg, struct err *err);
typedef void (*pool_fini)(void *worker);

int pool_new(struct pool **out, size_t threads, size_t queue_length,
    size_t worker_size, pool_init init, pool_fini fini, void *arg,
    struct err *err) ERR_USE;

/* Hand over a job; waits while the queue is full. On -1 the job was released. */
int pool_submit(struct pool *p, pool_run run, void *job,
    struct err *err) ERR_USE;

/*
 * Has a thread failed, or has everything submitted been done? Waits at most
 * timeout_ms for either. *idle is set when nothing is queued or running.
 */
int pool_poll(struct pool *p, unsigned timeout_ms, bool *idle,
    struct err *err) ERR_USE;

/* Wait until all submitted jobs are done. -1: the first error. */
int pool_finish(struct pool *p, struct err *err) ERR_USE;

/*
 * Run `each` for every worker's state in the calling thread, after
 * pool_finish(): to collect what they hold. Stops at the first error.
 */
int pool_each_worker(struct pool *p, pool_init each, void *arg,
    struct err *err) ERR_USE;

/* Has any job failed? For jobs that run long. Any thread. */
bool pool_failed(const struct pool *p);

/* Ends the threads (queued jobs are released), calls fini. NULL is fine. */
void pool_free(struct pool *p);

#endif
