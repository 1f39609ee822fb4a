/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

/*
 * Taking a physical backup of a running server by reading its data directory
 * (DESIGN: plan.c what to copy, copy.c one range of a file, backup.c the
 * sequence). Called by one thread; makes its own workers.
 */
#include <stdatomic.h>

#include "backup/sources.h"
#include "core/err.h"
#include "pg/conn.h"
#include "repo/commit.h"
#include "repo/repo.h"

/* Read by the caller's progress display while the backup runs. */
struct backup_progress {
	atomic_ullong done_bytes;
	atomic_ullong total_bytes; /* 0: not known yet */
	atomic_uint phase;	   /* enum backup_phase */
};

enum backup_phase {
	BACKUP_PHASE_CHECKPOINT,
	BACKUP_PHASE_COPY,
	BACKUP_PHASE_WAIT_WAL,
	BACKUP_PHASE_COMMIT
};

struct backup_params {
	struct repo *repo;
	const char *cluster;
	const char *pgdata; /* NULL: ask the server */
	const char *conninfo; /* may name several hosts */
	enum source_from from; /* which of them */
	bool stream; /* over the replication protocol, not the directory */
	unsigned jobs;
	int compress_level;
	uint64_t max_rate; /* bytes a second read in all, 0: no limit */
	bool checkpoint_fast;
	uint64_t lease_ms;	     /* 0: the default */
	uint64_t archive_timeout_ms; /* without progress, for the WAL wait */
	bool full; /* store everything, whatever there is already */
	uint64_t refresh_age_ms; /* store again what is older; 0: never */
	/* Read and check every page at least this often; 0: each time. */
	uint64_t full_read_every_ms;
	bool dry_run; /* plan only: nothing is started or written */
	struct backup_progress *progress; /* never NULL */
	void (*tick)(void *arg); /* called a few times a second */
	void *tick_arg;
};

/*
 * 0: the backup is committed and *out describes it (damaged_count > 0: pages
 * failed their checksum; the command exits with 1). -1: there is no backup,
 * and the server is out of backup mode. The caller frees *out (commit_free).
 */
int backup_run(const struct backup_params *params, struct commit *out,
    struct err *err) ERR_USE;

#endif
