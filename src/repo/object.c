/* SPDX-License-Identifier: PostgreSQL */
/* Frames and the objects made of them (FORMAT.md section 4). */
#include "config.h"

#include "repo/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "repo/hash.h"

#define HIDDEN_HEADER 8
#define INDEX_FIXED 32
#define HEAD_READ ((size_t)4 << 10)
#define TAIL_READ ((size_t)16 << 10)

/* Over a network: what is this small comes whole, by one request. */
#define WHOLE_READ ((size_t)128 << 10)
#define WHOLE_EAGER ((size_t)10 << 20) /* more than an ordinary pack */
#define STREAM_MIN ((size_t)1 << 20)
#define REMOTE_TAIL_READ ((size_t)96 << 10) /* a pack's page sums are in it */
#define AHEAD_MIN ((size_t)256 << 10)
#define AHEAD_MAX ((size_t)4 << 20)

struct frame_codec {
	int level;
	ZSTD_CCtx *cctx; /* NULL until first needed */
	ZSTD_DCtx *dctx;
};

struct frame_codec *
frame_codec_new(int level)
{
	struct frame_codec *c = xcalloc(1, sizeof(*c));

	c->level = level;
	return c;
}

void
frame_codec_free(struct frame_codec *c)
{
	if (c == NULL)
		return;
	(void)ZSTD_freeCCtx(c->cctx); /* these give 0 always */
	(void)ZSTD_freeDCtx(c->dctx);
	free(c);
}

/*
 * zstd's own level 3 takes tables of 768 KiB. Frames are short, so nothing
 * far back can be found in them anyway, and what matters is that the tables
 * stay in a core's second cache: with half a MiB, and matches of 6 bytes up,
 * pages compress 15 % faster and are 0.6 % larger (bench/RESULTS.md).
 */
static size_t
tune_level_3(ZSTD_CCtx *cctx)
{
	static const struct {
		ZSTD_cParameter name;
		int value;
	} tuned[] = { { ZSTD_c_strategy, ZSTD_dfast }, { ZSTD_c_hashLog, 16 },
		{ ZSTD_c_chainLog, 16 }, { ZSTD_c_minMatch, 6 } };
	size_t i, rc = 0;

	for (i = 0; i < sizeof(tuned) / sizeof(tuned[0]) &&
	     !ZSTD_isError(rc); i++)
		rc = ZSTD_CCtx_setParameter(cctx, tuned[i].name,
		    tuned[i].value);
	return rc;
}

static ZSTD_CCtx *
compressor(struct frame_codec *c)
{
	size_t rc;

	if (c->cctx != NULL)
		return c->cctx;
	c->cctx = ZSTD_createCCtx();
	if (c->cctx == NULL)
		return NULL;
	/* One-shot calls store the content's size by themselves. */
	rc = ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel,
	    c->level);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_checksumFlag, 1);
	if (!ZSTD_isError(rc) && c->level == 3)
		rc = tune_level_3(c->cctx);
	if (ZSTD_isError(rc)) {
		(void)ZSTD_freeCCtx(c->cctx);
		c->cctx = NULL;
	}
	return c->cctx;
}

/* Is the payload wrapped, so that `zstd -dc` does not show it? */
static bool
hidden(enum frame_type type)
{
	return type == FRAME_SUMS || type == FRAME_MAP ||
	    type == FRAME_WAL_SUMMARY || type == FRAME_CHUNK_LIST;
}

static size_t
plain_limit(enum frame_type type)
{
	return type == FRAME_WAL ? FORMAT_WAL_PIECE_MAX :
				   FORMAT_FRAME_PLAIN_MAX;
}

int
frame_encode(struct frame_codec *c, struct frame_header *h, const void *plain,
    size_t len, struct buf *out, struct err *err)
{
	size_t head = frame_header_size(h), bound, n;
	size_t wrap = hidden(h->type) ? HIDDEN_HEADER : 0;
	ZSTD_CCtx *cctx = compressor(c);
	uint8_t *p;

	if (cctx == NULL)
		return err_set(err, ERR_BUG, "zstd: no compression at level %d",
		    c->level);
	if (len > plain_limit(h->type) || h->path_len > FORMAT_PATH_MAX ||
	    h->blocks_len > FORMAT_BLOCKS_MAX)
		return err_set(err, ERR_BUG,
		    "a frame of %zu bytes, path of %zu bytes", len,
		    h->path_len);
	bound = ZSTD_compressBound(len);
	p = buf_reserve(out, head + wrap + bound);
	if (p == NULL)
		return buf_check(out, "the object", err);
	n = ZSTD_compress2(cctx, p + head + wrap, bound, plain, len);
	if (ZSTD_isError(n))
		return err_set(err, ERR_BUG, "zstd: %s", ZSTD_getErrorName(n));
	if (wrap > 0) {
		put_le32(p + head, FORMAT_MAGIC_HIDDEN);
		put_le32(p + head + 4, (uint32_t)n);
	}
	h->filter = 0;
	h->compression = 1;
	h->cipher = 0;
	h->plain_len = (uint32_t)len;
	h->payload_len = (uint32_t)(wrap + n);
	h->hash = hash_64(plain, len, 0);
	frame_header_write(h, p);
	out->len += head + wrap + n;
	out->data[out->len] = 0;
	return 0;
}

