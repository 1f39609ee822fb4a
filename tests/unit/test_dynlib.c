/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/dynlib.h"

#define ZLIB "libz.so.1"

static struct functions {
	const char *(*version)(void);
	int (*other)(void);
} functions;

static const struct dynlib_symbol good[] = {
	{ "zlibVersion", offsetof(struct functions, version) },
};
static const struct dynlib_symbol bad[] = {
	{ "zlibVersion", offsetof(struct functions, version) },
	{ "zlib_has_no_such_function", offsetof(struct functions, other) },
};
static unsigned inits;

static const char *
init_ok(void)
{
	inits++;
	return functions.version() != NULL ? NULL : "no version";
}

static const char *
init_fails(void)
{
	inits++;
	return "it does not want to";
}

static struct dynlib
library(const char *name, const char *other)
{
	struct dynlib lib = { .names = { name, other }, .symbols = good,
		.n = 1, .functions = &functions, .init = init_ok };

	(void)pthread_mutex_init(&lib.lock, NULL);
	memset(&functions, 0, sizeof(functions));
	inits = 0;
	return lib;
}

static void
a_library_is_loaded_once_and_works(void **state)
{
	struct dynlib lib = library(ZLIB, NULL);

	(void)state;
	assert_true(dynlib_load(&lib));
	assert_true(dynlib_load(&lib));
	assert_int_equal(inits, 1);
	assert_non_null(strchr(functions.version(), '.'));
}

static void
another_name_will_do(void **state)
{
	struct dynlib lib = library("libno-such-thing.so.7", ZLIB);

	(void)state;
	assert_true(dynlib_load(&lib));
	assert_non_null(functions.version);
}

static void
what_is_missing_is_named_and_stays_missing(void **state)
{
	struct dynlib lib = library("libno-such-thing.so.7",
	    "libnor-this.so.7");

	(void)state;
	assert_false(dynlib_load(&lib));
	assert_non_null(strstr(lib.why, "libno-such-thing.so.7"));
	assert_false(dynlib_load(&lib));
	lib = library(ZLIB, NULL);
	lib.symbols = bad;
	lib.n = 2;
	assert_false(dynlib_load(&lib));
	assert_non_null(strstr(lib.why, "zlib_has_no_such_function"));
	assert_int_equal(inits, 0);
	lib = library(ZLIB, NULL);
	lib.init = init_fails;
	assert_false(dynlib_load(&lib));
	assert_false(dynlib_load(&lib));
	assert_int_equal(inits, 1);
	assert_string_equal(lib.why, "it does not want to");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_library_is_loaded_once_and_works),
		cmocka_unit_test(another_name_will_do),
		cmocka_unit_test(what_is_missing_is_named_and_stays_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
