/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

/*
 * Reading back what is stored, and saying what it is still good for.
 *
 *	verify_run(&params, &result, err)
 *	...print result...
 *	verify_result_free(&result)
 *
 * Each pack that a backup refers to is read once, whole, by one request,
 * however many backups refer to it; each WAL file too. What was learned about
 * packs (where each block stands, its CRC) then proves every file of every
 * backup without restoring it: its map is followed, and the CRCs of its
 * blocks must give the CRC that the manifest has. Of a dump every item is
 * proved likewise: each chunk of it is in its pack, and together they give its
 * CRC, size and rows; its table of contents is read, and has an item for each
 * table whose data it names.
 *
 * Memory: a pack and 4 MiB a thread; 4 bytes a block and 48 a frame of all
 * packs, of which VERIFY_FACTS_MEMORY stays in memory and the rest goes to a
 * file without a name in TMPDIR; names of WAL files.
 *
 * verify_run() fails only when it cannot go on (the repository cannot be
 * read); what is damaged is in the result.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/repo.h"

#define VERIFY_FACTS_MEMORY ((size_t)256 << 20)
#define VERIFY_FILES_MAX 1000  /* that a backup's list of bad files holds */
#define VERIFY_RANGES_MAX 1000 /* the same of a file's bad blocks */

enum verify_phase {
	VERIFY_PHASE_LIST,
	VERIFY_PHASE_READ,
	VERIFY_PHASE_PROVE,
};

struct verify_progress {
	atomic_uint phase;
	atomic_uint_fast64_t done_bytes, total_bytes;
};

struct verify_params {
	struct repo *repo;
	const char *cluster; /* NULL: all */
	char *const *labels; /* beginnings of labels; none: all there are */
	size_t n_labels;
	bool quick;    /* presence and sizes only */
	bool wal_only;
	bool repair;
	bool dry_run;  /* put neither marks nor repaired objects */
	/*
	 * Read the share_number-th (from 0) of share_of parts of what there
	 * is; share_of 0 or 1: everything. An object's part depends on its
	 * name only.
	 */
	uint64_t share_of, share_number;
	unsigned jobs;
	uint64_t max_rate; /* bytes a second, 0: no limit */
	/*
	 * Where repair looks for what is damaged here: other copies of this
	 * repository, with its id.
	 */
	struct repo *const *sources;
	size_t n_sources;
	struct verify_progress *progress;
	void (*tick)(void *arg); /* often, in the calling thread; or NULL */
	void *tick_arg;
};

enum verify_kind {
	VERIFY_COMMIT,
	VERIFY_MANIFEST,
	VERIFY_PACK,
	VERIFY_ACCOUNTS, /* a commit's numbers are not those of its packs */
	VERIFY_WAL,	 /* a stored WAL file is damaged */
	VERIFY_GAP,	 /* recovery stops before what is stored does */
	VERIFY_CONFLICT, /* two contents under one name */
	VERIFY_HISTORY,
	VERIFY_UNREAD,	 /* could not be read: no damage is proved */
};

const char *verify_kind_name(enum verify_kind kind);

struct verify_finding {
	enum verify_kind kind;
	char *object; /* key, label or WAL file's name */
	char *reason;
	bool spare;    /* another generation holds: nothing is lost */
	bool marked;   /* a damage object names it now */
	bool repaired; /* stored anew and read back */
	/* GAP: no recovery past `from`, until one of a backup that stopped
	 * at `to` (0: to the end of what is stored). Else 0. */
	int64_t from, to;
};

/* Blocks of a file, counted from its beginning. */
struct verify_range {
	uint64_t first, n;
};

struct verify_file {
	char *path;
	char *reason;
	uint64_t size;
	uint64_t bad_blocks;
	struct verify_range *ranges;
	size_t n_ranges;
};

/*
 * Or a dump: then a file is an item (a table's rows, some large objects, the
 * table of contents), and a block one of its chunks.
 */
struct verify_backup {
	char label[FORMAT_LABEL_MAX];
	char *database; /* of a dump that can be read; "": globals */
	int64_t stop_time; /* 0: the commit cannot be read */
	bool commit_bad, manifest_bad, wal_bad, unread;
	bool removed; /* by someone else, while this ran */
	bool proved; /* every file, by its CRC */
	uint64_t files; /* looked at */
	uint64_t bad_packs; /* damaged or missing: restore refuses */
	uint64_t bad_files;
	uint64_t bad_blocks;
	struct verify_file *list; /* the first VERIFY_FILES_MAX */
	size_t n_list;
};

/* Nothing keeps this backup from being restored, as far as is known. */
bool verify_backup_holds(const struct verify_backup *b);

/* Times that can be recovered to, or (lost) could if nothing were damaged. */
struct verify_window {
	uint32_t timeline;
	int64_t from, to;
	bool lost;
};

struct verify_cluster {
	struct incarnation inc;
	struct verify_backup *backups; /* by label */
	size_t n_backups;
	struct verify_backup *dumps; /* by label */
	size_t n_dumps;
	struct verify_finding *findings;
	size_t n_findings;
	struct verify_window *windows; /* by timeline, then time */
	size_t n_windows;
	uint64_t damaged; /* findings and bad files that stand */
	uint64_t unreferenced, unreferenced_bytes; /* no backup's objects */
};

struct verify_result {
	struct verify_cluster *clusters;
	size_t n;
	uint64_t objects, bytes; /* read; with quick: looked at */
	uint64_t backups, files; /* proved */
	uint64_t dumps, items;	 /* proved */
	uint64_t damaged;  /* the clusters' */
	uint64_t repaired;
	uint64_t unread;
	int64_t took_us;
	struct err unread_err; /* the first reason of `unread` */
};

int verify_run(const struct verify_params *params, struct verify_result *out,
    struct err *err) ERR_USE;
void verify_result_free(struct verify_result *r);

#endif
