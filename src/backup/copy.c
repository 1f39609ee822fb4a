/* SPDX-License-Identifier: PostgreSQL */
/*
 * Files may vanish, shrink and grow while they are read (TRAPS T34). A
 * relation's file is copied up to the size at listing, in whole blocks: what
 * comes behind is in WAL. Other files are read to their end. A file that
 * vanished has no result; the manifest then has no line for it (T35).
 */
#include "config.h"

#include "backup/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/entries.h"
#include "backup/pages.h"
#include "core/cancel.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "pg/datafile.h"
#include "pg/page.h"

#define ALIGN 4096

/* One file being copied. */
struct source {
	struct copy_task *task;
	struct copy_file *out;
	struct plan_item item;
	uint32_t index; /* in the plan */
	struct datafile df;
	int fd;
	uint64_t off, end; /* what is left to read */
	const struct copy_parent *parent; /* NULL: it has nothing of it */
	struct piece_file piece;
	uint8_t *bits;	    /* of the task's blocks: which are read */
	uint64_t first_block; /* of the task */
	struct pages_file pages;
};

int
copy_worker_init(void *worker, void *shared, struct err *err)
{
	struct copy_worker *w = worker;
	const struct copy_shared *s = shared;
	void *p = NULL;

	w->shared = shared;
	w->dir_fd = -1;
	buf_init(&w->path, FORMAT_PATH_MAX);
	if (posix_memalign(&p, ALIGN, FORMAT_FRAME_PLAIN_MAX) != 0)
		return err_set(err, ERR_IO, "no memory for a worker");
	w->data = p;
	return piece_writer_init(&w->out, &s->piece, err);
}

void
copy_worker_fini(void *worker)
{
	struct copy_worker *w = worker;

	piece_writer_fini(&w->out);
	if (w->dir_fd >= 0)
		(void)close(w->dir_fd); /* only read */
	buf_free(&w->path);
	free(w->data);
}

int
copy_worker_flush(void *worker, void *arg, struct err *err)
{
	struct copy_worker *w = worker;

	return piece_writer_flush(&w->out, err);
}

static bool
must_stop(void *arg)
{
	struct copy_shared *s = arg;

	return atomic_load_explicit(&s->stop, memory_order_relaxed) ||
	    cancel_requested();
}

static int
stopped(struct err *err)
{
	if (cancel_requested())
		return cancel_error(err);
	return err_set(err, ERR_CANCELLED, "the backup was stopped");
}

static void
report_damage(void *arg, const struct pages_bad *bad)
{
	struct source *src = arg;
	struct copy_task *t = src->task;

	if (t->damaged_count++ >= COMMIT_DAMAGED_MAX)
		return;
	t->damaged = xreallocarray(t->damaged, t->n_damaged + 1,
	    sizeof(*t->damaged));
	t->damaged[t->n_damaged++] = (struct copy_damage){ src->index,
		bad->block, bad->expected, bad->found, bad->reason };
}

/*
 * The directory of the last file stays open. 1: it is open; 0: it is gone.
 */
static int
enter_dir(struct copy_worker *w, uint32_t dir, struct err *err)
{
	const struct copy_shared *s = w->shared;
	const char *path = plan_dir_path(s->plan, dir);

	if (w->dir_known && w->dir == dir)
		return w->dir_fd >= 0;
	if (w->dir_fd >= 0)
		(void)close(w->dir_fd); /* only read */
	w->dir_known = false;
	w->dir_fd = openat(s->pgdata_fd, *path == '\0' ? "." : path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir_fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, errno, "open directory %s/%s", s->pgdata,
		    path);
	w->dir = dir;
	w->dir_known = true;
	return w->dir_fd >= 0;
}

static void
fill_times(struct copy_file *out, const struct stat *st)
{
	out->present = true;
	out->mode = st->st_mode & 07777;
	out->mtime = time_from_unix(st->st_mtim.tv_sec) +
	    st->st_mtim.tv_nsec / 1000;
}

