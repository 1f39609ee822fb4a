/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_EXPIRE_WAL_H
#define RETAIN_EXPIRE_WAL_H

/*
 * Which stored WAL objects retention lets go: every generation and part by
 * its name, as they lie in the store.
 *
 *	expire_wal_list(&wal, repo, line, pulse, arg, err);
 *	wal.names, wal.n;
 *	expire_wal_free(&wal);
 *
 * One thread. Of folders of which all is kept nothing is listed.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "retain/retention.h"
#include "retain/survey.h"

struct expire_wal {
	char **names; /* "wal/...", the oldest of each timeline first */
	size_t n;
	uint64_t bytes; /* of these */
	uint64_t segments; /* their names, each once */
	bool more; /* EXPIRE_WAL_MAX is reached: a later run goes on */
};

/* What is waiting to be removed is read by every run. */
#define EXPIRE_WAL_MAX 200000

/* Is the object (its name, with any folders before it) kept? */
bool expire_wal_keeps(const struct policy_line *line, const char *name);

int expire_wal_list(struct expire_wal *out, struct repo *repo,
    const struct retention_line *line, survey_pulse_fn pulse, void *arg,
    struct err *err) ERR_USE;
void expire_wal_free(struct expire_wal *w); /* a zeroed one too */

#endif
