/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_DAMAGE_H
#define RESTORE_DAMAGE_H

/*
 * Internal to src/restore: what a restore with --allow-damage could not
 * bring back. The list grows while files are copied and is written beside
 * them; blocks that are named in it hold zeros.
 *
 *	damage_new(&d, dir, err)		creates the list's file
 *	damage_add(d, path, block, n, size, why)	any thread
 *	damage_finish(d, err)			durable; removed when empty
 *	damage_free(d)
 *
 * A line: "path block blocks reason", the path escaped as in FORMAT.md
 * section 3, block counted from the file's beginning; "path - 0 reason" for
 * a file whose CRC is wrong though each of its frames holds.
 */
#include <stdint.h>

#include "core/err.h"

#define DAMAGE_LIST "dapk-backup-damage.txt"
#define DAMAGE_UNKNOWN_BLOCK UINT64_MAX

struct damage;

/* dir: a descriptor of the data directory, open as long as *out is used. */
int damage_new(struct damage **out, int dir, const char *dir_name,
    struct err *err) ERR_USE;
void damage_free(struct damage *d); /* NULL is fine */

/* why: its message is the reason; it is also logged. */
void damage_add(struct damage *d, const char *path, uint64_t block,
    uint64_t n, const struct err *why);

/* Lines, and blocks that they name. Once no other thread adds any more. */
uint64_t damage_lines(const struct damage *d);
uint64_t damage_blocks(const struct damage *d);

int damage_finish(struct damage *d, struct err *err) ERR_USE;

#endif
