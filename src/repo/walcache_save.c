/* SPDX-License-Identifier: PostgreSQL */
/*
 * A file is written with its table first: what each folder's items hash to is
 * known by then. Items are taken over as the bytes that they are.
 */
#include "config.h"

#include "repo/walcache_private.h"

#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/hash.h"
#include "repo/state.h"

/* So many times more is known than is new: the newer file is worth it. */
#define WORTH_NEWER 32

static void
encode_folder(struct buf *b, const struct walcache_folder *f)
{
	buf_add_le32(b, f->timeline);
	buf_add_le32(b, f->log);
	buf_add_le64(b, (uint64_t)f->changed);
	buf_add_le64(b, (uint64_t)f->first_seen);
	buf_add_le64(b, (uint64_t)f->listed_at);
	buf_add_le32(b, f->n_items);
	buf_add_le32(b, 0);
	buf_add_le64(b, f->hash);
}

static void
encode_span(struct buf *b, const struct walview_span *s)
{
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
}

/* What one of the two files is to have. */
struct saving {
	struct walcache *c;
	const struct walcache_folder *folders;
	size_t n;
	bool newer; /* only what is not in the base */
	const struct walview_span *spans;
	size_t n_spans;
};

static bool
has(const struct saving *s, const struct walcache_folder *f)
{
	return !s->newer || f->where != WALCACHE_BASE;
}

static uint64_t
count(const struct saving *s, uint32_t *folders)
{
	uint64_t items = 0;
	size_t i;

	*folders = 0;
	for (i = 0; i < s->n; i++)
		if (has(s, &s->folders[i])) {
			(*folders)++;
			items += s->folders[i].n_items;
		}
	return items;
}

static void
encode_table(const struct saving *s, struct buf *b)
{
	uint32_t folders;
	uint64_t items = count(s, &folders);
	size_t i;

	buf_init(b, WALCACHE_TABLE_MAX);
	b->overflow = items > WALCACHE_ITEMS_MAX ||
	    folders > WALCACHE_FOLDERS_MAX;
	buf_add(b, WALCACHE_MAGIC, 8);
	buf_add_le32(b, WALCACHE_VERSION);
	buf_add_le32(b, 0);
	buf_add(b, s->c->identity, sizeof(s->c->identity));
	buf_add_le32(b, folders);
	buf_add_le32(b, (uint32_t)s->n_spans);
	buf_add_le32(b, (uint32_t)items);
	buf_add_le32(b, 0);
	buf_add_le64(b, s->newer ? s->c->base : 0);
	for (i = 0; i < s->n; i++)
		if (has(s, &s->folders[i]))
			encode_folder(b, &s->folders[i]);
	for (i = 0; i < s->n_spans; i++)
		encode_span(b, &s->spans[i]);
	buf_add_le64(b, hash_64(b->data, b->len, 0));
}

static int
write_items(const struct saving *s, struct state_file *out, struct err *err)
{
	struct buf *b = &s->c->scratch;
	const char *what = "what is remembered";
	size_t i, len;

	for (i = 0; i < s->n; i++) {
		const struct walcache_folder *f = &s->folders[i];
		uint8_t *p;

		if (!has(s, f) || f->n_items == 0)
			continue;
		len = (size_t)f->n_items * WALCACHE_ITEM_SIZE;
		buf_clear(b);
		p = buf_reserve(b, len);
		if (p == NULL || f->where == WALCACHE_NOWHERE)
			return err_set(err, ERR_REFUSED, "it could not be "
			    "written before");
		if (io_pread_full(s->c->fds[f->where], p, len, f->offset,
			what, err) != 0 ||
		    state_file_add(out, p, len, err) != 0)
			return -1;
	}
	return 0;
}

static int
write_file(const struct saving *s, struct err *err)
{
	struct state_file out;
	struct buf table;
	int rc;

	encode_table(s, &table);
	rc = buf_check(&table, "what is remembered", err);
	if (rc == 0)
		rc = state_file_begin(&out, s->c->paths[s->newer ?
		    WALCACHE_NEWER : WALCACHE_BASE], err);
	if (rc == 0) {
		rc = state_file_add(&out, table.data, table.len, err);
		if (rc == 0)
			rc = write_items(s, &out, err);
		rc = state_file_end(&out, rc, err);
	}
	buf_free(&table);
	return rc;
}

void
walcache_save(struct walcache *c, const struct walcache_folder *folders,
    size_t n, const struct walview_span *spans, size_t n_spans)
{
	struct saving s = { .c = c, .folders = folders, .n = n,
		.spans = spans, .n_spans = n_spans };
	struct err err = ERR_INIT;
	uint64_t all;
	uint32_t ignored;

	if (n_spans > WALCACHE_SPANS_MAX) { /* the latest are the last */
		s.spans += n_spans - WALCACHE_SPANS_MAX;
		s.n_spans = WALCACHE_SPANS_MAX;
	}
	all = count(&s, &ignored);
	s.newer = true;
	s.newer = c->base != 0 && count(&s, &ignored) * WORTH_NEWER <= all;
	if (write_file(&s, &err) != 0)
		log_debug("not remembered: %s", err.msg);
	else if (!s.newer)
		(void)unlink(c->paths[WALCACHE_NEWER]); /* of another base */
}
