/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include <unistd.h>
#include <zstd.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "repo/hash.h"
#include "repo/object.h"

#define SYSTEM_ID 4711
#define KEY "objects/one.zst"

static const uint8_t repository_id[16] = { 1, 2, 3 };

/* As much of a repository as a reader looks at. */
static struct repo
repository(struct storage *st, const uint8_t id[16])
{
	struct repo repo = { .st = st };

	memcpy(repo.id, id, sizeof(repo.id));
	return repo;
}

static struct object_header
header(void)
{
	struct object_header h;

	memset(&h, 0, sizeof(h));
	h.type = OBJECT_PACK;
	memcpy(h.repository_id, repository_id, 16);
	h.system_id = SYSTEM_ID;
	h.has_pack = true;
	memcpy(h.name, LABEL_A, sizeof(LABEL_A));
	return h;
}

/* An object of n_file data frames and a map frame; the plain is noise. */
static void
make_object(struct object_writer *w, struct frame_codec *c, unsigned n_file,
    size_t len)
{
	struct object_header oh = header();
	struct frame_header h;
	uint8_t *plain = xmalloc(len);
	unsigned i;

	object_writer_init(w, STORAGE_OBJECT_MAX, &oh);
	for (i = 0; i < n_file; i++) {
		memset(&h, 0, sizeof(h));
		h.type = FRAME_FILE;
		h.block_size = 8192;
		h.position = i;
		h.path = "base/1/2";
		h.path_len = 8;
		fixture_noise(plain, len, i + 1);
		OK(object_writer_add(w, c, &h, plain, len, &err));
		assert_int_equal(h.number, i);
	}
	memset(&h, 0, sizeof(h));
	h.type = FRAME_MAP;
	OK(object_writer_add(w, c, &h, "a map", 5, &err));
	OK(object_writer_finish(w, &err));
	free(plain);
}

/* Read all of an object in memory: 0 only if all is as make_object() made. */
static int
read_all(const uint8_t *data, size_t len, struct frame_codec *c,
    unsigned n_file, size_t plain_len)
{
	struct repo repo = repository(NULL, repository_id);
	struct object_reader r;
	struct frame_header h;
	uint8_t *plain = xmalloc(plain_len);
	struct buf out;
	uint32_t i;
	int ret = -1;

	buf_init(&out, 1 << 20);
	if (object_reader_open_bytes(&r, &repo, data, len, "object",
		OBJECT_PACK, SYSTEM_ID, &err) != 0) {
		free(plain);
		return -1;
	}
	for (i = 0; i < r.n; i++)
		if (object_reader_frame(&r, c, i, &h, &out, &err) != 0)
			goto out;
	/* All was taken: then it must be the content, too. */
	assert_int_equal(r.n, n_file + 1);
	for (i = 0; i < n_file; i++) {
		OK(object_reader_frame(&r, c, i, &h, &out, &err));
		fixture_noise(plain, plain_len, i + 1);
		assert_int_equal(out.len, plain_len);
		assert_memory_equal(out.data, plain, plain_len);
		assert_int_equal(h.path_len, 8);
		assert_memory_equal(h.path, "base/1/2", 8);
		assert_int_equal(h.position, i);
	}
	ret = 0;
out:
	object_reader_close(&r);
	buf_free(&out);
	free(plain);
	return ret;
}

