/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/prefetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/detach.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pipe/pool.h"
#include "repo/object.h"

#define IDLE_MS 10000u
#define WITHOUT_NOTICE_MS 20 /* between looks when inotify does not work */

/*
 * Segments in flight at once. Of a store over a network most of the time is
 * spent waiting. Each needs the stored object (of at most 16 MiB of content)
 * and a piece of 1 MiB in memory.
 */
#define FLIGHTS_LOCAL 2
#define FLIGHTS_REMOTE 6

enum outcome {
	MADE,	/* something was begun */
	FULL,	/* all of the window is there, or in flight */
	AT_END, /* the next one is not stored */
	FAILED
};

/* A segment that a thread is making. */
struct flight {
	struct ahead *a;
	struct wal_stored ws;
	bool used; /* the owner's */
	atomic_bool done;
};

struct ahead {
	const struct wal_prefetch *p;
	struct pool *pool;
	struct flight flights[FLIGHTS_REMOTE];
	unsigned n_flights;
	int notify; /* inotify of the spool, or -1 */
	int landed; /* eventfd: a flight is done */
	atomic_bool failed;

	bool *have;    /* of the window: in the spool or in flight */
	uint64_t n;    /* segments of the window */
	uint64_t waiting; /* files that were not taken yet */

	struct wal_stored *listed; /* what the last listing gave */
	size_t n_listed;
};

/* A thread's own. */
struct worker {
	struct repo *repo;
	struct frame_codec *codec;
};

/* The sink of a segment that is being decompressed. */
struct output {
	int fd;
	const char *path;
	uint64_t len;
};

static int
write_piece(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct output *o = arg;

	if (cancel_check(err) != 0)
		return -1;
	o->len += len;
	return io_write_full(o->fd, data, len, o->path, err);
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct worker *w = worker;
	const struct ahead *a = arg;

	w->codec = frame_codec_new(1);
	return repo_clone(a->p->repo, &w->repo, err);
}

static void
worker_fini(void *worker)
{
	struct worker *w = worker;

	repo_close(w->repo);
	frame_codec_free(w->codec);
}

static bool
make(const struct wal_prefetch *p, struct worker *w,
    const struct wal_stored *ws)
{
	char name[WAL_SPOOL_NAME_MAX];
	struct output o = { .fd = -1 };
	struct err err = ERR_INIT;
	char *path, *tmp;
	bool ok = false;

	wal_spool_name(ws, name);
	path = xasprintf("%s/%s", p->spool->dir, name);
	tmp = xasprintf("%s.tmp", path);
	o.path = tmp;
	o.fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (o.fd >= 0) {
		ok = wal_store_read(w->repo, p->inc, ws, w->codec, write_piece,
			 &o, &err) == 0 &&
		    o.len == p->segment_size;
		ok = close(o.fd) == 0 && ok && rename(tmp, path) == 0;
		if (!ok)
			(void)unlink(tmp); /* never given its name */
	}
	free(tmp);
	free(path);
	return ok;
}

static int
fly(void *worker, void *job, bool skip, struct err *err)
{
	struct flight *f = job;
	struct ahead *a = f->a;

	(void)err;
	if (!skip && !atomic_load(&a->failed) &&
	    !make(a->p, worker, &f->ws))
		atomic_store(&a->failed, true);
	atomic_store(&f->done, true);
	(void)!eventfd_write(a->landed, 1); /* else the owner looks in time */
	return 0;
}

static bool
in_flight(const struct ahead *a, const char *segment)
{
	unsigned i;

	for (i = 0; i < a->n_flights; i++)
		if (a->flights[i].used && strncmp(segment,
		    a->flights[i].ws.file.segment, WAL_SEGMENT_NAME_LEN) == 0)
			return true;
	return false;
}

