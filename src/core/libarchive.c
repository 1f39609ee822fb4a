/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/libarchive.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libarchive.so.13"

static struct libarchive functions;
static bool loaded;
static char load_error[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
note_error(void)
{
	const char *s = dlerror();

	strncpy(load_error, s != NULL ? s : "unknown error",
	    sizeof(load_error) - 1);
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
		note_error();
		return;
	}
#define LIBARCHIVE_RESOLVE(name)                                        \
	if (!resolve(library, #name, &functions.name,                   \
	    sizeof(functions.name))) {                                  \
		note_error();                                           \
		return;                                                 \
	}
	LIBARCHIVE_FUNCTIONS(LIBARCHIVE_RESOLVE)
#undef LIBARCHIVE_RESOLVE
	loaded = true;
}

int
libarchive_get(const struct libarchive **out, struct err *err)
{
	(void)pthread_once(&once, load); /* cannot fail with a valid once */
	if (!loaded) {
		(void)err_set(err, ERR_CONFIG,
		    "libarchive, which reads and writes tar, cannot be "
		    "loaded: %s", load_error);
		return err_hint(err, "apt-get install libarchive13");
	}
	*out = &functions;
	return 0;
}
