/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/dynlib.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static bool
fail(struct dynlib *lib, const char *why)
{
	(void)snprintf(lib->why, sizeof(lib->why), "%s",
	    why == NULL ? "unknown error" : why);
	return false;
}

/* What is told is why the first, which is the usual one, cannot be opened. */
static void *
open_any(struct dynlib *lib)
{
	const size_t n = sizeof(lib->names) / sizeof(lib->names[0]);
	void *library = NULL;
	size_t i;

	for (i = 0; i < n && lib->names[i] != NULL && library == NULL; i++) {
		library = dlopen(lib->names[i], RTLD_NOW | RTLD_LOCAL);
		if (library == NULL && i == 0)
			(void)fail(lib, dlerror());
	}
	return library;
}

static bool
load(struct dynlib *lib)
{
	void *library = open_any(lib), *symbol;
	const char *why;
	size_t i;

	if (library == NULL)
		return false;
	for (i = 0; i < lib->n; i++) {
		symbol = dlsym(library, lib->symbols[i].name);
		if (symbol == NULL)
			return fail(lib, dlerror());
		/* POSIX, not C: the pointer of a function fits in a void *. */
		memcpy((char *)lib->functions + lib->symbols[i].offset,
		    &symbol, sizeof(symbol));
	}
	why = lib->init == NULL ? NULL : lib->init();
	return why == NULL || fail(lib, why);
}

bool
dynlib_load(struct dynlib *lib)
{
	bool loaded;

	(void)pthread_mutex_lock(&lib->lock);
	if (!lib->tried)
		lib->loaded = load(lib);
	lib->tried = true;
	loaded = lib->loaded;
	(void)pthread_mutex_unlock(&lib->lock);
	return loaded;
}