/* Exactly one zstd frame that says its content's size, nothing behind it. */
static int
decompress(struct frame_codec *c, const uint8_t *data, size_t len,
    const struct frame_header *h, void *plain, struct err *err)
{
	size_t n;

	if (c->dctx == NULL)
		c->dctx = ZSTD_createDCtx();
	if (c->dctx == NULL)
		return err_set(err, ERR_BUG, "zstd: no decompressor");
	n = ZSTD_findFrameCompressedSize(data, len);
	if (ZSTD_isError(n) || n != len ||
	    ZSTD_getFrameContentSize(data, len) != h->plain_len)
		return err_set(err, ERR_DAMAGED,
		    "is not one zstd frame of %u bytes content", h->plain_len);
	n = ZSTD_decompressDCtx(c->dctx, plain, h->plain_len, data, len);
	if (ZSTD_isError(n))
		return err_set(err, ERR_DAMAGED, "zstd: %s",
		    ZSTD_getErrorName(n));
	if (n != h->plain_len)
		return err_set(err, ERR_DAMAGED,
		    "has %zu bytes of content instead of %u", n,
		    h->plain_len);
	if (hash_64(plain, n, 0) != h->hash)
		return err_set(err, ERR_DAMAGED, "its content's hash is wrong");
	return 0;
}

static int
decode(struct frame_codec *c, const uint8_t *data, size_t len,
    struct frame_header *h, void *plain, size_t plain_max, struct err *err)
{
	uint8_t none[1];
	size_t used;

	if (frame_header_decode(data, len, h, &used, err) != 0)
		return -1;
	data += used;
	len -= used;
	if (h->payload_len != len)
		return err_set(err, ERR_DAMAGED,
		    "has %zu bytes of payload instead of %u", len,
		    h->payload_len);
	if (h->cipher != 0) {
		err_set(err, ERR_UNSUPPORTED, "is encrypted");
		return err_hint(err, "use a newer dapk-backup");
	}
	if (h->plain_len > plain_max)
		return err_set(err, ERR_DAMAGED,
		    "claims %u bytes of content, more than %zu", h->plain_len,
		    plain_max);
	if (hidden(h->type)) {
		if (len < HIDDEN_HEADER ||
		    get_le32(data) != FORMAT_MAGIC_HIDDEN ||
		    get_le32(data + 4) != len - HIDDEN_HEADER)
			return err_set(err, ERR_DAMAGED,
			    "its payload is not wrapped as it should be");
		data += HIDDEN_HEADER;
		len -= HIDDEN_HEADER;
	}
	return decompress(c, data, len, h, plain == NULL ? none : plain, err);
}

int
frame_decode(struct frame_codec *c, const uint8_t *data, size_t len,
    struct frame_header *h, void *plain, size_t plain_max, const char *where,
    struct err *err)
{
	if (decode(c, data, len, h, plain, plain_max, err) != 0)
		return err_wrap(err, "%s", where);
	return 0;
}

void
object_writer_init(struct object_writer *w, size_t max,
    const struct object_header *h)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->bytes, max < STORAGE_OBJECT_MAX ? max :
						       STORAGE_OBJECT_MAX);
	object_header_encode(h, &w->bytes);
}

void
object_writer_reset(struct object_writer *w, const struct object_header *h)
{
	w->n = 0;
	buf_clear(&w->bytes);
	object_header_encode(h, &w->bytes);
}

void
object_writer_free(struct object_writer *w)
{
	buf_free(&w->bytes);
	free(w->entries);
	w->entries = NULL;
	w->n = w->cap = 0;
}

size_t
object_writer_size(const struct object_writer *w)
{
	return w->bytes.len + INDEX_FIXED +
	    (size_t)w->n * FORMAT_INDEX_ENTRY_SIZE;
}

