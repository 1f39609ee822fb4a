/* SPDX-License-Identifier: PostgreSQL */
/*
 * WAL is a row of pages, each with a header that says where it belongs. The
 * reader stands at an offset in one page. A record that lies within the page
 * is used where it is; one that goes on is gathered in a buffer, which grows
 * only by bytes that are there, whatever length the record claims. The part
 * of a page that was fed last is kept when it is not whole.
 *
 * What ends the stream is what ends recovery (xlogreader.c): a header or a
 * record that does not fit to what came before, a wrong CRC.
 */
#include "config.h"

#include "pg/walread.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "pg/walevent.h"

#define SHORT_HEADER_SIZE 24
#define LONG_HEADER_SIZE 40

#define INFO_CONTRECORD 0x0001
#define INFO_LONG_HEADER 0x0002
#define INFO_OVERWRITE_CONTRECORD 0x0008
#define INFO_ALL 0x000f

#define BLOCK_SIZE_MIN 1024
#define BLOCK_SIZE_MAX 65536

#define RMGR_BUILT_IN_MAX 24 /* RM_MAX_BUILTIN_ID is 21 in 13 to 18 */
#define RMGR_CUSTOM_MIN 128 /* 15 and later */

struct page_header {
	uint16_t magic;
	uint16_t info;
	uint32_t timeline;
	pg_lsn addr;
	uint32_t rem_len;
	uint64_t system_id; /* these with a long header */
	uint32_t segment_size;
	uint32_t block_size;
};

struct walread {
	uint32_t segment_size;
	uint32_t block_size; /* 0: not known yet */
	/* The page that is read. */
	pg_lsn page_lsn;
	const uint8_t *page; /* have bytes of it, NULL before the first */
	size_t have;
	size_t off; /* read so far; 0: header not checked yet */
	uint8_t *carry; /* block_size bytes */
	/* What was fed and lies behind it. */
	const uint8_t *in;
	size_t in_len;
	/* What each header must agree with; 0: none was seen. */
	uint16_t magic;
	int major;
	uint32_t timeline;
	uint64_t system_id;
	/* The record that is gathered; lsn 0: none. */
	pg_lsn record_lsn;
	uint32_t record_len;
	struct buf record;
	bool in_step; /* the offset is known to be a record's start */
	pg_lsn prev; /* start of the record before, 0: not known */
	pg_lsn skip_to; /* after a switch: nothing to read before this */
	pg_lsn end;
	bool ended;
	const char *reason;
	/* What walread_next() gave last. */
	const uint8_t *last;
	uint32_t last_len;
};

static void
header_parse(const uint8_t *p, struct page_header *h)
{
	memset(h, 0, sizeof(*h));
	h->magic = get_le16(p);
	h->info = get_le16(p + 2);
	h->timeline = get_le32(p + 4);
	h->addr = get_le64(p + 8);
	h->rem_len = get_le32(p + 16);
}

static void
header_parse_long(const uint8_t *p, struct page_header *h)
{
	h->system_id = get_le64(p + 24);
	h->segment_size = get_le32(p + 32);
	h->block_size = get_le32(p + 36);
}

static bool
block_size_valid(uint32_t size)
{
	return size >= BLOCK_SIZE_MIN && size <= BLOCK_SIZE_MAX &&
	    (size & (size - 1)) == 0;
}

int
wal_segment_header_decode(const uint8_t *data, size_t len,
    struct wal_segment_header *out, struct err *err)
{
	struct page_header h;

	if (len < LONG_HEADER_SIZE)
		return err_set(err, ERR_DAMAGED,
		    "WAL segment is too short: %zu bytes", len);
	header_parse(data, &h);
	header_parse_long(data, &h);
	/* All releases since 7.1 have magics from 0xd0 on. */
	if (h.magic >> 8 < 0xd0 || (h.info & INFO_LONG_HEADER) == 0 ||
	    h.timeline == 0 || !wal_segment_size_valid(h.segment_size) ||
	    !block_size_valid(h.block_size) || h.addr % h.segment_size != 0)
		return err_set(err, ERR_DAMAGED,
		    "no WAL segment header at the start of the file");
	out->magic = h.magic;
	out->major = wal_magic_major(h.magic);
	out->info = h.info;
	out->timeline = h.timeline;
	out->page_addr = h.addr;
	out->system_id = h.system_id;
	out->segment_size = h.segment_size;
	out->block_size = h.block_size;
	return 0;
}

struct walread *
walread_new(uint32_t segment_size, uint32_t block_size)
{
	struct walread *r = xcalloc(1, sizeof(*r));

	r->segment_size = segment_size;
	r->block_size = block_size;
	buf_init(&r->record, (size_t)WAL_RECORD_MAX + 1);
	return r;
}

void
walread_free(struct walread *r)
{
	if (r == NULL)
		return;
	buf_free(&r->record);
	free(r->carry);
	free(r);
}

static bool
finish(struct walread *r, const char *reason)
{
	r->ended = true;
	r->reason = reason;
	return false;
}

