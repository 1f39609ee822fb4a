/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/dispatch.h"

#include "backup/attach.h"

#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/log.h"
#include "core/mem.h"
#include "pipe/pool.h"

#define WINDOW_EACH 4 /* tasks on their way, for each worker */
#define WAIT_MS 100

/* A file that is copied in ranges, being put together again. */
struct joined {
	bool ended; /* a range came back short: nothing counts behind it */
	struct copy_file file;
	struct map_run *runs;
	size_t n, cap;
};

struct state {
	const struct dispatch *d;
	struct pool *pool;
	struct copy_task **ring; /* in the plan's order */
	size_t window, head, count;
	uint32_t next; /* item of the plan */
	uint64_t next_offset;
	struct joined joined;
	struct attach attach;
	struct buf path;
};

static struct copy_task *
next_range(struct state *s, const struct plan_item *item)
{
	uint64_t offset = s->next_offset, length = item->size - offset;
	uint32_t index = s->next;
	bool last = length <= COPY_RANGE;
	struct copy_task *t;

	if (offset == 0 && attach_file(&s->attach, item)) {
		t = copy_task_new(s->d->shared, s->next++, 1);
		attach_whole(&s->attach, t);
		return t;
	}
	if (!last)
		length = COPY_RANGE;
	s->next_offset += length;
	if (last) {
		s->next++;
		s->next_offset = 0;
	}
	t = copy_task_new_range(s->d->shared, index, offset, length, last);
	attach_range(&s->attach, t);
	return t;
}

/* NULL: the whole plan is on its way. */
static struct copy_task *
next_task(struct state *s)
{
	const struct plan *plan = s->d->shared->plan;
	uint32_t count = plan_count(plan), first = s->next;
	struct copy_task *t;
	struct plan_item item;
	uint64_t bytes = 0;

	if (first == count)
		return NULL;
	for (; s->next < count && s->next - first < COPY_BATCH_ITEMS;
	    s->next++) {
		plan_get(plan, s->next, &item);
		if (item.type == PLAN_FILE && item.size > COPY_BATCH_BYTES) {
			if (s->next == first)
				return next_range(s, &item);
			break;
		}
		if (item.type != PLAN_FILE)
			continue;
		bytes += item.size;
		if (bytes > COPY_BATCH_BYTES && s->next > first)
			break;
	}
	t = copy_task_new(s->d->shared, first, s->next - first);
	if (s->d->parent != NULL)
		attach_items(&s->attach, t);
	return t;
}

/*
 * The parent's map frames of a file that is wholly the parent's, and whose
 * packs may be referred to.
 */
static const struct map_run *
whole_map(const struct state *s, const struct copy_task *t, uint32_t i,
    const struct copy_file *file, size_t *n)
{
	const struct parent *p = s->d->parent;
	const struct copy_parent *cp;
	const struct map_run *map;
	size_t k;

	*n = 0;
	if (t->parents == NULL || file->changed)
		return NULL;
	cp = &t->parents[i];
	if (!cp->found || cp->size != file->size)
		return NULL;
	map = t->parent_runs.list + cp->first_map;
	for (k = 0; k < cp->n_map; k++)
		if (p->condemned[map[k].pack])
			return NULL;
	*n = cp->n_map;
	return map;
}

static int
add_line(struct state *s, const struct copy_task *t, uint32_t i,
    const struct copy_file *file, struct map_run *runs, size_t n_runs,
    struct err *err)
{
	struct plan_item found, *item = &found;
	struct manifest_entry line;
	const struct map_run *map;
	size_t n_map;

	plan_get(s->d->shared->plan, t->first + i, item);

	memset(&line, 0, sizeof(line));
	plan_path(s->d->shared->plan, item, &s->path);
	line.path = buf_str(&s->path);
	switch (item->type) {
	case PLAN_DIR:
		line.type = MANIFEST_DIR;
		line.mode = item->mode;
		break;
	case PLAN_LINK:
		line.type = MANIFEST_LINK;
		line.target = item->target;
		break;
	case PLAN_FILE:
		line.type = MANIFEST_FILE;
		line.size = file->size;
		line.mode = file->mode;
		line.mtime = file->mtime;
		line.crc = file->crc;
		map = whole_map(s, t, i, file, &n_map);
		return entries_add_file(s->d->entries, &line, runs, n_runs,
		    map, n_map, err);
	}
	return manifest_writer_add(s->d->entries->manifest, &line, err);
}

