/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/packset.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "repo/commit.h"
#include "repo/object.h"
#include "repo/tombstone.h"

#define NAME_MAX_LEN 64

/* One pack of a folder. */
struct entry {
	uint32_t attempt, number;
	struct packset_info info;
};

/* One object of a folder: a generation of a pack, or the mark of one. */
struct seen {
	uint32_t attempt, number, generation;
	bool mark;
	uint64_t size;
	int64_t mtime;
};

struct folder {
	char label[FORMAT_LABEL_MAX];
	enum repo_kind kind;
	struct entry *list; /* ascending */
	size_t n;
};

struct packset {
	struct repo *repo;
	struct incarnation inc;
	pthread_mutex_t lock;
	struct folder *folders; /* ascending by label, then kind */
	size_t n_folders;
	struct tombstone_set stones;
};

struct listing {
	struct seen *list;
	size_t n, cap;
};

int
packset_new(struct packset **out, const struct repo *repo,
    const struct incarnation *inc, struct err *err)
{
	struct packset *ps = xcalloc(1, sizeof(*ps));

	if (repo_clone(repo, &ps->repo, err) != 0) {
		free(ps);
		return -1;
	}
	ps->inc = *inc;
	(void)pthread_mutex_init(&ps->lock, NULL); /* does not fail */
	*out = ps;
	return 0;
}

static void
forget_at(struct packset *ps, size_t i)
{
	free(ps->folders[i].list);
	ps->n_folders--;
	memmove(&ps->folders[i], &ps->folders[i + 1],
	    (ps->n_folders - i) * sizeof(ps->folders[0]));
}

void
packset_free(struct packset *ps)
{
	if (ps == NULL)
		return;
	packset_forget(ps, NULL);
	tombstone_list_free(&ps->stones);
	free(ps->folders);
	(void)pthread_mutex_destroy(&ps->lock);
	repo_close(ps->repo);
	free(ps);
}

bool
packset_parse_name(const char *name, uint32_t *attempt, uint32_t *number,
    uint32_t *generation, bool *mark)
{
	char again[NAME_MAX_LEN], stem[NAME_MAX_LEN];
	const char *rest;

	if (strlen(name) >= sizeof(again) ||
	    sscanf(name, "pack-%9u-%9u.", attempt, number) != 2)
		return false;
	(void)snprintf(stem, sizeof(stem), "pack-%02u-%06u.", *attempt,
	    *number);
	if (strncmp(name, stem, strlen(stem)) != 0)
		return false;
	rest = name + strlen(stem);
	*generation = 0;
	*mark = false;
	if (strcmp(rest, "zst") == 0)
		return true;
	if (sscanf(rest, "g%9u.", generation) != 1)
		return false;
	(void)snprintf(again, sizeof(again), "g%u.damaged", *generation);
	*mark = strcmp(rest, again) == 0;
	(void)snprintf(again, sizeof(again), "g%u.zst", *generation);
	return *mark || (*generation > 0 && strcmp(rest, again) == 0);
}

static int
note_object(void *arg, const struct storage_entry *e, struct err *err)
{
	struct listing *l = arg;
	struct seen s;

	if (e->is_directory || !packset_parse_name(e->name, &s.attempt,
	    &s.number, &s.generation, &s.mark))
		return 0;
	s.size = e->size;
	s.mtime = e->mtime;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	l->list[l->n++] = s;
	return 0;
}

/* By pack, then generation; the mark before what it marks. */
static int
compare_seen(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->attempt != y->attempt)
		return x->attempt < y->attempt ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return y->mark - x->mark;
}

/* What all objects of one pack say together. */
static struct packset_info
sum_up(const struct seen *s, size_t n)
{
	struct packset_info info = { .damaged = true };
	bool marked;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i].mark)
			continue;
		marked = i > 0 && s[i - 1].mark &&
		    s[i - 1].generation == s[i].generation;
		info.exists = true;
		info.n_marked += marked;
		if (marked && !info.damaged)
			continue; /* a lower one holds */
		info.damaged = marked;
		info.generation = s[i].generation;
		info.size = s[i].size;
		info.mtime = s[i].mtime;
	}
	info.damaged = info.exists && info.damaged;
	return info;
}

static void
fill_folder(struct folder *f, struct listing *l)
{
	size_t i, n;

	if (l->n > 0)
		qsort(l->list, l->n, sizeof(*l->list), compare_seen);
	f->list = xcalloc(l->n + 1, sizeof(*f->list));
	for (i = 0; i < l->n; i += n) {
		for (n = 1; i + n < l->n &&
		     l->list[i + n].attempt == l->list[i].attempt &&
		     l->list[i + n].number == l->list[i].number; n++)
			;
		f->list[f->n++] = (struct entry){ l->list[i].attempt,
			l->list[i].number, sum_up(l->list + i, n) };
	}
}

