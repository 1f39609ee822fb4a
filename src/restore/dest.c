/* SPDX-License-Identifier: PostgreSQL */
/*
 * The destination: is it ours to write into? Nothing is created here.
 *
 * What another tool learned: a restore into a directory that "looked" empty
 * destroyed a running cluster, and a clean-up removed a mount point (TRAPS
 * T92). So nothing that exists is ever removed, only named.
 */
#include "config.h"

#include "restore/plan.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/datafile.h"
#include "pg/running.h"
#include "restore/walleft.h"

#define DIR_TEXT_MAX ((size_t)64 << 10)

int
plan_directory_empty(const char *path, bool is_mount, bool *exists,
    bool *empty, struct err *err)
{
	DIR *d;
	struct dirent *e;

	*empty = true;
	d = opendir(path);
	*exists = d != NULL;
	if (d == NULL && errno == ENOENT)
		return 0;
	if (d == NULL && errno == ENOTDIR)
		return err_set(err, ERR_REFUSED, "%s is not a directory", path);
	if (d == NULL)
		return err_sys(err, errno, "open directory %s", path);
	errno = 0;
	while (*empty && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    (!is_mount || strcmp(e->d_name, "lost+found") != 0))
			*empty = false;
	if (*empty && errno != 0)
		err_sys(err, errno, "read directory %s", path);
	(void)closedir(d);
	return *empty && errno != 0 ? -1 : 0;
}

/* path without doubled and trailing slashes, made absolute; ERR_USAGE "..". */
static int
absolute(const char *path, char **out, struct err *err)
{
	char cwd[PATH_MAX];
	const char *p, *end;
	struct buf b;

	buf_init(&b, PATH_MAX);
	if (path[0] != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL)
			return err_sys(err, errno, "current directory");
		buf_add_str(&b, strcmp(cwd, "/") == 0 ? "" : cwd);
	}
	for (p = path; *p != '\0'; p = end) {
		while (*p == '/')
			p++;
		end = p + strcspn(p, "/");
		if (end == p || (end - p == 1 && p[0] == '.'))
			continue;
		if (end - p == 2 && p[0] == '.' && p[1] == '.') {
			buf_free(&b);
			return err_set(err, ERR_USAGE,
			    "%s: name the directory without \"..\"", path);
		}
		buf_add_byte(&b, '/');
		buf_add(&b, p, (size_t)(end - p));
	}
	if (b.len == 0) {
		buf_free(&b);
		return err_set(err, ERR_USAGE, "\"%s\" is no directory to "
		    "restore into", path);
	}
	if (buf_check(&b, "the directory's name", err) != 0) {
		buf_free(&b);
		return -1;
	}
	*out = xstrdup(buf_str(&b));
	buf_free(&b);
	return 0;
}

/* The nearest directory at or above path that exists. */
static void
existing_parent(const char *path, char out[PATH_MAX])
{
	struct stat st;
	char *slash;

	(void)snprintf(out, PATH_MAX, "%s", path);
	while (stat(out, &st) != 0 || !S_ISDIR(st.st_mode)) {
		slash = strrchr(out, '/');
		if (slash == NULL || slash == out) {
			(void)snprintf(out, PATH_MAX, "/");
			return;
		}
		*slash = '\0';
	}
}

static bool
is_mount_point(const char *path)
{
	char *up = xasprintf("%s/..", path);
	struct stat a, b;
	bool mount;

	mount = stat(path, &a) == 0 && stat(up, &b) == 0 &&
	    a.st_dev != b.st_dev;
	free(up);
	return mount;
}

static void
hint_remove_one(struct buf *b, const char *path, size_t len)
{
	char *name = xstrndup(path, len);

	buf_add_str(b, b->len == 0 ? "" : " && ");
	if (is_mount_point(name)) {
		buf_add_str(b, "find ");
		plan_shell_word(b, name);
		buf_add_str(b, " -mindepth 1 -not -name lost+found -delete");
	} else {
		buf_add_str(b, "rm -rf -- ");
		plan_shell_word(b, name);
	}
	free(name);
}

/*
 * What an unfinished restore left may be removed: its marker names every
 * directory that was empty when it began.
 */
