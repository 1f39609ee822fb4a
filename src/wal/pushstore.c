/* SPDX-License-Identifier: PostgreSQL */
/*
 * A part's pieces are jobs of a pool, submitted while the rest is still being
 * read into a few buffers that are used again and again (touching 16 MiB of
 * fresh memory costs as much as compressing a third of it). The calling
 * thread reads, hashes and summarises, then takes the frames in order as they
 * get ready and hands them to the storage, which begins to write them back
 * while others are compressed.
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
#include "repo/contenthash.h"
#include "repo/keyring.h"
#include "repo/object.h"

#define PIECE_LENGTH ((size_t)1 << 20)
#define PIECES_MAX (WAL_PART_LENGTH / PIECE_LENGTH)
#define FRAME_MAX (FORMAT_FRAME_HEADER_MAX + 2 * PIECE_LENGTH)
#define HEADER_MAX ((size_t)4096)
#define SUMMARY_MAX ((size_t)64 << 10)

#define SLOTS_EXTRA 2 /* pieces in memory beside one a thread */

enum state { PIECE_PENDING, PIECE_DONE, PIECE_FAILED };

/* A thread's own: frames are made here and copied at their true size. */
struct worker {
	struct frame_codec *codec;
	struct buf scratch;
};

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
	bool submitted;	 /* the only part, while it was read first */
	int64_t archived;
	uint8_t hash[WAL_HASH_SIZE];
	uint8_t content[WAL_HASH_SIZE]; /* without the repository's key */
	struct data_key *data_key;	/* NULL: not encrypted */
	struct object_key key;		/* of the part at hand */
	uint8_t (*part_hash)[WAL_HASH_SIZE];
	struct wal_summary summary;
	struct content_hash *whole;	   /* hash over parts, the same */
	struct wal_summariser *summariser; /* while the file is read first */
	uint8_t *slots[PIECES_MAX + SLOTS_EXTRA]; /* a piece's content each */
	size_t n_slots;
	struct piece pieces[PIECES_MAX];
	size_t n_pieces;
	struct pool *pool;	   /* NULL: no threads */
	struct frame_codec *codec; /* the calling thread's, made when needed */
	pthread_mutex_t lock;
	pthread_cond_t ready;
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
	struct worker *w = worker;

	w->codec = frame_codec_new(ps->f->compress_level);
	buf_init(&w->scratch, FRAME_MAX);
	return 0;
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	frame_codec_free(w->codec);
	buf_free(&w->scratch);
}

static int
encode_piece(struct worker *w, struct piece *piece, struct err *err)
{
	buf_clear(&w->scratch);
	if (frame_encode(w->codec, &piece->header, &piece->ps->key,
	    piece->data, piece->len, &w->scratch, err) != 0)
		return -1;
	buf_add(&piece->frame, w->scratch.data, w->scratch.len);
	return buf_check(&piece->frame, "a piece", err);
}

static int
run_piece(void *worker, void *job, bool skip, struct err *err)
{
	struct piece *piece = job;
	struct wal_pushstore *ps = piece->ps;
	int ret = skip ? 0 : encode_piece(worker, piece, err);

	(void)pthread_mutex_lock(&ps->lock);
	piece->state = skip || ret != 0 ? PIECE_FAILED : PIECE_DONE;
	(void)pthread_cond_signal(&ps->ready);
	(void)pthread_mutex_unlock(&ps->lock);
	return ret;
}

int
wal_pushstore_new(struct wal_pushstore **out, const struct wal_push_file *f,
    int fd, uint64_t size, struct err *err)
{
	struct wal_pushstore *ps = xcalloc(1, sizeof(*ps));
	size_t i, threads = f->jobs;

	(void)pthread_mutex_init(&ps->lock, NULL); /* cannot fail on Linux */
	(void)pthread_cond_init(&ps->ready, NULL);
	ps->f = f;
	ps->fd = fd;
	ps->size = size;
	ps->parts = size == 0 ?
	    1 : (uint32_t)((size + WAL_PART_LENGTH - 1) / WAL_PART_LENGTH);
	ps->part_hash = xcalloc(ps->parts, sizeof(*ps->part_hash));
	ps->is_segment = f->name.type == WAL_FILE_SEGMENT ||
	    f->name.type == WAL_FILE_PARTIAL;
	if (f->name.type != WAL_FILE_HISTORY)
		ps->lsn = wal_segment_start(
		    wal_segno(&f->name, f->segment_size), f->segment_size);
	ps->archived = time_now();
	if (threads > PIECES_MAX)
		threads = PIECES_MAX;
	ps->n_slots = size > PIECE_LENGTH && threads > 0 ?
	    threads + SLOTS_EXTRA : 1;
	for (i = 0; i < ps->n_slots; i++)
		ps->slots[i] = xmalloc(PIECE_LENGTH);
	if (ps->is_segment)
		ps->summariser =
		    wal_summariser_new(ps->lsn, f->segment_size);
	if (size > PIECE_LENGTH && threads > 0 &&
	    pool_new(&ps->pool, threads, PIECES_MAX, sizeof(struct worker),
		worker_init, worker_fini, ps, err) != 0) {
		wal_pushstore_free(ps);
		return -1;
	}
	*out = ps;
	return 0;
}

