/* SPDX-License-Identifier: PostgreSQL */
/*
 * From manifest lines to jobs. Small files are gathered, sorted by the pack
 * and frame that they begin in, and cut into jobs; larger files become jobs
 * of their own. A part of a file holds a reference to it; who gives back the
 * last one checks the whole.
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
#include "core/log.h"
#include "core/mem.h"
#include "pipe/pool.h"
#include "repo/object.h"
#include "restore/copyjob.h"

/*
 * Plain bytes of a job. A large file goes to one worker up to this size: two
 * that write into one file wait for each other in the kernel, spinning on the
 * inode's lock (measured: 10 s instead of 5 s of system time for 4 GB).
 */
#define JOB_BYTES ((uint64_t)1 << 30)

/*
 * From a store over a network it comes slower, and a worker waits most of the
 * time for what it has asked for: so there are more of them, and they share
 * large files.
 */
#define REMOTE_JOB_BYTES ((uint64_t)64 << 20)
#define REMOTE_WORKERS 4 /* for each job asked for */
#define REMOTE_WORKERS_MAX 16

#define SMALL_FILE FORMAT_FRAME_PLAIN_MAX
#define SMALL_BYTES ((uint64_t)4 << 20) /* of a small files' job */
#define SMALL_FILES 256			/* files in such a job */
#define SMALL_WINDOW 8192		/* files that are sorted at a time */
#define SUMS_BYTES ((size_t)64 << 20)
#define CACHE_PACKS 32
#define POLL_MS 200

static int
compare_small(const void *a, const void *b)
{
	const struct copyfile *x = ((const struct copypart *)a)->file;
	const struct copyfile *y = ((const struct copypart *)b)->file;

	if (x->n_runs == 0 || y->n_runs == 0) /* empty files first */
		return (x->n_runs != 0) - (y->n_runs != 0);
	if (x->runs->pack != y->runs->pack)
		return x->runs->pack < y->runs->pack ? -1 : 1;
	if (x->runs->frame != y->runs->frame)
		return x->runs->frame < y->runs->frame ? -1 : 1;
	return 0;
}

static int
submit(struct copyback *cb, const struct copypart *parts, size_t n,
    struct err *err)
{
	struct copyjob *job;

	job = xmalloc(sizeof(*job) + n * sizeof(job->list[0]));
	job->n = n;
	memcpy(job->list, parts, n * sizeof(job->list[0]));
	if (cb->p.tick != NULL)
		cb->p.tick(cb->p.tick_arg);
	return pool_submit(cb->pool, copyworker_run, job, err);
}

static void
drop_small(struct copyback *cb, size_t from)
{
	struct err ignored = ERR_INIT; /* a failed file is not checked */
	size_t i;

	for (i = from; i < cb->n_small; i++)
		(void)copyfile_release(cb, cb->small[i].file, false,
		    &ignored);
	cb->n_small = 0;
}

static int
flush_small(struct copyback *cb, struct err *err)
{
	uint64_t bytes;
	size_t i, n;

	if (cb->n_small > 1)
		qsort(cb->small, cb->n_small, sizeof(cb->small[0]),
		    compare_small);
	for (i = 0; i < cb->n_small; i += n) {
		bytes = 0;
		for (n = 0; i + n < cb->n_small && n < SMALL_FILES &&
		    bytes < SMALL_BYTES; n++)
			bytes += cb->small[i + n].file->size;
		if (submit(cb, cb->small + i, n, err) != 0) {
			drop_small(cb, i + n);
			return -1;
		}
	}
	cb->n_small = 0;
	return 0;
}

/* Jobs of a large file's parts. */
static int
submit_large(struct copyback *cb, struct copyfile *f, struct err *err)
{
	const uint64_t blocks = (f->size + cb->block_size - 1) /
	    cb->block_size;
	const uint64_t step = cb->job_bytes / cb->block_size;
	struct copypart part = { .file = f };
	struct err ignored = ERR_INIT;
	int rc = 0;

	for (; part.block < blocks; part.block += step, part.index++) {
		part.blocks = blocks - part.block < step ?
		    blocks - part.block : step;
		if (rc == 0)
			rc = submit(cb, &part, 1, err);
		else
			(void)copyfile_release(cb, f, false, &ignored);
		/* With its last part the file may be done, and gone. */
		if (part.blocks == blocks - part.block)
			break;
		for (part.skip += part.blocks; part.run + 1 < f->n_runs &&
		    part.skip >= f->runs[part.run].blocks; part.run++)
			part.skip -= f->runs[part.run].blocks;
	}
	return rc;
}

