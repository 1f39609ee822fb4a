/* SPDX-License-Identifier: PostgreSQL */
/* Reading objects and directories over SFTP. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/sftp.h"

#define NAME_LEN_MAX 1024
#define READ_ALL_MAX ((size_t)32 << 10)

/*
 * How much to ask libssh2 for: it has up to four times as much on its way,
 * which must not go far beyond what is wanted.
 */
static size_t
read_step(size_t left)
{
	if (left <= READ_ALL_MAX)
		return left;
	return left / 4 < READ_ALL_MAX ? READ_ALL_MAX : left / 4;
}

struct get_args {
	const char *key;
	uint64_t off;
	size_t len;
	uint8_t *out;
};

/* A directory can be opened, and then fails to be read: it is no object. */
static int
explain_directory(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;

	if (s->session->lib->sftp_fstat_ex(h, &attrs, 0) == 0 &&
	    (attrs.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 &&
	    LIBSSH2_SFTP_S_ISDIR(attrs.permissions))
		return err_set(err, ERR_NOT_FOUND, "no such object");
	return -1;
}

static int
read_range(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, const struct get_args *a,
    struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	size_t done = 0;
	ssize_t rc = 1;

	s->session->lib->sftp_seek64(h, a->off);
	while (done < a->len && rc > 0) {
		if (cancel_check(err) != 0)
			return -1;
		rc = s->session->lib->sftp_read(h, (char *)a->out + done,
		    read_step(a->len - done));
		if (rc > 0)
			done += (size_t)rc;
	}
	if (rc < 0) {
		(void)sftp_failed(s, t, (int)rc, "read", err);
		return t->again ? -1 : explain_directory(s, h, err);
	}
	if (done == a->len)
		return 0;
	/* The end came early: is the object shorter, or the line cut? */
	rc = s->session->lib->sftp_fstat_ex(h, &attrs, 0);
	if (rc != 0)
		return sftp_failed(s, t, (int)rc, "look at its size", err);
	if (attrs.filesize >= a->off + a->len) {
		t->again = true;
		return err_set(err, ERR_STORAGE, "the read ended after %zu of "
		    "%zu bytes", done, a->len);
	}
	return err_set(err, ERR_DAMAGED, "has %llu bytes, %zu were expected "
	    "from %llu", (unsigned long long)attrs.filesize, a->len,
	    (unsigned long long)a->off);
}

static int
try_get(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	const struct get_args *a = arg;
	char *path = sftp_path(s, a->key);
	LIBSSH2_SFTP_HANDLE *h = sftp_open_file(s, path, LIBSSH2_FXF_READ);
	int rc, ret;

	free(path);
	if (h == NULL) {
		rc = s->session->lib->session_last_error(s->session->ssh,
		    NULL, NULL, 0);
		(void)sftp_failed(s, t, rc, "open", err);
		return sftp_is_absent(t->status) ?
		    sftp_object_absent(s, t, err) : -1;
	}
	ret = read_range(s, h, a, t, err);
	(void)sftp_release(s, h, t); /* only read from */
	return ret;
}

int
sftp_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	struct get_args a = { key, off, len, out };

	return sftp_run(sftp_of(st), try_get, &a, err);
}

/* What a listing found, before anybody is told: it may begin anew. */
struct found {
	struct storage_entry *entries; /* names owned, below the prefix */
	size_t n, room;
};

struct list_args {
	const char *prefix;
	bool delimiter;
	bool temps; /* those instead of objects */
	struct found found;
};

static void
found_clear(struct found *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		free((char *)(uintptr_t)f->entries[i].name);
	free(f->entries);
	memset(f, 0, sizeof(*f));
}

