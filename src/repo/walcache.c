/* SPDX-License-Identifier: PostgreSQL */
/*
 * The file, numbers little-endian:
 *
 *	 0  8   "DKWALCAC"
 *	 8  u32 version, u32 0
 *	16  16  repository id, 16 place id (32), u64 system id (48)
 *	56  u32 folders, u32 spans, u32 items, u32 0
 *	72      folders, 48 bytes each, ascending
 *		items of the folders in the same order, 84 bytes each
 *		spans, 88 bytes each
 *		u64 XXH3-64 of all before
 */
#include "config.h"

#include "repo/walcache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/hash.h"
#include "repo/state.h"

#define MAGIC "DKWALCAC"
#define CACHE_VERSION 1
#define HEAD 72
#define FOLDER_SIZE 48
#define ITEM_SIZE 84
#define SPAN_SIZE 88
#define FOLDERS_MAX 200000
#define FILE_NAME "wal"
#define FILE_MAX                                                              \
	(HEAD + (size_t)FOLDERS_MAX * FOLDER_SIZE +                           \
	    (size_t)WALCACHE_ITEMS_MAX * ITEM_SIZE +                          \
	    (size_t)WALCACHE_SPANS_MAX * SPAN_SIZE + 8)

#define ITEM_PARTIAL 1
#define ITEM_KNOWN 2
#define ITEM_PARSED 4
#define ITEM_ENDED 8
#define ITEM_COMMITS 16

/* The folder's time was the same at two looks with so much between them. */
#define SECOND_LOOK_US (INT64_C(3) * 1000000)

struct walcache {
	char *path;
	uint8_t identity[40]; /* as in the file */
	bool refresh;
	int64_t known_since;
	struct buf file; /* empty: nothing is known */
	struct walcache_folder *folders;
	size_t n_folders;
	struct walview_span *spans;
	size_t n_spans;
	struct buf new_folders, new_items, new_spans;
	uint32_t n_new_folders, n_new_items, n_new_spans;
};

static void
forget(struct walcache *c)
{
	buf_free(&c->file);
	free(c->folders);
	free(c->spans);
	c->folders = NULL;
	c->spans = NULL;
	c->n_folders = c->n_spans = 0;
}

static void
decode_folder(const uint8_t *p, struct walcache_folder *f)
{
	memset(f, 0, sizeof(*f));
	f->timeline = get_le32(p);
	f->log = get_le32(p + 4);
	f->changed = (int64_t)get_le64(p + 8);
	f->first_seen = (int64_t)get_le64(p + 16);
	f->listed_at = (int64_t)get_le64(p + 24);
	f->n_items = get_le32(p + 32);
}

static void
decode_span(const uint8_t *p, struct walview_span *s)
{
	s->timeline = get_le32(p);
	s->log = get_le32(p + 4);
	s->seg = get_le32(p + 8);
	memcpy(s->hash, p + 16, WAL_HASH_SIZE);
	s->from = get_le64(p + 32);
	s->to = get_le64(p + 40);
	s->last = get_le64(p + 48);
	s->end = get_le64(p + 56);
	s->max_commit_time = (int64_t)get_le64(p + 64);
	s->max_time = (int64_t)get_le64(p + 72);
	s->max_time_lsn = get_le64(p + 80);
}

/* Folders ascending, with as many items as there are. */
static bool
decode_folders(struct walcache *c, const uint8_t *p, size_t n, uint64_t items)
{
	uint64_t total = 0;
	size_t i;

	c->folders = xcalloc(n + 1, sizeof(*c->folders));
	for (i = 0; i < n; i++, p += FOLDER_SIZE) {
		struct walcache_folder *f = &c->folders[i];

		decode_folder(p, f);
		f->offset = HEAD + (uint64_t)n * FOLDER_SIZE +
		    total * ITEM_SIZE;
		total += f->n_items;
		if (i > 0 && (f[-1].timeline > f->timeline ||
		    (f[-1].timeline == f->timeline && f[-1].log >= f->log)))
			return false;
	}
	c->n_folders = n;
	return total == items;
}

