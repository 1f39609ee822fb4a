/* SPDX-License-Identifier: PostgreSQL */
/* Reading and listing what a directory holds; see storage_posix.c. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/io.h"
#include "core/time.h"
#include "storage/storage_posix.h"

/* Open an object for reading. */
static int
open_object(struct posix *p, const char *key, int *fd, struct err *err)
{
	struct stat st;
	int failed;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	*fd = openat(p->root_fd, key, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "no such object");
	if (*fd < 0)
		return posix_fail(p, errno, err, "open");
	failed = fstat(*fd, &st) == 0 ? 0 : errno;
	if (failed == 0 && S_ISREG(st.st_mode))
		return 0;
	(void)close(*fd); /* only read from */
	if (failed != 0) /* which says nothing of whether it is there */
		return posix_fail(p, failed, err, "stat");
	return err_set(err, ERR_NOT_FOUND, "not an object but a directory");
}

int
posix_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	struct posix *p = (struct posix *)st;
	size_t got;
	int fd, rc;

	if (open_object(p, key, &fd, err) != 0)
		return -1;
	rc = io_pread_upto(fd, out, len, off, &got, "object", err);
	(void)close(fd); /* only read from */
	if (rc != 0)
		return posix_fail_io(p, err);
	if (got != len)
		return err_set(err, ERR_DAMAGED,
		    "ends at offset %llu, %zu bytes were expected from %llu",
		    (unsigned long long)(off + got), len,
		    (unsigned long long)off);
	return 0;
}

static int64_t
mtime_of(const struct stat *st)
{
	return time_from_unix(st->st_mtim.tv_sec) + st->st_mtim.tv_nsec / 1000;
}

int
posix_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err)
{
	struct posix *p = (struct posix *)st;
	struct stat info;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	if (fstatat(p->root_fd, key, &info, 0) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return err_set(err, ERR_NOT_FOUND, "no such object");
		return posix_fail(p, errno, err, "stat");
	}
	if (!S_ISREG(info.st_mode))
		return err_set(err, ERR_NOT_FOUND,
		    "not an object but a directory");
	*size = (uint64_t)info.st_size;
	*mtime = mtime_of(&info);
	return 0;
}

/*
 * Of a directory the time at which the inode changed: every change of an
 * entry moves it, and nobody can set it back, as a copy with its times does
 * with the other one.
 */
static int64_t
ctime_of(const struct stat *st)
{
	return time_from_unix(st->st_ctim.tv_sec) + st->st_ctim.tv_nsec / 1000;
}

/*
 * The kernel's clock for this moves every few milliseconds, that of an old
 * file system each second or two. Over the network it is the server's clock,
 * which may be another than ours.
 */
uint64_t
posix_folder_margin(struct storage *st)
{
	static const uint64_t second = 1000000;
	static const unsigned long network[] = { 0x6969 /* NFS */,
		0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */,
		0x65735546 /* FUSE */, 0x01021997 /* 9P */,
		0x00c36400 /* Ceph */, 0x0bd00bd0 /* Lustre */,
		0x01161970 /* GFS2 */, 0x7461636f /* OCFS2 */ };
	struct posix *p = (struct posix *)st;
	struct statfs fs;
	size_t i;

	if (p->root_fd < 0 || fstatfs(p->root_fd, &fs) != 0)
		return 600 * second;
	for (i = 0; i < sizeof(network) / sizeof(network[0]); i++)
		if (((unsigned long)fs.f_type & 0xffffffff) == network[i])
			return 600 * second;
	return 2 * second;
}

/* A listing under way. */
struct walk {
	struct posix *p;
	bool delimiter;
	storage_list_fn fn;
	void *arg;
	size_t skip; /* bytes of the prefix, cut off every name */
	char path[STORAGE_KEY_MAX]; /* of the entry at hand, from the root */
	struct err *err;
};

/* What is in a repository's directory without being an object. */
static bool
no_object(const char *dir, const char *name)
{
	if (name[0] == '.')
		return true; /* ., .., .nfsXXXX, .snapshot */
	return dir[0] == '\0' &&
	    (strcmp(name, POSIX_TMP) == 0 || strcmp(name, "lost+found") == 0);
}

static int walk_dir(struct walk *w, const char *start);

static int
walk_entry(struct walk *w, int dir_fd, const char *name)
{
	struct storage_entry entry;
	struct stat st;
	size_t len;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return 0; /* removed meanwhile */
		return posix_fail(w->p, errno, w->err, "stat %s", w->path);
	}
	/*
	 * A directory that was moved to another disk and linked: get() finds
	 * what is in it, so it must not be passed over here, and where the
	 * disk is missing nothing may be said about what is there.
	 */
	if (S_ISLNK(st.st_mode)) {
		if (fstatat(dir_fd, name, &st, 0) != 0)
			return posix_fail(w->p, errno, w->err,
			    "follow the link %s", w->path);
		if (!S_ISDIR(st.st_mode))
			return 0; /* no object is a link */
	}
	memset(&entry, 0, sizeof(entry));
	entry.is_directory = S_ISDIR(st.st_mode);
	if (!entry.is_directory && !S_ISREG(st.st_mode))
		return 0;
	len = strlen(w->path);
	if (entry.is_directory) {
		if (len + 2 > sizeof(w->path))
			return 0; /* too long for a key */
		w->path[len] = '/';
		w->path[len + 1] = '\0';
		if (!w->delimiter)
			return walk_dir(w, "");
		entry.mtime = ctime_of(&st);
	} else {
		entry.size = (uint64_t)st.st_size;
		entry.mtime = mtime_of(&st);
	}
	entry.name = w->path + w->skip;
	return w->fn(w->arg, &entry, w->err);
}

/* Entries of directory w->path ("" or ending in '/') that begin with start. */
static int
walk_dir(struct walk *w, const char *start)
{
	struct dirent *e;
	size_t len = strlen(w->path);
	DIR *d = NULL;
	int fd, rc = 0;

	fd = openat(w->p->root_fd, len == 0 ? "." : w->path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		d = fdopendir(fd);
	if (d == NULL) {
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		rc = posix_fail(w->p, errno, w->err, "open directory %s", w->path);
		if (fd >= 0)
			(void)close(fd); /* only read from */
		return rc;
	}
	while (rc == 0) {
		errno = 0;
		e = readdir(d);
		if (e == NULL) {
			if (errno != 0)
				rc = posix_fail(w->p, errno, w->err,
				    "read directory %s", w->path);
			break;
		}
		w->path[len] = '\0';
		if (strncmp(e->d_name, start, strlen(start)) != 0 ||
		    no_object(w->path, e->d_name) ||
		    len + strlen(e->d_name) + 1 > sizeof(w->path))
			continue;
		strcpy(w->path + len, e->d_name);
		rc = walk_entry(w, fd, e->d_name);
	}
	w->path[len] = '\0';
	(void)closedir(d); /* only read from */
	return rc;
}

int
posix_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	struct walk w = { .p = (struct posix *)st, .delimiter = delimiter, .fn = fn,
		.arg = arg, .skip = strlen(prefix), .err = err };
	const char *slash = strrchr(prefix, '/');

	if (posix_check_root(w.p, ERR_STORAGE, err) != 0)
		return -1;
	(void)snprintf(w.path, sizeof(w.path), "%.*s",
	    slash == NULL ? 0 : (int)(slash - prefix) + 1, prefix);
	return walk_dir(&w, slash == NULL ? prefix : slash + 1);
}
