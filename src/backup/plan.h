/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_PLAN_H
#define BACKUP_PLAN_H

/*
 * What a backup copies: the directories, symbolic links and regular files of
 * a data directory and its tablespaces, without what a base backup leaves
 * out, ascending by the bytes of their paths.
 *
 *	plan_make(&plan, &params, err);
 *	for (i = 0; i < plan_count(plan); i++)
 *		plan_get(plan, i, &item);
 *	plan_free(plan);
 *
 * A plan of 600,000 files takes about 25 bytes a file and its name. Once made
 * it does not change and any thread may read it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define PLAN_TABLESPACES_MAX 100000

enum plan_type { PLAN_FILE, PLAN_DIR, PLAN_LINK };

struct plan_params {
	const char *pgdata; /* absolute, without a '/' at the end */
	int major;
	uint32_t catalog_version;
	/* Leave out CONFFILES_DIR: a copy that nothing uses any more. */
	bool skip_saved_config;
};

/* Strings belong to the plan. */
struct plan_item {
	enum plan_type type;
	uint32_t dir; /* of the parent: see plan_dir_path() */
	const char *name;
	uint64_t size;	    /* FILE, when it was listed */
	uint32_t mode;	    /* DIR: permission bits */
	const char *target; /* LINK, as readlink() gave it */
};

struct plan_tablespace {
	uint32_t oid;
	char *path;
};

struct plan_totals {
	uint64_t files, directories, links;
	uint64_t bytes;
	uint64_t left_out; /* files that a base backup does not take */
};

struct plan;

/*
 * List the data directory. What vanishes meanwhile is left out. Warnings are
 * logged: sockets and other special files (left out), a tablespace inside the
 * data directory. ERR_IO: a directory cannot be read. ERR_REFUSED: links that
 * would make an incomplete or endless backup. CONTROL_PATH is not in the
 * plan, as it is copied last.
 */
int plan_make(struct plan **out, const struct plan_params *params,
    struct err *err) ERR_USE;
void plan_free(struct plan *p); /* NULL is fine */

uint32_t plan_count(const struct plan *p);
void plan_get(const struct plan *p, uint32_t i, struct plan_item *out);

/* Path of a directory relative to PGDATA, "" for PGDATA itself. */
const char *plan_dir_path(const struct plan *p, uint32_t dir);

/* The whole relative path of an item; path is cleared before. */
void plan_path(const struct plan *p, const struct plan_item *item,
    struct buf *path);

const struct plan_totals *plan_totals(const struct plan *p);

/* Ascending by path of the link; valid until plan_free(). */
const struct plan_tablespace *plan_tablespaces(const struct plan *p,
    size_t *n);

#endif
