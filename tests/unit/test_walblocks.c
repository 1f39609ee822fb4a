/* SPDX-License-Identifier: PostgreSQL */
/* What single records change; real ones are in tests/integration/64-*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "pg/walblocks.h"

#define CHANGES_MAX 64

struct got {
	struct wal_change list[CHANGES_MAX];
	size_t n;
	const char *reason;
	bool ok;
};

static void
note(void *arg, const struct wal_change *c)
{
	struct got *g = arg;

	assert_true(g->n < CHANGES_MAX);
	g->list[g->n++] = *c;
}

static struct got
decode(int major, uint8_t rmgr, uint8_t info, const struct buf *body)
{
	struct got g = { .n = 0 };
	size_t len = 24 + body->len;
	uint8_t *rec = xcalloc(1, len);

	put_le32(rec, (uint32_t)len);
	rec[16] = info;
	rec[17] = rmgr;
	if (body->len > 0)
		memcpy(rec + 24, body->data, body->len);
	g.ok = wal_blocks_decode(rec, len, major, note, &g, &g.reason);
	free(rec);
	return g;
}

/* A record with just main data. */
static struct got
decode_main(int major, uint8_t rmgr, uint8_t info, const struct buf *data)
{
	struct buf body;
	struct got g;

	buf_init(&body, 1 << 20);
	buf_add_byte(&body, 255);
	buf_add_byte(&body, (uint8_t)data->len);
	buf_add(&body, data->data, data->len);
	g = decode(major, rmgr, info, &body);
	buf_free(&body);
	return g;
}

static void
add_words(struct buf *b, size_t n, const uint32_t *words)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_add_le32(b, words[i]);
}

#define WORDS(b, ...)                                                         \
	add_words(b, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4,                 \
	    (const uint32_t[]){ __VA_ARGS__ })

static void
assert_change(const struct wal_change *c, enum wal_change_type type,
    uint32_t node, uint32_t fork, uint32_t block)
{
	assert_int_equal(c->type, type);
	assert_int_equal(c->relation.tablespace, 1663);
	assert_int_equal(c->relation.database, 5);
	assert_int_equal(c->relation.node, node);
	assert_int_equal(c->fork, fork);
	assert_int_equal(c->block, block);
}

static void
add_ref(struct buf *b, uint8_t id, uint8_t flags, uint16_t data)
{
	buf_add_byte(b, id);
	buf_add_byte(b, flags);
	buf_add_le16(b, data);
}

/*
 * Two images, one of them compressed with a hole, a second block of the same
 * relation, data, an origin and a top-level xid: bits differ before 15.
 */
static void
block_references_are_found_behind_images(void **state)
{
	static const int majors[] = { 13, 14, 15, 16, 17, 18 };
	struct buf b;
	struct got g;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(majors) / sizeof(majors[0]); i++) {
		buf_init(&b, 1 << 20);
		add_ref(&b, 0, 0x10 | 0x20, 3);
		buf_add_le16(&b, 7);
		buf_add_le16(&b, 100);
		/* with a hole, compressed; one with a hole is not */
		buf_add_byte(&b, majors[i] >= 15 ? 0x01 | 0x08 : 0x01 | 0x02);
		buf_add_le16(&b, 50);
		WORDS(&b, 1663, 5, 16384, 77);
		add_ref(&b, 2, 0x10 | 0x80 | 0x02, 0);
		buf_add_le16(&b, 4);
		buf_add_le16(&b, 100);
		buf_add_byte(&b, majors[i] >= 15 ? 0x01 | 0x02 : 0x01 | 0x04);
		WORDS(&b, 9);
		buf_add_byte(&b, 253);
		buf_add_le16(&b, 1);
		buf_add_byte(&b, 252);
		WORDS(&b, 1234);
		buf_add_byte(&b, 255);
		buf_add_byte(&b, 2);
		buf_add(&b, "iiiiiiidddiiiimm", 16);
		g = decode(majors[i], 10, 0, &b);
		assert_true(g.ok);
		assert_int_equal(g.n, 2);
		assert_change(&g.list[0], WAL_CHANGE_BLOCK, 16384, 0, 77);
		assert_change(&g.list[1], WAL_CHANGE_BLOCK, 16384, 2, 9);
		buf_free(&b);
	}
}

static void
lengths_that_do_not_add_up_are_not_understood(void **state)
{
	struct buf b;
	struct got g;
	size_t cut;

	(void)state;
	buf_init(&b, 1 << 20);
	add_ref(&b, 0, 0x20, 3);
	WORDS(&b, 1663, 5, 16384, 77);
	buf_add_byte(&b, 255);
	buf_add_byte(&b, 4);
	buf_add(&b, "dddmmmm", 7);
	assert_true(decode(15, 10, 0, &b).ok);
	buf_add_byte(&b, 0);
	assert_false(decode(15, 10, 0, &b).ok);
	for (cut = b.len - 2; cut > 0; cut--) {
		if (cut == 23)
			continue; /* a record with nothing but its block */
		b.len = cut;
		g = decode(15, 10, 0, &b);
		assert_false(g.ok);
		assert_non_null(g.reason);
	}
	buf_clear(&b);
	add_ref(&b, 0, 0x80, 0); /* the same relation as none */
	WORDS(&b, 77);
	assert_false(decode(15, 10, 0, &b).ok);
	buf_clear(&b);
	add_ref(&b, 0, 0x07, 0); /* a fork that there is not */
	WORDS(&b, 1663, 5, 16384, 77);
	assert_false(decode(15, 10, 0, &b).ok);
	buf_free(&b);
}

