/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_WALVIEW_PRIVATE_H
#define REPO_WALVIEW_PRIVATE_H

/* What the files walview*.c share; no one else includes it. */
#include "repo/walcache.h"
#include "repo/walview.h"

struct walview_timeline {
	uint32_t timeline;
	bool listed;
	struct walview_item *items; /* ascending */
	size_t n, cap;
	struct walcache_folder *folders; /* ascending; with a cache only */
	size_t n_folders, cap_folders;
	struct history history; /* n 0: not read, or: */
	struct err no_history;
};

struct walview {
	struct repo *repo;
	struct incarnation inc;
	struct walcache *cache; /* or NULL */
	bool changed; /* something is known that the cache has not */
	bool listed;
	uint32_t *numbers; /* of the timelines */
	struct walview_timeline *timelines;
	size_t n;
	struct walview_span *spans;
	size_t n_spans;
	struct history first; /* of timeline 1 when nothing of it is stored */
};

/* Fill in items (and folders) of a timeline: walview_list.c. */
int walview_list(struct walview *v, struct walview_timeline *t,
    struct err *err) ERR_USE;

#endif
