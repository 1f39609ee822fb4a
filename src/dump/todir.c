/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/todir.h"

#include "repo/dumpfolder.h"

static int
writer_new(void **out, void *arg, struct err *err)
{
	struct folder_writer *w = NULL;

	if (folder_writer_new(&w, arg, err) != 0)
		return -1;
	*out = w;
	return 0;
}

static void
writer_free(void *writer)
{
	folder_writer_free(writer);
}

static int
begin(void *writer, const struct copyout_item *item, struct err *err)
{
	const struct folder_item it = { .dump_id = item->dump_id,
		.range = item->range, .ranges = item->ranges };

	return folder_item_begin(writer, &it, err);
}

static int
write_piece(void *writer, const void *data, size_t len, bool end,
    struct err *err)
{
	(void)end;
	return folder_item_write(writer, data, len, err);
}

static int
end(void *writer, struct err *err)
{
	return folder_item_end(writer, err);
}

const struct copyout_target todir_target = { writer_new, writer_free, begin,
	write_piece, end };
