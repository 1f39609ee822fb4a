/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/libcrypto.h"

#include "core/dynlib.h"

static struct libcrypto functions;
static const struct dynlib_symbol symbols[] = {
#define SYMBOL(name) { #name, offsetof(struct libcrypto, name) },
	LIBCRYPTO_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

static struct dynlib library = { .names = { "libcrypto.so.3", "libcrypto.so.1.1" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &functions, .lock = PTHREAD_MUTEX_INITIALIZER };

int
libcrypto_get(const struct libcrypto **out, struct err *err)
{
	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_CONFIG, "cannot load libcrypto: %s",
		    library.why);
		return err_hint(err, "install OpenSSL 3, on Debian: "
				     "apt-get install libssl3");
	}
	*out = &functions;
	return 0;
}
