/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_NOTES_H
#define REPO_NOTES_H

/*
 * What this host knows of a cluster in one of its repositories without asking
 * it: who stores something there leaves a note in the state directory, and
 * `status` goes by the notes. Each kind of note is a file of its own, so that
 * nobody waits for another; what cannot be kept is not, and a note that is
 * damaged is none. Another user's state directory is read and not written.
 *
 *	STATE/notes/ADDRESS/CLUSTER/wal, push-failed, gap, backup, dump,
 *	    backup-failed, dump-failed, look, verify, expire, expire-failed, hold
 *	STATE/notes/servers/CLUSTER
 *
 *	notes_put_wal(&of, &inc, "000000010000000000000003");
 *	notes_read(&of, &facts);
 *	notes_judge(&facts, time_now(), &notes_limits, &judgement);
 *
 * Any thread; several processes at once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "core/err.h"
#include "repo/repo.h"

#define NOTES_TEXT_MAX 512
#define NOTES_NAME_MAX 160

/* Whose facts: a cluster, and where the repository lies. */
struct notes_of {
	const char *state_directory;
	const struct config_repository *address;
	const char *cluster;
};

/* What a server says of its archiving, of which no repository knows. */
struct notes_server {
	int64_t asked; /* 0: never */
	bool archives; /* its settings call archive-push */
	char trouble[NOTES_NAME_MAX]; /* why not: "archive_mode is off" */
	char archived[WAL_FILE_NAME_MAX]; /* pg_stat_archiver; "" for none */
	char failed[WAL_FILE_NAME_MAX];
	int64_t archived_time, failed_time; /* the server's clock */
	uint64_t failures; /* since its statistics were reset */
};

/* Times are this host's clock; 0: not known. */
struct notes {
	/* of any note */
	char repository_id[REPO_ID_TEXT]; /* "" */
	uint64_t system_id;
	/* archive-push */
	char wal_file[WAL_FILE_NAME_MAX]; /* the last one stored, or "" */
	int64_t wal_time;
	int64_t push_failing_since; /* 0: the last one did not fail */
	int64_t push_failed;	    /* the last time */
	char push_error[NOTES_TEXT_MAX];
	/* WAL that it gave up (archive-queue-max), the last stretch of time */
	char gap_first[WAL_FILE_NAME_MAX], gap_last[WAL_FILE_NAME_MAX]; /* "" */
	uint64_t gap_segments;
	int64_t gap_since, gap_time; /* the first and last time, or 0 */
	/* backup, dump: the last one stored, and the last one that failed */
	struct notes_set {
		char label[FORMAT_LABEL_MAX]; /* "" */
		int64_t time;	/* when it ended */
		uint64_t damaged; /* pages that failed */
		uint64_t original_bytes, stored_bytes;
		int64_t took; /* microseconds */
		int64_t failed; /* later than `time`, or 0 */
		char error[NOTES_TEXT_MAX];
	} backup, dump;
	/* info, expire: the last look into the repository */
	int64_t looked;
	bool recoverable; /* at least one window, then */
	bool whole;	  /* nothing was damaged or missing */
	int64_t window_from, window_to; /* the one that reaches furthest */
	int64_t since; /* there are backups since then, or were */
	uint64_t gaps; /* breaks within the time that retention promises */
	char gap_behind[WAL_FILE_NAME_MAX]; /* missing behind window_to, or "" */
	uint64_t conflicts; /* WAL names with two contents */
	/* verify */
	int64_t verified;	/* the last run of any kind */
	int64_t verified_whole; /* the last that read all there is */
	int64_t verify_failed;	/* the last that found damage, or 0: mended */
	uint64_t verify_damaged;
	char verify_share[48]; /* "3/30": what that one read, "" for all */
	/* expire */
	int64_t expired;
	int64_t expire_failed; /* later than `expired`, or 0 */
	char expire_error[NOTES_TEXT_MAX];
	/* hold: as it was seen last */
	int64_t held_since; /* 0: not held */
	char held_by[NOTES_NAME_MAX], held_reason[NOTES_NAME_MAX];
	struct notes_server server;
	/* pg_wal/archive_status, now: notes_read_ready() */
	bool ready_known;
	uint64_t ready; /* files that wait for the archiver */
	int64_t ready_since; /* the first one */
	char ready_first[WAL_FILE_NAME_MAX];
	/* the queue of what it lacks */
	bool has_queue;
	uint64_t waiting;
	int64_t waiting_since;
	bool set_waits; /* a backup or dump is in the queue */
	int64_t mirrored; /* the last time that nothing was left to bring */
	int64_t mirror_failed;
	char mirror_error[NOTES_TEXT_MAX]; /* "" since a success */
};