static bool
decode(struct walcache *c)
{
	const uint8_t *p = c->file.data;
	const size_t len = c->file.len;
	uint64_t folders, spans, items;
	size_t i;

	if (len < HEAD + 8 || memcmp(p, MAGIC, 8) != 0 ||
	    get_le32(p + 8) != CACHE_VERSION ||
	    memcmp(p + 16, c->identity, sizeof(c->identity)) != 0)
		return false;
	folders = get_le32(p + 56);
	spans = get_le32(p + 60);
	items = get_le32(p + 64);
	if (folders > FOLDERS_MAX || spans > WALCACHE_SPANS_MAX ||
	    items > WALCACHE_ITEMS_MAX ||
	    len != HEAD + folders * FOLDER_SIZE + items * ITEM_SIZE +
		spans * SPAN_SIZE + 8 ||
	    hash_64(p, len - 8, 0) != get_le64(p + len - 8) ||
	    !decode_folders(c, p + HEAD, folders, items))
		return false;
	c->spans = xcalloc(spans + 1, sizeof(*c->spans));
	p += HEAD + folders * FOLDER_SIZE + items * ITEM_SIZE;
	for (i = 0; i < spans; i++)
		decode_span(p + i * SPAN_SIZE, &c->spans[i]);
	c->n_spans = spans;
	return true;
}

struct walcache *
walcache_open(const char *folder, const struct repo *repo,
    const struct incarnation *inc)
{
	struct walcache *c = xcalloc(1, sizeof(*c));
	struct err ignored = ERR_INIT;

	c->path = xasprintf("%s/" FILE_NAME, folder);
	memcpy(c->identity, repo->id, 16);
	/* A place id is 32 digits, or of a copy that names none. */
	if (!text_unhex(repo->place_text, c->identity + 16, 16))
		memset(c->identity + 16, 0, 16);
	put_le64(c->identity + 32, inc->system_id);
	buf_init(&c->file, FILE_MAX);
	if (io_read_file(c->path, &c->file, &ignored) != 0 || !decode(c))
		forget(c);
	return c;
}

void
walcache_close(struct walcache *c)
{
	if (c == NULL)
		return;
	forget(c);
	buf_free(&c->new_folders);
	buf_free(&c->new_items);
	buf_free(&c->new_spans);
	free(c->path);
	free(c);
}

void
walcache_refresh(struct walcache *c)
{
	c->refresh = true;
}

