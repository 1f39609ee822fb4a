/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_GETONE_H
#define WAL_GETONE_H

/*
 * Internal to src/wal: what one repository answers to archive-get. What
 * several answers mean together is get.c's.
 */
#include "repo/walstore.h"
#include "wal/cluster.h"
#include "wal/get.h"

struct wal_want {
	const struct wal_get_params *params;
	struct wal_cluster cluster;
	struct wal_file file; /* what was asked for */
	char *dest;
};

enum wal_answer {
	WAL_ANSWER_ERROR, /* nothing is known */
	WAL_ANSWER_DELIVERED,
	WAL_ANSWER_ABSENT,   /* proved, see wal/absent.h */
	WAL_ANSWER_STRANGER, /* it has nothing at all of this cluster */
	WAL_ANSWER_CONFLICT  /* stored with two contents */
};

/*
 * Deliver what is stored under the name itself. *err is filled for every
 * answer but DELIVERED and ABSENT. A .partial is looked for by the next two,
 * and only when no repository has the whole segment.
 */
enum wal_answer wal_one_ask(const struct wal_want *want, struct repo *repo,
    struct err *err);

/* The .partial to use of a segment, with its generations. */
struct wal_partial {
	struct wal_stored *list;
	size_t n;	/* 0: none is stored */
	uint64_t reach; /* bytes of whole records; 0: cannot be told */
};

int wal_one_partial(const struct wal_want *want, struct repo *repo,
    struct wal_partial *out, struct err *err) ERR_USE;
void wal_partial_free(struct wal_partial *p);
int wal_one_deliver_partial(const struct wal_want *want, struct repo *repo,
    const struct wal_partial *p, struct err *err) ERR_USE;

#endif
