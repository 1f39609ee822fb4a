/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/mem.h"

#define OPEN_DIRECTORIES 16

/*
 * syncfs() tells of failed writes since Linux 5.8; before that only fsync of
 * each file does.
 */
static bool
syncfs_reports(void)
{
	struct utsname u;
	unsigned major, minor;

	if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 5 || (major == 5 && minor >= 8);
}

static int
sync_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	int fd, rc;

	if (type != FTW_F && type != FTW_D && type != FTW_DP)
		return 0;
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno;
	rc = fsync(fd) == 0 ? 0 : errno;
	if (S_ISDIR(st->st_mode) && (rc == EINVAL || rc == EBADF)) /* T64 */
		rc = 0;
	(void)close(fd); /* opened for reading */
	return rc;
}

static int
sync_each(const char *path, struct err *err)
{
	int rc = nftw(path, sync_entry, OPEN_DIRECTORIES,
	    FTW_PHYS | FTW_DEPTH);

	if (rc == 0)
		return 0;
	return err_sys(err, rc > 0 ? rc : errno, "fsync below %s", path);
}

int
io_sync_tree(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_sys(err, errno, "open directory %s", path);
	rc = syncfs(fd);
	if (rc != 0 && errno != ENOSYS)
		rc = err_sys(err, errno, "sync the file system of %s", path);
	else if (rc != 0 || !syncfs_reports())
		rc = sync_each(path, err);
	(void)close(fd); /* a directory */
	return rc;
}

int
io_fsync_parent(const char *path, struct err *err)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int ret;

	if (slash != NULL)
		slash[slash == dir] = '\0';
	ret = io_fsync_dir(slash == NULL ? "." : dir, err);
	free(dir);
	return ret;
}
