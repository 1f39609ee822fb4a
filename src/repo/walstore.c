/* SPDX-License-Identifier: PostgreSQL */
/* Finding and listing WAL objects by name; walstore_read.c reads them. */
#include "config.h"

#include "repo/walstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "repo/walview.h"

#define HASH_DIGITS (2 * WAL_HASH_SIZE)

/* "wal/00000001/00000000/", or "wal/00000001/" for a history file. */
static void
folder(const struct wal_file *file, char *out, size_t size)
{
	if (file->type == WAL_FILE_HISTORY)
		(void)snprintf(out, size, "wal/%08X/", file->timeline);
	else
		(void)snprintf(out, size, "wal/%08X/%08X/", file->timeline,
		    file->log);
}

void
wal_store_key(const struct incarnation *inc, const struct wal_file *file,
    const uint8_t hash[WAL_HASH_SIZE], uint32_t generation, uint32_t part,
    char out[STORAGE_KEY_MAX])
{
	char tail[256], dir[64], hex[HASH_DIGITS + 1], gen[16] = "";
	char more[32] = "";

	folder(file, dir, sizeof(dir));
	text_hex(hash, WAL_HASH_SIZE, hex);
	if (generation > 0)
		(void)snprintf(gen, sizeof(gen), ".g%u", generation);
	if (part > 0)
		(void)snprintf(more, sizeof(more), ".part-%04u", part);
	(void)snprintf(tail, sizeof(tail), "%s%s-%s%s%s.zst", dir, file->name,
	    hex, gen, more);
	repo_key(inc, tail, out);
}

struct found {
	const struct wal_file *file; /* whose objects are listed, or NULL */
	struct wal_stored *list;
	size_t n, cap;
};

/* "HASH.zst" or "HASH.gN.zst"; false for parts and what is not ours. */
static bool
parse_rest(const char *s, struct wal_stored *out)
{
	char hex[HASH_DIGITS + 1], again[16], *end;
	unsigned long generation = 0;

	if (strlen(s) < HASH_DIGITS + 4)
		return false;
	memcpy(hex, s, HASH_DIGITS);
	hex[HASH_DIGITS] = '\0';
	if (strspn(hex, "0123456789abcdef") != HASH_DIGITS ||
	    !text_unhex(hex, out->hash, WAL_HASH_SIZE))
		return false;
	s += HASH_DIGITS;
	if (s[0] == '.' && s[1] == 'g') {
		generation = strtoul(s + 2, &end, 10);
		if (generation == 0 || generation > 1000000)
			return false;
		(void)snprintf(again, sizeof(again), ".g%lu", generation);
		if (strlen(again) != (size_t)(end - s) ||
		    strncmp(again, s, strlen(again)) != 0)
			return false;
		s = end;
	}
	out->generation = (uint32_t)generation;
	return strcmp(s, ".zst") == 0;
}

bool
wal_store_parse(const char *name, struct wal_stored *out, uint32_t *part)
{
	struct err ignored = ERR_INIT;
	char file[WAL_FILE_NAME_MAX], rest[64], again[64];
	const char *dash = strchr(name, '-'), *mark;
	size_t len;

	memset(out, 0, sizeof(*out));
	*part = 0;
	if (dash == NULL || (size_t)(dash - name) >= sizeof(file) ||
	    strlen(dash + 1) >= sizeof(rest))
		return false;
	len = (size_t)(dash - name);
	memcpy(file, name, len);
	file[len] = '\0';
	(void)snprintf(rest, sizeof(rest), "%s", dash + 1);
	mark = strstr(rest, ".part-");
	if (mark != NULL) {
		if (sscanf(mark, ".part-%9u.", part) != 1 || *part == 0)
			return false;
		(void)snprintf(again, sizeof(again), ".part-%04u.zst", *part);
		if (strcmp(mark, again) != 0)
			return false;
		(void)snprintf(rest + (mark - rest), sizeof(rest) -
		    (size_t)(mark - rest), ".zst");
	}
	return wal_file_parse(file, &out->file, &ignored) == 0 &&
	    parse_rest(rest, out);
}

static void
keep(struct found *f, const struct wal_stored *ws)
{
	if (f->n == f->cap) {
		f->cap = f->cap == 0 ? 4 : 2 * f->cap;
		f->list = xreallocarray(f->list, f->cap, sizeof(*f->list));
	}
	f->list[f->n++] = *ws;
}

static int
note_object(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct found *f = arg;
	struct wal_stored ws;

	memset(&ws, 0, sizeof(ws));
	if (entry->is_directory || !parse_rest(entry->name, &ws))
		return 0;
	ws.file = *f->file;
	ws.size = entry->size;
	ws.mtime = entry->mtime;
	keep(f, &ws);
	return 0;
}

