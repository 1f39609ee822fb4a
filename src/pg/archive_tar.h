/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_TAR_H
#define PG_ARCHIVE_TAR_H

/*
 * An archive in pg_dump's tar format: a directory's files as the members of
 * a tar file, in the order in which pg_restore reads them, without
 * compression. toc.dat comes first, then the data in the order of the table
 * of contents, each entry's large objects before their list, then
 * restore.sql, which is for people. Sizes are known before.
 *
 *	archive_tar_new(&t, head, mtime, sink, arg, err)	writes toc.dat
 *	archive_tar_begin(t, name, size, err)
 *	archive_tar_data(t, data, len, err) ...
 *	archive_tar_end(t, err)
 *	archive_tar_finish(t, err)
 *	archive_tar_free(t)
 *
 * Source: pg_backup_tar.c. One thread.
 */
#include "pg/archive.h"
#include "pg/archive_pack.h"

struct archive_tar;

int archive_tar_new(struct archive_tar **out, const struct archive_head *head,
    int64_t mtime, archive_sink sink, void *arg, struct err *err) ERR_USE;
int archive_tar_begin(struct archive_tar *t, const char *name, uint64_t size,
    struct err *err) ERR_USE;
int archive_tar_data(struct archive_tar *t, const void *data, size_t len,
    struct err *err) ERR_USE;

/* ERR_DAMAGED when there was less or more than announced. */
int archive_tar_end(struct archive_tar *t, struct err *err) ERR_USE;
int archive_tar_finish(struct archive_tar *t, struct err *err) ERR_USE;
void archive_tar_free(struct archive_tar *t);

#endif
