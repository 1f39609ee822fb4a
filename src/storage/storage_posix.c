/* SPDX-License-Identifier: PostgreSQL */
/*
 * A directory as a storage. An object is written to ROOT/tmp/, made durable
 * and then given its name by link(2), which fails when the name is taken:
 * so no reader ever sees half an object and none is ever replaced, whoever
 * else writes. Order: write, fsync, close, link, fsync of the directory.
 *
 * The root is held open by descriptor, and each operation compares it with
 * what the path leads to: a disk that was unmounted in between must not show
 * as an empty repository, nor be written to beneath its mount point.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "storage/storage_posix.h"

#define TEMP_NAME_MAX 64
#define PUBLISH_TRIES 20
#define WRITEBACK_STEP ((size_t)1 << 20)

struct posix_put {
	struct storage_put put;
	int fd;
	bool exists; /* the key was taken when it began: nothing is written */
	size_t pending; /* bytes whose writing back was not started */
	char temp[TEMP_NAME_MAX];
};

static const struct storage_ops posix_ops;

static struct posix *
posix_of(struct storage *st)
{
	return (struct posix *)st;
}

int
posix_fail(const struct posix *p, int errnum, struct err *err,
    const char *fmt, ...)
{
	char what[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	err_sys(err, errnum, "%s", what);
	err->code = ERR_STORAGE;
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return err_hint(err,
		    "free space in %s (see 'df %s'), or expire old backups",
		    p->root, p->root);
	case EACCES:
	case EPERM:
		return err_hint(err,
		    "run it as the owner of %s (see 'ls -ld %s')", p->root,
		    p->root);
	case EROFS:
		return err_hint(err,
		    "the file system is read-only: see 'dmesg' and 'mount'");
	case EIO:
	case ESTALE:
	case ENOTCONN:
		return err_hint(err,
		    "the disk or network share of %s fails: see 'dmesg'",
		    p->root);
	case EFBIG:
		return err_hint(err, "raise the limit of file sizes ('ulimit -f')");
	case EMFILE:
	case ENFILE:
		return err_hint(err, "raise the limit of open files ('ulimit -n')");
	default:
		return -1;
	}
}

int
posix_fail_io(const struct posix *p, struct err *err)
{
	char msg[ERR_MSG_MAX];

	if (err->code == ERR_DAMAGED || err->sys_errno == 0)
		return -1;
	memcpy(msg, err->msg, sizeof(msg));
	(void)posix_fail(p, err->sys_errno, err, "x"); /* for code and hint */
	memcpy(err->msg, msg, sizeof(msg));
	return -1;
}

static void
let_go(struct held_dir *d)
{
	if (d->path == NULL)
		return;
	(void)close(d->fd); /* nothing was written through it */
	free(d->path);
	d->path = NULL;
}

static void
let_go_all(struct posix *p)
{
	size_t i;

	for (i = 0; i < POSIX_DIRS_HELD; i++)
		let_go(&p->dirs[i]);
}

static int
root_missing(const struct posix *p, enum err_code code, struct err *err)
{
	err_set(err, code, "the directory is not there");
	return err_hint(err, "is the disk mounted? See 'ls -ld %s'", p->root);
}

