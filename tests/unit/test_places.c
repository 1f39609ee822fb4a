/* SPDX-License-Identifier: PostgreSQL */
/* Copies between two places in memory, with faults at every call. */
#include "config.h"

#include "fixture_dump.h"

#include "copy/copy.h"
#include "core/random.h"
#include "repo/gap.h"
#include "repo/hash.h"
#include "repo/intent.h"
#include "repo/lease.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "repo/removed.h"
#include "repo/tombstone.h"
#include "repo/walstore.h"

#define PARTIAL "000000010000000000000005.partial"

struct places {
	struct storage *mem[2];	  /* what they hold */
	struct storage *fault[2]; /* the repositories' own */
	struct repo *repo[2];
	struct incarnation inc;
};

static int
open_place(struct places *p, int i, const struct repo *of)
{
	struct storage *st;
	bool created;

	p->mem[i] = storage_mem_new();
	if (storage_clone(p->mem[i], &st, &err) != 0)
		return -1;
	p->fault[i] = storage_fault_new(st);
	return repo_init_storage(&p->repo[i], p->fault[i], of, &created,
	    &err);
}

static int
setup(void **state)
{
	struct places *p = xcalloc(1, sizeof(*p));

	if (open_place(p, 0, NULL) != 0 || open_place(p, 1, p->repo[0]) != 0)
		return -1;
	memcpy(p->inc.cluster, "main", 5);
	p->inc.major = 15;
	p->inc.system_id = UINT64_C(7312345678901234567);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct places *p = *state;
	int i;

	for (i = 0; i < 2; i++) {
		repo_close(p->repo[i]);
		storage_close(p->mem[i]);
	}
	free(p);
	return 0;
}

/* A new, empty second place. */
static void
forget_second(struct places *p)
{
	repo_close(p->repo[1]);
	storage_close(p->mem[1]);
	assert_int_equal(open_place(p, 1, p->repo[0]), 0);
}

static void
add_dump(struct places *p, const char *label, uint32_t seed)
{
	struct fixture_dump d;
	uint8_t *rows = xmalloc(90000);
	const struct fixture_item items[] = {
		{ "archive", "PGDMP", 5, 1000, 0, 0, 0 },
		{ "table/public/t", rows, 90000, 9000, 0, 5, 16390 },
	};
	size_t i;

	fixture_noise(rows, 90000, seed);
	fixture_dump_begin(&d, p->repo[0], &p->inc, label, 30000);
	for (i = 0; i < 2; i++)
		fixture_dump_add(&d, &items[i]);
	fixture_dump_finish(&d);
	fixture_dump_free(&d);
	free(rows);
}

static int
try_copy(struct places *p, struct copy_result *out)
{
	struct copy_params params = { .from = p->repo[0], .to = p->repo[1],
		.what = COPY_EVERYTHING, .jobs = 2, .lease_ms = 60000 };
	struct copy *c;
	int rc;

	memset(out, 0, sizeof(*out));
	if (copy_new(&c, &params, &err) != 0)
		return -1;
	rc = copy_all(c, &err);
	*out = *copy_result(c);
	copy_free(c);
	return rc;
}

static void
do_copy(struct places *p, struct copy_result *out)
{
	OK(try_copy(p, out));
}

static void
key_of(struct places *p, const char *label, const char *name,
    char key[STORAGE_KEY_MAX])
{
	char tail[256];

	(void)snprintf(tail, sizeof(tail), "dumps/%s/%s", label, name);
	repo_key(&p->inc, tail, key);
}

static bool
has(struct places *p, int i, const char *label, const char *name)
{
	char key[STORAGE_KEY_MAX];
	uint64_t size;

	key_of(p, label, name, key);
	err_clear(&err);
	return storage_stat(p->mem[i], key, &size, NULL, &err) == 0;
}

