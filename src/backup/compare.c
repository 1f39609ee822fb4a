/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/compare.h"

#include <string.h>

#include "core/log.h"

#define CACHE_PACKS 4
#define COMPLAINTS_MAX 3

int
compare_open(struct compare *c, const struct parent *parent, struct err *err)
{
	memset(c, 0, sizeof(*c));
	c->parent = parent;
	if (repo_clone(parent->repo, &c->repo, err) != 0)
		return -1;
	c->packs = pack_cache_new_shared(c->repo, &parent->commit.inc,
	    CACHE_PACKS, parent->set);
	return 0;
}

static void
let_go(struct compare *c, size_t slot)
{
	if (c->held[slot].sums != NULL)
		sums_cache_put(c->parent->sums, c->held[slot].sums);
	c->held[slot].sums = NULL;
	c->held[slot].pack = 0;
}

void
compare_close(struct compare *c)
{
	size_t i;

	for (i = 0; i < COMPARE_HELD; i++)
		let_go(c, i);
	pack_cache_free(c->packs);
	repo_close(c->repo);
	memset(c, 0, sizeof(*c));
}

static int
hold(struct compare *c, size_t slot, uint32_t pack, struct err *err)
{
	const struct commit_pack *p = &c->parent->packs.list[pack];
	int rc;

	let_go(c, slot);
	rc = sums_cache_get(c->parent->sums, c->packs, &p->id,
	    commit_pack_first_size(p), &c->held[slot].sums, err);
	if (rc != 0 && err->code != ERR_DAMAGED &&
	    err->code != ERR_NOT_FOUND && err->code != ERR_UNSUPPORTED)
		return -1;
	if (rc != 0) {
		if (c->complaints++ < COMPLAINTS_MAX)
			log_warning("%s: its pages are stored anew",
			    err->msg);
		err_clear(err);
		c->held[slot].sums = NULL;
	}
	c->held[slot].pack = pack + 1;
	return 0;
}

int
compare_sums(struct compare *c, const struct map_run *run,
    const struct page_sum **out, struct err *err)
{
	const size_t slot = run->pack % COMPARE_HELD;
	const struct page_sum *list;
	uint32_t n;

	*out = NULL;
	if (c->held[slot].pack != run->pack + 1 &&
	    hold(c, slot, run->pack, err) != 0)
		return err_wrap(err, "compare with the parent");
	if (c->held[slot].sums == NULL)
		return 0;
	list = pack_sums_frame(c->held[slot].sums, run->frame, &n);
	if (list != NULL && run->block < n && run->blocks <= n - run->block)
		*out = list + run->block;
	return 0;
}
