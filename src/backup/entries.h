/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_ENTRIES_H
#define BACKUP_ENTRIES_H

/*
 * The owner's side of a backup's content: manifest lines of files, from
 * copied pieces or from memory, long maps as frames in a pack of its own, and
 * the account of what is used of each pack, own and foreign. One thread.
 */
#include "core/err.h"
#include "repo/filemap.h"
#include "repo/linestore.h"
#include "repo/manifest.h"
#include "repo/pack.h"

/* As a run's pack: number N of the foreign table is ENTRIES_FOREIGN + N. */
#define ENTRIES_FOREIGN UINT32_C(0x40000000)

/* One pack, as far as this backup uses it. */
struct entries_pack {
	uint32_t index; /* the manifest's, plus 1; 0: not named yet */
	uint32_t map;	/* the last map that named it, counted from 1 */
	uint32_t local; /* its place in that map's list */
	uint64_t live;	/* plain bytes referred to */
};

struct entries {
	struct manifest_writer *manifest; /* not owned */
	/* Takes the lines of files instead, when set. Not owned. */
	struct linestore *keep;
	struct pack_shared *shared;	  /* not owned */
	const struct pack_table *foreign; /* not owned; NULL: none */
	struct pack_writer *writer;
	struct entries_pack *own; /* by pack number */
	size_t n_own;
	struct entries_pack *others; /* by index in the foreign table */
	uint32_t maps; /* written so far */
	struct buf map;
	uint64_t files, bytes;
};

int entries_init(struct entries *e, struct manifest_writer *manifest,
    struct pack_shared *shared, const struct pack_table *foreign, int level,
    struct err *err) ERR_USE;
void entries_free(struct entries *e); /* also of a zeroed one */

/*
 * The line of a file whose content is in these runs (.pack: number of the
 * attempt's pack, a foreign one, or zeros). Of `line` all but the runs is
 * set; runs are changed. map: foreign map frames that say the same as the
 * runs (.pack: index in the foreign table, .blocks: plain bytes); without any
 * (n_map 0) a long map is written.
 */
int entries_add_file(struct entries *e, struct manifest_entry *line,
    struct map_run *runs, size_t n_runs, const struct map_run *map,
    size_t n_map, struct err *err) ERR_USE;

/* The same, with content from memory; size and CRC are filled in. */
int entries_add_memory(struct entries *e, struct manifest_entry *line,
    const uint8_t *data, size_t len, struct err *err) ERR_USE;

/* Mode and time of a line. */
struct stat;
void entries_line_times(struct manifest_entry *line, const struct stat *st);

/* Plain bytes referred to in this pack. */
uint64_t entries_live(const struct entries *e, uint32_t number);
uint64_t entries_live_foreign(const struct entries *e, uint32_t index);

#endif
