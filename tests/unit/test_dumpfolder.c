/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/io.h"
#include "core/mem.h"
#include "pg/archive_pack.h"
#include "pipe/pool.h"
#include "repo/dumpfolder.h"

#define RANGES 24
#define ROWS 3000
#define LARGE_OBJECTS 40

static struct archive_entry entries[] = {
	{ .dump_id = 7, .tag = "t", .desc = "TABLE",
	    .section = ARCHIVE_SECTION_PRE_DATA },
	{ .dump_id = 12, .had_dumper = true, .tag = "t",
	    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA },
	{ .dump_id = 9, .had_dumper = true, .tag = "empty",
	    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA },
	{ .dump_id = 30, .had_dumper = true, .tag = "BLOBS",
	    .desc = "BLOBS", .section = ARCHIVE_SECTION_DATA },
};
static const struct archive_head head = {
	.version = ARCHIVE_VERSION(1, 14), .off_size = 8,
	.format = ARCHIVE_CUSTOM, .dump_version = "15.20",
	.entries = entries, .n = 4
};

struct unit {
	struct folder_item item;
};

struct worker {
	struct folder_writer *w;
};

static int
init(void *worker, void *arg, struct err *err)
{
	struct worker *me = worker;

	return folder_writer_new(&me->w, arg, err);
}

static void
fini(void *worker)
{
	struct worker *me = worker;

	folder_writer_free(me->w);
}

static int
write_rows(struct folder_writer *w, uint32_t range, struct err *err)
{
	char row[64];
	int i;

	for (i = 0; i < ROWS; i++) {
		(void)snprintf(row, sizeof(row), "%u\trow %d of %d\n",
		    (unsigned)range, i, rand_r(&(unsigned){ (unsigned)i }));
		if (folder_item_write(w, row, strlen(row), err) != 0)
			return -1;
	}
	return 0;
}

static int
write_objects(struct folder_writer *w, struct err *err)
{
	struct buf b;
	int ret;
	uint32_t i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < LARGE_OBJECTS; i++) {
		buf_clear(&b);
		buf_add_le32(&b, 16400 + i);
		buf_add_le64(&b, i);
		buf_add(&b, "0123456789012345678901234567890123456789", i);
		if (folder_item_write(w, b.data, b.len, err) != 0)
			break;
	}
	ret = i == LARGE_OBJECTS ? 0 : -1;
	buf_free(&b);
	return ret;
}

/* Odd ranges are slow, and one has no row. */
static int
run(void *worker, void *job, bool skip, struct err *err)
{
	struct worker *me = worker;
	struct unit *u = job;
	int ret = 0;

	if (skip)
		return 0;
	if (folder_item_begin(me->w, &u->item, err) != 0)
		return -1;
	if (u->item.dump_id == 30)
		ret = write_objects(me->w, err);
	else if (u->item.dump_id == 12 && u->item.range != 5)
		ret = write_rows(me->w, u->item.range, err);
	if (u->item.range % 3 == 0)
		(void)usleep(2000); /* others overtake it */
	return ret != 0 ? -1 : folder_item_end(me->w, err);
}

static void
fill(struct dump_folder *f, size_t threads)
{
	struct unit units[RANGES + 2];
	struct err err = ERR_INIT;
	struct pool *p;
	uint32_t i;

	for (i = 0; i < RANGES; i++)
		units[i].item = (struct folder_item){ 12, i, RANGES };
	units[RANGES].item = (struct folder_item){ 9, 0, 1 };
	units[RANGES + 1].item = (struct folder_item){ 30, 0, 1 };
	assert_int_equal(pool_new(&p, threads, 4, sizeof(struct worker), init,
	    fini, f, &err), 0);
	for (i = 0; i < RANGES + 2; i++)
		assert_int_equal(pool_submit(p, run, &units[i], &err), 0);
	assert_int_equal(pool_finish(p, &err), 0);
	pool_free(p);
}

static void
expect_rows(const char *path)
{
	char line[128], want[64];
	gzFile gz = gzopen(path, "rb");
	unsigned r;
	int i;

	assert_non_null(gz);
	for (r = 0; r < RANGES; r++)
		for (i = 0; r != 5 && i < ROWS; i++) {
			(void)snprintf(want, sizeof(want),
			    "%u\trow %d of %d\n", r, i,
			    rand_r(&(unsigned){ (unsigned)i }));
			assert_non_null(gzgets(gz, line, sizeof(line)));
			assert_string_equal(line, want);
		}
	assert_non_null(gzgets(gz, line, sizeof(line)));
	assert_string_equal(line, "\\.\n");
	assert_int_equal(gzread(gz, line, sizeof(line)), 2);
	assert_int_equal(gzclose(gz), Z_OK);
}

