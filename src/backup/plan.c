/* SPDX-License-Identifier: PostgreSQL */
/*
 * Walking the data directory. No symbolic link is followed but pg_wal and those in pg_tblspc, as
 * PostgreSQL does.
 */
#include "config.h"

#include "backup/plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/conffiles.h"
#include "backup/planlist.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pg/control.h"
#include "pg/datafile.h"
#include "repo/format.h"

#define TABLESPACE_DIR "pg_tblspc"
#define DROP_TRIES 20
#define DROP_WAIT_MS 50

/* A directory by what it is rather than what it is called. */
struct place {
	dev_t dev;
	ino_t ino;
};

/* While listing. */
struct walk {
	struct plan *plan;
	const struct plan_params *params;
	int root_fd;
	struct place root;
	struct place *inside; /* where each tablespace of the plan is */
	char path[FORMAT_PATH_MAX];
	size_t len;
	char server_dir[DATAFILE_TABLESPACE_DIR_MAX];
};

/* Of one directory with relations: those that have an _init fork. */
struct init_forks {
	uint32_t *nodes;
	size_t n, cap;
};

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
init_forks_add(struct init_forks *forks, uint32_t node)
{
	if (forks->n == forks->cap) {
		forks->cap = forks->cap * 2 + 16;
		forks->nodes = xreallocarray(forks->nodes, forks->cap,
		    sizeof(*forks->nodes));
	}
	forks->nodes[forks->n++] = node;
}

/* Append "/name" to the path; the caller cuts it again with path_cut(). */
static int
path_push(struct walk *w, const char *name, struct err *err)
{
	size_t n = strlen(name), slash = w->len > 0;

	if (w->len + slash + n >= sizeof(w->path))
		return err_set(err, ERR_REFUSED,
		    "path too long: %s/%s/%s", w->params->pgdata, w->path, name);
	if (slash)
		w->path[w->len] = '/';
	memcpy(w->path + w->len + slash, name, n + 1);
	w->len += slash + n;
	return 0;
}

static void
path_cut(struct walk *w, size_t len)
{
	w->len = len;
	w->path[len] = '\0';
}

/*
 * Unlogged relations (TRAPS T43): recovery makes main forks anew from the
 * _init fork, so all other forks of these filenodes are left out. Looks at
 * the entries from `first` on that are in this directory itself.
 */
static void
drop_unlogged(struct walk *w, uint32_t first, uint32_t dir,
    struct init_forks *forks)
{
	struct plan *p = w->plan;
	struct plan_item item;
	struct datafile df;
	size_t len = w->len;
	uint32_t i, kept = first;
	bool drop;
	struct err ignored = ERR_INIT;

	if (forks->n == 0)
		return;
	qsort(forks->nodes, forks->n, sizeof(*forks->nodes), compare_u32);
	for (i = first; i < p->n; i++) {
		plan_get(p, i, &item);
		drop = false;
		/* The name fitted when it was listed. */
		if (item.dir == dir && item.type == PLAN_FILE &&
		    path_push(w, item.name, &ignored) == 0) {
			datafile_parse(w->path, &df);
			path_cut(w, len);
			drop = df.kind == DATAFILE_RELATION &&
			    df.fork != FORK_INIT &&
			    bsearch(&df.filenode, forks->nodes, forks->n,
			    sizeof(*forks->nodes), compare_u32) != NULL;
		}
		if (drop) {
			p->totals.files--;
			p->totals.bytes -= item.size;
			p->totals.left_out++;
		} else
			p->index[kept++] = p->index[i];
	}
	p->n = kept;
}

static int walk_dir(struct walk *w, int fd, struct err *err);

/* Open a directory below fd and list it; one that vanished is fine. */
static int
walk_child(struct walk *w, int fd, const char *name, int flags,
    struct err *err)
{
	int child = openat(fd, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);

	if (child < 0 && errno == ENOENT)
		return 0;
	if (child < 0)
		return err_sys(err, errno, "open directory %s/%s",
		    w->params->pgdata, w->path);
	return walk_dir(w, child, err);
}

