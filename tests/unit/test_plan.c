/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backup/plan.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#define OURS "PG_15_202209061"

static char *top;    /* of the test at hand */
static char *pgdata; /* in it */
static struct plan *plan;

static char *
under(const char *base, const char *name)
{
	return xasprintf("%s/%s", base, name);
}

static void
make_dir(const char *name)
{
	struct err err = ERR_INIT;
	char *path = under(pgdata, name);

	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	free(path);
}

/* A file of this size, and the directories above it. */
static void
make_file(const char *name, off_t size)
{
	struct err err = ERR_INIT;
	char *path = under(pgdata, name), *slash = strrchr(path, '/');
	int fd;

	*slash = '\0';
	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(close(fd), 0);
	free(path);
}

static void
make_link(const char *name, const char *target)
{
	char *path = under(pgdata, name);

	assert_int_equal(symlink(target, path), 0);
	free(path);
}

static int
setup(void **state)
{
	top = xasprintf("%s/dapk-plan-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(top) == NULL)
		return -1;
	pgdata = under(top, "pg");
	plan = NULL;
	make_file("PG_VERSION", 3);
	make_file("global/pg_control", 8192);
	make_file("base/5/1259", 8192);
	make_dir("pg_wal/archive_status");
	make_dir("pg_tblspc");
	return 0;
}

static int
teardown(void **state)
{
	struct err err = ERR_INIT;
	int rc = io_remove_tree(top, &err);

	plan_free(plan);
	free(pgdata);
	free(top);
	return rc;
}

static int
try_plan(struct err *err)
{
	struct plan_params params = { pgdata, 15, 202209061, false };

	return plan_make(&plan, &params, err);
}

static void
make_plan(void)
{
	struct err err = ERR_INIT;

	if (try_plan(&err) != 0)
		fail_msg("%s", err.msg);
}

/* The item of this path, -1 when it is not in the plan. */
static long
find(const char *path, struct plan_item *item)
{
	struct buf b;
	uint32_t i;
	long found = -1;

	buf_init(&b, 8192);
	for (i = 0; i < plan_count(plan); i++) {
		plan_get(plan, i, item);
		plan_path(plan, item, &b);
		if (strcmp(buf_str(&b), path) == 0) {
			found = (long)i;
			break;
		}
	}
	buf_free(&b);
	return found;
}

static bool
has(const char *path)
{
	struct plan_item item;

	return find(path, &item) >= 0;
}

static void
files_have_their_size_and_pg_control_is_left_for_last(void **state)
{
	struct plan_item item;

	make_file("base/5/16384.1", 12345);
	make_plan();
	assert_true(find("base/5/16384.1", &item) >= 0);
	assert_int_equal(item.type, PLAN_FILE);
	assert_int_equal(item.size, 12345);
	assert_false(has("global/pg_control"));
	assert_true(has("global"));
	assert_int_equal(plan_totals(plan)->files, 3);
	assert_int_equal(plan_totals(plan)->bytes, 3 + 8192 + 12345);
}

static void
items_are_ascending_by_the_bytes_of_the_path(void **state)
{
	static const char *const names[] = { "a/x", "a.b", "a-b", "a/b/c",
		"a0", "a b", "A", "zz/y", "a\xff", "a\x01" };
	struct plan_item item;
	struct buf b, before;
	uint32_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		make_file(names[i], 1);
	make_plan();
	buf_init(&b, 8192);
	buf_init(&before, 8192);
	for (i = 0; i < plan_count(plan); i++) {
		plan_get(plan, i, &item);
		plan_path(plan, &item, &b);
		assert_true(strcmp(buf_str(&before), buf_str(&b)) < 0);
		buf_clear(&before);
		buf_add(&before, b.data, b.len);
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(has(names[i]));
	buf_free(&b);
	buf_free(&before);
}

static void
any_bytes_may_stand_in_a_name(void **state)
{
	make_file("odd/new\nline", 1);
	make_file("odd/quote\"back\\slash", 1);
	make_file("odd/\xc3\x28\xff not UTF-8 ", 1);
	make_file("odd/ ", 1);
	make_plan();
	assert_true(has("odd/new\nline"));
	assert_true(has("odd/quote\"back\\slash"));
	assert_true(has("odd/\xc3\x28\xff not UTF-8 "));
	assert_true(has("odd/ "));
}

static void
what_a_base_backup_leaves_out_is_left_out(void **state)
{
	static const char *const out[] = { "postmaster.pid", "backup_label",
		"tablespace_map", "standby.signal", "recovery.signal",
		"backup_manifest", "base/5/t3_16400", "base/5/pg_internal.init",
		"base/pgsql_tmp/pgsql_tmp12.0", "pg_replslot/s/state",
		"pg_stat_tmp/global.stat", "pg_notify/0000",
		"pg_wal/000000010000000000000001",
		"pg_wal/archive_status/000000010000000000000001.done" };
	size_t i;

	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		make_file(out[i], 10);
	make_file("pg_xact/0000", 10);
	make_plan();
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (has(out[i]))
			fail_msg("%s is in the plan", out[i]);
	assert_true(has("pg_xact/0000"));
}

static void
directories_that_are_emptied_stay_and_empty_ones_too(void **state)
{
	struct plan_item item;

	make_dir("pg_replslot/slot");
	make_dir("pg_wal/summaries");
	make_dir("pg_twophase");
	make_plan();
	assert_true(find("pg_twophase", &item) >= 0);
	assert_int_equal(item.type, PLAN_DIR);
	assert_int_equal(item.mode, 0700);
	assert_true(has("pg_replslot"));
	assert_false(has("pg_replslot/slot"));
	assert_true(has("pg_wal"));
	assert_true(has("pg_wal/archive_status"));
	assert_true(has("pg_wal/summaries"));
}

static void
of_unlogged_relations_only_the_init_fork_is_copied(void **state)
{
	make_file("base/5/16400", 8192);
	make_file("base/5/16400.1", 8192);
	make_file("base/5/16400_fsm", 8192);
	make_file("base/5/16400_vm", 8192);
	make_file("base/5/16400_init", 0);
	make_file("base/5/16401", 8192);
	make_file("base/6/16400", 8192); /* another database's, logged */
	make_plan();
	assert_false(has("base/5/16400"));
	assert_false(has("base/5/16400.1"));
	assert_false(has("base/5/16400_fsm"));
	assert_false(has("base/5/16400_vm"));
	assert_true(has("base/5/16400_init"));
	assert_true(has("base/5/16401"));
	assert_true(has("base/6/16400"));
	assert_int_equal(plan_totals(plan)->bytes, 3 + 3 * 8192);
}

static void
a_tablespace_gives_its_link_and_only_this_servers_files(void **state)
{
	const struct plan_tablespace *ts;
	struct plan_item item;
	char *elsewhere = under(top, "ts");
	size_t n;

	make_file("../ts/" OURS "/5/16500", 8192);
	make_file("../ts/" OURS "/5/16501", 8192);
	make_file("../ts/" OURS "/5/16501_init", 0);
	make_file("../ts/PG_14_202107181/5/16500", 8192);
	make_link("pg_tblspc/16390", elsewhere);
	make_plan();
	assert_true(find("pg_tblspc/16390", &item) >= 0);
	assert_int_equal(item.type, PLAN_LINK);
	assert_string_equal(item.target, elsewhere);
	assert_true(has("pg_tblspc/16390/" OURS));
	assert_true(has("pg_tblspc/16390/" OURS "/5/16500"));
	assert_false(has("pg_tblspc/16390/" OURS "/5/16501"));
	assert_false(has("pg_tblspc/16390/PG_14_202107181"));
	ts = plan_tablespaces(plan, &n);
	assert_int_equal(n, 1);
	assert_int_equal(ts[0].oid, 16390);
	assert_string_equal(ts[0].path, elsewhere);
	free(elsewhere);
}

static void
a_tablespace_whose_disk_is_not_mounted_is_refused(void **state)
{
	struct err err = ERR_INIT;
	char *elsewhere = under(top, "ts");

	make_link("pg_tblspc/16390", elsewhere);
	assert_int_equal(try_plan(&err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "pg_tblspc/16390"));
	make_dir("../ts/lost+found"); /* the mount point, or another's disk */
	assert_int_equal(try_plan(&err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	free(elsewhere);
}

static void
a_tablespace_inside_the_data_directory_is_copied_once(void **state)
{
	char *inside = under(pgdata, "a_ts");

	log_init(LOG_ERROR, LOG_TEXT, NULL);
	make_file("a_ts/" OURS "/5/16500", 8192);
	make_link("pg_tblspc/16390", inside);
	make_plan();
	assert_true(has("pg_tblspc/16390/" OURS "/5/16500"));
	assert_false(has("a_ts/" OURS "/5/16500"));
	assert_false(has("a_ts"));
	free(inside);
}

static void
an_in_place_tablespace_is_copied(void **state)
{
	make_file("pg_tblspc/16390/" OURS "/5/16500", 8192);
	make_plan();
	assert_true(has("pg_tblspc/16390"));
	assert_true(has("pg_tblspc/16390/" OURS "/5/16500"));
}

static void
refused(const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(try_plan(&err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, text));
}

static void
two_links_to_one_tablespace_are_refused(void **state)
{
	make_file("../ts/" OURS "/5/16500", 8192);
	make_link("pg_tblspc/16390", "../../ts");
	make_link("pg_tblspc/16391", "../../ts");
	refused("same directory");
}

static void
a_tablespace_that_is_the_data_directory_is_refused(void **state)
{
	make_link("pg_tblspc/16390", "..");
	refused("data directory itself");
}

static void
a_tablespace_link_that_goes_in_a_circle_is_refused(void **state)
{
	make_link("pg_tblspc/16390", "16391");
	make_link("pg_tblspc/16391", "16390");
	refused("circle");
}

static void
a_link_in_place_of_data_is_refused(void **state)
{
	make_file("../db/16400", 8192);
	make_link("base/7", "../../db");
	refused("base/7 is a symbolic link");
}

static void
pg_wal_may_be_a_link_whose_directories_are_kept(void **state)
{
	struct plan_item item;
	struct err err = ERR_INIT;
	char *wal = under(pgdata, "pg_wal");

	assert_int_equal(io_remove_tree(wal, &err), 0);
	make_file("../wal/000000010000000000000001", 100);
	make_dir("../wal/archive_status");
	make_link("pg_wal", "../wal");
	make_plan();
	assert_true(find("pg_wal", &item) >= 0);
	assert_int_equal(item.type, PLAN_LINK);
	assert_string_equal(item.target, "../wal");
	assert_true(has("pg_wal/archive_status"));
	assert_false(has("pg_wal/000000010000000000000001"));
	free(wal);
}

static void
other_links_are_kept_as_links_and_not_followed(void **state)
{
	struct plan_item item;

	make_file("../log/postgresql.log", 100);
	make_link("log", "../log");
	make_link("pg_stat_tmp", "../log");
	make_plan();
	assert_true(find("log", &item) >= 0);
	assert_int_equal(item.type, PLAN_LINK);
	assert_false(has("log/postgresql.log"));
	/* As a directory: where it leads to may not exist after a restore. */
	assert_true(find("pg_stat_tmp", &item) >= 0);
	assert_int_equal(item.type, PLAN_DIR);
}

static void
a_saved_configuration_that_nothing_uses_is_left_out(void **state)
{
	struct plan_params params = { pgdata, 15, 202209061, true };
	struct err err = ERR_INIT;

	make_file("dapk-backup-config/postgresql.conf", 10);
	make_file("base/dapk-backup-config", 10);
	make_plan();
	assert_true(has("dapk-backup-config/postgresql.conf"));
	plan_free(plan);
	assert_int_equal(plan_make(&plan, &params, &err), 0);
	assert_false(has("dapk-backup-config"));
	assert_false(has("dapk-backup-config/postgresql.conf"));
	assert_true(has("base/dapk-backup-config"));
}

static void
sockets_and_pipes_are_left_out(void **state)
{
	char *pipe_path = under(pgdata, "pipe");

	log_init(LOG_ERROR, LOG_TEXT, NULL);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	make_plan();
	assert_false(has("pipe"));
	free(pipe_path);
}

static void
a_data_directory_that_is_not_there_is_an_error(void **state)
{
	struct err err = ERR_INIT;
	struct plan_params params = { "/nonexistent/pg", 15, 202209061,
		false };

	assert_int_equal(plan_make(&plan, &params, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "/nonexistent/pg"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_have_their_size_and_pg_control_is_left_for_last),
		TEST(items_are_ascending_by_the_bytes_of_the_path),
		TEST(any_bytes_may_stand_in_a_name),
		TEST(what_a_base_backup_leaves_out_is_left_out),
		TEST(directories_that_are_emptied_stay_and_empty_ones_too),
		TEST(of_unlogged_relations_only_the_init_fork_is_copied),
		TEST(a_tablespace_gives_its_link_and_only_this_servers_files),
		TEST(a_tablespace_whose_disk_is_not_mounted_is_refused),
		TEST(a_tablespace_inside_the_data_directory_is_copied_once),
		TEST(an_in_place_tablespace_is_copied),
		TEST(two_links_to_one_tablespace_are_refused),
		TEST(a_tablespace_that_is_the_data_directory_is_refused),
		TEST(a_tablespace_link_that_goes_in_a_circle_is_refused),
		TEST(a_link_in_place_of_data_is_refused),
		TEST(pg_wal_may_be_a_link_whose_directories_are_kept),
		TEST(other_links_are_kept_as_links_and_not_followed),
		TEST(a_saved_configuration_that_nothing_uses_is_left_out),
		TEST(sockets_and_pipes_are_left_out),
		TEST(a_data_directory_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
