/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/packlist.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* As the listing of the folder tells, which is one request for them all. */
static int
check_own(const struct packlist_params *p, struct packset *set,
    const struct commit *c, const struct commit_pack *pack, struct err *err)
{
	struct packset_info info;
	char key[STORAGE_KEY_MAX];

	if (packset_find(set, &pack->id, &info, err) != 0)
		return err_wrap(err, "check what was stored");
	repo_pack_key(&c->inc, &pack->id, key);
	if (!info.exists)
		return err_set(err, ERR_DAMAGED, "check what was stored: %s "
		    "is not there", key);
	if (info.generation != 0 || info.damaged)
		return err_set(err, ERR_DAMAGED, "check what was stored: %s "
		    "has been found damaged meanwhile", key);
	if (info.size != pack->size)
		return err_set(err, ERR_DAMAGED, "%s has %llu bytes, %llu "
		    "were put", key, (unsigned long long)info.size,
		    (unsigned long long)pack->size);
	return p->pulse(p->pulse_arg, err);
}

static int
add_own(const struct packlist_params *p, struct packset *set,
    struct commit *c, struct err *err)
{
	const struct putter_pack *packs;
	struct commit_pack *pack;
	uint64_t live;
	size_t i, n;

	packs = putter_packs(p->putter, &n);
	c->packs = xcalloc(n + 1, sizeof(*c->packs));
	for (i = 0; i < n; i++) {
		c->stored_bytes += packs[i].size;
		live = p->live(p->live_arg, (uint32_t)i);
		if (live == 0)
			continue;
		pack = &c->packs[c->n_packs++];
		memcpy(pack->id.label, c->label, sizeof(pack->id.label));
		pack->id.attempt = c->attempt;
		pack->id.number = (uint32_t)i;
		pack->id.kind = c->kind;
		pack->size = packs[i].size;
		pack->plain = packs[i].plain;
		pack->live = live;
		if (check_own(p, set, c, pack, err) != 0)
			return -1;
	}
	return 0;
}

/* May it still be referred to? As it is now. */
static int
check_foreign(const struct packlist_params *p, const struct commit *c,
    struct commit_pack *pack, struct err *err)
{
	const char *kind = repo_kind_name(c->kind);
	struct packset_info info;

	if (packset_find(p->set, &pack->id, &info, err) != 0)
		return -1;
	if (!packset_usable(p->set, pack, &info)) {
		err_set(err, ERR_DAMAGED, "pack %u of attempt %u of %s %s, "
		    "which this %s refers to, is %s", pack->id.number,
		    pack->id.attempt, kind, pack->id.label, kind,
		    !info.exists ? "not there any more" :
		    info.leaving ? "about to be removed" : "damaged");
		return err_hint(err, "start the %s again: it will store those "
		    "%s anew", kind, c->kind == REPO_DUMP ? "rows" : "pages");
	}
	pack->size = info.size;
	pack->generation = info.generation;
	return p->pulse(p->pulse_arg, err);
}

/* Something may have been removed or found damaged since it began. */
static int
add_foreign(const struct packlist_params *p, struct commit *c,
    struct err *err)
{
	const struct pack_table *t = p->table;
	struct commit_pack *pack;
	uint64_t live;
	uint32_t i;

	packset_forget(p->set, NULL);
	if (packset_see_tombstones(p->set, err) != 0)
		return -1;
	c->packs = xreallocarray(c->packs, c->n_packs + t->n + 1,
	    sizeof(*c->packs));
	for (i = 0; i < t->n; i++) {
		live = p->live_foreign(p->live_arg, i);
		if (live == 0)
			continue;
		pack = &c->packs[c->n_packs++];
		*pack = t->list[i];
		/* One chunk of it may stand for several equal ones. */
		pack->live = pack->plain == 0 || live < pack->plain ? live :
			pack->plain;
		if (check_foreign(p, c, pack, err) != 0)
			return -1;
	}
	return 0;
}

int
packlist_make(const struct packlist_params *p, struct commit *c,
    struct err *err)
{
	struct packset *own;
	int ret;

	if (packset_new(&own, p->repo, &c->inc, err) != 0)
		return -1;
	ret = add_own(p, own, c, err);
	packset_free(own);
	if (ret == 0 && p->table != NULL)
		ret = add_foreign(p, c, err);
	return ret;
}
