/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAM_H
#define BACKUP_STREAM_H

/*
 * A backup over the replication protocol: the server reads its files and
 * sends them, from another host (BASE_BACKUP). What comes goes the same way
 * as what is read from a data directory; only the order is the server's.
 *
 *	stream_open(&s, &server, &params, err);
 *	stream_position(s, &begin, err);
 *	stream_parent(s, parent, ..., err);  may ask for changes only
 *	stream_begin(s, &begin, err);	waits for the checkpoint
 *	stream_fill_commit(s, parent, commit)
 *	stream_receive(s, &receive, err);	all lines are in the manifest
 *	stream_add_config(s, entries, err);
 *	stream_add_control(s, entries, err);
 *	stream_end(s, &end, err);
 *	stream_free(s);
 *
 * One thread, which makes workers while it receives.
 */
#include <stdbool.h>

#include "backup/entries.h"
#include "backup/parent.h"
#include "backup/server.h"
#include "core/err.h"
#include "pg/backupapi.h"
#include "pg/replication.h"
#include "repo/commit.h"

struct stream;

struct stream_params {
	bool checkpoint_fast;
	uint64_t max_rate;
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
};

int stream_open(struct stream **out, struct server *server,
    const struct stream_params *p, struct err *err) ERR_USE;
void stream_free(struct stream *s); /* NULL is fine; ends the backup */

/*
 * Name of what is read, for the commit: of one server under one name. A
 * backup of the same data directory by another method has another.
 */
int stream_source(struct stream *s, char out[COMMIT_SOURCE_LEN + 1],
    struct err *err) ERR_USE;

/*
 * What the server's files are compared with. From PostgreSQL 17 on only what
 * changed since is asked for, if that can be trusted (said why not), and
 * unless the last backup that read everything is that long ago.
 */
int stream_parent(struct stream *s, struct parent *parent,
    const char *source, uint64_t full_read_every_ms, struct err *err) ERR_USE;

/* Where a backup would begin at the earliest: before stream_begin(). */
int stream_position(struct stream *s, struct backup_begin *out,
    struct err *err) ERR_USE;

int stream_begin(struct stream *s, struct backup_begin *out,
    struct err *err) ERR_USE;

/* Tablespaces, and what was read. */
void stream_fill_commit(const struct stream *s, const struct parent *parent,
    struct commit *c);
uint64_t stream_size(const struct stream *s); /* bytes, about */

struct stream_receive {
	struct entries *entries;
	struct pack_shared *pack;
	struct commit *commit; /* takes the damaged pages, at stream_end() */
	uint64_t fingerprint_seed;
	int compress_level;
	unsigned jobs;
	atomic_ullong *done_bytes;
};

int stream_receive(struct stream *s, const struct stream_receive *p,
    struct err *err) ERR_USE;

/*
 * Configuration files outside of the data directory, as far as the role may
 * read them by SQL; what it may not is said. Included files are not found.
 */
int stream_add_config(struct stream *s, struct entries *entries,
    struct err *err) ERR_USE;

int stream_add_control(struct stream *s, struct entries *entries,
    struct err *err) ERR_USE;

int stream_end(struct stream *s, struct backup_end *out,
    struct err *err) ERR_USE;

#endif
