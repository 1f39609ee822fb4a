/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_EVIDENCE_H
#define BACKUP_EVIDENCE_H

/*
 * Which blocks WAL says have changed since a parent backup began, so that a
 * backup need not read the others.
 *
 *	evidence_collect(&ev, &params, err);
 *	if (evidence_reason(ev) != NULL)
 *		it says why everything must be read
 *	evidence_file(ev, "base/5/16384.2", parent_blocks, blocks, bits);
 *	evidence_free(ev);
 *
 * The range is from the parent's start LSN to this backup's: what changes
 * later is replayed. Sources: the server's own WAL summaries (17 and later)
 * as far as they go, then pg_wal, then the archive. Whatever is missing,
 * unreadable or not understood means "read everything", never a guess.
 *
 * It is believed for main forks of relations only (clearing a bit of a
 * visibility map registers no block; free space maps are not logged), and only
 * when parent and backup were read from one data directory (backup/source.h).
 *
 * Collecting: one thread, which makes workers of its own. What was collected
 * does not change: any thread may ask.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/conn.h"
#include "pg/control.h"
#include "repo/commit.h"
#include "repo/repo.h"

struct blockset;
struct evidence;

struct evidence_params {
	struct repo *repo;
	struct pg_conn *conn; /* asked for settings */
	const char *pgdata;
	const struct control *control; /* as it is now */
	int major;
	uint32_t timeline; /* this backup's */
	pg_lsn start_lsn;
	const char *source; /* this backup's source_id() */
	/* Its start, stop, timeline and source; NULL: read everything. */
	const struct commit *parent;
	unsigned jobs;
	int (*pulse)(void *arg, struct err *err); /* often; NULL for none */
	void *pulse_arg;
};

/*
 * Fails only when cancelled (or when the pulse fails): anything else is an
 * evidence that says "read everything", and logs why.
 */
int evidence_collect(struct evidence **out, const struct evidence_params *p,
    struct err *err) ERR_USE;
void evidence_free(struct evidence *ev); /* NULL is fine */

/* NULL, or why everything must be read. */
const char *evidence_reason(const struct evidence *ev);

enum evidence_answer {
	EVIDENCE_READ_ALL, /* this file is to be read whole */
	EVIDENCE_BLOCKS	   /* only the blocks whose bits are set */
};

/*
 * What of the file at this path (below the data directory, tablespaces under
 * "pg_tblspc/OID/") must be read. parent_blocks: whole blocks that the parent
 * has of the same path, 0 when it has none; now_blocks: blocks that are to be
 * in the backup, a last short one too. bits has (now_blocks + 7) / 8 bytes,
 * bit N % 8 of byte N / 8 for block N of this file; all are written. Blocks
 * from parent_blocks on are always set. ev NULL: READ_ALL.
 */
enum evidence_answer evidence_file(const struct evidence *ev,
    const char *path, uint64_t parent_blocks, uint64_t now_blocks,
    uint8_t *bits);

/* The same from a set of changed blocks (pure). */
enum evidence_answer evidence_of_set(const struct blockset *set,
    uint32_t segment_blocks, const char *path, uint64_t parent_blocks,
    uint64_t now_blocks, uint8_t *bits);

#endif
