/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/packlist.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/packset.h"

static int
check_own(const struct packlist_params *p, const struct commit *c,
    const struct commit_pack *pack, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint64_t there;

	repo_pack_key(&c->inc, &pack->id, key);
	if (storage_stat(p->repo->st, key, &there, NULL, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_DAMAGED;
		return err_wrap(err, "check what was stored");
	}
	if (there != pack->size)
		return err_set(err, ERR_DAMAGED, "%s has %llu bytes, %llu "
		    "were put", key, (unsigned long long)there,
		    (unsigned long long)pack->size);
	return p->pulse(p->pulse_arg, err);
}

static int
add_own(const struct packlist_params *p, struct commit *c, struct err *err)
{
	const struct putter_pack *packs;
	struct commit_pack *pack;
	size_t i, n;

	packs = putter_packs(p->putter, &n);
	c->packs = xcalloc(n + 1, sizeof(*c->packs));
	for (i = 0; i < n; i++) {
		c->stored_bytes += packs[i].size;
		if (entries_live(p->entries, (uint32_t)i) == 0)
			continue;
		pack = &c->packs[c->n_packs++];
		memcpy(pack->id.label, c->label, sizeof(pack->id.label));
		pack->id.attempt = p->attempt;
		pack->id.number = (uint32_t)i;
		pack->size = packs[i].size;
		pack->plain = packs[i].plain;
		pack->live = entries_live(p->entries, (uint32_t)i);
		if (check_own(p, c, pack, err) != 0)
			return -1;
	}
	return 0;
}

/* Something may have been removed or found damaged since the copy began. */
static int
add_foreign(const struct packlist_params *p, struct commit *c,
    struct err *err)
{
	const struct pack_table *t = &p->parent->packs;
	struct packset_info info;
	struct commit_pack *pack;
	uint64_t live;
	uint32_t i;

	packset_forget(p->parent->set, NULL);
	if (packset_see_tombstones(p->parent->set, err) != 0)
		return -1;
	c->packs = xreallocarray(c->packs, c->n_packs + t->n + 1,
	    sizeof(*c->packs));
	for (i = 0; i < t->n; i++) {
		live = entries_live_foreign(p->entries, i);
		if (live == 0)
			continue;
		pack = &c->packs[c->n_packs++];
		*pack = t->list[i];
		pack->live = live;
		if (packset_find(p->parent->set, &pack->id, &info, err) != 0)
			return -1;
		if (!packset_usable(p->parent->set, pack, &info)) {
			err_set(err, ERR_DAMAGED, "pack %u of attempt %u of "
			    "backup %s, which this backup refers to, is %s",
			    pack->id.number, pack->id.attempt, pack->id.label,
			    !info.exists ? "not there any more" :
			    info.leaving ? "about to be removed" : "damaged");
			return err_hint(err, "start the backup again: it will "
			    "store those pages anew");
		}
		pack->size = info.size;
		pack->generation = info.generation;
		if (p->pulse(p->pulse_arg, err) != 0)
			return -1;
	}
	return 0;
}

int
packlist_make(const struct packlist_params *p, struct commit *c,
    struct err *err)
{
	if (add_own(p, c, err) != 0)
		return -1;
	return p->parent == NULL ? 0 : add_foreign(p, c, err);
}
