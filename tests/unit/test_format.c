/* SPDX-License-Identifier: PostgreSQL */
/*
 * The encoders and decoders of FORMAT.md: what was encoded comes back, and
 * whatever else comes in is refused without harm (run under sanitizers).
 */
#include "config.h"

#include "fixture_repo.h"

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/time.h"
#include "repo/format.h"

static struct object_header
sample_header(void)
{
	struct object_header h;

	memset(&h, 0, sizeof(h));
	h.type = OBJECT_WAL;
	fixture_noise(h.repository_id, 16, 1);
	h.system_id = UINT64_MAX - 5;
	h.generation = 2;
	h.part = 0;
	h.hash_algorithm = 1;
	memcpy(h.name, "000000010000000000000003", 25);
	h.has_wal = true;
	h.wal.length = 40 << 20;
	h.wal.segment_size = 64 << 20;
	h.wal.parts = 3;
	h.wal.part_length = 16 << 20;
	h.wal.major = 17;
	fixture_noise(h.wal.hash, 16, 2);
	h.wal.lsn = 0x123456789abcdef;
	h.wal.archived = -5;
	return h;
}

static void
assert_same_header(const struct object_header *a,
    const struct object_header *b)
{
	assert_int_equal(a->type, b->type);
	assert_memory_equal(a->repository_id, b->repository_id, 16);
	assert_true(a->system_id == b->system_id);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->part, b->part);
	assert_int_equal(a->hash_algorithm, b->hash_algorithm);
	assert_int_equal(a->cipher, b->cipher);
	assert_int_equal(a->key_id, b->key_id);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->has_pack, b->has_pack);
	assert_int_equal(a->attempt, b->attempt);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->has_wal, b->has_wal);
	assert_true(a->wal.length == b->wal.length);
	assert_int_equal(a->wal.segment_size, b->wal.segment_size);
	assert_int_equal(a->wal.parts, b->wal.parts);
	assert_int_equal(a->wal.part_length, b->wal.part_length);
	assert_int_equal(a->wal.major, b->wal.major);
	assert_memory_equal(a->wal.hash, b->wal.hash, 16);
	assert_true(a->wal.lsn == b->wal.lsn);
	assert_true(a->wal.archived == b->wal.archived);
}

static void
object_headers_come_back(void **state)
{
	struct object_header pack, wal = sample_header(), got;
	struct buf b;
	size_t used;

	memset(&pack, 0, sizeof(pack));
	pack.type = OBJECT_PACK;
	pack.has_pack = true;
	pack.attempt = 3;
	pack.number = 1000007;
	memcpy(pack.name, LABEL_A, sizeof(LABEL_A));
	buf_init(&b, 10000);
	object_header_encode(&pack, &b);
	buf_add(&b, "more", 4);
	OK(object_header_decode(b.data, b.len, &got, &used, &err));
	assert_int_equal(used, b.len - 4);
	assert_same_header(&pack, &got);
	buf_clear(&b);
	object_header_encode(&wal, &b);
	OK(object_header_decode(b.data, b.len, &got, &used, &err));
	assert_same_header(&wal, &got);
	buf_free(&b);
}

/* A decoder behind one prototype: 0 when it took the bytes. */
typedef int (*try_fn)(const uint8_t *data, size_t len);

/*
 * Cut at every length, then flip every bit: each must be refused, since a
 * CRC is over all of it. Copies of the exact size let a sanitizer see any
 * step too far.
 */
