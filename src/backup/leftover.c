/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/leftover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/commits.h"
#include "repo/each.h"
#include "repo/intent.h"
#include "repo/object.h"
#include "repo/pack.h"
#include "repo/packset.h"
#include "repo/removed.h"
#include "repo/tombstone.h"

#define RESUME_AGE_US (INT64_C(7) * 86400 * 1000000)
#define COMPLAINTS_MAX 3
#define OVERLAY_BLOCKS_MAX (UINT64_C(1) << 24)
#define HEADER_FIRST 512 /* most headers are no longer */
/* 64 MiB of memory: what more there is gets stored anew. */
#define RUNS_MAX (((size_t)64 << 20) / sizeof(struct leftover_run))

struct names {
	char **list;
	size_t n;
};

static int
note_name(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct names *l = arg;

	if (l->n % 64 == 0)
		l->list = xreallocarray(l->list, l->n + 64,
		    sizeof(*l->list));
	l->list[l->n++] = xstrdup(entry->name);
	return 0;
}

static void
free_names(struct names *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
}

static void
folder_key(const struct incarnation *inc, const char *label, const char *name,
    char out[STORAGE_KEY_MAX])
{
	char tail[STORAGE_KEY_MAX / 2];

	(void)snprintf(tail, sizeof(tail), "backups/%s/%s", label, name);
	repo_key(inc, tail, out);
}

/* The label in "LABEL/", if it is one and not too old to go on under. */
static bool
label_in(const char *name, int64_t now, char out[FORMAT_LABEL_MAX])
{
	char oldest[FORMAT_LABEL_MAX];
	size_t len = strlen(name);

	if (len == 0 || len > FORMAT_LABEL_MAX || name[len - 1] != '/')
		return false;
	memcpy(out, name, len - 1);
	out[len - 1] = '\0';
	label_make(now - RESUME_AGE_US, 0, oldest);
	return label_valid(out) && strcmp(out, oldest) >= 0;
}

/*
 * Folders without a commit that no interrupted backup left: of a removed
 * backup whose packs other backups refer to, or that is being removed. Who
 * went on under such a label would mix its objects with those of others. And of
 * one that was removed whole, where a file system keeps its empty folder: a
 * copy to another repository would pass over the label for good.
 */
struct taken {
	char (*labels)[FORMAT_LABEL_MAX];
	size_t n;
	struct tombstone_set stones;
	struct removed_set removed;
};

static void
taken_free(struct taken *t)
{
	free(t->labels);
	tombstone_list_free(&t->stones);
	removed_free(&t->removed);
}

static bool
is_referred(const struct taken *t, const char *label)
{
	size_t i;

	for (i = t->n; i > 0; i--) /* packs of one backup follow each other */
		if (strcmp(t->labels[i - 1], label) == 0)
			return true;
	return false;
}

static bool
is_taken(const struct taken *t, const char *label)
{
	char prefix[64 + FORMAT_LABEL_MAX];
	size_t i;

	(void)snprintf(prefix, sizeof(prefix), "backups/%s/", label);
	for (i = 0; i < t->stones.n_names; i++)
		if (strncmp(t->stones.names[i], prefix, strlen(prefix)) == 0)
			return true;
	return removed_names(&t->removed, REPO_BACKUP, label) ||
	    is_referred(t, label);
}

/* *known false: a commit cannot be read, and may refer to anything. */
static int
taken_find(struct taken *t, struct repo *repo, const struct incarnation *inc,
    bool *known, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct commits *commits;
	struct commit c;
	size_t i, k, n;

	*known = true;
	if (tombstone_list(repo, inc, &t->stones, err) != 0 ||
	    removed_list(repo, inc, &t->removed, err) != 0 ||
	    catalogue_backups(repo, inc, &labels, &n, NULL, err) != 0)
		return -1;
	commits = commits_new(repo, inc, REPO_BACKUP, labels, n);
	for (i = 0; i < n && *known; i++) {
		if (commits_take(commits, i, &c, err) != 0) {
			log_info("an interrupted backup is not gone on with: "
			    "%s", err->msg);
			err_clear(err);
			*known = false;
			break;
		}
		for (k = 0; k < c.n_packs; k++) {
			if (is_referred(t, c.packs[k].id.label))
				continue;
			t->labels = xreallocarray(t->labels, t->n + 1,
			    sizeof(*t->labels));
			memcpy(t->labels[t->n++], c.packs[k].id.label,
			    sizeof(*t->labels));
		}
		commit_free(&c);
	}
	commits_free(commits);
	free(labels);
	return 0;
}

