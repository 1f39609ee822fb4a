/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_LIBCURL_H
#define STORAGE_LIBCURL_H

/*
 * libcurl, opened with dlopen() when a storage first speaks HTTP: loading it
 * and what it needs would take longer than a whole archive-push into a
 * directory. The functions are named without "curl_", which some of the
 * header's macros are named after. Thread safe; a handle serves one thread.
 */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "core/err.h"

#define LIBCURL_FUNCTIONS(X)    \
	X(easy_cleanup)         \
	X(easy_getinfo)         \
	X(easy_init)            \
	X(easy_perform)         \
	X(easy_reset)           \
	X(easy_setopt)          \
	X(easy_strerror)        \
	X(getdate)              \
	X(global_init)          \
	X(slist_append)         \
	X(slist_free_all)

struct libcurl {
#define LIBCURL_POINTER(name) __typeof__(&curl_##name) name;
	LIBCURL_FUNCTIONS(LIBCURL_POINTER)
#undef LIBCURL_POINTER
};

/* *out stays valid until the process ends. ERR_CONFIG: not installed. */
int libcurl_get(const struct libcurl **out, struct err *err) ERR_USE;

#endif
