/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_TARFILE_H
#define EXPORT_TARFILE_H

/*
 * Internal to src/export: a tar archive written to a descriptor, by
 * libarchive, in the format of GNU tar: it has room for files of 8 GB and more
 * and for long names, takes names as bytes, and pg_verifybackup reads it, which
 * does not read pax headers.
 *
 *	tarfile_new(&t, fd, name, err)
 *	tarfile_dir(), tarfile_link(), tarfile_content()
 *	tarfile_begin(t, &about, err); tarfile_data() ...; tarfile_end(t, err)
 *	tarfile_finish(t, err)
 *	tarfile_free(t)
 *
 * Times are microseconds since 2000. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct tarfile;

struct tarfile_about {
	const char *path;
	uint64_t size;
	uint32_t mode;
	int64_t mtime;
};

/* name: of the file, for messages. The descriptor stays the caller's. */
int tarfile_new(struct tarfile **out, int fd, const char *name,
    struct err *err) ERR_USE;
int tarfile_dir(struct tarfile *t, const char *path, uint32_t mode,
    int64_t mtime, struct err *err) ERR_USE;
int tarfile_link(struct tarfile *t, const char *path, const char *target,
    int64_t mtime, struct err *err) ERR_USE;

int tarfile_begin(struct tarfile *t, const struct tarfile_about *about,
    struct err *err) ERR_USE;
int tarfile_data(struct tarfile *t, const void *data, size_t len,
    struct err *err) ERR_USE;
/* ERR_DAMAGED when the data were more or fewer bytes than was said. */
int tarfile_end(struct tarfile *t, struct err *err) ERR_USE;

int tarfile_content(struct tarfile *t, const struct tarfile_about *about,
    const void *data, struct err *err) ERR_USE;

int tarfile_finish(struct tarfile *t, struct err *err) ERR_USE;
void tarfile_free(struct tarfile *t); /* NULL is fine */

#endif
