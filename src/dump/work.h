/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_WORK_H
#define DUMP_WORK_H

/*
 * Internal to src/dump: what a dump and its outline have in common, which is
 * all up to the first row.
 */
#include "dump/dump.h"
#include "dump/leader.h"
#include "dump/lobs.h"
#include "dump/tasks.h"

struct dump_work {
	const struct dump_params *params;
	struct leader_params leading;
	struct leader leader;
	struct task_plan tasks;
	struct lobs_plan lobs;
};

/* Connect and look whether this server can be dumped. */
int work_open(struct dump_work *w, const struct dump_params *params,
    leader_pulse *pulse, void *arg, struct err *err) ERR_USE;

/* Locks, snapshot, table of contents, who copies what. */
int work_prepare(struct dump_work *w, struct err *err) ERR_USE;

void work_close(struct dump_work *w);

#endif
