/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_DUMPJOB_H
#define EXPORT_DUMPJOB_H

/* Internal to src/export: the export of a dump on its way. */
#include <stddef.h>
#include <stdint.h>

#include "export/dump.h"
#include "pg/archive.h"
#include "repo/dumpparts.h"

struct dumpjob {
	const struct export_dump_params *params;
	struct dumpset *set;
	struct dumpread *reader; /* the calling thread's */
	struct archive_head head;
	struct dumpparts parts;
	enum archive_compression compression;
	bool frames; /* zstd as it is stored */
};

/* Bytes of the dump that went out: progress, and a look for signals. */
int dumpjob_count(const struct dumpjob *j, size_t len,
    struct err *err) ERR_USE;

/* Is what a chunk is stored as a zstd frame? */
bool dumpjob_usable_frame(const void *payload, size_t len);

/* Of the pg_dump that wrote the table of contents. */
int dumpjob_major(const struct dumpjob *j);

/* restore.sql; stays empty, with a warning, when there is no pg_restore. */
int dumpjob_script(struct dumpjob *j, struct buf *out,
    struct err *err) ERR_USE;

/* An archive as one stream of bytes: custom and tar. */
int dumpjob_custom(struct dumpjob *j, enum archive_compression compression,
    archive_sink sink, void *arg, struct buf *final_head,
    struct err *err) ERR_USE;
int dumpjob_tar(struct dumpjob *j, archive_sink sink, void *arg,
    struct err *err) ERR_USE;

/* Files in a directory, on several threads. */
int dumpjob_directory(struct dumpjob *j, struct err *err) ERR_USE;

/* SQL, by pg_restore, to a descriptor. */
int dumpjob_plain(struct dumpjob *j, int fd, struct err *err) ERR_USE;

#endif
