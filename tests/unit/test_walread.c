/* SPDX-License-Identifier: PostgreSQL */
/*
 * WAL is synthesised: records with right CRCs laid over pages, continued as
 * PostgreSQL does. The same reader was compared with pg_waldump on real WAL.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/time.h"
#include "pg/walread.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 8192
#define SEGMENT (UINT32_C(1) << 20)
#define START ((pg_lsn)5 * SEGMENT)
#define MAGIC15 0xd110
#define MAGIC18 0xd118

#define RMGR_XLOG 0
#define RMGR_XACT 1
#define RMGR_HEAP 10

/* WAL under construction, at most 4 segments from START. */
struct wal {
	uint8_t *data;
	size_t off; /* where the next byte goes */
	pg_lsn prev;
	uint16_t magic;
};

static void
wal_init(struct wal *w)
{
	memset(w, 0, sizeof(*w));
	w->data = calloc(4, SEGMENT);
	assert_non_null(w->data);
	w->magic = MAGIC15;
}

static void
wal_free(struct wal *w)
{
	free(w->data);
}

static void
put_header(struct wal *w, uint32_t rem_len, uint16_t flags)
{
	uint8_t *p = w->data + w->off;
	bool is_long = w->off % SEGMENT == 0;

	put_le16(p, w->magic);
	put_le16(p + 2, (uint16_t)(flags | (rem_len > 0 ? 1 : 0) |
	    (is_long ? 2 : 0)));
	put_le32(p + 4, 1);
	put_le64(p + 8, START + w->off);
	put_le32(p + 16, rem_len);
	if (is_long) {
		put_le64(p + 24, 4711);
		put_le32(p + 32, SEGMENT);
		put_le32(p + 36, PAGE);
	}
	w->off += is_long ? 40 : 24;
}

/* Lay bytes over pages; the first page's header may have to be put too. */
static void
lay(struct wal *w, const uint8_t *p, size_t len)
{
	size_t left = len, n;

	while (left > 0) {
		if (w->off % PAGE == 0)
			put_header(w, left < len ? (uint32_t)left : 0, 0);
		n = PAGE - w->off % PAGE;
		if (n > left)
			n = left;
		memcpy(w->data + w->off, p + (len - left), n);
		w->off += n;
		left -= n;
	}
	w->off = (w->off + 7) & ~(size_t)7;
}

/* body: everything behind the record header. Returns the record's start. */
static pg_lsn
put_raw(struct wal *w, uint8_t rmgr, uint8_t info, uint32_t xid,
    const struct buf *body)
{
	uint32_t len = (uint32_t)(24 + body->len), crc;
	uint8_t *rec = calloc(1, len);
	pg_lsn lsn;

	put_le32(rec, len);
	put_le32(rec + 4, xid);
	put_le64(rec + 8, w->prev);
	rec[16] = info;
	rec[17] = rmgr;
	memcpy(rec + 24, buf_str(body), body->len);
	crc = crc32c(rec + 24, len - 24);
	put_le32(rec + 20, crc32c_more(crc, rec, 20));
	if (w->off % PAGE == 0)
		put_header(w, 0, 0);
	lsn = START + w->off;
	lay(w, rec, len);
	free(rec);
	w->prev = lsn;
	return lsn;
}

/* The same with only main data. */
static pg_lsn
put(struct wal *w, uint8_t rmgr, uint8_t info, uint32_t xid,
    const struct buf *main_data)
{
	struct buf body;
	pg_lsn lsn;

	buf_init(&body, (size_t)1 << 30);
	if (main_data->len > 255) {
		buf_add_byte(&body, 254);
		buf_add_le32(&body, (uint32_t)main_data->len);
	} else {
		buf_add_byte(&body, 255);
		buf_add_byte(&body, (uint8_t)main_data->len);
	}
	buf_add(&body, buf_str(main_data), main_data->len);
	lsn = put_raw(w, rmgr, info, xid, &body);
	buf_free(&body);
	return lsn;
}

static pg_lsn
put_filler(struct wal *w, size_t len)
{
	struct buf b;
	pg_lsn lsn;
	size_t i;

	buf_init(&b, (size_t)1 << 30);
	for (i = 0; i < len; i++)
		buf_add_byte(&b, (uint8_t)(i * 7));
	lsn = put(w, RMGR_HEAP, 0, 99, &b);
	buf_free(&b);
	return lsn;
}

