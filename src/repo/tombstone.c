/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/tombstone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/json.h"

#define KIND "tombstone"
#define FOLDER "tombstones/"
#define NAME_MAX_LEN 256

static void
tombstone_key(const struct incarnation *inc, const char *id,
    char out[STORAGE_KEY_MAX])
{
	char tail[64];

	(void)snprintf(tail, sizeof(tail), FOLDER "%s", id);
	repo_key(inc, tail, out);
}

int
tombstone_put(struct repo *repo, const struct incarnation *inc,
    char *const *objects, size_t n, bool forced, struct err *err)
{
	char id[TOMBSTONE_ID_TEXT], now[TIME_TEXT_MAX], key[STORAGE_KEY_MAX];
	uint8_t random[8];
	struct buf b;
	size_t i;
	int rc;

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), id);
	buf_init(&b, FORMAT_TEXT_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"created\": \"%s\",\n"
	    "\"forced\": %s,\n\"objects\": [", id,
	    time_format(time_now(), now), forced ? "true" : "false");
	for (i = 0; i < n; i++) { /* names are keys: nothing to escape */
		buf_add_str(&b, i == 0 ? "\n  \"" : ",\n  \"");
		buf_add_str(&b, objects[i]);
		buf_add_str(&b, "\"");
	}
	buf_add_str(&b, "]\n}");
	tombstone_key(inc, id, key);
	rc = buf_check(&b, key, err);
	if (rc == 0)
		rc = repo_put_text(repo, key, KIND, buf_str(&b), b.len, err);
	buf_free(&b);
	return rc;
}

int
tombstone_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	tombstone_key(inc, id, key);
	return storage_remove(repo->st, key, err);
}

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct tombstone_set *set = arg;
	struct tombstone *t;
	uint8_t id[8];

	if (entry->is_directory || strlen(entry->name) !=
	    TOMBSTONE_ID_TEXT - 1 || !text_unhex(entry->name, id, sizeof(id)))
		return 0;
	set->list = xreallocarray(set->list, set->n + 1, sizeof(*set->list));
	t = &set->list[set->n++];
	memset(t, 0, sizeof(*t));
	memcpy(t->id, entry->name, sizeof(t->id));
	t->mtime = entry->mtime;
	return 0;
}

/* A key within the incarnation that this program may remove. */
static bool
name_valid(const char *name)
{
	static const char *const folders[] = { "backups/", "dumps/", "wal/" };
	size_t i;

	if (strlen(name) >= NAME_MAX_LEN || !storage_key_valid(name))
		return false;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (strncmp(name, folders[i], strlen(folders[i])) == 0)
			return true;
	return false;
}

static int
decode(const char *json, size_t len, struct tombstone *t, struct err *err)
{
	struct json_reader j;
	const json_t *list, *item;
	size_t i;
	int rc;

	if (json_open(&j, json, len, err) != 0)
		return -1;
	t->created = json_get_time(&j, j.root, "created");
	t->forced = json_get_bool(&j, j.root, "forced");
	list = json_get_list(&j, j.root, "objects", TOMBSTONE_OBJECTS_MAX);
	t->objects = xcalloc(json_array_size(list) + 1, sizeof(*t->objects));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		if (!json_is_string(item) ||
		    !name_valid(json_string_value(item))) {
			json_note(&j, "objects");
			break;
		}
		t->objects[t->n++] = xstrdup(json_string_value(item));
	}
	rc = json_check(&j, err);
	json_close(&j);
	return rc;
}

static int
read_tombstone(struct repo *repo, const struct incarnation *inc,
    struct tombstone *t, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	const char *json;
	struct buf b;
	size_t len;
	int rc;

	buf_init(&b, STORAGE_OBJECT_MAX);
	tombstone_key(inc, t->id, key);
	rc = repo_get_text(repo, key, KIND, &b, &json, &len, err);
	if (rc == 0) {
		rc = decode(json, len, t, err);
		if (rc != 0)
			err_wrap(err, "%s/%s", storage_url(repo->st), key);
	} else if (err->code == ERR_NOT_FOUND) {
		err_clear(err); /* all that it named is gone, and so is it */
		rc = 0;
	}
	buf_free(&b);
	return rc;
}

static int
by_time(const void *a, const void *b)
{
	const struct tombstone *x = a, *y = b;

	if (x->mtime != y->mtime)
		return x->mtime < y->mtime ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
sort_set(struct tombstone_set *set)
{
	size_t i, k, total = 0;

	for (i = 0; i < set->n; i++)
		total += set->list[i].n;
	set->names = xcalloc(total + 1, sizeof(*set->names));
	for (i = 0; i < set->n; i++)
		for (k = 0; k < set->list[i].n; k++)
			set->names[set->n_names++] = set->list[i].objects[k];
	if (total > 0)
		qsort(set->names, total, sizeof(*set->names), by_name);
	if (set->n > 0)
		qsort(set->list, set->n, sizeof(*set->list), by_time);
}

int
tombstone_list(struct repo *repo, const struct incarnation *inc,
    struct tombstone_set *out, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	repo_key(inc, FOLDER, key);
	rc = storage_list(repo->st, key, true, note, out, err);
	for (i = 0; i < out->n && rc == 0; i++)
		rc = read_tombstone(repo, inc, &out->list[i], err);
	if (rc == 0)
		sort_set(out);
	else
		tombstone_list_free(out);
	return rc;
}

void
tombstone_list_free(struct tombstone_set *set)
{
	size_t i, k;

	for (i = 0; i < set->n; i++) {
		for (k = 0; k < set->list[i].n; k++)
			free(set->list[i].objects[k]);
		free(set->list[i].objects);
	}
	free(set->list);
	free(set->names);
	memset(set, 0, sizeof(*set));
}

bool
tombstone_names(const struct tombstone_set *set, const char *object)
{
	return set->n_names > 0 && bsearch(&object, set->names, set->n_names,
	    sizeof(*set->names), by_name) != NULL;
}

/* The part of a key after the incarnation. */
static const char *
within(const struct incarnation *inc, const char *key)
{
	char prefix[STORAGE_KEY_MAX];

	repo_key(inc, "", prefix);
	return key + strlen(prefix);
}

bool
tombstone_names_pack(const struct tombstone_set *set,
    const struct pack_id *id, uint32_t generation)
{
	static const struct incarnation any = { .cluster = "x", .major = 1,
		.system_id = 1 };
	char key[STORAGE_KEY_MAX];

	if (set->n_names == 0)
		return false;
	repo_pack_key_generation(&any, id, generation, key);
	return tombstone_names(set, within(&any, key));
}

bool
tombstone_names_set(const struct tombstone_set *set, enum repo_kind kind,
    const char *label)
{
	char name[FORMAT_LABEL_MAX + 32];

	(void)snprintf(name, sizeof(name), "%s%s/commit", repo_folder(kind),
	    label);
	return tombstone_names(set, name);
}
