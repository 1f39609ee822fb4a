/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"

#define DIR_MODE 0700
#define GROUP_DIR_MODE 0750
#define TABLESPACE_PREFIX "pg_tblspc/"
#define WAL_LINK "pg_wal"

void
tree_init(struct tree *t, const struct restore_plan *plan)
{
	memset(t, 0, sizeof(*t));
	t->plan = plan;
	t->fd = -1;
}

void
tree_free(struct tree *t)
{
	size_t i;

	path_guard_free(&t->guard);
	for (i = 0; i < t->n_mounts; i++)
		free(t->mounts[i].path);
	free(t->mounts);
	free(t->wal);
	if (t->fd >= 0)
		(void)close(t->fd); /* a directory: nothing is written by it */
}

/* An empty directory of ours, made when it is not there yet. */
static int
make_empty_dir(const char *path, struct err *err)
{
	struct stat st;

	if (io_mkdir_p(path, DIR_MODE, err) != 0)
		return -1;
	if (stat(path, &st) != 0)
		return err_sys(err, errno, "stat %s", path);
	if (st.st_uid != geteuid()) {
		err_set(err, ERR_REFUSED,
		    "%s does not belong to the user that restores", path);
		return err_hint(err, "PostgreSQL starts only in a directory "
				     "of its own user: chown it");
	}
	if (chmod(path, DIR_MODE) != 0)
		return err_sys(err, errno, "chmod %s", path);
	return 0;
}

/* The marker names each directory that a new attempt has to clear. */
static int
write_marker(struct tree *t, struct err *err)
{
	const struct restore_plan *plan = t->plan;
	struct buf b;
	size_t i;
	int ret;

	buf_init(&b, PLAN_MARKER_MAX);
	buf_printf(&b, "%s\n", plan->dir);
	for (i = 0; i < plan->n_tablespaces; i++)
		buf_printf(&b, "%s\n", plan->tablespaces[i].to);
	if (t->wal != NULL)
		buf_printf(&b, "%s\n", t->wal);
	buf_printf(&b, PLAN_MARKER_SYSTEM "%llu\n",
	    (unsigned long long)plan->inc.system_id);
	if (plan->delta)
		buf_add_str(&b, PLAN_MARKER_DELTA "\n");
	ret = buf_check(&b, "the list of directories", err);
	if (ret == 0)
		ret = (plan->delta ? tree_write_durable : tree_write)(t,
		    PLAN_MARKER, b.data, b.len, 0600, err);
	buf_free(&b);
	return ret;
}

/* A pg_wal that is elsewhere is synced too. */
static void
find_old_wal(struct tree *t)
{
	char *path = xasprintf("%s/" WAL_LINK, t->plan->dir);
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
	    stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		t->wal = realpath(path, NULL);
	free(path);
}

