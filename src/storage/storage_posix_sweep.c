/* SPDX-License-Identifier: PostgreSQL */
/*
 * A put that is killed leaves its file in ROOT/tmp. Nobody but the put knows
 * the file's name, and no put lasts for days, so that age alone tells. The
 * age is taken by the store's clock: the time it gives to a new file.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/storage_posix.h"

static int64_t
changed(const struct stat *st)
{
	return time_from_unix(st->st_mtim.tv_sec) + st->st_mtim.tv_nsec / 1000;
}

static int
store_now(const struct posix *p, int dir, int64_t *now, struct err *err)
{
	uint8_t random[8];
	char name[64], hex[2 * sizeof(random) + 1];
	struct stat st;
	int fd, rc;

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	(void)snprintf(name, sizeof(name), "%ld-%s", (long)getpid(), hex);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return posix_fail(p, errno, err, "create " POSIX_TMP "/%s",
		    name);
	rc = fstat(fd, &st) == 0 ? 0 : posix_fail(p, errno, err, "stat");
	(void)close(fd); /* nothing was written to it */
	(void)unlinkat(dir, name, 0); /* a later sweep removes it */
	if (rc == 0)
		*now = changed(&st);
	return rc;
}

static int
sweep_one(const struct posix *p, int dir, const char *name, int64_t before,
    uint64_t *removed, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : posix_fail(p, errno, err,
		    "stat " POSIX_TMP "/%s", name);
	if (!S_ISREG(st.st_mode) || changed(&st) >= before)
		return 0;
	if (unlinkat(dir, name, 0) == 0)
		++*removed;
	else if (errno != ENOENT)
		return posix_fail(p, errno, err, "remove " POSIX_TMP "/%s",
		    name);
	return 0;
}

int
posix_sweep(struct storage *st, uint64_t older_than_us, uint64_t *removed,
    struct err *err)
{
	struct posix *p = (struct posix *)st;
	const struct dirent *e;
	int64_t now = 0;
	DIR *d;
	int fd, rc;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	fd = openat(p->root_fd, POSIX_TMP, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : posix_fail(p, errno, err,
		    "open directory " POSIX_TMP);
	d = fdopendir(fd);
	if (d == NULL) {
		rc = posix_fail(p, errno, err, "open directory " POSIX_TMP);
		(void)close(fd); /* only read from */
		return rc;
	}
	rc = store_now(p, fd, &now, err);
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			rc = sweep_one(p, fd, e->d_name,
			    now - (int64_t)older_than_us, removed, err);
	if (rc == 0 && errno != 0)
		rc = posix_fail(p, errno, err, "read directory " POSIX_TMP);
	(void)closedir(d); /* only read from */
	return rc;
}
