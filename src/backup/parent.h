/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PARENT_H
#define BACKUP_PARENT_H

/*
 * The backup that a new one is compared with, so that it stores only what
 * differs. The parent is chosen by timeline ancestry and stop LSN, never by
 * the order of labels or times, and need not be right: what is taken over
 * from it is proved equal by fingerprint and CRC, block for block.
 *
 *	parent_choose(&parent, &params, err);	NULL: there is none
 *	parent_find(parent, path, &file);	paths ascending
 *	parent_free(parent);
 *
 * Its manifest is streamed beside the plan. The table of its packs, what
 * became of them, and the page sums may be used by any thread; parent_find()
 * is the owner's. Memory: the table, PARENT_SUMS_BYTES of page sums, and the
 * map of one file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "backup/leftover.h"
#include "core/err.h"
#include "pg/control.h"
#include "repo/commit.h"
#include "repo/filemap.h"
#include "repo/packset.h"
#include "repo/packsums.h"
#include "repo/renew.h"

#define PARENT_SUMS_BYTES ((size_t)32 << 20)

struct parent {
	/* Fixed once chosen: any thread. */
	struct commit commit;
	bool on_history;	 /* its WAL leads to the new backup's start */
	struct pack_table packs; /* .size: as it is now */
	bool *condemned;	 /* of each pack: nothing refers to it anew */
	int64_t *made;		 /* of each pack: renew_made() */
	struct renew_params renew;
	struct repo *repo; /* to be cloned */
	struct packset *set;
	struct sums_cache *sums;
	/* The owner's. */
	struct pack_cache *cache;
	struct manifest_reader *reader;
	struct manifest_entry entry;
	bool has_entry, ended;
	struct filemap map;
	const struct leftover *leftover; /* NULL: none */
	struct map_run *overlay; /* of one file */
	size_t n_overlay;
	unsigned complaints;
};

struct parent_params {
	struct repo *repo;
	const struct incarnation *inc;
	const struct control *control;
	int pgdata_fd;	      /* for the timeline's history */
	const char *pgdata;   /* for messages */
	uint32_t timeline;    /* where the new backup starts */
	pg_lsn start_lsn;
	int64_t start_time;
	uint64_t refresh_age_ms;
	bool full; /* no parent: only what is left over */
	/* Of earlier attempts of this backup; kept until parent_free(). */
	struct leftover *leftover; /* NULL: none */
};

/*
 * *out NULL: there is none that could be used (said why). Fails only when
 * the repository cannot be listed, or when cancelled. With leftovers there is
 * always one; commit.label is "" when it is nothing but these.
 */
int parent_choose(struct parent **out, const struct parent_params *p,
    struct err *err) ERR_USE;
void parent_free(struct parent *p); /* NULL is fine */

/* What the parent has of a file. */
struct parent_file {
	uint64_t size;
	uint32_t crc;
	const struct map_run *runs; /* .pack: index in packs, or zeros */
	size_t n_runs;
	/* Map frames, if it has some: .pack, .frame; .blocks: plain bytes. */
	const struct map_run *map;
	size_t n_map;
};

/*
 * False: it has none, or it cannot be read (said so): the file is new. Each
 * path must be greater than the one before; valid until the next call.
 */
bool parent_find(struct parent *p, const char *path, struct parent_file *out);

#endif
