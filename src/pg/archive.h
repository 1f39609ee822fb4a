/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_ARCHIVE_H
#define PG_ARCHIVE_H

/*
 * The head of pg_dump's archives: a header and the whole table of contents,
 * which pg_dump writes before any data. Read as it comes from a pipe:
 *
 *	struct archive_reader *r;
 *	bool complete = false;
 *
 *	archive_reader_new(&r);
 *	while (!complete && (got = read(pipe, chunk, ...)) > 0)
 *		if (archive_reader_feed(r, chunk, got, &complete, &err) != 0)
 *			...
 *	head = archive_reader_head(r);		 (owned by r)
 *	archive_reader_raw(r, &bytes, &len);	 (the head, not a byte more)
 *	archive_reader_free(r);
 *
 * or from memory with archive_head_decode(). Written again, for another
 * format, with archive_head_encode(). Pure; an object belongs to one thread,
 * a const head may be read by many.
 *
 * Source of the format: PostgreSQL src/bin/pg_dump/pg_backup_archiver.c
 * (WriteHead, ReadHead, WriteToc, ReadToc), pg_backup_custom.c,
 * pg_backup_directory.c, pg_backup_tar.c. Archive versions: 1.14 is written
 * by pg_dump 12 to 15, 1.15 by 16, 1.16 by 17 and 18. What is newer is
 * refused by name.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* 100,000 tables with indexes and comments have some 400 MB of it. */
#define ARCHIVE_HEAD_MAX ((size_t)1 << 30)
#define ARCHIVE_ENTRIES_MAX 20000000
#define ARCHIVE_DEPENDENCIES_MAX 10000000

#define ARCHIVE_VERSION(major, minor) ((major) * 256 + (minor))
#define ARCHIVE_VERSION_MIN ARCHIVE_VERSION(1, 14)
#define ARCHIVE_VERSION_MAX ARCHIVE_VERSION(1, 16)

enum archive_format { ARCHIVE_CUSTOM = 1, ARCHIVE_TAR = 3, ARCHIVE_DIRECTORY = 5 };

/* The numbers that archives have from 1.15 on. */
enum archive_compression {
	ARCHIVE_NONE = 0,
	ARCHIVE_GZIP = 1,
	ARCHIVE_LZ4 = 2,
	ARCHIVE_ZSTD = 3
};

enum archive_section {
	ARCHIVE_SECTION_NONE = 1, /* comments, access rights: their object's */
	ARCHIVE_SECTION_PRE_DATA = 2,
	ARCHIVE_SECTION_DATA = 3,
	ARCHIVE_SECTION_POST_DATA = 4
};

/* Where an entry's data is in a custom-format archive. */
enum archive_data_state {
	ARCHIVE_POS_NOT_SET = 1, /* somewhere: search the blocks */
	ARCHIVE_POS_SET = 2,
	ARCHIVE_NO_DATA = 3
};

/* Strings are NULL where the archive has none, but desc and tag never are. */
struct archive_entry {
	int32_t dump_id; /* from 1, one entry each */
	bool had_dumper; /* has data: TABLE DATA, BLOBS, from 1.16 on others */
	uint32_t tableoid; /* of the system catalogue */
	uint32_t oid;
	const char *tag; /* "public shipments" without schema: "shipments" */
	const char *desc; /* "TABLE", "TABLE DATA", "BLOBS", "ACL" ... */
	int32_t section; /* enum archive_section */
	const char *defn;
	const char *drop_stmt;
	const char *copy_stmt; /* "COPY public.t (a, b) FROM stdin;\n" */
	const char *namespace;
	const char *tablespace;
	const char *tableam;
	int32_t relkind; /* a character; 0 below 1.16 */
	const char *owner;
	int32_t *dependencies; /* dump ids */
	size_t n_dependencies;

	/* What the format adds. */
	uint8_t data_state; /* custom: enum archive_data_state */
	uint64_t offset;
	const char *filename; /* directory, tar: as read; NULL for none */

	bool skip; /* archive_head_encode() leaves it out; false when read */
};

