/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/parent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/commits.h"
#include "repo/dumpread.h"
#include "repo/packset.h"
#include "repo/renew.h"
#include "repo/tombstone.h"

#define COMPLAINTS_MAX 5
#define CANDIDATES_MAX 10

struct dump_parent {
	struct repo *repo; /* its own handle */
	struct dumpset *set;
	struct dumpread *read;
	struct packset *packset;
	struct pack_table packs; /* of the commit, as they are now */
	bool *condemned;	 /* of each */
	int64_t *made;
	struct renew_params renew;
};

/* The newest dumps of the database, the newest first. */
struct candidates {
	struct candidate {
		char label[FORMAT_LABEL_MAX];
		uint64_t bytes;
	} list[CANDIDATES_MAX];
	size_t n;
	uint64_t most; /* bytes of one */
};

static int
consider(const struct dump_parent_params *pp, struct commits *commits,
    size_t i, struct candidates *found, struct err *err)
{
	struct candidate *one = &found->list[found->n];
	struct commit c;

	if (commits_take(commits, i, &c, err) != 0)
		return -1;
	if (c.dump.globals == pp->globals &&
	    strcmp(c.dump.database, pp->database) == 0) {
		memcpy(one->label, c.label, sizeof(one->label));
		one->bytes = c.original_bytes;
		if (one->bytes > found->most)
			found->most = one->bytes;
		found->n++;
	}
	commit_free(&c);
	return 0;
}

static int
find_candidates(const struct dump_parent_params *pp,
    struct candidates *found, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct tombstone_set stones;
	struct commits *commits;
	size_t i, n;
	int ret = 0;

	if (tombstone_list(pp->repo, pp->inc, &stones, err) != 0)
		return -1;
	if (catalogue_dumps(pp->repo, pp->inc, &labels, &n, NULL, err) != 0) {
		tombstone_list_free(&stones);
		return -1;
	}
	commits = commits_new(pp->repo, pp->inc, REPO_DUMP, labels, n);
	for (i = n; i > 0 && found->n < CANDIDATES_MAX && ret == 0; i--) {
		ret = cancel_check(err);
		if (ret != 0 ||
		    tombstone_names_set(&stones, REPO_DUMP, labels[i - 1]) ||
		    consider(pp, commits, i - 1, found, err) == 0)
			continue;
		log_warning("dump %s cannot be the parent of this one: %s",
		    labels[i - 1], err->msg);
		err_clear(err);
	}
	commits_free(commits);
	tombstone_list_free(&stones);
	free(labels);
	return ret;
}

/*
 * The newest that can be read, but rather an older one than one of a few
 * tables alone: after that the next whole dump would store everything anew.
 */
static int
find(const struct dump_parent_params *pp, struct dumpset **set,
    struct err *err)
{
	struct candidates found = { .n = 0 };
	size_t i, few;

	if (find_candidates(pp, &found, err) != 0)
		return -1;
	for (few = 0; few < 2; few++)
		for (i = 0; i < found.n && *set == NULL; i++) {
			if ((found.list[i].bytes < found.most / 2) !=
			    (few == 1) || dumpset_open(set, pp->repo, pp->inc,
				found.list[i].label, err) == 0)
				continue;
			if (err->code == ERR_CANCELLED)
				return -1;
			log_warning("dump %s cannot be the parent of this "
			    "one: %s", found.list[i].label, err->msg);
			err_clear(err);
		}
	return 0;
}

/* What became of the packs since the parent's commit. */
static int
look_at_packs(struct dump_parent *p, struct err *err)
{
	struct packset_info info;
	struct commit_pack *pack;
	uint32_t i, bad = 0;
	bool usable;

	p->condemned = xcalloc((size_t)p->packs.n + 1, sizeof(*p->condemned));
	p->made = xcalloc((size_t)p->packs.n + 1, sizeof(*p->made));
	for (i = 0; i < p->packs.n; i++) {
		pack = &p->packs.list[i];
		if (packset_find(p->packset, &pack->id, &info, err) != 0)
			return -1;
		usable = packset_usable(p->packset, pack, &info);
		if (usable) {
			pack->size = info.size;
			pack->generation = info.generation;
		} else if (!info.leaving && bad++ < COMPLAINTS_MAX) {
			log_warning("pack %" PRIu32 " of attempt %" PRIu32
			    " of dump %s is %s: its rows are stored anew",
			    pack->id.number, pack->id.attempt, pack->id.label,
			    !info.exists ? "missing" : info.damaged ?
			    "marked damaged" : "not whole");
		}
		p->condemned[i] = renew_pack_condemned(&p->renew, &pack->id,
		    pack->plain, pack->live, usable);
		p->made[i] = renew_made(&p->renew, &pack->id);
	}
	if (bad > COMPLAINTS_MAX)
		log_warning("and %" PRIu32 " more packs",
		    bad - COMPLAINTS_MAX);
	return 0;
}

