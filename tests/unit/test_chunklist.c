/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/chunklist.h"

static const struct pack_id packs[2] = { { LABEL_A, 1, 0, REPO_DUMP },
	{ LABEL_B, 12, 1234567, REPO_DUMP } };

static void
sample(struct dump_chunk out[3])
{
	memset(out, 0, 3 * sizeof(*out));
	out[0] = (struct dump_chunk){ .pack = 1, .frame = 0, .bytes = 1,
		.rows = 0, .crc = 0 };
	out[1] = (struct dump_chunk){ .pack = 0, .frame = UINT32_MAX,
		.bytes = 1 << 20, .rows = 1 << 20, .crc = UINT32_MAX };
	out[2] = (struct dump_chunk){ .pack = 1, .frame = 300,
		.bytes = 262144, .rows = 5000, .crc = 0xdeadbeef };
	fixture_noise(out[0].hash, 16, 1);
	fixture_noise(out[2].hash, 16, 2);
}

static int
try(const void *data, size_t len, struct pack_id **got_packs, uint32_t *np,
    struct dump_chunk **got, uint32_t *n)
{
	err_clear(&err);
	return chunk_list_decode(data, len, got_packs, np, got, n, &err);
}

static void
a_list_comes_back(void **state)
{
	struct dump_chunk chunks[3], *got;
	struct pack_id *got_packs;
	uint32_t n, n_packs, i;
	struct buf b;

	(void)state;
	sample(chunks);
	buf_init(&b, 1 << 20);
	chunk_list_encode(packs, 2, chunks, 3, &b);
	OK(chunk_list_decode(b.data, b.len, &got_packs, &n_packs, &got, &n,
	    &err));
	assert_int_equal(n_packs, 2);
	assert_int_equal(n, 3);
	for (i = 0; i < 2; i++) {
		assert_string_equal(got_packs[i].label, packs[i].label);
		assert_int_equal(got_packs[i].attempt, packs[i].attempt);
		assert_int_equal(got_packs[i].number, packs[i].number);
		assert_int_equal(got_packs[i].kind, REPO_DUMP);
	}
	assert_memory_equal(got, chunks, sizeof(chunks));
	free(got_packs);
	free(got);
	buf_free(&b);
}

static void
an_empty_list_comes_back(void **state)
{
	struct dump_chunk *got;
	struct pack_id *got_packs;
	uint32_t n, n_packs;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	chunk_list_encode(NULL, 0, NULL, 0, &b);
	OK(chunk_list_decode(b.data, b.len, &got_packs, &n_packs, &got, &n,
	    &err));
	assert_int_equal(n + n_packs, 0);
	free(got_packs);
	free(got);
	buf_free(&b);
}

static void
the_longest_list_fits_a_frame(void **state)
{
	struct dump_chunk *chunks = xcalloc(CHUNK_LIST_MAX, sizeof(*chunks));
	struct buf b;
	uint32_t i;

	(void)state;
	for (i = 0; i < CHUNK_LIST_MAX; i++)
		chunks[i] = (struct dump_chunk){ .pack = i, .frame = 300000,
			.bytes = 1 << 20, .rows = 1 << 20, .crc = 1 };
	buf_init(&b, FORMAT_FRAME_PLAIN_MAX);
	/* Its packs take room too: 1000 of them. */
	struct pack_id *many = xcalloc(1000, sizeof(*many));

	for (i = 0; i < 1000; i++)
		many[i] = packs[0];
	chunk_list_encode(many, 1000, chunks, CHUNK_LIST_MAX, &b);
	assert_false(b.overflow);
	free(many);
	free(chunks);
	buf_free(&b);
}

/* What a damaged list may say: anything that a reader can still check. */
static void
check_sane(const struct dump_chunk *got, uint32_t n, uint32_t n_packs)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		assert_true(got[i].pack < n_packs);
		assert_in_range(got[i].bytes, 1, FORMAT_FRAME_PLAIN_MAX);
		assert_in_range(got[i].rows, 0, FORMAT_FRAME_PLAIN_MAX);
	}
}

static void
every_cut_is_refused_and_no_flipped_bit_does_harm(void **state)
{
	struct dump_chunk chunks[3], *got;
	struct pack_id *got_packs;
	uint32_t n, n_packs;
	uint8_t *copy;
	struct buf b;
	size_t i;

	(void)state;
	sample(chunks);
	buf_init(&b, 1 << 20);
	chunk_list_encode(packs, 2, chunks, 3, &b);
	for (i = 0; i < b.len; i++) {
		copy = xmalloc(i); /* so that a sanitizer sees a step too far */
		memcpy(copy, b.data, i);
		if (try(copy, i, &got_packs, &n_packs, &got, &n) == 0)
			fail_msg("cut to %zu of %zu bytes was taken", i,
			    b.len);
		assert_int_equal(err.code, ERR_DAMAGED);
		assert_null(got);
		assert_null(got_packs);
		free(copy);
	}
	copy = xmalloc(b.len);
	memcpy(copy, b.data, b.len);
	for (i = 0; i < 8 * b.len; i++) {
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
		if (try(copy, b.len, &got_packs, &n_packs, &got, &n) == 0) {
			check_sane(got, n, n_packs);
			free(got_packs);
			free(got);
		}
		copy[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(copy);
	buf_add_byte(&b, 0);
	FAILS(chunk_list_decode(b.data, b.len, &got_packs, &n_packs, &got, &n,
	    &err), ERR_DAMAGED);
	buf_free(&b);
}

static void
a_newer_list_is_refused_by_name(void **state)
{
	static const uint8_t newer[12] = { 2 };
	struct dump_chunk *got;
	struct pack_id *got_packs;
	uint32_t n, n_packs;

	(void)state;
	FAILS(chunk_list_decode(newer, sizeof(newer), &got_packs, &n_packs,
	    &got, &n, &err), ERR_UNSUPPORTED);
}

/* The canonical form, with the seed: what FORMAT.md promises. */
static void
a_hash_depends_on_the_seed(void **state)
{
	static const uint8_t empty[16] = { 0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47,
		0x98, 0xd8, 0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f };
	uint8_t a[16], b[16];

	(void)state;
	dump_chunk_hash("", 0, 0, a); /* xxHash's own value for no bytes */
	assert_memory_equal(a, empty, 16);
	dump_chunk_hash("x\n", 2, 1, a);
	dump_chunk_hash("x\n", 2, 2, b);
	assert_memory_not_equal(a, b, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_back),
		cmocka_unit_test(an_empty_list_comes_back),
		cmocka_unit_test(the_longest_list_fits_a_frame),
		cmocka_unit_test(
		    every_cut_is_refused_and_no_flipped_bit_does_harm),
		cmocka_unit_test(a_newer_list_is_refused_by_name),
		cmocka_unit_test(a_hash_depends_on_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