/*
 * A map that is lost with its pack: with --allow-damage the file is all
 * zeros, and all of it in the list.
 */
static int
lost_map(struct copyback *cb, struct copyfile *f, struct err *err)
{
	const uint64_t blocks = (f->size + cb->block_size - 1) /
	    cb->block_size;

	if (!copy_is_damage(cb, err))
		return -1;
	damage_add(cb->p.damage, f->path, 0, blocks, err);
	err_clear(err);
	atomic_store(&f->damaged, true);
	f->n_runs = 1;
	f->runs = xcalloc(1, sizeof(*f->runs));
	f->runs[0] = (struct map_run){ .blocks = blocks,
		.pack = MAP_PACK_ZEROS };
	return 0;
}

static void
file_free(struct copyfile *f)
{
	free(f->path);
	free(f->sums);
	free(f->runs);
	free(f);
}

static struct copyfile *
file_new(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct err *err)
{
	struct copyfile *f = xcalloc(1, sizeof(*f));

	f->path = xstrdup(e->path);
	f->size = e->size;
	f->mode = e->mode;
	f->crc = e->crc;
	if (filemap_read(&cb->map, &cb->packs, cb->cache, reader, e,
		cb->block_size, err) != 0) {
		if (lost_map(cb, f, err) != 0) {
			file_free(f);
			return NULL;
		}
	} else {
		f->n_runs = cb->map.n;
		f->runs = xreallocarray(NULL, f->n_runs + 1,
		    sizeof(*f->runs));
		if (f->n_runs > 0)
			memcpy(f->runs, cb->map.runs,
			    f->n_runs * sizeof(*f->runs));
	}
	f->n_parts = f->size == 0 ? 1 :
	    (uint32_t)((f->size + cb->job_bytes - 1) / cb->job_bytes);
	f->sums = xcalloc(f->n_parts, sizeof(*f->sums));
	atomic_init(&f->references, f->n_parts);
	return f;
}

/*
 * What is there under the file's name. Writing through a second name of it
 * (a snapshot made of hard links) would change what somebody else keeps.
 */
