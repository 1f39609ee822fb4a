/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_COMMITS_H
#define REPO_COMMITS_H

/*
 * The commits of many backups or dumps, one after another; from a store over
 * a network sixteen are read at a time, several at once.
 *
 *	cs = commits_new(repo, &inc, kind, labels, n);
 *	for (i = 0; i < n; i++)
 *		commits_take(cs, i, &commit, err)	as commit_get_kind()
 *	commits_free(cs);
 *
 * One thread; labels and inc are used until commits_free().
 */
#include "repo/commit.h"

struct commits;

struct commits *commits_new(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, char (*labels)[FORMAT_LABEL_MAX], size_t n);

/* The caller's, to be freed with commit_free(), after 0. */
int commits_take(struct commits *cs, size_t i, struct commit *out,
    struct err *err) ERR_USE;

void commits_free(struct commits *cs); /* NULL is fine */

#endif
