/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_COPYSTMT_H
#define DUMP_COPYSTMT_H

/*
 * The COPY statements that read what an entry of pg_dump's table of contents
 * wants loaded. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

/*
 * The column list of "COPY public.t (a, "b c") FROM stdin;\n", without its
 * parentheses: a piece of the statement, or none (*len 0) where the table has
 * no columns to be loaded. ERR_DAMAGED: not such a statement.
 */
int copystmt_columns(const char *statement, const char **columns, size_t *len,
    struct err *err) ERR_USE;

struct copystmt {
	const char *table; /* quoted and with its schema */
	const char *columns; /* len bytes */
	size_t columns_len;
	bool foreign;	       /* COPY TO is not for such tables */
	const char *condition; /* "WHERE ..." of an extension's, or NULL */
	bool ranged;
	uint64_t first_block, end_block; /* end 0: up to the last */
};

/* COPY ... TO STDOUT */
void copystmt_make(const struct copystmt *c, struct buf *out);

/*
 * The same rows in the same order as SELECT: "SELECT list FROM ...", for the
 * question which row it was.
 */
void copystmt_select(const struct copystmt *c, const char *list,
    struct buf *out);

#endif
