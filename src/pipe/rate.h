/* SPDX-License-Identifier: PostgreSQL */
#ifndef PIPE_RATE_H
#define PIPE_RATE_H

/*
 * A limit on bytes a second that several threads share: each asks before it
 * reads, and waits its turn. Up to RATE_BURST_US of unused time is made up
 * for later, so that waiting for something else does not slow the whole
 * down. Thread safe.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RATE_BURST_US 200000

struct rate {
	pthread_mutex_t lock;
	uint64_t bytes_per_second; /* 0: no limit */
	int64_t next;		   /* when the next may go, monotonic */
	double carry;		   /* fraction of a microsecond */
};

void rate_init(struct rate *r, uint64_t bytes_per_second);
void rate_free(struct rate *r);

/*
 * Wait until `bytes` more may be read. Returns early, with false, when
 * `stop` (may be NULL) says so; it is asked about 20 times a second.
 */
bool rate_take(struct rate *r, uint64_t bytes, bool (*stop)(void *arg),
    void *arg);

#endif
