/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/dumpread.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "repo/filemap.h"
#include "repo/manifest.h"
#include "repo/object.h"
#include "repo/pack.h"
#include "repo/packset.h"

#define CACHE_PACKS 16
#define TABLE_PREFIX "table/"
#define LARGE_OBJECTS_PREFIX "large_objects/"

struct dumpset {
	struct commit commit;
	struct pack_table packs; /* ascending */
	struct dump_item *items;
	size_t n, cap;
};

struct dumpread {
	const struct dumpset *set;
	struct pack_cache *cache;
	struct buf plain; /* of the chunk at hand */
};

static void
add_part(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '%' || *s == '/')
			buf_printf(b, "%%%02X", (unsigned)(uint8_t)*s);
		else
			buf_add_byte(b, (uint8_t)*s);
}

char *
dump_table_path(const char *schema, const char *name)
{
	struct buf b;
	char *path;

	buf_init(&b, FORMAT_PATH_MAX);
	buf_add_str(&b, TABLE_PREFIX);
	add_part(&b, schema);
	buf_add_byte(&b, '/');
	add_part(&b, name);
	path = xstrdup(buf_str(&b));
	buf_free(&b);
	return path;
}

/* One of the two names, its %25 and %2F undone. NULL: it is not one. */
static char *
part_of(const char *s, size_t len)
{
	char *out = xcalloc(1, len + 1), *p = out;
	size_t i;

	for (i = 0; i < len; i++, p++) {
		*p = s[i];
		if (s[i] != '%')
			continue;
		if (len - i >= 3 && strncmp(s + i, "%25", 3) == 0)
			*p = '%';
		else if (len - i >= 3 && strncmp(s + i, "%2F", 3) == 0)
			*p = '/';
		else
			goto bad;
		i += 2;
	}
	if (len > 0)
		return out;
bad:
	free(out);
	return NULL;
}

static int
name_item(struct dump_item *item, struct err *err)
{
	const char *p = item->path, *slash;

	item->type = DUMP_ITEM_OTHER;
	if (strcmp(p, "archive") == 0) {
		item->type = DUMP_ITEM_ARCHIVE;
	} else if (strcmp(p, "globals") == 0) {
		item->type = DUMP_ITEM_GLOBALS;
	} else if (strncmp(p, LARGE_OBJECTS_PREFIX,
		       strlen(LARGE_OBJECTS_PREFIX)) == 0) {
		item->type = DUMP_ITEM_LARGE_OBJECTS;
	} else if (strncmp(p, TABLE_PREFIX, strlen(TABLE_PREFIX)) == 0) {
		item->type = DUMP_ITEM_TABLE;
		p += strlen(TABLE_PREFIX);
		slash = strchr(p, '/');
		if (slash != NULL) {
			item->schema = part_of(p, (size_t)(slash - p));
			item->name = part_of(slash + 1, strlen(slash + 1));
		}
		if (item->schema == NULL || item->name == NULL)
			return err_set(err, ERR_DAMAGED,
			    "'%s' is no table's path", item->path);
	}
	return 0;
}

static int
pack_index(const struct dumpset *set, const struct pack_id *id,
    uint32_t *index, struct err *err)
{
	if (id != NULL && pack_table_find(&set->packs, id, index))
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "it refers to a pack that the commit does not name");
}

static int
add_item(struct dumpset *set, const struct manifest_reader *reader,
    const struct manifest_entry *e, struct err *err)
{
	struct dump_item *item;
	size_t i;

	if (set->n == set->cap) {
		set->cap = set->cap == 0 ? 64 : 2 * set->cap;
		set->items = xreallocarray(set->items, set->cap,
		    sizeof(*set->items));
	}
	item = &set->items[set->n++];
	memset(item, 0, sizeof(*item));
	item->path = xstrdup(e->path);
	item->dump_id = e->dump_id;
	item->oid = e->oid;
	item->size = e->size;
	item->rows = e->rows;
	item->crc = e->crc;
	if (name_item(item, err) != 0)
		return -1;
	item->chunks = xcalloc(e->n_chunks + 1, sizeof(*item->chunks));
	for (i = 0; i < e->n_chunks; i++) {
		item->chunks[i] = e->chunks[i];
		if (pack_index(set, manifest_reader_pack(reader,
			e->chunks[i].pack), &item->chunks[i].pack, err) != 0)
			return err_wrap(err, "%s", e->path);
	}
	item->n_chunks = e->n_chunks;
	item->lists = xcalloc(e->n_map + 1, sizeof(*item->lists));
	for (i = 0; i < e->n_map; i++) {
		item->lists[i] = e->map[i];
		if (pack_index(set, manifest_reader_pack(reader,
			e->map[i].pack), &item->lists[i].pack, err) != 0)
			return err_wrap(err, "%s", e->path);
	}
	item->n_lists = e->n_map;
	return 0;
}

