/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/libcrypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

static struct libcrypto functions;
static bool loaded;
static char load_error[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
note_error(void)
{
	const char *why = dlerror();

	(void)snprintf(load_error, sizeof(load_error), "%s",
	    why == NULL ? "unknown error" : why);
}

static void
load(void)
{
	static const char *const names[] = { "libcrypto.so.3",
		"libcrypto.so.1.1" };
	void *library = NULL;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (library != NULL)
			break;
		if (i == 0)
			note_error();
	}
	if (library == NULL)
		return;
	/* POSIX, not C, says that the pointer of a function fits a void *. */
#define LIBCRYPTO_RESOLVE(name)                                         \
	*(void **)&functions.name = dlsym(library, #name);              \
	if (functions.name == NULL) {                                   \
		note_error();                                           \
		return;                                                 \
	}
	LIBCRYPTO_FUNCTIONS(LIBCRYPTO_RESOLVE)
#undef LIBCRYPTO_RESOLVE
	loaded = true;
}

int
libcrypto_get(const struct libcrypto **out, struct err *err)
{
	(void)pthread_once(&once, load); /* fails for bad arguments only */
	if (!loaded) {
		(void)err_set(err, ERR_CONFIG, "cannot load libcrypto: %s",
		    load_error);
		return err_hint(err, "install OpenSSL 3, on Debian: "
				     "apt-get install libssl3");
	}
	*out = &functions;
	return 0;
}
