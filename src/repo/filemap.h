/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_FILEMAP_H
#define REPO_FILEMAP_H

/*
 * Where all blocks of a file are: the whole map of a manifest line, whether
 * it stands in the line or in map frames (FORMAT.md section 5), as runs that
 * name packs by their place in one table for the whole backup.
 *
 *	pack_table_init(&table, &commit);
 *	filemap_init(&map);
 *	filemap_read(&map, &table, cache, reader, &entry, block_size, err);
 *	filemap_free(&map);
 *	pack_table_free(&table);
 *
 * A table is not changed once made: any thread may read it. A map serves one
 * thread; it takes 24 bytes a run and is used again for the next file.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "repo/commit.h"
#include "repo/manifest.h"
#include "repo/pack.h"

/* The packs that a commit names, ascending by pack_id_compare(). */
struct pack_table {
	struct commit_pack *list;
	uint32_t n;
};

void pack_table_init(struct pack_table *t, const struct commit *c);
void pack_table_free(struct pack_table *t); /* also of a zeroed one */

/* False: the commit does not name it. */
bool pack_table_find(const struct pack_table *t, const struct pack_id *id,
    uint32_t *index);

struct filemap {
	struct map_run *runs; /* .pack: index in the table, or MAP_PACK_ZEROS */
	size_t n;
	/* The map frames it stood in: .pack, .frame; .blocks: plain bytes. */
	struct map_run *frames;
	size_t n_frames;
	size_t cap, cap_frames;
	struct buf scratch;
};

void filemap_init(struct filemap *m);
void filemap_free(struct filemap *m); /* also of a zeroed one */

/*
 * The map of a FILE, CONFIG or CONTROL line, which the reader just gave. It
 * is checked: runs cover the file's size exactly, each names a pack of the
 * table and, unless of zeros, is no larger than a frame. ERR_DAMAGED.
 */
int filemap_read(struct filemap *m, const struct pack_table *t,
    struct pack_cache *cache, const struct manifest_reader *reader,
    const struct manifest_entry *e, uint32_t block_size,
    struct err *err) ERR_USE;

#endif