/* Which of some folders have no commit. */
struct folders {
	const struct incarnation *inc;
	char (*labels)[FORMAT_LABEL_MAX]; /* "": not to be looked at */
};

static int
look_at_folder(struct repo *repo, void *arg, size_t i, struct err *err)
{
	struct folders *f = arg;
	char key[STORAGE_KEY_MAX];
	uint64_t size;

	if (f->labels[i][0] == '\0')
		return 0;
	folder_key(f->inc, f->labels[i], "commit", key);
	if (storage_stat(repo->st, key, &size, NULL, err) == 0) {
		f->labels[i][0] = '\0';
		return 0;
	}
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

/* The newest label whose folder has no commit, and is not taken. */
static int
newest_open(struct repo *repo, const struct incarnation *inc, int64_t now,
    const struct taken *taken, char out[FORMAT_LABEL_MAX], struct err *err)
{
	struct folders f = { .inc = inc };
	struct names l = { NULL, 0 };
	char key[STORAGE_KEY_MAX];
	size_t i;
	int rc;

	out[0] = '\0';
	repo_key(inc, "backups/", key);
	rc = storage_list(repo->st, key, true, note_name, &l, err);
	f.labels = xcalloc(l.n + 1, sizeof(*f.labels));
	for (i = 0; i < l.n && rc == 0; i++)
		if (!label_in(l.list[i], now, f.labels[i]) ||
		    is_taken(taken, f.labels[i]))
			f.labels[i][0] = '\0';
	if (rc == 0)
		rc = repo_each(repo, l.n, look_at_folder, &f, err);
	for (i = 0; i < l.n && rc == 0; i++)
		if (strcmp(f.labels[i], out) > 0)
			memcpy(out, f.labels[i], FORMAT_LABEL_MAX);
	free(f.labels);
	free_names(&l);
	return rc;
}

static int
find_open(struct repo *repo, const struct incarnation *inc, int64_t now,
    char out[FORMAT_LABEL_MAX], struct err *err)
{
	struct taken taken = { .labels = NULL };
	bool known;
	int rc;

	/* Mostly there is none, and no commit has to be read. */
	rc = newest_open(repo, inc, now, &taken, out, err);
	if (rc != 0 || out[0] == '\0')
		return rc;
	out[0] = '\0';
	rc = taken_find(&taken, repo, inc, &known, err);
	if (rc == 0 && known)
		rc = newest_open(repo, inc, now, &taken, out, err);
	taken_free(&taken);
	return rc;
}

struct attempts {
	uint32_t highest;
	bool packs;
};

static int
note_attempt(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct attempts *a = arg;
	uint32_t attempt, number, generation;
	bool mark;

	if (packset_parse_name(entry->name, &attempt, &number, &generation,
		&mark)) {
		a->packs = a->packs || !mark;
		if (attempt > a->highest)
			a->highest = attempt;
	} else if (sscanf(entry->name, "manifest-%9u.g%9u.zst", &number,
	    &generation) == 2 && generation < UINT32_MAX &&
	    generation + 1 > a->highest) {
		a->highest = generation + 1;
	}
	return 0;
}

int
leftover_find(struct repo *repo, const struct incarnation *inc, int64_t now,
    struct leftover_found *out, struct err *err)
{
	struct attempts a = { 1, false };
	struct intent *intents;
	char key[STORAGE_KEY_MAX];
	size_t i, n;

	memset(out, 0, sizeof(*out));
	if (find_open(repo, inc, now, out->label, err) != 0)
		return err_wrap(err, "look for an interrupted backup");
	if (out->label[0] == '\0')
		return 0;
	folder_key(inc, out->label, "", key);
	if (storage_list(repo->st, key, true, note_attempt, &a, err) != 0)
		return -1;
	/* One that died before its first pack has its number, too. */
	if (intent_list(repo, inc, &intents, &n, err) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (strcmp(intents[i].label, out->label) == 0 &&
		    intents[i].attempt > a.highest)
			a.highest = intents[i].attempt;
	free(intents);
	out->attempts = a.highest;
	if (!a.packs)
		out->label[0] = '\0';
	return 0;
}

/* What is being read. */
struct reading {
	struct leftover *l;
	struct repo *repo;
	const struct incarnation *inc;
	uint32_t block_size;
	size_t cap_runs;
	uint32_t cap_paths;
	uint32_t last_path; /* the frame before was of it */
	struct buf raw;
	uint64_t *blocks; /* of a frame */
	struct frame_codec *codec; /* NULL until one is encrypted */
};

static uint32_t
path_number(struct reading *r, const char *path, size_t len)
{
	struct leftover *l = r->l;

	/* Frames of one file follow each other; else it is told apart later. */
	if (l->n_paths > 0 && strlen(l->paths[r->last_path]) == len &&
	    memcmp(l->paths[r->last_path], path, len) == 0)
		return r->last_path;
	if (l->n_paths == r->cap_paths) {
		r->cap_paths = 2 * r->cap_paths + 64;
		l->paths = xreallocarray(l->paths, r->cap_paths,
		    sizeof(*l->paths));
	}
	l->paths[l->n_paths] = xstrndup(path, len);
	return r->last_path = l->n_paths++;
}

static void
add_run(struct reading *r, const struct leftover_run *run)
{
	struct leftover *l = r->l;

	if (l->n_runs == r->cap_runs) {
		r->cap_runs = 2 * r->cap_runs + 256;
		l->runs = xreallocarray(l->runs, r->cap_runs,
		    sizeof(*l->runs));
	}
	l->runs[l->n_runs++] = *run;
}

/* One frame's blocks as runs. */
static int
add_frame(struct reading *r, uint32_t pack, uint32_t frame,
    const struct frame_header *h, struct err *err)
{
	struct leftover_run run = { .pack = pack, .frame = frame };
	size_t i, n, k;

	if (h->block_size != r->block_size || h->path_len == 0 ||
	    memchr(h->path, 0, h->path_len) != NULL)
		return 0;
	if (frame_blocks_decode(h, r->blocks,
	    FORMAT_FRAME_PLAIN_MAX / r->block_size + 1, &n, err) != 0)
		return -1;
	run.path = path_number(r, h->path, h->path_len);
	for (i = 0; i < n; i += k) {
		for (k = 1; i + k < n &&
		     r->blocks[i + k] == r->blocks[i] + k;)
			k++;
		run.block = r->blocks[i];
		run.blocks = (uint32_t)k;
		run.in_frame = (uint32_t)i;
		if (run.block <= OVERLAY_BLOCKS_MAX - k)
			add_run(r, &run);
	}
	return 0;
}

/* The header of a frame; points into r->raw. */
static int
read_header(struct reading *r, struct object_reader *o, uint32_t frame,
    struct frame_header *h, struct err *err)
{
	const struct index_entry *e = &o->entries[frame];
	size_t want = e->length < HEADER_FIRST ? e->length : HEADER_FIRST;
	uint32_t bytes;
	size_t used;
	int turn;

	if (o->header.cipher != 0) { /* the path stands in the ciphertext */
		if (r->codec == NULL)
			r->codec = frame_codec_new(1);
		return object_reader_frame(o, r->codec, frame, h, &r->raw,
		    err);
	}
	for (turn = 0; turn < 2; turn++) {
		buf_clear(&r->raw);
		if (buf_reserve(&r->raw, want) == NULL)
			return buf_check(&r->raw, "a frame's header", err);
		if (storage_get(r->repo->st, o->key, e->offset, want,
			r->raw.data, err) != 0)
			return -1;
		bytes = want < 8 ? 0 : get_le32(r->raw.data + 4);
		if (bytes > e->length - 8 || bytes + 8 <= want)
			break;
		want = bytes + 8; /* a long path or list of blocks */
	}
	if (frame_header_decode(r->raw.data, want, h, &used, err) != 0)
		return err_wrap(err, "%s, frame %u", o->key, frame);
	return 0;
}

static int
read_pack(struct reading *r, struct object_reader *o, struct commit_pack *p,
    uint32_t pack, struct err *err)
{
	const size_t runs = r->l->n_runs;
	struct frame_header h;
	uint32_t i;

	for (i = 0; i < o->n; i++) {
		if (o->entries[i].type == FRAME_FILE ||
		    o->entries[i].type == FRAME_MAP)
			p->plain += o->entries[i].plain_len;
		if (o->entries[i].type != FRAME_FILE)
			continue;
		if (read_header(r, o, i, &h, err) != 0 ||
		    add_frame(r, pack, i, &h, err) != 0) {
			r->l->n_runs = runs; /* nothing of it */
			return -1;
		}
	}
	p->live = p->plain;
	return 0;
}

static int
add_pack(struct reading *r, const struct pack_id *id, uint64_t size,
    struct err *err)
{
	struct leftover *l = r->l;
	struct object_reader o = { .repo = NULL };
	struct commit_pack *p;
	char key[STORAGE_KEY_MAX];
	int rc;

	l->packs = xreallocarray(l->packs, l->n_packs + 1, sizeof(*l->packs));
	p = &l->packs[l->n_packs];
	memset(p, 0, sizeof(*p));
	p->id = *id;
	p->size = size;
	repo_pack_key(r->inc, id, key);
	rc = object_reader_open(&o, r->repo, key, size, OBJECT_PACK, r->inc->system_id, err);
	if (rc == 0)
		rc = read_pack(r, &o, p, l->n_packs, err);
	object_reader_close(&o);
	if (rc == 0)
		l->n_packs++;
	return rc;
}

struct pack_names {
	struct commit_pack *list;
	size_t n;
	const char *label;
};

static int
note_pack(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct pack_names *l = arg;
	struct commit_pack p;
	uint32_t generation;
	bool mark;

	memset(&p, 0, sizeof(p));
	if (!packset_parse_name(entry->name, &p.id.attempt, &p.id.number,
		&generation, &mark) || mark || generation != 0)
		return 0;
	(void)snprintf(p.id.label, sizeof(p.id.label), "%s", l->label);
	p.size = entry->size;
	l->list = xreallocarray(l->list, l->n + 1, sizeof(*l->list));
	l->list[l->n++] = p;
	return 0;
}

static int
by_pack(const void *a, const void *b)
{
	return pack_id_compare(&((const struct commit_pack *)a)->id,
	    &((const struct commit_pack *)b)->id);
}

struct numbered {
	char *path;
	uint32_t number;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const struct numbered *)a)->path,
	    ((const struct numbered *)b)->path);
}

