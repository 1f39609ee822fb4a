/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_EXPIRE_H
#define RETAIN_EXPIRE_H

/*
 * Retention of a cluster in one repository (DESIGN: thirty days): what the
 * policy lets go is listed in tombstones, and what was listed a grace period
 * ago, and it still lets go, is removed.
 *
 *	expire_run(&x, &params, err);
 *	x.retention.policy ...		what was decided, and why
 *	x.runs[i]			what was done
 *	expire_free(&x);		also after an error
 *
 * Backups with their WAL, and dumps, are done one after the other, each under
 * its lease. One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "retain/removal.h"
#include "retain/retention.h"

struct expire_params {
	struct repo *repo;
	const struct config *cfg; /* grace, lease, others, state, dry_run */
	const struct config_repository *address; /* the repository's */
};

/* Of an incarnation: backups and WAL, or dumps. */
struct expire_run {
	struct incarnation inc;
	enum repo_kind kind;
	bool done; /* else it was passed over: somebody has the lease */
	struct removal_report removed, marked;
	size_t refused; /* backups that the policy lets go and removal does
			   not: the last usable one would be among them */
	uint64_t wal_segments, wal_bytes; /* marked */
	bool wal_more; /* a later run marks more */
};

struct expire {
	struct info info;
	struct retention retention;
	struct expire_run *runs;
	size_t n;
	/* This host's clock less the store's, in microseconds; 0 in a dry run,
	 * which does not ask it. */
	int64_t ahead;
	struct err locked; /* why something was passed over */
};

/* -1 also when all was passed over or only some: then it is ERR_LOCKED. */
int expire_run(struct expire *out, const struct expire_params *params,
    struct err *err) ERR_USE;
void expire_free(struct expire *x);

#endif
