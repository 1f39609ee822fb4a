/* SPDX-License-Identifier: PostgreSQL */
/* Objects made of frames (FORMAT.md section 4). */
#include "config.h"

#include "repo/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "repo/keyring.h"

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
	w->key.id = 0;
	buf_clear(&w->bytes);
	object_header_encode(h, &w->bytes);
}

int
object_writer_begin(struct object_writer *w, struct object_header *h,
    const struct data_key *key, struct err *err)
{
	struct object_key own = { .id = 0 };

	if (key != NULL && (object_key_derive(&own, key, h, err) != 0 ||
	    object_key_seal(&own, key, h, err) != 0))
		return -1;
	object_writer_reset(w, h);
	w->key = own;
	explicit_bzero(&own, sizeof(own));
	return 0;
}

void
object_writer_free(struct object_writer *w)
{
	buf_free(&w->bytes);
	free(w->entries);
	w->entries = NULL;
	w->n = w->cap = 0;
	explicit_bzero(&w->key, sizeof(w->key));
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
	if (frame_encode(c, h, &w->key, plain, len, &w->bytes, err) != 0)
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
	if (storage_get(r->repo->st, r->key, off, len, p, err) != 0)
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
	if (object_header_decode(p, len, &r->header, used, err) != 0 ||
	    (r->header.cipher != 0 &&
		object_key_sum(p, *used, r->header_sum, err) != 0))
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
    uint64_t system_id, struct err *err)
{
	const struct object_header *h = &r->header;

	if (h->type != type)
		return err_set(err, ERR_DAMAGED,
		    "%s is an object of type %u instead of %u", r->key,
		    (unsigned)h->type, (unsigned)type);
	if (memcmp(h->repository_id, r->repo->id, 16) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s belongs to another repository", r->key);
	if (system_id != 0 && h->system_id != system_id)
		return err_set(err, ERR_DAMAGED,
		    "%s belongs to the cluster with system identifier %llu, "
		    "not %llu", r->key, (unsigned long long)h->system_id,
		    (unsigned long long)system_id);
	if (h->cipher != 0 && r->repo->ring == NULL)
		return err_set(err, ERR_DAMAGED,
		    "%s is encrypted, and its repository is not", r->key);
	if (h->cipher == 0 && r->repo->ring != NULL)
		return err_set(err, ERR_DAMAGED,
		    "%s is not encrypted, and its repository is", r->key);
	if (h->cipher != 0 && (!h->has_data_key || h->key_id == 0))
		return err_set(err, ERR_DAMAGED, "%s names no key", r->key);
	return 0;
}

static int
open_reader(struct object_reader *r, enum object_type type,
    uint64_t system_id, struct err *err)
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
	    check_identity(r, type, system_id, err) != 0 ||
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
open_stored(struct object_reader *r, struct repo *repo, const char *key,
    uint64_t size, size_t whole, struct err *err)
{
	memset(r, 0, sizeof(*r));
	if (size == 0 && storage_stat(repo->st, key, &size, NULL, err) != 0)
		return -1;
	r->repo = repo;
	r->remote = !storage_is_local(storage_url(repo->st));
	r->key = xstrdup(key);
	r->size = size;
	r->whole = whole;
	return 0;
}

int
object_reader_open(struct object_reader *r, struct repo *repo,
    const char *key, uint64_t size, enum object_type type,
    uint64_t system_id, struct err *err)
{
	if (open_stored(r, repo, key, size, WHOLE_READ, err) != 0)
		return -1;
	return open_reader(r, type, system_id, err);
}

int
object_reader_open_eager(struct object_reader *r, struct repo *repo,
    const char *key, uint64_t size, enum object_type type,
    uint64_t system_id, struct err *err)
{
	if (open_stored(r, repo, key, size, WHOLE_EAGER, err) != 0)
		return -1;
	return open_reader(r, type, system_id, err);
}

bool
object_reader_streams(const struct object_reader *r)
{
	return r->remote && r->step >= STREAM_MIN;
}

int
object_reader_open_bytes(struct object_reader *r, struct repo *repo,
    const uint8_t *bytes, size_t size, const char *name,
    enum object_type type, uint64_t system_id, struct err *err)
{
	memset(r, 0, sizeof(*r));
	r->repo = repo;
	r->bytes = bytes;
	r->key = xstrdup(name);
	r->size = size;
	return open_reader(r, type, system_id, err);
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
	explicit_bzero(r, sizeof(*r));
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

static int
open_key(struct repo *repo, const struct object_header *h,
    const uint8_t sum[OBJECT_KEY_SUM], struct data_key *data,
    struct object_key *out, struct err *err)
{
	int rc;

	rc = keyring_open_data_key(repo, h->key_id, h->data_key, data, err);
	if (rc == 0)
		rc = object_key_derive(out, data, h, err);
	if (rc == 0)
		rc = object_key_check(out, sum, h, err);
	if (rc != 0)
		out->id = 0;
	return rc;
}

int
object_key_open(struct repo *repo, const uint8_t *bytes, size_t len,
    struct data_key *data, struct object_key *out, struct err *err)
{
	uint8_t sum[OBJECT_KEY_SUM];
	struct object_header h;
	size_t used;

	memset(out, 0, sizeof(*out));
	if (object_header_decode(bytes, len, &h, &used, err) != 0)
		return -1;
	if (repo->ring == NULL || h.cipher == 0 || !h.has_data_key)
		return err_set(err, ERR_DAMAGED, "it names no key");
	if (object_key_sum(bytes, used, sum, err) != 0)
		return -1;
	return open_key(repo, &h, sum, data, out, err);
}

int
object_reader_unlock(struct object_reader *r, struct err *err)
{
	struct data_key data;
	int rc;

	if (r->header.cipher == 0)
		r->seed = r->repo->fingerprint_seed;
	if (r->header.cipher == 0 || r->object_key.id != 0)
		return 0;
	rc = open_key(r->repo, &r->header, r->header_sum, &data,
	    &r->object_key, err);
	r->seed = data.seed;
	explicit_bzero(&data, sizeof(data));
	return rc == 0 ? 0 : err_wrap(err, "%s", r->key);
}

static int
is_the_one(const struct object_reader *r, uint32_t number,
    const struct frame_header *h, struct err *err)
{
	const struct index_entry *e = &r->entries[number];

	if (h->number != number || h->plain_len != e->plain_len ||
	    h->type != e->type)
		return err_set(err, ERR_DAMAGED,
		    "%s: frame %u is not the one of the index", r->key,
		    number);
	return 0;
}

int
object_reader_decode(struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err)
{
	char where[64];

	if (check_number(r, number, 1, err) != 0 ||
	    object_reader_unlock(r, err) != 0)
		return -1;
	(void)snprintf(where, sizeof(where), "frame %u", number);
	if (frame_decode(c, data, r->entries[number].length, &r->object_key,
		h, plain, plain_max, where, err) != 0)
		return err_wrap(err, "%s", r->key);
	return is_the_one(r, number, h, err);
}

int
object_reader_prove(struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err)
{
	struct err none = ERR_INIT;
	char where[64];

	if (object_reader_unlock(r, &none) == 0 || none.code != ERR_CONFIG)
		return object_reader_decode(r, c, number, data, h, plain,
		    plain_max, err);
	if (check_number(r, number, 1, err) != 0)
		return -1;
	(void)snprintf(where, sizeof(where), "frame %u", number);
	if (frame_prove(data, r->entries[number].length, h, where, err) != 0)
		return err_wrap(err, "%s", r->key);
	if (h->cipher == 0)
		return err_set(err, ERR_DAMAGED, "%s: frame %u is not "
		    "encrypted, in an object that is", r->key, number);
	return is_the_one(r, number, h, err);
}

/* Fetch one frame; out gets room for its plain bytes. */
static int
fetch_frame(struct object_reader *r, uint32_t number, struct buf *out,
    const uint8_t **data, uint8_t **plain, struct err *err)
{
	buf_clear(out);
	if (check_number(r, number, 1, err) != 0 ||
	    read_range(r, r->entries[number].offset, r->entries[number].length,
		&r->scratch, data, err) != 0)
		return -1;
	*plain = buf_reserve(out, r->entries[number].plain_len);
	if (*plain == NULL)
		return buf_check(out, r->key, err);
	return 0;
}

int
object_reader_frame(struct object_reader *r, struct frame_codec *c,
    uint32_t number, struct frame_header *h, struct buf *out, struct err *err)
{
	const uint8_t *data;
	uint8_t *plain;

	if (fetch_frame(r, number, out, &data, &plain, err) != 0 ||
	    object_reader_decode(r, c, number, data, h, plain,
		r->entries[number].plain_len, err) != 0)
		return -1;
	out->len = h->plain_len;
	out->data[out->len] = 0;
	return 0;
}

int
object_reader_prove_frame(struct object_reader *r, struct frame_codec *c,
    uint32_t number, struct frame_header *h, struct buf *out, struct err *err)
{
	const uint8_t *data;
	uint8_t *plain;

	if (fetch_frame(r, number, out, &data, &plain, err) != 0 ||
	    object_reader_prove(r, c, number, data, h, plain,
		r->entries[number].plain_len, err) != 0)
		return -1;
	if (r->header.cipher == 0 || r->object_key.id != 0) {
		out->len = h->plain_len;
		out->data[out->len] = 0;
	}
	return 0;
}
