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
#include "pg/page.h"

#define SIZE 8192
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
fill(uint8_t *page, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		page[i] = (uint8_t)(i * 31 + i / 256);
}

/* An empty, valid page with its checksum. */
static void
build(uint8_t *page, uint32_t block)
{
	fill(page, SIZE);
	put_le16(page + 10, 0x0004);
	put_le16(page + 12, 24);
	put_le16(page + 14, SIZE - 16);
	put_le16(page + 16, SIZE - 16);
	put_le16(page + 18, SIZE | 4);
	put_le16(page + 8, page_checksum(page, SIZE, block));
}

/* Values that PostgreSQL 15's own checksum_impl.h gave for these bytes. */
static void
checksums_are_those_of_the_server(void **state)
{
	uint8_t page[SIZE];

	fill(page, SIZE);
	assert_int_equal(page_checksum(page, SIZE, 0), 0xf553);
	assert_int_equal(page_checksum(page, SIZE, 131072), 0xf555);
	assert_int_equal(page_checksum(page, SIZE, UINT32_MAX), 0x0aae);
	memset(page, 0, SIZE);
	page[15] = 1;
	assert_int_equal(page_checksum(page, SIZE, 7), 0x9e2b);
}

static void
the_stored_checksum_does_not_count_and_alignment_does_not_matter(void **state)
{
	uint8_t *page = malloc(SIZE + 1);
	uint16_t sum;

	fill(page + 1, SIZE);
	sum = page_checksum(page + 1, SIZE, 5);
	put_le16(page + 1 + 8, 0xabcd);
	assert_int_equal(page_checksum(page + 1, SIZE, 5), sum);
	assert_int_equal(page_stored_checksum(page + 1), 0xabcd);
	memmove(page, page + 1, SIZE);
	assert_int_equal(page_checksum(page, SIZE, 5), sum);
	free(page);
}

/* TRAPS T38. */
static void
a_page_in_another_place_is_bad(void **state)
{
	uint8_t page[SIZE];

	build(page, 131072 + 3);
	assert_int_equal(page_verify(page, SIZE, 131072 + 3, true), PAGE_OK);
	assert_int_equal(page_verify(page, SIZE, 3, true), PAGE_BAD_CHECKSUM);
	assert_int_equal(page_verify(page, SIZE, 3, false), PAGE_OK);
}

static void
every_size_of_page_is_checked_to_its_end(void **state)
{
	uint8_t page[PAGE_SIZE_MAX];
	uint16_t sum;
	size_t size;

	for (size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
		fill(page, size);
		sum = page_checksum(page, size, 1);
		page[size - 1] ^= 0x10;
		assert_int_not_equal(page_checksum(page, size, 1), sum);
	}
}

static void
a_flipped_bit_anywhere_is_seen(void **state)
{
	uint8_t page[SIZE];
	size_t i;

	for (i = 0; i < SIZE; i += 13) {
		build(page, 9);
		page[i] ^= 0x40;
		assert_int_equal(page_verify(page, SIZE, 9, true),
		    PAGE_BAD_CHECKSUM);
	}
}

/* TRAPS T37. */
static void
only_an_all_zero_page_may_be_without_header(void **state)
{
	uint8_t page[SIZE] = { 0 };
	size_t i;

	assert_int_equal(page_verify(page, SIZE, 0, true), PAGE_ZERO);
	assert_int_equal(page_verify(page, SIZE, 0, false), PAGE_ZERO);
	assert_true(page_is_zero(page, SIZE));
	for (i = 0; i < SIZE; i += 7) {
		if (i == 14)
			continue; /* pd_upper */
		page[i] = 1;
		assert_false(page_is_zero(page, SIZE));
		assert_int_equal(page_verify(page, SIZE, 0, true),
		    PAGE_BAD_HEADER);
		page[i] = 0;
	}
}

static void
a_header_the_server_would_refuse_is_bad(void **state)
{
	static const struct {
		size_t at;
		uint16_t value;
	} cases[] = {
		{ 10, 0x0008 },	  /* unknown flag */
		{ 12, SIZE - 8 }, /* pd_lower > pd_upper */
		{ 14, SIZE - 8 }, /* pd_upper > pd_special */
		{ 16, SIZE + 8 }, /* pd_special beyond the page */
		{ 16, SIZE - 4 }, /* pd_special not aligned */
	};
	uint8_t page[SIZE];
	size_t i;

	for (i = 0; i < N(cases); i++) {
		build(page, 0);
		put_le16(page + cases[i].at, cases[i].value);
		put_le16(page + 8, page_checksum(page, SIZE, 0));
		assert_int_equal(page_verify(page, SIZE, 0, true),
		    PAGE_BAD_HEADER);
		assert_int_equal(page_verify(page, SIZE, 0, false),
		    PAGE_BAD_HEADER);
	}
}

static void
the_lsn_is_two_halves_high_one_first(void **state)
{
	uint8_t page[SIZE] = { 0 };

	put_le32(page, 0x16);
	put_le32(page + 4, 0xb374d848);
	assert_true(page_lsn(page) == UINT64_C(0x16b374d848));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_those_of_the_server),
		cmocka_unit_test(
    the_stored_checksum_does_not_count_and_alignment_does_not_matter),
		cmocka_unit_test(a_page_in_another_place_is_bad),
		cmocka_unit_test(every_size_of_page_is_checked_to_its_end),
		cmocka_unit_test(a_flipped_bit_anywhere_is_seen),
		cmocka_unit_test(only_an_all_zero_page_may_be_without_header),
		cmocka_unit_test(a_header_the_server_would_refuse_is_bad),
		cmocka_unit_test(the_lsn_is_two_halves_high_one_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
