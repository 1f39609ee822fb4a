/* SPDX-License-Identifier: PostgreSQL */
/*
 * File times by a clock that is set again and again, for a machine whose
 * processes have their time from libfaketime: the kernel writes its own time
 * into inodes, and what was written under a setting is to be as old as that
 * setting made it, also years of it later. libfaketime's own way shifts all by
 * the offset of the moment, so no file would ever grow older.
 *
 *	cc -shared -fPIC -O2 -o fakestat.so fakestat.c
 *	/etc/ld.so.preload: fakestat.so and libfaketime's
 *
 * The file TABLE has a line for each setting: the kernel's time in
 * nanoseconds since 1970 when it began, and the seconds to add from then on.
 * What is older than the first gets its offset too. Times that a program set
 * itself (cp -p) are shifted like others: the machine must do without. When a
 * file was read is left as it is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TABLE
#define TABLE "/etc/fakestat"
#endif

/* Without the wrappers of others that are preloaded. */
static int
real_stat(int fd, const char *path, struct stat *st, int flags)
{
	return (int)syscall(SYS_newfstatat, fd, path, st, flags);
}

/*
 * Lines have one width, so that the last one that began before a time is found
 * without reading all, and none is read half.
 */
#define LINE 34 /* "%020lld %+012lld\n" */

/* No lock and no memory of what was: also in a signal handler, after a fork. */
static int64_t
offset_at(int64_t ns)
{
	char line[LINE + 1] = "";
	struct stat st;
	int64_t low = 0, high, mid, offset = 0;
	int fd;

	fd = (int)syscall(SYS_openat, AT_FDCWD, TABLE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (real_stat(fd, "", &st, AT_EMPTY_PATH) == 0 && st.st_size >= LINE) {
		high = st.st_size / LINE;
		while (high - low > 1) {
			mid = (low + high) / 2;
			if (pread(fd, line, LINE, mid * LINE) != LINE)
				break;
			if (strtoll(line, NULL, 10) <= ns)
				low = mid;
			else
				high = mid;
		}
		if (pread(fd, line, LINE, low * LINE) == LINE)
			offset = strtoll(line + 20, NULL, 10);
	}
	(void)close(fd);
	return offset;
}

static void
shift(struct timespec *ts)
{
	ts->tv_sec += offset_at(
	    (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec);
}

static int
faked(int rc, struct stat *st)
{
	if (rc == 0) {
		shift(&st->st_mtim);
		shift(&st->st_ctim);
	}
	return rc;
}

int
fstatat(int fd, const char *restrict path, struct stat *restrict st,
    int flags)
{
	return faked(real_stat(fd, path, st, flags), st);
}

int
stat(const char *restrict path, struct stat *restrict st)
{
	return fstatat(AT_FDCWD, path, st, 0);
}

int
lstat(const char *restrict path, struct stat *restrict st)
{
	return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int
fstat(int fd, struct stat *st)
{
	return fstatat(fd, "", st, AT_EMPTY_PATH);
}

/* The same, where a program was built for large files: one struct here. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "struct stat64");

int
fstatat64(int fd, const char *restrict path, struct stat64 *restrict st,
    int flags)
{
	return fstatat(fd, path, (struct stat *)st, flags);
}

int
stat64(const char *restrict path, struct stat64 *restrict st)
{
	return fstatat64(AT_FDCWD, path, st, 0);
}

int
lstat64(const char *restrict path, struct stat64 *restrict st)
{
	return fstatat64(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int
fstat64(int fd, struct stat64 *st)
{
	return fstatat64(fd, "", st, AT_EMPTY_PATH);
}

static void
shift_x(struct statx_timestamp *ts)
{
	ts->tv_sec += offset_at(ts->tv_sec * 1000000000 + ts->tv_nsec);
}

int
statx(int fd, const char *restrict path, int flags, unsigned mask,
    struct statx *restrict st)
{
	int rc = (int)syscall(SYS_statx, fd, path, flags, mask, st);

	if (rc == 0) {
		shift_x(&st->stx_mtime);
		shift_x(&st->stx_ctime);
		shift_x(&st->stx_btime);
	}
	return rc;
}

/*
 * libfaketime's does not fake while it waits. A server of PostgreSQL up to 15
 * starts its archiver, autovacuum and others by a signal handler that comes
 * then, and they would live in the kernel's time for good.
 */
int
select(int n, fd_set *restrict in, fd_set *restrict out,
    fd_set *restrict except, struct timeval *restrict tv)
{
	struct timespec ts;

	if (tv != NULL)
		ts = (struct timespec){ .tv_sec = tv->tv_sec,
			.tv_nsec = tv->tv_usec * 1000 };
	return (int)syscall(SYS_pselect6, n, in, out, except,
	    tv == NULL ? NULL : &ts, NULL);
}
