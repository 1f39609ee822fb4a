/* SPDX-License-Identifier: PostgreSQL */
/*
 * archive-push --all: what a dead server's pg_wal still holds. Histories
 * first, since recovery looks for them before the WAL of their timelines.
 */
#include "config.h"

#include "wal/push.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/running.h"
#include "wal/cluster.h"
#include "wal/pushfile.h"

#define HEADER_SIZE 40

struct salvage {
	const struct wal_push_params *params;
	struct wal_salvage_result *out;
	char *dir;    /* pg_wal */
	char *pgdata; /* NULL: lost */
	struct incarnation inc;
	uint32_t segment_size;
	struct wal_file *files;
	size_t n, cap;
	/* Without the header check: what was being written, NULL: unknown. */
	const struct wal_file *current;
	bool looked_for_current;
};

static int
by_kind_and_name(const void *a, const void *b)
{
	const struct wal_file *x = a, *y = b;
	bool xh = x->type == WAL_FILE_HISTORY;
	bool yh = y->type == WAL_FILE_HISTORY;

	if (xh != yh)
		return xh ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
list_files(struct salvage *s, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct wal_file f;
	struct dirent *e;
	DIR *d = opendir(s->dir);

	if (d == NULL)
		return err_sys(err, errno, "open directory %s", s->dir);
	while ((errno = 0, e = readdir(d)) != NULL) {
		if (wal_file_parse(e->d_name, &f, &ignored) != 0)
			continue; /* archive_status, temporary files */
		if (s->params->want != NULL &&
		    !s->params->want(s->params->want_arg, e->d_name))
			continue;
		if (s->n == s->cap) {
			s->cap = s->cap == 0 ? 64 : 2 * s->cap;
			s->files = xreallocarray(s->files, s->cap,
			    sizeof(*s->files));
		}
		s->files[s->n++] = f;
	}
	if (errno != 0) {
		err_sys(err, errno, "read directory %s", s->dir);
		(void)closedir(d);
		return -1;
	}
	(void)closedir(d); /* only read from */
	if (s->n > 0)
		qsort(s->files, s->n, sizeof(*s->files), by_kind_and_name);
	return 0;
}

/* PATH is the data directory, its pg_wal, or a pg_wal that is left alone. */
static int
find_directories(struct salvage *s, struct err *err)
{
	char *path = xstrdup(s->params->path);
	size_t len = strlen(path);
	char *below, *parent;
	bool is_data;
	int ret = 0;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	below = xasprintf("%s/pg_wal", path);
	parent = xasprintf("%s/" CONTROL_PATH, path);
	is_data = access(parent, F_OK) == 0;
	free(parent);
	if (is_data) {
		s->pgdata = path;
		s->dir = below;
		return 0;
	}
	free(below);
	s->dir = path;
	if (s->params->pgdata != NULL) {
		s->pgdata = xstrdup(s->params->pgdata);
		return 0;
	}
	/* As written first, since pg_wal may be a symbolic link. */
	parent = xstrdup(path);
	if (strrchr(parent, '/') != NULL && strrchr(parent, '/') != parent)
		*strrchr(parent, '/') = '\0';
	else {
		free(parent);
		parent = xasprintf("%s/..", path);
	}
	below = xasprintf("%s/" CONTROL_PATH, parent);
	if (access(below, F_OK) == 0)
		s->pgdata = parent;
	else
		free(parent);
	free(below);
	return ret;
}

static int
read_header(const struct salvage *s, const struct wal_file *f,
    struct wal_segment_header *h, bool *valid, struct err *err)
{
	char *path = xasprintf("%s/%s", s->dir, f->name);
	uint8_t bytes[HEADER_SIZE];
	struct err why = ERR_INIT;
	size_t got = 0;
	int fd, ret;

	*valid = false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ret = err_sys(err, errno, "open %s", path);
	else {
		ret = io_pread_upto(fd, bytes, sizeof(bytes), 0, &got, path,
		    err);
		(void)close(fd); /* only read from */
	}
	free(path);
	if (ret == 0)
		*valid = wal_segment_header_decode(bytes, got, h, &why) == 0;
	return ret;
}

static bool
is_in_use(const struct salvage *s, const struct wal_file *f,
    const struct wal_segment_header *h)
{
	return h->page_addr == wal_segment_start(
	    wal_segno(f, s->segment_size), s->segment_size) &&
	    h->timeline <= f->timeline;
}

/* The data directory is gone: the newest segment tells what it belongs to. */
static int
identity_from_wal(struct salvage *s, struct err *err)
{
	struct wal_segment_header h;
	bool valid;
	size_t i;

	for (i = s->n; i > 0; i--) {
		if (s->files[i - 1].type != WAL_FILE_SEGMENT)
			continue;
		if (read_header(s, &s->files[i - 1], &h, &valid, err) != 0)
			return -1;
		if (!valid || h.major == 0)
			continue;
		s->segment_size = h.segment_size;
		if (!is_in_use(s, &s->files[i - 1], &h))
			continue;
		s->inc.major = h.major;
		s->inc.system_id = h.system_id;
		log_warning("%s has no data directory beside it: the WAL "
		    "itself says PostgreSQL %d, system %llu", s->dir, h.major,
		    (unsigned long long)h.system_id);
		return 0;
	}
	err_set(err, ERR_CONFIG, "%s has no WAL segment to tell the cluster",
	    s->dir);
	return err_hint(err, "name its pg_wal or its data directory");
}

static int
find_identity(struct salvage *s, struct err *err)
{
	struct wal_cluster c = { .pgdata = NULL };

	if (!cluster_name_valid(s->params->cluster))
		return err_set(err, ERR_CONFIG, "'%s' is no cluster name",
		    s->params->cluster);
	(void)snprintf(s->inc.cluster, sizeof(s->inc.cluster), "%s",
	    s->params->cluster);
	if (s->pgdata == NULL)
		return identity_from_wal(s, err);
	if (running_refuse(s->pgdata, err) != 0 ||
	    wal_cluster_find(&c, s->params->cluster, s->pgdata, NULL,
		err) != 0)
		return -1;
	s->inc = c.inc;
	s->segment_size = c.control.wal_segment_size;
	wal_cluster_free(&c);
	return 0;
}

/*
 * What is wrong with one file (a conflict, damage, a bad sector) is counted,
 * so that the others are still saved; a failing repository ends it.
 */
static int
count_failure(struct salvage *s, const struct wal_file *f, struct err *err)
{
	switch (err->code) {
	case ERR_IO:
	case ERR_EXISTS:
	case ERR_DAMAGED:
	case ERR_REFUSED:
	case ERR_NOT_FOUND:
		log_err(LOG_ERROR, err);
		err_clear(err);
		s->out->failed++;
		return 0;
	default:
		return err_wrap(err, "archive %s", f->name);
	}
}

static int
push_as(struct salvage *s, const struct wal_file *source,
    const char *stored_name, struct err *err)
{
	char *path = xasprintf("%s/%s", s->dir, source->name);
	struct wal_push_result result;
	struct wal_push_file f;
	int ret;

	wal_push_file_init(&f, s->params, &s->inc, s->segment_size);
	f.path = path;
	ret = wal_file_parse(stored_name, &f.name, err);
	if (ret == 0)
		ret = wal_push_file(&f, &result, err);
	if (ret == 0 && result.already)
		s->out->already++;
	else if (ret == 0)
		s->out->pushed++;
	free(path);
	return ret;
}

static int
summarise(const struct salvage *s, const struct wal_file *f,
    struct wal_summary *out, struct err *err)
{
	char *path = xasprintf("%s/%s", s->dir, f->name);
	struct stat st;
	int fd, ret = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err_sys(err, errno, "open %s", path);
	else if (fstat(fd, &st) != 0)
		err_sys(err, errno, "stat %s", path);
	else
		ret = wal_push_summary(fd, (uint64_t)st.st_size, path,
		    wal_segment_start(wal_segno(f, s->segment_size),
			s->segment_size), s->segment_size, out, err);
	if (fd >= 0)
		(void)close(fd); /* only read from */
	free(path);
	return ret;
}

static void
note_reached(struct salvage *s, const struct wal_file *f,
    const struct wal_summary *sum)
{
	struct wal_salvage_result *out = s->out;

	if (f->timeline > out->timeline) {
		out->timeline = f->timeline;
		out->reached = 0;
	}
	if (f->timeline == out->timeline && sum->end > out->reached)
		out->reached = sum->end;
	if (sum->max_commit_time > out->last_commit_time)
		out->last_commit_time = sum->max_commit_time;
}

/* Has the server noted that a segment is complete: .ready, or .done? */
static bool
is_noted(const struct salvage *s, const struct wal_file *f)
{
	static const char *const states[] = { "ready", "done" };
	bool found = false;
	size_t i;

	for (i = 0; i < 2 && !found; i++) {
		char *path = xasprintf("%s/archive_status/%s.%s", s->dir,
		    f->name, states[i]);

		found = access(path, F_OK) == 0;
		free(path);
	}
	return found;
}

static bool
modified(const struct salvage *s, const struct wal_file *f,
    struct timespec *out)
{
	char *path = xasprintf("%s/%s", s->dir, f->name);
	struct stat st;
	bool ok = stat(path, &st) == 0;

	free(path);
	if (ok)
		*out = st.st_mtim;
	return ok;
}

/*
 * The segment being written follows the last one that the server noted, and
 * was modified last of those that are not noted: files prepared for later use
 * come after it by name. Unless both hold it is not known.
 */
static void
find_current(struct salvage *s)
{
	const struct wal_file *noted = NULL, *newest = NULL;
	struct timespec at, last = { 0, 0 };
	size_t i;

	s->looked_for_current = true;
	for (i = 0; i < s->n; i++) {
		const struct wal_file *f = &s->files[i];

		if (f->type != WAL_FILE_SEGMENT)
			continue;
		if (is_noted(s, f)) {
			noted = f; /* they are in order */
		} else if (modified(s, f, &at) && (newest == NULL ||
		    at.tv_sec > last.tv_sec || (at.tv_sec == last.tv_sec &&
		    at.tv_nsec > last.tv_nsec))) {
			newest = f;
			last = at;
		}
	}
	if (noted != NULL && newest != NULL &&
	    newest->timeline == noted->timeline &&
	    wal_segno(newest, s->segment_size) ==
		wal_segno(noted, s->segment_size) + 1)
		s->current = newest;
	else
		log_warning("%s: which segment was being written cannot be "
		    "told without the header check: it is not stored",
		    s->dir);
}

/* The header cannot be relied on (WAL that the server encrypts). */
static int
push_unchecked(struct salvage *s, const struct wal_file *f, struct err *err)
{
	char name[WAL_FILE_NAME_MAX];

	if (is_noted(s, f))
		return push_as(s, f, f->name, err);
	if (!s->looked_for_current)
		find_current(s);
	if (f == s->current) {
		(void)snprintf(name, sizeof(name), "%s.partial", f->segment);
		return push_as(s, f, name, err);
	}
	log_warning("%s is not stored: without the header check, and without "
	    "archive_status/%s.ready, it may have been prepared for later use",
	    f->name, f->name);
	s->out->skipped++;
	return 0;
}

static int
push_segment(struct salvage *s, const struct wal_file *f, struct err *err)
{
	struct wal_stored *ws = NULL;
	struct wal_segment_header h;
	struct wal_summary sum;
	char name[WAL_FILE_NAME_MAX];
	bool valid;
	size_t n = 0;

	if (!wal_file_fits(f, s->segment_size)) {
		s->out->skipped++;
		return 0;
	}
	if (read_header(s, f, &h, &valid, err) != 0)
		return -1;
	if (!s->params->header_check && (!valid || h.major == 0))
		return push_unchecked(s, f, err);
	if (!valid || !is_in_use(s, f, &h)) {
		log_debug("%s was prepared for later use", f->name);
		s->out->skipped++;
		return 0;
	}
	if (summarise(s, f, &sum, err) != 0)
		return -1;
	note_reached(s, f, &sum);
	if (!sum.parsed || !sum.ended)
		return push_as(s, f, f->name, err);
	/* Unfinished; unless the archiver has had it whole. */
	if (wal_store_find(s->params->repo, &s->inc, f, &ws, &n, err) != 0)
		return -1;
	free(ws);
	if (n > 0)
		return push_as(s, f, f->name, err);
	(void)snprintf(name, sizeof(name), "%s.partial", f->segment);
	return push_as(s, f, name, err);
}

/* A hole in what was found: recovery will not get past it. */
static void
warn_of_hole(const struct salvage *s, const struct wal_file *before,
    const struct wal_file *f)
{
	char first[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t next;

	if (before == NULL || before->timeline != f->timeline)
		return;
	next = wal_segno(before, s->segment_size) + 1;
	if (wal_segno(f, s->segment_size) <= next)
		return;
	wal_segment_name(f->timeline, next, s->segment_size, first);
	log_warning("%s has no %s, but later segments: recovery needs it from "
	    "the repository", s->dir, first);
}

static int
push_all(struct salvage *s, struct err *err)
{
	const struct wal_file *before = NULL;
	uint64_t skipped;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct wal_file *f = &s->files[i];
		bool is_segment = f->type == WAL_FILE_SEGMENT;
		int ret;

		if (cancel_check(err) != 0)
			return -1;
		skipped = s->out->skipped;
		ret = is_segment ? push_segment(s, f, err) :
				   push_as(s, f, f->name, err);
		if (ret != 0) {
			if (count_failure(s, f, err) != 0)
				return -1;
		} else if (is_segment && s->out->skipped == skipped) {
			warn_of_hole(s, before, f);
			before = f;
		}
	}
	return 0;
}

int
wal_push_all(const struct wal_push_params *params,
    struct wal_salvage_result *out, struct err *err)
{
	struct salvage s = { .params = params, .out = out };
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (find_directories(&s, err) == 0 && list_files(&s, err) == 0 &&
	    find_identity(&s, err) == 0)
		ret = push_all(&s, err);
	free(s.files);
	free(s.dir);
	free(s.pgdata);
	return ret;
}
