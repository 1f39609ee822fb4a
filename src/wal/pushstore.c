/* SPDX-License-Identifier: PostgreSQL */
/*
 * A part's pieces are jobs of a pool, submitted while the rest is still being
 * read; the calling thread reads and hashes, then takes the frames in order
 * as they get ready and hands them to the storage, which begins to write
 * them back while others are compressed.
 */
#include "config.h"

#include "wal/pushstore.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "pipe/pool.h"
#include "repo/hash.h"
#include "repo/object.h"

#define PIECE_LENGTH ((size_t)1 << 20)
#define PIECES_MAX (WAL_PART_LENGTH / PIECE_LENGTH)
#define FRAME_MAX (FORMAT_FRAME_HEADER_MAX + 2 * PIECE_LENGTH)
#define HEADER_MAX ((size_t)4096)
#define SUMMARY_MAX ((size_t)64 << 10)

enum state { PIECE_PENDING, PIECE_DONE, PIECE_FAILED };

struct piece {
	struct wal_pushstore *ps;
	const uint8_t *data;
	size_t len;
	struct frame_header header;
	struct buf frame;
	enum state state; /* under the lock */
};

struct wal_pushstore {
	const struct wal_push_file *f;
	int fd;
	uint64_t size;
	uint32_t parts;
	pg_lsn lsn;
	bool is_segment; /* or .partial: has a summary */
	int64_t archived;
	uint8_t hash[WAL_HASH_SIZE];
	uint8_t (*part_hash)[WAL_HASH_SIZE];
	struct wal_summary summary;
	uint8_t *content; /* of the part in hand */
	size_t content_len;
	struct piece pieces[PIECES_MAX];
	size_t n_pieces;
	struct pool *pool;	   /* NULL: one piece, no threads */
	struct frame_codec *codec; /* the calling thread's, made when needed */
	pthread_mutex_t lock;
	pthread_cond_t ready;
	bool summary_ready; /* under the lock */
};

static struct frame_codec *
own_codec(struct wal_pushstore *ps)
{
	if (ps->codec == NULL)
		ps->codec = frame_codec_new(ps->f->compress_level);
	return ps->codec;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	const struct wal_pushstore *ps = arg;

	*(struct frame_codec **)worker =
	    frame_codec_new(ps->f->compress_level);
	return 0;
}

static void
worker_fini(void *worker)
{
	frame_codec_free(*(struct frame_codec **)worker);
}

static int
encode_piece(struct piece *piece, struct frame_codec *codec, struct err *err)
{
	return frame_encode(codec, &piece->header, piece->data, piece->len,
	    &piece->frame, err);
}

static int
run_piece(void *worker, void *job, bool skip, struct err *err)
{
	struct piece *piece = job;
	struct wal_pushstore *ps = piece->ps;
	int ret = skip ? 0 :
			 encode_piece(piece, *(struct frame_codec **)worker,
			     err);

	(void)pthread_mutex_lock(&ps->lock);
	piece->state = skip || ret != 0 ? PIECE_FAILED : PIECE_DONE;
	(void)pthread_cond_signal(&ps->ready);
	(void)pthread_mutex_unlock(&ps->lock);
	return ret;
}

/* Of a file of one part: its content is in memory. */
static int
run_summary(void *worker, void *job, bool skip, struct err *err)
{
	struct wal_pushstore *ps = job;

	(void)worker;
	(void)err;
	if (!skip)
		wal_summarise(ps->content, ps->content_len, ps->lsn,
		    ps->f->segment_size, &ps->summary);
	(void)pthread_mutex_lock(&ps->lock);
	ps->summary_ready = true;
	(void)pthread_cond_signal(&ps->ready);
	(void)pthread_mutex_unlock(&ps->lock);
	return 0;
}

