/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSH_H
#define WAL_PUSH_H

/*
 * archive-push: one WAL file into the repository. Needs no database
 * connection, reads no catalogue, and returns 0 only when the file is durable
 * there. One thread calls; pieces are compressed by a few of its own. Several
 * calls, each with a repository of its own, may run at the same time.
 */
#include "core/err.h"
#include "repo/repo.h"

struct wal_push_params {
	struct repo *repo;
	const char *cluster;
	const char *pgdata; /* NULL: the current directory, or the path's */
	const char *path;   /* %p: absolute, or relative to pgdata */
	int compress_level;
	unsigned jobs;
	bool header_check;
	/*
	 * wal_push() only: with state_directory, what else waits to be
	 * archived is stored too, up to so many bytes in all; 0: the file
	 * alone. For repositories where a request takes long.
	 */
	uint64_t ahead;
	const char *state_directory;
	/* Told of each file that is stored, also those stored besides. */
	void (*stored)(void *arg, const struct repo *repo,
	    const struct incarnation *inc, const char *name);
	void *stored_arg;
	/* wal_push_all() only: which files, by their names. NULL: all */
	bool (*want)(void *arg, const char *name);
	void *want_arg;
};

struct wal_push_result {
	bool already; /* stored before: the content, or a .partial's records */
	uint64_t original_bytes, stored_bytes;
};

/*
 * ERR_EXISTS: another content is stored under this name; the message tells
 * both LSN ranges, system ids, timelines, the first differing offset and the
 * usual cause. A .partial whose records go on from those of another is stored
 * beside it. ERR_DAMAGED/ERR_REFUSED: the file is not what its name says.
 */
int wal_push(const struct wal_push_params *params,
    struct wal_push_result *out, struct err *err) ERR_USE;

/*
 * Was exactly this file stored ahead by an earlier call? Answered from the
 * state directory alone, with no repository at hand: `known` is what is
 * remembered of it (wal/pushplace.h). False: it may be, or not; push it. True
 * is said once.
 */
bool wal_push_was_ahead(const struct wal_push_params *params,
    const struct repo *known);

/*
 * Salvage: everything in a dead server's pg_wal directory that is not stored
 * yet, the segment being written last (of each timeline) as .partial.
 * params->path is that directory or the data directory; the first may be all
 * that is left. ERR_REFUSED while a server runs on it. A file that cannot be
 * stored (a conflict, damage) is logged and counted in `failed`, the others
 * are still pushed; a failing repository ends it with an error. Without the
 * header check a segment whose header tells nothing is stored only when
 * archive_status has a note of it, or when it follows the last of these and
 * was modified last (as .partial): others may be prepared for later use.
 */
struct wal_salvage_result {
	uint64_t pushed, already, failed;
	uint64_t skipped; /* segments that are, or may be, for later use */
	uint32_t timeline; /* the newest; 0: no WAL was found */
	pg_lsn reached;	   /* the end of valid WAL on it */
	int64_t last_commit_time; /* 0: none seen */
};

int wal_push_all(const struct wal_push_params *params,
    struct wal_salvage_result *out, struct err *err) ERR_USE;

#endif
