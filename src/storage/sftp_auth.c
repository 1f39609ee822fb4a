/* SPDX-License-Identifier: PostgreSQL */
/*
 * Logging in: the configured key, else the agent's keys, else those in
 * ~/.ssh; then the password, as "password" or where the server wants that as
 * "keyboard-interactive".
 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/secret.h"
#include "storage/sftp_session.h"

#define TRIED_MAX 512

struct attempt {
	struct sftp_session *s;
	const struct sftp_login *login;
	const char *user;
	bool publickey, password, keyboard; /* what the server takes */
	char tried[TRIED_MAX]; /* for people: "key /x (refused), ..." */
	unsigned refusals;
	bool *again;
};

void
sftp_login_complete(struct sftp_login *login)
{
	/* Here, since getpwuid() has one answer for all threads. */
	const struct passwd *pw = getpwuid(geteuid());
	const char *home = getenv("HOME");

	if (login->place.user == NULL)
		login->place.user = xstrdup(pw == NULL ? "postgres" :
		    pw->pw_name);
	if (home == NULL || home[0] != '/')
		home = pw == NULL ? "" : pw->pw_dir;
	login->home = xstrdup(home);
}

const char *
sftp_user(const struct sftp_login *login)
{
	return login->place.user;
}

static void
note(struct attempt *a, const char *what, const char *outcome)
{
	size_t len = strlen(a->tried);

	(void)snprintf(a->tried + len, TRIED_MAX - len, "%s%s (%s)",
	    len == 0 ? "" : ", ", what, outcome);
}

/*
 * libssh2 has one code for a key that is refused and for a line that broke
 * before the answer: only its words tell. After some refusals the server may
 * have had enough of us, and that will not get better.
 */
static bool
unanswered(const struct attempt *a)
{
	char *said = NULL;

	(void)a->s->lib->session_last_error(a->s->ssh, &said, NULL, 0);
	return a->refusals == 0 && said != NULL &&
	    strncmp(said, "Waiting for ", 12) == 0;
}

/* Is rc a broken line, and not an answer? Then err is filled. */
static bool
broke(struct attempt *a, int rc, struct err *err)
{
	if (unanswered(a))
		rc = LIBSSH2_ERROR_SOCKET_RECV;
	if (rc == LIBSSH2_ERROR_SOCKET_DISCONNECT && a->refusals > 0) {
		/* Coming back with the same keys would be as many again. */
		err_set(err, ERR_CONFIG, "the server ended the connection "
		    "after it had refused %u keys", a->refusals);
		err_hint(err, "name the key that it knows: key-file");
		return true;
	}
	switch (rc) {
	case LIBSSH2_ERROR_SOCKET_NONE:
	case LIBSSH2_ERROR_SOCKET_SEND:
	case LIBSSH2_ERROR_SOCKET_RECV:
	case LIBSSH2_ERROR_SOCKET_DISCONNECT:
	case LIBSSH2_ERROR_SOCKET_TIMEOUT:
	case LIBSSH2_ERROR_TIMEOUT:
	case LIBSSH2_ERROR_BAD_SOCKET:
		(void)sftp_session_failed(a->s, rc, "log in", a->again, err);
		return true;
	default:
		a->refusals++;
		return false;
	}
}

static int
read_secret(const char *path, const char *what, struct buf *b,
    struct err *err)
{
	if (secret_read_file(path, SECRET_PRIVATE, b, err) == 0)
		return 0;
	if (err->code != ERR_IO)
		err->code = ERR_CONFIG;
	return err_wrap(err, "%s", what);
}

/* *in: logged in. -1: something that ends the trying. */
static int
try_key(struct attempt *a, const char *path, bool *in, struct err *err)
{
	const char *pass_file = a->login->key_passphrase_file;
	char *what = xasprintf("key %s", path), *said = NULL;
	struct buf pass;
	int rc, ret = 0;

	buf_init(&pass, SECRET_FILE_MAX);
	if (pass_file != NULL && read_secret(pass_file,
	    "key-passphrase-file", &pass, err) != 0) {
		ret = -1;
		goto out;
	}
	rc = a->s->lib->userauth_publickey_fromfile_ex(a->s->ssh, a->user,
	    (unsigned)strlen(a->user), NULL, path,
	    pass_file == NULL ? NULL : buf_str(&pass));
	*in = rc == 0;
	if (rc == 0)
		goto out;
	(void)a->s->lib->session_last_error(a->s->ssh, &said, NULL, 0);
	if (broke(a, rc, err))
		ret = -1;
	if (ret != 0)
		goto out;
	if (rc == LIBSSH2_ERROR_FILE ||
	    rc == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED)
		note(a, what, pass_file == NULL ? "cannot be read: it may need "
		    "key-passphrase-file" : "cannot be read with this "
		    "passphrase");
	else
		note(a, what, rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
		    rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED ? "refused" :
		    said != NULL ? said : "failed");
out:
	secret_buf_free(&pass);
	free(what);
	return ret;
}

