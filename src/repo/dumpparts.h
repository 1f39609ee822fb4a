/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_DUMPPARTS_H
#define REPO_DUMPPARTS_H

/*
 * A stored dump's table of contents, and which items are the data of which
 * of its entries: what export and load begin with.
 *
 *	dumpparts_head(set, reader, &head, err)
 *	dumpparts_find(&parts, set, &head, err)
 *	for (i = 0; i < parts.n; i++) parts.list[i] ...
 *	dumpparts_free(&parts); archive_head_free(&head);
 *
 * Not of globals, which have no table of contents. head and set must live as
 * long as the parts; then they may be read by many threads.
 */
#include <stddef.h>

#include "core/err.h"
#include "pg/archive.h"
#include "repo/dumpread.h"

/* An entry of the table of contents that has data, and what has it. */
struct dump_part {
	struct archive_entry *entry;
	const struct dump_item **items; /* large objects: several */
	size_t n;
};

struct dumpparts {
	struct dump_part *list; /* in the order of the table of contents */
	size_t n;
	const struct dump_item **items; /* what the parts point into */
};

/* archive_head_free() it. ERR_DAMAGED: the dump has none. */
int dumpparts_head(const struct dumpset *set, struct dumpread *reader,
    struct archive_head *out, struct err *err) ERR_USE;

/* Every entry with data has it, and nothing is left over, or ERR_DAMAGED. */
int dumpparts_find(struct dumpparts *out, const struct dumpset *set,
    const struct archive_head *head, struct err *err) ERR_USE;
void dumpparts_free(struct dumpparts *p); /* also of zeroes */

#endif