static int
note_dir(struct walk *w, uint32_t parent, const char *name,
    const struct stat *st, struct err *err)
{
	w->plan->totals.directories++;
	return plan_add_entry(w->plan, PLAN_DIR, parent, st->st_mode & 07777, name,
	    NULL, err);
}

static int
note_link(struct walk *w, int fd, uint32_t parent, const char *name,
    struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fd, name, target, sizeof(target) - 1);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return err_sys(err, errno, "read symbolic link %s/%s",
		    w->params->pgdata, w->path);
	target[n] = '\0';
	w->plan->totals.links++;
	return plan_add_entry(w->plan, PLAN_LINK, parent, 0, name, target, err);
}

/* pg_wal keeps the directories that the server expects there, empty. */
static int
walk_wal(struct walk *w, int fd, struct err *err)
{
	static const char *const kept[] = { "archive_status", "summaries" };
	uint32_t dir = plan_add_dir(w->plan, w->path);
	size_t i, len = w->len;
	struct stat st;
	int rc = 0, wal;

	wal = openat(fd, "pg_wal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (wal < 0)
		return err_sys(err, errno, "open directory %s/%s",
		    w->params->pgdata, w->path);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]) && rc == 0; i++) {
		if (fstatat(wal, kept[i], &st, 0) != 0 || !S_ISDIR(st.st_mode))
			continue;
		rc = path_push(w, kept[i], err);
		if (rc == 0)
			rc = note_dir(w, dir, kept[i], &st, err);
		path_cut(w, len);
	}
	(void)close(wal); /* only read */
	return rc;
}

/*
 * The server's directory in a tablespace is there as long as the tablespace
 * is: without it a disk is not mounted, and a backup would lack what is on
 * it. Only while DROP TABLESPACE removes both is it missing for a moment.
 */
static int
missing_tablespace(const struct walk *w, int fd, const char *oid,
    struct err *err)
{
	char path[64 + DATAFILE_TABLESPACE_DIR_MAX];
	struct stat st;
	unsigned tries;

