/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_FORMAT_H
#define REPO_FORMAT_H

/*
 * The bytes of format version 1 (FORMAT.md): headers, indexes, page sums,
 * maps, WAL summaries and the first line of text objects, encoded and
 * decoded. Pure: no I/O, safe on hostile input, thread safe. Decoders give
 * ERR_DAMAGED (CRC, magic, lengths) or ERR_UNSUPPORTED (version, features).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "pg/walread.h"

#define FORMAT_VERSION 1
#define FORMAT_MAGIC UINT32_C(0x184D2A5D)
#define FORMAT_MAGIC_HIDDEN UINT32_C(0x184D2A5E)

#define FORMAT_FRAME_PLAIN_MAX ((size_t)1 << 20)
#define FORMAT_WAL_PIECE_MAX ((size_t)4 << 20)
#define FORMAT_PATH_MAX 4096
#define FORMAT_TAGS_MAX ((size_t)64 << 10)
#define FORMAT_OBJECT_HEADER_MAX (68 + FORMAT_TAGS_MAX + 4)
#define FORMAT_BLOCKS_MAX ((size_t)UINT16_MAX) /* bytes of a block list */
#define FORMAT_FRAME_HEADER_FIXED 72 /* with the CRC, without path and list */
#define FORMAT_FRAME_HEADER_MAX                                               \
	(FORMAT_FRAME_HEADER_FIXED + FORMAT_PATH_MAX + FORMAT_BLOCKS_MAX)
#define FORMAT_INDEX_ENTRY_SIZE 16
#define FORMAT_INDEX_TAIL 16 /* offset, CRC, "DKINDEX1" */
#define FORMAT_LABEL_MAX 40  /* with the 0 */
#define FORMAT_NONCE 12
#define FORMAT_SEALED_KEY 88 /* set id, data key sealed to the pair */
#define FORMAT_MAC 32
#define FORMAT_TEXT_MAX ((size_t)48 << 20) /* a text object's JSON */

enum object_type {
	OBJECT_PACK = 1,
	OBJECT_MANIFEST = 2,
	OBJECT_WAL = 3,
	OBJECT_WAL_PART = 4
};

enum frame_type {
	FRAME_FILE = 1,
	FRAME_SUMS = 2,
	FRAME_MAP = 3,
	FRAME_MANIFEST = 4,
	FRAME_WAL = 5,
	FRAME_DUMP = 6,
	FRAME_WAL_SUMMARY = 7,
	FRAME_CHUNK_LIST = 8
};

struct format_wal_tag {
	uint64_t length;
	uint32_t segment_size;
	uint32_t parts;
	uint32_t part_length;
	uint32_t major;
	uint8_t hash[16];
	pg_lsn lsn;
	int64_t archived; /* microseconds since 2000 */
};

struct object_header {
	enum object_type type;
	uint8_t repository_id[16];
	uint64_t system_id;
	uint32_t generation;
	uint32_t part;
	uint8_t hash_algorithm;
	uint8_t cipher;
	uint32_t key_id;
	char name[WAL_FILE_NAME_MAX]; /* tag 1 */
	bool has_pack;		      /* tag 2 */
	uint32_t attempt, number;
	bool has_wal; /* tag 3 */
	struct format_wal_tag wal;
	bool has_data_key; /* tag 4 */
	uint8_t data_key[FORMAT_SEALED_KEY];
	bool has_mac; /* tag 6 */
	uint8_t mac[FORMAT_MAC];
};

void object_header_encode(const struct object_header *h, struct buf *out);

/* *used: bytes the header takes. Too few bytes given: ERR_DAMAGED. */
int object_header_decode(const uint8_t *data, size_t len,
    struct object_header *out, size_t *used, struct err *err) ERR_USE;

/*
 * The encoded header (len bytes) as its mac counts it, in place: generation,
 * mac and CRC are zeros. The mac is the last tag: ERR_DAMAGED if it is not.
 */
int object_header_for_mac(uint8_t *data, size_t len, struct err *err) ERR_USE;