/* Whatever shows as a dump in the second place is whole. */
static void
assert_commits_hold(struct places *p)
{
	char(*labels)[FORMAT_LABEL_MAX];
	struct packset *set;
	struct commit c;
	size_t i, k, n;

	OK(catalogue_dumps(p->repo[1], &p->inc, &labels, &n, NULL, &err));
	OK(packset_new(&set, p->repo[1], &p->inc, &err));
	for (i = 0; i < n; i++) {
		OK(commit_get_dump(p->repo[1], &p->inc, labels[i], &c, &err));
		for (k = 0; k < c.n_packs; k++)
			OK(packset_check(set, &c.packs[k], labels[i], &err));
		commit_free(&c);
	}
	packset_free(set);
	free(labels);
}

struct pair {
	struct places *p;
	size_t n;
};

/* Each object of the first is in the second, the same bytes. */
static int
same_object(void *arg, const struct storage_entry *e, struct err *unused)
{
	struct pair *pair = arg;
	struct buf a, b;
	char key[STORAGE_KEY_MAX];

	(void)unused;
	(void)snprintf(key, sizeof(key), "clusters/%s", e->name);
	buf_init(&a, STORAGE_OBJECT_MAX);
	buf_init(&b, STORAGE_OBJECT_MAX);
	OK(storage_get_all(pair->p->mem[0], key, &a, &err));
	OK(storage_get_all(pair->p->mem[1], key, &b, &err));
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	buf_free(&a);
	buf_free(&b);
	pair->n++;
	return 0;
}

static int
count_object(void *arg, const struct storage_entry *e, struct err *unused)
{
	(void)e;
	(void)unused;
	(*(size_t *)arg)++;
	return 0;
}

/* And the second has nothing besides: no lease, no intent. */
static void
assert_same(struct places *p)
{
	struct pair pair = { p, 0 };
	size_t n = 0;

	OK(storage_list(p->mem[0], "clusters/", false, same_object, &pair,
	    &err));
	OK(storage_list(p->mem[1], "clusters/", false, count_object, &n,
	    &err));
	assert_int_equal(n, pair.n);
}

static void
all_is_copied_and_the_second_time_nothing(void **state)
{
	struct places *p = *state;
	struct copy_result r;

	add_dump(p, LABEL_A, 1);
	add_dump(p, LABEL_B, 2);
	do_copy(p, &r);
	assert_int_equal(r.dumps.copied, 2);
	assert_same(p);
	do_copy(p, &r);
	assert_int_equal(r.dumps.copied, 0);
	assert_int_equal(r.dumps.there, 2);
	assert_int_equal(r.objects, 0);
}

/* The n-th call fails, in either place, done or not: then all goes on. */
static void
whatever_call_fails_nothing_half_shows_and_the_next_run_completes(
    void **state)
{
	struct places *p = *state;
	struct copy_result r;
	unsigned nth, side, torn;
	bool failed;

	add_dump(p, LABEL_A, 1);
	for (side = 0; side < 2; side++)
		for (torn = 0; torn < 2; torn++)
			for (nth = 1, failed = true; failed; nth++) {
				assert_true(nth < 1000);
				forget_second(p);
				storage_fault_at(p->fault[side], nth,
				    torn != 0);
				err_clear(&err);
				failed = try_copy(p, &r) != 0;
				/* A commit whose answer was lost is one. */
				assert_false(failed && has(p, 1, LABEL_A,
				    "commit"));
				failed = failed ||
				    storage_fault_calls(p->fault[side]) >=
				    nth;
				storage_fault_at(p->fault[side], 0, false);
				assert_commits_hold(p);
				do_copy(p, &r);
				assert_int_equal(r.damaged + r.conflicts +
				    r.failed, 0);
				assert_true(has(p, 1, LABEL_A, "commit"));
				assert_commits_hold(p);
			}
}

/* Bytes of an object in one place are turned over. */
static void
damage(struct places *p, int i, const char *label, const char *name)
{
	char key[STORAGE_KEY_MAX];
	struct buf b;

	key_of(p, label, name, key);
	buf_init(&b, STORAGE_OBJECT_MAX);
	OK(storage_get_all(p->mem[i], key, &b, &err));
	b.data[b.len / 2] ^= 0x55;
	OK(storage_remove(p->mem[i], key, &err));
	OK(storage_put(p->mem[i], key, b.data, b.len, &err));
	buf_free(&b);
}

