/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_TIMING_H
#define BACKUP_TIMING_H

/*
 * How long each part of a backup took: what waits for the server (checkpoint,
 * WAL) is told from what the program does itself. One thread.
 *
 *	timing_begin(&t);
 *	...; timing_lap(&t, "list");	since the last lap
 *	timing_log(&t);			one line of --verbose
 */
#include <stddef.h>
#include <stdint.h>

#define TIMING_LAPS_MAX 16

struct timing {
	int64_t last;
	size_t n;
	struct {
		const char *name;
		int64_t us;
	} laps[TIMING_LAPS_MAX];
};

void timing_begin(struct timing *t);

/* Laps of one name, one after another, are one. name: static text. */
void timing_lap(struct timing *t, const char *name);

/* "seconds: connect 0.012, checkpoint 0.250, ..., sum 1.500" */
void timing_log(const struct timing *t);

#endif
