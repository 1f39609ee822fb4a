/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/planlist.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define ENTRY_MAX (1 + 5 + 10) /* before the name */
#define ARENA_MAX ((size_t)UINT32_MAX)

static size_t
varint_put(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

static uint64_t
varint_get(const uint8_t **p)
{
	uint64_t v = 0;
	unsigned shift = 0;

	for (;; shift += 7) {
		v |= (uint64_t)(**p & 0x7f) << shift;
		if ((*(*p)++ & 0x80) == 0)
			return v;
	}
}

int
plan_add_entry(struct plan *p, enum plan_type type, uint32_t dir, uint64_t number,
    const char *name, const char *target, struct err *err)
{
	size_t name_len = strlen(name) + 1;
	size_t target_len = target == NULL ? 0 : strlen(target) + 1;
	size_t need = ENTRY_MAX + name_len + target_len;
	uint8_t *at;

	if (p->arena_len + need > ARENA_MAX)
		return err_set(err, ERR_REFUSED,
		    "the data directory has too many files to list");
	if (p->arena_len + need > p->arena_cap) {
		p->arena_cap += p->arena_cap / 4 + need + ((size_t)64 << 10);
		p->arena = xreallocarray(p->arena, p->arena_cap, 1);
	}
	if (p->n == p->cap) {
		p->cap += p->cap / 4 + 1024;
		p->index = xreallocarray(p->index, p->cap, sizeof(*p->index));
	}
	p->index[p->n++] = (uint32_t)p->arena_len;
	at = p->arena + p->arena_len;
	*at++ = (uint8_t)type;
	at += varint_put(at, dir);
	at += varint_put(at, number);
	memcpy(at, name, name_len);
	at += name_len;
	if (target_len > 0)
		memcpy(at, target, target_len);
	p->arena_len = (size_t)(at + target_len - p->arena);
	return 0;
}

uint32_t
plan_add_dir(struct plan *p, const char *path)
{
	if (p->n_dirs == p->cap_dirs) {
		p->cap_dirs += p->cap_dirs / 2 + 64;
		p->dirs = xreallocarray(p->dirs, p->cap_dirs,
		    sizeof(*p->dirs));
	}
	p->dirs[p->n_dirs] = xstrdup(path);
	return p->n_dirs++;
}

void
plan_entry_get(const struct plan *p, uint32_t offset, struct plan_item *out)
{
	const uint8_t *at = p->arena + offset;
	uint64_t number;

	memset(out, 0, sizeof(*out));
	out->type = (enum plan_type)*at++;
	out->dir = (uint32_t)varint_get(&at);
	number = varint_get(&at);
	out->name = (const char *)at;
	if (out->type == PLAN_FILE)
		out->size = number;
	else if (out->type == PLAN_DIR)
		out->mode = (uint32_t)number;
	else
		out->target = out->name + strlen(out->name) + 1;
}

void
plan_get(const struct plan *p, uint32_t i, struct plan_item *out)
{
	plan_entry_get(p, p->index[i], out);
}

uint32_t
plan_count(const struct plan *p)
{
	return p->n;
}

const char *
plan_dir_path(const struct plan *p, uint32_t dir)
{
	return p->dirs[dir];
}

void
plan_path(const struct plan *p, const struct plan_item *item,
    struct buf *path)
{
	const char *dir = p->dirs[item->dir];

	buf_clear(path);
	if (*dir != '\0') {
		buf_add_str(path, dir);
		buf_add_byte(path, '/');
	}
	buf_add_str(path, item->name);
}

const struct plan_totals *
plan_totals(const struct plan *p)
{
	return &p->totals;
}

const struct plan_tablespace *
plan_tablespaces(const struct plan *p, size_t *n)
{
	*n = p->n_tablespaces;
	return p->tablespaces;
}

/* A path in two pieces, read byte by byte for comparing. */
struct path_reader {
	const uint8_t *dir, *name;
	bool slash;
};

static int
path_byte(struct path_reader *r)
{
	if (*r->dir != '\0')
		return *r->dir++;
	if (r->slash) {
		r->slash = false;
		return '/';
	}
	return *r->name == '\0' ? 0 : *r->name++;
}

static int
compare_entries(const void *a, const void *b, void *arg)
{
	const struct plan *p = arg;
	struct plan_item ia, ib;
	struct path_reader ra, rb;
	int ca, cb;

	plan_entry_get(p, *(const uint32_t *)a, &ia);
	plan_entry_get(p, *(const uint32_t *)b, &ib);
	if (ia.dir == ib.dir)
		return strcmp(ia.name, ib.name);
	ra.dir = (const uint8_t *)p->dirs[ia.dir];
	rb.dir = (const uint8_t *)p->dirs[ib.dir];
	ra.name = (const uint8_t *)ia.name;
	rb.name = (const uint8_t *)ib.name;
	ra.slash = *ra.dir != '\0';
	rb.slash = *rb.dir != '\0';
	do {
		ca = path_byte(&ra);
		cb = path_byte(&rb);
	} while (ca == cb && ca != 0);
	return ca - cb;
}

void
plan_sort(struct plan *p)
{
	qsort_r(p->index, p->n, sizeof(*p->index), compare_entries, p);
}

void
plan_free(struct plan *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n_dirs; i++)
		free(p->dirs[i]);
	for (i = 0; i < p->n_tablespaces; i++)
		free(p->tablespaces[i].path);
	free(p->dirs);
	free(p->tablespaces);
	free(p->arena);
	free(p->index);
	free(p);
}
