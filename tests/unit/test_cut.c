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
	assert_int_equal(cut_flush(&c, true, &err), 0);
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

/* Eight different rows of four bytes, in no order. */
static struct seen
cut_narrow(unsigned from, unsigned to)
{
	struct seen s = { .hashes = NULL };
	struct cutter c;
	char text[8];
	unsigned i;

	cut_init(&c, note, &s);
	for (i = from; i < to; i++) {
		(void)sprintf(text, "%u\t%c\n",
		    (unsigned)(hash_64(&i, sizeof(i), 0) % 4),
		    (hash_64(&i, sizeof(i), 1) & 1) != 0 ? 't' : 'f');
		assert_int_equal(cut_add(&c, text, 4, true, &err), 0);
	}
	assert_int_equal(cut_flush(&c, true, &err), 0);
	cut_free(&c);
	assert_int_equal(s.rows, to - from);
	return s;
}

static void
a_few_different_rows_are_enough_to_find_cuts(void **state)
{
	struct seen a = cut_narrow(1, 2000000), b = cut_narrow(0, 2000000);

	assert_in_range(a.n, 15, 60);
	assert_true(common(&a, &b) + 2 >= a.n);
	free(a.hashes);
	free(b.hashes);
}

/* An UPDATE of a page's rows, and vacuum: whole pages change places. */
static void
pages_may_change_places(void **state)
{
	struct seen a = cut_rows(0, ROWS, 0), b = { .hashes = NULL };
	static const unsigned order[] = { 3, 0, 5, 1, 4, 2 };
	const unsigned part = ROWS / 6;
	struct cutter c;
	char text[512];
	unsigned i, k;

	cut_init(&c, note, &b);
	for (k = 0; k < 6; k++)
		for (i = order[k] * part; i < (order[k] + 1) * part; i++)
			assert_int_equal(cut_add(&c, text, row(text, i, 0),
			    true, &err), 0);
	assert_int_equal(cut_flush(&c, true, &err), 0);
	cut_free(&c);
	assert_true(common(&a, &b) + 2 * 6 >= a.n);
	assert_int_equal(a.bytes, b.bytes);
	free(a.hashes);
	free(b.hashes);
}

/* The least a row can be: of a table without columns. */
static void
rows_of_one_byte(void **state)
{
	struct seen s = { .hashes = NULL };
	struct cutter c;
	unsigned i;

	cut_init(&c, note, &s);
	for (i = 0; i < 3000000; i++)
		assert_int_equal(cut_add(&c, "\n", 1, true, &err), 0);
	assert_int_equal(cut_flush(&c, true, &err), 0);
	assert_int_equal(s.rows, 3000000);
	assert_int_equal(s.bytes, 3000000);
	cut_free(&c);
	free(s.hashes);
}

static size_t
memory_now(void)
{
	size_t pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu %zu", &pages, &resident), 2);
	(void)fclose(f);
	return resident * 4096;
}

/* Its only whole copy is the caller's. */
static void
a_row_of_400_mb_is_not_kept(void **state)
{
	const size_t len = (size_t)400 << 20;
	char *text = xmalloc(len);
	struct seen s = { .hashes = NULL };
	struct cutter c;
	size_t before;

	memset(text, 'y', len);
	text[len - 1] = '\n';
	cut_init(&c, note, &s);
	before = memory_now();
	assert_int_equal(cut_add(&c, text, len, true, &err), 0);
	assert_int_equal(cut_flush(&c, true, &err), 0);
	assert_true(memory_now() < before + ((size_t)4 << 20));
	assert_int_equal(s.bytes, len);
	assert_int_equal(s.rows, 1);
	assert_int_equal(s.crossing, 399);
	cut_free(&c);
	free(s.hashes);
	free(text);
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
	assert_int_equal(cut_flush(&c, true, &err), 0);
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
	assert_int_equal(cut_flush(&c, true, &err), 0);
	assert_int_equal(a.sum, b.sum);
	assert_int_equal(a.n, b.n);
	assert_int_equal(cut_add(&c, "half", 4, false, &err), 0);
	assert_int_equal(cut_flush(&c, true, &err), -1);
	assert_int_equal(err.code, ERR_BUG);
	assert_int_equal(cut_flush(&c, false, &err), 0); /* as text it may */
	assert_int_equal(b.bytes, a.bytes + 4);
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
		cmocka_unit_test(a_few_different_rows_are_enough_to_find_cuts),
		cmocka_unit_test(pages_may_change_places),
		cmocka_unit_test(rows_of_one_byte),
		cmocka_unit_test(a_row_of_400_mb_is_not_kept),
		cmocka_unit_test(a_long_row_goes_on_over_chunks),
		cmocka_unit_test(pieces_are_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
