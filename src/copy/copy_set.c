/* SPDX-License-Identifier: PostgreSQL */
/*
 * Backups and dumps: what a commit names goes first, the commit last, under
 * the lease of the place that is written to.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "copy/copy_work.h"
#include "repo/manifest_names.h"

#define GENERATIONS_MAX 100
#define BATCH_JOBS 8 /* times `jobs` packs until others may go between */

/* A backup or dump being copied. */
struct set {
	struct copy *c;
	enum repo_kind kind;
	const char *label;
	struct commit commit;
	struct buf bytes; /* the commit, as it lies */
	struct packset *from, *to;
	atomic_uint bad; /* objects that could not be copied */
	struct carry_pack *packs;
	struct carry_part *parts;
};

struct carry_pack {
	struct set *s;
	const struct commit_pack *pack;
	struct packset_info to; /* what is there, and no good */
};

struct carry_part {
	struct set *s;
	size_t part;
};

static void
count(struct copy *c, uint64_t *what)
{
	(void)pthread_mutex_lock(&c->lock);
	(*what)++;
	(void)pthread_mutex_unlock(&c->lock);
}

static struct copy_count *
count_of(struct copy *c, enum repo_kind kind)
{
	return kind == REPO_DUMP ? &c->result.dumps : &c->result.backups;
}

/* Which object of the set could not be copied, and why. */
static void
note_bad(struct set *s, const char *key, const struct err *err)
{
	atomic_fetch_add(&s->bad, 1);
	/* What vanished is told of once, with the backup. */
	if (err->code == ERR_NOT_FOUND)
		log_debug("%s", err->msg);
	else
		copy_note_damage(s->c, key, err);
}

/* The pack's bytes in this generation, checked, into w->raw. */
static int
read_pack(struct copy_worker *w, const struct pack_id *id,
    uint32_t generation, uint64_t size, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint8_t *p;

	repo_pack_key_generation(&w->c->inc, id, generation, key);
	buf_clear(&w->raw);
	if (size == 0 || size > STORAGE_OBJECT_MAX) {
		if (storage_get_all(w->from->st, key, &w->raw, err) != 0)
			return -1;
	} else {
		p = buf_reserve(&w->raw, (size_t)size);
		if (p == NULL)
			return buf_check(&w->raw, key, err);
		if (storage_get(w->from->st, key, 0, (size_t)size, p,
		    err) != 0)
			return -1;
		w->raw.len = (size_t)size;
	}
	return copy_check_pack(w, &w->raw, key, id, err);
}

/* The best generation that holds: *generation; the first error else. */
static int
read_best(struct copy_worker *w, const struct carry_pack *cp,
    uint32_t *generation, struct err *err)
{
	const struct pack_id *id = &cp->pack->id;
	struct packset_info info;
	struct err why = ERR_INIT;
	char key[STORAGE_KEY_MAX];
	uint32_t g;

	if (packset_find(cp->s->from, id, &info, err) != 0)
		return -1;
	repo_pack_key_generation(&w->c->inc, id, info.generation, key);
	if (!info.exists)
		return err_set(err, ERR_NOT_FOUND, "%s/%s is not there",
		    storage_url(w->from->st), key);
	if (info.damaged)
		return err_set(err, ERR_DAMAGED, "%s/%s was found to be "
		    "damaged", storage_url(w->from->st), key);
	*generation = info.generation;
	if (read_pack(w, id, info.generation, info.size, err) == 0)
		return 0;
	if (!copy_is_of_object(err))
		return -1;
	for (g = info.generation; g > 0; g--) {
		err_clear(&why);
		*generation = g - 1;
		if (read_pack(w, id, g - 1, 0, &why) == 0) {
			err_clear(err);
			return 0;
		}
	}
	return -1;
}

/*
 * Something of this name is there that the commit cannot mean. 1: it holds
 * all the same, so that nobody knows which of the two is right.
 */
static int
is_conflict(struct copy_worker *w, const struct carry_pack *cp,
    struct err *err)
{
	const struct pack_id *id = &cp->pack->id;
	struct err why = ERR_INIT;
	char key[STORAGE_KEY_MAX];

