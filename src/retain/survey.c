/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "retain/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "repo/pack.h"
#include "repo/packset.h"
#include "repo/walstore.h"

static void
parse_manifest(const char *name, struct survey_object *o)
{
	char again[64];

	if (sscanf(name, "manifest-%9u.g%9u", &o->part, &o->generation) == 2)
		(void)snprintf(again, sizeof(again), "manifest-%02u.g%u.zst",
		    o->part, o->generation);
	else if (sscanf(name, "manifest-%9u.", &o->part) == 1)
		(void)snprintf(again, sizeof(again), "manifest-%02u.zst",
		    o->part);
	else
		return;
	if (strcmp(again, name) == 0)
		o->kind = SURVEY_MANIFEST;
}

/* False: in no backup's folder, so it is not ours to judge. */
static bool
parse(const char *name, struct survey_object *o)
{
	size_t len = strcspn(name, "/");
	const char *last = name + len + 1;
	bool mark;

	if (name[len] == '\0' || len >= sizeof(o->id.label))
		return false;
	memcpy(o->id.label, name, len);
	o->id.label[len] = '\0';
	if (!label_valid(o->id.label))
		return false;
	o->kind = SURVEY_OTHER;
	if (strcmp(last, "commit") == 0)
		o->kind = SURVEY_COMMIT;
	else if (packset_parse_name(last, &o->id.attempt, &o->id.number,
	    &o->generation, &mark))
		o->kind = mark ? SURVEY_MARK : SURVEY_PACK;
	else
		parse_manifest(last, o);
	return true;
}

static int
note(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct survey *s = arg;
	struct survey_object o = { .size = entry->size,
		.mtime = entry->mtime };

	if (entry->is_directory || !parse(entry->name, &o))
		return 0;
	o.id.kind = s->kind;
	o.name = xasprintf("%s%s", repo_folder(s->kind), entry->name);
	if ((s->n & (s->n + 1)) == 0 || s->n == 0)
		s->objects = xreallocarray(s->objects, 2 * s->n + 2,
		    sizeof(*s->objects));
	s->objects[s->n++] = o;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct survey_object *)a)->name,
	    ((const struct survey_object *)b)->name);
}

static int
by_pack(const void *a, const void *b)
{
	return pack_id_compare(a, b);
}

static void
group(struct survey *s)
{
	struct survey_backup *b = NULL;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct survey_object *o = &s->objects[i];

		if (b == NULL || strcmp(b->label, o->id.label) != 0) {
			s->backups = xreallocarray(s->backups,
			    s->n_backups + 1, sizeof(*s->backups));
			b = &s->backups[s->n_backups++];
			memset(b, 0, sizeof(*b));
			memcpy(b->label, o->id.label, sizeof(b->label));
			b->newest = o->mtime;
		}
		if (o->kind == SURVEY_COMMIT)
			b->committed = true;
		if (o->mtime > b->newest)
			b->newest = o->mtime;
		b->bytes += o->size;
	}
}

/* The objects of one pack: its generations and their marks. */
struct range {
	const struct survey_object *list;
	size_t n;
};

static struct range
objects_of(const struct survey *s, const struct pack_id *id)
{
	char start[FORMAT_LABEL_MAX + 64];
	struct range r = { NULL, 0 };
	size_t low = 0, high = s->n, mid, len;

	len = (size_t)snprintf(start, sizeof(start), "%s%s/pack-%02u-%06u.",
	    repo_folder(s->kind), id->label, id->attempt, id->number);
	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(s->objects[mid].name, start) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	r.list = s->objects + low;
	while (low + r.n < s->n &&
	    strncmp(r.list[r.n].name, start, len) == 0)
		r.n++;
	return r;
}

/* Is there an object of this kind and generation? */
static bool
has(const struct range *r, enum survey_kind kind, uint32_t generation)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->list[i].kind == kind &&
		    r->list[i].generation == generation)
			return true;
	return false;
}

/* Whom to ask about objects. */
struct place {
	struct repo *repo;
	const struct incarnation *inc;
};

/*
 * Does this generation hold, as far as can be told without reading it all? A
 * commit knows the size of one generation; others are opened, each once.
 */
static bool
holds(struct survey_object *o, const struct commit_pack *p,
    const struct place *at)
{
	struct err err = ERR_INIT;

	if (o->generation == p->generation) {
		if (o->size != p->size && o->generation > 0)
			o->bad = true;
		return o->size == p->size;
	}
	if (!o->proved && !o->bad && packset_prove(at->repo, at->inc, &o->id,
	    o->generation, o->size, &err) != 0) {
		log_warning("pack does not count as whole: %s", err.msg);
		o->bad = true;
	}
	o->proved = !o->bad;
	return o->proved;
}

/* Is a generation of the pack there that may be read? */
static bool
pack_there(struct survey *s, const struct commit_pack *p,
    const struct place *at)
{
	struct range r = objects_of(s, &p->id);
	bool found = false;
	size_t i;

	for (i = 0; i < r.n; i++) {
		struct survey_object *o = &s->objects[r.list - s->objects + i];

		if (o->kind == SURVEY_PACK &&
		    !has(&r, SURVEY_MARK, o->generation) && holds(o, p, at))
			found = true;
	}
	return found;
}

