/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_POLICY_H
#define RETAIN_POLICY_H

/*
 * What retention keeps and what may go, of one cluster in one repository: a
 * pure function of what is there. It removes nothing; removal.h does, in two
 * steps, and asks again before the second.
 *
 *	zero a struct policy; fill in rules, now, lines with sets and timelines
 *	policy_decide(&policy);
 *	policy.lines[i].sets[j].keep, .why;
 *	policy_keeps_wal(&policy.lines[i], timeline, segment);
 *	policy_free(&policy);	what policy_decide() made
 *
 * The promise ("retain = 30d"): every moment of the window, which begins
 * retain ago, can be restored. A timeline is live when WAL or a backup came
 * in the window, or it was the current one when the window began, or is the
 * newest. The path to each live timeline needs its base: the newest good
 * backup on it that ended before the window. Good is what is usable and
 * without damaged pages, or, while an incarnation has no such backup, what is
 * usable. Base, all that is in the window, and the path's WAL from there on
 * stay. So does the newest usable backup before the window, when it is newer
 * than the base: WAL between the two may be missing. A path without a base
 * keeps all its WAL, also that before its first backup. What lies on a
 * timeline of which nothing is needed goes.
 *
 * Of what is kept for another reason (keep-*, a pin, in use, wanted) just the
 * WAL stays that makes it consistent. keep-* take the newest good backup of
 * the cluster, whatever its incarnation, in each of the last N days, ISO
 * weeks, months or years (UTC) that have one, and the same of the dumps of
 * each database with the same options. Those of the window count too. Dumps
 * go by age.
 *
 * Whatever the rules say, these stay:
 *
 * - the newest good backup of each incarnation, with all WAL since, and the
 *   newest dump of each database with the same options; where that is not
 *   usable, the newest usable one too;
 * - all backups and WAL of an incarnation that has no usable backup;
 * - what ended in the future, by an hour or more (some clock was wrong);
 * - what a living intent names;
 * - what another repository waits for, until rules.mirror_us before the
 *   window (WAL: unless it waits since then);
 * - what cannot be read; then all WAL of its incarnation too;
 * - WAL of a timeline whose history is not known, and while such a one is
 *   live and has no base of its own, all of its incarnation; history files
 *   always.
 *
 * What somebody named to be removed (dismissed) goes and counts for nothing,
 * unless a pin or an intent holds it: whether it was the last good one was
 * asked when it was named (removal.h).
 *
 * Time is what was lived: a stretch of more than `retain` (and of 35 days at
 * least) in which nothing was stored, no backup, no dump, no WAL, does not
 * count, be it that the server stood still or that a clock is wrong. So
 * neither a clock that says 2090 nor a year of rest makes anything too old,
 * and no pin ends while nothing happens. A clock that is behind most of what
 * is stored (of an incarnation) removes nothing (of it). A backup whose time
 * is before the window and whose place in the WAL is behind one of the window
 * counts as in it; and a path's last backup before the window stays, be it
 * the last by time or by place.
 *
 * Deciding again after the removal, or after a part of it, lets nothing more
 * go. An incarnation (system identifier) is a line of its own; which of two is
 * newer is a matter of time, not of names. Pure; one thread. Takes
 * O(n log n) and, for each live timeline, the length of its path.
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
	/* "kept although 34 days old: needed to restore 2026-10-23 ..." */
	char why[POLICY_WHY_MAX];
};

struct policy_timeline {
	uint32_t timeline;
	const struct history *path; /* NULL: its history is not known */
	/* Stored segments, 0 when there are none; gaps do not matter. */
	uint64_t first, last;
	int64_t newest; /* when the newest of them was stored; 0: not known */
	/*
	 * More times at which some were stored, in any order: without them a
	 * server that is backed up every second month seems to stand still.
	 * One a week is enough. May be NULL.
	 */
	const int64_t *stored;
	size_t n_stored;
	uint64_t wanted_from; /* another repository waits for these ... */
	int64_t wanted_since; /* ... since then; 0: none does */
	const char *wanted_by; /* its name */
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
	uint32_t *known; /* timelines that were decided about, ascending */
	size_t n_known;
	bool keep_all; /* no WAL goes */
	char wal_why[POLICY_WHY_MAX]; /* "kept from 0000...42 on: ..." */
};

struct policy {
	struct policy_rules rules;
	int64_t now;
	struct policy_line *lines;
	size_t n;

	/* policy_decide() */
	int64_t window; /* it begins here: retain ago, if time counted */
	char **odd;	/* sentences about what is not as it should be */
	size_t n_odd;
	/* Of the first 64, bit i of odd[i]: it says only that backups were
	 * not made for as long as is promised, which time mends. */
	uint64_t young;
};

/* May be called again, also with other sets: what it made is freed first. */
void policy_decide(struct policy *p);
void policy_free(struct policy *p);

/*
 * Does the segment (its .partial, its .backup file) stay? One of a timeline
 * that policy_decide() was not told of does.
 */
bool policy_keeps_wal(const struct policy_line *line, uint32_t timeline,
    uint64_t segment);

#endif
