/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "load/sqllex.h"

#include <string.h>

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' ||
	    c == '\v';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
starts_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (unsigned char)c >= 0x80;
}

bool
sqllex_in_name(char c)
{
	return starts_name(c) || is_digit(c) || c == '$';
}

static bool
is_operator(char c)
{
	return c != '\0' && strchr("~!@#^&|`?+-*/%<>=", c) != NULL;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Behind the closing quote; doubled ones, and escapes, are inside. */
static const char *
quoted_end(const char *p, char quote, bool escapes)
{
	for (; *p != '\0'; p++) {
		if (escapes && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == quote && p[1] == quote)
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return p;
}

/* A nested comment's end; p is behind its beginning. */
static const char *
comment_end(const char *p)
{
	unsigned depth = 1;

	for (; *p != '\0'; p++) {
		if (p[0] == '*' && p[1] == '/') {
			p++;
			if (--depth == 0)
				return p + 1;
		} else if (p[0] == '/' && p[1] == '*') {
			p++;
			depth++;
		}
	}
	return p;
}

static const char *
space_end(const char *p)
{
	for (;;) {
		while (is_space(*p))
			p++;
		if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\r\n");
		else if (p[0] == '/' && p[1] == '*')
			p = comment_end(p + 2);
		else
			return p;
	}
}

/* The end of $tag$...$tag$, or NULL when p is no such beginning. */
static const char *
dollar_end(const char *p)
{
	const char *tag = p, *q = p + 1;
	size_t len;

	if (*q != '$' && !starts_name(*q))
		return NULL;
	while (sqllex_in_name(*q) && *q != '$')
		q++;
	if (*q != '$')
		return NULL;
	len = (size_t)(q - tag) + 1;
	for (q++; *q != '\0'; q++)
		if (*q == '$' && strncmp(q, tag, len) == 0)
			return q + len;
	return q;
}

/* A letter's special string: E'', B'', X'', N'', U&'', U&"". NULL: none. */
static const char *
prefixed_end(const char *p, enum sql_kind *kind)
{
	const char c = lower(p[0]);

	if (c == 'u' && p[1] == '&' && (p[2] == '\'' || p[2] == '"')) {
		/* U&"..." is a name that pg_dump never writes. */
		*kind = SQL_OTHER_STRING;
		return quoted_end(p + 3, p[2], false);
	}
	if (p[1] != '\'' || strchr("ebxn", c) == NULL)
		return NULL;
	*kind = c == 'e' ? SQL_STRING : SQL_OTHER_STRING;
	return quoted_end(p + 2, '\'', c == 'e');
}

static const char *
operator_end(const char *p)
{
	const char *q = p;

	while (is_operator(*q) && !(q > p && q[0] == '-' && q[1] == '-') &&
	    !(q > p && q[0] == '/' && q[1] == '*'))
		q++;
	return q;
}

static const char *
number_end(const char *p)
{
	while (sqllex_in_name(*p) || (*p == '.' && is_digit(p[1])))
		p++;
	return p;
}

static const char *
name_end(const char *p)
{
	while (sqllex_in_name(*p))
		p++;
	return p;
}

static const char *
token_end(const struct sqllex *lex, enum sql_kind *kind)
{
	const char *p = lex->p, *end;

	if ((end = space_end(p)) > p) {
		*kind = SQL_SPACE;
		return end;
	}
	if (*p == '\'') {
		*kind = SQL_STRING;
		return quoted_end(p + 1, '\'', !lex->std_strings);
	}
	if (*p == '"') {
		*kind = SQL_NAME;
		return quoted_end(p + 1, '"', false);
	}
	if (*p == '$' && (end = dollar_end(p)) != NULL) {
		*kind = SQL_DOLLAR;
		return end;
	}
	if (starts_name(*p)) {
		if ((end = prefixed_end(p, kind)) != NULL)
			return end;
		*kind = SQL_NAME;
		return name_end(p);
	}
	if (is_digit(*p)) {
		*kind = SQL_NUMBER;
		return number_end(p);
	}
	*kind = SQL_OPERATOR;
	if (*p == ':' && (p[1] == ':' || p[1] == '='))
		return p + 2;
	if (is_operator(*p))
		return operator_end(p);
	*kind = SQL_CHAR;
	return p + 1;
}

bool
sqllex_next(struct sqllex *lex, struct sql_token *out)
{
	const char *end;

	if (*lex->p == '\0')
		return false;
	end = token_end(lex, &out->kind);
	out->start = lex->p;
	out->len = (size_t)(end - lex->p);
	lex->p = end;
	return true;
}

bool
sqllex_is_word(const struct sql_token *t, const char *word)
{
	size_t i;

	if (t->kind != SQL_NAME || t->start[0] == '"' ||
	    strlen(word) != t->len)
		return false;
	for (i = 0; i < t->len; i++)
		if (lower(t->start[i]) != word[i])
			return false;
	return true;
}

bool
sqllex_is_name(const struct sql_token *t, const char *name)
{
	struct buf b;
	bool same;

	if (t->kind != SQL_NAME)
		return false;
	if (t->start[0] != '"')
		return sqllex_is_word(t, name);
	buf_init(&b, t->len + 1);
	sqllex_value(t, true, &b);
	same = strcmp(buf_str(&b), name) == 0;
	buf_free(&b);
	return same;
}

bool
sqllex_is_char(const struct sql_token *t, char c)
{
	return t->kind == SQL_CHAR && t->start[0] == c;
}

/*
 * Of escapes only what is a character itself is taken: names have no others
 * in what pg_dump writes.
 */
void
sqllex_value(const struct sql_token *t, bool std_strings, struct buf *out)
{
	const char *p = t->start, *end = t->start + t->len;
	const bool escapes = t->kind == SQL_STRING &&
	    (lower(*p) == 'e' || !std_strings);
	char quote;

	if (t->kind == SQL_STRING && lower(*p) == 'e')
		p++;
	quote = *p;
	if (quote != '"' && quote != '\'') {
		for (; p < end; p++)
			buf_add_byte(out, (uint8_t)lower(*p));
		return;
	}
	for (p++; p < end - 1; p++) {
		if ((escapes && *p == '\\') || *p == quote)
			p++;
		buf_add_byte(out, (uint8_t)*p);
	}
}