int
posix_check_root(struct posix *p, enum err_code missing, struct err *err)
{
	struct stat st;

	if (p->root_fd < 0) {
		p->root_fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (p->root_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
			return root_missing(p, missing, err);
		if (p->root_fd < 0)
			return posix_fail(p, errno, err, "open the directory");
		if (fstat(p->root_fd, &st) != 0)
			return posix_fail(p, errno, err, "stat the directory");
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		return 0;
	}
	if (stat(p->root, &st) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return root_missing(p, missing, err);
		return posix_fail(p, errno, err, "stat the directory");
	}
	if (st.st_dev == p->dev && st.st_ino == p->ino)
		return 0;
	err_set(err, missing,
	    "another directory is there now than when it was opened");
	return err_hint(err, "was the disk of %s unmounted? See 'df %s'",
	    p->root, p->root);
}

/* fsync of a directory; some file systems have none (TRAPS T64). */
static int
sync_dir(const struct posix *p, int fd, const char *path, struct err *err)
{
	if (fsync(fd) != 0 && errno != EINVAL && errno != EBADF)
		return posix_fail(p, errno, err, "fsync directory %s", path);
	return 0;
}

static int
sync_path(const struct posix *p, const char *path, struct err *err)
{
	int rc, fd;

	fd = openat(p->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return posix_fail(p, errno, err, "open directory %s", path);
	rc = sync_dir(p, fd, path, err);
	(void)close(fd); /* nothing was written through it */
	return rc;
}

/* The directory that has the entry of this one: "." for the root. */
static void
parent_of(const char *path, char out[STORAGE_KEY_MAX])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(out, STORAGE_KEY_MAX, "%.*s",
	    slash == NULL ? 1 : (int)(slash - path),
	    slash == NULL ? "." : path);
}

/*
 * Make directory `path` (relative) and what is missing above it. The parent
 * of each is fsynced, also of one that another process has just made. So is
 * the parent of the last one that is there, before anything is made in it:
 * who made it may have died before its own fsync. Whatever has something in
 * it has thereby a durable name.
 */
static int
make_dirs(struct posix *p, const char *path, struct err *err)
{
	char part[STORAGE_KEY_MAX], parent[STORAGE_KEY_MAX] = ".";
	char above[STORAGE_KEY_MAX];
	const char *slash = path;
	bool made = false;

	do {
		slash = strchr(slash, '/');
		(void)snprintf(part, sizeof(part), "%.*s",
		    slash == NULL ? (int)strlen(path) : (int)(slash - path),
		    path);
		if (slash != NULL)
			slash++;
		if (faccessat(p->root_fd, part, F_OK, 0) == 0) {
			memcpy(parent, part, sizeof(parent));
			continue;
		}
		if (!made && strcmp(parent, ".") != 0) {
			parent_of(parent, above);
			if (sync_path(p, above, err) != 0)
				return -1;
		}
		made = true;
		if (mkdirat(p->root_fd, part, 0700) != 0 && errno != EEXIST)
			return posix_fail(p, errno, err, "make directory %s", part);
		if (sync_path(p, parent, err) != 0)
			return -1;
		memcpy(parent, part, sizeof(parent));
	} while (slash != NULL);
	return 0;
}

/* The directory of a key: "" for the root. */
static void
key_dir(const char *key, char out[STORAGE_KEY_MAX])
{
	const char *slash = strrchr(key, '/');

	(void)snprintf(out, STORAGE_KEY_MAX, "%.*s",
	    slash == NULL ? 0 : (int)(slash - key), key);
}

static const char *
key_name(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash == NULL ? key : slash + 1;
}

/*
 * A directory that was found: when nothing is in it, who made it may have
 * died before its name was durable (see make_dirs()).
 */
static int
settle_empty(const struct posix *p, int dir, const char *path,
    struct err *err)
{
	char above[STORAGE_KEY_MAX];
	const struct dirent *e;
	bool empty = true;
	DIR *d;
	int fd;

	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		posix_fail(p, errno, err, "read directory %s", path);
		if (fd >= 0)
			(void)close(fd); /* nothing was written through it */
		return -1;
	}
	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0;
	(void)closedir(d); /* only read from */
	if (!empty)
		return 0;
	parent_of(path, above);
	return sync_path(p, above, err);
}

/*
 * The descriptor of a key's directory, which is kept open: a put into the
 * same directory as the one before costs no search. With `make` it is made.
 * -1 and ERR_NOT_FOUND when it is not there.
 */
static int
hold_dir(struct posix *p, const char *key, bool make, int *out,
    struct err *err)
{
	char path[STORAGE_KEY_MAX];
	struct held_dir *d, *oldest = p->dirs;
	int fd;

