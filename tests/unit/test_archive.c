/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "pg/archive.h"
#include "pg/archive_custom.h"
#include "pg/archive_dir.h"
#include "repo/dumplobs.h"

/* A head as pg_dump would write it, built in memory. */
static int32_t deps_of_data[] = { 215, 216 };

static struct archive_entry sample[] = {
	{ .dump_id = 3379, .tag = "ENCODING", .desc = "ENCODING",
	    .section = ARCHIVE_SECTION_PRE_DATA,
	    .defn = "SET client_encoding = 'LATIN1';\n",
	    .drop_stmt = "", .data_state = ARCHIVE_NO_DATA },
	{ .dump_id = 3380, .tag = "STDSTRINGS", .desc = "STDSTRINGS",
	    .section = ARCHIVE_SECTION_PRE_DATA,
	    .defn = "SET standard_conforming_strings = 'off';\n",
	    .drop_stmt = "", .data_state = ARCHIVE_NO_DATA },
	{ .dump_id = 215, .tableoid = 1259, .oid = 4294967295u,
	    .tag = "t\n\"%", .desc = "TABLE",
	    .section = ARCHIVE_SECTION_PRE_DATA, .defn = "CREATE TABLE ...",
	    .drop_stmt = "DROP TABLE ...", .namespace = "public",
	    .tablespace = "", .tableam = "heap", .relkind = 'r',
	    .owner = "postgres", .data_state = ARCHIVE_NO_DATA },
	{ .dump_id = 3373, .had_dumper = true, .oid = 16385, .tag = "t\n\"%",
	    .desc = "TABLE DATA", .section = ARCHIVE_SECTION_DATA,
	    .defn = "", .drop_stmt = "",
	    .copy_stmt = "COPY public.\"t\n\"\"%\" (a) FROM stdin;\n",
	    .namespace = "public", .owner = "postgres",
	    .dependencies = deps_of_data, .n_dependencies = 2,
	    .data_state = ARCHIVE_POS_NOT_SET },
	{ .dump_id = 3374, .had_dumper = true, .tag = "BLOBS",
	    .desc = "BLOBS", .section = ARCHIVE_SECTION_DATA,
	    .data_state = ARCHIVE_POS_SET, .offset = 123456789 },
};

#define N_SAMPLE (sizeof(sample) / sizeof(sample[0]))

static struct archive_head
sample_head(unsigned version)
{
	struct archive_head h = { .version = version, .off_size = 8,
		.format = ARCHIVE_CUSTOM, .time = { 1, 2, 3, 4, 5, 126, 0 },
		.dbname = "shop", .server_version = "15.20 (Debian)",
		.dump_version = "15.20 (Debian)", .entries = sample,
		.n = N_SAMPLE };

	return h;
}

static void
encoded(unsigned version, enum archive_format format, struct buf *out)
{
	struct archive_head h = sample_head(version);
	struct err err = ERR_INIT;

	buf_init(out, ARCHIVE_HEAD_MAX);
	assert_int_equal(
	    archive_head_encode(&h, format, ARCHIVE_GZIP, out, &err), 0);
}

static const unsigned versions[] = { ARCHIVE_VERSION(1, 14),
	ARCHIVE_VERSION(1, 15), ARCHIVE_VERSION(1, 16) };

static void
same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void
same_entry(const struct archive_entry *a, const struct archive_entry *b)
{
	assert_int_equal(a->dump_id, b->dump_id);
	assert_int_equal(a->had_dumper, b->had_dumper);
	assert_true(a->tableoid == b->tableoid && a->oid == b->oid);
	same_text(a->tag, b->tag);
	same_text(a->desc, b->desc);
	assert_int_equal(a->section, b->section);
	same_text(a->defn, b->defn);
	same_text(a->drop_stmt, b->drop_stmt);
	same_text(a->copy_stmt, b->copy_stmt);
	same_text(a->namespace, b->namespace);
	same_text(a->tablespace, b->tablespace);
	same_text(a->tableam, b->tableam);
	same_text(a->owner, b->owner);
	assert_int_equal(a->n_dependencies, b->n_dependencies);
	if (a->n_dependencies > 0)
		assert_memory_equal(a->dependencies, b->dependencies,
		    a->n_dependencies * sizeof(int32_t));
}

