/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void
text_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void
text_base64(const void *data, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;
	uint32_t v;
	size_t i;

	for (i = 0; i < len; i += 3) {
		v = (uint32_t)in[i] << 16;
		v |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
		v |= i + 2 < len ? in[i + 2] : 0;
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*out = '\0';
}

bool
text_unhex(const char *hex, void *out, size_t len)
{
	uint8_t *p = out;
	size_t i;
	int hi, lo;

	if (strlen(hex) != 2 * len)
		return false;
	for (i = 0; i < len; i++) {
		hi = hex_digit(hex[2 * i]);
		lo = hex_digit(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

void
text_escape(struct buf *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = data;
	size_t i, start = 0;
	char esc[3];

	for (i = 0; i < len; i++) {
		if (p[i] > 0x20 && p[i] < 0x7f && p[i] != '%' &&
		    p[i] != '"' && p[i] != '\\')
			continue;
		buf_add(out, p + start, i - start);
		esc[0] = '%';
		esc[1] = digits[p[i] >> 4];
		esc[2] = digits[p[i] & 15];
		buf_add(out, esc, sizeof(esc));
		start = i + 1;
	}
	buf_add(out, p + start, len - start);
}

bool
text_unescape(struct buf *out, const char *s)
{
	int hi, lo;

	for (; *s != '\0'; s++) {
		if (*s != '%') {
			buf_add(out, s, 1);
			continue;
		}
		hi = hex_digit(s[1]);
		lo = hi < 0 ? -1 : hex_digit(s[2]);
		if (lo < 0)
			return false;
		buf_add_byte(out, (uint8_t)(hi << 4 | lo));
		s += 2;
	}
	return true;
}

bool
text_u64(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	unsigned digit;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		digit = (unsigned)(*s - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

bool
text_hex_u64(const char *s, size_t digits, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;
	int d;

	if (digits == 0 || digits > 16)
		return false;
	for (i = 0; i < digits; i++) {
		d = hex_digit(s[i]);
		if (d < 0)
			return false;
		v = v << 4 | (unsigned)d;
	}
	*out = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* NUMBER UNIT (a space between is fine); no unit takes factor 0's entry. */
static bool
number_with_unit(const char *s, const struct unit *units, uint64_t *out)
{
	char number[24];
	size_t n = strspn(s, "0123456789");
	uint64_t v;

	if (n == 0 || n >= sizeof(number))
		return false;
	memcpy(number, s, n);
	number[n] = '\0';
	if (!text_u64(number, UINT64_MAX, &v))
		return false;
	for (s += n; *s == ' '; s++)
		;
	for (; units->name != NULL; units++) {
		if (strcmp(s, units->name) != 0)
			continue;
		if (v > UINT64_MAX / units->factor)
			return false;
		*out = v * units->factor;
		return true;
	}
	return false;
}

bool
text_size(const char *s, uint64_t *bytes)
{
	static const struct unit units[] = { { "", 1 }, { "B", 1 },
		{ "kB", 1u << 10 }, { "MB", 1u << 20 }, { "GB", 1u << 30 },
		{ "TB", (uint64_t)1 << 40 }, { NULL, 0 } };

	return number_with_unit(s, units, bytes);
}

bool
text_duration(const char *s, uint64_t *milliseconds)
{
	static const struct unit units[] = { { "", 1000 }, { "ms", 1 },
		{ "s", 1000 }, { "min", 60000 }, { "h", 3600000 },
		{ "d", 86400000 }, { NULL, 0 } };

	return number_with_unit(s, units, milliseconds);
}

const char *
text_human_size(uint64_t bytes, char out[TEXT_SIZE_MAX])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB",
		"PB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1023.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	(void)snprintf(out, TEXT_SIZE_MAX, u > 0 && v < 9.95 ? "%.1f %s" :
	    "%.0f %s", v, units[u]);
	return out;
}
