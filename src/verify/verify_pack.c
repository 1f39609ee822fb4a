/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "verify/verify_pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/hash.h"
#include "repo/packsums.h"

#define SUM_SIZE 12
#define ZSTD_DESCRIPTOR 4     /* after a zstd frame's magic */
#define ZSTD_UNUSED_BIT 0x10 /* RFC 8878, 3.1.1.1.1: written as 0 */

struct pack_checker {
	struct repo *repo;
	uint64_t seed; /* of the pack's fingerprints */
	struct frame_codec *codec;
	uint8_t *plain;
	struct page_sum *page; /* of a frame's blocks */
	uint64_t *blocks;
	size_t blocks_max;
	struct buf sums;   /* what the page-sum frames should hold */
	struct buf stored; /* and what they hold */
	struct pack_frame *frames;
	uint32_t n, cap;
	struct buf crcs, lists; /* uint32_t, uint64_t */
	struct pack_facts facts;
	bool dump; /* the pack at hand is a dump's */
};

struct pack_checker *
pack_checker_new(struct repo *repo)
{
	struct pack_checker *c = xcalloc(1, sizeof(*c));

	c->repo = repo;
	c->codec = frame_codec_new(1);
	c->plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	buf_init(&c->sums, 4 * FORMAT_FRAME_PLAIN_MAX);
	buf_init(&c->stored, 4 * FORMAT_FRAME_PLAIN_MAX);
	buf_init(&c->crcs, STORAGE_OBJECT_MAX);
	buf_init(&c->lists, STORAGE_OBJECT_MAX);
	return c;
}

void
pack_checker_free(struct pack_checker *c)
{
	if (c == NULL)
		return;
	frame_codec_free(c->codec);
	free(c->plain);
	free(c->page);
	free(c->blocks);
	free(c->frames);
	buf_free(&c->sums);
	buf_free(&c->stored);
	buf_free(&c->crcs);
	buf_free(&c->lists);
	free(c);
}

static void
reset(struct pack_checker *c, uint32_t block_size)
{
	const size_t max = block_size == 0 ? 0 :
	    FORMAT_FRAME_PLAIN_MAX / block_size + 1;

	if (max > c->blocks_max) {
		c->blocks_max = max;
		c->page = xreallocarray(c->page, max, sizeof(*c->page));
		c->blocks = xreallocarray(c->blocks, max,
		    sizeof(*c->blocks));
	}
	buf_clear(&c->sums);
	buf_clear(&c->stored);
	buf_clear(&c->crcs);
	buf_clear(&c->lists);
	c->n = 0;
	memset(&c->facts, 0, sizeof(c->facts));
	c->facts.block_size = block_size;
}

static struct pack_frame *
add_frame(struct pack_checker *c)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 256 : 2 * c->cap;
		c->frames = xreallocarray(c->frames, c->cap,
		    sizeof(*c->frames));
	}
	memset(&c->frames[c->n], 0, sizeof(*c->frames));
	c->frames[c->n].list = FACTS_NO_LIST;
	return &c->frames[c->n++];
}

/* The CRCs of a frame's blocks, and what they give together. */
static void
add_crcs(struct pack_checker *c, struct pack_frame *f, uint32_t n)
{
	const uint32_t bs = c->facts.block_size, shift = crc32c_shift(bs);
	uint32_t i, len;

	f->n = n;
	f->crcs = (uint32_t)(c->crcs.len / sizeof(uint32_t));
	for (i = 0; i < n; i++) {
		buf_add(&c->crcs, &c->page[i].crc, sizeof(uint32_t));
		len = f->plain_len - i * bs;
		f->crc = i == 0 ? c->page[i].crc :
		    len >= bs ? crc32c_combine_shift(f->crc, c->page[i].crc,
			shift) :
		    crc32c_combine(f->crc, c->page[i].crc, len);
	}
}

static int
check_file_frame(struct pack_checker *c, const struct frame_header *h,
    struct pack_frame *f, struct err *err)
{
	const uint32_t bs = c->facts.block_size;
	const size_t max = (h->plain_len + (size_t)bs - 1) / bs;
	size_t n = 0;
	uint8_t *p;
	uint32_t i;

	if (h->block_size != bs || h->plain_len == 0 || h->path_len == 0)
		return err_set(err, ERR_DAMAGED,
		    "%u bytes in blocks of %u of \"%.*s\" make no sense",
		    h->plain_len, h->block_size,
		    (int)(h->path_len > 200 ? 200 : h->path_len), h->path);
	if (frame_blocks_decode(h, c->blocks, max, &n, err) != 0)
		return -1;
	if (n != max)
		return err_set(err, ERR_DAMAGED,
		    "%zu blocks are listed and %zu are there", n, max);
	(void)page_sums(c->plain, h->plain_len, bs, c->seed,
	    c->page);
	f->path_hash = hash_64(h->path, h->path_len, 0);
	f->first = h->position;
	if (h->blocks_len > 0) {
		f->list = (uint32_t)(c->lists.len / sizeof(uint64_t));
		buf_add(&c->lists, c->blocks, n * sizeof(uint64_t));
	}
	add_crcs(c, f, (uint32_t)n);
	c->facts.plain += h->plain_len;
	p = buf_reserve(&c->sums, 8 + n * SUM_SIZE);
	if (p == NULL)
		return 0; /* the comparison tells */
	put_le32(p, h->number);
	put_le32(p + 4, (uint32_t)n);
	for (i = 0, p += 8; i < n; i++, p += SUM_SIZE) {
		put_le64(p, c->page[i].fingerprint);
		put_le32(p + 8, c->page[i].crc);
	}
	c->sums.len += 8 + n * SUM_SIZE;
	return 0;
}

