/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_PARENT_H
#define DUMP_PARENT_H

/*
 * The dump that a new one is compared with: the newest of the same database
 * that can be read and does not have much less than others (one table, say).
 * Which one it is can only cost bytes.
 *
 *	dump_parent_find(&p, &params, err);		NULL: there is none
 *	dump_parent_index(&index, p, path, err);	NULL: nothing of this item
 *	dump_parent_free(p);
 *
 * dump_parent_index() is called by one thread at a time; an index, once made,
 * and the table of packs may be read by any.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/chunkindex.h"
#include "repo/filemap.h"
#include "repo/repo.h"

struct dump_parent_params {
	struct repo *repo;
	const struct incarnation *inc;
	const char *database; /* "" of globals */
	bool globals;
	int64_t now; /* the server's clock */
	uint64_t refresh_age_ms;
};

struct dump_parent;
int dump_parent_find(struct dump_parent **out,
    const struct dump_parent_params *params, struct err *err) ERR_USE;
void dump_parent_free(struct dump_parent *p); /* NULL is fine */

const char *dump_parent_label(const struct dump_parent *p);

/* The packs that it refers to: what chunks' .pack is an index of. */
const struct pack_table *dump_parent_packs(const struct dump_parent *p);

/* What became of them. */
struct packset *dump_parent_packset(const struct dump_parent *p);

/*
 * The chunks of an item that may be referred to (those whose packs are whole
 * and not due to be stored anew). .pack: index in dump_parent_packs().
 */
int dump_parent_index(struct chunkindex **out, struct dump_parent *p,
    const char *path, struct err *err) ERR_USE;

#endif