static pg_lsn
put_commit(struct wal *w, uint32_t xid, int64_t time)
{
	struct buf b;
	pg_lsn lsn;

	buf_init(&b, 1024);
	buf_add_le64(&b, (uint64_t)time);
	lsn = put(w, RMGR_XACT, 0x00, xid, &b);
	buf_free(&b);
	return lsn;
}

static pg_lsn
put_switch(struct wal *w)
{
	struct buf none;
	pg_lsn lsn;

	buf_init(&none, 1);
	lsn = put_raw(w, RMGR_XLOG, 0x40, 0, &none);
	w->off = (w->off + SEGMENT - 1) / SEGMENT * SEGMENT;
	return lsn;
}

/* A record that fills the segment up to `left` bytes before its end. */
static void
fill_up(struct wal *w, size_t left)
{
	while (SEGMENT - w->off % SEGMENT > left + 4096)
		(void)put_filler(w, 1000);
	while (SEGMENT - w->off % SEGMENT > left)
		(void)put_filler(w, 8);
}

static void
read_in_pieces(const struct wal *w, size_t len, size_t piece,
    struct wal_event *out, size_t max, size_t *n)
{
	struct walread *r = walread_new(SEGMENT, 0);
	size_t off, part;
	uint8_t *copy;

	*n = 0;
	for (off = 0; off < len; off += part) {
		part = len - off < piece ? len - off : piece;
		/* Its own memory, so that ASan sees any use afterwards. */
		copy = malloc(part);
		memcpy(copy, w->data + off, part);
		walread_feed(r, START + off, copy, part);
		while (*n < max && walread_next(r, &out[*n]))
			(*n)++;
		free(copy);
	}
	walread_free(r);
}

static void
records_are_the_same_however_the_bytes_arrive(void **state)
{
	static const size_t pieces[] = { 1, 7, 100, 4096, 8192, 8193, 100000,
		3 * SEGMENT };
	static struct wal_event want[20000], got[20000];
	size_t n_want, n_got, i, k;
	struct wal w;

	wal_init(&w);
	for (i = 0; w.off < SEGMENT + 20000; i++) {
		(void)put_filler(&w, i * 37 % 3000);
		(void)put_commit(&w, (uint32_t)(100 + i), (int64_t)i);
	}
	(void)put_filler(&w, 40000);
	(void)put_commit(&w, 50, 5);
	read_in_pieces(&w, 2 * SEGMENT, 2 * SEGMENT, want, N(want), &n_want);
	assert_int_equal(n_want, 2 * i + 2);
	assert_int_equal(want[n_want - 1].type, WAL_EVENT_COMMIT);
	assert_int_equal(want[n_want - 1].xid, 50);
	for (k = 0; k < N(pieces); k++) {
		read_in_pieces(&w, 2 * SEGMENT, pieces[k], got, N(got),
		    &n_got);
		assert_int_equal(n_got, n_want);
		for (i = 0; i < n_got; i++) {
			assert_int_equal(got[i].type, want[i].type);
			assert_true(got[i].lsn == want[i].lsn);
			assert_true(got[i].end == want[i].end);
			assert_int_equal(got[i].xid, want[i].xid);
		}
	}
	wal_free(&w);
}

/* All that a recovery target can name. */
static void
records_with_a_meaning_are_decoded(void **state)
{
	struct wal_event ev[8];
	struct buf b;
	struct wal w;
	size_t n;

	wal_init(&w);
	buf_init(&b, 4096);
	buf_add_le64(&b, 1000);
	(void)put(&w, RMGR_XACT, 0x20, 7, &b); /* abort */
	buf_clear(&b);
	buf_add_le64(&b, 2000);
	buf_add(&b, "before upgrade", 15);
	while (b.len < 72)
		buf_add_byte(&b, 0);
	(void)put(&w, RMGR_XLOG, 0x70, 0, &b); /* restore point */
	buf_clear(&b);
	while (b.len < 64)
		buf_add_byte(&b, 0);
	buf_add_le64(&b, TIME_UNIX_EPOCH_OFFSET + 3);
	while (b.len < 88)
		buf_add_byte(&b, 0);
	(void)put(&w, RMGR_XLOG, 0x10, 0, &b); /* online checkpoint */
	(void)put(&w, RMGR_XLOG, 0x00, 0, &b); /* shutdown checkpoint */
	buf_clear(&b);
	buf_add_le64(&b, 4000);
	buf_add_le64(&b, UINT64_C(0x100000002));
	(void)put(&w, RMGR_XLOG, 0x90, 0, &b); /* end of recovery */
	buf_clear(&b);
	buf_add_le64(&b, START);
	(void)put(&w, RMGR_XLOG, 0x50, 0, &b); /* backup end */
	read_in_pieces(&w, PAGE, PAGE, ev, N(ev), &n);
	assert_int_equal(n, 6);
	assert_int_equal(ev[0].type, WAL_EVENT_ABORT);
	assert_int_equal(ev[0].xid, 7);
	assert_int_equal(ev[0].time, 1000);
	assert_int_equal(ev[1].type, WAL_EVENT_RESTORE_POINT);
	assert_string_equal(ev[1].name, "before upgrade");
	assert_int_equal(ev[1].time, 2000);
	assert_int_equal(ev[2].type, WAL_EVENT_CHECKPOINT);
	assert_int_equal(ev[2].time, 3000000);
	assert_int_equal(ev[3].type, WAL_EVENT_CHECKPOINT);
	assert_int_equal(ev[4].type, WAL_EVENT_END_OF_RECOVERY);
	assert_int_equal(ev[4].time, 4000);
	assert_int_equal(ev[5].type, WAL_EVENT_BACKUP_END);
	assert_false(ev[5].has_time);
	buf_free(&b);
	wal_free(&w);
}

