/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "backup/copy.h"
#include "core/mem.h"
#include "repo/manifest.h"
#include "simulate.h"

#define FRAME_BLOCKS (FORMAT_FRAME_PLAIN_MAX / SIM_BLOCK)
#define TASK_BLOCKS ((uint32_t)(COPY_RANGE / SIM_BLOCK))
#define BATCH_BLOCKS ((uint32_t)(COPY_BATCH_BYTES / SIM_BLOCK))
#define MAP_FRAME_RUNS 12288 /* as backup/entries.c has it */
#define FRAME_OVERHEAD 120   /* header, path, place in the index */
#define SUM_BYTES 12	     /* fingerprint and CRC do not compress */
#define LINE_BYTES 45	     /* of a file in the compressed manifest */
#define LOOK_NIGHTS 20
#define BEGIN (INT64_C(9800) * SIM_DAY)

/*
 * Stored share of plain bytes, in 1/1000. Of whole MiB: what a full backup of
 * the benchmarks' database takes (bench/RESULTS.md).
 */
#define RATIO 190

/*
 * How much worse pages of a frame compress that were gathered from a stretch
 * of 32 MiB: measured on pgbench's and text tables (bench/RESULTS.md).
 */
static const struct {
	uint32_t pages;
	unsigned percent;
} gathered[] = { { 2, 134 }, { 4, 118 }, { 8, 112 }, { 20, 107 },
	{ 64, 106 }, { 96, 108 }, { 120, 107 }, { 128, 104 } };

static uint32_t
stored_bytes(uint32_t n, bool consecutive)
{
	uint64_t bytes = (uint64_t)n * SIM_BLOCK * RATIO / 1000;
	size_t i = 0;

	if (consecutive && n >= 32)
		return (uint32_t)bytes;
	while (n > gathered[i].pages)
		i++;
	return (uint32_t)(bytes * gathered[i].percent / 100);
}

static int64_t
night_time(int night)
{
	return BEGIN + night * SIM_DAY;
}

static struct sim_pack *
open_pack(struct sim *s, unsigned worker)
{
	struct sim_worker *w = &s->workers[worker];
	struct sim_pack *p;

	if (w->open)
		return &s->packs[w->pack];
	if (s->n_packs == s->cap_packs) {
		s->cap_packs += s->cap_packs / 2 + 1024;
		s->packs = xreallocarray(s->packs, s->cap_packs,
		    sizeof(*s->packs));
	}
	w->pack = s->n_packs++;
	w->open = true;
	p = &s->packs[w->pack];
	memset(p, 0, sizeof(*p));
	label_make(night_time(s->night), (uint64_t)s->night, p->id.label);
	p->id.attempt = 1;
	p->id.number = w->pack;
	p->night = s->night;
	return p;
}

static uint32_t
add_frame(struct sim *s, unsigned worker, uint32_t plain, uint32_t stored)
{
	struct sim_pack *p = open_pack(s, worker);
	struct sim_frame *f;

	if (s->n_frames == s->cap_frames) {
		s->cap_frames += s->cap_frames / 2 + 4096;
		s->frames = xreallocarray(s->frames, s->cap_frames,
		    sizeof(*s->frames));
	}
	f = &s->frames[s->n_frames];
	*f = (struct sim_frame){ s->workers[worker].pack, p->n_frames++,
		plain, stored, plain };
	p->plain += plain;
	p->live += plain;
	p->stored += stored + FRAME_OVERHEAD;
	if (p->stored >= (s->night == 0 ? PACK_TARGET_DEFAULT :
	    (size_t)s->policy.mib << 20))
		s->workers[worker].open = false;
	return s->n_frames++;
}

static void
release(struct sim *s, uint32_t frame, uint32_t bytes)
{
	s->frames[frame].live -= bytes;
	s->packs[s->frames[frame].pack].live -= bytes;
}

/* Blocks that a task stores, as frames of one pack writer. */
static uint64_t
put_blocks(struct sim *s, unsigned worker, const uint32_t *blocks, uint32_t n)
{
	uint64_t total = 0;
	uint32_t i, k, len, stored, frame;

	for (i = 0; i < n; i += len) {
		len = n - i < FRAME_BLOCKS ? n - i : (uint32_t)FRAME_BLOCKS;
		stored = stored_bytes(len,
		    blocks[i + len - 1] - blocks[i] == len - 1);
		frame = add_frame(s, worker, len * SIM_BLOCK,
		    stored + len * SUM_BYTES);
		total += stored + len * SUM_BYTES + FRAME_OVERHEAD;
		for (k = 0; k < len; k++) {
			if (s->night > 0)
				release(s, s->frame[blocks[i + k]],
				    SIM_BLOCK);
			s->frame[blocks[i + k]] = frame;
			s->place[blocks[i + k]] = (uint8_t)k;
		}
	}
	return total;
}