static int
by_place(const void *a, const void *b)
{
	const struct leftover_run *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* One number for each path, in the order of their bytes; then the runs. */
static void
sort_all(struct leftover *l)
{
	struct numbered *order;
	uint32_t *rank, i, n = 0;
	size_t k;

	if (l->n_paths == 0)
		return;
	order = xcalloc(l->n_paths, sizeof(*order));
	rank = xcalloc(l->n_paths, sizeof(*rank));
	for (i = 0; i < l->n_paths; i++)
		order[i] = (struct numbered){ l->paths[i], i };
	qsort(order, l->n_paths, sizeof(*order), by_text);
	for (i = 0; i < l->n_paths; i++) {
		if (n > 0 && strcmp(l->paths[n - 1], order[i].path) == 0)
			free(order[i].path);
		else
			l->paths[n++] = order[i].path;
		rank[order[i].number] = n - 1;
	}
	l->n_paths = n;
	for (k = 0; k < l->n_runs; k++)
		l->runs[k].path = rank[l->runs[k].path];
	free(order);
	free(rank);
	if (l->n_runs > 0)
		qsort(l->runs, l->n_runs, sizeof(*l->runs), by_place);
}

/* Is it the pack's own fault, so that others may still be read? */
static bool
pack_is_bad(enum err_code code)
{
	return code == ERR_DAMAGED || code == ERR_NOT_FOUND ||
	    code == ERR_UNSUPPORTED;
}

static int
read_all(struct reading *r, const struct pack_names *names,
    int (*pulse)(void *arg, struct err *err), void *arg, struct err *err)
{
	unsigned complaints = 0;
	size_t i;

	for (i = 0; i < names->n; i++) {
		if (pulse(arg, err) != 0)
			return -1;
		if (r->l->n_runs >= RUNS_MAX) {
			log_warning("the interrupted backup left more than is "
			    "kept in mind: %zu of its %zu packs are not used",
			    names->n - i, names->n);
			break;
		}
		if (add_pack(r, &names->list[i].id, names->list[i].size,
			err) == 0)
			continue;
		if (!pack_is_bad(err->code))
			return err_wrap(err, "read what an interrupted backup "
			    "left");
		if (complaints++ < COMPLAINTS_MAX)
			log_warning("what an interrupted backup left: %s: it "
			    "is not used", err->msg);
		err_clear(err);
	}
	return 0;
}

int
leftover_read(struct leftover **out, struct repo *repo,
    const struct incarnation *inc, const char *label, uint32_t block_size,
    int (*pulse)(void *arg, struct err *err), void *arg, struct err *err)
{
	struct reading r = { .repo = repo, .inc = inc,
		.block_size = block_size };
	struct pack_names names = { .label = label };
	char key[STORAGE_KEY_MAX];
	int rc;

	*out = NULL;
	r.l = xcalloc(1, sizeof(*r.l));
	r.blocks = xcalloc(FORMAT_FRAME_PLAIN_MAX / block_size + 1,
	    sizeof(*r.blocks));
	buf_init(&r.raw, FORMAT_FRAME_PLAIN_MAX);
	folder_key(inc, label, "", key);
	rc = storage_list(repo->st, key, true, note_pack, &names, err);
	if (rc == 0 && names.n > 0) {
		qsort(names.list, names.n, sizeof(*names.list), by_pack);
		rc = read_all(&r, &names, pulse, arg, err);
	}
	free(names.list);
	free(r.blocks);
	frame_codec_free(r.codec);
	buf_free(&r.raw);
	if (rc != 0) {
		leftover_free(r.l);
		return -1;
	}
	if (r.l->n_packs == 0) {
		leftover_free(r.l);
		return 0;
	}
	sort_all(r.l);
	r.l->table = xcalloc(r.l->n_packs, sizeof(*r.l->table));
	log_info("%u packs of earlier attempts are compared with",
	    r.l->n_packs);
	*out = r.l;
	return 0;
}

void
leftover_free(struct leftover *l)
{
	uint32_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->n_paths; i++)
		free(l->paths[i]);
	free(l->paths);
	free(l->packs);
	free(l->table);
	free(l->runs);
	free(l);
}

