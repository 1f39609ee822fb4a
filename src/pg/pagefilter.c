/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/pagefilter_private.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"

struct pagefilter *
pagefilter_new(void)
{
	struct pagefilter *f = xcalloc(1, sizeof(*f));

	f->bits = xmalloc((size_t)PAGES * BLOCK);
	f->rows = xmalloc((size_t)PAGES * BLOCK);
	f->check = xmalloc((size_t)PAGES * BLOCK);
	return f;
}

void
pagefilter_free(struct pagefilter *f)
{
	if (f == NULL)
		return;
	free(f->bits);
	free(f->rows);
	free(f->check);
	free(f);
}

static inline uint32_t
zigzag(uint32_t difference)
{
	return (difference << 1) ^ (0U - (difference >> 31));
}

static inline uint32_t
unzigzag(uint32_t z)
{
	return (z >> 1) ^ (0U - (z & 1));
}

static inline uint16_t
zigzag16(uint16_t difference)
{
	return (uint16_t)((difference << 1) ^ (0U - (difference >> 15)));
}

static inline uint16_t
unzigzag16(uint16_t z)
{
	return (uint16_t)((z >> 1) ^ (0U - (z & 1U)));
}

static inline uint64_t
zigzag64(uint64_t difference)
{
	return (difference << 1) ^ (0U - (difference >> 63));
}

static inline uint64_t
unzigzag64(uint64_t z)
{
	return (z >> 1) ^ (0U - (z & 1));
}

