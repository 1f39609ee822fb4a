/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALBLOCKS_H
#define PG_WALBLOCKS_H

/*
 * What a WAL record changes in relations' files: the blocks it refers to, and
 * for the few records that change files without naming blocks (a relation
 * made, truncated or dropped, a database made or dropped) from where on a
 * file is another one. Source: PostgreSQL src/include/access/xlogrecord.h,
 * catalog/storage_xlog.h, commands/dbcommands_xlog.h, access/xact.h; which
 * records count is what 17's walsummarizer.c counts. 13 to 18. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RelFileLocator (RelFileNode before 16). */
struct wal_relation {
	uint32_t tablespace; /* 1663 pg_default, 1664 pg_global */
	uint32_t database;   /* 0: shared */
	uint32_t node;	     /* 0 with WAL_CHANGE_DATABASE */
};

enum wal_change_type {
	WAL_CHANGE_BLOCK,   /* this block of this fork */
	WAL_CHANGE_LIMIT,   /* the fork is new from this block on */
	WAL_CHANGE_DATABASE /* all of the database in this tablespace is new */
};

struct wal_change {
	enum wal_change_type type;
	struct wal_relation relation;
	uint32_t fork; /* 0 main, 1 fsm, 2 vm, 3 init: enum datafile_fork */
	uint32_t block;
};

typedef void (*wal_change_fn)(void *arg, const struct wal_change *change);

/*
 * Give all changes of one whole record (header included, CRC checked).
 * False: blocks may have changed that the record does not name, or nobody
 * knows; *reason then says why in words that follow "there is" (static text).
 */
bool wal_blocks_decode(const uint8_t *record, size_t len, int major,
    wal_change_fn fn, void *arg, const char **reason);

#endif
