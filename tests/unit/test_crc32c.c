/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"

static void
published_values_hold(void **state)
{
	uint8_t bytes[32];
	size_t i;

	/* RFC 3720, appendix B.4 */
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
	for (i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c("", 0), 0);
}

/* One bit at a time, as the polynomial says. */
static uint32_t
plainly(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;
	int bit;

	for (; len > 0; len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void
every_length_and_alignment_agrees_with_the_definition(void **state)
{
	uint8_t bytes[300];
	size_t i, off, len;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + i / 7);
	for (off = 0; off < 9; off++)
		for (len = 0; len + off <= 100; len++)
			assert_int_equal(crc32c(bytes + off, len),
			    plainly(bytes + off, len));
}

/* From 8184 bytes on three stretches are done side by side. */
static void
long_pieces_agree_with_the_definition(void **state)
{
	static uint8_t bytes[40000];
	size_t i, off, len;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i * 31 + i / 11);
	for (off = 0; off < 3; off++)
		for (len = 8170; len < sizeof(bytes) - 3;
		    len += len < 8200 ? 1 : 977)
			assert_int_equal(crc32c(bytes + off, len),
			    plainly(bytes + off, len));
}

static void
pieces_and_combining_give_the_whole(void **state)
{
	static uint8_t bytes[100000];
	size_t cut, i;
	uint32_t whole, a, b;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i >> 3);
	whole = crc32c(bytes, sizeof(bytes));
	for (cut = 0; cut <= sizeof(bytes); cut += 1 + cut / 3) {
		a = crc32c(bytes, cut);
		b = crc32c(bytes + cut, sizeof(bytes) - cut);
		assert_int_equal(crc32c_more(a, bytes + cut,
		    sizeof(bytes) - cut), whole);
		assert_int_equal(crc32c_combine(a, b, sizeof(bytes) - cut),
		    whole);
	}
	/* The whole of a large file from its blocks' CRCs. */
	for (a = 0, i = 0; i < sizeof(bytes); i += 8192) {
		size_t n = sizeof(bytes) - i < 8192 ? sizeof(bytes) - i : 8192;

		a = crc32c_combine(a, crc32c(bytes + i, n), n);
	}
	assert_int_equal(a, whole);
}

static void
combining_works_past_4_gb(void **state)
{
	static uint8_t zeros[1 << 20];
	uint32_t doubled, added = 0, one = crc32c(zeros, sizeof(zeros));
	int i;

	/* 8 GiB of zeros: doubled 13 times, and added up 8192 times. */
	for (doubled = one, i = 0; i < 13; i++)
		doubled = crc32c_combine(doubled, doubled,
		    (uint64_t)sizeof(zeros) << i);
	for (i = 0; i < 8192; i++)
		added = crc32c_combine(added, one, sizeof(zeros));
	assert_int_equal(doubled, added);
	added = crc32c("x", 1);
	for (i = 0; i < 8192; i++)
		added = crc32c_combine(added, one, sizeof(zeros));
	assert_int_equal(crc32c_combine(crc32c("x", 1), doubled,
	    (uint64_t)1 << 33), added);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_values_hold),
		cmocka_unit_test(
		    every_length_and_alignment_agrees_with_the_definition),
		cmocka_unit_test(long_pieces_agree_with_the_definition),
		cmocka_unit_test(pieces_and_combining_give_the_whole),
		cmocka_unit_test(combining_works_past_4_gb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
