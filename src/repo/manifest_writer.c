/* SPDX-License-Identifier: PostgreSQL */
/*
 * Lines are gathered into frames of up to 1 MiB, frames into parts. The lines
 * of files are printed here rather than by a JSON library: there may be a
 * million, and all that is in them is ASCII by then.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "repo/hash.h"
#include "repo/manifest.h"
#include "repo/manifest_names.h"
#include "repo/object.h"
#include "core/sha256.h"

#define PART_TARGET ((size_t)8 << 20)
#define PART_MAX (PART_TARGET + ((size_t)4 << 20))
#define LEVEL 3

struct manifest_writer {
	struct repo *repo;
	struct incarnation inc;
	char label[FORMAT_LABEL_MAX];
	enum repo_kind kind;
	uint32_t generation;
	struct frame_codec *codec;
	struct object_writer object; /* the part being filled */
	struct buf text; /* of the frame being filled: whole lines */
	struct buf line;
	struct manifest_part *parts;
	size_t n_parts;
	uint64_t stored;
	/* packs: those from n_told on have no `pack` line yet */
	struct pack_id *packs;
	uint32_t n_packs, cap_packs, n_told;
	uint32_t *table; /* hash table of index + 1; 0 is free */
	uint32_t table_size;
	/* order and totals */
	int rank;
	bool open; /* a part has begun */
	struct buf last_path;
	uint64_t files, bytes;
	bool finished;
};

static int
begin_part(struct manifest_writer *w, struct err *err)
{
	struct object_header h;

	memset(&h, 0, sizeof(h));
	h.type = OBJECT_MANIFEST;
	memcpy(h.repository_id, w->repo->id, sizeof(h.repository_id));
	h.system_id = w->inc.system_id;
	h.part = (uint32_t)w->n_parts;
	h.generation = w->generation;
	(void)snprintf(h.name, sizeof(h.name), "%s", w->label);
	w->open = true;
	return object_writer_begin(&w->object, &h, w->repo->attempt, err);
}

static int
end_part(struct manifest_writer *w, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct manifest_part *part;

	if (w->n_parts >= MANIFEST_PARTS_MAX)
		return err_set(err, ERR_REFUSED,
		    "the manifest has more than %d parts", MANIFEST_PARTS_MAX);
	if (object_writer_finish(&w->object, err) != 0)
		return -1;
	w->parts = xreallocarray(w->parts, w->n_parts + 1, sizeof(*w->parts));
	part = &w->parts[w->n_parts];
	part->size = w->object.bytes.len;
	if (sha256(w->object.bytes.data, w->object.bytes.len, part->sha256,
		err) != 0)
		return -1;
	manifest_part_generation_key(&w->inc, w->kind, w->label, w->n_parts,
	    w->generation, key);
	if (storage_put(w->repo->st, key, w->object.bytes.data,
		w->object.bytes.len, err) != 0)
		return -1;
	w->n_parts++;
	w->stored += part->size;
	w->open = false;
	return 0;
}

static int
end_frame(struct manifest_writer *w, struct err *err)
{
	struct frame_header h = { .type = FRAME_MANIFEST };

	if (w->text.len == 0)
		return 0;
	if (!w->open && begin_part(w, err) != 0)
		return -1;
	if (object_writer_add(&w->object, w->codec, &h, w->text.data,
		w->text.len, err) != 0)
		return -1;
	buf_clear(&w->text);
	if (object_writer_size(&w->object) >= PART_TARGET)
		return end_part(w, err);
	return 0;
}

/* Put w->line (with its line feed) where it belongs. */
static int
end_line(struct manifest_writer *w, struct err *err)
{
	buf_add_byte(&w->line, '\n');
	if (buf_check(&w->line, "a line of the manifest", err) != 0)
		return -1;
	if (w->text.len + w->line.len > FORMAT_FRAME_PLAIN_MAX &&
	    end_frame(w, err) != 0)
		return -1;
	buf_add(&w->text, w->line.data, w->line.len);
	buf_clear(&w->line);
	return buf_check(&w->text, "the manifest", err);
}

static struct manifest_writer *
writer_new(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label)
{
	struct manifest_writer *w = xcalloc(1, sizeof(*w));

	w->repo = repo;
	w->kind = kind;
	w->inc = *inc;
	(void)snprintf(w->label, sizeof(w->label), "%s", label);
	w->codec = frame_codec_new(LEVEL);
	buf_init(&w->object.bytes, PART_MAX);
	buf_init(&w->text, FORMAT_FRAME_PLAIN_MAX);
	buf_init(&w->line, MANIFEST_LINE_MAX);
	buf_init(&w->last_path, FORMAT_PATH_MAX);
	return w;
}

