/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/random.h"
#include "dump/store_private.h"
#include "repo/manifest.h"
#include "repo/packlist.h"
#include "repo/setremove.h"

static int
choose_parent(struct dump_store *st, const struct dump_store_params *p,
    struct err *err)
{
	const struct dump_parent_params pp = { .repo = p->repo, .inc = p->inc,
		.database = p->database, .globals = p->globals,
		.now = p->start_time, .refresh_age_ms = p->refresh_age_ms };

	if (p->full)
		return 0;
	if (dump_parent_find(&st->parent, &pp, err) != 0)
		return -1;
	if (st->parent == NULL)
		return 0;
	log_info("parent is dump %s", dump_parent_label(st->parent));
	st->live_foreign = xcalloc((size_t)dump_parent_packs(st->parent)->n +
	    1, sizeof(*st->live_foreign));
	return 0;
}

static int
begin(struct dump_store *st, const struct dump_store_params *p,
    struct err *err)
{
	uint64_t random;

	if (claim_take(&st->claim, p->repo, p->inc, REPO_DUMP, p->lease_ms,
		err) != 0 ||
	    repo_begin_attempt(p->repo, err) != 0 ||
	    random_bytes(&random, sizeof(random), err) != 0)
		return -1;
	st->seed = p->repo->fingerprint_seed;
	label_make(p->start_time, random, st->label);
	if (choose_parent(st, p, err) != 0 ||
	    claim_intend(&st->claim, st->label, 1, dump_store_parent(st),
		err) != 0 ||
	    putter_new(&st->putter, p->repo, p->inc, err) != 0)
		return -1;
	st->begun = true;
	st->packs = (struct pack_shared){ .repo = p->repo, .inc = *p->inc,
		.kind = REPO_DUMP, .attempt = 1,
		/* Small ones, also without a parent: they die whole. */
		.target = pack_target(0, true),
		.put = putter_put, .put_arg = st->putter };
	memcpy(st->packs.label, st->label, sizeof(st->label));
	return 0;
}

int
dump_store_new(struct dump_store **out, const struct dump_store_params *p,
    struct err *err)
{
	struct dump_store *st = xcalloc(1, sizeof(*st));

	st->repo = p->repo;
	st->inc = *p->inc;
	st->level = p->compress_level;
	/* Initialisers of default objects do not fail on Linux. */
	(void)pthread_mutex_init(&st->lock, NULL);
	if (begin(st, p, err) != 0) {
		dump_store_free(st);
		return -1;
	}
	*out = st;
	return 0;
}

void
dump_store_expect(struct dump_store *st, uint64_t bytes)
{
	st->packs.target = pack_target(bytes, true);
}

static void
item_free(struct store_item *item)
{
	uint32_t i;

	for (i = 0; i < item->n_ranges; i++) {
		free(item->ranges[i].lists);
		free(item->ranges[i].chunks);
	}
	free(item->ranges);
	free(item->path);
	chunkindex_free(item->index);
	free(item);
}

static void
take_away(const struct dump_store *st)
{
	struct err err = ERR_INIT;

	/* Without the lease another process may have seen the commit. */
	if (lease_confirm(st->claim.lease, &err) == 0 &&
	    set_remove(st->repo, &st->inc, REPO_DUMP, st->label, &err) == 0)
		return;
	log_warning("what was stored of dump %s could not be removed; it is "
	    "harmless, and 'dapk-backup expire' removes it", st->label);
	log_err(LOG_WARNING, &err);
}

void
dump_store_free(struct dump_store *st)
{
	size_t i;

	if (st == NULL)
		return;
	putter_free(st->putter);
	/* What may be committed must have all that it names. */
	if (st->begun && !st->committed && !st->claim.unknown)
		take_away(st);
	claim_end(&st->claim, st->committed ? st->label : NULL);
	dump_parent_free(st->parent);
	for (i = 0; i < st->n_items; i++)
		item_free(st->items[i]);
	free(st->items);
	free(st->live);
	free(st->live_foreign);
	(void)pthread_mutex_destroy(&st->lock);
	free(st);
}

const char *
dump_store_label(const struct dump_store *st)
{
	return st->label;
}

const char *
dump_store_parent(const struct dump_store *st)
{
	return st->parent == NULL ? "" : dump_parent_label(st->parent);
}

int
dump_store_pulse(struct dump_store *st, struct err *err)
{
	if (lease_renew(st->claim.lease, err) != 0)
		return -1;
	return putter_check(st->putter, err);
}

void
store_failed(struct dump_store *st, const struct err *err)
{
	(void)pthread_mutex_lock(&st->lock);
	if (st->failed.code == ERR_NONE)
		st->failed = *err;
	(void)pthread_mutex_unlock(&st->lock);
}

