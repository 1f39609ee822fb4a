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
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"

static char *dir; /* of the test at hand */

static char *
in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static int
setup(void **state)
{
	dir = xasprintf("%s/dapk-io-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct err err = ERR_INIT;
	int rc = io_remove_tree(dir, &err);

	free(dir);
	return rc;
}

static void
missing_parents_are_made_and_again_is_fine(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_dir("a/b/c"), *odd = in_dir("d//e/f/");
	struct stat st;

	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	assert_int_equal(io_mkdir_p(path, 0700, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(io_mkdir_p(odd, 0700, &err), 0);
	assert_int_equal(stat(odd, &st), 0);
	free(odd);
	free(path);
}

static void
a_file_in_the_way_of_a_directory_is_an_error(void **state)
{
	struct err err = ERR_INIT;
	char *file = in_dir("f"), *below = in_dir("f/g");

	assert_int_equal(io_write_file_durable(file, "x", 1, 0600, &err), 0);
	assert_int_equal(io_mkdir_p(file, 0700, &err), -1);
	assert_non_null(strstr(err.msg, file));
	err_clear(&err);
	assert_int_equal(io_mkdir_p(below, 0700, &err), -1);
	free(below);
	free(file);
}

static void
a_file_is_replaced_whole(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_dir("f"), *tmp = in_dir("f.tmp");
	struct buf b;
	bool exists;

	buf_init(&b, 100);
	assert_int_equal(io_write_file_durable(path, "long text", 9, 0600,
	    &err), 0);
	assert_int_equal(io_write_file_durable(path, "new", 3, 0600, &err), 0);
	assert_int_equal(io_read_file(path, &b, &err), 0);
	assert_string_equal(buf_str(&b), "new");
	assert_int_equal(io_exists(tmp, &exists, &err), 0);
	assert_false(exists);
	buf_free(&b);
	free(tmp);
	free(path);
}

static void
a_failed_write_leaves_the_old_file(void **state)
{
	struct rlimit old, small = { 4096, 4096 };
	struct err err = ERR_INIT;
	char *path = in_dir("f"), *tmp = in_dir("f.tmp");
	char big[20000] = "big";
	struct buf b;
	bool exists;

	assert_int_equal(io_write_file_durable(path, "old", 3, 0600, &err), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(io_write_file_durable(path, big, sizeof(big), 0600,
	    &err), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.code, ERR_IO);
	buf_init(&b, 100);
	assert_int_equal(io_read_file(path, &b, &err), 0);
	assert_string_equal(buf_str(&b), "old");
	assert_int_equal(io_exists(tmp, &exists, &err), 0);
	assert_false(exists);
	buf_free(&b);
	free(tmp);
	free(path);
}

static void
reading_past_the_end_is_damage_and_upto_tells_how_much(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_dir("f");
	char got[10];
	size_t n;
	int fd;

	assert_int_equal(io_write_file_durable(path, "12345", 5, 0600, &err),
	    0);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(io_pread_full(fd, got, 3, 2, path, &err), 0);
	assert_memory_equal(got, "345", 3);
	assert_int_equal(io_pread_full(fd, got, 4, 2, path, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	err_clear(&err);
	assert_int_equal(io_pread_upto(fd, got, 10, 3, &n, path, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(io_pread_upto(fd, got, 10, 100, &n, path, &err), 0);
	assert_int_equal(n, 0);
	(void)close(fd);
	free(path);
}

static void
a_file_larger_than_the_ceiling_is_refused(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_dir("f");
	struct buf b;

	assert_int_equal(io_write_file_durable(path, "12345", 5, 0600, &err),
	    0);
	buf_init(&b, 5);
	assert_int_equal(io_read_file(path, &b, &err), 0);
	buf_free(&b);
	buf_init(&b, 4);
	assert_int_equal(io_read_file(path, &b, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	buf_free(&b);
	free(path);
}

static void
an_absent_file_is_not_found_and_removing_it_is_fine(void **state)
{
	struct err err = ERR_INIT;
	char *path = in_dir("no/such");
	struct buf b;
	bool exists = true;

	buf_init(&b, 5);
	assert_int_equal(io_read_file(path, &b, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	err_clear(&err);
	assert_int_equal(io_exists(path, &exists, &err), 0);
	assert_false(exists);
	free(path);
	path = in_dir("absent");
	assert_int_equal(io_unlink(path, &err), 0);
	assert_int_equal(io_remove_tree(path, &err), 0);
	buf_free(&b);
	free(path);
}

static void
removing_a_tree_follows_no_link(void **state)
{
	struct err err = ERR_INIT;
	char *keep = in_dir("keep"), *kept = in_dir("keep/file");
	char *tree = in_dir("tree/deep"), *link = in_dir("tree/deep/link");
	bool exists;

	assert_int_equal(io_mkdir_p(keep, 0700, &err), 0);
	assert_int_equal(io_mkdir_p(tree, 0700, &err), 0);
	assert_int_equal(io_write_file_durable(kept, "x", 1, 0600, &err), 0);
	assert_int_equal(symlink(keep, link), 0);
	tree[strlen(tree) - strlen("/deep")] = '\0';
	assert_int_equal(io_remove_tree(tree, &err), 0);
	assert_int_equal(io_exists(tree, &exists, &err), 0);
	assert_false(exists);
	assert_int_equal(io_exists(kept, &exists, &err), 0);
	assert_true(exists);
	free(link);
	free(tree);
	free(kept);
	free(keep);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(missing_parents_are_made_and_again_is_fine),
		TEST(a_file_in_the_way_of_a_directory_is_an_error),
		TEST(a_file_is_replaced_whole),
		TEST(a_failed_write_leaves_the_old_file),
		TEST(reading_past_the_end_is_damage_and_upto_tells_how_much),
		TEST(a_file_larger_than_the_ceiling_is_refused),
		TEST(an_absent_file_is_not_found_and_removing_it_is_fine),
		TEST(removing_a_tree_follows_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