struct archive_head {
	unsigned version; /* ARCHIVE_VERSION(1, 14) ... */
	uint8_t revision;
	uint8_t off_size; /* bytes of an offset in custom format */
	uint8_t format; /* enum archive_format; a directory's says TAR */
	uint8_t compression; /* enum archive_compression */
	int32_t level; /* below 1.15, where it is all that is stored */
	int32_t time[7]; /* struct tm in local time: sec min hour mday mon year isdst */
	const char *dbname;
	const char *server_version; /* "15.20 (Debian 15.20-1.pgdg...)" */
	const char *dump_version;
	struct archive_entry *entries; /* in the archive's order */
	size_t n;
	size_t bytes; /* length of the head in what was read */
	void *memory; /* private: holds the strings and arrays */
};

struct archive_reader;

void archive_reader_new(struct archive_reader **out);
void archive_reader_free(struct archive_reader *r);

/*
 * The next piece. *complete is set once header and table of contents are
 * whole; what the pieces had beyond that is data and ignored. ERR_DAMAGED for
 * what is no archive, ERR_UNSUPPORTED for versions not known.
 */
int archive_reader_feed(struct archive_reader *r, const void *data, size_t len,
    bool *complete, struct err *err) ERR_USE;

/* The input ended before the head was complete: an error that says where. */
int archive_reader_early_end(const struct archive_reader *r, struct err *err);

/* Once complete; valid as long as r is. */
struct archive_head *archive_reader_head(struct archive_reader *r);
void archive_reader_raw(const struct archive_reader *r, const void **data,
    size_t *len);

/* A head that is whole, from memory. *out is the caller's to free. */
int archive_head_decode(const void *data, size_t len, struct archive_head *out,
    struct err *err) ERR_USE;
void archive_head_free(struct archive_head *h);

/* The entry with this dump id (found by searching), or NULL. */
struct archive_entry *archive_head_find(const struct archive_head *h,
    int32_t dump_id);

/*
 * The value of the archive's ENCODING entry ("UTF8") and of STDSTRINGS, which
 * a session that reads data for this archive must set. The name is written to
 * out; "" and true when the entries are missing.
 */
#define ARCHIVE_ENCODING_MAX 64
void archive_head_encoding(const struct archive_head *h,
    char out[ARCHIVE_ENCODING_MAX]);
bool archive_head_std_strings(const struct archive_head *h);

/*
 * Is the entry's data rows of a table, large objects? (desc says so: since
 * 1.16 other entries may have data too, such as statistics.)
 */
bool archive_entry_is_table_data(const struct archive_entry *e);
bool archive_entry_is_large_objects(const struct archive_entry *e);

/*
 * Append the head as an archive of `format` with `compression` has it, without
 * the entries marked `skip`. For custom format data_state and offset of each
 * entry are written as they are; the length does not depend on them, so that
 * a head can be written again over the first one when offsets are known. For
 * directory and tar the file names follow from dump id, version and format
 * (see archive_data_name()), whatever `filename` says. ERR_USAGE for
 * zstd below 1.15.
 */
int archive_compression_check(const struct archive_head *h,
    enum archive_compression compression, struct err *err) ERR_USE;
int archive_head_encode(const struct archive_head *h,
    enum archive_format format, enum archive_compression compression,
    struct buf *out, struct err *err) ERR_USE;

/*
 * The name that the table of contents has for an entry's data ("3412.dat",
 * "blobs.toc", "blobs_3399.toc"), "" and false for none. Files of a directory
 * have the compression's suffix behind it, but for the lists of large
 * objects. In a tar archive's table of contents a list goes by the entry's id
 * ("3399.dat"), though the member has the list's name.
 */
#define ARCHIVE_NAME_MAX 40
bool archive_data_name(const struct archive_head *h,
    const struct archive_entry *e, enum archive_format format,
    char out[ARCHIVE_NAME_MAX]);

/* The list of an entry's large objects, a large object, its line in a list. */
#define ARCHIVE_LINE_MAX 60
void archive_list_name(const struct archive_head *h,
    const struct archive_entry *e, char out[ARCHIVE_NAME_MAX]);
void archive_object_name(uint32_t oid, char out[ARCHIVE_NAME_MAX]);
void archive_object_line(uint32_t oid, char out[ARCHIVE_LINE_MAX]);

/* "", ".gz", ".lz4", ".zst". */
const char *archive_suffix(enum archive_compression c);

/* Integers as archives have them: a sign byte and four bytes. */
#define ARCHIVE_INT_BYTES 5
void archive_put_int(struct buf *b, int32_t v);

#endif
