/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_PACK_H
#define PG_ARCHIVE_PACK_H

/*
 * Compression as pg_dump's archives have it: one stream of an entry's bytes.
 *
 *	archive_pack_new(&p, ARCHIVE_GZIP, level, ARCHIVE_PACK_FILE, err)
 *	archive_pack_write(p, data, len, sink, arg, err)
 *	archive_pack_end(p, sink, arg, err)	the next write begins another
 *	archive_pack_free(p)
 *
 * What is ended is whole by itself: a gzip member, a zlib stream or a zstd
 * frame; files may have several one after another, a zlib stream inside a
 * custom-format archive stands alone. Ended with nothing written it is one of
 * no bytes. An object belongs to one thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/archive.h"

/* Sources: compress_gzip.c, compress_zstd.c of pg_dump. */
enum archive_pack_kind {
	ARCHIVE_PACK_FILE,  /* gzip members */
	ARCHIVE_PACK_CUSTOM /* zlib streams */
};

#define ARCHIVE_LEVEL_DEFAULT (-100)

/* Takes bytes; -1 with *err stops what is going on. */
typedef int (*archive_sink)(void *arg, const void *data, size_t len,
    struct err *err);

struct archive_pack;

int archive_pack_new(struct archive_pack **out,
    enum archive_compression compression, int level,
    enum archive_pack_kind kind, struct err *err) ERR_USE;
int archive_pack_write(struct archive_pack *p, const void *data, size_t len,
    archive_sink sink, void *arg, struct err *err) ERR_USE;
int archive_pack_end(struct archive_pack *p, archive_sink sink, void *arg,
    struct err *err) ERR_USE;

/* Was something written that is not ended yet? */
bool archive_pack_begun(const struct archive_pack *p);
void archive_pack_free(struct archive_pack *p);

/* "none", "gzip", "gzip:1", "zstd:3": false for anything else. */
bool archive_compression_parse(const char *text,
    enum archive_compression *compression, int *level);

/* The same of --compress: ERR_USAGE. */
int archive_compression_option(const char *text,
    enum archive_compression *compression, int *level,
    struct err *err) ERR_USE;

#endif
