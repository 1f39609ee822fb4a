/* SPDX-License-Identifier: PostgreSQL */
/*
 * A file is a list of pieces, each from one frame. Pieces of files that have
 * just one are gathered, sorted by pack and frame, and cut into jobs; those
 * of larger files become jobs of their own, in file order. A piece holds a
 * reference to its file; who gives back the last one checks the whole.
 */
#include "config.h"

#include "restore/copyback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/mem.h"
#include "pipe/pool.h"
#include "repo/filemap.h"
#include "repo/object.h"
#include "repo/pack.h"
#include "repo/packset.h"

/*
 * Plain bytes of a job. A large file goes to one worker up to this size: two
 * that write into one file wait for each other in the kernel, spinning on the
 * inode's lock (measured: 10 s instead of 5 s of system time for 4 GB).
 */
#define JOB_BYTES ((uint64_t)1 << 30)
#define SMALL_BYTES ((uint64_t)4 << 20)	 /* of a small files' job */
#define SMALL_FILES 256			 /* files in such a job */
#define SMALL_WINDOW 8192		 /* files that are sorted at a time */
#define FETCH_MAX ((size_t)4 << 20)	 /* stored bytes by one request */
#define EARLY_SYNC_MIN ((uint64_t)1 << 20)
#define CACHE_PACKS 32
#define POLL_MS 200

/* A frame is at most its plain bytes and what zstd and headers add. */
#define RAW_MAX (FETCH_MAX + 2 * FORMAT_FRAME_PLAIN_MAX)

struct piece_sum {
	uint32_t crc;
	uint32_t len;
};

struct file {
	char *path; /* as in the manifest */
	uint64_t size;
	uint32_t mode;
	uint32_t crc;
	uint32_t n_pieces;
	struct piece_sum *sums; /* of each */
	atomic_uint references;
	atomic_bool failed;
};

struct piece {
	struct file *file;
	uint32_t index; /* within the file */
	uint32_t len;
	uint64_t offset; /* in the file */
	bool zeros; /* stored nowhere */
	struct pack_id pack;
	uint32_t frame;
	uint32_t block; /* within the frame */
};

struct pieces {
	struct piece *list;
	size_t n, cap;
	uint64_t bytes;
};

struct copyback {
	struct copyback_params p;
	uint32_t block_size;
	struct pack_table packs;
	struct packset *set; /* which generation of a pack to read */
	struct pool *pool;
	struct pack_cache *cache; /* the calling thread's, for maps */
	struct filemap map;
	struct pieces small;
	struct pieces large; /* of the file at hand */
};

struct worker {
	struct copyback *cb;
	struct repo *repo;
	struct pack_cache *cache;
	struct frame_codec *codec;
	struct buf raw;
	uint8_t *plain;
	uint64_t *blocks; /* of the frame in plain */
	/* the file being written */
	struct file *file;
	int fd;
	uint64_t written_from, written_to;
};

struct job {
	size_t n;
	struct piece list[];
};