static int
check_map_frame(struct pack_checker *c, const struct frame_header *h,
    struct err *err)
{
	struct pack_id *packs = NULL;
	struct map_run *runs = NULL;
	uint32_t n_packs, n_runs;

	if (map_decode(c->plain, h->plain_len, &packs, &n_packs, &runs,
		&n_runs, err) != 0)
		return -1;
	free(packs);
	free(runs);
	c->facts.plain += h->plain_len;
	return 0;
}

uint64_t
pack_half_hash(const uint8_t hash[DUMP_CHUNK_HASH_SIZE])
{
	return get_le64(hash);
}

static int
check_chunk_frame(struct pack_checker *c, const struct frame_header *h,
    struct pack_frame *f, struct err *err)
{
	uint8_t hash[DUMP_CHUNK_HASH_SIZE];
	const uint8_t *p = c->plain, *end = c->plain + h->plain_len;

	if (h->block_size != 0 || h->position != 0 || h->plain_len == 0 ||
	    h->path_len == 0 || h->blocks_len > 0)
		return err_set(err, ERR_DAMAGED, "a chunk of %u bytes of "
		    "\"%.*s\" makes no sense", h->plain_len,
		    (int)(h->path_len > 200 ? 200 : h->path_len), h->path);
	dump_chunk_hash(c->plain, h->plain_len, c->seed,
	    hash);
	f->path_hash = hash_64(h->path, h->path_len, 0);
	f->first = pack_half_hash(hash);
	f->crc = crc32c(c->plain, h->plain_len);
	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		f->n++;
	c->facts.plain += h->plain_len;
	return 0;
}

static int
check_list_frame(struct pack_checker *c, const struct frame_header *h,
    struct err *err)
{
	struct dump_chunk *chunks = NULL;
	struct pack_id *packs = NULL;
	uint32_t n_packs, n;

	if (chunk_list_decode(c->plain, h->plain_len, &packs, &n_packs,
		&chunks, &n, err) != 0)
		return -1;
	free(packs);
	free(chunks);
	c->facts.plain += h->plain_len;
	return 0;
}

/* A bit that decoders ignore: nobody could tell that it flipped. */
static int
check_descriptor(const uint8_t *data, const struct frame_header *h,
    struct err *err)
{
	const uint8_t *payload = data + frame_header_size(h);

	if (h->type == FRAME_SUMS || h->type == FRAME_MAP ||
	    h->type == FRAME_CHUNK_LIST)
		payload += 8;
	if (payload[ZSTD_DESCRIPTOR] & ZSTD_UNUSED_BIT)
		return err_set(err, ERR_DAMAGED,
		    "the zstd frame's unused bit is set");
	return 0;
}

static int
check_content(struct pack_checker *c, const struct frame_header *h,
    struct pack_frame *f, struct err *err)
{
	const bool dump = h->type == FRAME_DUMP ||
	    h->type == FRAME_CHUNK_LIST;

	if (dump != c->dump)
		return err_set(err, ERR_DAMAGED,
		    "a frame of type %u has no place in a %s's pack",
		    (unsigned)h->type, c->dump ? "dump" : "backup");
	switch (h->type) {
	case FRAME_FILE:
		return check_file_frame(c, h, f, err);
	case FRAME_MAP:
		return check_map_frame(c, h, err);
	case FRAME_SUMS:
		buf_add(&c->stored, c->plain, h->plain_len);
		return 0;
	case FRAME_DUMP:
		return check_chunk_frame(c, h, f, err);
	case FRAME_CHUNK_LIST:
		return check_list_frame(c, h, err);
	case FRAME_MANIFEST:
	case FRAME_WAL:
	case FRAME_WAL_SUMMARY:
	default:
		return err_set(err, ERR_DAMAGED,
		    "a frame of type %u has no place in a pack",
		    (unsigned)h->type);
	}
}

static int
check_one(struct pack_checker *c, struct object_reader *r, uint32_t number,
    struct err *err)
{
	const uint8_t *data = r->bytes + r->entries[number].offset;
	struct pack_frame *f = add_frame(c);
	struct frame_header h;

	f->type = r->entries[number].type;
	f->plain_len = r->entries[number].plain_len;
	f->bad = true;
	if (object_reader_decode(r, c->codec, number, data, &h, c->plain,
		FORMAT_FRAME_PLAIN_MAX, err) != 0)
		return -1;
	if ((h.cipher == 0 && check_descriptor(data, &h, err) != 0) ||
	    check_content(c, &h, f, err) != 0)
		return err_wrap(err, "%s: frame %u", r->key, number);
	f->bad = false;
	return 0;
}