	key_dir(key, path);
	if (path[0] == '\0') {
		*out = p->root_fd;
		return 0;
	}
	for (d = p->dirs; d < p->dirs + POSIX_DIRS_HELD; d++) {
		if (d->path != NULL && strcmp(d->path, path) == 0) {
			d->used = ++p->clock;
			*out = d->fd;
			return 0;
		}
		if (d->path == NULL ||
		    (oldest->path != NULL && d->used < oldest->used))
			oldest = d;
	}
	fd = openat(p->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		if (make_dirs(p, path, err) != 0)
			return -1;
		fd = openat(p->root_fd, path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else if (fd >= 0 && make && settle_empty(p, fd, path, err) != 0) {
		(void)close(fd); /* nothing was written through it */
		return -1;
	}
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR) && !make)
		return err_set(err, ERR_NOT_FOUND, "no such object");
	if (fd < 0)
		return posix_fail(p, errno, err, "open directory %s", path);
	let_go(oldest);
	oldest->path = xstrdup(path);
	oldest->fd = fd;
	oldest->used = ++p->clock;
	*out = fd;
	return 0;
}

static int
open_temp(struct posix *p, struct posix_put *put, struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	(void)snprintf(put->temp, sizeof(put->temp), POSIX_TMP "/%ld-%s",
	    (long)getpid(), hex);
	put->fd = openat(p->root_fd, put->temp, flags, 0600);
	if (put->fd < 0 && errno == ENOENT) {
		if (make_dirs(p, POSIX_TMP, err) != 0)
			return -1;
		put->fd = openat(p->root_fd, put->temp, flags, 0600);
	}
	if (put->fd < 0)
		return posix_fail(p, errno, err, "create %s", put->temp);
	return 0;
}

/* Is the key taken? Spares writing what could not get its name. */
static int
key_taken(struct posix *p, const char *key, bool *taken, struct err *err)
{
	struct stat st;

	*taken = fstatat(p->root_fd, key, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*taken && errno != ENOENT)
		return posix_fail(p, errno, err, "stat");
	return 0;
}

static int
posix_put_begin(struct storage *st, const char *key, struct storage_put **out,
    struct err *err)
{
	struct posix *p = posix_of(st);
	struct posix_put *put;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	put = xcalloc(1, sizeof(*put));
	put->fd = -1;
	if (key_taken(p, key, &put->exists, err) != 0 ||
	    (!put->exists && open_temp(p, put, err) != 0)) {
		free(put);
		return -1;
	}
	*out = &put->put;
	return 0;
}

static int
posix_put_append(struct storage_put *base, const void *data, size_t len,
    struct err *err)
{
	struct posix_put *put = (struct posix_put *)base;
	const struct posix *p = (const struct posix *)base->st;
	const uint8_t *bytes = data;
	size_t step;

