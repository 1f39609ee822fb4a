/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_DIR_H
#define PG_ARCHIVE_DIR_H

/*
 * An archive in pg_dump's directory format: toc.dat, a file for each entry
 * that has data, one for each large object and lists of these. It appears
 * under its name when all of it is on disk, and not at all otherwise:
 *
 *	archive_dir_new(&d, path, compression, level, err)
 *	archive_dir_head(d, head, err)
 *	for each entry, on any thread, each file by one:
 *		archive_file_open(&f, d, name, err)
 *		archive_file_write(f, data, len, err) ...
 *		archive_file_close(f, err)
 *	archive_dir_finish(d, err)
 *	archive_dir_free(d)		removes what was not finished
 *
 * Until then it is PATH.tmp. PATH may be an empty directory.
 *
 * Source: pg_backup_directory.c.
 */
#include "pg/archive.h"
#include "pg/archive_pack.h"

struct archive_dir;
struct archive_file;

/* ERR_REFUSED when path has something in it. */
int archive_dir_new(struct archive_dir **out, const char *path,
    enum archive_compression compression, int level, struct err *err) ERR_USE;

/*
 * Before any file; it must live as long. ERR_USAGE: archives of its
 * version cannot have that compression.
 */
int archive_dir_head(struct archive_dir *d, const struct archive_head *head,
    struct err *err) ERR_USE;

/* Where it is being written, for files that others make there. */
const char *archive_dir_temp(const struct archive_dir *d);

/* toc.dat, everything synced, and the name. */
int archive_dir_finish(struct archive_dir *d, struct err *err) ERR_USE;
void archive_dir_free(struct archive_dir *d);

/* The file of a table's rows, of a large object, of a list of them. */
int archive_file_open(struct archive_file **out, struct archive_dir *d,
    const struct archive_entry *e, struct err *err) ERR_USE;
int archive_file_open_object(struct archive_file **out, struct archive_dir *d,
    uint32_t oid, struct err *err) ERR_USE;
int archive_file_open_list(struct archive_file **out, struct archive_dir *d,
    const struct archive_entry *e, struct err *err) ERR_USE;

/* Bytes to be compressed; one object's line in a list. */
int archive_file_write(struct archive_file *f, const void *data, size_t len,
    struct err *err) ERR_USE;
int archive_file_list(struct archive_file *f, uint32_t oid,
    struct err *err) ERR_USE;

/*
 * Bytes that are compressed already, whole members or frames; what was
 * written before is ended. _append() takes them from a descriptor, from its
 * position 0.
 */
int archive_file_packed(struct archive_file *f, const void *data, size_t len,
    struct err *err) ERR_USE;
int archive_file_append(struct archive_file *f, int fd, uint64_t len,
    struct err *err) ERR_USE;

/*
 * A table's rows end with the mark that pg_dump puts there. On disk it is
 * after archive_dir_finish() only.
 */
int archive_file_close(struct archive_file *f, struct err *err) ERR_USE;
void archive_file_free(struct archive_file *f); /* after an error */

/* What ends a table's rows in every format. */
#define ARCHIVE_ROWS_END "\\.\n\n\n"

#endif
