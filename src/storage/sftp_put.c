/* SPDX-License-Identifier: PostgreSQL */
/*
 * Putting an object: a temporary file in its directory, written in pieces
 * that are on their way together, synced, renamed. Version 3's rename fails
 * where the name is taken (OpenSSH links, then unlinks), so nothing is ever
 * replaced. After it the same file is synced once more: that makes the
 * journal of the server's file system take in the new name.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "storage/sftp.h"

/* What libssh2 has on its way at once; OpenSSH's window is 2 MiB. */
#define WRITE_WINDOW ((size_t)2 << 20)
#define COMPARE_STEP ((size_t)1 << 20)
#define OPEN_TRIES 20

struct put_args {
	const char *key;
	const uint8_t *data;
	size_t len;
	bool renamed; /* a rename was sent whose answer may be lost */
};

static int
exists_already(struct err *err)
{
	return err_set(err, ERR_EXISTS, "the name is taken");
}

static int
make_dir(struct sftp *s, const char *path, struct sftp_try *t,
    struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	unsigned len = (unsigned)strlen(path);
	int rc = s->session->lib->sftp_mkdir_ex(s->session->sftp, path, len,
	    0700);

	if (rc == 0)
		return 0;
	(void)sftp_failed(s, t, rc, "make a directory", err);
	if (t->again || sftp_is_absent(t->status))
		return -1;
	/* "Failure" is what servers say when it is there. */
	rc = s->session->lib->sftp_stat_ex(s->session->sftp, path, len,
	    LIBSSH2_SFTP_STAT, &attrs);
	if (rc == LIBSSH2_ERROR_SFTP_PROTOCOL && sftp_is_absent((long)
	    s->session->lib->sftp_last_error(s->session->sftp)))
		t->status = LIBSSH2_FX_NO_SUCH_FILE; /* as others say at once */
	if (rc != 0 || ((attrs.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 &&
	    !LIBSSH2_SFTP_S_ISDIR(attrs.permissions)))
		return -1;
	err_clear(err);
	t->status = -1;
	return 0;
}

/* path and what is above it, as far as it is missing; not above `keep`. */
static int
make_dirs(struct sftp *s, const char *path, size_t keep, struct sftp_try *t,
    struct err *err)
{
	char *up, *slash;
	int rc = make_dir(s, path, t, err);

	if (rc == 0 || !sftp_is_absent(t->status))
		return rc;
	up = xstrdup(path);
	slash = strrchr(up, '/');
	if (slash != NULL && slash != up && (size_t)(slash - up) >= keep) {
		*slash = '\0';
		err_clear(err);
		rc = make_dirs(s, up, keep, t, err);
		if (rc == 0)
			rc = make_dir(s, path, t, err);
	}
	free(up);
	return rc;
}

static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return xstrndup(path, (size_t)(slash - path));
}

/* The object's directory. The root is made by `create` only. */
static int
make_object_dir(struct sftp *s, const char *path, struct sftp_try *t,
    struct err *err)
{
	char *dir;
	int ret;

	if (sftp_check_root(s, t, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_STORAGE;
		return -1;
	}
	dir = dir_of(path);
	ret = make_dirs(s, dir, strlen(s->shared->login.place.root) + 1, t,
	    err);
	if (ret == 0) {
		free(s->made);
		s->made = dir;
	} else
		free(dir);
	return ret;
}

static int
try_create(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	const char *root = s->shared->login.place.root;

	return strcmp(root, ".") == 0 ? 0 : make_dirs(s, root, 0, t, err);
}

int
sftp_create(struct storage *st, struct err *err)
{
	return sftp_run(sftp_of(st), try_create, NULL, err);
}

/* A temporary name beside path that nobody else has. */
static int
temp_name(const char *path, char **out, struct err *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1], *dir;

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	dir = dir_of(path);
	*out = xasprintf("%s/" SFTP_TEMP "%s", dir, hex);
	free(dir);
	return 0;
}

