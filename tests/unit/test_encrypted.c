/* SPDX-License-Identifier: PostgreSQL */
/*
 * Packs of an encrypted repository: who may read them, and that a store that
 * moves, cuts, exchanges or makes up frames and headers is found out.
 */
#include "config.h"

#include "fixture_repo.h"

#include <unistd.h>

#include "core/crc32c.h"
#include "core/bytes.h"
#include "repo/hash.h"
#include "repo/keyfile.h"
#include "repo/keyring.h"
#include "repo/pack.h"

#define BLOCK 8192
#define FRAMES 5
#define LEN ((size_t)3 * BLOCK)
#define SECRET "base/16384/a path that nobody is to see"

static const uint8_t key_bytes[CRYPT_KEY] = "thirty-two bytes of a key file.";

struct vault {
	struct fixture *f;
	struct repo *repo;
	char key_file[64], ring[KEYRING_ID_TEXT];
	struct pack_shared shared;
	struct buf object[2]; /* packs 0 and 1, as they were put */
	struct frame_codec *codec;
};

static void
come(struct vault *v, bool with_key)
{
	struct keyring_unlock u = { .key_file = with_key ? v->key_file :
							   NULL };

	keyring_release(v->repo->ring);
	v->repo->ring = NULL;
	OK(keyring_new(&v->repo->ring, v->ring, &u, &err));
}

static int
keep_pack(void *arg, const struct pack_id *id, struct object_writer *object,
    struct err *why)
{
	struct vault *v = arg;

	(void)why;
	assert_in_range(id->number, 0, 1);
	buf_add(&v->object[id->number], object->bytes.data,
	    object->bytes.len);
	return 0;
}

static void
plain_of(uint8_t *p, unsigned pack, unsigned frame)
{
	memset(p, 'x', LEN); /* shrinks, so that frames differ in length */
	fixture_noise(p, 1000 + 500 * frame, pack * 10 + frame + 1);
}

static void
write_pack(struct vault *v, unsigned pack)
{
	uint64_t blocks[3] = { 1, 7, 9 };
	uint8_t *plain = xmalloc(LEN);
	struct pack_writer *w;
	struct frame_ref ref;
	unsigned i;

	OK(pack_writer_new(&w, &v->shared, 3, &err));
	for (i = 0; i < FRAMES; i++) {
		plain_of(plain, pack, i);
		if (i == 2) /* with a block list */
			OK(pack_writer_add_gathered(w, SECRET, blocks, plain,
			    LEN, NULL, &ref, &err));
		else
			OK(pack_writer_add(w, SECRET, 3 * i, plain, LEN, NULL,
			    &ref, &err));
	}
	OK(pack_writer_flush(w, &err));
	pack_writer_free(w);
	free(plain);
}

static int
setup(void **state)
{
	struct vault *v = xcalloc(1, sizeof(*v));
	struct keyring_recipient first = { .kind = KEYRING_KEY_FILE,
		.name = "vault", .key = key_bytes };

	if (fixture_setup((void **)&v->f) != 0)
		return -1;
	v->repo = v->f->repo;
	(void)snprintf(v->key_file, sizeof(v->key_file),
	    "/tmp/test-encrypted-%d", (int)getpid());
	(void)unlink(v->key_file);
	OK(keyfile_write(v->key_file, key_bytes, &err));
	OK(keyring_create(v->repo, &first, v->ring, &err));
	come(v, true);
	OK(repo_begin_attempt(v->repo, &err));
	v->shared.repo = v->repo;
	v->shared.inc = v->f->inc;
	memcpy(v->shared.label, LABEL_A, sizeof(LABEL_A));
	v->shared.attempt = 1;
	v->shared.block_size = BLOCK;
	v->shared.target = 1 << 20;
	v->shared.put = keep_pack;
	v->shared.put_arg = v;
	buf_init(&v->object[0], 1 << 20);
	buf_init(&v->object[1], 1 << 20);
	v->codec = frame_codec_new(1);
	write_pack(v, 0);
	write_pack(v, 1);
	*state = v;
	return 0;
}

static int
teardown(void **state)
{
	struct vault *v = *state;

	(void)unlink(v->key_file);
	frame_codec_free(v->codec);
	buf_free(&v->object[0]);
	buf_free(&v->object[1]);
	(void)fixture_teardown((void **)&v->f);
	free(v);
	return 0;
}

static void
open_pack(struct vault *v, struct object_reader *r, const struct buf *b)
{
	err_clear(&err);
	OK(object_reader_open_bytes(r, v->repo, b->data, b->len, "pack",
	    OBJECT_PACK, v->f->inc.system_id, &err));
}

