/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/linestore.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"

#define NUMBER_MAX 10 /* bytes of a LEB128 number */
#define HEAD_SIZE 13  /* type, mtime, CRC; the path follows */

struct linestore {
	uint8_t *arena;
	size_t len, cap;
	size_t *lines; /* offsets */
	size_t n, cap_lines;
	struct map_run *runs; /* of the line that was given out */
	size_t cap_runs;
};

struct linestore *
linestore_new(void)
{
	return xcalloc(1, sizeof(struct linestore));
}

void
linestore_free(struct linestore *s)
{
	if (s == NULL)
		return;
	free(s->arena);
	free(s->lines);
	free(s->runs);
	free(s);
}

static uint8_t *
reserve(struct linestore *s, size_t n)
{
	if (s->cap - s->len < n) {
		s->cap = s->len + n + s->cap / 2 + 65536;
		s->arena = xreallocarray(s->arena, s->cap, 1);
	}
	return s->arena + s->len;
}

static void
put_number(struct linestore *s, uint64_t v)
{
	uint8_t *p = reserve(s, NUMBER_MAX);

	for (; v >= 0x80; v >>= 7) {
		*p++ = (uint8_t)(v | 0x80);
		s->len++;
	}
	*p = (uint8_t)v;
	s->len++;
}

static void
put_text(struct linestore *s, const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text);
	uint8_t *p = reserve(s, n + 1);

	if (n > 0)
		memcpy(p, text, n);
	p[n] = '\0';
	s->len += n + 1;
}

static void
put_runs(struct linestore *s, const struct map_run *runs, size_t n)
{
	size_t i;

	put_number(s, n);
	for (i = 0; i < n; i++) {
		put_number(s, runs[i].blocks);
		put_number(s, runs[i].pack);
		put_number(s, runs[i].frame);
		put_number(s, runs[i].block);
	}
}

void
linestore_add(struct linestore *s, const struct manifest_entry *e)
{
	uint8_t *p;

	if (s->n == s->cap_lines) {
		s->cap_lines += s->cap_lines / 2 + 1024;
		s->lines = xreallocarray(s->lines, s->cap_lines,
		    sizeof(*s->lines));
	}
	s->lines[s->n++] = s->len;
	p = reserve(s, HEAD_SIZE);
	p[0] = (uint8_t)e->type;
	put_le64(p + 1, (uint64_t)e->mtime);
	put_le32(p + 9, e->crc);
	s->len += HEAD_SIZE;
	put_text(s, e->path);
	put_text(s, e->target);
	put_number(s, e->mode);
	put_number(s, e->size);
	put_runs(s, e->runs, e->n_runs);
	put_runs(s, e->map, e->n_map);
}

static const char *
path_of(const struct linestore *s, size_t i)
{
	return (const char *)s->arena + s->lines[i] + HEAD_SIZE;
}

static int
compare(const void *a, const void *b, void *arena)
{
	const char *base = (const char *)arena + HEAD_SIZE;

	return strcmp(base + *(const size_t *)a, base + *(const size_t *)b);
}

void
linestore_sort(struct linestore *s)
{
	if (s->n > 1)
		qsort_r(s->lines, s->n, sizeof(*s->lines), compare, s->arena);
}

size_t
linestore_count(const struct linestore *s)
{
	return s->n;
}

static uint64_t
take_number(const uint8_t **p)
{
	uint64_t v = 0;
	unsigned shift = 0;

	for (; (**p & 0x80) != 0; (*p)++, shift += 7)
		v |= (uint64_t)(**p & 0x7f) << shift;
	v |= (uint64_t)*(*p)++ << shift;
	return v;
}

static const char *
take_text(const uint8_t **p)
{
	const char *text = (const char *)*p;

	*p += strlen(text) + 1;
	return text;
}

static void
reserve_runs(struct linestore *s, size_t n)
{
	if (n <= s->cap_runs)
		return;
	s->cap_runs = n + 64;
	s->runs = xreallocarray(s->runs, s->cap_runs, sizeof(*s->runs));
}

static void
take_runs(const uint8_t **p, struct map_run *out, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		out[i].blocks = take_number(p);
		out[i].pack = (uint32_t)take_number(p);
		out[i].frame = (uint32_t)take_number(p);
		out[i].block = (uint32_t)take_number(p);
	}
}

void
linestore_get(struct linestore *s, size_t i, struct manifest_entry *out)
{
	const uint8_t *p = s->arena + s->lines[i];

	memset(out, 0, sizeof(*out));
	out->type = (enum manifest_type)p[0];
	out->mtime = (int64_t)get_le64(p + 1);
	out->crc = get_le32(p + 9);
	p += HEAD_SIZE;
	out->path = take_text(&p);
	out->target = take_text(&p);
	out->mode = (uint32_t)take_number(&p);
	out->size = take_number(&p);
	/* A line has runs or a map, never both. */
	out->n_runs = (size_t)take_number(&p);
	reserve_runs(s, out->n_runs);
	take_runs(&p, s->runs, out->n_runs);
	out->n_map = (size_t)take_number(&p);
	if (out->n_map > 0) {
		reserve_runs(s, out->n_map);
		take_runs(&p, s->runs, out->n_map);
		out->map = s->runs;
	} else
		out->runs = s->runs;
}

bool
linestore_find(struct linestore *s, const char *path,
    struct manifest_entry *out)
{
	size_t low = 0, high = s->n, mid;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		c = strcmp(path, path_of(s, mid));
		if (c == 0) {
			linestore_get(s, mid, out);
			return true;
		}
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}