int
wal_pushstore_new(struct wal_pushstore **out, const struct wal_push_file *f,
    int fd, uint64_t size, struct err *err)
{
	struct wal_pushstore *ps = xcalloc(1, sizeof(*ps));
	size_t threads = f->jobs < 1 ? 1 : f->jobs;

	(void)pthread_mutex_init(&ps->lock, NULL); /* cannot fail on Linux */
	(void)pthread_cond_init(&ps->ready, NULL);
	ps->f = f;
	ps->fd = fd;
	ps->size = size;
	ps->parts = size == 0 ?
	    1 : (uint32_t)((size + WAL_PART_LENGTH - 1) / WAL_PART_LENGTH);
	ps->part_hash = xcalloc(ps->parts, sizeof(*ps->part_hash));
	ps->content = xmalloc(size == 0		   ? 1 :
		size < WAL_PART_LENGTH ? (size_t)size :
					 WAL_PART_LENGTH);
	ps->is_segment = f->name.type == WAL_FILE_SEGMENT ||
	    f->name.type == WAL_FILE_PARTIAL;
	if (f->name.type != WAL_FILE_HISTORY)
		ps->lsn = wal_segment_start(
		    wal_segno(&f->name, f->segment_size), f->segment_size);
	ps->archived = time_now();
	if (threads > PIECES_MAX)
		threads = PIECES_MAX;
	if (size > PIECE_LENGTH &&
	    pool_new(&ps->pool, threads, PIECES_MAX + 1,
		sizeof(struct frame_codec *), worker_init, worker_fini, ps,
		err) != 0) {
		wal_pushstore_free(ps);
		return -1;
	}
	*out = ps;
	return 0;
}

void
wal_pushstore_free(struct wal_pushstore *ps)
{
	size_t i;

	if (ps == NULL)
		return;
	pool_free(ps->pool);
	frame_codec_free(ps->codec);
	for (i = 0; i < ps->n_pieces; i++)
		buf_free(&ps->pieces[i].frame);
	(void)pthread_cond_destroy(&ps->ready);
	(void)pthread_mutex_destroy(&ps->lock);
	free(ps->content);
	free(ps->part_hash);
	free(ps);
}

int
wal_pushstore_fd(const struct wal_pushstore *ps)
{
	return ps->fd;
}

/* The piece of `len` bytes at `off` of the part is in memory. */
static int
submit_piece(struct wal_pushstore *ps, uint32_t part, size_t off, size_t len,
    struct err *err)
{
	struct piece *piece = &ps->pieces[ps->n_pieces];

	piece->ps = ps;
	piece->data = ps->content + off;
	piece->len = len;
	memset(&piece->header, 0, sizeof(piece->header));
	piece->header.type = FRAME_WAL;
	piece->header.number = (uint32_t)ps->n_pieces;
	piece->header.position = (uint64_t)part * WAL_PART_LENGTH + off;
	piece->state = PIECE_PENDING;
	buf_init(&piece->frame, FRAME_MAX);
	ps->n_pieces++;
	if (ps->pool != NULL)
		return pool_submit(ps->pool, run_piece, piece, err);
	piece->state = PIECE_DONE;
	return encode_piece(piece, own_codec(ps), err);
}

/* Read a part's content; `submit` its pieces on the way. */
static int
read_part(struct wal_pushstore *ps, uint32_t part, bool submit,
    uint8_t hash[WAL_HASH_SIZE], struct err *err)
{
	uint64_t start = (uint64_t)part * WAL_PART_LENGTH;
	uint64_t left = ps->size - start;
	struct hash_128_stream *h = hash_128_stream_new();
	size_t off, len;

	ps->content_len = left < WAL_PART_LENGTH ? (size_t)left :
						   WAL_PART_LENGTH;
	ps->n_pieces = 0;
	for (off = 0; off < ps->content_len; off += len) {
		len = ps->content_len - off;
		if (len > PIECE_LENGTH)
			len = PIECE_LENGTH;
		if (io_pread_full(ps->fd, ps->content + off, len, start + off,
		    ps->f->path, err) != 0 ||
		    (submit && submit_piece(ps, part, off, len, err) != 0)) {
			hash_128_stream_free(h);
			return -1;
		}
		hash_128_stream_add(h, ps->content + off, len);
	}
	hash_128_stream_finish(h, hash);
	return 0;
}

