/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/hash.h"
#include "repo/state.h"

#define COPY_STEP ((size_t)1 << 18)
#define WAIT_MS 250u
#define WAIT_REMOTE_MS 10000u
#define LOOK_EVERY 64 /* waits, until it is looked whether somebody works */
#define ABANDONED_SECONDS 3600

/* What stands for a data directory: another inode is another restore. */
static int
directory_id(const char *pgdata, uint64_t *out, struct err *err)
{
	char real[PATH_MAX];
	struct stat st;
	char *text;

	if (realpath(pgdata, real) == NULL || stat(real, &st) != 0)
		return err_sys(err, errno, "stat %s", pgdata);
	text = xasprintf("%s %llu %llu", real, (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	*out = hash_64(text, strlen(text), 0);
	free(text);
	return 0;
}

int
wal_spool_open(struct wal_spool *out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc,
    const char *pgdata, struct err *err)
{
	struct wal_spool s = { .parent = NULL };
	char *boot = NULL;
	uint64_t directory;
	int ret = -1;

	if (directory_id(pgdata, &directory, err) != 0 ||
	    state_boot_id(&boot, err) != 0)
		return -1;
	s.parent = xasprintf("%s/spool/%s-%llu-%016llx", state_directory,
	    repo->id_text, (unsigned long long)inc->system_id,
	    (unsigned long long)directory);
	s.dir = xasprintf("%s/%s", s.parent, boot);
	s.patience_ms = storage_is_local(storage_url(repo->st)) ?
	    WAIT_MS : WAIT_REMOTE_MS;
	if (state_make(s.parent, err) == 0 && state_make(s.dir, err) == 0)
		ret = 0;
	free(boot);
	if (ret == 0)
		*out = s;
	else
		wal_spool_free(&s);
	return ret;
}

void
wal_spool_free(struct wal_spool *s)
{
	free(s->parent);
	free(s->dir);
	s->parent = NULL;
	s->dir = NULL;
}

void
wal_spool_name(const struct wal_stored *ws, char out[WAL_SPOOL_NAME_MAX])
{
	char hash[2 * WAL_HASH_SIZE + 1];

	text_hex(ws->hash, WAL_HASH_SIZE, hash);
	(void)snprintf(out, WAL_SPOOL_NAME_MAX, "%s-%s", ws->file.segment,
	    hash);
}

/* Across file systems; nothing is left at dest when it fails. */
static bool
copy_to(const char *from, const char *dest)
{
	char *tmp = xasprintf("%s.dapk-tmp", dest);
	uint8_t *bytes = xmalloc(COPY_STEP);
	struct err err = ERR_INIT;
	uint64_t off = 0;
	size_t got = 1;
	bool ok = false;
	int in, out = -1;

	in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in >= 0)
		out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
		    O_NOFOLLOW, 0600);
	for (ok = out >= 0; ok && got > 0; off += got)
		ok = io_pread_upto(in, bytes, COPY_STEP, off, &got, from,
			 &err) == 0 &&
		    io_write_full(out, bytes, got, tmp, &err) == 0;
	if (in >= 0)
		(void)close(in); /* only read from */
	if (out >= 0) {
		ok = close(out) == 0 && ok && rename(tmp, dest) == 0;
		if (!ok)
			(void)unlink(tmp); /* it is made anew directly */
	}
	free(bytes);
	free(tmp);
	return ok;
}

/* Is somebody filling the spool? */
static bool
is_filled(const struct wal_spool *s)
{
	int fd = wal_spool_lock(s);

	if (fd < 0)
		return true;
	(void)close(fd); /* gives the lock back */
	return false;
}

