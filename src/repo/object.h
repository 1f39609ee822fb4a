/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_OBJECT_H
#define REPO_OBJECT_H

/*
 * Binary objects (FORMAT.md section 4): making frames, and reading them back
 * with everything checked. A struct frame_codec holds the zstd contexts of
 * one thread and is reused for every frame.
 */
#include "core/buf.h"
#include "core/err.h"
#include "repo/format.h"
#include "storage/storage.h"

struct frame_codec;

/* level: zstd's, 1..19 (3 is tuned for pages). About 1 MiB at level 3. */
struct frame_codec *frame_codec_new(int level);
void frame_codec_free(struct frame_codec *c);

/*
 * Append a frame (header and payload) of these plain bytes to out. Of h the
 * caller sets type, number, block_size, position and path; the rest is
 * filled in. On -1 out is as before.
 */
int frame_encode(struct frame_codec *c, struct frame_header *h,
    const void *plain, size_t len, struct buf *out, struct err *err) ERR_USE;

/*
 * Decode the frame at data (len bytes: header and payload, as the index says)
 * into plain, which has room for plain_max bytes. Header CRC, lengths, zstd
 * and hash are checked. where ("PACK-KEY frame 7") is for errors.
 */
int frame_decode(struct frame_codec *c, const uint8_t *data, size_t len,
    struct frame_header *h, void *plain, size_t plain_max, const char *where,
    struct err *err) ERR_USE;

/* An object being made in memory. */
struct object_writer {
	struct buf bytes;
	struct index_entry *entries;
	uint32_t n, cap;
};

/* max: ceiling of the object. The header is written at once. */
void object_writer_init(struct object_writer *w, size_t max,
    const struct object_header *h);
void object_writer_free(struct object_writer *w);

/* Begin another object; bytes may have been swapped for an empty buffer. */
void object_writer_reset(struct object_writer *w,
    const struct object_header *h);

/* Bytes the finished object would have if it were finished now. */
size_t object_writer_size(const struct object_writer *w);

/* Append a frame; its number (set by this) is in h->number afterwards. */
int object_writer_add(struct object_writer *w, struct frame_codec *c,
    struct frame_header *h, const void *plain, size_t len,
    struct err *err) ERR_USE;

/* Append a frame that was encoded elsewhere with the right number. */
int object_writer_add_encoded(struct object_writer *w, const uint8_t *frame,
    size_t len, const struct frame_header *h, struct err *err) ERR_USE;

/* Append the index: w->bytes is the object. */
int object_writer_finish(struct object_writer *w, struct err *err) ERR_USE;

/* A run of an object's bytes that is kept. */
struct object_window {
	uint64_t off;
	struct buf bytes;
};

/*
 * An object being read by ranges. From a store over a network its beginning
 * and end stay in memory, some 100 KiB, and frames that are asked for one after
 * another are fetched several at a time, up to 4 MiB.
 */
struct object_reader {
	struct storage *st; /* not owned */
	char *key;
	uint64_t size;
	struct object_header header;
	struct index_entry *entries;
	uint32_t n;
	const uint8_t *bytes; /* of object_reader_open_bytes(), else NULL */
	struct buf scratch;
	const uint8_t *frame; /* the one read last, as it is stored */
	size_t frame_len;
	bool remote;
	struct object_window head, tail, ahead;
	uint64_t next; /* the byte after what was asked for last */
	size_t step;   /* to fetch, if that is asked for next */
	size_t whole;  /* what is this small is read whole */
};

/*
 * Reads header and index and checks them: type, repository id and (unless 0)
 * system id must be these. size 0: asks the storage.
 */
int object_reader_open(struct object_reader *r, struct storage *st,
    const char *key, uint64_t size, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id,
    struct err *err) ERR_USE;

/*
 * The same of an object that will be read from one end to the other: over a
 * network it comes by one request, when it has at most 10 MiB.
 */
int object_reader_open_eager(struct object_reader *r, struct storage *st,
    const char *key, uint64_t size, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id,
    struct err *err) ERR_USE;

/* Are its frames being read one after another, a MiB and more by now? */
bool object_reader_streams(const struct object_reader *r);

/* The same over a whole object in memory, which stays the caller's. */
int object_reader_open_bytes(struct object_reader *r, const uint8_t *bytes,
    size_t size, const char *name, enum object_type type,
    const uint8_t repository_id[16], uint64_t system_id,
    struct err *err) ERR_USE;
void object_reader_close(struct object_reader *r); /* also a zeroed one */

/*
 * Keep no more of its bytes than its index, as another reader is used now:
 * what is asked for again is fetched again.
 */
void object_reader_rest(struct object_reader *r);

/*
 * frame_decode() for bytes that object_reader_fetch() gave: also checks that
 * they are the frame that the index means.
 */
int object_reader_decode(const struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err) ERR_USE;

/*
 * Read frames first .. first+n-1 in one range into raw (cleared before), at
 * most raw's ceiling; frame i then begins at entries[i].offset -
 * entries[first].offset in raw.
 */
int object_reader_fetch(struct object_reader *r, uint32_t first, uint32_t n,
    struct buf *raw, struct err *err) ERR_USE;

/*
 * Fetch and decode one frame into out (cleared before). h->path is valid
 * until the next call with this reader.
 */
int object_reader_frame(struct object_reader *r, struct frame_codec *c,
    uint32_t number, struct frame_header *h, struct buf *out,
    struct err *err) ERR_USE;

#endif