static void
what_does_not_hold_is_not_spread_and_others_go_on(void **state)
{
	static const char *const names[] = { "pack-01-000000.zst",
		"manifest-00.zst", "commit" };
	struct places *p = *state;
	struct copy_result r;
	size_t i;

	add_dump(p, LABEL_A, 1);
	add_dump(p, LABEL_B, 2);
	for (i = 0; i < 3; i++) {
		forget_second(p);
		damage(p, 0, LABEL_B, names[i]);
		do_copy(p, &r);
		assert_int_equal(r.damaged, 1);
		assert_int_equal(r.dumps.copied, 1);
		assert_true(has(p, 1, LABEL_A, "commit"));
		assert_false(has(p, 1, LABEL_B, "commit"));
		assert_false(has(p, 1, LABEL_B, names[i]));
		damage(p, 0, LABEL_B, names[i]); /* and back */
		do_copy(p, &r);
		assert_int_equal(r.dumps.copied, 1);
		assert_same(p);
	}
}

static void
what_is_about_to_go_or_cut_off_there_is_not_relied_on(void **state)
{
	char name[] = "dumps/" LABEL_A "/pack-01-000000.zst";
	char *names[] = { name };
	const struct tombstone going = { .objects = names, .n = 1 };
	char key[STORAGE_KEY_MAX];
	struct places *p = *state;
	struct copy_result r;

	add_dump(p, LABEL_A, 1);
	do_copy(p, &r);
	key_of(p, LABEL_A, "commit", key);
	OK(storage_remove(p->mem[1], key, &err));
	OK(tombstone_put(p->repo[1], &p->inc, &going, &err));
	key_of(p, LABEL_A, "pack-01-000001.zst", key);
	OK(storage_remove(p->mem[1], key, &err));
	OK(storage_put(p->mem[1], key, "short", 5, &err));
	do_copy(p, &r);
	assert_int_equal(r.dumps.copied, 1);
	assert_true(has(p, 1, LABEL_A, "pack-01-000000.g1.zst"));
	assert_true(has(p, 1, LABEL_A, "pack-01-000001.g1.zst"));
	assert_commits_hold(p);
}

static void
what_was_removed_there_stays_removed_unless_it_is_wanted_again(void **state)
{
	struct places *p = *state;
	struct copy_params params = { .from = p->repo[0], .to = p->repo[1],
		.what = COPY_DUMPS, .jobs = 1, .again = true };
	struct copy_result r;
	struct copy *c;

	add_dump(p, LABEL_A, 1);
	OK(removed_note_set(p->repo[1], &p->inc, REPO_DUMP, LABEL_A, &err));
	do_copy(p, &r);
	assert_int_equal(r.removed, 1);
	assert_false(has(p, 1, LABEL_A, "commit"));
	OK(copy_new(&c, &params, &err));
	OK(copy_all(c, &err));
	assert_int_equal(copy_result(c)->dumps.copied, 1);
	copy_free(c);
	assert_true(has(p, 1, LABEL_A, "commit"));
}

static void
who_holds_the_lease_there_is_not_disturbed(void **state)
{
	struct places *p = *state;
	struct lease_params lp = { .name = LEASE_DUMPS, .purpose = "expire",
		.host = "other", .process = "boot/ns/1", .pid = 1 };
	struct copy_result r;
	struct lease *lease;

	add_dump(p, LABEL_A, 1);
	OK(lease_take(&lease, p->repo[1], &p->inc, &lp, &err));
	do_copy(p, &r);
	assert_int_equal(r.locked.code, ERR_LOCKED);
	assert_int_equal(r.objects, 0);
	lease_release(lease);
	do_copy(p, &r);
	assert_int_equal(r.dumps.copied, 1);
}

