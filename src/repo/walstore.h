/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALSTORE_H
#define REPO_WALSTORE_H

/*
 * WAL files in the repository (FORMAT.md section 8): finding, reading and
 * listing them. Writing is in src/wal/push.c, on top of the encoders here.
 * One thread.
 */
#include "core/err.h"
#include "pg/history.h"
#include "pg/walname.h"
#include "repo/object.h"
#include "repo/repo.h"

#define WAL_HASH_SIZE 16
#define WAL_PART_LENGTH ((uint32_t)16 << 20)

/* A stored WAL file. */
struct wal_stored {
	struct wal_file file;
	uint8_t hash[WAL_HASH_SIZE]; /* from the name */
	uint32_t generation;
	uint64_t size; /* stored bytes of the object itself (part 0) */
	int64_t mtime;
};

/* Key of an object; part 0 is the object itself. */
void wal_store_key(const struct incarnation *inc, const struct wal_file *file,
    const uint8_t hash[WAL_HASH_SIZE], uint32_t generation, uint32_t part,
    char out[STORAGE_KEY_MAX]);

/*
 * The last part of an object's name: file, hash, generation and part (0: the
 * object itself). False when it is none of a WAL file's; size and mtime are 0.
 */
bool wal_store_parse(const char *name, struct wal_stored *out,
    uint32_t *part);

/*
 * All stored contents under this file's name: none, one, or several (a
 * conflict, or generations of one). Caller frees *out; *n may be 0.
 */
int wal_store_find(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored **out, size_t *n,
    struct err *err) ERR_USE;

/*
 * The same for n files, ascending by name: one listing for all that lie in
 * one folder (of segments: 4 GB of WAL), by the beginning of their names.
 * *out is ascending by name, hash, and the highest generation first.
 */
int wal_store_find_many(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *files, size_t n, struct wal_stored **out,
    size_t *n_out, struct err *err) ERR_USE;

/*
 * The one to use: the highest generation; ERR_NOT_FOUND when there is none
 * (the repository was read, so that is certain for this name);
 * ERR_DAMAGED-free choice is the reader's: see wal_store_read(). Two
 * different contents: ERR_REFUSED naming both.
 */
int wal_store_pick(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored *out,
    struct err *err) ERR_USE;

/*
 * The same for a .partial file, of which several contents are right when
 * their records are: the one whose records reach furthest, if those of the
 * others are the beginning of its own. ERR_NOT_FOUND: none; ERR_REFUSED: the
 * records diverge, or cannot be read as WAL; ERR_DAMAGED: one of several has
 * no generation that holds. Several contents are read whole, one is not.
 */
int wal_store_pick_partial(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size,
    struct wal_stored *out, struct err *err) ERR_USE;

/* How far records reach, in bytes from the segment's start. */
uint64_t wal_store_records_length(const struct wal_summary *summary,
    pg_lsn start);

/* Takes content in order. */
typedef int (*wal_store_sink)(void *arg, const uint8_t *data, size_t len,
    struct err *err);

/*
 * Read a stored file's content, checked frame by frame and as a whole
 * (content hash); the sink may have got bytes when the whole turns out
 * damaged. When a generation is damaged, a lower one that holds is not
 * looked for: that is the caller's.
 */
/*
 * Does it hold? As wal_store_read(); in an encrypted repository, and without
 * a key, only the bytes are proved, and the sink (or NULL) is called with
 * none of them.
 */
int wal_store_prove(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct err *err) ERR_USE;
int wal_store_read(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct err *err) ERR_USE;

/* The same, and the summary of a segment or .partial (else all zero). */
int wal_store_read_summary(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_sink sink, void *arg, struct wal_summary *summary,
    struct err *err) ERR_USE;

/*
 * The same for who wants the objects as they lie: each part, in order, after
 * it was checked. That the parts are one file with the name's hash is known
 * when all were given, at 0.
 */
typedef int (*wal_store_part)(void *arg, uint32_t part,
    const struct buf *bytes, struct err *err);
int wal_store_read_parts(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec,
    wal_store_part part, void *arg, struct err *err) ERR_USE;

/* The hash of the content's first len bytes; all is read and checked. */
int wal_store_prefix_hash(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct frame_codec *codec, uint64_t len,
    uint8_t out[WAL_HASH_SIZE], struct err *err) ERR_USE;

/* Header tag and summary only (two small reads). summary may be NULL. */
int wal_store_describe(struct repo *repo, const struct incarnation *inc,
    const struct wal_stored *ws, struct format_wal_tag *tag,
    struct wal_summary *summary, struct err *err) ERR_USE;

/* Timelines that have anything stored, ascending. Caller frees. */
int wal_store_timelines(struct repo *repo, const struct incarnation *inc,
    uint32_t **out, size_t *n, struct err *err) ERR_USE;

/*
 * A timeline's stored segments (and .partial files when wanted), ascending by
 * name, generations folded into one (the highest). Caller frees.
 */
int wal_store_segments(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, bool partials, struct wal_stored **out, size_t *n,
    struct err *err) ERR_USE;

/*
 * The same of the sixteen segments (no .partial) whose names differ from this
 * one's in the last digit only, by one listing. Caller frees.
 */
int wal_store_sixteen(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored **out, size_t *n,
    struct err *err) ERR_USE;

/*
 * The history of a timeline: its stored .history file, or for timeline 1 the
 * single entry. ERR_NOT_FOUND when the file is missing.
 */
int wal_store_history(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, struct history *out, struct err *err) ERR_USE;

/* The segment size of an incarnation, from a stored segment. */
int wal_store_segment_size(struct repo *repo, const struct incarnation *inc,
    uint32_t *out, struct err *err) ERR_USE;

#endif
