/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/text.h"
#include "repo/pgmanifest.h"
#include "core/sha256.h"

static void
write_one(struct buf *b, int major)
{
	struct pgmanifest *m = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(pgmanifest_new(&m, major, 7300000000000000001,
	    pgmanifest_to_buf, b, &err), 0);
	assert_int_equal(pgmanifest_file(m, "PG_VERSION", 3,
	    INT64_C(817219867123456), crc32c("15\n", 3), &err), 0);
	assert_int_equal(pgmanifest_file(m, "od\"d \xff", 0, -1, 0, &err), 0);
	assert_int_equal(pgmanifest_finish(m, 3, 0x12000028, 0x112000100,
	    &err), 0);
	pgmanifest_free(m);
}

static void
assert_begins(const struct buf *b, const char *expected)
{
	assert_true(b->len > strlen(expected));
	assert_memory_equal(b->data, expected, strlen(expected));
}

/* The CRC's bytes as they lie in a little-endian machine's memory. */
static void
text_is_what_pg_basebackup_writes(void **state)
{
	static const char files[] = "\"Files\": [\n"
	    "{ \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": "
	    "\"2025-11-23 13:31:07 GMT\", \"Checksum-Algorithm\": \"CRC32C\","
	    " \"Checksum\": \"8a744722\" },\n"
	    "{ \"Encoded-Path\": \"6f64226420ff\", \"Size\": 0, "
	    "\"Last-Modified\": \"1999-12-31 23:59:59 GMT\", "
	    "\"Checksum-Algorithm\": \"CRC32C\", "
	    "\"Checksum\": \"00000000\" }\n],\n"
	    "\"WAL-Ranges\": [\n{ \"Timeline\": 3, "
	    "\"Start-LSN\": \"0/12000028\", \"End-LSN\": \"1/12000100\" }\n"
	    "],\n\"Manifest-Checksum\": \"";
	struct buf b;

	buf_init(&b, 1 << 20);
	write_one(&b, 15);
	assert_begins(&b, "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n"
	    "\"Files\": [\n{ ");
	assert_non_null(strstr(buf_str(&b), files));
	buf_clear(&b);
	write_one(&b, 17);
	assert_begins(&b, "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
	    "\"System-Identifier\": 7300000000000000001,\n\"Files\": [\n");
	assert_non_null(strstr(buf_str(&b), files));
	buf_free(&b);
}

static void
last_line_has_the_sum_of_all_before_it(void **state)
{
	struct err err = ERR_INIT;
	uint8_t sum[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];
	char *last;
	struct buf b;

	buf_init(&b, 1 << 20);
	write_one(&b, 16);
	last = strstr(buf_str(&b), "\"Manifest-Checksum\"");
	assert_non_null(last);
	assert_int_equal(last[-1], '\n');
	assert_int_equal(sha256(b.data, (size_t)(last - buf_str(&b)), sum,
	    &err), 0);
	text_hex(sum, sizeof(sum), hex);
	assert_int_equal(strlen(last), 22 + 64 + 3);
	assert_memory_equal(last + 22, hex, 64);
	assert_string_equal(last + 22 + 64, "\"}\n");
	buf_free(&b);
}

struct count {
	size_t calls, bytes, largest;
};

static int
count_put(void *arg, const void *data, size_t len, struct err *err)
{
	struct count *c = arg;

	c->calls++;
	c->bytes += len;
	if (len > c->largest)
		c->largest = len;
	return 0;
}

static int
fail_put(void *arg, const void *data, size_t len, struct err *err)
{
	return err_set(err, ERR_STORAGE, "the disk is full");
}

static void
many_files_are_put_in_pieces(void **state)
{
	struct pgmanifest *m = NULL;
	struct err err = ERR_INIT;
	struct count c = { 0 };
	char path[64];
	int i;

	assert_int_equal(pgmanifest_new(&m, 18, 1, count_put, &c, &err), 0);
	for (i = 0; i < 20000; i++) {
		(void)snprintf(path, sizeof(path), "base/16384/%d", i);
		assert_int_equal(pgmanifest_file(m, path, 8192, 0, 1, &err),
		    0);
	}
	assert_int_equal(pgmanifest_finish(m, 1, 1, 2, &err), 0);
	pgmanifest_free(m);
	assert_true(c.bytes > 20000 * 100);
	assert_true(c.calls > 10);
	assert_true(c.largest < 128 << 10);
}

static void
an_error_of_the_sink_is_told(void **state)
{
	struct pgmanifest *m = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(pgmanifest_new(&m, 15, 1, fail_put, NULL, &err), 0);
	assert_int_equal(pgmanifest_finish(m, 1, 1, 2, &err), -1);
	assert_non_null(strstr(err.msg, "the disk is full"));
	pgmanifest_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_what_pg_basebackup_writes),
		cmocka_unit_test(last_line_has_the_sum_of_all_before_it),
		cmocka_unit_test(many_files_are_put_in_pieces),
		cmocka_unit_test(an_error_of_the_sink_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