/* The prepared transaction's xid is behind all the optional parts. */
static void
a_prepared_transaction_ends_under_its_own_xid(void **state)
{
	static const struct {
		uint16_t magic;
		uint8_t info;
		uint32_t xinfo, stats_size;
		enum wal_event_type type;
	} cases[] = {
		{ 0xd106, 0xb0, 0x01f, 0, WAL_EVENT_COMMIT },
		{ 0xd10d, 0xc0, 0x017, 0, WAL_EVENT_ABORT },
		{ MAGIC15, 0xb0, 0x11f, 12, WAL_EVENT_COMMIT },
		{ 0xd113, 0xb0, 0x110, 12, WAL_EVENT_COMMIT },
		{ 0xd116, 0xc0, 0x117, 12, WAL_EVENT_ABORT },
		{ MAGIC18, 0xb0, 0x11f, 16, WAL_EVENT_COMMIT },
		{ MAGIC18, 0xb0, 0x010, 16, WAL_EVENT_COMMIT },
	};
	static const uint8_t zero[64];
	struct wal_event ev;
	struct buf b;
	struct wal w;
	size_t i, n;

	for (i = 0; i < N(cases); i++) {
		wal_init(&w);
		w.magic = cases[i].magic;
		buf_init(&b, 4096);
		buf_add_byte(&b, 253); /* origin */
		buf_add_le16(&b, 1);
		buf_add_byte(&b, 252); /* top-level xid */
		buf_add_le32(&b, 3);
		buf_add_byte(&b, 255);
		buf_add_byte(&b, 0); /* length, below */
		buf_add_le64(&b, 12345);
		buf_add_le32(&b, cases[i].xinfo);
		if (cases[i].xinfo & 0x01)
			buf_add(&b, zero, 8);
		if (cases[i].xinfo & 0x02) {
			buf_add_le32(&b, 2);
			buf_add(&b, zero, 8);
		}
		if (cases[i].xinfo & 0x04) {
			buf_add_le32(&b, 1);
			buf_add(&b, zero, 12);
		}
		if (cases[i].xinfo & 0x100) {
			buf_add_le32(&b, 1);
			buf_add(&b, zero, cases[i].stats_size);
		}
		if (cases[i].xinfo & 0x08) {
			buf_add_le32(&b, 1);
			buf_add(&b, zero, 16);
		}
		buf_add_le32(&b, 815);
		buf_add(&b, "gid", 4);
		b.data[9] = (uint8_t)(b.len - 10);
		(void)put_raw(&w, RMGR_XACT, cases[i].info, 0, &b);
		read_in_pieces(&w, PAGE, PAGE, &ev, 1, &n);
		assert_int_equal(n, 1);
		assert_int_equal(ev.type, cases[i].type);
		assert_int_equal(ev.xid, 815);
		assert_int_equal(ev.time, 12345);
		buf_free(&b);
		wal_free(&w);
	}
}

static void
a_record_that_lies_about_its_parts_means_nothing(void **state)
{
	struct wal_event ev;
	struct buf b;
	struct wal w;
	size_t n;

	wal_init(&w);
	buf_init(&b, 4096);
	buf_add_le64(&b, 1);
	buf_add_le32(&b, 0x012);      /* subtransactions, two-phase */
	buf_add_le32(&b, UINT32_MAX); /* so many of them */
	(void)put(&w, RMGR_XACT, 0xb0, 0, &b);
	read_in_pieces(&w, PAGE, PAGE, &ev, 1, &n);
	assert_int_equal(n, 1);
	assert_int_equal(ev.type, WAL_EVENT_OTHER);
	assert_false(ev.has_time);
	buf_free(&b);
	wal_free(&w);
}