static bool
hint_unfinished(const char *dir, struct err *err)
{
	char *marker = xasprintf("%s/" PLAN_MARKER, dir);
	char *control = xasprintf("%s/" CONTROL_PATH, dir);
	struct err ignored = ERR_INIT; /* without a marker there is no hint */
	struct buf text, b;
	const char *p, *end;
	bool found = false, delta = false;

	buf_init(&text, PLAN_MARKER_MAX);
	buf_init(&b, ERR_HINT_MAX);
	if (access(control, F_OK) == 0 ||
	    io_read_file(marker, &text, &ignored) != 0)
		goto out;
	for (p = buf_str(&text); *p != '\0'; p = *end == '\0' ? end : end + 1) {
		end = p + strcspn(p, "\n");
		if (*p == '/')
			hint_remove_one(&b, p, (size_t)(end - p));
		delta = delta || strncmp(p, PLAN_MARKER_DELTA "\n",
		    sizeof(PLAN_MARKER_DELTA)) == 0;
	}
	found = delta || (b.len > 0 && !b.overflow);
	/* After a delta restore more may lie there than a restore brought. */
	if (delta)
		err_hint(err, "it holds an unfinished restore, which cannot be "
			      "started; --delta goes on with it");
	else if (found)
		err_hint(err, "it holds an unfinished restore, which cannot be "
			      "started; --delta goes on with it, or to begin "
			      "again: %s", buf_str(&b));
out:
	buf_free(&text);
	buf_free(&b);
	free(marker);
	free(control);
	return found;
}

static int
check_directory(struct restore_plan *plan, struct err *err)
{
	char *pid = xasprintf("%s/postmaster.pid", plan->dir);
	bool exists, empty, running = false;
	int ret = -1;

	plan->dir_is_mount = is_mount_point(plan->dir);
	if (plan_directory_empty(plan->dir, plan->dir_is_mount, &exists, &empty,
		err) != 0)
		goto out;
	if (!empty && plan->config->delta) {
		ret = plan_old_directory(plan, err);
		goto out;
	}
	if (io_exists(pid, &running, err) != 0)
		goto out;
	if (running) {
		err_set(err, ERR_REFUSED,
		    "%s holds postmaster.pid: a server runs there", plan->dir);
		err_hint(err, "restore into another directory (-D)");
		goto out;
	}
	if (!empty) {
		err_set(err, ERR_REFUSED, "%s is not empty", plan->dir);
		if (!hint_unfinished(plan->dir, err))
			err_hint(err, "restore into a directory that is empty "
				      "or does not exist yet (-D); --delta "
				      "makes this one into what the backup "
				      "has");
		goto out;
	}
	if (exists && plan->dir_is_mount)
		plan_note(plan, "%s is a mount point; PostgreSQL advises a "
				"directory below it", plan->dir);
	ret = 0;
out:
	free(pid);
	return ret;
}

static bool
inside(const char *path, const char *dir)
{
	const size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0');
}

/* OLD of a mapping is the tablespace's directory or its oid. */
static bool
maps(const struct config_mapping *m, const struct commit_tablespace *t)
{
	char oid[16];

	(void)snprintf(oid, sizeof(oid), "%u", (unsigned)t->oid);
	return strcmp(m->from, t->path) == 0 || strcmp(m->from, oid) == 0;
}

static const char *
mapped(const struct config *c, const struct commit_tablespace *t)
{
	unsigned i;

	for (i = 0; i < c->n_tablespace_maps; i++)
		if (maps(&c->tablespace_maps[i], t))
			return c->tablespace_maps[i].to;
	return t->path;
}

/* A mapping that matches nothing is a mistake worth a stop (TRAPS T86). */
static int
check_maps_used(const struct restore_plan *plan, struct err *err)
{
	const struct config *c = plan->config;
	struct buf b;
	unsigned i;
	size_t k;

	for (i = 0; i < c->n_tablespace_maps; i++) {
		for (k = 0; k < plan->backup.n_tablespaces; k++)
			if (maps(&c->tablespace_maps[i],
				&plan->backup.tablespaces[k]))
				break;
		if (k < plan->backup.n_tablespaces)
			continue;
		buf_init(&b, ERR_HINT_MAX);
		for (k = 0; k < plan->backup.n_tablespaces; k++)
			buf_printf(&b, " %s", plan->backup.tablespaces[k].path);
		err_set(err, ERR_USAGE,
		    "--tablespace-map %s=%s: backup %s has no tablespace there",
		    c->tablespace_maps[i].from, c->tablespace_maps[i].to,
		    plan->backup.label);
		err_hint(err, "its tablespaces:%s",
		    b.len == 0 ? " none" : buf_str(&b));
		buf_free(&b);
		return -1;
	}
	return 0;
}

