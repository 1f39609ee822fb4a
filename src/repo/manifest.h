/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_MANIFEST_H
#define REPO_MANIFEST_H

/*
 * The manifest (FORMAT.md section 7), written and read as a stream: memory
 * does not grow with the number of files.
 *
 *	manifest_writer_new(&w, repo, inc, label, err);
 *	manifest_writer_add(w, &entry, err);	  in the documented order
 *	manifest_writer_finish(w, &parts, &n_parts, err);
 *	manifest_writer_free(w);
 *	(of a dump: manifest_writer_new_dump(), and DATA lines only)
 *
 *	manifest_reader_open(&r, repo, inc, label, parts, n_parts, err);
 *	while ((rc = manifest_reader_next(r, &entry, err)) == 1) ...
 *	manifest_reader_close(r);
 *	(of a dump: manifest_reader_open_dump())
 *
 * The writer puts each full part; SHA-256 comes from libcrypto, opened when
 * first needed. The reader checks each part's size and SHA-256 before it
 * gives a line of it, and that the last line is `end` with the right counts.
 */
#include "core/err.h"
#include "repo/chunklist.h"
#include "repo/format.h"
#include "repo/repo.h"

#define MANIFEST_INLINE_RUNS 8
#define MANIFEST_INLINE_CHUNKS 8
#define MANIFEST_LISTS_MAX 49152 /* of an item: they fit a line */
#define MANIFEST_LINE_MAX ((size_t)1 << 20)
#define MANIFEST_PARTS_MAX 4096

enum manifest_type {
	MANIFEST_HEAD,
	MANIFEST_TABLESPACE,
	MANIFEST_DIR,
	MANIFEST_LINK,
	MANIFEST_FILE,
	MANIFEST_DATA, /* of a dump */
	MANIFEST_CONFIG,
	MANIFEST_CONTROL,
	MANIFEST_BACKUP_LABEL,
	MANIFEST_TABLESPACE_MAP,
	MANIFEST_SETTING,
	MANIFEST_END
};

/*
 * One line. Which members count depends on the type. `pack` lines are made
 * and read behind the scenes: runs name packs by index into the writer's or
 * reader's list (manifest_writer_pack(), manifest_reader_pack()).
 */
struct manifest_entry {
	enum manifest_type type;
	const char *path;   /* raw bytes, 0-terminated; also a setting's name */
	const char *target; /* LINK, TABLESPACE path, CONFIG origin */
	const char *setting; /* CONFIG: "config_file", "hba_file", ... */
	uint32_t oid;	     /* TABLESPACE, DATA */
	const char *data;    /* BACKUP_LABEL, TABLESPACE_MAP, SETTING value */
	size_t data_len;
	uint64_t size;
	uint32_t mode; /* permission bits */
	int64_t mtime; /* microseconds since 2000 */
	uint32_t crc;
	uint32_t block_size; /* HEAD */
	const struct map_run *runs; /* inline; or n_runs 0 and map frames */
	size_t n_runs;
	const struct map_run *map; /* .pack and .frame of each map frame */
	size_t n_map;
	/*
	 * DATA: inline chunks (.pack: as in runs), or n_chunks 0 and, in map,
	 * the frames of its chunk lists.
	 */
	const struct dump_chunk *chunks;
	size_t n_chunks;
	uint64_t rows;	  /* DATA */
	uint32_t dump_id; /* DATA: of the table of contents' entry */
	uint64_t files, bytes; /* END */
};

struct manifest_part {
	uint64_t size;
	uint8_t sha256[32];
};

struct manifest_writer;
int manifest_writer_new(struct manifest_writer **out, struct repo *repo,
    const struct incarnation *inc, const char *label, uint32_t block_size,
    struct err *err) ERR_USE; /* writes HEAD */
int manifest_writer_new_dump(struct manifest_writer **out, struct repo *repo,
    const struct incarnation *inc, const char *label, struct err *err) ERR_USE;

/*
 * Put the parts under names of this generation: attempt N of a backup has
 * N - 1, so that no attempt finds its names taken. Before the first line.
 */
void manifest_writer_generation(struct manifest_writer *w,
    uint32_t generation);

/* Index of a pack, new or known. A `pack` line is written before its use. */
uint32_t manifest_writer_pack(struct manifest_writer *w,
    const struct pack_id *id);
int manifest_writer_add(struct manifest_writer *w,
    const struct manifest_entry *entry, struct err *err) ERR_USE;

/* Writes END and puts the last part. *parts belongs to the writer. */
int manifest_writer_finish(struct manifest_writer *w,
    const struct manifest_part **parts, size_t *n_parts,
    struct err *err) ERR_USE;

/* Stored bytes of all parts put. */
uint64_t manifest_writer_stored(const struct manifest_writer *w);
void manifest_writer_free(struct manifest_writer *w);

struct manifest_reader;
int manifest_reader_open(struct manifest_reader **out, struct repo *repo,
    const struct incarnation *inc, const char *label,
    const struct manifest_part *parts, size_t n_parts,
    struct err *err) ERR_USE;
int manifest_reader_open_dump(struct manifest_reader **out,
    struct repo *repo, const struct incarnation *inc, const char *label,
    const struct manifest_part *parts, size_t n_parts,
    struct err *err) ERR_USE;

/*
 * Before the first line: is every part there, with its SHA-256? Then only
 * the text itself could still be wrong.
 */
int manifest_reader_check(struct manifest_reader *r, struct err *err) ERR_USE;

/* 1: *entry is filled, valid until the next call; 0: the end; -1: error. */
int manifest_reader_next(struct manifest_reader *r,
    struct manifest_entry *entry, struct err *err) ERR_USE;
const struct pack_id *manifest_reader_pack(const struct manifest_reader *r,
    uint32_t index); /* NULL: no such */
void manifest_reader_close(struct manifest_reader *r);

#endif
