/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/libssh2.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libssh2.so.1"

static struct libssh2 functions;
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
#define LIBSSH2_RESOLVE(name)                                           \
	if (!resolve(library, "libssh2_" #name, &functions.name,           \
	    sizeof(functions.name))) {                                  \
		note_error(dlerror());                                  \
		return;                                                 \
	}
	LIBSSH2_FUNCTIONS(LIBSSH2_RESOLVE)
#undef LIBSSH2_RESOLVE
	/* Older versions want this done by one thread. */
	if (functions.init(0) != 0) {
		note_error("libssh2_init() failed");
		return;
	}
	loaded = true;
}

int
libssh2_get(const struct libssh2 **out, struct err *err)
{
	(void)pthread_once(&once, load); /* cannot fail with a valid once */
	if (!loaded) {
		(void)err_set(err, ERR_CONFIG,
		    "libssh2, which speaks SFTP, cannot be loaded: %s",
		    load_error);
		return err_hint(err, "apt-get install libssh2-1");
	}
	*out = &functions;
	return 0;
}