static int
by_path(const void *key, const void *item)
{
	return strcmp(key, *(char *const *)item);
}

bool
leftover_file(const struct leftover *l, const char *path,
    const struct leftover_run **runs, size_t *n)
{
	char **found;
	size_t low = 0, high = l->n_runs, mid;
	uint32_t number;

	found = l->n_paths == 0 ? NULL : bsearch(path, l->paths, l->n_paths,
	    sizeof(*l->paths), by_path);
	if (found == NULL)
		return false;
	number = (uint32_t)(found - l->paths);
	while (low < high) {
		mid = low + (high - low) / 2;
		if (l->runs[mid].path < number)
			low = mid + 1;
		else
			high = mid;
	}
	*runs = l->runs + low;
	for (*n = 0; low + *n < l->n_runs &&
	     l->runs[low + *n].path == number;)
		++*n;
	return *n > 0;
}

/* Where one block is. */
struct place {
	uint32_t pack, frame, block;
};

static void
add_block(struct map_run *runs, size_t *n, const struct place *p)
{
	struct map_run *last = *n == 0 ? NULL : &runs[*n - 1];
	const bool zeros = p->pack == MAP_PACK_ZEROS;

	if (last != NULL && last->pack == p->pack &&
	    (zeros || (last->frame == p->frame &&
		last->block + last->blocks == p->block)))
		last->blocks++;
	else
		runs[(*n)++] = (struct map_run){ 1, p->pack, p->frame,
			p->block };
}