static void
files_made_and_cut_are_new_from_there_on(void **state)
{
	struct buf b;
	struct got g;

	(void)state;
	buf_init(&b, 1 << 20);
	WORDS(&b, 1663, 5, 16384, 0);
	g = decode_main(15, 2, 0x11, &b);
	assert_true(g.ok);
	assert_int_equal(g.n, 1);
	assert_change(&g.list[0], WAL_CHANGE_LIMIT, 16384, 0, 0);
	buf_clear(&b);
	WORDS(&b, 42, 1663, 5, 16384, 7);
	g = decode_main(15, 2, 0x21, &b);
	assert_true(g.ok);
	assert_int_equal(g.n, 2);
	assert_change(&g.list[0], WAL_CHANGE_LIMIT, 16384, 0, 42);
	assert_int_equal(g.list[1].fork, 2);
	assert_false(decode_main(15, 2, 0x31, &b).ok);
	buf_free(&b);
}

static void
relations_dropped_in_commit_and_abort_are_new(void **state)
{
	static const uint8_t ops[] = { 0x00, 0x20, 0x30, 0x40 };
	struct buf b;
	struct got g;
	size_t i;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_add_le64(&b, 12345);
	/* database, one subtransaction, two relations, the prepared xid */
	WORDS(&b, 0x1 | 0x2 | 0x4 | 0x10, 5, 1663, 1, 700, 2, 1663, 5, 16384,
	    1663, 5, 16390, 701);
	for (i = 0; i < sizeof(ops); i++) {
		g = decode_main(15, 1, ops[i] | 0x80 | 0x01, &b);
		assert_true(g.ok);
		assert_int_equal(g.n, 8);
		assert_change(&g.list[0], WAL_CHANGE_LIMIT, 16384, 0, 0);
		assert_change(&g.list[4], WAL_CHANGE_LIMIT, 16390, 0, 0);
	}
	/* Without the flag that says so there is nothing of that. */
	b.len = 8;
	g = decode_main(15, 1, 0x00, &b);
	assert_true(g.ok && g.n == 0);
	assert_false(decode_main(15, 1, 0x80, &b).ok);
	assert_true(decode_main(14, 1, 0x60, &b).ok);
	assert_false(decode_main(13, 1, 0x60, &b).ok);
	assert_false(decode_main(18, 1, 0x70, &b).ok);
	buf_free(&b);
}

static void
databases_made_and_dropped_are_new(void **state)
{
	struct buf b;
	struct got g;

	(void)state;
	buf_init(&b, 1 << 20);
	WORDS(&b, 5, 1663, 1, 1663);
	g = decode_main(14, 4, 0x01, &b); /* create, before 15 */
	assert_true(g.ok && g.n == 1);
	assert_change(&g.list[0], WAL_CHANGE_DATABASE, 0, 0, 0);
	g = decode_main(18, 4, 0x01, &b);
	assert_true(g.ok && g.n == 1);
	b.len = 8;
	g = decode_main(15, 4, 0x11, &b); /* create, logged */
	assert_true(g.ok && g.n == 1);
	assert_change(&g.list[0], WAL_CHANGE_DATABASE, 0, 0, 0);
	buf_clear(&b);
	WORDS(&b, 5, 2, 1663, 1663);
	assert_int_equal(decode_main(14, 4, 0x11, &b).n, 2); /* drop */
	assert_int_equal(decode_main(15, 4, 0x21, &b).n, 2);
	assert_false(decode_main(14, 4, 0x21, &b).ok);
	assert_false(decode_main(15, 4, 0x31, &b).ok);
	buf_free(&b);
}

static void
what_nobody_knows_means_read_everything(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	WORDS(&b, 5, 1663, 1, 1663);
	assert_false(decode_main(15, 128, 0, &b).ok); /* an extension's */
	assert_false(decode_main(15, 22, 0, &b).ok);
	assert_true(decode_main(15, 21, 0, &b).ok);
	/* A record that says of itself that it changes files. */
	assert_true(decode_main(15, 10, 0x00, &b).ok);
	assert_false(decode_main(15, 10, 0x01, &b).ok);
	assert_false(decode_main(15, 0, 0xf0, &b).ok);
	assert_false(decode_main(16, 0, 0xe0, &b).ok);
	buf_free(&b);
}

static void
minimal_wal_and_torn_pages_mean_read_everything(void **state)
{
	uint8_t data[88] = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	data[16] = 1; /* full_page_writes */
	put_le32(data + 20, 1);
	buf_add(&b, data, sizeof(data));
	assert_true(decode_main(15, 0, 0x10, &b).ok);
	assert_true(decode_main(17, 0, 0x00, &b).ok);
	b.data[20] = 0;
	assert_false(decode_main(17, 0, 0x00, &b).ok);
	assert_true(decode_main(15, 0, 0x00, &b).ok); /* has no level there */
	b.data[16] = 0;
	assert_false(decode_main(15, 0, 0x10, &b).ok);
	buf_clear(&b);
	WORDS(&b, 100, 8, 10, 0, 64, 1, 0);
	assert_true(decode_main(13, 0, 0x60, &b).ok); /* parameters */
	b.data[20] = 0;
	assert_false(decode_main(13, 0, 0x60, &b).ok);
	b.len = 1;
	b.data[0] = 1;
	assert_true(decode_main(15, 0, 0x80, &b).ok);
	b.data[0] = 0;
	assert_false(decode_main(15, 0, 0x80, &b).ok);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_references_are_found_behind_images),
		cmocka_unit_test(lengths_that_do_not_add_up_are_not_understood),
		cmocka_unit_test(files_made_and_cut_are_new_from_there_on),
		cmocka_unit_test(relations_dropped_in_commit_and_abort_are_new),
		cmocka_unit_test(databases_made_and_dropped_are_new),
		cmocka_unit_test(what_nobody_knows_means_read_everything),
		cmocka_unit_test(minimal_wal_and_torn_pages_mean_read_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