static void
places_of_different_repositories_are_refused(void **state)
{
	struct places *p = *state;
	struct copy_result r;

	repo_close(p->repo[1]);
	storage_close(p->mem[1]);
	assert_int_equal(open_place(p, 1, NULL), 0);
	FAILS(try_copy(p, &r), ERR_REFUSED);
	assert_non_null(strstr(err.msg, p->repo[0]->id_text));
	assert_non_null(strstr(err.msg, p->repo[1]->id_text));
}

static void
wal_below_the_mark_is_not_wanted(void **state)
{
	struct places *p = *state;
	struct removed_set set;
	struct wal_file f;

	OK(removed_note_wal(p->repo[1], &p->inc, "000000010000000000000003",
	    "000000010000000000000005", &err));
	OK(removed_note_wal(p->repo[1], &p->inc, "000000010000000000000006",
	    "000000010000000000000009", &err));
	OK(removed_note_wal(p->repo[1], &p->inc, "000000030000000000000002",
	    "000000030000000000000002", &err));
	OK(removed_list(p->repo[1], &p->inc, &set, &err));
	OK(wal_file_parse("000000010000000000000009", &f, &err));
	assert_true(removed_names_wal(&set, &f));
	OK(wal_file_parse("00000001000000000000000A", &f, &err));
	assert_false(removed_names_wal(&set, &f));
	OK(wal_file_parse("000000020000000000000001", &f, &err));
	assert_false(removed_names_wal(&set, &f));
	OK(wal_file_parse("00000003.history", &f, &err));
	assert_false(removed_names_wal(&set, &f));
	/* What was removed, and not lost. */
	assert_true(removed_was_wal(&set, "000000010000000000000003"));
	assert_true(removed_was_wal(&set, "000000010000000000000009"));
	assert_false(removed_was_wal(&set, "000000010000000000000002"));
	assert_false(removed_was_wal(&set, "00000001000000000000000A"));
	assert_false(removed_was_wal(&set, "000000030000000000000001"));
	assert_true(removed_was_all_wal(&set, "000000010000000000000004",
	    "000000010000000000000008", 16 << 20));
	assert_false(removed_was_all_wal(&set, "000000010000000000000002",
	    "000000010000000000000009", 16 << 20));
	assert_false(removed_was_all_wal(&set, "000000010000000000000004",
	    "00000001000000000000000A", 16 << 20));
	removed_free(&set);
}

/* A stored .partial file with this content: its key. */
static void
put_partial(struct places *p, const char *content, char key[STORAGE_KEY_MAX])
{
	struct object_header oh = { .type = OBJECT_WAL, .hash_algorithm = 1,
		.system_id = p->inc.system_id, .has_wal = true,
		.name = PARTIAL };
	struct frame_header h = { .type = FRAME_WAL };
	struct frame_codec *codec = frame_codec_new(1);
	const size_t len = strlen(content);
	struct object_writer w;
	struct wal_file file;

	OK(wal_file_parse(PARTIAL, &file, &err));
	memcpy(oh.repository_id, p->repo[0]->id, sizeof(oh.repository_id));
	oh.wal.length = len;
	oh.wal.segment_size = 16 << 20;
	oh.wal.part_length = WAL_PART_LENGTH;
	oh.wal.parts = 1;
	oh.wal.major = 15;
	hash_128(content, len, oh.wal.hash);
	object_writer_init(&w, STORAGE_OBJECT_MAX, &oh);
	OK(object_writer_add(&w, codec, &h, content, len, &err));
	OK(object_writer_finish(&w, &err));
	wal_store_key(&p->inc, &file, oh.wal.hash, 0, 0, key);
	OK(storage_put(p->mem[0], key, w.bytes.data, w.bytes.len, &err));
	object_writer_free(&w);
	frame_codec_free(codec);
}

