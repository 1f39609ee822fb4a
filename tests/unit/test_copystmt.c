/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dump/copystmt.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
columns_are_found_whatever_the_names_are(void **state)
{
	static const struct {
		const char *statement, *columns;
	} cases[] = {
		{ "COPY public.t (a, b) FROM stdin;\n", "a, b" },
		{ "COPY public.t  FROM stdin;\n", "" },
		{ "COPY \"a b\".\"c (d) FROM stdin;\n\" (\"x) FROM stdin;\n\")"
		  " FROM stdin;\n", "\"x) FROM stdin;\n\"" },
		{ "COPY \"q\"\"u. (\".\"o\"\"\" (\"\"\"\", b) FROM stdin;\n",
		    "\"\"\"\", b" },
		{ "COPY s.\"t.u\"  FROM stdin;\n", "" },
	};
	struct err err = ERR_INIT;
	const char *columns;
	size_t i, len;
	struct buf b;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(copystmt_columns(cases[i].statement,
		    &columns, &len, &err), 0);
		buf_init(&b, 1000);
		buf_add(&b, columns, len);
		assert_string_equal(buf_str(&b), cases[i].columns);
		buf_free(&b);
	}
}

static void
another_statement_is_refused(void **state)
{
	static const char *const cases[] = { "", "COPY ", "COPY t FROM stdin;",
		"INSERT INTO t VALUES (1);\n", "COPY \"t FROM stdin;\n",
		"COPY public.t a, b FROM stdin;\n",
		"COPY public.t (a, b) FROM stdin WITH BINARY;\n" };
	struct err err = ERR_INIT;
	const char *columns;
	size_t i, len;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_int_equal(copystmt_columns(cases[i], &columns, &len,
		    &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
	}
}

static void
check(const struct copystmt *c, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	copystmt_make(c, &b);
	assert_string_equal(buf_str(&b), want);
	buf_free(&b);
}

static void
a_table_is_read_as_pg_dump_reads_it(void **state)
{
	struct copystmt c = { .table = "public.t", .columns = "a, b",
		.columns_len = 4 };

	(void)state;
	check(&c, "COPY public.t (a, b) TO STDOUT");
	c.condition = "WHERE srid > 9";
	check(&c, "COPY (SELECT a, b FROM public.t WHERE srid > 9) TO STDOUT");
	c.condition = NULL;
	c.foreign = true;
	check(&c, "COPY (SELECT a, b FROM public.t) TO STDOUT");
	c.foreign = false;
	c.columns_len = 0;
	check(&c, "COPY public.t TO STDOUT");
}

static void
a_range_takes_no_rows_of_children_and_the_last_one_has_no_end(void **state)
{
	struct copystmt c = { .table = "public.t", .columns = "a",
		.columns_len = 1, .ranged = true, .first_block = 64,
		.end_block = 128 };

	(void)state;
	check(&c, "COPY (SELECT a FROM ONLY public.t WHERE ctid "
	    "OPERATOR(pg_catalog.>=) '(64,0)'::pg_catalog.tid AND ctid "
	    "OPERATOR(pg_catalog.<) '(128,0)'::pg_catalog.tid) TO STDOUT");
	c.end_block = 0;
	check(&c, "COPY (SELECT a FROM ONLY public.t WHERE ctid "
	    "OPERATOR(pg_catalog.>=) '(64,0)'::pg_catalog.tid) TO STDOUT");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_found_whatever_the_names_are),
		cmocka_unit_test(another_statement_is_refused),
		cmocka_unit_test(a_table_is_read_as_pg_dump_reads_it),
		cmocka_unit_test(
		    a_range_takes_no_rows_of_children_and_the_last_one_has_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
