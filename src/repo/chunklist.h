/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_CHUNKLIST_H
#define REPO_CHUNKLIST_H

/*
 * Where the content of a dump's item is (FORMAT.md section 5.1): a list of
 * chunks, each one frame of type 6, in order. Pure; thread safe.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "repo/format.h"

#define DUMP_CHUNK_HASH_SIZE 16

struct dump_chunk {
	uint32_t pack;	/* index into a list of struct pack_id */
	uint32_t frame;
	uint32_t bytes; /* plain, 1 to 1 MiB */
	uint32_t rows;	/* that end in it; when not 0, it ends with a row */
	uint8_t hash[DUMP_CHUNK_HASH_SIZE]; /* dump_chunk_hash() */
	uint32_t crc;
};

/* Of the plain bytes, with the repository's seed: canonical XXH3-128. */
void dump_chunk_hash(const void *plain, size_t len, uint64_t seed,
    uint8_t out[DUMP_CHUNK_HASH_SIZE]);

/* As many chunks as always fit one frame. */
#define CHUNK_LIST_MAX 8192

void chunk_list_encode(const struct pack_id *packs, uint32_t n_packs,
    const struct dump_chunk *chunks, uint32_t n, struct buf *out);

/* The caller frees *packs and *chunks. Packs get kind REPO_DUMP. */
int chunk_list_decode(const uint8_t *data, size_t len,
    struct pack_id **packs, uint32_t *n_packs, struct dump_chunk **chunks,
    uint32_t *n, struct err *err) ERR_USE;

#endif