/* First reading of a file of several parts: hashes and summary. */
static int
read_long(struct wal_pushstore *ps, struct err *err)
{
	struct hash_128_stream *h = hash_128_stream_new();
	struct wal_summariser *s =
	    wal_summariser_new(ps->lsn, ps->f->segment_size);
	uint32_t part;
	int ret = 0;

	for (part = 0; part < ps->parts && ret == 0; part++) {
		ret = read_part(ps, part, false, ps->part_hash[part], err);
		if (ret == 0) {
			hash_128_stream_add(h, ps->content, ps->content_len);
			wal_summariser_feed(s, ps->content, ps->content_len);
		}
	}
	hash_128_stream_finish(h, ps->hash);
	wal_summariser_finish(s, &ps->summary);
	ps->summary_ready = true;
	return ret;
}

int
wal_pushstore_begin(struct wal_pushstore *ps, uint8_t hash[WAL_HASH_SIZE],
    struct err *err)
{
	int ret;

	if (ps->parts > 1)
		ret = read_long(ps, err);
	else
		ret = read_part(ps, 0, true, ps->hash, err);
	if (ret == 0 && ps->parts == 1 && ps->is_segment) {
		if (ps->pool != NULL)
			ret = pool_submit(ps->pool, run_summary, ps, err);
		else
			ret = run_summary(NULL, ps, false, err);
	}
	memcpy(hash, ps->hash, WAL_HASH_SIZE);
	return ret;
}

/* Wait for a piece. The pool has the error when it failed. */
static int
wait_piece(struct wal_pushstore *ps, struct piece *piece, struct err *err)
{
	enum state state;

	(void)pthread_mutex_lock(&ps->lock);
	while (piece->state == PIECE_PENDING)
		(void)pthread_cond_wait(&ps->ready, &ps->lock);
	state = piece->state;
	(void)pthread_mutex_unlock(&ps->lock);
	if (state == PIECE_DONE)
		return 0;
	if (pool_finish(ps->pool, err) == 0)
		return err_set(err, ERR_BUG, "a piece was not compressed");
	return -1;
}

static void
object_header(const struct wal_pushstore *ps, uint32_t generation,
    uint32_t part, struct buf *out)
{
	const struct wal_push_file *f = ps->f;
	struct object_header h = {
		.type = part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
		.system_id = f->inc->system_id,
		.generation = generation,
		.part = part,
		.hash_algorithm = 1,
		.has_wal = true,
		.wal = {
			.length = ps->size,
			.parts = ps->parts,
			.part_length = WAL_PART_LENGTH,
			.major = (uint32_t)f->inc->major,
			.lsn = ps->lsn,
			.archived = ps->archived,
		},
	};

	if (f->name.type != WAL_FILE_HISTORY)
		h.wal.segment_size = f->segment_size;
	memcpy(h.repository_id, f->repo->id, sizeof(h.repository_id));
	memcpy(h.name, f->name.name, sizeof(h.name));
	memcpy(h.wal.hash, ps->hash, sizeof(h.wal.hash));
	object_header_encode(&h, out);
}

/* An object on its way into the storage. */
struct output {
	struct storage_put *put;
	uint64_t len;
	struct index_entry entries[PIECES_MAX + 1];
	uint32_t n;
};

static int
append(struct output *o, const struct buf *b, struct err *err)
{
	if (storage_put_append(o->put, b->data, b->len, err) != 0)
		return -1;
	o->len += b->len;
	return 0;
}

static int
append_frame(struct output *o, const struct frame_header *h,
    const struct buf *frame, struct err *err)
{
	struct index_entry *e = &o->entries[o->n++];

	e->offset = (uint32_t)o->len;
	e->length = (uint32_t)frame->len;
	e->plain_len = h->plain_len;
	e->type = (uint8_t)h->type;
	return append(o, frame, err);
}

