/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_DUMPFOLDER_H
#define REPO_DUMPFOLDER_H

/*
 * Rows and large objects into a folder in pg_dump's directory format, from
 * several threads, a large table's ranges at once: what a dump without a
 * repository writes, and an export.
 *
 *	dump_folder_new(&f, path, compression, level, err)	early: it may
 *								be refused
 *	dump_folder_head(f, head)		pg_dump's, before any writer
 *	folder_writer_new(&w, f, err)		one a thread
 *	folder_item_begin(w, &item, err)
 *	folder_item_write(w, data, len, err)	rows; or large objects as
 *						FORMAT.md has them
 *	folder_item_end(w, err)
 *	folder_writer_free(w)
 *	dump_folder_finish(f, err)		it has its name now
 *	dump_folder_free(f)			else nothing is left
 *
 * A table's rows stand in the order of its ranges. The first range that is
 * not complete goes into the table's file at once, later ones into files of
 * their own until it is their turn.
 */
#include <stdint.h>

#include "core/err.h"
#include "pg/archive.h"

struct dump_folder;
struct folder_writer;

struct folder_item {
	int32_t dump_id; /* of the entry; large objects: several items */
	uint32_t range, ranges; /* 0 of 1: the whole table */
};

int dump_folder_new(struct dump_folder **out, const char *path,
    enum archive_compression compression, int level, struct err *err) ERR_USE;

/* head lives as long as f. ERR_USAGE: zstd, and pg_dump below 16. */
int dump_folder_head(struct dump_folder *f, const struct archive_head *head,
    struct err *err) ERR_USE;

/* ERR_BUG unless every entry with data has got all of it. */
int dump_folder_finish(struct dump_folder *f, struct err *err) ERR_USE;
void dump_folder_free(struct dump_folder *f);

int folder_writer_new(struct folder_writer **out, struct dump_folder *f,
    struct err *err) ERR_USE;
void folder_writer_free(struct folder_writer *w);
int folder_item_begin(struct folder_writer *w, const struct folder_item *item,
    struct err *err) ERR_USE;
int folder_item_write(struct folder_writer *w, const void *data, size_t len,
    struct err *err) ERR_USE;
/*
 * A whole member or frame of a table's file, compressed as the folder's files
 * are, as it is.
 */
int folder_item_packed(struct folder_writer *w, const void *data, size_t len,
    struct err *err) ERR_USE;
int folder_item_end(struct folder_writer *w, struct err *err) ERR_USE;

#endif
