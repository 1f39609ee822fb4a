/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/walname.h"

#define MB (UINT32_C(1) << 20)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
each_kind_of_file_is_recognised(void **state)
{
	static const struct {
		const char *name;
		enum wal_file_type type;
		uint32_t timeline, log, seg, offset;
	} cases[] = {
		{ "000000010000000000000001", WAL_FILE_SEGMENT, 1, 0, 1, 0 },
		{ "0000000A000000FF000000FE", WAL_FILE_SEGMENT, 10, 255, 254,
		    0 },
		{ "FFFFFFFFFFFFFFFFFFFFFFFF", WAL_FILE_SEGMENT, UINT32_MAX,
		    UINT32_MAX, UINT32_MAX, 0 },
		{ "000000020000000000000003.partial", WAL_FILE_PARTIAL, 2, 0,
		    3, 0 },
		{ "000000010000000000000002.00000028.backup", WAL_FILE_BACKUP,
		    1, 0, 2, 0x28 },
		{ "0000001F.history", WAL_FILE_HISTORY, 31, 0, 0, 0 },
	};
	struct err err = ERR_INIT;
	struct wal_file f;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		assert_int_equal(wal_file_parse(cases[i].name, &f, &err), 0);
		assert_int_equal(f.type, cases[i].type);
		assert_string_equal(f.name, cases[i].name);
		assert_int_equal(f.timeline, cases[i].timeline);
		assert_int_equal(f.log, cases[i].log);
		assert_int_equal(f.seg, cases[i].seg);
		assert_int_equal(f.backup_offset, cases[i].offset);
		if (f.type == WAL_FILE_HISTORY)
			assert_string_equal(f.segment, "");
		else
			assert_memory_equal(f.segment, cases[i].name,
			    WAL_SEGMENT_NAME_LEN);
	}
}

static void
any_other_name_is_refused(void **state)
{
	static const char *const names[] = {
		"", "x", "00000001", "00000001.histor", "00000001.history2",
		"00000000.history", "000000000000000000000001",
		"00000001000000000000000", "0000000100000000000000011",
		"00000001000000000000000g", "00000001000000000000000a",
		"000000010000000000000001.", "000000010000000000000001.part",
		"000000010000000000000001.partial.",
		"000000010000000000000001.backup",
		"000000010000000000000001.0000028.backup",
		"000000010000000000000001.00000028.backups",
		"000000010000000000000001.gz.partial", "archive_status",
		"../0000010000000000000001", "000000010000000000000001\n",
		("000000010000000000000001.00000028.backup.aaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	};
	struct wal_file f;
	size_t i;

	for (i = 0; i < N(names); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(wal_file_parse(names[i], &f, &err), -1);
		assert_int_equal(err.code, ERR_USAGE);
	}
}

static void
names_and_segment_numbers_convert_for_every_size(void **state)
{
	static const struct {
		uint32_t size;
		uint64_t segno;
		const char *name;
	} cases[] = {
		{ 16 * MB, 1, "000000010000000000000001" },
		{ 16 * MB, 255, "0000000100000000000000FF" },
		{ 16 * MB, 256, "000000010000000100000000" },
		{ MB, 4095, "000000010000000000000FFF" },
		{ MB, 4096, "000000010000000100000000" },
		{ 64 * MB, 64, "000000010000000100000000" },
		{ 1024 * MB, 3, "000000010000000000000003" },
		{ 1024 * MB, 4, "000000010000000100000000" },
	};
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct err err = ERR_INIT;
	struct wal_file f;
	pg_lsn start;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		wal_segment_name(1, cases[i].segno, cases[i].size, name);
		assert_string_equal(name, cases[i].name);
		assert_int_equal(wal_file_parse(name, &f, &err), 0);
		assert_true(wal_file_fits(&f, cases[i].size));
		assert_true(wal_segno(&f, cases[i].size) == cases[i].segno);
		start = wal_segment_start(cases[i].segno, cases[i].size);
		assert_true(wal_segno_of_lsn(start, cases[i].size) ==
		    cases[i].segno);
		assert_true(wal_segno_of_lsn(start - 1, cases[i].size) ==
		    cases[i].segno - 1);
	}
}

static void
a_name_of_another_segment_size_does_not_fit(void **state)
{
	struct err err = ERR_INIT;
	struct wal_file f;

	assert_int_equal(
	    wal_file_parse("000000010000000000000100", &f, &err), 0);
	assert_true(wal_file_fits(&f, MB));
	assert_false(wal_file_fits(&f, 16 * MB));
	assert_int_equal(wal_file_parse("00000002.history", &f, &err), 0);
	assert_true(wal_file_fits(&f, 16 * MB));
}

static void
segment_sizes_are_powers_of_two_from_1_mb_to_1_gb(void **state)
{
	assert_true(wal_segment_size_valid(MB));
	assert_true(wal_segment_size_valid(16 * MB));
	assert_true(wal_segment_size_valid(1024 * MB));
	assert_false(wal_segment_size_valid(0));
	assert_false(wal_segment_size_valid(MB / 2));
	assert_false(wal_segment_size_valid(3 * MB));
	assert_false(wal_segment_size_valid(UINT64_C(2048) * MB));
	assert_false(wal_segment_size_valid((UINT64_C(1) << 32) + 16 * MB));
}

static void
locations_convert_both_ways(void **state)
{
	static const struct {
		const char *text;
		pg_lsn lsn;
	} good[] = {
		{ "0/0", 0 },
		{ "0/3000028", 0x3000028 },
		{ "16/B374D848", UINT64_C(0x16b374d848) },
		{ "FFFFFFFF/FFFFFFFF", UINT64_MAX },
	};
	static const char *const bad[] = { "", "/", "0", "0/", "/0", "0/0 ",
		" 0/0", "0/g", "-1/0", "0x1/0", "0/123456789", "123456789/0",
		"1/2/3" };
	char text[LSN_TEXT_MAX];
	pg_lsn lsn;
	size_t i;

	for (i = 0; i < N(good); i++) {
		assert_true(lsn_parse(good[i].text, &lsn));
		assert_true(lsn == good[i].lsn);
		assert_string_equal(lsn_format(lsn, text), good[i].text);
	}
	assert_true(lsn_parse("a/0003f", &lsn));
	assert_true(lsn == UINT64_C(0xa0000003f));
	for (i = 0; i < N(bad); i++)
		assert_false(lsn_parse(bad[i], &lsn));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_file_is_recognised),
		cmocka_unit_test(any_other_name_is_refused),
		cmocka_unit_test(
		    names_and_segment_numbers_convert_for_every_size),
		cmocka_unit_test(a_name_of_another_segment_size_does_not_fit),
		cmocka_unit_test(
		    segment_sizes_are_powers_of_two_from_1_mb_to_1_gb),
		cmocka_unit_test(locations_convert_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