	if (put->exists)
		return 0;
	for (; len > 0; bytes += step, len -= step) {
		step = len < WRITEBACK_STEP ? len : WRITEBACK_STEP;
		if (io_write_full(put->fd, bytes, step, put->temp, err) != 0)
			return posix_fail_io(p, err);
		put->pending += step;
		if (put->pending < WRITEBACK_STEP)
			continue;
		put->pending = 0;
#ifdef HAVE_SYNC_FILE_RANGE
		/*
		 * Only so that fsync has less left to do; a write error
		 * shows there again.
		 */
		(void)sync_file_range(put->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
	}
	return 0;
}

/* NFS: the answer of a link that was done may be lost, and say EEXIST. */
static bool
link_was_done(const struct posix *p, const char *temp)
{
	struct stat st;

	return fstatat(p->root_fd, temp, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_nlink == 2;
}

/* Give the temp its name; errno is set on -1. */
static int
name_temp(const struct posix *p, const char *temp, int dir, const char *name)
{
	int saved;

	if (linkat(p->root_fd, temp, dir, name, 0) == 0)
		return 0;
	saved = errno;
	if (saved == EEXIST && link_was_done(p, temp))
		return 0;
	if (saved != EPERM && saved != EOPNOTSUPP && saved != ENOSYS &&
	    saved != EMLINK) {
		errno = saved;
		return -1;
	}
#ifdef HAVE_RENAMEAT2
	if (renameat2(p->root_fd, temp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -1;
#endif
	errno = EOPNOTSUPP;
	return -1;
}

static int
publish(struct posix *p, const struct posix_put *put, int *dir,
    struct err *err)
{
	const char *key = put->put.key;
	int tries, rc = -1;

	/* Again: a remove may have taken the empty directory away. */
	for (tries = 0; tries < PUBLISH_TRIES && rc != 0; tries++) {
		if (hold_dir(p, key, true, dir, err) != 0) {
			if (err->sys_errno != ENOENT ||
			    tries == PUBLISH_TRIES - 1)
				return -1;
			err_clear(err);
			continue;
		}
		rc = name_temp(p, put->temp, *dir, key_name(key));
		if (rc == 0 || errno != ENOENT)
			break;
		let_go_all(p);
	}
	if (rc == 0)
		return 0;
	if (errno == EEXIST)
		return err_set(err, ERR_EXISTS, "the name is taken");
	if (errno != EOPNOTSUPP)
		return posix_fail(p, errno, err, "link %s", put->temp);
	err_set(err, ERR_STORAGE,
	    "this file system has neither link(2) nor "
	    "renameat2(RENAME_NOREPLACE), so it cannot hold a repository");
	return err_hint(err,
	    "use a local Linux file system (ext4, XFS, ...) or NFS");
}

static int
finish_put(struct posix *p, struct posix_put *put, struct err *err)
{
	int dir, fd, rc;

	if (put->exists) {
		err_set(err, ERR_EXISTS, "the name is taken");
		goto taken;
	}
	if (io_fsync(put->fd, put->temp, err) != 0)
		return posix_fail_io(p, err);
	fd = put->fd;
	put->fd = -1;
	if (close(fd) != 0)
		return posix_fail(p, errno, err, "close %s", put->temp);
	rc = publish(p, put, &dir, err);
	if (rc != 0 && err->code == ERR_EXISTS)
		goto taken;
	if (rc != 0)
		return -1;
	/* After renameat2 it is gone; one that stays only takes space. */
	(void)unlinkat(p->root_fd, put->temp, 0);
	put->temp[0] = '\0';
	return sync_dir(p, dir, put->put.key, err);
taken:
	{
		struct err second = ERR_INIT;

		/* The object may now count as stored: see storage_settle(). */
		if (storage_settle(&p->st, put->put.key, &second) != 0)
			*err = second;
	}
	return -1;
}

static void
posix_put_abort(struct storage_put *base)
{
	struct posix_put *put = (struct posix_put *)base;

	if (put->fd >= 0)
		(void)close(put->fd); /* it is thrown away */
	if (put->temp[0] != '\0')
		(void)unlinkat(posix_of(base->st)->root_fd, put->temp, 0);
	free(put);
}

static int
posix_put_finish(struct storage_put *base, struct err *err)
{
	struct posix *p = posix_of(base->st);
	int rc;

	rc = finish_put(p, (struct posix_put *)base, err);
	posix_put_abort(base); /* frees; removes the temp if it is there */
	return rc;
}

static int
posix_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	struct storage_put *put;
	char *copy;
	int rc;

	if (posix_put_begin(st, key, &put, err) != 0)
		return -1;
	put->st = st;
	put->key = copy = xstrdup(key);
	rc = posix_put_append(put, data, len, err);
	if (rc != 0)
		posix_put_abort(put);
	else
		rc = posix_put_finish(put, err);
	free(copy);
	return rc;
}

static int
posix_settle(struct storage *st, const char *key, struct err *err)
{
	struct posix *p = posix_of(st);
	char path[STORAGE_KEY_MAX];
	char *slash;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s", key);
	do {
		slash = strrchr(path, '/');
		if (slash != NULL)
			*slash = '\0';
		if (sync_path(p, slash == NULL ? "." : path, err) != 0)
			return -1;
	} while (slash != NULL);
	return 0;
}

static int
posix_remove(struct storage *st, const char *key, struct err *err)
{
	struct posix *p = posix_of(st);
	char dir[STORAGE_KEY_MAX];
	char *slash;
	int fd;

	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	if (hold_dir(p, key, false, &fd, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	if (unlinkat(fd, key_name(key), 0) != 0 && errno != ENOENT)
		return posix_fail(p, errno, err, "remove");
	if (sync_dir(p, fd, key, err) != 0)
		return -1;
	/* Directories are no objects: one that became empty goes too. */
	key_dir(key, dir);
	while (dir[0] != '\0' &&
	    unlinkat(p->root_fd, dir, AT_REMOVEDIR) == 0) {
		let_go_all(p);
		slash = strrchr(dir, '/');
		*(slash == NULL ? dir : slash) = '\0';
	}
	return 0;
}

static int
posix_create(struct storage *st, struct err *err)
{
	struct posix *p = posix_of(st);

	if (io_mkdir_p(p->root, 0700, err) != 0)
		return posix_fail_io(p, err);
	if (posix_check_root(p, ERR_STORAGE, err) != 0)
		return -1;
	return make_dirs(p, POSIX_TMP, err);
}

static int
posix_probe_root(struct storage *st, struct err *err)
{
	return posix_check_root(posix_of(st), ERR_NOT_FOUND, err);
}

static void
posix_free(struct storage *st)
{
	struct posix *p = posix_of(st);

	let_go_all(p);
	if (p->root_fd >= 0)
		(void)close(p->root_fd); /* only read from */
	free(p->root);
	free(p->st.url);
	free(p);
}

static int
posix_clone(const struct storage *st, struct storage **out, struct err *err)
{
	const struct posix *from = (const struct posix *)st;

	struct storage_settings set = { .url = st->url };

	if (storage_posix_open(out, &set, err) != 0)
		return -1;
	/* The clone must see the same directory, not one put in its place. */
	if (from->root_fd >= 0) {
		struct posix *p = posix_of(*out);

		p->root_fd = fcntl(from->root_fd, F_DUPFD_CLOEXEC, 0);
		if (p->root_fd < 0) {
			posix_fail(p, errno, err, "open the directory again");
			storage_close(*out);
			return -1;
		}
		p->dev = from->dev;
		p->ino = from->ino;
	}
	return 0;
}

static const struct storage_ops posix_ops = {
	.scheme = "file",
	.clone = posix_clone,
	.close = posix_free,
	.create = posix_create,
	.probe_root = posix_probe_root,
	.put = posix_put,
	.get = posix_get,
	.stat = posix_stat,
	.list = posix_list,
	.folder_margin = posix_folder_margin,
	.remove = posix_remove,
	.settle = posix_settle,
	.sweep = posix_sweep,
	.put_begin = posix_put_begin,
	.put_append = posix_put_append,
	.put_finish = posix_put_finish,
	.put_abort = posix_put_abort,
};

int
storage_posix_open(struct storage **out, const struct storage_settings *set,
    struct err *err)
{
	const char *url = set->url;
	const char *path = url + strlen("file://");
	size_t len = strlen(path);
	struct posix *p;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (path[0] != '/' || len < 2) {
		err_set(err, ERR_CONFIG, "'%s' names no absolute directory",
		    url);
		return err_hint(err,
		    "write it as file:///absolute/path, with three slashes");
	}
	p = xcalloc(1, sizeof(*p));
	p->st.ops = &posix_ops;
	p->root_fd = -1;
	p->root = xstrndup(path, len);
	p->st.url = xasprintf("file://%s", p->root);
	*out = &p->st;
	return 0;
}
