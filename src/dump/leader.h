/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_LEADER_H
#define DUMP_LEADER_H

/*
 * The leader's part: every table whose rows are dumped is locked before the
 * snapshot is taken, and pg_dump tells under that snapshot what there is.
 * Should pg_dump name a table that is not locked (one that came meanwhile),
 * all begins again with that one among those to be locked.
 *
 *	leader_begin(&l, &params, err);
 *	l.session, l.snapshot, l.head, l.facts
 *	leader_end(&l);
 *
 * pg_dump runs in a thread of its own meanwhile; one thread uses the rest.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/facts.h"
#include "dump/head.h"
#include "dump/session.h"
#include "pg/archive.h"

#define LEADER_ATTEMPTS 5

typedef int leader_pulse(void *arg, struct err *err);

struct leader_params {
	const char *conninfo;
	const char *database; /* NULL: as conninfo says */
	const char *role;
	const char *bin_dir; /* of pg_dump; NULL: looked for */
	const struct head_option *options;
	size_t n_options;
	bool deferrable;
	uint64_t lock_wait_ms;
	leader_pulse *pulse; /* while something is waited for */
	void *pulse_arg;
};

struct leader {
	struct session session;
	struct pgtool tool;
	struct pgtool_connection connection;
	struct session_snapshot snapshot;
	struct archive_reader *reader; /* holds head */
	const struct archive_head *head;
	char *said; /* by pg_dump, on its standard error */
	struct facts facts;
	int64_t began; /* the snapshot, by time_monotonic() */
};

/* Connect and find pg_dump. */
int leader_open(struct leader *l, const struct leader_params *params,
    struct err *err) ERR_USE;

/* Lock, take the snapshot, read the table of contents. */
int leader_begin(struct leader *l, const struct leader_params *params,
    struct err *err) ERR_USE;

/* End the session, and with it locks and snapshot; what was read stays. */
void leader_release(struct leader *l);

/* The same, and all else goes too; also of zeroes. */
void leader_end(struct leader *l);

#endif
