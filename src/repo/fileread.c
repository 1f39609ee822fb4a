/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/fileread.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/filemap.h"
#include "repo/pack.h"

#define CACHE_PACKS 64
#define SLOTS 512
#define ZEROS ((size_t)64 << 10)

/* A decoded frame. */
struct slot {
	uint32_t pack, frame; /* pack: index in the table */
	uint64_t used;	      /* when, as a count; 0: free */
	struct buf plain;
	char *path; /* whose blocks it has */
	uint64_t *blocks;
	size_t n_blocks;
};

struct fileread {
	struct repo *repo;
	const struct commit *commit;
	struct pack_table packs;
	struct pack_cache *cache;
	struct filemap map;
	uint32_t block_size;
	struct slot slots[SLOTS];
	size_t last; /* used last */
	size_t bytes;
	uint64_t clock;
	uint64_t *blocks; /* scratch: of a frame */
	uint8_t *zeros;
};

int
fileread_new(struct fileread **out, struct repo *repo,
    const struct commit *commit, struct err *err)
{
	struct fileread *fr;
	size_t i;

	if (commit->block_size == 0 ||
	    FORMAT_FRAME_PLAIN_MAX % commit->block_size != 0)
		return err_set(err, ERR_DAMAGED, "backup %s says that its "
		    "block size is %u", commit->label,
		    (unsigned)commit->block_size);
	fr = xcalloc(1, sizeof(*fr));
	fr->repo = repo;
	fr->commit = commit;
	fr->block_size = commit->block_size;
	pack_table_init(&fr->packs, commit);
	fr->cache = pack_cache_new(repo, &commit->inc, CACHE_PACKS);
	filemap_init(&fr->map);
	for (i = 0; i < SLOTS; i++)
		buf_init(&fr->slots[i].plain, FORMAT_FRAME_PLAIN_MAX);
	fr->blocks = xcalloc(FORMAT_FRAME_PLAIN_MAX / fr->block_size,
	    sizeof(uint64_t));
	fr->zeros = xcalloc(1, ZEROS);
	*out = fr;
	return 0;
}

static void
slot_clear(struct fileread *fr, struct slot *s)
{
	fr->bytes -= s->plain.len;
	buf_free(&s->plain);
	buf_init(&s->plain, FORMAT_FRAME_PLAIN_MAX);
	free(s->path);
	free(s->blocks);
	s->path = NULL;
	s->blocks = NULL;
	s->used = 0;
}

void
fileread_free(struct fileread *fr)
{
	size_t i;

	if (fr == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		slot_clear(fr, &fr->slots[i]);
	pack_table_free(&fr->packs);
	pack_cache_free(fr->cache);
	filemap_free(&fr->map);
	free(fr->blocks);
	free(fr->zeros);
	free(fr);
}

/* A free slot, after the oldest ones made way for one more frame. */
static size_t
slot_take(struct fileread *fr)
{
	size_t i, oldest, unused;

	for (;;) {
		oldest = unused = SLOTS;
		for (i = 0; i < SLOTS; i++) {
			const uint64_t used = fr->slots[i].used;

			if (used == 0)
				unused = i;
			else if (oldest == SLOTS ||
			    used < fr->slots[oldest].used)
				oldest = i;
		}
		if (unused < SLOTS && (oldest == SLOTS ||
			fr->bytes + FORMAT_FRAME_PLAIN_MAX <=
			    FILEREAD_CACHE_BYTES))
			return unused;
		slot_clear(fr, &fr->slots[oldest]);
	}
}

/* Of the header, which is gone with the next call of the cache. */
static int
slot_fill(struct fileread *fr, struct slot *s, const struct frame_header *h,
    struct err *err)
{
	if (h->type != FRAME_FILE || h->block_size != fr->block_size)
		return err_set(err, ERR_DAMAGED, "it holds no blocks of a file");
	if (frame_blocks_decode(h, fr->blocks,
		FORMAT_FRAME_PLAIN_MAX / fr->block_size, &s->n_blocks, err) != 0)
		return -1;
	s->blocks = xcalloc(s->n_blocks + 1, sizeof(uint64_t));
	memcpy(s->blocks, fr->blocks, s->n_blocks * sizeof(uint64_t));
	s->path = xstrndup(h->path, h->path_len);
	return 0;
}

static int
slot_get(struct fileread *fr, uint32_t pack, uint32_t frame,
    struct slot **out, struct err *err)
{
	const struct commit_pack *p = &fr->packs.list[pack];
	struct object_reader *r;
	struct frame_header h;
	struct slot *s;
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		s = &fr->slots[(fr->last + i) % SLOTS];
		if (s->used != 0 && s->pack == pack && s->frame == frame)
			break;
	}
	if (i < SLOTS) {
		fr->last = (fr->last + i) % SLOTS;
	} else {
		fr->last = slot_take(fr);
		s = &fr->slots[fr->last];
		/* Opened with its size, which is then checked too. */
		if (pack_cache_open(fr->cache, &p->id,
			commit_pack_first_size(p), &r, err) != 0) {
			/* The commit names it: its absence is damage. */
			if (err->code == ERR_NOT_FOUND)
				err->code = ERR_DAMAGED;
			return -1;
		}
		if (pack_cache_frame(fr->cache, &p->id, frame, &h, &s->plain,
			err) != 0 || slot_fill(fr, s, &h, err) != 0) {
			buf_clear(&s->plain);
			return err_wrap(err, "%s frame %u", r->key,
			    (unsigned)frame);
		}
		fr->bytes += s->plain.len;
		s->pack = pack;
		s->frame = frame;
	}
	s->used = ++fr->clock;
	*out = s;
	return 0;
}