static inline size_t
aligned(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static inline uint64_t
page_lsn(const uint8_t *p)
{
	return (uint64_t)get_le32(p) << 32 | get_le32(p + 4);
}

static size_t
special_size(enum pagefilter_kind kind)
{
	return kind == KIND_BTREE ? BTREE_SPECIAL : 0;
}

/* What a page must have to be looked at as one of this kind. */
static bool
looks_like(const uint8_t *p, enum pagefilter_kind kind)
{
	size_t lower = get_le16(p + 12), upper = get_le16(p + 14);

	return get_le16(p + 18) == (BLOCK | PAGE_VERSION) &&
	    get_le16(p + 16) == BLOCK - special_size(kind) &&
	    lower >= PAGE_HEADER && lower <= upper &&
	    (lower - PAGE_HEADER) % LINE_POINTER == 0 &&
	    lower <= PAGE_HEADER + ITEMS_PAGE * LINE_POINTER &&
	    upper <= BLOCK - special_size(kind);
}

/* The columns' fill, to go back to when a page does not fit. */
struct mark {
	size_t pointers, odds, tuples, bits, rows;
};

static void
heap_tuple(struct pagefilter *f, const uint8_t *t, size_t len,
    const uint8_t *before, uint32_t block, uint16_t number)
{
	struct pagefilter_items *c = &f->item;
	size_t i = f->tuples, bits = t[22] - (size_t)HEAP_HEADER;

	c->a[i] = zigzag(get_le32(t) - get_le32(before));
	c->xmax[i] = zigzag(get_le32(t + 4) - get_le32(before + 4));
	c->cid[i] = get_le32(t + 8);
	c->block[i] = zigzag(
	    ((uint32_t)get_le16(t + 12) << 16 | get_le16(t + 14)) - block);
	c->position[i] = zigzag16((uint16_t)(get_le16(t + 16) - number));
	c->info2[i] = get_le16(t + 18);
	c->info[i] = get_le16(t + 20);
	c->hoff[i] = t[22];
	memcpy(f->bits + f->bits_len, t + HEAP_HEADER, bits);
	f->bits_len += bits;
	memcpy(f->rows + f->rows_len, t + HEAP_HEADER + bits,
	    len - HEAP_HEADER - bits);
	f->rows_len += len - HEAP_HEADER - bits;
}

static void
index_tuple(struct pagefilter *f, const uint8_t *t, size_t len,
    const uint8_t *before)
{
	struct pagefilter_items *c = &f->item;
	size_t i = f->tuples;
	uint32_t block = (uint32_t)get_le16(t) << 16 | get_le16(t + 2);
	uint32_t last = (uint32_t)get_le16(before) << 16 | get_le16(before + 2);

	c->a[i] = zigzag(block - last);
	c->position[i] = zigzag16(
	    (uint16_t)(get_le16(t + 4) - get_le16(before + 4)));
	c->info[i] = (uint16_t)(get_le16(t + 6) ^ len);
	memcpy(f->rows + f->rows_len, t + INDEX_HEADER, len - INDEX_HEADER);
	f->rows_len += len - INDEX_HEADER;
}

static const uint8_t zeros[32];

/* What lies `shift` bits higher in a than the mask changes places with b. */
static inline void
exchange(uint64_t *a, uint64_t *b, unsigned int shift, uint64_t mask)
{
	uint64_t t = ((*a >> shift) ^ *b) & mask;

	*b ^= t;
	*a ^= t << shift;
}

/*
 * Eight bytes of eight rows: quarters, then pairs, then single bytes change
 * places. Written out, since compilers make slow code of loops over it.
 */
static inline void
transpose_8x8(const uint8_t *in, size_t step, uint8_t *out, size_t out_step)
{
	uint64_t a = get_le64(in), b = get_le64(in + step);
	uint64_t c = get_le64(in + 2 * step), d = get_le64(in + 3 * step);
	uint64_t e = get_le64(in + 4 * step), f = get_le64(in + 5 * step);
	uint64_t g = get_le64(in + 6 * step), h = get_le64(in + 7 * step);
	const uint64_t halves = 0xffffffffU, pairs = 0x0000ffff0000ffffULL;
	const uint64_t bytes = 0x00ff00ff00ff00ffULL;

	exchange(&a, &e, 32, halves);
	exchange(&b, &f, 32, halves);
	exchange(&c, &g, 32, halves);
	exchange(&d, &h, 32, halves);
	exchange(&a, &c, 16, pairs);
	exchange(&b, &d, 16, pairs);
	exchange(&e, &g, 16, pairs);
	exchange(&f, &h, 16, pairs);
	exchange(&a, &b, 8, bytes);
	exchange(&c, &d, 8, bytes);
	exchange(&e, &f, 8, bytes);
	exchange(&g, &h, 8, bytes);
	put_le64(out, a);
	put_le64(out + out_step, b);
	put_le64(out + 2 * out_step, c);
	put_le64(out + 3 * out_step, d);
	put_le64(out + 4 * out_step, e);
	put_le64(out + 5 * out_step, f);
	put_le64(out + 6 * out_step, g);
	put_le64(out + 7 * out_step, h);
}

/* n rows of len bytes become len rows of n bytes. */
static void
transpose(const uint8_t *in, uint8_t *out, size_t n, size_t len)
{
	size_t n8 = n & ~(size_t)7, len8 = len & ~(size_t)7, i, j;

	for (i = 0; i < n8; i += 8)
		for (j = 0; j < len8; j += 8)
			transpose_8x8(in + i * len + j, len, out + j * n + i,
			    n);
	for (j = 0; j < len; j++)
		for (i = j < len8 ? n8 : 0; i < n; i++)
			out[j * n + i] = in[i * len + j];
}

/* Which rows are turned: of one length, not too long, not too few. */
static bool
worth_turning(size_t n, size_t len)
{
	return n >= 8 && len > 0 && len <= 1024;
}

/* The items of a page into the columns. */
static bool
encode_items(struct pagefilter *f, const uint8_t *p, enum pagefilter_kind kind,
    uint32_t block, size_t n, size_t *lowest, size_t *row_len)
{
	size_t end = BLOCK - special_size(kind), expected = end, i;
	size_t least = kind == KIND_HEAP ? HEAP_HEADER : INDEX_HEADER;
	size_t lower = PAGE_HEADER + n * LINE_POINTER;
	const uint8_t *before = zeros;

	*lowest = end;
	*row_len = SIZE_MAX;
	for (i = 0; i < n; i++) {
		uint32_t lp = get_le32(p + PAGE_HEADER + i * LINE_POINTER);
		size_t off = lp & 0x7fff, len = lp >> 17, row;
		uint32_t flags = lp >> 15 & 3;
		const uint8_t *t = p + off;

		if (len >= 8192)
			return false;
		f->item.pointer[f->pointers++] = (uint16_t)(flags << 13 | len);
		if (len == 0) {
			f->item.odd[f->odds++] = (uint16_t)off;
			continue;
		}
		if (len < least || off < lower || off + len > end ||
		    off % 8 != 0 ||
		    (kind == KIND_HEAP &&
			(t[22] < HEAP_HEADER || t[22] > len)))
			return false;
		expected -= aligned(len); /* may wrap: a difference only */
		f->item.offset[f->tuples] =
		    zigzag16((uint16_t)((int16_t)(off - expected) / 8));
		expected = off;
		if (off < *lowest)
			*lowest = off;
		if (f->rows_len + len > (size_t)PAGES * BLOCK ||
		    f->bits_len + 256 > (size_t)PAGES * BLOCK)
			return false;
		if (kind == KIND_HEAP)
			heap_tuple(f, t, len, before, block,
			    (uint16_t)(i + 1));
		else
			index_tuple(f, t, len, before);
		row = kind == KIND_HEAP ? len - t[22] : len - INDEX_HEADER;
		*row_len = *row_len == SIZE_MAX || *row_len == row ? row : 0;
		before = t;
		f->tuples++;
	}
	return true;
}

static void
turn_rows(struct pagefilter *f, const struct mark *m, size_t row_len)
{
	size_t n = f->tuples - m->tuples;

	f->page.turned[f->pages] = 0;
	if (row_len == SIZE_MAX || !worth_turning(n, row_len) ||
	    n * row_len > BLOCK)
		return;
	memcpy(f->turn, f->rows + m->rows, n * row_len);
	transpose(f->turn, f->rows + m->rows, n, row_len);
	f->page.turned[f->pages] = 1;
}

static bool
encode_page(struct pagefilter *f, const uint8_t *p, enum pagefilter_kind kind,
    uint32_t block, uint64_t *lsn)
{
	struct mark m = { f->pointers, f->odds, f->tuples, f->bits_len,
		f->rows_len };
	struct pagefilter_pages *c = &f->page;
	size_t i = f->pages, n, lowest, row_len;
		const uint8_t *special = p + BLOCK - BTREE_SPECIAL;

	if (!looks_like(p, kind))
		return false;
	n = (get_le16(p + 12) - (size_t)PAGE_HEADER) / LINE_POINTER;
	if (!encode_items(f, p, kind, block, n, &lowest, &row_len))
		goto as_it_is;
	turn_rows(f, &m, row_len);
	c->lsn[i] = zigzag64(page_lsn(p) - *lsn);
	*lsn = page_lsn(p);
	c->checksum[i] = get_le16(p + 8);
	c->flags[i] = get_le16(p + 10);
	c->items[i] = (uint16_t)n;
	c->upper[i] = zigzag16((uint16_t)(get_le16(p + 14) - lowest));
	c->prune[i] = get_le32(p + 20);
	if (kind == KIND_BTREE) {
		c->prev[i] = zigzag(get_le32(special) - (block - 1));
		c->next[i] = zigzag(get_le32(special + 4) - (block + 1));
		c->level[i] = get_le32(special + 8);
		c->special[i] = get_le16(special + 12);
		c->cycle[i] = get_le16(special + 14);
	}
	f->pages++;
	return true;

as_it_is:
	f->pointers = m.pointers;
	f->odds = m.odds;
	f->tuples = m.tuples;
	f->bits_len = m.bits;
	f->rows_len = m.rows;
	return false;
}

/* ------------------------------------------------------------ and back */

static bool
decode_heap_tuple(const struct pagefilter *f, struct mark *at, uint8_t *t,
    size_t len, const uint8_t *before, uint32_t block, uint16_t number)
{
	const struct pagefilter_items *c = &f->item;
	size_t i = at->tuples, bits;

	if (c->hoff[i] < HEAP_HEADER || c->hoff[i] > len)
		return false;
	bits = c->hoff[i] - (size_t)HEAP_HEADER;
	if (f->bits_len - at->bits < bits)
		return false;
	put_le32(t, unzigzag(c->a[i]) + get_le32(before));
	put_le32(t + 4, unzigzag(c->xmax[i]) + get_le32(before + 4));
	put_le32(t + 8, c->cid[i]);
	block += unzigzag(c->block[i]);
	put_le16(t + 12, (uint16_t)(block >> 16));
	put_le16(t + 14, (uint16_t)block);
	put_le16(t + 16, (uint16_t)(unzigzag16(c->position[i]) + number));
	put_le16(t + 18, c->info2[i]);
	put_le16(t + 20, c->info[i]);
	t[22] = c->hoff[i];
	memcpy(t + HEAP_HEADER, f->bits + at->bits, bits);
	at->bits += bits;
	return true;
}

static void
decode_index_tuple(const struct pagefilter *f, struct mark *at, uint8_t *t,
    size_t len, const uint8_t *before)
{
	const struct pagefilter_items *c = &f->item;
	size_t i = at->tuples;
	uint32_t block = (uint32_t)get_le16(before) << 16 | get_le16(before + 2);

	block += unzigzag(c->a[i]);
	put_le16(t, (uint16_t)(block >> 16));
	put_le16(t + 2, (uint16_t)block);
	put_le16(t + 4,
	    (uint16_t)(unzigzag16(c->position[i]) + get_le16(before + 4)));
	put_le16(t + 6, (uint16_t)(c->info[i] ^ len));
}

/* Items' line pointers and headers; rows follow. */
static bool
decode_items(struct pagefilter *f, enum pagefilter_kind kind, uint32_t block, size_t n,
    struct mark *at, uint8_t *p, size_t *lowest, const uint8_t *rows,
    size_t rows_left)
{
	size_t end = BLOCK - special_size(kind), expected = end, i;
	size_t least = kind == KIND_HEAP ? HEAP_HEADER : INDEX_HEADER;
	size_t lower = PAGE_HEADER + n * LINE_POINTER, used = 0;
	const uint8_t *before = zeros;

	*lowest = end;
	for (i = 0; i < n; i++) {
		uint16_t v = f->item.pointer[at->pointers++];
		size_t len = v & 0x1fff, off, head, row;
		uint8_t *t;

		if (len == 0) {
			if (at->odds == f->odds)
				return false;
			off = f->item.odd[at->odds++];
			if (off > 0x7fff)
				return false;
		} else {
			if (at->tuples == f->tuples || len < least)
				return false;
			off = expected - aligned(len) +
			    (size_t)(int16_t)unzigzag16(
				f->item.offset[at->tuples]) * 8;
			if (off < lower || off > end || len > end - off)
				return false;
			t = p + off;
			expected = off;
			if (off < *lowest)
				*lowest = off;
			if (kind == KIND_HEAP) {
				if (!decode_heap_tuple(f, at, t, len, before,
					block, (uint16_t)(i + 1)))
					return false;
				head = t[22];
			} else {
				decode_index_tuple(f, at, t, len, before);
				head = INDEX_HEADER;
			}
			row = len - head;
			if (row > rows_left - used)
				return false;
			memcpy(t + head, rows + used, row);
			used += row;
			before = t;
			at->tuples++;
		}
		put_le32(p + PAGE_HEADER + i * LINE_POINTER,
		    (uint32_t)off | (uint32_t)(v >> 13 & 3) << 15 |
			(uint32_t)len << 17);
	}
	at->rows += used;
	return true;
}

/* Of rows that were turned: how many there are and how long each is. */
static bool
turned_rows(const struct pagefilter *f, enum pagefilter_kind kind, const struct mark *at,
    size_t n, size_t *step, size_t *stride)
{
	size_t i, tuples = 0, len = 0;

	for (i = 0; i < n; i++) {
		size_t l = f->item.pointer[at->pointers + i] & 0x1fff;

		if (l == 0)
			continue;
		if (tuples == 0)
			len = l;
		tuples++;
	}
	if (tuples < 2 || at->tuples >= f->tuples)
		return false;
	*step = kind == KIND_HEAP ? f->item.hoff[at->tuples] : INDEX_HEADER;
	if (*step > len)
		return false;
	*step = len - *step;
	*stride = tuples;
	return *step * tuples <= BLOCK &&
	    *step * tuples <= f->rows_len - at->rows;
}

static bool
decode_page(struct pagefilter *f, enum pagefilter_kind kind, uint32_t block,
    uint64_t *lsn, struct mark *at, uint8_t *p)
{
	const struct pagefilter_pages *c = &f->page;
	size_t i = f->pages, n = c->items[i], lowest, len, rows;
	const uint8_t *from = f->rows + at->rows;
	size_t left = f->rows_len - at->rows;
	uint8_t *special = p + BLOCK - BTREE_SPECIAL;

	if (n > ITEMS_PAGE || n > f->pointers - at->pointers)
		return false;
	if (c->turned[i]) {
		if (!turned_rows(f, kind, at, n, &len, &rows))
			return false;
		transpose(f->rows + at->rows, f->turn, len, rows);
		from = f->turn;
		left = len * rows;
	}
	memset(p, 0, BLOCK);
	if (!decode_items(f, kind, block, n, at, p, &lowest, from, left))
		return false;
	*lsn += unzigzag64(c->lsn[i]);
	put_le32(p, (uint32_t)(*lsn >> 32));
	put_le32(p + 4, (uint32_t)*lsn);
	put_le16(p + 8, c->checksum[i]);
	put_le16(p + 10, c->flags[i]);
	put_le16(p + 12, (uint16_t)(PAGE_HEADER + n * LINE_POINTER));
	put_le16(p + 14, (uint16_t)(unzigzag16(c->upper[i]) + lowest));
	put_le16(p + 16, (uint16_t)(BLOCK - special_size(kind)));
	put_le16(p + 18, BLOCK | PAGE_VERSION);
	put_le32(p + 20, c->prune[i]);
	if (kind == KIND_BTREE) {
		put_le32(special, unzigzag(c->prev[i]) + (block - 1));
		put_le32(special + 4, unzigzag(c->next[i]) + (block + 1));
		put_le32(special + 8, c->level[i]);
		put_le16(special + 12, c->special[i]);
		put_le16(special + 14, c->cycle[i]);
	}
	return true;
}

bool
pagefilter_decode(struct pagefilter *f, const uint8_t *in, size_t len,
    uint8_t *pages, size_t count, const uint32_t *blocks)
{
	struct pagefilter_reader r = { in, in + len, false };
	struct mark at = { 0 };
	enum pagefilter_kind kind;
	size_t i, all;
	uint64_t lsn = 0;

	if (count == 0 || count > PAGES || !pagefilter_get(f, &kind, &r, count))
		return false;
	all = f->pages;
	f->pages = 0;
	for (i = 0; i < count; i++) {
		uint8_t *p = pages + i * BLOCK;
		const uint8_t *plain;

		if (!f->whole[i]) {
			plain = pagefilter_take(&r, BLOCK);
			if (plain == NULL)
				return false;
			memcpy(p, plain, BLOCK);
			continue;
		}
		if (f->whole[i] != 1 || f->pages == all ||
		    !decode_page(f, kind, blocks[i], &lsn, &at, p))
			return false;
		f->pages++;
	}
	return f->pages == all && at.pointers == f->pointers &&
	    at.odds == f->odds && at.tuples == f->tuples &&
	    at.bits == f->bits_len && at.rows == f->rows_len && r.p == r.end;
}

static void
encode_pages(struct pagefilter *f, enum pagefilter_kind kind, const uint8_t *pages,
    size_t count, const uint32_t *blocks)
{
	uint64_t lsn = 0;
	size_t i;

	f->pages = f->pointers = f->odds = f->tuples = 0;
	f->bits_len = f->rows_len = 0;
	for (i = 0; i < count; i++)
		f->whole[i] = !f->plain[i] &&
		    encode_page(f, pages + i * BLOCK, kind, blocks[i], &lsn);
}

/*
 * Overlapping items, bytes between them: such pages do not come back, and are
 * remembered to be left as they are.
 */
static bool
compare(struct pagefilter *f, const uint8_t *pages, size_t count)
{
	bool same = true;
	size_t i;

	for (i = 0; i < count; i++)
		if (memcmp(f->check + i * BLOCK, pages + i * BLOCK, BLOCK) !=
		    0) {
			f->plain[i] = 1;
			same = false;
		}
	return same;
}

size_t
pagefilter_encode(struct pagefilter *f, const uint8_t *pages, size_t count,
    const uint32_t *blocks, uint8_t *out, size_t max)
{
	struct pagefilter_writer w;
	enum pagefilter_kind kind = KIND_HEAP;
	size_t i, found = 0;
	int round;

	if (count == 0 || count > PAGES)
		return 0;
	for (i = 0; i < count && found == 0; i++)
		if (looks_like(pages + i * BLOCK, KIND_BTREE)) {
			kind = KIND_BTREE;
			found = 1;
		} else if (looks_like(pages + i * BLOCK, KIND_HEAP))
			found = 1;
	if (found == 0)
		return 0;
	memset(f->plain, 0, sizeof(f->plain));
	/* A second time without the pages that did not come back. */
	for (round = 0; round < 2; round++) {
		w = (struct pagefilter_writer) { out, out + max, false };
		encode_pages(f, kind, pages, count, blocks);
		if (f->pages * 2 < count)
			return 0;
		pagefilter_put(f, kind, &w, pages, count);
		if (w.failed)
			return 0;
		if (!pagefilter_decode(f, out, (size_t)(w.p - out), f->check,
			count, blocks))
			return 0;
		if (compare(f, pages, count))
			return (size_t)(w.p - out);
	}
	return 0;
}
