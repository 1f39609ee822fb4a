/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_STORAGE_OPS_H
#define STORAGE_STORAGE_OPS_H

/*
 * What a storage implements; only src/storage and its tests include this.
 * The contracts are those of the functions of the same names in storage.h;
 * keys have been checked. put_begin..abort may be NULL: then the pieces are
 * collected in memory and put() is called.
 */
#include "storage/storage.h"

struct storage_ops {
	const char *scheme; /* "file" */
	int (*clone)(const struct storage *st, struct storage **out,
	    struct err *err);
	void (*close)(struct storage *st);
	int (*create)(struct storage *st, struct err *err);
	int (*probe_root)(struct storage *st, struct err *err);
	int (*put)(struct storage *st, const char *key, const void *data,
	    size_t len, struct err *err);
	int (*get)(struct storage *st, const char *key, uint64_t off,
	    size_t len, void *out, struct err *err);
	int (*stat)(struct storage *st, const char *key, uint64_t *size,
	    int64_t *mtime, struct err *err);
	int (*list)(struct storage *st, const char *prefix, bool delimiter,
	    storage_list_fn fn, void *arg, struct err *err);
	int (*remove)(struct storage *st, const char *key, struct err *err);
	int (*get_all)(struct storage *st, const char *key, struct buf *b,
	    struct err *err); /* NULL: stat(), then get() */
	int (*remove_many)(struct storage *st, const char *const *keys,
	    size_t n, struct err *err); /* NULL: remove() each; names keys */
	uint64_t (*folder_margin)(struct storage *st); /* NULL: 0 */
	int (*settle)(struct storage *st, const char *key,
	    struct err *err); /* NULL: a key that is seen is durable */
	int (*sweep)(struct storage *st, uint64_t older_than_us,
	    uint64_t *removed, struct err *err); /* NULL: nothing is left */
	void (*facts)(struct storage *st,
	    struct storage_facts *out); /* NULL: refuses taken names */
	int64_t (*lock_until)(struct storage *st); /* NULL: locks nothing */
	int (*put_begin)(struct storage *st, const char *key,
	    struct storage_put **out, struct err *err);
	int (*put_append)(struct storage_put *put, const void *data,
	    size_t len, struct err *err);
	int (*put_finish)(struct storage_put *put, struct err *err);
	void (*put_abort)(struct storage_put *put);
};

/* The first member of every storage's own struct. */
struct storage {
	const struct storage_ops *ops;
	char *url;
};

/*
 * The first member of a storage's own put handle. put_begin() makes the
 * handle zeroed, storage.c fills these members and frees key; put_finish()
 * and put_abort() free the rest.
 */
struct storage_put {
	struct storage *st;
	char *key;
	size_t len;  /* appended so far */
	bool failed; /* an append failed: finish may not succeed */
};

int storage_posix_open(struct storage **out,
    const struct storage_settings *set, struct err *err) ERR_USE;

int storage_sftp_open(struct storage **out,
    const struct storage_settings *set, struct err *err) ERR_USE;

int storage_s3_open(struct storage **out, const struct storage_settings *set,
    struct err *err) ERR_USE;

/* For tests: objects in memory; clones share them. */
struct storage *storage_mem_new(void);

/* Objects put from now on get a time this much (microseconds) off. */
void storage_mem_clock(struct storage *st, int64_t offset);

/*
 * For tests: passes on to `inner` (which it owns), and fails the n-th call of
 * any operation (1 is the next) once with ERR_STORAGE. With `torn` the failed
 * put has been done nevertheless (the answer was lost).
 */
struct storage *storage_fault_new(struct storage *inner);
void storage_fault_at(struct storage *st, unsigned nth, bool torn);
/* The same, and no later call succeeds: the store is gone. */
void storage_fault_from(struct storage *st, unsigned nth, bool torn);
unsigned storage_fault_calls(const struct storage *st);

#endif
