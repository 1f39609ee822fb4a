/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/walchain.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "repo/object.h"

/* What is stored of one timeline of the path, by name. */
struct stored {
	struct walview_item *list;
	size_t n;
	size_t next; /* where the search begins: one segment follows another */
};

void
wal_chain_free(struct wal_chain *c)
{
	free(c->links);
	frame_codec_free(c->codec);
	walview_free(c->own_view);
}

struct wal_stored
wal_chain_stored(const struct wal_link *l)
{
	struct wal_stored ws;

	walview_stored(l->item, &ws);
	return ws;
}

pg_lsn
wal_chain_start(const struct wal_chain *c, const struct wal_link *l)
{
	return wal_segment_start(l->segno, c->segment_size);
}

static uint64_t
segno_of(const struct wal_chain *c, const struct walview_item *item)
{
	return item->log * ((UINT64_C(1) << 32) / c->segment_size) +
	    item->seg;
}

/* Is it the first in the list whose segment number is at least this? */
static bool
is_lower_bound(const struct wal_chain *c, const struct stored *s, size_t i,
    uint64_t segno)
{
	return i > 0 && i < s->n && segno_of(c, &s->list[i - 1]) < segno &&
	    segno_of(c, &s->list[i]) >= segno;
}

/* The first in the list whose segment number is at least this. */
static size_t
lower_bound(const struct wal_chain *c, const struct stored *s, uint64_t segno)
{
	size_t low = 0, high = s->n, mid;

	if (is_lower_bound(c, s, s->next, segno))
		return s->next;
	while (low < high) {
		mid = low + (high - low) / 2;
		if (segno_of(c, &s->list[mid]) < segno)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Does a stored timeline leave this one at or after an LSN? */
static int
is_left_after(const struct wal_chain *c, uint32_t timeline, pg_lsn lsn,
    bool *left, struct err *err)
{
	const struct history_entry *e;
	const struct history *h;
	const uint32_t *list;
	size_t i, n = 0;

	*left = false;
	if (walview_timelines(c->view, &list, &n, err) != 0)
		return -1;
	for (i = n; i > 0 && list[i - 1] > timeline && !*left; i--) {
		if (walview_history(c->view, list[i - 1], &h, err) != 0) {
			/* That it is unknown is for others to tell. */
			if (err->code != ERR_NOT_FOUND &&
			    err->code != ERR_DAMAGED)
				return -1;
			err_clear(err);
			continue;
		}
		e = history_find(h, timeline);
		*left = e != NULL && e->end >= lsn;
	}
	return 0;
}

/*
 * A .partial counts when it is the last of its timeline (what archive-get
 * delivers), and no other timeline proves that the whole segment existed.
 */
static int
take_partial(struct wal_chain *c, struct walview_item *list, size_t n,
    bool last, struct walview_item **out, struct err *err)
{
	pg_lsn next = wal_segment_start(segno_of(c, list) + 1,
	    c->segment_size);
	struct wal_stored first, picked;
	bool left = true;
	size_t i;

	if (last && is_left_after(c, list[0].timeline, next, &left, err) != 0)
		return -1;
	if (left)
		return 0;
	if (n == 1) {
		*out = list;
		return 0;
	}
	walview_stored(list, &first);
	if (wal_store_pick_partial(c->repo, c->inc, &first.file,
		c->segment_size, &picked, err) == 0) {
		for (i = 0; i < n; i++)
			if (memcmp(list[i].hash, picked.hash,
				WAL_HASH_SIZE) == 0)
				*out = &list[i];
		return 0;
	}
	if (err->code != ERR_REFUSED && err->code != ERR_DAMAGED)
		return -1;
	log_err(LOG_WARNING, err);
	err_clear(err);
	c->conflict = true;
	return 0;
}

/*
 * The segment on this timeline, or its .partial; NULL: none. One that is
 * stored with two contents ends the chain: nobody may guess, and an older
 * timeline's copy is not what recovery would get.
 */
static int
find_stored(struct wal_chain *c, struct stored *s, uint64_t segno,
    struct walview_item **out, struct err *err)
{
	size_t i = lower_bound(c, s, segno), n = 0;

	while (i + n < s->n && segno_of(c, &s->list[i + n]) == segno &&
	    s->list[i + n].partial == s->list[i].partial)
		n++;
	if (n == 0)
		return 0;
	s->next = i + n;
	/* Segments sort before their .partial. */
	if (s->list[i].partial) {
		if (take_partial(c, &s->list[i], n, i + n == s->n, out,
			err) != 0)
			return -1;
	} else {
		*out = n == 1 ? &s->list[i] : NULL;
		c->conflict = n > 1;
	}
	if (c->conflict) {
		walview_segment_name(&s->list[i], c->missing);
		log_warning("%s%s is stored with two contents: recovery "
		    "cannot go past it", c->missing,
		    s->list[i].partial ? ".partial" : "");
	}
	return 0;
}

static void
add_link(struct wal_chain *c, struct walview_item *item, uint64_t segno,
    pg_lsn limit)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->links = xreallocarray(c->links, c->cap, sizeof(*c->links));
	}
	c->links[c->n++] = (struct wal_link){ item, segno, limit };
}

