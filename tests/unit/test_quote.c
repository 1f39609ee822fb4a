/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/quote.h"

static void
a_name_keeps_every_character(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	pg_quote_qualified(&b, "a\"b", "c\nd'e\\%");
	assert_string_equal(buf_str(&b), "\"a\"\"b\".\"c\nd'e\\%\"");
	buf_free(&b);
}

static void
a_backslash_means_itself_whatever_the_server_says(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	pg_quote_literal(&b, "it's");
	buf_add_byte(&b, ' ');
	pg_quote_literal(&b, "a\\'b");
	assert_string_equal(buf_str(&b), "'it''s' E'a\\\\''b'");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_keeps_every_character),
		cmocka_unit_test(
		    a_backslash_means_itself_whatever_the_server_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