static void
add_entry(struct object_writer *w, size_t start, const struct frame_header *h)
{
	struct index_entry *e;

	if (w->n == w->cap) {
		w->cap = w->cap == 0 ? 64 : 2 * w->cap;
		w->entries = xreallocarray(w->entries, w->cap,
		    sizeof(*w->entries));
	}
	e = &w->entries[w->n++];
	e->offset = (uint32_t)start;
	e->length = (uint32_t)(w->bytes.len - start);
	e->plain_len = h->plain_len;
	e->type = (uint8_t)h->type;
}

int
object_writer_add(struct object_writer *w, struct frame_codec *c,
    struct frame_header *h, const void *plain, size_t len, struct err *err)
{
	size_t start = w->bytes.len;

	h->number = w->n;
	if (frame_encode(c, h, plain, len, &w->bytes, err) != 0)
		return -1;
	add_entry(w, start, h);
	return 0;
}

int
object_writer_add_encoded(struct object_writer *w, const uint8_t *frame,
    size_t len, const struct frame_header *h, struct err *err)
{
	size_t start = w->bytes.len;

	if (h->number != w->n || frame_header_size(h) + h->payload_len != len)
		return err_set(err, ERR_BUG,
		    "frame %u of %zu bytes is added as number %u", h->number,
		    len, w->n);
	buf_add(&w->bytes, frame, len);
	if (buf_check(&w->bytes, "the object", err) != 0)
		return -1;
	add_entry(w, start, h);
	return 0;
}

int
object_writer_finish(struct object_writer *w, struct err *err)
{
	index_encode(w->entries, w->n, (uint32_t)w->bytes.len, &w->bytes);
	return buf_check(&w->bytes, "the object", err);
}

static bool
in_window(const struct object_window *w, uint64_t off, size_t len,
    const uint8_t **out)
{
	if (w->bytes.len == 0 || off < w->off ||
	    off - w->off > w->bytes.len || len > w->bytes.len - (off - w->off))
		return false;
	*out = w->bytes.data + (off - w->off);
	return true;
}

static int
fetch(const struct object_reader *r, uint64_t off, size_t len, struct buf *b,
    struct err *err)
{
	uint8_t *p;

	buf_clear(b);
	p = buf_reserve(b, len);
	if (p == NULL)
		return buf_check(b, r->key, err);
	if (storage_get(r->st, r->key, off, len, p, err) != 0)
		return -1;
	b->len = len;
	return 0;
}

/* Fill a window and give the part of it that is meant. */
static int
fill(const struct object_reader *r, struct object_window *w, uint64_t off,
    size_t len, struct err *err)
{
	if (fetch(r, off, len, &w->bytes, err) != 0) {
		buf_clear(&w->bytes);
		return -1;
	}
	w->off = off;
	return 0;
}

/*
 * Who reads one frame after another gets the next ones with it, the more the
 * longer that goes on. 0: nothing is fetched ahead.
 */
static size_t
ahead_of(struct object_reader *r, uint64_t off, size_t len)
{
	size_t step = off == r->next ? r->step : 0;

	r->next = off + len;
	r->step = step == 0 ? AHEAD_MIN :
	    2 * step < AHEAD_MAX ? 2 * step : AHEAD_MAX;
	if (step <= len)
		return 0;
	return step < r->size - off ? step : (size_t)(r->size - off);
}

/*
 * Bytes off..off+len of the object: b keeps what was read, unless it was in
 * memory already.
 */
static int
read_range(struct object_reader *r, uint64_t off, size_t len, struct buf *b,
    const uint8_t **out, struct err *err)
{
	size_t more;

	if (off > r->size || len > r->size - off)
		return err_set(err, ERR_DAMAGED, "%s has only %llu bytes",
		    r->key, (unsigned long long)r->size);
	if (r->bytes != NULL) {
		*out = r->bytes + off;
		return 0;
	}
	more = r->remote && b == &r->scratch ? ahead_of(r, off, len) : 0;
	if (in_window(&r->head, off, len, out) ||
	    in_window(&r->tail, off, len, out) ||
	    in_window(&r->ahead, off, len, out))
		return 0;
	if (more > len) {
		if (fill(r, &r->ahead, off, more, err) != 0)
			return -1;
		*out = r->ahead.bytes.data;
		return 0;
	}
	if (fetch(r, off, len, b, err) != 0)
		return -1;
	*out = b->data;
	return 0;
}

