/* SPDX-License-Identifier: PostgreSQL */
#ifndef COPY_COPY_H
#define COPY_COPY_H

/*
 * Bringing one place of a repository up to date from another: objects are
 * copied as they lie, the same bytes under the same key.
 *
 *	copy_new(&c, &params, err);
 *	copy_all(c, err);		compares both, and copies what lacks
 *	copy_items(c, &inc, ...);	or what a queue names
 *	copy_result(c);
 *	copy_free(c);
 *
 * Each object is checked before it is put: header, index, the hash of every
 * frame; a WAL file also by the hash of its content, a part of a manifest by
 * the SHA-256 of the commit, a text object by its CRC. What does not hold in
 * any generation is not spread: it is told, counted, and the rest goes on.
 *
 * Order, so that a copy that ends anywhere leaves garbage at worst: history
 * files before the segments of their timeline; of a backup WAL from start to
 * stop, packs (other backups' too, as its commit names them), manifest, and
 * the commit last, after all that it names was looked for again. What is
 * there is not sent again. The lease of the place that is written to is held
 * while backups (or dumps) are added, with an intent for each.
 *
 * What was removed in the place that is written to stays removed
 * (repo/removed.h), as long as nobody names it. Damage marks, tombstones,
 * leases and intents are each place's own.
 *
 * One thread calls. Memory: `jobs` objects of at most 64 MiB (packs and
 * parts of WAL: 8 to 16 MiB), and the names in 64 folders of WAL.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/repo.h"

enum copy_what { COPY_WAL = 1, COPY_BACKUPS = 2, COPY_DUMPS = 4 };
#define COPY_EVERYTHING (COPY_WAL | COPY_BACKUPS | COPY_DUMPS)

struct copy_progress {
	atomic_uint_fast64_t done_bytes;
	atomic_uint_fast64_t total_bytes; /* known so far */
};

struct copy_params {
	struct repo *from, *to; /* stay the caller's */
	const char *cluster;	/* NULL: all */
	unsigned what;		/* enum copy_what */
	/* Beginnings of labels: these backups and dumps, and their WAL. */
	char *const *labels;
	size_t n_labels;
	bool again; /* also what was removed in `to` */
	bool dry_run;
	unsigned jobs;
	uint64_t max_rate; /* bytes a second; 0: no limit */
	uint64_t lease_ms;
	struct copy_progress *progress; /* or NULL */
	void (*tick)(void *arg); /* some times a second; or NULL */
	void *tick_arg;
	/*
	 * Called while a backup or dump is being copied, when nothing else
	 * is under way: for what must not wait for its end. Or NULL.
	 */
	int (*between)(void *arg, struct err *err);
	void *between_arg;
};

struct copy_count {
	uint64_t copied; /* WAL files, backups, dumps; dry run: would be */
	uint64_t there;	 /* had been there */
};

struct copy_result {
	struct copy_count wal, backups, dumps;
	uint64_t objects, bytes; /* put; dry run: would be */
	uint64_t damaged;   /* objects that do not hold at the source */
	uint64_t conflicts; /* names that have another content in `to` */
	uint64_t vanished;  /* removed at the source meanwhile */
	uint64_t removed;   /* not brought back */
	uint64_t failed;    /* backups and dumps that lack something */
	struct err locked;  /* code ERR_NONE: no lease was in the way */
};

struct copy;

/*
 * ERR_REFUSED unless both are places of one repository. The keys of an
 * encrypted one that lack there are copied at once.
 */
int copy_new(struct copy **out, const struct copy_params *params,
    struct err *err) ERR_USE;
void copy_free(struct copy *c); /* NULL is fine */

/*
 * All incarnations. 0 also when something was damaged, in conflict or
 * locked: copy_result() tells. -1: a store fails, or it was cancelled.
 * ERR_NOT_FOUND: a label that is not at the source.
 */
int copy_all(struct copy *c, struct err *err) ERR_USE;

/* The same of one incarnation, without labels. */
int copy_incarnation(struct copy *c, const struct incarnation *inc,
    struct err *err) ERR_USE;

enum copy_outcome {
	COPY_DONE,   /* it is there, durable */
	COPY_ABSENT, /* the source does not have it (any more) */
	COPY_FAILED  /* damaged, in conflict, or locked */
};

struct copy_item {
	const char *name; /* as in a queue: repo/queue.h */
	enum copy_outcome outcome;
};

/*
 * WAL files and nothing else, ascending by name; each one's outcome is set.
 * And one backup or dump.
 */
int copy_wal_items(struct copy *c, const struct incarnation *inc,
    struct copy_item *items, size_t n, struct err *err) ERR_USE;
int copy_set_item(struct copy *c, const struct incarnation *inc,
    enum repo_kind kind, const char *label, enum copy_outcome *outcome,
    struct err *err) ERR_USE;

const struct copy_result *copy_result(const struct copy *c);

#endif
