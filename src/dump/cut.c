/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/cut.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/hash.h"

/* Of any value: it only must never change. */
#define CUT_SEED UINT64_C(0x6475706d70676375)

void
cut_init(struct cutter *c, cut_emit emit, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->data = xreallocarray(NULL, CUT_MAX, 1);
	c->emit = emit;
	c->arg = arg;
}

void
cut_free(struct cutter *c)
{
	free(c->data);
	c->data = NULL;
}

void
cut_reset(struct cutter *c)
{
	c->len = c->row = 0;
	c->rows = 0;
	c->in_row = false;
}

/* Emit the first len bytes; what follows moves to the front. */
static int
emit(struct cutter *c, size_t len, struct err *err)
{
	uint32_t rows = c->rows;

	if (c->emit(c->arg, c->data, len, rows, err) != 0)
		return -1;
	memmove(c->data, c->data + len, c->len - len);
	c->len -= len;
	c->row = 0;
	c->rows = 0;
	return 0;
}

/* No room is left, and the row goes on. */
static int
make_room(struct cutter *c, struct err *err)
{
	if (c->row == 0)
		c->in_row = true; /* nothing but a piece of it */
	return emit(c, c->row > 0 ? c->row : c->len, err);
}

/*
 * Is this the place? A long row is as likely to be as all of the short ones
 * that would have its length, so that chunks of any table are alike. What
 * decides is the row, and when it is short those before it: of a table with
 * few different rows none might be a place, or each.
 */
static bool
wanted(const struct cutter *c)
{
	size_t len = c->len - c->row, seen;
	uint64_t limit = UINT64_MAX / CUT_MEAN;

	if (c->len < CUT_MIN)
		return false;
	limit = len < CUT_MEAN ? limit * len : UINT64_MAX;
	seen = len > CUT_WINDOW ? len : CUT_WINDOW;
	return hash_64(c->data + c->len - seen, seen, CUT_SEED) <= limit;
}

static int
end_row(struct cutter *c, struct err *err)
{
	bool cut = c->in_row || wanted(c);

	c->rows++;
	c->row = c->len;
	c->in_row = false;
	return cut ? emit(c, c->len, err) : 0;
}

int
cut_add(struct cutter *c, const void *data, size_t len, bool end_of_row,
    struct err *err)
{
	const uint8_t *p = data;
	size_t n;

	for (;;) {
		n = len < CUT_MAX - c->len ? len : CUT_MAX - c->len;
		if (n > 0)
			memcpy(c->data + c->len, p, n);
		c->len += n;
		p += n;
		len -= n;
		if (len == 0)
			break;
		if (make_room(c, err) != 0)
			return -1;
	}
	return end_of_row ? end_row(c, err) : 0;
}

int
cut_flush(struct cutter *c, bool rows, struct err *err)
{
	if (rows && (c->row != c->len || c->in_row))
		return err_set(err, ERR_BUG, "the data ends within a row");
	c->in_row = false;
	return c->len == 0 ? 0 : emit(c, c->len, err);
}
