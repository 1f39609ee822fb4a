/* SPDX-License-Identifier: PostgreSQL */
#ifndef LOAD_RETEXT_H
#define LOAD_RETEXT_H

/*
 * Internal to src/load: one SQL text rewritten for reschema.h. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "load/sqllex.h"

/* The tokens of a text, without space and comments. */
struct sql_tokens {
	struct sql_token *list;
	size_t n;
};

void retext_tokens(const char *sql, bool std_strings, struct sql_tokens *out);
void retext_tokens_free(struct sql_tokens *t);

struct retext {
	const char *from, *to;
	bool (*known)(const void *arg, const char *name); /* in `from`? */
	const void *arg;
	bool std_strings;
	bool extension; /* WITH SCHEMA stays */
};

/* Append the text to out, rewritten; false when nothing had to be. */
bool retext_rewrite(const struct retext *r, const char *sql, struct buf *out);

#endif