int
tree_begin(struct tree *t, struct err *err)
{
	const struct restore_plan *plan = t->plan;
	size_t i;

	if (plan->delta)
		find_old_wal(t);
	if (make_empty_dir(plan->dir, err) != 0)
		return -1;
	t->fd = open(plan->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		return err_sys(err, errno, "open directory %s", plan->dir);
	if (write_marker(t, err) != 0)
		return -1;
	for (i = 0; i < plan->n_tablespaces; i++)
		if (make_empty_dir(plan->tablespaces[i].to, err) != 0)
			return -1;
	return 0;
}

int
tree_check(const struct tree *t, const char *path, struct err *err)
{
	return path_guard_check(&t->guard, path, err);
}

/* What is mounted inside an old directory is synced by itself. */
static void
note_mount(struct tree *t, const char *path, const struct stat *st)
{
	struct stat own;
	size_t i;

	if (fstat(t->fd, &own) != 0 || own.st_dev == st->st_dev)
		return;
	for (i = 0; i < t->n_mounts; i++)
		if (t->mounts[i].device == st->st_dev)
			return;
	t->mounts = xreallocarray(t->mounts, t->n_mounts + 1,
	    sizeof(*t->mounts));
	t->mounts[t->n_mounts].device = st->st_dev;
	t->mounts[t->n_mounts++].path = xasprintf("%s/%s", t->plan->dir,
	    path);
}

int
tree_dir(struct tree *t, const char *path, uint32_t mode, struct err *err)
{
	struct stat st;

	if (path[0] == '\0' || strcmp(path, ".") == 0) {
		if (fchmod(t->fd, (mode & 0777) | DIR_MODE) != 0)
			return err_sys(err, errno, "chmod %s", t->plan->dir);
		return 0;
	}
	if (tree_check(t, path, err) != 0)
		return -1;
	mode = (mode & 0777) | DIR_MODE;
	/* PGDATA itself has no line: it has the group's bits as "base" has. */
	if (strcmp(path, "base") == 0 && (mode & 0050) == 0050 &&
	    fchmod(t->fd, GROUP_DIR_MODE) != 0)
		return err_sys(err, errno, "chmod %s", t->plan->dir);
	if (mkdirat(t->fd, path, mode) == 0)
		return 0;
	/* pg_wal may have been made already, as a link to a directory. */
	if (errno == EEXIST && fstatat(t->fd, path, &st, 0) == 0 &&
	    S_ISDIR(st.st_mode)) {
		note_mount(t, path, &st);
		if (!t->plan->delta || (st.st_mode & 07777) == mode ||
		    fchmodat(t->fd, path, mode, 0) == 0)
			return 0;
		return err_sys(err, errno, "chmod %s/%s", t->plan->dir, path);
	}
	return err_sys(err, errno, "make directory %s/%s", t->plan->dir, path);
}

/* *same: it is there as it is wanted; another one is removed. */
static int
replace_link(struct tree *t, const char *path, const char *target,
    bool *same, struct err *err)
{
	char old[PATH_MAX];
	ssize_t n = readlinkat(t->fd, path, old, sizeof(old) - 1);

	*same = false;
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return err_sys(err, errno, "read link %s/%s", t->plan->dir,
		    path);
	old[n] = '\0';
	*same = strcmp(old, target) == 0;
	if (*same)
		return 0;
	log_info("the link %s/%s led to %s, and now leads to %s",
	    t->plan->dir, path, old, target);
	if (unlinkat(t->fd, path, 0) != 0)
		return err_sys(err, errno, "remove %s/%s", t->plan->dir,
		    path);
	return 0;
}

static int
make_link(struct tree *t, const char *path, const char *target,
    struct err *err)
{
	bool same = false;

	if (t->plan->delta &&
	    replace_link(t, path, target, &same, err) != 0)
		return -1;
	if (same)
		return 0;
	if (symlinkat(target, t->fd, path) != 0)
		return err_sys(err, errno, "make the link %s/%s to %s",
		    t->plan->dir, path, target);
	return 0;
}

static int
link_tablespace(struct tree *t, const char *path, struct err *err)
{
	const struct restore_plan *plan = t->plan;
	uint64_t oid;
	size_t i;

	if (text_u64(path + strlen(TABLESPACE_PREFIX), UINT32_MAX, &oid))
		for (i = 0; i < plan->n_tablespaces; i++)
			if (plan->tablespaces[i].oid == oid)
				return make_link(t, path,
				    plan->tablespaces[i].to, err);
	return err_set(err, ERR_DAMAGED,
	    "the manifest names the tablespace link %s, which the commit does "
	    "not", path);
}

/*
 * Where pg_wal was a link its directory may belong to the running source:
 * only one that is absent or empty is used.
 */
static int
link_wal(struct tree *t, const char *target, struct err *err)
{
	struct err why = ERR_INIT;
	bool exists, empty;
	struct stat st;

	/* Where this host has it is where it stays. */
	if (t->plan->delta && fstatat(t->fd, WAL_LINK, &st, 0) == 0 &&
	    S_ISDIR(st.st_mode))
		return 0;
	if (target[0] != '/')
		err_set(&why, ERR_REFUSED, "%s is not absolute", target);
	else if (plan_directory_empty(target, false, &exists, &empty,
		&why) == 0) {
		if (!empty)
			err_set(&why, ERR_REFUSED, "%s is not empty", target);
		else if (make_empty_dir(target, &why) == 0) {
			t->wal = xstrdup(target);
			if (write_marker(t, err) != 0)
				return -1;
			return make_link(t, WAL_LINK, target, err);
		}
	}
	log_warning("pg_wal was a link to %s; it is restored as a plain "
		    "directory: %s", target, why.msg);
	if (mkdirat(t->fd, WAL_LINK, DIR_MODE) != 0)
		return err_sys(err, errno, "make directory %s/" WAL_LINK,
		    t->plan->dir);
	return 0;
}

int
tree_link(struct tree *t, const char *path, const char *target,
    struct err *err)
{
	if (tree_check(t, path, err) != 0)
		return -1;
	if (strcmp(path, WAL_LINK) == 0)
		return link_wal(t, target, err);
	if (strncmp(path, TABLESPACE_PREFIX, strlen(TABLESPACE_PREFIX)) == 0)
		return link_tablespace(t, path, err);
	log_warning("%s is a symbolic link to %s, as it was; what it leads to "
		    "is not in the backup", path, target);
	path_guard_link(&t->guard, path);
	return make_link(t, path, target, err);
}

int
tree_parents(struct tree *t, const char *path, struct err *err)
{
	char *part = xstrdup(path);
	char *p;
	int ret = 0;

	for (p = strchr(part, '/'); p != NULL && ret == 0;
	    p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdirat(t->fd, part, DIR_MODE) != 0 && errno != EEXIST)
			ret = err_sys(err, errno, "make directory %s/%s",
			    t->plan->dir, part);
		*p = '/';
	}
	free(part);
	return ret;
}

