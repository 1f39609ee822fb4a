/* SPDX-License-Identifier: PostgreSQL */
#ifndef LOAD_SQLLEX_H
#define LOAD_SQLLEX_H

/*
 * Internal to src/load: SQL text in tokens, as PostgreSQL's own scanner cuts
 * it (src/backend/parser/scan.l), so far as finding names needs it: quoted
 * names, strings in all their forms and comments are whole. Pure.
 *
 *	struct sqllex lex = { .p = text, .std_strings = true };
 *	while (sqllex_next(&lex, &token))
 *		...
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

enum sql_kind {
	SQL_SPACE,	/* white space and comments */
	SQL_NAME,	/* name or "name"; keywords too */
	SQL_STRING,	/* 'text' or E'text' */
	SQL_DOLLAR,	/* $tag$text$tag$ */
	SQL_OTHER_STRING, /* B'', X'', U&'': no names in it */
	SQL_NUMBER,
	SQL_OPERATOR,	/* of operator characters, "::" and ":=" too */
	SQL_CHAR	/* one of ( ) [ ] , ; . : $ and whatever else */
};

struct sql_token {
	enum sql_kind kind;
	const char *start;
	size_t len;
};

struct sqllex {
	const char *p;
	bool std_strings; /* a backslash in '...' is itself */
};

/* false at the end. What is not closed goes on to the end of the text. */
bool sqllex_next(struct sqllex *lex, struct sql_token *out);

/* Is it this name: a quoted one exactly, one without quotes as it is folded? */
bool sqllex_is_name(const struct sql_token *t, const char *name);

/* Is it this keyword (lower case), without quotes? */
bool sqllex_is_word(const struct sql_token *t, const char *word);

/* Can the byte be within a name without quotes? */
bool sqllex_in_name(char c);

bool sqllex_is_char(const struct sql_token *t, char c);

/* Append a name's bytes, unquoted and folded; a string's, unescaped. */
void sqllex_value(const struct sql_token *t, bool std_strings, struct buf *out);

#endif