static int
append_summary(struct wal_pushstore *ps, struct output *o, struct err *err)
{
	struct frame_header h = { .type = FRAME_WAL_SUMMARY, .number = o->n };
	struct buf plain, frame;
	int ret = -1;

	(void)pthread_mutex_lock(&ps->lock);
	while (!ps->summary_ready)
		(void)pthread_cond_wait(&ps->ready, &ps->lock);
	(void)pthread_mutex_unlock(&ps->lock);
	buf_init(&plain, SUMMARY_MAX);
	buf_init(&frame, FRAME_MAX);
	wal_summary_encode(&ps->summary, &plain);
	if (buf_check(&plain, "WAL summary", err) == 0 &&
	    frame_encode(own_codec(ps), &h, plain.data, plain.len, &frame,
		err) == 0)
		ret = append_frame(o, &h, &frame, err);
	buf_free(&frame);
	buf_free(&plain);
	return ret;
}

static int
append_part(struct wal_pushstore *ps, struct output *o, uint32_t part,
    struct err *err)
{
	struct buf index;
	size_t i;
	int ret;

	for (i = 0; i < ps->n_pieces; i++) {
		struct piece *piece = &ps->pieces[i];

		if (wait_piece(ps, piece, err) != 0 ||
		    append_frame(o, &piece->header, &piece->frame, err) != 0)
			return -1;
		buf_free(&piece->frame);
	}
	if (part == 0 && ps->is_segment && append_summary(ps, o, err) != 0)
		return -1;
	buf_init(&index, HEADER_MAX);
	index_encode(o->entries, o->n, (uint32_t)o->len, &index);
	ret = append(o, &index, err);
	buf_free(&index);
	return ret;
}

/* The part's pieces have been submitted: put the object. */
static int
put_part(struct wal_pushstore *ps, uint32_t generation, uint32_t part,
    uint64_t *stored, struct err *err)
{
	struct output o = { .put = NULL };
	char key[STORAGE_KEY_MAX];
	struct buf header;
	int ret = -1;

	buf_init(&header, HEADER_MAX);
	wal_store_key(ps->f->inc, &ps->f->name, ps->hash, generation, part,
	    key);
	object_header(ps, generation, part, &header);
	if (storage_put_begin(ps->f->repo->st, key, &o.put, err) != 0)
		goto out;
	if (append(&o, &header, err) != 0 ||
	    append_part(ps, &o, part, err) != 0) {
		storage_put_abort(o.put);
		goto out;
	}
	ret = storage_put_finish(o.put, err);
	if (ret == 0)
		*stored += o.len;
out:
	buf_free(&header);
	return ret;
}

/*
 * A part other than the first. One that is there was put by another pusher,
 * or by one that was killed; when it is whole it is the same, and not made
 * again.
 */
static int
put_further(struct wal_pushstore *ps, uint32_t generation, uint32_t part,
    uint64_t *stored, struct err *err)
{
	struct wal_stored ws = { .file = ps->f->name,
		.generation = generation };
	uint8_t hash[WAL_HASH_SIZE];
	bool sound = false;
	uint64_t size = 0;

	memcpy(ws.hash, ps->hash, sizeof(ws.hash));
	if (wal_push_part_sound(ps->f->repo, ps->f->inc, &ws, part, ps->size,
	    &size, &sound, err) != 0)
		return -1;
	if (sound) {
		*stored += size;
		return 0;
	}
	if (read_part(ps, part, true, hash, err) != 0)
		return -1;
	if (memcmp(hash, ps->part_hash[part], sizeof(hash)) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s changed while it was read", ps->f->path);
	return put_part(ps, generation, part, stored, err);
}

int
wal_pushstore_put(struct wal_pushstore *ps, uint32_t generation,
    uint64_t *stored_bytes, struct err *err)
{
	uint8_t hash[WAL_HASH_SIZE];
	uint32_t part;

	*stored_bytes = 0;
	for (part = 1; part < ps->parts; part++)
		if (put_further(ps, generation, part, stored_bytes, err) != 0)
			return -1;
	if (ps->parts > 1) {
		if (read_part(ps, 0, true, hash, err) != 0)
			return -1;
		if (memcmp(hash, ps->part_hash[0], sizeof(hash)) != 0)
			return err_set(err, ERR_DAMAGED,
			    "%s changed while it was read", ps->f->path);
	}
	return put_part(ps, generation, 0, stored_bytes, err);
}
