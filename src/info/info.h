/* SPDX-License-Identifier: PostgreSQL */
#ifndef INFO_INFO_H
#define INFO_INFO_H

/*
 * What a repository has: collected once, for whoever shows it or decides by
 * it.
 *
 *	info_collect(&info, repo, &source, err);
 *	...
 *	info_free(&info);
 *
 * One thread.
 */
#include "core/err.h"
#include "config/config.h"
#include "repo/commit.h"
#include "repo/dumpread.h"
#include "repo/gap.h"
#include "pg/history.h"
#include "repo/pin.h"
#include "repo/removed.h"
#include "repo/repo.h"
#include "repo/walreach.h"
#include "repo/walstore.h"

/*
 * Of a backup's packs, by the commits of all backups. "plain" and "live" count
 * bytes of the files' content; plain 0: not known.
 */
struct info_share {
	uint64_t made_packs, made_bytes, made_plain; /* its own, still needed */
	uint64_t made_live; /* of these in the newest of its kind */
	uint64_t refers_backups; /* others whose packs it refers to */
	uint64_t refers_packs, refers_bytes, refers_plain;
	uint64_t refers_live; /* what it needs of them */
	uint64_t frees; /* bytes that nothing but this backup needs */
};

struct info_backup {
	char label[FORMAT_LABEL_MAX];
	struct err problem; /* ERR_NONE, or why the commit cannot be read */
	struct commit commit;
	bool usable; /* its own WAL is whole, its packs are there */
	struct err unusable; /* why not */
	bool proved; /* and it was read: for who removes others for its sake */
	bool leaving; /* a tombstone names it: it goes after the grace period */
	bool dismissed; /* and somebody named it, not retention */
	const struct pin *pin; /* that keeps it now, or NULL */
	/* In the set, the newest that can be read (of dumps: of its database);
	 * set.n: none. */
	size_t newest;
	struct info_share share;
	/* retain/retention.h: whether retention lets it go, and why or why not
	 * ("kept although 34 days old: ..."); NULL: nobody asked. */
	bool expires;
	char *why;
};

/* Backups, or dumps: what is under one folder. */
struct info_set {
	struct info_backup *list; /* oldest first */
	size_t n;
	size_t unfinished; /* folders without a commit */
	bool shares_known; /* else a commit could not be read */
	size_t newest; /* that can be read; n: none */
	uint64_t orphan_backups, orphan_bytes; /* removed, their packs needed */
};

struct info_timeline {
	uint32_t timeline;
	bool has_history;	  /* 1 needs none */
	uint32_t parent;	  /* 0: not known, or timeline 1 */
	pg_lsn branched_at;
	struct history path;	  /* n 0: its history is not known */
	int64_t newest;		  /* when WAL was stored last; 0: none was */
	int64_t *stored;	  /* times at which some was, one a week */
	size_t n_stored;
	char (*partials)[WAL_FILE_NAME_MAX];
	size_t n_partials;
	char (*conflicts)[WAL_FILE_NAME_MAX]; /* names with two contents */
	size_t n_conflicts;
};

/* WAL that is stored, by the hour in which it was, by the store's clock. */
struct info_hour {
	int64_t hour; /* since 2000 */
	uint64_t segments, bytes;
};

/* A stretch of time to every moment of which one can recover. */
struct info_window {
	size_t backup; /* the one to begin with */
	struct wal_reach reach;
};

struct info_incarnation {
	struct incarnation inc;
	struct info_set backups, dumps;
	struct info_timeline *timelines;
	size_t n_timelines;
	struct wal_range *ranges; /* ascending */
	size_t n_ranges;
	struct info_hour *hours; /* ascending */
	size_t n_hours, cap_hours;
	struct pin *pins;
	size_t n_pins;
	struct gap *given_up; /* of what is missing between them: why */
	size_t n_given_up;
	struct removed_set removed; /* ... and what of it was removed */
	uint32_t wal_segment_size; /* 0: not known */
	struct info_window *windows;
	size_t n_windows;
	struct err *problems; /* what could not be read */
	size_t n_problems;
	/* retain/retention.h; NULL: nobody asked */
	int64_t promised_from; /* the window of retention begins then */
	char *why_wal; /* what WAL is kept, and why */
};

struct info {
	const struct repo *repo;
	const char *url;
	struct info_incarnation *incarnations;
	size_t n;
	bool damaged; /* some object could not be read */
	/* When the oldest listing was made that was not made now; 0: all was
	 * listed now, or is proved to be as it was. */
	int64_t listed_at;
	const struct config *cfg; /* whose others are shown too; may be NULL */
	/* retain/retention.h: what is not as it should be, in sentences */
	char **odd;
	size_t n_odd;
};

struct info_source {
	const char *cluster; /* NULL: all */
	const char *state_directory; /* what was seen before is there */
	bool refresh; /* list all of it anew */
};

/*
 * What is damaged becomes a problem of its incarnation and does not hide the
 * rest; -1 when the repository itself fails.
 */
int info_collect(struct info *out, struct repo *repo,
    const struct info_source *from, struct err *err) ERR_USE;
void info_free(struct info *info);

/*
 * For `status`: what was found out about each cluster, in a note on this host
 * (repo/notes.h). address: where the repository was found.
 */
void info_note(const struct info *info, const char *state_directory,
    const struct config_repository *address);

/* Fill in the shares of all of them: called by info_collect(). */
void info_shares(struct info_set *set);

/* A segment of this size was stored then: called by info_collect(). */
void info_rate_add(struct info_incarnation *inc, int64_t mtime,
    uint64_t size);

/* Segments missing between two ranges of one timeline, and their names. */
uint64_t info_gap(const struct info_incarnation *inc, size_t range,
    char first[WAL_SEGMENT_NAME_LEN + 1], char last[WAL_SEGMENT_NAME_LEN + 1]);

/* Was all that is missing there removed on purpose? */
bool info_gap_was_removed(const struct info_incarnation *inc, size_t range);

/* How many characters of the label are enough to tell it from the others. */
int info_short_label(const struct info_incarnation *inc, const char *label);

/* Why nothing can be recovered, when n_windows is 0. */
const char *info_no_recovery(const struct info_incarnation *inc);

/* One backup or dump. */
struct info_found {
	const struct info_incarnation *inc;
	const struct info_set *set; /* inc's backups or dumps */
	size_t index;
};

/* The one whose label begins so: ERR_NOT_FOUND, ERR_USAGE. */
int info_find(const struct info *info, const char *prefix,
    struct info_found *out, struct err *err) ERR_USE;

#endif
