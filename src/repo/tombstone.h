/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_TOMBSTONE_H
#define REPO_TOMBSTONE_H

/*
 * Tombstones (FORMAT.md sections 3.3 and 9.1): objects that would go after
 * the grace period. What stands in one is not referred to by a new backup.
 *
 *	tombstone_list(repo, &inc, &set, err);
 *	tombstone_names(&set, "backups/LABEL/commit");
 *	tombstone_names_pack(&set, &id, generation);
 *	tombstone_list_free(&set);
 *
 * Names are relative to the incarnation. A set belongs to one thread, or to
 * several that only look.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/format.h"
#include "repo/repo.h"

#define TOMBSTONE_ID_TEXT 17
#define TOMBSTONE_OBJECTS_MAX 200000

struct tombstone {
	char id[TOMBSTONE_ID_TEXT];
	int64_t created; /* the maker's clock */
	int64_t mtime;	 /* the store's */
	bool forced;	 /* the last usable backup may go */
	bool named;	 /* somebody named its backup; else retention did */
	char **objects;	 /* owned */
	size_t n;
};

struct tombstone_set {
	struct tombstone *list; /* oldest first, by the store's clock */
	size_t n;
	const char **names; /* of all, ascending */
	size_t n_names;
};

/*
 * Puts one with an id and a time of its own. The rest is as in `of`; at most
 * TOMBSTONE_OBJECTS_MAX objects.
 */
int tombstone_put(struct repo *repo, const struct incarnation *inc,
    const struct tombstone *of, struct err *err) ERR_USE;

int tombstone_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err) ERR_USE;

int tombstone_list(struct repo *repo, const struct incarnation *inc,
    struct tombstone_set *out, struct err *err) ERR_USE;
void tombstone_list_free(struct tombstone_set *set); /* a zeroed one too */

bool tombstone_names(const struct tombstone_set *set, const char *object);
bool tombstone_names_pack(const struct tombstone_set *set,
    const struct pack_id *id, uint32_t generation);
/* The commit of a backup or dump. */
bool tombstone_names_set(const struct tombstone_set *set,
    enum repo_kind kind, const char *label);
/* And somebody named it, not retention. */
bool tombstone_dismisses_set(const struct tombstone_set *set,
    enum repo_kind kind, const char *label);

#endif
