/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/torepo.h"

#include <stdlib.h>

#include "dump/store.h"
#include "repo/dumpread.h"

static int
writer_new(void **out, void *arg, struct err *err)
{
	struct dump_writer *w = NULL;

	if (dump_writer_new(&w, arg, err) != 0)
		return -1;
	*out = w;
	return 0;
}

static void
writer_free(void *writer)
{
	dump_writer_free(writer);
}

static int
begin(void *writer, const struct copyout_item *item, struct err *err)
{
	struct dump_store_item it = { .dump_id = (uint32_t)item->dump_id,
		.range = item->range, .ranges = item->ranges };
	const struct archive_entry *e;
	char *path;
	int rc;

	if (item->fact == NULL) {
		it.path = item->lobs->path;
		return dump_writer_begin(writer, &it, err);
	}
	e = item->fact->entry;
	path = dump_table_path(e->namespace, e->tag);
	it.path = path;
	it.oid = e->oid;
	rc = dump_writer_begin(writer, &it, err);
	free(path);
	return rc;
}

static int
write_piece(void *writer, const void *data, size_t len, bool end,
    struct err *err)
{
	return dump_writer_write(writer, data, len, end, err);
}

static int
end(void *writer, struct err *err)
{
	return dump_writer_end(writer, err);
}

const struct copyout_target torepo_target = { writer_new, writer_free, begin,
	write_piece, end };
