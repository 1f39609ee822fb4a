/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_dump.h"

#include <unistd.h>
#include <zstd.h>

#include "core/bytes.h"
#include "core/io.h"
#include "export/dump.h"

#define ROWS 60000

static struct archive_entry entries[] = {
	{ .dump_id = 5, .tag = "t", .desc = "TABLE", .namespace = "public",
	    .section = ARCHIVE_SECTION_PRE_DATA,
	    .data_state = ARCHIVE_NO_DATA },
	{ .dump_id = 8, .had_dumper = true, .tag = "z",
	    .desc = "TABLE DATA", .namespace = "public",
	    .section = ARCHIVE_SECTION_DATA,
	    .copy_stmt = "COPY public.z (a) FROM stdin;\n",
	    .data_state = ARCHIVE_POS_NOT_SET },
	{ .dump_id = 7, .had_dumper = true, .tag = "t",
	    .desc = "TABLE DATA", .namespace = "public",
	    .section = ARCHIVE_SECTION_DATA,
	    .copy_stmt = "COPY public.t (a) FROM stdin;\n",
	    .data_state = ARCHIVE_POS_NOT_SET },
	{ .dump_id = 9, .had_dumper = true, .tag = "16400..16401",
	    .desc = "BLOBS", .section = ARCHIVE_SECTION_DATA,
	    .data_state = ARCHIVE_POS_NOT_SET },
};

static struct buf
rows(void)
{
	struct buf b;
	unsigned i;

	buf_init(&b, 1 << 20);
	for (i = 0; i < ROWS; i++)
		buf_printf(&b, "%u\tx%u\n", i, i * i % 10007);
	return b;
}

static const char objects[] =
    "\x10\x40\0\0\5\0\0\0\0\0\0\0hello\x11\x40\0\0\0\0\0\0\0\0\0\0";

/* missing: the path of an item that is not there. */
static void
make(struct fixture *f, struct fixture_dump *d, unsigned version,
    const struct buf *table, size_t chunk, const char *missing)
{
	struct archive_head head = { .version = version, .off_size = 8,
		.format = ARCHIVE_CUSTOM, .dbname = "shop",
		.server_version = "15.20", .dump_version = "17.5",
		.entries = entries,
		.n = sizeof(entries) / sizeof(entries[0]) };
	struct buf b;

	buf_init(&b, 1 << 20);
	OK(archive_head_encode(&head, ARCHIVE_CUSTOM, ARCHIVE_NONE, &b, &err));
	const struct fixture_item items[] = {
		{ "archive", b.data, b.len, 1000, 0, 0, 0 },
		{ "large_objects/0000016400", objects, sizeof(objects) - 1,
		    20, 0, 9, 0 },
		{ "table/public/t", table->data, table->len, chunk, '\n', 7,
		    16385 },
		{ "table/public/z", "", 0, 100, '\n', 8, 17 },
	};

	fixture_dump_begin(d, f->repo, &f->inc, LABEL_A, 20000);
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (missing == NULL || strcmp(items[i].path, missing) != 0)
			fixture_dump_add(d, &items[i]);
	fixture_dump_finish(d);
	buf_free(&b);
}

static char dir[64];
static struct export_progress progress;

