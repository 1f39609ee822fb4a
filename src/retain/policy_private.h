/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_POLICY_PRIVATE_H
#define RETAIN_POLICY_PRIVATE_H

/*
 * Internal to policy*.c: what is worked out while deciding. Steps, in order:
 *
 *	policy.c	 lived time, what is in the window, what is good
 *	policy_path.c	 live timelines, their bases, WAL
 *	policy_set.c	 keep-*, the last good ones
 *	policy_why.c	 sentences
 *	policy_odd.c	 what is odd
 */
#include "retain/policy.h"

#define POLICY_SECOND INT64_C(1000000)
#define POLICY_HOUR (3600 * POLICY_SECOND)
#define POLICY_DAY (24 * POLICY_HOUR)
#define POLICY_FUTURE_MARGIN POLICY_HOUR
#define POLICY_STILL_MIN (35 * POLICY_DAY)

#define POLICY_BIT(reason) (1u << (reason))

/* A stretch in which nothing was stored: it was not lived. */
struct policy_stretch {
	int64_t from, to;
};

struct policy_lived {
	int64_t now;
	struct policy_stretch *still; /* ascending */
	size_t n;
};

/* What is worked out about a set. */
struct policy_item {
	struct policy_set *set;
	struct policy_line_work *line;
	int64_t stop;	/* set->stop, within sane limits */
	bool counts;	/* readable and not dismissed */
	bool future;
	bool window;	/* in the window: backups also by their place in WAL */
	bool displaced; /* ... only by their place */
	bool good;	/* counts, is usable, and clean or nothing is */
	unsigned why;	/* POLICY_BIT() of each reason to keep it */
	uint32_t base_of; /* POLICY_BASE, POLICY_LAST: of this timeline */
	bool base_damaged; /* it is one beside a better, older one */
	bool base_place;   /* ... beside one that is newer by the clock */
	bool only_bad;	  /* POLICY_LAST: there is no usable one */
	unsigned rules;	  /* POLICY_SNAPSHOT: a bit for each rule */
};

/* Of the first so many backups of a timeline, by stop LSN. */
struct policy_prefix {
	/* The newest before the window: good ones, usable ones; or NULL. */
	struct policy_item *good, *usable;
	/* The same by their place in the WAL: clocks may be wrong. */
	struct policy_item *good_place, *usable_place;
	/* Lowest start LSN; UINT64_MAX: none. */
	pg_lsn window_start; /* of usable ones of the window */
	pg_lsn future_start; /* of good ones from the future ... */
	pg_lsn future_clean; /* ... and without damaged pages */
};

struct policy_slot {
	uint32_t timeline;
	const struct policy_timeline *given; /* NULL: only backups name it */
	struct policy_item **backups; /* that count, ascending by stop LSN */
	struct policy_prefix *prefix; /* [i]: of the first i + 1 */
	size_t n;
	int64_t active; /* newest WAL, good backup; INT64_MIN: never */
	bool in_window; /* WAL or a backup came in it (or in the future) */
	bool live;
	struct policy_item *base; /* of its path, or NULL */
	uint64_t from; /* first segment that its path needs */
};

struct policy_line_work {
	struct policy_line *line;
	struct policy_item *items; /* as line->sets */
	struct policy_slot *slots; /* ascending by timeline */
	size_t n_slots;
	struct policy_slot *main;    /* the latest active one; NULL: no slot */
	struct policy_slot *current; /* ... when the window began, or NULL */
	struct policy_item *before;  /* the backup that tells so, or NULL */
	struct policy_item *last;    /* the newest good backup, or NULL */
	bool in_window;		     /* some slot is */
	bool usable;		     /* a backup is */
	bool unreadable; /* a backup */
	bool ahead;	 /* most of it is from the future */
	bool blind; /* a history is not known that would tell what is needed */
	struct policy_span *spans; /* in no order */
	size_t n_spans, cap_spans;
};

struct policy_work {
	struct policy *policy;
	int64_t now;
	struct policy_lived lived;
	int64_t mirror_window; /* begins mirror_us before the window */
	bool clock_behind; /* most of what is stored is in the future */
	struct policy_line_work *lines;
};

/* policy_time.c: times are sorted here; those after now must not be in it. */
void policy_lived_init(struct policy_lived *l, int64_t *times, size_t n,
    int64_t now, int64_t still);
void policy_lived_free(struct policy_lived *l);

/* The moment from which until now so much was lived. */
int64_t policy_lived_back(const struct policy_lived *l, int64_t us);

/* How much of the time from t to now was not lived. */
int64_t policy_lived_still(const struct policy_lived *l, int64_t t);

/* A number that means the period (day, ISO week ...) of a time. */
int64_t policy_period(enum policy_keep_rule rule, int64_t t);

/* Times that differ by less than what int64_t has. */
int64_t policy_sane_time(int64_t t);

/* policy_path.c: marks bases, finds spans. */
void policy_path_slots(struct policy_line_work *lw, int64_t window);
void policy_path_decide(struct policy_work *w, struct policy_line_work *lw);
void policy_path_finish(struct policy_line_work *lw); /* line->keep */
void policy_path_add(struct policy_line_work *lw, uint32_t timeline,
    uint64_t first, uint64_t last);

/* policy_set.c */
void policy_set_last(struct policy_line_work *lw);
void policy_set_snapshots(struct policy_work *w);

/* policy_why.c */
void policy_why_set(const struct policy_work *w, struct policy_item *item);
void policy_why_wal(const struct policy_work *w, struct policy_line_work *lw);

#define POLICY_TEXT_MAX 128
/* "34 days", "5 hours" */
const char *policy_why_span(int64_t us, char out[POLICY_TEXT_MAX]);
/* "2026-10-23 14:00:00+00" */
const char *policy_why_time(int64_t t, char out[POLICY_TEXT_MAX]);
/* "system 7312345678901234567 (PostgreSQL 15)" */
const char *policy_why_line(const struct policy_line *line,
    char out[POLICY_TEXT_MAX]);

/* policy_odd.c */
void policy_odd_find(struct policy_work *w);

#endif
