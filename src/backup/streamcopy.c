/* SPDX-License-Identifier: PostgreSQL */
/*
 * Buffers go round: the owner fills one, a worker works on it, the owner
 * takes the results in the order in which it handed them out, so that the
 * pieces of one file come one behind the other.
 */
#include "config.h"

#include "backup/streamcopy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup/piece.h"
#include "backup/streamfile.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "pg/page.h"
#include "pipe/pool.h"

#define PIECES_MAX 256
#define WAIT_MS 100

/* A page that failed, until it is known where the backup stops. */
struct suspect {
	struct streamfile *file;
	uint64_t block; /* within the relation */
	uint16_t expected, found;
	bool header;
	pg_lsn lsn;
};

/* What a buffer has of one file. */
struct stream_piece {
	struct streamfile *file;
	uint64_t off; /* in the file; of a part: index of its first block */
	size_t at, len; /* in the buffer */
	bool last;
	/* results */
	uint32_t first_run, n_runs, crc;
	bool changed;
};

struct stream_task {
	struct streamcopy *owner;
	uint8_t *data;
	size_t len;
	struct stream_piece pieces[PIECES_MAX];
	size_t n;
	struct run_list runs;
	struct suspect *suspects;
	size_t n_suspects;
	bool done; /* under the owner's lock */
};

struct streamcopy {
	struct streamcopy_params p;
	struct piece_shared shared;
	struct pool *pool;
	struct stream_task **ring; /* in the order handed out */
	size_t window, head, count;
	struct stream_task *filling; /* NULL: none */
	struct stream_task *spare;
	struct compare compare; /* for what is put over the parent */
	struct streamfile_env env;
	struct damaged_page *bad; /* .block, ...; lsn beside it */
	pg_lsn *bad_lsn;
	size_t n_bad;
	uint64_t bad_count; /* beyond what is in the list too */
	pthread_mutex_t lock;
	pthread_cond_t done;
};

static struct stream_task *
task_new(struct streamcopy *c)
{
	struct stream_task *t = c->spare;

	if (t == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->owner = c;
		t->data = xmalloc(STREAMCOPY_BUFFER);
	}
	c->spare = NULL;
	return t;
}

static void
task_free(struct stream_task *t)
{
	if (t == NULL)
		return;
	free(t->data);
	free(t->runs.list);
	free(t->suspects);
	free(t);
}

/* Ready to be filled again. */
static void
task_recycle(struct streamcopy *c, struct stream_task *t)
{
	if (c->spare != NULL) {
		task_free(t);
		return;
	}
	t->len = 0;
	t->n = 0;
	t->runs.n = t->runs.begin = 0;
	t->n_suspects = 0;
	t->done = false;
	c->spare = t;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	return piece_writer_init(worker, arg, err);
}

static void
worker_fini(void *worker)
{
	piece_writer_fini(worker);
}

static int
worker_flush(void *worker, void *arg, struct err *err)
{
	return piece_writer_flush(worker, err);
}

int
streamcopy_new(struct streamcopy **out, const struct streamcopy_params *p,
    struct err *err)
{
	struct streamcopy *c = xcalloc(1, sizeof(*c));
	pthread_condattr_t attr;

	c->p = *p;
	c->shared = (struct piece_shared){ p->commit->block_size,
		p->fingerprint_seed, p->compress_level, p->pack, p->parent };
	c->window = 2 * (size_t)p->jobs + 1;
	c->ring = xcalloc(c->window, sizeof(*c->ring));
	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	c->env.commit = p->commit;
	c->env.parent = p->parent;
	c->env.entries = p->entries;
	c->env.sent = p->sent;
	*out = c;
	if (p->parent != NULL) {
		if (compare_open(&c->compare, p->parent, err) != 0)
			return -1;
		c->env.compare = &c->compare;
	}
	return pool_new(&c->pool, p->jobs, c->window,
	    sizeof(struct piece_writer), worker_init, worker_fini, &c->shared,
	    err);
}

