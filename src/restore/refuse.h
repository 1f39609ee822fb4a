/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_REFUSE_H
#define RESTORE_REFUSE_H

/*
 * Internal to src/restore: why a plan is refused, in words, and what can be
 * reached instead. Each fills *err with ERR_REFUSED (ERR_DAMAGED for WAL that
 * is damaged) and returns -1, or what reading the repository gave. One thread.
 */
#include "restore/plan.h"

/* WAL that makes the backup consistent is not all there. */
int refuse_incomplete(const struct commit *c, const struct wal_reach *r,
    struct err *err) ERR_USE;
int refuse_gap(const struct commit *c, const struct wal_reach *r,
    struct err *err) ERR_USE;
int refuse_fork(const struct restore_plan *plan, const struct commit *c,
    const struct wal_reach *r, struct err *err) ERR_USE;
int refuse_not_found(const struct restore_plan *plan, const struct commit *c,
    const struct wal_reach *r, struct err *err) ERR_USE;

/* 0 when no timeline above `reached` is stored. */
int refuse_abandoned(const struct restore_plan *plan, uint32_t reached,
    struct err *err) ERR_USE;

/* Replace the hint: the timelines there are; the path's restore points. */
void refuse_hint_timelines(const struct restore_plan *plan, struct err *err);
void refuse_hint_names(const struct restore_plan *plan,
    const struct history *path, struct err *err);

#endif