/* "Failure" of a write: a full disk, if the server tells of its room. */
static int
explain_full(struct sftp *s, struct sftp_try *t, struct err *err)
{
	const char *root = s->shared->login.place.root;
	LIBSSH2_SFTP_STATVFS fs;
	char room[TEXT_SIZE_MAX];

	if (t->status != LIBSSH2_FX_FAILURE ||
	    s->session->lib->sftp_statvfs(s->session->sftp, root,
		strlen(root), &fs) != 0)
		return -1;
	if (fs.f_bavail * fs.f_frsize > (uint64_t)64 << 20)
		return err_hint(err, "the server does not say why: a quota of "
		    "the user's, or an error of its disk? See its log");
	err_wrap(err, "the disk of %s is full, or nearly (%s free)",
	    s->shared->login.place.host,
	    text_human_size(fs.f_bavail * fs.f_frsize, room));
	return err_hint(err, "make room there: 'dapk-backup expire' removes "
	    "what is due");
}

static int
open_temp(struct sftp *s, const char *temp, LIBSSH2_SFTP_HANDLE **out,
    struct sftp_try *t, struct err *err)
{
	const unsigned long flags = LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT |
	    LIBSSH2_FXF_EXCL;
	int rc, tries;

	/* Again: a remove may have taken the empty directory away. */
	for (tries = 0;; tries++) {
		*out = sftp_open_file(s, temp, flags);
		if (*out != NULL)
			return 0;
		rc = s->session->lib->session_last_error(s->session->ssh,
		    NULL, NULL, 0);
		(void)sftp_failed(s, t, rc, "create", err);
		/* Some say "failure" where the directory is missing. */
		if (tries == OPEN_TRIES || (!sftp_is_absent(t->status) &&
		    (t->status != LIBSSH2_FX_FAILURE || tries > 0)))
			return explain_full(s, t, err);
		err_clear(err);
		if (make_object_dir(s, temp, t, err) != 0)
			return t->again ? -1 : explain_full(s, t, err);
	}
}

static int
write_all(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, const struct put_args *a,
    struct sftp_try *t, struct err *err)
{
	size_t done = 0, n;
	ssize_t rc;

	while (done < a->len) {
		if (cancel_check(err) != 0)
			return -1;
		n = a->len - done < WRITE_WINDOW ? a->len - done :
						   WRITE_WINDOW;
		rc = s->session->lib->sftp_write(h,
		    (const char *)a->data + done, n);
		if (rc < 0) {
			(void)sftp_failed(s, t, (int)rc, "write", err);
			return explain_full(s, t, err);
		}
		done += (size_t)rc;
	}
	return 0;
}

/* fsync@openssh.com, where the server has it. */
static int
sync_file(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, struct sftp_try *t,
    struct err *err)
{
	int rc;

	if (s->no_fsync)
		return 0;
	rc = s->session->lib->sftp_fsync(h);
	if (rc == 0)
		return 0;
	(void)sftp_failed(s, t, rc, "sync", err);
	/* OpenSSH refuses a request that was turned off (-P) as not allowed. */
	if (t->status != LIBSSH2_FX_OP_UNSUPPORTED &&
	    t->status != LIBSSH2_FX_PERMISSION_DENIED)
		return explain_full(s, t, err);
	s->no_fsync = true;
	log_debug("%s: the server has no fsync: what is put is durable when "
	    "its system writes it out", s->st.url);
	err_clear(err);
	t->status = -1;
	return 0;
}

static int
read_equal(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, const struct put_args *a,
    bool *same, struct sftp_try *t, struct err *err)
{
	char *bytes = xmalloc(COMPARE_STEP);
	size_t done = 0;
	ssize_t rc = 1;

	*same = true;
	while (rc > 0 && *same && done < a->len) {
		rc = s->session->lib->sftp_read(h, bytes, COMPARE_STEP);
		if (rc > 0) {
			*same = (size_t)rc <= a->len - done &&
			    memcmp(bytes, a->data + done, (size_t)rc) == 0;
			done += (size_t)rc;
		}
	}
	free(bytes);
	if (rc < 0)
		return sftp_failed(s, t, (int)rc, "read back", err);
	*same = *same && done == a->len;
	return 0;
}

/*
 * The name is taken. By us, when an answer was lost and the bytes are ours;
 * else ERR_EXISTS. What is there is synced in both cases: it counts as stored.
 */
