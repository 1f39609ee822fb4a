/* SPDX-License-Identifier: PostgreSQL */
/*
 * A hash table (open addressing) of forks; each has an array of leaves, one a
 * stretch of LEAF_BLOCKS blocks, made when a block in it changes. A database
 * is a fork with node 0.
 */
#include "config.h"

#include "pg/blockset.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define LEAF_BLOCKS 4096u
#define LEAF_SIZE (LEAF_BLOCKS / 8)
#define TABLE_SIZE_MIN 256

struct fork {
	struct wal_relation relation;
	uint32_t fork;
	uint32_t limit;
	uint32_t n_leaves;
	uint8_t **leaves;
};

struct blockset {
	struct fork **table; /* size entries, a power of two */
	size_t size, used;
	struct fork *recent; /* records come in runs of one relation */
	size_t bytes, max_bytes;
	bool full;
};

struct blockset *
blockset_new(size_t max_bytes)
{
	struct blockset *s = xcalloc(1, sizeof(*s));

	s->max_bytes = max_bytes;
	s->size = TABLE_SIZE_MIN;
	s->table = xcalloc(s->size, sizeof(struct fork *));
	s->bytes = s->size * sizeof(struct fork *);
	return s;
}

/* Drop the leaves that begin at or after this block. */
static void
drop_leaves(struct blockset *s, struct fork *f, uint32_t from)
{
	uint32_t i = from / LEAF_BLOCKS + (from % LEAF_BLOCKS != 0);

	for (; i < f->n_leaves; i++) {
		if (f->leaves[i] != NULL)
			s->bytes -= LEAF_SIZE;
		free(f->leaves[i]);
		f->leaves[i] = NULL;
	}
}

void
blockset_free(struct blockset *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->size; i++) {
		if (s->table[i] == NULL)
			continue;
		drop_leaves(s, s->table[i], 0);
		free(s->table[i]->leaves);
		free(s->table[i]);
	}
	free(s->table);
	free(s);
}

static bool
is_fork(const struct fork *f, const struct wal_relation *r, uint32_t fork)
{
	return f->relation.node == r->node && f->fork == fork &&
	    f->relation.database == r->database &&
	    f->relation.tablespace == r->tablespace;
}

/* Where it is in the table, or where it belongs. */
static size_t
slot_of(const struct blockset *s, const struct wal_relation *r, uint32_t fork)
{
	uint64_t h = ((uint64_t)r->node << 32 | r->database) ^
	    (uint64_t)r->tablespace << 13 ^ fork;
	size_t i;

	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 29;
	for (i = (size_t)h & (s->size - 1); s->table[i] != NULL;
	    i = (i + 1) & (s->size - 1))
		if (is_fork(s->table[i], r, fork))
			break;
	return i;
}

static const struct fork *
find(const struct blockset *s, const struct wal_relation *r, uint32_t fork)
{
	return s->table[slot_of(s, r, fork)];
}

/* May so many bytes more be taken? */
static bool
has_room(const struct blockset *s, size_t bytes)
{
	return s->bytes + bytes <= s->max_bytes;
}

static bool
grow_table(struct blockset *s)
{
	struct fork **old = s->table;
	size_t old_size = s->size, i;

	if (!has_room(s, old_size * 2 * sizeof(struct fork *)))
		return false;
	s->size = old_size * 2;
	s->table = xcalloc(s->size, sizeof(struct fork *));
	for (i = 0; i < old_size; i++)
		if (old[i] != NULL)
			s->table[slot_of(s, &old[i]->relation,
			    old[i]->fork)] = old[i];
	free(old);
	s->bytes += old_size * sizeof(struct fork *);
	return true;
}

/* The fork, a new one when it is not there; NULL: the set is full. */
static struct fork *
enter(struct blockset *s, const struct wal_relation *r, uint32_t fork)
{
	struct fork *f = s->recent;
	size_t slot;

	if (f != NULL && is_fork(f, r, fork))
		return f;
	slot = slot_of(s, r, fork);
	if (s->table[slot] == NULL) {
		if (s->used + s->used / 2 >= s->size) {
			if (!grow_table(s)) {
				s->full = true;
				return NULL;
			}
			slot = slot_of(s, r, fork);
		}
		if (!has_room(s, sizeof(*f))) {
			s->full = true;
			return NULL;
		}
		f = xcalloc(1, sizeof(*f));
		s->bytes += sizeof(*f);
		f->relation = *r;
		f->fork = fork;
		f->limit = BLOCKSET_NO_LIMIT;
		s->table[slot] = f;
		s->used++;
	}
	s->recent = s->table[slot];
	return s->recent;
}