static void
sweep(const uint8_t *data, size_t len, try_fn try, size_t spared)
{
	uint8_t *copy;
	size_t i, bit;

	assert_int_equal(try(data, len), 0);
	for (i = 0; i < len; i++) {
		copy = xmalloc(i);
		memcpy(copy, data, i);
		if (try(copy, i) == 0)
			fail_msg("cut to %zu of %zu bytes was taken", i, len);
		free(copy);
	}
	copy = xmalloc(len);
	memcpy(copy, data, len);
	for (bit = 0; bit < 8 * len; bit++) {
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (try(copy, len) == 0 && bit / 8 >= spared)
			fail_msg("bit %zu of byte %zu was not missed",
			    bit % 8, bit / 8);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(copy);
}

static int
try_object_header(const uint8_t *data, size_t len)
{
	struct object_header h;
	size_t used;

	return object_header_decode(data, len, &h, &used, &err);
}

static int
try_frame_header(const uint8_t *data, size_t len)
{
	struct frame_header h;
	size_t used;

	return frame_header_decode(data, len, &h, &used, &err);
}

static void
damaged_headers_are_refused(void **state)
{
	struct object_header h = sample_header();
	struct frame_header f = { .type = FRAME_FILE, .compression = 1,
		.number = 7, .plain_len = 8192, .payload_len = 100,
		.block_size = 8192, .position = 1234567, .hash = UINT64_MAX,
		.path = "base/5/16384", .path_len = 12 };
	struct buf b;

	buf_init(&b, 10000);
	object_header_encode(&h, &b);
	sweep(b.data, b.len, try_object_header, 0);
	buf_clear(&b);
	frame_header_encode(&f, &b);
	sweep(b.data, b.len, try_frame_header, 0);
	buf_free(&b);
}

static void
frame_headers_come_back(void **state)
{
	struct frame_header f = { .type = FRAME_FILE, .compression = 1,
		.number = 7, .plain_len = 1 << 20, .payload_len = 100,
		.block_size = 8192, .position = UINT64_MAX, .hash = 42,
		.path = "odd \xff path", .path_len = 10 }, got;
	struct buf b;
	size_t used;

	buf_init(&b, 10000);
	frame_header_encode(&f, &b);
	assert_int_equal(b.len, frame_header_size(&f));
	OK(frame_header_decode(b.data, b.len, &got, &used, &err));
	assert_int_equal(used, b.len);
	assert_int_equal(got.type, f.type);
	assert_int_equal(got.number, 7);
	assert_int_equal(got.plain_len, 1 << 20);
	assert_int_equal(got.payload_len, 100);
	assert_int_equal(got.block_size, 8192);
	assert_true(got.position == UINT64_MAX);
	assert_true(got.hash == 42);
	assert_int_equal(got.path_len, 10);
	assert_memory_equal(got.path, f.path, 10);
	buf_free(&b);
}

static void
block_lists_come_back(void **state)
{
	static const uint64_t lists[][5] = { { 0, 1, 2, 3, 4 },
		{ 7, 8, 9, 10, 12 }, { 1, 3, 200, 4095, 131071 },
		{ 0, (uint64_t)1 << 40, ((uint64_t)1 << 40) + 1,
		    (uint64_t)1 << 61, ((uint64_t)1 << 62) - 1 } };
	struct frame_header f = { .type = FRAME_FILE, .compression = 1,
		.plain_len = 4 * 8192 + 1, .block_size = 8192, .path = "a",
		.path_len = 1 }, got;
	struct buf b, list;
	uint64_t out[5];
	size_t i, used, n;

	buf_init(&b, 10000);
	buf_init(&list, 10000);
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		buf_clear(&b);
		buf_clear(&list);
		frame_blocks_encode(lists[i], 5, &list);
		assert_int_equal(list.len > 0, i > 0); /* not consecutive */
		f.position = lists[i][0];
		f.blocks = list.data;
		f.blocks_len = list.len;
		frame_header_encode(&f, &b);
		assert_int_equal(b.len, frame_header_size(&f));
		OK(frame_header_decode(b.data, b.len, &got, &used, &err));
		assert_int_equal(used, b.len);
		OK(frame_blocks_decode(&got, out, 5, &n, &err));
		assert_int_equal(n, 5);
		assert_memory_equal(out, lists[i], sizeof(out));
		FAILS(frame_blocks_decode(&got, out, 4, &n, &err),
		    ERR_DAMAGED);
		sweep(b.data, b.len, try_frame_header, 0);
	}
	buf_free(&list);
	buf_free(&b);
}

/* The CRC of the header at data, set anew after a change. */
static void
mend_crc(uint8_t *data)
{
	uint32_t follow = get_le32(data + 4);

	put_le32(data + 4 + follow, crc32c(data + 8, follow - 4));
}

