/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/history.h"
#include "repo/commits.h"
#include "repo/tombstone.h"
#include "repo/walstore.h"

#define CACHE_PACKS 16
#define COMPLAINTS_MAX 10

/* What counts for the choice, of each backup that could be one. */
struct candidate {
	char label[FORMAT_LABEL_MAX];
	bool on_history;
	pg_lsn stop_lsn;
	int64_t stop_time;
};

struct candidates {
	struct candidate *list;
	size_t n;
	size_t others; /* of other block or segment sizes */
	size_t unreadable;
};

/* The server's own copy of the timeline's history: newer than any stored. */
static int
read_history_file(const struct parent_params *p, struct history *out,
    struct err *err)
{
	char name[64];
	struct buf text;
	int fd, rc;

	(void)snprintf(name, sizeof(name), "pg_wal/%08" PRIX32 ".history",
	    p->timeline);
	fd = openat(p->pgdata_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s/%s", p->pgdata, name);
	buf_init(&text, HISTORY_FILE_MAX);
	rc = io_read_fd(fd, name, &text, err);
	if (rc == 0)
		rc = history_decode(p->timeline, buf_str(&text), text.len, out,
		    err);
	(void)close(fd); /* only read */
	buf_free(&text);
	return rc;
}

/* Where the server's WAL came from, as far as that can be told. */
static void
find_history(const struct parent_params *p, struct history *out)
{
	struct err err = ERR_INIT;

	if (p->timeline == 1 || read_history_file(p, out, &err) == 0) {
		if (p->timeline == 1)
			history_single(1, out);
		return;
	}
	err_clear(&err);
	if (wal_store_history(p->repo, p->inc, p->timeline, out, &err) == 0)
		return;
	log_warning("the history of timeline %" PRIu32 " is neither in pg_wal "
	    "nor in the repository: backups of older timelines count as "
	    "those of another history", p->timeline);
	history_single(p->timeline, out);
}

static void
note_candidate(const struct parent_params *p, const struct history *path,
    const struct commit *c, struct candidates *cs)
{
	struct candidate *k;

	if (c->block_size != p->control->block_size ||
	    c->relation_segment_blocks !=
		p->control->relation_segment_blocks) {
		cs->others++;
		return;
	}
	cs->list = xreallocarray(cs->list, cs->n + 1, sizeof(*cs->list));
	k = &cs->list[cs->n++];
	memcpy(k->label, c->label, sizeof(k->label));
	k->stop_lsn = c->stop_lsn;
	k->stop_time = c->stop_time;
	k->on_history = c->stop_lsn <= p->start_lsn &&
	    history_contains(path, c->timeline, c->stop_lsn);
}

/* The best last. */
static int
compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->on_history != y->on_history)
		return x->on_history ? 1 : -1;
	if (x->on_history && x->stop_lsn != y->stop_lsn)
		return x->stop_lsn < y->stop_lsn ? -1 : 1;
	if (x->stop_time != y->stop_time)
		return x->stop_time < y->stop_time ? -1 : 1;
	return strcmp(x->label, y->label);
}

static int
find_candidates(const struct parent_params *p, struct candidates *cs,
    struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct tombstone_set stones;
	struct history path = { .entries = NULL };
	struct commits *commits;
	struct commit c;
	size_t i, n;
	int ret = -1;

	if (tombstone_list(p->repo, p->inc, &stones, err) != 0)
		return -1;
	if (catalogue_backups(p->repo, p->inc, &labels, &n, NULL, err) != 0) {
		tombstone_list_free(&stones);
		return -1;
	}
	find_history(p, &path);
	commits = commits_new(p->repo, p->inc, REPO_BACKUP, labels, n);
	for (i = 0; i < n; i++) {
		if (cancel_check(err) != 0)
			goto out;
		if (tombstone_names_set(&stones, REPO_BACKUP, labels[i]))
			continue; /* about to be removed */
		if (commits_take(commits, i, &c, err) != 0) {
			log_warning("backup %s cannot be the parent of this "
			    "one: %s", labels[i], err->msg);
			err_clear(err);
			cs->unreadable++;
			continue;
		}
		note_candidate(p, &path, &c, cs);
		commit_free(&c);
	}
	if (cs->n > 0)
		qsort(cs->list, cs->n, sizeof(*cs->list),
		    compare_candidates);
	ret = 0;
out:
	commits_free(commits);
	tombstone_list_free(&stones);
	history_free(&path);
	free(labels);
	return ret;
}

