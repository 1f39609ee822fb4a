/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_CUSTOM_H
#define PG_ARCHIVE_CUSTOM_H

/*
 * An archive in pg_dump's custom format, into a file or a pipe:
 *
 *	archive_custom_new(&c, head, compression, level, sink, arg, err)
 *	for each entry with data, in the order of the table of contents:
 *		archive_custom_begin(c, e, err)
 *		archive_custom_data(c, data, len, err) ...
 *		archive_custom_end(c, err)
 *	archive_custom_head(c, &bytes, err)	(when the sink can seek)
 *	archive_custom_free(c)
 *
 * The data of an entry of large objects is, for each of them,
 * archive_custom_object(), its data, archive_custom_end_object(). The sink
 * gets the bytes in order; it may gather them.
 *
 * A head that is written over the first one knows where each entry's data is,
 * which pg_restore -j likes; without it pg_restore searches.
 *
 * Source: pg_backup_custom.c. One thread.
 */
#include "pg/archive.h"
#include "pg/archive_pack.h"

struct archive_custom;

/* Writes the head. Changes head's data_state and offset; it must live on. */
int archive_custom_new(struct archive_custom **out, struct archive_head *head,
    enum archive_compression compression, int level, archive_sink sink,
    void *arg, struct err *err) ERR_USE;

int archive_custom_begin(struct archive_custom *c, struct archive_entry *e,
    struct err *err) ERR_USE;
int archive_custom_data(struct archive_custom *c, const void *data, size_t len,
    struct err *err) ERR_USE;

/*
 * Zstd frames that are there already, one whole frame a call, for
 * ARCHIVE_ZSTD. pg_restore decodes up to the end of a frame and goes on with
 * the next block, so that a block must not have more than one.
 */
int archive_custom_frame(struct archive_custom *c, const void *frame,
    size_t len, struct err *err) ERR_USE;
int archive_custom_object(struct archive_custom *c, uint32_t oid,
    struct err *err) ERR_USE;
int archive_custom_end_object(struct archive_custom *c,
    struct err *err) ERR_USE;
int archive_custom_end(struct archive_custom *c, struct err *err) ERR_USE;

/* All data is there: the head to be written over the first one. */
int archive_custom_head(struct archive_custom *c, struct buf *out,
    struct err *err) ERR_USE;
void archive_custom_free(struct archive_custom *c);

#endif
