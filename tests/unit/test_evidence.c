/* SPDX-License-Identifier: PostgreSQL */
/* What of a file must be read, given the blocks that WAL names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/evidence.h"
#include "backup/source.h"
#include "pg/blockset.h"

#define SEGMENT 16u /* blocks; real servers have 131072 */

static struct blockset *set;

static int
setup(void **state)
{
	(void)state;
	set = blockset_new(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	blockset_free(set);
	return 0;
}

static void
add(enum wal_change_type type, uint32_t tablespace, uint32_t database,
    uint32_t node, uint32_t block)
{
	struct wal_change c = { type, { tablespace, database, node }, 0,
		block };

	blockset_add(set, &c);
}

/* As text: 'r' for a block that is read, '.' for one that is not; "all". */
static const char *
ask(const char *path, uint64_t parent, uint64_t now)
{
	static char text[SEGMENT + 1];
	uint8_t bits[SEGMENT / 8];
	uint64_t i;

	memset(bits, 0xff, sizeof(bits)); /* all are to be written */
	if (evidence_of_set(set, SEGMENT, path, parent, now, bits) ==
	    EVIDENCE_READ_ALL)
		return "all";
	for (i = 0; i < now; i++)
		text[i] = bits[i / 8] >> i % 8 & 1 ? 'r' : '.';
	text[now] = '\0';
	return text;
}

static void
a_block_is_looked_for_in_its_segment(void **state)
{
	(void)state;
	add(WAL_CHANGE_BLOCK, 1663, 5, 100, 1);
	add(WAL_CHANGE_BLOCK, 1663, 5, 100, 16);
	add(WAL_CHANGE_BLOCK, 1663, 5, 100, 35);
	assert_string_equal(ask("base/5/100", 16, 16), ".r..............");
	assert_string_equal(ask("base/5/100.1", 16, 16), "r...............");
	assert_string_equal(ask("base/5/100.2", 4, 4), "...r");
	assert_string_equal(ask("base/5/100.3", 4, 4), "....");
	assert_string_equal(ask("base/5/101", 4, 4), "....");
	assert_string_equal(ask("base/6/100", 4, 4), "....");
	assert_string_equal(ask("global/100", 4, 4), "....");
	assert_string_equal(ask("pg_tblspc/7/PG_15_202209061/5/100", 4, 4),
	    "....");
	add(WAL_CHANGE_BLOCK, 7, 5, 100, 0);
	add(WAL_CHANGE_BLOCK, 1664, 0, 100, 3);
	assert_string_equal(ask("pg_tblspc/7/PG_15_202209061/5/100", 4, 4),
	    "r...");
	assert_string_equal(ask("global/100", 4, 4), "...r");
}

static void
what_the_parent_has_not_is_read(void **state)
{
	(void)state;
	assert_string_equal(ask("base/5/100", 2, 5), "..rrr");
	assert_string_equal(ask("base/5/100", 0, 5), "all");
	assert_string_equal(ask("base/5/100", 3, 0), "all");
	assert_string_equal(ask("base/5/100", 5, 3), "all");
}

static void
from_a_limit_on_all_segments_are_new(void **state)
{
	(void)state;
	add(WAL_CHANGE_BLOCK, 1663, 5, 100, 2);
	add(WAL_CHANGE_LIMIT, 1663, 5, 100, 18);
	assert_string_equal(ask("base/5/100", 16, 16), "..r.............");
	assert_string_equal(ask("base/5/100.1", 6, 6), "..rrrr");
	assert_string_equal(ask("base/5/100.1", 6, 4), "..rr");
	assert_string_equal(ask("base/5/100.1", 6, 2), "..");
	/* Shorter than it was cut to. */
	assert_string_equal(ask("base/5/100.1", 6, 1), "all");
	assert_string_equal(ask("base/5/100.2", 3, 3), "rrr");
	assert_string_equal(ask("base/5/100.2", 3, 1), "r");
	add(WAL_CHANGE_LIMIT, 1663, 5, 100, 0);
	assert_string_equal(ask("base/5/100", 4, 4), "rrrr");
}

static void
only_main_forks_and_relations_are_believed(void **state)
{
	static const char *const paths[] = { "base/5/100_vm", "base/5/100_fsm",
		"base/5/100_init", "base/5/100_vm.1", "base/5/PG_VERSION",
		"base/5/pg_filenode.map", "global/pg_control", "pg_xact/0000",
		"base/5/t3_100", "postgresql.conf", "base/100", "base/5/0" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_string_equal(ask(paths[i], 4, 4), "all");
}

static void
a_database_made_anew_is_read_whole(void **state)
{
	(void)state;
	add(WAL_CHANGE_DATABASE, 1663, 5, 0, 0);
	assert_string_equal(ask("base/5/100", 4, 4), "all");
	assert_string_equal(ask("base/6/100", 4, 4), "....");
	assert_string_equal(ask("pg_tblspc/7/PG_15_202209061/5/100", 4, 4),
	    "....");
}

static void
a_source_is_one_directory(void **state)
{
	char dir[] = "/tmp/dapk-source-XXXXXX", other[64], link[64];
	char a[SOURCE_ID_TEXT], b[SOURCE_ID_TEXT];
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(link, sizeof(link), "%s/link", dir);
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(symlink(dir, link), 0);
	assert_int_equal(source_id(dir, a, &err), 0);
	assert_int_equal(strlen(a), SOURCE_ID_TEXT - 1);
	assert_int_equal(source_id(link, b, &err), 0);
	assert_string_equal(a, b);
	assert_int_equal(source_id(other, b, &err), -1);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(source_id(other, b, &err), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(rmdir(other), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_block_is_looked_for_in_its_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_parent_has_not_is_read,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    from_a_limit_on_all_segments_are_new, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    only_main_forks_and_relations_are_believed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_database_made_anew_is_read_whole, setup, teardown),
		cmocka_unit_test(a_source_is_one_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
