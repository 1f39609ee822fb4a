/* SPDX-License-Identifier: PostgreSQL */
/*
 * The range is cut into runs of consecutive segments, one a job. A run has
 * the records that begin in it: the last of them usually ends in the next
 * run's first segment, so the reader goes on until it is whole, and the next
 * run skips what is left of it. When all are read, the first record of each
 * run must name the last one of the run before.
 *
 * A segment in pg_wal may be recycled under another name while it is read;
 * the page headers show that, and the run is read again, from the repository
 * first. Changes noted twice, or in vain, do no harm.
 */
#include "config.h"

#include "backup/walcollect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/cancel.h"
#include "core/io.h"
#include "core/mem.h"
#include "pg/walread.h"
#include "pipe/pool.h"
#include "repo/object.h"
#include "repo/walstore.h"

#define PIECE_SIZE ((size_t)1 << 20)
#define PIECE_SIZE_AHEAD ((size_t)64 << 10) /* for the end of one record */
#define BATCH_MAX 4096
#define RUN_SEGMENTS_MAX 64
#define RUNS_A_THREAD 2
#define POLL_MS 100
#define SHORT_HEADER_SIZE 24
#define LONG_HEADER_SIZE 40
#define RECORD_AT_PREV 8

struct collector {
	struct walcollect *w;
	struct blockset *set; /* under lock */
	pthread_mutex_t lock;
	atomic_bool given_up; /* w->reason (under lock) says why */
	uint64_t last_segno;
};

struct run {
	struct collector *c;
	uint64_t first, n; /* segments */
	pg_lsn begin, end; /* records that begin in begin <= LSN < end */
	bool is_last;
	/* What was read; first_record 0: no record begins here. */
	pg_lsn first_record, first_prev;
	pg_lsn last_record, last_end;
};

/* A thread's own. */
struct worker {
	struct collector *c;
	struct repo *repo;
	struct frame_codec *codec;
	uint8_t *piece;
	struct wal_change *batch;
	size_t n;
};

/* One reading of a run. */
struct scan {
	struct worker *w;
	struct run *run;
	struct walread *reader;
	pg_lsn next; /* what is to be fed next */
	bool local_first;
	bool done;
	bool broken; /* why: the reason */
	bool hopeless; /* reading again will not help */
	char reason[WALCOLLECT_REASON_MAX];
};

static void __attribute__((format(printf, 2, 3)))
break_off(struct scan *s, const char *fmt, ...)
{
	va_list ap;

	if (s->broken)
		return;
	s->broken = true;
	va_start(ap, fmt);
	(void)vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
	va_end(ap);
}

static void
give_up(struct collector *c, const char *reason)
{
	(void)pthread_mutex_lock(&c->lock);
	if (!atomic_exchange(&c->given_up, true))
		(void)snprintf(c->w->reason, sizeof(c->w->reason), "%s",
		    reason);
	(void)pthread_mutex_unlock(&c->lock);
}

static void
flush_batch(struct worker *w)
{
	size_t i;

	if (w->n == 0)
		return;
	(void)pthread_mutex_lock(&w->c->lock);
	for (i = 0; i < w->n; i++)
		blockset_add(w->c->set, &w->batch[i]);
	(void)pthread_mutex_unlock(&w->c->lock);
	w->n = 0;
}

static void
note_change(void *arg, const struct wal_change *change)
{
	struct worker *w = arg;

	if (change->fork != 0)
		return;
	w->batch[w->n++] = *change;
	if (w->n == BATCH_MAX)
		flush_batch(w);
}

/* Is `to` where the record after one that ended here begins? */
static bool
follows(const struct control *ctl, pg_lsn end, pg_lsn to)
{
	if (to == end)
		return true;
	return end % ctl->wal_block_size == 0 &&
	    to == end + (end % ctl->wal_segment_size == 0 ?
	    LONG_HEADER_SIZE : SHORT_HEADER_SIZE);
}

