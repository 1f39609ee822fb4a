/* SPDX-License-Identifier: PostgreSQL */
/* Columns as bytes: each column a plane after the other. */
#include "config.h"

#include "pg/pagefilter_private.h"

#include <string.h>

#include "core/bytes.h"

static uint8_t *
room(struct pagefilter_writer *w, size_t n)
{
	uint8_t *p = w->p;

	if ((size_t)(w->end - w->p) < n) {
		w->failed = true;
		return NULL;
	}
	w->p += n;
	return p;
}

const uint8_t *
pagefilter_take(struct pagefilter_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || (size_t)(r->end - r->p) < n) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static void
put_bytes(struct pagefilter_writer *w, const void *bytes, size_t n)
{
	uint8_t *p = room(w, n);

	if (p != NULL)
		memcpy(p, bytes, n);
}

/*
 * A column is written a byte of its values at a time, the lowest of all values
 * first: 0 and the byte when all are the same, else 1 and the bytes.
 */
#define COLUMN(type, bits)                                                     \
	static void put_column_##bits(struct pagefilter_writer *w,             \
	    const type *v,                                                     \
	    size_t n)                                                          \
	{                                                                      \
		type differ = 0;                                               \
		size_t i, plane;                                               \
		for (i = 1; i < n; i++)                                        \
			differ |= v[i] ^ v[0];                                 \
		for (plane = 0; plane < sizeof(type); plane++) {               \
			bool same = (uint8_t)(differ >> (8 * plane)) == 0;     \
			uint8_t *p;                                            \
			if (n == 0)                                            \
				return;                                        \
			p = room(w, same ? 2 : 1 + n);                         \
			if (p == NULL)                                         \
				return;                                        \
			*p++ = same ? 0 : 1;                                   \
			for (i = 0; i < (same ? 1 : n); i++)                   \
				p[i] = (uint8_t)(v[i] >> (8 * plane));         \
		}                                                              \
	}                                                                      \
	static void get_column_##bits(struct pagefilter_reader *r, type *v,    \
	    size_t n)                                                          \
	{                                                                      \
		size_t i, plane;                                               \
		for (plane = 0; plane < sizeof(type) && n > 0; plane++) {      \
			const uint8_t *how = pagefilter_take(r, 1), *p;                   \
			if (how == NULL || *how > 1) {                         \
				r->failed = true;                              \
				return;                                        \
			}                                                      \
			p = pagefilter_take(r, *how == 0 ? 1 : n);                        \
			if (p == NULL)                                         \
				return;                                        \
			if (plane == 0)                                        \
				memset(v, 0, n * sizeof(*v));                  \
			if (*how == 0) {                                       \
				type same = (type)((type)*p << (8 * plane));   \
				if (same != 0)                                 \
					for (i = 0; i < n; i++)                \
						v[i] |= same;                  \
			} else                                                 \
				for (i = 0; i < n; i++)                        \
					v[i] |= (type)((type)p[i]              \
					    << (8 * plane));                   \
		}                                                              \
	}

COLUMN(uint64_t, 64)
COLUMN(uint32_t, 32)
COLUMN(uint16_t, 16)
COLUMN(uint8_t, 8)

static void
put_number(struct pagefilter_writer *w, size_t n)
{
	uint8_t *p = room(w, 4);

	if (p != NULL)
		put_le32(p, (uint32_t)n);
}

static size_t
get_number(struct pagefilter_reader *r, size_t max)
{
	const uint8_t *p = pagefilter_take(r, 4);
	size_t n = p == NULL ? 0 : get_le32(p);

	if (n > max) {
		r->failed = true;
		n = 0;
	}
	return n;
}

