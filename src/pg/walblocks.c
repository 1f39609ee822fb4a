/* SPDX-License-Identifier: PostgreSQL */
/*
 * A record is a header, headers of up to 33 block references, the length of
 * its main data, then the blocks' images and data, and at last the main data.
 * Every length is held against what is there: a record whose parts do not add
 * up is not understood, whatever its CRC says.
 */
#include "config.h"

#include "pg/walblocks.h"

#include "pg/walevent.h"
#include "pg/walparse.h"

#define BLOCK_ID_MAX 32

/* fork_flags of a block reference */
#define REF_FORK_MASK 0x0f
#define REF_HAS_IMAGE 0x10
#define REF_HAS_DATA 0x20
#define REF_SAME_RELATION 0x80

/* bimg_info of an image; 15 gave the bits other meanings. */
#define IMAGE_HAS_HOLE 0x01
#define IMAGE_COMPRESSED_14 0x02
#define IMAGE_COMPRESSED_15 0x1c /* pglz, lz4, zstd */

#define FORK_MAX 3

#define SMGR_CREATE 0x10
#define SMGR_TRUNCATE 0x20
#define TRUNCATE_MAIN 0x1u
#define TRUNCATE_VM 0x2u

#define DBASE_CREATE_FILE_COPY 0x00
#define DBASE_DROP_14 0x10
#define DBASE_CREATE_WAL_LOG_15 0x10
#define DBASE_DROP_15 0x20

#define CHECKPOINT_AT_FPW 16
#define CHECKPOINT_AT_WAL_LEVEL 20 /* 17 and later */
#define PARAMETERS_AT_WAL_LEVEL 20
#define END_OF_RECOVERY_AT_WAL_LEVEL 16 /* 17 and later */
#define WAL_LEVEL_MINIMAL 0

static const char unparsable[] = "a WAL record that does not parse";
static const char unknown[] = "a WAL record of an unknown kind";
static const char minimal[] = "WAL of wal_level = minimal";
static const char no_images[] = "WAL written with full_page_writes = off";

struct decoding {
	struct wal_cursor c;
	int major;
	wal_change_fn fn;
	void *arg;
	const char *reason;
	/* The relation that a reference with REF_SAME_RELATION means. */
	struct wal_relation last;
	bool has_last;
	uint64_t data_len; /* of images and data of all references */
	uint64_t main_len;
	int last_id;
};

static bool
refuse(struct decoding *d, const char *reason)
{
	d->reason = reason;
	return false;
}

static bool
take_relation(struct wal_cursor *c, struct wal_relation *out)
{
	return wal_take_u32(c, &out->tablespace) &&
	    wal_take_u32(c, &out->database) && wal_take_u32(c, &out->node);
}

static void
give_limit(const struct decoding *d, const struct wal_relation *relation,
    uint32_t fork, uint32_t block)
{
	struct wal_change change = { WAL_CHANGE_LIMIT, *relation, fork,
		block };

	d->fn(d->arg, &change);
}

static void
give_database(const struct decoding *d, uint32_t tablespace,
    uint32_t database)
{
	struct wal_change change = { WAL_CHANGE_DATABASE,
		{ tablespace, database, 0 }, 0, 0 };

	d->fn(d->arg, &change);
}

static bool
take_image_header(struct decoding *d)
{
	uint16_t len, hole_offset;
	uint8_t info;
	bool compressed;

	if (!wal_take_u16(&d->c, &len) ||
	    !wal_take_u16(&d->c, &hole_offset) || !wal_take_u8(&d->c, &info))
		return false;
	d->data_len += len;
	compressed = info & (d->major >= 15 ? IMAGE_COMPRESSED_15 :
	    IMAGE_COMPRESSED_14);
	/* The hole's length, which without compression follows. */
	return !compressed || (info & IMAGE_HAS_HOLE) == 0 ||
	    wal_skip(&d->c, 2);
}

static bool
take_reference(struct decoding *d, uint8_t id)
{
	struct wal_change change = { .type = WAL_CHANGE_BLOCK };
	uint16_t data_len;
	uint8_t flags;

	if ((int)id <= d->last_id || !wal_take_u8(&d->c, &flags) ||
	    !wal_take_u16(&d->c, &data_len))
		return false;
	d->last_id = id;
	d->data_len += data_len;
	if (((flags & REF_HAS_DATA) != 0) != (data_len != 0))
		return false;
	if ((flags & REF_HAS_IMAGE) && !take_image_header(d))
		return false;
	if ((flags & REF_SAME_RELATION) == 0) {
		if (!take_relation(&d->c, &d->last))
			return false;
		d->has_last = true;
	}
	if (!d->has_last || !wal_take_u32(&d->c, &change.block))
		return false;
	change.fork = flags & REF_FORK_MASK;
	change.relation = d->last;
	if (change.fork > FORK_MAX || d->last.node == 0)
		return false;
	d->fn(d->arg, &change);
	return true;
}

