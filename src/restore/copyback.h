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
 * Small files are collected and read in the order of the packs; a large file
 * is one worker's. Within 32 MiB of a file each frame is fetched and decoded
 * once, however its blocks are scattered, neighbouring frames by one request.
 * Every frame is checked (its own hash, whose file's and which blocks it
 * is), and each whole file against the manifest's CRC and size.
 *
 * With `delta` what is there is compared first, block by block with the
 * packs' page sums, and only what differs is fetched and written.
 *
 * Memory does not grow with the number of files: 8192 small ones wait at
 * most, 2 jobs a worker are queued, each with its file's map (24 bytes a run:
 * 3 MiB for a file of 1 GiB of which no two pages lie together), and a
 * worker has 8 MiB for frames and 50 bytes for each block of 32 MiB; over a
 * network there are four times as many workers, up to 16, with 20 MiB each.
 * Page sums take 64 MiB at most. Called by one thread, makes its own.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/manifest.h"
#include "repo/repo.h"
#include "restore/damage.h"
#include "restore/restore.h"

struct copyback_params {
	struct repo *repo; /* for the calling thread; workers get clones */
	const struct incarnation *inc;
	const struct commit *backup; /* sizes of packs, block size */
	int dir; /* descriptor of the destination directory */
	const char *dir_name; /* for messages */
	unsigned jobs;
	bool delta; /* files may be there */
	struct damage *damage; /* takes what is lost; NULL: it is an error */
	struct restore_progress *progress;
	void (*tick)(void *arg); /* may be NULL */
	void *tick_arg;
};

/* What was done, up to now; whole after copyback_finish(). */
struct copyback_counts {
	atomic_ullong equal_bytes, written_bytes;
	atomic_ullong equal_files, changed_files, new_files;
};

struct copyback;

int copyback_new(struct copyback **out, const struct copyback_params *params,
    struct err *err) ERR_USE;

/*
 * FILE or CONFIG. The directory it lies in exists; its path was checked. With
 * delta nothing but a file or a link may be there under its name; what is no
 * plain file of our own, or has other names, is replaced and not written to.
 */
int copyback_file(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *entry, struct err *err) ERR_USE;

/* The whole of a file (at most the buffer's ceiling) in this thread. */
int copyback_read(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *entry, struct buf *out,
    struct err *err) ERR_USE;

int copyback_finish(struct copyback *cb, struct err *err) ERR_USE;
const struct copyback_counts *copyback_counts(const struct copyback *cb);
void copyback_free(struct copyback *cb); /* NULL is fine */

#endif