static int
compare_pieces(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int c;

	if (x->len == 0 || y->len == 0) /* empty files first */
		return (x->len != 0) - (y->len != 0);
	c = pack_id_compare(&x->pack, &y->pack);
	if (c != 0)
		return c;
	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static uint64_t
pack_size(const struct pack_table *packs, const struct pack_id *id)
{
	uint32_t index;

	return pack_table_find(packs, id, &index) ? packs->list[index].size :
						    0;
}

/* References. */

static void
file_free(struct file *f)
{
	free(f->path);
	free(f->sums);
	free(f);
}

static int
file_check(const struct copyback *cb, const struct file *f, struct err *err)
{
	uint32_t crc = 0, i;

	for (i = 0; i < f->n_pieces; i++)
		crc = i == 0 ? f->sums[0].crc :
			       crc32c_combine(crc, f->sums[i].crc,
				   f->sums[i].len);
	if (f->size > 0 && crc != f->crc)
		return err_set(err, ERR_DAMAGED,
		    "%s of backup %s has CRC %08x, the manifest says %08x",
		    f->path, cb->p.backup->label, crc, f->crc);
	if ((f->mode & S_IWUSR) == 0 &&
	    fchmodat(cb->p.dir, f->path, f->mode, 0) != 0)
		return err_sys(err, errno, "chmod %s/%s", cb->p.dir_name,
		    f->path);
	return 0;
}

/* Give back a piece's reference; the last one checks the file. */
static int
file_release(const struct copyback *cb, struct file *f, bool ok,
    struct err *err)
{
	int rc = 0;

	if (!ok)
		atomic_store(&f->failed, true);
	if (atomic_fetch_sub(&f->references, 1) != 1)
		return 0;
	if (!atomic_load(&f->failed))
		rc = file_check(cb, f, err);
	file_free(f);
	return rc;
}

/* Pieces that no job took over. */
static void
pieces_drop(struct copyback *cb, struct pieces *ps)
{
	struct err ignored = ERR_INIT; /* a failed file is not checked */
	size_t i;

	for (i = 0; i < ps->n; i++)
		(void)file_release(cb, ps->list[i].file, false, &ignored);
	ps->n = 0;
	ps->bytes = 0;
}

static struct piece *
pieces_add(struct pieces *ps)
{
	if (ps->n == ps->cap) {
		ps->cap = ps->cap == 0 ? 64 : 2 * ps->cap;
		ps->list = xreallocarray(ps->list, ps->cap, sizeof(*ps->list));
	}
	memset(&ps->list[ps->n], 0, sizeof(ps->list[0]));
	return &ps->list[ps->n++];
}

/* The workers. */

static uint64_t *
blocks_new(const struct copyback *cb)
{
	return xcalloc(FORMAT_FRAME_PLAIN_MAX / cb->block_size,
	    sizeof(uint64_t));
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;

	w->cb = arg;
	w->fd = -1;
	if (repo_clone(w->cb->p.repo, &w->repo, err) != 0)
		return -1;
	w->cache = pack_cache_new_shared(w->repo, w->cb->p.inc, CACHE_PACKS,
	    w->cb->set);
	w->codec = frame_codec_new(1);
	buf_init(&w->raw, RAW_MAX);
	w->plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	w->blocks = blocks_new(w->cb);
	return 0;
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	pack_cache_free(w->cache);
	frame_codec_free(w->codec);
	buf_free(&w->raw);
	free(w->plain);
	free(w->blocks);
	repo_close(w->repo);
}

/*
 * Let the disk begin early, so that little is left for the sync at the end.
 * Only a start: that all is on disk is what the sync makes sure of.
 */
static int
worker_close(struct worker *w, struct err *err)
{
	const uint64_t len = w->written_to - w->written_from;
	int rc = 0;

	if (w->fd < 0)
		return 0;
	if (len >= EARLY_SYNC_MIN)
		(void)sync_file_range(w->fd, (off64_t)w->written_from,
		    (off64_t)len, SYNC_FILE_RANGE_WRITE);
	if (close(w->fd) != 0)
		rc = err_sys(err, errno, "close %s/%s", w->cb->p.dir_name,
		    w->file->path);
	w->fd = -1;
	w->file = NULL;
	return rc;
}

static int
worker_open(struct worker *w, const struct piece *p, struct err *err)
{
	const struct file *f = p->file;
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;

	if (w->file == f)
		return 0;
	if (worker_close(w, err) != 0)
		return -1;
	if (f->n_pieces == 1)
		flags |= O_EXCL;
	/* Other jobs may open it too: writable until it is whole. */
	w->fd = openat(w->cb->p.dir, f->path, flags, f->mode | S_IWUSR);
	if (w->fd < 0)
		return err_sys(err, errno, "create %s/%s", w->cb->p.dir_name,
		    f->path);
	w->file = p->file;
	w->written_from = w->written_to = p->offset;
	return 0;
}

static int
worker_write(struct worker *w, const struct piece *p, const uint8_t *data,
    struct err *err)
{
	struct file *f = p->file;

	if (worker_open(w, p, err) != 0)
		return -1;
	if (io_pwrite_full(w->fd, data, p->len, p->offset, f->path, err) != 0)
		return err_wrap(err, "%s", w->cb->p.dir_name);
	f->sums[p->index] = (struct piece_sum){ crc32c(data, p->len), p->len };
	w->written_to = p->offset + p->len;
	atomic_fetch_add(&w->cb->p.progress->done_bytes, p->len);
	return 0;
}

/* Does the frame hold the piece's blocks, one after another? */
static bool
holds_blocks(const struct worker *w, const struct piece *p,
    const struct frame_header *h)
{
	const uint32_t bs = w->cb->block_size;
	const uint64_t first = p->offset / bs;
	const uint32_t n = (p->len + bs - 1) / bs;
	struct err ignored = ERR_INIT; /* the header was checked */
	size_t in_frame;
	uint32_t i;

	if (h->block_size != bs ||
	    frame_blocks_decode(h, w->blocks, FORMAT_FRAME_PLAIN_MAX / bs,
		&in_frame, &ignored) != 0 ||
	    p->block >= in_frame || n > in_frame - p->block)
		return false;
	for (i = 0; i < n; i++)
		if (w->blocks[p->block + i] != first + i)
			return false;
	return true;
}

/* Is this frame the file's, and are the blocks where the map says? */
static int
check_frame(const struct worker *w, const struct piece *p,
    const struct frame_header *h, const char *where, struct err *err)
{
	const uint32_t bs = w->cb->block_size;
	const struct file *f = p->file;
	const uint64_t skip = (uint64_t)p->block * bs;

	if (h->type != FRAME_FILE || h->path_len != strlen(f->path) ||
	    memcmp(h->path, f->path, h->path_len) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s holds \"%.*s\" instead of \"%s\"", where,
		    (int)(h->path_len > 200 ? 200 : h->path_len),
		    h->path == NULL ? "" : h->path, f->path);
	if (!holds_blocks(w, p, h) || skip + p->len > h->plain_len ||
	    (p->len % bs != 0 && skip + p->len != h->plain_len))
		return err_set(err, ERR_DAMAGED,
		    "%s holds %u bytes from block %llu on of \"%s\", not the "
		    "%u bytes from block %llu on that the manifest expects",
		    where, (unsigned)h->plain_len,
		    (unsigned long long)h->position, f->path,
		    (unsigned)p->len, (unsigned long long)(p->offset / bs));
	return 0;
}

/* How many pieces from p on are read by one request. */
static size_t
group(const struct object_reader *r, const struct piece *p, size_t n)
{
	size_t i, bytes = r->entries[p->frame].length;

	for (i = 1; i < n; i++) {
		if (p[i].len == 0 || p[i].zeros ||
		    pack_id_compare(&p[i].pack, &p->pack) != 0)
			break;
		if (p[i].frame == p[i - 1].frame)
			continue;
		if (p[i].frame != p[i - 1].frame + 1 || p[i].frame >= r->n)
			break;
		bytes += r->entries[p[i].frame].length;
		if (bytes > FETCH_MAX)
			break;
	}
	return i;
}

/* Fetch, decode and write neighbouring pieces; *done tells how many. */
static int
copy_group(struct worker *w, const struct piece *p, size_t n, size_t *done,
    struct err *err)
{
	struct object_reader *r = NULL;
	struct frame_header h = { 0 };
	char where[STORAGE_KEY_MAX + 32];
	uint32_t base, decoded = UINT32_MAX;
	size_t i, at;

	if (pack_cache_open(w->cache, &p->pack,
		pack_size(&w->cb->packs, &p->pack), &r, err) != 0)
		return err_wrap(err, "%s", p->file->path);
	if (p->frame >= r->n)
		return err_set(err, ERR_DAMAGED,
		    "%s: frame %u of %s is wanted, which has %u",
		    p->file->path, (unsigned)p->frame, r->key, (unsigned)r->n);
	*done = group(r, p, n);
	base = p->frame;
	if (object_reader_fetch(r, base, p[*done - 1].frame - base + 1,
		&w->raw, err) != 0)
		return err_wrap(err, "%s", p->file->path);
	for (i = 0; i < *done; i++) {
		(void)snprintf(where, sizeof(where), "%s frame %u", r->key,
		    (unsigned)p[i].frame);
		at = r->entries[p[i].frame].offset - r->entries[base].offset;
		if (p[i].frame != decoded &&
		    frame_decode(w->codec, w->raw.data + at,
			r->entries[p[i].frame].length, &h, w->plain,
			FORMAT_FRAME_PLAIN_MAX, where, err) != 0)
			return err_wrap(err, "%s", p[i].file->path);
		decoded = p[i].frame;
		if (check_frame(w, &p[i], &h, where, err) != 0 ||
		    worker_write(w, &p[i],
			w->plain + (size_t)p[i].block * w->cb->block_size,
			err) != 0)
			return -1;
	}
	return 0;
}

static int
copy_pieces(struct worker *w, const struct piece *p, size_t n,
    struct err *err)
{
	size_t i, done;

	for (i = 0; i < n; i += done) {
		done = 1;
		if (cancel_check(err) != 0)
			return -1;
		if (p[i].len == 0) {
			if (worker_open(w, &p[i], err) != 0)
				return -1;
		} else if (p[i].zeros) {
			memset(w->plain, 0, p[i].len);
			if (worker_write(w, &p[i], w->plain, err) != 0)
				return -1;
		} else if (copy_group(w, &p[i], n - i, &done, err) != 0)
			return -1;
	}
	return worker_close(w, err);
}

static int
run_job(void *worker, void *arg, bool skip, struct err *err)
{
	struct worker *w = worker;
	struct job *job = arg;
	struct err ignored = ERR_INIT;
	size_t i;
	int rc = skip ? 0 : copy_pieces(w, job->list, job->n, err);
	const bool ok = !skip && rc == 0;

	if (!ok && w != NULL && w->fd >= 0) {
		(void)close(w->fd); /* the first error is the one to tell */
		w->fd = -1;
		w->file = NULL;
	}
	for (i = 0; i < job->n; i++)
		if (file_release(w == NULL ? NULL : w->cb, job->list[i].file,
			ok && rc == 0, rc == 0 ? err : &ignored) != 0)
			rc = -1;
	free(job);
	return rc;
}

/* The calling thread: from manifest lines to jobs. */

static int
submit(struct copyback *cb, struct pieces *ps, size_t n, struct err *err)
{
	struct job *job;

	job = xmalloc(sizeof(*job) + n * sizeof(job->list[0]));
	job->n = n;
	memcpy(job->list, ps->list, n * sizeof(job->list[0]));
	ps->n -= n;
	memmove(ps->list, ps->list + n, ps->n * sizeof(ps->list[0]));
	if (cb->p.tick != NULL)
		cb->p.tick(cb->p.tick_arg);
	return pool_submit(cb->pool, run_job, job, err);
}

/* Cut a list into jobs; pieces of one frame stay together. */
static int
submit_all(struct copyback *cb, struct pieces *ps, uint64_t bytes_max,
    size_t n_max, struct err *err)
{
	uint64_t bytes;
	size_t n;

	while (ps->n > 0) {
		bytes = 0;
		for (n = 0; n < ps->n && n < n_max && bytes < bytes_max; n++)
			bytes += ps->list[n].len;
		if (submit(cb, ps, n, err) != 0)
			return -1;
	}
	ps->bytes = 0;
	return 0;
}

static int
flush_small(struct copyback *cb, struct err *err)
{
	if (cb->small.n > 0)
		qsort(cb->small.list, cb->small.n, sizeof(cb->small.list[0]),
		    compare_pieces);
	return submit_all(cb, &cb->small, SMALL_BYTES, SMALL_FILES, err);
}

/* Add the pieces of a run; *at is the file's offset reached so far. */
static void
add_run(struct copyback *cb, struct file *f, const struct map_run *run,
    uint64_t *at)
{
	uint64_t len = run->blocks * cb->block_size;
	struct piece *p;

	if (len > f->size - *at) /* the last block is as short as it is */
		len = f->size - *at;
	while (len > 0) {
		p = pieces_add(&cb->large);
		p->file = f;
		p->index = f->n_pieces++;
		p->offset = *at;
		p->len = (uint32_t)(len < FORMAT_FRAME_PLAIN_MAX ?
			len : FORMAT_FRAME_PLAIN_MAX);
		p->zeros = run->pack == MAP_PACK_ZEROS;
		if (!p->zeros)
			p->pack = cb->packs.list[run->pack].id;
		p->frame = run->frame;
		p->block = run->block;
		*at += p->len;
		len -= p->len;
	}
}

/* cb->large becomes the pieces of f. */
static int
add_pieces(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct file *f, struct err *err)
{
	const struct filemap *m = &cb->map;
	uint64_t at = 0;
	size_t i;

	if (filemap_read(&cb->map, &cb->packs, cb->cache, reader, e,
		cb->block_size, err) != 0)
		return -1;
	for (i = 0; i < m->n; i++)
		add_run(cb, f, &m->runs[i], &at);
	if (f->n_pieces == 0) { /* an empty file is one empty piece */
		pieces_add(&cb->large)->file = f;
		f->n_pieces = 1;
	}
	return 0;
}

static struct file *
file_new(const struct manifest_entry *e)
{
	struct file *f = xcalloc(1, sizeof(*f));

	f->path = xstrdup(e->path);
	f->size = e->size;
	f->mode = e->mode;
	f->crc = e->crc;
	return f;
}

static struct file *
file_of_entry(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct err *err)
{
	struct file *f = file_new(e);

	cb->large.n = 0;
	if (add_pieces(cb, reader, e, f, err) != 0) {
		cb->large.n = 0; /* they hold no reference yet */
		file_free(f);
		return NULL;
	}
	f->sums = xcalloc(f->n_pieces, sizeof(*f->sums));
	atomic_init(&f->references, f->n_pieces);
	return f;
}

int
copyback_file(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct err *err)
{
	if (cancel_check(err) != 0 ||
	    file_of_entry(cb, reader, e, err) == NULL)
		return -1;
	if (cb->large.n > 1)
		return submit_all(cb, &cb->large, JOB_BYTES, SIZE_MAX, err);
	*pieces_add(&cb->small) = cb->large.list[0];
	cb->large.n = 0;
	return cb->small.n < SMALL_WINDOW ? 0 : flush_small(cb, err);
}

static int
read_piece(struct copyback *cb, struct worker *w, const struct piece *p,
    struct buf *out, struct err *err)
{
	struct object_reader *r = NULL;
	struct frame_header h;
	char where[STORAGE_KEY_MAX + 32];

	if (p->zeros || p->len == 0)
		return err_set(err, ERR_DAMAGED, "%s has no content",
		    p->file->path);
	if (pack_cache_open(cb->cache, &p->pack, pack_size(&cb->packs,
		&p->pack), &r, err) != 0)
		return -1;
	(void)snprintf(where, sizeof(where), "%s frame %u", r->key,
	    (unsigned)p->frame);
	if (p->frame >= r->n)
		return err_set(err, ERR_DAMAGED, "%s is not there", where);
	if (object_reader_fetch(r, p->frame, 1, &w->raw, err) != 0 ||
	    frame_decode(w->codec, w->raw.data, r->entries[p->frame].length,
		&h, w->plain, FORMAT_FRAME_PLAIN_MAX, where, err) != 0 ||
	    check_frame(w, p, &h, where, err) != 0)
		return -1;
	buf_add(out, w->plain + (size_t)p->block * cb->block_size, p->len);
	return 0;
}

int
copyback_read(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct buf *out, struct err *err)
{
	struct worker w = { .cb = cb, .fd = -1 };
	struct file *f;
	size_t i;
	int ret = -1;

	f = file_of_entry(cb, reader, e, err);
	if (f == NULL)
		return -1;
	buf_init(&w.raw, RAW_MAX);
	w.plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	w.blocks = blocks_new(cb);
	w.codec = frame_codec_new(1);
	for (i = 0; i < cb->large.n; i++)
		if (read_piece(cb, &w, &cb->large.list[i], out, err) != 0) {
			err_wrap(err, "%s", f->path);
			goto out;
		}
	if (buf_check(out, f->path, err) != 0)
		goto out;
	if (crc32c(out->data, out->len) != f->crc) {
		err_set(err, ERR_DAMAGED,
		    "%s of backup %s does not have the manifest's CRC",
		    f->path, cb->p.backup->label);
		goto out;
	}
	ret = 0;
out:
	cb->large.n = 0;
	file_free(f);
	frame_codec_free(w.codec);
	free(w.plain);
	free(w.blocks);
	buf_free(&w.raw);
	return ret;
}

int
copyback_finish(struct copyback *cb, struct err *err)
{
	bool idle = false;

	if (flush_small(cb, err) != 0)
		return -1;
	while (!idle) {
		if (pool_poll(cb->pool, POLL_MS, &idle, err) != 0)
			return -1;
		if (cb->p.tick != NULL)
			cb->p.tick(cb->p.tick_arg);
	}
	return pool_finish(cb->pool, err);
}

int
copyback_new(struct copyback **out, const struct copyback_params *params,
    struct err *err)
{
	struct copyback *cb = xcalloc(1, sizeof(*cb));
	const struct commit *c = params->backup;

	cb->p = *params;
	cb->block_size = c->block_size;
	if (cb->block_size == 0 ||
	    FORMAT_FRAME_PLAIN_MAX % cb->block_size != 0) {
		free(cb);
		return err_set(err, ERR_DAMAGED,
		    "backup %s says that its block size is %u", c->label,
		    (unsigned)c->block_size);
	}
	pack_table_init(&cb->packs, c);
	filemap_init(&cb->map);
	if (packset_new(&cb->set, params->repo, params->inc, err) != 0) {
		copyback_free(cb);
		return -1;
	}
	cb->cache = pack_cache_new_shared(params->repo, params->inc,
	    CACHE_PACKS, cb->set);
	if (pool_new(&cb->pool, params->jobs, 2 * (size_t)params->jobs,
		sizeof(struct worker), worker_init, worker_fini, cb,
		err) != 0) {
		copyback_free(cb);
		return -1;
	}
	*out = cb;
	return 0;
}

void
copyback_free(struct copyback *cb)
{
	if (cb == NULL)
		return;
	pool_free(cb->pool); /* first: its jobs refer to cb */
	pieces_drop(cb, &cb->small);
	pieces_drop(cb, &cb->large);
	free(cb->small.list);
	free(cb->large.list);
	pack_cache_free(cb->cache);
	packset_free(cb->set);
	filemap_free(&cb->map);
	pack_table_free(&cb->packs);
	free(cb);
}
