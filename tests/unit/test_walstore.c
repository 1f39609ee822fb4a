/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/hash.h"
#include "repo/walview.h"

#define SEGMENT_SIZE (16u << 20)
#define PIECE ((size_t)1 << 20)

struct options {
	uint32_t part_length; /* 0: WAL_PART_LENGTH */
	uint32_t generation;
	uint32_t leave_out; /* this part (from 1) is not put */
	bool wrong_hash; /* of the name and header */
	bool summary;
};

static struct wal_file
parse(const char *name)
{
	struct wal_file file;

	OK(wal_file_parse(name, &file, &err));
	return file;
}

/* Put one part of the object. */
static void
put_part(struct fixture *f, const struct wal_file *file,
    const struct format_wal_tag *tag, const uint8_t *data, uint32_t part,
    const struct options *o)
{
	struct frame_codec *c = frame_codec_new(1);
	struct object_header oh;
	struct frame_header h;
	struct object_writer w;
	struct wal_summary summary;
	struct buf b;
	char key[STORAGE_KEY_MAX];
	uint64_t at = (uint64_t)part * tag->part_length, end;
	size_t len;

	memset(&oh, 0, sizeof(oh));
	oh.type = part == 0 ? OBJECT_WAL : OBJECT_WAL_PART;
	memcpy(oh.repository_id, f->repo->id, 16);
	oh.system_id = f->inc.system_id;
	oh.generation = o->generation;
	oh.part = part;
	oh.hash_algorithm = 1;
	memcpy(oh.name, file->name, sizeof(oh.name));
	oh.has_wal = true;
	oh.wal = *tag;
	object_writer_init(&w, STORAGE_OBJECT_MAX, &oh);
	end = at + tag->part_length < tag->length ? at + tag->part_length :
						    tag->length;
	for (; at < end; at += len) {
		len = end - at < PIECE ? (size_t)(end - at) : PIECE;
		memset(&h, 0, sizeof(h));
		h.type = FRAME_WAL;
		h.position = at;
		OK(object_writer_add(&w, c, &h, data + at, len, &err));
	}
	if (part == 0 && o->summary) {
		memset(&summary, 0, sizeof(summary));
		summary.parsed = true;
		summary.records = 77;
		buf_init(&b, 1 << 20);
		wal_summary_encode(&summary, &b);
		memset(&h, 0, sizeof(h));
		h.type = FRAME_WAL_SUMMARY;
		OK(object_writer_add(&w, c, &h, b.data, b.len, &err));
		buf_free(&b);
	}
	OK(object_writer_finish(&w, &err));
	wal_store_key(&f->inc, file, tag->hash, o->generation, part, key);
	if (part == 0 || part != o->leave_out)
		OK(storage_put(f->st, key, w.bytes.data, w.bytes.len, &err));
	object_writer_free(&w);
	frame_codec_free(c);
}

static void
put_wal(struct fixture *f, const char *name, const void *data, size_t len,
    struct options o)
{
	struct wal_file file = parse(name);
	struct format_wal_tag tag;
	uint32_t part;

	memset(&tag, 0, sizeof(tag));
	tag.length = len;
	tag.segment_size = file.type == WAL_FILE_HISTORY ? 0 : SEGMENT_SIZE;
	tag.part_length = o.part_length == 0 ? WAL_PART_LENGTH : o.part_length;
	tag.parts = (uint32_t)((len + tag.part_length - 1) / tag.part_length);
	if (tag.parts == 0)
		tag.parts = 1;
	tag.major = 15;
	hash_128(data, len, tag.hash);
	if (o.wrong_hash)
		tag.hash[0] ^= 1;
	for (part = tag.parts; part > 0; part--)
		put_part(f, &file, &tag, data, part - 1, &o);
}

static int
collect(void *arg, const uint8_t *data, size_t len, struct err *why)
{
	struct buf *b = arg;

	buf_add(b, data, len);
	return buf_check(b, "content", why);
}