static int
source_error(const struct copy_worker *w, int errnum, struct err *err)
{
	err_sys(err, errnum, "read %s/%s", w->shared->pgdata,
	    buf_str(&w->path));
	if (errnum == EACCES)
		(void)err_hint(err, "the owner of the data directory must be "
		    "able to read every file in it");
	return -1;
}

/* 1: open, with its size in *st; 0: it is gone. */
static int
source_open(struct copy_worker *w, struct source *src, struct stat *st,
    struct err *err)
{
	int rc = enter_dir(w, src->item.dir, err);

	if (rc < 0)
		return -1;
	if (rc == 1)
		src->fd = openat(w->dir_fd, src->item.name,
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (rc == 0 || (src->fd < 0 && errno == ENOENT)) {
		if (strcmp(buf_str(&w->path), "PG_VERSION") == 0)
			return source_error(w, ENOENT, err);
		return 0;
	}
	if (src->fd < 0)
		return source_error(w, errno, err);
	if (fstat(src->fd, st) != 0)
		return source_error(w, errno, err);
	return 1;
}

/*
 * A relation that was empty when it was listed (every second one is, where
 * there are many small tables): whatever is in it now is in WAL, and it need
 * not be opened. Is it still there?
 */
static int
copy_empty(struct copy_worker *w, struct source *src, struct err *err)
{
	struct stat st;
	int rc = enter_dir(w, src->item.dir, err);

	if (rc != 1)
		return rc;
	if (fstatat(w->dir_fd, src->item.name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		fill_times(src->out, &st);
	else if (errno != ENOENT)
		return source_error(w, errno, err);
	return 0;
}

/*
 * A relation of which WAL says that nothing changed since the parent. If it
 * has become shorter since the backup began, recovery will do the same.
 */
static int
copy_untouched(struct copy_worker *w, struct source *src, struct err *err)
{
	struct copy_task *t = src->task;
	struct copy_file *out = src->out;
	struct map_run run;
	uint32_t i;
	int rc = copy_empty(w, src, err);

	if (rc != 0 || !out->present)
		return rc;
	runs_begin(&t->runs);
	for (i = 0; i < src->parent->n_runs; i++) {
		run = src->piece.run[i];
		if (run.pack != MAP_PACK_ZEROS)
			run.pack += ENTRIES_FOREIGN;
		runs_add(&t->runs, &run);
	}
	out->size = src->parent->size;
	out->crc = src->parent->crc;
	out->first_run = t->runs.begin;
	out->n_runs = t->runs.n - t->runs.begin;
	return 0;
}

/* Where to stop reading. */
static void
source_bounds(const struct copy_worker *w, struct source *src,
    const struct stat *st)
{
	const struct copy_task *t = src->task;
	uint64_t bs = w->shared->piece.block_size, size = (uint64_t)st->st_size;

	src->off = t->is_range ? t->offset : 0;
	src->end = t->is_range ? t->offset + t->length : src->item.size;
	if (src->df.kind == DATAFILE_RELATION)
		src->end = (src->end + bs - 1) / bs * bs;
	else if (t->last)
		src->end = size; /* TRAPS T34: not cut at the size listed */
	if (src->end > size)
		src->end = size;
	if (src->end < src->off)
		src->end = src->off; /* it became shorter: nothing is left */
}

/* Read up to `most` bytes and check them; *got 0 at the end. */
static int
read_piece(struct copy_worker *w, struct source *src, size_t most,
    size_t *got, struct err *err)
{
	struct copy_shared *s = w->shared;
	size_t want = most;

	if (src->end - src->off < want)
		want = (size_t)(src->end - src->off);
	if (!rate_take(&s->rate, want, must_stop, s) || must_stop(s))
		return stopped(err);
	if (io_pread_upto(src->fd, w->data, want, src->off, got,
	    buf_str(&w->path), err) != 0)
		return -1;
	if (src->df.kind == DATAFILE_RELATION && *got > 0 &&
	    pages_verify(&src->pages, w->data, got, src->off, report_damage,
	    src, err) != 0)
		return -1;
	if (*got < want)
		src->end = src->off + *got; /* it became shorter */
	return 0;
}

/* Read, compare and store what comes next. *got 0: there is no more. */
static int
copy_piece(struct copy_worker *w, struct source *src, size_t most,
    size_t *got, struct err *err)
{
	if (read_piece(w, src, most, got, err) != 0)
		return -1;
	if (*got == 0)
		return 0;
	if (piece_store(&w->out, &src->piece, src->off, w->data, *got,
	    err) != 0)
		return -1;
	src->out->size += *got;
	src->off += *got;
	(void)atomic_fetch_add(w->shared->done_bytes, *got);
	return 0;
}

static int
copy_all(struct copy_worker *w, struct source *src, struct err *err)
{
	size_t got = 1;

	while (src->off < src->end && got > 0)
		if (copy_piece(w, src, FORMAT_FRAME_PLAIN_MAX, &got, err) !=
		    0)
			return -1;
	return 0;
}

static bool
is_set(const struct source *src, uint64_t n)
{
	return n >= src->parent->n_bits || (src->bits[n / 8] >> n % 8 & 1) != 0;
}

/* How many blocks from the n-th of the task on are read, or are not. */
static uint64_t
stretch(const struct source *src, uint64_t n, uint64_t max)
{
	const bool set = is_set(src, n);
	uint64_t i;

	for (i = 1; i < max && is_set(src, n + i) == set; i++)
		;
	return i;
}

/*
 * Blocks that WAL says did not change. Where their page sums, which the file's
 * CRC needs, cannot be had, they get read.
 */
static int
keep_blocks(struct copy_worker *w, struct source *src, uint64_t n,
    struct err *err)
{
	const uint64_t bs = w->shared->piece.block_size;
	uint64_t i, at = src->off / bs - src->first_block;
	int rc = piece_keep(&w->out, &src->piece, src->off, &n, err);

	if (rc < 0)
		return -1;
	if (rc == 0) {
		for (i = at; i < at + n; i++)
			src->bits[i / 8] |= (uint8_t)(1u << i % 8);
		return 0;
	}
	src->out->size += n * bs;
	src->off += n * bs;
	(void)atomic_fetch_add(w->shared->done_bytes, n * bs);
	return 0;
}

/* Let the kernel begin to read what will be read: only advice. */
static void
read_ahead(const struct copy_worker *w, const struct source *src)
{
	const uint64_t bs = w->shared->piece.block_size;
	const uint64_t end = (src->end - src->off) / bs;
	uint64_t i, n;

	(void)posix_fadvise(src->fd, 0, 0, POSIX_FADV_RANDOM);
	for (i = 0; i < end; i += n) {
		n = stretch(src, i, end - i);
		if (is_set(src, i))
			(void)posix_fadvise(src->fd,
			    (off_t)(src->off + i * bs), (off_t)(n * bs),
			    POSIX_FADV_WILLNEED);
	}
}

static int
copy_some(struct copy_worker *w, struct source *src, struct err *err)
{
	const uint64_t bs = w->shared->piece.block_size;
	uint64_t at, left, n;
	size_t got = 1, most;

	src->first_block = src->off / bs;
	src->bits = src->task->bits + src->parent->first_bits;
	read_ahead(w, src);
	while (src->off < src->end && got > 0) {
		if (must_stop(w->shared))
			return stopped(err);
		at = src->off / bs - src->first_block;
		left = (src->end - src->off) / bs;
		n = left == 0 ? 1 : stretch(src, at, left);
		if (left > 0 && !is_set(src, at)) {
			if (keep_blocks(w, src, n, err) != 0)
				return -1;
			continue;
		}
		most = FORMAT_FRAME_PLAIN_MAX;
		if (n * bs < most)
			most = (size_t)(n * bs);
		if (copy_piece(w, src, most, &got, err) != 0)
			return -1;
	}
	return 0;
}

static int
copy_pieces(struct copy_worker *w, struct source *src, struct err *err)
{
	const bool some = src->parent != NULL && src->parent->some;

	if ((some ? copy_some : copy_all)(w, src, err) != 0)
		return -1;
	src->out->crc = src->piece.crc;
	src->out->changed = src->piece.changed;
	return piece_end(&w->out, &src->piece, err);
}

static void
source_parent(struct source *src)
{
	const struct copy_task *t = src->task;
	const struct copy_parent *p;

	if (t->parents == NULL || !t->parents[src->index - t->first].found)
		return;
	p = &t->parents[src->index - t->first];
	src->parent = p;
	src->piece.has_parent = true;
	src->piece.before = p->before;
	src->piece.run = t->parent_runs.list + p->first_run;
	src->piece.run_end = src->piece.run + p->n_runs;
}

static int
copy_opened(struct copy_worker *w, struct source *src, const struct stat *st,
    struct err *err)
{
	struct copy_shared *s = w->shared;
	struct copy_task *t = src->task;
	int rc;

	fill_times(src->out, st);
	source_bounds(w, src, st);
	src->piece.path = buf_str(&w->path);
	src->piece.runs = &t->runs;
	src->piece.run_block = src->off / s->piece.block_size;
	src->pages = (struct pages_file){ src->fd, buf_str(&w->path),
		s->piece.block_size, src->df.segment * s->segment_blocks,
		s->checksums, 0 };
	/* Only advice: it may fail. */
	if (t->is_range && (src->parent == NULL || !src->parent->some))
		(void)posix_fadvise(src->fd, (off_t)src->off,
		    (off_t)t->length, POSIX_FADV_SEQUENTIAL);
	runs_begin(&t->runs);
	rc = copy_pieces(w, src, err);
	src->out->first_run = t->runs.begin;
	src->out->n_runs = t->runs.n - t->runs.begin;
	return rc;
}

static int
copy_source(struct copy_worker *w, struct source *src, struct err *err)
{
	struct stat st;
	int rc;

	source_parent(src);
	if (src->df.kind == DATAFILE_RELATION && src->item.size == 0)
		return copy_empty(w, src, err);
	if (src->parent != NULL && src->parent->untouched)
		return copy_untouched(w, src, err);
	rc = source_open(w, src, &st, err);
	if (rc == 1)
		rc = copy_opened(w, src, &st, err);
	if (src->fd >= 0)
		(void)close(src->fd); /* only read */
	return rc;
}

static int
copy_one(struct copy_worker *w, struct copy_task *t, uint32_t index,
    struct err *err)
{
	struct copy_shared *s = w->shared;
	struct source src = { .task = t, .index = index, .fd = -1 };
	uint64_t planned, counted = 0;

	plan_get(s->plan, index, &src.item);
	if (src.item.type != PLAN_FILE)
		return 0;
	src.out = &t->files[index - t->first];
	plan_path(s->plan, &src.item, &w->path);
	datafile_parse(buf_str(&w->path), &src.df);
	if (copy_source(w, &src, err) != 0)
		return -1;
	/* So that progress reaches its end. */
	planned = t->is_range ? t->length : src.item.size;
	if (src.parent == NULL || !src.parent->untouched)
		counted = src.out->size;
	if (counted < planned)
		(void)atomic_fetch_add(s->done_bytes, planned - counted);
	return 0;
}

int
copy_task_run(void *worker, void *task, bool skip, struct err *err)
{
	struct copy_task *t = task;
	struct copy_shared *s = t->shared;
	uint32_t i;
	int rc = 0;

	for (i = 0; i < t->n && rc == 0 && !skip; i++)
		rc = copy_one(worker, t, t->first + i, err);
	(void)pthread_mutex_lock(&s->lock);
	t->done = !skip && rc == 0;
	(void)pthread_cond_signal(&s->done);
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}
