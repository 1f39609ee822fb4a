/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_ERR_H
#define CORE_ERR_H

/*
 * Errors as values. A function that can fail takes `struct err *err` last and
 * returns 0, or -1 with *err filled: never both, never neither. The place
 * that sees the failure calls err_set() or err_sys(); callers add what they
 * know with err_wrap() on the way up; only src/cli prints.
 *
 *	struct err err = ERR_INIT;
 *	if (storage_get(st, key, &buf, &err) != 0)
 *		return err_wrap(&err, "restore %s", label);
 *
 * The message names what failed, on which object and why; the hint is the
 * next command to type. Callers tell outcomes apart by code, never by text.
 * A struct err belongs to one thread.
 */
#define ERR_MSG_MAX 2048
#define ERR_HINT_MAX 1024

enum err_code {
	ERR_NONE = 0,
	ERR_BUG,	 /* our own mistake: "please report" */
	ERR_USAGE,	 /* the command line */
	ERR_CONFIG,	 /* configuration file, environment, directories */
	ERR_IO,		 /* a system call on a local file failed */
	ERR_NOT_FOUND,	 /* the named thing does not exist */
	ERR_EXISTS,	 /* the name is taken, and untouched */
	ERR_DAMAGED,	 /* bytes are not what was written */
	ERR_UNSUPPORTED, /* a version or feature this program does not know */
	ERR_LOCKED,	 /* another process holds it */
	ERR_STORAGE,	 /* the repository's store failed */
	ERR_POSTGRES,	 /* the server refused or the connection failed */
	ERR_REFUSED,	 /* asked for something that cannot be done safely */
	ERR_CANCELLED	 /* a signal, or another worker's error */
};

struct err {
	enum err_code code;
	int sys_errno; /* errno behind it, or 0 */
	char msg[ERR_MSG_MAX];
	char hint[ERR_HINT_MAX];
};

#define ERR_INIT { .code = ERR_NONE }
#define ERR_USE __attribute__((warn_unused_result))

/* Fill *err. Returns -1, so that callers can `return err_set(...)`. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same from errno: ": strerror" is added. The code is ERR_NOT_FOUND for
 * ENOENT, ERR_EXISTS for EEXIST, else ERR_IO.
 */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "CONTEXT: " before the message; code and hint stay. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Set the hint unless one is there (the deepest knows best). Returns -1. */
int err_hint(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * That these give -1 is seen where they are called: compilers and analyzers then
 * know that a function which returned 0 has filled what it was to fill.
 */
static inline int
err_failed(int minus_one)
{
	(void)minus_one;
	return -1;
}
#define err_set(...) err_failed(err_set(__VA_ARGS__))
#define err_sys(...) err_failed(err_sys(__VA_ARGS__))
#define err_wrap(...) err_failed(err_wrap(__VA_ARGS__))
#define err_hint(...) err_failed(err_hint(__VA_ARGS__))

void err_clear(struct err *err);

/* A short name of the code ("storage", "damaged"), for JSON output. */
const char *err_code_name(enum err_code code);

#endif
