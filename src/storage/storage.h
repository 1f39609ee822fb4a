/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

/*
 * Where a repository lives: a flat set of immutable objects, each named by a
 * key ("clusters/main/15-7312/wal/...") and at most STORAGE_OBJECT_MAX bytes.
 * An object is bounded, so that any operation can be retried as a whole.
 *
 *	struct storage_settings set = { .url = "file:///var/lib/dapk-backup" };
 *	storage_open(&st, &set, err);
 *	storage_put(st, key, data, len, err);
 *	storage_get(st, key, 0, len, out, err);
 *	storage_close(st);
 *
 * A handle serves one thread at a time; storage_clone() gives another thread
 * its own. Use the storage_*() functions: they check the key and put the
 * storage's name and the key into errors.
 *
 * Keys: parts of 1 to 255 characters from A-Z a-z 0-9 . _ - joined by '/',
 * no part beginning with '.', at most STORAGE_KEY_MAX in all.
 *
 * Errors: ERR_NOT_FOUND (no such key; only when that is certain), ERR_EXISTS,
 * ERR_DAMAGED (shorter than asked for), ERR_CONFIG (what the user has to put
 * right: keys, bucket, host key), ERR_STORAGE (all else, with a hint).
 *
 * What a network or a busy server does to an operation (refused, reset, slow,
 * 503) is met inside: the whole operation is done again, with growing pauses,
 * until it succeeds or `timeout_ms` is over (storage/retry.h). What cannot
 * get better by itself (keys, rights, names) fails at once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define STORAGE_OBJECT_MAX ((size_t)64 << 20)
#define STORAGE_KEY_MAX 512

struct storage;
struct storage_put;

enum storage_path_style { STORAGE_PATH_AUTO, STORAGE_PATH_YES, STORAGE_PATH_NO };
enum storage_host_key { STORAGE_HOST_KEY_STRICT, STORAGE_HOST_KEY_ACCEPT_NEW };

#define STORAGE_TIMEOUT_DEFAULT_MS 120000

/*
 * What opening a storage takes; all texts but url may be NULL and are copied.
 * A field that the URL's scheme does not know is left out of account.
 */
struct storage_settings {
	/*
	 * file:///absolute/path
	 * s3://bucket/prefix		prefix may be empty
	 * sftp://user@host:port/path	user, port optional; ~ is the home:
	 *				sftp://host/~/path
	 */
	const char *url;
	uint64_t timeout_ms; /* retries end after this; 0: the default */

	/* S3, and ca_file for every https */
	const char *endpoint; /* "https://host:port"; NULL: Amazon's */
	const char *region;   /* NULL: AWS_REGION, else us-east-1 */
	enum storage_path_style path_style;
	const char *credentials;   /* "auto", "env", "file:/path", ... */
	const char *access_key_id; /* of the configuration file */
	const char *secret_access_key;
	const char *ca_file; /* NULL: the system's */
	const char *server_side_encryption; /* "AES256", "aws:kms" */
	const char *kms_key_id;
	const char *storage_class;
	unsigned object_lock_days; /* 0: objects are not locked */

	/* SFTP */
	const char *key_file;
	const char *key_passphrase_file;
	const char *password_file;
	const char *known_hosts; /* NULL: ~/.ssh/known_hosts */
	enum storage_host_key host_key;
};

/*
 * One entry of a listing: an object, or (with delimiter) a "directory", the
 * common start of several keys up to and including the next '/'. name is the
 * part after the prefix given.
 */
struct storage_entry {
	const char *name;
	bool is_directory;
	uint64_t size; /* objects */
	/*
	 * Microseconds since 2000, the store's clock. Of a directory when
	 * something was put into it or taken away last (directly, not further
	 * below), where the storage knows that: storage_folder_margin().
	 */
	int64_t mtime;
};

/* Return 0 to go on, -1 (err filled) to stop with that error. */
typedef int (*storage_list_fn)(void *arg, const struct storage_entry *entry,
    struct err *err);

/*
 * ERR_CONFIG when the settings make no sense. Opening does not prove that
 * anything is there, connects to nothing, and never creates a repository's
 * folder (storage_create() does).
 */
int storage_open(struct storage **out, const struct storage_settings *set,
    struct err *err) ERR_USE;
int storage_clone(const struct storage *st, struct storage **out,
    struct err *err) ERR_USE;
void storage_close(struct storage *st); /* NULL is fine */

/* Of a URL: is it this host's own file system, where no request is slow? */
bool storage_is_local(const char *url);

/* The URL without secrets, for messages. */
const char *storage_url(const struct storage *st);

