/* SPDX-License-Identifier: PostgreSQL */
/* Rows of one range at a time: cut, compared, compressed. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/mem.h"
#include "dump/cut.h"
#include "dump/store_private.h"
#include "repo/chunklist.h"

struct dump_writer {
	struct dump_store *st;
	struct pack_writer *packs;
	struct cutter cut;
	struct store_item *item; /* NULL: none at hand */
	uint32_t range;
	struct store_range done;
	struct store_chunk *chunks; /* since the last list */
	size_t n, cap;
	struct buf list;
};

static int take_chunk(void *arg, const void *data, size_t len, uint32_t rows,
    struct err *err);

int
dump_writer_new(struct dump_writer **out, struct dump_store *st,
    struct err *err)
{
	struct dump_writer *w = xcalloc(1, sizeof(*w));

	w->st = st;
	if (pack_writer_new(&w->packs, &st->packs, st->level, err) != 0) {
		free(w);
		return -1;
	}
	cut_init(&w->cut, take_chunk, w);
	buf_init(&w->list, FORMAT_FRAME_PLAIN_MAX);
	*out = w;
	return 0;
}

static void
forget_range(struct dump_writer *w)
{
	free(w->done.lists);
	memset(&w->done, 0, sizeof(w->done));
	w->n = 0;
	w->item = NULL;
	cut_reset(&w->cut);
}

void
dump_writer_free(struct dump_writer *w)
{
	struct err err = ERR_INIT;

	if (w == NULL)
		return;
	forget_range(w);
	if (pack_writer_flush(w->packs, &err) != 0)
		store_failed(w->st, &err);
	pack_writer_free(w->packs);
	cut_free(&w->cut);
	buf_free(&w->list);
	free(w->chunks);
	free(w);
}

/* The packs that the chunks at hand are in; each chunk's place in that list. */
static size_t
gather_packs(const struct dump_writer *w, struct pack_id *ids,
    struct dump_chunk *out)
{
	const struct pack_table *t = w->st->parent == NULL ? NULL :
	    dump_parent_packs(w->st->parent);
	const struct store_chunk *c;
	size_t n = 0, i, k, last = 0;
	struct pack_id id;

	for (i = 0; i < w->n; i++) {
		c = &w->chunks[i];
		memset(&id, 0, sizeof(id));
		if (c->foreign) {
			if (t == NULL)
				abort(); /* it is of a parent */
			id = t->list[c->c.pack].id;
		} else {
			memcpy(id.label, w->st->label, sizeof(id.label));
			id.attempt = w->st->packs.attempt;
			id.number = c->c.pack;
			id.kind = REPO_DUMP;
		}
		/* Neighbours mostly share one. */
		k = last < n && pack_id_compare(&ids[last], &id) == 0 ? last :
									0;
		while (k < n && pack_id_compare(&ids[k], &id) != 0)
			k++;
		if (k == n)
			ids[n++] = id;
		last = k;
		out[i] = c->c;
		out[i].pack = (uint32_t)k;
	}
	return n;
}

static int
end_list(struct dump_writer *w, struct err *err)
{
	struct pack_id *ids = xcalloc(w->n + 1, sizeof(*ids));
	struct dump_chunk *chunks = xcalloc(w->n + 1, sizeof(*chunks));
	struct frame_ref ref;
	size_t n_ids = gather_packs(w, ids, chunks);
	int ret = -1;

	buf_clear(&w->list);
	chunk_list_encode(ids, (uint32_t)n_ids, chunks, (uint32_t)w->n,
	    &w->list);
	if (buf_check(&w->list, "a chunk list", err) == 0 &&
	    pack_writer_add_list(w->packs, w->list.data, w->list.len, &ref,
		err) == 0) {
		store_count(w->st, false, ref.pack, w->list.len);
		w->done.lists = xreallocarray(w->done.lists,
		    w->done.n_lists + 1, sizeof(*w->done.lists));
		w->done.lists[w->done.n_lists++] = ref;
		w->n = 0;
		ret = 0;
	}
	free(ids);
	free(chunks);
	return ret;
}

/* A chunk of the range at hand: referred to where the parent has it. */
static int
take_chunk(void *arg, const void *data, size_t len, uint32_t rows,
    struct err *err)
{
	struct dump_writer *w = arg;
	struct dump_chunk old;
	struct store_chunk *s;
	struct frame_ref ref;

	if (w->n == CHUNK_LIST_MAX && end_list(w, err) != 0)
		return -1;
	if (w->n == w->cap) {
		w->cap = w->cap == 0 ? 256 : 2 * w->cap;
		w->chunks = xreallocarray(w->chunks, w->cap,
		    sizeof(*w->chunks));
	}
	s = &w->chunks[w->n];
	memset(s, 0, sizeof(*s));
	s->c.bytes = (uint32_t)len;
	s->c.rows = rows;
	s->c.crc = crc32c(data, len);
	dump_chunk_hash(data, len, w->st->seed, s->c.hash);
	s->foreign = w->item->index != NULL &&
	    chunkindex_find(w->item->index, &s->c, &old);
	if (s->foreign) {
		s->c.pack = old.pack;
		s->c.frame = old.frame;
	} else {
		if (pack_writer_add_chunk(w->packs, w->item->path, data, len,
			&ref, err) != 0)
			return -1;
		s->c.pack = ref.pack;
		s->c.frame = ref.frame;
	}
	store_count(w->st, s->foreign, s->c.pack, len);
	w->done.crc = w->done.bytes == 0 ? s->c.crc :
	    crc32c_combine(w->done.crc, s->c.crc, len);
	w->done.bytes += len;
	w->done.rows += rows;
	w->done.total_chunks++;
	w->n++;
	return 0;
}

int
dump_writer_begin(struct dump_writer *w, const struct dump_store_item *item,
    struct err *err)
{
	forget_range(w);
	w->range = item->range;
	return store_item_begin(w->st, item, &w->item, err);
}

int
dump_writer_write(struct dump_writer *w, const void *data, size_t len,
    bool end_of_row, struct err *err)
{
	return cut_add(&w->cut, data, len, end_of_row, err);
}

/* Tables and large objects: paths with a folder. */
static bool
of_rows(const struct store_item *item)
{
	return strchr(item->path, '/') != NULL;
}

int
dump_writer_end(struct dump_writer *w, struct err *err)
{
	if (cut_flush(&w->cut, of_rows(w->item), err) != 0)
		return err_wrap(err, "%s", w->item->path);
	if (w->item->n_ranges == 1 && w->done.n_lists == 0 &&
	    w->n <= STORE_INLINE_MAX) {
		w->done.chunks = xcalloc(w->n + 1, sizeof(*w->chunks));
		if (w->n > 0)
			memcpy(w->done.chunks, w->chunks,
			    w->n * sizeof(*w->chunks));
		w->done.n_chunks = w->n;
	} else if (w->n > 0 && end_list(w, err) != 0) {
		return -1;
	}
	w->done.ended = true;
	store_item_end(w->st, w->item, w->range, &w->done);
	memset(&w->done, 0, sizeof(w->done)); /* the item has it now */
	forget_range(w);
	return 0;
}
