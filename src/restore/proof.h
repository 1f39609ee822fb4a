/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_PROOF_H
#define RESTORE_PROOF_H

/*
 * Internal to src/restore: what the plan needs is looked at before anything
 * is written: the packs and manifest parts that the commit names, the WAL up
 * to the target, the histories that PostgreSQL will ask for. One thread.
 *
 * ERR_DAMAGED: something named is absent or has another size, or its content
 * does not hold. ERR_REFUSED: PostgreSQL's search for the newest timeline
 * would fail. Fills plan->proof.
 */
#include "restore/plan.h"

/* The packs and manifest parts. ERR_DAMAGED: another backup may hold. */
int proof_backup(struct restore_plan *plan, struct err *err) ERR_USE;

/* All the rest. */
int proof_recovery(struct restore_plan *plan, struct err *err) ERR_USE;

#endif
