/* SPDX-License-Identifier: PostgreSQL */
/*
 * Who needs what: computed from the commits alone, since each names all packs
 * that it refers to. A commit that cannot be read may refer to anything: then
 * nothing is said to be free.
 */
#include "config.h"

#include "info/info.h"

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
collect_uses(const struct info_set *set, size_t *n)
{
	struct use *uses;
	size_t i, k, total = 0;

	for (i = 0; i < set->n; i++)
		total += set->list[i].commit.n_packs;
	uses = xcalloc(total + 1, sizeof(*uses));
	*n = 0;
	for (i = 0; i < set->n; i++) {
		const struct commit *c = &set->list[i].commit;

		for (k = 0; k < c->n_packs; k++)
			uses[(*n)++] = (struct use){ &c->packs[k], i };
	}
	qsort(uses, *n, sizeof(*uses), compare_uses);
	return uses;
}

/*
 * The backup of this label; set->n: there is none, or it is unreadable. Labels
 * are asked for in their order, which is about that of the list: it is looked
 * for from the last one on.
 */
static size_t
backup_of(const struct info_set *set, const char *label, size_t from)
{
	size_t i, at;

	for (i = 0; i < set->n; i++) {
		at = (from + i) % set->n;
		if (strcmp(set->list[at].label, label) == 0)
			return at;
	}
	return set->n;
}

/*
 * Each backup counts another one once: the uses of that one's packs follow one
 * another. seen[]: by backup, the use at which it was counted last, plus 1.
 */
static void
count_backups(struct info_set *set, const struct use *uses, size_t n)
{
	size_t *seen = xcalloc(set->n + 1, sizeof(*seen));
	size_t i, begin = 0;

	for (i = 0; i < n; i++) {
		const char *label = uses[i].pack->id.label;
		struct info_backup *b = &set->list[uses[i].backup];

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
add_pack(struct info_set *set, const struct use *uses, size_t n,
    size_t owner)
{
	const struct commit_pack *newest = uses[n - 1].pack;
	struct info_share *s;

	if (n == 1)
		set->list[uses[0].backup].share.frees += newest->size;
	if (owner == set->n) {
		set->orphan_bytes += newest->size;
		return;
	}
	s = &set->list[owner].share;
	s->made_packs++;
	s->made_bytes += newest->size;
	s->made_plain += newest->plain;
	/* What older backups see of it is dead for those that come. */
	if (uses[n - 1].backup == set->list[owner].newest)
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

/* Do the two count as one line, of which the later replaces the earlier? */
static bool
same_line(const struct info_backup *a, const struct info_backup *b)
{
	const char *x = a->commit.dump.database, *y = b->commit.dump.database;

	return x == NULL || y == NULL || strcmp(x, y) == 0;
}

/* The newest that can be read, of all and of each one's line. */
static void
find_newest(struct info_set *set)
{
	size_t i, k;

	set->newest = set->n;
	for (i = set->n; i-- > 0;) {
		struct info_backup *b = &set->list[i];

		if (b->problem.code != ERR_NONE)
			continue;
		if (set->newest == set->n)
			set->newest = i;
		for (k = set->newest; k > i; k--)
			if (set->list[k].problem.code == ERR_NONE &&
			    same_line(b, &set->list[k]))
				break;
		b->newest = k;
	}
}

void
info_shares(struct info_set *set)
{
	struct use *uses;
	size_t n, i, k, owner = 0;
	const char *label = "";

	find_newest(set);
	set->shares_known = true;
	for (i = 0; i < set->n; i++) {
		if (set->list[i].problem.code != ERR_NONE) {
			set->shares_known = false;
			continue;
		}
		add_references(&set->list[i]);
	}
	uses = collect_uses(set, &n);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && pack_id_compare(&uses[k].pack->id,
		    &uses[i].pack->id) == 0; k++)
			;
		if (strcmp(label, uses[i].pack->id.label) != 0) {
			owner = backup_of(set, uses[i].pack->id.label,
			    owner);
			set->orphan_backups += owner == set->n;
		}
		label = uses[i].pack->id.label;
		add_pack(set, uses + i, k - i, owner);
	}
	count_backups(set, uses, n);
	/* Their folders have no commit either. */
	if (set->unfinished >= set->orphan_backups)
		set->unfinished -= set->orphan_backups;
	free(uses);
}
