/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PACKLIST_H
#define BACKUP_PACKLIST_H

/*
 * The last look before the commit: the list of all packs that the manifest
 * refers to, each of which must be there, of the size that is known, and not
 * marked damaged. One thread.
 */
#include "backup/entries.h"
#include "backup/parent.h"
#include "core/err.h"
#include "repo/commit.h"
#include "repo/putter.h"
#include "repo/repo.h"

struct packlist_params {
	struct repo *repo;
	const struct entries *entries;
	const struct putter *putter; /* finished */
	struct parent *parent;	     /* NULL: none */
	uint32_t attempt;
	int (*pulse)(void *arg, struct err *err); /* called for each pack */
	void *pulse_arg;
};

/* Fills c->packs, and adds the own packs' bytes to c->stored_bytes. */
int packlist_make(const struct packlist_params *p, struct commit *c,
    struct err *err) ERR_USE;

#endif
