/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/textset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"

int
textset_key(const struct textset *set, const char *id,
    char out[STORAGE_KEY_MAX], struct err *err)
{
	int len = snprintf(out, STORAGE_KEY_MAX, "%s%s", set->folder, id);

	if (len < 0 || len >= STORAGE_KEY_MAX)
		return err_set(err, ERR_BUG, "the key %s%s is too long",
		    set->folder, id);
	return 0;
}

int
textset_id(char id[TEXTSET_ID_MAX], struct err *err)
{
	uint8_t random[(TEXTSET_ID_MAX - 1) / 2];

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), id);
	return 0;
}

int
textset_put(struct repo *repo, const struct textset *set, const char *id,
    const struct buf *json, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	if (textset_key(set, id, key, err) != 0 ||
	    buf_check(json, key, err) != 0)
		return -1;
	return repo_put_text(repo, key, set->kind, buf_str(json), json->len,
	    err);
}

int
textset_remove(struct repo *repo, const struct textset *set, const char *id,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];

	if (textset_key(set, id, key, err) != 0)
		return -1;
	return storage_remove(repo->st, key, err);
}

struct listing {
	struct textset_item *items;
	size_t n;
};

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct listing *l = arg;
	struct textset_item *item;
	uint8_t id[(TEXTSET_ID_MAX - 1) / 2];

	if (entry->is_directory || strlen(entry->name) !=
	    TEXTSET_ID_MAX - 1 || !text_unhex(entry->name, id, sizeof(id)))
		return 0;
	l->items = xreallocarray(l->items, l->n + 1, sizeof(*l->items));
	item = &l->items[l->n++];
	memcpy(item->id, entry->name, sizeof(item->id));
	item->mtime = entry->mtime;
	return 0;
}

static int
by_id(const void *a, const void *b)
{
	const struct textset_item *x = a, *y = b;

	return strcmp(x->id, y->id);
}

int
textset_list(struct repo *repo, const struct textset *set,
    struct textset_item **out, size_t *n, struct err *err)
{
	struct listing l = { .items = NULL };

	*out = NULL;
	*n = 0;
	if (storage_list(repo->st, set->folder, true, note, &l, err) != 0) {
		free(l.items);
		return -1;
	}
	if (l.n > 0)
		qsort(l.items, l.n, sizeof(*l.items), by_id);
	*out = l.items;
	*n = l.n;
	return 0;
}

/* 1: it has gone meanwhile. */
static int
read_item(struct repo *repo, const struct textset *set,
    const struct textset_item *item, textset_fn fn, void *arg,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct json_reader j;
	struct buf b;
	int rc;

	if (textset_key(set, item->id, key, err) != 0)
		return -1;
	buf_init(&b, set->body_max == 0 ? TEXTSET_BODY_MAX : set->body_max);
	rc = repo_get_json(repo, key, set->kind, &b, &j, err);
	if (rc == 0) {
		fn(arg, item, &j);
		rc = json_check(&j, err);
		json_close(&j);
		if (rc != 0)
			err_wrap(err, "%s/%s", storage_url(repo->st), key);
	} else if (err->code == ERR_NOT_FOUND) {
		err_clear(err);
		rc = 1;
	}
	buf_free(&b);
	return rc;
}

int
textset_read(struct repo *repo, const struct textset *set, textset_fn fn,
    void *arg, struct err *err)
{
	struct textset_item *items;
	size_t i, n;
	int rc;

	rc = textset_list(repo, set, &items, &n, err);
	for (i = 0; i < n && rc >= 0; i++)
		rc = read_item(repo, set, &items[i], fn, arg, err);
	free(items);
	return rc < 0 ? -1 : 0;
}