/* Take the records that are whole. */
static void
drain(struct scan *s)
{
	const struct walcollect *w = s->w->c->w;
	struct run *run = s->run;
	struct wal_event ev;
	const uint8_t *record;
	const char *reason;
	char lsn[LSN_TEXT_MAX];
	pg_lsn end;
	size_t len;
	int major;

	while (!s->done && !s->broken && walread_next(s->reader, &ev)) {
		if (ev.lsn < run->begin)
			continue;
		if (ev.lsn >= run->end) {
			s->done = true;
			return;
		}
		record = walread_record(s->reader, &len, &major);
		if (!wal_blocks_decode(record, len, major, note_change, s->w,
			&reason)) {
			s->hopeless = true;
			break_off(s, "at %s there is %s",
			    lsn_format(ev.lsn, lsn), reason);
			return;
		}
		if (run->first_record == 0) {
			run->first_record = ev.lsn;
			run->first_prev = get_le64(record + RECORD_AT_PREV);
		}
		run->last_record = ev.lsn;
		run->last_end = ev.end;
		if (run->is_last && follows(w->control, ev.end, w->to))
			s->done = true;
	}
	if (!s->done && walread_ended(s->reader, &end, &reason))
		break_off(s, "WAL cannot be read after %s: %s",
		    lsn_format(end == 0 ? s->next : end, lsn), reason);
}

/* Bytes of WAL from this position on: the reader gets what it needs. */
static void
feed(struct scan *s, pg_lsn lsn, const uint8_t *data, size_t len)
{
	const struct control *ctl = s->w->c->w->control;
	struct wal_segment_header h;
	struct err why = ERR_INIT;

	if (s->done || s->broken || lsn + len <= s->next)
		return;
	if (lsn % ctl->wal_segment_size == 0) {
		if (wal_segment_header_decode(data, len, &h, &why) != 0 ||
		    h.system_id != ctl->system_id || h.page_addr != lsn) {
			break_off(s, "a WAL segment is not what its name "
			    "says");
			return;
		}
	}
	if (lsn < s->next) {
		data += s->next - lsn;
		len -= (size_t)(s->next - lsn);
	}
	walread_feed(s->reader, s->next, data, len);
	s->next += len;
	drain(s);
}

