/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_GATHER_H
#define BACKUP_GATHER_H

/*
 * The map of a file as it comes into being: runs of blocks that another
 * backup has, and blocks that are stored anew, which are gathered so that the
 * few changed ones of a stretch share a frame.
 *
 *	runs_begin(&runs);		of each file
 *	runs_add(&runs, &run);
 *	gather_add(g, path, &runs, block, data, len, &sum, err);
 *	gather_flush(g, path, &runs, err);	at the file's end
 *
 * One thread. A gather holds up to a frame: 1 MiB. Several may add to one map
 * in turn, each with a number of its own (`which`, from 0).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/pack.h"

/* Runs of several files, one file behind the other. */
struct run_list {
	struct map_run *list;
	uint32_t n, cap;
	uint32_t begin; /* where the file at hand begins */
};

void runs_begin(struct run_list *r);

/* Joined with the one before where they are one in the same frame. */
void runs_add(struct run_list *r, const struct map_run *run);

struct gather {
	struct pack_writer *writer; /* not owned */
	uint32_t block_size, max; /* blocks in a frame */
	uint32_t pending; /* as a run's pack: what is gathered here */
	uint8_t *data;
	uint64_t *blocks; /* numbers within the file */
	struct page_sum *sums;
	uint32_t n;
	size_t len;
	uint32_t first_run; /* that refers to what is gathered */
};

void gather_init(struct gather *g, struct pack_writer *writer, unsigned which,
    uint32_t block_size);
void gather_free(struct gather *g); /* also of a zeroed one */

/* Blocks ascend; only the file's last one (len < block size) may be short. */
int gather_add(struct gather *g, const char *path, struct run_list *runs,
    uint64_t block, const uint8_t *data, size_t len,
    const struct page_sum *sum, struct err *err) ERR_USE;

/* Store what was gathered, and say in its runs where. */
int gather_flush(struct gather *g, const char *path, struct run_list *runs,
    struct err *err) ERR_USE;

#endif