/* Is a part of the manifest there, in a generation of the right size? */
static bool
part_there(const struct survey *s, const struct commit *c, size_t part)
{
	char start[FORMAT_LABEL_MAX + 64];
	const struct survey_object *o;
	size_t len;

	len = (size_t)snprintf(start, sizeof(start), "%s%s/manifest-%02zu.",
	    repo_folder(s->kind), c->label, part);
	o = survey_find(s, start);
	if (o == NULL)
		return false;
	while (o > s->objects && strncmp(o[-1].name, start, len) == 0)
		o--;
	for (; o < s->objects + s->n && strncmp(o->name, start, len) == 0; o++)
		if (o->kind == SURVEY_MANIFEST && o->size == c->parts[part].size)
			return true;
	return false;
}

static bool
whole(struct survey *s, const struct commit *c, const struct place *at)
{
	size_t i;

	for (i = 0; i < c->n_packs; i++)
		if (!pack_there(s, &c->packs[i], at))
			return false;
	for (i = 0; i < c->n_parts; i++)
		if (!part_there(s, c, i))
			return false;
	return true;
}

/* Ascending, each once. */
static void
sort_refs(struct survey *s)
{
	size_t i, kept = 0;

	if (s->n_refs == 0)
		return;
	qsort(s->refs, s->n_refs, sizeof(*s->refs), by_pack);
	for (i = 0; i < s->n_refs; i++)
		if (kept == 0 || by_pack(&s->refs[kept - 1], &s->refs[i]) != 0)
			s->refs[kept++] = s->refs[i];
	s->n_refs = kept;
}

/*
 * Most refer to what the one before them does. Room is doubled only when that
 * many are different, so that sorting takes n log n in all.
 */
static void
add_refs(struct survey *s, const struct commit *c)
{
	size_t i;

	if (s->n_refs + c->n_packs > s->cap_refs) {
		sort_refs(s);
		if (2 * (s->n_refs + c->n_packs) > s->cap_refs)
			s->cap_refs = 2 * (s->n_refs + c->n_packs) + 1024;
		s->refs = xreallocarray(s->refs, s->cap_refs,
		    sizeof(*s->refs));
	}
	for (i = 0; i < c->n_packs; i++)
		s->refs[s->n_refs++] = c->packs[i].id;
}

static int
by_first(const void *a, const void *b)
{
	const struct survey_wal *x = a, *y = b;

	return memcmp(x->first, y->first, WAL_SEGMENT_NAME_LEN);
}

/*
 * What the commits that stay need of WAL, in stretches that do not touch.
 * Names of one timeline sort as their positions do.
 */
static void
find_wal(struct survey *s)
{
	size_t i, n = 0;

	s->wal = xcalloc(s->n_backups + 1, sizeof(*s->wal));
	for (i = 0; i < s->n_backups; i++) {
		const struct survey_backup *b = &s->backups[i];

		if (!b->committed || b->leaving || b->wal_first[0] == '\0')
			continue;
		memcpy(s->wal[n].first, b->wal_first, sizeof(b->wal_first));
		memcpy(s->wal[n++].last, b->wal_last, sizeof(b->wal_last));
	}
	if (n == 0)
		return;
	qsort(s->wal, n, sizeof(*s->wal), by_first);
	for (i = 0; i < n; i++) {
		struct survey_wal *w = &s->wal[s->n_wal];

		if (s->n_wal == 0 || strcmp(s->wal[i].first, w[-1].last) > 0)
			s->wal[s->n_wal++] = s->wal[i];
		else if (strcmp(s->wal[i].last, w[-1].last) > 0)
			memcpy(w[-1].last, s->wal[i].last, sizeof(w->last));
	}
}

static void
note_dump(struct survey_backup *b, const struct commit_dump *d)
{
	struct buf list;
	size_t i;

	buf_init(&list, FORMAT_TEXT_MAX);
	for (i = 0; i < d->n_options; i++) {
		buf_add_str(&list, d->options[i]);
		buf_add_byte(&list, '\n');
	}
	b->database = xstrdup(d->database);
	b->options = xstrdup(buf_str(&list));
	buf_free(&list);
}

static int
read_commit(struct survey *s, struct survey_backup *b, struct repo *repo,
    const struct incarnation *inc, struct err *err)
{
	const struct place at = { repo, inc };
	struct commit c;

	if (commit_get_kind(repo, inc, s->kind, b->label, &c, err) != 0) {
		if (b->leaving && err->code != ERR_STORAGE &&
		    err->code != ERR_CANCELLED) {
			err_clear(err); /* it goes, and counts for nothing */
			return 0;
		}
		err_wrap(err, "nothing is removed, since what %s %s "
		    "refers to is not known", repo_kind_name(s->kind),
		    b->label);
		return err_hint(err, "if it is damaged for good, remove it: "
		    "dapk-backup expire --backup=%s", b->label);
	}
	if (!b->leaving)
		add_refs(s, &c);
	b->whole = whole(s, &c, &at);
	b->usable = b->whole && c.damaged_count == 0;
	if (s->kind == REPO_DUMP)
		note_dump(b, &c.dump);
	b->n_parts = (uint32_t)c.n_parts;
	b->timeline = c.timeline;
	memcpy(b->wal_first, c.wal_first, sizeof(b->wal_first));
	memcpy(b->wal_last, c.wal_last, sizeof(b->wal_last));
	commit_free(&c);
	return 0;
}