static int
end_head(struct manifest_writer *w, struct manifest_writer **out,
    struct err *err)
{
	if (end_line(w, err) != 0) {
		manifest_writer_free(w);
		return -1;
	}
	*out = w;
	return 0;
}

int
manifest_writer_new(struct manifest_writer **out, struct repo *repo,
    const struct incarnation *inc, const char *label, uint32_t block_size,
    struct err *err)
{
	struct manifest_writer *w = writer_new(repo, inc, REPO_BACKUP, label);

	buf_printf(&w->line,
	    "{\"type\":\"manifest\",\"version\":%d,\"label\":\"%s\","
	    "\"block_size\":%u}", FORMAT_VERSION, w->label, block_size);
	return end_head(w, out, err);
}

int
manifest_writer_new_dump(struct manifest_writer **out, struct repo *repo,
    const struct incarnation *inc, const char *label, struct err *err)
{
	struct manifest_writer *w = writer_new(repo, inc, REPO_DUMP, label);

	buf_printf(&w->line,
	    "{\"type\":\"manifest\",\"version\":%d,\"label\":\"%s\","
	    "\"kind\":\"dump\"}", FORMAT_VERSION, w->label);
	return end_head(w, out, err);
}

void
manifest_writer_generation(struct manifest_writer *w, uint32_t generation)
{
	w->generation = generation; /* no part has begun: the header says it */
}

static uint32_t
slot_of(const struct manifest_writer *w, const struct pack_id *id)
{
	uint64_t h = hash_64(id->label, strlen(id->label),
	    (uint64_t)id->attempt << 32 | id->number);
	uint32_t slot = (uint32_t)h & (w->table_size - 1);
	const struct pack_id *p;

	for (; w->table[slot] != 0; slot = (slot + 1) & (w->table_size - 1)) {
		p = &w->packs[w->table[slot] - 1];
		if (p->number == id->number && p->attempt == id->attempt &&
		    strcmp(p->label, id->label) == 0)
			break;
	}
	return slot;
}

/* Keep the table at most half full. */
static void
grow_table(struct manifest_writer *w)
{
	uint32_t i;

	if (w->n_packs < w->table_size / 2)
		return;
	w->table_size = w->table_size == 0 ? 256 : 2 * w->table_size;
	free(w->table);
	w->table = xcalloc(w->table_size, sizeof(*w->table));
	for (i = 0; i < w->n_packs; i++)
		w->table[slot_of(w, &w->packs[i])] = i + 1;
}

uint32_t
manifest_writer_pack(struct manifest_writer *w, const struct pack_id *id)
{
	uint32_t slot;

	grow_table(w);
	slot = slot_of(w, id);
	if (w->table[slot] != 0)
		return w->table[slot] - 1;
	if (w->n_packs == w->cap_packs) {
		w->cap_packs = w->cap_packs == 0 ? 64 : 2 * w->cap_packs;
		w->packs = xreallocarray(w->packs, w->cap_packs,
		    sizeof(*w->packs));
	}
	w->packs[w->n_packs] = *id;
	w->table[slot] = ++w->n_packs;
	return w->n_packs - 1;
}

/* `pack` lines that are due. */
static int
tell_packs(struct manifest_writer *w, struct err *err)
{
	const struct pack_id *p;

	for (; w->n_told < w->n_packs; w->n_told++) {
		p = &w->packs[w->n_told];
		buf_printf(&w->line, "{\"type\":\"pack\",\"index\":%u,"
		    "\"label\":\"%s\",\"attempt\":%u,\"number\":%u}",
		    w->n_told, p->label, p->attempt, p->number);
		if (end_line(w, err) != 0)
			return -1;
	}
	return 0;
}

static void
add_escaped(struct manifest_writer *w, const char *name, const char *value,
    size_t len)
{
	buf_printf(&w->line, ",\"%s\":\"", name);
	text_escape(&w->line, value, len);
	buf_add_byte(&w->line, '"');
}

static void
add_text(struct manifest_writer *w, const char *name, const char *value)
{
	add_escaped(w, name, value, strlen(value));
}

