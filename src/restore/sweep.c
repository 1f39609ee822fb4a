/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/datafile.h"
#include "repo/format.h"

#define TABLESPACE_PREFIX "pg_tblspc/"
#define NAMED_MAX 20 /* names that a dry run gives */

struct sweep {
	const struct restore_plan *plan;
	const struct pathset *set;
	bool dry;
	struct sweep_counts *counts;
	char path[FORMAT_PATH_MAX];
	size_t len;
};

static int
push(struct sweep *s, const char *name, struct err *err)
{
	const size_t n = strlen(name), slash = s->len > 0;

	if (s->len + slash + n >= sizeof(s->path))
		return err_set(err, ERR_REFUSED, "path too long: %s/%s/%s",
		    s->plan->dir, s->path, name);
	if (slash)
		s->path[s->len] = '/';
	memcpy(s->path + s->len + slash, name, n + 1);
	s->len += slash + n;
	return 0;
}

static void
cut(struct sweep *s, size_t len)
{
	s->len = len;
	s->path[len] = '\0';
}

/*
 * Is something mounted there? Where the kernel does not tell, one on the same
 * file system as the directory that it lies in is not seen.
 */
static bool
is_mount(int fd, const char *name, const struct stat *st)
{
#ifdef STATX_ATTR_MOUNT_ROOT
	struct statx sx;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE,
		&sx) == 0 &&
	    (sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
		return (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#endif
	struct stat above;

	return fstatat(fd, strcmp(name, ".") == 0 ? ".." : ".", &above, 0) ==
	    0 && above.st_dev != st->st_dev;
}

/* Names that stay, whatever the backup has. */
static bool
stays(const struct sweep *s)
{
	return strcmp(s->path, PLAN_MARKER) == 0 ||
	    strcmp(s->path, PLAN_KEPT_WAL) == 0;
}

static void
say(const struct sweep *s, const struct stat *st)
{
	const uint64_t n = s->counts->files + s->counts->directories +
	    s->counts->links;
	const char *what = S_ISDIR(st->st_mode) ? "directory" :
	    S_ISLNK(st->st_mode) ? "link" : "file";

	if (s->dry && n <= NAMED_MAX)
		log_info("would be removed: %s %s", what, s->path);
	else if (s->dry && n == NAMED_MAX + 1)
		log_info("... and more");
	else if (!s->dry && S_ISLNK(st->st_mode))
		log_warning("the link %s/%s is removed: the backup does not "
		    "have it; what it leads to is left alone", s->plan->dir,
		    s->path);
	else if (!s->dry)
		log_debug("removed: %s %s", what, s->path);
}

static int
remove_one(struct sweep *s, int fd, const char *name, const struct stat *st,
    struct err *err)
{
	if (!s->dry && unlinkat(fd, name,
		S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0) != 0)
		return err_sys(err, errno, "remove %s/%s", s->plan->dir,
		    s->path);
	if (S_ISDIR(st->st_mode))
		s->counts->directories++;
	else if (S_ISLNK(st->st_mode))
		s->counts->links++;
	else
		s->counts->files++;
	say(s, st);
	return 0;
}

/* Open a directory that is there; one that forbids it is ours to change. */
static int
open_dir(struct sweep *s, int fd, const char *name, const struct stat *st,
    int flags, struct err *err)
{
	int child;

	if (!s->dry && (st->st_mode & 0700) != 0700 &&
	    st->st_uid == geteuid() &&
	    fchmodat(fd, name, (st->st_mode & 07777) | 0700, 0) != 0)
		return err_sys(err, errno, "chmod %s/%s", s->plan->dir,
		    s->path);
	child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	if (child < 0)
		return err_sys(err, errno, "open directory %s/%s",
		    s->plan->dir, s->path);
	return child;
}

typedef int (*sweep_entry)(struct sweep *s, int fd, const char *name,
    const struct stat *st, bool *kept, struct err *err);

/* Calls `each` for the entries; closes fd. *kept: something stayed. */
static int
each_entry(struct sweep *s, int fd, sweep_entry each, bool *kept,
    struct err *err)
{
	const size_t len = s->len;
	struct dirent *e;
	struct stat st;
	int rc = 0;
	DIR *d;

	d = fdopendir(fd);
	if (d == NULL) {
		rc = err_sys(err, errno, "open directory %s/%s",
		    s->plan->dir, s->path);
		(void)close(fd);
		return rc;
	}
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		rc = cancel_check(err);
		if (rc == 0)
			rc = push(s, e->d_name, err);
		if (rc == 0 && fstatat(fd, e->d_name, &st,
			AT_SYMLINK_NOFOLLOW) != 0)
			rc = err_sys(err, errno, "look at %s/%s",
			    s->plan->dir, s->path);
		if (rc == 0)
			rc = each(s, fd, e->d_name, &st, kept, err);
		cut(s, len);
	}
	if (rc == 0 && errno != 0)
		rc = err_sys(err, errno, "read directory %s/%s", s->plan->dir,
		    s->path);
	(void)closedir(d); /* only read from */
	return rc;
}