/* The ends of what comes over a network, which are asked for again. */
static int
read_ends(struct object_reader *r, struct err *err)
{
	size_t head = HEAD_READ, tail = REMOTE_TAIL_READ;

	if (!r->remote || r->size == 0)
		return 0;
	if (r->size <= r->whole)
		return fill(r, &r->head, 0, (size_t)r->size, err);
	if (fill(r, &r->tail, r->size - tail, tail, err) != 0)
		return -1;
	return fill(r, &r->head, 0, head, err);
}

static int
read_header(struct object_reader *r, struct buf *b, size_t *used,
    struct err *err)
{
	size_t len = r->size < HEAD_READ ? (size_t)r->size : HEAD_READ;
	const uint8_t *p;
	uint64_t want;

	if (read_range(r, 0, len, b, &p, err) != 0)
		return -1;
	/* Tags may make it longer than the first read. */
	want = len < 8 ? 0 : 8 + (uint64_t)get_le32(p + 4);
	if (want > len && want <= r->size && want <= FORMAT_OBJECT_HEADER_MAX) {
		len = (size_t)want;
		if (read_range(r, 0, len, b, &p, err) != 0)
			return -1;
	}
	if (object_header_decode(p, len, &r->header, used, err) != 0)
		return err_wrap(err, "%s", r->key);
	return 0;
}

static int
read_index(struct object_reader *r, struct buf *b, struct err *err)
{
	size_t len = r->size < TAIL_READ ? (size_t)r->size : TAIL_READ;
	const uint8_t *p;
	uint32_t offset;
	size_t want;

	if (len < FORMAT_INDEX_TAIL)
		return err_set(err, ERR_DAMAGED, "%s has only %zu bytes",
		    r->key, len);
	if (read_range(r, r->size - len, len, b, &p, err) != 0)
		return -1;
	if (index_find(p + len - FORMAT_INDEX_TAIL, r->size, &offset, err) !=
	    0)
		return err_wrap(err, "%s", r->key);
	want = (size_t)(r->size - offset);
	if (want > len) {
		len = want;
		if (read_range(r, offset, len, b, &p, err) != 0)
			return -1;
	}
	if (index_decode(p + len - want, want, offset, &r->entries, &r->n,
		err) != 0)
		return err_wrap(err, "%s", r->key);
	return 0;
}

