/* SPDX-License-Identifier: PostgreSQL */
/* Which backups and dumps exist: the folders that hold a commit. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/commit.h"
#include "repo/each.h"

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

/* Which folders hold a commit. */
struct looking {
	const struct incarnation *inc;
	enum repo_kind kind;
	const struct labels *labels;
	bool *committed;
};

static int
look(struct repo *repo, void *arg, size_t i, struct err *err)
{
	struct looking *l = arg;
	char key[STORAGE_KEY_MAX], tail[128];
	uint64_t size;

	(void)snprintf(tail, sizeof(tail), "%s%s/commit",
	    repo_folder(l->kind), l->labels->list[i]);
	repo_key(l->inc, tail, key);
	l->committed[i] = storage_stat(repo->st, key, &size, NULL, err) == 0;
	if (l->committed[i])
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static int
labels_of(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, char (**out)[FORMAT_LABEL_MAX], size_t *n,
    size_t *unfinished, struct err *err)
{
	struct labels l = { .list = NULL };
	struct looking looking = { inc, kind, &l, NULL };
	char key[STORAGE_KEY_MAX];
	size_t i, kept = 0;

	*out = NULL;
	*n = 0;
	repo_key(inc, repo_folder(kind), key);
	if (storage_list(repo->st, key, true, note_folder, &l, err) != 0)
		goto fail;
	looking.committed = xcalloc(l.n + 1, sizeof(bool));
	if (repo_each(repo, l.n, look, &looking, err) != 0)
		goto fail;
	for (i = 0; i < l.n; i++)
		if (looking.committed[i])
			memmove(l.list[kept++], l.list[i], FORMAT_LABEL_MAX);
	free(looking.committed);
	if (unfinished != NULL)
		*unfinished = l.n - kept;
	if (kept > 0)
		qsort(l.list, kept, sizeof(*l.list), compare);
	*out = l.list;
	*n = kept;
	return 0;
fail:
	free(looking.committed);
	free(l.list);
	return -1;
}

int
catalogue_backups(struct repo *repo, const struct incarnation *inc,
    char (**out)[FORMAT_LABEL_MAX], size_t *n, size_t *unfinished,
    struct err *err)
{
	return labels_of(repo, inc, REPO_BACKUP, out, n, unfinished, err);
}

int
catalogue_dumps(struct repo *repo, const struct incarnation *inc,
    char (**out)[FORMAT_LABEL_MAX], size_t *n, size_t *unfinished,
    struct err *err)
{
	return labels_of(repo, inc, REPO_DUMP, out, n, unfinished, err);
}

struct finding {
	const char *prefix;
	size_t matches;
	enum repo_kind kind;
	char *out; /* FORMAT_LABEL_MAX */
};

static int
find_kind(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, struct finding *f, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX];
	size_t i, n;

	if (labels_of(repo, inc, kind, &labels, &n, NULL, err) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (strncmp(labels[i], f->prefix, strlen(f->prefix)) == 0) {
			memcpy(f->out, labels[i], FORMAT_LABEL_MAX);
			f->kind = kind;
			f->matches++;
		}
	free(labels);
	return 0;
}

int
catalogue_other_kind(struct repo *repo, const struct incarnation *inc,
    enum repo_kind wanted, const char *prefix, bool *found, struct err *err)
{
	const bool dump = wanted == REPO_BACKUP;
	char label[FORMAT_LABEL_MAX];
	struct finding f = { .prefix = prefix, .out = label };

	if (find_kind(repo, inc, dump ? REPO_DUMP : REPO_BACKUP, &f, err) != 0)
		return -1;
	*found = f.matches > 0;
	if (f.matches == 0)
		return 0;
	err_set(err, ERR_NOT_FOUND, "%s is a %s, not a %s", label,
	    dump ? "dump" : "backup", dump ? "backup" : "dump");
	if (dump)
		err_hint(err, "it comes back with: dapk-backup load %s; or as "
		    "files: dapk-backup export %s", label, label);
	else
		err_hint(err, "it comes back with: dapk-backup restore "
		    "--backup=%s; or as files: dapk-backup export %s", label,
		    label);
	return 0;
}

/* No label of this kind begins so; perhaps one of the other does. */
static int
find_none(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *prefix, struct err *err)
{
	bool found;

	if (catalogue_other_kind(repo, inc, kind, prefix, &found, err) != 0 ||
	    found)
		return -1;
	err_set(err, ERR_NOT_FOUND,
	    "no %s of cluster %s has a label that begins with '%s'",
	    repo_kind_name(kind), inc->cluster, prefix);
	return err_hint(err, "'dapk-backup info' lists them");
}

/* what: "backup", "dump", ... */
static int
judge(const struct finding *f, const struct incarnation *inc,
    const char *what, struct err *err)
{
	if (f->matches == 1)
		return 0;
	if (f->matches == 0)
		err_set(err, ERR_NOT_FOUND,
		    "no %s of cluster %s has a label that begins with '%s'",
		    what, inc->cluster, f->prefix);
	else
		err_set(err, ERR_USAGE,
		    "the labels of %zu backups or dumps of cluster %s begin "
		    "with '%s'", f->matches, inc->cluster, f->prefix);
	return err_hint(err, "'dapk-backup info' lists them");
}

int
catalogue_find(struct repo *repo, const struct incarnation *inc,
    const char *prefix, char out[FORMAT_LABEL_MAX], struct err *err)
{
	struct finding f = { .prefix = prefix, .out = out };

	if (find_kind(repo, inc, REPO_BACKUP, &f, err) != 0)
		return -1;
	if (f.matches == 0)
		return find_none(repo, inc, REPO_BACKUP, prefix, err);
	return judge(&f, inc, "backup", err);
}

int
catalogue_find_dump(struct repo *repo, const struct incarnation *inc,
    const char *prefix, char out[FORMAT_LABEL_MAX], struct err *err)
{
	struct finding f = { .prefix = prefix, .out = out };

	if (find_kind(repo, inc, REPO_DUMP, &f, err) != 0)
		return -1;
	if (f.matches == 0)
		return find_none(repo, inc, REPO_DUMP, prefix, err);
	return judge(&f, inc, "dump", err);
}

int
catalogue_find_any(struct repo *repo, const struct incarnation *inc,
    const char *prefix, enum repo_kind *kind, char out[FORMAT_LABEL_MAX],
    struct err *err)
{
	struct finding f = { .prefix = prefix, .out = out };

	if (find_kind(repo, inc, REPO_BACKUP, &f, err) != 0 ||
	    find_kind(repo, inc, REPO_DUMP, &f, err) != 0)
		return -1;
	*kind = f.kind;
	return judge(&f, inc, "backup or dump", err);
}