static int
check_tablespace(struct restore_plan *plan, size_t i, struct err *err)
{
	const struct plan_tablespace *t = &plan->tablespaces[i];
	bool exists, empty;
	size_t k;

	if (inside(t->to, plan->dir) || inside(plan->dir, t->to)) {
		err_set(err, ERR_REFUSED,
		    "tablespace directory %s and the data directory %s are "
		    "inside each other", t->to, plan->dir);
		return err_hint(err, "--tablespace-map %s=/another/directory",
		    t->from);
	}
	for (k = 0; k < i; k++)
		if (inside(t->to, plan->tablespaces[k].to) ||
		    inside(plan->tablespaces[k].to, t->to))
			return err_set(err, ERR_REFUSED,
			    "the tablespace directories %s and %s are inside "
			    "each other", t->to, plan->tablespaces[k].to);
	if (plan_directory_empty(t->to, is_mount_point(t->to), &exists, &empty,
		err) != 0)
		return -1;
	if (!empty && plan->delta)
		return plan_old_tablespace(plan, t, err);
	if (!empty) {
		err_set(err, ERR_REFUSED,
		    "tablespace directory %s is not empty", t->to);
		return err_hint(err, "--tablespace-map %s=/an/empty/directory",
		    t->from);
	}
	return 0;
}

static int
set_tablespaces(struct restore_plan *plan, struct err *err)
{
	const struct commit *c = &plan->backup;
	const char *to;
	size_t i;

	if (check_maps_used(plan, err) != 0)
		return -1;
	plan->tablespaces = xcalloc(c->n_tablespaces + 1,
	    sizeof(*plan->tablespaces));
	for (i = 0; i < c->n_tablespaces; i++) {
		plan->tablespaces[i].oid = c->tablespaces[i].oid;
		plan->tablespaces[i].from = xstrdup(c->tablespaces[i].path);
		plan->n_tablespaces = i + 1;
		to = mapped(plan->config, &c->tablespaces[i]);
		if (to[0] != '/')
			return err_set(err, ERR_USAGE,
			    "tablespace %s: \"%s\" is no absolute path",
			    c->tablespaces[i].path, to);
		if (absolute(to, &plan->tablespaces[i].to, err) != 0 ||
		    check_tablespace(plan, i, err) != 0)
			return -1;
	}
	return 0;
}

/* Writable, and on how many different file systems is how much room? */
struct room {
	dev_t seen[64];
	size_t n;
	uint64_t bytes;
};

