/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

/*
 * Text: hexadecimal, percent-escaped bytes, strict numbers, sizes for people.
 * Pure and thread safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* len bytes as 2*len lower-case digits and a 0 at out. */
void text_hex(const void *data, size_t len, char *out);

/*
 * Base64 with padding (RFC 4648), and a 0: TEXT_BASE64_MAX(len) bytes at out.
 */
#define TEXT_BASE64_MAX(len) (((len) + 2) / 3 * 4 + 1)
void text_base64(const void *data, size_t len, char *out);

/* Exactly 2*len digits (either case) to bytes; false otherwise. */
bool text_unhex(const char *hex, void *out, size_t len);

/*
 * Bytes as printable ASCII without space: everything outside 0x21..0x7e, and
 * '%', '"' and '\\', becomes %XX (upper case). The result can stand in a JSON
 * string as it is. text_unescape() is its inverse and false on a malformed
 * escape.
 */
void text_escape(struct buf *out, const void *data, size_t len);
bool text_unescape(struct buf *out, const char *s);

/*
 * A whole number in decimal, nothing around it, at most max; false otherwise.
 * The base 16 one takes 1 to 16 digits.
 */
bool text_u64(const char *s, uint64_t max, uint64_t *out);
bool text_hex_u64(const char *s, size_t digits, uint64_t *out);

/* "512B", "64kB", "16MB", "1GB", "2TB" (PostgreSQL's units), or plain bytes. */
bool text_size(const char *s, uint64_t *bytes);

/* "30s", "5min", "2h", "7d", "500ms" (PostgreSQL's units), or plain seconds. */
bool text_duration(const char *s, uint64_t *milliseconds);

/* For people: "591 MB", "4.1 GB" (powers of 1024, PostgreSQL's names). */
#define TEXT_SIZE_MAX 24
const char *text_human_size(uint64_t bytes, char out[TEXT_SIZE_MAX]);

#endif
