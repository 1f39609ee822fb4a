/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_SETREMOVE_H
#define REPO_SETREMOVE_H

#include "core/err.h"
#include "repo/format.h"
#include "repo/repo.h"

/*
 * Remove all objects in the folder of a backup or dump without a commit, or
 * whose commit's put failed: the commit goes first; if it cannot be removed,
 * what it names stays. By the holder of the lease, and only while nothing
 * else can refer to the label's packs.
 */
int set_remove(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct err *err) ERR_USE;

#endif
