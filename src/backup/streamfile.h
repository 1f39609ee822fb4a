/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAMFILE_H
#define BACKUP_STREAMFILE_H

/*
 * One file that a server sends: what the parent has of it, and its map as it
 * comes into being. PostgreSQL 17 sends of a relation's file, as
 * INCREMENTAL.NAME, only the blocks that changed ("a part"): these are put
 * over the parent's map, so that the new map is complete. Form of the part:
 * PostgreSQL src/include/backup/basebackup_incremental.h.
 *
 * The owner's thread makes and ends it; workers read it meanwhile, and write
 * part_crcs, each its own stretch.
 */
#include <stdbool.h>
#include <stdint.h>

#include "backup/compare.h"
#include "backup/entries.h"
#include "backup/gather.h"
#include "backup/parent.h"
#include "backup/streamtar.h"
#include "core/err.h"
#include "pg/datafile.h"
#include "repo/commit.h"
#include "repo/linestore.h"

#define STREAMFILE_PART "INCREMENTAL."

struct streamfile {
	char *path; /* of a part without "INCREMENTAL." */
	struct datafile df;
	uint32_t mode;
	int64_t mtime;
	/* What the parent has of it. */
	bool has_parent;
	uint64_t parent_size;
	uint32_t parent_crc;
	struct map_run *parent_runs; /* .pack: index in the parent's table */
	size_t n_parent_runs;
	struct map_run *parent_map; /* map frames, as struct parent_file has */
	size_t n_parent_map;
	/* A part. */
	bool is_part;
	bool dropped; /* not stored: an empty file takes its place */
	uint32_t *part_blocks; /* ascending */
	uint32_t *part_crcs;
	uint32_t n_part;
	uint32_t part_end; /* blocks up to here that were not sent are old */
	/* What has arrived. */
	struct run_list runs;
	uint64_t size;
	uint32_t crc;
	bool changed;
	struct streamfile *next, **link; /* of all that are not finished */
	/* A part as it was sent. */
	uint64_t sent_size;
	uint32_t sent_crc; /* of its header */
};

/* What its beginning and end need. */
struct streamfile_env {
	struct commit *commit;
	struct parent *parent;	 /* or NULL */
	struct compare *compare; /* NULL with that */
	struct entries *entries;
	struct linestore *sent; /* takes what was sent and is no line of ours */
	struct streamfile *live; /* all that are not finished */
};

/* Reads a part's header; *left: bytes of content that follow. */
int streamfile_new(struct streamfile **out, const struct streamtar_member *m,
    struct streamfile_env *env, struct linestore *parent_lines,
    struct streamtar *tar, uint64_t *left, struct err *err) ERR_USE;
void streamfile_free(struct streamfile *f); /* NULL is fine */

/* The next piece, in order. */
void streamfile_add(struct streamfile *f, const struct map_run *runs,
    size_t n, uint64_t len, uint32_t crc, bool changed);

/* All has arrived: give its line to the entries. */
int streamfile_finish(struct streamfile *f, struct streamfile_env *env,
    struct err *err) ERR_USE;

#endif