static void
set_limit(struct blockset *s, struct fork *f, uint32_t limit)
{
	if (limit >= f->limit)
		return;
	f->limit = limit;
	drop_leaves(s, f, limit);
}

static bool
grow_leaves(struct blockset *s, struct fork *f, uint32_t leaf)
{
	uint32_t n = f->n_leaves == 0 ? 1 : f->n_leaves;
	size_t more;

	while (n <= leaf)
		n *= 2;
	more = (n - f->n_leaves) * sizeof(uint8_t *);
	if (!has_room(s, more))
		return false;
	f->leaves = xreallocarray(f->leaves, n, sizeof(uint8_t *));
	memset(&f->leaves[f->n_leaves], 0, more);
	f->n_leaves = n;
	s->bytes += more;
	return true;
}

static void
mark(struct blockset *s, struct fork *f, uint32_t block)
{
	uint32_t leaf = block / LEAF_BLOCKS, bit = block % LEAF_BLOCKS;

	if (block >= f->limit)
		return;
	if ((leaf >= f->n_leaves && !grow_leaves(s, f, leaf)) ||
	    (f->leaves[leaf] == NULL && !has_room(s, LEAF_SIZE))) {
		set_limit(s, f, 0);
		return;
	}
	if (f->leaves[leaf] == NULL) {
		f->leaves[leaf] = xcalloc(1, LEAF_SIZE);
		s->bytes += LEAF_SIZE;
	}
	f->leaves[leaf][bit / 8] |= (uint8_t)(1u << bit % 8);
}

void
blockset_add(struct blockset *s, const struct wal_change *change)
{
	struct fork *f = enter(s, &change->relation, change->fork);

	if (f == NULL)
		return;
	if (change->type == WAL_CHANGE_BLOCK)
		mark(s, f, change->block);
	else
		set_limit(s, f, change->block);
}

bool
blockset_full(const struct blockset *s)
{
	return s->full;
}

bool
blockset_has_database(const struct blockset *s, uint32_t tablespace,
    uint32_t database)
{
	struct wal_relation r = { tablespace, database, 0 };

	return find(s, &r, 0) != NULL;
}

uint32_t
blockset_limit(const struct blockset *s, const struct wal_relation *relation,
    uint32_t fork)
{
	const struct fork *f = find(s, relation, fork);

	return f == NULL ? BLOCKSET_NO_LIMIT : f->limit;
}

static bool
is_marked(const struct fork *f, uint64_t block)
{
	uint64_t leaf = block / LEAF_BLOCKS, bit = block % LEAF_BLOCKS;

	return leaf < f->n_leaves && f->leaves[leaf] != NULL &&
	    (f->leaves[leaf][bit / 8] >> bit % 8 & 1);
}

void
blockset_bits(const struct blockset *s, const struct wal_relation *relation,
    uint32_t fork, uint64_t first, uint64_t n, uint8_t *bits)
{
	const struct fork *f = find(s, relation, fork);
	uint64_t i;

	if (f == NULL)
		return;
	for (i = 0; i < n; i++)
		if (first + i >= f->limit || is_marked(f, first + i))
			bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static uint64_t
count_marked(const struct fork *f)
{
	uint64_t block, n = 0;

	for (block = 0; block < (uint64_t)f->n_leaves * LEAF_BLOCKS &&
	     block < f->limit; block++) {
		if (f->leaves[block / LEAF_BLOCKS] == NULL)
			block += LEAF_BLOCKS - 1;
		else
			n += is_marked(f, block);
	}
	return n;
}

void
blockset_count(const struct blockset *s, uint64_t *forks, uint64_t *blocks)
{
	size_t i;

	*forks = s->used;
	*blocks = 0;
	for (i = 0; i < s->size; i++)
		if (s->table[i] != NULL)
			*blocks += count_marked(s->table[i]);
}

static void
fork_each(const struct fork *f, wal_change_fn fn, void *arg)
{
	struct wal_change change = { WAL_CHANGE_BLOCK, f->relation, f->fork,
		0 };
	uint64_t block;

	for (block = 0; block < (uint64_t)f->n_leaves * LEAF_BLOCKS &&
	     block < f->limit; block++) {
		if (!is_marked(f, block))
			continue;
		change.block = (uint32_t)block;
		fn(arg, &change);
	}
	if (f->limit == BLOCKSET_NO_LIMIT)
		return;
	change.type = f->relation.node == 0 ? WAL_CHANGE_DATABASE :
	    WAL_CHANGE_LIMIT;
	change.block = f->limit;
	fn(arg, &change);
}

void
blockset_each(const struct blockset *s, wal_change_fn fn, void *arg)
{
	size_t i;

	for (i = 0; i < s->size; i++)
		if (s->table[i] != NULL)
			fork_each(s->table[i], fn, arg);
}