/* Called with the lock held. */
static int
find_folder(struct packset *ps, const struct pack_id *id, struct folder **out,
    struct err *err)
{
	const char *label = id->label;
	struct listing l = { NULL, 0, 0 };
	char tail[64 + FORMAT_LABEL_MAX], prefix[STORAGE_KEY_MAX];
	struct folder *f;
	size_t lo = 0, hi = ps->n_folders, mid;
	int c;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		c = strcmp(ps->folders[mid].label, label);
		if (c == 0)
			c = (int)ps->folders[mid].kind - (int)id->kind;
		if (c == 0) {
			*out = &ps->folders[mid];
			return 0;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	(void)snprintf(tail, sizeof(tail), "%s%s/", repo_folder(id->kind),
	    label);
	repo_key(&ps->inc, tail, prefix);
	if (storage_list(ps->repo->st, prefix, true, note_object, &l, err) !=
	    0) {
		free(l.list);
		return err_wrap(err, "list the packs of %s", label);
	}
	ps->folders = xreallocarray(ps->folders, ps->n_folders + 1,
	    sizeof(*ps->folders));
	f = &ps->folders[lo];
	memmove(f + 1, f, (ps->n_folders - lo) * sizeof(*f));
	ps->n_folders++;
	memset(f, 0, sizeof(*f));
	f->kind = id->kind;
	(void)snprintf(f->label, sizeof(f->label), "%s", label);
	fill_folder(f, &l);
	free(l.list);
	*out = f;
	return 0;
}

static int
compare_entry(const void *key, const void *item)
{
	const struct pack_id *id = key;
	const struct entry *e = item;

	if (id->attempt != e->attempt)
		return id->attempt < e->attempt ? -1 : 1;
	if (id->number != e->number)
		return id->number < e->number ? -1 : 1;
	return 0;
}

int
packset_find(struct packset *ps, const struct pack_id *id,
    struct packset_info *info, struct err *err)
{
	const struct entry *e;
	struct folder *f;
	int rc;

	memset(info, 0, sizeof(*info));
	(void)pthread_mutex_lock(&ps->lock);
	rc = find_folder(ps, id, &f, err);
	if (rc == 0) {
		e = bsearch(id, f->list, f->n, sizeof(*f->list),
		    compare_entry);
		if (e != NULL)
			*info = e->info;
		info->leaving = info->exists && tombstone_names_pack(
		    &ps->stones, id, info->generation);
	}
	(void)pthread_mutex_unlock(&ps->lock);
	return rc;
}

int
packset_see_tombstones(struct packset *ps, struct err *err)
{
	struct tombstone_set stones;

	if (tombstone_list(ps->repo, &ps->inc, &stones, err) != 0)
		return -1;
	(void)pthread_mutex_lock(&ps->lock);
	tombstone_list_free(&ps->stones);
	ps->stones = stones;
	(void)pthread_mutex_unlock(&ps->lock);
	return 0;
}

void
packset_forget(struct packset *ps, const char *label)
{
	size_t i;

	(void)pthread_mutex_lock(&ps->lock);
	for (i = ps->n_folders; i-- > 0;)
		if (label == NULL ||
		    strcmp(ps->folders[i].label, label) == 0)
			forget_at(ps, i);
	(void)pthread_mutex_unlock(&ps->lock);
}

int
packset_prove(struct repo *repo, const struct incarnation *inc,
    const struct pack_id *id, uint32_t generation, uint64_t size,
    struct err *err)
{
	struct object_reader r = { .repo = NULL };
	const struct object_header *h = &r.header;
	char key[STORAGE_KEY_MAX];
	int rc;

	repo_pack_key_generation(inc, id, generation, key);
	if (size == 0)
		return err_set(err, ERR_DAMAGED, "%s is empty", key);
	rc = object_reader_open(&r, repo, key, size, OBJECT_PACK, inc->system_id, err);
	if (rc == 0 && (!h->has_pack || h->attempt != id->attempt ||
	    h->number != id->number || strcmp(h->name, id->label) != 0))
		rc = err_set(err, ERR_DAMAGED, "%s holds another pack", key);
	object_reader_close(&r);
	return rc;
}

bool
packset_usable(struct packset *ps, const struct commit_pack *pack,
    const struct packset_info *info)
{
	struct err err = ERR_INIT;
	int rc;

	if (!info->exists || info->leaving || info->damaged)
		return false;
	if (info->generation == pack->generation)
		return info->size == pack->size;
	(void)pthread_mutex_lock(&ps->lock);
	rc = packset_prove(ps->repo, &ps->inc, &pack->id, info->generation,
	    info->size, &err);
	(void)pthread_mutex_unlock(&ps->lock);
	if (rc != 0)
		log_warning("a repaired pack is not used: %s", err.msg);
	return rc == 0;
}

int
packset_check(struct packset *ps, const struct commit_pack *pack,
    const char *label, struct err *err)
{
	struct packset_info info;
	char key[STORAGE_KEY_MAX];
	const char *what = pack->id.kind == REPO_DUMP ? "dump" : "backup";

	if (packset_find(ps, &pack->id, &info, err) != 0)
		return -1;
	repo_pack_key_generation(&ps->inc, &pack->id, info.generation, key);
	if (!info.exists)
		return err_set(err, ERR_DAMAGED, "%s %s needs %s, which "
		    "is not there", what, label, key);
	if (info.damaged)
		return err_set(err, ERR_DAMAGED, "%s %s needs %s, which "
		    "was found to be damaged", what, label, key);
	if (info.generation == 0 && pack->generation == 0 &&
	    info.size != pack->size)
		return err_set(err, ERR_DAMAGED, "%s of %s %s has %llu "
		    "bytes instead of %llu", key, what, label,
		    (unsigned long long)info.size,
		    (unsigned long long)pack->size);
	return 0;
}
