/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_DYNLIB_H
#define CORE_DYNLIB_H

/*
 * A library that is opened when it is first needed, and stays open: so that a
 * command that does without starts in a millisecond.
 *
 *	static struct zip functions;	members are pointers of functions
 *	static const struct dynlib_symbol symbols[] = {
 *		{ "zip_open", offsetof(struct zip, open) }, ...
 *	};
 *	static struct dynlib library = { .names = { "libzip.so.5" },
 *		.symbols = symbols, .n = sizeof(symbols) / sizeof(symbols[0]),
 *		.functions = &functions, .lock = PTHREAD_MUTEX_INITIALIZER };
 *
 *	if (!dynlib_load(&library))
 *		... library.why ...
 *	functions.open(...);
 *
 * Thread safe. What failed once is not tried again.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct dynlib_symbol {
	const char *name;
	size_t offset; /* of the pointer in `functions` */
};

struct dynlib {
	const char *names[2]; /* the first that is there; or one and NULL */
	const struct dynlib_symbol *symbols;
	size_t n;
	void *functions;
	/* Done once, when all symbols are known: NULL, or what failed. */
	const char *(*init)(void);
	pthread_mutex_t lock;
	/* dynlib_load() fills these in. */
	bool tried, loaded;
	char why[256];
};

bool dynlib_load(struct dynlib *lib);

#endif