int
dump_parent_find(struct dump_parent **out,
    const struct dump_parent_params *pp, struct err *err)
{
	struct dump_parent *p;
	struct dumpset *set = NULL;

	*out = NULL;
	if (find(pp, &set, err) != 0)
		return -1;
	if (set == NULL)
		return 0;
	p = xcalloc(1, sizeof(*p));
	p->set = set;
	pack_table_init(&p->packs, dumpset_commit(set));
	renew_init(&p->renew, pp->now, dumpset_commit(set)->start_time,
	    pp->refresh_age_ms);
	if (repo_clone(pp->repo, &p->repo, err) != 0 ||
	    packset_new(&p->packset, p->repo, pp->inc, err) != 0 ||
	    packset_see_tombstones(p->packset, err) != 0 ||
	    dumpread_new(&p->read, p->set, p->repo, err) != 0 ||
	    look_at_packs(p, err) != 0) {
		dump_parent_free(p);
		return -1;
	}
	*out = p;
	return 0;
}

void
dump_parent_free(struct dump_parent *p)
{
	if (p == NULL)
		return;
	dumpread_free(p->read);
	packset_free(p->packset);
	dumpset_free(p->set);
	pack_table_free(&p->packs);
	free(p->condemned);
	free(p->made);
	repo_close(p->repo);
	free(p);
}

const char *
dump_parent_label(const struct dump_parent *p)
{
	return dumpset_commit(p->set)->label;
}

const struct pack_table *
dump_parent_packs(const struct dump_parent *p)
{
	return &p->packs;
}

struct packset *
dump_parent_packset(const struct dump_parent *p)
{
	return p->packset;
}

/* An item's chunks on their way into its index. */
struct filling {
	const struct dump_parent *parent;
	struct chunkindex *index;
	const char *path;
	uint64_t offset;
	struct err failed; /* of the index itself */
};

static int
take_chunks(void *arg, const struct dump_chunk *chunks, size_t n,
    struct err *err)
{
	struct filling *f = arg;
	const struct dump_parent *p = f->parent;
	size_t i, from = 0;
	int rc = 0;

	/* Runs of those that are not to be stored anew, mostly all. */
	for (i = 0; i < n && rc == 0; f->offset += chunks[i++].bytes) {
		if (!p->condemned[chunks[i].pack] &&
		    p->made[chunks[i].pack] >=
			renew_before(&p->renew, f->path, f->offset))
			continue;
		rc = chunkindex_add(f->index, chunks + from, i - from, err);
		from = i + 1;
	}
	if (rc == 0)
		rc = chunkindex_add(f->index, chunks + from, n - from, err);
	if (rc != 0)
		f->failed = *err;
	return rc;
}

int
dump_parent_index(struct chunkindex **out, struct dump_parent *p,
    const char *path, struct err *err)
{
	const struct dump_item *item = dumpset_find(p->set, path);
	struct filling f = { .parent = p, .path = path };

	*out = NULL;
	if (item == NULL || item->size == 0)
		return 0;
	f.index = chunkindex_new(CHUNKINDEX_MEMORY_DEFAULT);
	if (dumpread_each(p->read, item, take_chunks, &f, err) == 0) {
		chunkindex_seal(f.index);
		*out = f.index;
		return 0;
	}
	chunkindex_free(f.index);
	if (err->code != ERR_DAMAGED || f.failed.code != ERR_NONE)
		return -1;
	/* Then all of it is stored anew: that heals it. */
	log_warning("%s", err->msg);
	err_clear(err);
	return 0;
}
