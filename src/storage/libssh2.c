/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/libssh2.h"

#include "core/dynlib.h"

static struct libssh2 functions;
static const struct dynlib_symbol symbols[] = {
#define SYMBOL(name) { "libssh2_" #name, offsetof(struct libssh2, name) },
	LIBSSH2_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

/* Older versions want this done by one thread. */
static const char *
init(void)
{
	return functions.init(0) == 0 ? NULL :
	    "libssh2_init() failed";
}

static struct dynlib library = { .names = { "libssh2.so.1" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &functions, .init = init,
	.lock = PTHREAD_MUTEX_INITIALIZER };

int
libssh2_get(const struct libssh2 **out, struct err *err)
{
	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_CONFIG,
		    "libssh2, which speaks SFTP, cannot be loaded: %s",
		    library.why);
		return err_hint(err, "apt-get install libssh2-1");
	}
	*out = &functions;
	return 0;
}
