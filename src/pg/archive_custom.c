/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive_custom.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pg/archive_dir.h"
#include "pg/archive_private.h"

#define BLOCK_DATA 1
#define BLOCK_LARGE_OBJECTS 3
#define BLOCK_MAX ((size_t)1 << 20) /* pg_restore holds one in memory */

struct archive_custom {
	struct archive_head *head;
	enum archive_compression compression;
	struct archive_pack *pack;
	archive_sink sink;
	void *arg;
	struct archive_entry *entry; /* between begin and end */
	bool framed; /* the object's data has frames that came whole */
	uint64_t at;
};

static int
put(struct archive_custom *c, const void *data, size_t len, struct err *err)
{
	c->at += len;
	return c->sink(c->arg, data, len, err);
}

static int
put_number(struct archive_custom *c, int32_t v, struct err *err)
{
	struct buf b;
	int ret;

	buf_init(&b, ARCHIVE_INT_BYTES);
	archive_put_int(&b, v);
	ret = put(c, b.data, b.len, err);
	buf_free(&b);
	return ret;
}

/* Blocks of length 0 end the data, so none is ever written for nothing. */
static int
put_blocks(void *arg, const void *data, size_t len, struct err *err)
{
	struct archive_custom *c = arg;
	const uint8_t *p = data;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < BLOCK_MAX ? len : BLOCK_MAX;
		if (put_number(c, (int32_t)n, err) != 0 ||
		    put(c, p, n, err) != 0)
			return -1;
	}
	return 0;
}

int
archive_custom_new(struct archive_custom **out, struct archive_head *head,
    enum archive_compression compression, int level, archive_sink sink,
    void *arg, struct err *err)
{
	struct archive_custom *c = xcalloc(1, sizeof(*c));
	struct buf b;
	size_t i;
	int ret = -1;

	*out = c;
	c->head = head;
	c->compression = compression;
	c->sink = sink;
	c->arg = arg;
	head->off_size = 8;
	for (i = 0; i < head->n; i++) {
		head->entries[i].data_state = head->entries[i].had_dumper ?
		    ARCHIVE_POS_NOT_SET : ARCHIVE_NO_DATA;
		head->entries[i].offset = 0;
	}
	buf_init(&b, ARCHIVE_HEAD_MAX);
	if (archive_head_encode(head, ARCHIVE_CUSTOM, compression, &b,
	    err) == 0 &&
	    archive_pack_new(&c->pack, compression, level,
	    ARCHIVE_PACK_CUSTOM, err) == 0)
		ret = put(c, b.data, b.len, err);
	buf_free(&b);
	if (ret != 0) {
		archive_custom_free(c);
		*out = NULL;
	}
	return ret;
}

int
archive_custom_begin(struct archive_custom *c, struct archive_entry *e,
    struct err *err)
{
	const uint8_t type = archive_entry_is_large_objects(e) ?
	    BLOCK_LARGE_OBJECTS : BLOCK_DATA;

	c->entry = e;
	e->data_state = ARCHIVE_POS_SET;
	e->offset = c->at;
	if (put(c, &type, 1, err) != 0)
		return -1;
	return put_number(c, e->dump_id, err);
}

int
archive_custom_data(struct archive_custom *c, const void *data, size_t len,
    struct err *err)
{
	return archive_pack_write(c->pack, data, len, put_blocks, c, err);
}

int
archive_custom_frame(struct archive_custom *c, const void *frame, size_t len,
    struct err *err)
{
	if (len > INT32_MAX)
		return err_set(err, ERR_BUG, "a frame of %zu bytes", len);
	if (archive_pack_begun(c->pack) &&
	    archive_pack_end(c->pack, put_blocks, c, err) != 0)
		return -1;
	c->framed = true;
	if (put_number(c, (int32_t)len, err) != 0)
		return -1;
	return put(c, frame, len, err);
}

/* An OID is written as the number with a sign that has its bits. */
int
archive_custom_object(struct archive_custom *c, uint32_t oid, struct err *err)
{
	return put_number(c, (int32_t)oid, err);
}

int
archive_custom_end_object(struct archive_custom *c, struct err *err)
{
	if ((!c->framed || archive_pack_begun(c->pack)) &&
	    archive_pack_end(c->pack, put_blocks, c, err) != 0)
		return -1;
	c->framed = false;
	return put_number(c, 0, err);
}

int
archive_custom_end(struct archive_custom *c, struct err *err)
{
	const struct archive_entry *e = c->entry;

	c->entry = NULL;
	if (archive_entry_is_large_objects(e)) /* no OID: the last was it */
		return put_number(c, 0, err);
	if (archive_custom_data(c, ARCHIVE_ROWS_END, strlen(ARCHIVE_ROWS_END),
	    err) != 0)
		return -1;
	return archive_custom_end_object(c, err);
}

int
archive_custom_head(struct archive_custom *c, struct buf *out, struct err *err)
{
	return archive_head_encode(c->head, ARCHIVE_CUSTOM, c->compression,
	    out, err);
}

void
archive_custom_free(struct archive_custom *c)
{
	if (c == NULL)
		return;
	archive_pack_free(c->pack);
	free(c);
}