static int
check_sums(const struct pack_checker *c, const char *name, struct err *err)
{
	if (!c->sums.overflow && !c->stored.overflow &&
	    c->sums.len == c->stored.len && (c->sums.len == 0 ||
	    memcmp(c->sums.data, c->stored.data, c->sums.len) == 0))
		return 0;
	return err_set(err, ERR_DAMAGED, "%s: its page sums are not those of "
	    "its blocks", name);
}

static void
finish(struct pack_checker *c)
{
	c->facts.frames = c->frames;
	c->facts.n = c->n;
	c->facts.crcs = (const uint32_t *)(void *)c->crcs.data;
	c->facts.lists = (const uint64_t *)(void *)c->lists.data;
}

static int
check_identity(const struct object_reader *r, const struct pack_id *id,
    struct err *err)
{
	const struct object_header *h = &r->header;

	if (h->has_pack && h->attempt == id->attempt &&
	    h->number == id->number && strcmp(h->name, id->label) == 0)
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "%s holds another pack: %s, attempt %u, number %u", r->key,
	    h->name, h->attempt, h->number);
}

int
pack_check(struct pack_checker *c, const uint8_t *bytes, size_t len,
    const char *name, const struct pack_id *id, const struct incarnation *inc,
    uint32_t block_size, const struct pack_facts **facts, struct err *err)
{
	struct err why = ERR_INIT;
	struct object_reader r;
	uint32_t i, bad = 0;
	int ret = -1;

	*facts = NULL;
	c->dump = id->kind == REPO_DUMP;
	if (c->dump ? block_size != 0 :
	    block_size < 512 || block_size > FORMAT_FRAME_PLAIN_MAX)
		return err_set(err, ERR_DAMAGED, "%s: block size %u", name,
		    block_size);
	reset(c, block_size);
	c->facts.paths = true;
	if (object_reader_open_bytes(&r, c->repo, bytes, len, name, OBJECT_PACK, inc->system_id, err) != 0)
		return -1;
	if (check_identity(&r, id, err) != 0 ||
	    object_reader_unlock(&r, err) != 0)
		goto out;
	c->seed = r.seed;
	for (i = 0; i < r.n; i++) {
		if (check_one(c, &r, i, bad == 0 ? err : &why) == 0)
			continue;
		bad++;
	}
	finish(c);
	*facts = &c->facts;
	if (bad > 1)
		err_wrap(err, "%u bad frames, the first", bad);
	if (bad == 0)
		ret = check_sums(c, name, err);
out:
	object_reader_close(&r);
	return ret;
}

/* What a dump's pack says of itself. */
static int
check_index(struct pack_checker *c, struct pack_cache *cache,
    const struct pack_id *id, uint64_t size, const struct pack_facts **facts,
    struct err *err)
{
	struct object_reader *r;
	struct pack_frame *f;
	uint32_t i;

	if (pack_cache_open(cache, id, size, &r, err) != 0)
		return -1;
	reset(c, 0);
	for (i = 0; i < r->n; i++) {
		f = add_frame(c);
		f->type = r->entries[i].type;
		f->plain_len = r->entries[i].plain_len;
		c->facts.plain += f->plain_len;
	}
	finish(c);
	*facts = &c->facts;
	return 0;
}

int
pack_check_light(struct pack_checker *c, struct pack_cache *cache,
    const struct pack_id *id, uint64_t size, uint32_t block_size,
    const struct pack_facts **facts, struct err *err)
{
	struct object_reader *r;
	struct pack_sums *sums = NULL;
	const struct page_sum *list;
	struct pack_frame *f;
	uint32_t i, n;

	*facts = NULL;
	if (id->kind == REPO_DUMP)
		return check_index(c, cache, id, size, facts, err);
	if (pack_sums_read(cache, id, size, &sums, err) != 0)
		return -1;
	if (pack_cache_open(cache, id, size, &r, err) != 0) {
		pack_sums_free(sums);
		return -1;
	}
	reset(c, block_size);
	for (i = 0; i < r->n; i++) {
		f = add_frame(c);
		f->type = r->entries[i].type;
		f->plain_len = r->entries[i].plain_len;
		if (f->type == FRAME_MAP || f->type == FRAME_FILE)
			c->facts.plain += f->plain_len;
		list = pack_sums_frame(sums, i, &n);
		if (f->type != FRAME_FILE)
			continue;
		f->bad = n != (f->plain_len + (uint64_t)block_size - 1) /
		    block_size || n > c->blocks_max;
		if (f->bad || n == 0)
			continue;
		memcpy(c->page, list, n * sizeof(*list));
		add_crcs(c, f, n);
	}
	pack_sums_free(sums);
	finish(c);
	*facts = &c->facts;
	return 0;
}

int
pack_checker_keep(const struct pack_checker *c, struct facts_store *store,
    const struct pack_facts **out, struct err *err)
{
	return facts_store_keep(store, &c->facts,
	    (uint32_t)(c->crcs.len / sizeof(uint32_t)),
	    (uint32_t)(c->lists.len / sizeof(uint64_t)), out, err);
}
