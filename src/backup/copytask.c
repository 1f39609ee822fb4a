/* SPDX-License-Identifier: PostgreSQL */
/* Tasks of a copy, as their owner sees them. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup/copy.h"
#include "core/mem.h"
#include "core/time.h"

void
copy_shared_init(struct copy_shared *s, uint64_t max_rate)
{
	pthread_condattr_t attr;

	memset(s, 0, sizeof(*s));
	s->pgdata_fd = -1;
	rate_init(&s->rate, max_rate);
	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->done, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void
copy_shared_free(struct copy_shared *s)
{
	rate_free(&s->rate);
	(void)pthread_cond_destroy(&s->done);
	(void)pthread_mutex_destroy(&s->lock);
}

struct copy_task *
copy_task_new(struct copy_shared *s, uint32_t first, uint32_t n)
{
	struct copy_task *t = xcalloc(1, sizeof(*t));

	t->shared = s;
	t->first = first;
	t->n = n;
	t->last = true;
	t->files = xcalloc(n, sizeof(*t->files));
	return t;
}

struct copy_task *
copy_task_new_range(struct copy_shared *s, uint32_t item, uint64_t offset,
    uint64_t length, bool last)
{
	struct copy_task *t = copy_task_new(s, item, 1);

	t->is_range = true;
	t->offset = offset;
	t->length = length;
	t->last = last;
	return t;
}

void
copy_task_free(struct copy_task *t)
{
	if (t == NULL)
		return;
	free(t->files);
	free(t->parents);
	free(t->bits);
	free(t->parent_runs.list);
	free(t->runs.list);
	free(t->damaged);
	free(t);
}

bool
copy_task_done(struct copy_task *t, unsigned timeout_ms)
{
	struct copy_shared *s = t->shared;
	struct timespec until;
	int rc = 0;
	bool done;

	time_deadline(timeout_ms, &until);
	(void)pthread_mutex_lock(&s->lock);
	while (!t->done && rc == 0 && timeout_ms > 0)
		rc = pthread_cond_timedwait(&s->done, &s->lock, &until);
	done = t->done;
	(void)pthread_mutex_unlock(&s->lock);
	return done;
}
