/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_FACTS_H
#define DUMP_FACTS_H

/*
 * The tables whose rows a dump holds: pg_dump's TABLE DATA entries with what
 * the server says of them under the snapshot. One thread; read by many.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/copystmt.h"
#include "pg/archive.h"
#include "pg/conn.h"

struct fact {
	const struct archive_entry *entry;
	char *quoted; /* "schema"."name", for SQL */
	const char *columns; /* of the entry's COPY, columns_len bytes */
	size_t columns_len;
	char *condition; /* an extension's "WHERE ...", or NULL */
	char relkind;
	bool heap;
	uint64_t blocks; /* of its heap */
	uint64_t bytes;	 /* with TOAST; 0 of what has no storage */
};

struct facts {
	struct fact *list; /* in the archive's order */
	size_t n;
	uint64_t bytes;
};

/*
 * Of the head's TABLE DATA entries. ERR_POSTGRES when one of them is not in
 * the catalogue. conn is the leader's, in SQL_ASCII.
 */
int facts_read(struct facts *out, const struct archive_head *head,
    struct pg_conn *conn, struct err *err) ERR_USE;
void facts_free(struct facts *f); /* also of zeroes */

#endif