void
leftover_overlay(const struct leftover *l, const struct leftover_run *runs,
    size_t n, const struct map_run *old, size_t n_old, struct map_run **out,
    size_t *n_out)
{
	uint64_t blocks = 0, at = 0, k;
	struct place *places;
	size_t i;

	for (i = 0; i < n_old; i++)
		blocks += old[i].blocks;
	for (i = 0; i < n; i++)
		if (runs[i].block + runs[i].blocks > blocks)
			blocks = runs[i].block + runs[i].blocks;
	places = xcalloc(blocks + 1, sizeof(*places));
	for (i = 0; i < n_old; i++)
		for (k = 0; k < old[i].blocks; k++)
			places[at++] = (struct place){ old[i].pack,
				old[i].frame, old[i].pack == MAP_PACK_ZEROS ?
				0 : old[i].block + (uint32_t)k };
	for (; at < blocks; at++)
		places[at] = (struct place){ MAP_PACK_ZEROS, 0, 0 };
	for (i = 0; i < n; i++)
		for (k = 0; k < runs[i].blocks; k++)
			places[runs[i].block + k] = (struct place){
				l->table[runs[i].pack], runs[i].frame,
				runs[i].in_frame + (uint32_t)k };
	free(*out);
	*out = xcalloc(blocks + 1, sizeof(**out));
	*n_out = 0;
	for (at = 0; at < blocks; at++)
		add_block(*out, n_out, &places[at]);
	free(places);
}

bool
leftover_may_stay(const struct err *why)
{
	if (cancel_requested() || why->sys_errno == ENOSPC ||
	    why->sys_errno == EDQUOT)
		return false;
	log_warning("what this backup has stored is kept: the next backup "
	    "goes on with it");
	return true;
}

void
leftover_say_used(const struct commit *c)
{
	uint64_t used = 0;
	size_t i;

	for (i = 0; i < c->n_packs; i++)
		if (strcmp(c->packs[i].id.label, c->label) == 0 &&
		    c->packs[i].id.attempt < c->attempt)
			used += c->packs[i].live;
	if (c->attempt > 1)
		log_info("attempt %u: %" PRIu64 " bytes that earlier ones "
		    "stored are used", c->attempt, used);
}