static void
frames_come_back_whatever_their_content(void **state)
{
	static const size_t lens[] = { 0, 1, 8191, 8192, 100000, 1 << 20 };
	struct frame_codec *c = frame_codec_new(3);
	uint8_t *plain = xmalloc(1 << 20), *back = xmalloc(1 << 20);
	struct frame_header h;
	struct buf b;
	size_t i, kind;

	buf_init(&b, 8 << 20);
	for (kind = 0; kind < 2; kind++)
		for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			if (kind == 0)
				fixture_noise(plain, lens[i], 1);
			else
				memset(plain, 'x', lens[i]);
			memset(&h, 0, sizeof(h));
			h.type = kind == 0 ? FRAME_FILE : FRAME_SUMS;
			buf_clear(&b);
			OK(frame_encode(c, &h, NULL, plain, lens[i], &b, &err));
			OK(frame_decode(c, b.data, b.len, NULL, &h, back, lens[i],
			    "here", &err));
			assert_int_equal(h.plain_len, lens[i]);
			assert_memory_equal(back, plain, lens[i]);
		}
	buf_free(&b);
	free(back);
	free(plain);
	frame_codec_free(c);
}

static void
a_frame_larger_than_allowed_is_not_made(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	uint8_t *plain = xcalloc(1, (1 << 20) + 1);
	struct frame_header h = { .type = FRAME_FILE };
	struct buf b;

	buf_init(&b, 8 << 20);
	FAILS(frame_encode(c, &h, NULL, plain, (1 << 20) + 1, &b, &err), ERR_BUG);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	buf_init(&b, 1000);
	FAILS(frame_encode(c, &h, NULL, plain, 1 << 20, &b, &err), ERR_REFUSED);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	free(plain);
	frame_codec_free(c);
}

static void
more_content_than_there_is_room_for_is_refused(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	struct frame_header h = { .type = FRAME_FILE };
	uint8_t *plain = xcalloc(1, 100000), *small = xmalloc(99999);
	struct buf b;

	buf_init(&b, 1 << 20);
	OK(frame_encode(c, &h, NULL, plain, 100000, &b, &err));
	FAILS(frame_decode(c, b.data, b.len, NULL, &h, small, 99999, "here", &err),
	    ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "here"));
	buf_free(&b);
	free(small);
	free(plain);
	frame_codec_free(c);
}

/*
 * A payload that is valid zstd but more, less or other than the header says:
 * the header's CRC is right, as a forger would make it.
 */
static void
a_payload_that_is_not_what_the_header_says_is_refused(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	uint8_t *plain = xcalloc(1, 1 << 20), payload[2000];
	struct frame_header h, got;
	struct buf b;
	size_t n, kind;

	for (kind = 0; kind < 5; kind++) {
		memset(&h, 0, sizeof(h));
		h.type = FRAME_FILE;
		h.compression = 1;
		h.plain_len = 100;
		h.hash = hash_64(plain, 100, 0);
		/* 0: right; 1: a bomb; 2: short; 3: two frames; 4: hash */
		n = ZSTD_compress(payload, 1000, plain, kind == 1 ? 1 << 20 :
		    kind == 2 ? 99 : 100, 3);
		assert_false(ZSTD_isError(n));
		if (kind == 3) {
			memcpy(payload + n, payload, n);
			n *= 2;
		}
		if (kind == 4)
			h.hash++;
		h.payload_len = (uint32_t)n;
		buf_init(&b, 10000);
		frame_header_encode(&h, &b);
		buf_add(&b, payload, n);
		if (kind == 0)
			OK(frame_decode(c, b.data, b.len, NULL, &got, plain, 100,
			    "here", &err));
		else
			FAILS(frame_decode(c, b.data, b.len, NULL, &got, plain, 100,
			    "here", &err), ERR_DAMAGED);
		buf_free(&b);
	}
	free(plain);
	frame_codec_free(c);
}

