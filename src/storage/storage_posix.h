/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_STORAGE_POSIX_H
#define STORAGE_STORAGE_POSIX_H

/* What the two files of the posix storage share; no one else includes it. */
#include <sys/stat.h>

#include "storage/storage_ops.h"

#define POSIX_TMP "tmp"
#define POSIX_DIRS_HELD 4

/* A directory of the store that is held open. */
struct held_dir {
	char *path; /* relative to the root; NULL: free slot */
	int fd;
	unsigned used; /* when, for choosing which to let go */
};

struct posix {
	struct storage st;
	char *root;
	int root_fd; /* -1: not opened yet */
	dev_t dev;
	ino_t ino;
	struct held_dir dirs[POSIX_DIRS_HELD];
	unsigned clock;
};

/* ERR_STORAGE from errno, and as a hint what can be done about it. */
int posix_fail(const struct posix *p, int errnum, struct err *err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same for an error that core/io made. */
int posix_fail_io(const struct posix *p, struct err *err) ERR_USE;

/*
 * Open the root, or see that it still is what was opened; else an error with
 * code `missing`.
 */
int posix_check_root(struct posix *p, enum err_code missing,
    struct err *err) ERR_USE;

/* Operations that are in storage_posix_read.c. */
int posix_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err) ERR_USE;
int posix_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err) ERR_USE;
int posix_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err) ERR_USE;
uint64_t posix_folder_margin(struct storage *st);

/* In storage_posix_sweep.c. */
int posix_sweep(struct storage *st, uint64_t older_than_us,
    uint64_t *removed, struct err *err) ERR_USE;

#endif
