/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPORT_REPORT_PRIVATE_H
#define REPORT_REPORT_PRIVATE_H

/* What the files of this folder share; no one else includes it. */
#include "report/html.h"
#include "report/report.h"
#include "report/scale.h"

#define REPORT_DAY (INT64_C(86400) * 1000000)

/* The page's sheet: page_style.c. */
extern const char report_style[];

/* timeline.c: what can be recovered, on a time line, and in words. */
void report_timeline(FILE *f, const struct report *r,
    const struct report_place *p, const struct info_incarnation *inc);

/* One picture of it; the moments of *s. */
struct timeline {
	FILE *f;
	const struct report *r;
	const struct report_place *p;
	const struct info_incarnation *inc;
	struct scale scale;
	struct scale_tick ticks[SCALE_TICKS_MAX];
	size_t n_ticks;
};

/* A lane: its name, its picture so high, with the ticks' lines. */
void timeline_open(const struct timeline *t, const char *name, int height);
void timeline_close(const struct timeline *t);

/* timeline_lanes.c */
void timeline_promise(const struct timeline *t);
void timeline_windows(const struct timeline *t);
void timeline_sets(const struct timeline *t, enum repo_kind kind);
void timeline_pins(const struct timeline *t);

/* Why nothing between two windows can be recovered: a sentence's end. */
void timeline_why_gap(FILE *f, const struct info_incarnation *inc,
    const struct wal_reach *before);

/* Is what is missing behind it gone because retention let it go? */
bool timeline_let_go(const struct info_incarnation *inc,
    const struct wal_reach *before);

/*
 * Between this window and the next of the same timeline, or now: is there a
 * time to which one cannot recover?
 */
bool timeline_gap(const struct info_incarnation *inc, size_t window,
    int64_t now, int64_t *from, int64_t *to);

/* chart.c: WAL by day, and what is stored since when. */
void report_charts(FILE *f, const struct report *r,
    const struct info_incarnation *inc);

/* sets.c: the table of backups, or of dumps. */
void report_sets(FILE *f, const struct report *r,
    const struct report_place *p, const struct info_incarnation *inc,
    enum repo_kind kind);

/* rows.c */
void report_largest(FILE *f, const struct report_tables *t);
void report_settings(FILE *f, const struct report *r);

#endif