/* 0: frame i is read, and is what was written as frame i of that pack. */
static int
read_frame(struct vault *v, const struct buf *b, unsigned i)
{
	uint8_t *want = xmalloc(LEN);
	struct object_reader r;
	struct frame_header h;
	struct buf out;
	int rc;

	open_pack(v, &r, b);
	buf_init(&out, 1 << 20);
	rc = object_reader_frame(&r, v->codec, i, &h, &out, &err);
	if (rc == 0) {
		plain_of(want, r.header.number, i);
		assert_int_equal(out.len, LEN);
		assert_memory_equal(out.data, want, LEN);
		assert_int_equal(h.path_len, strlen(SECRET));
		assert_memory_equal(h.path, SECRET, strlen(SECRET));
		assert_int_equal(h.blocks_len > 0, i == 2);
	}
	buf_free(&out);
	object_reader_close(&r);
	free(want);
	return rc;
}

/* The same, whatever the error is. */
static int
fails_or_reads(struct vault *v, const struct buf *b, unsigned i)
{
	int rc = read_frame(v, b, i);

	err_clear(&err);
	return rc;
}

static void
who_has_the_key_reads_it_and_nobody_else(void **state)
{
	struct vault *v = *state;
	unsigned i;

	come(v, true);
	for (i = 0; i < FRAMES; i++) {
		OK(read_frame(v, &v->object[0], i));
		OK(read_frame(v, &v->object[1], i));
	}
	come(v, false);
	for (i = 0; i < FRAMES; i++)
		FAILS(read_frame(v, &v->object[0], i), ERR_CONFIG);
}

static void
neither_content_nor_path_is_in_clear(void **state)
{
	struct vault *v = *state;
	const struct buf *b = &v->object[0];

	assert_null(memmem(b->data, b->len, "path that nobody", 16));
	assert_null(memmem(b->data, b->len, "xxxxxxxx", 8));
	assert_non_null(memmem(b->data, b->len, LABEL_A, strlen(LABEL_A)));
}

/* The same content does not show: not in a second frame, nor in its hash. */
static void
equal_pages_are_stored_as_different_bytes(void **state)
{
	struct vault *v = *state;
	const struct object_key key = { 1, { 5 } };
	struct frame_header h[2];
	struct buf b[2];
	size_t i;

	for (i = 0; i < 2; i++) {
		memset(&h[i], 0, sizeof(h[i]));
		h[i].type = FRAME_MAP;
		buf_init(&b[i], 1 << 20);
		OK(frame_encode(v->codec, &h[i], &key, "same", 4, &b[i],
		    &err));
	}
	assert_int_equal(b[0].len, b[1].len);
	assert_memory_not_equal(h[0].nonce, h[1].nonce, FORMAT_NONCE);
	assert_true(h[0].hash != h[1].hash);
	assert_memory_not_equal(b[0].data + b[0].len - 24,
	    b[1].data + b[1].len - 24, 24);
	buf_free(&b[0]);
	buf_free(&b[1]);
}

/* Where frame i's header is. */
static uint32_t
at(struct vault *v, const struct buf *b, unsigned i, uint32_t *len)
{
	struct object_reader r;
	uint32_t off;

	open_pack(v, &r, b);
	off = r.entries[i].offset;
	*len = r.entries[i].length;
	object_reader_close(&r);
	return off;
}

/* A header with its CRC made right again, as who forges one would. */
static void
mend_crc(uint8_t *header, size_t len)
{
	put_le32(header + len - 4, crc32c(header + 8, len - 12));
}

static void
a_frame_opens_in_its_own_object_and_place_only(void **state)
{
	struct vault *v = *state;
	struct buf *b = v->object;
	uint32_t len[2], off[2];
	uint8_t *one;

	/* The same frame of another pack of the same attempt. */
	off[0] = at(v, &b[0], 1, &len[0]);
	off[1] = at(v, &b[1], 1, &len[1]);
	assert_int_equal(len[0], len[1]);
	one = xmalloc(len[0]);
	memcpy(one, b[1].data + off[1], len[0]);
	memcpy(b[1].data + off[1], b[0].data + off[0], len[0]);
	FAILS(read_frame(v, &b[1], 1), ERR_DAMAGED);
	memcpy(b[1].data + off[1], one, len[0]);
	OK(read_frame(v, &b[1], 1));
	/* Numbered anew, to stand in another's place. */
	put_le32(b[1].data + off[1] + 16, 2);
	mend_crc(b[1].data + off[1], 72);
	FAILS(read_frame(v, &b[1], 1), ERR_DAMAGED);
	free(one);
}