/* All block references; the cursor then holds just the main data. */
static bool
take_references(struct decoding *d)
{
	uint32_t len;
	uint8_t id = 0, short_len;

	/* The main data's length, when there is any, is the last header. */
	while (d->c.left > d->data_len) {
		if (!wal_take_u8(&d->c, &id))
			return false;
		if (id == ID_DATA_SHORT) {
			if (!wal_take_u8(&d->c, &short_len))
				return false;
			d->main_len = short_len;
			break;
		}
		if (id == ID_DATA_LONG) {
			if (!wal_take_u32(&d->c, &len))
				return false;
			d->main_len = len;
			break;
		}
		if (id == ID_ORIGIN) {
			if (!wal_skip(&d->c, ORIGIN_SIZE))
				return false;
		} else if (id == ID_TOPLEVEL_XID) {
			if (!wal_skip(&d->c, XID_SIZE))
				return false;
		} else if (id > BLOCK_ID_MAX || !take_reference(d, id)) {
			return false;
		}
	}
	return d->c.left == d->data_len + d->main_len &&
	    wal_skip(&d->c, d->data_len);
}

static bool
decode_smgr(struct decoding *d, uint8_t info)
{
	struct wal_relation relation;
	uint32_t block, fork, flags;

	switch (info & WAL_INFO_MASK) {
	case SMGR_CREATE:
		if (!take_relation(&d->c, &relation) ||
		    !wal_take_u32(&d->c, &fork) || fork > FORK_MAX)
			return refuse(d, unparsable);
		give_limit(d, &relation, fork, 0);
		return true;
	case SMGR_TRUNCATE:
		if (!wal_take_u32(&d->c, &block) ||
		    !take_relation(&d->c, &relation) ||
		    !wal_take_u32(&d->c, &flags))
			return refuse(d, unparsable);
		if (flags & TRUNCATE_MAIN)
			give_limit(d, &relation, 0, block);
		/* Its length is counted in blocks of the main fork. */
		if (flags & TRUNCATE_VM)
			give_limit(d, &relation, 2, 0);
		return true;
	default:
		return refuse(d, unknown);
	}
}

static bool
decode_database_drop(struct decoding *d)
{
	uint32_t database, tablespace, n, i;

	if (!wal_take_u32(&d->c, &database) || !wal_take_u32(&d->c, &n) ||
	    d->c.left != (uint64_t)n * 4)
		return refuse(d, unparsable);
	for (i = 0; i < n; i++)
		if (wal_take_u32(&d->c, &tablespace))
			give_database(d, tablespace, database);
	return true;
}

static bool
decode_database(struct decoding *d, uint8_t info)
{
	uint8_t op = info & WAL_INFO_MASK;
	uint32_t database, tablespace;

	if (op == (d->major >= 15 ? DBASE_DROP_15 : DBASE_DROP_14))
		return decode_database_drop(d);
	if (op != DBASE_CREATE_FILE_COPY &&
	    (d->major < 15 || op != DBASE_CREATE_WAL_LOG_15))
		return refuse(d, unknown);
	if (!wal_take_u32(&d->c, &database) ||
	    !wal_take_u32(&d->c, &tablespace))
		return refuse(d, unparsable);
	give_database(d, tablespace, database);
	return true;
}

/* Relations that this commit or abort removes. */
static bool
decode_dropped(struct decoding *d, uint8_t info)
{
	struct wal_relation relation;
	uint32_t xinfo, n, i, fork;

	if (!wal_skip(&d->c, 8)) /* the time */
		return refuse(d, unparsable);
	if ((info & XACT_HAS_INFO) == 0)
		return true;
	if (!wal_take_u32(&d->c, &xinfo))
		return refuse(d, unparsable);
	if ((xinfo & XINFO_HAS_RELATIONS) == 0)
		return true;
	if (((xinfo & XINFO_HAS_DBINFO) && !wal_skip(&d->c, DBINFO_SIZE)) ||
	    ((xinfo & XINFO_HAS_SUBXACTS) &&
		!wal_skip_array(&d->c, SUBXACT_SIZE)) ||
	    !wal_take_u32(&d->c, &n) ||
	    (uint64_t)n * RELATION_SIZE > d->c.left)
		return refuse(d, unparsable);
	for (i = 0; i < n && take_relation(&d->c, &relation); i++)
		for (fork = 0; fork <= FORK_MAX; fork++)
			give_limit(d, &relation, fork, 0);
	return true;
}

