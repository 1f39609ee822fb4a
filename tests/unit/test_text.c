/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/text.h"

static void
escaping_is_undone_for_all_bytes(void **state)
{
	uint8_t all[256];
	struct buf escaped, back;
	size_t i;

	for (i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	buf_init(&escaped, 1000);
	buf_init(&back, 1000);
	text_escape(&escaped, all, sizeof(all));
	for (i = 0; i < escaped.len; i++)
		assert_true(escaped.data[i] > 0x20 && escaped.data[i] < 0x7f &&
		    escaped.data[i] != '"' && escaped.data[i] != '\\');
	assert_true(text_unescape(&back, buf_str(&escaped)));
	assert_int_equal(back.len, sizeof(all));
	assert_memory_equal(back.data, all, sizeof(all));
	buf_clear(&escaped);
	text_escape(&escaped, "a b%c\xc3\xa4", 7);
	assert_string_equal(buf_str(&escaped), "a%20b%25c%C3%A4");
	buf_free(&back);
	buf_free(&escaped);
}

static void
a_malformed_escape_is_refused(void **state)
{
	static const char *const bad[] = { "%", "%4", "%4g", "a%", "%%41" };
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_init(&b, 100);
		assert_false(text_unescape(&b, bad[i]));
		buf_free(&b);
	}
}

/* RFC 4648, section 10. */
static void
base64_is_the_standards(void **state)
{
	static const char *const texts[] = { "", "", "f", "Zg==", "fo", "Zm8=",
		"foo", "Zm9v", "foob", "Zm9vYg==", "fooba", "Zm9vYmE=",
		"foobar", "Zm9vYmFy", "\373\377\277", "+/+/" };
	char out[TEXT_BASE64_MAX(6)];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i += 2) {
		text_base64(texts[i], strlen(texts[i]), out);
		assert_string_equal(out, texts[i + 1]);
	}
}

static void
hexadecimal_is_exact(void **state)
{
	uint8_t out[4];
	char text[9];

	assert_true(text_unhex("00ffA5b6", out, 4));
	assert_memory_equal(out, "\x00\xff\xa5\xb6", 4);
	text_hex(out, 4, text);
	assert_string_equal(text, "00ffa5b6");
	assert_false(text_unhex("00ffa5b", out, 4));
	assert_false(text_unhex("00ffa5b67", out, 4));
	assert_false(text_unhex("00ffa5bg", out, 4));
	assert_false(text_unhex("", out, 4));
}

static void
numbers_are_strict(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1",
		"1.0", "18446744073709551616", "99999999999999999999" };
	uint64_t v;
	size_t i;

	assert_true(text_u64("0", 10, &v));
	assert_true(text_u64("18446744073709551615", UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	assert_false(text_u64("11", 10, &v));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_u64(bad[i], UINT64_MAX, &v));
	assert_true(text_hex_u64("00000a0F", 8, &v));
	assert_int_equal(v, 0xa0f);
	assert_false(text_hex_u64("0000", 8, &v));
	assert_false(text_hex_u64("0", 17, &v));
}

static void
sizes_and_durations_have_postgresqls_units(void **state)
{
	uint64_t v;

	assert_true(text_size("16MB", &v) && v == 16 << 20);
	assert_true(text_size("2 TB", &v) && v == (uint64_t)2 << 40);
	assert_true(text_size("8192", &v) && v == 8192);
	assert_true(text_size("3kB", &v) && v == 3072);
	assert_false(text_size("16mb", &v));
	assert_false(text_size("MB", &v));
	assert_false(text_size("1.5GB", &v));
	assert_false(text_size("99999999999TB", &v));
	assert_true(text_duration("30", &v) && v == 30000);
	assert_true(text_duration("500ms", &v) && v == 500);
	assert_true(text_duration("7d", &v) && v == 604800000);
	assert_true(text_duration("5min", &v) && v == 300000);
	assert_false(text_duration("5m", &v));
	assert_false(text_duration("-1s", &v));
}

static void
sizes_for_people_are_short(void **state)
{
	char out[TEXT_SIZE_MAX];

	assert_string_equal(text_human_size(0, out), "0 B");
	assert_string_equal(text_human_size(1023, out), "1023 B");
	assert_string_equal(text_human_size(1024, out), "1.0 kB");
	assert_string_equal(text_human_size(619986944, out), "591 MB");
	assert_string_equal(text_human_size(4402341478, out), "4.1 GB");
	assert_true(strlen(text_human_size(UINT64_MAX, out)) < TEXT_SIZE_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escaping_is_undone_for_all_bytes),
		cmocka_unit_test(a_malformed_escape_is_refused),
		cmocka_unit_test(base64_is_the_standards),
		cmocka_unit_test(hexadecimal_is_exact),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(sizes_and_durations_have_postgresqls_units),
		cmocka_unit_test(sizes_for_people_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
