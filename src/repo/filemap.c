/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/filemap.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static int
compare(const void *a, const void *b)
{
	return pack_id_compare(&((const struct commit_pack *)a)->id,
	    &((const struct commit_pack *)b)->id);
}

void
pack_table_init(struct pack_table *t, const struct commit *c)
{
	t->n = (uint32_t)c->n_packs;
	t->list = xcalloc(c->n_packs + 1, sizeof(*t->list));
	if (c->n_packs == 0)
		return;
	memcpy(t->list, c->packs, c->n_packs * sizeof(*t->list));
	qsort(t->list, t->n, sizeof(*t->list), compare);
}

void
pack_table_free(struct pack_table *t)
{
	free(t->list);
	t->list = NULL;
	t->n = 0;
}

bool
pack_table_find(const struct pack_table *t, const struct pack_id *id,
    uint32_t *index)
{
	struct commit_pack key = { .id = *id };
	const struct commit_pack *found;

	if (t->n == 0)
		return false;
	found = bsearch(&key, t->list, t->n, sizeof(key), compare);
	if (found == NULL)
		return false;
	*index = (uint32_t)(found - t->list);
	return true;
}

void
filemap_init(struct filemap *m)
{
	memset(m, 0, sizeof(*m));
	buf_init(&m->scratch, FORMAT_FRAME_PLAIN_MAX);
}

void
filemap_free(struct filemap *m)
{
	free(m->runs);
	free(m->frames);
	buf_free(&m->scratch);
	memset(m, 0, sizeof(*m));
}

/* What is at hand while a map is put together. */
struct making {
	struct filemap *map;
	const struct pack_table *table;
	const char *path;
	uint32_t block_size;
	uint64_t left; /* blocks not covered yet */
};

static int
table_index(const struct making *k, const struct pack_id *id, uint32_t *index,
    struct err *err)
{
	if (id == NULL)
		return err_set(err, ERR_DAMAGED,
		    "the manifest's line of %s names a pack which no line "
		    "before it describes", k->path);
	if (pack_table_find(k->table, id, index))
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "the map of %s names pack %u of attempt %u of backup %s, which "
	    "the commit does not", k->path, id->number, id->attempt,
	    id->label);
}

/* pack: its index in the table. */
static int
add_run(struct making *k, const struct map_run *run, uint32_t pack,
    struct err *err)
{
	const uint32_t frame_blocks = FORMAT_FRAME_PLAIN_MAX / k->block_size;
	struct filemap *m = k->map;

	if (run->blocks == 0 || run->blocks > k->left)
		return err_set(err, ERR_DAMAGED,
		    "the map of %s goes past the file's size", k->path);
	if (pack != MAP_PACK_ZEROS && (run->block >= frame_blocks ||
	    run->blocks > frame_blocks - run->block))
		return err_set(err, ERR_DAMAGED,
		    "a run in the map of %s is larger than a frame", k->path);
	if (m->n == m->cap) {
		m->cap = m->cap == 0 ? 64 : 2 * m->cap;
		m->runs = xreallocarray(m->runs, m->cap, sizeof(*m->runs));
	}
	m->runs[m->n] = *run;
	m->runs[m->n++].pack = pack;
	k->left -= run->blocks;
	return 0;
}

static int
add_runs(struct making *k, const struct map_run *runs, uint32_t n_runs,
    const uint32_t *index, struct err *err)
{
	uint32_t i;

	for (i = 0; i < n_runs; i++)
		if (add_run(k, &runs[i], runs[i].pack == MAP_PACK_ZEROS ?
			MAP_PACK_ZEROS : index[runs[i].pack], err) != 0)
			return -1;
	return 0;
}

static void
note_frame(struct filemap *m, uint32_t pack, uint32_t frame)
{
	if (m->n_frames == m->cap_frames) {
		m->cap_frames = m->cap_frames == 0 ? 4 : 2 * m->cap_frames;
		m->frames = xreallocarray(m->frames, m->cap_frames,
		    sizeof(*m->frames));
	}
	m->frames[m->n_frames++] = (struct map_run){ m->scratch.len, pack,
		frame, 0 };
}

static int
add_map_frame(struct making *k, struct pack_cache *cache,
    const struct pack_id *pack, uint32_t frame, struct err *err)
{
	struct buf *b = &k->map->scratch;
	struct frame_header h;
	struct pack_id *packs = NULL;
	struct map_run *runs = NULL;
	uint32_t n_packs = 0, n_runs = 0, i, *index = NULL;
	int ret = -1;

	if (pack_cache_frame(cache, pack, frame, &h, b, err) != 0)
		return err_wrap(err, "map of %s", k->path);
	if (h.type != FRAME_MAP)
		return err_set(err, ERR_DAMAGED,
		    "the map of %s is said to be in a frame of another kind",
		    k->path);
	if (map_decode(b->data, b->len, &packs, &n_packs, &runs, &n_runs,
		err) != 0)
		return err_wrap(err, "map of %s", k->path);
	index = xcalloc(n_packs + 1, sizeof(*index));
	for (i = 0; i < n_packs; i++)
		if (table_index(k, &packs[i], &index[i], err) != 0)
			goto out;
	ret = add_runs(k, runs, n_runs, index, err);
out:
	free(index);
	free(packs);
	free(runs);
	return ret;
}

int
filemap_read(struct filemap *m, const struct pack_table *t,
    struct pack_cache *cache, const struct manifest_reader *reader,
    const struct manifest_entry *e, uint32_t block_size, struct err *err)
{
	struct making k = { m, t, e->path, block_size,
		e->size / block_size + (e->size % block_size != 0) };
	const struct pack_id *pack;
	uint32_t index;
	size_t i;

	m->n = 0;
	m->n_frames = 0;
	for (i = 0; i < e->n_runs; i++) {
		index = MAP_PACK_ZEROS;
		pack = manifest_reader_pack(reader, e->runs[i].pack);
		if (e->runs[i].pack != MAP_PACK_ZEROS &&
		    table_index(&k, pack, &index, err) != 0)
			return -1;
		if (add_run(&k, &e->runs[i], index, err) != 0)
			return -1;
	}
	for (i = 0; i < e->n_map; i++) {
		pack = manifest_reader_pack(reader, e->map[i].pack);
		if (table_index(&k, pack, &index, err) != 0 ||
		    add_map_frame(&k, cache, pack, e->map[i].frame, err) != 0)
			return -1;
		note_frame(m, index, e->map[i].frame);
	}
	if (k.left != 0)
		return err_set(err, ERR_DAMAGED,
		    "the map of %s ends %llu blocks before the file's %llu "
		    "bytes do", e->path, (unsigned long long)k.left,
		    (unsigned long long)e->size);
	return 0;
}