static int
settle_taken(struct sftp *s, const char *path, const struct put_args *a,
    struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_HANDLE *h = sftp_open_file(s, path, LIBSSH2_FXF_READ);
	LIBSSH2_SFTP_ATTRIBUTES attrs = { .filesize = 0 };
	bool same = false;
	int rc, ret = -1;

	if (h == NULL) {
		rc = s->session->lib->session_last_error(s->session->ssh,
		    NULL, NULL, 0);
		return sftp_failed(s, t, rc, "open what is there", err);
	}
	rc = s->session->lib->sftp_fstat_ex(h, &attrs, 0);
	if (rc != 0)
		(void)sftp_failed(s, t, rc, "look at what is there", err);
	else if (sync_file(s, h, t, err) == 0 && (!a->renamed ||
	    attrs.filesize != a->len ||
	    read_equal(s, h, a, &same, t, err) == 0))
		ret = 0;
	(void)sftp_release(s, h, t); /* only read from */
	if (ret != 0 || same)
		return ret;
	return exists_already(err);
}

static void
remove_temp(struct sftp *s, const char *temp, const struct sftp_try *t)
{
	if (!t->again) /* else a later sweep removes it */
		(void)s->session->lib->sftp_unlink_ex(s->session->sftp, temp,
		    (unsigned)strlen(temp));
}

static int
publish(struct sftp *s, const char *temp, const char *path,
    struct put_args *a, struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	const struct libssh2 *lib = s->session->lib;
	struct err first;
	int rc = lib->sftp_rename_ex(s->session->sftp, temp,
	    (unsigned)strlen(temp), path, (unsigned)strlen(path), 0);

	if (rc == 0)
		return 0;
	(void)sftp_failed(s, t, rc, "rename", err);
	if (t->again) {
		a->renamed = true;
		return -1;
	}
	/* Failure (4) and "exists" (11) are told apart by a look (TRAPS T119). */
	first = *err;
	rc = lib->sftp_stat_ex(s->session->sftp, path,
	    (unsigned)strlen(path), LIBSSH2_SFTP_LSTAT, &attrs);
	if (rc != 0) {
		(void)sftp_failed(s, t, rc, "look up", err);
		if (!t->again)
			*err = first;
		return -1;
	}
	err_clear(err);
	if (settle_taken(s, path, a, t, err) != 0)
		return -1;
	remove_temp(s, temp, t); /* an earlier try's has the name */
	return 0;
}

static int
put_temp(struct sftp *s, const char *temp, const char *path,
    struct put_args *a, struct sftp_try *t, struct err *err)
{
	LIBSSH2_SFTP_HANDLE *h;
	int rc, ret = -1;

	if (open_temp(s, temp, &h, t, err) != 0)
		return -1;
	if (write_all(s, h, a, t, err) != 0 || sync_file(s, h, t, err) != 0)
		goto out;
	if (publish(s, temp, path, a, t, err) != 0)
		goto out;
	/* It has its name: from here on the temporary one is gone. */
	a->renamed = true;
	ret = sync_file(s, h, t, err);
	rc = sftp_release(s, h, t);
	h = NULL;
	if (ret == 0 && rc != 0)
		ret = sftp_failed(s, t, rc, "close", err);
out:
	if (h != NULL)
		(void)sftp_release(s, h, t); /* it is thrown away */
	if (ret != 0)
		remove_temp(s, temp, t);
	return ret;
}

static int
try_put(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	struct put_args *a = arg;
	char *path = sftp_path(s, a->key), *temp = NULL;
	int ret = -1;

	if (temp_name(path, &temp, err) == 0)
		ret = put_temp(s, temp, path, a, t, err);
	free(temp);
	free(path);
	return ret;
}

int
sftp_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	struct put_args a = { .key = key, .data = data, .len = len };

	return sftp_run(sftp_of(st), try_put, &a, err);
}

static int
try_settle(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	const struct put_args *a = arg;
	char *path = sftp_path(s, a->key);
	int ret = settle_taken(s, path, a, t, err);

	free(path);
	if (ret != 0 && err->code == ERR_EXISTS) {
		err_clear(err);
		ret = 0;
	} else if (ret != 0 && sftp_is_absent(t->status))
		ret = sftp_object_absent(s, t, err);
	return ret;
}

int
sftp_settle(struct storage *st, const char *key, struct err *err)
{
	struct put_args a = { .key = key };

	return sftp_run(sftp_of(st), try_settle, &a, err);
}