/* Pick and read a file: 0 when it is this content. */
static int
read_back(struct fixture *f, const char *name, const void *data, size_t len)
{
	struct wal_file file = parse(name);
	struct frame_codec *c = frame_codec_new(1);
	struct wal_stored ws;
	struct buf b;
	int rc;

	buf_init(&b, 64 << 20);
	err_clear(&err);
	rc = wal_store_pick(f->repo, &f->inc, &file, &ws, &err);
	if (rc == 0)
		rc = wal_store_read(f->repo, &f->inc, &ws, c, collect, &b,
		    &err);
	if (rc == 0) {
		assert_int_equal(b.len, len);
		if (len > 0)
			assert_memory_equal(b.data, data, len);
	}
	buf_free(&b);
	frame_codec_free(c);
	return rc;
}

#define SEG3 "000000010000000000000003"

static void
every_kind_of_file_comes_back_in_one_part_or_many(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		uint32_t part_length;
	} cases[] = {
		{ SEG3, 16 << 20, 0 },
		{ "000000010000000000000004", 40 << 20, 0 },
		{ "000000010000000000000005.partial", 3000001, 1000000 },
		{ "000000010000000000000006.00000028.backup", 300, 0 },
		{ "00000002.history", 41, 0 },
		{ "00000003.history", 0, 0 },
	};
	struct fixture *f = *state;
	uint8_t *data = xmalloc(40 << 20);
	size_t i;

	fixture_noise(data, 40 << 20, 1);
	memset(data + (1 << 20), 0, 10 << 20);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o = { .part_length = cases[i].part_length };

		put_wal(f, cases[i].name, data, cases[i].len, o);
		if (read_back(f, cases[i].name, data, cases[i].len) != 0)
			fail_msg("%s: %s", cases[i].name, err.msg);
	}
	free(data);
}

static void
names_are_what_the_format_says(void **state)
{
	struct fixture *f = *state;
	struct wal_file seg = parse(SEG3), history = parse("0000000A.history");
	uint8_t hash[16] = { 0xab, 1 };
	char key[STORAGE_KEY_MAX];

	wal_store_key(&f->inc, &seg, hash, 0, 0, key);
	assert_string_equal(key, "clusters/main/15-7312345678901234567/wal/"
	    "00000001/00000000/" SEG3
	    "-ab010000000000000000000000000000.zst");
	wal_store_key(&f->inc, &seg, hash, 2, 13, key);
	assert_non_null(strstr(key, "0000.g2.part-0013.zst"));
	wal_store_key(&f->inc, &history, hash, 0, 0, key);
	assert_non_null(strstr(key, "wal/0000000A/0000000A.history-ab01"));
	assert_true(storage_key_valid(key));
}

