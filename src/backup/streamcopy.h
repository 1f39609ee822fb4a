/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAMCOPY_H
#define BACKUP_STREAMCOPY_H

/*
 * The content of files that a server sends: the receiving thread fills
 * buffers of some MiB and hands them to workers, which check the pages,
 * compare them with the parent's and store what differs (backup/piece.h).
 * Manifest lines are kept, since files come in no order.
 *
 *	streamcopy_new(&c, &params, err);
 *	streamcopy_file(c, &member, tar, err);	each file
 *	streamcopy_finish(c, err);		params.lines has all of them
 *	streamcopy_damage(c, stop_lsn);
 *	streamcopy_free(c);
 *
 * Memory: STREAMCOPY_BUFFER for each buffer, of which there are two a worker
 * and two more. All functions are the owner's.
 */
#include <stdatomic.h>

#include "backup/entries.h"
#include "backup/parent.h"
#include "backup/streamtar.h"
#include "core/err.h"
#include "repo/commit.h"
#include "repo/linestore.h"

#define STREAMCOPY_BUFFER ((size_t)4 << 20)

struct streamcopy_params {
	struct entries *entries; /* which puts lines into .keep */
	struct linestore *sent;	 /* takes parts as they were sent */
	struct pack_shared *pack;
	struct parent *parent;	 /* NULL: all is new */
	struct linestore *parent_lines; /* all its files, sorted */
	struct commit *commit;	 /* sizes; takes the damaged pages */
	pg_lsn start_lsn;
	uint64_t fingerprint_seed;
	int compress_level;
	unsigned jobs;
	atomic_ullong *done_bytes;
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
};

struct streamcopy;

int streamcopy_new(struct streamcopy **out, const struct streamcopy_params *p,
    struct err *err) ERR_USE;
void streamcopy_free(struct streamcopy *c); /* NULL is fine */

/* Takes the whole content of the member from the archive. */
int streamcopy_file(struct streamcopy *c, const struct streamtar_member *m,
    struct streamtar *tar, struct err *err) ERR_USE;

/* Wait for the workers, and have all packs put. */
int streamcopy_finish(struct streamcopy *c, struct err *err) ERR_USE;

/*
 * Pages that failed their checksum, into the commit. One that was written
 * between start and stop was being written when the server read it: recovery
 * brings it back from its image in WAL.
 */
void streamcopy_damage(struct streamcopy *c, pg_lsn stop_lsn);

#endif