bool
wal_spool_take(const struct wal_spool *s, const struct wal_stored *ws,
    uint64_t size, const char *dest)
{
	char name[WAL_SPOOL_NAME_MAX], *path, *tmp;
	int64_t until = time_monotonic() + (int64_t)s->patience_ms * 1000;
	bool taken = false, last_look = false;
	unsigned waits = 0;
	struct stat st;

	wal_spool_name(ws, name);
	path = xasprintf("%s/%s", s->dir, name);
	tmp = xasprintf("%s.tmp", path);
	while (lstat(path, &st) != 0) {
		if (access(tmp, F_OK) != 0) {
			if (last_look)
				goto out;
			last_look = true; /* it may just have got its name */
			continue;
		}
		/* Made right now: sooner there than if we began anew. */
		last_look = false;
		if (time_monotonic() > until ||
		    (waits++ % LOOK_EVERY == 0 && !is_filled(s)))
			goto out;
		time_sleep_ms(1);
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
		(void)unlink(path); /* of no use; it is made anew directly */
		goto out;
	}
	taken = rename(path, dest) == 0;
	if (!taken && errno == EXDEV) {
		taken = copy_to(path, dest);
		(void)unlink(path); /* has served, or cannot */
	}
out:
	free(tmp);
	free(path);
	return taken;
}

/*
 * One small write: the reader sees the old or the new name. That it fails
 * costs look-ahead only.
 */
void
wal_spool_set_position(const struct wal_spool *s, const char *segment)
{
	char *path = xasprintf("%s/position", s->dir);
	struct err ignored = ERR_INIT;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		(void)!io_pwrite_full(fd, segment, WAL_SEGMENT_NAME_LEN, 0,
		    path, &ignored);
		(void)close(fd);
	}
	free(path);
}

bool
wal_spool_position(const struct wal_spool *s,
    char segment[WAL_SEGMENT_NAME_LEN + 1])
{
	char *path = xasprintf("%s/position", s->dir);
	struct err ignored = ERR_INIT;
	struct buf b;
	bool ok;

	buf_init(&b, 2 * WAL_SEGMENT_NAME_LEN);
	ok = io_read_file(path, &b, &ignored) == 0 &&
	    b.len == WAL_SEGMENT_NAME_LEN;
	if (ok)
		memcpy(segment, buf_str(&b), WAL_SEGMENT_NAME_LEN + 1);
	buf_free(&b);
	free(path);
	return ok;
}

int
wal_spool_lock(const struct wal_spool *s)
{
	return state_lock(s->dir);
}

/* The lock stays: two holders of two files of that name would not meet. */
void
wal_spool_clear(const struct wal_spool *s)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && strcmp(e->d_name, "lock") != 0)
			(void)unlinkat(dirfd(d), e->d_name, 0); /* or later */
	(void)closedir(d); /* only read from */
}

/* Remove the folders in dir but `keep`, unless they have changed since. */
static void
sweep(const char *dir, const char *keep, int64_t older_than)
{
	struct err ignored = ERR_INIT;
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	char *path;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strcmp(e->d_name, keep) == 0 ||
		    fstatat(dirfd(d), e->d_name, &st,
			AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISDIR(st.st_mode) || (int64_t)st.st_mtime > older_than)
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		(void)!io_remove_tree(path, &ignored);
		free(path);
	}
	(void)closedir(d); /* only read from */
}

/*
 * Other boots' folders go at once. Those of other data directories go an hour
 * after the last change of their boot folder: a recovery that still runs
 * makes its anew.
 */
void
wal_spool_sweep(const struct wal_spool *s)
{
	const char *boot = strrchr(s->dir, '/') + 1;
	char *spool = xstrndup(s->parent,
	    (size_t)(strrchr(s->parent, '/') - s->parent));
	const char *own = strrchr(s->parent, '/') + 1;
	time_t now = time(NULL);
	struct dirent *e;
	struct stat st;
	char *path;
	DIR *d;

	/* Whatever their time: a clock may have been ahead. */
	sweep(s->parent, boot, INT64_MAX);
	d = opendir(spool);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strcmp(e->d_name, own) == 0)
			continue;
		path = xasprintf("%s/%s", spool, e->d_name);
		sweep(path, "", now - ABANDONED_SECONDS);
		/* Goes when it is empty. */
		if (stat(path, &st) == 0 &&
		    st.st_mtime < now - ABANDONED_SECONDS)
			(void)rmdir(path);
		free(path);
	}
	if (d != NULL)
		(void)closedir(d); /* only read from */
	free(spool);
}