/* The block size that the first page names, else the default. */
static void
choose_block_size(struct walread *r)
{
	struct page_header h;

	r->block_size = WAL_PAGE_SIZE_DEFAULT;
	if (r->in_len < LONG_HEADER_SIZE)
		return;
	header_parse(r->in, &h);
	header_parse_long(r->in, &h);
	if ((h.info & INFO_LONG_HEADER) && block_size_valid(h.block_size))
		r->block_size = h.block_size;
}

/* Keep the page that is not whole: what was fed is the caller's again. */
static void
save_page(struct walread *r)
{
	if (r->page == NULL || r->page == r->carry)
		return;
	if (r->carry == NULL)
		r->carry = xmalloc(r->block_size);
	if (r->have < r->block_size)
		memcpy(r->carry, r->page, r->have);
	r->page = r->carry;
}

void
walread_feed(struct walread *r, pg_lsn lsn, const uint8_t *data, size_t len)
{
	size_t n;

	if (r->ended || len == 0)
		return;
	if (r->page == NULL) {
		r->in = data;
		r->in_len = len;
		if (r->block_size == 0)
			choose_block_size(r);
		r->page_lsn = lsn;
		r->page = data;
		r->have = len < r->block_size ? len : r->block_size;
		r->in += r->have;
		r->in_len -= r->have;
		if (lsn % r->block_size != 0)
			(void)finish(r, "not fed from the start of a page");
		return;
	}
	save_page(r);
	if (lsn != r->page_lsn + r->have) {
		(void)finish(r, "fed bytes that do not follow");
		return;
	}
	n = r->block_size - r->have;
	if (n > len)
		n = len;
	memcpy(r->carry + r->have, data, n);
	r->have += n;
	r->in = data + n;
	r->in_len = len - n;
}

/* To the next page; false: nothing of it is there yet. */
static bool
next_page(struct walread *r)
{
	if (r->in_len == 0)
		return false;
	r->page = r->in;
	r->page_lsn += r->block_size;
	r->have = r->in_len < r->block_size ? r->in_len : r->block_size;
	r->in += r->have;
	r->in_len -= r->have;
	r->off = 0;
	return true;
}

/* NULL, or what is wrong with the header. */
static const char *
header_check(struct walread *r, const struct page_header *h)
{
	if (r->magic == 0) {
		r->major = wal_magic_major(h->magic);
		if (r->major == 0)
			return "not WAL of PostgreSQL 13 to 18";
		r->magic = h->magic;
	}
	if (h->magic != r->magic)
		return "page without WAL";
	if (h->addr != r->page_lsn)
		return "page of an older use of the file";
	if (h->info & ~INFO_ALL)
		return "unknown flags in a page header";
	if (h->timeline == 0 || h->timeline < r->timeline)
		return "page of an older timeline";
	if (h->info & INFO_LONG_HEADER) {
		if (h->segment_size != r->segment_size ||
		    h->block_size != r->block_size)
			return "page header with other sizes";
		if (r->system_id != 0 && h->system_id != r->system_id)
			return "page of another database system";
	} else if (r->page_lsn % r->segment_size == 0) {
		return "no long header at the start of a segment";
	}
	return NULL;
}

/* A record is being gathered: does this page go on with it? */
static bool
header_continue(struct walread *r, const struct page_header *h)
{
	if (h->info & INFO_OVERWRITE_CONTRECORD) {
		/* The server crashed within it and gave it up. */
		r->record_lsn = 0;
		buf_clear(&r->record);
		r->prev = 0;
		return true;
	}
	if ((h->info & INFO_CONTRECORD) == 0)
		return finish(r, "a record is not continued");
	if (h->rem_len != r->record_len - r->record.len)
		return finish(r, "a record is continued with another length");
	return true;
}

/*
 * Check the page's header and stand behind it (and behind what is left of a
 * record whose start was never seen). False: wait or ended.
 */
static bool
enter_page(struct walread *r)
{
	struct page_header h;
	const char *wrong;
	uint64_t rest;
	size_t size;

	if (r->have < SHORT_HEADER_SIZE)
		return false;
	header_parse(r->page, &h);
	size = h.info & INFO_LONG_HEADER ? LONG_HEADER_SIZE : SHORT_HEADER_SIZE;
	if (r->have < size)
		return false;
	if (size == LONG_HEADER_SIZE)
		header_parse_long(r->page, &h);
	wrong = header_check(r, &h);
	if (wrong != NULL)
		return finish(r, wrong);
	r->timeline = h.timeline;
	if (size == LONG_HEADER_SIZE)
		r->system_id = h.system_id;
	if (r->record_lsn != 0) {
		if (!header_continue(r, &h))
			return false;
	} else if ((h.info & INFO_CONTRECORD) == 0) {
		r->in_step = true;
	} else if (r->in_step) {
		return finish(r, "a record that did not begin is continued");
	} else {
		rest = size + (((uint64_t)h.rem_len + 7) & ~UINT64_C(7));
		r->in_step = size + (uint64_t)h.rem_len <= r->block_size;
		size = rest < r->block_size ? (size_t)rest : r->block_size;
	}
	r->off = size;
	return true;
}

