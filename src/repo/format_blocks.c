/* SPDX-License-Identifier: PostgreSQL */
/* Which blocks of its file a frame holds (FORMAT.md section 4.2). */
#include "config.h"

#include "repo/format.h"

#include "repo/cursor.h"

void
frame_blocks_encode(const uint64_t *blocks, size_t n, struct buf *out)
{
	size_t i;

	if (n == 0 || blocks[n - 1] - blocks[0] == n - 1)
		return;
	for (i = 1; i < n; i++)
		buf_add_leb128(out, blocks[i] - blocks[i - 1] - 1);
}

static int
bad_list(struct err *err)
{
	return err_set(err, ERR_DAMAGED, "the frame's block list is invalid");
}

int
frame_blocks_decode(const struct frame_header *h, uint64_t *out, size_t max,
    size_t *n, struct err *err)
{
	struct cursor c = { h->blocks, h->blocks_len, false };
	uint64_t block = h->position, gap = 0;
	size_t i;

	*n = 0;
	if (h->type != FRAME_FILE || h->block_size == 0 || h->plain_len == 0) {
		if (h->blocks_len > 0)
			return bad_list(err);
		return 0;
	}
	*n = (h->plain_len - 1) / h->block_size + 1;
	if (*n > max)
		return err_set(err, ERR_DAMAGED,
		    "the frame has %zu blocks, at most %zu are expected", *n,
		    max);
	for (i = 0; i < *n; i++) {
		if (i > 0) {
			if (h->blocks_len > 0)
				gap = cursor_leb128(&c, INT64_MAX);
			if (c.bad || block >= INT64_MAX - gap)
				return bad_list(err);
			block += gap + 1;
		}
		if (out != NULL)
			out[i] = block;
	}
	return c.left == 0 ? 0 : bad_list(err);
}