static void
a_record_from_an_earlier_segment_is_skipped(void **state)
{
	struct wal_summary sum;
	struct wal w;
	pg_lsn giant;

	wal_init(&w);
	fill_up(&w, 4000);
	giant = put_filler(&w, SEGMENT + SEGMENT / 2);
	assert_true(w.off > 2 * SEGMENT);
	(void)put_commit(&w, 8, 80);
	(void)put_commit(&w, 9, 90);
	wal_summarise(w.data, SEGMENT, START, SEGMENT, &sum);
	assert_true(sum.parsed);
	assert_false(sum.ended);
	assert_true(sum.unfinished == giant);
	assert_true(sum.first_record == START + 40);
	/* Nothing begins in the second segment. */
	wal_summarise(w.data + SEGMENT, SEGMENT, START + SEGMENT, SEGMENT,
	    &sum);
	assert_true(sum.parsed);
	assert_false(sum.ended);
	assert_int_equal(sum.records, 0);
	assert_true(sum.first_record == 0 && sum.end == 0);
	assert_true(sum.unfinished == 0);
	wal_summarise(w.data + 2 * SEGMENT, SEGMENT, START + 2 * SEGMENT,
	    SEGMENT, &sum);
	assert_int_equal(sum.commits, 2);
	assert_int_equal(sum.min_xid, 8);
	assert_true(sum.ended); /* zeros behind them */
	assert_true(sum.end == START + w.off);
	wal_free(&w);
}

/* The end of the segment after a switch is not an end of WAL. */
static void
after_a_switch_wal_goes_on_in_the_next_segment(void **state)
{
	struct wal_event ev[4];
	struct wal_summary sum;
	struct wal w;
	pg_lsn at;
	size_t n;

	wal_init(&w);
	(void)put_commit(&w, 1, 10);
	at = put_switch(&w);
	memset(w.data + 3 * PAGE, 0xaa, PAGE); /* rubbish in the padding */
	(void)put_commit(&w, 2, 20);
	read_in_pieces(&w, SEGMENT + PAGE, 5000, ev, N(ev), &n);
	assert_int_equal(n, 3);
	assert_int_equal(ev[1].type, WAL_EVENT_SWITCH);
	assert_true(ev[1].lsn == at);
	assert_true(ev[1].end == START + SEGMENT);
	assert_int_equal(ev[2].xid, 2);
	assert_true(ev[2].lsn == START + SEGMENT + 40);
	wal_summarise(w.data, SEGMENT, START, SEGMENT, &sum);
	assert_false(sum.ended);
	assert_true(sum.end == START + SEGMENT);
	wal_free(&w);
}

static void
wal_ends_where_recovery_would_end(void **state)
{
	static const struct {
		size_t at; /* in the second page */
		uint8_t value;
	} cases[] = {
		{ 0, 0 },     /* zeroed page */
		{ 8, 0x77 },  /* address: an older use of the file */
		{ 2, 0x20 },  /* unknown flag */
		{ 4, 0 },     /* timeline */
		{ 16, 0x77 }, /* length of the continued record */
		{ 200, 0 },   /* CRC of it */
	};
	struct wal_event ev[8];
	const char *reason;
	struct walread *r;
	pg_lsn end, first;
	struct wal w;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		wal_init(&w);
		first = put_commit(&w, 1, 10);
		(void)put_filler(&w, 10000);
		(void)put_commit(&w, 2, 20);
		w.data[PAGE + cases[i].at] = cases[i].value;
		r = walread_new(SEGMENT, 0);
		walread_feed(r, START, w.data, SEGMENT);
		assert_true(walread_next(r, ev));
		assert_true(ev[0].lsn == first);
		assert_false(walread_next(r, ev));
		assert_true(walread_ended(r, &end, &reason));
		assert_true(end == ev[0].end);
		assert_non_null(reason);
		walread_feed(r, START + SEGMENT, w.data, PAGE);
		assert_false(walread_next(r, ev));
		walread_free(r);
		wal_free(&w);
	}
}