/* archive-push has stored this file there. inc NULL: not known. Cheap. */
void notes_put_wal(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const char *name);

/* archive-push could not. */
void notes_put_push_failure(const struct notes_of *of,
    const struct err *err);

/* archive-push has given this segment up. */
void notes_put_gap(const struct notes_of *of, const char *name);

/* A backup or dump was stored (err NULL), or failed. */
struct commit;
void notes_put_set(const struct notes_of *of, enum repo_kind kind,
    const struct repo *repo, const struct commit *c, const struct err *err);

/* Somebody looked: the newest of each kind, or NULL; as in struct notes. */
struct notes_look {
	const struct commit *backup, *dump;
	bool recoverable, whole;
	int64_t window_from, window_to;
	int64_t since; /* the oldest backup's end */
	uint64_t gaps, conflicts;
	const char *gap_behind; /* or NULL */
};
void notes_put_look(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct notes_look *look);

/* What `verify` came to. */
struct notes_verified {
	uint64_t damaged; /* what stands */
	bool whole; /* all of the cluster was to be read, and was */
	uint64_t share_number, share_of; /* or that part of it; 0: neither */
};
void notes_put_verify(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct notes_verified *v);

/* expire ran (err NULL), or failed. */
void notes_put_expire(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct err *err);

/* The cluster is held, as this says (hold NULL: it is not). */
struct hold;
void notes_put_hold(const struct notes_of *of, const struct hold *hold);

/*
 * Ask a server: its settings and pg_stat_archiver. *has_archiver: false on a
 * standby that leaves archiving to its primary, of which this says nothing.
 */
struct pg_conn;
int notes_ask_server(struct pg_conn *conn, struct notes_server *out,
    bool *has_archiver, struct err *err) ERR_USE;

/* Does this archive_command call `archive-push` for %p? Pure. */
bool notes_command_archives(const char *command);

/* What the server of a cluster said; asked is filled in. */
void notes_put_server(const char *state_directory, const char *cluster,
    const struct notes_server *server);

/* A whole copy was made: what the one has is in the other, too. */
void notes_take_over(const struct notes_of *from, const struct notes_of *to);

/* Another repository is there now. */
void notes_forget(const char *state_directory,
    const struct config_repository *address);

/* STATE/notes/ADDRESS, whether it is there or not. The caller frees it. */
char *notes_folder(const char *state_directory,
    const struct config_repository *address);

/* All but the queue and what waits for the archiver. */
void notes_read(const struct notes_of *of, struct notes *out);

/*
 * The queue too, which goes by ids: where no note of this repository says
 * them, another one's of the same cluster does.
 */
void notes_read_queue(const struct notes_of *of, const char *repository_id,
    uint64_t system_id, struct notes *out);

/*
 * pg_wal/archive_status of the server's data directory, when there is one and
 * it can be read: one look at the directory and at one file.
 */
void notes_read_ready(const char *pgdata, struct notes *out);

/* The newest of what this host has learnt from the repository; 0: nothing. */
int64_t notes_known(const struct notes *f);

/* In rising order; unknown is what it says: nothing is. */
enum notes_verdict {
	NOTES_OK,
	NOTES_WARNING,
	NOTES_UNKNOWN,
	NOTES_CRITICAL
};

/* Ages in microseconds from which on something is so; 0: never. */
struct notes_limits {
	int64_t backup_warning, backup_critical;
	int64_t dump_warning, dump_critical;
	int64_t wal_warning; /* the last WAL stored is so old */
	int64_t push_critical; /* archiving fails, or WAL waits, for so long */
	int64_t queue_warning, queue_critical; /* waiting for so long */
	int64_t look_warning; /* nobody has looked for so long */
	int64_t expire_warning; /* expire did not run for so long */
	int64_t retain; /* the promise; 0: none */
};
extern const struct notes_limits notes_limits_default;

#define NOTES_REASONS_MAX 16

struct notes_judgement {
	enum notes_verdict verdict; /* the worst of the reasons' */
	struct {
		enum notes_verdict verdict;
		char text[NOTES_TEXT_MAX + 128];
	} reasons[NOTES_REASONS_MAX]; /* the worst first */
	size_t n;
};

/* Pure. */
void notes_judge(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out);

const char *notes_verdict_name(enum notes_verdict v);

/* The error's text, cut, as JSON can hold it and a terminal bears it. Pure. */
const char *notes_message(const struct err *err, char out[NOTES_TEXT_MAX]);

/* "3 days": for messages. Pure. */
const char *notes_age(int64_t us, char out[32]);

#endif
