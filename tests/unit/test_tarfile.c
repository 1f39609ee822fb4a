/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/libarchive.h"
#include "export/tarfile.h"

#define HUGE_FILE (UINT64_C(9) << 30)

static struct err err;

static int
temporary(void)
{
	char path[] = "/tmp/dapk-tarfile-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static char piece[65536];

static la_ssize_t
read_in(struct archive *a, void *arg, const void **data)
{
	ssize_t n = read(*(int *)arg, piece, sizeof(piece));

	(void)a;
	*data = piece;
	return n;
}

static struct archive *
read_back(const struct libarchive **la, int *fd)
{
	struct archive *a;

	assert_int_equal(libarchive_get(la, &err), 0);
	assert_int_equal(lseek(*fd, 0, SEEK_SET), 0);
	a = (*la)->archive_read_new();
	(*la)->archive_read_support_format_tar(a);
	(*la)->archive_read_support_filter_none(a);
	assert_int_equal((*la)->archive_read_open(a, fd, NULL, read_in, NULL),
	    ARCHIVE_OK);
	return a;
}

static void
names_modes_times_and_content_come_back(void **state)
{
	static const char odd[] = "od\"d \xff\xfe";
	const struct libarchive *la;
	struct archive_entry *e;
	struct tarfile *t = NULL;
	struct archive *a;
	char name[400], text[8];
	int fd = temporary();

	memset(name, 'n', sizeof(name));
	memcpy(name, "base/", 5);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(tarfile_new(&t, fd, "test", &err), 0);
	assert_int_equal(tarfile_dir(t, "pg_wal", 0700, 0, &err), 0);
	assert_int_equal(tarfile_link(t, "link", "/somewhere/else", 0, &err),
	    0);
	assert_int_equal(tarfile_content(t, &(struct tarfile_about){
	    .path = name, .size = 5, .mode = 0640,
	    .mtime = INT64_C(817219867999999) }, "hello", &err), 0);
	assert_int_equal(tarfile_content(t, &(struct tarfile_about){
	    .path = odd, .size = 0, .mode = 0600 }, "", &err), 0);
	assert_int_equal(tarfile_finish(t, &err), 0);
	tarfile_free(t);

	a = read_back(&la, &fd);
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(la->archive_entry_pathname(e), "pg_wal/");
	assert_int_equal(la->archive_entry_filetype(e), AE_IFDIR);
	assert_int_equal(la->archive_entry_mode(e) & 07777, 0700);
	assert_int_equal(la->archive_entry_mtime(e), 946684800);
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(la->archive_entry_symlink(e), "/somewhere/else");
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(la->archive_entry_pathname(e), name);
	assert_int_equal(la->archive_entry_mode(e) & 07777, 0640);
	assert_int_equal(la->archive_entry_mtime(e), 946684800 + 817219867);
	assert_int_equal(la->archive_entry_size(e), 5);
	assert_int_equal(la->archive_read_data(a, text, sizeof(text)), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(la->archive_entry_pathname(e), odd);
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_EOF);
	la->archive_read_free(a);
	close(fd);
}

static void
a_file_of_more_than_8_gb_keeps_its_size(void **state)
{
	const struct libarchive *la;
	struct archive_entry *e;
	struct tarfile *t = NULL;
	struct archive *a;
	static char zeros[1 << 20];
	int fd = temporary(), i;

	assert_int_equal(tarfile_new(&t, fd, "test", &err), 0);
	assert_int_equal(tarfile_begin(t, &(struct tarfile_about){
	    .path = "huge", .size = HUGE_FILE, .mode = 0600 }, &err), 0);
	for (i = 0; i < 4; i++) /* so that the header is written out */
		assert_int_equal(tarfile_data(t, zeros, sizeof(zeros), &err),
		    0);
	tarfile_free(t);
	a = read_back(&la, &fd);
	assert_int_equal(la->archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_true((uint64_t)la->archive_entry_size(e) == HUGE_FILE);
	la->archive_read_free(a);
	close(fd);
}

static void
too_much_and_too_little_are_errors(void **state)
{
	struct tarfile *t = NULL;
	int fd = temporary();

	assert_int_equal(tarfile_new(&t, fd, "test", &err), 0);
	assert_int_equal(tarfile_begin(t, &(struct tarfile_about){
	    .path = "x", .size = 3, .mode = 0600 }, &err), 0);
	assert_int_equal(tarfile_data(t, "ab", 2, &err), 0);
	assert_int_equal(tarfile_end(t, &err), -1);
	assert_int_equal(tarfile_data(t, "cd", 2, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	tarfile_free(t);
	close(fd);
}

static void
a_failed_write_is_told_with_its_reason(void **state)
{
	static char zeros[1 << 20];
	struct tarfile *t = NULL;
	int fds[2], i, rc = 0;

	assert_int_equal(pipe(fds), 0); /* its reading end cannot be written */
	assert_int_equal(tarfile_new(&t, fds[0], "test", &err), 0);
	assert_int_equal(tarfile_begin(t, &(struct tarfile_about){
	    .path = "x", .size = HUGE_FILE, .mode = 0600 }, &err), 0);
	for (i = 0; i < 4 && rc == 0; i++)
		rc = tarfile_data(t, zeros, sizeof(zeros), &err);
	assert_int_equal(rc, -1);
	assert_non_null(strstr(err.msg, "Bad file descriptor"));
	tarfile_free(t);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_modes_times_and_content_come_back),
		cmocka_unit_test(a_file_of_more_than_8_gb_keeps_its_size),
		cmocka_unit_test(too_much_and_too_little_are_errors),
		cmocka_unit_test(a_failed_write_is_told_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
