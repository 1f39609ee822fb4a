/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "dump/chunkindex.h"
#include "repo/hash.h"

#define CHUNKS 50000

static struct err err;

/* Chunk i; every 16th has the hash's first bytes of the one before. */
static struct dump_chunk
chunk(unsigned i)
{
	struct dump_chunk c = { .pack = i / 100, .frame = i % 100,
		.bytes = 1 + i, .rows = 1, .crc = i * 7 };
	unsigned first = i % 16 == 0 && i > 0 ? i - 1 : i;

	hash_128(&i, sizeof(i), c.hash);
	memcpy(c.hash, &(uint32_t){ first * 2654435761u }, 4);
	return c;
}

static struct chunkindex *
fill(size_t memory, unsigned n)
{
	struct chunkindex *x = chunkindex_new(memory);
	struct dump_chunk *some = xcalloc(1000, sizeof(*some));
	unsigned i, k;

	for (i = 0; i < n; i += k) {
		for (k = 0; k < 1000 && i + k < n && k <= i; k++)
			some[k] = chunk(i + k);
		assert_int_equal(chunkindex_add(x, some, k, &err), 0);
	}
	chunkindex_seal(x);
	free(some);
	return x;
}

static void
look(struct chunkindex *x, unsigned n)
{
	struct dump_chunk c, found;
	unsigned i;

	for (i = 0; i < n; i++) {
		c = chunk(i);
		assert_true(chunkindex_find(x, &c, &found));
		assert_int_equal(found.pack, i / 100);
		assert_int_equal(found.frame, i % 100);
		/* All of length, hash and CRC must be the same. */
		c.crc++;
		assert_false(chunkindex_find(x, &c, &found));
		c.crc--;
		c.hash[15] ^= 1;
		assert_false(chunkindex_find(x, &c, &found));
		c.hash[15] ^= 1;
		c.bytes++;
		assert_false(chunkindex_find(x, &c, &found));
	}
	c = chunk(n);
	assert_false(chunkindex_find(x, &c, &found));
}

static void
all_are_found_and_no_other(void **state)
{
	static const size_t memory[] = { 0, 1000, (size_t)64 << 20 };
	struct chunkindex *x;
	size_t i;

	for (i = 0; i < 3; i++) {
		x = fill(memory[i], CHUNKS);
		look(x, CHUNKS);
		chunkindex_free(x);
		x = fill(memory[i], 0);
		look(x, 0);
		chunkindex_free(x);
	}
}

static void
no_room_for_the_file_says_what_to_set(void **state)
{
	struct chunkindex *x = chunkindex_new(0);
	struct dump_chunk c = chunk(1);

	assert_int_equal(setenv("TMPDIR", "/nonexistent/dir", 1), 0);
	assert_int_equal(chunkindex_add(x, &c, 1, &err), -1);
	assert_non_null(strstr(err.hint, "TMPDIR"));
	assert_int_equal(unsetenv("TMPDIR"), 0);
	chunkindex_free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_found_and_no_other),
		cmocka_unit_test(no_room_for_the_file_says_what_to_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
