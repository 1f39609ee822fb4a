/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/io.h"
#include "pg/control.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* As read off real clusters of each major. */
static const struct {
	int major;
	uint32_t control_version, catalog_version;
	size_t crc_at;
} majors[] = {
	{ 13, 1300, 202007201, 288 },
	{ 14, 1300, 202107181, 288 },
	{ 15, 1300, 202209061, 288 },
	{ 16, 1300, 202307071, 288 },
	{ 17, 1700, 202406281, 288 },
	{ 18, 1800, 202506291, 292 },
};

static void
seal(uint8_t *d, size_t crc_at)
{
	put_le32(d + crc_at, crc32c(d, crc_at));
}

static void
build(uint8_t *d, size_t i)
{
	memset(d, 0, CONTROL_FILE_SIZE);
	put_le64(d, UINT64_C(7711080657546122764));
	put_le32(d + 8, majors[i].control_version);
	put_le32(d + 12, majors[i].catalog_version);
	put_le32(d + 16, CONTROL_IN_PRODUCTION);
	put_le64(d + 24, 1795375881);
	put_le64(d + 32, 0x14f59a60);
	put_le64(d + 40, 0x14f59a28);
	put_le32(d + 48, 7);
	put_le64(d + 104, 1795375880);
	put_le64(d + 136, 0x15000000);
	put_le32(d + 144, 6);
	put_le32(d + 172, 1);
	put_le32(d + 180, 50);
	put_le32(d + 184, 8);
	put_le32(d + 188, 10);
	put_le32(d + 192, 20);
	put_le32(d + 196, 64);
	put_le32(d + 204, 8);
	put_le64(d + 208, UINT64_C(0x4132d68700000000));
	put_le32(d + 216, 8192);
	put_le32(d + 220, 131072);
	put_le32(d + 224, 8192);
	put_le32(d + 228, 16 << 20);
	put_le32(d + 252, 1);
	seal(d, majors[i].crc_at);
}

static void
each_major_is_decoded(void **state)
{
	uint8_t d[CONTROL_FILE_SIZE];
	struct err err = ERR_INIT;
	struct control c;
	size_t i;

	for (i = 0; i < N(majors); i++) {
		build(d, i);
		assert_int_equal(control_decode(d, sizeof(d), &c, &err), 0);
		assert_int_equal(c.major, majors[i].major);
		assert_int_equal(c.catalog_version, majors[i].catalog_version);
		assert_true(c.system_id == UINT64_C(7711080657546122764));
		assert_int_equal(c.state, CONTROL_IN_PRODUCTION);
		assert_int_equal(c.time, 1795375881);
		assert_true(c.checkpoint == 0x14f59a60);
		assert_true(c.checkpoint_redo == 0x14f59a28);
		assert_int_equal(c.checkpoint_timeline, 7);
		assert_int_equal(c.checkpoint_time, 1795375880);
		assert_true(c.min_recovery_point == 0x15000000);
		assert_int_equal(c.min_recovery_timeline, 6);
		assert_int_equal(c.wal_level, 1);
		assert_int_equal(c.max_connections, 50);
		assert_int_equal(c.max_worker_processes, 8);
		assert_int_equal(c.max_wal_senders, 10);
		assert_int_equal(c.max_prepared_xacts, 20);
		assert_int_equal(c.max_locks_per_xact, 64);
		assert_int_equal(c.block_size, 8192);
		assert_int_equal(c.relation_segment_blocks, 131072);
		assert_int_equal(c.wal_block_size, 8192);
		assert_int_equal(c.wal_segment_size, 16 << 20);
		assert_int_equal(c.data_checksum_version, 1);
	}
}