static void
an_object_comes_back_through_a_storage(void **state)
{
	struct storage *st = storage_mem_new();
	struct frame_codec *c = frame_codec_new(3);
	struct object_writer w;
	struct repo repo = repository(st, repository_id);
	struct object_reader r;
	struct frame_header h;
	struct buf raw, out;
	uint8_t *plain = xmalloc(8192);
	uint32_t i;

	make_object(&w, c, 40, 8192);
	OK(storage_put(st, KEY, w.bytes.data, w.bytes.len, &err));
	OK(object_reader_open(&r, &repo, KEY, 0, OBJECT_PACK, SYSTEM_ID,
	    &err));
	assert_int_equal(r.n, 41);
	buf_init(&raw, 8 << 20);
	buf_init(&out, 1 << 20);
	OK(object_reader_frame(&r, c, 40, &h, &out, &err));
	assert_string_equal(buf_str(&out), "a map");
	/* Several in one range, each decoded from it. */
	OK(object_reader_fetch(&r, 3, 10, &raw, &err));
	for (i = 3; i < 13; i++) {
		OK(object_reader_decode(&r, c, i, raw.data +
		    r.entries[i].offset - r.entries[3].offset, &h, plain,
		    8192, &err));
		assert_int_equal(h.position, i);
	}
	/* Bytes of another frame are not taken for the one asked for. */
	FAILS(object_reader_decode(&r, c, 4, raw.data, &h, plain, 8192, &err),
	    ERR_DAMAGED);
	FAILS(object_reader_fetch(&r, 40, 2, &raw, &err), ERR_DAMAGED);
	FAILS(object_reader_fetch(&r, 41, 1, &raw, &err), ERR_DAMAGED);
	FAILS(object_reader_fetch(&r, UINT32_MAX, 2, &raw, &err),
	    ERR_DAMAGED);
	FAILS(object_reader_frame(&r, c, 41, &h, &out, &err), ERR_DAMAGED);
	object_reader_close(&r);
	buf_free(&raw);
	buf_free(&out);
	free(plain);
	object_writer_free(&w);
	frame_codec_free(c);
	storage_close(st);
}

static void
an_object_of_another_type_repository_or_cluster_is_refused(void **state)
{
	static const uint8_t other_id[16] = { 9 };
	struct frame_codec *c = frame_codec_new(3);
	struct object_writer w;
	struct repo repo = repository(NULL, repository_id);
	struct repo other = repository(NULL, other_id);
	struct object_reader r;

	make_object(&w, c, 1, 100);
	FAILS(object_reader_open_bytes(&r, &repo, w.bytes.data, w.bytes.len, "o",
	    OBJECT_WAL, SYSTEM_ID, &err), ERR_DAMAGED);
	FAILS(object_reader_open_bytes(&r, &other, w.bytes.data, w.bytes.len,
	    "o", OBJECT_PACK, SYSTEM_ID, &err), ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "another repository"));
	FAILS(object_reader_open_bytes(&r, &repo, w.bytes.data, w.bytes.len, "o",
	    OBJECT_PACK, SYSTEM_ID + 1, &err), ERR_DAMAGED);
	OK(object_reader_open_bytes(&r, &repo, w.bytes.data, w.bytes.len, "o",
	    OBJECT_PACK, 0, &err));
	object_reader_close(&r);
	object_writer_free(&w);
	frame_codec_free(c);
}

