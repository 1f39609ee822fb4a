/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_LEASELIST_H
#define REPO_LEASELIST_H

/*
 * The objects of a lease, leases/NAME/NNNNNNNNNN-ID: listed, read, put and
 * removed. What they mean is lease.c's.
 */
#include "repo/lease.h"

struct lease_seen {
	struct lease_info info; /* only of the newest more than id and number */
	int64_t mtime;
	bool newest; /* of its holder */
};

struct lease_list {
	struct lease_seen *list;
	size_t n;
};

/*
 * All objects, and what the newest of each holder says (but not `skip`'s;
 * may be NULL). What stood in *l is freed.
 */
int lease_list_read(struct lease_list *l, struct repo *repo,
    const struct incarnation *inc, const char *name, const char *skip,
    struct err *err) ERR_USE;
void lease_list_free(struct lease_list *l);

/* NULL when it is not there. */
const struct lease_seen *lease_list_find(const struct lease_list *l,
    const char *id, uint64_t number);
const struct lease_seen *lease_list_newest(const struct lease_list *l,
    const char *id);

int lease_list_put(struct repo *repo, const struct incarnation *inc,
    const char *name, const struct lease_info *info, struct err *err) ERR_USE;

/*
 * Remove those of this holder (id), or of all others (not_id), whose number
 * is below this (0: any).
 */
int lease_list_remove(struct repo *repo, const struct incarnation *inc,
    const char *name, const char *id, const char *not_id, uint64_t below,
    struct err *err) ERR_USE;

#endif
