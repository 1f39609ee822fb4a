/* SPDX-License-Identifier: PostgreSQL */
/* What is durable lies in STATE: d.INODE a directory's entries, f.INODE a
 * file's content, l.INODE a link, root the inode of ROOT. */
#define _GNU_SOURCE
#include "durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *root, *state;
static dev_t dev;

void
die(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	fprintf(stderr, "faultrun: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(saved));
	exit(98);
}

/* Others may work in ROOT too: what is gone by now is left out. */
static bool
look(const char *path, struct stat *st)
{
	if (lstat(path, st) == 0)
		return true;
	if (errno != ENOENT)
		die("stat %s", path);
	return false;
}

static void
copy_fd(int from, const char *to)
{
	char buf[65536];
	off_t at = 0;
	ssize_t n;
	int fd;

	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die("create %s", to);
	while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
		if (write(fd, buf, (size_t)n) != n)
			die("write %s", to);
		at += n;
	}
	if (n < 0)
		die("read for %s", to);
	close(fd);
}

static char
type_of(const struct stat *st)
{
	return S_ISDIR(st->st_mode) ? 'd' :
	    S_ISREG(st->st_mode)    ? 'f' :
	    S_ISLNK(st->st_mode)    ? 'l' :
				      '?';
}

/* Where a symbolic link leads is as durable as its name. */
static void
keep_link(const char *path, uintmax_t ino)
{
	char to[4200], target[4200];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		die("read link %s", path);
	target[n] = '\0';
	snprintf(to, sizeof(to), "%s/l.%ju", state, ino);
	if (symlink(target, to) != 0 && errno != EEXIST)
		die("make %s", to);
}

/* A directory's entries, one after the other. */
struct entry {
	const char *name;
	char path[4200];
	struct stat st;
};

static bool
next_entry(DIR *d, const char *dir, struct entry *out)
{
	struct dirent *e;

	while ((e = readdir(d)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		out->name = e->d_name;
		snprintf(out->path, sizeof(out->path), "%s/%s", dir,
		    e->d_name);
		if (look(out->path, &out->st))
			return true;
	}
	return false;
}

static void
keep_dir(const char *path, const char *to)
{
	struct entry e;
	DIR *d = opendir(path);
	FILE *f = fopen(to, "we");

	if (d == NULL || f == NULL)
		die("keep %s as %s", path, to);
	while (next_entry(d, path, &e)) {
		if (S_ISLNK(e.st.st_mode))
			keep_link(e.path, (uintmax_t)e.st.st_ino);
		fprintf(f, "%c %ju %s\n", type_of(&e.st),
		    (uintmax_t)e.st.st_ino, e.name);
	}
	if (fclose(f) != 0)
		die("write %s", to);
	closedir(d);
}

/* As it is now is what is durable of one file or directory. */
static void
keep(const char *path)
{
	char to[4200], temp[4200];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fstat(fd, &st) != 0)
		die("look at %s", path);
	if (st.st_dev == dev &&
	    (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))) {
		snprintf(to, sizeof(to), "%s/%c.%ju", state, type_of(&st),
		    (uintmax_t)st.st_ino);
		snprintf(temp, sizeof(temp), "%s/tmp.%d", state, getpid());
		if (type_of(&st) == 'd')
			keep_dir(path, temp);
		else
			copy_fd(fd, temp);
		if (rename(temp, to) != 0)
			die("rename %s", temp);
	}
	close(fd);
}

static void
keep_all(const char *path)
{
	struct entry e;
	DIR *d;

	keep(path);
	d = opendir(path);
	if (d == NULL)
		die("read %s", path);
	while (next_entry(d, path, &e)) {
		if (S_ISDIR(e.st.st_mode))
			keep_all(e.path);
		else if (S_ISREG(e.st.st_mode))
			keep(e.path);
	}
	closedir(d);
}

void
durable_synced(pid_t pid, int fd, bool whole)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	if (stat(path, &st) != 0 || st.st_dev != dev)
		return;
	if (whole)
		keep_all(root);
	else
		keep(path);
}

static void
put_file(uintmax_t ino, const char *to)
{
	char from[4200];
	int fd;

	snprintf(from, sizeof(from), "%s/f.%ju", state, ino);
	fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		die("open %s", from);
	if (fd < 0) /* it has its name and nothing of what is in it */
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	copy_fd(fd, to);
	close(fd);
}

static void
put_link(uintmax_t ino, const char *to)
{
	char from[4200], target[4200];
	ssize_t n;

	snprintf(from, sizeof(from), "%s/l.%ju", state, ino);
	n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		die("read link %s", from);
	target[n] = '\0';
	if (symlink(target, to) != 0)
		die("make link %s", to);
}

static void put_dir(uintmax_t ino, const char *to);

static void
put_entry(char type, uintmax_t ino, const char *to)
{
	if (type == 'd')
		put_dir(ino, to);
	else if (type == 'f')
		put_file(ino, to);
	else if (type == 'l')
		put_link(ino, to);
}

static void
put_dir(uintmax_t ino, const char *to)
{
	char from[4200], line[4200], path[8500], name[4200], type;
	uintmax_t child;
	FILE *f;

	if (mkdir(to, 0700) != 0)
		die("make %s", to);
	snprintf(from, sizeof(from), "%s/d.%ju", state, ino);
	f = fopen(from, "re");
	if (f == NULL && errno != ENOENT)
		die("open %s", from);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%c %ju %4199[^\n]", &type, &child, name) != 3)
			continue;
		snprintf(path, sizeof(path), "%s/%s", to, name);
		put_entry(type, child, path);
	}
	if (f != NULL)
		fclose(f);
}

/* All names as they are now. */
static void
put_now(const char *from, const char *to)
{
	char path[4200];
	struct entry e;
	DIR *d = opendir(from);

	if (d == NULL || mkdir(to, 0700) != 0)
		die("make %s of %s", to, from);
	while (next_entry(d, from, &e)) {
		snprintf(path, sizeof(path), "%s/%s", to, e.name);
		if (S_ISDIR(e.st.st_mode))
			put_now(e.path, path);
		else if (S_ISREG(e.st.st_mode))
			put_file((uintmax_t)e.st.st_ino, path);
		else if (S_ISLNK(e.st.st_mode)) {
			keep_link(e.path, (uintmax_t)e.st.st_ino);
			put_link((uintmax_t)e.st.st_ino, path);
		}
	}
	closedir(d);
}

void
durable_cut(const char *state_directory, const char *out, const char *now)
{
	char path[4200], line[64];
	FILE *f;

	state = state_directory;
	if (now != NULL) {
		put_now(now, out);
		return;
	}
	snprintf(path, sizeof(path), "%s/root", state);
	f = fopen(path, "re");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		die("read %s", path);
	fclose(f);
	put_dir(strtoumax(line, NULL, 10), out);
}

void
durable_begin(const char *root_directory, const char *state_directory,
    bool begun)
{
	char path[4200];
	struct stat st;
	FILE *f;

	root = root_directory;
	state = state_directory;
	if (stat(root, &st) != 0)
		die("stat %s", root);
	dev = st.st_dev;
	if (begun)
		return;
	keep_all(root);
	snprintf(path, sizeof(path), "%s/root", state);
	f = fopen(path, "we");
	if (f == NULL || fprintf(f, "%ju\n", (uintmax_t)st.st_ino) < 0 ||
	    fclose(f) != 0)
		die("write %s", path);
}
