/* SPDX-License-Identifier: PostgreSQL */
/*
 * A file is "stored" when the repository has its very content, read and
 * checked in this run: under its name, or for the segment that was being
 * written as its .partial. Segments that were only prepared for later use
 * hold nothing.
 *
 * What is not stored belongs into the repository ("wanted") only when the
 * server that wrote it archived, into a history that the repository knows:
 * a cluster that was restored for a look, with its archiving off, has WAL
 * that looks like that of the source's next timeline, and would send every
 * later restore its way.
 */
#include "config.h"

#include "restore/walleft.h"

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
#include "pg/walread.h"
#include "repo/contenthash.h"
#include "repo/walstore.h"

#define STEP ((size_t)1 << 20)
#define HEADER_SIZE 40
#define KEPT_TRIES 1000 /* names of one file, over many restores */

struct finder {
	const struct restore_plan *plan;
	struct walleft *out;
	char *dir; /* pg_wal */
	struct frame_codec *codec;
	uint8_t *bytes;
};

void
walleft_free(struct walleft *w)
{
	if (w == NULL)
		return;
	free(w->list);
	free(w);
}

/* Does it hold WAL of its own? The first bytes tell. */
static bool
holds_wal(const struct wal_file *f, const uint8_t *bytes, size_t len)
{
	static const uint8_t zeros[HEADER_SIZE];
	struct wal_segment_header h;
	struct err ignored = ERR_INIT; /* then it is not ours to judge */

	if (len < HEADER_SIZE || memcmp(bytes, zeros, HEADER_SIZE) == 0)
		return len > 0 && len < HEADER_SIZE;
	if (wal_segment_header_decode(bytes, len, &h, &ignored) != 0 ||
	    h.major == 0 || !wal_segment_size_valid(h.segment_size))
		return true;
	return wal_file_fits(f, h.segment_size) &&
	    h.timeline <= f->timeline &&
	    h.page_addr == wal_segment_start(wal_segno(f, h.segment_size),
		h.segment_size);
}

/* *hash: of the content. *empty: it holds nothing. */
static int
hash_file(struct finder *fi, const struct wal_file *f, bool *empty,
    uint8_t hash[WAL_HASH_SIZE], struct err *err)
{
	char *path = xasprintf("%s/%s", fi->dir, f->name);
	struct content_hash *s = NULL;
	uint64_t at = 0;
	size_t got = 1;
	int fd, rc = 0;

	*empty = false;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		rc = err_sys(err, errno, "open %s", path);
	else
		rc = content_hash_new(&s, fi->plan->params.repo, NULL, err);
	while (rc == 0 && got > 0 && !*empty) {
		rc = io_pread_upto(fd, fi->bytes, STEP, at, &got, path, err);
		if (rc != 0)
			break;
		if (at == 0 && (f->type == WAL_FILE_SEGMENT ||
		    f->type == WAL_FILE_PARTIAL))
			*empty = !holds_wal(f, fi->bytes, got);
		content_hash_add(s, fi->bytes, got);
		at += got;
	}
	if (rc == 0)
		rc = content_hash_finish(s, hash, NULL, err);
	else
		content_hash_free(s);
	if (fd >= 0)
		(void)close(fd); /* only read from */
	free(path);
	return rc;
}

/* Is this content stored under that name, and whole? */
static int
look_up(struct finder *fi, const struct wal_file *f,
    const uint8_t hash[WAL_HASH_SIZE], bool *stored, bool *other,
    struct err *err)
{
	struct repo *repo = fi->plan->params.repo;
	const struct incarnation *inc = &fi->plan->inc;
	struct wal_stored *list = NULL;
	struct err why = ERR_INIT;
	size_t i, n = 0;

	if (wal_store_find(repo, inc, f, &list, &n, err) != 0)
		return -1;
	for (i = 0; i < n && !*stored; i++) {
		if (memcmp(list[i].hash, hash, WAL_HASH_SIZE) != 0) {
			*other = true;
			continue;
		}
		*stored = wal_store_read(repo, inc, &list[i], fi->codec,
		    NULL, NULL, &why) == 0;
		if (!*stored)
			log_err(LOG_WARNING, &why);
		err_clear(&why);
	}
	free(list);
	return 0;
}

static int
look_at(struct finder *fi, const struct wal_file *f, struct err *err)
{
	struct walleft *w = fi->out;
	struct walleft_file *left;
	struct wal_file partial;
	char name[WAL_FILE_NAME_MAX];
	uint8_t hash[WAL_HASH_SIZE];
	bool empty, stored = false, other = false, ignored = false;

	if (hash_file(fi, f, &empty, hash, err) != 0)
		return -1;
	if (empty)
		return 0;
	if (fi->plan->same_system) {
		if (look_up(fi, f, hash, &stored, &other, err) != 0)
			return -1;
		(void)snprintf(name, sizeof(name), "%s.partial", f->segment);
		if (!stored && f->type == WAL_FILE_SEGMENT &&
		    (wal_file_parse(name, &partial, err) != 0 ||
		    look_up(fi, &partial, hash, &stored, &ignored,
			err) != 0))
			return -1;
	}
	if (stored)
		return 0;
	w->list = xreallocarray(w->list, w->n + 1, sizeof(*w->list));
	left = &w->list[w->n++];
	memset(left, 0, sizeof(*left));
	memcpy(left->name, f->name, sizeof(left->name));
	left->conflict = other && f->type != WAL_FILE_PARTIAL;
	return 0;
}

static const struct walleft_file *
find(const struct walleft *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (strcmp(w->list[i].name, name) == 0)
			return &w->list[i];
	return NULL;
}

