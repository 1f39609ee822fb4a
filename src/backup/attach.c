/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/attach.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "pg/datafile.h"

void
attach_init(struct attach *a, const struct plan *plan, struct parent *parent,
    const struct evidence *evidence, uint32_t block_size,
    uint32_t segment_blocks)
{
	memset(a, 0, sizeof(*a));
	a->plan = plan;
	a->parent = parent;
	a->evidence = evidence;
	a->block_size = block_size;
	a->segment_blocks = segment_blocks;
	buf_init(&a->path, FORMAT_PATH_MAX);
}

void
attach_free(struct attach *a)
{
	free(a->bits);
	buf_free(&a->path);
}

static void
set_bits(struct attach *a, uint64_t first, uint64_t n, uint64_t max)
{
	for (; n > 0 && first < max; first++, n--)
		a->bits[first / 8] |= (uint8_t)(1u << first % 8);
}

/* Pages that were damaged are read again: they may be so no more. */
static void
mark_damaged(struct attach *a, uint64_t blocks)
{
	const struct commit *c = &a->parent->commit;
	struct datafile df;
	uint64_t first;
	size_t i;

	for (i = 0; i < c->n_damaged; i++) {
		if (strcmp(c->damaged[i].path, buf_str(&a->path)) != 0)
			continue;
		datafile_parse(buf_str(&a->path), &df);
		first = (uint64_t)df.segment * a->segment_blocks;
		if (c->damaged[i].block >= first)
			set_bits(a, c->damaged[i].block - first, 1, blocks);
	}
}

/* What lies in packs that are not to be referred to is stored anew. */
static void
mark_due(struct attach *a, uint64_t blocks)
{
	const uint64_t stretch = RENEW_STRETCH / a->block_size;
	const struct parent *p = a->parent;
	const struct map_run *run = a->file.runs;
	uint64_t begin = 0, at = 0, next, now = UINT64_MAX;
	int64_t before = RENEW_NONE;

	for (; run < a->file.runs + a->file.n_runs && at < blocks;
	     begin += run->blocks, run++)
		for (; at < begin + run->blocks && at < blocks; at = next) {
			next = (at / stretch + 1) * stretch;
			if (next > begin + run->blocks)
				next = begin + run->blocks;
			if (at / stretch != now)
				before = renew_before(&p->renew,
				    buf_str(&a->path), at * a->block_size);
			now = at / stretch;
			if (run->pack != MAP_PACK_ZEROS &&
			    (p->condemned[run->pack] ||
				p->made[run->pack] < before))
				set_bits(a, at, next - at, blocks);
		}
}

static bool
any_bit(const struct attach *a, uint64_t blocks)
{
	size_t i;

	for (i = 0; i < (blocks + 7) / 8; i++)
		if (a->bits[i] != 0)
			return true;
	return false;
}

/* Which blocks of the file at hand must be read. */
static void
ask_evidence(struct attach *a, uint64_t size)
{
	const uint64_t blocks = size / a->block_size;
	const size_t bytes = (size_t)(blocks / 8) + 1;

	if (a->evidence == NULL || blocks == 0)
		return;
	if (bytes > a->bits_cap) {
		a->bits = xreallocarray(a->bits, bytes, 1);
		a->bits_cap = bytes;
	}
	a->some = evidence_file(a->evidence, buf_str(&a->path),
	    a->file.size / a->block_size, blocks, a->bits) == EVIDENCE_BLOCKS;
	if (!a->some)
		return;
	mark_damaged(a, blocks);
	mark_due(a, blocks);
	a->untouched = a->file.size == size && !any_bit(a, blocks);
}

bool
attach_file(struct attach *a, const struct plan_item *item)
{
	a->found = a->some = a->untouched = false;
	a->run = 0;
	a->skip = 0;
	if (a->parent == NULL)
		return false;
	plan_path(a->plan, item, &a->path);
	a->found = parent_find(a->parent, buf_str(&a->path), &a->file);
	if (a->found)
		ask_evidence(a, item->size);
	return a->untouched;
}