	if (!cp->to.exists || cp->to.leaving || cp->to.damaged)
		return 0;
	repo_pack_key_generation(&w->c->inc, id, cp->to.generation, key);
	buf_clear(&w->other);
	if (storage_get_all(w->to->st, key, &w->other, err) != 0) {
		if (!copy_is_of_object(err))
			return -1;
		err_clear(err);
		return 0;
	}
	if (copy_check_pack(w, &w->other, key, id, &why) != 0 ||
	    (w->other.len == w->raw.len &&
		memcmp(w->other.data, w->raw.data, w->raw.len) == 0)) {
		log_warning("%s at the destination does not hold, and is "
		    "superseded", key);
		return 0;
	}
	return 1;
}

static int
put_pack(struct copy_worker *w, const struct carry_pack *cp, uint32_t from,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint32_t g = from, end;
	bool taken;
	int rc = is_conflict(w, cp, err);

	repo_pack_key_generation(&w->c->inc, &cp->pack->id, from, key);
	if (rc < 0)
		return -1;
	if (rc == 1) {
		atomic_fetch_add(&cp->s->bad, 1);
		copy_note_conflict(w->c, key, "another content, which holds, "
		    "is stored at the destination under its name");
		return 0;
	}
	if (cp->to.exists && g <= cp->to.generation)
		g = cp->to.generation + 1;
	for (end = g + GENERATIONS_MAX; g < end; g++) {
		repo_pack_key_generation(&w->c->inc, &cp->pack->id, g, key);
		if (copy_put(w, key, w->raw.data, w->raw.len, &taken,
		    err) != 0)
			return -1;
		if (!taken)
			return 0;
	}
	return err_set(err, ERR_STORAGE, "%s: %d generations are taken", key,
	    GENERATIONS_MAX);
}

/* Job. */
static int
carry_pack(void *worker, void *job, bool skip, struct err *err)
{
	struct copy_worker *w = worker;
	const struct carry_pack *cp = job;
	char key[STORAGE_KEY_MAX];
	uint32_t generation = 0;

	if (skip)
		return 0;
	/* The set is lost already, or all is to end. */
	if (copy_stopped(w->c, err) != 0)
		return -1;
	if (read_best(w, cp, &generation, err) == 0)
		return put_pack(w, cp, generation, err);
	repo_pack_key(&w->c->inc, &cp->pack->id, key);
	if (!copy_is_of_object(err))
		return err_wrap(err, "copy %s", key);
	note_bad(cp->s, key, err);
	err_clear(err);
	return 0;
}

/* Is it the part that the commit means? */
static bool
is_part(const struct buf *raw, const struct manifest_part *part, int *rc,
    struct err *err)
{
	uint8_t sum[SHA256_SIZE];

	*rc = 0;
	if (raw->len != part->size)
		return false;
	*rc = sha256(raw->data, raw->len, sum, err);
	return *rc == 0 && memcmp(sum, part->sha256, sizeof(sum)) == 0;
}