/* A flight that can be used, or NULL; *any: some are under way. */
static struct flight *
free_flight(struct ahead *a, bool *any)
{
	struct flight *found = NULL;
	unsigned i;

	*any = false;
	for (i = 0; i < a->n_flights; i++) {
		struct flight *f = &a->flights[i];

		if (f->used && atomic_load(&f->done))
			f->used = false;
		*any = *any || f->used;
		if (!f->used)
			found = f;
	}
	return found;
}

/* Of which segment the spool's file is, or false: none of ours to judge. */
static bool
segment_of(const char *file, struct wal_file *out)
{
	char segment[WAL_SEGMENT_NAME_LEN + 1];
	struct err ignored = ERR_INIT;

	if (strlen(file) < WAL_SEGMENT_NAME_LEN)
		return false;
	(void)snprintf(segment, sizeof(segment), "%.24s", file);
	return wal_file_parse(segment, out, &ignored) == 0;
}

/*
 * Remove what lies outside of the window (recovery has begun anew elsewhere,
 * or has got it another way); mark what is there.
 */
static void
look_through(struct ahead *a, const struct wal_file *position)
{
	const uint32_t size = a->p->segment_size;
	uint64_t at = wal_segno(position, size), segno;
	DIR *d = opendir(a->p->spool->dir);
	struct wal_file f;
	struct dirent *e;

	a->waiting = 0;
	memset(a->have, 0, a->n * sizeof(*a->have));
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (!segment_of(e->d_name, &f))
			continue;
		segno = wal_segno(&f, size);
		if (in_flight(a, e->d_name))
			continue;
		if (f.timeline == position->timeline && segno > at &&
		    segno - at <= a->n && strstr(e->d_name, ".tmp") == NULL) {
			a->have[segno - at - 1] = true;
			a->waiting++;
		} else {
			(void)unlinkat(dirfd(d), e->d_name, 0); /* or later */
		}
	}
	(void)closedir(d); /* only read from */
}

/* The listed object of a segment; NULL: none, or several contents. */
static const struct wal_stored *
find_listed(const struct ahead *a, const char *segment)
{
	const struct wal_stored *found = NULL;
	size_t i;

	for (i = 0; i < a->n_listed; i++) {
		if (strcmp(a->listed[i].file.segment, segment) != 0)
			continue;
		if (found != NULL)
			return NULL;
		found = &a->listed[i];
	}
	return found;
}

/*
 * Look a segment up, by one listing for it and its neighbours: what was
 * listed before is as good, since objects only get more.
 */
static enum outcome
look_up(struct ahead *a, const char *segment, struct wal_stored *out)
{
	const struct wal_stored *ws = find_listed(a, segment);
	struct err err = ERR_INIT;
	struct wal_file file;

	if (ws == NULL) {
		free(a->listed);
		a->listed = NULL;
		a->n_listed = 0;
		if (wal_file_parse(segment, &file, &err) != 0 ||
		    wal_store_sixteen(a->p->repo, a->p->inc, &file,
			&a->listed, &a->n_listed, &err) != 0)
			return FAILED;
		ws = find_listed(a, segment);
	}
	if (ws == NULL)
		return AT_END;
	*out = *ws;
	return MADE;
}