static void
what_is_newer_is_refused_by_name_and_what_may_be_ignored_is(void **state)
{
	struct object_header h = sample_header(), got;
	struct buf b;
	size_t used;
	uint32_t follow;

	buf_init(&b, 10000);
	object_header_encode(&h, &b);
	b.data[12] = 2; /* version */
	mend_crc(b.data);
	FAILS(object_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "version 2"));
	b.data[12] = 1;
	b.data[16] = 4; /* must-know feature */
	mend_crc(b.data);
	FAILS(object_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_UNSUPPORTED);
	b.data[16] = 0;
	b.data[20] = 4; /* may-ignore feature */
	mend_crc(b.data);
	OK(object_header_decode(b.data, b.len, &got, &used, &err));
	/* A tag more, which may be ignored, then one which must be known. */
	follow = get_le32(b.data + 4);
	b.len -= 4;
	buf_add_le16(&b, 77);
	buf_add_le16(&b, 0);
	buf_add_le32(&b, 3);
	buf_add(&b, "abc", 3);
	buf_add_le32(&b, 0);
	put_le32(b.data + 4, follow + 11);
	put_le32(b.data + 64, get_le32(b.data + 64) + 11);
	mend_crc(b.data);
	OK(object_header_decode(b.data, b.len, &got, &used, &err));
	assert_same_header(&h, &got);
	put_le16(b.data + b.len - 15, 0x8001);
	mend_crc(b.data);
	FAILS(object_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "0x8001"));
	/* Not ascending. */
	put_le16(b.data + b.len - 15, 3);
	mend_crc(b.data);
	FAILS(object_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_DAMAGED);
	buf_free(&b);
}

static void
impossible_wal_descriptions_are_refused(void **state)
{
	struct object_header h, got;
	struct buf b;
	size_t used, i;

	for (i = 0; i < 5; i++) {
		h = sample_header();
		if (i == 0)
			h.wal.parts = 2;
		else if (i == 1)
			h.wal.part_length = 0;
		else if (i == 2)
			h.wal.length = UINT64_MAX;
		else if (i == 3)
			h.wal.segment_size = 3 << 20;
		buf_init(&b, 10000);
		object_header_encode(&h, &b);
		if (i == 4)
			OK(object_header_decode(b.data, b.len, &got, &used,
			    &err));
		else
			FAILS(object_header_decode(b.data, b.len, &got, &used,
			    &err), ERR_DAMAGED);
		buf_free(&b);
	}
}

static void
frames_that_claim_too_much_are_refused(void **state)
{
	struct frame_header f = { .type = FRAME_FILE, .compression = 1,
		.plain_len = (1 << 20) + 1 }, got;
	struct buf b;
	size_t used;

	buf_init(&b, 10000);
	frame_header_encode(&f, &b);
	FAILS(frame_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_DAMAGED);
	b.data[12] = FRAME_WAL; /* may have 4 MiB */
	mend_crc(b.data);
	OK(frame_header_decode(b.data, b.len, &got, &used, &err));
	put_le32(b.data + 20, (4 << 20) + 1);
	mend_crc(b.data);
	FAILS(frame_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_DAMAGED);
	put_le32(b.data + 20, 1);
	b.data[12] = 99; /* type */
	mend_crc(b.data);
	FAILS(frame_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_UNSUPPORTED);
	b.data[12] = FRAME_FILE;
	b.data[13] = 1; /* filter */
	mend_crc(b.data);
	FAILS(frame_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_UNSUPPORTED);
	buf_free(&b);
}

static void
block_lists_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		enum frame_type type;
		uint32_t plain, block_size;
		uint64_t position;
		size_t len;
		uint8_t list[12];
		bool good;
	} cases[] = {
		{ FRAME_FILE, 3 * 8192, 8192, 5, 2, { 1, 1 }, true },
		{ FRAME_FILE, 2 * 8192 + 1, 8192, 5, 2, { 1, 1 }, true },
		{ FRAME_FILE, 3 * 8192, 8192, 5, 1, { 1 }, false },
		{ FRAME_FILE, 3 * 8192, 8192, 5, 3, { 1, 1, 1 }, false },
		{ FRAME_FILE, 3 * 8192, 8192, 5, 2, { 1, 0x80 }, false },
		{ FRAME_FILE, 8192, 8192, 5, 1, { 1 }, false },
		{ FRAME_FILE, 3 * 8192, 0, 5, 2, { 1, 1 }, false },
		{ FRAME_FILE, 0, 8192, 5, 1, { 1 }, false },
		{ FRAME_MAP, 3 * 8192, 8192, 5, 2, { 1, 1 }, false },
		{ FRAME_FILE, 2 * 8192, 8192, INT64_MAX - 1, 1, { 1 }, false },
		{ FRAME_FILE, 2 * 8192, 8192, 9, 9, { 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0x7f }, false },
		{ FRAME_FILE, 2 * 8192, 8192, 9, 10, { 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, false },
	};
	struct frame_header f, got;
	struct buf b;
	size_t i, used;

	buf_init(&b, 10000);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = (struct frame_header){ .type = cases[i].type,
			.compression = 1, .plain_len = cases[i].plain,
			.block_size = cases[i].block_size,
			.position = cases[i].position,
			.blocks = cases[i].list,
			.blocks_len = cases[i].len };
		buf_clear(&b);
		frame_header_encode(&f, &b);
		if (cases[i].good)
			OK(frame_header_decode(b.data, b.len, &got, &used,
			    &err));
		else
			FAILS(frame_header_decode(b.data, b.len, &got, &used,
			    &err), ERR_DAMAGED);
	}
	/* Lengths of path and list together are the header's. */
	buf_clear(&b);
	f = (struct frame_header){ .type = FRAME_FILE, .compression = 1,
		.plain_len = 3 * 8192, .block_size = 8192, .path = "ab",
		.path_len = 2, .blocks = cases[0].list, .blocks_len = 2 };
	frame_header_encode(&f, &b);
	b.data[66]++;
	mend_crc(b.data);
	FAILS(frame_header_decode(b.data, b.len, &got, &used, &err),
	    ERR_DAMAGED);
	buf_free(&b);
}

