/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/quote.h"

#include <string.h>

void
pg_quote_name(struct buf *b, const char *name)
{
	buf_add_byte(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_add_byte(b, '"');
		buf_add_byte(b, (uint8_t)*name);
	}
	buf_add_byte(b, '"');
}

void
pg_quote_qualified(struct buf *b, const char *schema, const char *name)
{
	pg_quote_name(b, schema);
	buf_add_byte(b, '.');
	pg_quote_name(b, name);
}

void
pg_quote_literal(struct buf *b, const char *text)
{
	if (strchr(text, '\\') != NULL)
		buf_add_byte(b, 'E');
	buf_add_byte(b, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_byte(b, (uint8_t)*text);
		buf_add_byte(b, (uint8_t)*text);
	}
	buf_add_byte(b, '\'');
}
