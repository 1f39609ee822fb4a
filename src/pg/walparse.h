/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALPARSE_H
#define PG_WALPARSE_H

/*
 * Internal to src/pg: the numbers in a WAL record, and a cursor over its
 * bytes that never runs past them. Source: PostgreSQL
 * src/include/access/xlogrecord.h, rmgrlist.h, xact.h,
 * src/include/catalog/pg_control.h, of 13 to 18.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

/* Resource managers: the same on 13 to 18. */
#define WAL_RMGR_XLOG 0
#define WAL_RMGR_XACT 1
#define WAL_RMGR_SMGR 2
#define WAL_RMGR_DBASE 4
#define WAL_RMGR_LAST 21 /* LOGICALMSG */

/* The upper half of xl_info is the resource manager's own. */
#define WAL_INFO_MASK 0xf0
#define WAL_INFO_SPECIAL_REL_UPDATE 0x01

/* xl_info of XLOG records */
#define XLOG_CHECKPOINT_SHUTDOWN 0x00
#define XLOG_CHECKPOINT_ONLINE 0x10
#define XLOG_SWITCH 0x40
#define XLOG_BACKUP_END 0x50
#define XLOG_PARAMETER_CHANGE 0x60
#define XLOG_RESTORE_POINT 0x70
#define XLOG_FPW_CHANGE 0x80
#define XLOG_END_OF_RECOVERY 0x90
#define XLOG_OVERWRITE_CONTRECORD 0xd0
#define XLOG_CHECKPOINT_REDO 0xe0 /* 17 and later */

/* xl_info of transaction records */
#define XACT_OP_MASK 0x70
#define XACT_COMMIT 0x00
#define XACT_ABORT 0x20
#define XACT_COMMIT_PREPARED 0x30
#define XACT_ABORT_PREPARED 0x40
#define XACT_INVALIDATIONS 0x60 /* 14 and later */
#define XACT_HAS_INFO 0x80

#define XINFO_HAS_DBINFO 0x001u
#define XINFO_HAS_SUBXACTS 0x002u
#define XINFO_HAS_RELATIONS 0x004u
#define XINFO_HAS_INVALIDATIONS 0x008u
#define XINFO_HAS_TWOPHASE 0x010u
#define XINFO_HAS_DROPPED_STATS 0x100u /* 15 and later */

#define DBINFO_SIZE 8
#define SUBXACT_SIZE 4
#define RELATION_SIZE 12 /* tablespace, database, relation: u32 each */
#define INVALIDATION_SIZE 16

/* Block ids that are none */
#define ID_DATA_SHORT 255
#define ID_DATA_LONG 254
#define ID_ORIGIN 253
#define ID_TOPLEVEL_XID 252
#define ORIGIN_SIZE 2
#define XID_SIZE 4

/* Bytes not read yet. */
struct wal_cursor {
	const uint8_t *p;
	size_t left;
};

static inline bool
wal_skip(struct wal_cursor *c, uint64_t n)
{
	if (n > c->left)
		return false;
	c->p += n;
	c->left -= (size_t)n;
	return true;
}

static inline bool
wal_take_u8(struct wal_cursor *c, uint8_t *out)
{
	if (c->left < 1)
		return false;
	*out = *c->p;
	return wal_skip(c, 1);
}

static inline bool
wal_take_u16(struct wal_cursor *c, uint16_t *out)
{
	if (c->left < 2)
		return false;
	*out = get_le16(c->p);
	return wal_skip(c, 2);
}

static inline bool
wal_take_u32(struct wal_cursor *c, uint32_t *out)
{
	if (c->left < 4)
		return false;
	*out = get_le32(c->p);
	return wal_skip(c, 4);
}

/* A count and so many items. */
static inline bool
wal_skip_array(struct wal_cursor *c, size_t item_size)
{
	uint32_t n;

	return wal_take_u32(c, &n) && wal_skip(c, (uint64_t)n * item_size);
}

#endif