static void
found_add(struct found *f, char *name, const LIBSSH2_SFTP_ATTRIBUTES *attrs,
    bool is_directory)
{
	struct storage_entry *e;

	if (f->n == f->room) {
		f->room = f->room * 2 + 64;
		f->entries = xreallocarray(f->entries, f->room,
		    sizeof(*f->entries));
	}
	e = &f->entries[f->n++];
	memset(e, 0, sizeof(*e));
	e->name = name;
	e->is_directory = is_directory;
	e->size = is_directory ? 0 : attrs->filesize;
	e->mtime = time_from_unix((int64_t)attrs->mtime);
}

static int walk(struct sftp *s, struct list_args *a, const char *dir,
    struct sftp_try *t, struct err *err);

/*
 * One name in directory dir ("" or "a/b/"). below: dir and name begin with
 * the prefix, whose length in them is `skip`.
 */
static int
take(struct sftp *s, struct list_args *a, const char *dir, const char *name,
    const LIBSSH2_SFTP_ATTRIBUTES *attrs, struct sftp_try *t, struct err *err)
{
	const char *kind = LIBSSH2_SFTP_S_ISDIR(attrs->permissions) ? "/" : "";
	char *key = xasprintf("%s%s%s", dir, name, kind);
	size_t skip = strlen(a->prefix);
	int ret = 0;

	if (strncmp(key, a->prefix, skip) != 0 || (name[0] == '.') !=
	    (a->temps && kind[0] == '\0'))
		goto out;
	if (kind[0] == '/' && (!a->delimiter || key[skip] == '\0'))
		ret = walk(s, a, key, t, err);
	else if (!a->temps || strncmp(name, SFTP_TEMP,
	    sizeof(SFTP_TEMP) - 1) == 0)
		found_add(&a->found, xstrdup(key + skip), attrs,
		    kind[0] == '/');
out:
	free(key);
	return ret;
}

static bool
no_object(const char *dir, const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    (dir[0] == '\0' && strcmp(name, "lost+found") == 0);
}

#define ATTRS_NEEDED                                                          \
	(LIBSSH2_SFTP_ATTR_PERMISSIONS | LIBSSH2_SFTP_ATTR_SIZE |             \
	    LIBSSH2_SFTP_ATTR_ACMODTIME)

/*
 * Servers may leave out of a listing what each name is (version 3 of the
 * protocol, section 7.7). Passed over, such a directory would seem empty.
 */
static int
complete(struct sftp *s, const char *dir, const char *name,
    LIBSSH2_SFTP_ATTRIBUTES *attrs, struct sftp_try *t, struct err *err)
{
	char *key, *path;
	int rc, ret = 0;

	if ((attrs->flags & ATTRS_NEEDED) == ATTRS_NEEDED)
		return 0;
	key = xasprintf("%s%s", dir, name);
	path = sftp_path(s, key);
	rc = s->session->lib->sftp_stat_ex(s->session->sftp, path,
	    (unsigned)strlen(path), LIBSSH2_SFTP_LSTAT, attrs);
	free(path);
	if (rc != 0) {
		ret = sftp_failed(s, t, rc, "look up", err);
		err_wrap(err, "%s", key);
	} else if ((attrs->flags & ATTRS_NEEDED) != ATTRS_NEEDED)
		ret = err_set(err, ERR_STORAGE, "the server does not tell "
		    "type, size and time of %s, so nothing can be said about "
		    "what is there", key);
	free(key);
	return ret;
}

/*
 * OpenSSH leaves out of a listing what it may not look at: in a directory
 * that may be read but not entered that is all of it, "." too. Then nobody
 * knows what is there. (Others never list ".", and know it.)
 */
static int
check_entered(struct sftp *s, const char *dir, struct sftp_try *t,
    struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	char *key = xasprintf("%s.", dir), *path = sftp_path(s, key);
	int rc = s->session->lib->sftp_stat_ex(s->session->sftp, path,
	    (unsigned)strlen(path), LIBSSH2_SFTP_STAT, &attrs);

	free(path);
	free(key);
	if (rc == 0)
		return 0;
	(void)sftp_failed(s, t, rc, "look into the directory", err);
	/* Gone since it was opened: then it was empty. */
	if (!sftp_is_absent(t->status))
		return -1;
	err_clear(err);
	t->status = -1;
	return 0;
}

