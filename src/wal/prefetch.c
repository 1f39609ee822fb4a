/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/prefetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/detach.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/object.h"

#define IDLE_MS 10000u
#define WITHOUT_NOTICE_MS 20 /* between looks when inotify does not work */

enum outcome {
	MADE,	/* one more segment is in the spool */
	FULL,	/* the window is */
	AT_END, /* the next one is not stored */
	FAILED
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

static enum outcome
make(const struct wal_prefetch *p, const struct wal_stored *ws,
    struct frame_codec *codec)
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
		ok = wal_store_read(p->repo, p->inc, ws, codec, write_piece,
			 &o, &err) == 0 &&
		    o.len == p->segment_size;
		ok = close(o.fd) == 0 && ok && rename(tmp, path) == 0;
		if (!ok)
			(void)unlink(tmp); /* never given its name */
	}
	free(tmp);
	free(path);
	return ok ? MADE : FAILED;
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
 * or has got it another way); mark what is there. *waiting: files not taken.
 */
static void
look_through(const struct wal_prefetch *p, const struct wal_file *position,
    bool *have, uint64_t n, uint64_t *waiting)
{
	uint64_t at = wal_segno(position, p->segment_size), segno;
	DIR *d = opendir(p->spool->dir);
	struct wal_file f;
	struct dirent *e;

	*waiting = 0;
	memset(have, 0, n * sizeof(*have));
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (!segment_of(e->d_name, &f))
			continue;
		segno = wal_segno(&f, p->segment_size);
		if (f.timeline == position->timeline && segno > at &&
		    segno - at <= n && strstr(e->d_name, ".tmp") == NULL) {
			have[segno - at - 1] = true;
			++*waiting;
		} else {
			(void)unlinkat(dirfd(d), e->d_name, 0); /* or later */
		}
	}
	(void)closedir(d); /* only read from */
}

/* Put the first segment into the spool that the window lacks. */
static enum outcome
step(const struct wal_prefetch *p, struct frame_codec *codec, bool *have,
    uint64_t n, uint64_t *waiting)
{
	char segment[WAL_SEGMENT_NAME_LEN + 1];
	struct wal_file position, next;
	struct err err = ERR_INIT;
	struct wal_stored ws;
	uint64_t i;

	if (!wal_spool_position(p->spool, segment) ||
	    wal_file_parse(segment, &position, &err) != 0)
		return FAILED;
	look_through(p, &position, have, n, waiting);
	for (i = 0; i < n && have[i]; i++)
		;
	if (i == n)
		return FULL;
	wal_segment_name(position.timeline,
	    wal_segno(&position, p->segment_size) + i + 1, p->segment_size,
	    segment);
	if (wal_file_parse(segment, &next, &err) != 0)
		return FAILED;
	if (wal_store_pick(p->repo, p->inc, &next, &ws, &err) != 0)
		return err.code == ERR_NOT_FOUND ? AT_END : FAILED;
	return make(p, &ws, codec);
}

/* Until something in the spool changes; false: nothing did for idle_ms. */
static bool
wait_for_change(int notify, unsigned idle_ms)
{
	struct pollfd pfd = { .fd = notify, .events = POLLIN };
	char events[4096];

	if (notify < 0) {
		(void)poll(NULL, 0, WITHOUT_NOTICE_MS);
		return true; /* the caller counts */
	}
	if (poll(&pfd, 1, (int)idle_ms) <= 0)
		return false;
	return read(notify, events, sizeof(events)) > 0;
}

void
wal_prefetch_run(const struct wal_prefetch *p, unsigned idle_ms)
{
	struct frame_codec *codec = frame_codec_new(1);
	uint64_t n = p->window / p->segment_size, waiting = 0;
	unsigned looks = idle_ms / WITHOUT_NOTICE_MS;
	enum outcome outcome = MADE;
	int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool *have;

	if (n < 2)
		n = 2;
	have = xcalloc(n, sizeof(*have));
	if (notify >= 0 && inotify_add_watch(notify, p->spool->dir,
	    IN_MODIFY | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0) {
		(void)close(notify);
		notify = -1;
	}
	while (!cancel_requested()) {
		outcome = step(p, codec, have, n, &waiting);
		if (outcome == MADE)
			continue;
		if (outcome == FAILED || (outcome == AT_END && waiting == 0))
			break;
		if (!wait_for_change(notify, idle_ms))
			break;
		if (notify < 0 && looks-- == 0)
			break;
	}
	/* Nobody comes for them: not to be left on the disk. */
	if (outcome != AT_END || waiting > 0)
		wal_spool_clear(p->spool);
	if (notify >= 0)
		(void)close(notify);
	free(have);
	frame_codec_free(codec);
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
