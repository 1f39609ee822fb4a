/* SPDX-License-Identifier: PostgreSQL */
/*
 * Whatever bytes go in come out, and hostile streams do no harm. Pages are
 * built as PostgreSQL builds them, then spoilt in every way that a page can be
 * unlike that. DAPK_TEST_ROUNDS: more of them; DAPK_TEST_SEED: others.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "pg/pagefilter.h"

#define BLOCK PAGEFILTER_BLOCK
#define PAGES PAGEFILTER_PAGES
#define MAX ((size_t)PAGES * BLOCK + PAGEFILTER_SLACK)

struct desk {
	struct pagefilter *f;
	uint8_t *pages, *back, *out;
	uint32_t blocks[PAGES];
	uint64_t seed;
};

static uint32_t
chance(struct desk *d, uint32_t n)
{
	d->seed = d->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(d->seed >> 33) % n;
}

static long
setting(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtol(text, NULL, 10);
}

static int
setup(void **state)
{
	struct desk *d = xcalloc(1, sizeof(*d));

	d->f = pagefilter_new();
	d->pages = xmalloc(MAX);
	d->back = xmalloc(MAX);
	d->out = xmalloc(MAX);
	d->seed = (uint64_t)setting("DAPK_TEST_SEED", 1);
	*state = d;
	return 0;
}

static int
teardown(void **state)
{
	struct desk *d = *state;

	pagefilter_free(d->f);
	free(d->pages);
	free(d->back);
	free(d->out);
	free(d);
	return 0;
}

static void
header(struct desk *d, uint8_t *p, size_t special)
{
	memset(p, 0, BLOCK);
	put_le32(p, 3);
	put_le32(p + 4, 0x1000 + chance(d, 1 << 20));
	put_le16(p + 8, (uint16_t)chance(d, 65536));
	put_le16(p + 12, 24);
	put_le16(p + 14, (uint16_t)(BLOCK - special));
	put_le16(p + 16, (uint16_t)(BLOCK - special));
	put_le16(p + 18, BLOCK | 4);
}

/* Room for an item of len bytes, as PageAddItem() makes it; NULL: none. */
static uint8_t *
add_item(uint8_t *p, size_t len, unsigned flags)
{
	size_t lower = get_le16(p + 12), upper = get_le16(p + 14);
	const size_t room = (len + 7) & ~(size_t)7;

	if (upper < lower + 4 + room)
		return NULL;
	upper -= room;
	put_le32(p + lower, (uint32_t)upper | flags << 15 |
	    (uint32_t)len << 17);
	put_le16(p + 12, (uint16_t)(lower + 4));
	put_le16(p + 14, (uint16_t)upper);
	return p + upper;
}

static void
fill_row(struct desk *d, uint8_t *row, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		row[i] = (uint8_t)(i % 8 < 5 ? i : chance(d, 256));
}

static void
build_heap(struct desk *d, uint8_t *p, uint32_t block)
{
	const size_t fixed = chance(d, 2) ? 30 + chance(d, 150) : 0;
	const uint32_t xid = 700 + chance(d, 1000);
	uint16_t number = 1;
	size_t hoff, len;
	uint8_t *t;

	header(d, p, 0);
	for (;; number++) {
		if (chance(d, 20) == 0) { /* unused, redirected or dead */
			const unsigned flags = chance(d, 3) == 0 ? 0 :
			    chance(d, 2) == 0 ? 2 : 3;
			const size_t lower = get_le16(p + 12);

			if (lower + 4 > get_le16(p + 14))
				return;
			put_le32(p + lower, flags << 15 |
			    (flags == 2 ? 1 + chance(d, 100) : 0));
			put_le16(p + 12, (uint16_t)(lower + 4));
			continue;
		}
		hoff = fixed != 0 || chance(d, 3) ? 24 : 32;
		len = hoff + (fixed != 0 ? fixed : 1 + chance(d, 300));
		t = add_item(p, len, 1);
		if (t == NULL)
			return;
		put_le32(t, xid + chance(d, 2));
		put_le32(t + 4, chance(d, 4) ? 0 : xid + chance(d, 50));
		put_le16(t + 12, (uint16_t)(block >> 16));
		put_le16(t + 14, (uint16_t)block);
		put_le16(t + 16, (uint16_t)(number + (chance(d, 9) == 0)));
		put_le16(t + 18, 4);
		put_le16(t + 20, 0x0902);
		t[22] = (uint8_t)hoff;
		fill_row(d, t + hoff, len - hoff);
	}
}