static int
look_at_old(struct copyback *cb, struct copyfile *f, struct err *err)
{
	struct stat st;

	if (fstatat(cb->p.dir, f->path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return 0;
		return err_sys(err, errno, "look at %s/%s", cb->p.dir_name,
		    f->path);
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1) {
		log_debug("%s/%s is made anew", cb->p.dir_name, f->path);
		if (unlinkat(cb->p.dir, f->path, 0) != 0)
			return err_sys(err, errno, "remove %s/%s",
			    cb->p.dir_name, f->path);
		return 0;
	}
	f->old_mode = st.st_mode & 07777;
	if ((f->old_mode & 0600) != 0600) {
		f->old_mode |= 0600;
		if (fchmodat(cb->p.dir, f->path, f->old_mode, 0) != 0)
			return err_sys(err, errno, "chmod %s/%s",
			    cb->p.dir_name, f->path);
	}
	f->old_size = (uint64_t)st.st_size;
	f->there = true;
	return 0;
}

int
copyback_file(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct err *err)
{
	struct copyfile *f;

	if (cancel_check(err) != 0)
		return -1;
	f = file_new(cb, reader, e, err);
	if (f == NULL)
		return -1;
	if (cb->p.delta && look_at_old(cb, f, err) != 0) {
		file_free(f);
		return -1;
	}
	if (f->size > SMALL_FILE)
		return submit_large(cb, f, err);
	cb->small[cb->n_small++] = (struct copypart){ .file = f,
		.blocks = (f->size + cb->block_size - 1) / cb->block_size };
	return cb->n_small < SMALL_WINDOW ? 0 : flush_small(cb, err);
}

/* The blocks of a run, from a frame that was read with all its checks. */
static int
read_run(struct copyback *cb, const struct manifest_entry *e,
    const struct map_run *run, struct buf *frame, struct buf *out,
    struct err *err)
{
	const struct pack_id *id = &cb->packs.list[run->pack].id;
	const uint64_t skip = (uint64_t)run->block * cb->block_size;
	uint64_t len = run->blocks * cb->block_size;
	struct frame_header h;

	if (pack_cache_frame(cb->cache, id, run->frame, &h, frame, err) != 0)
		return -1;
	if (len > e->size - out->len)
		len = e->size - out->len;
	if (h.type != FRAME_FILE || h.path_len != strlen(e->path) ||
	    memcmp(h.path, e->path, h.path_len) != 0 ||
	    skip + len > frame->len)
		return err_set(err, ERR_DAMAGED, "the frame that the "
		    "manifest names does not hold it");
	buf_add(out, frame->data + skip, (size_t)len);
	return buf_check(out, e->path, err);
}

int
copyback_read(struct copyback *cb, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct buf *out, struct err *err)
{
	struct buf frame;
	size_t i;
	int ret = 0;

	buf_init(&frame, FORMAT_FRAME_PLAIN_MAX);
	if (filemap_read(&cb->map, &cb->packs, cb->cache, reader, e,
		cb->block_size, err) != 0)
		ret = -1;
	for (i = 0; ret == 0 && i < cb->map.n; i++)
		if (cb->map.runs[i].pack == MAP_PACK_ZEROS)
			ret = err_set(err, ERR_DAMAGED, "it has no content");
		else
			ret = read_run(cb, e, &cb->map.runs[i], &frame, out,
			    err);
	if (ret == 0 && crc32c(out->data, out->len) != e->crc)
		ret = err_set(err, ERR_DAMAGED, "it does not have the "
		    "manifest's CRC");
	buf_free(&frame);
	if (ret != 0)
		err_wrap(err, "%s of backup %s", e->path,
		    cb->p.backup->label);
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

const struct copyback_counts *
copyback_counts(const struct copyback *cb)
{
	return &cb->counts;
}

int
copyback_new(struct copyback **out, const struct copyback_params *params,
    struct err *err)
{
	struct copyback *cb = xcalloc(1, sizeof(*cb));
	const struct commit *c = params->backup;
	unsigned workers = params->jobs;

	cb->p = *params;
	cb->remote = !storage_is_local(storage_url(params->repo->st));
	cb->job_bytes = cb->remote ? REMOTE_JOB_BYTES : JOB_BYTES;
	if (cb->remote && workers < REMOTE_WORKERS_MAX)
		workers = workers * REMOTE_WORKERS > REMOTE_WORKERS_MAX ?
		    REMOTE_WORKERS_MAX : workers * REMOTE_WORKERS;
	cb->block_size = c->block_size;
	if (cb->block_size == 0 ||
	    FORMAT_FRAME_PLAIN_MAX % cb->block_size != 0) {
		free(cb);
		return err_set(err, ERR_DAMAGED,
		    "backup %s says that its block size is %u", c->label,
		    (unsigned)c->block_size);
	}
	cb->shift = crc32c_shift(cb->block_size);
	pack_table_init(&cb->packs, c);
	filemap_init(&cb->map);
	cb->small = xcalloc(SMALL_WINDOW, sizeof(*cb->small));
	if (params->delta)
		cb->sums = sums_cache_new(SUMS_BYTES);
	if (packset_new(&cb->set, params->repo, params->inc, err) != 0 ||
	    pool_new(&cb->pool, workers, 2 * (size_t)workers,
		sizeof(struct copyworker), copyworker_init, copyworker_fini,
		cb, err) != 0) {
		copyback_free(cb);
		return -1;
	}
	cb->cache = pack_cache_new_shared(params->repo, params->inc,
	    CACHE_PACKS, cb->set);
	*out = cb;
	return 0;
}

void
copyback_free(struct copyback *cb)
{
	if (cb == NULL)
		return;
	pool_free(cb->pool); /* first: its jobs refer to cb */
	drop_small(cb, 0);
	free(cb->small);
	pack_cache_free(cb->cache);
	sums_cache_free(cb->sums);
	packset_free(cb->set);
	filemap_free(&cb->map);
	pack_table_free(&cb->packs);
	free(cb);
}