static int
add_room(struct room *room, const char *path, struct err *err)
{
	char parent[PATH_MAX];
	struct statvfs vfs;
	struct stat st;
	size_t i;

	existing_parent(path, parent);
	if (access(parent, W_OK | X_OK) != 0) {
		err_sys(err, errno, "write into %s", parent);
		err->code = ERR_REFUSED;
		return err_hint(err, "make %s first, owned by the user that "
				     "runs PostgreSQL", path);
	}
	if (stat(parent, &st) != 0 || statvfs(parent, &vfs) != 0)
		return err_sys(err, errno, "stat %s", parent);
	for (i = 0; i < room->n; i++)
		if (room->seen[i] == st.st_dev)
			return 0;
	if (room->n == sizeof(room->seen) / sizeof(room->seen[0]))
		return 0;
	room->seen[room->n++] = st.st_dev;
	room->bytes += (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return 0;
}

static int
check_room(const struct restore_plan *plan, struct err *err)
{
	struct room room = { .n = 0 };
	char need[TEXT_SIZE_MAX], have[TEXT_SIZE_MAX];
	uint64_t bytes = plan->backup.original_bytes, old;
	size_t i;

	if (plan->delta) {
		old = plan_old_bytes(plan);
		bytes = old < bytes ? bytes - old : 0;
	}

	if (add_room(&room, plan->dir, err) != 0)
		return -1;
	for (i = 0; i < plan->n_tablespaces; i++)
		if (add_room(&room, plan->tablespaces[i].to, err) != 0)
			return -1;
	if (room.bytes >= bytes)
		return 0;
	err_set(err, ERR_REFUSED,
	    "backup %s needs %s%s, and %s%s has %s free", plan->backup.label,
	    text_human_size(bytes, need), plan->delta ? " more" : "",
	    plan->dir,
	    plan->n_tablespaces > 0 ? " with its tablespaces" : "",
	    text_human_size(room.bytes, have));
	return err_hint(err, "restore onto another file system (-D, "
			     "--tablespace-map), or make room");
}

/*
 * Recovery makes a tablespace that was created after the backup at the path
 * that its WAL record has, whatever --tablespace-map says, and first removes
 * what is there: on the source's own host that may be the live server's.
 */
static int
check_created(struct restore_plan *plan, const struct wal_tablespace *t,
    struct err *err)
{
	char name[DATAFILE_TABLESPACE_DIR_MAX], by[PATH_MAX];
	char lsn[LSN_TEXT_MAX], *dir, *link;
	bool there, own;
	int ret = 0;

	if (t->path[0] == '\0') /* "in place": inside the data directory */
		return 0;
	(void)datafile_tablespace_dir(plan->inc.major,
	    plan->backup.catalog_version, name);
	dir = xasprintf("%s/%s", t->path, name);
	link = xasprintf("%s/pg_tblspc/%u", plan->dir, (unsigned)t->oid);
	there = access(dir, F_OK) == 0;
	own = plan->delta && plan_same_directory(link, t->path);
	if (there && running_uses(t->path, plan->dir, by))
		ret = err_set(err, ERR_REFUSED, "the WAL creates tablespace "
		    "%u in %s at LSN %s, which belongs to the server that "
		    "runs on %s: recovery would remove what is there",
		    (unsigned)t->oid, t->path, lsn_format(t->lsn, lsn), by);
	else if (there && !own)
		ret = err_set(err, ERR_REFUSED, "the WAL creates tablespace "
		    "%u in %s at LSN %s, and recovery would remove what is "
		    "there", (unsigned)t->oid, t->path,
		    lsn_format(t->lsn, lsn));
	else if (access(t->path, F_OK) != 0)
		plan_note(plan, "the WAL creates a tablespace in %s: make "
		    "that directory before the server is started", t->path);
	if (ret != 0)
		err_hint(err, "recover up to before it (--target-lsn %s "
		    "--exclusive), restore on another host, or, if what is "
		    "in %s may go, move it away", lsn, dir);
	free(dir);
	free(link);
	return ret;
}

/* Where replay ends: no record that begins there or later takes effect. */
static pg_lsn
replay_end(const struct restore_plan *plan)
{
	const struct wal_found *f = &plan->found;

	if (plan->target == TARGET_IMMEDIATE)
		return plan->backup.stop_lsn;
	if (!f->found)
		return UINT64_MAX;
	if (!f->use_lsn &&
	    (plan->target == TARGET_TIME || !plan->want.inclusive))
		return f->event.lsn;
	return f->event.end;
}

static int
check_all_created(struct restore_plan *plan, struct err *err)
{
	const struct wal_proof *p = &plan->proof;
	size_t i;

	for (i = 0; i < p->n_tablespaces; i++)
		if (p->tablespaces[i].lsn < replay_end(plan) &&
		    check_created(plan, &p->tablespaces[i], err) != 0)
			return -1;
	return 0;
}

int
plan_destination(struct restore_plan *plan, struct err *err)
{
	if (plan->config->restore_dir == NULL) {
		err_set(err, ERR_USAGE, "restore needs a directory");
		return err_hint(err, "add -D DIRECTORY: empty, or not there "
				     "yet");
	}
	if (absolute(plan->config->restore_dir, &plan->dir, err) != 0 ||
	    check_directory(plan, err) != 0 ||
	    set_tablespaces(plan, err) != 0 ||
	    check_all_created(plan, err) != 0 || check_room(plan, err) != 0)
		return -1;
	return plan->delta ? walleft_find(&plan->wal_left, plan, err) : 0;
}
