/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_CHUNKINDEX_H
#define DUMP_CHUNKINDEX_H

/*
 * The chunks that an item may refer to, found by their content.
 *
 *	x = chunkindex_new(memory);
 *	chunkindex_add(x, chunks, n, err);	as often as needed
 *	chunkindex_seal(x);
 *	chunkindex_find(x, &like, &out);	any thread
 *	chunkindex_free(x);
 *
 * Of each chunk 8 bytes are in memory; the other 36 are too as long as they
 * take no more than `memory` bytes, and from then on all in a file without a
 * name in TMPDIR, of which one read a hit is wanted. A table of 1 TB: 32 MB
 * in memory, 150 MB in the file.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "repo/chunklist.h"

#define CHUNKINDEX_MEMORY_DEFAULT ((size_t)2 << 20)

struct chunkindex;
struct chunkindex *chunkindex_new(size_t memory);
void chunkindex_free(struct chunkindex *x); /* NULL is fine */

int chunkindex_add(struct chunkindex *x, const struct dump_chunk *chunks,
    size_t n, struct err *err) ERR_USE;
void chunkindex_seal(struct chunkindex *x);

/*
 * One with the same length, hash and CRC. False: there is none, or the file
 * could not be read (said so): then it is stored again.
 */
bool chunkindex_find(const struct chunkindex *x,
    const struct dump_chunk *like, struct dump_chunk *out);

#endif