static const struct index_entry sample_entries[] = {
	{ 100, 500, 8192, FRAME_FILE }, { 600, 72, 0, FRAME_MAP },
	{ 672, 1000, 1 << 20, FRAME_SUMS }
};
#define SAMPLE_OFFSET 1672

static int
try_index(const uint8_t *data, size_t len)
{
	struct index_entry *e;
	uint32_t n;
	int rc = index_decode(data, len, SAMPLE_OFFSET, &e, &n, &err);

	free(e);
	return rc;
}

static void
indexes_come_back_and_damaged_ones_are_refused(void **state)
{
	struct index_entry *e, gap[3];
	struct buf b;
	uint32_t n, offset, i;

	buf_init(&b, 10000);
	index_encode(sample_entries, 3, SAMPLE_OFFSET, &b);
	assert_int_equal(b.len, 32 + 3 * 16);
	OK(index_find(b.data + b.len - FORMAT_INDEX_TAIL,
	    SAMPLE_OFFSET + b.len, &offset, &err));
	assert_int_equal(offset, SAMPLE_OFFSET);
	FAILS(index_find(b.data + b.len - FORMAT_INDEX_TAIL,
	    SAMPLE_OFFSET + b.len + 1, &offset, &err), ERR_DAMAGED);
	FAILS(index_find(b.data + b.len - FORMAT_INDEX_TAIL, 20, &offset,
	    &err), ERR_DAMAGED);
	FAILS(index_find(b.data, SAMPLE_OFFSET + b.len, &offset, &err),
	    ERR_DAMAGED);
	OK(index_decode(b.data, b.len, SAMPLE_OFFSET, &e, &n, &err));
	assert_int_equal(n, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(e[i].offset, sample_entries[i].offset);
		assert_int_equal(e[i].length, sample_entries[i].length);
		assert_int_equal(e[i].plain_len, sample_entries[i].plain_len);
		assert_int_equal(e[i].type, sample_entries[i].type);
	}
	free(e);
	sweep(b.data, b.len, try_index, 0);
	/* A gap, an overlap, and frames that reach into the index. */
	for (i = 0; i < 3; i++) {
		memcpy(gap, sample_entries, sizeof(gap));
		gap[i].length += i == 0 ? UINT32_MAX : 1;
		buf_clear(&b);
		index_encode(gap, 3, SAMPLE_OFFSET, &b);
		FAILS(index_decode(b.data, b.len, SAMPLE_OFFSET, &e, &n,
		    &err), ERR_DAMAGED);
	}
	/* A frame of no bytes. */
	buf_clear(&b);
	index_encode(NULL, 0, 500, &b);
	OK(index_decode(b.data, b.len, 500, &e, &n, &err));
	assert_int_equal(n, 0);
	free(e);
	buf_free(&b);
}

static const struct pack_id sample_packs[] = { { LABEL_A, 1, 0, REPO_BACKUP },
	{ LABEL_B, 12, 345678, REPO_BACKUP } };
static const struct map_run sample_runs[] = { { 128, 0, 0, 0 },
	{ 1, 1, 65537, 127 }, { UINT64_MAX, MAP_PACK_ZEROS, 0, 0 },
	{ 1024, 1, UINT32_MAX, 3 } };

