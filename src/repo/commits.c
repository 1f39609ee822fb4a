/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/commits.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/each.h"

#define BATCH 16 /* commits in memory: one of a large backup has many packs */

struct commits {
	struct repo *repo;
	const struct incarnation *inc;
	enum repo_kind kind;
	char (*labels)[FORMAT_LABEL_MAX];
	size_t n;
	size_t from, to; /* what list has: labels from <= i < to */
	struct {
		struct commit c;
		struct err err;
		bool taken;
	} list[BATCH];
};

struct commits *
commits_new(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, char (*labels)[FORMAT_LABEL_MAX], size_t n)
{
	struct commits *cs = xcalloc(1, sizeof(*cs));

	cs->repo = repo;
	cs->inc = inc;
	cs->kind = kind;
	cs->labels = labels;
	cs->n = n;
	return cs;
}

static void
drop(struct commits *cs)
{
	size_t i;

	for (i = 0; i < cs->to - cs->from; i++)
		if (!cs->list[i].taken && cs->list[i].err.code == ERR_NONE)
			commit_free(&cs->list[i].c);
	cs->from = cs->to = 0;
}

/* What is wrong with one is its reader's: the others go on. */
static int
read_one(struct repo *repo, void *arg, size_t i, struct err *err)
{
	struct commits *cs = arg;

	(void)err;
	err_clear(&cs->list[i].err);
	cs->list[i].taken = false;
	(void)!commit_get_kind(repo, cs->inc, cs->kind,
	    cs->labels[cs->from + i], &cs->list[i].c, &cs->list[i].err);
	return 0;
}

/* The batch that i is in, so that going backwards is as good. */
static int
read_batch(struct commits *cs, size_t i, struct err *err)
{
	size_t from = i / BATCH * BATCH;
	size_t n = cs->n - from < BATCH ? cs->n - from : BATCH, k;

	drop(cs);
	for (k = 0; k < n; k++)
		(void)err_set(&cs->list[k].err, ERR_CANCELLED, "not read");
	cs->from = from;
	cs->to = from + n;
	return repo_each(cs->repo, n, read_one, cs, err);
}

int
commits_take(struct commits *cs, size_t i, struct commit *out,
    struct err *err)
{
	size_t k;

	/* One by one where nothing is gained by reading ahead. */
	if (storage_is_local(storage_url(cs->repo->st)))
		return commit_get_kind(cs->repo, cs->inc, cs->kind,
		    cs->labels[i], out, err);
	if ((i < cs->from || i >= cs->to) && read_batch(cs, i, err) != 0)
		return -1;
	k = i - cs->from;
	if (cs->list[k].taken)
		return commit_get_kind(cs->repo, cs->inc, cs->kind,
		    cs->labels[i], out, err);
	if (cs->list[k].err.code != ERR_NONE) {
		*err = cs->list[k].err;
		return -1;
	}
	cs->list[k].taken = true;
	*out = cs->list[k].c;
	return 0;
}

void
commits_free(struct commits *cs)
{
	if (cs == NULL)
		return;
	drop(cs);
	free(cs);
}