	(void)snprintf(path, sizeof(path), "%s/%s", oid, w->server_dir);
	for (tries = 0; tries < DROP_TRIES; tries++) {
		if (fstatat(fd, oid, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
		    errno == ENOENT)
			return 0;
		time_sleep_ms(DROP_WAIT_MS);
	}
	err_set(err, ERR_REFUSED, "%s/" TABLESPACE_DIR "/%s is not there: the "
	    "backup would lack all of that tablespace", w->params->pgdata,
	    path);
	return err_hint(err, "is its disk mounted? If the tablespace is given "
	    "up, drop it");
}

/*
 * A tablespace: only this server's directory in it (TRAPS T46), reached
 * through the link.
 */
static int
walk_tablespace(struct walk *w, int fd, const char *oid, struct err *err)
{
	uint32_t dir = plan_add_dir(w->plan, w->path);
	struct stat st;
	int rc = -1, ts;

	ts = openat(fd, oid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ts < 0 && errno == ENOENT)
		return missing_tablespace(w, fd, oid, err);
	if (ts < 0)
		return err_sys(err, errno, "open tablespace %s/%s",
		    w->params->pgdata, w->path);
	if (fstatat(ts, w->server_dir, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		rc = errno == ENOENT ? missing_tablespace(w, fd, oid, err) :
		    err_sys(err, errno, "look at %s/%s/%s",
		    w->params->pgdata, w->path, w->server_dir);
		goto out;
	}
	if (path_push(w, w->server_dir, err) != 0 ||
	    note_dir(w, dir, w->server_dir, &st, err) != 0 ||
	    walk_child(w, ts, w->server_dir, O_NOFOLLOW, err) != 0)
		goto out;
	rc = 0;
out:
	(void)close(ts); /* only read */
	return rc;
}

static int
note_subdir(struct walk *w, int fd, uint32_t parent, const char *name,
    const struct stat *st, struct err *err)
{
	const struct plan *p = w->plan;
	uint64_t oid;
	size_t i;

	for (i = 0; i < p->n_tablespaces; i++)
		if (w->inside[i].dev == st->st_dev &&
		    w->inside[i].ino == st->st_ino)
			return 0; /* comes as pg_tblspc/OID */
	if (note_dir(w, parent, name, st, err) != 0)
		return -1;
	if (strcmp(w->path, "pg_wal") == 0)
		return walk_wal(w, fd, err);
	if (datafile_dir_emptied(w->path))
		return 0;
	if (strcmp(p->dirs[parent], TABLESPACE_DIR) == 0 &&
	    text_u64(name, UINT32_MAX, &oid)) /* "in place", 15 and later */
		return walk_tablespace(w, fd, name, err);
	return walk_child(w, fd, name, O_NOFOLLOW, err);
}

/* Would a backup be useless without what stands below this directory? */
static bool
is_essential(const char *path)
{
	static const char *const top[] = { "base", "global", "pg_commit_ts",
		"pg_logical", "pg_multixact", "pg_twophase", "pg_xact",
		"PG_VERSION", "pg_tblspc" };
	size_t i, n;

	for (i = 0; i < sizeof(top) / sizeof(top[0]); i++) {
		n = strlen(top[i]);
		if (strncmp(path, top[i], n) == 0 &&
		    (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}

/* Is it one of those that the commit will name? */
static bool
is_known_tablespace(const struct plan *p, uint32_t oid)
{
	size_t i;

	for (i = 0; i < p->n_tablespaces; i++)
		if (p->tablespaces[i].oid == oid)
			return true;
	return false;
}

static int
note_symlink(struct walk *w, int fd, uint32_t parent, const char *name,
    struct err *err)
{
	struct stat st;
	uint64_t oid;

	if (strcmp(w->path, "pg_wal") == 0) {
		if (note_link(w, fd, parent, name, err) != 0)
			return -1;
		return walk_wal(w, fd, err);
	}
	if (strcmp(w->plan->dirs[parent], TABLESPACE_DIR) == 0 &&
	    text_u64(name, UINT32_MAX, &oid)) {
		/* Made since we looked, so recovery makes it again. */
		if (!is_known_tablespace(w->plan, (uint32_t)oid))
			return 0;
		if (note_link(w, fd, parent, name, err) != 0)
			return -1;
		return walk_tablespace(w, fd, name, err);
	}
	if (datafile_dir_emptied(w->path)) {
		/* As pg_basebackup: the link may lead nowhere elsewhere. */
		if (fstatat(fd, name, &st, 0) != 0 || !S_ISDIR(st.st_mode))
			return 0;
		return note_dir(w, parent, name, &st, err);
	}
	if (is_essential(w->path)) {
		err_set(err, ERR_REFUSED,
		    "%s/%s is a symbolic link, and PostgreSQL data behind "
		    "links other than pg_wal and tablespaces is not backed up",
		    w->params->pgdata, w->path);
		return err_hint(err, "use a tablespace for data elsewhere");
	}
	if (!datafile_excluded(w->path))
		log_info("%s/%s is a symbolic link: the link is stored, what "
		    "it leads to is not", w->params->pgdata, w->path);
	return note_link(w, fd, parent, name, err);
}

static int
note_file(struct walk *w, uint32_t parent, const char *name,
    const struct stat *st, struct init_forks *forks, struct err *err)
{
	struct datafile df;

	if (strcmp(w->path, CONTROL_PATH) == 0)
		return 0;
	if (strstr(name, "_init") != NULL) {
		datafile_parse(w->path, &df);
		if (df.kind == DATAFILE_RELATION && df.fork == FORK_INIT)
			init_forks_add(forks, df.filenode);
	}
	w->plan->totals.files++;
	w->plan->totals.bytes += (uint64_t)st->st_size;
	return plan_add_entry(w->plan, PLAN_FILE, parent, (uint64_t)st->st_size,
	    name, NULL, err);
}

/* One name of a directory; w->path is its path. */
static int
walk_entry(struct walk *w, int fd, uint32_t dir, const char *name,
    struct init_forks *forks, struct err *err)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return 0;
		return err_sys(err, errno, "look at %s/%s", w->params->pgdata,
		    w->path);
	}
	if (w->params->skip_saved_config &&
	    strcmp(w->path, CONFFILES_DIR) == 0)
		return 0;
	if (datafile_excluded(w->path)) {
		if (S_ISREG(st.st_mode))
			w->plan->totals.left_out++;
		return 0;
	}
	if (S_ISREG(st.st_mode))
		return note_file(w, dir, name, &st, forks, err);
	if (S_ISDIR(st.st_mode))
		return note_subdir(w, fd, dir, name, &st, err);
	if (S_ISLNK(st.st_mode))
		return note_symlink(w, fd, dir, name, err);
	log_warning("%s/%s is not a regular file, left out",
	    w->params->pgdata, w->path);
	return 0;
}

/* Takes fd. */
static int
walk_dir(struct walk *w, int fd, struct err *err)
{
	struct init_forks forks = { 0 };
	struct dirent *de;
	size_t len = w->len;
	uint32_t first = w->plan->n, dir = plan_add_dir(w->plan, w->path);
	DIR *d = fdopendir(fd);
	int rc = -1;

	if (d == NULL) {
		err_sys(err, errno, "open directory %s/%s", w->params->pgdata,
		    w->path);
		(void)close(fd); /* only read */
		return -1;
	}
	for (;;) {
		errno = 0;
		de = readdir(d);
		if (de == NULL)
			break;
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (path_push(w, de->d_name, err) != 0 ||
		    walk_entry(w, dirfd(d), dir, de->d_name, &forks, err) != 0)
			goto out;
		path_cut(w, len);
	}
	if (errno != 0 && errno != ENOENT) {
		err_sys(err, errno, "read directory %s/%s", w->params->pgdata,
		    w->path);
		goto out;
	}
	drop_unlogged(w, first, dir, &forks);
	rc = 0;
out:
	path_cut(w, len);
	free(forks.nodes);
	(void)closedir(d); /* only read */
	return rc;
}

/* A link that leads to PGDATA or where another one leads is refused (T47). */
static int
check_tablespace(struct walk *w, const char *link, const struct stat *st,
    struct err *err)
{
	const struct plan *p = w->plan;
	size_t i;

	if (st->st_dev == w->root.dev && st->st_ino == w->root.ino)
		return err_set(err, ERR_REFUSED,
		    "tablespace link %s leads to the data directory itself",
		    link);
	for (i = 0; i < p->n_tablespaces; i++)
		if (w->inside[i].dev == st->st_dev &&
		    w->inside[i].ino == st->st_ino)
			return err_set(err, ERR_REFUSED,
			    "tablespace links %s and " TABLESPACE_DIR
			    "/%u lead to the same directory", link,
			    p->tablespaces[i].oid);
	return 0;
}

static void
warn_inside(const struct walk *w, const char *link, const char *real)
{
	char root[PATH_MAX];
	size_t n;

	if (realpath(w->params->pgdata, root) == NULL)
		return;
	n = strlen(root);
	if (strncmp(real, root, n) == 0 && real[n] == '/')
		log_warning("tablespace %s is inside the data directory (%s): "
		    "PostgreSQL advises against it, and a restore elsewhere "
		    "must map it", link, real);
}

static int
add_tablespace(struct walk *w, int fd, const char *name, uint32_t oid,
    struct err *err)
{
	struct plan *p = w->plan;
	char target[PATH_MAX], link[64], full[PATH_MAX], real[PATH_MAX];
	struct stat st;
	ssize_t n;

	(void)snprintf(link, sizeof(link), TABLESPACE_DIR "/%u", oid);
	n = readlinkat(fd, name, target, sizeof(target) - 1);
	if (n < 0)
		return errno == EINVAL || errno == ENOENT ? 0 : /* no link */
		    err_sys(err, errno, "read symbolic link %s", link);
	target[n] = '\0';
	if (fstatat(fd, name, &st, 0) != 0) {
		if (errno == ELOOP)
			return err_set(err, ERR_REFUSED,
			    "tablespace link %s goes in a circle", link);
		if (errno != ENOENT)
			return err_sys(err, errno, "look at tablespace %s",
			    link);
		memset(&st, 0, sizeof(st));
	} else if (check_tablespace(w, link, &st, err) != 0)
		return -1;
	if (p->n_tablespaces == PLAN_TABLESPACES_MAX)
		return err_set(err, ERR_REFUSED, "too many tablespaces");
	if ((size_t)snprintf(full, sizeof(full), "%s/%s", w->params->pgdata,
	    link) < sizeof(full) && realpath(full, real) != NULL) {
		warn_inside(w, link, real);
		if (target[0] != '/')
			memcpy(target, real, sizeof(real));
	}
	p->tablespaces = xreallocarray(p->tablespaces, p->n_tablespaces + 1,
	    sizeof(*p->tablespaces));
	w->inside = xreallocarray(w->inside, p->n_tablespaces + 1,
	    sizeof(*w->inside));
	w->inside[p->n_tablespaces] = (struct place){ st.st_dev, st.st_ino };
	p->tablespaces[p->n_tablespaces++] =
	    (struct plan_tablespace){ oid, xstrdup(target) };
	return 0;
}

/* First of all, so that a tablespace inside PGDATA is known when met. */
static int
find_tablespaces(struct walk *w, struct err *err)
{
	struct dirent *de;
	uint64_t oid;
	DIR *d = NULL;
	int rc = -1, fd;

	fd = openat(w->root_fd, TABLESPACE_DIR,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0)
		d = fdopendir(fd);
	if (d == NULL) {
		err_sys(err, errno, "open directory %s/" TABLESPACE_DIR,
		    w->params->pgdata);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return -1;
	}
	while (errno = 0, (de = readdir(d)) != NULL)
		if (text_u64(de->d_name, UINT32_MAX, &oid) &&
		    add_tablespace(w, dirfd(d), de->d_name, (uint32_t)oid,
		    err) != 0)
			goto out;
	if (errno != 0) {
		err_sys(err, errno, "read directory %s/" TABLESPACE_DIR,
		    w->params->pgdata);
		goto out;
	}
	rc = 0;
out:
	(void)closedir(d); /* only read */
	return rc;
}

static int
compare_tablespaces(const void *a, const void *b)
{
	const struct plan_tablespace *x = a, *y = b;
	char nx[16], ny[16];

	(void)snprintf(nx, sizeof(nx), "%u", x->oid);
	(void)snprintf(ny, sizeof(ny), "%u", y->oid);
	return strcmp(nx, ny);
}

static int
walk_root(struct walk *w, struct err *err)
{
	struct plan *p = w->plan;
	struct stat st;
	int fd;

	w->root_fd = open(w->params->pgdata,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->root_fd < 0 || fstat(w->root_fd, &st) != 0)
		return err_sys(err, errno, "open data directory %s",
		    w->params->pgdata);
	w->root = (struct place){ st.st_dev, st.st_ino };
	if (find_tablespaces(w, err) != 0)
		return -1;
	fd = fcntl(w->root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, errno, "open data directory %s",
		    w->params->pgdata);
	if (walk_dir(w, fd, err) != 0)
		return -1;
	plan_sort(p);
	if (p->n_tablespaces > 0)
		qsort(p->tablespaces, p->n_tablespaces,
		    sizeof(*p->tablespaces), compare_tablespaces);
	return 0;
}

int
plan_make(struct plan **out, const struct plan_params *params,
    struct err *err)
{
	struct walk *w = xcalloc(1, sizeof(*w));
	int rc;

	w->plan = xcalloc(1, sizeof(*w->plan));
	w->params = params;
	w->root_fd = -1;
	(void)datafile_tablespace_dir(params->major, params->catalog_version,
	    w->server_dir);
	rc = walk_root(w, err);
	if (rc == 0)
		*out = w->plan;
	else
		plan_free(w->plan);
	if (w->root_fd >= 0)
		(void)close(w->root_fd); /* only read */
	free(w->inside);
	free(w);
	return rc;
}
