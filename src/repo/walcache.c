/* SPDX-License-Identifier: PostgreSQL */
/* What is remembered is read; walcache_save.c writes it. */
#include "config.h"

#include "repo/walcache_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/hash.h"

#define ITEM_PARTIAL 1
#define ITEM_KNOWN 2
#define ITEM_PARSED 4
#define ITEM_ENDED 8
#define ITEM_COMMITS 16
#define ITEM_SEALED 32

/* The folder's time was the same at two looks with so much between them. */
#define SECOND_LOOK_US (INT64_C(3) * 1000000)

/* What one of the two files says. */
struct table {
	struct walcache_folder *folders;
	size_t n_folders;
	struct walview_span *spans;
	size_t n_spans;
	uint64_t check, base;
};

static void
table_free(struct table *t)
{
	free(t->folders);
	free(t->spans);
	memset(t, 0, sizeof(*t));
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
	f->hash = get_le64(p + 40);
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

static int
compare_folders(const struct walcache_folder *f, uint32_t timeline,
    uint32_t log)
{
	if (f->timeline != timeline)
		return f->timeline < timeline ? -1 : 1;
	return f->log < log ? -1 : f->log > log;
}

/* Folders ascending, with as many items as there are. */
static bool
decode_folders(struct table *t, const uint8_t *p, size_t n, uint64_t items,
    enum walcache_where where, uint64_t at)
{
	uint64_t total = 0;
	size_t i;

	t->folders = xcalloc(n + 1, sizeof(*t->folders));
	for (i = 0; i < n; i++, p += WALCACHE_FOLDER_SIZE) {
		struct walcache_folder *f = &t->folders[i];

		decode_folder(p, f);
		f->where = where;
		f->offset = at + total * WALCACHE_ITEM_SIZE;
		total += f->n_items;
		if (i > 0 && compare_folders(&f[-1], f->timeline, f->log) >= 0)
			return false;
	}
	t->n_folders = n;
	return total == items;
}

/* How many there are of each, as the head says. */
struct counts {
	uint32_t folders, spans, items;
	size_t table; /* bytes before the check */
};

static bool
decode_head(const struct walcache *c, const uint8_t *p, uint64_t size,
    struct counts *n)
{
	if (memcmp(p, WALCACHE_MAGIC, 8) != 0 ||
	    get_le32(p + 8) != WALCACHE_VERSION ||
	    memcmp(p + 16, c->identity, sizeof(c->identity)) != 0)
		return false;
	n->folders = get_le32(p + 56);
	n->spans = get_le32(p + 60);
	n->items = get_le32(p + 64);
	n->table = WALCACHE_HEAD +
	    (size_t)n->folders * WALCACHE_FOLDER_SIZE +
	    (size_t)n->spans * WALCACHE_SPAN_SIZE;
	return n->folders <= WALCACHE_FOLDERS_MAX &&
	    n->spans <= WALCACHE_SPANS_MAX &&
	    n->items <= WALCACHE_ITEMS_MAX &&
	    size == n->table + 8 + (uint64_t)n->items * WALCACHE_ITEM_SIZE;
}

static bool
decode(const uint8_t *p, const struct counts *n, enum walcache_where where,
    struct table *t)
{
	size_t i;

	t->base = get_le64(p + 72);
	t->check = get_le64(p + n->table);
	if (hash_64(p, n->table, 0) != t->check || !decode_folders(t,
	    p + WALCACHE_HEAD, n->folders, n->items, where, n->table + 8))
		return false;
	t->spans = xcalloc((size_t)n->spans + 1, sizeof(*t->spans));
	p += WALCACHE_HEAD + (size_t)n->folders * WALCACHE_FOLDER_SIZE;
	for (i = 0; i < n->spans; i++)
		decode_span(p + i * WALCACHE_SPAN_SIZE, &t->spans[i]);
	t->n_spans = n->spans;
	return true;
}

/* False: the file does not hold. */
static bool
read_open_table(struct walcache *c, int fd, enum walcache_where where,
    struct table *t)
{
	const char *path = c->paths[where];
	struct err ignored = ERR_INIT;
	uint8_t head[WALCACHE_HEAD], *bytes;
	struct counts n;
	struct stat st;
	bool ok;

	if (fstat(fd, &st) != 0 || io_pread_full(fd, head, sizeof(head), 0,
		path, &ignored) != 0 ||
	    !decode_head(c, head, (uint64_t)st.st_size, &n))
		return false;
	bytes = xmalloc(n.table + 8);
	ok = io_pread_full(fd, bytes, n.table + 8, 0, path, &ignored) == 0 &&
	    decode(bytes, &n, where, t);
	free(bytes);
	return ok;
}

/* False: the file is not there, or does not hold. */
static bool
read_table(struct walcache *c, enum walcache_where where, struct table *t)
{
	int fd = open(c->paths[where], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	memset(t, 0, sizeof(*t));
	if (fd >= 0 && read_open_table(c, fd, where, t)) {
		c->fds[where] = fd;
		return true;
	}
	table_free(t);
	if (fd >= 0)
		(void)close(fd);
	return false;
}

/* The newer file's folders instead of the base's, and beside them. */
static void
merge(struct walcache *c, const struct table *base, const struct table *newer)
{
	size_t i = 0, k = 0;
	int order;

	c->folders = xcalloc(base->n_folders + newer->n_folders + 1,
	    sizeof(*c->folders));
	while (i < base->n_folders || k < newer->n_folders) {
		order = i == base->n_folders ? 1 : k == newer->n_folders ? -1 :
		    compare_folders(&base->folders[i],
			newer->folders[k].timeline, newer->folders[k].log);
		c->folders[c->n_folders++] = order < 0 ? base->folders[i] :
		    newer->folders[k];
		i += order <= 0;
		k += order >= 0;
	}
}

static void
read_files(struct walcache *c)
{
	struct table base, newer;

	if (!read_table(c, WALCACHE_BASE, &base))
		return;
	if (base.base != 0) { /* the other one under its name */
		table_free(&base);
		return;
	}
	c->base = base.check;
	if (!read_table(c, WALCACHE_NEWER, &newer) ||
	    newer.base != c->base)
		table_free(&newer);
	merge(c, &base, &newer);
	if (newer.spans != NULL) {
		free(base.spans);
		base.spans = newer.spans;
		base.n_spans = newer.n_spans;
		newer.spans = NULL;
	}
	c->spans = base.spans;
	c->n_spans = base.n_spans;
	base.spans = NULL;
	table_free(&base);
	table_free(&newer);
}

struct walcache *
walcache_open(const char *folder, const struct repo *repo,
    const struct incarnation *inc)
{
	struct walcache *c = xcalloc(1, sizeof(*c));
	int i;

	for (i = 0; i < WALCACHE_FILES; i++)
		c->fds[i] = -1;
	c->directory = xstrdup(folder);
	c->paths[WALCACHE_BASE] = xasprintf("%s/wal", folder);
	c->paths[WALCACHE_NEWER] = xasprintf("%s/wal-newer", folder);
	buf_init(&c->scratch, (size_t)WALCACHE_ITEMS_MAX * WALCACHE_ITEM_SIZE);
	memcpy(c->identity, repo->id, 16);
	/* A place id is 32 digits, or of a copy that names none. */
	if (!text_unhex(repo->place_text, c->identity + 16, 16))
		memset(c->identity + 16, 0, 16);
	put_le64(c->identity + 32, inc->system_id);
	read_files(c);
	return c;
}

void
walcache_close(struct walcache *c)
{
	int i;

	if (c == NULL)
		return;
	for (i = 0; i < WALCACHE_FILES; i++) {
		if (c->fds[i] >= 0)
			(void)close(c->fds[i]);
		free(c->paths[i]);
	}
	buf_free(&c->scratch);
	free(c->folders);
	free(c->spans);
	free(c->directory);
	free(c);
}

void
walcache_refresh(struct walcache *c)
{
	c->refresh = true;
}

static struct walcache_folder *
find(const struct walcache *c, uint32_t timeline, uint32_t log)
{
	size_t low = 0, high = c->n_folders, mid;
	int order;

	while (low < high) {
		mid = low + (high - low) / 2;
		order = compare_folders(&c->folders[mid], timeline, log);
		if (order == 0)
			return &c->folders[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct walcache_folder *
walcache_find(const struct walcache *c, uint32_t timeline, uint32_t log)
{
	const struct walcache_folder *f = find(c, timeline, log);

	return f == NULL || f->where == WALCACHE_NOWHERE ? NULL : f;
}

static void
decode_item(const struct walcache_folder *f, const uint8_t *p,
    struct walview_item *out)
{
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
	out->sealed = (flags & ITEM_SEALED) != 0;
	memcpy(out->hash, p + 12, WAL_HASH_SIZE);
	out->size = get_le64(p + 28);
	out->mtime = (int64_t)get_le64(p + 36);
	out->end = get_le64(p + 44);
	out->unfinished = get_le64(p + 52);
	out->max_commit_time = (int64_t)get_le64(p + 60);
	out->max_time = (int64_t)get_le64(p + 68);
	out->max_time_lsn = get_le64(p + 76);
}

static void
encode_item(const struct walview_item *item, uint8_t *p)
{
	put_le32(p, item->seg);
	put_le32(p + 4, item->generation);
	put_le32(p + 8, (item->partial ? ITEM_PARTIAL : 0) |
	    (item->known ? ITEM_KNOWN : 0) |
	    (item->parsed ? ITEM_PARSED : 0) | (item->ended ? ITEM_ENDED : 0) |
	    (item->has_commits ? ITEM_COMMITS : 0) |
	    (item->sealed ? ITEM_SEALED : 0));
	memcpy(p + 12, item->hash, WAL_HASH_SIZE);
	put_le64(p + 28, item->size);
	put_le64(p + 36, (uint64_t)item->mtime);
	put_le64(p + 44, item->end);
	put_le64(p + 52, item->unfinished);
	put_le64(p + 60, (uint64_t)item->max_commit_time);
	put_le64(p + 68, (uint64_t)item->max_time);
	put_le64(p + 76, item->max_time_lsn);
}

struct walview_item *
walcache_load(struct walcache *c, const struct walcache_folder *f)
{
	const size_t len = (size_t)f->n_items * WALCACHE_ITEM_SIZE;
	struct err ignored = ERR_INIT;
	struct walview_item *items;
	struct walcache_folder *own;
	uint8_t *p;
	uint32_t i;

	buf_clear(&c->scratch);
	p = buf_reserve(&c->scratch, len);
	if (p == NULL || c->fds[f->where] < 0 || io_pread_full(
	    c->fds[f->where], p, len, f->offset, "what is remembered",
		&ignored) != 0 || hash_64(p, len, 0) != f->hash) {
		own = find(c, f->timeline, f->log);
		if (own != NULL)
			own->where = WALCACHE_NOWHERE;
		return NULL;
	}
	items = xcalloc(f->n_items + (size_t)1, sizeof(*items));
	for (i = 0; i < f->n_items; i++)
		decode_item(f, p + (size_t)i * WALCACHE_ITEM_SIZE, &items[i]);
	return items;
}

/* In the folder itself, or in TMPDIR, when nothing may be written there. */
static bool
have_spill(struct walcache *c)
{
	struct err err = ERR_INIT;

	if (c->fds[WALCACHE_SPILL] >= 0)
		return true;
	if (io_open_nameless_in(c->directory, &c->fds[WALCACHE_SPILL],
		&err) == 0)
		return true;
	err_clear(&err);
	if (io_open_nameless(&c->fds[WALCACHE_SPILL], &err) == 0)
		return true;
	log_debug("what is stored is kept in memory: %s", err.msg);
	c->fds[WALCACHE_SPILL] = -1;
	return false;
}

bool
walcache_put(struct walcache *c, struct walcache_folder *f,
    const struct walview_item *items)
{
	const size_t len = (size_t)f->n_items * WALCACHE_ITEM_SIZE;
	const bool again = f->where == WALCACHE_SPILL;
	const uint64_t at = again ? f->offset : c->spilled;
	struct err err = ERR_INIT;
	uint8_t *p;
	uint32_t i;

	buf_clear(&c->scratch);
	p = buf_reserve(&c->scratch, len);
	if (p == NULL || !have_spill(c))
		return false;
	for (i = 0; i < f->n_items; i++)
		encode_item(&items[i], p + (size_t)i * WALCACHE_ITEM_SIZE);
	if (io_pwrite_full(c->fds[WALCACHE_SPILL], p, len, at,
		"what is remembered", &err) != 0) {
		log_debug("what is stored is kept in memory: %s", err.msg);
		return false;
	}
	if (!again)
		c->spilled += len;
	f->where = WALCACHE_SPILL;
	f->offset = at;
	f->hash = hash_64(p, len, 0);
	return true;
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