/* False: it is taken over from the parent. */
static bool
stored_why(const struct sim *s, uint32_t block, int64_t before,
    enum sim_why *why)
{
	const struct sim_pack *pack;

	*why = SIM_CHANGED;
	if (s->night == 0)
		return true;
	/* Of these the program does not ask whether they changed. */
	pack = &s->packs[s->frames[s->frame[block]].pack];
	if (pack->condemned || pack->made < before) {
		*why = pack->condemned ? SIM_CONDEMNED : SIM_AGED;
		return true;
	}
	return s->changed[block] != 0;
}

/* Stretch of one file. Returns how many blocks were stored. */
static uint32_t
copy_stretch(struct sim *s, const struct renew_params *p, unsigned worker,
    const struct sim_file *f, uint32_t from, uint32_t n)
{
	uint32_t blocks[SIM_KINDS][TASK_BLOCKS], count[SIM_KINDS] = { 0 };
	uint32_t sorts[SIM_KINDS][SIM_WHYS] = { { 0 } }, i, b;
	int64_t before = RENEW_NONE;
	enum sim_why why;
	uint64_t bytes;
	unsigned kind;

	if (s->night > 0)
		before = renew_before(p, f->path, (uint64_t)from * SIM_BLOCK);
	for (i = 0; i < n; i++) {
		b = f->first + from + i;
		if (!stored_why(s, b, before, &why))
			continue;
		/* Changed pages that were due anyway count as changed. */
		kind = why == SIM_CHANGED || s->policy.together ? SIM_NEW :
								  SIM_RENEWED;
		sorts[kind][s->changed[b] ? SIM_CHANGED : why]++;
		blocks[kind][count[kind]++] = b;
	}
	for (kind = 0; kind < SIM_KINDS; kind++) {
		if (count[kind] == 0)
			continue;
		bytes = put_blocks(s, worker * SIM_KINDS + kind,
		    blocks[kind], count[kind]);
		for (i = 0; i < SIM_WHYS; i++)
			s->nights[s->night].pages[i] += bytes *
			    sorts[kind][i] / count[kind];
	}
	return count[SIM_NEW] + count[SIM_RENEWED];
}

/* The file's map, joined as the program joins it. */
static void
make_runs(struct sim *s, const struct sim_file *f)
{
	const struct sim_frame *frame;
	uint32_t i;

	s->runs.n = 0;
	runs_begin(&s->runs);
	for (i = f->first; i < f->first + f->n; i++) {
		frame = &s->frames[s->frame[i]];
		runs_add(&s->runs, &(struct map_run){ 1, frame->pack,
			frame->number, s->place[i] });
	}
}

/* Packs become places in the map's own list, as entries.c does it. */
static uint32_t
list_packs(struct sim *s, struct map_run *runs, uint32_t n,
    struct pack_id *ids)
{
	uint32_t count = 0, i;
	struct sim_pack *p;

	s->stamp++;
	for (i = 0; i < n; i++) {
		p = &s->packs[runs[i].pack];
		if (p->stamp != s->stamp) {
			p->stamp = s->stamp;
			p->index = count;
			ids[count++] = p->id;
		}
		runs[i].pack = p->index;
	}
	return count;
}

static uint32_t
compressed(struct sim *s, const struct buf *b)
{
	size_t cap = ZSTD_compressBound(b->len), len;
	void *out = xmalloc(cap);

	len = ZSTD_compressCCtx(s->compressor, out, cap, b->data, b->len, 3);
	free(out);
	if (ZSTD_isError(len))
		abort();
	return (uint32_t)len;
}

/* A file's map is written when the file or the map's pack asks for it. */
static void
put_map(struct sim *s, struct sim_file *f, bool dirty)
{
	struct sim_night *night = &s->nights[s->night];
	struct map_run *runs;
	struct pack_id *ids;
	uint32_t n, i, part, stored;

	for (i = 0; i < f->n_maps; i++)
		dirty = dirty || s->packs[s->frames[f->maps[i]].pack].condemned;
	night->maps += LINE_BYTES;
	if (!dirty)
		return;
	for (i = 0; i < f->n_maps; i++)
		release(s, f->maps[i], s->frames[f->maps[i]].live);
	make_runs(s, f);
	runs = s->runs.list;
	n = f->n_runs = s->runs.n;
	f->n_maps = 0;
	if (n > MANIFEST_INLINE_RUNS) {
		f->maps = xreallocarray(f->maps, n / MAP_FRAME_RUNS + 1,
		    sizeof(*f->maps));
		ids = xcalloc(n, sizeof(*ids));
		for (i = 0; i < n; i += part) {
			part = n - i < MAP_FRAME_RUNS ? n - i :
							MAP_FRAME_RUNS;
			buf_clear(&s->map);
			map_encode(ids, list_packs(s, runs + i, part, ids),
			    runs + i, part, &s->map);
			stored = compressed(s, &s->map);
			night->maps += stored + FRAME_OVERHEAD;
			f->maps[f->n_maps++] = add_frame(s, SIM_WORKERS * SIM_KINDS,
			    (uint32_t)s->map.len, stored);
		}
		free(ids);
	}
}