struct frame_header {
	enum frame_type type;
	uint8_t filter;
	uint8_t compression;
	uint8_t cipher;
	uint32_t number;
	uint32_t plain_len;
	uint32_t payload_len;
	uint32_t block_size;
	uint64_t position;
	uint64_t hash; /* of the plain bytes; of the ciphertext with a cipher */
	uint8_t nonce[FORMAT_NONCE];
	uint32_t key_id;
	/* FRAME_FILE, FRAME_DUMP; not 0-terminated after decode (in data) */
	const char *path;
	size_t path_len;
	/*
	 * FRAME_FILE: which blocks of the file are in the frame, encoded; see
	 * frame_blocks_*(). Empty: consecutive ones from `position` on.
	 */
	const uint8_t *blocks; /* points into data after decode */
	size_t blocks_len;
	const uint8_t *zstd; /* of frame_decode(): the payload, in clear */
	size_t zstd_len;
};

/*
 * Bytes of the encoded header (an encrypted frame's has neither path nor block
 * list); written to p, which has room for them.
 */
size_t frame_header_size(const struct frame_header *h);
void frame_header_write(const struct frame_header *h, uint8_t *p);
void frame_header_encode(const struct frame_header *h, struct buf *out);
int frame_header_decode(const uint8_t *data, size_t len,
    struct frame_header *out, size_t *used, struct err *err) ERR_USE;

/* Path and block list, which stand in the ciphertext of an encrypted one. */
int frame_header_check_where(const struct frame_header *h,
    struct err *err) ERR_USE;

/*
 * The block list of a frame that holds these blocks of a file (ascending, at
 * least one; the first is the header's position), appended to out: nothing
 * when they are consecutive.
 */
void frame_blocks_encode(const uint64_t *blocks, size_t n, struct buf *out);

/*
 * The file's block number of each block of the frame, whether it has a list
 * or not: *n of them, at most max (one for each block of plain_len; more than
 * max: ERR_DAMAGED). out NULL: they are only checked and counted.
 */
int frame_blocks_decode(const struct frame_header *h, uint64_t *out,
    size_t max, size_t *n, struct err *err) ERR_USE;

struct index_entry {
	uint32_t offset;
	uint32_t length;
	uint32_t plain_len;
	uint8_t type;
};

void index_encode(const struct index_entry *entries, uint32_t n,
    uint32_t offset, struct buf *out);

/*
 * The index stands at the end of an object: *offset from its last 16 bytes
 * (object_size checks it), then the entries from the bytes at that offset.
 * Entries are checked: inside the object, ascending, without overlap. The
 * caller frees *entries.
 */
int index_find(const uint8_t tail[FORMAT_INDEX_TAIL], uint64_t object_size,
    uint32_t *offset, struct err *err) ERR_USE;
int index_decode(const uint8_t *data, size_t len, uint32_t offset,
    struct index_entry **entries, uint32_t *n, struct err *err) ERR_USE;

/* What an incarnation's catalogue has, each kind in a folder of its own. */
enum repo_kind { REPO_BACKUP, REPO_DUMP };

/* Names a pack anywhere in the incarnation. */
struct pack_id {
	char label[FORMAT_LABEL_MAX];
	uint32_t attempt;
	uint32_t number;
	enum repo_kind kind; /* whose: not stored, since a set has one kind */
};

/* As a run's pack: blocks of zeros, which are stored nowhere. */
#define MAP_PACK_ZEROS UINT32_MAX

/* A run of a map: blocks (>= 1) from `block` on in `frame` of pack `pack`. */
struct map_run {
	uint64_t blocks;
	uint32_t pack; /* index into a list of struct pack_id, or zeros */
	uint32_t frame;
	uint32_t block;
};

void map_encode(const struct pack_id *packs, uint32_t n_packs,
    const struct map_run *runs, uint32_t n_runs, struct buf *out);
int map_decode(const uint8_t *data, size_t len, struct pack_id **packs,
    uint32_t *n_packs, struct map_run **runs, uint32_t *n_runs,
    struct err *err) ERR_USE;

void wal_summary_encode(const struct wal_summary *s, struct buf *out);
int wal_summary_decode(const uint8_t *data, size_t len,
    struct wal_summary *out, struct err *err) ERR_USE;

/* A text object around its JSON text; decode gives where the JSON stands. */
void text_object_encode(const char *kind, const char *json, size_t len,
    struct buf *out);
int text_object_decode(const uint8_t *data, size_t len, const char *kind,
    const char **json, size_t *json_len, struct err *err) ERR_USE;

/* Labels: "20261122T133107Z-0123456789abcdef". */
void label_make(int64_t time, uint64_t random, char out[FORMAT_LABEL_MAX]);
bool label_valid(const char *label);

/* The time in a label, in whole seconds; false: it has none. */
bool label_time(const char *label, int64_t *out);

#endif