static int
check_identity(const struct object_reader *r, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id, struct err *err)
{
	const struct object_header *h = &r->header;

	if (h->type != type)
		return err_set(err, ERR_DAMAGED,
		    "%s is an object of type %u instead of %u", r->key,
		    (unsigned)h->type, (unsigned)type);
	if (memcmp(h->repository_id, repository_id, 16) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s belongs to another repository", r->key);
	if (system_id != 0 && h->system_id != system_id)
		return err_set(err, ERR_DAMAGED,
		    "%s belongs to the cluster with system identifier %llu, "
		    "not %llu", r->key, (unsigned long long)h->system_id,
		    (unsigned long long)system_id);
	if (h->cipher != 0) {
		err_set(err, ERR_UNSUPPORTED, "%s is encrypted", r->key);
		return err_hint(err, "use a newer dapk-backup");
	}
	return 0;
}

static int
open_reader(struct object_reader *r, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id, struct err *err)
{
	struct buf b;
	size_t used;
	uint64_t first;
	int ret = -1;

	buf_init(&b, STORAGE_OBJECT_MAX);
	buf_init(&r->scratch, STORAGE_OBJECT_MAX);
	buf_init(&r->head.bytes, r->whole);
	buf_init(&r->tail.bytes, REMOTE_TAIL_READ);
	buf_init(&r->ahead.bytes, AHEAD_MAX);
	if (r->size > STORAGE_OBJECT_MAX) {
		err_set(err, ERR_DAMAGED, "%s has %llu bytes, an object has "
		    "%zu at most", r->key, (unsigned long long)r->size,
		    STORAGE_OBJECT_MAX);
		goto out;
	}
	if (read_ends(r, err) != 0 || read_header(r, &b, &used, err) != 0 ||
	    check_identity(r, type, repository_id, system_id, err) != 0 ||
	    read_index(r, &b, err) != 0)
		goto out;
	first = r->n > 0 ? r->entries[0].offset :
			   r->size - INDEX_FIXED;
	if (first != used) {
		err_set(err, ERR_DAMAGED,
		    "%s: the first frame is not where the header ends",
		    r->key);
		goto out;
	}
	ret = 0;
out:
	buf_free(&b);
	if (ret != 0)
		object_reader_close(r);
	return ret;
}

static int
open_stored(struct object_reader *r, struct storage *st, const char *key,
    uint64_t size, size_t whole, struct err *err)
{
	memset(r, 0, sizeof(*r));
	if (size == 0 && storage_stat(st, key, &size, NULL, err) != 0)
		return -1;
	r->st = st;
	r->remote = !storage_is_local(storage_url(st));
	r->key = xstrdup(key);
	r->size = size;
	r->whole = whole;
	return 0;
}

int
object_reader_open(struct object_reader *r, struct storage *st,
    const char *key, uint64_t size, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id, struct err *err)
{
	if (open_stored(r, st, key, size, WHOLE_READ, err) != 0)
		return -1;
	return open_reader(r, type, repository_id, system_id, err);
}

int
object_reader_open_eager(struct object_reader *r, struct storage *st,
    const char *key, uint64_t size, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id, struct err *err)
{
	if (open_stored(r, st, key, size, WHOLE_EAGER, err) != 0)
		return -1;
	return open_reader(r, type, repository_id, system_id, err);
}

bool
object_reader_streams(const struct object_reader *r)
{
	return r->remote && r->step >= STREAM_MIN;
}

int
object_reader_open_bytes(struct object_reader *r, const uint8_t *bytes,
    size_t size, const char *name, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id, struct err *err)
{
	memset(r, 0, sizeof(*r));
	r->bytes = bytes;
	r->key = xstrdup(name);
	r->size = size;
	return open_reader(r, type, repository_id, system_id, err);
}

void
object_reader_close(struct object_reader *r)
{
	free(r->key);
	free(r->entries);
	buf_free(&r->scratch);
	buf_free(&r->head.bytes);
	buf_free(&r->tail.bytes);
	buf_free(&r->ahead.bytes);
	memset(r, 0, sizeof(*r));
}

void
object_reader_rest(struct object_reader *r)
{
	if (!r->remote)
		return;
	buf_free(&r->head.bytes);
	buf_free(&r->tail.bytes);
	buf_free(&r->ahead.bytes);
	buf_init(&r->head.bytes, r->whole);
	buf_init(&r->tail.bytes, REMOTE_TAIL_READ);
	buf_init(&r->ahead.bytes, AHEAD_MAX);
	r->step = 0;
}

static int
check_number(const struct object_reader *r, uint32_t first, uint32_t n,
    struct err *err)
{
	if (first < r->n && n <= r->n - first)
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "%s has %u frames, frame %u is asked for", r->key, r->n,
	    n > 0 && first <= UINT32_MAX - n ? first + n - 1 : first);
}

int
object_reader_fetch(struct object_reader *r, uint32_t first, uint32_t n,
    struct buf *raw, struct err *err)
{
	const struct index_entry *last;
	const uint8_t *p;
	size_t len;

	buf_clear(raw);
	if (n == 0)
		return 0;
	if (check_number(r, first, n, err) != 0)
		return -1;
	last = &r->entries[first + n - 1];
	len = last->offset + last->length - r->entries[first].offset;
	if (read_range(r, r->entries[first].offset, len, raw, &p, err) != 0)
		return -1;
	if (p != raw->data)
		buf_add(raw, p, len);
	return buf_check(raw, r->key, err);
}

int
object_reader_decode(const struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err)
{
	const struct index_entry *e;

	if (check_number(r, number, 1, err) != 0)
		return -1;
	e = &r->entries[number];
	if (decode(c, data, e->length, h, plain, plain_max, err) != 0)
		return err_wrap(err, "%s: frame %u", r->key, number);
	if (h->number != number || h->plain_len != e->plain_len ||
	    h->type != e->type)
		return err_set(err, ERR_DAMAGED,
		    "%s: frame %u is not the one of the index", r->key,
		    number);
	return 0;
}

int
object_reader_frame(struct object_reader *r, struct frame_codec *c,
    uint32_t number, struct frame_header *h, struct buf *out, struct err *err)
{
	const uint8_t *data;
	uint8_t *plain;

	buf_clear(out);
	r->frame_len = 0;
	if (check_number(r, number, 1, err) != 0 ||
	    read_range(r, r->entries[number].offset, r->entries[number].length,
		&r->scratch, &data, err) != 0)
		return -1;
	r->frame = data;
	r->frame_len = r->entries[number].length;
	plain = buf_reserve(out, r->entries[number].plain_len);
	if (plain == NULL)
		return buf_check(out, r->key, err);
	if (object_reader_decode(r, c, number, data, h, plain,
		r->entries[number].plain_len, err) != 0)
		return -1;
	out->len = h->plain_len;
	out->data[out->len] = 0;
	return 0;
}
