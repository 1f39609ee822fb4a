/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->overflow = false;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data != NULL)
		b->data[0] = 0;
}

uint8_t *
buf_reserve(struct buf *b, size_t len)
{
	size_t want, cap;

	if (b->overflow || len > b->max - b->len) {
		b->overflow = true;
		return NULL;
	}
	want = b->len + len + 1; /* one for the 0 at the end */
	if (want > b->cap) {
		cap = b->cap < 128 ? 128 : b->cap + b->cap / 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		if (cap < want)
			cap = want;
		b->data = xreallocarray(b->data, cap, 1);
		b->cap = cap;
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	uint8_t *p = buf_reserve(b, len);

	if (p == NULL)
		return;
	if (len > 0)
		memcpy(p, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_byte(struct buf *b, uint8_t byte)
{
	buf_add(b, &byte, 1);
}

void
buf_add_le16(struct buf *b, uint16_t v)
{
	uint8_t x[2];

	put_le16(x, v);
	buf_add(b, x, sizeof(x));
}

void
buf_add_le32(struct buf *b, uint32_t v)
{
	uint8_t x[4];

	put_le32(x, v);
	buf_add(b, x, sizeof(x));
}

void
buf_add_le64(struct buf *b, uint64_t v)
{
	uint8_t x[8];

	put_le64(x, v);
	buf_add(b, x, sizeof(x));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (p != NULL) {
		(void)vsnprintf((char *)p, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

int
buf_check(const struct buf *b, const char *what, struct err *err)
{
	if (!b->overflow)
		return 0;
	return err_set(err, ERR_REFUSED, "%s is larger than %zu bytes", what,
	    b->max);
}

const char *
buf_str(const struct buf *b)
{
	return b->data == NULL || b->len == 0 ? "" : (const char *)b->data;
}