static char *
path(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static int
run_export(struct fixture *f, enum export_format format,
    enum archive_compression compression, const char *name, struct err *why)
{
	char *output = path(name);
	const struct export_dump_params params = { .repo = f->repo,
		.inc = &f->inc, .label = LABEL_A, .format = format,
		.compression_given = true, .compression = compression,
		.level = ARCHIVE_LEVEL_DEFAULT, .output = output, .jobs = 2,
		.progress = &progress };
	int ret;

	ret = export_dump(&params, why);
	free(output);
	return ret;
}

static struct buf
content(const char *name)
{
	char *p = path(name);
	struct buf b;

	buf_init(&b, 1 << 24);
	OK(io_read_file(p, &b, &err));
	free(p);
	return b;
}

static int32_t
number(const uint8_t **p)
{
	const uint32_t v = get_le32(*p + 1);
	const bool minus = **p != 0;

	*p += 5;
	return minus ? -(int32_t)v : (int32_t)v;
}

/* One entry's or object's data behind p, unpacked. */
static struct buf
blocks(const uint8_t **p, enum archive_compression how)
{
	struct buf b;
	int32_t len;

	buf_init(&b, 1 << 24);
	while ((len = number(p)) != 0) {
		assert_true(len > 0);
		if (how == ARCHIVE_NONE) {
			buf_add(&b, *p, (size_t)len);
		} else { /* a whole frame each, as pg_restore wants them */
			uint8_t *room = buf_reserve(&b, 1 << 20);
			size_t n = ZSTD_decompress(room, 1 << 20, *p,
			    (size_t)len);

			assert_false(ZSTD_isError(n));
			b.len += n;
		}
		*p += len;
	}
	return b;
}

static void
expect_rows(struct buf *found, const struct buf *table)
{
	assert_int_equal(found->len, table->len + 5);
	assert_memory_equal(found->data, table->data, table->len);
	assert_memory_equal(found->data + table->len, "\\.\n\n\n", 5);
	buf_free(found);
}

static void
expect_custom(const char *name, enum archive_compression how,
    const struct buf *table)
{
	uint8_t none;
	const struct buf nothing = { .data = &none };
	struct buf file = content(name), data;
	struct archive_head head;
	const uint8_t *p;

	OK(archive_head_decode(file.data, file.len, &head, &err));
	assert_int_equal(head.compression, how);
	p = file.data + head.entries[1].offset;
	assert_int_equal(*p++, 1);
	assert_int_equal(number(&p), 8);
	data = blocks(&p, how);
	expect_rows(&data, &nothing);
	assert_ptr_equal(p, file.data + head.entries[2].offset);
	p++;
	assert_int_equal(number(&p), 7);
	data = blocks(&p, how);
	expect_rows(&data, table);
	assert_ptr_equal(p, file.data + head.entries[3].offset);
	assert_int_equal(*p++, 3);
	assert_int_equal(number(&p), 9);
	assert_int_equal(number(&p), 16400);
	data = blocks(&p, how);
	assert_int_equal(data.len, 5);
	assert_memory_equal(data.data, "hello", 5);
	buf_free(&data);
	assert_int_equal(number(&p), 16401);
	data = blocks(&p, how);
	assert_int_equal(data.len, 0);
	buf_free(&data);
	assert_int_equal(number(&p), 0);
	assert_ptr_equal(p, file.data + file.len);
	archive_head_free(&head);
	buf_free(&file);
}

/* Chunks from below to above what is gathered before it is written. */
static void
custom_has_every_byte_where_its_head_says(void **state)
{
	static const size_t chunks[] = { 9000, 100000, 140000, 200000,
		262139, 262144, 300000, 1 << 20 };
	struct buf table = rows();
	size_t i;

	for (i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		struct fixture_dump d;
		char name[32];
		void *fresh = NULL;

		assert_int_equal(fixture_setup(&fresh), 0);
		make(fresh, &d, ARCHIVE_VERSION(1, 16), &table, chunks[i],
		    NULL);
		(void)snprintf(name, sizeof(name), "c0.%zu", i);
		OK(run_export(fresh, EXPORT_CUSTOM, ARCHIVE_NONE, name, &err));
		expect_custom(name, ARCHIVE_NONE, &table);
		(void)snprintf(name, sizeof(name), "cz.%zu", i);
		OK(run_export(fresh, EXPORT_CUSTOM, ARCHIVE_ZSTD, name, &err));
		expect_custom(name, ARCHIVE_ZSTD, &table);
		fixture_dump_free(&d);
		(void)fixture_teardown(&fresh);
	}
	buf_free(&table);
}

static void
what_the_table_of_contents_names_must_be_there(void **state)
{
	static const enum export_format formats[] = { EXPORT_CUSTOM,
		EXPORT_TAR };
	struct fixture *f = *state;
	struct buf table = rows();
	struct fixture_dump d;
	char *out = path("gone");
	size_t i;

	make(f, &d, ARCHIVE_VERSION(1, 16), &table, 9000, "table/public/z");
	for (i = 0; i < 2; i++) {
		FAILS(run_export(f, formats[i], ARCHIVE_NONE, "gone", &err),
		    ERR_DAMAGED);
		assert_int_equal(access(out, F_OK), -1);
	}
	free(out);
	fixture_dump_free(&d);
	buf_free(&table);
}

static void
an_archive_that_15_reads_has_no_zstd(void **state)
{
	struct fixture *f = *state;
	struct buf table = rows();
	struct fixture_dump d;

	make(f, &d, ARCHIVE_VERSION(1, 14), &table, 9000, NULL);
	FAILS(run_export(f, EXPORT_CUSTOM, ARCHIVE_ZSTD, "no", &err),
	    ERR_USAGE);
	FAILS(run_export(f, EXPORT_TAR, ARCHIVE_GZIP, "no", &err), ERR_USAGE);
	OK(run_export(f, EXPORT_CUSTOM, ARCHIVE_NONE, "old", &err));
	expect_custom("old", ARCHIVE_NONE, &table);
	FAILS(run_export(f, EXPORT_CUSTOM, ARCHIVE_NONE, "old", &err),
	    ERR_REFUSED); /* it is there */
	expect_custom("old", ARCHIVE_NONE, &table);
	fixture_dump_free(&d);
	buf_free(&table);
}

static int
make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/dapk-export-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
	return io_remove_tree(dir, &err);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(custom_has_every_byte_where_its_head_says),
		cmocka_unit_test_setup_teardown(
		    what_the_table_of_contents_names_must_be_there,
		    fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
		    an_archive_that_15_reads_has_no_zstd, fixture_setup,
		    fixture_teardown),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
