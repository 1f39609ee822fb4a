/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_IO_H
#define CORE_IO_H

/*
 * Reading and writing local files: whole transfers, EINTR handled, every
 * error with the file's name. `name` in these calls is only for messages.
 * Thread safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

/* Write all of it or fail. */
int io_write_full(int fd, const void *data, size_t len, const char *name,
    struct err *err) ERR_USE;
int io_pwrite_full(int fd, const void *data, size_t len, uint64_t off,
    const char *name, struct err *err) ERR_USE;

/*
 * Read up to len bytes at off; fewer only at the end of the file. *got tells
 * how many.
 */
int io_pread_upto(int fd, void *data, size_t len, uint64_t off, size_t *got,
    const char *name, struct err *err) ERR_USE;

/* Read exactly len bytes at off; a shorter file is ERR_DAMAGED. */
int io_pread_full(int fd, void *data, size_t len, uint64_t off,
    const char *name, struct err *err) ERR_USE;

/* Append a whole file to b; larger than b's ceiling is ERR_REFUSED. */
int io_read_file(const char *path, struct buf *b, struct err *err) ERR_USE;
int io_read_fd(int fd, const char *name, struct buf *b,
    struct err *err) ERR_USE;

/* fsync with the name in the error. */
int io_fsync(int fd, const char *name, struct err *err) ERR_USE;

/*
 * fsync a directory. EINVAL and EBADF, which some file systems give for
 * directories, are not errors (TRAPS T64).
 */
int io_fsync_dir(const char *path, struct err *err) ERR_USE;

/* The directory that path is an entry of. */
int io_fsync_parent(const char *path, struct err *err) ERR_USE;

/*
 * Everything in this directory and below is on disk, in the same file system:
 * what is mounted or linked inside is not.
 */
int io_sync_tree(const char *path, struct err *err) ERR_USE;

/*
 * Make path and what is missing above it, mode for each new one; each new
 * directory's parent is fsynced. One that exists is fine.
 */
int io_mkdir_p(const char *path, mode_t mode, struct err *err) ERR_USE;

/*
 * Create path with this content, durable when it returns: written to
 * path.tmp, fsynced, renamed over path, directory fsynced.
 */
int io_write_file_durable(const char *path, const void *data, size_t len,
    mode_t mode, struct err *err) ERR_USE;

/*
 * A new file without a name in TMPDIR, or /tmp, for what is too much for
 * memory: it goes when *fd is closed.
 */
int io_open_nameless(int *fd, struct err *err) ERR_USE;
int io_open_nameless_in(const char *dir, int *fd, struct err *err) ERR_USE;

/* Remove a file; that it is not there is fine. */
int io_unlink(const char *path, struct err *err) ERR_USE;

/* Remove a directory and all below it; follows no symbolic link. */
int io_remove_tree(const char *path, struct err *err) ERR_USE;

/* Does path exist (lstat)? An error other than ENOENT/ENOTDIR is an error. */
int io_exists(const char *path, bool *exists, struct err *err) ERR_USE;

#endif
