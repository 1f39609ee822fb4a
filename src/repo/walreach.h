/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALREACH_H
#define REPO_WALREACH_H

/*
 * What the archive can prove: which WAL is stored without a gap from a backup
 * on, along a path of timelines, and where on it a recovery target lies.
 * Summaries find the segment, the segment's records give the exact place.
 * One thread; memory does not grow with the archive beyond its file names.
 */
#include "core/err.h"
#include "repo/commit.h"
#include "repo/walview.h"

/* Unbroken stored WAL along a path, from a backup's first segment. */
struct wal_reach {
	pg_lsn begin; /* the backup's start LSN */
	pg_lsn end;   /* end of the last whole record that is stored */
	pg_lsn last_record; /* its start; 0: not known */
	bool opaque; /* some of it cannot be read as WAL: `end` is too low */
	uint32_t end_timeline;
	char last_segment[WAL_SEGMENT_NAME_LEN + 1];
	bool ends_in_partial; /* the last piece is a .partial file */
	char missing[WAL_SEGMENT_NAME_LEN + 1]; /* first absent one */
	bool gap; /* later segments exist after `missing` */
	bool conflict; /* `missing` is stored, with two contents */
	bool damaged;  /* `missing` is stored, damaged */
	/*
	 * 0, or where the path's next timeline left end_timeline, while
	 * nothing of the next one is stored from there on: PostgreSQL then
	 * reads on in the old timeline's WAL. past_fork: and there is some.
	 */
	pg_lsn fork;
	bool past_fork;
	int64_t max_commit_time; /* 0: no commit seen after the backup's stop */
	int64_t proven_time; /* latest time of any record or backup stop */
	pg_lsn proven_lsn;   /* where that is */
};

/*
 * The path of a timeline target: "latest" (the highest timeline that has a
 * stored history file and descends from `from` at `lsn`; PostgreSQL's own
 * rule of probing upwards, TRAPS T28), "current", or a number. ERR_REFUSED
 * when that timeline does not descend from the backup (T89), or a history
 * that recovery would ask for is not stored.
 */
int wal_reach_path(struct repo *repo, const struct incarnation *inc,
    const char *timeline, uint32_t from, pg_lsn lsn, struct history *out,
    struct err *err) ERR_USE;

int wal_reach(struct repo *repo, const struct commit *backup,
    const struct history *path, struct wal_reach *out,
    struct err *err) ERR_USE;

/*
 * The same for who only shows what there is: from a view, and what it knows
 * already is not read. last_record is 0.
 */
int wal_reach_path_view(struct walview *view, const char *timeline,
    uint32_t from, pg_lsn lsn, struct history *out, struct err *err) ERR_USE;
int wal_reach_view(struct repo *repo, struct walview *view,
    const struct commit *backup, const struct history *path,
    struct wal_reach *out, struct err *err) ERR_USE;

/* What to look for, as PostgreSQL's recovery looks (xlogrecovery.c). */
enum wal_target_type {
	WAL_TARGET_TIME,
	WAL_TARGET_XID,
	WAL_TARGET_LSN,
	WAL_TARGET_NAME
};

struct wal_target {
	enum wal_target_type type;
	bool inclusive;
	int64_t time;
	uint32_t xid;
	pg_lsn lsn;
	const char *name;
};

struct wal_found {
	bool found;
	/*
	 * TIME: no commit is past the target, and WAL is stored that is
	 * proved to be later. LSN, exclusive: just behind the last record.
	 * All that is stored belongs to it: recover to event.lsn, the last
	 * whole record, inclusive.
	 */
	bool use_lsn;
	struct wal_event event; /* the record that decides */
	uint32_t timeline;
	char segment[WAL_SEGMENT_NAME_LEN + 1];
};

/*
 * The first place after the backup's stop LSN where recovery would stop.
 * Not there: 0 with found = false.
 */
int wal_reach_find(struct repo *repo, const struct commit *backup,
    const struct history *path, const struct wal_reach *reach,
    const struct wal_target *target, struct wal_found *out,
    struct err *err) ERR_USE;

/* What wal_reach_prove() has looked at. */
struct wal_proof {
	uint64_t segments;
	uint64_t stored_bytes; /* all parts */
	bool read; /* every byte, with its checks */
	/*
	 * Tablespaces that the WAL creates, when it was read: recovery makes
	 * each at the path that it has in the record, and removes what a
	 * server of this version has there before.
	 */
	struct wal_tablespace *tablespaces;
	size_t n_tablespaces;
};

#define WAL_TABLESPACE_PATH_MAX 1024 /* PostgreSQL's MAXPGPATH, with the 0 */

struct wal_tablespace {
	uint32_t oid;
	pg_lsn lsn; /* of the record */
	char path[WAL_TABLESPACE_PATH_MAX];
};

void wal_proof_free(struct wal_proof *p); /* the members; also of a zeroed one */

/*
 * That the WAL from the backup up to an LSN is really there: every part of
 * it, and when it has at most read_max stored bytes, its content too.
 * ERR_DAMAGED: what the archive names is absent or damaged. Free *out in any
 * case.
 */
int wal_reach_prove(struct repo *repo, const struct commit *backup,
    const struct history *path, pg_lsn until, uint64_t read_max,
    struct wal_proof *out, struct err *err) ERR_USE;

#endif
