/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_HOLD_H
#define REPO_HOLD_H

/*
 * Holds (FORMAT.md section 3.3): somebody wants no backup, dump, copy or
 * removal in this repository for now, from whatever host. WAL is archived all
 * the same. A place's own.
 *
 *	hold_put(repo, "main", &hold, err);
 *	hold_check(repo, "main", err);		ERR_LOCKED, and who holds it
 *	hold_remove(repo, "main", err);
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/repo.h"

#define HOLD_ID_TEXT 17

struct hold {
	char id[HOLD_ID_TEXT]; /* hold_put() fills in all but reason */
	int64_t created;       /* the maker's clock */
	char *host, *user;
	char *reason; /* "" for none */
};

/* The caller frees hold->host and hold->user, after an error too. */
int hold_put(struct repo *repo, const char *cluster, struct hold *hold,
    struct err *err) ERR_USE;
int hold_list(struct repo *repo, const char *cluster, struct hold **out,
    size_t *n, struct err *err) ERR_USE;
void holds_free(struct hold *holds, size_t n);

/* All holds of the cluster; *removed (may be NULL) says how many. */
int hold_remove(struct repo *repo, const char *cluster, size_t *removed,
    struct err *err) ERR_USE;

/* ERR_LOCKED when the cluster is held: who, since when, why, and the hint. */
int hold_check(struct repo *repo, const char *cluster,
    struct err *err) ERR_USE;

#endif