/* Begin to make the first segment of the window that is lacking. */
static enum outcome
step(struct ahead *a, bool *any)
{
	char segment[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_file position;
	struct err err = ERR_INIT;
	struct flight *f = free_flight(a, any);
	enum outcome outcome;
	uint64_t i;

	if (atomic_load(&a->failed) ||
	    !wal_spool_position(a->p->spool, segment) ||
	    wal_file_parse(segment, &position, &err) != 0)
		return FAILED;
	look_through(a, &position);
	for (i = 0; f != NULL && i < a->n; i++) {
		wal_segment_name(position.timeline,
		    wal_segno(&position, a->p->segment_size) + i + 1,
		    a->p->segment_size, segment);
		if (a->have[i] || in_flight(a, segment))
			continue;
		outcome = look_up(a, segment, &f->ws);
		if (outcome != MADE)
			return outcome;
		f->used = true;
		atomic_store(&f->done, false);
		return pool_submit(a->pool, fly, f, &err) == 0 ? MADE : FAILED;
	}
	return FULL;
}

/* Until something changes; false: for idle_ms nothing did. */
static bool
wait_for_change(const struct ahead *a, unsigned idle_ms)
{
	struct pollfd pfd[2] = { { .fd = a->landed, .events = POLLIN },
		{ .fd = a->notify, .events = POLLIN } };
	char events[4096];
	eventfd_t n;

	if (poll(pfd, 2, a->notify < 0 ? WITHOUT_NOTICE_MS :
		(int)idle_ms) <= 0)
		return a->notify < 0; /* the caller counts */
	if ((pfd[0].revents & POLLIN) != 0)
		(void)!eventfd_read(a->landed, &n);
	if ((pfd[1].revents & POLLIN) != 0)
		(void)!read(a->notify, events, sizeof(events));
	return true;
}

static void
watch_spool(struct ahead *a)
{
	a->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (a->notify >= 0 && inotify_add_watch(a->notify, a->p->spool->dir,
	    IN_MODIFY | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0) {
		(void)close(a->notify);
		a->notify = -1;
	}
}

/* Until there is nothing further to do. */
static enum outcome
go_on(struct ahead *a, unsigned idle_ms)
{
	unsigned looks = idle_ms / WITHOUT_NOTICE_MS;
	enum outcome outcome = MADE;
	bool any = false;

	while (!cancel_requested()) {
		outcome = step(a, &any);
		if (outcome == MADE)
			continue;
		if (outcome == FAILED ||
		    (outcome == AT_END && a->waiting == 0 && !any))
			break;
		if (!wait_for_change(a, idle_ms) && !any)
			break;
		if (a->notify < 0 && !any && looks-- == 0)
			break;
	}
	return outcome;
}

void
wal_prefetch_run(const struct wal_prefetch *p, unsigned idle_ms)
{
	struct ahead a = { .p = p, .notify = -1,
		.n = p->window / p->segment_size };
	enum outcome outcome = FAILED;
	struct err err = ERR_INIT;
	unsigned i;

	if (a.n < 2)
		a.n = 2;
	a.n_flights = storage_is_local(storage_url(p->repo->st)) ?
	    FLIGHTS_LOCAL : FLIGHTS_REMOTE;
	if (a.n_flights > a.n)
		a.n_flights = (unsigned)a.n;
	for (i = 0; i < a.n_flights; i++)
		a.flights[i].a = &a;
	a.have = xcalloc(a.n, sizeof(*a.have));
	a.landed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	watch_spool(&a);
	if (a.landed >= 0 && pool_new(&a.pool, a.n_flights, a.n_flights,
	    sizeof(struct worker), worker_init, worker_fini, &a, &err) == 0)
		outcome = go_on(&a, idle_ms);
	pool_free(a.pool); /* when all have landed */
	/* Nobody comes for them: not to be left on the disk. */
	if (outcome != AT_END || a.waiting > 0)
		wal_spool_clear(p->spool);
	if (a.notify >= 0)
		(void)close(a.notify);
	if (a.landed >= 0)
		(void)close(a.landed);
	free(a.listed);
	free(a.have);
}

static void __attribute__((noreturn))
be_the_process(const struct wal_prefetch *p)
{
	struct wal_prefetch own = *p;
	struct err err = ERR_INIT;

	if (repo_clone(p->repo, &own.repo, &err) == 0) {
		wal_spool_sweep(p->spool);
		wal_prefetch_run(&own, IDLE_MS);
	}
	_exit(0);
}

void
wal_prefetch_go(const struct wal_prefetch *p, const char *segment)
{
	pid_t pid;
	int lock;

	wal_spool_set_position(p->spool, segment);
	lock = wal_spool_lock(p->spool);
	if (lock < 0)
		return; /* it runs, and sees the position */
	pid = detach_fork();
	if (pid == 0)
		be_the_process(p);
	if (pid < 0)
		log_debug("no look-ahead: fork: %s", strerror(errno));
	(void)close(lock); /* the process has it too */
}
