/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/dumpparts.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static int
by_dump_id(const void *a, const void *b)
{
	const struct dump_item *const *x = a, *const *y = b;

	if ((*x)->dump_id != (*y)->dump_id)
		return (*x)->dump_id < (*y)->dump_id ? -1 : 1;
	return strcmp((*x)->path, (*y)->path);
}

/* The items of tables and large objects, ascending by entry and path. */
static const struct dump_item **
items_by_entry(const struct dumpset *set, size_t *n)
{
	const struct dump_item *items = dumpset_items(set, n), **list;
	size_t i, kept = 0;

	list = xcalloc(*n + 1, sizeof(const struct dump_item *));
	for (i = 0; i < *n; i++)
		if (items[i].type == DUMP_ITEM_TABLE ||
		    items[i].type == DUMP_ITEM_LARGE_OBJECTS)
			list[kept++] = &items[i];
	if (kept > 1)
		qsort(list, kept, sizeof(const struct dump_item *),
		    by_dump_id);
	*n = kept;
	return list;
}

/* Where the entry's items begin in the list, by halves. */
static size_t
first_of(const struct dump_item **list, size_t n, uint32_t dump_id)
{
	size_t from = 0, to = n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (list[mid]->dump_id < dump_id)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static int
check_part(const struct dump_part *part, struct err *err)
{
	const struct archive_entry *e = part->entry;
	const bool table = archive_entry_is_table_data(e);
	size_t k;

	if (!table && !archive_entry_is_large_objects(e))
		return err_set(err, ERR_UNSUPPORTED, "%s %s has data of a kind "
		    "that is not known", e->desc, e->tag);
	if (table && part->n != 1)
		return err_set(err, ERR_DAMAGED, "the dump has the rows of "
		    "table %s.%s %zu times", e->namespace == NULL ? "" :
		    e->namespace, e->tag, part->n);
	for (k = 0; k < part->n; k++)
		if ((part->items[k]->type == DUMP_ITEM_TABLE) != table)
			return err_set(err, ERR_DAMAGED, "%s is said to belong "
			    "to %s %s", part->items[k]->path, e->desc, e->tag);
	return 0;
}

static int
find_parts(struct dumpparts *p, const struct archive_head *head, size_t n,
    struct err *err)
{
	size_t i, at, used = 0;

	p->list = xcalloc(head->n + 1, sizeof(*p->list));
	for (i = 0; i < head->n; i++) {
		struct dump_part *part = &p->list[p->n];

		if (!head->entries[i].had_dumper)
			continue;
		part->entry = &head->entries[i];
		at = first_of(p->items, n, (uint32_t)part->entry->dump_id);
		part->items = p->items + at;
		while (at + part->n < n && part->items[part->n]->dump_id ==
		    (uint32_t)part->entry->dump_id)
			part->n++;
		used += part->n;
		p->n++;
		if (check_part(part, err) != 0)
			return -1;
	}
	if (used != n)
		return err_set(err, ERR_DAMAGED, "the table of contents does "
		    "not name all of the dump's data");
	return 0;
}

int
dumpparts_find(struct dumpparts *out, const struct dumpset *set,
    const struct archive_head *head, struct err *err)
{
	struct dumpparts p = { .n = 0 };
	size_t n;

	p.items = items_by_entry(set, &n);
	if (find_parts(&p, head, n, err) != 0) {
		dumpparts_free(&p);
		return -1;
	}
	*out = p;
	return 0;
}

void
dumpparts_free(struct dumpparts *p)
{
	free(p->list);
	free(p->items);
	memset(p, 0, sizeof(*p));
}

int
dumpparts_head(const struct dumpset *set, struct dumpread *reader,
    struct archive_head *out, struct err *err)
{
	const struct dump_item *item = dumpset_find(set, "archive");
	struct buf b;
	int ret;

	if (item == NULL)
		return err_set(err, ERR_DAMAGED,
		    "the dump has no table of contents");
	buf_init(&b, ARCHIVE_HEAD_MAX);
	ret = dumpread_all(reader, item, &b, err);
	if (ret == 0)
		ret = archive_head_decode(b.data, b.len, out, err);
	buf_free(&b);
	return ret;
}