static const char *
record_header_check(const struct walread *r, const uint8_t *h, pg_lsn lsn)
{
	pg_lsn prev = get_le64(h + WAL_RECORD_AT_PREV);
	uint8_t rmgr = h[WAL_RECORD_AT_RMGR];

	if (rmgr > RMGR_BUILT_IN_MAX && rmgr < RMGR_CUSTOM_MIN)
		return "record of an unknown resource manager";
	if (r->prev != 0 ? prev != r->prev : prev >= lsn)
		return "record does not link to the one before";
	return NULL;
}

static uint32_t
record_crc(const uint8_t *record, size_t len)
{
	uint32_t crc;

	crc = crc32c(record + WAL_RECORD_HEADER_SIZE,
	    len - WAL_RECORD_HEADER_SIZE);
	return crc32c_more(crc, record, WAL_RECORD_AT_CRC);
}

/* A whole record; end is the first byte after it, aligned. */
static bool
emit(struct walread *r, const uint8_t *record, pg_lsn lsn, pg_lsn end,
    struct wal_event *out)
{
	uint32_t len = get_le32(record);
	const char *wrong = record_header_check(r, record, lsn);

	if (wrong != NULL)
		return finish(r, wrong);
	if (record_crc(record, len) != get_le32(record + WAL_RECORD_AT_CRC))
		return finish(r, "record with a wrong checksum");
	wal_event_decode(record, len, r->major, out);
	if (out->type == WAL_EVENT_SWITCH && end % r->segment_size != 0) {
		end += r->segment_size - end % r->segment_size;
		r->skip_to = end;
	}
	out->lsn = lsn;
	out->end = end;
	r->prev = lsn;
	r->end = end;
	r->last = record;
	r->last_len = len;
	return true;
}

/* Offset rounded up to where the next record may begin. */
static size_t
align8(size_t off)
{
	return (off + 7) & ~(size_t)7;
}

/* Begin the record at the offset. False: wait, ended, or goes on behind. */
static bool
begin_record(struct walread *r, struct wal_event *out)
{
	const uint8_t *p = r->page + r->off;
	pg_lsn lsn = r->page_lsn + r->off;
	size_t room = r->block_size - r->off;
	uint32_t len;

	if (r->have < r->off + 4)
		return false;
	len = get_le32(p);
	if (len == 0)
		return finish(r, "no record where one should be");
	if (len < WAL_RECORD_HEADER_SIZE || len > WAL_RECORD_MAX)
		return finish(r, "record with an impossible length");
	if (len <= room) {
		if (r->have < r->off + len)
			return false;
		r->off = align8(r->off + len);
		return emit(r, p, lsn, r->page_lsn + r->off, out);
	}
	if (r->have < r->block_size)
		return false;
	if (room >= WAL_RECORD_HEADER_SIZE) {
		/* Not worth gathering when its header is wrong already. */
		const char *wrong = record_header_check(r, p, lsn);

		if (wrong != NULL)
			return finish(r, wrong);
	}
	buf_clear(&r->record);
	buf_add(&r->record, p, room);
	r->record_lsn = lsn;
	r->record_len = len;
	r->off = r->block_size;
	return false;
}

/* Go on with the record that is gathered. */
static bool
continue_record(struct walread *r, struct wal_event *out)
{
	size_t need = r->record_len - r->record.len;
	size_t room = r->block_size - r->off;
	size_t n = need < room ? need : room;
	pg_lsn lsn = r->record_lsn;

	if (r->have < r->off + n)
		return false;
	buf_add(&r->record, r->page + r->off, n);
	r->off = align8(r->off + n);
	if (n < need)
		return false;
	r->record_lsn = 0;
	return emit(r, r->record.data, lsn, r->page_lsn + r->off, out);
}

/* Walk over the pages that a switch left unused. */
static bool
skip_pages(struct walread *r)
{
	while (r->page_lsn + r->block_size <= r->skip_to) {
		r->off = r->block_size;
		if (r->have < r->block_size || !next_page(r))
			return false;
	}
	r->skip_to = 0;
	return true;
}

bool
walread_next(struct walread *r, struct wal_event *out)
{
	while (!r->ended && r->page != NULL) {
		if (r->skip_to != 0 && !skip_pages(r))
			break;
		if (r->off >= r->block_size) {
			if (r->have < r->block_size || !next_page(r))
				break;
			continue;
		}
		if (r->off == 0) {
			if (!enter_page(r))
				break;
			continue;
		}
		if (r->record_lsn != 0 ? continue_record(r, out) :
		    begin_record(r, out))
			return true;
		if (r->off < r->block_size)
			break; /* it waits for more of this page */
	}
	if (!r->ended)
		save_page(r);
	return false;
}

const uint8_t *
walread_record(const struct walread *r, size_t *len, int *major)
{
	*len = r->last_len;
	*major = r->major;
	return r->last;
}

bool
walread_ended(const struct walread *r, pg_lsn *end, const char **reason)
{
	*end = r->end;
	*reason = r->reason;
	return r->ended;
}

pg_lsn
walread_unfinished(const struct walread *r)
{
	return r->ended ? 0 : r->record_lsn;
}

bool
walread_page_seen(const struct walread *r)
{
	return r->timeline != 0;
}