/* What became of the packs since the parent's commit. */
static int
look_at_packs(struct parent *p, struct err *err)
{
	struct packset_info info;
	struct commit_pack *pack;
	uint32_t i, bad = 0, worn = 0, going = 0;
	bool usable;

	p->condemned = xcalloc(p->packs.n + 1, sizeof(*p->condemned));
	p->made = xcalloc(p->packs.n + 1, sizeof(*p->made));
	for (i = 0; i < p->packs.n; i++) {
		pack = &p->packs.list[i];
		if (packset_find(p->set, &pack->id, &info, err) != 0)
			return -1;
		usable = packset_usable(p->set, pack, &info);
		if (usable) {
			pack->size = info.size;
			pack->generation = info.generation;
		} else if (info.leaving) {
			going++; /* removed soon, and no fault of anyone's */
		} else if (bad++ < COMPLAINTS_MAX) {
			log_warning("pack %" PRIu32 " of attempt %" PRIu32
			    " of backup %s is %s: its pages are stored anew",
			    pack->id.number, pack->id.attempt, pack->id.label,
			    !info.exists ? "missing" : info.damaged ?
			    "marked damaged" : "not whole");
		}
		p->condemned[i] = renew_pack_condemned(&p->renew, &pack->id,
		    pack->plain, pack->live, usable);
		worn += usable && p->condemned[i];
		p->made[i] = renew_made(&p->renew, &pack->id);
	}
	if (bad > COMPLAINTS_MAX)
		log_warning("and %" PRIu32 " more packs",
		    bad - COMPLAINTS_MAX);
	if (going > 0)
		log_info("%" PRIu32 " of the parent's %" PRIu32 " packs are to "
		    "be removed: what is in use of them is stored anew", going,
		    p->packs.n);
	if (worn > 0)
		log_debug("%" PRIu32 " of the parent's %" PRIu32 " packs are "
		    "less than half in use: what is in use is stored anew",
		    worn, p->packs.n);
	return 0;
}

static int
open_parent(struct parent *p, const struct parent_params *pp,
    const char *label, struct err *err)
{
	if (commit_get(pp->repo, pp->inc, label, &p->commit, err) != 0 ||
	    repo_clone(pp->repo, &p->repo, err) != 0 ||
	    packset_new(&p->set, p->repo, pp->inc, err) != 0 ||
	    packset_see_tombstones(p->set, err) != 0 ||
	    manifest_reader_open(&p->reader, p->repo, pp->inc, label,
		p->commit.parts, p->commit.n_parts, err) != 0 ||
	    manifest_reader_check(p->reader, err) != 0)
		return -1;
	return 0;
}

static int
by_pack_id(const void *a, const void *b)
{
	return pack_id_compare(&((const struct commit_pack *)a)->id,
	    &((const struct commit_pack *)b)->id);
}

/* What unfinished attempts left stands in the same table. */
static void
add_leftover(struct parent *p, struct leftover *l)
{
	struct pack_table *t = &p->packs;
	uint32_t i;

	if (l == NULL)
		return;
	t->list = xreallocarray(t->list, t->n + l->n_packs + 1,
	    sizeof(*t->list));
	for (i = 0; i < l->n_packs; i++)
		t->list[t->n++] = l->packs[i];
	if (t->n > 0)
		qsort(t->list, t->n, sizeof(*t->list), by_pack_id);
	for (i = 0; i < l->n_packs; i++)
		if (!pack_table_find(t, &l->packs[i].id, &l->table[i]))
			l->table[i] = MAP_PACK_ZEROS; /* cannot be */
	p->leftover = l;
}

static int
prepare(struct parent *p, const struct parent_params *pp, struct err *err)
{
	renew_init(&p->renew, pp->start_time, p->commit.start_time,
	    pp->refresh_age_ms);
	pack_table_init(&p->packs, &p->commit);
	add_leftover(p, pp->leftover);
	if (look_at_packs(p, err) != 0)
		return -1;
	p->cache = pack_cache_new_shared(p->repo, pp->inc, CACHE_PACKS,
	    p->set);
	filemap_init(&p->map);
	p->sums = sums_cache_new(PARENT_SUMS_BYTES);
	return 0;
}

void
parent_free(struct parent *p)
{
	if (p == NULL)
		return;
	manifest_reader_close(p->reader);
	pack_cache_free(p->cache);
	packset_free(p->set);
	sums_cache_free(p->sums);
	filemap_free(&p->map);
	pack_table_free(&p->packs);
	free(p->condemned);
	free(p->made);
	free(p->overlay);
	repo_close(p->repo);
	commit_free(&p->commit);
	free(p);
}

static void
say_none(const struct candidates *cs)
{
	if (cs->n > 0 || cs->unreadable > 0)
		log_warning("no earlier backup can be used: all is stored "
		    "anew (a full backup)");
	else if (cs->others > 0)
		log_info("the earlier backups have another block size: all "
		    "is stored (a full backup)");
	else
		log_info("this is the first backup: all is stored");
}