/* TRAPS T33: a torn read must never be believed. */
static void
every_changed_bit_is_seen(void **state)
{
	uint8_t d[CONTROL_FILE_SIZE];
	struct control c;
	size_t i, bit;

	for (i = 0; i < N(majors); i++) {
		build(d, i);
		for (bit = 0; bit < (majors[i].crc_at + 4) * 8; bit++) {
			struct err err = ERR_INIT;

			d[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(control_decode(d, sizeof(d), &c,
			    &err), -1);
			d[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void
damage_and_strangers_are_told_apart(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		enum err_code code;
		const char *says;
	} cases[] = {
		{ 12, 202609999, ERR_UNSUPPORTED, "202609999" },
		{ 8, 1201, ERR_UNSUPPORTED, "1201" },
		{ 8, 1900, ERR_UNSUPPORTED, "1900" },
		{ 8, 0x14050000, ERR_UNSUPPORTED, "big-endian" },
		{ 8, 0, ERR_DAMAGED, "control data" },
		{ 204, 4, ERR_UNSUPPORTED, "alignment" },
		{ 216, 0, ERR_DAMAGED, "impossible" },
		{ 216, 8191, ERR_DAMAGED, "impossible" },
		{ 228, 0, ERR_DAMAGED, "impossible" },
		{ 224, 0, ERR_DAMAGED, "impossible" },
		{ 220, 0, ERR_DAMAGED, "impossible" },
		{ 16, 7, ERR_DAMAGED, "impossible" },
	};
	uint8_t d[CONTROL_FILE_SIZE];
	struct control c;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		struct err err = ERR_INIT;

		build(d, 2);
		put_le32(d + cases[i].at, cases[i].value);
		seal(d, majors[2].crc_at);
		assert_int_equal(control_decode(d, sizeof(d), &c, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_non_null(strstr(err.msg, cases[i].says));
	}
}

static void
a_control_version_of_one_major_decides_alone(void **state)
{
	uint8_t d[CONTROL_FILE_SIZE];
	struct err err = ERR_INIT;
	struct control c;

	build(d, 5);
	put_le32(d + 12, 202507015); /* a derived distribution's */
	seal(d, majors[5].crc_at);
	assert_int_equal(control_decode(d, sizeof(d), &c, &err), 0);
	assert_int_equal(c.major, 18);
	assert_int_equal(c.catalog_version, 202507015);
}

static void
a_short_file_is_damaged(void **state)
{
	static const size_t lens[] = { 0, 1, 8, 200, 288, 292, 295 };
	uint8_t d[CONTROL_FILE_SIZE];
	struct control c;
	size_t i;

	build(d, 2);
	for (i = 0; i < N(lens); i++) {
		struct err err = ERR_INIT;
		uint8_t *exact = malloc(lens[i] + 1); /* ASan sees overruns */

		memcpy(exact, d, lens[i]);
		assert_int_equal(control_decode(exact, lens[i], &c, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		free(exact);
	}
}

/* TRAPS T90. */
static void
a_poisoned_file_is_valid_but_names_no_real_checkpoint(void **state)
{
	uint8_t d[CONTROL_FILE_SIZE];
	struct err err = ERR_INIT;
	struct control before, after;
	uint32_t block;
	size_t i;

	for (i = 0; i < N(majors); i++) {
		build(d, i);
		assert_int_equal(control_decode(d, sizeof(d), &before, &err),
		    0);
		assert_int_equal(control_poison(d, &err), 0);
		assert_int_equal(control_decode(d, sizeof(d), &after, &err),
		    0);
		/* In the segment 0 that no server writes... */
		assert_true(after.checkpoint < WAL_SEGMENT_SIZE_MIN);
		/* ... where a record may begin: checked before the label. */
		for (block = 1024; block <= 65536; block *= 2)
			assert_true(after.checkpoint % block >= 40);
		assert_true(after.checkpoint % 8 == 0);
		before.checkpoint = after.checkpoint;
		assert_memory_equal(&before, &after, sizeof(before));
	}
	d[3] ^= 1;
	assert_int_equal(control_poison(d, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
}

static void
files_are_read_from_the_data_directory(void **state)
{
	char dir[] = "/tmp/test-control-XXXXXX";
	uint8_t d[CONTROL_FILE_SIZE], raw[CONTROL_FILE_SIZE];
	struct err err = ERR_INIT;
	char path[128];
	struct control c;
	int major = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(control_read(dir, &c, NULL, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	err_clear(&err);
	assert_int_equal(control_read_major(dir, &major, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	err_clear(&err);
	(void)snprintf(path, sizeof(path), "%s/global", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/global/pg_control", dir);
	build(d, 4);
	assert_int_equal(io_write_file_durable(path, d, sizeof(d), 0600, &err),
	    0);
	assert_int_equal(control_read(dir, &c, raw, &err), 0);
	assert_int_equal(c.major, 17);
	assert_memory_equal(raw, d, sizeof(d));
	(void)snprintf(path, sizeof(path), "%s/PG_VERSION", dir);
	assert_int_equal(io_write_file_durable(path, "17\n", 3, 0600, &err),
	    0);
	assert_int_equal(control_read_major(dir, &major, &err), 0);
	assert_int_equal(major, 17);
	assert_int_equal(io_write_file_durable(path, "9.6\n", 4, 0600, &err),
	    0);
	assert_int_equal(control_read_major(dir, &major, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(io_remove_tree(dir, &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_major_is_decoded),
		cmocka_unit_test(every_changed_bit_is_seen),
		cmocka_unit_test(damage_and_strangers_are_told_apart),
		cmocka_unit_test(a_control_version_of_one_major_decides_alone),
		cmocka_unit_test(a_short_file_is_damaged),
		cmocka_unit_test(
		    a_poisoned_file_is_valid_but_names_no_real_checkpoint),
		cmocka_unit_test(files_are_read_from_the_data_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
