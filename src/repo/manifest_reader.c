/* SPDX-License-Identifier: PostgreSQL */
/*
 * One part is in memory at a time, one frame of it as text. Whatever the
 * lines say is checked: order, members, packs that were named before, and
 * the totals at the end, so that a manifest cut short is never complete.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "repo/json.h"
#include "repo/manifest.h"
#include "repo/manifest_names.h"
#include "repo/object.h"
#include "core/sha256.h"

#define MAP_FRAMES_MAX 4096
#define PACKS_MAX ((uint32_t)1 << 26)

struct manifest_reader {
	struct repo *repo;
	struct incarnation inc;
	char label[FORMAT_LABEL_MAX];
	enum repo_kind kind;
	struct manifest_part *parts;
	size_t n_parts;
	size_t part; /* the next one to read */
	struct buf bytes; /* the part at hand */
	struct object_reader object;
	uint32_t frame; /* the next one to decode */
	struct frame_codec *codec;
	struct buf text; /* the frame at hand */
	size_t pos;	 /* in text */
	struct json_reader line;
	uint64_t line_number;
	struct pack_id *packs;
	uint32_t n_packs, cap_packs;
	/* what entries point to */
	struct buf path, target, data;
	char setting[128];
	struct map_run *runs;
	size_t cap_runs;
	struct dump_chunk chunks[MANIFEST_INLINE_CHUNKS];
	/* order and totals */
	int rank; /* -1: before the first line */
	struct buf last_path;
	uint64_t files, bytes_seen;
	bool ended;
};

static int
open_kind(struct manifest_reader **out, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, const char *label,
    const struct manifest_part *parts, size_t n_parts, struct err *err)
{
	struct manifest_reader *r;

	if (n_parts == 0 || n_parts > MANIFEST_PARTS_MAX ||
	    !label_valid(label))
		return err_set(err, ERR_DAMAGED,
		    "%s: a manifest of %zu parts", label, n_parts);
	r = xcalloc(1, sizeof(*r));
	r->repo = repo;
	r->inc = *inc;
	r->kind = kind;
	memcpy(r->label, label, strlen(label) + 1);
	r->parts = xcalloc(n_parts, sizeof(*parts));
	memcpy(r->parts, parts, n_parts * sizeof(*parts));
	r->n_parts = n_parts;
	r->codec = frame_codec_new(1);
	r->rank = -1;
	buf_init(&r->bytes, STORAGE_OBJECT_MAX);
	buf_init(&r->text, FORMAT_FRAME_PLAIN_MAX);
	buf_init(&r->path, FORMAT_PATH_MAX);
	buf_init(&r->target, FORMAT_PATH_MAX);
	buf_init(&r->data, MANIFEST_LINE_MAX);
	buf_init(&r->last_path, FORMAT_PATH_MAX);
	*out = r;
	return 0;
}

int
manifest_reader_open(struct manifest_reader **out, struct repo *repo,
    const struct incarnation *inc, const char *label,
    const struct manifest_part *parts, size_t n_parts, struct err *err)
{
	return open_kind(out, repo, inc, REPO_BACKUP, label, parts, n_parts,
	    err);
}

int
manifest_reader_open_dump(struct manifest_reader **out, struct repo *repo,
    const struct incarnation *inc, const char *label,
    const struct manifest_part *parts, size_t n_parts, struct err *err)
{
	return open_kind(out, repo, inc, REPO_DUMP, label, parts, n_parts,
	    err);
}

void
manifest_reader_close(struct manifest_reader *r)
{
	if (r == NULL)
		return;
	object_reader_close(&r->object);
	frame_codec_free(r->codec);
	json_close(&r->line);
	buf_free(&r->bytes);
	buf_free(&r->text);
	buf_free(&r->path);
	buf_free(&r->target);
	buf_free(&r->data);
	buf_free(&r->last_path);
	free(r->parts);
	free(r->packs);
	free(r->runs);
	free(r);
}