static void
say_chosen(const struct parent *p)
{
	log_info("parent is backup %s%s", p->commit.label,
	    p->on_history ? "" : ", of another history: what is equal in both "
	    "is found by content");
}

/* No parent, but packs of unfinished attempts. */
static int
only_leftover(struct parent **out, const struct parent_params *pp,
    struct err *err)
{
	struct parent *p = xcalloc(1, sizeof(*p));

	p->commit.inc = *pp->inc;
	p->commit.block_size = pp->control->block_size;
	p->commit.start_time = pp->start_time;
	p->ended = true;
	if (repo_clone(pp->repo, &p->repo, err) != 0 ||
	    packset_new(&p->set, p->repo, pp->inc, err) != 0 ||
	    packset_see_tombstones(p->set, err) != 0 ||
	    prepare(p, pp, err) != 0) {
		parent_free(p);
		return -1;
	}
	*out = p;
	return 0;
}

int
parent_choose(struct parent **out, const struct parent_params *pp,
    struct err *err)
{
	struct candidates cs = { NULL, 0, 0, 0 };
	const struct candidate *k;
	struct parent *p = NULL;
	size_t i;
	int ret = -1;

	*out = NULL;
	if (!pp->full && find_candidates(pp, &cs, err) != 0)
		goto out;
	for (i = cs.n; i-- > 0 && *out == NULL;) {
		if (cancel_check(err) != 0)
			goto out;
		k = &cs.list[i];
		p = xcalloc(1, sizeof(*p));
		p->on_history = k->on_history;
		if (open_parent(p, pp, k->label, err) == 0 &&
		    prepare(p, pp, err) == 0) {
			*out = p;
			break;
		}
		parent_free(p);
		log_warning("backup %s cannot be the parent of this one: %s",
		    k->label, err->msg);
		err_clear(err);
	}
	if (*out != NULL)
		say_chosen(*out);
	else if (!pp->full)
		say_none(&cs);
	ret = *out == NULL && pp->leftover != NULL ?
	    only_leftover(out, pp, err) : 0;
out:
	free(cs.list);
	return ret;
}

static void
complain(struct parent *p, const struct err *err, const char *what)
{
	if (p->complaints++ >= COMPLAINTS_MAX)
		return;
	log_warning("parent %s: %s: %s", p->commit.label, err->msg, what);
}

/* The next FILE line into p->entry; false: there is none. */
static bool
next_file(struct parent *p)
{
	struct err err = ERR_INIT;
	int rc;

	while (!p->ended) {
		rc = manifest_reader_next(p->reader, &p->entry, &err);
		if (rc < 0)
			complain(p, &err, "the files from here on are stored "
			    "anew");
		/* Behind the files there is nothing to compare with. */
		if (rc <= 0 || p->entry.type >= MANIFEST_CONFIG)
			p->ended = true;
		else if (p->entry.type == MANIFEST_FILE)
			return true;
	}
	return false;
}

/* Could a later call go on after this error? */
static bool
lasting(enum err_code code)
{
	return code != ERR_DAMAGED && code != ERR_NOT_FOUND &&
	    code != ERR_UNSUPPORTED;
}

static bool
find_committed(struct parent *p, const char *path, struct parent_file *out)
{
	struct err err = ERR_INIT;
	const struct manifest_entry *e = &p->entry;
	int c = -1;

	while (p->has_entry || (p->has_entry = next_file(p))) {
		c = strcmp(e->path, path);
		if (c >= 0)
			break;
		p->has_entry = false;
	}
	if (!p->has_entry || c != 0)
		return false;
	p->has_entry = false;
	if (filemap_read(&p->map, &p->packs, p->cache, p->reader, e,
	    p->commit.block_size, &err) != 0) {
		complain(p, &err, "the file is stored anew");
		if (lasting(err.code))
			p->ended = true;
		return false;
	}
	*out = (struct parent_file){ e->size, e->crc, p->map.runs, p->map.n,
		p->map.frames, p->map.n_frames };
	return true;
}

bool
parent_find(struct parent *p, const char *path, struct parent_file *out)
{
	const struct leftover_run *runs;
	bool found = find_committed(p, path, out);
	size_t n;

	if (p->leftover == NULL ||
	    !leftover_file(p->leftover, path, &runs, &n))
		return found;
	if (!found)
		*out = (struct parent_file){ .size = UINT64_MAX };
	leftover_overlay(p->leftover, runs, n, out->runs, out->n_runs,
	    &p->overlay, &p->n_overlay);
	out->runs = p->overlay;
	out->n_runs = p->n_overlay;
	out->n_map = 0; /* it does not say the same any more */
	return true;
}