/* By name, hash, and the highest generation first. */
static int
compare(const void *a, const void *b)
{
	const struct wal_stored *x = a, *y = b;
	int order = strcmp(x->file.name, y->file.name);

	if (order == 0)
		order = memcmp(x->hash, y->hash, WAL_HASH_SIZE);
	if (order == 0)
		order = x->generation < y->generation ? 1 :
		    x->generation > y->generation ? -1 : 0;
	return order;
}

int
wal_store_find(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored **out, size_t *n,
    struct err *err)
{
	struct found f = { .file = file };
	char prefix[STORAGE_KEY_MAX], tail[128], dir[64];

	*out = NULL;
	*n = 0;
	folder(file, dir, sizeof(dir));
	(void)snprintf(tail, sizeof(tail), "%s%s-", dir, file->name);
	repo_key(inc, tail, prefix);
	if (storage_list(repo->st, prefix, true, note_object, &f, err) != 0) {
		free(f.list);
		return -1;
	}
	if (f.n > 1)
		qsort(f.list, f.n, sizeof(*f.list), compare);
	*out = f.list;
	*n = f.n;
	return 0;
}

/* Several files of one folder, and what their names begin with. */
struct group {
	const struct wal_file *files;
	size_t n;
	char common[WAL_FILE_NAME_MAX];
	struct found *found;
};