static int
read_manifest(struct dumpset *set, struct repo *repo, struct err *err)
{
	const struct commit *c = &set->commit;
	struct manifest_reader *reader;
	struct manifest_entry e;
	int rc;

	if (manifest_reader_open_dump(&reader, repo, &c->inc, c->label,
		c->parts, c->n_parts, err) != 0)
		return -1;
	while ((rc = manifest_reader_next(reader, &e, err)) == 1)
		if (e.type == MANIFEST_DATA &&
		    add_item(set, reader, &e, err) != 0) {
			rc = -1;
			break;
		}
	manifest_reader_close(reader);
	return rc;
}

int
dumpset_open(struct dumpset **out, struct repo *repo,
    const struct incarnation *inc, const char *label, struct err *err)
{
	struct dumpset *set = xcalloc(1, sizeof(*set));

	if (commit_get_dump(repo, inc, label, &set->commit, err) != 0)
		goto fail;
	pack_table_init(&set->packs, &set->commit);
	if (read_manifest(set, repo, err) != 0)
		goto fail;
	*out = set;
	return 0;
fail:
	dumpset_free(set);
	return err_wrap(err, "dump %s", label);
}

void
dumpset_free(struct dumpset *set)
{
	size_t i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++) {
		free(set->items[i].path);
		free(set->items[i].schema);
		free(set->items[i].name);
		free(set->items[i].chunks);
		free(set->items[i].lists);
	}
	free(set->items);
	pack_table_free(&set->packs);
	commit_free(&set->commit);
	free(set);
}

const struct commit *
dumpset_commit(const struct dumpset *set)
{
	return &set->commit;
}

const struct dump_item *
dumpset_items(const struct dumpset *set, size_t *n)
{
	*n = set->n;
	return set->items;
}

static int
compare_path(const void *key, const void *item)
{
	return strcmp(key, ((const struct dump_item *)item)->path);
}

const struct dump_item *
dumpset_find(const struct dumpset *set, const char *path)
{
	return bsearch(path, set->items, set->n, sizeof(*set->items),
	    compare_path);
}

const struct commit_pack *
dumpset_pack(const struct dumpset *set, uint32_t index)
{
	return index < set->packs.n ? &set->packs.list[index] : NULL;
}

int
dumpset_check_packs(const struct dumpset *set, struct repo *repo,
    struct err *err)
{
	struct packset *ps;
	uint32_t i;
	int rc = 0;

	if (packset_new(&ps, repo, &set->commit.inc, err) != 0)
		return -1;
	for (i = 0; i < set->packs.n && rc == 0; i++)
		rc = packset_check(ps, &set->packs.list[i], set->commit.label,
		    err);
	packset_free(ps);
	return rc;
}

int
dumpread_new(struct dumpread **out, const struct dumpset *set,
    struct repo *repo, struct err *err)
{
	struct dumpread *r = xcalloc(1, sizeof(*r));

	r->set = set;
	r->cache = pack_cache_new(repo, &set->commit.inc, CACHE_PACKS);
	buf_init(&r->plain, FORMAT_FRAME_PLAIN_MAX);
	*out = r;
	return 0;
}

void
dumpread_free(struct dumpread *r)
{
	if (r == NULL)
		return;
	pack_cache_free(r->cache);
	buf_free(&r->plain);
	free(r);
}

/* A frame's plain bytes, in r->plain. */
static int
read_frame(struct dumpread *r, uint32_t pack, uint32_t frame,
    struct frame_header *h, struct object_reader **object, struct err *err)
{
	const struct commit_pack *p = &r->set->packs.list[pack];

	/* Opened with its size, which is then checked too. */
	if (pack_cache_open(r->cache, &p->id, commit_pack_first_size(p),
		object, err) == 0 &&
	    pack_cache_frame(r->cache, &p->id, frame, h, &r->plain, err) == 0)
		return 0;
	/* The commit names it: its absence is damage. */
	if (err->code == ERR_NOT_FOUND)
		err->code = ERR_DAMAGED;
	return err_wrap(err, "dump %s", r->set->commit.label);
}

/* What all chunks come to, as they go by. */
struct total {
	uint64_t bytes, rows;
	uint32_t crc;
	dumpread_visit visit;
	void *arg;
};

static int
pass_on(struct total *t, const struct dump_chunk *chunks, size_t n,
    struct err *err)
{
	const struct dump_chunk *c;

	for (c = chunks; c < chunks + n; c++) {
		t->crc = t->bytes == 0 ? c->crc :
		    crc32c_combine(t->crc, c->crc, c->bytes);
		t->bytes += c->bytes;
		t->rows += c->rows;
	}
	return t->visit(t->arg, chunks, n, err);
}

/* The chunks of one list; .pack becomes the commit's. */
static int
pass_list(struct dumpread *r, const struct map_run *list, struct total *t,
    struct err *err)
{
	struct object_reader *object;
	struct dump_chunk *found;
	struct frame_header h;
	struct pack_id *packs;
	uint32_t i, count, n_packs;
	int rc = 0;

