/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/libarchive.h"

#include "core/dynlib.h"

static struct libarchive functions;
static const struct dynlib_symbol symbols[] = {
#define SYMBOL(name) { #name, offsetof(struct libarchive, name) },
	LIBARCHIVE_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

static struct dynlib library = { .names = { "libarchive.so.13" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &functions, .lock = PTHREAD_MUTEX_INITIALIZER };

int
libarchive_get(const struct libarchive **out, struct err *err)
{
	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_CONFIG,
		    "libarchive, which reads and writes tar, cannot be "
		    "loaded: %s", library.why);
		return err_hint(err, "apt-get install libarchive13");
	}
	*out = &functions;
	return 0;
}
