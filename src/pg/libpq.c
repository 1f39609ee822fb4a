/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/libpq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libpq.so.5"

static struct libpq functions;
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
#define LIBPQ_RESOLVE(name)                                             \
	if (!resolve(library, #name, &functions.name,                   \
	    sizeof(functions.name))) {                                  \
		note_error();                                           \
		return;                                                 \
	}
	LIBPQ_FUNCTIONS(LIBPQ_RESOLVE)
#undef LIBPQ_RESOLVE
	loaded = true; /* and it stays open: libpq leaves TLS state behind */
}

int
libpq_get(const struct libpq **out, struct err *err)
{
	(void)pthread_once(&once, load); /* cannot fail with a valid once */
	if (!loaded) {
		(void)err_set(err, ERR_POSTGRES,
		    "PostgreSQL's client library cannot be loaded: %s",
		    load_error);
		return err_hint(err, "apt-get install libpq5");
	}
	*out = &functions;
	return 0;
}