static void
maps_come_back_holes_too(void **state)
{
	struct pack_id *packs;
	struct map_run *runs;
	struct buf b;
	uint32_t n_packs, n_runs, i;

	buf_init(&b, 10000);
	map_encode(sample_packs, 2, sample_runs, 4, &b);
	OK(map_decode(b.data, b.len, &packs, &n_packs, &runs, &n_runs, &err));
	assert_int_equal(n_packs, 2);
	assert_int_equal(n_runs, 4);
	for (i = 0; i < 2; i++) {
		assert_string_equal(packs[i].label, sample_packs[i].label);
		assert_int_equal(packs[i].attempt, sample_packs[i].attempt);
		assert_int_equal(packs[i].number, sample_packs[i].number);
	}
	for (i = 0; i < 4; i++) {
		assert_true(runs[i].blocks == sample_runs[i].blocks);
		assert_int_equal(runs[i].pack, sample_runs[i].pack);
		assert_int_equal(runs[i].frame, sample_runs[i].frame);
		assert_int_equal(runs[i].block, sample_runs[i].block);
	}
	free(packs);
	free(runs);
	buf_free(&b);
}

static int
try_map(const uint8_t *data, size_t len)
{
	struct pack_id *packs;
	struct map_run *runs;
	uint32_t n_packs, n_runs, i;
	int rc;

	rc = map_decode(data, len, &packs, &n_packs, &runs, &n_runs, &err);
	if (rc != 0) {
		assert_null(packs);
		assert_null(runs);
		return rc;
	}
	/* What was taken is at least safe to use. */
	for (i = 0; i < n_packs; i++)
		assert_true(label_valid(packs[i].label));
	for (i = 0; i < n_runs; i++) {
		assert_true(runs[i].blocks > 0);
		assert_true(runs[i].pack < n_packs ||
		    runs[i].pack == MAP_PACK_ZEROS);
	}
	free(packs);
	free(runs);
	return 0;
}

