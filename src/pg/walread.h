/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALREAD_H
#define PG_WALREAD_H

/*
 * Reading WAL: page headers, records across pages and segments, and the few
 * records that a recovery target can name. Source: PostgreSQL
 * src/include/access/xlog_internal.h, xlogrecord.h, xact.h,
 * src/include/catalog/pg_control.h, of 13 to 18 (the record header is the
 * same on all). Pure: works on bytes in memory. One reader, one thread.
 *
 *	struct walread *r = walread_new(segment_size, 0);
 *	walread_feed(r, start_lsn, bytes, len);	 consecutive pieces
 *	while (walread_next(r, &record))
 *		...
 *	walread_free(r);
 *
 * A record that began before the first byte fed is skipped; one that is not
 * complete yet is kept until more is fed. Bytes that are not WAL (the unused
 * end of a recycled segment) end the stream: see walread_ended().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"

#define WAL_PAGE_SIZE_DEFAULT 8192
#define WAL_RECORD_MAX (UINT32_C(1) << 30) /* XLogRecordMaxSize, 1020 MB */

/* The long header at the start of each segment. */
struct wal_segment_header {
	uint16_t magic;
	int major; /* 13..18; 0: magic not known */
	uint16_t info;
	uint32_t timeline;
	pg_lsn page_addr;
	uint64_t system_id;
	uint32_t segment_size;
	uint32_t block_size;
};

/*
 * Decode the first page header; needs 40 bytes. ERR_DAMAGED when it is no
 * long header. An unknown magic is not an error (major 0).
 */
int wal_segment_header_decode(const uint8_t *data, size_t len,
    struct wal_segment_header *out, struct err *err) ERR_USE;

enum wal_event_type {
	WAL_EVENT_OTHER,
	WAL_EVENT_COMMIT, /* also of a prepared transaction: its own xid */
	WAL_EVENT_ABORT,
	WAL_EVENT_RESTORE_POINT,
	WAL_EVENT_CHECKPOINT, /* online or shutdown: has a time */
	WAL_EVENT_END_OF_RECOVERY, /* has a time */
	WAL_EVENT_SWITCH,
	WAL_EVENT_BACKUP_END
};

#define WAL_RESTORE_POINT_NAME_MAX 64 /* MAXFNAMELEN, with the 0 */

struct wal_event {
	enum wal_event_type type;
	pg_lsn lsn; /* start of the record */
	pg_lsn end; /* first byte after it (aligned): EndRecPtr */
	uint32_t xid; /* COMMIT, ABORT; for *_PREPARED the prepared one's */
	bool has_time;
	int64_t time; /* microseconds since 2000 (core/time.h) */
	char name[WAL_RESTORE_POINT_NAME_MAX]; /* RESTORE_POINT */
};

struct walread;

/*
 * block_size 0: what the first page's long header says, or without one
 * WAL_PAGE_SIZE_DEFAULT. Version, system identifier and timeline of each page
 * must agree with those before.
 */
struct walread *walread_new(uint32_t segment_size, uint32_t block_size);
void walread_free(struct walread *r);

/*
 * Feed bytes that follow those fed before; the first piece must begin at a
 * page boundary and sets the position. The bytes must stay valid until
 * walread_next() has returned false; it must, before more is fed.
 */
void walread_feed(struct walread *r, pg_lsn lsn, const uint8_t *data,
    size_t len);

/*
 * The next complete record whose CRC holds. False: more bytes are needed, or
 * the stream has ended (walread_ended). Records after an end are never given.
 */
bool walread_next(struct walread *r, struct wal_event *out);

/*
 * The bytes of the record that walread_next() has just given, header
 * included, until its next call; and the major version that wrote it.
 */
const uint8_t *walread_record(const struct walread *r, size_t *len,
    int *major);

/*
 * Has valid WAL ended (zero, old or damaged bytes where a record should be)?
 * *end is then where the last valid record ends; reason is a text or NULL.
 */
bool walread_ended(const struct walread *r, pg_lsn *end, const char **reason);

/* Start of the record that is not complete yet, or 0. */
pg_lsn walread_unfinished(const struct walread *r);

/* Was there at least one valid page header? */
bool walread_page_seen(const struct walread *r);

/* A segment's summary, kept in its WAL object (FORMAT.md, "WAL summary"). */
#define WAL_SUMMARY_RESTORE_POINTS_MAX 16

struct wal_restore_point {
	pg_lsn lsn; /* start of the record */
	pg_lsn end;
	int64_t time;
	char name[WAL_RESTORE_POINT_NAME_MAX];
};

struct wal_summary {
	bool parsed; /* false: content could not be read as WAL */
	bool sealed; /* not read at all: that takes a key, and there is none */
	pg_lsn first_record; /* first record that begins in the segment, or 0 */
	pg_lsn end; /* end of the last complete record, or 0 */
	pg_lsn unfinished; /* start of a record that goes on in the next, or 0 */
	bool ended; /* valid WAL ended before the segment's end (switch: no) */
	uint64_t records;
	/* commit and abort records (what recovery_target_time looks at) */
	uint64_t commits;
	int64_t first_commit_time, last_commit_time; /* WAL order; 0: none */
	int64_t min_commit_time, max_commit_time;
	uint32_t min_xid, max_xid; /* of commits and aborts, plain comparison */
	/* anything with a time: commits, checkpoints, restore points */
	int64_t max_time;
	pg_lsn max_time_lsn; /* start of the record that carried it */
	uint32_t n_restore_points; /* true count; at most MAX are kept */
	struct wal_restore_point points[WAL_SUMMARY_RESTORE_POINTS_MAX];
};

/*
 * Summarise one segment's bytes (any length up to the segment size). Never
 * fails: what cannot be read gives parsed = false.
 */
void wal_summarise(const uint8_t *data, size_t len, pg_lsn start,
    uint32_t segment_size, struct wal_summary *out);

/*
 * The same in pieces of any size, for segments larger than memory: new,
 * feed.., finish (which also frees).
 */
struct wal_summariser;
struct wal_summariser *wal_summariser_new(pg_lsn start, uint32_t segment_size);
void wal_summariser_feed(struct wal_summariser *s, const uint8_t *data,
    size_t len);
void wal_summariser_finish(struct wal_summariser *s, struct wal_summary *out);

#endif
