/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "pg/pgtools.h"

/* Versions that no package has: only what the test makes is found. */
#define MAJOR 91

static char *dir;
static char *old_path;

static void
make_program(const char *where, const char *name, const char *script)
{
	char *folder = xasprintf("%s/%s", dir, where);
	char *path = xasprintf("%s/%s", folder, name);
	char *text = xasprintf("#!/bin/sh\n%s\n", script);
	struct err err = ERR_INIT;

	assert_int_equal(io_mkdir_p(folder, 0700, &err), 0);
	assert_int_equal(io_write_file_durable(path, text, strlen(text), 0700,
	    &err), 0);
	free(text);
	free(path);
	free(folder);
}

static void
make_version(const char *where, const char *name, const char *version)
{
	char *script = xasprintf("echo '%s (PostgreSQL) %s'", name, version);

	make_program(where, name, script);
	free(script);
}

static int
setup(void **state)
{
	(void)state;
	old_path = xstrdup(getenv("PATH"));
	dir = xasprintf("%s/dapk-pgtools-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	(void)setenv("PATH", old_path, 1);
	free(old_path);
	if (io_remove_tree(dir, &err) != 0)
		return -1;
	free(dir);
	return 0;
}

/* PATH: these folders, then what was there (a shell needs it). */
static void
set_path(const char *a, const char *b)
{
	char *path = xasprintf("relative::%s/%s:%s/%s:%s", dir, a, dir, b,
	    old_path);

	assert_int_equal(setenv("PATH", path, 1), 0);
	free(path);
}

static void
expect_found(enum pgtool_name which, const char *bin_dir, const char *where,
    int version_num)
{
	struct pgtool tool;
	struct err err = ERR_INIT;
	char *want = xasprintf("%s/%s/%s", dir, where, pgtool_program(which));
	char *bin = bin_dir != NULL ? xasprintf("%s/%s", dir, bin_dir) : NULL;

	if (pgtool_find(&tool, which, bin, MAJOR, &err) != 0)
		fail_msg("%s", err.msg);
	assert_string_equal(tool.path, want);
	assert_int_equal(tool.version_num, version_num);
	pgtool_free(&tool);
	free(bin);
	free(want);
}

static void
versions_are_read_as_every_packager_writes_them(void **state)
{
	char text[PGTOOL_VERSION_MAX];

	(void)state;
	assert_int_equal(pgtool_parse_version("pg_dump (PostgreSQL) 15.20 "
	    "(Debian 15.20-0+deb12u1)\n", text), 150020);
	assert_string_equal(text, "15.20");
	assert_int_equal(pgtool_parse_version("psql (PostgreSQL) 18beta1\n",
	    text), 180000);
	assert_string_equal(text, "18beta1");
	assert_int_equal(pgtool_parse_version("pg_dump (EnterpriseDB) 17.4.0",
	    NULL), 170004);
	assert_int_equal(pgtool_parse_version("pg_dump 15", NULL), -1);
	assert_int_equal(pgtool_parse_version("", NULL), -1);
	assert_int_equal(pgtool_parse_version("x (y) 99999999999.1", NULL),
	    -1);
}

static void
the_same_major_is_preferred_to_a_newer_one(void **state)
{
	(void)state;
	make_version("new", "pg_dump", "92.1");
	make_version("same", "pg_dump", "91.7 (Debian 91.7-1)");
	set_path("new", "same");
	expect_found(PGTOOL_DUMP, NULL, "same", 910007);
	set_path("same", "new");
	expect_found(PGTOOL_DUMP, NULL, "same", 910007);
}

static void
of_newer_ones_the_oldest_is_taken_and_older_ones_never(void **state)
{
	(void)state;
	make_version("old", "pg_restore", "90.9");
	make_version("newer", "pg_restore", "93.0");
	make_version("newest", "pg_restore", "94.2");
	set_path("old", "newest");
	expect_found(PGTOOL_RESTORE, NULL, "newest", 940002);
	set_path("newest", "newer");
	expect_found(PGTOOL_RESTORE, NULL, "newer", 930000);
}

static void
a_directory_that_was_named_is_the_only_one_looked_at(void **state)
{
	struct pgtool tool;
	struct err err = ERR_INIT;
	char *bin = xasprintf("%s/old", dir);

	(void)state;
	make_version("same", "psql", "91.1");
	make_version("old", "psql", "90.3");
	make_version("mine", "psql", "92.0");
	set_path("same", "same");
	expect_found(PGTOOL_PSQL, "mine", "mine", 920000);
	assert_int_equal(pgtool_find(&tool, PGTOOL_PSQL, bin, MAJOR, &err),
	    -1);
	assert_int_equal(err.code, ERR_POSTGRES);
	assert_non_null(strstr(err.msg, "pg-bin-dir"));
	assert_non_null(strstr(err.msg, bin));
	assert_non_null(strstr(err.msg, "(90.3)"));
	free(bin);
}

static void
when_there_is_none_the_package_and_the_option_are_named(void **state)
{
	struct pgtool tool;
	struct err err = ERR_INIT;
	char *other, *wrapper;

	(void)state;
	make_version("old", "pg_dump", "90.3");
	make_program("broken", "pg_dump", "echo no library >&2; exit 127");
	make_version("debian", "pg_wrapper", "91.0");
	wrapper = xasprintf("%s/debian/pg_wrapper", dir);
	other = xasprintf("%s/debian/pg_dump", dir);
	assert_int_equal(symlink(wrapper, other), 0);
	set_path("old", "broken");
	assert_int_equal(pgtool_find(&tool, PGTOOL_DUMP, NULL, MAJOR, &err),
	    -1);
	assert_int_equal(err.code, ERR_POSTGRES);
	assert_non_null(strstr(err.msg, "no pg_dump of version 91 or newer"));
	assert_non_null(strstr(err.msg, "old/pg_dump (90.3)"));
	assert_non_null(strstr(err.msg, "no library"));
	assert_non_null(strstr(err.hint, "postgresql-client-91"));
	assert_non_null(strstr(err.hint, "pg-bin-dir"));
	err_clear(&err);
	/* It says 91 now, and could start another the next time. */
	set_path("debian", "debian");
	assert_int_equal(pgtool_find(&tool, PGTOOL_DUMP, NULL, MAJOR, &err),
	    -1);
	assert_non_null(strstr(err.msg, "pg_wrapper"));
	free(other);
	free(wrapper);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions_are_read_as_every_packager_writes_them),
		TEST(the_same_major_is_preferred_to_a_newer_one),
		TEST(of_newer_ones_the_oldest_is_taken_and_older_ones_never),
		TEST(a_directory_that_was_named_is_the_only_one_looked_at),
		TEST(when_there_is_none_the_package_and_the_option_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
