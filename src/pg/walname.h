/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALNAME_H
#define PG_WALNAME_H

/*
 * Names of the files in pg_wal, LSNs and timelines, for any legal segment
 * size. Source: PostgreSQL src/include/access/xlog_internal.h (13 to 18).
 * All hexadecimal (TRAPS T26). Pure and thread safe.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef uint64_t pg_lsn;

#define WAL_SEGMENT_SIZE_MIN (UINT32_C(1) << 20)
#define WAL_SEGMENT_SIZE_MAX (UINT32_C(1) << 30)
#define WAL_SEGMENT_NAME_LEN 24
#define WAL_FILE_NAME_MAX 64 /* PostgreSQL's own limit for %f, with the 0 */
#define LSN_TEXT_MAX 18

enum wal_file_type {
	WAL_FILE_SEGMENT, /* 24 digits */
	WAL_FILE_PARTIAL, /* segment + ".partial" */
	WAL_FILE_BACKUP,  /* segment + ".XXXXXXXX.backup" */
	WAL_FILE_HISTORY  /* 8 digits + ".history" */
};

/*
 * A name taken apart. For HISTORY only timeline is set. `segment` is the
 * first 24 characters of the other three.
 */
struct wal_file {
	enum wal_file_type type;
	char name[WAL_FILE_NAME_MAX];
	char segment[WAL_SEGMENT_NAME_LEN + 1];
	uint32_t timeline;
	uint32_t log; /* the middle 8 digits */
	uint32_t seg; /* the last 8 digits */
	uint32_t backup_offset; /* BACKUP: the 8 digits after the segment */
};

/*
 * Upper-case hexadecimal only, as PostgreSQL writes it; timeline 0 and
 * anything else is ERR_USAGE.
 */
int wal_file_parse(const char *name, struct wal_file *out,
    struct err *err) ERR_USE;

bool wal_segment_size_valid(uint64_t size); /* power of two, 1 MB..1 GB */

/*
 * Is the last part of the name below 4 GB / segment_size? (One that is not
 * cannot have been written with this segment size.)
 */
bool wal_file_fits(const struct wal_file *f, uint32_t segment_size);

/* Segment number since the beginning of WAL, and back. */
uint64_t wal_segno(const struct wal_file *f, uint32_t segment_size);
uint64_t wal_segno_of_lsn(pg_lsn lsn, uint32_t segment_size);
void wal_segment_name(uint32_t timeline, uint64_t segno,
    uint32_t segment_size, char out[WAL_SEGMENT_NAME_LEN + 1]);

/* LSN of the segment's first byte. */
pg_lsn wal_segment_start(uint64_t segno, uint32_t segment_size);

/* "0/3000028" to LSN and back; the parser takes either case, nothing more. */
bool lsn_parse(const char *s, pg_lsn *out);
const char *lsn_format(pg_lsn lsn, char out[LSN_TEXT_MAX]);

#endif