static int
compare_names(const void *a, const void *b)
{
	const struct wal_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int
note_one_of(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct group *g = arg;
	char name[WAL_FILE_NAME_MAX + 128];
	struct wal_stored ws;
	uint32_t part;
	int len;

	if (entry->is_directory)
		return 0;
	len = snprintf(name, sizeof(name), "%s%s", g->common, entry->name);
	if (len < 0 || (size_t)len >= sizeof(name))
		return 0; /* no name of ours */
	if (!wal_store_parse(name, &ws, &part) || part != 0 ||
	    bsearch(&ws.file, g->files, g->n, sizeof(*g->files),
		compare_names) == NULL)
		return 0;
	ws.size = entry->size;
	ws.mtime = entry->mtime;
	keep(g->found, &ws);
	return 0;
}

static int
find_group(struct repo *repo, const struct incarnation *inc, struct group *g,
    struct err *err)
{
	char prefix[STORAGE_KEY_MAX], tail[160], dir[64];
	const char *first = g->files[0].name, *last = g->files[g->n - 1].name;
	size_t same = 0;

	while (first[same] != '\0' && first[same] == last[same])
		same++;
	(void)snprintf(g->common, sizeof(g->common), "%.*s%s", (int)same,
	    first, g->n == 1 ? "-" : "");
	folder(&g->files[0], dir, sizeof(dir));
	(void)snprintf(tail, sizeof(tail), "%s%s", dir, g->common);
	repo_key(inc, tail, prefix);
	return storage_list(repo->st, prefix, true, note_one_of, g, err);
}

int
wal_store_find_many(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *files, size_t n, struct wal_stored **out,
    size_t *n_out, struct err *err)
{
	struct found f = { .list = NULL };
	struct group g = { .found = &f };
	char dir[64], other[64];
	size_t from, to;
	int ret = 0;

	for (from = 0; from < n && ret == 0; from = to) {
		folder(&files[from], dir, sizeof(dir));
		for (to = from + 1; to < n; to++) {
			folder(&files[to], other, sizeof(other));
			if (strcmp(dir, other) != 0)
				break;
		}
		g.files = files + from;
		g.n = to - from;
		ret = find_group(repo, inc, &g, err);
	}
	if (ret != 0) {
		free(f.list);
		return -1;
	}
	if (f.n > 1)
		qsort(f.list, f.n, sizeof(*f.list), compare);
	*out = f.list;
	*n_out = f.n;
	return 0;
}

int
wal_store_pick(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored *out, struct err *err)
{
	char one[HASH_DIGITS + 1], other[HASH_DIGITS + 1];
	struct wal_stored *list;
	size_t i, n;
	int ret = -1;

	if (wal_store_find(repo, inc, file, &list, &n, err) != 0)
		return -1;
	if (n == 0) {
		err_set(err, ERR_NOT_FOUND,
		    "WAL file %s is not in the repository", file->name);
		goto out;
	}
	for (i = 1; i < n; i++)
		if (memcmp(list[i].hash, list[0].hash, WAL_HASH_SIZE) != 0) {
			text_hex(list[0].hash, WAL_HASH_SIZE, one);
			text_hex(list[i].hash, WAL_HASH_SIZE, other);
			err_set(err, ERR_REFUSED, "WAL file %s is stored with "
			    "two contents, %s and %s: two servers archived "
			    "to this cluster's name", file->name, one, other);
			err_hint(err, "find out which server's it is, and "
			    "move the other object away");
			goto out;
		}
	*out = list[0];
	ret = 0;
out:
	free(list);
	return ret;
}

static int
note_timeline(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct found *f = arg;
	struct wal_stored ws;
	uint64_t timeline;

	if (!entry->is_directory || strlen(entry->name) != 9 ||
	    strspn(entry->name, "0123456789ABCDEF") != 8 ||
	    !text_hex_u64(entry->name, 8, &timeline) || timeline == 0)
		return 0;
	memset(&ws, 0, sizeof(ws));
	ws.file.timeline = (uint32_t)timeline;
	keep(f, &ws);
	return 0;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int
wal_store_timelines(struct repo *repo, const struct incarnation *inc,
    uint32_t **out, size_t *n, struct err *err)
{
	struct found f = { .list = NULL };
	char prefix[STORAGE_KEY_MAX];
	size_t i;

	*out = NULL;
	*n = 0;
	repo_key(inc, "wal/", prefix);
	if (storage_list(repo->st, prefix, true, note_timeline, &f, err) != 0) {
		free(f.list);
		return -1;
	}
	*out = xcalloc(f.n, sizeof(**out));
	for (i = 0; i < f.n; i++)
		(*out)[i] = f.list[i].file.timeline;
	*n = f.n;
	qsort(*out, *n, sizeof(**out), compare_u32);
	free(f.list);
	return 0;
}

/* The highest generation comes first: the rest of its kind goes. */
static void
fold_generations(struct found *f)
{
	size_t i, kept = 0;

	if (f->n > 1)
		qsort(f->list, f->n, sizeof(*f->list), compare);
	for (i = 0; i < f->n; i++)
		if (kept == 0 ||
		    strcmp(f->list[kept - 1].file.name,
			f->list[i].file.name) != 0 ||
		    memcmp(f->list[kept - 1].hash, f->list[i].hash,
			WAL_HASH_SIZE) != 0)
			f->list[kept++] = f->list[i];
	f->n = kept;
}

/* "3-HASH.zst": what follows all but the last digit. */
static int
note_sibling(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct found *f = arg;
	struct err ignored = ERR_INIT;
	char name[WAL_FILE_NAME_MAX];
	struct wal_stored ws;

	(void)err;
	memset(&ws, 0, sizeof(ws));
	(void)snprintf(name, sizeof(name), "%.*s%c", WAL_SEGMENT_NAME_LEN - 1,
	    f->file->segment, entry->name[0]);
	if (entry->is_directory || entry->name[0] == '\0' ||
	    entry->name[1] != '-' ||
	    wal_file_parse(name, &ws.file, &ignored) != 0 ||
	    !parse_rest(entry->name + 2, &ws))
		return 0;
	ws.size = entry->size;
	ws.mtime = entry->mtime;
	keep(f, &ws);
	return 0;
}

int
wal_store_sixteen(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, struct wal_stored **out, size_t *n,
    struct err *err)
{
	struct found f = { .file = file };
	char prefix[STORAGE_KEY_MAX], tail[128], dir[64];

	*out = NULL;
	*n = 0;
	folder(file, dir, sizeof(dir));
	(void)snprintf(tail, sizeof(tail), "%s%.*s", dir,
	    WAL_SEGMENT_NAME_LEN - 1, file->segment);
	repo_key(inc, tail, prefix);
	if (storage_list(repo->st, prefix, true, note_sibling, &f, err) != 0) {
		free(f.list);
		return -1;
	}
	fold_generations(&f);
	*out = f.list;
	*n = f.n;
	return 0;
}

int
wal_store_segments(struct repo *repo, const struct incarnation *inc,
    uint32_t timeline, bool partials, struct wal_stored **out, size_t *n,
    struct err *err)
{
	struct walview *v = walview_new(repo, inc);
	struct walview_item *items;
	size_t i, count;
	int rc;

	*out = NULL;
	*n = 0;
	rc = walview_segments(v, timeline, &items, &count, err);
	if (rc == 0) {
		*out = xcalloc(count + 1, sizeof(**out));
		for (i = 0; i < count; i++)
			if (partials || !items[i].partial)
				walview_stored(&items[i], &(*out)[(*n)++]);
	}
	walview_free(v);
	return rc;
}