/* One generation of the next part; key is its name. */
static int
read_part(struct manifest_reader *r, const char *key, struct err *err)
{
	const struct manifest_part *part = &r->parts[r->part];
	uint8_t sum[SHA256_SIZE];

	object_reader_close(&r->object);
	buf_clear(&r->bytes);
	if (storage_get_all(r->repo->st, key, &r->bytes, err) != 0)
		return -1;
	if (r->bytes.len != part->size)
		return err_set(err, ERR_DAMAGED,
		    "%s has %zu bytes, the commit says %llu", key,
		    r->bytes.len, (unsigned long long)part->size);
	if (sha256(r->bytes.data, r->bytes.len, sum, err) != 0)
		return -1;
	if (memcmp(sum, part->sha256, sizeof(sum)) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s has another SHA-256 than the commit says", key);
	if (object_reader_open_bytes(&r->object, r->repo, r->bytes.data, r->bytes.len,
		key, OBJECT_MANIFEST, r->inc.system_id, err) != 0)
		return -1;
	if (r->object.header.part != r->part ||
	    strcmp(r->object.header.name, r->label) != 0)
		return err_set(err, ERR_DAMAGED,
		    "%s is part %u of the manifest of %s", key,
		    r->object.header.part, r->object.header.name);
	return 0;
}

/*
 * Another generation of the next part, which the commit's SHA-256 tells: the
 * first one may be another attempt's, not there, or damaged (FORMAT.md, 2).
 */
static int
read_other(struct manifest_reader *r, struct err *err)
{
	struct manifest_stored stored[MANIFEST_GENERATIONS_MAX];
	char key[STORAGE_KEY_MAX];
	struct err why = ERR_INIT;
	size_t i, n;

	if (manifest_part_stored(r->repo, &r->inc, r->kind, r->label, r->part, stored,
		&n, &why) != 0) {
		*err = why;
		return -1;
	}
	for (i = n; i-- > 0;) {
		if (stored[i].generation == 0)
			continue;
		err_clear(&why);
		manifest_part_generation_key(&r->inc, r->kind, r->label, r->part,
		    stored[i].generation, key);
		if (read_part(r, key, &why) == 0)
			return 0;
		if (why.code != ERR_NOT_FOUND && why.code != ERR_DAMAGED)
			*err = why;
	}
	return -1;
}

static int
next_part(struct manifest_reader *r, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	manifest_part_key(&r->inc, r->kind, r->label, r->part, key);
	if (read_part(r, key, err) != 0 &&
	    ((err->code != ERR_DAMAGED && err->code != ERR_NOT_FOUND) ||
		read_other(r, err) != 0))
		return -1;
	err_clear(err);
	r->part++;
	r->frame = 0;
	return 0;
}

int
manifest_reader_check(struct manifest_reader *r, struct err *err)
{
	while (r->part < r->n_parts)
		if (next_part(r, err) != 0)
			return err_wrap(err, "manifest of %s",
			    r->label);
	if (r->n_parts == 1)
		return 0; /* it is at hand */
	object_reader_close(&r->object); /* of no frames: the first is next */
	r->part = 0;
	return 0;
}

/* More text; 1, or 0 when there is none. */
static int
next_frame(struct manifest_reader *r, struct err *err)
{
	struct frame_header h;

	while (r->frame == r->object.n) {
		if (r->part == r->n_parts)
			return 0;
		if (next_part(r, err) != 0)
			return -1;
	}
	if (object_reader_frame(&r->object, r->codec, r->frame, &h, &r->text,
		err) != 0)
		return -1;
	if (h.type != FRAME_MANIFEST || r->text.len == 0 ||
	    r->text.data[r->text.len - 1] != '\n')
		return err_set(err, ERR_DAMAGED,
		    "%s: frame %u does not hold whole lines", r->object.key,
		    r->frame);
	r->frame++;
	r->pos = 0;
	return 1;
}

/* Parse the next line; 1, or 0 when there is none. */
static int
next_line(struct manifest_reader *r, struct err *err)
{
	const uint8_t *start, *end;
	int rc;

	if (r->pos == r->text.len) {
		rc = next_frame(r, err);
		if (rc != 1)
			return rc;
	}
	start = r->text.data + r->pos;
	end = memchr(start, '\n', r->text.len - r->pos);
	r->pos = (size_t)(end - r->text.data) + 1;
	r->line_number++;
	json_close(&r->line);
	if (json_open(&r->line, (const char *)start, (size_t)(end - start),
		err) != 0)
		return -1;
	return 1;
}

static int
add_pack(struct manifest_reader *r, struct err *err)
{
	struct json_reader *j = &r->line;
	struct pack_id *p;

	if (r->n_packs == r->cap_packs) {
		r->cap_packs = r->cap_packs == 0 ? 64 : 2 * r->cap_packs;
		r->packs = xreallocarray(r->packs, r->cap_packs,
		    sizeof(*r->packs));
	}
	p = &r->packs[r->n_packs];
	memset(p, 0, sizeof(*p));
	p->kind = r->kind;
	json_copy_text(j, j->root, "label", p->label, sizeof(p->label));
	p->attempt = (uint32_t)json_get_u64(j, j->root, "attempt", UINT32_MAX);
	p->number = (uint32_t)json_get_u64(j, j->root, "number", UINT32_MAX);
	if (!label_valid(p->label))
		json_note(j, "label");
	if (json_get_u64(j, j->root, "index", PACKS_MAX) != r->n_packs ||
	    r->rank < 0)
		json_note(j, "index");
	if (json_check(j, err) != 0)
		return -1;
	r->n_packs++;
	return 0;
}

static const char *
get_bytes(struct manifest_reader *r, const char *member, struct buf *b)
{
	struct json_reader *j = &r->line;

	buf_clear(b);
	if (!text_unescape(b, json_get_text(j, j->root, member)) ||
	    b->overflow)
		json_note(j, member);
	return buf_str(b);
}

/* The same for what is used as a string. */
static const char *
get_path(struct manifest_reader *r, const char *member, struct buf *b)
{
	const char *s = get_bytes(r, member, b);

	if (strlen(s) != b->len)
		json_note(&r->line, member);
	return s;
}

static uint32_t
get_mode(struct manifest_reader *r)
{
	struct json_reader *j = &r->line;
	const char *s = json_get_text(j, j->root, "mode");
	uint32_t mode = 0;
	size_t i;

	for (i = 0; s[i] >= '0' && s[i] <= '7' && i < 4; i++)
		mode = mode << 3 | (uint32_t)(s[i] - '0');
	if (i == 0 || s[i] != '\0')
		json_note(j, "mode");
	return mode;
}

static bool
parse_crc(const char *s, uint32_t *out)
{
	uint64_t crc = 0;

	if (s == NULL || strlen(s) != 8 || !text_hex_u64(s, 8, &crc))
		return false;
	*out = (uint32_t)crc;
	return true;
}

static uint32_t
get_crc(struct manifest_reader *r)
{
	uint32_t crc = 0;

	if (!parse_crc(json_get_text(&r->line, r->line.root, "crc"), &crc))
		json_note(&r->line, "crc");
	return crc;
}

/* Item i of a list of whole numbers; false when it is none up to max. */
static bool
item_u64(const json_t *list, size_t i, uint64_t max, uint64_t *out)
{
	const json_t *v = json_array_get(list, i);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

static bool
get_run(const struct manifest_reader *r, const json_t *item,
    struct map_run *run)
{
	uint64_t blocks, pack, frame, block;

	if (json_array_size(item) != 4 ||
	    !item_u64(item, 0, INT64_MAX, &blocks) || blocks == 0)
		return false;
	run->blocks = blocks;
	if (json_integer_value(json_array_get(item, 1)) == -1) {
		run->pack = MAP_PACK_ZEROS;
		run->frame = run->block = 0;
		return true;
	}
	if (!item_u64(item, 1, UINT32_MAX, &pack) || pack >= r->n_packs ||
	    !item_u64(item, 2, UINT32_MAX, &frame) ||
	    !item_u64(item, 3, FORMAT_FRAME_PLAIN_MAX, &block) ||
	    blocks > FORMAT_FRAME_PLAIN_MAX)
		return false;
	run->pack = (uint32_t)pack;
	run->frame = (uint32_t)frame;
	run->block = (uint32_t)block;
	return true;
}

static bool
get_map(const struct manifest_reader *r, const json_t *item,
    struct map_run *run)
{
	uint64_t pack, frame;

	if (json_array_size(item) != 2 ||
	    !item_u64(item, 0, UINT32_MAX, &pack) || pack >= r->n_packs ||
	    !item_u64(item, 1, UINT32_MAX, &frame))
		return false;
	memset(run, 0, sizeof(*run));
	run->pack = (uint32_t)pack;
	run->frame = (uint32_t)frame;
	return true;
}

static void
get_runs(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;
	bool map = json_object_get(j->root, "map") != NULL;
	const char *member = map ? "map" : "runs";
	const json_t *list;
	size_t i, n;

	list = json_get_list(j, j->root, member,
	    map ? MAP_FRAMES_MAX : MANIFEST_INLINE_RUNS);
	n = list == NULL ? 0 : json_array_size(list);
	if (n > r->cap_runs) {
		r->runs = xreallocarray(r->runs, n, sizeof(*r->runs));
		r->cap_runs = n;
	}
	for (i = 0; i < n; i++)
		if (!(map ? get_map : get_run)(r, json_array_get(list, i),
			&r->runs[i])) {
			json_note(j, member);
			return;
		}
	if ((e->size > 0) != (n > 0))
		json_note(j, member);
	if (map) {
		e->map = r->runs;
		e->n_map = n;
	} else {
		e->runs = r->runs;
		e->n_runs = n;
	}
}

static void
get_file(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;

	e->path = get_path(r, "path", &r->path);
	e->size = json_get_u64(j, j->root, "size", INT64_MAX);
	e->mode = get_mode(r);
	e->mtime = json_get_i64(j, j->root, "mtime");
	e->crc = get_crc(r);
	get_runs(r, e);
	r->files++;
	r->bytes_seen += e->size;
}

static bool
get_chunk(const struct manifest_reader *r, const json_t *item,
    struct dump_chunk *c)
{
	uint64_t pack, frame, bytes, rows;
	const char *hash;

	if (json_array_size(item) != 6 ||
	    !item_u64(item, 0, UINT32_MAX, &pack) || pack >= r->n_packs ||
	    !item_u64(item, 1, UINT32_MAX, &frame) ||
	    !item_u64(item, 2, FORMAT_FRAME_PLAIN_MAX, &bytes) || bytes == 0 ||
	    !item_u64(item, 3, FORMAT_FRAME_PLAIN_MAX, &rows))
		return false;
	c->pack = (uint32_t)pack;
	c->frame = (uint32_t)frame;
	c->bytes = (uint32_t)bytes;
	c->rows = (uint32_t)rows;
	hash = json_string_value(json_array_get(item, 4));
	return hash != NULL && strlen(hash) == 2 * sizeof(c->hash) &&
	    text_unhex(hash, c->hash, sizeof(c->hash)) &&
	    parse_crc(json_string_value(json_array_get(item, 5)), &c->crc);
}

static void
get_chunks(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;
	const json_t *list = json_get_list(j, j->root, "chunks",
	    MANIFEST_INLINE_CHUNKS);
	size_t i, n = list == NULL ? 0 : json_array_size(list);
	uint64_t bytes = 0, rows = 0;

	for (i = 0; i < n; i++) {
		if (!get_chunk(r, json_array_get(list, i), &r->chunks[i])) {
			json_note(j, "chunks");
			return;
		}
		bytes += r->chunks[i].bytes;
		rows += r->chunks[i].rows;
	}
	if (bytes != e->size || rows != e->rows)
		json_note(j, "chunks");
	e->chunks = r->chunks;
	e->n_chunks = n;
}

static void
get_lists(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;
	const json_t *list = json_get_list(j, j->root, "lists",
	    MANIFEST_LISTS_MAX);
	size_t i, n = list == NULL ? 0 : json_array_size(list);

	if (n > r->cap_runs) {
		r->runs = xreallocarray(r->runs, n, sizeof(*r->runs));
		r->cap_runs = n;
	}
	for (i = 0; i < n; i++)
		if (!get_map(r, json_array_get(list, i), &r->runs[i])) {
			json_note(j, "lists");
			return;
		}
	if (n == 0 || e->size == 0)
		json_note(j, "lists");
	e->map = r->runs;
	e->n_map = n;
}

static void
get_data(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;

	e->path = get_path(r, "path", &r->path);
	e->size = json_get_u64(j, j->root, "size", INT64_MAX);
	e->crc = get_crc(r);
	e->rows = json_get_u64(j, j->root, "rows", INT64_MAX);
	e->dump_id = (uint32_t)json_get_u64(j, j->root, "dump_id", UINT32_MAX);
	e->oid = (uint32_t)json_get_u64(j, j->root, "oid", UINT32_MAX);
	if (json_object_get(j->root, "lists") != NULL)
		get_lists(r, e);
	else
		get_chunks(r, e);
	r->files++;
	r->bytes_seen += e->size;
}

static void
get_head(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;

	if (strcmp(json_get_text(j, j->root, "label"), r->label) != 0)
		json_note(j, "label");
	if (r->kind == REPO_DUMP) {
		if (strcmp(json_get_text(j, j->root, "kind"), "dump") != 0)
			json_note(j, "kind");
		return;
	}
	e->block_size = (uint32_t)json_get_u64(j, j->root, "block_size",
	    FORMAT_FRAME_PLAIN_MAX);
	if (e->block_size == 0)
		json_note(j, "block_size");
}

static void
get_end(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;

	e->files = json_get_u64(j, j->root, "files", INT64_MAX);
	e->bytes = json_get_u64(j, j->root, "bytes", INT64_MAX);
	if (e->files != r->files)
		json_note(j, "files");
	if (e->bytes != r->bytes_seen)
		json_note(j, "bytes");
}

static void
get_members(struct manifest_reader *r, struct manifest_entry *e)
{
	struct json_reader *j = &r->line;

	switch (e->type) {
	case MANIFEST_HEAD:
		get_head(r, e);
		break;
	case MANIFEST_TABLESPACE:
		e->oid = (uint32_t)json_get_u64(j, j->root, "oid", UINT32_MAX);
		e->target = get_path(r, "path", &r->target);
		break;
	case MANIFEST_DIR:
		e->path = get_path(r, "path", &r->path);
		e->mode = get_mode(r);
		break;
	case MANIFEST_LINK:
		e->path = get_path(r, "path", &r->path);
		e->target = get_path(r, "target", &r->target);
		break;
	case MANIFEST_CONFIG:
		e->target = get_path(r, "origin", &r->target);
		json_copy_text(j, j->root, "setting", r->setting,
		    sizeof(r->setting));
		e->setting = r->setting;
		get_file(r, e);
		break;
	case MANIFEST_FILE:
	case MANIFEST_CONTROL:
		get_file(r, e);
		break;
	case MANIFEST_DATA:
		get_data(r, e);
		break;
	case MANIFEST_SETTING:
		e->path = get_path(r, "name", &r->path);
		e->data = get_path(r, "value", &r->data);
		e->data_len = r->data.len;
		break;
	case MANIFEST_BACKUP_LABEL:
	case MANIFEST_TABLESPACE_MAP:
		e->data = get_bytes(r, "data", &r->data);
		e->data_len = r->data.len;
		break;
	case MANIFEST_END:
		get_end(r, e);
		break;
	}
}

static int
check_order(struct manifest_reader *r, const struct manifest_entry *e,
    struct err *err)
{
	int rank = manifest_rank(e->type);

	if (r->ended || rank < r->rank ||
	    (r->rank < 0) != (rank == RANK_HEAD) ||
	    (rank != RANK_HEAD && rank != RANK_END &&
		(e->type == MANIFEST_DATA) != (r->kind == REPO_DUMP)))
		return err_set(err, ERR_DAMAGED,
		    "a line of type %s is out of order",
		    manifest_type_name(e->type));
	if (rank == RANK_PATHS) {
		if (r->rank == RANK_PATHS &&
		    strcmp(buf_str(&r->last_path), e->path) >= 0)
			return err_set(err, ERR_DAMAGED,
			    "paths are not ascending");
		buf_clear(&r->last_path);
		buf_add_str(&r->last_path, e->path);
	}
	r->rank = rank;
	r->ended = rank == RANK_END;
	return 0;
}

/* One line to *entry: 1; a `pack` line: 2; no more: 0. */
static int
read_line(struct manifest_reader *r, struct manifest_entry *entry,
    struct err *err)
{
	const char *type;
	int rc;

	rc = next_line(r, err);
	if (rc != 1)
		return rc;
	type = json_get_text(&r->line, r->line.root, "type");
	if (strcmp(type, "pack") == 0)
		return add_pack(r, err) != 0 ? -1 : 2;
	if (!manifest_type_parse(type, &entry->type))
		return err_set(err, ERR_DAMAGED, "unknown type '%.40s'", type);
	if (entry->type == MANIFEST_HEAD &&
	    json_get_u64(&r->line, r->line.root, "version", INT64_MAX) !=
		FORMAT_VERSION) {
		err_set(err, ERR_UNSUPPORTED,
		    "the manifest has a version this program does not know");
		return err_hint(err, "use a newer dapk-backup");
	}
	get_members(r, entry);
	if (json_check(&r->line, err) != 0 || check_order(r, entry, err) != 0)
		return -1;
	return 1;
}

int
manifest_reader_next(struct manifest_reader *r, struct manifest_entry *entry,
    struct err *err)
{
	int rc;

	do {
		memset(entry, 0, sizeof(*entry));
		rc = read_line(r, entry, err);
	} while (rc == 2);
	if (rc == 0 && !r->ended)
		rc = err_set(err, ERR_DAMAGED, "it has no end");
	if (rc >= 0)
		return rc;
	return err_wrap(err, "manifest of %s, line %llu", r->label,
	    (unsigned long long)r->line_number);
}

const struct pack_id *
manifest_reader_pack(const struct manifest_reader *r, uint32_t index)
{
	return index < r->n_packs ? &r->packs[index] : NULL;
}
