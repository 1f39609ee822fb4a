/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/setremove.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

struct names {
	char **list;
	size_t n;
};

static void
folder_key(const struct incarnation *inc, enum repo_kind kind,
    const char *label, const char *name, char out[STORAGE_KEY_MAX])
{
	char tail[STORAGE_KEY_MAX / 2];

	(void)snprintf(tail, sizeof(tail), "%s%s/%s", repo_folder(kind),
	    label, name);
	repo_key(inc, tail, out);
}

static int
note_name(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct names *l = arg;

	if (entry->is_directory)
		return 0;
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	l->list[l->n++] = xstrdup(entry->name);
	return 0;
}

int
set_remove(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct err *err)
{
	struct names l = { NULL, 0 };
	char key[STORAGE_KEY_MAX];
	size_t i;
	int rc;

	folder_key(inc, kind, label, "commit", key);
	rc = storage_remove(repo->st, key, err);
	folder_key(inc, kind, label, "", key);
	if (rc == 0)
		rc = storage_list(repo->st, key, true, note_name, &l, err);
	for (i = 0; i < l.n && rc == 0; i++) {
		folder_key(inc, kind, label, l.list[i], key);
		free(l.list[i]);
		l.list[i] = xstrdup(key);
	}
	if (rc == 0)
		rc = storage_remove_many(repo->st,
		    (const char *const *)l.list, l.n, err);
	for (i = 0; i < l.n; i++)
		free(l.list[i]);
	free(l.list);
	return rc;
}
