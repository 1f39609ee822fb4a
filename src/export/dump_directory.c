/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "export/dumpjob.h"
#include "pipe/pool.h"
#include "repo/dumpfolder.h"

#define RANGE_BYTES ((uint64_t)32 << 20)
#define POLL_MS 200

/* The chunks of an item, until its last range is written. */
struct chunks {
	struct dump_chunk *list;
	atomic_uint users;
};

struct unit {
	const struct dumpjob *job;
	const struct dump_item *item;
	struct chunks *chunks;
	size_t first, n;
	struct folder_item where;
	bool large_objects;
};

struct worker {
	struct repo *repo;
	struct dumpread *reader;
	struct folder_writer *writer;
	const struct dumpjob *job;
};

struct shared {
	struct dumpjob *job;
	struct dump_folder *folder;
};

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;
	const struct shared *s = arg;

	w->job = s->job;
	if (repo_clone(s->job->params->repo, &w->repo, err) != 0 ||
	    dumpread_new(&w->reader, s->job->set, w->repo, err) != 0)
		return -1;
	return folder_writer_new(&w->writer, s->folder, err);
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	folder_writer_free(w->writer);
	dumpread_free(w->reader);
	repo_close(w->repo);
}

static void
release(struct chunks *c)
{
	if (atomic_fetch_sub(&c->users, 1) != 1)
		return;
	free(c->list);
	free(c);
}

/* Any thread; the bar is the calling thread's. */
static int
count(const struct dumpjob *j, size_t len, struct err *err)
{
	atomic_fetch_add(&j->params->progress->done_bytes, len);
	return cancel_check(err);
}

static int
take(void *arg, const void *data, size_t len, struct err *err)
{
	struct worker *w = arg;

	if (folder_item_write(w->writer, data, len, err) != 0)
		return -1;
	return count(w->job, len, err);
}

static int
copy_frames(struct worker *w, const struct unit *u, struct err *err)
{
	const struct dump_chunk *c = u->chunks->list + u->first;
	const void *plain, *payload;
	size_t len, i;
	int ret = 0;

	for (i = 0; ret == 0 && i < u->n; i++, c++) {
		ret = dumpread_chunk(w->reader, u->item, c, &plain, &payload,
		    &len, err);
		if (ret == 0 && dumpjob_usable_frame(payload, len))
			ret = folder_item_packed(w->writer, payload, len, err);
		else if (ret == 0)
			ret = folder_item_write(w->writer, plain, c->bytes,
			    err);
		if (ret == 0)
			ret = count(u->job, c->bytes, err);
	}
	return ret;
}

static int
run_unit(void *worker, void *job, bool skip, struct err *err)
{
	struct worker *w = worker;
	struct unit *u = job;
	int ret = 0;

	if (!skip) {
		ret = folder_item_begin(w->writer, &u->where, err);
		if (ret == 0 && u->n > 0)
			ret = u->job->frames && !u->large_objects ?
			    copy_frames(w, u, err) :
			    dumpread_stream(w->reader, u->item,
				u->chunks->list, u->first, u->n, take, w, err);
		if (ret == 0)
			ret = folder_item_end(w->writer, err);
	}
	release(u->chunks);
	free(u);
	return ret;
}

/* How many chunks from `first` on make a range. */
static size_t
range_chunks(const struct dump_chunk *list, size_t first, size_t n)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = first; i < n && bytes < RANGE_BYTES; i++)
		bytes += list[i].bytes;
	return i - first;
}

static int
submit_item(struct dumpjob *j, struct pool *p, const struct dump_part *part,
    const struct dump_item *item, struct err *err)
{
	const bool lobs = archive_entry_is_large_objects(part->entry);
	struct chunks *chunks = xcalloc(1, sizeof(*chunks));
	uint32_t ranges = 0, r;
	size_t n, at;
	int ret = 0;

	if (dumpread_chunks(j->reader, item, &chunks->list, &n, err) != 0) {
		free(chunks);
		return -1;
	}
	for (at = 0; !lobs && at < n; ranges++)
		at += range_chunks(chunks->list, at, n);
	ranges = ranges == 0 ? 1 : ranges;
	atomic_store(&chunks->users, 1);
	for (at = 0, r = 0; ret == 0 && r < ranges; r++) {
		struct unit *u = xcalloc(1, sizeof(*u));

		*u = (struct unit){ .job = j, .item = item, .chunks = chunks,
			.first = at, .large_objects = lobs,
			.n = lobs ? n : range_chunks(chunks->list, at, n),
			.where = { part->entry->dump_id, r, ranges } };
		at += u->n;
		atomic_fetch_add(&chunks->users, 1);
		ret = pool_submit(p, run_unit, u, err);
		if (ret == 0)
			ret = dumpjob_count(j, 0, err);
	}
	release(chunks);
	return ret;
}

static int
submit_all(struct dumpjob *j, struct pool *p, struct err *err)
{
	size_t i, k;

	for (i = 0; i < j->parts.n; i++)
		for (k = 0; k < j->parts.list[i].n; k++)
			if (submit_item(j, p, &j->parts.list[i],
			    j->parts.list[i].items[k], err) != 0)
				return -1;
	return 0;
}

static int
wait_all(const struct dumpjob *j, struct pool *p, struct err *err)
{
	bool idle = false;

	while (!idle)
		if (pool_poll(p, POLL_MS, &idle, err) != 0 ||
		    dumpjob_count(j, 0, err) != 0)
			return -1;
	return pool_finish(p, err);
}

int
dumpjob_directory(struct dumpjob *j, struct err *err)
{
	const struct export_dump_params *p = j->params;
	struct shared shared = { .job = j };
	struct pool *pool = NULL;
	int ret = -1;

	if (dump_folder_new(&shared.folder, p->output, j->compression,
	    p->level, err) == 0 &&
	    dump_folder_head(shared.folder, &j->head, err) == 0 &&
	    pool_new(&pool, p->jobs, 2 * (size_t)p->jobs,
	    sizeof(struct worker), worker_init, worker_fini, &shared,
	    err) == 0 &&
	    submit_all(j, pool, err) == 0)
		ret = wait_all(j, pool, err);
	pool_free(pool);
	if (ret == 0)
		ret = dump_folder_finish(shared.folder, err);
	dump_folder_free(shared.folder);
	return ret;
}
