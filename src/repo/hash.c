/* SPDX-License-Identifier: PostgreSQL */
/*
 * xxHash is compiled in from its header rather than linked: calls for single
 * pages are short, and the program starts without one more library.
 */
#include "config.h"

#include "repo/hash.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/mem.h"

struct hash_128_stream {
	XXH3_state_t *state;
};

uint64_t
hash_64(const void *data, size_t len, uint64_t seed)
{
	return seed == 0 ? XXH3_64bits(data, len) :
			   XXH3_64bits_withSeed(data, len, seed);
}

static void
canonical(XXH128_hash_t hash, uint8_t out[HASH_128_SIZE])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, hash);
	memcpy(out, c.digest, HASH_128_SIZE);
}

void
hash_128(const void *data, size_t len, uint8_t out[HASH_128_SIZE])
{
	canonical(XXH3_128bits(data, len), out);
}

struct hash_128_stream *
hash_128_stream_new(void)
{
	struct hash_128_stream *s = xcalloc(1, sizeof(*s));

	s->state = XXH3_createState(); /* aligned to 64 bytes */
	if (s->state == NULL)
		abort(); /* out of memory, as in core/mem */
	(void)XXH3_128bits_reset(s->state); /* fails for NULL only */
	return s;
}

void
hash_128_stream_add(struct hash_128_stream *s, const void *data, size_t len)
{
	(void)XXH3_128bits_update(s->state, data, len); /* as above */
}

void
hash_128_stream_finish(struct hash_128_stream *s, uint8_t out[HASH_128_SIZE])
{
	canonical(XXH3_128bits_digest(s->state), out);
	hash_128_stream_free(s);
}

void
hash_128_stream_free(struct hash_128_stream *s)
{
	if (s == NULL)
		return;
	(void)XXH3_freeState(s->state); /* always XXH_OK */
	memset(s, 0, sizeof(*s));
	free(s);
}
