/* SPDX-License-Identifier: PostgreSQL */
/* Which backups exist: the folders that hold a commit. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/commit.h"

struct labels {
	char (*list)[FORMAT_LABEL_MAX];
	size_t n;
};

static int
note_folder(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct labels *l = arg;
	char label[FORMAT_LABEL_MAX];
	size_t len = strlen(entry->name);

	if (!entry->is_directory || len < 2 || len > sizeof(label))
		return 0;
	(void)snprintf(label, sizeof(label), "%.*s", (int)len - 1,
	    entry->name);
	if (!label_valid(label))
		return 0;
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	memcpy(l->list[l->n++], label, sizeof(label));
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

int
catalogue_backups(struct repo *repo, const struct incarnation *inc,
    char (**out)[FORMAT_LABEL_MAX], size_t *n, size_t *unfinished,
    struct err *err)
{
	struct labels l = { .list = NULL };
	char key[STORAGE_KEY_MAX], tail[128];
	uint64_t size;
	size_t i, kept = 0;

	*out = NULL;
	*n = 0;
	repo_key(inc, "backups/", key);
	if (storage_list(repo->st, key, true, note_folder, &l, err) != 0)
		goto fail;
	for (i = 0; i < l.n; i++) {
		(void)snprintf(tail, sizeof(tail), "backups/%s/commit",
		    l.list[i]);
		repo_key(inc, tail, key);
		if (storage_stat(repo->st, key, &size, NULL, err) == 0)
			memmove(l.list[kept++], l.list[i], FORMAT_LABEL_MAX);
		else if (err->code == ERR_NOT_FOUND)
			err_clear(err);
		else
			goto fail;
	}
	if (unfinished != NULL)
		*unfinished = l.n - kept;
	if (kept > 0)
		qsort(l.list, kept, sizeof(*l.list), compare);
	*out = l.list;
	*n = kept;
	return 0;
fail:
	free(l.list);
	return -1;
}

int
catalogue_find(struct repo *repo, const struct incarnation *inc,
    const char *prefix, char out[FORMAT_LABEL_MAX], struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX];
	size_t i, n, matches = 0;

	if (catalogue_backups(repo, inc, &labels, &n, NULL, err) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (strncmp(labels[i], prefix, strlen(prefix)) == 0) {
			memcpy(out, labels[i], FORMAT_LABEL_MAX);
			matches++;
		}
	free(labels);
	if (matches == 1)
		return 0;
	if (matches == 0)
		err_set(err, ERR_NOT_FOUND,
		    "no backup of cluster %s has a label that begins with "
		    "'%s'", inc->cluster, prefix);
	else
		err_set(err, ERR_USAGE,
		    "%zu backups of cluster %s have labels that begin with "
		    "'%s'", matches, inc->cluster, prefix);
	return err_hint(err, "'dapk-backup info' lists them");
}