static void
what_is_written_is_read_whatever_the_pieces(void **state)
{
	static const size_t pieces[] = { 1, 7, 100, 100000 };
	struct err err = ERR_INIT;
	size_t v, p, i, at, n;

	for (v = 0; v < 3; v++)
		for (p = 0; p < 4; p++) {
			struct archive_reader *r;
			struct archive_head *h;
			const void *raw;
			struct buf b;
			bool complete = false;

			encoded(versions[v], ARCHIVE_CUSTOM, &b);
			n = b.len;
			buf_add(&b, "data behind it", 14);
			archive_reader_new(&r);
			for (at = 0; at < b.len && !complete; at += i) {
				i = b.len - at < pieces[p] ? b.len - at :
							     pieces[p];
				assert_int_equal(archive_reader_feed(r,
				    b.data + at, i, &complete, &err), 0);
				assert_int_equal(complete, at + i >= n);
			}
			assert_true(complete);
			h = archive_reader_head(r);
			assert_int_equal(h->version, versions[v]);
			assert_int_equal(h->n, N_SAMPLE);
			assert_int_equal(h->compression, ARCHIVE_GZIP);
			assert_string_equal(h->dbname, "shop");
			for (i = 0; i < N_SAMPLE; i++)
				same_entry(&h->entries[i], &sample[i]);
			assert_int_equal(h->entries[2].relkind,
			    v == 2 ? 'r' : 0);
			assert_int_equal(h->entries[4].offset, 123456789);
			archive_reader_raw(r, &raw, &at);
			assert_int_equal(at, n);
			assert_memory_equal(raw, b.data, n);
			archive_reader_free(r);
			buf_free(&b);
		}
}

static void
names_in_a_directory_follow_the_version(void **state)
{
	struct err err = ERR_INIT;
	struct archive_head h;
	struct buf b;
	size_t v;

	for (v = 0; v < 3; v++) {
		encoded(versions[v], ARCHIVE_DIRECTORY, &b);
		assert_int_equal(
		    archive_head_decode(b.data, b.len, &h, &err), 0);
		assert_int_equal(h.format, ARCHIVE_TAR);
		assert_null(h.entries[2].filename);
		assert_string_equal(h.entries[3].filename, "3373.dat");
		assert_string_equal(h.entries[4].filename,
		    v == 2 ? "blobs_3374.toc" : "blobs.toc");
		archive_head_free(&h);
		buf_free(&b);
	}
}

static void
the_session_settings_are_found(void **state)
{
	struct archive_head h = sample_head(ARCHIVE_VERSION(1, 14));
	char encoding[ARCHIVE_ENCODING_MAX];

	archive_head_encoding(&h, encoding);
	assert_string_equal(encoding, "LATIN1");
	assert_false(archive_head_std_strings(&h));
	h.n = 0;
	archive_head_encoding(&h, encoding);
	assert_string_equal(encoding, "");
	assert_true(archive_head_std_strings(&h));
}

static void
entries_can_be_left_out(void **state)
{
	struct archive_entry some[N_SAMPLE];
	struct archive_head h = sample_head(ARCHIVE_VERSION(1, 16)), back;
	struct err err = ERR_INIT;
	struct buf b;

	memcpy(some, sample, sizeof(some));
	some[0].skip = some[4].skip = true;
	h.entries = some;
	buf_init(&b, ARCHIVE_HEAD_MAX);
	assert_int_equal(archive_head_encode(&h, ARCHIVE_CUSTOM, ARCHIVE_ZSTD,
	    &b, &err), 0);
	assert_int_equal(archive_head_decode(b.data, b.len, &back, &err), 0);
	assert_int_equal(back.n, 3);
	assert_int_equal(back.entries[0].dump_id, 3380);
	assert_int_equal(back.compression, ARCHIVE_ZSTD);
	assert_null(archive_head_find(&back, 3379));
	assert_non_null(archive_head_find(&back, 3373));
	archive_head_free(&back);
	buf_free(&b);
}

