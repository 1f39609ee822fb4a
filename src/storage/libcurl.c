/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/libcurl.h"

#include "core/dynlib.h"

static struct libcurl functions;
static const struct dynlib_symbol symbols[] = {
#define SYMBOL(name) { "curl_" #name, offsetof(struct libcurl, name) },
	LIBCURL_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

/* Older versions want this done by one thread. */
static const char *
init(void)
{
	return functions.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? NULL :
	    "curl_global_init() failed";
}

static struct dynlib library = { .names = { "libcurl.so.4" },
	.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
	.functions = &functions, .init = init,
	.lock = PTHREAD_MUTEX_INITIALIZER };

int
libcurl_get(const struct libcurl **out, struct err *err)
{
	if (!dynlib_load(&library)) {
		(void)err_set(err, ERR_CONFIG,
		    "libcurl, which speaks with S3, cannot be loaded: %s",
		    library.why);
		return err_hint(err, "apt-get install libcurl4");
	}
	*out = &functions;
	return 0;
}
