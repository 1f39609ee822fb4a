/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PROVE_H
#define REPO_PROVE_H

/*
 * Before others go for its sake: is what only a restore would read really
 * what was put? One thread.
 */
#include "core/err.h"
#include "repo/commit.h"

/* Called again and again while much is read; -1 stops: keeps a lease. */
typedef int (*prove_pulse_fn)(void *arg, struct err *err);

/*
 * Reads the parts of a backup's manifest and, to the last byte, the WAL that
 * makes it consistent; of a dump the manifest. (That its packs are there,
 * unmarked and as long as they were, survey.h and info.h look; what is in them
 * `verify` reads.) ERR_DAMAGED, ERR_NOT_FOUND, ERR_REFUSED (a hole in the
 * timelines' histories): it could not be restored. Reads a few objects, as
 * many as segments were written while the backup was made.
 */
int prove_set(struct repo *repo, const struct incarnation *inc,
    const struct commit *c, prove_pulse_fn pulse, void *arg,
    struct err *err) ERR_USE;

typedef int (*prove_fn)(struct repo *repo, const struct incarnation *inc,
    const struct commit *c, prove_pulse_fn pulse, void *arg, struct err *err);

/* Did it fail for what the set is, and not because something is away now? */
bool prove_is_no(const struct err *err);

#endif
