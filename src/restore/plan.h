/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_PLAN_H
#define RESTORE_PLAN_H

/*
 * Internal to src/restore: what was decided before the first byte is copied,
 * and the steps that restore.h puts together. One thread.
 *
 *	plan_target_parse()	the target of the configuration (target.c)
 *	plan_choose()		backup, path, proof; reads the repository only
 *	plan_destination()	this host: directories, space (dest.c)
 */
#include <stdbool.h>
#include <sys/types.h>

#include "core/buf.h"
#include "pg/control.h"
#include "pg/history.h"
#include "repo/walreach.h"
#include "restore/restore.h"

#define PLAN_NOTES_MAX ((size_t)64 << 10)
#define PLAN_TIMELINE_MAX 16

/* In DIR from the first to the last moment of a restore: DESTINATION lines. */
#define PLAN_MARKER "dapk-backup-restore.unfinished"
#define PLAN_MARKER_MAX ((size_t)1 << 20)
#define PLAN_MARKER_SYSTEM "system "

/* WAL that a delta restore found and the repository does not have. */
#define PLAN_KEPT_WAL "pg_wal/dapk-backup-kept-wal"
#define PLAN_MARKER_DELTA "delta"

/* Where configuration files from outside the data directory come to lie. */
#define PLAN_CONFIG_DIR "dapk-backup-config"

struct plan_tablespace {
	uint32_t oid;
	char *from;
	char *to; /* after --tablespace-map */
};

/* Settings of the source that a start is compared with (TRAPS T101). */
struct plan_settings {
	char *archive_mode;
	char *max_connections;
	char *max_worker_processes;
	char *max_wal_senders;
	char *max_prepared_transactions;
	char *max_locks_per_transaction;
};

/* Restored configuration files, absolute paths, NULL where there is none. */
struct plan_saved {
	char *config_file;
	char *hba_file;
	char *ident_file;
	bool names_directory; /* the configuration sets data_directory */
};

struct restore_plan {
	struct restore_params params;
	const struct config *config; /* params.config */

	/* plan_choose() */
	struct incarnation inc;
	struct commit backup;
	struct history path; /* the timeline that recovery is sent to */
	struct wal_reach reach;
	enum config_target target; /* never TARGET_DEFAULT */
	char timeline[PLAN_TIMELINE_MAX]; /* "latest", "current", "7" */
	struct wal_target want;	    /* TIME, XID, LSN, NAME */
	struct wal_found found;
	struct wal_proof proof;
	bool zone_assumed;
	struct buf notes; /* lines for the printed plan */

	/* plan_destination() */
	char *dir; /* absolute */
	bool dir_is_mount;
	struct plan_tablespace *tablespaces;
	size_t n_tablespaces;
	bool delta; /* --delta, and something is there */
	bool same_system; /* delta: it is the backup's, as far as it can tell */
	struct walleft *wal_left; /* delta */

	/* restore_apply() */
	struct plan_saved saved;
	struct plan_settings settings;
	struct control control; /* the backup's */
	bool touched; /* the destination has been changed */
	struct restore_result result;
	char *kept_wal_dir, *damage_list; /* for result */
};

/* A line for the printed plan. */
void plan_note(struct restore_plan *plan, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ERR_USAGE: the target or timeline cannot be read, or options contradict. */
int plan_target_parse(struct restore_plan *plan, struct err *err) ERR_USE;

/* The target for messages: "time 2026-11-22 13:31:07+00", "latest". */
void plan_target_text(const struct restore_plan *plan, struct buf *out);

/* Does recovery get a recovery_target setting (or runs to the end)? */
bool plan_has_target(const struct restore_plan *plan);

/* The timeline that recovery is sent to: the path's, or an older one. */
uint32_t plan_recovery_timeline(const struct restore_plan *plan);

int plan_choose(struct restore_plan *plan, struct err *err) ERR_USE;

/* How far the WAL behind the newest backup reaches, and of which system. */
struct plan_survey {
	int64_t backup_time; /* where the backup that would be taken ended */
	uint64_t system_id;
	int major;
	uint32_t timeline;
	pg_lsn end;
};

/* As plan_choose(), without proving that all of it is there. */
int plan_survey(struct restore_plan *plan, struct plan_survey *out,
    struct err *err) ERR_USE;

int plan_destination(struct restore_plan *plan, struct err *err) ERR_USE;

/*
 * What lies in plan->dir with --delta (olddir.c): may it be restored over?
 * ERR_REFUSED: a server runs, it is no data directory, it is another
 * system's and there is no --force, or its pg_wal is a running server's.
 */
int plan_old_directory(struct restore_plan *plan, struct err *err) ERR_USE;

/*
 * Is this tablespace directory, which is not empty, the old directory's own?
 * ERR_REFUSED: no, or a running server uses it.
 */
int plan_old_tablespace(const struct restore_plan *plan,
    const struct plan_tablespace *t, struct err *err) ERR_USE;

/* Do both names lead to one directory? */
bool plan_same_directory(const char *a, const char *b);

/* Bytes of the regular files that are there. */
uint64_t plan_old_bytes(const struct restore_plan *plan);

/* A word for a shell, in quotes when it needs them: for commands to type. */
void plan_shell_word(struct buf *out, const char *word);

/* "BIN/pg_ctl -D DIR" to type; bin may be NULL. */
void plan_pg_ctl(const struct restore_plan *plan, const char *bin,
    struct buf *out);

/* A plan with its parameters and nothing decided. */
struct restore_plan *plan_new(const struct restore_params *params);

/* Is there nothing but a mount point's lost+found? A missing one is empty. */
int plan_directory_empty(const char *path, bool is_mount, bool *exists,
    bool *empty, struct err *err) ERR_USE;

#endif