static void
add_runs(struct manifest_writer *w, const struct manifest_entry *e)
{
	size_t i;

	buf_add_str(&w->line, e->n_map > 0 ? ",\"map\":[" : ",\"runs\":[");
	for (i = 0; i < e->n_map; i++)
		buf_printf(&w->line, "%s[%u,%u]", i == 0 ? "" : ",",
		    e->map[i].pack, e->map[i].frame);
	for (i = 0; i < e->n_runs; i++) {
		const struct map_run *r = &e->runs[i];

		if (r->pack == MAP_PACK_ZEROS)
			buf_printf(&w->line, "%s[%" PRIu64 ",-1,0,0]",
			    i == 0 ? "" : ",", r->blocks);
		else
			buf_printf(&w->line, "%s[%" PRIu64 ",%u,%u,%u]",
			    i == 0 ? "" : ",", r->blocks, r->pack, r->frame,
			    r->block);
	}
	buf_add_byte(&w->line, ']');
}

static void
add_file(struct manifest_writer *w, const struct manifest_entry *e)
{
	buf_printf(&w->line,
	    ",\"size\":%" PRIu64 ",\"mode\":\"%o\",\"mtime\":%" PRId64
	    ",\"crc\":\"%08x\"", e->size, e->mode & 07777, e->mtime, e->crc);
	add_runs(w, e);
	w->files++;
	w->bytes += e->size;
}

static void
add_chunks(struct manifest_writer *w, const struct manifest_entry *e)
{
	char hash[2 * DUMP_CHUNK_HASH_SIZE + 1];
	size_t i;

	if (e->n_map > 0) {
		buf_add_str(&w->line, ",\"lists\":[");
		for (i = 0; i < e->n_map; i++)
			buf_printf(&w->line, "%s[%u,%u]", i == 0 ? "" : ",",
			    e->map[i].pack, e->map[i].frame);
	} else {
		buf_add_str(&w->line, ",\"chunks\":[");
		for (i = 0; i < e->n_chunks; i++) {
			const struct dump_chunk *c = &e->chunks[i];

			text_hex(c->hash, sizeof(c->hash), hash);
			buf_printf(&w->line, "%s[%u,%u,%u,%u,\"%s\",\"%08x\"]",
			    i == 0 ? "" : ",", c->pack, c->frame, c->bytes,
			    c->rows, hash, c->crc);
		}
	}
	buf_add_byte(&w->line, ']');
}

static void
add_data(struct manifest_writer *w, const struct manifest_entry *e)
{
	buf_printf(&w->line, ",\"size\":%" PRIu64 ",\"crc\":\"%08x\","
	    "\"rows\":%" PRIu64 ",\"dump_id\":%u,\"oid\":%u", e->size,
	    e->crc, e->rows, e->dump_id, e->oid);
	add_chunks(w, e);
	w->files++;
	w->bytes += e->size;
}

static void
add_members(struct manifest_writer *w, const struct manifest_entry *e)
{
	switch (e->type) {
	case MANIFEST_TABLESPACE:
		buf_printf(&w->line, ",\"oid\":%u", e->oid);
		add_text(w, "path", e->target);
		break;
	case MANIFEST_DIR:
		add_text(w, "path", e->path);
		buf_printf(&w->line, ",\"mode\":\"%o\"", e->mode & 07777);
		break;
	case MANIFEST_LINK:
		add_text(w, "path", e->path);
		add_text(w, "target", e->target);
		break;
	case MANIFEST_CONFIG:
		add_text(w, "path", e->path);
		add_text(w, "origin", e->target);
		add_text(w, "setting", e->setting);
		add_file(w, e);
		break;
	case MANIFEST_DATA:
		add_text(w, "path", e->path);
		add_data(w, e);
		break;
	case MANIFEST_FILE:
	case MANIFEST_CONTROL:
		add_text(w, "path", e->path);
		add_file(w, e);
		break;
	case MANIFEST_BACKUP_LABEL:
	case MANIFEST_TABLESPACE_MAP:
		add_escaped(w, "data", e->data, e->data_len);
		break;
	case MANIFEST_SETTING:
		add_text(w, "name", e->path);
		add_escaped(w, "value", e->data, e->data_len);
		break;
	default:
		break;
	}
}

/* A reader relies on the order, so it is not left to the caller's care. */
static int
check_order(struct manifest_writer *w, const struct manifest_entry *e,
    struct err *err)
{
	int rank = manifest_rank(e->type);

