/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_RESTORE_H
#define RESTORE_RESTORE_H

/*
 * Restoring a physical backup and setting up recovery to a target.
 *
 *	restore_plan(&plan, &params, err)	proves that the target can be
 *						reached, or says why not
 *	restore_plan_print(plan, stdout)	the proof, for people
 *	restore_apply(plan, err)		copies, syncs, sets up recovery
 *	restore_start(plan, &reached, err)	with --start
 *	restore_plan_free(plan)
 *
 * Called by one thread; makes its own workers.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "config/config.h"
#include "core/err.h"
#include "repo/commit.h"
#include "repo/repo.h"

struct restore_progress {
	atomic_ullong done_bytes;
	atomic_ullong total_bytes;
};

struct restore_params {
	struct repo *repo;
	/* What it was opened as, for restore_command; NULL: only a URL. */
	const struct config_repository *from;
	const char *why; /* it was chosen from several; static, or NULL */
	const struct config *config; /* target, timeline, maps, ... */
	const char *program; /* absolute path for restore_command */
	struct restore_progress *progress; /* never NULL */
	void (*tick)(void *arg);
	void *tick_arg;
};

struct restore_plan;

/*
 * Choose among the repositories of params->config, which must have repo NULL:
 * each is proved alone, the nearest first, and the first that reaches the
 * target is taken; without a target the one whose WAL reaches furthest. One
 * that cannot be reached is warned of and left out. Fills repo (the caller
 * closes it in any case), from and why, and makes the plan.
 */
int restore_choose(struct restore_plan **out, struct restore_params *params,
    struct err *err) ERR_USE;

/*
 * ERR_REFUSED: the target cannot be reached; the message says why and the
 * hint the nearest targets that can. Nothing has been written.
 */
int restore_plan(struct restore_plan **out,
    const struct restore_params *params, struct err *err) ERR_USE;
void restore_plan_print(const struct restore_plan *plan, FILE *out);
void restore_plan_free(struct restore_plan *plan); /* NULL is fine */

/* The chosen backup. */
const struct commit *restore_plan_backup(const struct restore_plan *plan);

int restore_apply(struct restore_plan *plan, struct err *err) ERR_USE;

/*
 * With --delta: WAL files in the directory's pg_wal that are not in the
 * repository, and of these the ones that belong there. A caller may archive
 * them (and make a new plan, which then counts on them) before
 * restore_apply(), which moves aside what is still not stored.
 */
size_t restore_plan_wal_left(const struct restore_plan *plan, size_t *wanted);
bool restore_plan_wal_wanted(const struct restore_plan *plan,
    const char *name);

/* With --delta: what would be removed, named in the log; changes nothing. */
int restore_plan_rehearse(struct restore_plan *plan, struct err *err) ERR_USE;

/* What restore_apply() did. */
struct restore_result {
	bool delta; /* something was there; else only the damage counts */
	uint64_t equal_bytes, written_bytes;
	uint64_t equal_files, changed_files, new_files;
	uint64_t removed_files, removed_directories, removed_links;
	uint64_t kept_wal;     /* files moved aside */
	const char *kept_wal_dir; /* where, absolute */
	uint64_t damage_lines, lost_blocks; /* with --allow-damage */
	const char *damage_list; /* absolute name of the list */
};

/* Valid as long as the plan. */
const struct restore_result *restore_plan_result(
    const struct restore_plan *plan);

/*
 * After restore_apply(): the command that starts the restored server, with
 * what its configuration would otherwise get wrong. Caller frees.
 */
char *restore_start_command(const struct restore_plan *plan);

/* Does the command need more than the directory to find the right files? */
bool restore_start_needs_options(const struct restore_plan *plan);

struct restore_reached {
	bool promoted; /* or paused, or shut down, as asked */
	uint32_t timeline;
	pg_lsn lsn;
	int64_t last_commit_time; /* 0: none replayed */
	unsigned port;
	char socket_directory[256];
	bool socket_temporary; /* made for this: nobody else removes it */
};

/* Starts PostgreSQL in the restored directory and waits for the target. */
int restore_start(struct restore_plan *plan, struct restore_reached *out,
    struct err *err) ERR_USE;

#endif