const struct walcache_folder *
walcache_find(const struct walcache *c, uint32_t timeline, uint32_t log)
{
	size_t low = 0, high = c->n_folders, mid;
	const struct walcache_folder *f;

	while (low < high) {
		mid = low + (high - low) / 2;
		f = &c->folders[mid];
		if (f->timeline == timeline && f->log == log)
			return f;
		if (f->timeline < timeline ||
		    (f->timeline == timeline && f->log < log))
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void
walcache_item(const struct walcache *c, const struct walcache_folder *f,
    uint32_t i, struct walview_item *out)
{
	const uint8_t *p = c->file.data + f->offset + (uint64_t)i * ITEM_SIZE;
	uint32_t flags = get_le32(p + 8);

	out->timeline = f->timeline;
	out->log = f->log;
	out->seg = get_le32(p);
	out->generation = get_le32(p + 4);
	out->partial = (flags & ITEM_PARTIAL) != 0;
	out->known = (flags & ITEM_KNOWN) != 0;
	out->parsed = (flags & ITEM_PARSED) != 0;
	out->ended = (flags & ITEM_ENDED) != 0;
	out->has_commits = (flags & ITEM_COMMITS) != 0;
	memcpy(out->hash, p + 12, WAL_HASH_SIZE);
	out->size = get_le64(p + 28);
	out->mtime = (int64_t)get_le64(p + 36);
	out->end = get_le64(p + 44);
	out->unfinished = get_le64(p + 52);
	out->max_commit_time = (int64_t)get_le64(p + 60);
	out->max_time = (int64_t)get_le64(p + 68);
	out->max_time_lsn = get_le64(p + 76);
}

bool
walcache_believes(const struct walcache *c, const struct walcache_folder *f,
    int64_t changed, uint64_t margin, bool newest)
{
	int64_t age;

	if (c->refresh)
		return false;
	if (margin > 0)
		return f->changed != 0 && f->changed == changed &&
		    (f->listed_at - changed >= (int64_t)margin ||
			f->listed_at - f->first_seen >= SECOND_LOOK_US);
	age = time_now() - f->listed_at;
	return !newest && age >= 0 && age < WALCACHE_BELIEVE_US;
}

void
walcache_believed(struct walcache *c, const struct walcache_folder *f)
{
	if (c->known_since == 0 || f->listed_at < c->known_since)
		c->known_since = f->listed_at;
}

int64_t
walcache_known_since(const struct walcache *c)
{
	return c->known_since;
}

const struct walview_span *
walcache_spans(const struct walcache *c, size_t *n)
{
	*n = c->n_spans;
	return c->spans;
}

void
walcache_begin(struct walcache *c)
{
	buf_init(&c->new_folders, (size_t)FOLDERS_MAX * FOLDER_SIZE);
	buf_init(&c->new_items, (size_t)WALCACHE_ITEMS_MAX * ITEM_SIZE);
	buf_init(&c->new_spans, (size_t)WALCACHE_SPANS_MAX * SPAN_SIZE);
	c->n_new_folders = c->n_new_items = c->n_new_spans = 0;
}

static void
encode_item(const struct walview_item *item, uint8_t *p)
{
	put_le32(p, item->seg);
	put_le32(p + 4, item->generation);
	put_le32(p + 8, (item->partial ? ITEM_PARTIAL : 0) |
	    (item->known ? ITEM_KNOWN : 0) |
	    (item->parsed ? ITEM_PARSED : 0) | (item->ended ? ITEM_ENDED : 0) |
	    (item->has_commits ? ITEM_COMMITS : 0));
	memcpy(p + 12, item->hash, WAL_HASH_SIZE);
	put_le64(p + 28, item->size);
	put_le64(p + 36, (uint64_t)item->mtime);
	put_le64(p + 44, item->end);
	put_le64(p + 52, item->unfinished);
	put_le64(p + 60, (uint64_t)item->max_commit_time);
	put_le64(p + 68, (uint64_t)item->max_time);
	put_le64(p + 76, item->max_time_lsn);
}

void
walcache_add_folder(struct walcache *c, const struct walcache_folder *f,
    const struct walview_item *items)
{
	struct buf *b = &c->new_folders;
	uint8_t *p;
	uint32_t i;

	buf_add_le32(b, f->timeline);
	buf_add_le32(b, f->log);
	buf_add_le64(b, (uint64_t)f->changed);
	buf_add_le64(b, (uint64_t)f->first_seen);
	buf_add_le64(b, (uint64_t)f->listed_at);
	buf_add_le32(b, f->n_items);
	buf_add_le32(b, 0);
	buf_add_le64(b, 0);
	p = buf_reserve(&c->new_items, (size_t)f->n_items * ITEM_SIZE);
	if (p == NULL)
		return; /* too many: walcache_save() sees the mark */
	for (i = 0; i < f->n_items; i++)
		encode_item(&items[i], p + (size_t)i * ITEM_SIZE);
	c->new_items.len += (size_t)f->n_items * ITEM_SIZE;
	c->n_new_items += f->n_items;
	c->n_new_folders++;
}

void
walcache_add_span(struct walcache *c, const struct walview_span *s)
{
	struct buf *b = &c->new_spans;

	buf_add_le32(b, s->timeline);
	buf_add_le32(b, s->log);
	buf_add_le32(b, s->seg);
	buf_add_le32(b, 0);
	buf_add(b, s->hash, WAL_HASH_SIZE);
	buf_add_le64(b, s->from);
	buf_add_le64(b, s->to);
	buf_add_le64(b, s->last);
	buf_add_le64(b, s->end);
	buf_add_le64(b, (uint64_t)s->max_commit_time);
	buf_add_le64(b, (uint64_t)s->max_time);
	buf_add_le64(b, s->max_time_lsn);
	c->n_new_spans++;
}

/* The whole file; marked when it would be too large. */
static void
encode(const struct walcache *c, struct buf *b)
{
	buf_init(b, FILE_MAX);
	(void)buf_reserve(b, HEAD + c->new_folders.len + c->new_items.len +
	    c->new_spans.len + 8);
	buf_add(b, MAGIC, 8);
	buf_add_le32(b, CACHE_VERSION);
	buf_add_le32(b, 0);
	buf_add(b, c->identity, sizeof(c->identity));
	buf_add_le32(b, c->n_new_folders);
	buf_add_le32(b, c->n_new_spans);
	buf_add_le32(b, c->n_new_items);
	buf_add_le32(b, 0);
	buf_add(b, c->new_folders.data, c->new_folders.len);
	buf_add(b, c->new_items.data, c->new_items.len);
	buf_add(b, c->new_spans.data, c->new_spans.len);
	b->overflow |= c->new_folders.overflow | c->new_items.overflow |
	    c->new_spans.overflow;
	buf_add_le64(b, hash_64(b->data, b->len, 0));
}

void
walcache_save(struct walcache *c)
{
	struct err err = ERR_INIT;
	struct buf b;

	encode(c, &b);
	if (buf_check(&b, c->path, &err) != 0 ||
	    state_replace(c->path, b.data, b.len, &err) != 0)
		log_debug("not remembered: %s", err.msg);
	buf_free(&b);
}
