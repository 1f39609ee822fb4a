/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PACKSUMS_H
#define REPO_PACKSUMS_H

/*
 * The page sums of packs (FORMAT.md section 6), and a cache of them that
 * several threads share.
 *
 *	cache = sums_cache_new(bytes);
 *	sums_cache_get(cache, packs, &id, size, &sums, err);
 *	list = pack_sums_frame(sums, frame, &n);
 *	sums_cache_put(cache, sums);
 *
 * What was got stays valid until it is put back. The cache holds at most
 * `bytes` beyond what its users hold. A pack takes 16 bytes a block and 4 a
 * frame.
 */
#include <stdint.h>

#include "core/err.h"
#include "repo/pack.h"

struct pack_sums {
	uint32_t n_frames;     /* of the pack */
	uint32_t *first;       /* n_frames + 1: where each begins in list */
	struct page_sum *list; /* of all blocks */
	uint64_t seed;	       /* of their fingerprints */
	void *entry;	       /* the cache's own */
};

/* The frame's blocks in order; NULL (*n 0): it has none. */
static inline const struct page_sum *
pack_sums_frame(const struct pack_sums *s, uint32_t frame, uint32_t *n)
{
	*n = frame < s->n_frames ? s->first[frame + 1] - s->first[frame] : 0;
	return *n == 0 ? NULL : s->list + s->first[frame];
}

/* size: the commit's, 0: not known. The caller frees *out. */
int pack_sums_read(struct pack_cache *packs, const struct pack_id *id,
    uint64_t size, struct pack_sums **out, struct err *err) ERR_USE;
void pack_sums_free(struct pack_sums *s); /* NULL is fine */

struct sums_cache;
struct sums_cache *sums_cache_new(size_t bytes);
void sums_cache_free(struct sums_cache *c); /* NULL is fine; all put back */

/*
 * packs is the calling thread's own. A pack that is damaged or absent stays
 * so: it is not tried again.
 */
int sums_cache_get(struct sums_cache *c, struct pack_cache *packs,
    const struct pack_id *id, uint64_t size, const struct pack_sums **out,
    struct err *err) ERR_USE;
void sums_cache_put(struct sums_cache *c, const struct pack_sums *sums);

#endif