static void
hostile_maps_do_no_harm(void **state)
{
	static const uint8_t many_packs[] = { 1, 0, 0, 0, 0xff, 0xff, 0xff,
		0xff, 0, 0, 0, 0 };
	static const uint8_t many_runs[] = { 1, 0, 0, 0, 0, 0, 0, 0, 0xff,
		0xff, 0xff, 0xff, 1, 0, 0, 0 };
	static const uint8_t endless[] = { 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x80, 1, 0, 0, 0 };
	static const uint8_t too_big[] = { 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0,
		0 };
	struct buf b;

	buf_init(&b, 10000);
	map_encode(sample_packs, 2, sample_runs, 4, &b);
	/* It has no CRC of its own (its frame has): only harm is looked for. */
	sweep(b.data, b.len, try_map, b.len);
	assert_int_not_equal(try_map(many_packs, sizeof(many_packs)), 0);
	assert_int_not_equal(try_map(many_runs, sizeof(many_runs)), 0);
	assert_int_not_equal(try_map(endless, sizeof(endless)), 0);
	assert_int_not_equal(try_map(too_big, sizeof(too_big)), 0);
	b.data[0] = 2;
	assert_int_not_equal(try_map(b.data, b.len), 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	buf_free(&b);
}

static struct wal_summary
sample_summary(void)
{
	struct wal_summary s;
	int i;

	memset(&s, 0, sizeof(s));
	s.parsed = true;
	s.first_record = 0x3000028;
	s.end = 0x4000000;
	s.unfinished = 0x3fffff0;
	s.records = 12345;
	s.commits = 99;
	s.first_commit_time = -1;
	s.last_commit_time = 848669467123456;
	s.min_commit_time = -2;
	s.max_commit_time = INT64_MAX;
	s.min_xid = 3;
	s.max_xid = UINT32_MAX;
	s.max_time = 5;
	s.max_time_lsn = 0x3001000;
	s.n_restore_points = 20;
	for (i = 0; i < WAL_SUMMARY_RESTORE_POINTS_MAX; i++) {
		s.points[i].lsn = (pg_lsn)i;
		s.points[i].end = (pg_lsn)i + 100;
		s.points[i].time = -i;
		(void)snprintf(s.points[i].name, sizeof(s.points[i].name),
		    "point %d", i);
	}
	memset(s.points[3].name, 'x', sizeof(s.points[3].name) - 1);
	return s;
}

static int
try_summary(const uint8_t *data, size_t len)
{
	struct wal_summary s;

	return wal_summary_decode(data, len, &s, &err);
}

static void
wal_summaries_come_back_and_hostile_ones_do_no_harm(void **state)
{
	struct wal_summary s = sample_summary(), got, none;
	struct buf b;

	buf_init(&b, 10000);
	wal_summary_encode(&s, &b);
	OK(wal_summary_decode(b.data, b.len, &got, &err));
	assert_memory_equal(&got, &s, sizeof(s));
	sweep(b.data, b.len, try_summary, b.len);
	memset(&none, 0, sizeof(none));
	buf_clear(&b);
	wal_summary_encode(&none, &b);
	OK(wal_summary_decode(b.data, b.len, &got, &err));
	assert_memory_equal(&got, &none, sizeof(none));
	buf_free(&b);
}

static int
try_text(const uint8_t *data, size_t len)
{
	const char *json;
	size_t n;

	return text_object_decode(data, len, "commit", &json, &n, &err);
}

static void
text_objects_come_back_and_damaged_ones_are_refused(void **state)
{
	static const char json[] = "{\n\"a\": 1\n}";
	const char *got;
	struct buf b;
	size_t n;

	buf_init(&b, 10000);
	text_object_encode("commit", json, strlen(json), &b);
	OK(text_object_decode(b.data, b.len, "commit", &got, &n, &err));
	assert_int_equal(n, strlen(json));
	assert_memory_equal(got, json, n);
	sweep(b.data, b.len, try_text, 0);
	FAILS(text_object_decode(b.data, b.len, "pin", &got, &n, &err),
	    ERR_DAMAGED);
	/* Something behind it is damage too. */
	buf_add(&b, "\n", 1);
	FAILS(text_object_decode(b.data, b.len, "commit", &got, &n, &err),
	    ERR_DAMAGED);
	buf_free(&b);
}

static void
a_newer_text_object_is_refused_by_name(void **state)
{
	static const char head[] = "dapk-backup commit 2";
	const char *got;
	char text[100];
	size_t n;

	(void)snprintf(text, sizeof(text), "%s crc32c=%08x length=3\n{}\n",
	    head, crc32c_more(crc32c(head, strlen(head)), "{}\n", 3));
	FAILS(text_object_decode((uint8_t *)text, strlen(text), "commit",
	    &got, &n, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "version 2"));
	/* Version 1's CRC behind another digit: damage, not news. */
	(void)snprintf(text, sizeof(text), "%s crc32c=%08x length=3\n{}\n",
	    head, crc32c("{}\n", 3));
	FAILS(text_object_decode((uint8_t *)text, strlen(text), "commit",
	    &got, &n, &err), ERR_DAMAGED);
}

static void
labels_are_exact(void **state)
{
	static const char *const bad[] = { "", "20261122T133107Z",
		"20261122T133107Z-0123456789abcde",
		"20261122T133107Z-0123456789abcdef0",
		"20261122T133107Z-0123456789abcdeF",
		"20261122 133107Z-0123456789abcdef",
		"2026112/T133107Z-0123456789abcdef" };
	char label[FORMAT_LABEL_MAX];
	size_t i;

	label_make(848669467123456, UINT64_C(0x0123456789abcdef), label);
	assert_string_equal(label, LABEL_A);
	assert_true(label_valid(label));
	label_make(0, 1, label);
	assert_string_equal(label, "20000101T000000Z-0000000000000001");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(label_valid(bad[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_headers_come_back),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(frame_headers_come_back),
		cmocka_unit_test(block_lists_come_back),
		cmocka_unit_test(block_lists_that_make_no_sense_are_refused),
		cmocka_unit_test(
		    what_is_newer_is_refused_by_name_and_what_may_be_ignored_is),
		cmocka_unit_test(impossible_wal_descriptions_are_refused),
		cmocka_unit_test(frames_that_claim_too_much_are_refused),
		cmocka_unit_test(
		    indexes_come_back_and_damaged_ones_are_refused),
		cmocka_unit_test(maps_come_back_holes_too),
		cmocka_unit_test(hostile_maps_do_no_harm),
		cmocka_unit_test(
		    wal_summaries_come_back_and_hostile_ones_do_no_harm),
		cmocka_unit_test(
		    text_objects_come_back_and_damaged_ones_are_refused),
		cmocka_unit_test(a_newer_text_object_is_refused_by_name),
		cmocka_unit_test(labels_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