/* Did the server that was here archive this timeline? */
static bool
was_archived(const struct finder *fi, uint32_t timeline)
{
	char *path = xasprintf("%s/archive_status", fi->dir);
	char prefix[9];
	struct dirent *e;
	bool found = false;
	size_t n;
	DIR *d = opendir(path);

	(void)snprintf(prefix, sizeof(prefix), "%08X", (unsigned)timeline);
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		n = strlen(e->d_name);
		found = strncmp(e->d_name, prefix, 8) == 0 && n > 6 &&
		    (strcmp(e->d_name + n - 6, ".ready") == 0 ||
			strcmp(e->d_name + n - 5, ".done") == 0);
	}
	if (d != NULL)
		(void)closedir(d); /* only read from */
	free(path);
	return found;
}

/* Is the timeline's history here, and the same that is stored? */
static bool
is_known(const struct finder *fi, uint32_t timeline)
{
	char name[WAL_FILE_NAME_MAX], *path;
	bool there;

	if (timeline == 1)
		return true;
	(void)snprintf(name, sizeof(name), "%08X.history",
	    (unsigned)timeline);
	path = xasprintf("%s/%s", fi->dir, name);
	there = access(path, F_OK) == 0;
	free(path);
	return there && find(fi->out, name) == NULL;
}

static void
judge(struct finder *fi)
{
	struct walleft *w = fi->out;
	struct err ignored = ERR_INIT; /* they were parsed before */
	struct wal_file f, g;
	size_t i, k;
	bool conflict;

	for (i = 0; i < w->n; i++) {
		if (!fi->plan->same_system ||
		    wal_file_parse(w->list[i].name, &f, &ignored) != 0 ||
		    f.type == WAL_FILE_HISTORY)
			continue;
		conflict = false;
		for (k = 0; k < w->n; k++)
			if (w->list[k].conflict && wal_file_parse(
				w->list[k].name, &g, &ignored) == 0 &&
			    g.timeline == f.timeline)
				conflict = true;
		w->list[i].wanted = !conflict && is_known(fi, f.timeline) &&
		    was_archived(fi, f.timeline);
	}
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct walleft_file *)a)->name,
	    ((const struct walleft_file *)b)->name);
}

static int
look_at_all(struct finder *fi, struct err *err)
{
	struct err ignored = ERR_INIT; /* archive_status, temporary files */
	struct wal_file f;
	struct stat st;
	struct dirent *e;
	int rc = 0;
	DIR *d = opendir(fi->dir);

	if (d == NULL)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
		    err_sys(err, errno, "open directory %s", fi->dir);
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (wal_file_parse(e->d_name, &f, &ignored) != 0 ||
		    fstatat(dirfd(d), e->d_name, &st,
			AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
			continue;
		rc = cancel_check(err);
		if (rc == 0)
			rc = look_at(fi, &f, err);
	}
	if (rc == 0 && errno != 0)
		rc = err_sys(err, errno, "read directory %s", fi->dir);
	(void)closedir(d); /* only read from */
	return rc;
}

int
walleft_find(struct walleft **out, const struct restore_plan *plan,
    struct err *err)
{
	struct finder fi = { .plan = plan,
		.out = xcalloc(1, sizeof(*fi.out)),
		.dir = xasprintf("%s/pg_wal", plan->dir),
		.codec = frame_codec_new(1), .bytes = xmalloc(STEP) };
	int rc = look_at_all(&fi, err);

	if (rc == 0) {
		if (fi.out->n > 1)
			qsort(fi.out->list, fi.out->n, sizeof(*fi.out->list),
			    by_name);
		judge(&fi);
		*out = fi.out;
	} else
		walleft_free(fi.out);
	frame_codec_free(fi.codec);
	free(fi.dir);
	free(fi.bytes);
	return rc;
}

/* Moving aside. */

static int
sync_file(const char *path, struct err *err)
{
	int rc, fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	rc = io_fsync(fd, path, err);
	(void)close(fd); /* only read from */
	return rc;
}

static int
move_one(const char *from, const char *dir, const char *name,
    struct err *err)
{
	char *to = NULL;
	bool there = true;
	int i, rc = sync_file(from, err);

	for (i = 0; rc == 0 && there && i < KEPT_TRIES; i++) {
		free(to);
		to = i == 0 ? xasprintf("%s/%s", dir, name) :
			      xasprintf("%s/%s.%d", dir, name, i);
		rc = io_exists(to, &there, err);
	}
	if (rc == 0 && there)
		rc = err_set(err, ERR_REFUSED, "%s is full of %s", dir, name);
	if (rc == 0 && rename(from, to) != 0)
		rc = err_sys(err, errno, "rename %s to %s", from, to);
	free(to);
	return rc;
}

int
walleft_move(const struct walleft *w, const struct restore_plan *plan,
    uint64_t *moved, struct err *err)
{
	char *dir = xasprintf("%s/" PLAN_KEPT_WAL, plan->dir);
	char *wal = xasprintf("%s/pg_wal", plan->dir), *from;
	size_t i;
	int rc = 0;

	*moved = 0;
	if (w->n > 0)
		rc = io_mkdir_p(dir, 0700, err);
	for (i = 0; i < w->n && rc == 0; i++) {
		from = xasprintf("%s/%s", wal, w->list[i].name);
		rc = move_one(from, dir, w->list[i].name, err);
		free(from);
		*moved += rc == 0;
	}
	if (rc == 0 && w->n > 0 && (io_fsync_dir(dir, err) != 0 ||
	    io_fsync_dir(wal, err) != 0))
		rc = -1;
	free(dir);
	free(wal);
	return rc;
}