static void
end_summary(struct wal_pushstore *ps)
{
	if (ps->summariser != NULL)
		wal_summariser_finish(ps->summariser, &ps->summary);
	ps->summariser = NULL;
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
	end_summary(ps);
	for (i = 0; i < ps->n_slots; i++)
		free(ps->slots[i]);
	free(ps->part_hash);
	if (ps->data_key != NULL)
		explicit_bzero(ps->data_key, sizeof(*ps->data_key));
	free(ps->data_key);
	explicit_bzero(&ps->key, sizeof(ps->key));
	free(ps);
}

int
wal_pushstore_fd(const struct wal_pushstore *ps)
{
	return ps->fd;
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

/* The next piece of the part, its content in `data`. */
static int
submit_piece(struct wal_pushstore *ps, const uint8_t *data, size_t len,
    uint64_t position, struct err *err)
{
	struct piece *piece = &ps->pieces[ps->n_pieces];

	piece->ps = ps;
	piece->data = data;
	piece->len = len;
	memset(&piece->header, 0, sizeof(piece->header));
	piece->header.type = FRAME_WAL;
	piece->header.number = (uint32_t)ps->n_pieces;
	piece->header.position = position;
	piece->state = PIECE_PENDING;
	buf_init(&piece->frame, FRAME_MAX);
	ps->n_pieces++;
	if (ps->pool != NULL)
		return pool_submit(ps->pool, run_piece, piece, err);
	piece->state = PIECE_DONE;
	return frame_encode(own_codec(ps), &piece->header, &ps->key, data,
	    len, &piece->frame, err);
}

/* One piece: read it, hand it to the threads, hash it meanwhile. */
static int
read_piece(struct wal_pushstore *ps, uint64_t position, size_t len,
    bool submit, struct content_hash *hash, struct err *err)
{
	size_t n = ps->n_pieces;
	uint8_t *data = ps->slots[n % ps->n_slots];

	if (n >= ps->n_slots &&
	    wait_piece(ps, &ps->pieces[n - ps->n_slots], err) != 0)
		return -1;
	if (io_pread_full(ps->fd, data, len, position, ps->f->path,
	    err) != 0)
		return -1;
	if (submit && submit_piece(ps, data, len, position, err) != 0)
		return -1;
	content_hash_add(hash, data, len);
	if (ps->whole != NULL)
		content_hash_add(ps->whole, data, len);
	if (ps->summariser != NULL)
		wal_summariser_feed(ps->summariser, data, len);
	return 0;
}

/*
 * The key of the part whose pieces are encrypted from now on: no thread is at
 * work on another's by then.
 */
static int
make_key(struct wal_pushstore *ps, uint32_t part, struct err *err)
{
	const struct wal_push_file *f = ps->f;
	struct object_header h = {
		.type = part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
		.system_id = f->inc->system_id,
		.part = part,
	};

	if (f->repo->ring == NULL)
		return 0;
	if (ps->data_key == NULL) {
		ps->data_key = xcalloc(1, sizeof(*ps->data_key));
		if (keyring_new_data_key(f->repo, ps->data_key, err) != 0)
			return -1;
	}
	memcpy(h.repository_id, f->repo->id, sizeof(h.repository_id));
	memcpy(h.name, f->name.name, sizeof(h.name));
	return object_key_derive(&ps->key, ps->data_key, &h, err);
}

/* Read a part's content; `submit` its pieces on the way. */
static int
read_part(struct wal_pushstore *ps, uint32_t part, bool submit,
    uint8_t hash[WAL_HASH_SIZE], uint8_t *content, struct err *err)
{
	uint64_t position = (uint64_t)part * WAL_PART_LENGTH;
	uint64_t end = position + WAL_PART_LENGTH;
	struct content_hash *h;
	size_t len;

	if (end > ps->size)
		end = ps->size;
	if (content_hash_new(&h, ps->f->repo, NULL, err) != 0)
		return -1;
	if (submit && make_key(ps, part, err) != 0) {
		content_hash_free(h);
		return -1;
	}
	for (ps->n_pieces = 0; position < end; position += len) {
		len = end - position < PIECE_LENGTH ?
		    (size_t)(end - position) : PIECE_LENGTH;
		if (read_piece(ps, position, len, submit, h, err) != 0) {
			content_hash_free(h);
			return -1;
		}
	}
	return content_hash_finish(h, hash, content, err);
}

/* Reading that comes before another: hashes and summary. */
static int
read_long(struct wal_pushstore *ps, struct err *err)
{
	struct content_hash *whole;
	uint32_t part;
	int ret = 0;

	if (content_hash_new(&whole, ps->f->repo, NULL, err) != 0)
		return -1;
	ps->whole = whole;
	for (part = 0; part < ps->parts && ret == 0; part++)
		ret = read_part(ps, part, false, ps->part_hash[part], NULL,
		    err);
	ps->whole = NULL;
	if (ret == 0)
		return content_hash_finish(whole, ps->hash, ps->content, err);
	content_hash_free(whole);
	return ret;
}

int
wal_pushstore_begin(struct wal_pushstore *ps, bool compress,
    uint8_t hash[WAL_HASH_SIZE], struct err *err)
{
	int ret;

	ps->submitted = compress && ps->parts == 1;
	if (ps->submitted)
		ret = read_part(ps, 0, true, ps->hash, ps->content, err);
	else
		ret = read_long(ps, err);
	end_summary(ps);
	memcpy(hash, ps->hash, WAL_HASH_SIZE);
	return ret;
}

void
wal_pushstore_content(const struct wal_pushstore *ps,
    uint8_t out[WAL_HASH_SIZE])
{
	memcpy(out, ps->content, WAL_HASH_SIZE);
}

static int
object_header(const struct wal_pushstore *ps, uint32_t generation,
    uint32_t part, struct buf *out, struct err *err)
{
	const struct wal_push_file *f = ps->f;
	struct object_header h = {
		.type = part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
		.system_id = f->inc->system_id,
		.generation = generation,
		.part = part,
		.hash_algorithm = content_hash_algorithm(f->repo),
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
	if (ps->data_key != NULL &&
	    object_key_seal(&ps->key, ps->data_key, &h, err) != 0)
		return -1;
	object_header_encode(&h, out);
	return buf_check(out, "an object's header", err);
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

	buf_init(&plain, SUMMARY_MAX);
	buf_init(&frame, FRAME_MAX);
	wal_summary_encode(&ps->summary, &plain);
	if (buf_check(&plain, "WAL summary", err) == 0 &&
	    frame_encode(own_codec(ps), &h, &ps->key, plain.data, plain.len,
		&frame, err) == 0)
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
	if (object_header(ps, generation, part, &header, err) != 0)
		goto out;
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
 * which may be at it right now, or by one that was killed; when it is whole
 * it is the same, and not made again.
 */
static int
part_is_there(struct wal_pushstore *ps, uint32_t generation, uint32_t part,
    uint64_t *stored, bool *there, struct err *err)
{
	struct wal_stored ws = { .file = ps->f->name,
		.generation = generation };
	uint64_t size = 0;

	memcpy(ws.hash, ps->hash, sizeof(ws.hash));
	if (wal_push_part_sound(ps->f->repo, ps->f->inc, &ws, part, ps->size,
	    &size, there, err) != 0)
		return -1;
	if (*there)
		*stored += size;
	return 0;
}

/* The pieces of a part that needs no put after all. */
static int
drop_pieces(struct wal_pushstore *ps, struct err *err)
{
	size_t i;

	for (i = 0; i < ps->n_pieces; i++) {
		if (wait_piece(ps, &ps->pieces[i], err) != 0)
			return -1;
		buf_free(&ps->pieces[i].frame);
	}
	return 0;
}

static int
put_further(struct wal_pushstore *ps, uint32_t generation, uint32_t part,
    uint64_t *stored, struct err *err)
{
	struct err taken = ERR_INIT;
	uint8_t hash[WAL_HASH_SIZE];
	bool there = false;

	if (part_is_there(ps, generation, part, stored, &there, err) != 0)
		return -1;
	if (there)
		return 0;
	if (read_part(ps, part, true, hash, NULL, err) != 0)
		return -1;
	if (memcmp(hash, ps->part_hash[part], sizeof(hash)) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s changed while it was read", ps->f->path);
	if (put_part(ps, generation, part, stored, &taken) == 0)
		return 0;
	if (taken.code == ERR_EXISTS &&
	    part_is_there(ps, generation, part, stored, &there, err) != 0)
		return -1;
	if (there)
		return drop_pieces(ps, err);
	*err = taken;
	return -1;
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
	if (!ps->submitted) {
		if (read_part(ps, 0, true, hash, NULL, err) != 0)
			return -1;
		if (memcmp(hash, ps->part_hash[0], sizeof(hash)) != 0)
			return err_set(err, ERR_DAMAGED,
			    "%s changed while it was read", ps->f->path);
	}
	return put_part(ps, generation, 0, stored_bytes, err);
}
