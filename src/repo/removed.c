/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/removed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/time.h"

#define KIND "removed"
#define FOLDER "removed/"

static int
put_note(struct repo *repo, const struct incarnation *inc, const char *name,
    struct err *err)
{
	char tail[128], key[STORAGE_KEY_MAX], json[128], now[TIME_TEXT_MAX];
	int n;

	(void)snprintf(tail, sizeof(tail), FOLDER "%s", name);
	repo_key(inc, tail, key);
	n = snprintf(json, sizeof(json), "{\n\"removed\": \"%s\"\n}",
	    time_format(time_now(), now));
	if (repo_put_text(repo, key, KIND, json, (size_t)n, err) == 0)
		return 0;
	if (err->code != ERR_EXISTS)
		return -1;
	err_clear(err); /* an earlier run was interrupted */
	return 0;
}

/* "backups-LABEL" */
static void
set_name(enum repo_kind kind, const char *label, char *out, size_t size)
{
	(void)snprintf(out, size, "%.*s-%s",
	    (int)strcspn(repo_folder(kind), "/"), repo_folder(kind), label);
}

int
removed_note_set(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct err *err)
{
	char name[FORMAT_LABEL_MAX + 16];

	set_name(kind, label, name, sizeof(name));
	return put_note(repo, inc, name, err);
}

int
removed_note_wal(struct repo *repo, const struct incarnation *inc,
    const char *first, const char *last, struct err *err)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "wal-%s-%s", last, first);
	return put_note(repo, inc, name, err);
}

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct removed_set *set = arg;

	if (entry->is_directory)
		return 0;
	set->list = xreallocarray(set->list, set->n + 1, sizeof(*set->list));
	set->list[set->n++].name = xstrdup(entry->name);
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct removed *)a)->name,
	    ((const struct removed *)b)->name);
}

int
removed_list(struct repo *repo, const struct incarnation *inc,
    struct removed_set *out, struct err *err)
{
	char prefix[STORAGE_KEY_MAX];

	memset(out, 0, sizeof(*out));
	repo_key(inc, FOLDER, prefix);
	if (storage_list(repo->st, prefix, true, note, out, err) != 0) {
		removed_free(out);
		return -1;
	}
	if (out->n > 1)
		qsort(out->list, out->n, sizeof(*out->list), by_name);
	return 0;
}

void
removed_free(struct removed_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		free(set->list[i].name);
	free(set->list);
	memset(set, 0, sizeof(*set));
}

bool
removed_names(const struct removed_set *set, enum repo_kind kind,
    const char *label)
{
	char name[FORMAT_LABEL_MAX + 16];
	const struct removed key = { name };

	set_name(kind, label, name, sizeof(name));
	return set->n > 0 && bsearch(&key, set->list, set->n,
	    sizeof(*set->list), by_name) != NULL;
}

bool
removed_names_wal(const struct removed_set *set, const struct wal_file *file)
{
	char prefix[16];
	size_t i;

	if (file->type == WAL_FILE_HISTORY)
		return false; /* small, and never removed */
	(void)snprintf(prefix, sizeof(prefix), "wal-%08X", file->timeline);
	/* The highest one is the last of its timeline in the list. */
	for (i = set->n; i > 0; i--)
		if (strncmp(set->list[i - 1].name, prefix, 12) == 0)
			return strcmp(file->segment,
			    set->list[i - 1].name + 4) <= 0;
	return false;
}

/* Does the note say that the segment was removed? */
static bool
spans(const char *note, const char *segment)
{
	const char *last = note + 4, *first = last + WAL_SEGMENT_NAME_LEN + 1;

	return strlen(note) == 4 + 2 * WAL_SEGMENT_NAME_LEN + 1 &&
	    strncmp(last, segment, 8) == 0 &&
	    strncmp(last, segment, WAL_SEGMENT_NAME_LEN) >= 0 &&
	    strcmp(first, segment) <= 0;
}

/* Notes of an interrupted run may overlap with those of the next. */
#define OVERLAPS 16

bool
removed_was_wal(const struct removed_set *set, const char *segment)
{
	size_t low = 0, high = set->n, mid;
	char least[64];

	(void)snprintf(least, sizeof(least), "wal-%s", segment);
	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(set->list[mid].name, least) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (high = low; high < set->n && high < low + OVERLAPS; high++)
		if (strncmp(set->list[high].name, "wal-", 4) == 0 &&
		    spans(set->list[high].name, segment))
			return true;
	return false;
}

bool
removed_was_all_wal(const struct removed_set *set, const char *first,
    const char *last, uint32_t segment_size)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct err ignored = ERR_INIT;
	struct wal_file from, to;
	uint64_t i;

	if (wal_file_parse(first, &from, &ignored) != 0 ||
	    wal_file_parse(last, &to, &ignored) != 0 ||
	    from.timeline != to.timeline)
		return false;
	for (i = wal_segno(&from, segment_size);
	     i <= wal_segno(&to, segment_size); i++) {
		wal_segment_name(from.timeline, i, segment_size, name);
		if (!removed_was_wal(set, name))
			return false;
	}
	return true;
}
