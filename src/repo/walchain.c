/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/walchain.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "repo/object.h"

void
wal_chain_free(struct wal_chain *c)
{
	free(c->runs);
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

/* The run that link i is in. */
static const struct wal_run *
run_of(const struct wal_chain *c, size_t i)
{
	size_t low = 0, high = c->n_runs - 1, mid;

	while (low < high) {
		mid = low + (high - low + 1) / 2;
		if (c->runs[mid].begin <= i)
			low = mid;
		else
			high = mid - 1;
	}
	return &c->runs[low];
}

uint64_t
wal_chain_segno(const struct wal_chain *c, size_t i)
{
	const struct wal_run *r = run_of(c, i);

	return r->segno + (i - r->begin);
}

pg_lsn
wal_chain_start(const struct wal_chain *c, size_t i)
{
	return wal_segment_start(wal_chain_segno(c, i), c->segment_size);
}

uint32_t
wal_chain_name(const struct wal_chain *c, size_t i,
    char out[WAL_SEGMENT_NAME_LEN + 1])
{
	const struct wal_run *r = run_of(c, i);

	wal_segment_name(r->timeline, r->segno + (i - r->begin),
	    c->segment_size, out);
	return r->timeline;
}

static uint64_t
segments_a_log(const struct wal_chain *c)
{
	return (UINT64_C(1) << 32) / c->segment_size;
}

static uint64_t
segno_of(const struct wal_chain *c, const struct walview_item *item)
{
	return item->log * segments_a_log(c) + item->seg;
}

/* What is stored of a timeline from this segment on. */
static int
seek(const struct wal_chain *c, uint32_t timeline, uint64_t segno,
    struct walview_item **out, size_t *n, struct err *err)
{
	const uint64_t each = segments_a_log(c);
	uint64_t log = segno / each, seg = segno % each;

	for (;;) {
		*n = 0;
		if (log > UINT32_MAX)
			return 0;
		if (walview_seek(c->view, timeline, (uint32_t)log,
			(uint32_t)seg, out, n, err) != 0)
			return -1;
		if (*n == 0 || (*out)->seg < each)
			return 0;
		/* No segment of this size has such a number. */
		log = (*out)->log + UINT64_C(1);
		seg = 0;
	}
}

int
wal_chain_link(const struct wal_chain *c, size_t i, struct wal_link *out,
    struct err *err)
{
	const struct wal_run *r = run_of(c, i);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct walview_item *items;
	size_t n, k;

	out->segno = r->segno + (i - r->begin);
	out->limit = r->limit;
	out->item = NULL;
	if (seek(c, r->timeline, out->segno, &items, &n, err) != 0)
		return -1;
	for (k = 0; k < n && segno_of(c, &items[k]) == out->segno; k++)
		if (items[k].partial == r->partial && (!r->partial ||
		    memcmp(items[k].hash, r->hash, WAL_HASH_SIZE) == 0)) {
			out->item = &items[k];
			return 0;
		}
	(void)wal_chain_name(c, i, name);
	return err_set(err, ERR_DAMAGED, "%s was there and is gone", name);
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

/* Is anything stored of the timeline behind this segment? */
static int
is_last(const struct wal_chain *c, uint32_t timeline, uint64_t segno,
    bool *last, struct err *err)
{
	struct walview_item *items;
	size_t n;

	if (seek(c, timeline, segno + 1, &items, &n, err) != 0)
		return -1;
	*last = n == 0;
	return 0;
}

/*
 * A .partial counts when it is the last of its timeline (what archive-get
 * delivers), and no other timeline proves that the whole segment existed.
 */
static int
take_partial(struct wal_chain *c, struct walview_item *list, size_t n,
    struct walview_item **out, struct err *err)
{
	const uint64_t segno = segno_of(c, list);
	const uint32_t timeline = list[0].timeline;
	pg_lsn next = wal_segment_start(segno + 1, c->segment_size);
	struct wal_stored first, picked;
	bool left = true, last;
	size_t i;

	walview_stored(list, &first);
	if (is_last(c, timeline, segno, &last, err) != 0 || (last &&
	    is_left_after(c, timeline, next, &left, err) != 0))
		return -1;
	if (left)
		return 0;
	if (n == 1) {
		*out = list;
		return 0;
	}
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
find_stored(struct wal_chain *c, uint32_t timeline, uint64_t segno,
    struct walview_item **out, struct err *err)
{
	struct walview_item *list;
	size_t all, n = 0;

	if (seek(c, timeline, segno, &list, &all, err) != 0)
		return -1;
	while (n < all && segno_of(c, &list[n]) == segno &&
	    list[n].partial == list[0].partial)
		n++;
	if (n == 0)
		return 0;
	/* Segments sort before their .partial. */
	if (list[0].partial) {
		if (take_partial(c, list, n, out, err) != 0)
			return -1;
	} else {
		*out = n == 1 ? list : NULL;
		c->conflict = n > 1;
	}
	if (c->conflict) {
		walview_segment_name(list, c->missing);
		log_warning("%s%s is stored with two contents: recovery "
		    "cannot go past it", c->missing,
		    list[0].partial ? ".partial" : "");
	}
	return 0;
}

static void
add_link(struct wal_chain *c, const struct walview_item *item, uint64_t segno,
    pg_lsn limit)
{
	struct wal_run *r = c->n_runs == 0 ? NULL : &c->runs[c->n_runs - 1];

	if (r == NULL || r->timeline != item->timeline || r->limit != limit ||
	    item->partial) {
		c->runs = xreallocarray(c->runs, c->n_runs + 1,
		    sizeof(*c->runs));
		r = &c->runs[c->n_runs++];
		*r = (struct wal_run){ .timeline = item->timeline,
			.segno = segno, .begin = c->n, .limit = limit,
			.partial = item->partial };
		memcpy(r->hash, item->hash, WAL_HASH_SIZE);
	}
	r->n++;
	c->n++;
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
static int
end_chain(struct wal_chain *c, const struct history *path, uint64_t segno,
    struct err *err)
{
	size_t i, n, newest = newest_begun(c, path, segno);
	struct walview_item *items;

	if (c->conflict) {
		c->gap = true;
		return 0;
	}
	wal_segment_name(path->entries[newest].timeline, segno,
	    c->segment_size, c->missing);
	for (i = newest; i < path->n; i++) {
		if (seek(c, path->entries[i].timeline, segno + 1, &items, &n,
			err) != 0)
			return -1;
		if (n > 0 && wal_segment_start(segno_of(c, items),
			c->segment_size) < path->entries[i].end)
			c->gap = true;
	}
	return 0;
}

/*
 * Add the segment from the newest timeline that has it, as recovery does;
 * never back to an older one. *more false: the chain ends.
 */
static int
extend(struct wal_chain *c, const struct history *path, uint64_t segno,
    size_t *current, bool *more, struct err *err)
{
	pg_lsn start = wal_segment_start(segno, c->segment_size);
	pg_lsn next = start + c->segment_size, end;
	struct walview_item *item = NULL;
	size_t i;

	*more = false;
	for (i = newest_begun(c, path, segno) + 1;
	    item == NULL && !c->conflict && i > *current; i--)
		if (find_stored(c, path->entries[i - 1].timeline, segno,
			&item, err) != 0)
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
	size_t current = 0;
	uint64_t segno = first;
	bool more = true;
	int ret = 0;

	memset(c, 0, sizeof(*c));
	c->repo = repo;
	c->inc = inc;
	c->own_view = view == NULL ? walview_new(repo, inc) : NULL;
	c->view = view == NULL ? c->own_view : view;
	c->segment_size = segment_size;
	while (ret == 0 && more) {
		ret = extend(c, path, segno, &current, &more, err);
		segno += more;
	}
	return ret == 0 ? end_chain(c, path, segno, err) : ret;
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
		walread_feed(s->reader, wal_segment_start(l->segno, s->c->segment_size) + pos,
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
		if (object_reader_open(&r, c->repo, key,
		    part == 0 ? ws.size : 0, part == 0 ? OBJECT_WAL : OBJECT_WAL_PART,
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
	struct wal_link l;
	int ret = wal_chain_link(c, at, &l, err);

	if (ret == 0)
		ret = scan_link(&s, &l, 0, err);
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
read_block_size(struct wal_chain *c, const struct wal_link *l, uint32_t *out,
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
	if (object_reader_open(&r, c->repo, key, ws.size, OBJECT_WAL, c->inc->system_id, err) != 0)
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
	struct wal_link l;
	int ret;

	*enough = false;
	if (lsn == 0)
		return 0;
	if (wal_chain_link(c, at, &l, err) != 0 ||
	    read_block_size(c, &l, &block_size, err) != 0)
		return -1;
	s.reader = walread_new(c->segment_size, block_size);
	ret = scan_link(&s, &l, lsn - wal_chain_start(c, at), err);
	for (at++; ret == 0 && !s.enough && at < c->n; at++) {
		ret = wal_chain_link(c, at, &l, err);
		if (ret == 0)
			ret = scan_link(&s, &l, 0, err);
	}
	*enough = b.decides;
	walread_free(s.reader);
	return ret;
}