static int
write_file(struct tree *t, const char *path, const void *data, size_t len,
    uint32_t mode, bool sync, struct err *err)
{
	int fd, rc;

	/* O_NOFOLLOW is of the last name alone: of pg_control, not global. */
	if (tree_check(t, path, err) != 0)
		return -1;
	fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, mode | S_IWUSR);
	if (fd < 0)
		return err_sys(err, errno, "create %s/%s", t->plan->dir, path);
	rc = io_write_full(fd, data, len, path, err);
	if (rc == 0 && sync)
		rc = io_fsync(fd, path, err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s/%s", t->plan->dir, path);
	return rc;
}

int
tree_write(struct tree *t, const char *path, const void *data, size_t len,
    uint32_t mode, struct err *err)
{
	return write_file(t, path, data, len, mode, false, err);
}

int
tree_write_durable(struct tree *t, const char *path, const void *data,
    size_t len, uint32_t mode, struct err *err)
{
	char *dir, *slash;
	int ret;

	if (write_file(t, path, data, len, mode, true, err) != 0)
		return -1;
	dir = xasprintf("%s/%s", t->plan->dir, path);
	slash = strrchr(dir, '/');
	*slash = '\0';
	ret = io_fsync_dir(dir, err);
	free(dir);
	return ret;
}

int
tree_unmark(struct tree *t, struct err *err)
{
	if (unlinkat(t->fd, PLAN_MARKER, 0) != 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s/" PLAN_MARKER,
		    t->plan->dir);
	return io_fsync_dir(t->plan->dir, err);
}

/* Syncing. */

int
tree_sync(struct tree *t, struct err *err)
{
	const struct restore_plan *plan = t->plan;
	size_t i;
	int ret = io_sync_tree(plan->dir, err);

	for (i = 0; ret == 0 && i < plan->n_tablespaces; i++)
		ret = io_sync_tree(plan->tablespaces[i].to, err);
	if (ret == 0 && t->wal != NULL)
		ret = io_sync_tree(t->wal, err);
	for (i = 0; ret == 0 && i < t->n_mounts; i++)
		ret = io_sync_tree(t->mounts[i].path, err);
	return ret;
}
