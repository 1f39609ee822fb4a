/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_BUF_H
#define CORE_BUF_H

/*
 * A growing byte buffer with a ceiling.
 *
 *	struct buf b;
 *	buf_init(&b, MANIFEST_LINE_MAX);
 *	buf_printf(&b, "...", ...);
 *	buf_add(&b, bytes, len);
 *	if (buf_check(&b, "manifest line", err) != 0) ...
 *	buf_free(&b);
 *
 * Adding past the ceiling leaves the buffer as it was and marks it; the mark
 * is sticky and buf_check() reports it. The byte after the last is always 0
 * once anything was added, so text can be used as a string. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct buf {
	uint8_t *data; /* NULL until the first byte */
	size_t len;
	size_t cap;
	size_t max;
	bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* also fine on a zeroed or freed one */
void buf_clear(struct buf *b); /* length 0 and no mark; keeps the memory */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_str(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_le16(struct buf *b, uint16_t v);
void buf_add_le32(struct buf *b, uint32_t v);
void buf_add_le64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Room for len more bytes; returns where to write them, or NULL (and marks)
 * past the ceiling. The caller adds to b->len what it wrote.
 */
uint8_t *buf_reserve(struct buf *b, size_t len);

/* ERR_REFUSED "WHAT is larger than N bytes" when the mark is set. */
int buf_check(const struct buf *b, const char *what, struct err *err) ERR_USE;

/* The text, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);

#endif
