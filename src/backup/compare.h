/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_COMPARE_H
#define BACKUP_COMPARE_H

/*
 * What a worker needs to compare blocks with the parent's: the page sums of
 * the parent's packs, of which it holds the last few at hand, so that the
 * cache that all share is seldom asked. One thread.
 */
#include "backup/parent.h"
#include "core/err.h"

#define COMPARE_HELD 16

struct compare {
	const struct parent *parent;
	struct repo *repo;
	struct pack_cache *packs;
	struct {
		uint32_t pack; /* plus 1; 0: none */
		const struct pack_sums *sums; /* NULL: cannot be read */
	} held[COMPARE_HELD];
	unsigned complaints;
};

int compare_open(struct compare *c, const struct parent *parent,
    struct err *err) ERR_USE;
void compare_close(struct compare *c); /* also a zeroed one */

/*
 * The sums of the run's blocks, valid until the next call; NULL: they cannot
 * be read (said so), and the blocks count as changed. -1: the store failed.
 */
int compare_sums(struct compare *c, const struct map_run *run,
    const struct page_sum **out, struct err *err) ERR_USE;

#endif
