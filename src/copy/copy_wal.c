/* SPDX-License-Identifier: PostgreSQL */
/*
 * WAL, folder by folder: some folders of both places are listed at once, what
 * lacks is carried by jobs, then the next ones. So memory does not grow with
 * the archive. History files of a timeline lie above its segments' folders
 * and are carried before them.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "copy/copy_work.h"

#define FOLDERS_AT_ONCE 64
#define GENERATIONS_MAX 100

/* An object of a folder: a generation of a file, or a part of one. */
struct seen {
	struct wal_stored ws;
	uint32_t part;
};

struct listing {
	struct seen *list; /* by name, hash, generation descending, part */
	size_t n, cap;
};

/* A file that lacks; generations of the source follow each other. */
struct missing {
	const struct seen *from;
	size_t n_from;	     /* parts too */
	const struct seen *to; /* the highest generation there, or NULL */
	uint32_t generation; /* to put it under */
	struct folder *folder;
	struct copy_item *item; /* that names it, or NULL */
	bool done;
};

/* "wal/TIMELINE/LOG/", or "wal/TIMELINE/" of history files. */
struct folder {
	struct copy *c;
	char tail[32];
	bool in_to; /* worth a look */
	struct copy_item *items; /* NULL: all */
	size_t n_items;
	struct listing from, to;
	struct missing *missing;
	size_t n_missing;
	uint64_t there;
};

static int
note_object(void *arg, const struct storage_entry *e, struct err *err)
{
	struct listing *l = arg;
	struct seen s;

	if (e->is_directory || !wal_store_parse(e->name, &s.ws, &s.part))
		return 0;
	s.ws.size = e->size;
	s.ws.mtime = e->mtime;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		l->list = xreallocarray(l->list, l->cap, sizeof(*l->list));
	}
	l->list[l->n++] = s;
	return 0;
}

static int
by_file(const struct seen *x, const struct seen *y)
{
	int order = strcmp(x->ws.file.name, y->ws.file.name);

	return order != 0 ? order :
	    memcmp(x->ws.hash, y->ws.hash, WAL_HASH_SIZE);
}

static int
compare_seen(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int order = by_file(x, y);

	if (order != 0)
		return order;
	if (x->ws.generation != y->ws.generation)
		return x->ws.generation < y->ws.generation ? 1 : -1;
	return x->part < y->part ? -1 : x->part > y->part;
}

static int
list_place(struct folder *f, struct repo *repo, struct listing *out,
    struct err *err)
{
	char prefix[STORAGE_KEY_MAX];

	repo_key(&f->c->inc, f->tail, prefix);
	if (storage_list(repo->st, prefix, true, note_object, out, err) != 0)
		return -1;
	if (out->n > 1)
		qsort(out->list, out->n, sizeof(*out->list), compare_seen);
	return 0;
}

/* The objects of one content, or (hash false) of one name, from i on. */
static size_t
group(const struct listing *l, size_t i, bool hash)
{
	const struct seen *s = l->list;
	size_t n = 1;

	while (i + n < l->n && (hash ? by_file(&s[i], &s[i + n]) :
	    strcmp(s[i].ws.file.name, s[i + n].ws.file.name)) == 0)
		n++;
	return n;
}

