/* SPDX-License-Identifier: PostgreSQL */
/* The set held against a plain array; summaries of PostgreSQL 17. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/buf.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "pg/blockset.h"
#include "pg/walsumfile.h"

#define NODES 7
#define BLOCKS 30000u

static const struct wal_relation rel = { 1663, 5, 16384 };

static void
add(struct blockset *s, enum wal_change_type type, uint32_t node,
    uint32_t block)
{
	struct wal_change c = { type, { 1663, 5, node }, 0, block };

	blockset_add(s, &c);
}

static bool
has(const struct blockset *s, uint32_t node, uint64_t block)
{
	struct wal_relation r = { 1663, 5, node };
	uint8_t bits[2] = { 0 };

	blockset_bits(s, &r, 0, block, 9, bits);
	return bits[0] & 1;
}

static void
random_changes_are_all_there_and_no_others(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	static uint8_t model[NODES][BLOCKS], bits[BLOCKS / 8 + 1];
	uint32_t node, block, first, n, i, limits[NODES];
	struct blockset *s = blockset_new(64 << 20);
	int round;

	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	memset(model, 0, sizeof(model));
	for (i = 0; i < NODES; i++)
		limits[i] = BLOCKSET_NO_LIMIT;
	for (round = 0; round < 20000; round++) {
		node = (uint32_t)rand() % NODES;
		block = (uint32_t)rand() % BLOCKS;
		if (rand() % 3000 == 0) {
			add(s, WAL_CHANGE_LIMIT, node, block);
			if (block < limits[node])
				limits[node] = block;
			continue;
		}
		add(s, WAL_CHANGE_BLOCK, node, block);
		model[node][block] = 1;
	}
	for (node = 0; node < NODES; node++) {
		struct wal_relation r = { 1663, 5, node };

		assert_int_equal(blockset_limit(s, &r, 0), limits[node]);
		first = (uint32_t)rand() % BLOCKS;
		n = BLOCKS - first;
		memset(bits, 0, sizeof(bits));
		blockset_bits(s, &r, 0, first, n, bits);
		for (i = 0; i < n; i++)
			assert_int_equal(bits[i / 8] >> i % 8 & 1,
			    model[node][first + i] ||
			    first + i >= limits[node]);
	}
	blockset_free(s);
}

/* Blocks far up, other forks, and relations that nothing is known of. */
static void
forks_and_far_blocks_are_kept_apart(void **state)
{
	struct blockset *s = blockset_new(64 << 20);
	struct wal_change c = { WAL_CHANGE_BLOCK, rel, 2, UINT32_MAX - 1 };
	struct wal_change db = { WAL_CHANGE_DATABASE, { 1663, 9, 0 }, 0, 0 };
	uint64_t forks, blocks;

	(void)state;
	blockset_add(s, &c);
	assert_false(has(s, 16384, UINT32_MAX - 1));
	c.fork = 0;
	blockset_add(s, &c);
	assert_true(has(s, 16384, UINT32_MAX - 1));
	assert_false(has(s, 16384, 3));
	assert_false(has(s, 16385, 3));
	blockset_add(s, &db);
	assert_true(blockset_has_database(s, 1663, 9));
	assert_false(blockset_has_database(s, 1663, 5));
	blockset_count(s, &forks, &blocks);
	assert_int_equal(forks, 3);
	assert_int_equal(blocks, 2);
	blockset_free(s);
}

static void
without_room_everything_of_a_fork_is_changed(void **state)
{
	struct blockset *s = blockset_new(256 * 1024);
	uint32_t i;

	(void)state;
	/* 512 bytes for each stretch of 4096 blocks: 2 MB would be needed. */
	for (i = 0; i < 4096; i++)
		add(s, WAL_CHANGE_BLOCK, 1, i * 4096);
	assert_false(blockset_full(s));
	for (i = 0; i < 4096; i++)
		assert_true(has(s, 1, i * 4096));
	assert_int_equal(blockset_limit(s, &(struct wal_relation){ 1663, 5,
	    1 }, 0), 0);
	add(s, WAL_CHANGE_BLOCK, 2, 5);
	assert_true(has(s, 2, 5));
	assert_false(has(s, 2, 6));
	/* Forks without end: then the set says that it is too small. */
	for (i = 3; i < 100000 && !blockset_full(s); i++)
		add(s, WAL_CHANGE_BLOCK, i, 0);
	assert_true(blockset_full(s));
	blockset_free(s);
}

static void
note(void *arg, const struct wal_change *c)
{
	blockset_add(arg, c);
}

static void
add_entry(struct buf *b, uint32_t node, uint32_t fork, uint32_t limit,
    uint32_t chunks)
{
	buf_add_le32(b, 1663);
	buf_add_le32(b, 5);
	buf_add_le32(b, node);
	buf_add_le32(b, fork);
	buf_add_le32(b, limit);
	buf_add_le32(b, chunks);
}

