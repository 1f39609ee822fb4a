/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/crc32c.h"
#include "core/mem.h"
#include "core/time.h"

/* A run takes up to 25 bytes, a pack 50: less than 1 MiB in one map frame. */
#define MAP_FRAME_RUNS 12288
#define MEMORY_MAX ((size_t)16 << 20)

int
entries_init(struct entries *e, struct manifest_writer *manifest,
    struct pack_shared *shared, const struct pack_table *foreign, int level,
    struct err *err)
{
	memset(e, 0, sizeof(*e));
	e->manifest = manifest;
	e->shared = shared;
	e->foreign = foreign;
	if (foreign != NULL)
		e->others = xcalloc(foreign->n + 1, sizeof(*e->others));
	buf_init(&e->map, FORMAT_FRAME_PLAIN_MAX);
	return pack_writer_new(&e->writer, shared, level, err);
}

void
entries_free(struct entries *e)
{
	pack_writer_free(e->writer);
	buf_free(&e->map);
	free(e->own);
	free(e->others);
	memset(e, 0, sizeof(*e));
}

static struct entries_pack *
pack_of(struct entries *e, uint32_t pack)
{
	size_t n = e->n_own;

	if (pack >= ENTRIES_FOREIGN)
		return &e->others[pack - ENTRIES_FOREIGN];
	if (pack >= n) {
		n = (size_t)pack + pack / 2 + 64;
		e->own = xreallocarray(e->own, n, sizeof(*e->own));
		memset(e->own + e->n_own, 0,
		    (n - e->n_own) * sizeof(*e->own));
		e->n_own = n;
	}
	return &e->own[pack];
}

static void
pack_name(const struct entries *e, uint32_t pack, struct pack_id *id)
{
	if (pack >= ENTRIES_FOREIGN) {
		*id = e->foreign->list[pack - ENTRIES_FOREIGN].id;
		return;
	}
	memset(id, 0, sizeof(*id));
	memcpy(id->label, e->shared->label, sizeof(id->label));
	id->attempt = e->shared->attempt;
	id->number = pack;
}

/* The manifest's index of a pack, which gets `bytes` more of use. */
static uint32_t
use_pack(struct entries *e, uint32_t pack, uint64_t bytes)
{
	struct entries_pack *p = pack_of(e, pack);
	struct pack_id id;

	if (p->index == 0) {
		pack_name(e, pack, &id);
		p->index = manifest_writer_pack(e->manifest, &id) + 1;
	}
	p->live += bytes;
	return p->index - 1;
}

uint64_t
entries_live(const struct entries *e, uint32_t number)
{
	return number < e->n_own ? e->own[number].live : 0;
}

uint64_t
entries_live_foreign(const struct entries *e, uint32_t index)
{
	return e->others[index].live;
}

/* One map frame of up to MAP_FRAME_RUNS runs, whose packs become a list. */
static int
put_map(struct entries *e, struct map_run *runs, size_t n,
    struct map_run *out, struct err *err)
{
	struct pack_id *packs = xcalloc(n, sizeof(*packs));
	struct entries_pack *p;
	struct frame_ref ref;
	uint32_t n_packs = 0;
	size_t i;
	int rc;

	e->maps++;
	for (i = 0; i < n; i++) {
		if (runs[i].pack == MAP_PACK_ZEROS)
			continue;
		p = pack_of(e, runs[i].pack);
		if (p->map != e->maps) {
			p->map = e->maps;
			p->local = n_packs;
			pack_name(e, runs[i].pack, &packs[n_packs++]);
		}
		runs[i].pack = p->local;
	}
	buf_clear(&e->map);
	map_encode(packs, n_packs, runs, (uint32_t)n, &e->map);
	free(packs);
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
write_line(struct entries *e, const struct manifest_entry *line,
    struct err *err)
{
	if (e->keep == NULL)
		return manifest_writer_add(e->manifest, line, err);
	linestore_add(e->keep, line);
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
		rc = write_line(e, line, err);
	free(map);
	return rc;
}

/* Refer to the map frames that another backup wrote. */
static int
refer_to_map(struct entries *e, struct manifest_entry *line,
    const struct map_run *map, size_t n_map, struct err *err)
{
	struct map_run *refs = xcalloc(n_map, sizeof(*refs));
	size_t i;
	int rc;

	for (i = 0; i < n_map; i++) {
		refs[i].frame = map[i].frame;
		refs[i].pack = use_pack(e, ENTRIES_FOREIGN + map[i].pack,
		    map[i].blocks);
	}
	line->map = refs;
	line->n_map = n_map;
	rc = write_line(e, line, err);
	free(refs);
	return rc;
}

int
entries_add_file(struct entries *e, struct manifest_entry *line,
    struct map_run *runs, size_t n_runs, const struct map_run *map,
    size_t n_map, struct err *err)
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
		if (runs[i].pack == MAP_PACK_ZEROS)
			continue;
		index = use_pack(e, runs[i].pack, bytes);
		if (n_runs <= MANIFEST_INLINE_RUNS)
			runs[i].pack = index;
	}
	if (n_runs > MANIFEST_INLINE_RUNS)
		return n_map > 0 ? refer_to_map(e, line, map, n_map, err) :
				   put_long_map(e, line, runs, n_runs, err);
	line->runs = runs;
	line->n_runs = n_runs;
	return write_line(e, line, err);
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
	return entries_add_file(e, line, runs, n, NULL, 0, err);
}

void
entries_line_times(struct manifest_entry *line, const struct stat *st)
{
	line->mode = st->st_mode & 07777;
	line->mtime = time_from_unix(st->st_mtim.tv_sec) +
	    st->st_mtim.tv_nsec / 1000;
}