static void
note_damage(struct state *s, const struct copy_task *t)
{
	struct commit *c = s->d->commit;
	const struct copy_damage *bad;
	struct plan_item item;
	uint32_t i;

	c->damaged_count += t->damaged_count;
	for (i = 0; i < t->n_damaged; i++) {
		bad = &t->damaged[i];
		plan_get(s->d->shared->plan, bad->item, &item);
		plan_path(s->d->shared->plan, &item, &s->path);
		log_warning("damaged page: %s block %llu: %s, expected %04X, "
		    "found %04X", buf_str(&s->path),
		    (unsigned long long)bad->block, bad->reason,
		    bad->expected, bad->found);
		if (c->n_damaged == COMMIT_DAMAGED_MAX)
			continue;
		if (c->n_damaged % 64 == 0)
			c->damaged = xreallocarray(c->damaged,
			    c->n_damaged + 64, sizeof(*c->damaged));
		c->damaged[c->n_damaged++] = (struct damaged_page){
			xstrdup(buf_str(&s->path)), bad->block,
			bad->expected, bad->found, bad->reason };
	}
}

static void
join_runs(struct joined *j, const struct copy_task *t)
{
	const struct copy_file *f = &t->files[0];

	if (j->n + f->n_runs > j->cap) {
		j->cap = j->n + f->n_runs + j->cap / 2 + 64;
		j->runs = xreallocarray(j->runs, j->cap, sizeof(*j->runs));
	}
	if (f->n_runs > 0)
		memcpy(j->runs + j->n, t->runs.list + f->first_run,
		    f->n_runs * sizeof(*j->runs));
	j->n += f->n_runs;
}

static int
drain_range(struct state *s, const struct copy_task *t, struct err *err)
{
	struct joined *j = &s->joined;
	const struct copy_file *f = &t->files[0];

	if (t->offset == 0) {
		j->n = 0;
		j->ended = !f->present;
		j->file = *f;
		j->file.size = 0;
		j->file.crc = 0;
	}
	if (!j->ended && f->present) {
		join_runs(j, t);
		j->file.crc = crc32c_combine(j->file.crc, f->crc, f->size);
		j->file.size += f->size;
		j->file.changed |= f->changed;
	}
	if (!f->present || f->size < t->length)
		j->ended = true;
	if (!t->last || !j->file.present)
		return 0;
	return add_line(s, t, 0, &j->file, j->runs, j->n, err);
}

/* Write what a task brought to the manifest. */
static int
drain(struct state *s, struct copy_task *t, struct err *err)
{
	struct plan_item item;
	const struct copy_file *f;
	uint32_t i;

	note_damage(s, t);
	if (t->is_range)
		return drain_range(s, t, err);
	for (i = 0; i < t->n; i++) {
		plan_get(s->d->shared->plan, t->first + i, &item);
		f = &t->files[i];
		if (item.type == PLAN_FILE && !f->present)
			continue;
		if (add_line(s, t, i, f,
		    f->n_runs == 0 ? NULL : t->runs.list + f->first_run,
		    f->n_runs, err) != 0)
			return -1;
	}
	return 0;
}

static int
submit_some(struct state *s, struct err *err)
{
	struct copy_task *t;

	while (s->count < s->window && (t = next_task(s)) != NULL) {
		s->ring[(s->head + s->count++) % s->window] = t;
		if (pool_submit(s->pool, copy_task_run, t, err) != 0)
			return -1;
	}
	return 0;
}

static int
run_all(struct state *s, struct err *err)
{
	struct copy_task *oldest;
	bool idle;

	for (;;) {
		if (submit_some(s, err) != 0)
			return -1;
		if (s->count == 0)
			break;
		if (s->d->pulse(s->d->pulse_arg, err) != 0)
			return -1;
		oldest = s->ring[s->head];
		if (!copy_task_done(oldest, WAIT_MS)) {
			if (pool_poll(s->pool, 0, &idle, err) != 0)
				return -1;
			continue;
		}
		if (drain(s, oldest, err) != 0)
			return -1;
		copy_task_free(oldest);
		s->head = (s->head + 1) % s->window;
		s->count--;
	}
	if (pool_finish(s->pool, err) != 0)
		return -1;
	return pool_each_worker(s->pool, copy_worker_flush, NULL, err);
}

int
dispatch_run(const struct dispatch *d, struct err *err)
{
	struct state s;
	size_t i;
	int rc;

	memset(&s, 0, sizeof(s));
	s.d = d;
	s.window = (size_t)d->jobs * WINDOW_EACH;
	s.ring = xcalloc(s.window, sizeof(struct copy_task *));
	buf_init(&s.path, FORMAT_PATH_MAX);
	attach_init(&s.attach, d->shared->plan, d->parent, d->evidence,
	    d->shared->piece.block_size, d->shared->segment_blocks);
	rc = pool_new(&s.pool, d->jobs, s.window, sizeof(struct copy_worker),
	    copy_worker_init, copy_worker_fini, d->shared, err);
	if (rc == 0)
		rc = run_all(&s, err);
	if (rc != 0)
		atomic_store(&d->shared->stop, true);
	pool_free(s.pool);
	for (i = 0; i < s.count; i++)
		copy_task_free(s.ring[(s.head + i) % s.window]);
	free(s.ring);
	free(s.joined.runs);
	attach_free(&s.attach);
	buf_free(&s.path);
	return rc;
}