static void
add_run(struct copy_task *t, struct copy_parent *cp,
    const struct map_run *run)
{
	struct run_list *r = &t->parent_runs;

	if (r->n == r->cap) {
		r->cap += r->cap + 32;
		r->list = xreallocarray(r->list, r->cap, sizeof(*r->list));
	}
	r->list[r->n++] = *run;
	cp->n_runs++;
}

static void
add_map(struct attach *a, struct copy_task *t, struct copy_parent *cp)
{
	const uint32_t n_runs = cp->n_runs;
	size_t i;

	cp->first_map = t->parent_runs.n;
	for (i = 0; i < a->file.n_map; i++)
		add_run(t, cp, &a->file.map[i]);
	cp->n_runs = n_runs;
	cp->n_map = (uint32_t)a->file.n_map;
}

static void
add_bits(const struct attach *a, struct copy_task *t, struct copy_parent *cp,
    uint64_t first, uint64_t n)
{
	const size_t bytes = (size_t)(n / 8) + 1;
	uint64_t i;

	cp->first_bits = (uint32_t)t->bits_len;
	cp->n_bits = n;
	t->bits = xreallocarray(t->bits, t->bits_len + bytes, 1);
	memset(t->bits + t->bits_len, 0, bytes);
	for (i = 0; i < n; i++)
		if ((a->bits[(first + i) / 8] >> (first + i) % 8 & 1) != 0)
			t->bits[t->bits_len + i / 8] |=
			    (uint8_t)(1u << i % 8);
	t->bits_len += bytes;
}

static struct copy_parent *
begin(struct attach *a, struct copy_task *t, uint32_t i)
{
	struct copy_parent *cp;

	if (t->parents == NULL)
		t->parents = xcalloc(t->n, sizeof(*t->parents));
	cp = &t->parents[i];
	cp->found = true;
	cp->some = a->some;
	cp->untouched = a->untouched;
	cp->size = a->file.size;
	cp->crc = a->file.crc;
	cp->first_run = t->parent_runs.n;
	cp->before = renew_before(&a->parent->renew, buf_str(&a->path),
	    t->offset);
	return cp;
}

void
attach_range(struct attach *a, struct copy_task *t)
{
	const uint32_t bs = a->block_size;
	const struct parent_file *pf = &a->file;
	struct copy_parent *cp;
	uint64_t left = t->last ? UINT64_MAX : t->length / bs;
	struct map_run run;

	if (!a->found)
		return;
	cp = begin(a, t, 0);
	for (; left > 0 && a->run < pf->n_runs; left -= run.blocks) {
		run = pf->runs[a->run];
		if (run.pack != MAP_PACK_ZEROS)
			run.block += (uint32_t)a->skip;
		run.blocks -= a->skip;
		if (run.blocks > left) {
			a->skip += left;
			run.blocks = left;
		} else {
			a->run++;
			a->skip = 0;
		}
		add_run(t, cp, &run);
	}
	if (a->some)
		add_bits(a, t, cp, t->offset / bs, t->length / bs);
	add_map(a, t, cp);
}

static void
attach_one(struct attach *a, struct copy_task *t, uint32_t i, uint64_t size)
{
	struct copy_parent *cp = begin(a, t, i);
	size_t k;

	for (k = 0; k < a->file.n_runs; k++)
		add_run(t, cp, &a->file.runs[k]);
	if (a->some && !a->untouched)
		add_bits(a, t, cp, 0, size / a->block_size);
	add_map(a, t, cp);
}

void
attach_whole(struct attach *a, struct copy_task *t)
{
	attach_one(a, t, 0, a->file.size);
}

void
attach_items(struct attach *a, struct copy_task *t)
{
	struct plan_item item;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		plan_get(a->plan, t->first + i, &item);
		if (item.type != PLAN_FILE)
			continue;
		(void)attach_file(a, &item);
		if (a->found)
			attach_one(a, t, i, item.size);
	}
}
