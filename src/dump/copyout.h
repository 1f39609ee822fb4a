/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_COPYOUT_H
#define DUMP_COPYOUT_H

/*
 * Rows and large objects from the server to where they go, on several
 * connections under one snapshot.
 *
 *	copyout_run(&job, pulse, arg, err);
 *
 * What job points to must stay as it is meanwhile. The caller is the thread
 * that has the leader's session; it copies on it what the workers could not
 * lock (somebody waits to change the table, which the leader has locked).
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/facts.h"
#include "dump/lobs.h"
#include "dump/session.h"
#include "dump/tasks.h"

/* A piece of what is dumped: a table's range, or some large objects. */
struct copyout_item {
	const struct fact *fact;      /* the table, or */
	const struct lobs_item *lobs; /* these */
	int32_t dump_id;
	uint32_t range, ranges; /* 0 of 1: the whole table */
};

/* Where it goes: each thread has a writer of its own. */
struct copyout_target {
	int (*writer_new)(void **out, void *arg, struct err *err);
	void (*writer_free)(void *writer); /* NULL is fine */
	int (*begin)(void *writer, const struct copyout_item *item,
	    struct err *err);
	/* One row, or a piece of an object that ends with end. */
	int (*write)(void *writer, const void *data, size_t len, bool end,
	    struct err *err);
	int (*end)(void *writer, struct err *err);
};

struct copyout {
	struct session *leader;
	const char *conninfo;
	const char *role; /* or NULL */
	const char *snapshot;
	const struct session_settings *settings;
	const struct copyout_target *target;
	void *target_arg;
	const struct facts *facts;
	const struct task_plan *tasks; /* .table is an index of facts */
	const struct lobs_plan *lobs;
	unsigned jobs;
	_Atomic uint64_t *done_bytes; /* of facts' bytes */
	_Atomic uint64_t *rows, *bytes; /* as they were given to the target */
};

/* Called a few times a second by the calling thread. */
typedef int copyout_pulse(void *arg, struct err *err);

/*
 * Every item was ended when this returns 0. An error names the table,
 * and the row when it is one that COPY cannot carry.
 */
int copyout_run(const struct copyout *job, copyout_pulse *pulse, void *arg,
    struct err *err) ERR_USE;

#endif