/*
 * A directory that was moved to another disk and linked: get() finds what is
 * in it, so it must not be passed over, and where the disk is missing nothing
 * may be said about what is there. No object is a link.
 */
static int
follow(struct sftp *s, const char *dir, const char *name,
    LIBSSH2_SFTP_ATTRIBUTES *attrs, struct sftp_try *t, struct err *err)
{
	char *key = xasprintf("%s%s", dir, name), *path = sftp_path(s, key);
	int rc = s->session->lib->sftp_stat_ex(s->session->sftp, path,
	    (unsigned)strlen(path), LIBSSH2_SFTP_STAT, attrs);

	if (rc == 0 && (attrs->flags & ATTRS_NEEDED) != ATTRS_NEEDED) {
		free(path);
		free(key);
		return err_set(err, ERR_STORAGE, "the server does not tell "
		    "what the link %s%s leads to", dir, name);
	}
	if (rc == 0 && !LIBSSH2_SFTP_S_ISDIR(attrs->permissions))
		attrs->permissions = LIBSSH2_SFTP_S_IFLNK;
	free(path);
	if (rc != 0) {
		(void)sftp_failed(s, t, rc, "follow the link", err);
		err_wrap(err, "%s", key);
	}
	free(key);
	return rc == 0 ? 0 : -1;
}

/* All of a directory is read before its directories are gone into. */
static int
read_dir(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, const char *dir,
    struct found *names, struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	char name[NAME_LEN_MAX];
	bool entered = false;
	int rc;

	for (;;) {
		if (cancel_check(err) != 0)
			return -1;
		rc = s->session->lib->sftp_readdir_ex(h, name,
		    sizeof(name) - 1, NULL, 0, &attrs);
		if (rc < 0 && rc != LIBSSH2_ERROR_BUFFER_TOO_SMALL)
			return sftp_failed(s, t, rc, "list", err);
		if (rc == 0)
			return entered ? 0 : check_entered(s, dir, t, err);
		if (rc < 0)
			continue; /* longer than any name of ours */
		name[rc] = '\0';
		entered = entered || strcmp(name, ".") == 0;
		if (no_object(dir, name))
			continue;
		if (complete(s, dir, name, &attrs, t, err) != 0)
			return -1;
		if (LIBSSH2_SFTP_S_ISLNK(attrs.permissions) &&
		    follow(s, dir, name, &attrs, t, err) != 0)
			return -1;
		if (!LIBSSH2_SFTP_S_ISDIR(attrs.permissions) &&
		    !LIBSSH2_SFTP_S_ISREG(attrs.permissions))
			continue;
		found_add(names, xstrdup(name), &attrs,
		    LIBSSH2_SFTP_S_ISDIR(attrs.permissions));
	}
}

