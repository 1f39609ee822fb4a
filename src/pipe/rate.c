/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pipe/rate.h"

#include "core/time.h"

#define SLICE_US 50000

void
rate_init(struct rate *r, uint64_t bytes_per_second)
{
	/* A default mutex's initialiser does not fail on Linux. */
	(void)pthread_mutex_init(&r->lock, NULL);
	r->bytes_per_second = bytes_per_second;
	r->next = time_monotonic();
	r->carry = 0;
}

void
rate_free(struct rate *r)
{
	(void)pthread_mutex_destroy(&r->lock);
}

/* Books the bytes; returns when their turn is. */
static int64_t
book(struct rate *r, uint64_t bytes)
{
	int64_t now = time_monotonic(), due;
	double us;

	(void)pthread_mutex_lock(&r->lock);
	if (r->next < now - RATE_BURST_US)
		r->next = now - RATE_BURST_US;
	due = r->next;
	us = (double)bytes * 1e6 / (double)r->bytes_per_second + r->carry;
	r->next += (int64_t)us;
	r->carry = us - (double)(int64_t)us;
	(void)pthread_mutex_unlock(&r->lock);
	return due;
}

bool
rate_take(struct rate *r, uint64_t bytes, bool (*stop)(void *arg), void *arg)
{
	int64_t due, left;

	if (r->bytes_per_second == 0)
		return true;
	due = book(r, bytes);
	while ((left = due - time_monotonic()) > 0) {
		if (stop != NULL && stop(arg))
			return false;
		if (left > SLICE_US)
			left = SLICE_US;
		time_sleep_ms((unsigned)((left + 999) / 1000));
	}
	return true;
}