static void
every_bit_of_a_frame_counts(void **state)
{
	struct vault *v = *state;
	struct buf *b = &v->object[0];
	uint32_t len, off = at(v, b, 1, &len), i;
	uint8_t *p = b->data + off;

	OK(read_frame(v, b, 1));
	for (i = 0; i < len; i++) {
		const uint64_t hash = get_le64(p + 40);

		p[i] ^= 0x10;
		/* By one who knows the format: CRC and hash are right. */
		if (i >= 80)
			put_le64(p + 40, hash_64(p + 80, len - 80, 0));
		if (i < 68 || i >= 80)
			mend_crc(p, 72);
		assert_int_not_equal(fails_or_reads(v, b, 1), 0);
		p[i] ^= 0x10;
		put_le64(p + 40, hash);
		mend_crc(p, 72);
	}
	OK(read_frame(v, b, 1));
}

static void
the_object_header_is_vouched_for(void **state)
{
	struct vault *v = *state;
	struct buf *b = &v->object[0];
	uint32_t len, head = at(v, b, 0, &len), i;
	unsigned refused = 0;
	struct object_reader r;

	for (i = 8; i < head - 4; i++) {
		b->data[i] ^= 1;
		mend_crc(b->data, head);
		err_clear(&err);
		if (i >= 48 && i < 52) { /* a copy has another generation */
			OK(read_frame(v, b, 1));
		} else if (object_reader_open_bytes(&r, v->repo, b->data,
		    b->len, "pack", OBJECT_PACK, v->f->inc.system_id,
		    &err) == 0) {
			err_clear(&err);
			assert_int_not_equal(object_reader_unlock(&r, &err),
			    0);
			object_reader_close(&r);
			refused++;
		}
		b->data[i] ^= 1;
		mend_crc(b->data, head);
	}
	assert_true(refused > 100);
	OK(read_frame(v, b, 1));
}

static void
what_is_not_encrypted_is_refused_where_all_is(void **state)
{
	struct vault *v = *state;
	struct pack_id id = { LABEL_A, 1, 0, REPO_BACKUP };
	struct object_writer w;
	struct object_reader r;

	fixture_empty_pack(&w, v->repo, &v->f->inc, &id);
	FAILS(object_reader_open_bytes(&r, v->repo, w.bytes.data, w.bytes.len,
	    "pack", OBJECT_PACK, v->f->inc.system_id, &err), ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "is not encrypted"));
	object_writer_free(&w);
	keyring_release(v->repo->ring);
	v->repo->ring = NULL;
	FAILS(object_reader_open_bytes(&r, v->repo, v->object[0].data,
	    v->object[0].len, "pack", OBJECT_PACK, v->f->inc.system_id, &err),
	    ERR_DAMAGED);
	assert_non_null(strstr(err.msg, "its repository is not"));
}

static void
without_a_key_the_bytes_are_proved_and_not_the_content(void **state)
{
	struct vault *v = *state;
	struct buf *b = &v->object[0], out;
	uint32_t len, off = at(v, b, 1, &len), i, found = 0;
	struct object_reader r;
	struct frame_header h;

	come(v, false);
	buf_init(&out, 1 << 20);
	open_pack(v, &r, b);
	OK(object_reader_prove_frame(&r, v->codec, 1, &h, &out, &err));
	assert_int_equal(out.len, 0);
	assert_int_equal(h.plain_len, LEN);
	assert_int_equal(h.path_len, 0);
	for (i = 0; i < len; i++) {
		b->data[off + i] ^= 4;
		err_clear(&err);
		if (object_reader_prove_frame(&r, v->codec, 1, &h, &out,
		    &err) != 0)
			found++;
		b->data[off + i] ^= 4;
	}
	assert_int_equal(found, len);
	object_reader_close(&r);
	buf_free(&out);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(who_has_the_key_reads_it_and_nobody_else),
		CASE(neither_content_nor_path_is_in_clear),
		CASE(equal_pages_are_stored_as_different_bytes),
		CASE(a_frame_opens_in_its_own_object_and_place_only),
		CASE(every_bit_of_a_frame_counts),
		CASE(the_object_header_is_vouched_for),
		CASE(what_is_not_encrypted_is_refused_where_all_is),
		CASE(without_a_key_the_bytes_are_proved_and_not_the_content),
	};

	return cmocka_run_group_tests_name("encrypted", tests, NULL, NULL);
}
