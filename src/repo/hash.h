/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_HASH_H
#define REPO_HASH_H

/* XXH3 as the format uses it. Pure; a stream serves one thread. */
#include <stddef.h>
#include <stdint.h>

#define HASH_128_SIZE 16

uint64_t hash_64(const void *data, size_t len, uint64_t seed);

/* In canonical (big-endian) form: what a WAL object's name holds. */
void hash_128(const void *data, size_t len, uint8_t out[HASH_128_SIZE]);

/* The same over pieces: new, add.., finish (which also frees). */
struct hash_128_stream;
struct hash_128_stream *hash_128_stream_new(void);
void hash_128_stream_add(struct hash_128_stream *s, const void *data,
    size_t len);
void hash_128_stream_finish(struct hash_128_stream *s,
    uint8_t out[HASH_128_SIZE]);
void hash_128_stream_free(struct hash_128_stream *s); /* unfinished; NULL */

#endif