static void
finish(struct buf *b)
{
	uint8_t zeroes[24] = { 0 };

	buf_add(b, zeroes, sizeof(zeroes));
	buf_add_le32(b, crc32c(b->data, b->len));
}

static void
summaries_with_lists_and_bitmaps_are_read(void **state)
{
	struct blockset *s = blockset_new(64 << 20);
	struct err err = ERR_INIT;
	uint8_t bitmap[8192] = { 0 };
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_add_le32(&b, 0x652b137b);
	add_entry(&b, 0, 0, 0, 0); /* the database */
	b.data[8] = 9;
	add_entry(&b, 16384, 0, UINT32_MAX, 3);
	buf_add_le16(&b, 2);
	buf_add_le16(&b, 0);
	buf_add_le16(&b, 4096);
	buf_add_le16(&b, 7);
	buf_add_le16(&b, 65535);
	bitmap[1] = 0x10;
	buf_add(&b, bitmap, sizeof(bitmap));
	add_entry(&b, 16385, 0, 12, 0);
	finish(&b);
	assert_int_equal(wal_sumfile_decode(b.data, b.len, note, s, &err), 0);
	assert_true(blockset_has_database(s, 1663, 9));
	assert_true(has(s, 16384, 7) && has(s, 16384, 65535) &&
	    has(s, 16384, 2 * 65536 + 12));
	assert_false(has(s, 16384, 8) || has(s, 16384, 65536) ||
	    has(s, 16384, 2 * 65536 + 11));
	assert_true(has(s, 16385, 12) && !has(s, 16385, 11));
	for (i = 0; i < b.len; i += 97) {
		b.data[i] ^= 1;
		assert_int_equal(wal_sumfile_decode(b.data, b.len, note, s,
		    &err), -1);
		b.data[i] ^= 1;
	}
	/* A right checksum over lengths that are not. */
	b.len = 4 + 24;
	add_entry(&b, 16384, 0, UINT32_MAX, 1);
	buf_add_le16(&b, 4000);
	finish(&b);
	assert_int_equal(wal_sumfile_decode(b.data, b.len, note, s, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_int_equal(wal_sumfile_decode(b.data, 3, note, s, &err), -1);
	/* A database has no other fork: its changes would be looked for by
	 * nobody. */
	b.len = 4;
	add_entry(&b, 0, 1, 0, 0);
	finish(&b);
	assert_int_equal(wal_sumfile_decode(b.data, b.len, note, s, &err), -1);
	buf_free(&b);
	blockset_free(s);
}

static void
summaries_are_chosen_along_the_timelines(void **state)
{
	static const char *const names[] = {
		"0000000100000000010000280000000002000028.summary",
		"0000000100000000020000280000000003000028.summary",
		"0000000100000000030000280000000004000028.summary",
		"0000000200000000030000500000000005000028.summary",
		"0000000200000000060000280000000007000028.summary",
	};
	struct history_entry path[] = { { 1, 0, 0x3000050 },
		{ 2, 0x3000050, UINT64_MAX } };
	struct history h = { 2, path, 2 };
	struct wal_sumfile list[5];
	char name[WAL_SUMFILE_NAME_MAX];
	pg_lsn at = 0x1000100;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_true(wal_sumfile_parse(names[i], &list[i]));
		wal_sumfile_name(&list[i], name);
		assert_string_equal(name, names[i]);
	}
	assert_false(wal_sumfile_parse("temp.summary", &list[0]));
	assert_false(wal_sumfile_parse(
	    "0000000000000000010000280000000002000028.summary", &list[0]));
	(void)wal_sumfile_parse(names[0], &list[0]);
	assert_ptr_equal(wal_sumfile_next(list, 5, &h, at, &at), &list[0]);
	assert_int_equal(at, 0x2000028);
	assert_ptr_equal(wal_sumfile_next(list, 5, &h, at, &at), &list[1]);
	assert_int_equal(at, 0x3000028);
	/* It goes beyond the fork: what counts is up to there. */
	assert_ptr_equal(wal_sumfile_next(list, 5, &h, at, &at), &list[2]);
	assert_int_equal(at, 0x3000050);
	assert_ptr_equal(wal_sumfile_next(list, 5, &h, at, &at), &list[3]);
	assert_int_equal(at, 0x5000028);
	assert_null(wal_sumfile_next(list, 5, &h, at, &at));
	assert_int_equal(at, 0x5000028);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_are_all_there_and_no_others),
		cmocka_unit_test(forks_and_far_blocks_are_kept_apart),
		cmocka_unit_test(without_room_everything_of_a_fork_is_changed),
		cmocka_unit_test(summaries_with_lists_and_bitmaps_are_read),
		cmocka_unit_test(summaries_are_chosen_along_the_timelines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
