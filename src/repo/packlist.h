/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PACKLIST_H
#define REPO_PACKLIST_H

/*
 * The last look before the commit of a backup or dump: the list of all packs
 * that the manifest refers to, each of which must be there, of the size that
 * is known, and not marked damaged. One thread.
 */
#include "core/err.h"
#include "repo/commit.h"
#include "repo/filemap.h"
#include "repo/packset.h"
#include "repo/putter.h"
#include "repo/repo.h"

struct packlist_params {
	struct repo *repo;
	const struct putter *putter; /* finished */
	/* Plain bytes that are referred to in an own pack, by number, ... */
	uint64_t (*live)(void *arg, uint32_t number);
	/* ... and in one of others, by its place in the table. */
	uint64_t (*live_foreign)(void *arg, uint32_t index);
	void *live_arg;
	const struct pack_table *table; /* the parent's; NULL: none */
	struct packset *set;		/* with a table: is looked into anew */
	int (*pulse)(void *arg, struct err *err); /* called for each pack */
	void *pulse_arg;
};

/*
 * Fills c->packs, and adds the own packs' bytes to c->stored_bytes. c has
 * kind, label, attempt and incarnation already.
 */
int packlist_make(const struct packlist_params *p, struct commit *c,
    struct err *err) ERR_USE;

#endif