static void
a_file_that_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;

	put_wal(f, SEG3, "abc", 3, (struct options){ .part_length = 0 });
	assert_int_equal(read_back(f, "000000010000000000000004", "", 0), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* Not even when names begin alike. */
	assert_int_equal(read_back(f, SEG3 ".partial", "", 0), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	storage_fault_at(f->st, 1, false);
	assert_int_equal(read_back(f, "000000010000000000000004", "", 0), -1);
	assert_int_equal(err.code, ERR_STORAGE);
}

static void
finding_costs_one_listing(void **state)
{
	struct fixture *f = *state;
	struct wal_file file = parse(SEG3);
	struct wal_stored *list;
	size_t n;

	put_wal(f, SEG3, "abc", 3, (struct options){ .part_length = 0 });
	storage_fault_at(f->st, 0, false);
	OK(wal_store_find(f->repo, &f->inc, &file, &list, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(storage_fault_calls(f->st), 1);
	free(list);
}

static void
the_highest_generation_is_used_and_two_contents_are_a_conflict(void **state)
{
	struct fixture *f = *state;
	struct wal_file file = parse(SEG3);
	struct wal_stored ws, *list;
	size_t n;

	put_wal(f, SEG3, "abc", 3, (struct options){ .generation = 0 });
	put_wal(f, SEG3, "abc", 3, (struct options){ .generation = 2 });
	put_wal(f, SEG3, "abc", 3, (struct options){ .generation = 10,
	    .part_length = 1 });
	OK(wal_store_find(f->repo, &f->inc, &file, &list, &n, &err));
	assert_int_equal(n, 3);
	free(list);
	OK(wal_store_pick(f->repo, &f->inc, &file, &ws, &err));
	assert_int_equal(ws.generation, 10);
	assert_int_equal(read_back(f, SEG3, "abc", 3), 0);
	put_wal(f, SEG3, "other", 5, (struct options){ .generation = 0 });
	FAILS(wal_store_pick(f->repo, &f->inc, &file, &ws, &err),
	    ERR_REFUSED);
	assert_non_null(strstr(err.msg, "two contents"));
}

static void
what_is_missing_or_different_inside_is_damage(void **state)
{
	struct fixture *f = *state;

	put_wal(f, SEG3, "abcdef", 6, (struct options){ .part_length = 2,
	    .leave_out = 2 });
	assert_int_equal(read_back(f, SEG3, "", 0), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	put_wal(f, "000000010000000000000004", "abcdef", 6,
	    (struct options){ .wrong_hash = true });
	assert_int_equal(read_back(f, "000000010000000000000004", "", 0), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
}

static void
every_cut_and_every_flipped_bit_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct wal_file file = parse(SEG3);
	uint8_t data[500];
	char key[STORAGE_KEY_MAX];
	uint8_t hash[16];
	struct buf b;
	size_t i;

	fixture_noise(data, sizeof(data), 9);
	put_wal(f, SEG3, data, sizeof(data), (struct options){
	    .summary = true });
	hash_128(data, sizeof(data), hash);
	wal_store_key(&f->inc, &file, hash, 0, 0, key);
	buf_init(&b, 1 << 20);
	OK(storage_get_all(f->st, key, &b, &err));
	for (i = 0; i < b.len; i++) {
		fixture_replace(f, key, b.data, i);
		assert_int_equal(read_back(f, SEG3, data, sizeof(data)), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, key, b.data, b.len);
		/* Taken only with the same content: read_back() compares. */
		if (read_back(f, SEG3, data, sizeof(data)) != 0)
			assert_true(err.code == ERR_DAMAGED ||
			    err.code == ERR_UNSUPPORTED);
		b.data[i] ^= (uint8_t)(1 << i % 8);
	}
	/* An object of one name under another. */
	file = parse("000000010000000000000004");
	wal_store_key(&f->inc, &file, hash, 0, 0, key);
	OK(storage_put(f->st, key, b.data, b.len, &err));
	assert_int_equal(read_back(f, "000000010000000000000004", data,
	    sizeof(data)), -1);
	assert_int_equal(err.code, ERR_DAMAGED);
	buf_free(&b);
}

static void
a_description_needs_no_content(void **state)
{
	struct fixture *f = *state;
	struct wal_file file = parse(SEG3), history = parse("00000002.history");
	struct format_wal_tag tag;
	struct wal_summary summary;
	struct wal_stored ws;
	uint8_t *data = xmalloc(16 << 20);
	uint32_t size;

	fixture_noise(data, 16 << 20, 4);
	FAILS(wal_store_segment_size(f->repo, &f->inc, &size, &err),
	    ERR_NOT_FOUND);
	put_wal(f, SEG3, data, 16 << 20, (struct options){ .summary = true });
	put_wal(f, "00000002.history", "x", 1, (struct options){
	    .generation = 0 });
	OK(wal_store_pick(f->repo, &f->inc, &file, &ws, &err));
	storage_fault_at(f->st, 0, false);
	OK(wal_store_describe(f->repo, &f->inc, &ws, &tag, &summary, &err));
	assert_true(storage_fault_calls(f->st) <= 3);
	assert_int_equal(tag.length, 16 << 20);
	assert_int_equal(summary.records, 77);
	assert_true(summary.parsed);
	OK(wal_store_pick(f->repo, &f->inc, &history, &ws, &err));
	OK(wal_store_describe(f->repo, &f->inc, &ws, &tag, &summary, &err));
	assert_false(summary.parsed);
	OK(wal_store_segment_size(f->repo, &f->inc, &size, &err));
	assert_int_equal(size, SEGMENT_SIZE);
	free(data);
}

static void
ranges_show_gaps_and_timelines(void **state)
{
	static const char *const names[] = { "0000000100000000000000FE",
		"0000000100000000000000FF", "000000010000000100000000",
		"000000010000000100000002", "000000020000000100000001",
		"000000020000000100000002.partial",
		"000000020000000100000001.00000028.backup",
		"00000002.history" };
	struct fixture *f = *state;
	struct wal_stored *list;
	struct wal_range *ranges;
	struct walview *v;
	uint32_t *timelines;
	size_t i, n;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_wal(f, names[i], "abc", 3, (struct options){
		    .part_length = i == 1 ? 1 : 0 });
	put_wal(f, names[0], "abc", 3, (struct options){ .generation = 1 });
	OK(wal_store_timelines(f->repo, &f->inc, &timelines, &n, &err));
	assert_int_equal(n, 2);
	assert_int_equal(timelines[0], 1);
	assert_int_equal(timelines[1], 2);
	free(timelines);
	OK(wal_store_segments(f->repo, &f->inc, 1, false, &list, &n, &err));
	assert_int_equal(n, 4);
	assert_string_equal(list[0].file.name, names[0]);
	assert_int_equal(list[0].generation, 1);
	assert_string_equal(list[3].file.name, names[3]);
	free(list);
	OK(wal_store_segments(f->repo, &f->inc, 2, true, &list, &n, &err));
	assert_int_equal(n, 2);
	free(list);
	v = walview_new(f->repo, &f->inc);
	OK(walview_ranges(v, SEGMENT_SIZE, &ranges, &n, &err));
	assert_int_equal(n, 3);
	assert_string_equal(ranges[0].first, names[0]);
	assert_string_equal(ranges[0].last, names[2]);
	assert_int_equal(ranges[0].segments, 3);
	assert_string_equal(ranges[1].first, names[3]);
	assert_int_equal(ranges[1].segments, 1);
	assert_int_equal(ranges[2].timeline, 2);
	assert_true(ranges[2].stored_bytes > 0);
	free(ranges);
	/* 64 MB segments: the log part ends at 3F. */
	OK(walview_ranges(v, 64 << 20, &ranges, &n, &err));
	assert_int_equal(ranges[0].segments, 1);
	free(ranges);
	walview_free(v);
}

static void
a_history_is_read_and_timeline_1_needs_none(void **state)
{
	static const char text[] = "1\t0/3000000\tno recovery target\n";
	struct fixture *f = *state;
	struct history h;

	OK(wal_store_history(f->repo, &f->inc, 1, &h, &err));
	assert_int_equal(h.n, 1);
	history_free(&h);
	FAILS(wal_store_history(f->repo, &f->inc, 2, &h, &err),
	    ERR_NOT_FOUND);
	put_wal(f, "00000002.history", text, strlen(text), (struct options){
	    .generation = 0 });
	OK(wal_store_history(f->repo, &f->inc, 2, &h, &err));
	assert_int_equal(h.n, 2);
	assert_int_equal(h.entries[0].end, 0x3000000);
	history_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_file_comes_back_in_one_part_or_many),
		TEST(names_are_what_the_format_says),
		TEST(a_file_that_is_not_there_is_not_found),
		TEST(finding_costs_one_listing),
		TEST(the_highest_generation_is_used_and_two_contents_are_a_conflict),
		TEST(what_is_missing_or_different_inside_is_damage),
		TEST(every_cut_and_every_flipped_bit_is_noticed),
		TEST(a_description_needs_no_content),
		TEST(ranges_show_gaps_and_timelines),
		TEST(a_history_is_read_and_timeline_1_needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