static void
zstd_is_refused_for_archives_that_15_must_read(void **state)
{
	struct archive_head h = sample_head(ARCHIVE_VERSION(1, 14));
	struct err err = ERR_INIT;
	struct buf b;

	buf_init(&b, ARCHIVE_HEAD_MAX);
	assert_int_equal(archive_head_encode(&h, ARCHIVE_CUSTOM, ARCHIVE_ZSTD,
	    &b, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	buf_free(&b);
}

static void
a_newer_version_is_refused_by_name(void **state)
{
	struct err err = ERR_INIT;
	struct archive_head h;
	struct buf b;

	encoded(ARCHIVE_VERSION(1, 17), ARCHIVE_CUSTOM, &b);
	assert_int_equal(archive_head_decode(b.data, b.len, &h, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "1.17 of pg_dump 15.20 is not known"));
	buf_free(&b);
	encoded(ARCHIVE_VERSION(1, 13), ARCHIVE_CUSTOM, &b);
	assert_int_equal(archive_head_decode(b.data, b.len, &h, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	buf_free(&b);
}

/* Copied to its own memory, so that reading past the end is seen. */
static int
decode_copy(const uint8_t *data, size_t len, struct err *err)
{
	uint8_t *copy = xmalloc(len == 0 ? 1 : len);
	struct archive_head h;
	int rc;

	if (len > 0)
		memcpy(copy, data, len);
	rc = archive_head_decode(copy, len, &h, err);
	archive_head_free(&h);
	free(copy);
	return rc;
}

static void
every_truncation_is_an_error(void **state)
{
	size_t v, len;

	for (v = 0; v < 3; v++) {
		struct buf b;

		encoded(versions[v], ARCHIVE_CUSTOM, &b);
		for (len = 0; len < b.len; len++) {
			struct err err = ERR_INIT;

			assert_int_equal(decode_copy(b.data, len, &err), -1);
			assert_int_equal(err.code, ERR_DAMAGED);
		}
		buf_free(&b);
	}
}

static void
flipped_bytes_never_crash(void **state)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t v, at, i;

	for (v = 0; v < 3; v++) {
		struct buf b;

		encoded(versions[v], v == 1 ? ARCHIVE_TAR : ARCHIVE_CUSTOM, &b);
		for (at = 0; at < b.len; at++)
			for (i = 0; i < sizeof(values) + 8; i++) {
				struct err err = ERR_INIT;
				uint8_t was = b.data[at];

				b.data[at] = i < 8 ? was ^ (uint8_t)(1 << i) :
						     values[i - 8];
				(void)decode_copy(b.data, b.len, &err);
				b.data[at] = was;
			}
		buf_free(&b);
	}
}

struct seen {
	struct buf text;
};

static int
see_begin(void *arg, uint32_t oid, uint64_t size, struct err *err)
{
	struct seen *s = arg;

	buf_printf(&s->text, "[%u:%u ", (unsigned)oid, (unsigned)size);
	return 0;
}

static int
see_data(void *arg, const void *data, size_t len, struct err *err)
{
	struct seen *s = arg;

	buf_add(&s->text, data, len);
	return 0;
}

static int
see_end(void *arg, struct err *err)
{
	struct seen *s = arg;

	buf_add_byte(&s->text, ']');
	return 0;
}

static void
large_objects_are_taken_apart_whatever_the_pieces(void **state)
{
	static const char *const contents[] = { "", "hello", "", "x" };
	struct err err = ERR_INIT;
	struct buf b;
	size_t i, piece;

	buf_init(&b, 1000);
	for (i = 0; i < 4; i++) {
		buf_add_le32(&b, (uint32_t)(16400 + i));
		buf_add_le64(&b, strlen(contents[i]));
		buf_add_str(&b, contents[i]);
	}
	for (piece = 1; piece <= b.len; piece++) {
		struct seen seen;
		struct dumplobs d = { .begin = see_begin, .data = see_data,
			.end = see_end, .arg = &seen };
		size_t n;

		buf_init(&seen.text, 1000);
		for (i = 0; i < b.len; i += n) {
			n = b.len - i < piece ? b.len - i : piece;
			assert_int_equal(
			    dumplobs_feed(&d, b.data + i, n, &err), 0);
		}
		assert_int_equal(dumplobs_finish(&d, &err), 0);
		assert_string_equal(buf_str(&seen.text), "[16400:0 ]"
		    "[16401:5 hello][16402:0 ][16403:1 x]");
		assert_int_equal(dumplobs_feed(&d, b.data, 3, &err), 0);
		assert_int_equal(dumplobs_finish(&d, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		buf_free(&seen.text);
	}
	buf_free(&b);
}

static int
gather(void *arg, const void *data, size_t len, struct err *err)
{
	buf_add(arg, data, len);
	return 0;
}

/* The head written again says where, and has the same length. */
static void
a_custom_archive_says_where_its_data_is(void **state)
{
	struct archive_entry some[N_SAMPLE];
	struct archive_head h = sample_head(ARCHIVE_VERSION(1, 16)), back;
	struct archive_custom *c;
	struct err err = ERR_INIT;
	struct buf file, head;
	const uint8_t *at;

	memcpy(some, sample, sizeof(some));
	h.entries = some;
	buf_init(&file, ARCHIVE_HEAD_MAX);
	buf_init(&head, ARCHIVE_HEAD_MAX);
	assert_int_equal(archive_custom_new(&c, &h, ARCHIVE_NONE,
	    ARCHIVE_LEVEL_DEFAULT, gather, &file, &err), 0);
	assert_int_equal(archive_custom_begin(c, &some[3], &err), 0);
	assert_int_equal(archive_custom_data(c, "1\t2\n", 4, &err), 0);
	assert_int_equal(archive_custom_end(c, &err), 0);
	assert_int_equal(archive_custom_begin(c, &some[4], &err), 0);
	assert_int_equal(archive_custom_object(c, 4000000000u, &err), 0);
	assert_int_equal(archive_custom_end_object(c, &err), 0);
	assert_int_equal(archive_custom_end(c, &err), 0);
	assert_int_equal(archive_custom_head(c, &head, &err), 0);
	assert_int_equal(archive_head_decode(file.data, file.len, &back,
	    &err), 0);
	assert_int_equal(back.bytes, head.len);
	assert_int_equal(back.entries[3].data_state, ARCHIVE_POS_NOT_SET);
	archive_head_free(&back);
	assert_int_equal(archive_head_decode(head.data, head.len, &back,
	    &err), 0);
	assert_int_equal(back.entries[3].data_state, ARCHIVE_POS_SET);
	assert_int_equal(back.entries[3].offset, head.len);
	at = file.data + back.entries[3].offset;
	/* type, id, "1 2", the end of the rows, no more */
	assert_memory_equal(at, "\1\0\x2d\x0d\0\0" "\0\4\0\0\0" "1\t2\n"
	    "\0\5\0\0\0" "\\.\n\n\n" "\0\0\0\0\0", 30);
	at = file.data + back.entries[4].offset;
	assert_memory_equal(at, "\3\0\x2e\x0d\0\0", 6);
	assert_int_equal(at[6], 1); /* an OID beyond 2^31 has a sign */
	assert_true(-get_le32(at + 7) == 4000000000u);
	archive_head_free(&back);
	archive_custom_free(c);
	buf_free(&head);
	buf_free(&file);
}

static void
compressions_are_named_with_a_level(void **state)
{
	enum archive_compression c;
	int level;

	assert_true(archive_compression_parse("gzip:9", &c, &level));
	assert_int_equal(c, ARCHIVE_GZIP);
	assert_int_equal(level, 9);
	assert_true(archive_compression_parse("zstd", &c, &level));
	assert_int_equal(level, ARCHIVE_LEVEL_DEFAULT);
	assert_true(archive_compression_parse("none", &c, &level));
	assert_false(archive_compression_parse("gzip:10", &c, &level));
	assert_false(archive_compression_parse("gzip:", &c, &level));
	assert_false(archive_compression_parse("gzip9", &c, &level));
	assert_false(archive_compression_parse("none:1", &c, &level));
	assert_false(archive_compression_parse("lz4", &c, &level));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_whatever_the_pieces),
		cmocka_unit_test(names_in_a_directory_follow_the_version),
		cmocka_unit_test(the_session_settings_are_found),
		cmocka_unit_test(entries_can_be_left_out),
		cmocka_unit_test(zstd_is_refused_for_archives_that_15_must_read),
		cmocka_unit_test(a_newer_version_is_refused_by_name),
		cmocka_unit_test(
		    large_objects_are_taken_apart_whatever_the_pieces),
		cmocka_unit_test(a_custom_archive_says_where_its_data_is),
		cmocka_unit_test(compressions_are_named_with_a_level),
		cmocka_unit_test(every_truncation_is_an_error),
		cmocka_unit_test(flipped_bytes_never_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
