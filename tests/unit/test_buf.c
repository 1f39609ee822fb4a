/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/buf.h"
#include "core/bytes.h"

static void
adding_keeps_a_zero_behind_the_text(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_string_equal(buf_str(&b), "");
	buf_add(&b, "abc", 3);
	buf_printf(&b, "%d-%s", 42, "x");
	assert_string_equal(buf_str(&b), "abc42-x");
	assert_int_equal(b.len, 7);
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	buf_free(&b);
	buf_free(&b);
}

static void
passing_the_ceiling_leaves_the_content_and_is_reported(void **state)
{
	struct err err = ERR_INIT;
	struct buf b;

	buf_init(&b, 10);
	buf_add(&b, "12345", 5);
	buf_add(&b, "1234567", 7);
	buf_add(&b, "6", 1); /* would fit, but the mark is sticky */
	assert_string_equal(buf_str(&b), "12345");
	assert_int_equal(buf_check(&b, "thing", &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_string_equal(err.msg, "thing is larger than 10 bytes");
	buf_clear(&b);
	buf_add(&b, "1234567890", 10);
	assert_int_equal(buf_check(&b, "thing", &err), 0);
	assert_null(buf_reserve(&b, 1));
	buf_free(&b);
}

static void
printf_past_the_ceiling_writes_nothing(void **state)
{
	struct err err = ERR_INIT;
	struct buf b;

	buf_init(&b, 4);
	buf_printf(&b, "%s", "12345");
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_check(&b, "x", &err), -1);
	buf_free(&b);
}

static void
a_huge_length_does_not_wrap_around(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	buf_add(&b, "1234", 4);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(buf_reserve(&b, SIZE_MAX - 3));
	assert_int_equal(b.len, 4);
	buf_free(&b);
}

static void
numbers_are_little_endian_whatever_the_machine(void **state)
{
	static const uint8_t expected[] = { 0x34, 0x12, 0x78, 0x56, 0x34,
		0x12, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01 };
	struct buf b;

	buf_init(&b, 100);
	buf_add_le16(&b, 0x1234);
	buf_add_le32(&b, 0x12345678);
	buf_add_le64(&b, 0x0123456789abcdef);
	assert_int_equal(b.len, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
	assert_int_equal(get_le16(b.data), 0x1234);
	assert_int_equal(get_le32(b.data + 2), 0x12345678);
	assert_true(get_le64(b.data + 6) == 0x0123456789abcdef);
	assert_int_equal(get_le32((const uint8_t *)"\xff\xff\xff\xff"),
	    UINT32_MAX);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_keeps_a_zero_behind_the_text),
		cmocka_unit_test(
		    passing_the_ceiling_leaves_the_content_and_is_reported),
		cmocka_unit_test(printf_past_the_ceiling_writes_nothing),
		cmocka_unit_test(a_huge_length_does_not_wrap_around),
		cmocka_unit_test(numbers_are_little_endian_whatever_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