/* Where the name begins in the list of `to`; n 0: nowhere. */
static const struct seen *
find_name(const struct listing *l, const char *name, size_t *n)
{
	size_t low = 0, high = l->n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(l->list[mid].ws.file.name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*n = 0;
	if (low == l->n || strcmp(l->list[low].ws.file.name, name) != 0)
		return NULL;
	*n = group(l, low, false);
	return &l->list[low];
}

static int
compare_item(const void *key, const void *item)
{
	return strcmp(key, ((const struct copy_item *)item)->name);
}

static struct copy_item *
find_item(const struct folder *f, const char *name)
{
	return f->n_items == 0 ? NULL : bsearch(name, f->items, f->n_items,
	    sizeof(*f->items), compare_item);
}

/* Is this object of `to` about to be removed there? */
static bool
leaves(const struct copy *c, const struct seen *s)
{
	char key[STORAGE_KEY_MAX], prefix[STORAGE_KEY_MAX];

	if (c->stones.n_names == 0)
		return false;
	wal_store_key(&c->inc, &s->ws.file, s->ws.hash, s->ws.generation, 0,
	    key);
	repo_key(&c->inc, "", prefix);
	return tombstone_names(&c->stones, key + strlen(prefix));
}

/*
 * What `to` has of this content: *top is its highest generation, or NULL.
 * True: one of them has the size of the same content at the source, so that
 * nothing need be read. *going: one that has is about to be removed.
 */
static bool
is_there(const struct copy *c, const struct seen *from, size_t n_from,
    const struct seen *to, size_t n_to, const struct seen **top, bool *going)
{
	size_t i, k;

	*top = NULL;
	*going = false;
	for (k = 0; k < n_to; k++) {
		if (to[k].part != 0 || by_file(&to[k], from) != 0)
			continue;
		if (*top == NULL)
			*top = &to[k];
		for (i = 0; i < n_from; i++) {
			if (from[i].part != 0 ||
			    from[i].ws.size != to[k].ws.size)
				continue;
			if (!leaves(c, &to[k]))
				return true;
			*going = true;
		}
	}
	return false;
}

/*
 * Retention there has removed it, or lists it (and looks again before it
 * goes). To bring it back now would be undone the next night, every night.
 * What a backup needs that is being copied is named, and carried.
 */
static bool
stays_removed(const struct copy *c, const struct seen *from,
    const struct seen *top, bool going)
{
	return !c->p.again && (going || (top == NULL &&
	    removed_names_wal(&c->removed, &from->ws.file)));
}

/* A name that cannot be copied since it has more than one content. */
static bool
conflicts(struct folder *f, const struct seen *from, size_t n_from,
    const struct seen *to, size_t n_to)
{
	char what[128], one[2 * WAL_HASH_SIZE + 1];
	char other[2 * WAL_HASH_SIZE + 1], why[256];
	const struct seen *differs = NULL;
	bool here = false;
	size_t i;

	/* Of a .partial file several contents may be right. */
	if (from->ws.file.type == WAL_FILE_PARTIAL)
		return false;
	for (i = 1; i < n_from && differs == NULL; i++)
		if (by_file(&from[i], from) != 0) {
			differs = &from[i];
			here = true;
		}
	for (i = 0; i < n_to && differs == NULL; i++)
		if (by_file(&to[i], from) != 0)
			differs = &to[i];
	if (differs == NULL)
		return false;
	text_hex(from->ws.hash, WAL_HASH_SIZE, one);
	text_hex(differs->ws.hash, WAL_HASH_SIZE, other);
	(void)snprintf(what, sizeof(what), "WAL file %s",
	    from->ws.file.name);
	(void)snprintf(why, sizeof(why), here ? "it has two contents at the "
	    "source, %s and %s: two servers archived to this cluster's name" :
	    "its content is %s at the source and %s at the destination: two "
	    "servers archived to this cluster's name", one, other);
	copy_note_conflict(f->c, what, why);
	return true;
}

static void
add_missing(struct folder *f, const struct seen *from, size_t n_from,
    const struct seen *top, struct copy_item *item)
{
	struct missing *m;
	uint64_t bytes = 0;
	size_t i;

	f->missing = xreallocarray(f->missing, f->n_missing + 1,
	    sizeof(*f->missing));
	m = &f->missing[f->n_missing++];
	memset(m, 0, sizeof(*m));
	m->folder = f;
	m->from = from;
	m->n_from = n_from;
	m->to = top;
	m->item = item;
	m->generation = from->ws.generation;
	for (i = 0; i < n_from; i++)
		if (from[i].ws.generation == from->ws.generation)
			bytes += from[i].ws.size;
	copy_expect(f->c, bytes);
	if (!f->c->p.dry_run)
		return;
	(void)pthread_mutex_lock(&f->c->lock);
	f->c->result.wal.copied++;
	f->c->result.objects += n_from;
	f->c->result.bytes += bytes;
	(void)pthread_mutex_unlock(&f->c->lock);
}

static bool
is_whole(const struct seen *from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (from[i].part == 0)
			return true;
	return false; /* parts that somebody is putting, or left */
}

/* All contents of one name. */
static void
compare_name(struct folder *f, const struct seen *from, size_t n)
{
	struct copy_item *item = find_item(f, from->ws.file.name);
	const struct seen *to, *top;
	size_t i, k, n_to;
	bool going;

	if (f->items != NULL && item == NULL)
		return;
	to = find_name(&f->to, from->ws.file.name, &n_to);
	if (conflicts(f, from, n, to, n_to)) {
		if (item != NULL)
			item->outcome = COPY_FAILED;
		return;
	}
	for (i = 0; i < n; i += k) {
		for (k = 1; i + k < n && by_file(&from[i], &from[i + k]) == 0;
		     k++)
			;
		if (!is_whole(&from[i], k))
			continue;
		if (is_there(f->c, &from[i], k, to, n_to, &top, &going)) {
			f->there++;
			if (item != NULL)
				item->outcome = COPY_DONE;
		} else if (item == NULL &&
		    stays_removed(f->c, &from[i], top, going)) {
			(void)pthread_mutex_lock(&f->c->lock);
			f->c->result.removed++;
			(void)pthread_mutex_unlock(&f->c->lock);
		} else {
			/* settle_items() has the last word. */
			if (item != NULL)
				item->outcome = COPY_DONE;
			add_missing(f, &from[i], k, top, item);
		}
	}
}

/* Job: list a folder in both places, and note what lacks. */
static int
compare_folder(void *worker, void *job, bool skip, struct err *err)
{
	struct copy_worker *w = worker;
	struct folder *f = job;
	size_t i, n;

	if (skip)
		return 0;
	if (list_place(f, w->from, &f->from, err) != 0 ||
	    (f->in_to && f->from.n > 0 &&
		list_place(f, w->to, &f->to, err) != 0))
		return -1;
	for (i = 0; i < f->from.n; i += n) {
		n = group(&f->from, i, false);
		compare_name(f, &f->from.list[i], n);
	}
	(void)pthread_mutex_lock(&f->c->lock);
	f->c->result.wal.there += f->there;
	(void)pthread_mutex_unlock(&f->c->lock);
	return 0;
}

/* A file being carried: part 0 waits until all others are there. */
struct carrying {
	struct copy_worker *w;
	const struct wal_stored *ws;
	uint32_t generation;
	bool taken;
};

static int
carry_part(void *arg, uint32_t part, const struct buf *bytes,
    struct err *err)
{
	struct carrying *cy = arg;
	struct copy_worker *w = cy->w;
	char key[STORAGE_KEY_MAX];

	if (part == 0) {
		buf_clear(&w->raw);
		buf_add(&w->raw, bytes->data, bytes->len);
		return buf_check(&w->raw, cy->ws->file.name, err);
	}
	wal_store_key(&w->c->inc, &cy->ws->file, cy->ws->hash,
	    cy->generation, part, key);
	if (copy_put(w, key, bytes->data, bytes->len, &cy->taken, err) != 0)
		return -1;
	return cy->taken ? err_set(err, ERR_EXISTS, "taken") : 0;
}

/* One generation of the source, under this one. *taken: try the next. */
static int
carry_as(struct copy_worker *w, const struct wal_stored *ws,
    uint32_t generation, bool *taken, struct err *err)
{
	struct carrying cy = { .w = w, .ws = ws, .generation = generation };
	char key[STORAGE_KEY_MAX];
	int rc;

	*taken = false;
	rc = wal_store_read_parts(w->from, &w->c->inc, ws, w->codec,
	    carry_part, &cy, err);
	if (rc != 0 && cy.taken) {
		err_clear(err);
		*taken = true;
		return 0;
	}
	if (rc != 0)
		return -1;
	wal_store_key(&w->c->inc, &ws->file, ws->hash, generation, 0, key);
	return copy_put(w, key, w->raw.data, w->raw.len, taken, err);
}

/* Does `to` have this content, whole, in this generation? 1: yes. */
static int
holds(struct copy_worker *w, const struct wal_stored *ws,
    uint32_t generation, struct err *err)
{
	struct wal_stored there = *ws;
	char key[STORAGE_KEY_MAX];

	there.generation = generation;
	wal_store_key(&w->c->inc, &ws->file, ws->hash, generation, 0, key);
	if (storage_stat(w->to->st, key, &there.size, NULL, err) == 0 &&
	    wal_store_prove(w->to, &w->c->inc, &there, w->codec, NULL, NULL,
	    err) == 0)
		return storage_settle(w->to->st, key, err) == 0 ? 1 : -1;
	if (!copy_is_of_object(err))
		return -1;
	err_clear(err);
	return 0;
}

/*
 * Carry this generation of the source, under the first name that has no
 * other bytes. What is in the way and holds is as good.
 */
static int
carry(struct copy_worker *w, const struct missing *m,
    const struct wal_stored *ws, bool *new, struct err *err)
{
	uint32_t g = m->generation, end = g + GENERATIONS_MAX;
	bool taken;
	int rc;

	*new = false;
	if (m->to != NULL && g <= m->to->ws.generation) {
		if (!leaves(w->c, m->to)) {
			rc = holds(w, ws, m->to->ws.generation, err);
			if (rc != 0)
				return rc < 0 ? -1 : 0;
			log_warning("%s: what the destination has of it does "
			    "not hold, and is superseded", ws->file.name);
		}
		g = m->to->ws.generation + 1;
	}
	for (; g < end; g++) {
		if (carry_as(w, ws, g, &taken, err) != 0)
			return -1;
		if (!taken) {
			*new = true;
			return 0;
		}
		rc = holds(w, ws, g, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	return err_set(err, ERR_STORAGE, "%s: %d generations are taken",
	    ws->file.name, GENERATIONS_MAX);
}

/*
 * It went when it was to be read: then an expire has removed it, which the
 * next listing proves.
 */
static void
note_outcome(struct copy_worker *w, const struct missing *m,
    const struct err *err)
{
	struct copy *c = w->c;
	char what[128];

	if (err->code == ERR_NOT_FOUND) {
		(void)pthread_mutex_lock(&c->lock);
		c->result.vanished++;
		(void)pthread_mutex_unlock(&c->lock);
		return;
	}
	(void)snprintf(what, sizeof(what), "WAL file %s",
	    m->from->ws.file.name);
	copy_note_damage(c, what, err);
}

/* Job: carry a file, from the highest generation that holds. */
static int
carry_file(void *worker, void *job, bool skip, struct err *err)
{
	struct copy_worker *w = worker;
	struct missing *m = job;
	struct err first = ERR_INIT;
	bool new = false;
	size_t i;

	if (skip)
		return 0;
	for (i = 0; i < m->n_from; i++) {
		if (m->from[i].part != 0)
			continue;
		if (copy_stopped(w->c, err) != 0)
			return -1;
		if (carry(w, m, &m->from[i].ws, &new, err) == 0)
			break;
		if (!copy_is_of_object(err))
			return err_wrap(err, "copy %s", m->from->ws.file.name);
		if (first.code == ERR_NONE)
			first = *err;
		err_clear(err);
	}
	if (i == m->n_from) {
		note_outcome(w, m, &first);
		return 0;
	}
	m->done = true;
	(void)pthread_mutex_lock(&w->c->lock);
	if (new)
		w->c->result.wal.copied++;
	else
		w->c->result.wal.there++;
	(void)pthread_mutex_unlock(&w->c->lock);
	return 0;
}

/*
 * No job is left: an item is done when each of its contents is (of a .partial
 * file there may be several).
 */
static void
settle_items(const struct folder *f)
{
	size_t i;

	for (i = 0; i < f->n_missing; i++)
		if (f->missing[i].item != NULL && !f->missing[i].done)
			f->missing[i].item->outcome = COPY_FAILED;
}

static void
folder_free(struct folder *f)
{
	free(f->from.list);
	free(f->to.list);
	free(f->missing);
	memset(f, 0, sizeof(*f));
}

/* Compare these folders at the same time, then carry what they lack. */
static int
copy_folders(struct copy *c, struct folder *folders, size_t n,
    struct err *err)
{
	size_t i, k;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++) {
		folders[i].c = c;
		rc = copy_submit(c, compare_folder, &folders[i], err);
	}
	rc = copy_wait(c, rc, err);
	for (i = 0; i < n && rc == 0 && !c->p.dry_run; i++)
		for (k = 0; k < folders[i].n_missing && rc == 0; k++)
			rc = copy_submit(c, carry_file,
			    &folders[i].missing[k], err);
	rc = copy_wait(c, rc, err);
	for (i = 0; i < n; i++) {
		settle_items(&folders[i]);
		folder_free(&folders[i]);
	}
	return rc;
}

/* The LOG folders of a timeline. */
struct logs {
	uint32_t *list;
	size_t n;
};

static int
note_log(void *arg, const struct storage_entry *e, struct err *err)
{
	struct logs *l = arg;
	uint64_t log;

	if (!e->is_directory || strlen(e->name) != 9 ||
	    strspn(e->name, "0123456789ABCDEF") != 8 ||
	    !text_hex_u64(e->name, 8, &log))
		return 0;
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	l->list[l->n++] = (uint32_t)log;
	return 0;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int
list_logs(struct copy *c, struct repo *repo, uint32_t timeline,
    struct logs *out, struct err *err)
{
	char tail[32], prefix[STORAGE_KEY_MAX];

	memset(out, 0, sizeof(*out));
	(void)snprintf(tail, sizeof(tail), "wal/%08X/", timeline);
	repo_key(&c->inc, tail, prefix);
	if (storage_list(repo->st, prefix, true, note_log, out, err) != 0)
		return -1;
	if (out->n > 1)
		qsort(out->list, out->n, sizeof(*out->list), compare_u32);
	return 0;
}

static void
folder_init(struct folder *f, uint32_t timeline, const uint32_t *log)
{
	memset(f, 0, sizeof(*f));
	f->in_to = true;
	if (log == NULL)
		(void)snprintf(f->tail, sizeof(f->tail), "wal/%08X/",
		    timeline);
	else
		(void)snprintf(f->tail, sizeof(f->tail), "wal/%08X/%08X/",
		    timeline, *log);
}

static int
copy_timeline(struct copy *c, uint32_t timeline, struct err *err)
{
	struct folder folders[FOLDERS_AT_ONCE];
	struct logs from = { NULL, 0 }, to = { NULL, 0 };
	size_t i, n = 0;
	int rc;

	folder_init(&folders[0], timeline, NULL);
	rc = copy_folders(c, folders, 1, err);
	if (rc == 0 && list_logs(c, c->p.from, timeline, &from, err) != 0)
		rc = -1;
	if (rc == 0 && list_logs(c, c->p.to, timeline, &to, err) != 0)
		rc = -1;
	for (i = 0; i < from.n && rc == 0; i++) {
		folder_init(&folders[n], timeline, &from.list[i]);
		folders[n++].in_to = to.n > 0 && bsearch(&from.list[i],
		    to.list, to.n, sizeof(*to.list), compare_u32) != NULL;
		if (n < FOLDERS_AT_ONCE && i + 1 < from.n)
			continue;
		rc = copy_folders(c, folders, n, err);
		n = 0;
	}
	free(from.list);
	free(to.list);
	return rc;
}

/* Items of one folder follow each other: history files have their own. */
static size_t
item_folder(const struct copy_item *items, size_t n, struct folder *f)
{
	struct err ignored = ERR_INIT;
	struct wal_file first, next;
	size_t i;

	if (wal_file_parse(items[0].name, &first, &ignored) != 0)
		return 0;
	folder_init(f, first.timeline,
	    first.type == WAL_FILE_HISTORY ? NULL : &first.log);
	for (i = 1; i < n; i++)
		if (wal_file_parse(items[i].name, &next, &ignored) != 0 ||
		    (first.type == WAL_FILE_HISTORY) !=
		    (next.type == WAL_FILE_HISTORY) ||
		    next.timeline != first.timeline ||
		    (next.type != WAL_FILE_HISTORY && next.log != first.log))
			break;
	return i;
}

/*
 * History files first, then the rest. A name that is no WAL file's has no
 * business in a queue.
 */
static int
copy_listed(struct copy *c, struct copy_item *items, size_t n, bool history,
    struct err *err)
{
	struct folder folders[FOLDERS_AT_ONCE];
	size_t i, k, used = 0;

	for (i = 0; i < n; i += k) {
		struct folder *f = &folders[used];

		k = item_folder(items + i, n - i, f);
		if (k == 0) {
			k = 1;
			continue;
		}
		if ((strlen(f->tail) == strlen("wal/00000001/")) != history)
			continue;
		f->items = items + i;
		f->n_items = k;
		if (++used < FOLDERS_AT_ONCE)
			continue;
		if (copy_folders(c, folders, used, err) != 0)
			return -1;
		used = 0;
	}
	return used == 0 ? 0 : copy_folders(c, folders, used, err);
}

int
copy_wal(struct copy *c, struct copy_item *items, size_t n, struct err *err)
{
	uint32_t *timelines;
	size_t i, n_timelines;
	int rc = 0;

	for (i = 0; i < n; i++)
		items[i].outcome = COPY_ABSENT;
	if (items != NULL)
		return copy_listed(c, items, n, true, err) != 0 ? -1 :
		    copy_listed(c, items, n, false, err);
	if (wal_store_timelines(c->p.from, &c->inc, &timelines, &n_timelines,
	    err) != 0)
		return -1;
	for (i = 0; i < n_timelines && rc == 0; i++)
		rc = copy_timeline(c, timelines[i], err);
	free(timelines);
	return rc;
}
