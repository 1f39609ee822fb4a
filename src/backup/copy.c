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
#include "core/crc32c.h"
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
	struct piece_file piece;
	struct pages_file pages;
};

int
copy_worker_init(void *worker, void *shared, struct err *err)
{
	struct copy_worker *w = worker;
	struct copy_shared *s = shared;
	void *p = NULL;

	w->shared = s;
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
 * not be opened.
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
}

/* Read up to 1 MiB and check it; *got 0 at the end. */
static int
read_piece(struct copy_worker *w, struct source *src, size_t *got,
    struct err *err)
{
	struct copy_shared *s = w->shared;
	size_t want = FORMAT_FRAME_PLAIN_MAX;

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

static int
copy_pieces(struct copy_worker *w, struct source *src, struct err *err)
{
	struct copy_file *out = src->out;
	size_t got;

	while (src->off < src->end) {
		if (read_piece(w, src, &got, err) != 0)
			return -1;
		if (got == 0)
			break;
		if (piece_store(&w->out, &src->piece, src->off, w->data, got,
		    err) != 0)
			return -1;
		out->size += got;
		src->off += got;
		(void)atomic_fetch_add(w->shared->done_bytes, got);
	}
	out->crc = src->piece.crc;
	out->changed = src->piece.changed;
	return piece_end(&w->out, &src->piece, err);
}

/* Where it goes, and what the parent has of it. */
static void
begin_piece(struct copy_worker *w, struct source *src)
{
	struct copy_task *t = src->task;
	const struct copy_parent *p;

	src->piece.path = buf_str(&w->path);
	src->piece.runs = &t->runs;
	src->piece.run_block = src->off / w->shared->piece.block_size;
	if (t->parents == NULL || !t->parents[src->index - t->first].found)
		return;
	p = &t->parents[src->index - t->first];
	src->piece.has_parent = true;
	src->piece.before = p->before;
	src->piece.run = t->parent_runs.list + p->first_run;
	src->piece.run_end = src->piece.run + p->n_runs;
}

static int
copy_one(struct copy_worker *w, struct copy_task *t, uint32_t index,
    struct err *err)
{
	struct copy_shared *s = w->shared;
	struct source src = { .task = t, .index = index, .fd = -1 };
	struct stat st;
	uint64_t planned, copied;
	int rc;

	plan_get(s->plan, index, &src.item);
	if (src.item.type != PLAN_FILE)
		return 0;
	src.out = &t->files[index - t->first];
	plan_path(s->plan, &src.item, &w->path);
	datafile_parse(buf_str(&w->path), &src.df);
	if (src.df.kind == DATAFILE_RELATION && src.item.size == 0)
		return copy_empty(w, &src, err);
	rc = source_open(w, &src, &st, err);
	if (rc == 1) {
		fill_times(src.out, &st);
		source_bounds(w, &src, &st);
		begin_piece(w, &src);
		runs_begin(&t->runs);
		src.pages = (struct pages_file){ src.fd, buf_str(&w->path),
			s->piece.block_size, src.df.segment * s->segment_blocks,
			s->checksums, 0 };
		/* Only advice: it may fail. */
		if (t->is_range)
			(void)posix_fadvise(src.fd, (off_t)src.off,
			    (off_t)t->length, POSIX_FADV_SEQUENTIAL);
		rc = copy_pieces(w, &src, err);
		src.out->first_run = t->runs.begin;
		src.out->n_runs = t->runs.n - t->runs.begin;
	}
	if (src.fd >= 0)
		(void)close(src.fd); /* only read */
	planned = t->is_range ? t->length : src.item.size;
	copied = src.out->size;
	if (rc == 0 && copied < planned) /* so that progress reaches its end */
		(void)atomic_fetch_add(s->done_bytes, planned - copied);
	return rc;
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