	if (read_frame(r, list->pack, list->frame, &h, &object, err) != 0)
		return -1;
	if (h.type != FRAME_CHUNK_LIST)
		return err_set(err, ERR_DAMAGED,
		    "%s: frame %u is not a chunk list", object->key,
		    list->frame);
	if (chunk_list_decode(r->plain.data, r->plain.len, &packs, &n_packs,
		&found, &count, err) != 0)
		return err_wrap(err, "%s: frame %u", object->key, list->frame);
	for (i = 0; i < count && rc == 0; i++)
		rc = pack_index(r->set, &packs[found[i].pack],
		    &found[i].pack, err);
	if (rc == 0)
		rc = pass_on(t, found, count, err);
	free(packs);
	free(found);
	return rc;
}

static int
check_total(const struct dump_item *item, const struct total *t,
    struct err *err)
{
	/* Who reads chunk by chunk has proved all of it by this. */
	if (t->bytes > 0 && t->crc != item->crc)
		return err_set(err, ERR_DAMAGED, "its chunks have CRC %08x, "
		    "the manifest says %08x", t->crc, item->crc);
	if (t->bytes == item->size && t->rows == item->rows)
		return 0;
	return err_set(err, ERR_DAMAGED, "its chunks have %llu bytes and %llu "
	    "rows, the manifest says %llu and %llu",
	    (unsigned long long)t->bytes, (unsigned long long)t->rows,
	    (unsigned long long)item->size, (unsigned long long)item->rows);
}

int
dumpread_each(struct dumpread *r, const struct dump_item *item,
    dumpread_visit visit, void *arg, struct err *err)
{
	struct total t = { .visit = visit, .arg = arg };
	size_t i;

	if (pass_on(&t, item->chunks, item->n_chunks, err) != 0)
		goto fail;
	for (i = 0; i < item->n_lists; i++)
		if (pass_list(r, &item->lists[i], &t, err) != 0)
			goto fail;
	if (check_total(item, &t, err) == 0)
		return 0;
fail:
	return err_wrap(err, "%s", item->path);
}

struct gathered {
	struct dump_chunk *list;
	size_t n;
};

static int
gather(void *arg, const struct dump_chunk *chunks, size_t n, struct err *err)
{
	struct gathered *g = arg;

	(void)err; /* there is none */
	g->list = xreallocarray(g->list, g->n + n + 1, sizeof(*g->list));
	if (n > 0)
		memcpy(g->list + g->n, chunks, n * sizeof(*chunks));
	g->n += n;
	return 0;
}

int
dumpread_chunks(struct dumpread *r, const struct dump_item *item,
    struct dump_chunk **out, size_t *n, struct err *err)
{
	struct gathered g = { NULL, 0 };
	int rc = dumpread_each(r, item, gather, &g, err);

	if (rc != 0) {
		free(g.list);
		g = (struct gathered){ NULL, 0 };
	}
	*out = g.list;
	*n = g.n;
	return rc;
}

int
dumpread_chunk(struct dumpread *r, const struct dump_item *item,
    const struct dump_chunk *chunk, const void **plain, const void **payload,
    size_t *payload_len, struct err *err)
{
	struct object_reader *object;
	struct frame_header h;

	if (read_frame(r, chunk->pack, chunk->frame, &h, &object, err) != 0)
		return err_wrap(err, "%s", item->path);
	if (h.type != FRAME_DUMP || r->plain.len != chunk->bytes ||
	    h.path_len != strlen(item->path) ||
	    memcmp(h.path, item->path, h.path_len) != 0 ||
	    crc32c(r->plain.data, r->plain.len) != chunk->crc)
		return err_set(err, ERR_DAMAGED, "%s: frame %u does not hold "
		    "what the chunks of %s say", object->key, chunk->frame,
		    item->path);
	*plain = r->plain.data;
	if (payload != NULL) {
		*payload = h.zstd;
		*payload_len = h.zstd_len;
	}
	return 0;
}

int
dumpread_stream(struct dumpread *r, const struct dump_item *item,
    const struct dump_chunk *chunks, size_t first, size_t n,
    dumpread_sink sink, void *arg, struct err *err)
{
	const struct dump_chunk *c;
	const void *plain;
	uint64_t bytes = 0;
	uint32_t crc = 0;

	for (c = chunks + first; c < chunks + first + n; c++) {
		if (cancel_check(err) != 0 || dumpread_chunk(r, item, c,
			&plain, NULL, NULL, err) != 0)
			return -1;
		crc = bytes == 0 ? c->crc :
				   crc32c_combine(crc, c->crc, c->bytes);
		bytes += c->bytes;
		if (sink(arg, plain, c->bytes, err) != 0)
			return -1;
	}
	if (bytes == item->size && bytes > 0 && crc != item->crc)
		return err_set(err, ERR_DAMAGED, "%s of dump %s has CRC %08x, "
		    "the manifest says %08x", item->path,
		    r->set->commit.label, crc, item->crc);
	return 0;
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_check(b, "what is read", err);
}

int
dumpread_all(struct dumpread *r, const struct dump_item *item, struct buf *b,
    struct err *err)
{
	struct dump_chunk *chunks;
	size_t n;
	int rc;

	if (dumpread_chunks(r, item, &chunks, &n, err) != 0)
		return -1;
	rc = dumpread_stream(r, item, chunks, 0, n, to_buf, b, err);
	free(chunks);
	return rc;
}