void
streamcopy_free(struct streamcopy *c)
{
	size_t i;

	if (c == NULL)
		return;
	pool_free(c->pool);
	for (i = 0; i < c->count; i++)
		task_free(c->ring[(c->head + i) % c->window]);
	while (c->env.live != NULL)
		streamfile_free(c->env.live);
	task_free(c->filling);
	task_free(c->spare);
	if (c->env.compare != NULL)
		compare_close(&c->compare);
	for (i = 0; i < c->n_bad; i++)
		free(c->bad[i].path);
	free(c->bad);
	free(c->bad_lsn);
	free(c->ring);
	(void)pthread_cond_destroy(&c->done);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ------------------------------------------------------------ workers */

/* Block `block` of the file, which cannot be read again. */
static void
check_page(struct stream_task *t, struct streamfile *f, const uint8_t *page,
    uint64_t block)
{
	const struct commit *c = t->owner->p.commit;
	uint32_t number = f->df.segment * c->relation_segment_blocks +
	    (uint32_t)block;
	enum page_state state = page_verify(page, c->block_size, number,
	    c->data_checksums);
	struct suspect *s;

	if (state == PAGE_OK || state == PAGE_ZERO)
		return;
	t->suspects = xreallocarray(t->suspects, t->n_suspects + 1,
	    sizeof(*t->suspects));
	s = &t->suspects[t->n_suspects++];
	*s = (struct suspect){ f, number, 0, page_stored_checksum(page),
		state == PAGE_BAD_HEADER, page_lsn(page) };
	if (c->data_checksums)
		s->expected = page_checksum(page, c->block_size, number);
}

static int
run_whole(struct piece_writer *w, struct stream_task *t,
    struct stream_piece *p, struct err *err)
{
	const uint32_t bs = t->owner->shared.block_size;
	struct streamfile *f = p->file;
	struct piece_file pf = { .path = f->path, .runs = &t->runs };
	const uint8_t *data = t->data + p->at;
	size_t off, len;

	pf.has_parent = f->has_parent;
	pf.run = f->parent_runs;
	pf.run_end = f->parent_runs + f->n_parent_runs;
	for (off = 0; off < p->len; off += len) {
		len = p->len - off;
		if (len > FORMAT_FRAME_PLAIN_MAX)
			len = FORMAT_FRAME_PLAIN_MAX;
		pf.before = t->owner->p.parent == NULL ? 0 :
		    renew_before(&t->owner->p.parent->renew, f->path,
		    p->off + off);
		if (piece_store(w, &pf, p->off + off, data + off, len,
		    err) != 0)
			return -1;
	}
	if (f->df.kind == DATAFILE_RELATION)
		for (off = 0; off + bs <= p->len; off += bs)
			check_page(t, f, data + off, (p->off + off) / bs);
	p->crc = pf.crc;
	p->changed = pf.changed;
	return piece_end(w, &pf, err);
}

/* Blocks of a file of which only these were sent. */
static int
run_part(struct piece_writer *w, struct stream_task *t,
    struct stream_piece *p, struct err *err)
{
	const uint32_t bs = t->owner->shared.block_size;
	struct streamfile *f = p->file;
	struct piece_file pf = { .path = f->path, .runs = &t->runs };
	const uint8_t *page = t->data + p->at;
	uint32_t i, n = (uint32_t)(p->len / bs), block;

	for (i = 0; i < n; i++, page += bs) {
		block = f->part_blocks[p->off + i];
		check_page(t, f, page, block);
		if (piece_store_block(w, &pf, block, page,
		    &f->part_crcs[p->off + i], err) != 0)
			return -1;
	}
	p->changed = true;
	return piece_end(w, &pf, err);
}

static int
task_run(void *worker, void *task, bool skip, struct err *err)
{
	struct stream_task *t = task;
	struct streamcopy *c = t->owner;
	struct stream_piece *p;
	size_t i;
	int rc = 0;

	for (i = 0; i < t->n && rc == 0 && !skip; i++) {
		p = &t->pieces[i];
		runs_begin(&t->runs);
		p->first_run = t->runs.n;
		rc = (p->file->is_part ? run_part : run_whole)(worker, t, p,
		    err);
		p->n_runs = t->runs.n - p->first_run;
	}
	(void)pthread_mutex_lock(&c->lock);
	t->done = !skip && rc == 0;
	(void)pthread_cond_signal(&c->done);
	(void)pthread_mutex_unlock(&c->lock);
	return rc;
}

/* -------------------------------------------------------------- owner */

static void
note_suspect(struct streamcopy *c, const struct suspect *s)
{
	if (c->bad_count++ >= COMMIT_DAMAGED_MAX)
		return;
	if (c->n_bad % 64 == 0) {
		c->bad = xreallocarray(c->bad, c->n_bad + 64,
		    sizeof(*c->bad));
		c->bad_lsn = xreallocarray(c->bad_lsn, c->n_bad + 64,
		    sizeof(*c->bad_lsn));
	}
	c->bad_lsn[c->n_bad] = s->lsn;
	c->bad[c->n_bad++] = (struct damaged_page){ xstrdup(s->file->path),
		s->block, s->expected, s->found,
		s->header ? "header" : "checksum" };
}

static int
finish_file(struct streamcopy *c, struct streamfile *f, struct err *err)
{
	int rc = streamfile_finish(f, &c->env, err);

	streamfile_free(f);
	return rc;
}

static int
drain(struct streamcopy *c, struct stream_task *t, struct err *err)
{
	struct stream_piece *p;
	size_t i;
	int rc = 0;

	for (i = 0; i < t->n_suspects; i++)
		note_suspect(c, &t->suspects[i]);
	for (i = 0; i < t->n && rc == 0; i++) {
		p = &t->pieces[i];
		streamfile_add(p->file, t->runs.list + p->first_run,
		    p->n_runs, p->len, p->crc, p->changed);
		if (p->last)
			rc = finish_file(c, p->file, err);
	}
	return rc;
}

static bool
task_done(struct streamcopy *c, struct stream_task *t)
{
	struct timespec until;
	bool done;

	time_deadline(WAIT_MS, &until);
	(void)pthread_mutex_lock(&c->lock);
	if (!t->done) /* a wait that ends early is asked again */
		(void)pthread_cond_timedwait(&c->done, &c->lock, &until);
	done = t->done;
	(void)pthread_mutex_unlock(&c->lock);
	return done;
}

/* Take the results of the oldest buffer. */
static int
drain_oldest(struct streamcopy *c, struct err *err)
{
	struct stream_task *t = c->ring[c->head];
	bool idle;

	while (!task_done(c, t))
		if (c->p.pulse(c->p.pulse_arg, err) != 0 ||
		    pool_poll(c->pool, 0, &idle, err) != 0)
			return -1;
	if (drain(c, t, err) != 0)
		return -1;
	c->head = (c->head + 1) % c->window;
	c->count--;
	task_recycle(c, t);
	return 0;
}

static int
hand_out(struct streamcopy *c, struct err *err)
{
	struct stream_task *t = c->filling;

	if (t == NULL)
		return 0;
	while (c->count == c->window)
		if (drain_oldest(c, err) != 0)
			return -1;
	c->filling = NULL;
	c->ring[(c->head + c->count++) % c->window] = t;
	return pool_submit(c->pool, task_run, t, err);
}

/* Room for a piece of this file: *room bytes of c->filling, whole blocks. */
static int
make_room(struct streamcopy *c, uint64_t left, size_t *room, struct err *err)
{
	const uint32_t bs = c->shared.block_size;
	struct stream_task *t = c->filling;

	if (t != NULL && (t->n == PIECES_MAX ||
	    (t->n > 0 && left > STREAMCOPY_BUFFER - t->len)) &&
	    hand_out(c, err) != 0)
		return -1;
	if (c->filling == NULL)
		c->filling = task_new(c);
	t = c->filling;
	*room = (STREAMCOPY_BUFFER - t->len) / bs * bs;
	if (left < *room)
		*room = (size_t)left;
	return 0;
}

/* Hand the content to workers, from `off` (part: index of a block) on. */
static int
receive(struct streamcopy *c, struct streamfile *f, uint64_t left,
    struct streamtar *tar, struct err *err)
{
	struct stream_piece *p;
	struct stream_task *t;
	uint64_t off = 0;
	size_t want, got;

	do {
		if (make_room(c, left, &want, err) != 0 ||
		    streamtar_read(tar, c->filling->data + c->filling->len,
		    want, &got, err) != 0)
			return -1;
		if (got != want)
			return err_set(err, ERR_POSTGRES, "%s ends early in "
			    "the server's archive", f->path);
		left -= got;
		t = c->filling;
		p = &t->pieces[t->n++];
		*p = (struct stream_piece){ .file = f, .at = t->len,
			.len = got, .last = left == 0,
			.off = f->is_part ? off / c->shared.block_size : off };
		t->len += got;
		off += got;
		(void)atomic_fetch_add(c->p.done_bytes, got);
	} while (left > 0);
	return 0;
}

int
streamcopy_file(struct streamcopy *c, const struct streamtar_member *m,
    struct streamtar *tar, struct err *err)
{
	struct streamfile *f = NULL;
	uint64_t left;

	if (streamfile_new(&f, m, &c->env, c->p.parent_lines, tar, &left,
	    err) != 0)
		return -1;
	if (left == 0)
		return finish_file(c, f, err);
	return receive(c, f, left, tar, err);
}

int
streamcopy_finish(struct streamcopy *c, struct err *err)
{
	if (hand_out(c, err) != 0)
		return -1;
	while (c->count > 0)
		if (drain_oldest(c, err) != 0)
			return -1;
	if (pool_finish(c->pool, err) != 0)
		return -1;
	return pool_each_worker(c->pool, worker_flush, NULL, err);
}

static void
take_damage(struct commit *c, struct damaged_page *bad)
{
	log_warning("damaged page: %s block %llu: %s, expected %04X, found "
	    "%04X", bad->path, (unsigned long long)bad->block, bad->reason,
	    bad->expected, bad->found);
	c->damaged_count++;
	if (c->n_damaged == COMMIT_DAMAGED_MAX)
		return;
	c->damaged = xreallocarray(c->damaged, c->n_damaged + 1,
	    sizeof(*c->damaged));
	c->damaged[c->n_damaged++] = *bad;
	bad->path = NULL;
}

void
streamcopy_damage(struct streamcopy *c, pg_lsn stop_lsn)
{
	size_t i;

	for (i = 0; i < c->n_bad; i++) {
		if (c->bad_lsn[i] >= c->p.start_lsn &&
		    c->bad_lsn[i] <= stop_lsn) {
			log_debug("%s: block %llu was being written; recovery "
			    "restores it from WAL", c->bad[i].path,
			    (unsigned long long)c->bad[i].block);
			continue;
		}
		take_damage(c->p.commit, &c->bad[i]);
	}
	/* More than the list holds: which of them were torn is not known. */
	if (c->bad_count > c->n_bad)
		c->p.commit->damaged_count += c->bad_count - c->n_bad;
}