static bool
decode_xact(struct decoding *d, uint8_t info)
{
	uint8_t op = info & XACT_OP_MASK;

	switch (op) {
	case XACT_COMMIT:
	case XACT_COMMIT_PREPARED:
	case XACT_ABORT:
	case XACT_ABORT_PREPARED:
		return decode_dropped(d, info);
	default:
		/* Prepare, assignment, invalidations: no files. */
		if (op <= (d->major >= 14 ? XACT_INVALIDATIONS : 0x50) &&
		    (info & WAL_INFO_SPECIAL_REL_UPDATE) == 0)
			return true;
		return refuse(d, unknown);
	}
}

/* The WAL level that stands in the main data at this offset. */
static bool
check_wal_level(struct decoding *d, size_t at)
{
	if (d->c.left < at + 4)
		return refuse(d, unparsable);
	if (get_le32(d->c.p + at) == WAL_LEVEL_MINIMAL)
		return refuse(d, minimal);
	return true;
}

static bool
check_images(struct decoding *d, size_t at)
{
	if (d->c.left < at + 1)
		return refuse(d, unparsable);
	return d->c.p[at] != 0 || refuse(d, no_images);
}

static bool
decode_xlog(struct decoding *d, uint8_t info)
{
	uint8_t op = info & WAL_INFO_MASK;

	switch (op) {
	case XLOG_CHECKPOINT_SHUTDOWN:
	case XLOG_CHECKPOINT_ONLINE:
		return check_images(d, CHECKPOINT_AT_FPW) &&
		    (d->major < 17 ||
			check_wal_level(d, CHECKPOINT_AT_WAL_LEVEL));
	case XLOG_PARAMETER_CHANGE:
		return check_wal_level(d, PARAMETERS_AT_WAL_LEVEL);
	case XLOG_FPW_CHANGE:
		return check_images(d, 0);
	case XLOG_END_OF_RECOVERY:
		return d->major < 17 ||
		    check_wal_level(d, END_OF_RECOVERY_AT_WAL_LEVEL);
	case XLOG_CHECKPOINT_REDO:
		return d->major < 17 ? refuse(d, unknown) :
		    check_wal_level(d, 0);
	default:
		return op <= XLOG_OVERWRITE_CONTRECORD || refuse(d, unknown);
	}
}

static bool
decode_kind(struct decoding *d, uint8_t rmgr, uint8_t info)
{
	switch (rmgr) {
	case WAL_RMGR_XLOG:
		return decode_xlog(d, info);
	case WAL_RMGR_XACT:
		return decode_xact(d, info);
	case WAL_RMGR_SMGR:
		return decode_smgr(d, info);
	case WAL_RMGR_DBASE:
		return decode_database(d, info);
	default:
		/* What may change files in ways that only it knows. */
		return (info & WAL_INFO_SPECIAL_REL_UPDATE) == 0 ||
		    refuse(d, unknown);
	}
}

bool
wal_blocks_decode(const uint8_t *record, size_t len, int major,
    wal_change_fn fn, void *arg, const char **reason)
{
	struct decoding d = { .major = major, .fn = fn, .arg = arg,
		.last_id = -1 };
	uint8_t rmgr;
	bool ok;

	if (len < WAL_RECORD_HEADER_SIZE) {
		*reason = unparsable;
		return false;
	}
	d.c.p = record + WAL_RECORD_HEADER_SIZE;
	d.c.left = len - WAL_RECORD_HEADER_SIZE;
	rmgr = record[WAL_RECORD_AT_RMGR];
	if (rmgr > WAL_RMGR_LAST)
		ok = refuse(&d, "WAL of an extension's resource manager");
	else if (!take_references(&d))
		ok = refuse(&d, unparsable);
	else
		ok = decode_kind(&d, rmgr, record[WAL_RECORD_AT_INFO]);
	*reason = d.reason;
	return ok;
}
