/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/gather.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* As a run's pack: where it goes is known when the frame is stored. */
#define PENDING(which) (MAP_PACK_ZEROS - 1 - (which))

void
runs_begin(struct run_list *r)
{
	r->begin = r->n;
}

void
runs_add(struct run_list *r, const struct map_run *run)
{
	struct map_run *last = r->n > r->begin ? &r->list[r->n - 1] : NULL;

	if (last != NULL && last->pack == run->pack &&
	    (run->pack == MAP_PACK_ZEROS || (last->frame == run->frame &&
		last->block + last->blocks == run->block))) {
		last->blocks += run->blocks;
		return;
	}
	if (r->n == r->cap) {
		r->cap += r->cap + 32;
		r->list = xreallocarray(r->list, r->cap, sizeof(*r->list));
	}
	r->list[r->n++] = *run;
}

void
gather_init(struct gather *g, struct pack_writer *writer, unsigned which,
    uint32_t block_size)
{
	memset(g, 0, sizeof(*g));
	g->writer = writer;
	g->pending = PENDING(which);
	g->block_size = block_size;
	g->max = FORMAT_FRAME_PLAIN_MAX / block_size;
	g->data = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	g->blocks = xcalloc(g->max, sizeof(*g->blocks));
	g->sums = xcalloc(g->max, sizeof(*g->sums));
}

void
gather_free(struct gather *g)
{
	free(g->data);
	free(g->blocks);
	free(g->sums);
}

int
gather_add(struct gather *g, const char *path, struct run_list *runs,
    uint64_t block, const uint8_t *data, size_t len,
    const struct page_sum *sum, struct err *err)
{
	if (g->n == g->max && gather_flush(g, path, runs, err) != 0)
		return -1;
	memcpy(g->data + g->len, data, len);
	g->blocks[g->n] = block;
	g->sums[g->n] = *sum;
	/* The first one has no run that it could be joined with. */
	runs_add(runs, &(struct map_run){ 1, g->pending, 0, g->n });
	if (g->n == 0)
		g->first_run = runs->n - 1;
	g->n++;
	g->len += len;
	return 0;
}

int
gather_flush(struct gather *g, const char *path, struct run_list *runs,
    struct err *err)
{
	struct frame_ref ref;
	uint32_t i;

	if (g->n == 0)
		return 0;
	if (pack_writer_add_gathered(g->writer, path, g->blocks, g->data,
	    g->len, g->sums, &ref, err) != 0)
		return -1;
	for (i = g->first_run; i < runs->n; i++)
		if (runs->list[i].pack == g->pending) {
			runs->list[i].pack = ref.pack;
			runs->list[i].frame = ref.frame;
		}
	g->n = 0;
	g->len = 0;
	return 0;
}