int
survey_read(struct survey *out, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind,
    survey_leaving_fn leaving, survey_pulse_fn pulse, void *arg,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	out->kind = kind;
	repo_key(inc, repo_folder(kind), key);
	rc = storage_list(repo->st, key, false, note, out, err);
	if (rc == 0 && out->n > 0)
		qsort(out->objects, out->n, sizeof(*out->objects), by_name);
	group(out);
	for (i = 0; i < out->n_backups && rc == 0; i++) {
		struct survey_backup *b = &out->backups[i];

		if (!b->committed)
			continue;
		b->leaving = leaving != NULL && leaving(arg, b->label);
		rc = read_commit(out, b, repo, inc, err);
		if (rc == 0)
			rc = pulse(arg, err);
	}
	if (rc != 0) {
		survey_free(out);
		return rc;
	}
	sort_refs(out);
	find_wal(out);
	return 0;
}

void
survey_free(struct survey *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->objects[i].name);
	for (i = 0; i < s->n_backups; i++) {
		free(s->backups[i].database);
		free(s->backups[i].options);
	}
	free(s->objects);
	free(s->backups);
	free(s->refs);
	free(s->wal);
	memset(s, 0, sizeof(*s));
}

/* A name that ends with a dot stands for all that begin so. */
static int
by_key(const void *key, const void *item)
{
	const char *name = key;
	size_t len = strlen(name);
	const struct survey_object *o = item;

	return name[len - 1] == '.' ? strncmp(name, o->name, len) :
				      strcmp(name, o->name);
}

const struct survey_object *
survey_find(const struct survey *s, const char *name)
{
	if (s->n == 0)
		return NULL;
	return bsearch(name, s->objects, s->n, sizeof(*s->objects), by_key);
}

static int
by_label(const void *key, const void *item)
{
	return strcmp(key, ((const struct survey_backup *)item)->label);
}

const struct survey_backup *
survey_backup(const struct survey *s, const char *label)
{
	if (s->n_backups == 0)
		return NULL;
	return bsearch(label, s->backups, s->n_backups, sizeof(*s->backups),
	    by_label);
}

static bool
referred_to(const struct survey *s, const struct pack_id *id)
{
	return s->n_refs > 0 && bsearch(id, s->refs, s->n_refs,
	    sizeof(*s->refs), by_pack) != NULL;
}

/* Is the generation marked, and a later one there that holds? */
static bool
superseded(const struct survey *s, const struct survey_object *o)
{
	struct range r = objects_of(s, &o->id);
	size_t i;

	for (i = 0; i < r.n; i++)
		if (r.list[i].kind == SURVEY_PACK &&
		    r.list[i].generation > o->generation && !r.list[i].bad &&
		    !has(&r, SURVEY_MARK, r.list[i].generation))
			return has(&r, SURVEY_MARK, o->generation);
	return false;
}

/* The generation that a mark is about. */
static bool
marked_is_there(const struct survey *s, const struct survey_object *o)
{
	struct range r = objects_of(s, &o->id);

	return has(&r, SURVEY_PACK, o->generation);
}

bool
survey_keeps(const struct survey *s, const struct survey_object *o)
{
	const struct survey_backup *b = survey_backup(s, o->id.label);
	bool stays = b != NULL && b->committed && !b->leaving;

	switch (o->kind) {
	case SURVEY_COMMIT:
		return stays;
	case SURVEY_MANIFEST:
		return stays && o->part < b->n_parts;
	case SURVEY_PACK:
		return referred_to(s, &o->id) && !superseded(s, o);
	case SURVEY_MARK: /* what it is about goes first */
		return marked_is_there(s, o);
	case SURVEY_OTHER: /* perhaps a newer version's */
		return stays;
	}
	return true;
}

static int
by_stretch(const void *key, const void *item)
{
	const struct survey_wal *w = item;

	if (memcmp(key, w->first, WAL_SEGMENT_NAME_LEN) < 0)
		return -1;
	return memcmp(key, w->last, WAL_SEGMENT_NAME_LEN) > 0;
}

bool
survey_needs_wal(const struct survey *s, const char *name)
{
	const char *last = strrchr(name, '/');
	struct wal_stored w;
	uint32_t part;

	last = last == NULL ? name : last + 1;
	return s->n_wal > 0 && wal_store_parse(last, &w, &part) &&
	    w.file.type == WAL_FILE_SEGMENT &&
	    bsearch(last, s->wal, s->n_wal, sizeof(*s->wal), by_stretch) !=
	    NULL;
}
