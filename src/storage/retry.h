/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_RETRY_H
#define STORAGE_RETRY_H

/*
 * Doing an operation again that a network or a busy server made fail.
 *
 *	retry_begin(&r, timeout_ms);
 *	do {
 *		err_clear(err);
 *		rc = try_it(..., &again, err);	the whole operation, anew
 *	} while (rc != 0 && again && retry_wait(&r, retry_after_ms));
 *
 * Pauses begin at a tenth of a second, double up to ten seconds, and vary by
 * half, so that many clients do not come back at the same moment. The last
 * try's error is the one to tell. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct retry {
	int64_t deadline; /* time_boottime() */
	unsigned tries;	  /* pauses so far */
	uint64_t random;
};

void retry_begin(struct retry *r, uint64_t timeout_ms);

/*
 * Sleep before the next try, at least server_ms (what the server asked for).
 * False, at once: the time would be over, or a signal came (core/cancel.h).
 */
bool retry_wait(struct retry *r, uint64_t server_ms);

/* What is left, for the time limit of a single request. */
uint64_t retry_left_ms(const struct retry *r);

/* The pause before the n-th try again (0 is the first). Pure. */
uint64_t retry_pause_ms(unsigned n, uint64_t random);

#endif
