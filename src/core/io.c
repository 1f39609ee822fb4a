/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

#define READ_STEP ((size_t)64 << 10)

int
io_write_full(int fd, const void *data, size_t len, const char *name,
    struct err *err)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "write %s", name);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
io_pwrite_full(int fd, const void *data, size_t len, uint64_t off,
    const char *name, struct err *err)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "write %s", name);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
io_pread_upto(int fd, void *data, size_t len, uint64_t off, size_t *got,
    const char *name, struct err *err)
{
	uint8_t *p = data;
	ssize_t n;

	*got = 0;
	while (*got < len) {
		n = pread(fd, p + *got, len - *got, (off_t)(off + *got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s at offset %llu",
			    name, (unsigned long long)(off + *got));
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return 0;
}

int
io_pread_full(int fd, void *data, size_t len, uint64_t off, const char *name,
    struct err *err)
{
	size_t got;

	if (io_pread_upto(fd, data, len, off, &got, name, err) != 0)
		return -1;
	if (got != len)
		return err_set(err, ERR_DAMAGED,
		    "%s ends at offset %llu, %zu bytes were expected from %llu",
		    name, (unsigned long long)(off + got), len,
		    (unsigned long long)off);
	return 0;
}

int
io_read_fd(int fd, const char *name, struct buf *b, struct err *err)
{
	uint8_t *p;
	size_t step;
	ssize_t n;
	uint8_t extra;

	for (;;) {
		step = b->max - b->len < READ_STEP ? b->max - b->len :
						     READ_STEP;
		p = step == 0 ? &extra : buf_reserve(b, step);
		n = read(fd, p, step == 0 ? 1 : step);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s", name);
		if (n == 0)
			break;
		if (step == 0)
			return err_set(err, ERR_REFUSED,
			    "%s is larger than %zu bytes", name, b->max);
		b->len += (size_t)n;
		b->data[b->len] = 0;
	}
	return 0;
}

int
io_read_file(const char *path, struct buf *b, struct err *err)
{
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	ret = io_read_fd(fd, path, b, err);
	(void)close(fd); /* only read from */
	return ret;
}

int
io_fsync(int fd, const char *name, struct err *err)
{
	if (fsync(fd) != 0)
		return err_sys(err, errno, "fsync %s", name);
	return 0;
}

int
io_fsync_dir(const char *path, struct err *err)
{
	int fd;
	int ret = 0;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open directory %s", path);
	if (fsync(fd) != 0 && errno != EINVAL && errno != EBADF)
		ret = err_sys(err, errno, "fsync directory %s", path);
	(void)close(fd); /* nothing was written through it */
	return ret;
}

/* One level of io_mkdir_p(): path's parent exists. */
static int
mkdir_one(const char *path, mode_t mode, struct err *err)
{
	char *parent, *slash;
	int ret;

	if (mkdir(path, mode) != 0) {
		if (errno == EEXIST || errno == EISDIR)
			return 0;
		return err_sys(err, errno, "make directory %s", path);
	}
	parent = xstrdup(path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		ret = io_fsync_dir(".", err);
	else {
		slash[slash == parent ? 1 : 0] = '\0';
		ret = io_fsync_dir(parent, err);
	}
	free(parent);
	return ret;
}

int
io_mkdir_p(const char *path, mode_t mode, struct err *err)
{
	struct stat st;
	char *part, *p;
	int ret = 0;

	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return err_sys(err, ENOTDIR, "make directory %s", path);
	}
	part = xstrdup(path);
	/* Else the directory would be taken for its own parent. */
	for (p = part + strlen(part); p > part + 1 && p[-1] == '/'; p--)
		p[-1] = '\0';
	for (p = part + 1; ret == 0 && *p != '\0'; p++) {
		if (*p != '/' || p[1] == '/' || p[1] == '\0')
			continue;
		*p = '\0';
		ret = mkdir_one(part, mode, err);
		*p = '/';
	}
	if (ret == 0)
		ret = mkdir_one(part, mode, err);
	free(part);
	return ret;
}

static int
write_file(const char *tmp, const void *data, size_t len, mode_t mode,
    struct err *err)
{
	int fd;
	int ret = -1;

	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
	    mode);
	if (fd < 0)
		return err_sys(err, errno, "create %s", tmp);
	if (io_write_full(fd, data, len, tmp, err) == 0 &&
	    io_fsync(fd, tmp, err) == 0)
		ret = 0;
	if (close(fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", tmp);
	return ret;
}

int
io_write_file_durable(const char *path, const void *data, size_t len,
    mode_t mode, struct err *err)
{
	char *tmp, *dir, *slash;
	int ret = -1;

	tmp = xasprintf("%s.tmp", path);
	dir = xstrdup(path);
	slash = strrchr(dir, '/');
	if (write_file(tmp, data, len, mode, err) != 0)
		goto out;
	if (rename(tmp, path) != 0) {
		err_sys(err, errno, "rename %s to %s", tmp, path);
		goto out;
	}
	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	ret = io_fsync_dir(slash == NULL ? "." : dir, err);
out:
	if (ret != 0)
		(void)unlink(tmp); /* the first error is the one to tell */
	free(dir);
	free(tmp);
	return ret;
}

int
io_open_nameless_in(const char *dir, int *fd, struct err *err)
{
	*fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	return err_sys(err, errno, "make a temporary file in %s", dir);
}

int
io_open_nameless(int *fd, struct err *err)
{
	const char *dir = getenv("TMPDIR");

	if (dir == NULL || dir[0] == '\0')
		dir = "/tmp";
	if (io_open_nameless_in(dir, fd, err) == 0)
		return 0;
	return err_hint(err, "set TMPDIR to a directory with room");
}

int
io_unlink(const char *path, struct err *err)
{
	if (unlink(path) != 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s", path);
	return 0;
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if ((type == FTW_DP ? rmdir(path) : unlink(path)) != 0 &&
	    errno != ENOENT)
		return errno;
	return 0;
}

int
io_remove_tree(const char *path, struct err *err)
{
	int rc;

	rc = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (rc == 0 || (rc == -1 && errno == ENOENT))
		return 0;
	return err_sys(err, rc > 0 ? rc : errno, "remove %s", path);
}

int
io_exists(const char *path, bool *exists, struct err *err)
{
	struct stat st;

	*exists = lstat(path, &st) == 0;
	if (!*exists && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, errno, "stat %s", path);
	return 0;
}
