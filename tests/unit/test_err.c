/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/err.h"

static void
context_is_put_before_and_code_and_hint_stay(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(err_sys(&err, ENOSPC, "write %s", "f"), -1);
	assert_int_equal(err.code, ERR_IO);
	assert_int_equal(err.sys_errno, ENOSPC);
	err_hint(&err, "free %d bytes", 10);
	err_hint(&err, "a later hint");
	assert_int_equal(err_wrap(&err, "backup %s", "L"), -1);
	assert_string_equal(err.msg,
	    "backup L: write f: No space left on device");
	assert_string_equal(err.hint, "free 10 bytes");
	assert_int_equal(err.code, ERR_IO);
}

static void
errno_tells_absent_and_taken_from_the_rest(void **state)
{
	struct err err = ERR_INIT;

	err_sys(&err, ENOENT, "x");
	assert_int_equal(err.code, ERR_NOT_FOUND);
	err_sys(&err, EEXIST, "x");
	assert_int_equal(err.code, ERR_EXISTS);
	err_sys(&err, EACCES, "x");
	assert_int_equal(err.code, ERR_IO);
}

static void
a_new_error_forgets_the_old_hint(void **state)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_USAGE, "a");
	err_hint(&err, "hint");
	err_set(&err, ERR_CONFIG, "b");
	assert_string_equal(err.hint, "");
	err_clear(&err);
	assert_int_equal(err.code, ERR_NONE);
	assert_string_equal(err.msg, "");
}

static void
long_messages_are_cut_not_overrun(void **state)
{
	struct err err = ERR_INIT;
	char text[3 * ERR_MSG_MAX];
	int i;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_sys(&err, EIO, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
	for (i = 0; i < 5; i++)
		err_wrap(&err, "%s", text);
	err_hint(&err, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
	assert_int_equal(strlen(err.hint), ERR_HINT_MAX - 1);
}

static void
every_code_has_a_name(void **state)
{
	int code;

	for (code = ERR_NONE; code <= ERR_CANCELLED; code++)
		assert_non_null(err_code_name((enum err_code)code));
	assert_string_equal(err_code_name(ERR_DAMAGED), "damaged");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(context_is_put_before_and_code_and_hint_stay),
		cmocka_unit_test(errno_tells_absent_and_taken_from_the_rest),
		cmocka_unit_test(a_new_error_forgets_the_old_hint),
		cmocka_unit_test(long_messages_are_cut_not_overrun),
		cmocka_unit_test(every_code_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
