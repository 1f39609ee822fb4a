/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_CURSOR_H
#define REPO_CURSOR_H

/*
 * Reading little-endian numbers from bytes that may be too few. Past the end
 * everything reads as 0 and `bad` is set, so that a decoder checks once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/bytes.h"

struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* The next n bytes, or NULL. */
static inline const uint8_t *
cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static inline uint8_t
cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 1);

	return p == NULL ? 0 : *p;
}

static inline uint16_t
cursor_le16(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 2);

	return p == NULL ? 0 : get_le16(p);
}

static inline uint32_t
cursor_le32(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 4);

	return p == NULL ? 0 : get_le32(p);
}

static inline uint64_t
cursor_le64(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 8);

	return p == NULL ? 0 : get_le64(p);
}

/* An unsigned LEB128 number of at most max. */
static inline uint64_t
cursor_leb128(struct cursor *c, uint64_t max)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = cursor_u8(c);
		if (c->bad || shift > 63 ||
		    (shift == 63 && (byte & 0x7e) != 0)) {
			c->bad = true;
			return 0;
		}
		v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0);
	if (v > max)
		c->bad = true;
	return c->bad ? 0 : v;
}

/* What cursor_leb128() reads. */
static inline void
buf_add_leb128(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	buf_add(b, bytes, n);
}

#endif
