/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "dump/cut.h"
#include "repo/hash.h"

#define ROWS 60000

struct seen {
	uint64_t *hashes;
	size_t n;
	uint64_t bytes, rows, crossing;
	uint64_t sum; /* of all bytes, in order */
	size_t largest;
};

static struct err err;

static int
note(void *arg, const void *data, size_t len, uint32_t rows, struct err *why)
{
	struct seen *s = arg;
	const char *p = data;

	assert_in_range(len, 1, CUT_MAX);
	if (rows > 0)
		assert_int_equal(p[len - 1], '\n');
	s->hashes = xreallocarray(s->hashes, s->n + 1, sizeof(*s->hashes));
	s->hashes[s->n++] = hash_64(data, len, 0);
	s->sum = hash_64(data, len, s->sum);
	s->bytes += len;
	s->rows += rows;
	s->crossing += rows == 0;
	s->largest = len > s->largest ? len : s->largest;
	return 0;
}

/* Row i of version v. */
static size_t
row(char *out, unsigned i, unsigned v)
{
	uint64_t h = hash_64(&i, sizeof(i), v);

	return (size_t)sprintf(out, "%u\tname %llx\t{\"k\": %llu}\t%.*s\n", i,
	    (unsigned long long)h, (unsigned long long)(h >> 7),
	    (int)(h % 90), "the quick brown fox jumps over the lazy dog, and "
	    "over it again and again, until it is tired of it all");
}

/* Rows [from, to), of which every `changed`th is another (0: none). */
static struct seen
cut_rows(unsigned from, unsigned to, unsigned changed)
{
	struct seen s = { .hashes = NULL };
	struct cutter c;
	char text[512];
	unsigned i;
	size_t len;

	cut_init(&c, note, &s);
	for (i = from; i < to; i++) {
		len = row(text, i, changed != 0 && i % changed == 0);
		assert_int_equal(cut_add(&c, text, len, true, &err), 0);
	}
	assert_int_equal(cut_flush(&c, &err), 0);
	cut_free(&c);
	assert_int_equal(s.rows, to - from);
	return s;
}

static size_t
common(const struct seen *a, const struct seen *b)
{
	size_t i, k, n = 0;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < b->n; k++)
			if (a->hashes[i] == b->hashes[k]) {
				n++;
				break;
			}
	return n;
}

static void
cuts_find_each_other_again(void **state)
{
	struct seen a = cut_rows(0, ROWS, 0);
	struct seen less = cut_rows(700, ROWS, 0);
	struct seen more = cut_rows(0, ROWS + ROWS / 100, 0);
	struct seen again = cut_rows(0, ROWS, 0);

	assert_in_range(a.n, 10, 60);
	assert_true(a.largest <= CUT_MAX);
	assert_int_equal(common(&a, &again), a.n);
	assert_int_equal(a.sum, again.sum);
	assert_true(common(&a, &less) + 2 >= a.n);
	assert_true(common(&a, &more) + 1 >= a.n);
	free(a.hashes);
	free(less.hashes);
	free(more.hashes);
	free(again.hashes);
}

static void
a_change_moves_no_cut_but_those_beside_it(void **state)
{
	struct seen a = cut_rows(0, ROWS, 0);
	struct seen b = cut_rows(0, ROWS, ROWS / 2); /* rows 0 and 30000 */

	assert_true(common(&a, &b) + 4 >= a.n);
	free(a.hashes);
	free(b.hashes);
}

static void
a_long_row_goes_on_over_chunks(void **state)
{
	static const size_t lens[] = { 1, CUT_MAX - 1, CUT_MAX, CUT_MAX + 1,
		7 * CUT_MAX + 3 };
	struct seen s = { .hashes = NULL };
	struct cutter c;
	char *text, small[] = "a\n";
	uint64_t total = 0;
	size_t i;

	cut_init(&c, note, &s);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		text = xmalloc(lens[i]);
		memset(text, 'x', lens[i]);
		text[lens[i] - 1] = '\n';
		assert_int_equal(cut_add(&c, text, lens[i], true, &err), 0);
		assert_int_equal(cut_add(&c, small, 2, true, &err), 0);
		total += lens[i] + 2;
		free(text);
	}
	assert_int_equal(cut_flush(&c, &err), 0);
	assert_int_equal(s.bytes, total);
	assert_int_equal(s.rows, 2 * i);
	assert_int_equal(s.crossing, 1 + 7);
	cut_free(&c);
	free(s.hashes);
}

static void
pieces_are_as_the_whole(void **state)
{
	struct seen a = cut_rows(0, 20000, 0), b = { .hashes = NULL };
	struct cutter c;
	char text[512];
	unsigned i;
	size_t len;

	cut_init(&c, note, &b);
	for (i = 0; i < 20000; i++) {
		len = row(text, i, 0);
		assert_int_equal(cut_add(&c, text, len / 3, false, &err), 0);
		assert_int_equal(cut_add(&c, text + len / 3, 0, false, &err),
		    0);
		assert_int_equal(cut_add(&c, text + len / 3, len - len / 3,
		    true, &err), 0);
	}
	assert_int_equal(cut_flush(&c, &err), 0);
	assert_int_equal(a.sum, b.sum);
	assert_int_equal(a.n, b.n);
	assert_int_equal(cut_add(&c, "half", 4, false, &err), 0);
	assert_int_equal(cut_flush(&c, &err), -1);
	assert_int_equal(err.code, ERR_BUG);
	cut_free(&c);
	free(a.hashes);
	free(b.hashes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_find_each_other_again),
		cmocka_unit_test(a_change_moves_no_cut_but_those_beside_it),
		cmocka_unit_test(a_long_row_goes_on_over_chunks),
		cmocka_unit_test(pieces_are_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
