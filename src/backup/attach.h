/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_ATTACH_H
#define BACKUP_ATTACH_H

/*
 * Gives each task of a copy what the parent has of its files, and which
 * blocks of them must be read. Items come in the order of the plan:
 *
 *	attach_init(&a, &params);
 *	attach_file(&a, &item);		of a file that may be cut into ranges
 *	attach_range(&a, task);		each of its ranges; or, untouched:
 *	attach_whole(&a, task);
 *	attach_items(&a, task);		of several small files
 *	attach_free(&a);
 *
 * All that reads the whole file is decided here: evidence from WAL, damage
 * that the parent had, packs that may not be referred to. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "backup/copy.h"
#include "backup/evidence.h"
#include "backup/parent.h"
#include "backup/plan.h"

struct attach {
	const struct plan *plan;
	struct parent *parent;		 /* NULL: there is none */
	const struct evidence *evidence; /* NULL: all is read */
	uint32_t block_size, segment_blocks;
	/* the file at hand */
	bool found;
	bool some;	/* only the blocks whose bits are set are read */
	bool untouched; /* of these there is none, and the size is the same */
	struct parent_file file;
	uint8_t *bits;
	size_t bits_cap;
	size_t run;    /* the first one of the next range */
	uint64_t skip; /* blocks of it that were before */
	struct buf path;
};

void attach_init(struct attach *a, const struct plan *plan,
    struct parent *parent, const struct evidence *evidence,
    uint32_t block_size, uint32_t segment_blocks);
void attach_free(struct attach *a);

/* True: the file need not be read at all. */
bool attach_file(struct attach *a, const struct plan_item *item);
void attach_range(struct attach *a, struct copy_task *t);
void attach_whole(struct attach *a, struct copy_task *t);
void attach_items(struct attach *a, struct copy_task *t);

#endif