/* The newest timeline of the path that has begun by the segment's end. */
static size_t
newest_begun(const struct wal_chain *c, const struct history *path,
    uint64_t segno)
{
	size_t i;

	for (i = path->n - 1; i > 0; i--)
		if (wal_segno_of_lsn(path->entries[i].begin,
			c->segment_size) <= segno)
			break;
	return i;
}

/* The chain ends before this segment. */
static void
end_chain(struct wal_chain *c, const struct history *path,
    const struct stored *stored, uint64_t segno)
{
	size_t i, at, newest = newest_begun(c, path, segno);

	if (c->conflict) {
		c->gap = true;
		return;
	}
	wal_segment_name(path->entries[newest].timeline, segno,
	    c->segment_size, c->missing);
	for (i = newest; i < path->n; i++) {
		at = lower_bound(c, &stored[i], segno + 1);
		if (at < stored[i].n &&
		    wal_segment_start(segno_of(c, &stored[i].list[at]),
			c->segment_size) < path->entries[i].end)
			c->gap = true;
	}
}

/*
 * Add the segment from the newest timeline that has it, as recovery does;
 * never back to an older one. *more false: the chain ends.
 */
static int
extend(struct wal_chain *c, const struct history *path,
    struct stored *stored, uint64_t segno, size_t *current, bool *more,
    struct err *err)
{
	pg_lsn start = wal_segment_start(segno, c->segment_size);
	pg_lsn next = start + c->segment_size, end;
	struct walview_item *item = NULL;
	size_t i;

	*more = false;
	for (i = newest_begun(c, path, segno) + 1;
	    item == NULL && !c->conflict && i > *current; i--)
		if (find_stored(c, &stored[i - 1], segno, &item, err) != 0)
			return -1;
	if (item == NULL)
		return 0;
	/* i is the one that has it; past its end it is another history. */
	end = path->entries[i].end;
	if (end < next)
		c->fork = end;
	if (end <= start) {
		c->goes_on = true;
		return 0;
	}
	*current = i;
	add_link(c, item, segno, end);
	c->ends_in_partial = item->partial;
	*more = !c->ends_in_partial && end >= next;
	return 0;
}

int
wal_chain_build(struct wal_chain *c, struct repo *repo,
    const struct incarnation *inc, struct walview *view,
    uint32_t segment_size, const struct history *path, uint64_t first,
    struct err *err)
{
	struct stored *stored = xcalloc(path->n, sizeof(*stored));
	size_t i, current = 0;
	uint64_t segno = first;
	bool more = true;
	int ret = 0;

	memset(c, 0, sizeof(*c));
	c->repo = repo;
	c->inc = inc;
	c->own_view = view == NULL ? walview_new(repo, inc) : NULL;
	c->view = view == NULL ? c->own_view : view;
	c->segment_size = segment_size;
	for (i = 0; i < path->n && ret == 0; i++)
		ret = walview_segments(c->view, path->entries[i].timeline,
		    &stored[i].list, &stored[i].n, err);
	while (ret == 0 && more) {
		ret = extend(c, path, stored, segno, &current, &more, err);
		segno += more;
	}
	if (ret == 0)
		end_chain(c, path, stored, segno);
	free(stored);
	return ret;
}

int
wal_chain_describe(struct wal_chain *c, struct wal_link *l,
    struct format_wal_tag *tag, struct wal_summary *sum, struct err *err)
{
	return walview_describe(c->view, l->item, tag, sum, err);
}

/* Records of a range of links are being read. */
struct scan {
	struct wal_chain *c;
	struct walread *reader;
	wal_chain_judge judge;
	void *arg;
	bool enough;
};

static bool
has_ended(const struct walread *r)
{
	const char *reason;
	pg_lsn end;

	return walread_ended(r, &end, &reason);
}

/* One part's pieces from an offset in the segment on. */
static int
scan_part(struct scan *s, struct object_reader *r, const struct wal_link *l,
    uint64_t pos, uint64_t from, struct err *err)
{
	struct frame_header h;
	struct wal_event ev;
	struct buf plain;
	uint32_t i;
	int ret = 0;

	buf_init(&plain, FORMAT_WAL_PIECE_MAX);
	for (i = 0; i < r->n && !s->enough; i++) {
		if (r->entries[i].type != FRAME_WAL)
			continue;
		if (pos + r->entries[i].plain_len <= from) {
			pos += r->entries[i].plain_len;
			continue;
		}
		ret = object_reader_frame(r, s->c->codec, i, &h, &plain, err);
		if (ret != 0)
			break;
		walread_feed(s->reader, wal_chain_start(s->c, l) + pos,
		    plain.data, plain.len);
		while (!s->enough && walread_next(s->reader, &ev))
			s->enough = s->judge(s->arg, &ev);
		if (has_ended(s->reader))
			s->enough = true;
		pos += plain.len;
	}
	buf_free(&plain);
	return ret;
}

