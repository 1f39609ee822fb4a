/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/chunklist.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/mem.h"
#include "repo/cursor.h"
#include "repo/format_packs.h"

#define LIST_VERSION 1
#define CHUNK_SIZE_MIN (4 + DUMP_CHUNK_HASH_SIZE + 4)

void
dump_chunk_hash(const void *plain, size_t len, uint64_t seed,
    uint8_t out[DUMP_CHUNK_HASH_SIZE])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical,
	    XXH3_128bits_withSeed(plain, len, seed));
	memcpy(out, canonical.digest, DUMP_CHUNK_HASH_SIZE);
}

void
chunk_list_encode(const struct pack_id *packs, uint32_t n_packs,
    const struct dump_chunk *chunks, uint32_t n, struct buf *out)
{
	uint32_t i;

	buf_add_le32(out, LIST_VERSION);
	pack_list_encode(packs, n_packs, out);
	buf_add_le32(out, n);
	for (i = 0; i < n; i++) {
		buf_add_leb128(out, chunks[i].pack);
		buf_add_leb128(out, chunks[i].frame);
		buf_add_leb128(out, chunks[i].bytes);
		buf_add_leb128(out, chunks[i].rows);
		buf_add(out, chunks[i].hash, sizeof(chunks[i].hash));
		buf_add_le32(out, chunks[i].crc);
	}
}

static void
decode_chunk(struct cursor *c, uint32_t n_packs, struct dump_chunk *out)
{
	const uint8_t *hash;

	out->pack = (uint32_t)cursor_leb128(c, UINT32_MAX);
	out->frame = (uint32_t)cursor_leb128(c, UINT32_MAX);
	out->bytes = (uint32_t)cursor_leb128(c, FORMAT_FRAME_PLAIN_MAX);
	out->rows = (uint32_t)cursor_leb128(c, FORMAT_FRAME_PLAIN_MAX);
	hash = cursor_bytes(c, sizeof(out->hash));
	out->crc = cursor_le32(c);
	if (hash == NULL || out->pack >= n_packs || out->bytes == 0)
		c->bad = true;
	else
		memcpy(out->hash, hash, sizeof(out->hash));
}

int
chunk_list_decode(const uint8_t *data, size_t len, struct pack_id **packs,
    uint32_t *n_packs, struct dump_chunk **chunks, uint32_t *n,
    struct err *err)
{
	struct cursor c = { data, len, false };
	uint32_t version = cursor_le32(&c), i;

	*packs = NULL;
	*chunks = NULL;
	*n_packs = *n = 0;
	if (!c.bad && version != LIST_VERSION)
		return err_set(err, ERR_UNSUPPORTED,
		    "the chunk list has version %u, this program knows %d",
		    version, LIST_VERSION);
	*packs = pack_list_decode(&c, n_packs);
	*n = cursor_le32(&c);
	if (!c.bad && *n <= c.left / CHUNK_SIZE_MIN) {
		*chunks = xcalloc((size_t)*n + 1, sizeof(**chunks));
		for (i = 0; i < *n && !c.bad; i++)
			decode_chunk(&c, *n_packs, &(*chunks)[i]);
	}
	if (!c.bad && *chunks != NULL && c.left == 0) {
		for (i = 0; i < *n_packs; i++)
			(*packs)[i].kind = REPO_DUMP;
		return 0;
	}
	free(*packs);
	free(*chunks);
	*packs = NULL;
	*chunks = NULL;
	*n_packs = *n = 0;
	return err_set(err, ERR_DAMAGED, "the chunk list makes no sense");
}
