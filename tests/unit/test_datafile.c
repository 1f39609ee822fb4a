/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/datafile.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
relation_files_are_taken_apart(void **state)
{
	static const struct {
		const char *path;
		uint32_t filenode;
		enum datafile_fork fork;
		uint32_t segment;
	} cases[] = {
		{ "base/1/1259", 1259, FORK_MAIN, 0 },
		{ "base/16384/16385.1", 16385, FORK_MAIN, 1 },
		{ "base/16384/16385_fsm", 16385, FORK_FSM, 0 },
		{ "base/16384/16385_vm.2", 16385, FORK_VM, 2 },
		{ "base/16384/16385_init", 16385, FORK_INIT, 0 },
		{ "base/4294967295/4294967295.131071", UINT32_MAX, FORK_MAIN,
		    131071 },
		{ "global/1262", 1262, FORK_MAIN, 0 },
		{ "global/1262_vm", 1262, FORK_VM, 0 },
		{ "pg_tblspc/16390/PG_15_202209061/16384/16400.3", 16400,
		    FORK_MAIN, 3 },
		{ "pg_tblspc/16390/PG_18_202506291/5/16400_init", 16400,
		    FORK_INIT, 0 },
	};
	struct datafile df;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		datafile_parse(cases[i].path, &df);
		assert_int_equal(df.kind, DATAFILE_RELATION);
		assert_int_equal(df.filenode, cases[i].filenode);
		assert_int_equal(df.fork, cases[i].fork);
		assert_int_equal(df.segment, cases[i].segment);
		assert_false(datafile_excluded(cases[i].path));
	}
}

/* TRAPS T40: only relations have pages with checksums. */
static void
anything_else_is_not_checked_as_pages(void **state)
{
	static const char *const paths[] = { "PG_VERSION", "base/1/PG_VERSION",
		"base/1/pg_filenode.map", "global/pg_control",
		"global/pg_filenode.map", "pg_xact/0000",
		"pg_multixact/offsets/0000", "base/1/1259_foo",
		"base/1/1259_fsm_vm", "base/1/1259.", "base/1/1259.0",
		"base/1/1259.01", "base/1/1259.1.2", "base/1/01259",
		"base/1/0", "base/1/4294967296", "base/1/1259x", "base/x/1259",
		"base/1259", "base/1/2/1259", "1259", "pg_wal/1259",
		"global/1/1259", "pg_tblspc/16390/16384/16400",
		"pg_tblspc/16390/PG_15_202209061/16400",
		"pg_tblspc/16390/PG_15_202209061",
		"pg_tblspc/x/PG_15_202209061/1/16400", "base/1/",
		"pg_logical/replorigin_checkpoint", "base/1/1259.4294967296" };
	struct datafile df;
	size_t i;

	for (i = 0; i < N(paths); i++) {
		datafile_parse(paths[i], &df);
		assert_int_equal(df.kind, DATAFILE_OTHER);
		assert_int_equal(df.filenode, 0);
		assert_false(datafile_excluded(paths[i]));
	}
}

/* TRAPS T43, T66. */
static void
temporary_relations_are_left_out(void **state)
{
	static const char *const paths[] = { "base/1/t3_16385",
		"base/1/t0_16385", "base/1/t12_16385.1",
		"base/1/t12_16385_fsm",
		"pg_tblspc/16390/PG_15_202209061/16384/t3_16400_vm.1" };
	struct datafile df;
	size_t i;

	for (i = 0; i < N(paths); i++) {
		datafile_parse(paths[i], &df);
		assert_int_equal(df.kind, DATAFILE_TEMP_RELATION);
		assert_true(datafile_excluded(paths[i]));
	}
	assert_false(datafile_excluded("base/1/t3"));
	assert_false(datafile_excluded("base/1/t_16385"));
	assert_false(datafile_excluded("base/1/tx_16385"));
	assert_false(datafile_excluded("t3_16385"));
}

/* TRAPS T42, T44, T45. */
static void
what_would_harm_a_restored_cluster_is_left_out(void **state)
{
	static const char *const out[] = { "postmaster.pid", "postmaster.opts",
		"postgresql.auto.conf.tmp", "current_logfiles.tmp",
		"backup_label", "backup_label.old", "tablespace_map",
		"tablespace_map.old", "backup_manifest", "recovery.signal",
		"standby.signal", "global/pg_internal.init",
		"base/5/pg_internal.init", "base/5/pg_internal.init.1234",
		"base/pgsql_tmp", "base/pgsql_tmp/pgsql_tmp123.0",
		"base/pgsql_tmp/pgsql_tmp1.fileset/0.0",
		"pg_tblspc/1/PG_15_202209061/pgsql_tmp/pgsql_tmp9.1" };
	static const char *const in[] = { "postgresql.conf",
		"postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf",
		"current_logfiles", "log/postgresql.log", "pg_log/x",
		"pg_stat/pgstat.stat", "mine/backup_label",
		"mine/postmaster.pid", "backup_label.mine", "not_pgsql_tmp",
		"pg_twophase/000002D1", "global/pg_control" };
	size_t i;

	for (i = 0; i < N(out); i++)
		assert_true(datafile_excluded(out[i]));
	for (i = 0; i < N(in); i++)
		assert_false(datafile_excluded(in[i]));
}

static void
directories_of_passing_content_are_kept_empty(void **state)
{
	static const char *const out[] = { "pg_dynshmem", "pg_notify",
		"pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp",
		"pg_subtrans", "pg_wal", "pg_wal/archive_status",
		"pg_wal/summaries" };
	static const char *const in[] = { "base", "global", "pg_xact",
		"pg_multixact", "pg_logical", "pg_stat", "pg_commit_ts",
		"pg_twophase", "pg_tblspc", "log", "mine/pg_wal", "" };
	size_t i;

	for (i = 0; i < N(out); i++)
		assert_true(datafile_dir_emptied(out[i]));
	for (i = 0; i < N(in); i++)
		assert_false(datafile_dir_emptied(in[i]));
}

static void
the_tablespace_directory_is_named_by_version(void **state)
{
	char dir[DATAFILE_TABLESPACE_DIR_MAX];

	assert_string_equal(datafile_tablespace_dir(15, 202209061, dir),
	    "PG_15_202209061");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relation_files_are_taken_apart),
		cmocka_unit_test(anything_else_is_not_checked_as_pages),
		cmocka_unit_test(temporary_relations_are_left_out),
		cmocka_unit_test(
		    what_would_harm_a_restored_cluster_is_left_out),
		cmocka_unit_test(
		    directories_of_passing_content_are_kept_empty),
		cmocka_unit_test(the_tablespace_directory_is_named_by_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
