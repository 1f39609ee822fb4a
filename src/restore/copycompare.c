/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a file holds already, block by block: never by its size or time,
 * which lie (TRAPS T49), but by the fingerprint and the CRC that the pack
 * keeps of each block.
 */
#include "config.h"

#include "restore/copyjob.h"

#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/io.h"
#include "core/log.h"
#include "repo/hash.h"

void
copycompare_forget(struct copyworker *w)
{
	w->old_len = 0;
}

/* The block as it is on disk, or NULL: not there, or not readable. */
static const uint8_t *
old_block(struct copyworker *w, struct copyfile *f, uint64_t block,
    uint32_t len)
{
	const uint64_t at = block * w->cb->block_size;
	struct err e = ERR_INIT;
	size_t want = COPY_OLD_BYTES;

	if (at + len > f->old_size)
		return NULL;
	if (at < w->old_at || at + len > w->old_at + w->old_len) {
		if (want > f->old_size - at)
			want = (size_t)(f->old_size - at);
		w->old_at = at;
		if (io_pread_upto(w->fd, w->old, want, at, &w->old_len,
			f->path, &e) != 0) {
			/* A bad sector: it is written anew. */
			log_err(LOG_WARNING, &e);
			w->old_len = 0;
		}
		if (w->old_len < len)
			return NULL;
	}
	return w->old + (at - w->old_at);
}

/*
 * Sums that cannot be read prove nothing: the blocks are then written anew,
 * and the file's CRC is checked all the same.
 */
static int
get_sums(struct copyworker *w, uint32_t pack, struct err *err)
{
	const struct commit_pack *p = &w->cb->packs.list[pack];

	if (w->sums != NULL && w->sums_pack == pack)
		return 0;
	if (w->sums != NULL)
		sums_cache_put(w->cb->sums, w->sums);
	w->sums = NULL;
	if (sums_cache_get(w->cb->sums, w->cache, &p->id,
		commit_pack_first_size(p), &w->sums, err) != 0) {
		w->sums = NULL;
		if (err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND)
			return -1;
		log_debug("%s", err->msg);
		err_clear(err);
	}
	w->sums_pack = pack;
	return 0;
}

static bool
all_zero(const uint8_t *p, uint32_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void
compare_zeros(struct copyworker *w, struct copyfile *f, uint64_t block,
    size_t n, bool *differs, uint32_t *crcs)
{
	const uint8_t *old;
	uint32_t len;
	size_t i;

	for (i = 0; i < n; i++) {
		len = copy_block_len(w->cb, f, block + i);
		old = old_block(w, f, block + i, len);
		differs[i] = old == NULL || !all_zero(old, len);
		if (!differs[i])
			crcs[i] = crc32c(old, len);
	}
}

int
copycompare_run(struct copyworker *w, struct copyfile *f, uint64_t block,
    const struct map_run *run, uint64_t skip, size_t n, bool *differs,
    uint32_t *crcs, struct err *err)
{
	const struct page_sum *sums = NULL, *s;
	const uint8_t *old;
	uint32_t n_sums = 0, len;
	size_t i;

	if (run->pack == MAP_PACK_ZEROS) {
		compare_zeros(w, f, block, n, differs, crcs);
		return 0;
	}
	if (get_sums(w, run->pack, err) != 0)
		return err_wrap(err, "%s", f->path);
	if (w->sums != NULL)
		sums = pack_sums_frame(w->sums, run->frame, &n_sums);
	for (i = 0; i < n; i++) {
		differs[i] = true;
		if (run->block + skip + i >= n_sums)
			continue;
		len = copy_block_len(w->cb, f, block + i);
		old = old_block(w, f, block + i, len);
		s = &sums[run->block + skip + i];
		if (old == NULL || hash_64(old, len, w->sums->seed) !=
		    s->fingerprint)
			continue;
		crcs[i] = crc32c(old, len);
		differs[i] = crcs[i] != s->crc;
	}
	return 0;
}
