/* SPDX-License-Identifier: PostgreSQL */
/*
 * Only records of the XLOG and transaction managers matter here, and none of
 * those that do refers to blocks: after the record header come at most the
 * origin and the top-level xid, then the length of the main data, which is
 * the rest of the record.
 */
#include "config.h"

#include "pg/walevent.h"

#include <string.h>

#include "core/bytes.h"
#include "core/time.h"
#include "pg/walparse.h"

#define CHECKPOINT_AT_TIME 64
#define RESTORE_POINT_AT_NAME 8

int
wal_magic_major(uint16_t magic)
{
	switch (magic) {
	case 0xd106:
		return 13;
	case 0xd10d:
		return 14;
	case 0xd110:
		return 15;
	case 0xd113:
		return 16;
	case 0xd116:
		return 17;
	case 0xd118:
		return 18;
	default:
		return 0;
	}
}

/* Leave only the main data. */
static bool
find_main_data(struct wal_cursor *c)
{
	uint32_t len;
	uint8_t id;

	while (c->left > 0) {
		id = *c->p;
		(void)wal_skip(c, 1); /* there is one */
		switch (id) {
		case ID_ORIGIN:
			if (!wal_skip(c, ORIGIN_SIZE))
				return false;
			break;
		case ID_TOPLEVEL_XID:
			if (!wal_skip(c, XID_SIZE))
				return false;
			break;
		case ID_DATA_SHORT:
			if (c->left < 1)
				return false;
			len = *c->p;
			return wal_skip(c, 1) && len == c->left;
		case ID_DATA_LONG:
			return wal_take_u32(c, &len) && len == c->left;
		default:
			return false;
		}
	}
	return false;
}

static bool
take_time(struct wal_cursor *c, struct wal_event *out)
{
	if (c->left < 8)
		return false;
	out->time = (int64_t)get_le64(c->p);
	out->has_time = true;
	return wal_skip(c, 8);
}

/* The xid of a prepared transaction, behind all that may come before it. */
static bool
take_prepared_xid(struct wal_cursor *c, uint8_t info, int major, uint32_t *xid)
{
	/* 18 widened the object's id in a dropped statistics entry. */
	size_t stats_size = major >= 18 ? 16 : 12;
	uint32_t xinfo;

	if ((info & XACT_HAS_INFO) == 0 || !wal_take_u32(c, &xinfo) ||
	    (xinfo & XINFO_HAS_TWOPHASE) == 0)
		return false;
	if ((xinfo & XINFO_HAS_DBINFO) && !wal_skip(c, DBINFO_SIZE))
		return false;
	if ((xinfo & XINFO_HAS_SUBXACTS) && !wal_skip_array(c, SUBXACT_SIZE))
		return false;
	if ((xinfo & XINFO_HAS_RELATIONS) && !wal_skip_array(c, RELATION_SIZE))
		return false;
	if ((xinfo & XINFO_HAS_DROPPED_STATS) && !wal_skip_array(c, stats_size))
		return false;
	if ((xinfo & XINFO_HAS_INVALIDATIONS) &&
	    !wal_skip_array(c, INVALIDATION_SIZE))
		return false;
	return wal_take_u32(c, xid);
}

static bool
decode_xact(struct wal_cursor *c, uint8_t info, int major, struct wal_event *out)
{
	uint8_t op = info & XACT_OP_MASK;

	if (op == XACT_COMMIT || op == XACT_COMMIT_PREPARED)
		out->type = WAL_EVENT_COMMIT;
	else if (op == XACT_ABORT || op == XACT_ABORT_PREPARED)
		out->type = WAL_EVENT_ABORT;
	else
		return true;
	if (!find_main_data(c) || !take_time(c, out))
		return false;
	if (op == XACT_COMMIT || op == XACT_ABORT)
		return true;
	return take_prepared_xid(c, info, major, &out->xid);
}

static bool
decode_checkpoint(struct wal_cursor *c, struct wal_event *out)
{
	int64_t t;

	out->type = WAL_EVENT_CHECKPOINT;
	if (!find_main_data(c) || c->left < CHECKPOINT_AT_TIME + 8)
		return false;
	t = (int64_t)get_le64(c->p + CHECKPOINT_AT_TIME); /* unix seconds */
	if (t < 0 || t > INT64_C(1) << 40)
		return false;
	out->time = time_from_unix(t);
	out->has_time = true;
	return true;
}

static bool
decode_restore_point(struct wal_cursor *c, struct wal_event *out)
{
	out->type = WAL_EVENT_RESTORE_POINT;
	if (!find_main_data(c) || !take_time(c, out) ||
	    c->left < WAL_RESTORE_POINT_NAME_MAX)
		return false;
	memcpy(out->name, c->p, WAL_RESTORE_POINT_NAME_MAX);
	out->name[WAL_RESTORE_POINT_NAME_MAX - 1] = '\0';
	return true;
}

static bool
decode_xlog(struct wal_cursor *c, uint8_t info, struct wal_event *out)
{
	switch (info & WAL_INFO_MASK) {
	case XLOG_CHECKPOINT_SHUTDOWN:
	case XLOG_CHECKPOINT_ONLINE:
		return decode_checkpoint(c, out);
	case XLOG_SWITCH:
		out->type = WAL_EVENT_SWITCH;
		return true;
	case XLOG_BACKUP_END:
		out->type = WAL_EVENT_BACKUP_END;
		return true;
	case XLOG_RESTORE_POINT:
		return decode_restore_point(c, out);
	case XLOG_END_OF_RECOVERY:
		out->type = WAL_EVENT_END_OF_RECOVERY;
		return find_main_data(c) && take_time(c, out);
	default:
		return true;
	}
}

void
wal_event_decode(const uint8_t *record, size_t len, int major,
    struct wal_event *out)
{
	struct wal_cursor c = { record + WAL_RECORD_HEADER_SIZE,
		len - WAL_RECORD_HEADER_SIZE };
	uint8_t info = record[WAL_RECORD_AT_INFO];
	uint8_t rmgr = record[WAL_RECORD_AT_RMGR];
	bool understood = true;

	out->type = WAL_EVENT_OTHER;
	out->xid = get_le32(record + WAL_RECORD_AT_XID);
	out->has_time = false;
	out->time = 0;
	out->name[0] = '\0';
	if (rmgr == WAL_RMGR_XACT)
		understood = decode_xact(&c, info, major, out);
	else if (rmgr == WAL_RMGR_XLOG)
		understood = decode_xlog(&c, info, out);
	if (!understood) {
		out->type = WAL_EVENT_OTHER;
		out->has_time = false;
		out->time = 0;
	}
}
