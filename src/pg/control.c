/* SPDX-License-Identifier: PostgreSQL */
/*
 * The offsets below are those of the struct on the usual platforms, where
 * 8-byte integers are aligned to 8 (x86-64, aarch64). They are the same in 13
 * to 18 up to data_checksum_version; 18 put one byte before the nonce, which
 * moved the CRC by 4.
 */
#include "config.h"

#include "pg/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"

#define AT_SYSTEM_ID 0
#define AT_CONTROL_VERSION 8
#define AT_CATALOG_VERSION 12
#define AT_STATE 16
#define AT_TIME 24
#define AT_CHECKPOINT 32
#define AT_CHECKPOINT_REDO 40
#define AT_CHECKPOINT_TIMELINE 48
#define AT_CHECKPOINT_TIME 104
#define AT_MIN_RECOVERY_POINT 136
#define AT_MIN_RECOVERY_TIMELINE 144
#define AT_WAL_LEVEL 172
#define AT_MAX_CONNECTIONS 180
#define AT_MAX_WORKER_PROCESSES 184
#define AT_MAX_WAL_SENDERS 188
#define AT_MAX_PREPARED_XACTS 192
#define AT_MAX_LOCKS_PER_XACT 196
#define AT_MAX_ALIGN 204
#define AT_FLOAT_FORMAT 208 /* the double 1234567.0 */
#define AT_BLOCK_SIZE 216
#define AT_RELATION_SEGMENT 220
#define AT_WAL_BLOCK_SIZE 224
#define AT_WAL_SEGMENT_SIZE 228
#define AT_DATA_CHECKSUMS 252
#define CONTROL_LEN_MIN 296

#define FLOAT_FORMAT UINT64_C(0x4132d68700000000)

/*
 * In segment 0, which no server ever writes; at an offset in its page where
 * a record may begin, as the server checks that even before it looks for
 * backup_label.
 */
#define POISON_LSN UINT64_C(0xbad0)

#define READ_TRIES 100
#define READ_WAIT_MS 10

/* catversion.h of each release; it does not change within a major. */
static const struct {
	uint32_t catalog_version;
	uint32_t control_version;
	int major;
	size_t crc_at;
} layouts[] = {
	{ 202007201, 1300, 13, 288 },
	{ 202107181, 1300, 14, 288 },
	{ 202209061, 1300, 15, 288 },
	{ 202307071, 1300, 16, 288 },
	{ 202406281, 1700, 17, 288 },
	{ 202506291, 1800, 18, 292 },
};