/* The part in any of its generations, into raw. 1: found. */
static int
find_part(struct copy_worker *w, struct repo *repo, const struct set *s,
    size_t part, struct buf *raw, struct err *err)
{
	struct manifest_stored list[MANIFEST_GENERATIONS_MAX];
	char key[STORAGE_KEY_MAX];
	size_t i, n;
	int rc;

	if (manifest_part_stored(repo, &w->c->inc, s->kind, s->label, part,
	    list, &n, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (list[i].size != s->commit.parts[part].size)
			continue;
		manifest_part_generation_key(&w->c->inc, s->kind, s->label,
		    part, list[i].generation, key);
		buf_clear(raw);
		if (storage_get_all(repo->st, key, raw, err) == 0) {
			if (is_part(raw, &s->commit.parts[part], &rc, err))
				return 1;
			if (rc != 0)
				return -1;
		} else if (!copy_is_of_object(err))
			return -1;
		err_clear(err);
	}
	return 0;
}

static int
put_part(struct copy_worker *w, const struct set *s, size_t part,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint32_t g = s->commit.attempt - 1, end = g + GENERATIONS_MAX;
	bool taken;

	for (; g < end; g++) {
		manifest_part_generation_key(&w->c->inc, s->kind, s->label,
		    part, g, key);
		if (copy_put(w, key, w->raw.data, w->raw.len, &taken,
		    err) != 0)
			return -1;
		if (!taken)
			return 0;
	}
	return err_set(err, ERR_STORAGE, "%s: %d generations are taken", key,
	    GENERATIONS_MAX);
}

/* Job. */
static int
carry_part(void *worker, void *job, bool skip, struct err *err)
{
	struct copy_worker *w = worker;
	const struct carry_part *cp = job;
	char key[STORAGE_KEY_MAX];
	int rc;

	if (skip)
		return 0;
	rc = find_part(w, w->to, cp->s, cp->part, &w->raw, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = find_part(w, w->from, cp->s, cp->part, &w->raw, err);
	if (rc < 0)
		return -1;
	if (rc == 1)
		return put_part(w, cp->s, cp->part, err);
	manifest_part_key(&w->c->inc, cp->s->kind, cp->s->label, cp->part,
	    key);
	err_set(err, ERR_DAMAGED, "no generation of it is what the commit "
	    "names");
	note_bad(cp->s, key, err);
	err_clear(err);
	return 0;
}

/* Others may go between when no job is left. */
static int
let_between(struct copy *c, struct err *err)
{
	int rc;

	if (c->p.between == NULL || c->p.dry_run)
		return 0;
	c->in_between = true;
	rc = c->p.between(c->p.between_arg, err);
	c->in_between = false;
	return rc;
}

/* Packs that `to` lacks: all of them, before the first is carried. */
static int
list_packs(struct set *s, size_t *n, struct err *err)
{
	const struct commit_pack *pack;
	struct packset_info info;
	uint64_t bytes = 0;
	size_t i;

	s->packs = xcalloc(s->commit.n_packs + 1, sizeof(*s->packs));
	*n = 0;
	for (i = 0; i < s->commit.n_packs; i++) {
		pack = &s->commit.packs[i];
		if (packset_find(s->to, &pack->id, &info, err) != 0)
			return -1;
		if (packset_usable(s->to, pack, &info))
			continue;
		s->packs[*n].s = s;
		s->packs[*n].pack = pack;
		s->packs[(*n)++].to = info;
		bytes += pack->size;
	}
	copy_expect(s->c, bytes);
	if (s->c->p.dry_run) {
		s->c->result.objects += *n + s->commit.n_parts + 1;
		s->c->result.bytes += bytes + s->bytes.len;
		for (i = 0; i < s->commit.n_parts; i++)
			s->c->result.bytes += s->commit.parts[i].size;
	}
	return 0;
}

static int
carry_objects(struct set *s, struct err *err)
{
	struct copy *c = s->c;
	const size_t batch = (size_t)BATCH_JOBS * c->p.jobs;
	size_t i, n;
	int rc = 0;

	if (list_packs(s, &n, err) != 0)
		return -1;
	if (c->p.dry_run)
		return 0;
	for (i = 0; i < n && rc == 0 && atomic_load(&s->bad) == 0; i++) {
		rc = copy_submit(c, carry_pack, &s->packs[i], err);
		if (rc != 0 || c->p.between == NULL || (i + 1) % batch != 0)
			continue;
		rc = copy_wait(c, rc, err);
		if (rc == 0)
			rc = let_between(c, err);
	}
	s->parts = xcalloc(s->commit.n_parts + 1, sizeof(*s->parts));
	for (i = 0; i < s->commit.n_parts && rc == 0; i++) {
		s->parts[i] = (struct carry_part){ s, i };
		rc = copy_submit(c, carry_part, &s->parts[i], err);
	}
	return copy_wait(c, rc, err);
}

/* The history file, if it has one, and all segments from first to last. */
static struct copy_item *
list_wal(const struct commit *commit, char (**names)[WAL_FILE_NAME_MAX],
    size_t *n, struct err *err)
{
	const uint32_t size = commit->wal_segment_size;
	struct wal_file first, last;
	struct copy_item *items;
	uint64_t from, to;
	size_t i;

	if (wal_file_parse(commit->wal_first, &first, err) != 0 ||
	    wal_file_parse(commit->wal_last, &last, err) != 0 ||
	    first.type != WAL_FILE_SEGMENT || last.type != WAL_FILE_SEGMENT ||
	    !wal_segment_size_valid(size))
		return NULL;
	from = wal_segno(&first, size);
	to = wal_segno(&last, size);
	if (to < from || to - from > 1000000)
		return NULL;
	*n = (size_t)(to - from) + 2;
	*names = xcalloc(*n, sizeof(**names));
	items = xcalloc(*n, sizeof(*items));
	(void)snprintf((*names)[0], sizeof(**names), "%08X.history",
	    first.timeline);
	for (i = 1; i < *n; i++)
		wal_segment_name(first.timeline, from + i - 1, size,
		    (*names)[i]);
	for (i = 0; i < *n; i++)
		items[i].name = (*names)[i];
	return items;
}

/* What the backup needs to be consistent. Timeline 1 has no history. */
static int
carry_wal(struct set *s, struct err *err)
{
	char(*names)[WAL_FILE_NAME_MAX] = NULL;
	struct copy_item *items;
	struct copy *c = s->c;
	const uint64_t there = c->result.wal.there;
	size_t i, n = 0;
	int rc = 0;

	if (s->kind == REPO_DUMP ||
	    (c->p.dry_run && c->p.n_labels == 0))
		return 0;
	items = list_wal(&s->commit, &names, &n, err);
	if (items == NULL) {
		err_set(err, ERR_DAMAGED, "its WAL, %s to %s, makes no sense",
		    s->commit.wal_first, s->commit.wal_last);
		note_bad(s, s->label, err);
		err_clear(err);
		return 0;
	}
	rc = copy_wal(c, items, n, err);
	for (i = 0; i < n && rc == 0 && !c->p.dry_run; i++) {
		if (items[i].outcome == COPY_DONE ||
		    (i == 0 && items[i].outcome == COPY_ABSENT))
			continue;
		atomic_fetch_add(&s->bad, 1);
		log_warning("backup %s needs WAL file %s, which %s", s->label,
		    names[i], items[i].outcome == COPY_ABSENT ?
		    "the source does not have" : "could not be copied");
	}
	if (c->p.n_labels == 0)
		c->result.wal.there = there; /* counted before */
	free(items);
	free(names);
	return rc;
}

/* The last look: all that the commit names, as it lies now. */
static int
look_again(struct set *s, struct err *err)
{
	const struct commit_pack *pack;
	struct packset_info info;
	char key[STORAGE_KEY_MAX];
	size_t i;

	for (i = 0; i < s->commit.n_packs; i++)
		packset_forget(s->to, s->commit.packs[i].id.label);
	if (packset_see_tombstones(s->to, err) != 0)
		return -1;
	for (i = 0; i < s->commit.n_packs; i++) {
		pack = &s->commit.packs[i];
		if (packset_find(s->to, &pack->id, &info, err) != 0)
			return -1;
		if (packset_usable(s->to, pack, &info))
			continue;
		repo_pack_key(&s->c->inc, &pack->id, key);
		return err_set(err, ERR_STORAGE, "%s/%s was put, and is not "
		    "there as it should be", storage_url(s->c->p.to->st),
		    key);
	}
	return 0;
}

static int
put_commit(struct set *s, struct err *err)
{
	if (look_again(s, err) != 0)
		return -1;
	if (claim_commit_bytes(s->c->claim, &s->commit, s->bytes.data,
	    s->bytes.len, err) != 0)
		/* Of the destination, never of what is copied. */
		return copy_failed_there(err);
	copy_count_put(s->c, s->bytes.len);
	return 0;
}

/* 1: the commit is at the source; 0: not (any more). */
static int
source_has(const struct set *s, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint64_t size;

	commit_key(&s->c->inc, s->kind, s->label, key);
	if (storage_stat(s->c->p.from->st, key, &size, NULL, err) == 0)
		return 1;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static void
note_vanished(struct set *s)
{
	log_info("%s %s was removed at the source meanwhile, and is not "
	    "copied", repo_kind_name(s->kind), s->label);
	count(s->c, &s->c->result.vanished);
}

/* It lacks something: because it has just been removed? */
static int
give_up(struct set *s, enum copy_outcome *outcome, struct err *err)
{
	int rc = source_has(s, err);

	if (rc < 0)
		return -1;
	*outcome = rc == 0 ? COPY_ABSENT : COPY_FAILED;
	if (rc == 0) {
		note_vanished(s);
		return 0;
	}
	log_warning("%s %s is not copied: %u of its objects could not be; "
	    "'dapk-backup verify --repair' at the source tells more",
	    repo_kind_name(s->kind), s->label, atomic_load(&s->bad));
	count(s->c, &s->c->result.failed);
	return 0;
}

static int
carry_set(struct set *s, enum copy_outcome *outcome, struct err *err)
{
	struct claim *claim = s->c->claim;

	if (!s->c->p.dry_run && claim_intend(claim, s->label,
	    s->commit.attempt, s->commit.parent, err) != 0)
		return -1;
	if (carry_objects(s, err) != 0)
		return -1;
	if (atomic_load(&s->bad) == 0 && carry_wal(s, err) != 0)
		return -1;
	if (atomic_load(&s->bad) > 0) {
		if (!s->c->p.dry_run)
			claim_end_intent(claim, NULL);
		return give_up(s, outcome, err);
	}
	if (!s->c->p.dry_run) {
		if (put_commit(s, err) != 0)
			return -1;
		claim_end_intent(claim, s->label);
		log_info("%s %s is in %s", repo_kind_name(s->kind), s->label,
		    storage_url(s->c->p.to->st));
	}
	count(s->c, &count_of(s->c, s->kind)->copied);
	*outcome = COPY_DONE;
	return 0;
}

/* 1: it is there; 0: it is not; -1: error. *conflict: another one is. */
static int
is_there(const struct set *s, bool *conflict, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct copy_worker *w = s->c->own;

	*conflict = false;
	commit_key(&s->c->inc, s->kind, s->label, key);
	buf_clear(&w->other);
	if (storage_get_all(w->to->st, key, &w->other, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	*conflict = w->other.len != s->bytes.len ||
	    memcmp(w->other.data, s->bytes.data, s->bytes.len) != 0;
	return 1;
}

/* The packs of both places, as they are listed now. */
static int
open_packsets(struct set *s, struct err *err)
{
	return packset_new(&s->from, s->c->p.from, &s->c->inc, err) != 0 ||
	    packset_new(&s->to, s->c->p.to, &s->c->inc, err) != 0 ||
	    packset_see_tombstones(s->to, err) != 0 ? -1 : 0;
}

static void
set_free(struct set *s)
{
	commit_free(&s->commit);
	buf_free(&s->bytes);
	packset_free(s->from);
	packset_free(s->to);
	free(s->packs);
	free(s->parts);
}

/* 1: go on; 0: *outcome is known. */
static int
begin_set(struct set *s, enum copy_outcome *outcome, struct err *err)
{
	struct copy *c = s->c;
	char what[128];
	bool conflict;
	int rc;

	(void)snprintf(what, sizeof(what), "%s %s", repo_kind_name(s->kind),
	    s->label);
	if (commit_get_bytes(c->p.from, &c->inc, s->kind, s->label,
	    &s->commit, &s->bytes, err) != 0) {
		if (!copy_is_of_object(err))
			return -1;
		*outcome = err->code == ERR_NOT_FOUND ? COPY_ABSENT :
							COPY_FAILED;
		if (err->code == ERR_NOT_FOUND)
			note_vanished(s);
		else
			copy_note_damage(c, what, err);
		err_clear(err);
		return 0;
	}
	rc = is_there(s, &conflict, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return 1;
	*outcome = conflict ? COPY_FAILED : COPY_DONE;
	if (conflict)
		copy_note_conflict(c, what, "another commit is stored at the "
		    "destination under its label; 'dapk-backup verify' there "
		    "tells whether that holds");
	else
		count(c, &count_of(c, s->kind)->there);
	return 0;
}

/* With the lease, which the caller has. */
static int
copy_set(struct copy *c, enum repo_kind kind, const char *label,
    enum copy_outcome *outcome, struct err *err)
{
	struct set s = { .c = c, .kind = kind, .label = label };
	int rc;

	buf_init(&s.bytes, STORAGE_OBJECT_MAX);
	*outcome = COPY_FAILED;
	rc = begin_set(&s, outcome, err);
	if (rc == 1)
		rc = open_packsets(&s, err) != 0 ? -1 :
		    carry_set(&s, outcome, err);
	set_free(&s);
	if (rc < 0)
		return err_wrap(err, "%s %s", repo_kind_name(kind), label);
	return 0;
}

/* 1: held; 0: somebody else has it, which is noted. */
static int
take_lease(struct copy *c, enum repo_kind kind, struct claim *claim,
    struct err *err)
{
	if (c->p.dry_run || c->claim != NULL)
		return 1;
	if (claim_take_for(claim, c->p.to, &c->inc, kind, "copy",
	    c->p.lease_ms, err) == 0) {
		c->claim = claim;
		return 1;
	}
	if (err->code != ERR_LOCKED)
		return -1;
	if (c->result.locked.code == ERR_NONE)
		c->result.locked = *err;
	err_clear(err);
	return 0;
}

static void
end_lease(struct copy *c)
{
	if (c->claim != NULL)
		claim_end(c->claim, NULL);
	c->claim = NULL;
}

int
copy_one_set(struct copy *c, enum repo_kind kind, const char *label,
    enum copy_outcome *outcome, struct err *err)
{
	struct claim claim;
	int rc;

	*outcome = COPY_FAILED;
	rc = take_lease(c, kind, &claim, err);
	if (rc == 1)
		rc = copy_set(c, kind, label, outcome, err);
	end_lease(c);
	return rc;
}

struct labels {
	char (*list)[FORMAT_LABEL_MAX];
	size_t n;
};

static int
read_labels(struct repo *repo, const struct copy *c, enum repo_kind kind,
    struct labels *out, struct err *err)
{
	return kind == REPO_DUMP ?
	    catalogue_dumps(repo, &c->inc, &out->list, &out->n, NULL, err) :
	    catalogue_backups(repo, &c->inc, &out->list, &out->n, NULL, err);
}

static int
compare_label(const void *key, const void *item)
{
	return strcmp(key, item);
}

static bool
wanted(struct copy *c, enum repo_kind kind, const struct labels *to,
    const char *label)
{
	if (to->n > 0 && bsearch(label, to->list, to->n, FORMAT_LABEL_MAX,
	    compare_label) != NULL) {
		count_of(c, kind)->there++;
		return false;
	}
	if (!c->p.again && removed_names(&c->removed, kind, label)) {
		c->result.removed++;
		return false;
	}
	return true;
}

int
copy_sets(struct copy *c, enum repo_kind kind, struct err *err)
{
	struct labels from = { NULL, 0 }, to = { NULL, 0 };
	enum copy_outcome outcome;
	struct claim claim;
	size_t i;
	int rc = 1;

	if (read_labels(c->p.from, c, kind, &from, err) != 0 ||
	    read_labels(c->p.to, c, kind, &to, err) != 0)
		rc = -1;
	for (i = from.n; i > 0 && rc == 1; i--) {
		if (!wanted(c, kind, &to, from.list[i - 1]))
			continue;
		rc = take_lease(c, kind, &claim, err);
		if (rc == 1 && copy_set(c, kind, from.list[i - 1], &outcome,
		    err) != 0)
			rc = -1;
	}
	end_lease(c);
	free(from.list);
	free(to.list);
	return rc < 0 ? -1 : 0;
}