/* A recycled file keeps whole old pages and records behind the new ones. */
static void
old_records_of_a_recycled_segment_are_not_read(void **state)
{
	struct wal_summary sum;
	struct wal old, w;

	wal_init(&old);
	wal_init(&w);
	while (old.off < SEGMENT - 5000)
		(void)put_commit(&old, 666, 66);
	(void)put_commit(&w, 1, 10);
	(void)put_filler(&w, 9000);
	/* Same page addresses would need the same segment: shift them. */
	for (size_t p = 0; p < SEGMENT; p += PAGE)
		put_le64(old.data + p + 8, START + p - 3 * SEGMENT);
	memcpy(old.data, w.data, 2 * PAGE);
	wal_summarise(old.data, SEGMENT, START, SEGMENT, &sum);
	assert_true(sum.parsed);
	assert_true(sum.ended);
	assert_int_equal(sum.commits, 1);
	assert_int_equal(sum.max_xid, 1);
	assert_true(sum.end == START + w.off);
	wal_free(&w);
	wal_free(&old);
}

static void
a_record_given_up_in_a_crash_is_overwritten(void **state)
{
	struct wal_event ev[4];
	struct buf b;
	struct wal w;
	pg_lsn first, again;
	size_t n;

	wal_init(&w);
	first = put_commit(&w, 1, 10);
	(void)put_filler(&w, 20000); /* its last pages were never written */
	memset(w.data + PAGE, 0, 3 * SEGMENT);
	w.off = PAGE;
	w.prev = first;
	put_header(&w, 0, 0x0008);
	buf_init(&b, 64);
	buf_add_le64(&b, first);
	buf_add_le64(&b, 77);
	again = put(&w, RMGR_XLOG, 0xd0, 0, &b);
	(void)put_commit(&w, 2, 20);
	read_in_pieces(&w, 2 * PAGE, 3000, ev, N(ev), &n);
	assert_int_equal(n, 3);
	assert_true(ev[1].lsn == again);
	assert_int_equal(ev[2].xid, 2);
	buf_free(&b);
	wal_free(&w);
}

static void
the_summary_has_the_extremes_and_the_restore_points(void **state)
{
	struct wal_summary sum;
	struct buf b;
	struct wal w;
	pg_lsn high;
	int i;

	wal_init(&w);
	(void)put_commit(&w, 20, 500);
	high = put_commit(&w, 10, 900);
	(void)put_commit(&w, 30, 300);
	(void)put_commit(&w, 25, 900);
	buf_init(&b, 128);
	buf_add_le64(&b, 600);
	buf_add(&b, "p", 2);
	while (b.len < 72)
		buf_add_byte(&b, 'x'); /* not ended by a 0 */
	for (i = 0; i < WAL_SUMMARY_RESTORE_POINTS_MAX + 3; i++)
		(void)put(&w, RMGR_XLOG, 0x70, 0, &b);
	wal_summarise(w.data, SEGMENT, START, SEGMENT, &sum);
	assert_int_equal(sum.commits, 4);
	assert_int_equal(sum.first_commit_time, 500);
	assert_int_equal(sum.last_commit_time, 900);
	assert_int_equal(sum.min_commit_time, 300);
	assert_int_equal(sum.max_commit_time, 900);
	assert_int_equal(sum.min_xid, 10);
	assert_int_equal(sum.max_xid, 30);
	assert_int_equal(sum.max_time, 900);
	assert_true(sum.max_time_lsn == high);
	assert_int_equal(sum.n_restore_points,
	    WAL_SUMMARY_RESTORE_POINTS_MAX + 3);
	assert_string_equal(sum.points[0].name, "p");
	assert_string_equal(
	    sum.points[WAL_SUMMARY_RESTORE_POINTS_MAX - 1].name, "p");
	buf_free(&b);
	wal_free(&w);
}

