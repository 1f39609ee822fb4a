/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PLANLIST_H
#define BACKUP_PLANLIST_H

/*
 * Internal to the plan: how its entries lie in memory. They are packed one
 * behind another (type, parent, size or mode, name) and found through an
 * array of offsets, which is what gets sorted; parents are numbers of
 * directories, whose paths are kept once. One thread while it grows, any
 * number of readers afterwards.
 */
#include "backup/plan.h"

struct plan {
	uint8_t *arena;
	size_t arena_len, arena_cap;
	uint32_t *index; /* offsets in the arena */
	uint32_t n, cap;
	char **dirs; /* paths */
	uint32_t n_dirs, cap_dirs;
	struct plan_tablespace *tablespaces;
	size_t n_tablespaces;
	struct plan_totals totals;
};

/*
 * number: a file's size, a directory's mode; target: of a link, else NULL.
 * ERR_REFUSED past 4 GiB of entries.
 */
int plan_add_entry(struct plan *p, enum plan_type type, uint32_t dir,
    uint64_t number, const char *name, const char *target,
    struct err *err) ERR_USE;

/* Remember a directory's path; returns its number. */
uint32_t plan_add_dir(struct plan *p, const char *path);

/* The entry at an offset of the arena. */
void plan_entry_get(const struct plan *p, uint32_t offset,
    struct plan_item *out);

/* By the bytes of the whole path. */
void plan_sort(struct plan *p);

#endif
