/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/retry.h"

#include <unistd.h>

#include "core/cancel.h"
#include "core/time.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 10000
#define DOUBLINGS_MAX 7
#define SLICE_MS 100

void
retry_begin(struct retry *r, uint64_t timeout_ms)
{
	r->deadline = time_boottime() + (int64_t)timeout_ms * 1000;
	r->tries = 0;
	/* Only to be different in each process and thread. */
	r->random = (uint64_t)time_boottime() ^ (uint64_t)getpid() << 32 ^
	    (uint64_t)(uintptr_t)r;
}

uint64_t
retry_pause_ms(unsigned n, uint64_t random)
{
	uint64_t pause = (uint64_t)PAUSE_FIRST_MS
	    << (n < DOUBLINGS_MAX ? n : DOUBLINGS_MAX);

	if (pause > PAUSE_MAX_MS)
		pause = PAUSE_MAX_MS;
	return pause / 2 + random % (pause + 1);
}

uint64_t
retry_left_ms(const struct retry *r)
{
	int64_t left = r->deadline - time_boottime();

	return left < 0 ? 0 : (uint64_t)left / 1000;
}

bool
retry_wait(struct retry *r, uint64_t server_ms)
{
	uint64_t pause;
	int64_t until;

	/* The constants of Knuth's MMIX generator. */
	r->random = r->random * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	pause = retry_pause_ms(r->tries++, r->random >> 33);
	if (pause < server_ms)
		pause = server_ms;
	if (pause >= retry_left_ms(r))
		return false;
	until = time_boottime() + (int64_t)pause * 1000;
	while (time_boottime() < until) {
		if (cancel_requested())
			return false;
		time_sleep_ms(SLICE_MS);
	}
	return !cancel_requested();
}