static void
expect_file(const char *path, const char *content)
{
	struct err err = ERR_INIT;
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(io_read_file(path, &b, &err), 0);
	assert_string_equal(buf_str(&b), content);
	buf_free(&b);
}

static char *
scratch(void)
{
	char *dir = xstrdup("/tmp/dapk-folder-XXXXXX");

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	return dir;
}

static void
leave(char *dir)
{
	struct err err = ERR_INIT;

	assert_int_equal(chdir("/"), 0);
	assert_int_equal(io_remove_tree(dir, &err), 0);
	free(dir);
}

static void
ranges_of_many_writers_stand_in_their_order(void **state)
{
	static const enum archive_compression how[] = { ARCHIVE_GZIP,
		ARCHIVE_NONE };
	char *dir = scratch();
	size_t i, threads;

	for (i = 0; i < 2; i++)
		for (threads = 1; threads <= 4; threads += 3) {
			struct err err = ERR_INIT;
			struct dump_folder *f;

			assert_int_equal(dump_folder_new(&f, "out", how[i],
			    ARCHIVE_LEVEL_DEFAULT, &err), 0);
			assert_int_equal(dump_folder_head(f, &head, &err), 0);
			fill(f, threads);
			assert_int_equal(dump_folder_finish(f, &err), 0);
			dump_folder_free(f);
			expect_rows(i == 0 ? "out/12.dat.gz" : "out/12.dat");
			assert_int_equal(access("out/range-12-1", F_OK), -1);
			assert_int_equal(access("out.tmp", F_OK), -1);
			assert_int_equal(access("out/toc.dat", F_OK), 0);
			if (i == 1)
				expect_file("out/9.dat", "\\.\n\n\n");
			if (i == 1)
				expect_file("out/blob_16409.dat",
				    "012345678");
			assert_int_equal(io_remove_tree("out", &err), 0);
		}
	leave(dir);
}

static void
without_all_data_there_is_no_folder(void **state)
{
	char *dir = scratch();
	struct err err = ERR_INIT;
	struct dump_folder *f;
	struct folder_writer *w;

	assert_int_equal(dump_folder_new(&f, "out/", ARCHIVE_GZIP, 1, &err),
	    0);
	assert_int_equal(dump_folder_head(f, &head, &err), 0);
	assert_int_equal(folder_writer_new(&w, f, &err), 0);
	assert_int_equal(folder_item_begin(w,
	    &(struct folder_item){ 9, 0, 1 }, &err), 0);
	assert_int_equal(folder_item_end(w, &err), 0);
	assert_int_equal(folder_item_begin(w,
	    &(struct folder_item){ 12, 1, 2 }, &err), 0);
	assert_int_equal(folder_item_write(w, "x\n", 2, &err), 0);
	assert_int_equal(folder_item_end(w, &err), 0);
	assert_int_equal(dump_folder_finish(f, &err), -1);
	folder_writer_free(w);
	dump_folder_free(f);
	assert_int_equal(access("out", F_OK), -1);
	assert_int_equal(access("out.tmp", F_OK), -1);
	leave(dir);
}

static void
what_is_there_is_not_overwritten(void **state)
{
	char *dir = scratch();
	struct err err = ERR_INIT;
	struct dump_folder *f;

	assert_int_equal(io_mkdir_p("out/something", 0700, &err), 0);
	assert_int_equal(dump_folder_new(&f, "out", ARCHIVE_GZIP, 1, &err),
	    -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(rmdir("out/something"), 0);
	err_clear(&err);
	/* An empty directory is what an administrator prepares. */
	assert_int_equal(dump_folder_new(&f, "out", ARCHIVE_GZIP, 1, &err),
	    0);
	dump_folder_free(f);
	assert_int_equal(dump_folder_new(&f, "out", ARCHIVE_ZSTD, 1, &err),
	    0);
	assert_int_equal(dump_folder_head(f, &head, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	dump_folder_free(f);
	leave(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_of_many_writers_stand_in_their_order),
		cmocka_unit_test(without_all_data_there_is_no_folder),
		cmocka_unit_test(what_is_there_is_not_overwritten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
