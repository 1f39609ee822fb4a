/* SPDX-License-Identifier: PostgreSQL */
/*
 * The table version takes one byte a step; the SSE 4.2 one takes eight with
 * the crc32 instruction. That gives its result after three cycles and can be
 * begun in each: three stretches side by side, joined at the end, are more
 * than twice as fast from a page on. Combining works in the ring of polynomials over GF(2) modulo P:
 * appending n zero bytes multiplies by x^(8n), found by repeated squaring.
 */
#include "config.h"

#include "core/crc32c.h"

#include <string.h>

#define POLY 0x82f63b78u

static uint32_t table[256];

__attribute__((constructor)) static void
table_init(void)
{
	uint32_t crc;
	unsigned i, bit;

	for (i = 0; i < 256; i++) {
		crc = i;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLY : 0);
		table[i] = crc;
	}
}

static uint32_t
update_table(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len > 0; len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

/* a * b modulo P; bit 31 is x^0 (reflected). */
static uint32_t
multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a != 0; a <<= 1) {
		if (a & 0x80000000u)
			product ^= b;
		b = b >> 1 ^ (b & 1 ? POLY : 0);
	}
	return product;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
update_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc, v;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&v, p, 8);
		c = __builtin_ia32_crc32di(c, v);
	}
	crc = (uint32_t)c;
	for (; len > 0; len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

/* Of three: a page of 8 KiB is three and eight bytes. */
#define LANE ((size_t)2728)
#define LANE_SHIFT 0x9075a4efu /* crc32c_shift(LANE) */

__attribute__((target("sse4.2"))) static uint32_t
update_lanes(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t a, b, c, v[3];
	size_t i;

	for (; len >= 3 * LANE; len -= 3 * LANE, p += 3 * LANE) {
		a = crc;
		b = c = 0;
		for (i = 0; i < LANE; i += 8) {
			memcpy(&v[0], p + i, 8);
			memcpy(&v[1], p + LANE + i, 8);
			memcpy(&v[2], p + 2 * LANE + i, 8);
			a = __builtin_ia32_crc32di(a, v[0]);
			b = __builtin_ia32_crc32di(b, v[1]);
			c = __builtin_ia32_crc32di(c, v[2]);
		}
		crc = multiply(LANE_SHIFT, (uint32_t)a) ^ (uint32_t)b;
		crc = multiply(LANE_SHIFT, crc) ^ (uint32_t)c;
	}
	return update_sse42(crc, p, len);
}
#endif

uint32_t
crc32c_more(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~update_lanes(~crc, data, len);
#endif
	return ~update_table(~crc, data, len);
}

uint32_t
crc32c(const void *data, size_t len)
{
	return crc32c_more(0, data, len);
}

uint32_t
crc32c_shift(uint64_t len_b)
{
	uint32_t square = 0x00800000u; /* x^8: one zero byte */
	uint32_t shift = 0x80000000u;  /* x^0 */

	for (; len_b != 0; len_b >>= 1) {
		if (len_b & 1)
			shift = multiply(square, shift);
		square = multiply(square, square);
	}
	return shift;
}

uint32_t
crc32c_combine_shift(uint32_t crc_a, uint32_t crc_b, uint32_t shift)
{
	return multiply(shift, crc_a) ^ crc_b;
}

uint32_t
crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	return crc32c_combine_shift(crc_a, crc_b, crc32c_shift(len_b));
}
