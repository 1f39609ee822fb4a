/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHSTORE_H
#define WAL_PUSHSTORE_H

/*
 * Internal to src/wal: the content of one file, read, hashed, compressed and
 * written as a WAL object (FORMAT.md section 8).
 *
 *	wal_pushstore_new(&ps, f, fd, size, err);
 *	wal_pushstore_begin(ps, true, hash, err);  reads; threads compress
 *	wal_pushstore_put(ps, generation, &stored, err);
 *	wal_pushstore_free(ps);		     also in place of a put
 *
 * Memory: a few pieces of content (1 MiB each), one part's compressed pieces
 * (16 MiB at most), and the zstd contexts, whatever the size of the file. A
 * longer file than one part is read twice.
 */
#include "repo/walstore.h"
#include "wal/pushfile.h"

struct wal_pushstore;

/* fd stays the caller's and must stay open. */
int wal_pushstore_new(struct wal_pushstore **out,
    const struct wal_push_file *f, int fd, uint64_t size,
    struct err *err) ERR_USE;
void wal_pushstore_free(struct wal_pushstore *ps); /* NULL is fine */

int wal_pushstore_fd(const struct wal_pushstore *ps);

/*
 * Once. The hash of the content comes out. compress: a put is likely, so the
 * threads may begin at once; otherwise (something is stored under the name)
 * the file is only hashed, and read again if it is put.
 */
int wal_pushstore_begin(struct wal_pushstore *ps, bool compress,
    uint8_t hash[WAL_HASH_SIZE], struct err *err) ERR_USE;

/* After begin: the content's XXH3-128, for what stays on this host. */
void wal_pushstore_content(const struct wal_pushstore *ps,
    uint8_t out[WAL_HASH_SIZE]);

/*
 * Once, after begin. ERR_EXISTS: an object of that generation has come into
 * being meanwhile. ERR_DAMAGED: the file changed while it was read.
 */
int wal_pushstore_put(struct wal_pushstore *ps, uint32_t generation,
    uint64_t *stored_bytes, struct err *err) ERR_USE;

#endif