/* A link's records, from the piece with offset `from` on. */
static int
scan_link(struct scan *s, struct wal_link *l, uint64_t from, struct err *err)
{
	struct wal_chain *c = s->c;
	struct format_wal_tag tag;
	struct object_reader r;
	struct wal_stored ws;
	char key[STORAGE_KEY_MAX];
	uint32_t part;
	int ret = 0;

	if (wal_chain_describe(c, l, &tag, NULL, err) != 0)
		return -1;
	ws = wal_chain_stored(l);
	if (c->codec == NULL)
		c->codec = frame_codec_new(1);
	part = tag.part_length == 0 ? 0 : (uint32_t)(from / tag.part_length);
	for (; part < tag.parts && ret == 0 && !s->enough; part++) {
		wal_store_key(c->inc, &ws.file, ws.hash, ws.generation, part,
		    key);
		if (object_reader_open(&r, c->repo->st, key,
		    part == 0 ? ws.size : 0, part == 0 ? OBJECT_WAL : OBJECT_WAL_PART, c->repo->id,
		    c->inc->system_id, err) != 0)
			/* It was listed, or part 0 names it: damage. */
			return err->code == ERR_NOT_FOUND ?
			    err_set(err, ERR_DAMAGED, "%s is missing", key) :
			    -1;
		ret = scan_part(s, &r, l, (uint64_t)part * tag.part_length,
		    from, err);
		object_reader_close(&r);
	}
	return ret;
}

int
wal_chain_scan(struct wal_chain *c, size_t at, wal_chain_judge judge, void *arg,
    bool *enough, struct err *err)
{
	struct scan s = { .c = c, .judge = judge, .arg = arg,
		.reader = walread_new(c->segment_size, 0) };
	int ret = scan_link(&s, &c->links[at], 0, err);

	/* The end of valid WAL ends this link's records only. */
	if (has_ended(s.reader))
		s.enough = false;
	*enough = s.enough;
	walread_free(s.reader);
	return ret;
}

/* Only the record that begins at `lsn` is of interest. */
struct boundary {
	pg_lsn lsn;
	bool seen;
	bool decides;
	wal_chain_judge judge;
	void *arg;
};

static bool
judge_boundary(void *arg, const struct wal_event *ev)
{
	struct boundary *b = arg;

	if (ev->lsn < b->lsn)
		return false;
	b->seen = true;
	if (ev->lsn == b->lsn)
		b->decides = b->judge(b->arg, ev);
	return true;
}

/* The WAL block size, from the first page of the link's segment. */
static int
read_block_size(struct wal_chain *c, struct wal_link *l, uint32_t *out,
    struct err *err)
{
	const struct wal_stored ws = wal_chain_stored(l);
	struct wal_segment_header h;
	struct object_reader r;
	struct frame_header fh;
	struct buf plain;
	char key[STORAGE_KEY_MAX];
	int ret;

	if (c->codec == NULL)
		c->codec = frame_codec_new(1);
	wal_store_key(c->inc, &ws.file, ws.hash, ws.generation, 0, key);
	if (object_reader_open(&r, c->repo->st, key, ws.size, OBJECT_WAL,
	    c->repo->id, c->inc->system_id, err) != 0)
		return -1;
	buf_init(&plain, FORMAT_WAL_PIECE_MAX);
	ret = object_reader_frame(&r, c->codec, 0, &fh, &plain, err);
	if (ret == 0)
		ret = wal_segment_header_decode(plain.data, plain.len, &h,
		    err);
	if (ret == 0)
		*out = h.block_size;
	buf_free(&plain);
	object_reader_close(&r);
	return ret;
}

int
wal_chain_scan_across(struct wal_chain *c, size_t at, pg_lsn lsn,
    wal_chain_judge judge, void *arg, bool *enough, struct err *err)
{
	struct boundary b = { .lsn = lsn, .judge = judge, .arg = arg };
	struct scan s = { .c = c, .judge = judge_boundary, .arg = &b };
	uint32_t block_size = 0;
	int ret;

	*enough = false;
	if (lsn == 0)
		return 0;
	if (read_block_size(c, &c->links[at], &block_size, err) != 0)
		return -1;
	s.reader = walread_new(c->segment_size, block_size);
	ret = scan_link(&s, &c->links[at],
	    lsn - wal_chain_start(c, &c->links[at]), err);
	for (at++; ret == 0 && !s.enough && at < c->n; at++)
		ret = scan_link(&s, &c->links[at], 0, err);
	*enough = b.decides;
	walread_free(s.reader);
	return ret;
}