/* From pg_wal. False: it is not there. */
static bool
read_local(struct scan *s, uint64_t segno, const char *name)
{
	const struct walcollect *w = s->w->c->w;
	uint32_t size = w->control->wal_segment_size;
	pg_lsn start = wal_segment_start(segno, size), limit;
	size_t step, got = 0;
	struct err why = ERR_INIT;
	char *path = xasprintf("%s/pg_wal/%s", w->pgdata, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* Nothing is needed of what comes after the page with the end. */
	limit = w->to + w->control->wal_block_size - 1;
	limit -= limit % w->control->wal_block_size;
	if (limit > start + size)
		limit = start + size;
	while (fd >= 0 && !s->done && !s->broken && s->next < limit) {
		step = segno < s->run->first + s->run->n ? PIECE_SIZE :
		    PIECE_SIZE_AHEAD;
		if (step > limit - s->next)
			step = (size_t)(limit - s->next);
		if (io_pread_upto(fd, s->w->piece, step, s->next - start,
		    &got, path, &why) != 0 || got < step)
			break_off(s, "%s cannot be read", name);
		else
			feed(s, s->next, s->w->piece, step);
	}
	free(path);
	if (fd < 0)
		return false;
	(void)close(fd); /* only read */
	return true;
}

struct sink {
	struct scan *s;
	pg_lsn lsn;
};

static int
take_stored(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct sink *sink = arg;
	struct scan *s = sink->s;

	feed(s, sink->lsn, data, len);
	sink->lsn += len;
	if (s->done || s->broken)
		return err_set(err, ERR_CANCELLED, "read as far as needed");
	return 0;
}

/* From the repository. False: it is not there. */
static bool
read_stored(struct scan *s, uint64_t segno, const char *name)
{
	const struct walcollect *w = s->w->c->w;
	struct sink sink = { s, wal_segment_start(segno,
	    w->control->wal_segment_size) };
	struct err why = ERR_INIT;
	struct wal_file file;
	struct wal_stored ws;

	if (wal_file_parse(name, &file, &why) == 0 &&
	    wal_store_pick(s->w->repo, w->inc, &file, &ws, &why) == 0 &&
	    wal_store_read(s->w->repo, w->inc, &ws, s->w->codec, take_stored,
	    &sink, &why) == 0)
		return true;
	if (s->done || s->broken)
		return true;
	if (why.code == ERR_NOT_FOUND)
		return false;
	break_off(s, "%.400s", why.msg);
	return true;
}

/*
 * The name under which recovery would look for it: of the newest timeline on
 * the path that has begun by its end, whose file begins with a copy of what
 * the older one wrote.
 */
static void
segment_name(const struct walcollect *w, uint64_t segno,
    char name[WAL_SEGMENT_NAME_LEN + 1])
{
	uint32_t size = w->control->wal_segment_size;
	size_t i = w->path->n - 1;

	while (i > 0 &&
	    wal_segno_of_lsn(w->path->entries[i].begin, size) > segno)
		i--;
	wal_segment_name(w->path->entries[i].timeline, segno, size, name);
}

static void
read_segment(struct scan *s, uint64_t segno)
{
	const struct walcollect *w = s->w->c->w;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	bool found;

	segment_name(w, segno, name);
	if (s->local_first && wal_segment_start(segno,
	    w->control->wal_segment_size) >= w->stored_to)
		found = read_local(s, segno, name) ||
		    read_stored(s, segno, name);
	else
		found = read_stored(s, segno, name) ||
		    read_local(s, segno, name);
	if (!found) {
		s->hopeless = true;
		break_off(s, "WAL segment %s is neither in pg_wal nor in the "
		    "repository", name);
	}
}

/* Once through the run. */
static void
scan_run(struct scan *s)
{
	const struct control *ctl = s->w->c->w->control;
	struct run *run = s->run;
	uint64_t segno = run->first;
	char lsn[LSN_TEXT_MAX];
	pg_lsn open_record;

	s->reader = walread_new(ctl->wal_segment_size, ctl->wal_block_size);
	s->next = run->begin - run->begin % ctl->wal_block_size;
	run->first_record = run->last_record = run->last_end = 0;
	while (!s->done && !s->broken && !atomic_load(&s->w->c->given_up)) {
		if (segno > s->w->c->last_segno)
			break_off(s, "WAL ends before %s",
			    lsn_format(s->w->c->w->to, lsn));
		else
			read_segment(s, segno);
		segno++;
		open_record = walread_unfinished(s->reader);
		if (segno >= run->first + run->n &&
		    (open_record == 0 || open_record >= run->end))
			s->done = !s->broken;
	}
	walread_free(s->reader);
}

static int
run_job(void *worker, void *job, bool skip, struct err *err)
{
	struct run *run = job;
	struct scan s;
	bool first;

	if (skip || atomic_load(&run->c->given_up))
		return 0;
	for (first = true;; first = false) {
		memset(&s, 0, sizeof(s));
		s.w = worker;
		s.run = run;
		s.local_first = first;
		scan_run(&s);
		flush_batch(worker);
		if (cancel_check(err) != 0)
			return -1;
		if (!s.broken)
			return 0;
		if (s.hopeless || !first) {
			give_up(run->c, s.reason);
			return 0;
		}
	}
}

static int
init_worker(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;

	w->c = arg;
	w->codec = frame_codec_new(1);
	w->piece = xmalloc(PIECE_SIZE);
	w->batch = xcalloc(BATCH_MAX, sizeof(*w->batch));
	return repo_clone(w->c->w->repo, &w->repo, err);
}

static void
fini_worker(void *worker)
{
	struct worker *w = worker;

	repo_close(w->repo);
	frame_codec_free(w->codec);
	free(w->piece);
	free(w->batch);
}

/* Cut the range; the caller frees. */
static struct run *
make_runs(struct collector *c, size_t *n)
{
	struct walcollect *w = c->w;
	uint32_t size = w->control->wal_segment_size;
	uint64_t first = wal_segno_of_lsn(w->from, size), length, segno;
	struct run *runs, *run;

	c->last_segno = wal_segno_of_lsn(w->to - 1, size);
	w->segments = c->last_segno - first + 1;
	length = w->segments / ((uint64_t)w->jobs * RUNS_A_THREAD) + 1;
	if (length > RUN_SEGMENTS_MAX)
		length = RUN_SEGMENTS_MAX;
	*n = (size_t)((w->segments + length - 1) / length);
	runs = xcalloc(*n, sizeof(*runs));
	for (run = runs, segno = first; segno <= c->last_segno;
	     run++, segno += length) {
		run->c = c;
		run->first = segno;
		run->n = length;
		run->begin = wal_segment_start(segno, size);
		run->end = wal_segment_start(segno + length, size);
	}
	runs[0].begin = w->from;
	run = &runs[*n - 1];
	run->n = c->last_segno - run->first + 1;
	run->end = w->to;
	run->is_last = true;
	return runs;
}

/* Do the runs' records make one chain from `from` to `to`? */
static void
check_chain(struct collector *c, const struct run *runs, size_t n)
{
	const struct walcollect *w = c->w;
	const struct run *before = NULL;
	char lsn[LSN_TEXT_MAX], text[WALCOLLECT_REASON_MAX];
	size_t i;

	for (i = 0; i < n; i++) {
		if (runs[i].first_record == 0)
			continue;
		if (before == NULL ?
		    !follows(w->control, w->from, runs[i].first_record) :
		    runs[i].first_prev != before->last_record)
			break;
		before = &runs[i];
	}
	if (i == n && before != NULL &&
	    follows(w->control, before->last_end, w->to))
		return;
	(void)snprintf(text, sizeof(text), "the records of WAL do not follow "
	    "one another after %s", lsn_format(before == NULL ? w->from :
	    before->last_end, lsn));
	give_up(c, text);
}

static int
wait_for_runs(struct walcollect *w, struct pool *p, struct err *err)
{
	bool idle = false;

	while (!idle) {
		if (pool_poll(p, POLL_MS, &idle, err) != 0)
			return -1;
		if (w->pulse != NULL && w->pulse(w->pulse_arg, err) != 0)
			return -1;
	}
	return pool_finish(p, err);
}

int
walcollect(struct walcollect *w, struct blockset *set, struct err *err)
{
	struct collector c = { .w = w, .set = set };
	struct pool *p = NULL;
	struct run *runs;
	size_t n, i, threads;
	int ret = -1;

	w->reason[0] = '\0';
	if (w->jobs == 0)
		w->jobs = 1;
	runs = make_runs(&c, &n);
	(void)pthread_mutex_init(&c.lock, NULL);
	threads = n < w->jobs ? n : w->jobs;
	if (pool_new(&p, threads, n, sizeof(struct worker), init_worker,
	    fini_worker, &c, err) != 0)
		goto out;
	for (i = 0; i < n; i++)
		if (pool_submit(p, run_job, &runs[i], err) != 0)
			goto out;
	if (wait_for_runs(w, p, err) != 0)
		goto out;
	if (!atomic_load(&c.given_up))
		check_chain(&c, runs, n);
	ret = 0;
out:
	pool_free(p);
	(void)pthread_mutex_destroy(&c.lock);
	free(runs);
	return ret;
}
