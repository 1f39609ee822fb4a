/* SPDX-License-Identifier: PostgreSQL */
/*
 * The checksum runs 32 independent hashes, one a column of the page taken as
 * rows of 32 words. Four vectors of eight words hold them, in registers with
 * AVX2; the compiler lowers the vectors to what else there is.
 */
#include "config.h"

#include "pg/page.h"

#include <string.h>

#include "core/bytes.h"

#define LANES 32
#define ROW_SIZE (LANES * 4)
#define FNV_PRIME UINT32_C(16777619)

#define OFFSET_CHECKSUM 8
#define OFFSET_FLAGS 10
#define OFFSET_LOWER 12
#define OFFSET_UPPER 14
#define OFFSET_SPECIAL 16
#define FLAGS_KNOWN 0x0007 /* PD_VALID_FLAG_BITS */

typedef uint32_t lanes8 __attribute__((vector_size(32)));

/* Where each column's hash begins (checksum_impl.h): part of the format. */
static const uint32_t start_values[LANES] = {
	0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3,
	0x217e7cd2, 0x83e13d2c, 0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa,
	0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
	0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
	0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be,
	0xf2ca9fd3, 0x959bd756
};

/*
 * Eight columns of a row into their hashes. A macro, since vectors are not
 * passed to functions; written out four times, so that no optimisation level
 * leaves the hashes in memory.
 */
#define MIX_8(h, row, k)                                            \
	do {                                                        \
		lanes8 v_;                                          \
		memcpy(&v_, (row) + (k) * sizeof(lanes8), sizeof(v_)); \
		v_ ^= (h)[k];                                       \
		(h)[k] = v_ * FNV_PRIME ^ (v_ >> 17);               \
	} while (0)
#define MIX_ROW(h, row)                \
	do {                           \
		MIX_8((h), (row), 0);  \
		MIX_8((h), (row), 1);  \
		MIX_8((h), (row), 2);  \
		MIX_8((h), (row), 3);  \
	} while (0)

static inline __attribute__((always_inline)) uint32_t
hash_page(const uint8_t *page, size_t size)
{
	static const uint8_t zero[ROW_SIZE];
	uint8_t first[ROW_SIZE];
	uint32_t words[LANES], folded = 0;
	lanes8 h[4];
	size_t i;

	memcpy(h, start_values, sizeof(h));
	/* The stored checksum counts as zero; the page is not written to. */
	memcpy(first, page, ROW_SIZE);
	put_le16(first + OFFSET_CHECKSUM, 0);
	MIX_ROW(h, first);
	for (i = ROW_SIZE; i < size; i += ROW_SIZE)
		MIX_ROW(h, page + i);
	MIX_ROW(h, zero);
	MIX_ROW(h, zero);
	memcpy(words, h, sizeof(words));
	for (i = 0; i < LANES; i++)
		folded ^= words[i];
	return folded;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t
hash_page_avx2(const uint8_t *page, size_t size)
{
	return hash_page(page, size);
}
#endif

static uint32_t
hash_page_any(const uint8_t *page, size_t size)
{
	return hash_page(page, size);
}

uint16_t
page_checksum(const uint8_t *page, size_t size, uint32_t block)
{
	uint32_t hash;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		hash = hash_page_avx2(page, size);
	else
#endif
		hash = hash_page_any(page, size);
	return (uint16_t)((hash ^ block) % 65535 + 1);
}

uint16_t
page_stored_checksum(const uint8_t *page)
{
	return get_le16(page + OFFSET_CHECKSUM);
}

pg_lsn
page_lsn(const uint8_t *page)
{
	/* Two 32-bit halves, the high one first. */
	return (uint64_t)get_le32(page) << 32 | get_le32(page + 4);
}

bool
page_is_zero(const uint8_t *page, size_t size)
{
	uint64_t v[8];
	size_t i;

	for (i = 0; i < size; i += sizeof(v)) {
		memcpy(v, page + i, sizeof(v));
		if ((v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7]) !=
		    0)
			return false;
	}
	return true;
}

static bool
header_valid(const uint8_t *page, size_t size)
{
	uint16_t lower = get_le16(page + OFFSET_LOWER);
	uint16_t upper = get_le16(page + OFFSET_UPPER);
	uint16_t special = get_le16(page + OFFSET_SPECIAL);

	return (get_le16(page + OFFSET_FLAGS) & ~FLAGS_KNOWN) == 0 &&
	    lower <= upper && upper <= special && special <= size &&
	    special % 8 == 0;
}

enum page_state
page_verify(const uint8_t *page, size_t size, uint32_t block,
    bool with_checksum)
{
	/* A page that was never initialised has pd_upper 0 and no checksum. */
	if (get_le16(page + OFFSET_UPPER) == 0)
		return page_is_zero(page, size) ? PAGE_ZERO : PAGE_BAD_HEADER;
	if (with_checksum &&
	    page_checksum(page, size, block) != page_stored_checksum(page))
		return PAGE_BAD_CHECKSUM;
	return header_valid(page, size) ? PAGE_OK : PAGE_BAD_HEADER;
}
