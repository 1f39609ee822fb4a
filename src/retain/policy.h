/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_POLICY_H
#define RETAIN_POLICY_H

/*
 * What retention keeps and what may go, of one cluster in one repository: a
 * pure function of what is there. It removes nothing; removal.h does, in two
 * steps, and asks again before the second.
 *
 *	fill in struct policy: rules, now, lines with sets and timelines
 *	policy_decide(&policy);
 *	policy.lines[i].sets[j].keep, .why;
 *	policy_keeps_wal(&policy.lines[i], timeline, segment);
 *	policy_free(&policy);	what policy_decide() made
 *
 * The promise ("retain = 30d"): every moment of the window, which begins
 * retain ago, can be restored. So for each timeline that had WAL or a backup
 * in the window, the newest usable backup on its path that stopped before the
 * window is kept, all later ones, and all WAL of the path from there on. Of
 * what is kept for another reason (keep-*, a pin) the WAL that makes it
 * consistent. Dumps go by age. Whatever the rules say, these stay:
 *
 * - the newest usable backup of each incarnation, with all WAL since, and the
 *   newest dump of each database (with the same options);
 * - what began in the future (some clock was wrong);
 * - what a living intent names, and what another repository still waits for,
 *   this up to rules.mirror_us beyond the window;
 * - WAL of an incarnation without a usable backup; history files always.
 *
 * Time is what was lived: a stretch of more than `retain` (and of 35 days at
 * least) in which nothing was stored, no backup, no dump, no WAL, does not
 * count, be it that the server stood still or that a clock is wrong. So
 * neither a clock that says 2090 nor a year of rest makes anything too old.
 *
 * An incarnation (system identifier) is a line of its own; which of two is
 * newer is a matter of time, not of names. Pure; one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/history.h"
#include "repo/commit.h"
#include "repo/repo.h"

#define POLICY_WHY_MAX 256

enum policy_keep_rule { KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY, KEEP_YEARLY };

struct policy_rules {
	int64_t retain_us;	/* 0: nothing goes */
	unsigned keep[4];	/* by enum policy_keep_rule */
	int64_t mirror_us;	/* keep-for-mirror */
};

/* Why something is kept, the most telling first; POLICY_GOES: it may go. */
enum policy_reason {
	POLICY_GOES,
	POLICY_NOT_ASKED,  /* retain = 0 */
	POLICY_WINDOW,	   /* within the window */
	POLICY_BASE,	   /* the window's beginning needs it */
	POLICY_SNAPSHOT,   /* keep-* */
	POLICY_PINNED,
	POLICY_LAST,	   /* the last good one */
	POLICY_IN_USE,	   /* a living intent names it */
	POLICY_WANTED,	   /* another repository waits for it */
	POLICY_FUTURE,
	POLICY_UNREADABLE  /* nobody knows what it is */
};

/* A backup or dump. Texts are borrowed. */
struct policy_set {
	enum repo_kind kind;
	const char *label;
	int64_t start, stop; /* the server's clock */
	bool readable; /* else only the label's time is known: start, stop */
	bool usable;   /* whole, WAL too, and no failed verification */
	bool clean;    /* and no damaged pages */
	/* backups */
	uint32_t timeline;
	pg_lsn start_lsn, stop_lsn;
	/* dumps: only of the same database and options they are of one sort */
	const char *database, *options;

	bool pinned;
	int64_t pin_until; /* 0: without an end */
	int64_t pin_created;
	const char *pin_reason; /* or "" */
	bool in_use;
	bool dismissed; /* somebody named it to be removed: it goes */
	const char *wanted_by; /* another repository's name, or NULL */
	int64_t wanted_since;

	/* policy_decide() */
	bool keep;
	enum policy_reason reason;
	char why[POLICY_WHY_MAX]; /* "34 days old: needed to restore ..." */
};

struct policy_timeline {
	uint32_t timeline;
	const struct history *path; /* NULL: its history is not known */
	/* Stored segments, 0 when there are none; gaps do not matter. */
	uint64_t first, last;
	int64_t newest; /* when the newest of them was stored; 0: none */
	uint64_t wanted_from; /* another repository waits for these ... */
	int64_t wanted_since; /* ... since then; 0: none does */
};

/* Segments of a timeline, both ends included. */
struct policy_span {
	uint32_t timeline;
	uint64_t first, last; /* UINT64_MAX: and all after it */
};

/* An incarnation. */
struct policy_line {
	uint64_t system_id;
	int major;
	uint32_t wal_segment_size; /* 0: no WAL is known, all of it is kept */
	struct policy_set *sets;
	size_t n;
	struct policy_timeline *timelines;
	size_t n_timelines;

	/* policy_decide() */
	struct policy_span *keep; /* ascending, disjoint */
	size_t n_keep;
	bool keep_all; /* no WAL goes */
	char wal_why[POLICY_WHY_MAX];
};

struct policy {
	struct policy_rules rules;
	int64_t now;
	struct policy_line *lines;
	size_t n;

	/* policy_decide() */
	int64_t window; /* it begins here; lived time counts */
	char **odd;	/* sentences about what is not as it should be */
	size_t n_odd;
};

void policy_decide(struct policy *p);
void policy_free(struct policy *p);

bool policy_keeps_wal(const struct policy_line *line, uint32_t timeline,
    uint64_t segment);

#endif