#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static uint32_t
swap32(uint32_t v)
{
	return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

/*
 * Which row of layouts; a control version that only one major has decides
 * alone (a derived distribution has its own catalog versions).
 */
static int
find_layout(uint32_t control_version, uint32_t catalog_version, size_t *out,
    struct err *err)
{
	size_t i, n = 0;

	for (i = 0; i < N_LAYOUTS; i++) {
		if (layouts[i].control_version != control_version)
			continue;
		*out = i;
		n++;
		if (layouts[i].catalog_version == catalog_version)
			return 0;
	}
	if (n == 1)
		return 0;
	if (n > 1)
		return err_set(err, ERR_UNSUPPORTED,
		    "pg_control has catalog version %u, which is of no "
		    "PostgreSQL release from 13 to 18", catalog_version);
	if (swap32(control_version) < 10000)
		return err_set(err, ERR_UNSUPPORTED,
		    "pg_control was written on a big-endian machine");
	return err_set(err, ERR_UNSUPPORTED,
	    "pg_control has version %u (catalog version %u), not that of "
	    "PostgreSQL 13 to 18", control_version, catalog_version);
}

static bool
crc_holds(const uint8_t *data, size_t crc_at)
{
	return crc32c(data, crc_at) == get_le32(data + crc_at);
}

/* Is the CRC right at any place that we know? */
static bool
crc_holds_anywhere(const uint8_t *data)
{
	size_t i;

	for (i = 0; i < N_LAYOUTS; i++)
		if (crc_holds(data, layouts[i].crc_at))
			return true;
	return false;
}

static int
check(const uint8_t *data, size_t len, size_t *layout, struct err *err)
{
	struct err version_err = ERR_INIT;
	int ret;

	if (len < CONTROL_LEN_MIN)
		return err_set(err, ERR_DAMAGED,
		    "pg_control is too short: %zu bytes", len);
	ret = find_layout(get_le32(data + AT_CONTROL_VERSION),
	    get_le32(data + AT_CATALOG_VERSION), layout, &version_err);
	/* All zero, say, is damage and not a version. */
	if (ret != 0 && get_le32(data + AT_CONTROL_VERSION) == 0)
		return err_set(err, ERR_DAMAGED,
		    "pg_control does not hold control data");
	if (ret != 0) {
		*err = version_err;
		return -1;
	}
	if (!crc_holds(data, layouts[*layout].crc_at)) {
		if (crc_holds_anywhere(data))
			return err_set(err, ERR_UNSUPPORTED,
			    "pg_control has an unknown layout");
		return err_set(err, ERR_DAMAGED,
		    "pg_control's checksum does not match");
	}
	if (get_le32(data + AT_MAX_ALIGN) != 8 ||
	    get_le64(data + AT_FLOAT_FORMAT) != FLOAT_FORMAT)
		return err_set(err, ERR_UNSUPPORTED,
		    "pg_control is of a machine with other alignment or "
		    "floating point");
	return 0;
}

static bool
power_of_two(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max && (v & (v - 1)) == 0;
}

/* What others will divide by or allocate. */
static int
check_sizes(const struct control *c, struct err *err)
{
	if (!power_of_two(c->block_size, 1024, 32768) ||
	    !power_of_two(c->wal_block_size, 1024, 65536) ||
	    !wal_segment_size_valid(c->wal_segment_size) ||
	    c->relation_segment_blocks == 0 ||
	    c->state > CONTROL_IN_PRODUCTION)
		return err_set(err, ERR_DAMAGED,
		    "pg_control holds impossible sizes or state");
	return 0;
}

int
control_decode(const uint8_t *data, size_t len, struct control *out,
    struct err *err)
{
	size_t layout = 0;

	memset(out, 0, sizeof(*out));
	if (check(data, len, &layout, err) != 0)
		return -1;
	out->major = layouts[layout].major;
	out->control_version = get_le32(data + AT_CONTROL_VERSION);
	out->catalog_version = get_le32(data + AT_CATALOG_VERSION);
	out->system_id = get_le64(data + AT_SYSTEM_ID);
	out->state = (enum control_state)get_le32(data + AT_STATE);
	out->time = (int64_t)get_le64(data + AT_TIME);
	out->checkpoint = get_le64(data + AT_CHECKPOINT);
	out->checkpoint_redo = get_le64(data + AT_CHECKPOINT_REDO);
	out->checkpoint_timeline = get_le32(data + AT_CHECKPOINT_TIMELINE);
	out->checkpoint_time = (int64_t)get_le64(data + AT_CHECKPOINT_TIME);
	out->min_recovery_point = get_le64(data + AT_MIN_RECOVERY_POINT);
	out->min_recovery_timeline = get_le32(data + AT_MIN_RECOVERY_TIMELINE);
	out->wal_level = get_le32(data + AT_WAL_LEVEL);
	out->max_connections = get_le32(data + AT_MAX_CONNECTIONS);
	out->max_worker_processes = get_le32(data + AT_MAX_WORKER_PROCESSES);
	out->max_wal_senders = get_le32(data + AT_MAX_WAL_SENDERS);
	out->max_prepared_xacts = get_le32(data + AT_MAX_PREPARED_XACTS);
	out->max_locks_per_xact = get_le32(data + AT_MAX_LOCKS_PER_XACT);
	out->block_size = get_le32(data + AT_BLOCK_SIZE);
	out->relation_segment_blocks = get_le32(data + AT_RELATION_SEGMENT);
	out->wal_block_size = get_le32(data + AT_WAL_BLOCK_SIZE);
	out->wal_segment_size = get_le32(data + AT_WAL_SEGMENT_SIZE);
	out->data_checksum_version = get_le32(data + AT_DATA_CHECKSUMS);
	return check_sizes(out, err);
}

static int
read_once(const char *path, uint8_t *data, struct control *out,
    struct err *err)
{
	size_t got = 0;
	int fd, ret = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	memset(data, 0, CONTROL_FILE_SIZE);
	if (io_pread_upto(fd, data, CONTROL_FILE_SIZE, 0, &got, path, err) == 0)
		ret = control_decode(data, got, out, err) == 0 ? 0 :
		    err_wrap(err, "%s", path);
	(void)close(fd); /* read only: nothing can be lost */
	return ret;
}

int
control_read(const char *pgdata, struct control *out, uint8_t *raw,
    struct err *err)
{
	char *path = xasprintf("%s/%s", pgdata, CONTROL_PATH);
	uint8_t own[CONTROL_FILE_SIZE];
	int ret = -1, tries;

	for (tries = 0; tries < READ_TRIES; tries++) {
		err_clear(err);
		ret = read_once(path, raw != NULL ? raw : own, out, err);
		/* Torn read: the server may be writing it just now. */
		if (ret == 0 || err->code != ERR_DAMAGED)
			break;
		time_sleep_ms(READ_WAIT_MS);
	}
	free(path);
	return ret;
}

int
control_poison(uint8_t *data, struct err *err)
{
	size_t layout = 0;

	if (check(data, CONTROL_FILE_SIZE, &layout, err) != 0)
		return -1;
	put_le64(data + AT_CHECKPOINT, POISON_LSN);
	put_le32(data + layouts[layout].crc_at,
	    crc32c(data, layouts[layout].crc_at));
	return 0;
}

int
control_read_major(const char *pgdata, int *major, struct err *err)
{
	char *path = xasprintf("%s/PG_VERSION", pgdata);
	struct buf b;
	uint64_t v;
	int ret = -1;

	buf_init(&b, 64);
	if (io_read_file(path, &b, err) != 0)
		goto out;
	if (b.len > 0 && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	if (!text_u64(buf_str(&b), 1000, &v)) {
		(void)err_set(err, ERR_UNSUPPORTED,
		    "%s does not hold the number of a PostgreSQL major version",
		    path);
		goto out;
	}
	*major = (int)v;
	ret = 0;
out:
	buf_free(&b);
	free(path);
	return ret;
}
