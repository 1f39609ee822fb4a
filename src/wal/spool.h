/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_SPOOL_H
#define WAL_SPOOL_H

/*
 * Internal to src/wal: segments that were decompressed before recovery asked
 * for them. Losing the spool costs time, never data.
 *
 *	STATE/spool/REPOSITORY-SYSTEM-DIRECTORY/BOOT/SEGMENT-HASH
 *
 * DIRECTORY stands for the data directory (path and inode), so that two
 * restores on a host do not meet; files of another boot may not have reached
 * the disk and are never used. A file is complete when it has its name, and
 * is taken only by who has just found that hash in the repository, so what
 * an earlier recovery left cannot get into this one (TRAPS T21).
 */
#include <stdbool.h>
#include <sys/types.h>

#include "repo/walstore.h"

struct wal_spool {
	char *parent; /* STATE/spool/REPOSITORY-... */
	char *dir;    /* with the boot */
	unsigned patience_ms; /* for a segment that is being fetched */
};

#define WAL_SPOOL_NAME_MAX 64

/* Makes the directory. pgdata must exist. */
int wal_spool_open(struct wal_spool *out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc,
    const char *pgdata, struct err *err) ERR_USE;
void wal_spool_free(struct wal_spool *s); /* a zeroed one is fine */

void wal_spool_name(const struct wal_stored *ws,
    char out[WAL_SPOOL_NAME_MAX]);

/*
 * Move a segment of this size to dest; waits for one that is being made right
 * now, a little, or from a store over a network some seconds. False: it is not there, or cannot be used.
 */
bool wal_spool_take(const struct wal_spool *s, const struct wal_stored *ws,
    uint64_t size, const char *dest);

/* Tell (or learn) which segment recovery has got last. */
void wal_spool_set_position(const struct wal_spool *s, const char *segment);
bool wal_spool_position(const struct wal_spool *s,
    char segment[WAL_SEGMENT_NAME_LEN + 1]);

/* The right to fill the spool: a descriptor, or -1 when another has it. */
int wal_spool_lock(const struct wal_spool *s);

/* Remove all files and what other boots and ended recoveries have left. */
void wal_spool_clear(const struct wal_spool *s);
void wal_spool_sweep(const struct wal_spool *s);

#endif
