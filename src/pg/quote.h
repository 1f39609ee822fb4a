/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_QUOTE_H
#define PG_QUOTE_H

/*
 * Names and strings for SQL text, right with standard_conforming_strings on
 * and off. Bytes as they are: every encoding a server can have is safe for
 * this, those of clients only (SJIS, BIG5, GBK, ...) are not. Pure.
 */
#include "core/buf.h"

/* "name", always in quotes. */
void pg_quote_name(struct buf *b, const char *name);

/* "schema"."name" */
void pg_quote_qualified(struct buf *b, const char *schema, const char *name);

/* 'text', or E'text' when it has a backslash. */
void pg_quote_literal(struct buf *b, const char *text);

#endif
