/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/mem.h"

/* A run takes up to 25 bytes, a pack 50: less than 1 MiB in one map frame. */
#define MAP_FRAME_RUNS 12288
#define MEMORY_MAX ((size_t)16 << 20)

int
entries_init(struct entries *e, struct manifest_writer *manifest,
    struct pack_shared *shared, int level, struct err *err)
{
	memset(e, 0, sizeof(*e));
	e->manifest = manifest;
	e->shared = shared;
	buf_init(&e->map, FORMAT_FRAME_PLAIN_MAX);
	return pack_writer_new(&e->writer, shared, level, err);
}

void
entries_free(struct entries *e)
{
	pack_writer_free(e->writer);
	buf_free(&e->map);
	free(e->index);
	free(e->live);
	memset(e, 0, sizeof(*e));
}

static void
pack_name(const struct entries *e, uint32_t number, struct pack_id *id)
{
	memset(id, 0, sizeof(*id));
	memcpy(id->label, e->shared->label, sizeof(id->label));
	id->attempt = e->shared->attempt;
	id->number = number;
}

/* The manifest's index of a pack, which gets `bytes` more of use. */
static uint32_t
use_pack(struct entries *e, uint32_t number, uint64_t bytes)
{
	struct pack_id id;
	size_t n = e->n_packs;

	if (number >= n) {
		n = (size_t)number + number / 2 + 64;
		e->index = xreallocarray(e->index, n, sizeof(*e->index));
		e->live = xreallocarray(e->live, n, sizeof(*e->live));
		memset(e->index + e->n_packs, 0,
		    (n - e->n_packs) * sizeof(*e->index));
		memset(e->live + e->n_packs, 0,
		    (n - e->n_packs) * sizeof(*e->live));
		e->n_packs = n;
	}
	if (e->index[number] == 0) {
		pack_name(e, number, &id);
		e->index[number] = manifest_writer_pack(e->manifest, &id) + 1;
	}
	e->live[number] += bytes;
	return e->index[number] - 1;
}

uint64_t
entries_live(const struct entries *e, uint32_t number)
{
	return number < e->n_packs ? e->live[number] : 0;
}

/* One map frame of up to MAP_FRAME_RUNS runs, whose packs become a list. */
static int
put_map(struct entries *e, struct map_run *runs, size_t n,
    struct map_run *out, struct err *err)
{
	struct pack_id *packs = xmalloc(n * sizeof(*packs));
	uint32_t *numbers = xmalloc(n * sizeof(*numbers));
	uint32_t n_packs = 0, j;
	struct frame_ref ref;
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		/* Runs of a range are from one worker: the last is likely. */
		for (j = n_packs; j > 0; j--)
			if (numbers[j - 1] == runs[i].pack)
				break;
		if (j == 0) {
			numbers[n_packs] = runs[i].pack;
			pack_name(e, runs[i].pack, &packs[n_packs++]);
			j = n_packs;
		}
		runs[i].pack = j - 1;
	}
	buf_clear(&e->map);
	map_encode(packs, n_packs, runs, (uint32_t)n, &e->map);
	free(packs);
	free(numbers);
	rc = buf_check(&e->map, "map", err);
	if (rc == 0)
		rc = pack_writer_add_map(e->writer, e->map.data, e->map.len,
		    &ref, err);
	if (rc != 0)
		return -1;
	*out = (struct map_run){ 0, use_pack(e, ref.pack, e->map.len),
		ref.frame, 0 };
	return 0;
}

static int
put_long_map(struct entries *e, struct manifest_entry *line,
    struct map_run *runs, size_t n_runs, struct err *err)
{
	size_t n_map = (n_runs + MAP_FRAME_RUNS - 1) / MAP_FRAME_RUNS, i, n;
	struct map_run *map = xmalloc(n_map * sizeof(*map));
	int rc = 0;

	for (i = 0; i < n_map && rc == 0; i++) {
		n = n_runs - i * MAP_FRAME_RUNS;
		if (n > MAP_FRAME_RUNS)
			n = MAP_FRAME_RUNS;
		rc = put_map(e, runs + i * MAP_FRAME_RUNS, n, &map[i], err);
	}
	line->map = map;
	line->n_map = n_map;
	if (rc == 0)
		rc = manifest_writer_add(e->manifest, line, err);
	free(map);
	return rc;
}

int
entries_add_file(struct entries *e, struct manifest_entry *line,
    struct map_run *runs, size_t n_runs, struct err *err)
{
	uint64_t left = line->size, bytes;
	uint32_t index;
	size_t i;

	e->files++;
	e->bytes += line->size;
	line->runs = NULL;
	line->n_runs = 0;
	line->map = NULL;
	line->n_map = 0;
	for (i = 0; i < n_runs; i++) {
		bytes = runs[i].blocks * e->shared->block_size;
		if (bytes > left) /* the last block is as short as it is */
			bytes = left;
		left -= bytes;
		index = use_pack(e, runs[i].pack, bytes);
		if (n_runs <= MANIFEST_INLINE_RUNS)
			runs[i].pack = index;
	}
	if (n_runs > MANIFEST_INLINE_RUNS)
		return put_long_map(e, line, runs, n_runs, err);
	line->runs = runs;
	line->n_runs = n_runs;
	return manifest_writer_add(e->manifest, line, err);
}

int
entries_add_memory(struct entries *e, struct manifest_entry *line,
    const uint8_t *data, size_t len, struct err *err)
{
	struct map_run runs[MEMORY_MAX / FORMAT_FRAME_PLAIN_MAX];
	uint32_t bs = e->shared->block_size;
	size_t n = 0, off, piece;
	struct frame_ref ref;

	if (len > MEMORY_MAX)
		return err_set(err, ERR_REFUSED, "%s is larger than 16 MB",
		    line->path);
	for (off = 0; off < len; off += piece) {
		piece = len - off;
		if (piece > FORMAT_FRAME_PLAIN_MAX)
			piece = FORMAT_FRAME_PLAIN_MAX;
		if (pack_writer_add(e->writer, line->path, off / bs,
		    data + off, piece, NULL, &ref, err) != 0)
			return -1;
		runs[n++] = (struct map_run){ (piece + bs - 1) / bs, ref.pack,
			ref.frame, 0 };
	}
	line->size = len;
	line->crc = crc32c(data, len);
	return entries_add_file(e, line, runs, n, err);
}
