/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALCHAIN_H
#define REPO_WALCHAIN_H

/*
 * Internal to src/repo: the stored segments that recovery would read one
 * after the other along a path of timelines, and their records.
 *
 *	wal_chain_build(&c, repo, inc, view, segment_size, path, first, err);
 *	wal_chain_link(&c, i, &link, err);
 *	wal_chain_describe(&c, &link, &tag, &summary, err);
 *	wal_chain_scan(&c, i, judge, arg, &enough, err);
 *	wal_chain_free(&c);
 *
 * One thread; wal_chain_link() may be called by several when the view is the
 * chain's own. The chain itself takes little memory, its view what a view
 * takes.
 */
#include "repo/walview.h"

/* A segment of the chain; nothing of it counts from `limit` on. */
struct wal_link {
	struct walview_item *item; /* the view's, as long as it says */
	uint64_t segno;
	pg_lsn limit;
};

/* Links that follow each other, of one timeline and with one limit. */
struct wal_run {
	uint32_t timeline;
	uint64_t segno; /* of the first */
	size_t begin, n; /* links begin to begin + n - 1 */
	pg_lsn limit;
	bool partial; /* one link: the .partial with this hash */
	uint8_t hash[WAL_HASH_SIZE];
};

struct frame_codec;

struct wal_chain {
	struct walview *view, *own_view; /* own: made for the chain, or NULL */
	struct repo *repo;
	const struct incarnation *inc;
	uint32_t segment_size;
	struct wal_run *runs;
	size_t n_runs;
	size_t n; /* links */
	/* Where it ends: the first absent one, and whether more follows. */
	char missing[WAL_SEGMENT_NAME_LEN + 1];
	bool gap;
	bool conflict; /* it is there, with two contents */
	/*
	 * 0, or it ends where the path's next timeline left the last link's,
	 * as nothing of the next one is stored from there on. goes_on: the
	 * fork is at a segment's end, and the old timeline has the next.
	 */
	pg_lsn fork;
	bool goes_on;
	bool ends_in_partial;
	struct frame_codec *codec; /* made when first needed */
};

/*
 * From segment number `first` on. Free it after a failure too. view: of the
 * same repository and incarnation, living longer; NULL: the store is asked.
 */
int wal_chain_build(struct wal_chain *c, struct repo *repo,
    const struct incarnation *inc, struct walview *view,
    uint32_t segment_size, const struct history *path, uint64_t first,
    struct err *err) ERR_USE;
void wal_chain_free(struct wal_chain *c);

/* Link i, below n. A store is asked only where what is remembered broke. */
int wal_chain_link(const struct wal_chain *c, size_t i, struct wal_link *out,
    struct err *err) ERR_USE;

/* A link's segment number alone. */
uint64_t wal_chain_segno(const struct wal_chain *c, size_t i);

/* LSN of the first byte of link i. */
pg_lsn wal_chain_start(const struct wal_chain *c, size_t i);

/* The segment's name of link i, and its timeline. */
uint32_t wal_chain_name(const struct wal_chain *c, size_t i,
    char out[WAL_SEGMENT_NAME_LEN + 1]);

/* The link's object, with its name. */
struct wal_stored wal_chain_stored(const struct wal_link *l);

/*
 * Tag and summary (or NULL) of a link. A damaged generation is replaced in
 * the chain by one that holds. ERR_DAMAGED: none does.
 */
int wal_chain_describe(struct wal_chain *c, struct wal_link *l,
    struct format_wal_tag *tag, struct wal_summary *sum,
    struct err *err) ERR_USE;

/* Takes each record in order; true: enough. */
typedef bool (*wal_chain_judge)(void *arg, const struct wal_event *ev);

/* All records that begin and end in a link. *enough: judge said so. */
int wal_chain_scan(struct wal_chain *c, size_t at, wal_chain_judge judge,
    void *arg, bool *enough, struct err *err) ERR_USE;

/* Only the record that begins in a link at `lsn` and goes on in the next. */
int wal_chain_scan_across(struct wal_chain *c, size_t at, pg_lsn lsn,
    wal_chain_judge judge, void *arg, bool *enough, struct err *err) ERR_USE;

#endif
