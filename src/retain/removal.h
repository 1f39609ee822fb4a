/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_REMOVAL_H
#define RETAIN_REMOVAL_H

/*
 * Removal in two steps (FORMAT.md section 9.1). Step 1, removal_mark(), puts a
 * tombstone that lists what would go: the commits of the backups that are to
 * be removed and all objects that no commit that stays refers to. Step 2,
 * removal_run(), in a later run and after the grace period by the store's
 * clock, reads the commits again, removes those that the tombstone names,
 * reads once more, and removes what nothing refers to. The tombstone goes
 * last. A crash after any call leaves what restores, and garbage.
 *
 *	removal_run(&params, &report, err);
 *	removal_mark(&params, &report, err);
 *
 * Policy is the caller's: it names labels and WAL objects, and of what nobody
 * named is asked again before the second step. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/lease.h"
#include "repo/prove.h"
#include "repo/repo.h"

struct removal_params {
	struct repo *repo;
	const struct incarnation *inc;
	enum repo_kind kind; /* a run is for backups and WAL, or for dumps */
	/* lease_name(kind); renewed here. A dry run may do without (NULL). */
	struct lease *lease;
	int64_t grace_us;     /* 0: the next run may remove */
	const char *const *labels; /* removal_mark: what is to be removed */
	size_t n_labels;
	const char *const *objects; /* and WAL objects: "wal/..." */
	size_t n_objects;
	uint32_t wal_segment_size; /* of these: removal_run notes what goes */
	/* Somebody named the labels, else retention did. A run of the former
	 * leaves alone what the latter has listed. */
	bool named;
	bool force;   /* the last usable backup too */
	/*
	 * Of one that would be the usable one that is left: can it really be
	 * restored? prove_set() of repo/prove.h; NULL: names and sizes do.
	 */
	prove_fn prove;
	bool dry_run; /* put and remove nothing, only report */
	/*
	 * removal_run: does retention want what it had let go? Of a backup by
	 * its label, of WAL by the object's name. NULL: it does not.
	 */
	bool (*wants_set)(void *arg, enum repo_kind kind, const char *label);
	bool (*wants_wal)(void *arg, const char *name);
	void *wants_arg;
	/* removal_mark: each object that would go, commits first; or NULL. */
	void (*show)(void *arg, const char *name, uint64_t size);
	void *show_arg;
};

struct removal_report {
	size_t backups;	  /* commits marked, or removed */
	size_t objects;	  /* all objects, commits too */
	uint64_t bytes;	  /* of objects marked; 0 for removal_run */
	size_t kept;	  /* mark: of the folders' packs that stay, since others
			     refer to them; run: of the tombstones' */
	uint64_t kept_bytes;
	size_t locked;	  /* run: objects that the store keeps locked for now:
			     their tombstones stay for a later run */
	size_t waiting;	  /* run: tombstones that are not due yet */
	int64_t next_due; /* when the first of these is, by the store's clock */
	size_t wanted;	  /* run: backups that stay, since they are pinned or
			     retention wants them by now */
	size_t tombstones; /* run: done with */
	size_t intents;	   /* run: dead ones that were removed */
};

/*
 * Labels that are not there are ERR_NOT_FOUND; one that has a tombstone
 * already is passed over. ERR_REFUSED when no usable backup, or dump of the
 * same database that has as much of it, would stay, unless forced, and of one
 * that is pinned, forced or not: step 2 leaves that alone too. Garbage of
 * attempts that ended without a commit more than the grace period ago is
 * marked too.
 */
int removal_mark(const struct removal_params *params,
    struct removal_report *report, struct err *err) ERR_USE;

int removal_run(const struct removal_params *params,
    struct removal_report *report, struct err *err) ERR_USE;

#endif