static int
try_agent(struct attempt *a, bool *in, struct err *err)
{
	const struct libssh2 *lib = a->s->lib;
	struct libssh2_agent_publickey *key = NULL, *last = NULL;
	LIBSSH2_AGENT *agent;
	unsigned n = 0;
	int rc, ret = 0;

	if (getenv("SSH_AUTH_SOCK") == NULL)
		return 0;
	agent = lib->agent_init(a->s->ssh);
	if (agent == NULL || lib->agent_connect(agent) != 0 ||
	    lib->agent_list_identities(agent) != 0) {
		note(a, "the agent", "does not answer");
		goto out;
	}
	while (ret == 0 && !*in &&
	    lib->agent_get_identity(agent, &key, last) == 0) {
		rc = lib->agent_userauth(agent, a->user, key);
		*in = rc == 0;
		if (rc != 0 && broke(a, rc, err))
			ret = -1;
		last = key;
		n++;
	}
	if (ret == 0 && !*in)
		note(a, "the agent's keys", n == 0 ? "it has none" :
		    "refused");
	(void)lib->agent_disconnect(agent);
out:
	if (agent != NULL)
		lib->agent_free(agent);
	return ret;
}

static int
try_home_keys(struct attempt *a, bool *in, struct err *err)
{
	static const char *const names[] = { "id_ed25519", "id_ecdsa",
		"id_rsa" };
	char *path;
	size_t i;
	int ret = 0;

	for (i = 0; i < 3 && ret == 0 && !*in; i++) {
		path = xasprintf("%s/.ssh/%s", a->login->home, names[i]);
		if (access(path, R_OK) == 0)
			ret = try_key(a, path, in, err);
		free(path);
	}
	return ret;
}

/* libssh2's callbacks get no argument: the password of this thread. */
static __thread const char *interactive_password;

static void
answer(const char *name, int name_len, const char *instruction,
    int instruction_len, int n, const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
    LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
	int i;

	for (i = 0; i < n; i++) {
		if (prompts[i].echo != 0)
			continue; /* it asks for something else */
		/* libssh2 frees it with free(), as it has no other allocator */
		responses[i].text = xstrdup(interactive_password);
		responses[i].length = (unsigned)strlen(interactive_password);
	}
}

static int
try_password(struct attempt *a, bool *in, struct err *err)
{
	unsigned user_len = (unsigned)strlen(a->user);
	struct buf b;
	int rc = LIBSSH2_ERROR_METHOD_NONE, ret = -1;

	if (a->login->password_file == NULL)
		return 0;
	buf_init(&b, SECRET_FILE_MAX);
	if (read_secret(a->login->password_file, "password-file", &b, err) !=
	    0)
		goto out;
	ret = 0;
	if (a->password)
		rc = a->s->lib->userauth_password_ex(a->s->ssh, a->user,
		    user_len, buf_str(&b), (unsigned)b.len, NULL);
	if (rc != 0 && a->keyboard && !broke(a, rc, err)) {
		interactive_password = buf_str(&b);
		rc = a->s->lib->userauth_keyboard_interactive_ex(a->s->ssh,
		    a->user, user_len, answer);
		interactive_password = NULL;
	}
	*in = rc == 0;
	if (rc != 0 && broke(a, rc, err))
		ret = -1;
	else if (rc != 0)
		note(a, "the password", a->password || a->keyboard ?
		    "refused" : "the server takes none");
out:
	secret_buf_free(&b);
	return ret;
}

static int
try_all(struct attempt *a, bool *in, struct err *err)
{
	if (a->publickey && a->login->key_file != NULL) {
		if (access(a->login->key_file, R_OK) != 0) {
			err_sys(err, errno, "key-file %s",
			    a->login->key_file);
			err->code = ERR_CONFIG;
			return -1;
		}
		if (try_key(a, a->login->key_file, in, err) != 0)
			return -1;
	} else if (a->publickey && (try_agent(a, in, err) != 0 ||
	    (!*in && a->login->password_file == NULL &&
	    try_home_keys(a, in, err) != 0)))
		return -1;
	return *in ? 0 : try_password(a, in, err);
}

int
sftp_auth(struct sftp_session *s, const struct sftp_login *login,
    bool *again, struct err *err)
{
	struct attempt a = { .s = s, .login = login,
		.user = sftp_user(login), .again = again };
	const struct sftp_place *p = &login->place;
	bool in = false;
	char *list;

	list = s->lib->userauth_list(s->ssh, a.user, (unsigned)strlen(a.user));
	if (list == NULL && s->lib->userauth_authenticated(s->ssh))
		return 0; /* the server asks for nothing */
	if (list == NULL) {
		(void)sftp_session_failed(s, LIBSSH2_ERROR_SOCKET_NONE,
		    "log in", again, err);
		return err_wrap(err, "user %s at %s", a.user, p->host);
	}
	a.publickey = strstr(list, "publickey") != NULL;
	a.keyboard = strstr(list, "keyboard-interactive") != NULL;
	/* One name contains no other of these. */
	a.password = strstr(list, "password") != NULL;
	if (try_all(&a, &in, err) != 0)
		return err_wrap(err, "user %s at %s", a.user, p->host);
	if (in)
		return 0;
	err_set(err, ERR_CONFIG, "user %s cannot log in at %s, port %u: "
	    "tried %s; the server takes: %s", a.user, p->host, p->port,
	    a.tried[0] == '\0' ? "nothing, since no key and no password is "
	    "known" : a.tried, list);
	return err_hint(err, "'ssh -p %u %s@%s' must work for the user that "
	    "runs this; name the key (key-file) or the password "
	    "(password-file). RSA keys do not serve: libssh2 1.10 signs with "
	    "SHA-1, which servers refuse", p->port, a.user, p->host);
}
