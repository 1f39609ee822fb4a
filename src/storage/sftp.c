/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/sftp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "storage/retry.h"

#define STEP_MAX_MS 60000u /* a call that takes longer is a dead line */

static const struct storage_ops sftp_ops;

struct sftp *
sftp_of(struct storage *st)
{
	return (struct sftp *)st;
}

bool
sftp_is_absent(long status)
{
	return status == LIBSSH2_FX_NO_SUCH_FILE ||
	    status == LIBSSH2_FX_NO_SUCH_PATH;
}

char *
sftp_path(const struct sftp *s, const char *key)
{
	const char *root = s->shared->login.place.root;

	return key[0] == '\0' ? xstrdup(root) :
				xasprintf("%s/%s", root, key);
}

int
sftp_failed(struct sftp *s, struct sftp_try *t, int rc, const char *what,
    struct err *err)
{
	t->status = sftp_session_failed(s->session, rc, what, &t->again, err);
	switch (t->status) {
	case LIBSSH2_FX_PERMISSION_DENIED:
	case LIBSSH2_FX_WRITE_PROTECT:
		return err_hint(err, "user %s needs the right to write below "
		    "%s on %s", sftp_user(&s->shared->login),
		    s->shared->login.place.root,
		    s->shared->login.place.host);
	default:
		return -1;
	}
}

LIBSSH2_SFTP_HANDLE *
sftp_open_file(struct sftp *s, const char *path, unsigned long flags)
{
	return s->session->lib->sftp_open_ex(s->session->sftp, path,
	    (unsigned)strlen(path), flags, 0600, LIBSSH2_SFTP_OPENFILE);
}

int
sftp_release(struct sftp *s, LIBSSH2_SFTP_HANDLE *h, const struct sftp_try *t)
{
	/* On a line that broke nobody answers: the memory is freed at once. */
	if (t->again)
		(void)shutdown(s->session->sock, SHUT_RDWR);
	return s->session->lib->sftp_close_handle(h);
}

/* A session that answers, of this handle's own. */
static int
need_session(struct sftp *s, const struct retry *r, struct sftp_try *t,
    struct err *err)
{
	uint64_t step = retry_left_ms(r);

	step = step > STEP_MAX_MS ? STEP_MAX_MS : step < 1000 ? 1000 : step;
	if (s->session != NULL && sftp_session_alive(s->session)) {
		sftp_session_limit(s->session, step);
		return 0;
	}
	sftp_session_close(s->session);
	s->session = NULL;
	return sftp_session_open(&s->session, &s->shared->login, step,
	    &t->again, err);
}

int
sftp_run(struct sftp *s, sftp_fn fn, void *arg, struct err *err)
{
	struct sftp_try t = { .tries = 0 };
	struct retry r;
	int rc;

	retry_begin(&r, s->shared->timeout_ms);
	for (;; t.tries++) {
		t.again = false;
		t.status = -1;
		err_clear(err);
		rc = cancel_check(err);
		if (rc == 0)
			rc = need_session(s, &r, &t, err);
		if (rc == 0)
			rc = fn(s, arg, &t, err);
		if (s->session != NULL)
			s->session->last_used = time_boottime();
		if (rc == 0 || !t.again)
			return rc;
		log_debug("%s: %s; once more", s->st.url, err->msg);
		sftp_session_close(s->session);
		s->session = NULL;
		if (!retry_wait(&r, 0)) {
			if (cancel_requested())
				return cancel_error(err);
			return err_wrap(err, "given up after %u tries in %llu "
			    "s", t.tries + 1, (unsigned long long)
			    s->shared->timeout_ms / 1000);
		}
	}
}

int
sftp_check_root(struct sftp *s, struct sftp_try *t, struct err *err)
{
	const char *root = s->shared->login.place.root;
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	int rc = s->session->lib->sftp_stat_ex(s->session->sftp, root,
	    (unsigned)strlen(root), LIBSSH2_SFTP_STAT, &attrs);

	if (rc != 0) {
		(void)sftp_failed(s, t, rc, "look for the directory", err);
		if (sftp_is_absent(t->status)) {
			err_set(err, ERR_NOT_FOUND, "directory %s is not "
			    "there on %s", root, s->shared->login.place.host);
			return err_hint(err, "is the path right, and the disk "
			    "mounted there? 'dapk-backup init' makes it");
		}
		return -1;
	}
	if ((attrs.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 &&
	    !LIBSSH2_SFTP_S_ISDIR(attrs.permissions))
		return err_set(err, ERR_CONFIG, "%s on %s is not a directory",
		    root, s->shared->login.place.host);
	return 0;
}

int
sftp_object_absent(struct sftp *s, struct sftp_try *t, struct err *err)
{
	err_clear(err);
	if (sftp_check_root(s, t, err) == 0)
		return err_set(err, ERR_NOT_FOUND, "no such object");
	if (err->code == ERR_NOT_FOUND)
		err->code = ERR_STORAGE; /* all of it is missing */
	return -1;
}

static int
try_probe(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	return sftp_check_root(s, t, err);
}

static int
sftp_probe_root(struct storage *st, struct err *err)
{
	return sftp_run(sftp_of(st), try_probe, NULL, err);
}

struct stat_args {
	const char *key;
	uint64_t *size;
	int64_t *mtime;
};

static int
try_stat(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	const struct stat_args *a = arg;
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	char *path = sftp_path(s, a->key);
	int rc = s->session->lib->sftp_stat_ex(s->session->sftp, path,
	    (unsigned)strlen(path), LIBSSH2_SFTP_STAT, &attrs);

	free(path);
	if (rc != 0) {
		(void)sftp_failed(s, t, rc, "look up", err);
		return sftp_is_absent(t->status) ?
		    sftp_object_absent(s, t, err) : -1;
	}
	if ((attrs.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) != 0 &&
	    LIBSSH2_SFTP_S_ISDIR(attrs.permissions))
		return err_set(err, ERR_NOT_FOUND, "no such object");
	*a->size = attrs.filesize;
	*a->mtime = time_from_unix((int64_t)attrs.mtime);
	return 0;
}

static int
sftp_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err)
{
	struct stat_args a = { key, size, mtime };

	return sftp_run(sftp_of(st), try_stat, &a, err);
}

