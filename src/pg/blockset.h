/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_BLOCKSET_H
#define PG_BLOCKSET_H

/*
 * A set of changed blocks: for each fork of a relation a limit (from this
 * block on, everything is new) and the changed blocks below it; and databases
 * of which everything is new.
 *
 *	set = blockset_new(64 << 20);
 *	blockset_add(set, &change);		   a wal_change_fn
 *	blockset_bits(set, &relation, fork, first, n, bits);
 *	blockset_free(set);
 *
 * Adding is commutative. Memory stays below a maximum: a fork for whose
 * blocks there is no room gets the limit 0, and a set that cannot take one
 * more fork is full: everything must be taken for changed. A stretch of 4096
 * blocks (32 MiB) with any change costs 512 bytes, a fork some 100.
 * Unchanging, any thread may ask; else one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/walblocks.h"

#define BLOCKSET_NO_LIMIT UINT32_MAX

struct blockset;

struct blockset *blockset_new(size_t max_bytes);
void blockset_free(struct blockset *s); /* NULL is fine */

void blockset_add(struct blockset *s, const struct wal_change *change);

/* No room: whatever is asked, the answer would be too small. */
bool blockset_full(const struct blockset *s);

/* Is everything of this database in this tablespace new? */
bool blockset_has_database(const struct blockset *s, uint32_t tablespace,
    uint32_t database);

/* The limit, or BLOCKSET_NO_LIMIT. */
uint32_t blockset_limit(const struct blockset *s,
    const struct wal_relation *relation, uint32_t fork);

/*
 * Set the bits (bit i % 8 of byte i / 8 for block first + i, i < n) of
 * changed blocks, those from the limit on too; no bit is cleared.
 */
void blockset_bits(const struct blockset *s,
    const struct wal_relation *relation, uint32_t fork, uint64_t first,
    uint64_t n, uint8_t *bits);

/* How many forks, and how many changed blocks below their limits. */
void blockset_count(const struct blockset *s, uint64_t *forks,
    uint64_t *blocks);

/* All of it as changes, in no order. */
void blockset_each(const struct blockset *s, wal_change_fn fn, void *arg);

#endif
