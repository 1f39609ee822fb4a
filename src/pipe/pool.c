/* SPDX-License-Identifier: PostgreSQL */
/*
 * One mutex guards a ring of jobs. Threads wait on `work`, the owner waits on
 * `room` (a place in the ring, or everything done). After the first error the
 * ring is still emptied, but jobs are run with skip set.
 */
#include "config.h"

#include "pipe/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/time.h"

struct job {
	pool_run run;
	void *arg;
};

struct thread {
	struct pool *pool;
	pthread_t id;
	void *state;
	bool started;
	bool inited;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t room;
	struct job *ring;
	size_t capacity, head, count;
	size_t running;
	bool closing;
	atomic_bool failed;
	struct err error; /* valid when failed */
	pool_fini fini;
	struct thread *threads;
	size_t n_threads;
};

/* Called with the lock held. */
static void
note_error(struct pool *p, const struct err *err)
{
	if (atomic_load(&p->failed))
		return;
	p->error = *err;
	atomic_store(&p->failed, true);
}

static void *
thread_main(void *arg)
{
	struct thread *t = arg;
	struct pool *p = t->pool;
	struct job job;
	struct err err = ERR_INIT;
	int rc;

	(void)pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->count == 0 && !p->closing)
			(void)pthread_cond_wait(&p->work, &p->lock);
		if (p->count == 0)
			break;
		job = p->ring[p->head];
		p->head = (p->head + 1) % p->capacity;
		p->count--;
		p->running++;
		(void)pthread_cond_signal(&p->room);
		(void)pthread_mutex_unlock(&p->lock);
		rc = job.run(t->state, job.arg, atomic_load(&p->failed), &err);
		(void)pthread_mutex_lock(&p->lock);
		if (rc != 0)
			note_error(p, &err);
		p->running--;
		(void)pthread_cond_signal(&p->room);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are the owner's business: the new threads inherit a full mask. */
static int
start_threads(struct pool *p, struct err *err)
{
	sigset_t all, old;
	size_t i;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < p->n_threads && rc == 0; i++) {
		rc = pthread_create(&p->threads[i].id, NULL, thread_main,
		    &p->threads[i]);
		p->threads[i].started = rc == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : err_sys(err, rc, "start a thread");
}

int
pool_new(struct pool **out, size_t threads, size_t queue_length,
    size_t worker_size, pool_init init, pool_fini fini, void *arg,
    struct err *err)
{
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_condattr_t attr;
	size_t i;

	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->work, NULL);
	(void)pthread_cond_init(&p->room, &attr);
	(void)pthread_condattr_destroy(&attr);
	p->capacity = queue_length;
	p->ring = xcalloc(queue_length, sizeof(*p->ring));
	p->fini = fini;
	p->n_threads = threads;
	p->threads = xcalloc(threads, sizeof(*p->threads));
	for (i = 0; i < threads; i++) {
		p->threads[i].pool = p;
		p->threads[i].state = xcalloc(1, worker_size);
	}
	for (i = 0; i < threads; i++) {
		if (init != NULL && init(p->threads[i].state, arg, err) != 0)
			goto fail;
		p->threads[i].inited = true;
	}
	if (start_threads(p, err) != 0)
		goto fail;
	*out = p;
	return 0;
fail:
	pool_free(p);
	return -1;
}

int
pool_submit(struct pool *p, pool_run run, void *job, struct err *err)
{
	bool ok;

	(void)pthread_mutex_lock(&p->lock);
	while (p->count == p->capacity && !atomic_load(&p->failed))
		(void)pthread_cond_wait(&p->room, &p->lock);
	ok = !atomic_load(&p->failed);
	if (ok) {
		p->ring[(p->head + p->count) % p->capacity] =
		    (struct job){ run, job };
		p->count++;
		(void)pthread_cond_signal(&p->work);
	} else
		*err = p->error;
	(void)pthread_mutex_unlock(&p->lock);
	if (!ok) {
		struct err ignored = ERR_INIT;

		/* Only releases the job: the pool's error is the one to tell. */
		(void)run(NULL, job, true, &ignored);
		return -1;
	}
	return 0;
}

int
pool_poll(struct pool *p, unsigned timeout_ms, bool *idle, struct err *err)
{
	struct timespec until;
	int rc = 0;

	time_deadline(timeout_ms, &until);
	(void)pthread_mutex_lock(&p->lock);
	while (p->count + p->running > 0 && rc == 0 && timeout_ms > 0 &&
	    !atomic_load(&p->failed))
		rc = pthread_cond_timedwait(&p->room, &p->lock, &until);
	*idle = p->count + p->running == 0;
	rc = 0;
	if (atomic_load(&p->failed)) {
		*err = p->error;
		rc = -1;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

int
pool_finish(struct pool *p, struct err *err)
{
	int rc = 0;

	(void)pthread_mutex_lock(&p->lock);
	while (p->count + p->running > 0)
		(void)pthread_cond_wait(&p->room, &p->lock);
	if (atomic_load(&p->failed)) {
		*err = p->error;
		rc = -1;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return rc;
}

int
pool_each_worker(struct pool *p, pool_init each, void *arg, struct err *err)
{
	size_t i;

	for (i = 0; i < p->n_threads; i++)
		if (each(p->threads[i].state, arg, err) != 0)
			return -1;
	return 0;
}

bool
pool_failed(const struct pool *p)
{
	return atomic_load(&p->failed);
}

void
pool_free(struct pool *p)
{
	struct err stopped = ERR_INIT;
	size_t i;

	if (p == NULL)
		return;
	err_set(&stopped, ERR_CANCELLED, "the pool was closed");
	(void)pthread_mutex_lock(&p->lock);
	if (p->count > 0)
		note_error(p, &stopped); /* what is queued is only released */
	p->closing = true;
	(void)pthread_cond_broadcast(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->n_threads; i++)
		if (p->threads[i].started)
			(void)pthread_join(p->threads[i].id, NULL);
	for (i = 0; i < p->n_threads; i++) {
		if (p->threads[i].inited && p->fini != NULL)
			p->fini(p->threads[i].state);
		free(p->threads[i].state);
	}
	(void)pthread_cond_destroy(&p->work);
	(void)pthread_cond_destroy(&p->room);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p->ring);
	free(p);
}
