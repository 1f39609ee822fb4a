/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_COPYBACK_H
#define RESTORE_COPYBACK_H

/*
 * Internal to src/restore: files out of packs onto the disk, by workers.
 *
 *	copyback_new(&cb, &params, err)
 *	copyback_file(cb, reader, entry, err)	in any order, once a file
 *	copyback_finish(cb, err)		all is written (not yet synced)
 *	copyback_free(cb)
 *
 * Memory does not grow with the number or size of the files. Small files are
 * collected and read in the order of the packs, neighbouring frames by one
 * request; a large file is one worker's. Every frame is checked
 * (its own hash, whose file's and which blocks it is), and each whole file
 * against the manifest's CRC and size. Called by one thread, makes its own.
 */
#include <stdint.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/manifest.h"
#include "repo/repo.h"
#include "restore/restore.h"

struct copyback_params {
	struct repo *repo; /* for the calling thread; workers get clones */
	const struct incarnation *inc;
	const struct commit *backup; /* sizes of packs, block size */
	int dir; /* descriptor of the destination directory */
	const char *dir_name; /* for messages */
	unsigned jobs;
	struct restore_progress *progress;
	void (*tick)(void *arg); /* may be NULL */
	void *tick_arg;
};

struct copyback;

int copyback_new(struct copyback **out, const struct copyback_params *params,
    struct err *err) ERR_USE;

/* FILE or CONFIG. The directory it lies in exists; its path was checked. */
int copyback_file(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *entry, struct err *err) ERR_USE;

/* The whole of a file (at most the buffer's ceiling) in this thread. */
int copyback_read(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *entry, struct buf *out,
    struct err *err) ERR_USE;

int copyback_finish(struct copyback *cb, struct err *err) ERR_USE;
void copyback_free(struct copyback *cb); /* NULL is fine */

#endif
