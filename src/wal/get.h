/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_GET_H
#define WAL_GET_H

/*
 * archive-get: one WAL file out of the repository, for restore_command, with
 * the next ones decompressed ahead by a process of its own.
 *
 * Of several repositories the nearest is asked first, and the others only
 * when it does not deliver. An error of one and absence in all others is an
 * error (TRAPS T24). What is said about a place that is slow to fail: the
 * others are asked before it for a while, and it gets its whole time limit
 * only when nobody else has delivered.
 */
#include "core/err.h"
#include "repo/repo.h"

struct wal_get_params {
	/* One that is open, or places, which are opened when they are asked. */
	struct repo *repo;
	const struct config_repository *const *places; /* nearest first */
	unsigned n_places;

	const char *repository_id; /* of repo: expected, or NULL */
	const char *cluster;
	const char *pgdata; /* NULL: the current directory, or dest's */
	const char *name;   /* %f */
	const char *dest;   /* %p: absolute, or relative to pgdata */
	const char *state_directory; /* spool below it; unusable: no prefetch */
	uint64_t prefetch;	     /* bytes ahead, 0: none */
	/* A standby asks again by itself, and should not be kept waiting. */
	bool standby;
};

/*
 * 0: delivered. ERR_NOT_FOUND: proved absent, in all of several (the identity
 * is the expected one, the incarnation is pg_control's, and no later segment
 * exists on the timeline or its descendants). Anything else is an error: the
 * caller turns it into an exit code that stops recovery, or a plain one on a
 * standby.
 */
int wal_get(const struct wal_get_params *params, struct err *err) ERR_USE;

#endif
