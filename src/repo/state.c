/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX ((size_t)128)

/* Ours alone: another user could put files of their own there. */
static int
check_private(const char *dir, struct err *err)
{
	struct stat st;

	if (lstat(dir, &st) != 0)
		return err_sys(err, errno, "stat %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(err, ERR_REFUSED,
		    "%s is not a directory that only this user can write to",
		    dir);
	return 0;
}

int
state_make(const char *folder, struct err *err)
{
	if (io_mkdir_p(folder, 0700, err) != 0)
		return -1;
	return check_private(folder, err);
}

int
state_folder(const char *state_directory, const char *kind,
    const struct repo *repo, const struct incarnation *inc, const char *last,
    char **out, struct err *err)
{
	char *own, *folder;
	int ret;

	if (inc != NULL)
		own = xasprintf("%s/%s/%s-%llu", state_directory, kind,
		    repo->id_text, (unsigned long long)inc->system_id);
	else
		own = xasprintf("%s/%s/%s", state_directory, kind,
		    repo->id_text);
	folder = last == NULL ? xstrdup(own) : xasprintf("%s/%s", own, last);
	ret = state_make(folder, err);
	if (ret == 0 && last != NULL)
		ret = check_private(own, err);
	free(own);
	if (ret == 0)
		*out = folder;
	else
		free(folder);
	return ret;
}

bool
state_may_keep(const char *state_directory)
{
	struct stat st;

	if (stat(state_directory, &st) == 0)
		return st.st_uid == geteuid();
	return errno == ENOENT && geteuid() != 0;
}

char *
state_catalogue(const char *state_directory, const struct repo *repo,
    const struct incarnation *inc)
{
	struct err err = ERR_INIT;
	char *folder;

	if (!state_may_keep(state_directory))
		return NULL;
	folder = xasprintf("%s/catalogue/%s/%s/%d-%llu", state_directory,
	    repo->place_text, inc->cluster, inc->major,
	    (unsigned long long)inc->system_id);
	if (state_make(folder, &err) == 0)
		return folder;
	log_debug("nothing is remembered: %s", err.msg);
	free(folder);
	return NULL;
}

int
state_file_begin(struct state_file *f, const char *path, struct err *err)
{
	f->path = xstrdup(path);
	f->tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
	f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (f->fd >= 0)
		return 0;
	err_sys(err, errno, "create %s", f->tmp);
	free(f->path);
	free(f->tmp);
	return -1;
}

int
state_file_add(struct state_file *f, const void *data, size_t len,
    struct err *err)
{
	return io_write_full(f->fd, data, len, f->tmp, err);
}

int
state_file_end(struct state_file *f, int rc, struct err *err)
{
	if (close(f->fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s", f->tmp);
	if (rc == 0 && rename(f->tmp, f->path) != 0)
		rc = err_sys(err, errno, "rename %s", f->tmp);
	if (rc != 0)
		(void)unlink(f->tmp); /* what was there before stays */
	free(f->path);
	free(f->tmp);
	return rc;
}

int
state_replace(const char *path, const void *data, size_t len,
    struct err *err)
{
	struct state_file f;

	if (state_file_begin(&f, path, err) != 0)
		return -1;
	return state_file_end(&f, state_file_add(&f, data, len, err), err);
}

int
state_lock(const char *folder)
{
	char *path = xasprintf("%s/lock", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	free(path);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

int
state_boot_id(char **out, struct err *err)
{
	struct buf b;
	size_t len;
	int ret;

	buf_init(&b, BOOT_ID_MAX);
	ret = io_read_file(BOOT_ID, &b, err);
	if (ret == 0) {
		len = strspn(buf_str(&b), "0123456789abcdef-");
		if (len == 0)
			ret = err_set(err, ERR_IO, "%s is empty", BOOT_ID);
		else
			*out = xstrndup(buf_str(&b), len);
	}
	buf_free(&b);
	return ret;
}