/* Directories are no objects: what became empty goes too. */
static void
remove_empty(struct sftp *s, const char *key)
{
	char *dir = xstrdup(key), *slash, *path;
	int rc = 0;

	while (rc == 0 && (slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		path = sftp_path(s, dir);
		rc = s->session->lib->sftp_rmdir_ex(s->session->sftp, path,
		    (unsigned)strlen(path));
		if (rc == 0) {
			free(s->made);
			s->made = NULL;
		}
		free(path);
	}
	free(dir);
}

static int
try_remove(struct sftp *s, void *arg, struct sftp_try *t, struct err *err)
{
	const char *key = arg;
	char *path = sftp_path(s, key);
	int rc = s->session->lib->sftp_unlink_ex(s->session->sftp, path,
	    (unsigned)strlen(path));

	free(path);
	if (rc == 0) {
		remove_empty(s, key);
		return 0;
	}
	(void)sftp_failed(s, t, rc, "remove", err);
	if (!sftp_is_absent(t->status))
		return -1;
	(void)sftp_object_absent(s, t, err);
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static int
sftp_remove(struct storage *st, const char *key, struct err *err)
{
	char *own = xstrdup(key);
	int ret = sftp_run(sftp_of(st), try_remove, own, err);

	free(own);
	return ret;
}

static char *
copy_text(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

static struct storage *
handle_new(struct sftp_shared *shared)
{
	struct sftp *s = xcalloc(1, sizeof(*s));

	s->st.ops = &sftp_ops;
	s->st.url = xstrdup(shared->login.place.url);
	s->shared = shared;
	(void)__atomic_add_fetch(&shared->handles, 1, __ATOMIC_SEQ_CST);
	return &s->st;
}

/* Connects when it is used first. */
static int
sftp_clone(const struct storage *st, struct storage **out, struct err *err)
{
	*out = handle_new(((const struct sftp *)st)->shared);
	return 0;
}

static void
sftp_close(struct storage *st)
{
	struct sftp *s = sftp_of(st);
	struct sftp_shared *shared = s->shared;

	sftp_session_close(s->session);
	free(s->made);
	free(s->st.url);
	free(s);
	if (__atomic_sub_fetch(&shared->handles, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	sftp_place_free(&shared->login.place);
	free(shared->login.key_file);
	free(shared->login.key_passphrase_file);
	free(shared->login.password_file);
	free(shared->login.known_hosts);
	free(shared->login.home);
	free(shared);
}

int
storage_sftp_open(struct storage **out, const struct storage_settings *set,
    struct err *err)
{
	struct sftp_shared *shared = xcalloc(1, sizeof(*shared));

	if (sftp_place_parse(&shared->login.place, set->url, err) != 0) {
		free(shared);
		return -1;
	}
	shared->login.key_file = copy_text(set->key_file);
	shared->login.key_passphrase_file =
	    copy_text(set->key_passphrase_file);
	shared->login.password_file = copy_text(set->password_file);
	shared->login.known_hosts = copy_text(set->known_hosts);
	sftp_login_complete(&shared->login);
	shared->login.accept_new = set->host_key ==
	    STORAGE_HOST_KEY_ACCEPT_NEW;
	shared->timeout_ms = set->timeout_ms != 0 ? set->timeout_ms :
	    STORAGE_TIMEOUT_DEFAULT_MS;
	*out = handle_new(shared);
	return 0;
}

static void
sftp_facts(struct storage *st, struct storage_facts *out)
{
	(void)snprintf(out->more, sizeof(out->more), "%s", sftp_of(st)->no_fsync
	    ? "the server has no fsync: what it took last may be lost when "
	      "its power fails" : "synced (fsync) and renamed into place");
}

static const struct storage_ops sftp_ops = {
	.scheme = "sftp",
	.clone = sftp_clone,
	.close = sftp_close,
	.create = sftp_create,
	.probe_root = sftp_probe_root,
	.put = sftp_put,
	.get = sftp_get,
	.stat = sftp_stat,
	.list = sftp_list,
	.folder_margin = sftp_folder_margin,
	.remove = sftp_remove,
	.settle = sftp_settle,
	.sweep = sftp_sweep,
	.facts = sftp_facts,
};
