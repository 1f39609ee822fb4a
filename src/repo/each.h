/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_EACH_H
#define REPO_EACH_H

/*
 * The same small thing for many objects: one after another in a local
 * repository, several at once in one over a network, where each takes a round
 * trip. The threads and their connections stay until the repository is closed.
 */
#include <stddef.h>

#include "core/err.h"
#include "repo/repo.h"

/* repo is the thread's own. i is written to by nobody else. */
typedef int (*repo_each_fn)(struct repo *repo, void *arg, size_t i,
    struct err *err);

/*
 * fn for each i below n, in no particular order; at most 8 at once. -1: one
 * failed, the lowest that did is told; not all of the others may have run.
 */
int repo_each(struct repo *repo, size_t n, repo_each_fn fn, void *arg,
    struct err *err) ERR_USE;

/* For repo_close(). NULL is fine. */
void repo_hands_free(struct repo_hands *hands);

#endif