/* All of it goes, but for what is mounted in it and the way there. */
static int
remove_entry(struct sweep *s, int fd, const char *name,
    const struct stat *st, bool *kept, struct err *err)
{
	bool below = false;
	int child;

	if (S_ISDIR(st->st_mode)) {
		if (is_mount(fd, name, st)) {
			log_warning("%s/%s is a mount point, which the backup "
			    "does not have: it is left as it is",
			    s->plan->dir, s->path);
			s->counts->mounts++;
			*kept = true;
			return 0;
		}
		child = open_dir(s, fd, name, st, O_NOFOLLOW, err);
		if (child < 0 ||
		    each_entry(s, child, remove_entry, &below, err) != 0)
			return -1;
		if (below) {
			*kept = true;
			return 0;
		}
	}
	return remove_one(s, fd, name, st, err);
}

/* Something else is there than the backup has. */
static int
clear_way(struct sweep *s, int fd, const char *name, const struct stat *st,
    struct err *err)
{
	bool kept = false;

	if (remove_entry(s, fd, name, st, &kept, err) != 0)
		return -1;
	if (!kept)
		return 0;
	err_set(err, ERR_REFUSED, "%s/%s is a directory with something "
	    "mounted in it, where the backup has something else",
	    s->plan->dir, s->path);
	return err_hint(err, "unmount it, and restore again");
}

/* pg_wal stays where this host has it. */
static bool
is_wal_directory(const struct sweep *s, int fd, const char *name)
{
	struct stat st;

	return strcmp(s->path, "pg_wal") == 0 &&
	    fstatat(fd, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int
sweep_entry_of_backup(struct sweep *s, int fd, const char *name,
    const struct stat *st, bool *kept, struct err *err)
{
	const enum pathset_type type = pathset_find(s->set, s->path);
	const bool wal = is_wal_directory(s, fd, name);
	struct stat here;
	int child;

	if (stays(s))
		return 0;
	if (strcmp(name, "lost+found") == 0 && type == PATHSET_NONE &&
	    fstat(fd, &here) == 0 && is_mount(fd, ".", &here))
		return 0;
	if (wal || (S_ISDIR(st->st_mode) && type == PATHSET_DIR)) {
		child = open_dir(s, fd, name, st, wal ? 0 : O_NOFOLLOW, err);
		return child < 0 ? -1 :
		    each_entry(s, child, sweep_entry_of_backup, kept, err);
	}
	if (type == PATHSET_NONE)
		return remove_entry(s, fd, name, st, kept, err);
	if ((S_ISREG(st->st_mode) && type == PATHSET_FILE) ||
	    (S_ISLNK(st->st_mode) && type == PATHSET_LINK))
		return 0; /* what it holds is seen later */
	return clear_way(s, fd, name, st, err);
}

/* This server's own directory in a tablespace. */
static int
sweep_tablespace(struct sweep *s, const struct plan_tablespace *t,
    struct err *err)
{
	char name[DATAFILE_TABLESPACE_DIR_MAX], oid[32];
	bool kept = false;
	struct stat st;
	int fd, rc = 0;

	(void)datafile_tablespace_dir(s->plan->inc.major,
	    s->plan->backup.catalog_version, name);
	(void)snprintf(oid, sizeof(oid), TABLESPACE_PREFIX "%u",
	    (unsigned)t->oid);
	fd = open(t->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 :
		    err_sys(err, errno, "open directory %s", t->to);
	cut(s, 0);
	if (push(s, oid, err) != 0 || push(s, name, err) != 0)
		rc = -1;
	else if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		rc = sweep_entry_of_backup(s, fd, name, &st, &kept, err);
	else if (errno != ENOENT)
		rc = err_sys(err, errno, "look at %s/%s", t->to, name);
	(void)close(fd); /* only read from */
	return rc;
}

int
sweep_run(const struct restore_plan *plan, const struct pathset *set,
    int dir, bool dry, struct sweep_counts *out, struct err *err)
{
	struct sweep *s = xcalloc(1, sizeof(*s));
	bool kept = false;
	int fd, rc;
	size_t i;

	memset(out, 0, sizeof(*out));
	s->plan = plan;
	s->set = set;
	s->dry = dry;
	s->counts = out;
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? err_sys(err, errno, "open directory %s", plan->dir) :
		      each_entry(s, fd, sweep_entry_of_backup, &kept, err);
	for (i = 0; rc == 0 && i < plan->n_tablespaces; i++)
		rc = sweep_tablespace(s, &plan->tablespaces[i], err);
	free(s);
	return rc;
}