struct stream {
	struct fileread *fr;
	const struct manifest_entry *e;
	fileread_sink sink;
	void *arg;
	uint64_t at; /* bytes given */
	uint32_t crc;
};

static int
give(struct stream *st, const void *data, size_t len, struct err *err)
{
	st->crc = st->at == 0 ? crc32c(data, len) :
				crc32c_more(st->crc, data, len);
	st->at += len;
	return st->sink(st->arg, data, len, err);
}

static int
give_zeros(struct stream *st, uint64_t len, struct err *err)
{
	size_t n;

	for (; len > 0; len -= n) {
		n = len < ZEROS ? (size_t)len : ZEROS;
		if (cancel_check(err) != 0 ||
		    give(st, st->fr->zeros, n, err) != 0)
			return -1;
	}
	return 0;
}

static int
give_run(struct stream *st, const struct map_run *run, struct err *err)
{
	const struct fileread *fr = st->fr;
	const uint64_t first = st->at / fr->block_size;
	const uint64_t left = st->e->size - st->at;
	uint64_t len = run->blocks * fr->block_size, i;
	struct slot *s = NULL;
	size_t from;

	len = len < left ? len : left;
	if (run->pack == MAP_PACK_ZEROS)
		return give_zeros(st, len, err);
	if (cancel_check(err) != 0 ||
	    slot_get(st->fr, run->pack, run->frame, &s, err) != 0)
		return -1;
	from = (size_t)run->block * fr->block_size;
	if (strcmp(s->path, st->e->path) != 0 || from > s->plain.len ||
	    len > s->plain.len - from || run->block > s->n_blocks ||
	    run->blocks > s->n_blocks - run->block)
		goto other;
	for (i = 0; i < run->blocks; i++)
		if (s->blocks[run->block + i] != first + i)
			goto other;
	return give(st, s->plain.data + from, (size_t)len, err);
other:
	return err_set(err, ERR_DAMAGED, "frame %u of pack %s/%u-%u does not "
	    "hold what the map says", (unsigned)run->frame,
	    fr->packs.list[run->pack].id.label,
	    (unsigned)fr->packs.list[run->pack].id.attempt,
	    (unsigned)fr->packs.list[run->pack].id.number);
}

int
fileread_stream(struct fileread *fr, const struct manifest_reader *reader,
    const struct manifest_entry *e, fileread_sink sink, void *arg,
    struct err *err)
{
	struct stream st = { .fr = fr, .e = e, .sink = sink, .arg = arg };
	size_t i;

	if (filemap_read(&fr->map, &fr->packs, fr->cache, reader, e,
		fr->block_size, err) != 0)
		return err_wrap(err, "%s", e->path);
	for (i = 0; i < fr->map.n; i++)
		if (give_run(&st, &fr->map.runs[i], err) != 0)
			return err_wrap(err, "%s", e->path);
	if (e->size > 0 && st.crc != e->crc)
		return err_set(err, ERR_DAMAGED, "%s of backup %s has CRC "
		    "%08x, the manifest says %08x", e->path,
		    fr->commit->label, (unsigned)st.crc, (unsigned)e->crc);
	return 0;
}

int
fileread_to_buf(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_check(b, "a file", err);
}
