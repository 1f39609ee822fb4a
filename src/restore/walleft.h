/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_WALLEFT_H
#define RESTORE_WALLEFT_H

/*
 * Internal to src/restore: WAL in the pg_wal of a directory that a delta
 * restore is about to change. What the repository has with the same content
 * may go; what it does not have is the last copy, and is never deleted.
 *
 *	walleft_find(&w, plan, err)	reads pg_wal and the repository
 *	walleft_move(w, plan, err)	what is not stored, into PLAN_KEPT_WAL
 *	walleft_free(w)
 *
 * One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "pg/walname.h"
#include "restore/plan.h"

struct walleft_file {
	char name[WAL_FILE_NAME_MAX];
	bool conflict; /* another content is stored under its name */
	bool wanted;   /* belongs into the repository: see walleft.c */
};

struct walleft {
	struct walleft_file *list; /* of those that are not stored, by name */
	size_t n;
};

int walleft_find(struct walleft **out, const struct restore_plan *plan,
    struct err *err) ERR_USE;
void walleft_free(struct walleft *w); /* NULL is fine */

/* Durable. *moved: how many. */
int walleft_move(const struct walleft *w, const struct restore_plan *plan,
    uint64_t *moved, struct err *err) ERR_USE;

#endif
