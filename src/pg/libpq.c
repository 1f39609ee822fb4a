/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/libpq.h"

#include "core/dynlib.h"

static struct libpq functions;
static const struct dynlib_symbol symbols[] = {
#define SYMBOL(name) { #name, offsetof(struct libpq, name) },
	LIBPQ_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

/* It stays open, as it must: libpq leaves TLS state behind. */
static struct dynlib library = { .names = { "libpq.so.5" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &functions, .lock = PTHREAD_MUTEX_INITIALIZER };

int
libpq_get(const struct libpq **out, struct err *err)
{
	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_POSTGRES,
		    "PostgreSQL's client library cannot be loaded: %s",
		    library.why);
		return err_hint(err, "apt-get install libpq5");
	}
	*out = &functions;
	return 0;
}
