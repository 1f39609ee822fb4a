/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static struct libcurl functions;
static bool loaded;
static char load_error[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
note_error(const char *why)
{
	(void)snprintf(load_error, sizeof(load_error), "%s",
	    why == NULL ? "unknown error" : why);
}

/* POSIX, not C, says that the pointer of a function fits in a void *. */
static bool
resolve(void *library, const char *name, void *slot, size_t slot_size)
{
	void *symbol = dlsym(library, name);

	if (symbol == NULL)
		return false;
	memcpy(slot, &symbol, slot_size);
	return true;
}

static void
load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL) {
		note_error(dlerror());
		return;
	}
#define LIBCURL_RESOLVE(name)                                           \
	if (!resolve(library, "curl_" #name, &functions.name,           \
	    sizeof(functions.name))) {                                  \
		note_error(dlerror());                                  \
		return;                                                 \
	}
	LIBCURL_FUNCTIONS(LIBCURL_RESOLVE)
#undef LIBCURL_RESOLVE
	/* Older versions want this done by one thread. */
	if (functions.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		note_error("curl_global_init() failed");
		return;
	}
	loaded = true;
}

int
libcurl_get(const struct libcurl **out, struct err *err)
{
	(void)pthread_once(&once, load); /* cannot fail with a valid once */
	if (!loaded) {
		(void)err_set(err, ERR_CONFIG,
		    "libcurl, which speaks with S3, cannot be loaded: %s",
		    load_error);
		return err_hint(err, "apt-get install libcurl4");
	}
	*out = &functions;
	return 0;
}
