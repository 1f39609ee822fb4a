/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_SFTP_SESSION_H
#define STORAGE_SFTP_SESSION_H

/*
 * Internal to src/storage: one SSH connection with one SFTP channel, logged
 * in, its host known.
 *
 *	sftp_session_open(&s, &login, 20000, &again, err)
 *	rc = s->lib->sftp_...(s->sftp, ...);
 *	if (rc < 0)
 *		sftp_session_failed(s, rc, "open", &again, err);
 *	sftp_session_close(s);
 *
 * Every call has a time limit, so that a dead line is an error and not a
 * wait for ever (TRAPS T121). One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "storage/libssh2.h"
#include "storage/sftp_place.h"

/* How to get in; texts but those of the place may be NULL. */
struct sftp_login {
	struct sftp_place place;
	char *key_file, *key_passphrase_file, *password_file, *known_hosts;
	char *home; /* of who runs this */
	bool accept_new;
};

struct sftp_session {
	const struct libssh2 *lib;
	LIBSSH2_SESSION *ssh;
	LIBSSH2_SFTP *sftp;
	int sock;
	int64_t last_used; /* time_boottime() */
};

/*
 * timeout_ms: for each step. *again after -1: trying again may help (it was
 * the network, or the server is starting).
 */
int sftp_session_open(struct sftp_session **out,
    const struct sftp_login *login, uint64_t timeout_ms, bool *again,
    struct err *err) ERR_USE;
void sftp_session_close(struct sftp_session *s); /* NULL is fine */

/* The time that each call from now on may take. */
void sftp_session_limit(struct sftp_session *s, uint64_t timeout_ms);

/*
 * Is it still there after a pause? Asks the server when that was long, and
 * changes the limit then.
 */
bool sftp_session_alive(struct sftp_session *s);

/*
 * rc of a call of libssh2, as an error "what: ...". *again: the connection is
 * broken, and a new one may serve. An answer of the server (LIBSSH2_FX_...) is
 * returned, else -1.
 */
long sftp_session_failed(struct sftp_session *s, int rc, const char *what,
    bool *again, struct err *err);

/* The name of a status of SFTP version 3. */
const char *sftp_status_text(long status);

/* sftp_hostkey.c: before and after the handshake. */
int sftp_hostkey_prefer(struct sftp_session *s,
    const struct sftp_login *login, struct err *err) ERR_USE;
int sftp_hostkey_check(struct sftp_session *s,
    const struct sftp_login *login, struct err *err) ERR_USE;

/* sftp_auth.c */
int sftp_auth(struct sftp_session *s, const struct sftp_login *login,
    bool *again, struct err *err) ERR_USE;

/* Fill in what was left open: the user's name, the home directory. */
void sftp_login_complete(struct sftp_login *login);

/* The user's name on the server. */
const char *sftp_user(const struct sftp_login *login);

#endif
