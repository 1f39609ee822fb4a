/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_SFTP_H
#define STORAGE_SFTP_H

/*
 * Internal to src/storage: a storage on a host that is reached by SFTP
 * (draft-ietf-secsh-filexfer-02, version 3, which servers speak). An object
 * is a file below the place's root, put as a temporary file beside it,
 * synced with fsync@openssh.com where the server has that, and renamed, which
 * in version 3 never replaces.
 *
 * An operation is a function that sftp_run() calls, again as a whole on a new
 * session when the line broke.
 */
#include "storage/sftp_session.h"
#include "storage/storage_ops.h"

struct sftp_shared { /* of all clones */
	struct sftp_login login;
	uint64_t timeout_ms;
	unsigned handles; /* guarded by __atomic */
};

struct sftp {
	struct storage st;
	struct sftp_shared *shared;
	struct sftp_session *session; /* NULL: not connected */
	bool no_fsync; /* the server has said so */
	char *made;    /* the directory that is known to be there */
};

/*
 * One try. *again, after -1: the line broke; it is called again, tries counts
 * from 0. What the server answered last is in *status (LIBSSH2_FX_...), or -1.
 */
struct sftp_try {
	bool again;
	long status;
	unsigned tries;
};

typedef int (*sftp_fn)(struct sftp *s, void *arg, struct sftp_try *t,
    struct err *err);

int sftp_run(struct sftp *s, sftp_fn fn, void *arg, struct err *err) ERR_USE;

/* A call of libssh2 failed with rc: fill err and t. Returns -1. */
int sftp_failed(struct sftp *s, struct sftp_try *t, int rc, const char *what,
    struct err *err);

/* The path of a key (or "" for the root); the caller frees. */
char *sftp_path(const struct sftp *s, const char *key);

bool sftp_is_absent(long status);

struct sftp *sftp_of(struct storage *st);

/* Does the root exist? ERR_NOT_FOUND when it certainly does not. */
int sftp_check_root(struct sftp *s, struct sftp_try *t,
    struct err *err) ERR_USE;

/*
 * "No such file" about an object: ERR_NOT_FOUND, unless the root is missing
 * (ERR_STORAGE). Returns -1.
 */
int sftp_object_absent(struct sftp *s, struct sftp_try *t, struct err *err);

LIBSSH2_SFTP_HANDLE *sftp_open_file(struct sftp *s, const char *path,
    unsigned long flags);

/* Close it, also after an error. What libssh2 says. */
int sftp_release(struct sftp *s, LIBSSH2_SFTP_HANDLE *h,
    const struct sftp_try *t);

int sftp_put(struct storage *st, const char *key, const void *data,
    size_t len, struct err *err) ERR_USE;
int sftp_settle(struct storage *st, const char *key, struct err *err) ERR_USE;
int sftp_create(struct storage *st, struct err *err) ERR_USE;
int sftp_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err) ERR_USE;
int sftp_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err) ERR_USE;
uint64_t sftp_folder_margin(struct storage *st);
int sftp_sweep(struct storage *st, uint64_t older_than_us, uint64_t *removed,
    struct err *err) ERR_USE;

/* Names of what is being written: no key's part begins with a dot. */
#define SFTP_TEMP ".tmp-"

#endif