static void
build_btree(struct desk *d, uint8_t *p, uint32_t block)
{
	const size_t fixed = chance(d, 2) ? 16 : 0;
	uint8_t *t, *special = p + BLOCK - 16;
	uint32_t heap = chance(d, 1000);

	header(d, p, 16);
	put_le32(special, block - 1);
	put_le32(special + 4, block + 1);
	put_le16(special + 12, 1);
	for (;;) {
		const size_t len = fixed != 0 ? fixed : 16 + 8 * chance(d, 6);

		t = add_item(p, len, chance(d, 30) ? 1 : 3);
		if (t == NULL)
			return;
		heap += chance(d, 3);
		put_le16(t, (uint16_t)(heap >> 16));
		put_le16(t + 2, (uint16_t)heap);
		put_le16(t + 4, (uint16_t)(1 + chance(d, 60)));
		put_le16(t + 6, (uint16_t)len);
		fill_row(d, t + 8, len - 8);
	}
}

/* Line pointers in another order, as insertion in the middle leaves them. */
static void
shuffle(struct desk *d, uint8_t *p)
{
	const size_t n = ((size_t)get_le16(p + 12) - 24) / 4;
	size_t i, k;

	for (i = 1; i < n; i++) {
		uint32_t a = get_le32(p + 24 + 4 * i), b;

		k = chance(d, (uint32_t)i + 1);
		b = get_le32(p + 24 + 4 * k);
		put_le32(p + 24 + 4 * i, b);
		put_le32(p + 24 + 4 * k, a);
	}
}

static void
spoil(struct desk *d, uint8_t *p)
{
	uint32_t i, n;

	switch (chance(d, 8)) {
	case 0: /* anything anywhere */
		n = 1 + chance(d, 20);
		for (i = 0; i < n; i++)
			p[chance(d, BLOCK)] ^= (uint8_t)(1 + chance(d, 255));
		break;
	case 1: /* in the header and the line pointers */
		p[chance(d, 60)] ^= (uint8_t)(1 << chance(d, 8));
		break;
	case 2: /* in the hole */
		p[get_le16(p + 12)] = 1;
		break;
	case 3:
		for (i = 0; i < BLOCK; i++)
			p[i] = (uint8_t)chance(d, 256);
		break;
	case 4:
		memset(p, 0, BLOCK);
		break;
	case 5: /* two items at one place */
		memcpy(p + 24, p + 28, 4);
		break;
	case 6: /* an upper that is not the lowest item's */
		put_le16(p + 14, (uint16_t)(get_le16(p + 14) - 8));
		break;
	default:
		shuffle(d, p);
	}
}

static size_t
build(struct desk *d, size_t count, uint32_t spoilt_percent)
{
	const bool btree = chance(d, 2);
	size_t i, spoilt = 0;
	uint32_t block = chance(d, 100000);

	for (i = 0; i < count; i++) {
		uint8_t *p = d->pages + i * BLOCK;

		block += 1 + (chance(d, 10) == 0);
		d->blocks[i] = block;
		if (btree)
			build_btree(d, p, block);
		else
			build_heap(d, p, block);
		if (chance(d, 100) < spoilt_percent) {
			spoil(d, p);
			spoilt++;
		}
	}
	return spoilt;
}

static size_t
encode(struct desk *d, size_t count)
{
	return pagefilter_encode(d->f, d->pages, count, d->blocks, d->out,
	    count * BLOCK + PAGEFILTER_SLACK);
}

static void
comes_back(struct desk *d, size_t n, size_t count)
{
	memset(d->back, 0xaa, count * BLOCK);
	assert_true(pagefilter_decode(d->f, d->out, n, d->back, count,
	    d->blocks));
	assert_memory_equal(d->back, d->pages, count * BLOCK);
}