void
pagefilter_put(const struct pagefilter *f, enum pagefilter_kind kind,
    struct pagefilter_writer *w,
    const uint8_t *pages, size_t count)
{
	const struct pagefilter_pages *c = &f->page;
	const struct pagefilter_items *t = &f->item;
	size_t i;

	put_number(w, (size_t)STREAMS_VERSION | (size_t)kind << 8);
	put_number(w, f->pages);
	put_number(w, f->pointers);
	put_number(w, f->odds);
	put_number(w, f->tuples);
	put_number(w, f->bits_len);
	put_number(w, f->rows_len);
	put_column_8(w, f->whole, count);
	put_column_8(w, c->turned, f->pages);
	put_column_64(w, c->lsn, f->pages);
	put_column_16(w, c->checksum, f->pages);
	put_column_16(w, c->flags, f->pages);
	put_column_16(w, c->items, f->pages);
	put_column_16(w, c->upper, f->pages);
	put_column_32(w, c->prune, f->pages);
	if (kind == KIND_BTREE) {
		put_column_32(w, c->prev, f->pages);
		put_column_32(w, c->next, f->pages);
		put_column_32(w, c->level, f->pages);
		put_column_16(w, c->special, f->pages);
		put_column_16(w, c->cycle, f->pages);
	}
	put_column_16(w, t->pointer, f->pointers);
	put_column_16(w, t->odd, f->odds);
	put_column_16(w, t->offset, f->tuples);
	put_column_32(w, t->a, f->tuples);
	put_column_16(w, t->position, f->tuples);
	put_column_16(w, t->info, f->tuples);
	if (kind == KIND_HEAP) {
		put_column_32(w, t->xmax, f->tuples);
		put_column_32(w, t->cid, f->tuples);
		put_column_32(w, t->block, f->tuples);
		put_column_16(w, t->info2, f->tuples);
		put_column_8(w, t->hoff, f->tuples);
	}
	put_bytes(w, f->bits, f->bits_len);
	put_bytes(w, f->rows, f->rows_len);
	for (i = 0; i < count; i++)
		if (!f->whole[i])
			put_bytes(w, pages + i * BLOCK, BLOCK);
}

bool
pagefilter_get(struct pagefilter *f, enum pagefilter_kind *kind,
    struct pagefilter_reader *r, size_t count)
{
	struct pagefilter_pages *c = &f->page;
	struct pagefilter_items *t = &f->item;
	const uint8_t *p;
	size_t head = get_number(r, UINT16_MAX);

	if ((head & 0xff) != STREAMS_VERSION ||
	    (head >> 8 != KIND_HEAP && head >> 8 != KIND_BTREE))
		return false;
	*kind = (enum pagefilter_kind)(head >> 8);
	f->pages = get_number(r, count);
	f->pointers = get_number(r, f->pages * ITEMS_PAGE);
	f->odds = get_number(r, f->pointers);
	f->tuples = get_number(r, f->pointers);
	f->bits_len = get_number(r, (size_t)PAGES * BLOCK);
	f->rows_len = get_number(r, (size_t)PAGES * BLOCK);
	get_column_8(r, f->whole, count);
	get_column_8(r, c->turned, f->pages);
	get_column_64(r, c->lsn, f->pages);
	get_column_16(r, c->checksum, f->pages);
	get_column_16(r, c->flags, f->pages);
	get_column_16(r, c->items, f->pages);
	get_column_16(r, c->upper, f->pages);
	get_column_32(r, c->prune, f->pages);
	if (*kind == KIND_BTREE) {
		get_column_32(r, c->prev, f->pages);
		get_column_32(r, c->next, f->pages);
		get_column_32(r, c->level, f->pages);
		get_column_16(r, c->special, f->pages);
		get_column_16(r, c->cycle, f->pages);
	}
	get_column_16(r, t->pointer, f->pointers);
	get_column_16(r, t->odd, f->odds);
	get_column_16(r, t->offset, f->tuples);
	get_column_32(r, t->a, f->tuples);
	get_column_16(r, t->position, f->tuples);
	get_column_16(r, t->info, f->tuples);
	if (*kind == KIND_HEAP) {
		get_column_32(r, t->xmax, f->tuples);
		get_column_32(r, t->cid, f->tuples);
		get_column_32(r, t->block, f->tuples);
		get_column_16(r, t->info2, f->tuples);
		get_column_8(r, t->hoff, f->tuples);
	}
	p = pagefilter_take(r, f->bits_len);
	if (p != NULL)
		memcpy(f->bits, p, f->bits_len);
	p = pagefilter_take(r, f->rows_len);
	if (p != NULL)
		memcpy(f->rows, p, f->rows_len);
	return !r->failed;
}
