/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/pathset.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "repo/hash.h"

#define KEY_SIZE 16
#define TYPE_BITS 3

static void
key_of(const char *path, size_t len, enum pathset_type type,
    uint8_t out[KEY_SIZE])
{
	hash_128(path, len, out);
	out[KEY_SIZE - 1] = (uint8_t)((out[KEY_SIZE - 1] & ~TYPE_BITS) |
	    type);
}

static void
add(struct pathset *s, const char *path, size_t len, enum pathset_type type)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 1024 : 2 * s->cap;
		s->list = xreallocarray(s->list, s->cap, sizeof(*s->list));
	}
	key_of(path, len, type, s->list[s->n++]);
}

/* Configuration files have no lines for their directories. */
static void
add_parents(struct pathset *s, const char *path)
{
	const char *p;

	for (p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/'))
		add(s, path, (size_t)(p - path), PATHSET_DIR);
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, KEY_SIZE);
}

int
pathset_read(struct pathset *s, const struct restore_plan *plan,
    struct err *err)
{
	const struct commit *c = &plan->backup;
	struct manifest_reader *reader;
	struct manifest_entry e;
	int rc;

	memset(s, 0, sizeof(*s));
	if (manifest_reader_open(&reader, plan->params.repo, &plan->inc,
		c->label, c->parts, c->n_parts, err) != 0)
		return -1;
	while ((rc = manifest_reader_next(reader, &e, err)) == 1) {
		if (e.type == MANIFEST_DIR)
			add(s, e.path, strlen(e.path), PATHSET_DIR);
		else if (e.type == MANIFEST_LINK)
			add(s, e.path, strlen(e.path), PATHSET_LINK);
		else if (e.type == MANIFEST_FILE || e.type == MANIFEST_CONFIG)
			add(s, e.path, strlen(e.path), PATHSET_FILE);
		if (e.type == MANIFEST_CONFIG)
			add_parents(s, e.path);
		rc = cancel_check(err);
		if (rc != 0)
			break;
	}
	manifest_reader_close(reader);
	if (rc != 0)
		return -1;
	if (s->n > 0)
		qsort(s->list, s->n, sizeof(*s->list), compare);
	return 0;
}

enum pathset_type
pathset_find(const struct pathset *s, const char *path)
{
	static const enum pathset_type types[] = { PATHSET_FILE, PATHSET_DIR,
		PATHSET_LINK };
	uint8_t key[KEY_SIZE];
	size_t i;

	for (i = 0; s->n > 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		key_of(path, strlen(path), types[i], key);
		if (bsearch(key, s->list, s->n, sizeof(*s->list),
			compare) != NULL)
			return types[i];
	}
	return PATHSET_NONE;
}

void
pathset_free(struct pathset *s)
{
	free(s->list);
	memset(s, 0, sizeof(*s));
}
