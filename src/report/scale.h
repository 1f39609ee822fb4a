/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPORT_SCALE_H
#define REPORT_SCALE_H

/*
 * Where a moment lies on a picture, where its ticks are, and what stretches
 * of time its bars stand for. Pure but for the local time zone; thread safe.
 */
#include <stddef.h>
#include <stdint.h>

struct scale {
	int64_t from, to; /* microseconds since 2000; from < to */
};

/* Percent from the left, 0 to 100; what lies outside is at the edge. */
double scale_x(const struct scale *s, int64_t t);

#define SCALE_TICKS_MAX 10
struct scale_tick {
	int64_t at;
	char label[16]; /* "14:30", "22 Nov", "Nov 2026", "2026" */
};

/* At most SCALE_TICKS_MAX, at round local times, ascending. */
size_t scale_ticks(const struct scale *s,
    struct scale_tick out[SCALE_TICKS_MAX]);

/* A bar's stretch of time; the next one begins where it ends. */
#define SCALE_BARS_MAX 140
struct scale_bar {
	int64_t from, to;
};
enum scale_unit { SCALE_MINUTE, SCALE_HOUR, SCALE_DAY, SCALE_MONTH,
	SCALE_YEAR };

/*
 * Local hours when all is within three days, else days, weeks (they begin on
 * Mondays) or months, so that there are at most SCALE_BARS_MAX. *name: "hour".
 */
size_t scale_bars(const struct scale *s,
    struct scale_bar out[SCALE_BARS_MAX], const char **name);

/* The index of the bar that t is in; n when it is in none. */
size_t scale_bar_of(const struct scale_bar *bars, size_t n, int64_t t);

/* A round number of bytes, at least v and 1: 1, 2, 3, 5, 8 kB, 10 kB ... */
uint64_t scale_round_up(uint64_t v);

#endif
