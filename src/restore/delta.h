/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_DELTA_H
#define RESTORE_DELTA_H

/*
 * Internal to src/restore: what a delta restore does to the old directory
 * before files are compared: pg_control goes first and durably, so that
 * nothing half finished can be started (TRAPS T90, T91); WAL that is stored
 * nowhere else is moved aside; what the backup does not have is removed. One
 * thread.
 */
#include "core/err.h"
#include "restore/pathset.h"
#include "restore/plan.h"

/* dir: descriptor of plan->dir; the marker is on disk. Fills plan->result. */
int delta_clear(struct restore_plan *plan, const struct pathset *set, int dir,
    struct err *err) ERR_USE;

#endif