/* Make the place itself (posix: the directory, 0700). For `init` only. */
int storage_create(struct storage *st, struct err *err) ERR_USE;

/*
 * Is the place there? ERR_NOT_FOUND when the root is missing (an unmounted
 * disk). Cheap.
 */
int storage_probe_root(struct storage *st, struct err *err) ERR_USE;

/*
 * Create `key`. After 0 the object is complete and survives a crash of the
 * machine that holds it. After -1 it is absent or complete, never partial.
 * ERR_EXISTS: the key was taken, and is untouched.
 */
int storage_put(struct storage *st, const char *key, const void *data,
    size_t len, struct err *err) ERR_USE;

/*
 * The same in pieces, so that a local store writes while the rest is still
 * being made (others collect them). Exactly one of finish and abort must
 * follow begin; both free the handle. finish has storage_put()'s contract.
 */
int storage_put_begin(struct storage *st, const char *key,
    struct storage_put **out, struct err *err) ERR_USE;
int storage_put_append(struct storage_put *put, const void *data, size_t len,
    struct err *err) ERR_USE;
int storage_put_finish(struct storage_put *put, struct err *err) ERR_USE;
void storage_put_abort(struct storage_put *put); /* NULL is fine */

/* Read exactly len bytes at off. Fewer there: ERR_DAMAGED. */
int storage_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err) ERR_USE;

/* Append a whole object to b; larger than b's ceiling is ERR_REFUSED. */
int storage_get_all(struct storage *st, const char *key, struct buf *b,
    struct err *err) ERR_USE;

int storage_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err) ERR_USE; /* mtime may be NULL */

/*
 * Entries whose key begins with prefix, which is "" or ends with '/' or goes
 * on into a name ("wal/00000001/00000000/000000010000000000000003-"), in no
 * particular order. With delimiter true only one level is listed. Nothing
 * there is not an error, but a store that is not there is.
 */
int storage_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err) ERR_USE;

/*
 * 0: this storage knows no times of directories, entries have mtime 0. Else
 * microseconds: a directory whose time is at least so much before this host's
 * clock, when it is listed, gets another time with every later change. So
 * while it has that time, it holds what was listed.
 */
uint64_t storage_folder_margin(struct storage *st);

/*
 * For an object that was found, or was in the way of a put, and that now
 * counts as stored: makes sure that its name survives a crash too, in case
 * whoever put it died before that. (A put that gives ERR_EXISTS has done it.)
 */
int storage_settle(struct storage *st, const char *key, struct err *err) ERR_USE;

/*
 * Remove; that it is not there is fine. Durable, so that order counts.
 * ERR_REFUSED: the store keeps it locked for now, and it stays; a later
 * attempt may remove it.
 */
int storage_remove(struct storage *st, const char *key, struct err *err) ERR_USE;

/*
 * Remove several, in no order: many by one request where the store can. After
 * an error (as of storage_remove()) some are gone and others are not.
 */
int storage_remove_many(struct storage *st, const char *const *keys, size_t n,
    struct err *err) ERR_USE;

/*
 * Remove what writers that died left half written, if it is older than this
 * by the store's own clock; *removed may be NULL. Objects are never touched.
 */
int storage_sweep(struct storage *st, uint64_t older_than_us,
    uint64_t *removed, struct err *err) ERR_USE;

/* What a store is like, as far as operations have shown until now. */
struct storage_facts {
	bool refuses_taken; /* a taken name, by itself; else it is looked up */
	char more[160];	    /* a remark of the storage's own, or "" */
};

void storage_facts(struct storage *st, struct storage_facts *out);

/*
 * An object that is put now and is made to last cannot be removed before this
 * (object lock), by the store's clock as far as it is known; 0: it can.
 */
int64_t storage_lock_until(struct storage *st);

struct storage_check {
	struct storage_facts facts;
	int64_t clock_us;    /* the store's less this host's; 0: they agree as
				far as can be seen */
	uint64_t request_us; /* what a small read took */
	uint64_t up, down;   /* bytes a second; 0: not measured */
};

/*
 * What `check` runs: put, get, range, list, create-if-absent, remove of a
 * probe object under "tmp-probe/", then, with `measure`, a few MiB there and
 * back. Each failure says which step. For posix it also refuses a file system
 * with neither link(2) nor renameat2(RENAME_NOREPLACE).
 */
int storage_check(struct storage *st, bool measure, struct storage_check *out,
    struct err *err) ERR_USE;

/* What works, in one line. Pure. */
void storage_check_text(const struct storage_check *c, struct buf *out);

bool storage_key_valid(const char *key);

#endif
