/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_OBJECT_H
#define REPO_OBJECT_H

/*
 * Binary objects (FORMAT.md section 4): made of frames, and read back with
 * everything checked. In an encrypted repository a writer is given the key of
 * its object, a reader opens it when a frame is first wanted: header and
 * index are in clear, so that who has no key can tell what an object is, and
 * that its bytes hold.
 */
#include "core/buf.h"
#include "core/err.h"
#include "repo/format.h"
#include "repo/frame.h"
#include "repo/objectkey.h"
#include "repo/repo.h"
#include "storage/storage.h"

/* An object being made in memory. */
struct object_writer {
	struct buf bytes;
	struct index_entry *entries;
	uint32_t n, cap;
	struct object_key key; /* its id 0: not encrypted */
};

/* max: ceiling of the object. The header is written at once. */
void object_writer_init(struct object_writer *w, size_t max,
    const struct object_header *h);
void object_writer_free(struct object_writer *w);

/* Begin another object; bytes may have been swapped for an empty buffer. */
void object_writer_reset(struct object_writer *w,
    const struct object_header *h);

/*
 * The same of an object that is encrypted when there is a key (of the
 * attempt; NULL: it is not): the header's other members are all set.
 */
int object_writer_begin(struct object_writer *w, struct object_header *h,
    const struct data_key *key, struct err *err) ERR_USE;

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
	struct repo *repo;  /* not owned */
	char *key;
	uint64_t size;
	struct object_header header;
	struct object_key object_key; /* once a frame was wanted */
	uint64_t seed;		      /* of fingerprints, known by then */
	uint8_t header_sum[OBJECT_KEY_SUM];
	struct index_entry *entries;
	uint32_t n;
	const uint8_t *bytes; /* of object_reader_open_bytes(), else NULL */
	struct buf scratch;
	bool remote;
	struct object_window head, tail, ahead;
	uint64_t next; /* the byte after what was asked for last */
	size_t step;   /* to fetch, if that is asked for next */
	size_t whole;  /* what is this small is read whole */
};

/*
 * Reads header and index and checks them: type, repository id and (unless 0)
 * system id must be these, and it must be encrypted if the repository is.
 * size 0: asks the storage.
 */
int object_reader_open(struct object_reader *r, struct repo *repo,
    const char *key, uint64_t size, enum object_type type,
    uint64_t system_id, struct err *err) ERR_USE;

/*
 * The same of an object that will be read from one end to the other: over a
 * network it comes by one request, when it has at most 10 MiB.
 */
int object_reader_open_eager(struct object_reader *r, struct repo *repo,
    const char *key, uint64_t size, enum object_type type,
    uint64_t system_id, struct err *err) ERR_USE;

/* Are its frames being read one after another, a MiB and more by now? */
bool object_reader_streams(const struct object_reader *r);

/* The same over a whole object in memory, which stays the caller's. */
int object_reader_open_bytes(struct object_reader *r, struct repo *repo,
    const uint8_t *bytes, size_t size, const char *name,
    enum object_type type, uint64_t system_id, struct err *err) ERR_USE;
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
int object_reader_decode(struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err) ERR_USE;

/*
 * The key of an encrypted object, which decoding a frame asks for itself:
 * ERR_CONFIG when none is given, ERR_DAMAGED when the header is not its
 * writer's. r->seed is that of the page sums and chunk lists in it.
 */
int object_reader_unlock(struct object_reader *r, struct err *err) ERR_USE;

/*
 * The same by an object's first bytes alone, of one that is put together
 * again. The caller wipes data.
 */
int object_key_open(struct repo *repo, const uint8_t *bytes, size_t len,
    struct data_key *data, struct object_key *out, struct err *err) ERR_USE;

/*
 * Do these bytes hold? Who has a key, or needs none, decodes them; else they
 * are compared with the hash of the ciphertext, and h is the header in clear.
 */
int object_reader_prove(struct object_reader *r, struct frame_codec *c,
    uint32_t number, const uint8_t *data, struct frame_header *h, void *plain,
    size_t plain_max, struct err *err) ERR_USE;

/* object_reader_frame() that proves; out stays empty without a key. */
int object_reader_prove_frame(struct object_reader *r, struct frame_codec *c,
    uint32_t number, struct frame_header *h, struct buf *out,
    struct err *err) ERR_USE;

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
