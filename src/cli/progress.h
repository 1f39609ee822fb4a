/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

/*
 * A progress bar on standard error: percent, bytes, rate, time left. Log
 * lines take it off and put it back (core/log.h's hooks).
 *
 *	progress_start(&p, cfg);
 *	progress_update(&p, "copying", done, total);	as often as one likes
 *	progress_end(&p);
 *
 * Update and end are called by one thread; log lines may come from any.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define PROGRESS_LINE_MAX 256

struct progress {
	pthread_mutex_t lock;
	bool on;
	bool terminal; /* else whole lines, now and then */
	bool shown;    /* a bar stands in the terminal's last line */
	int64_t begun; /* when the first byte was seen, or 0 */
	uint64_t begun_bytes;
	int64_t drawn; /* when it was drawn last */
	char line[PROGRESS_LINE_MAX];
};

void progress_start(struct progress *p, const struct config *cfg);
void progress_update(struct progress *p, const char *what, uint64_t done,
    uint64_t total);
void progress_end(struct progress *p);

/*
 * The line for a terminal of this width (at most width - 1 characters), pure.
 * total 0: not known yet. elapsed_us 0 or nothing done: no rate.
 */
void progress_line(char out[PROGRESS_LINE_MAX], unsigned width,
    const char *what, uint64_t done, uint64_t total, uint64_t rate_bytes,
    int64_t elapsed_us);

#endif