static void
every_cut_and_every_flipped_bit_is_noticed(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	struct object_writer w;
	uint8_t *copy;
	size_t i, len;

	make_object(&w, c, 2, 300);
	len = w.bytes.len;
	assert_int_equal(read_all(w.bytes.data, len, c, 2, 300), 0);
	for (i = 0; i < len; i++) {
		copy = xmalloc(i);
		memcpy(copy, w.bytes.data, i);
		if (read_all(copy, i, c, 2, 300) == 0)
			fail_msg("cut to %zu bytes was taken", i);
		free(copy);
	}
	copy = xmalloc(len);
	memcpy(copy, w.bytes.data, len);
	for (i = 0; i < 8 * len; i++) {
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
		/* Taken only with the same content: read_all() compares. */
		(void)read_all(copy, len, c, 2, 300);
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(copy);
	object_writer_free(&w);
	frame_codec_free(c);
}

static void
frames_encoded_elsewhere_fit_only_in_order(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	struct object_header oh = header();
	struct frame_header h = { .type = FRAME_FILE };
	struct object_writer w;
	struct buf frame;

	object_writer_init(&w, 1 << 20, &oh);
	buf_init(&frame, 1 << 20);
	OK(frame_encode(c, &h, NULL, "abc", 3, &frame, &err));
	OK(object_writer_add_encoded(&w, frame.data, frame.len, &h, &err));
	FAILS(object_writer_add_encoded(&w, frame.data, frame.len, &h, &err),
	    ERR_BUG);
	assert_int_equal(w.n, 1);
	assert_int_equal(object_writer_size(&w), w.bytes.len + 32 + 16);
	OK(object_writer_finish(&w, &err));
	buf_free(&frame);
	object_writer_free(&w);
	frame_codec_free(c);
}

/* What `zstd -dc` would show: all data frames, none of the hidden ones. */
static void
zstd_alone_reads_the_content(void **state)
{
	struct frame_codec *c = frame_codec_new(3);
	uint8_t plain[200], shown[1000];
	struct object_writer w;
	size_t n;

	make_object(&w, c, 2, 100);
	n = ZSTD_decompress(shown, sizeof(shown), w.bytes.data, w.bytes.len);
	assert_false(ZSTD_isError(n));
	assert_int_equal(n, 200);
	fixture_noise(plain, 100, 1);
	fixture_noise(plain + 100, 100, 2);
	assert_memory_equal(shown, plain, 200);
	object_writer_free(&w);
	frame_codec_free(c);
}

static void
a_long_header_and_a_long_index_are_read_whole(void **state)
{
	struct storage *st = storage_mem_new();
	struct frame_codec *c = frame_codec_new(1);
	struct object_header oh = header();
	struct frame_header h = { .type = FRAME_FILE };
	struct object_writer w;
	struct repo repo = repository(st, repository_id);
	struct object_reader r;
	uint32_t i, tags;

	object_writer_init(&w, 8 << 20, &oh);
	/* A tag of 10,000 bytes that this version may ignore. */
	w.bytes.len -= 4;
	buf_add_le16(&w.bytes, 100);
	buf_add_le16(&w.bytes, 0);
	buf_add_le32(&w.bytes, 10000);
	for (i = 0; i < 10000; i++)
		buf_add_byte(&w.bytes, 7);
	tags = (uint32_t)w.bytes.len - 68;
	put_le32(w.bytes.data + 4, 64 + tags);
	put_le32(w.bytes.data + 64, tags);
	buf_add_le32(&w.bytes, crc32c(w.bytes.data + 8, 60 + tags));
	for (i = 0; i < 3000; i++) {
		h.position = i;
		OK(object_writer_add(&w, c, &h, &i, sizeof(i), &err));
	}
	OK(object_writer_finish(&w, &err));
	OK(storage_put(st, KEY, w.bytes.data, w.bytes.len, &err));
	OK(object_reader_open(&r, &repo, KEY, w.bytes.len, OBJECT_PACK,
	    SYSTEM_ID, &err));
	assert_int_equal(r.n, 3000);
	object_reader_close(&r);
	object_writer_free(&w);
	frame_codec_free(c);
	storage_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_whatever_their_content),
		cmocka_unit_test(a_frame_larger_than_allowed_is_not_made),
		cmocka_unit_test(
		    more_content_than_there_is_room_for_is_refused),
		cmocka_unit_test(
		    a_payload_that_is_not_what_the_header_says_is_refused),
		cmocka_unit_test(an_object_comes_back_through_a_storage),
		cmocka_unit_test(
		    an_object_of_another_type_repository_or_cluster_is_refused),
		cmocka_unit_test(every_cut_and_every_flipped_bit_is_noticed),
		cmocka_unit_test(frames_encoded_elsewhere_fit_only_in_order),
		cmocka_unit_test(zstd_alone_reads_the_content),
		cmocka_unit_test(
		    a_long_header_and_a_long_index_are_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
