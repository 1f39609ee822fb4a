/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_DISPATCH_H
#define BACKUP_DISPATCH_H

/*
 * Runs a plan through workers and writes the manifest's lines in the order
 * of the plan as pieces come back. At most a window of tasks is on its way,
 * so that memory does not grow with the number of files.
 */
#include "backup/copy.h"
#include "backup/entries.h"
#include "backup/evidence.h"
#include "core/err.h"
#include "repo/commit.h"

struct dispatch {
	struct copy_shared *shared;
	struct parent *parent; /* shared->parent, or NULL */
	const struct evidence *evidence; /* NULL: all is read */
	struct entries *entries;
	unsigned jobs;
	struct commit *commit; /* takes the damaged pages */
	/* Called some times a second; its error ends the copy. */
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
};

/*
 * Copy all and flush the workers' packs. On -1 all threads have ended.
 */
int dispatch_run(const struct dispatch *d, struct err *err) ERR_USE;

#endif
