/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/running.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"

#define PID_FILE "postmaster.pid"
#define PID_FILE_MAX ((size_t)4096)
#define SHMEM_LINE 7 /* LOCK_FILE_LINE_SHMEM_KEY of miscadmin.h */

static bool
same_place(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is this live process the server of this directory, as far as is known? */
static bool
is_its_server(pid_t pid, const char *pgdata)
{
	char link[64], cwd[PATH_MAX];
	struct stat a, b;
	ssize_t n;

	if (pid <= 1 || pid == getpid() || pid == getppid() ||
	    (kill(pid, 0) != 0 && errno == ESRCH))
		return false;
	(void)snprintf(link, sizeof(link), "/proc/%ld/cwd", (long)pid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	if (n < 0)
		return true; /* not ours to see: the careful answer */
	/* A server's working directory is its data directory. */
	return stat(link, &a) != 0 || stat(pgdata, &b) != 0 ||
	    same_place(&a, &b);
}

/* Backends that outlive a killed postmaster still write to the files. */
static bool
memory_in_use(const char *text)
{
	unsigned long key, id;
	struct shmid_ds ds;
	int line;

	for (line = 1; line < SHMEM_LINE; line++) {
		text = strchr(text, '\n');
		if (text == NULL)
			return false;
		text++;
	}
	if (sscanf(text, "%lu %lu", &key, &id) != 2 || id > INT_MAX ||
	    shmctl((int)id, IPC_STAT, &ds) != 0)
		return false;
	return (unsigned long)(unsigned)ds.shm_perm.__key == key &&
	    ds.shm_nattch > 0;
}

int
running_refuse(const char *pgdata, struct err *err)
{
	char *path = xasprintf("%s/" PID_FILE, pgdata);
	struct buf b;
	long pid;
	bool there;
	int ret;

	buf_init(&b, PID_FILE_MAX);
	ret = io_exists(path, &there, err);
	if (ret == 0 && there && (ret = io_read_file(path, &b, err)) == 0) {
		pid = labs(strtol(buf_str(&b), NULL, 10));
		if (is_its_server((pid_t)pid, pgdata)) {
			ret = err_set(err, ERR_REFUSED,
			    "a server (pid %ld) is running on %s", pid,
			    pgdata);
			err_hint(err, "stop it first: pg_ctl stop -D %s",
			    pgdata);
		} else if (memory_in_use(buf_str(&b))) {
			ret = err_set(err, ERR_REFUSED,
			    "processes of a server that ended are still at "
			    "work on %s", pgdata);
			err_hint(err, "end them first: fuser -v %s", pgdata);
		}
	}
	buf_free(&b);
	free(path);
	return ret;
}

static bool
is_place(const char *dir, const char *name, const struct stat *want)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct stat st;
	bool same = stat(path, &st) == 0 && same_place(&st, want);

	free(path);
	return same;
}

/* The directories that a server of this data directory writes to. */
static bool
dir_uses(const char *dir, const struct stat *want)
{
	char *spaces;
	struct dirent *e;
	bool found;
	DIR *d;

	if (is_place(dir, ".", want) || is_place(dir, "pg_wal", want))
		return true;
	spaces = xasprintf("%s/pg_tblspc", dir);
	found = false;
	d = opendir(spaces);
	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' &&
		    is_place(spaces, e->d_name, want);
	if (d != NULL)
		(void)closedir(d); /* only read from */
	free(spaces);
	return found;
}

bool
running_uses(const char *path, const char *except, char out[PATH_MAX])
{
	char link[300], last[PATH_MAX] = "";
	struct stat want, own, st;
	bool has_own, found = false;
	struct dirent *e;
	ssize_t n;
	DIR *d;

	if (stat(path, &want) != 0 || (d = opendir("/proc")) == NULL)
		return false;
	has_own = stat(except, &own) == 0;
	while (!found && (e = readdir(d)) != NULL) {
		if (strtol(e->d_name, NULL, 10) <= 1)
			continue;
		(void)snprintf(link, sizeof(link), "/proc/%s/cwd", e->d_name);
		n = readlink(link, out, PATH_MAX - 1);
		if (n <= 0)
			continue;
		out[n] = '\0';
		if (strcmp(out, last) == 0) /* the servers' children */
			continue;
		(void)snprintf(last, sizeof(last), "%s", out);
		if (stat(link, &st) != 0 || (has_own && same_place(&st, &own)))
			continue;
		(void)snprintf(link, sizeof(link), "/proc/%s/cwd/" PID_FILE,
		    e->d_name);
		found = access(link, F_OK) == 0 && dir_uses(out, &want);
	}
	(void)closedir(d); /* only read from */
	return found;
}