void
store_count(struct dump_store *st, bool foreign, uint32_t pack,
    uint64_t bytes)
{
	size_t n;

	(void)pthread_mutex_lock(&st->lock);
	if (foreign) {
		st->live_foreign[pack] += bytes;
	} else {
		if (pack >= st->n_live) {
			n = 2 * (size_t)pack + 64;
			st->live = xreallocarray(st->live, n,
			    sizeof(*st->live));
			memset(st->live + st->n_live, 0,
			    (n - st->n_live) * sizeof(*st->live));
			st->n_live = n;
		}
		st->live[pack] += bytes;
	}
	(void)pthread_mutex_unlock(&st->lock);
}

/* Where it is, or would be. */
static size_t
place_of(const struct dump_store *st, const char *path, bool *there)
{
	size_t lo = 0, hi = st->n_items, mid;
	int c;

	*there = false;
	while (lo < hi) {
		mid = (lo + hi) / 2;
		c = strcmp(st->items[mid]->path, path);
		if (c == 0) {
			*there = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct store_item *
add_item(struct dump_store *st, size_t at, const struct dump_store_item *d)
{
	struct store_item *item = xcalloc(1, sizeof(*item));

	item->path = xstrdup(d->path);
	item->dump_id = d->dump_id;
	item->oid = d->oid;
	item->n_ranges = d->ranges;
	item->ranges = xcalloc(d->ranges, sizeof(*item->ranges));
	if (st->n_items == st->cap_items) {
		st->cap_items = st->cap_items == 0 ? 64 : 2 * st->cap_items;
		st->items = xreallocarray(st->items, st->cap_items,
		    sizeof(*st->items));
	}
	memmove(&st->items[at + 1], &st->items[at],
	    (st->n_items - at) * sizeof(*st->items));
	st->items[at] = item;
	st->n_items++;
	return item;
}

int
store_item_begin(struct dump_store *st, const struct dump_store_item *d,
    struct store_item **out, struct err *err)
{
	struct store_item *item;
	bool there;
	size_t at;
	int rc = 0;

	if (d->ranges == 0 || d->range >= d->ranges)
		return err_set(err, ERR_BUG, "%s: range %u of %u", d->path,
		    d->range, d->ranges);
	(void)pthread_mutex_lock(&st->lock);
	at = place_of(st, d->path, &there);
	item = there ? st->items[at] : add_item(st, at, d);
	if (item->n_ranges != d->ranges || item->ranges[d->range].ended)
		rc = err_set(err, ERR_BUG, "%s: range %u of %u twice",
		    d->path, d->range, d->ranges);
	/* Others wait: they would need the same disk. */
	if (rc == 0 && !item->indexed && st->parent != NULL) {
		rc = dump_parent_index(&item->index, st->parent, d->path, err);
		item->indexed = true;
	}
	(void)pthread_mutex_unlock(&st->lock);
	*out = item;
	return rc;
}

void
store_item_end(struct dump_store *st, struct store_item *item,
    uint32_t range, const struct store_range *done)
{
	(void)pthread_mutex_lock(&st->lock);
	item->ranges[range] = *done;
	if (++item->n_ended == item->n_ranges) {
		chunkindex_free(item->index);
		item->index = NULL;
	}
	(void)pthread_mutex_unlock(&st->lock);
}

/* What the manifest says of an item that is in chunk lists. */
static void
name_lists(struct dump_store *st, struct manifest_writer *m,
    const struct store_item *item, struct manifest_entry *e,
    struct map_run *lists)
{
	struct pack_id id = { .attempt = 1, .kind = REPO_DUMP };
	const struct store_range *r;
	size_t i;

	memcpy(id.label, st->label, sizeof(id.label));
	e->map = lists;
	for (r = item->ranges; r < item->ranges + item->n_ranges; r++)
		for (i = 0; i < r->n_lists; i++) {
			id.number = r->lists[i].pack;
			lists[e->n_map].pack = manifest_writer_pack(m, &id);
			lists[e->n_map++].frame = r->lists[i].frame;
		}
}

static void
name_chunks(struct dump_store *st, struct manifest_writer *m,
    const struct store_range *r, struct manifest_entry *e,
    struct dump_chunk *chunks)
{
	struct pack_id own = { .attempt = 1, .kind = REPO_DUMP };
	const struct store_chunk *c;

	memcpy(own.label, st->label, sizeof(own.label));
	e->chunks = chunks;
	for (c = r->chunks; c < r->chunks + r->n_chunks; c++) {
		own.number = c->c.pack;
		chunks[e->n_chunks] = c->c;
		chunks[e->n_chunks++].pack = manifest_writer_pack(m,
		    c->foreign ? &dump_parent_packs(st->parent)
				      ->list[c->c.pack].id : &own);
	}
}

/* Sizes, rows and CRC of all ranges together; how many lists there are. */
static int
add_up(const struct store_item *item, struct manifest_entry *e,
    size_t *n_lists, struct err *err)
{
	const struct store_range *r;

	*n_lists = 0;
	for (r = item->ranges; r < item->ranges + item->n_ranges; r++) {
		if (!r->ended)
			return err_set(err, ERR_BUG, "%s: range %u of %u was "
			    "not written", item->path,
			    (unsigned)(r - item->ranges), item->n_ranges);
		if (r->bytes == 0)
			continue;
		e->crc = e->size == 0 ? r->crc :
		    crc32c_combine(e->crc, r->crc, r->bytes);
		e->size += r->bytes;
		e->rows += r->rows;
		*n_lists += r->n_lists;
	}
	return 0;
}

static int
put_item(struct dump_store *st, struct manifest_writer *m,
    const struct store_item *item, struct commit *c, struct err *err)
{
	struct manifest_entry e = { .type = MANIFEST_DATA,
		.path = item->path, .dump_id = item->dump_id,
		.oid = item->oid };
	struct dump_chunk chunks[STORE_INLINE_MAX];
	struct map_run *lists;
	size_t n_lists;
	int rc;

	if (add_up(item, &e, &n_lists, err) != 0)
		return -1;
	lists = xcalloc(n_lists + 1, sizeof(*lists));
	if (n_lists > 0)
		name_lists(st, m, item, &e, lists);
	else if (item->n_ranges == 1)
		name_chunks(st, m, &item->ranges[0], &e, chunks);
	rc = manifest_writer_add(m, &e, err);
	free(lists);
	c->files++;
	c->original_bytes += e.size;
	if (strncmp(item->path, "table/", 6) == 0)
		c->dump.rows += e.rows;
	return rc;
}

static int
put_manifest(struct dump_store *st, struct commit *c, struct err *err)
{
	const struct manifest_part *parts;
	struct manifest_writer *m;
	size_t i, n;
	int ret = -1;

	if (manifest_writer_new_dump(&m, st->repo, &st->inc, st->label, err) !=
	    0)
		return -1;
	for (i = 0; i < st->n_items; i++)
		if (put_item(st, m, st->items[i], c, err) != 0 ||
		    lease_renew(st->claim.lease, err) != 0)
			goto out;
	if (manifest_writer_finish(m, &parts, &n, err) != 0)
		goto out;
	c->parts = xcalloc(n, sizeof(*parts));
	memcpy(c->parts, parts, n * sizeof(*parts));
	c->n_parts = n;
	c->stored_bytes += manifest_writer_stored(m);
	ret = 0;
out:
	manifest_writer_free(m);
	return ret;
}

static uint64_t
live(void *arg, uint32_t number)
{
	const struct dump_store *st = arg;

	return number < st->n_live ? st->live[number] : 0;
}

static uint64_t
live_foreign(void *arg, uint32_t index)
{
	const struct dump_store *st = arg;

	return st->live_foreign[index];
}

static int
keep_lease(void *arg, struct err *err)
{
	return lease_renew(arg, err);
}

static int
list_packs(struct dump_store *st, struct commit *c, struct err *err)
{
	struct dump_parent *parent = st->parent;

	return packlist_make(&(struct packlist_params){ .repo = st->repo,
	    .putter = st->putter, .live = live, .live_foreign = live_foreign,
	    .live_arg = st,
	    .table = parent == NULL ? NULL : dump_parent_packs(parent),
	    .set = parent == NULL ? NULL : dump_parent_packset(parent),
	    .pulse = keep_lease, .pulse_arg = st->claim.lease }, c, err);
}

int
dump_store_finish(struct dump_store *st, struct commit *c, struct err *err)
{
	size_t i, k;

	if (st->failed.code != ERR_NONE) {
		*err = st->failed;
		return -1;
	}
	if (putter_finish(st->putter, err) != 0)
		return -1;
	c->kind = REPO_DUMP;
	c->attempt = 1;
	if (c->method == NULL)
		c->method = xstrdup("copy");
	memcpy(c->label, st->label, sizeof(c->label));
	(void)snprintf(c->parent, sizeof(c->parent), "%s",
	    dump_store_parent(st));
	c->inc = st->inc;
	for (i = 0; i < st->n_items; i++)
		for (k = 0; k < st->items[i]->n_ranges; k++)
			c->dump.chunks += st->items[i]->ranges[k].total_chunks;
	if (put_manifest(st, c, err) != 0 || list_packs(st, c, err) != 0 ||
	    claim_commit(&st->claim, c, err) != 0)
		return -1;
	st->committed = true;
	return 0;
}