static void
the_segment_header_is_decoded(void **state)
{
	struct wal_segment_header h;
	struct err err = ERR_INIT;
	struct wal w;

	wal_init(&w);
	(void)put_commit(&w, 1, 1);
	assert_int_equal(wal_segment_header_decode(w.data, 40, &h, &err), 0);
	assert_int_equal(h.major, 15);
	assert_int_equal(h.timeline, 1);
	assert_true(h.page_addr == START);
	assert_true(h.system_id == 4711);
	assert_int_equal(h.segment_size, SEGMENT);
	assert_int_equal(h.block_size, PAGE);
	put_le16(w.data, 0xd199);
	assert_int_equal(wal_segment_header_decode(w.data, 40, &h, &err), 0);
	assert_int_equal(h.major, 0);
	assert_int_equal(wal_segment_header_decode(w.data, 39, &h, &err), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	assert_int_equal(wal_segment_header_decode(w.data + PAGE, 40, &h,
	    &err), -1);
	wal_free(&w);
}

static void
what_is_no_wal_is_not_summarised(void **state)
{
	uint8_t *junk = malloc(SEGMENT);
	struct wal_summary sum;
	size_t i;

	for (i = 0; i < SEGMENT; i++)
		junk[i] = (uint8_t)(i * 131 >> 3);
	wal_summarise(junk, SEGMENT, START, SEGMENT, &sum);
	assert_false(sum.parsed);
	memset(junk, 0, SEGMENT);
	wal_summarise(junk, SEGMENT, START, SEGMENT, &sum);
	assert_false(sum.parsed);
	wal_summarise(junk, 0, START, SEGMENT, &sum);
	assert_false(sum.parsed);
	wal_summarise(junk, 17, START, SEGMENT, &sum);
	assert_false(sum.parsed);
	free(junk);
}

/* Any change may end WAL early, but never brings a record with it. */
static void
damaged_bytes_never_give_a_record_that_was_not_there(void **state)
{
	static struct wal_event want[2000], got[2000];
	size_t n_want, n_got, i, k, at;
	uint32_t seed = 1;
	struct wal w;
	uint8_t old;

	wal_init(&w);
	for (i = 0; i < 400; i++) {
		(void)put_filler(&w, i * 53 % 700);
		(void)put_commit(&w, (uint32_t)i, (int64_t)i);
	}
	read_in_pieces(&w, w.off, w.off, want, N(want), &n_want);
	for (k = 0; k < 3000; k++) {
		seed = seed * 1664525 + 1013904223;
		at = (seed >> 8) % w.off;
		old = w.data[at];
		w.data[at] ^= (uint8_t)(1 << (seed >> 5) % 8);
		read_in_pieces(&w, w.off, 10007, got, N(got), &n_got);
		w.data[at] = old;
		assert_true(n_got <= n_want);
		for (i = 0; i < n_got; i++)
			assert_true(got[i].lsn == want[i].lsn &&
			    got[i].xid == want[i].xid &&
			    got[i].time == want[i].time);
	}
	wal_free(&w);
}

/* 1 GB claimed, 8 kB there: nothing near 1 GB may be allocated. */
static void
a_claimed_length_alone_allocates_nothing(void **state)
{
	struct wal_event ev[2];
	struct walread *r;
	const char *reason;
	struct wal w;
	pg_lsn end;

	wal_init(&w);
	(void)put_commit(&w, 1, 1);
	put_le32(w.data + w.off, WAL_RECORD_MAX);
	put_le64(w.data + w.off + 8, w.prev);
	r = walread_new(SEGMENT, 0);
	walread_feed(r, START, w.data, PAGE);
	assert_true(walread_next(r, ev));
	assert_false(walread_next(r, ev));
	assert_false(walread_ended(r, &end, &reason));
	assert_true(walread_unfinished(r) == START + w.off);
	walread_free(r);
	put_le32(w.data + w.off, WAL_RECORD_MAX + 1);
	r = walread_new(SEGMENT, 0);
	walread_feed(r, START, w.data, PAGE);
	assert_true(walread_next(r, ev));
	assert_false(walread_next(r, ev));
	assert_true(walread_ended(r, &end, &reason));
	walread_free(r);
	wal_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_the_same_however_the_bytes_arrive),
		cmocka_unit_test(records_with_a_meaning_are_decoded),
		cmocka_unit_test(a_prepared_transaction_ends_under_its_own_xid),
		cmocka_unit_test(
		    a_record_that_lies_about_its_parts_means_nothing),
		cmocka_unit_test(a_record_from_an_earlier_segment_is_skipped),
		cmocka_unit_test(
		    after_a_switch_wal_goes_on_in_the_next_segment),
		cmocka_unit_test(wal_ends_where_recovery_would_end),
		cmocka_unit_test(
		    old_records_of_a_recycled_segment_are_not_read),
		cmocka_unit_test(a_record_given_up_in_a_crash_is_overwritten),
		cmocka_unit_test(
		    the_summary_has_the_extremes_and_the_restore_points),
		cmocka_unit_test(the_segment_header_is_decoded),
		cmocka_unit_test(what_is_no_wal_is_not_summarised),
		cmocka_unit_test(
		    damaged_bytes_never_give_a_record_that_was_not_there),
		cmocka_unit_test(a_claimed_length_alone_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
