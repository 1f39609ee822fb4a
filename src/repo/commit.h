/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_COMMIT_H
#define REPO_COMMIT_H

/*
 * The commit object: what makes a backup or dump exist (FORMAT.md section 3.2), and
 * the list of those that do.
 */
#include "core/err.h"
#include "repo/format.h"
#include "repo/manifest.h"
#include "repo/repo.h"

#define COMMIT_DAMAGED_MAX 1000
#define COMMIT_SOURCE_LEN 32

struct damaged_page {
	char *path;
	uint64_t block; /* within the relation */
	uint16_t expected, found;
	const char *reason; /* "checksum" or "header": static text */
};

struct commit_pack {
	struct pack_id id;
	uint64_t size;	     /* of this generation */
	uint32_t generation; /* that was there when the commit was made */
	uint64_t plain; /* of files' content in it; 0: not known */
	uint64_t live; /* plain bytes referred to */
};

struct commit_tablespace {
	uint32_t oid;
	char *path;
};

/* What a commit says of a dump only. */
struct commit_dump {
	char *database; /* "" of globals */
	bool globals;	/* roles and tablespaces: pg_dumpall's text */
	pg_lsn snapshot_lsn;
	int64_t snapshot_time;	/* the server's clock */
	char *server_version;	/* "15.20" */
	uint32_t server_version_num; /* 150020 */
	char *pg_dump_version;	/* of the program that wrote the contents */
	char *archive_version;	/* "1.14"; "" of globals */
	char *encoding;		/* of the data: "UTF8" */
	char **options;		/* as given to pg_dump */
	size_t n_options;
	uint64_t tables, rows, large_objects, chunks;
};

/* Of a dump only: label to attempt, times, sizes, parts, packs, dump. */
struct commit {
	enum repo_kind kind;
	char label[FORMAT_LABEL_MAX];
	struct incarnation inc;
	uint32_t catalog_version;
	char *method; /* "local" */
	bool from_standby;
	char *program, *host;
	char parent[FORMAT_LABEL_MAX]; /* "" for none */
	uint32_t attempt;
	char source[COMMIT_SOURCE_LEN + 1]; /* data directory; "": not known */
	bool read_all;	   /* every page was read and checked */
	int64_t full_read; /* when the newest such backup of the line began */
	pg_lsn start_lsn, stop_lsn;
	uint32_t timeline;
	int64_t start_time, stop_time; /* the server's clock */
	char wal_first[WAL_SEGMENT_NAME_LEN + 1];
	char wal_last[WAL_SEGMENT_NAME_LEN + 1];
	uint32_t block_size, relation_segment_blocks, wal_segment_size;
	bool data_checksums;
	uint64_t files, original_bytes, stored_bytes;
	struct commit_tablespace *tablespaces;
	size_t n_tablespaces;
	struct damaged_page *damaged;
	size_t n_damaged;	/* in the list */
	uint64_t damaged_count; /* in all */
	struct manifest_part *parts;
	size_t n_parts;
	struct commit_pack *packs;
	size_t n_packs;
	struct commit_dump dump;
	int64_t lock_until; /* commit_put() fills it in; 0: not locked */
};

void commit_free(struct commit *c); /* the members; also of a zeroed one */

/* For who holds a lease: claim_commit() (repo/claim.h). */
int commit_put(struct repo *repo, const struct commit *c,
    struct err *err) ERR_USE;

/* The object that it would put; out is an empty buffer. */
int commit_object(struct repo *repo, const struct commit *c, struct buf *out,
    struct err *err) ERR_USE;
int commit_get(struct repo *repo, const struct incarnation *inc,
    const char *label, struct commit *out, struct err *err) ERR_USE;
int commit_get_dump(struct repo *repo, const struct incarnation *inc,
    const char *label, struct commit *out, struct err *err) ERR_USE;
int commit_get_kind(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct commit *out,
    struct err *err) ERR_USE;

/* The same with the object as it lies: bytes is an empty buffer. */
int commit_get_bytes(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct commit *out,
    struct buf *bytes, struct err *err) ERR_USE;

void commit_key(const struct incarnation *inc, enum repo_kind kind,
    const char *label, char out[STORAGE_KEY_MAX]);

/* "backup" or "dump": for messages. */
const char *repo_kind_name(enum repo_kind kind);

/* The size of the pack's first generation; 0: not known. */
uint64_t commit_pack_first_size(const struct commit_pack *p);

/* JSON text of a commit, and back (pure). */
void commit_encode(const struct commit *c, const struct repo *repo,
    struct buf *out);
int commit_decode(const char *json, size_t len, struct commit *out,
    struct err *err) ERR_USE;

/*
 * Labels of the incarnation's backups that have a commit, ascending; folders
 * without one are counted in *unfinished (may be NULL). Caller frees *out.
 */
int catalogue_backups(struct repo *repo, const struct incarnation *inc,
    char (**out)[FORMAT_LABEL_MAX], size_t *n, size_t *unfinished,
    struct err *err) ERR_USE;
int catalogue_dumps(struct repo *repo, const struct incarnation *inc,
    char (**out)[FORMAT_LABEL_MAX], size_t *n, size_t *unfinished,
    struct err *err) ERR_USE;

/* The one label that begins with this text: ERR_NOT_FOUND (with a word about
 * one of the other kind), or ERR_USAGE when several do. */
int catalogue_find(struct repo *repo, const struct incarnation *inc,
    const char *prefix, char out[FORMAT_LABEL_MAX], struct err *err) ERR_USE;
int catalogue_find_dump(struct repo *repo, const struct incarnation *inc,
    const char *prefix, char out[FORMAT_LABEL_MAX], struct err *err) ERR_USE;

/*
 * Does a label of the other kind than the wanted one begin so? Then *err says
 * that, as ERR_NOT_FOUND, and what such a label is good for; the result is 0
 * all the same.
 */
int catalogue_other_kind(struct repo *repo, const struct incarnation *inc,
    enum repo_kind wanted, const char *prefix, bool *found,
    struct err *err) ERR_USE;

/* The same over both kinds, which *kind then tells. */
int catalogue_find_any(struct repo *repo, const struct incarnation *inc,
    const char *prefix, enum repo_kind *kind, char out[FORMAT_LABEL_MAX],
    struct err *err) ERR_USE;

#endif