static void
look_at_packs(struct sim *s, const struct renew_params *p)
{
	uint32_t i;

	for (i = s->first_alive; i < s->n_packs; i++) {
		struct sim_pack *pack = &s->packs[i];

		if (pack->live == 0)
			continue;
		pack->condemned = renew_pack_condemned(p, &pack->id,
		    pack->plain, pack->live, true);
		pack->made = renew_made(p, &pack->id);
	}
}

/* Large files in stretches, small ones together, workers in turn. */
static void
copy_all(struct sim *s, const struct renew_params *p)
{
	uint32_t i, at, n, task = 0, batch = 0;
	bool dirty;

	for (i = 0; i < s->n_files; i++) {
		struct sim_file *f = &s->files[i];

		dirty = false;
		if (f->n > BATCH_BLOCKS)
			batch = 0;
		for (at = 0; at < f->n; at += n) {
			n = f->n - at < TASK_BLOCKS ? f->n - at :
						      TASK_BLOCKS;
			if (batch == 0 || batch + n > BATCH_BLOCKS) {
				task++;
				batch = 0;
			}
			batch = f->n > BATCH_BLOCKS ? 0 : batch + n;
			dirty |= copy_stretch(s, p, task % SIM_WORKERS, f, at,
			    n) > 0;
		}
		put_map(s, f, dirty);
	}
}

static void
account(struct sim *s)
{
	struct sim_night *night = &s->nights[s->night];
	uint32_t i;

	for (i = s->first_alive; i < s->n_packs; i++) {
		struct sim_pack *p = &s->packs[i];

		if (p->live > 0)
			p->last = s->night;
		if (p->last + (int)s->window < s->night) {
			if (i == s->first_alive)
				s->first_alive++;
			continue;
		}
		night->repository += p->stored;
		if (p->live > 0)
			night->current += p->stored;
		if (p->live > 0 &&
		    (uint64_t)(s->night - p->night) > night->max_age)
			night->max_age = (uint64_t)(s->night - p->night);
	}
	for (i = 0; i < s->n_files; i++) {
		night->runs += s->files[i].n_runs;
		if (s->files[i].n_runs > night->max_runs)
			night->max_runs = s->files[i].n_runs;
	}
}

/* What a restore reads for what it needs: a frame is read whole. */
static double
amplification(const struct sim *s)
{
	double read = 0, needed = 0;
	const struct sim_frame *f;
	uint32_t i;

	for (i = 0; i < s->n_frames; i++) {
		f = &s->frames[i];
		if (f->live == 0)
			continue;
		read += f->stored;
		needed += (double)f->stored * f->live / f->plain;
	}
	return read / needed;
}

void
sim_run_night(struct sim *s)
{
	struct renew_params p;
	unsigned i;

	renew_init(&p, night_time(s->night), night_time(s->night - 1),
	    (uint64_t)s->policy.age_days * 86400000);
	p.condemn_below = s->policy.below;
	p.condemn_spread = s->policy.below / 3;
	p.young = s->policy.young;
	p.settle_days = s->policy.settle_days;
	for (i = 0; i <= SIM_WORKERS * SIM_KINDS; i++)
		s->workers[i].open = false;
	if (s->night > 0) {
		sim_change_pages(s);
		look_at_packs(s, &p);
	}
	copy_all(s, &p);
	account(s);
	if (s->night % LOOK_NIGHTS == LOOK_NIGHTS - 1)
		s->nights[s->night].amplification = amplification(s);
	s->night++;
}

void
sim_init(struct sim *s, const struct sim_policy *policy,
    const struct sim_load *load, unsigned mib, unsigned nights)
{
	memset(s, 0, sizeof(*s));
	s->policy = *policy;
	s->load = *load;
	s->blocks = mib * ((1u << 20) / SIM_BLOCK);
	s->random = UINT64_C(88172645463325252);
	s->window = 30;
	s->frame = xcalloc(s->blocks, sizeof(*s->frame));
	s->place = xcalloc(s->blocks, sizeof(*s->place));
	s->changed = xcalloc(s->blocks, sizeof(*s->changed));
	s->nights = xcalloc(nights, sizeof(*s->nights));
	s->compressor = ZSTD_createCCtx();
	buf_init(&s->map, FORMAT_FRAME_PLAIN_MAX);
	sim_make_files(s);
}

void
sim_free(struct sim *s)
{
	uint32_t i;

	for (i = 0; i < s->n_files; i++)
		free(s->files[i].maps);
	free(s->files);
	free(s->frame);
	free(s->place);
	free(s->changed);
	free(s->frames);
	free(s->packs);
	free(s->nights);
	ZSTD_freeCCtx(s->compressor);
	free(s->runs.list);
	buf_free(&s->map);
}