static enum copy_outcome
copy_partial(struct places *p)
{
	struct copy_params params = { .from = p->repo[0], .to = p->repo[1],
		.what = COPY_EVERYTHING, .jobs = 1 };
	struct copy_item item = { .name = PARTIAL };
	struct copy *c;

	OK(copy_new(&c, &params, &err));
	OK(copy_wal_items(c, &p->inc, &item, 1, &err));
	copy_free(c);
	return item.outcome;
}

/* Else the queue would forget the one that is still missing. */
static void
a_name_with_two_contents_is_done_when_both_are_there(void **state)
{
	struct places *p = *state;
	char keys[2][STORAGE_KEY_MAX];
	struct buf good;
	int bad;

	assert_int_equal(copy_partial(p), COPY_ABSENT);
	put_partial(p, "so far", keys[0]);
	put_partial(p, "so far and further", keys[1]);
	assert_int_equal(copy_partial(p), COPY_DONE);
	for (bad = 0; bad < 2; bad++) {
		forget_second(p);
		buf_init(&good, STORAGE_OBJECT_MAX);
		OK(storage_get_all(p->mem[0], keys[bad], &good, &err));
		OK(storage_remove(p->mem[0], keys[bad], &err));
		OK(storage_put(p->mem[0], keys[bad], good.data, good.len - 1,
		    &err));
		assert_int_equal(copy_partial(p), COPY_FAILED);
		/* Now one is there and one is not: no more than that. */
		assert_int_equal(copy_partial(p), COPY_FAILED);
		OK(storage_remove(p->mem[0], keys[bad], &err));
		OK(storage_put(p->mem[0], keys[bad], good.data, good.len,
		    &err));
		buf_free(&good);
		assert_int_equal(copy_partial(p), COPY_DONE);
		assert_same(p);
	}
}

/* Else the copy shows a hole without its name. */
static void
names_of_gaps_are_copied_once(void **state)
{
	static char host[] = "here", reason[] = "the disk was full";
	struct places *p = *state;
	struct gap g = { .first = "000000010000000000000003",
		.last = "000000010000000000000004", .segments = 2,
		.host = host, .reason = reason }, *gaps;
	char key[STORAGE_KEY_MAX];
	struct copy_result r;
	struct textset set;
	size_t n;

	add_dump(p, LABEL_A, 1); /* so that there is a cluster */
	do_copy(p, &r);
	OK(gap_put(p->repo[0], &p->inc, &g, &err));
	do_copy(p, &r);
	assert_int_equal(r.objects, 1);
	assert_same(p);
	OK(gap_list(p->repo[1], &p->inc, &gaps, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(gaps[0].reason, reason);
	gaps_free(gaps, n);
	do_copy(p, &r);
	assert_int_equal(r.objects, 0);
	/* One that does not hold is told, and the rest goes on. */
	gap_textset(&p->inc, &set);
	OK(textset_key(&set, g.id, key, &err));
	OK(storage_remove(p->mem[0], key, &err));
	OK(storage_put(p->mem[0], key, "gap", 3, &err));
	OK(storage_remove(p->mem[1], key, &err));
	add_dump(p, LABEL_B, 2);
	do_copy(p, &r);
	assert_int_equal(r.damaged, 1);
	assert_int_equal(r.dumps.copied, 1);
	err_clear(&err);
	OK(gap_list(p->repo[1], &p->inc, &gaps, &n, &err));
	assert_int_equal(n, 0);
	gaps_free(gaps, n);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_copied_and_the_second_time_nothing),
		TEST(whatever_call_fails_nothing_half_shows_and_the_next_run_completes),
		TEST(what_does_not_hold_is_not_spread_and_others_go_on),
		TEST(what_is_about_to_go_or_cut_off_there_is_not_relied_on),
		TEST(what_was_removed_there_stays_removed_unless_it_is_wanted_again),
		TEST(who_holds_the_lease_there_is_not_disturbed),
		TEST(places_of_different_repositories_are_refused),
		TEST(wal_below_the_mark_is_not_wanted),
		TEST(names_of_gaps_are_copied_once),
		TEST(a_name_with_two_contents_is_done_when_both_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