	if (e->type == MANIFEST_HEAD || e->type == MANIFEST_END ||
	    (e->type == MANIFEST_DATA) != (w->kind == REPO_DUMP) ||
	    w->finished || rank < w->rank)
		return err_set(err, ERR_BUG,
		    "manifest: a line of type %s is out of order",
		    manifest_type_name(e->type));
	if (rank == RANK_PATHS && w->rank == RANK_PATHS &&
	    strcmp(buf_str(&w->last_path), e->path) >= 0)
		return err_set(err, ERR_BUG,
		    "manifest: '%s' comes after '%s'", e->path,
		    buf_str(&w->last_path));
	w->rank = rank;
	if (rank == RANK_PATHS) {
		buf_clear(&w->last_path);
		buf_add_str(&w->last_path, e->path);
	}
	return buf_check(&w->last_path, "a path", err);
}

static int
check_runs(const struct manifest_writer *w, const struct manifest_entry *e,
    struct err *err)
{
	size_t i, k, c;

	if (e->n_runs > MANIFEST_INLINE_RUNS ||
	    e->n_chunks > MANIFEST_INLINE_CHUNKS ||
	    (e->n_runs + e->n_chunks > 0 && e->n_map > 0) ||
	    (e->size > 0) != (e->n_runs + e->n_chunks + e->n_map > 0))
		return err_set(err, ERR_BUG, "manifest: %s of %" PRIu64
		    " bytes has %zu runs, %zu chunks and %zu map frames",
		    e->path, e->size, e->n_runs, e->n_chunks, e->n_map);
	/* What could not be read back must not become a dump. */
	if (e->type == MANIFEST_DATA && e->n_map > MANIFEST_LISTS_MAX)
		return err_set(err, ERR_REFUSED, "%s has %zu chunk lists, "
		    "%d at most can be stored", e->path, e->n_map,
		    MANIFEST_LISTS_MAX);
	for (i = 0; i < e->n_runs; i++)
		if (e->runs[i].pack >= w->n_packs &&
		    e->runs[i].pack != MAP_PACK_ZEROS)
			break;
	for (k = 0; k < e->n_map && e->map[k].pack < w->n_packs; k++)
		;
	for (c = 0; c < e->n_chunks && e->chunks[c].pack < w->n_packs; c++)
		;
	if (i < e->n_runs || k < e->n_map || c < e->n_chunks)
		return err_set(err, ERR_BUG,
		    "manifest: %s is in a pack that was not named", e->path);
	return 0;
}

int
manifest_writer_add(struct manifest_writer *w,
    const struct manifest_entry *entry, struct err *err)
{
	if (check_order(w, entry, err) != 0)
		return -1;
	if (entry->type == MANIFEST_FILE || entry->type == MANIFEST_CONFIG ||
	    entry->type == MANIFEST_CONTROL || entry->type == MANIFEST_DATA) {
		if (check_runs(w, entry, err) != 0 || tell_packs(w, err) != 0)
			return -1;
	}
	buf_printf(&w->line, "{\"type\":\"%s\"",
	    manifest_type_name(entry->type));
	add_members(w, entry);
	buf_add_byte(&w->line, '}');
	if (end_line(w, err) == 0)
		return 0;
	if (entry->path != NULL)
		return err_wrap(err, "%s", entry->path);
	return -1;
}

int
manifest_writer_finish(struct manifest_writer *w,
    const struct manifest_part **parts, size_t *n_parts, struct err *err)
{
	buf_printf(&w->line, "{\"type\":\"end\",\"files\":%" PRIu64
	    ",\"bytes\":%" PRIu64 "}", w->files, w->bytes);
	if (tell_packs(w, err) != 0 || end_line(w, err) != 0 ||
	    end_frame(w, err) != 0 ||
	    (w->open && end_part(w, err) != 0))
		return -1;
	w->finished = true;
	*parts = w->parts;
	*n_parts = w->n_parts;
	return 0;
}

uint64_t
manifest_writer_stored(const struct manifest_writer *w)
{
	return w->stored;
}

void
manifest_writer_free(struct manifest_writer *w)
{
	if (w == NULL)
		return;
	frame_codec_free(w->codec);
	object_writer_free(&w->object);
	buf_free(&w->text);
	buf_free(&w->line);
	buf_free(&w->last_path);
	free(w->parts);
	free(w->packs);
	free(w->table);
	free(w);
}