static int
walk(struct sftp *s, struct list_args *a, const char *dir,
    struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs = { .flags = 0 };
	char *full = sftp_path(s, dir);
	struct found names = { NULL, 0, 0 };
	LIBSSH2_SFTP_HANDLE *h;
	size_t i;
	int rc, ret;

	h = s->session->lib->sftp_open_ex(s->session->sftp, full,
	    (unsigned)strlen(full), 0, 0, LIBSSH2_SFTP_OPENDIR);
	free(full);
	if (h == NULL) {
		rc = s->session->lib->session_last_error(s->session->ssh,
		    NULL, NULL, 0);
		(void)sftp_failed(s, t, rc, "open the directory", err);
		if (!sftp_is_absent(t->status))
			return -1;
		/* Nothing is below it, unless the root itself is missing. */
		(void)sftp_object_absent(s, t, err);
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	ret = read_dir(s, h, dir, &names, t, err);
	(void)sftp_release(s, h, t); /* only read from */
	for (i = 0; i < names.n && ret == 0; i++) {
		attrs.permissions = names.entries[i].is_directory ?
		    LIBSSH2_SFTP_S_IFDIR : LIBSSH2_SFTP_S_IFREG;
		attrs.filesize = names.entries[i].size;
		attrs.mtime = (unsigned long)(names.entries[i].mtime /
		    1000000 + TIME_UNIX_EPOCH_OFFSET);
		ret = take(s, a, dir, names.entries[i].name, &attrs, t, err);
	}
	found_clear(&names);
	return ret;
}

static int
try_list(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	struct list_args *a = arg;
	const char *slash = strrchr(a->prefix, '/');
	char *dir = slash == NULL ? xstrdup("") :
	    xstrndup(a->prefix, (size_t)(slash - a->prefix) + 1);
	int ret;

	found_clear(&a->found);
	ret = walk(s, a, dir, t, err);
	free(dir);
	return ret;
}

/* Whole seconds, and of the server's clock, which may not be ours. */
uint64_t
sftp_folder_margin(struct storage *st)
{
	(void)st;
	return UINT64_C(600) * 1000000;
}

int
sftp_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	struct list_args a = { .prefix = prefix, .delimiter = delimiter };
	size_t i;
	int ret = sftp_run(sftp_of(st), try_list, &a, err);

	for (i = 0; i < a.found.n && ret == 0; i++)
		ret = fn(arg, &a.found.entries[i], err);
	found_clear(&a.found);
	return ret;
}

struct clock_args {
	int64_t now; /* the server's */
};

/* The time that the server gives to a file made right now. */
static int
try_clock(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	struct clock_args *a = arg;
	const struct libssh2 *lib = s->session->lib;
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	LIBSSH2_SFTP_HANDLE *h;
	uint8_t random[8];
	char hex[17], *path;
	int rc = 0, ret = -1;

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	path = xasprintf("%s/" SFTP_TEMP "%s",
	    s->shared->login.place.root, hex);
	h = sftp_open_file(s, path, LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT |
	    LIBSSH2_FXF_EXCL);
	if (h == NULL)
		rc = lib->session_last_error(s->session->ssh, NULL, NULL, 0);
	else
		rc = lib->sftp_fstat_ex(h, &attrs, 0);
	if (rc != 0) {
		(void)sftp_failed(s, t, rc, "learn the server's time", err);
	} else {
		a->now = time_from_unix((int64_t)attrs.mtime);
		ret = 0;
	}
	if (h != NULL) {
		(void)sftp_release(s, h, t); /* nothing was written */
		(void)lib->sftp_unlink_ex(s->session->sftp, path,
		    (unsigned)strlen(path));
	}
	free(path);
	return ret;
}

static int
try_remove_temp(struct sftp *s, void *arg, struct sftp_try *t,
    struct err *err)
{
	char *path = sftp_path(s, arg);
	int rc = s->session->lib->sftp_unlink_ex(s->session->sftp, path,
	    (unsigned)strlen(path));

	free(path);
	if (rc == 0)
		return 0;
	(void)sftp_failed(s, t, rc, "remove", err);
	if (!sftp_is_absent(t->status))
		return -1;
	err_clear(err);
	return 0;
}

int
sftp_sweep(struct storage *st, uint64_t older_than_us, uint64_t *removed,
    struct err *err)
{
	struct list_args a = { .prefix = "", .temps = true };
	struct clock_args clock = { 0 };
	struct storage_entry *e;
	size_t i;
	char *name;
	int ret;

	*removed = 0;
	ret = sftp_run(sftp_of(st), try_clock, &clock, err);
	if (ret == 0)
		ret = sftp_run(sftp_of(st), try_list, &a, err);
	for (i = 0; i < a.found.n && ret == 0; i++) {
		e = &a.found.entries[i];
		if (e->is_directory ||
		    e->mtime > clock.now - (int64_t)older_than_us)
			continue;
		name = xstrdup(e->name);
		ret = sftp_run(sftp_of(st), try_remove_temp, name, err);
		free(name);
		*removed += ret == 0;
	}
	found_clear(&a.found);
	return ret;
}
