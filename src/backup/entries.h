/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_ENTRIES_H
#define BACKUP_ENTRIES_H

/*
 * The owner's side of a backup's content: manifest lines of files, from
 * copied pieces or from memory, long maps as frames in a pack of its own, and
 * the account of what is used of each pack. One thread.
 */
#include "core/err.h"
#include "repo/manifest.h"
#include "repo/pack.h"

struct entries {
	struct manifest_writer *manifest; /* not owned */
	struct pack_shared *shared;	  /* not owned */
	struct pack_writer *writer;
	uint32_t *index; /* by pack number: manifest's index + 1, 0 unknown */
	uint64_t *live;
	size_t n_packs;
	struct buf map;
	uint64_t files, bytes;
};

int entries_init(struct entries *e, struct manifest_writer *manifest,
    struct pack_shared *shared, int level, struct err *err) ERR_USE;
void entries_free(struct entries *e); /* also of a zeroed one */

/*
 * The line of a file whose content is in these runs (.pack: number of the
 * attempt's pack). Of `line` all but the runs is set; runs are changed.
 */
int entries_add_file(struct entries *e, struct manifest_entry *line,
    struct map_run *runs, size_t n_runs, struct err *err) ERR_USE;

/* The same, with content from memory; size and CRC are filled in. */
int entries_add_memory(struct entries *e, struct manifest_entry *line,
    const uint8_t *data, size_t len, struct err *err) ERR_USE;

/* Plain bytes referred to in this pack. */
uint64_t entries_live(const struct entries *e, uint32_t number);

#endif
