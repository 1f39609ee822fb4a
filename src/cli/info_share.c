/* SPDX-License-Identifier: PostgreSQL */
/*
 * Who needs what: computed from the commits alone, since each names all packs
 * that it refers to. A commit that cannot be read may refer to anything: then
 * nothing is said to be free.
 */
#include "config.h"

#include "cli/info.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/pack.h"

/* A backup's use of a pack. */
struct use {
	const struct commit_pack *pack;
	size_t backup;
};

static int
compare_uses(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int order = pack_id_compare(&x->pack->id, &y->pack->id);

	if (order != 0)
		return order;
	return x->backup < y->backup ? -1 : x->backup > y->backup;
}

static struct use *
collect_uses(const struct info_incarnation *inc, size_t *n)
{
	struct use *uses;
	size_t i, k, total = 0;

	for (i = 0; i < inc->n_backups; i++)
		total += inc->backups[i].commit.n_packs;
	uses = xcalloc(total + 1, sizeof(*uses));
	*n = 0;
	for (i = 0; i < inc->n_backups; i++) {
		const struct commit *c = &inc->backups[i].commit;

		for (k = 0; k < c->n_packs; k++)
			uses[(*n)++] = (struct use){ &c->packs[k], i };
	}
	qsort(uses, *n, sizeof(*uses), compare_uses);
	return uses;
}

/* The backup of this label; n_backups: there is none, or it is unreadable. */
static size_t
backup_of(const struct info_incarnation *inc, const char *label)
{
	size_t i;

	for (i = 0; i < inc->n_backups; i++)
		if (strcmp(inc->backups[i].label, label) == 0)
			break;
	return i;
}

/*
 * Each backup counts another one once: the uses of that one's packs follow one
 * another. seen[]: by backup, the use at which it was counted last, plus 1.
 */
static void
count_backups(struct info_incarnation *inc, const struct use *uses, size_t n)
{
	size_t *seen = xcalloc(inc->n_backups + 1, sizeof(*seen));
	size_t i, begin = 0;

	for (i = 0; i < n; i++) {
		const char *label = uses[i].pack->id.label;
		struct info_backup *b = &inc->backups[uses[i].backup];

		if (strcmp(label, uses[begin].pack->id.label) != 0)
			begin = i;
		if (seen[uses[i].backup] > begin ||
		    strcmp(label, b->label) == 0)
			continue;
		seen[uses[i].backup] = i + 1;
		b->share.refers_backups++;
	}
	free(seen);
}

/* All uses of one pack, oldest backup first: the last one is the newest. */
static void
add_pack(struct info_incarnation *inc, const struct use *uses, size_t n,
    size_t owner)
{
	const struct commit_pack *newest = uses[n - 1].pack;
	struct info_share *s;

	if (n == 1)
		inc->backups[uses[0].backup].share.frees += newest->size;
	if (owner == inc->n_backups) {
		inc->orphan_bytes += newest->size;
		return;
	}
	s = &inc->backups[owner].share;
	s->made_packs++;
	s->made_bytes += newest->size;
	s->made_plain += newest->plain;
	/* What older backups see of it is dead for those that come. */
	if (uses[n - 1].backup == inc->newest)
		s->made_live += newest->live;
}

static void
add_references(struct info_backup *b)
{
	const struct commit *c = &b->commit;
	struct info_share *s = &b->share;
	size_t i;

	for (i = 0; i < c->n_packs; i++) {
		const struct commit_pack *p = &c->packs[i];

		if (strcmp(p->id.label, c->label) == 0)
			continue;
		s->refers_packs++;
		s->refers_bytes += p->size;
		s->refers_plain += p->plain;
		s->refers_live += p->live;
	}
	for (i = 0; i < c->n_parts; i++)
		s->frees += c->parts[i].size;
}

void
info_shares(struct info_incarnation *inc)
{
	struct use *uses;
	size_t n, i, k, owner = 0;
	const char *label = "";

	inc->newest = inc->n_backups;
	inc->shares_known = true;
	for (i = 0; i < inc->n_backups; i++) {
		if (inc->backups[i].problem.code != ERR_NONE) {
			inc->shares_known = false;
			continue;
		}
		inc->newest = i;
		add_references(&inc->backups[i]);
	}
	uses = collect_uses(inc, &n);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && pack_id_compare(&uses[k].pack->id,
		    &uses[i].pack->id) == 0; k++)
			;
		if (strcmp(label, uses[i].pack->id.label) != 0) {
			owner = backup_of(inc, uses[i].pack->id.label);
			inc->orphan_backups += owner == inc->n_backups;
		}
		label = uses[i].pack->id.label;
		add_pack(inc, uses + i, k - i, owner);
	}
	count_backups(inc, uses, n);
	/* Their folders have no commit either. */
	if (inc->unfinished >= inc->orphan_backups)
		inc->unfinished -= inc->orphan_backups;
	free(uses);
}
