/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_PATHSET_H
#define RESTORE_PATHSET_H

/*
 * Internal to src/restore: which paths a backup has, and what each is: read
 * from its manifest, which is checked whole by that, before anything is
 * changed. 16 bytes a path. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "restore/plan.h"

enum pathset_type { PATHSET_NONE, PATHSET_FILE, PATHSET_DIR, PATHSET_LINK };

struct pathset {
	uint8_t (*list)[16]; /* hash of the path, the type in the last bits */
	size_t n, cap;
};

int pathset_read(struct pathset *s, const struct restore_plan *plan,
    struct err *err) ERR_USE;
enum pathset_type pathset_find(const struct pathset *s, const char *path);
void pathset_free(struct pathset *s); /* also of a zeroed one */

#endif