static void
pages_as_postgresql_makes_them_are_taken_apart(void **state)
{
	struct desk *d = *state;
	const long rounds = setting("DAPK_TEST_ROUNDS", 150);
	long i;

	for (i = 0; i < rounds; i++) {
		const size_t count = 1 + chance(d, i % 10 == 0 ? PAGES : 8);
		size_t n;

		(void)build(d, count, 0);
		n = encode(d, count);
		assert_true(n > 0);
		comes_back(d, n, count);
	}
}

static void
any_bytes_come_back(void **state)
{
	struct desk *d = *state;
	const long rounds = setting("DAPK_TEST_ROUNDS", 150) * 5;
	size_t filtered = 0, spoilt = 0;
	long i;

	for (i = 0; i < rounds; i++) {
		const size_t count = 1 + chance(d, 12);
		size_t n;

		spoilt += build(d, count, 30);
		n = encode(d, count);
		if (n > 0) {
			filtered++;
			comes_back(d, n, count);
		}
	}
	assert_true(filtered > (size_t)rounds / 2 && spoilt > filtered);
}

static void
other_blocks_numbers_only_cost_bytes(void **state)
{
	struct desk *d = *state;
	size_t n, i;

	(void)build(d, 16, 0);
	for (i = 0; i < 16; i++)
		d->blocks[i] = chance(d, UINT32_MAX);
	n = encode(d, 16);
	assert_true(n > 0);
	comes_back(d, n, 16);
}

static void
what_is_no_page_stays_as_it_is(void **state)
{
	struct desk *d = *state;

	memset(d->pages, 0, 4 * BLOCK);
	assert_int_equal(encode(d, 4), 0);
	memset(d->pages, 0xff, 4 * BLOCK);
	assert_int_equal(encode(d, 4), 0);
	assert_int_equal(encode(d, 0), 0);
}

/* What is copied is as long as the streams are, so that a sanitizer sees. */
static void
try_hostile(struct desk *d, const uint8_t *stream, size_t n, size_t count)
{
	uint8_t *copy = xmalloc(n == 0 ? 1 : n);
	uint8_t *room = xmalloc(count * BLOCK);

	memcpy(copy, stream, n);
	(void)pagefilter_decode(d->f, copy, n, room, count, d->blocks);
	free(copy);
	free(room);
}

static void
hostile_streams_do_no_harm(void **state)
{
	struct desk *d = *state;
	const long rounds = setting("DAPK_TEST_ROUNDS", 150) * 20;
	uint8_t *bad = xmalloc(MAX);
	size_t n = 0, count = 1;
	long i;

	for (i = 0; i < rounds; i++) {
		uint32_t k, changes = 1 + chance(d, 6);

		if (i % 50 == 0) {
			count = 1 + chance(d, 4);
			(void)build(d, count, 0);
			n = encode(d, count);
			assert_true(n > 0);
		}
		memcpy(bad, d->out, n);
		for (k = 0; k < changes; k++)
			bad[chance(d, chance(d, 2) ? 64 : (uint32_t)n)] =
			    (uint8_t)chance(d, 256);
		try_hostile(d, bad, n, count);
		try_hostile(d, d->out, chance(d, (uint32_t)n), count);
	}
	free(bad);
}

static void
streams_that_are_cut_or_of_other_pages_are_refused(void **state)
{
	struct desk *d = *state;
	size_t n;

	(void)build(d, 3, 0);
	n = encode(d, 3);
	assert_true(n > 0);
	assert_false(pagefilter_decode(d->f, d->out, n - 1, d->back, 3,
	    d->blocks));
	assert_false(pagefilter_decode(d->f, d->out, n, d->back, 2,
	    d->blocks));
	assert_false(pagefilter_decode(d->f, d->out, n, d->back, 4,
	    d->blocks));
	assert_false(pagefilter_decode(d->f, d->out, 0, d->back, 3,
	    d->blocks));
	d->out[0] = 2; /* a version that nobody knows */
	assert_false(pagefilter_decode(d->f, d->out, n, d->back, 3,
	    d->blocks));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_as_postgresql_makes_them_are_taken_apart),
		TEST(any_bytes_come_back),
		TEST(other_blocks_numbers_only_cost_bytes),
		TEST(what_is_no_page_stays_as_it_is),
		TEST(hostile_streams_do_no_harm),
		TEST(streams_that_are_cut_or_of_other_pages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
