/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/tombstone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/time.h"
#include "repo/textset.h"

#define NAME_MAX_LEN 256

static void
tombstone_set_of(const struct incarnation *inc, struct textset *set)
{
	memset(set, 0, sizeof(*set));
	set->kind = "tombstone";
	set->body_max = STORAGE_OBJECT_MAX;
	repo_key(inc, "tombstones/", set->folder);
}

int
tombstone_put(struct repo *repo, const struct incarnation *inc,
    const struct tombstone *of, struct err *err)
{
	char id[TOMBSTONE_ID_TEXT], now[TIME_TEXT_MAX];
	struct textset set;
	struct buf b;
	size_t i;
	int rc;

	tombstone_set_of(inc, &set);
	if (textset_id(id, err) != 0)
		return -1;
	buf_init(&b, FORMAT_TEXT_MAX);
	buf_printf(&b, "{\n\"id\": \"%s\",\n\"created\": \"%s\",\n"
	    "\"forced\": %s,\n\"named\": %s,\n\"objects\": [", id,
	    time_format(time_now(), now), of->forced ? "true" : "false",
	    of->named ? "true" : "false");
	for (i = 0; i < of->n; i++) { /* names are keys: nothing to escape */
		buf_add_str(&b, i == 0 ? "\n  \"" : ",\n  \"");
		buf_add_str(&b, of->objects[i]);
		buf_add_str(&b, "\"");
	}
	buf_add_str(&b, "]\n}");
	rc = textset_put(repo, &set, id, &b, err);
	buf_free(&b);
	return rc;
}

int
tombstone_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err)
{
	struct textset set;

	tombstone_set_of(inc, &set);
	return textset_remove(repo, &set, id, err);
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

static void
take(void *arg, const struct textset_item *it, struct json_reader *j)
{
	struct tombstone_set *set = arg;
	struct tombstone *t;
	const json_t *list, *item;
	size_t i;

	set->list = xreallocarray(set->list, set->n + 1, sizeof(*set->list));
	t = &set->list[set->n++];
	memset(t, 0, sizeof(*t));
	memcpy(t->id, it->id, sizeof(t->id));
	t->mtime = it->mtime;
	t->created = json_get_time(j, j->root, "created");
	t->forced = json_get_bool(j, j->root, "forced");
	/* Before there was retention every one was named. */
	t->named = json_object_get(j->root, "named") == NULL ||
	    json_get_bool(j, j->root, "named");
	list = json_get_list(j, j->root, "objects", TOMBSTONE_OBJECTS_MAX);
	t->objects = xcalloc(json_array_size(list) + 1, sizeof(*t->objects));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		if (!json_is_string(item) ||
		    !name_valid(json_string_value(item))) {
			json_note(j, "objects");
			break;
		}
		t->objects[t->n++] = xstrdup(json_string_value(item));
	}
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
	struct textset set;
	int rc;

	memset(out, 0, sizeof(*out));
	tombstone_set_of(inc, &set);
	rc = textset_read(repo, &set, take, out, err);
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

bool
tombstone_dismisses_set(const struct tombstone_set *set, enum repo_kind kind,
    const char *label)
{
	char name[FORMAT_LABEL_MAX + 32];
	size_t i, k;

	(void)snprintf(name, sizeof(name), "%s%s/commit", repo_folder(kind),
	    label);
	for (i = 0; i < set->n; i++)
		/* Commits stand before all else. */
		for (k = 0; set->list[i].named && k < set->list[i].n &&
		    strncmp(set->list[i].objects[k], "wal/", 4) != 0; k++)
			if (strcmp(set->list[i].objects[k], name) == 0)
				return true;
	return false;
}
