/* SPDX-License-Identifier: PostgreSQL */
/* Ranges of WAL from pg_wal and the repository, on several threads. */
#include "fixture_wal.h"

#include <time.h>

#include "backup/walcollect.h"

#define NODE 16384
#define RECORDS_MAX 20000

/* WAL of some segments; the record i refers to block i. */
struct story {
	struct made_wal w;
	uint64_t lsn[RECORDS_MAX];
	size_t n;
};

static void
tell(struct story *st, uint64_t until, unsigned max_len)
{
	while (st->w.off + max_len + 4096 < until) {
		assert_true(st->n < RECORDS_MAX);
		st->lsn[st->n] = made_block(&st->w, NODE, 0, (uint32_t)st->n,
		    (uint16_t)((unsigned)rand() % max_len));
		st->n++;
	}
}

static void
remove_local(const struct place *p, const char *name)
{
	char path[192];

	place_wal_path(p, name, path);
	assert_int_equal(unlink(path), 0);
}

static struct walcollect
collect_stored(struct place *p, const struct history *path, uint64_t from,
    uint64_t to, uint64_t stored_to, unsigned jobs, struct blockset *set)
{
	struct control ctl;
	struct walcollect w = { .repo = p->repo, .inc = &p->inc,
		.pgdata = p->pgdata, .control = &ctl, .path = path,
		.from = from, .to = to, .stored_to = stored_to, .jobs = jobs };

	OK(control_read(p->pgdata, &ctl, NULL, &err));
	OK(walcollect(&w, set, &err));
	return w;
}

static struct walcollect
collect(struct place *p, const struct history *path, uint64_t from,
    uint64_t to, unsigned jobs, struct blockset *set)
{
	return collect_stored(p, path, from, to, 0, jobs, set);
}

/* Just the records that begin in from <= i < to. */
static void
assert_blocks(const struct blockset *set, size_t from, size_t to, size_t n)
{
	struct wal_relation r = { 1663, 5, NODE };
	uint8_t *bits = xcalloc(1, n / 8 + 1);
	size_t i;

	blockset_bits(set, &r, 0, 0, n, bits);
	for (i = 0; i < n; i++)
		if ((bits[i / 8] >> i % 8 & 1) != (i >= from && i < to))
			fail_msg("block %zu of %zu..%zu is wrong", i, from,
			    to);
	free(bits);
}

static void
check_range(struct place *p, const struct story *st, size_t from, size_t to,
    unsigned jobs)
{
	struct blockset *set = blockset_new(1 << 20);
	struct history path;
	struct walcollect w;

	history_single(1, &path);
	w = collect(p, &path, st->lsn[from], st->lsn[to], jobs, set);
	assert_string_equal(w.reason, "");
	assert_blocks(set, from, to, st->n);
	history_free(&path);
	blockset_free(set);
}

static void
any_range_is_collected_from_both_places(void **state)
{
	unsigned seed = (unsigned)time(NULL), jobs;
	struct place *p = *state;
	static struct story st;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	size_t from, to;
	uint64_t s;
	int i;

	printf("seed %u\n", seed);
	srand(seed);
	st.w = made_new(p->segment_size, 1, 3, 9);
	tell(&st, 9 * (uint64_t)p->segment_size, 30000);
	for (s = 3; s < 12; s++) {
		place_segment(p, &st.w, s, name);
		if (s < 11)
			place_push(p, name);
		if (s < 6)
			remove_local(p, name);
	}
	for (i = 0; i < 30; i++) {
		from = (size_t)rand() % (st.n - 1);
		to = from + 1 + (size_t)rand() % (st.n - 1 - from);
		jobs = 1 + (unsigned)rand() % 4;
		check_range(p, &st, from, to, jobs);
	}
	check_range(p, &st, 0, st.n - 1, 2);
	made_free(&st.w);
}

/* A record longer than two segments: runs in the middle of it have none. */
static void
a_record_over_several_segments_is_not_lost(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 3, 7);
	struct blockset *set = blockset_new(1 << 20);
	uint8_t *big = xcalloc(3, MB), body[20] = { 0 };
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct history path;
	struct walcollect c;
	uint64_t from, to, s;
	unsigned jobs;

	from = made_block(&w, NODE, 0, 0, 100);
	/* Block 1, and 3 MB of main data. */
	put_le32(body + 4, 1663);
	put_le32(body + 8, 5);
	put_le32(body + 12, NODE);
	put_le32(body + 16, 1);
	memcpy(big, body, sizeof(body));
	big[20] = 254;
	put_le32(big + 21, 3 * MB - 25);
	(void)made_raw(&w, RM_HEAP, 0, 3, big, 3 * MB);
	(void)made_block(&w, NODE, 0, 2, 100);
	to = made_block(&w, NODE, 0, 3, 100);
	for (s = 3; s < 7; s++)
		place_segment(p, &w, s, name);
	history_single(1, &path);
	for (jobs = 1; jobs < 5; jobs++) {
		c = collect(p, &path, from, to, jobs, set);
		assert_string_equal(c.reason, "");
		assert_blocks(set, 0, 3, 8);
		assert_int_equal(c.segments, 4);
	}
	history_free(&path);
	blockset_free(set);
	made_free(&w);
	free(big);
}

static void
only_main_forks_are_collected(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 3, 1);
	struct blockset *set = blockset_new(1 << 20);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t from, to, forks, blocks;
	struct history path;
	struct walcollect cut;

	from = made_block(&w, NODE, 2, 0, 100);
	(void)made_block(&w, NODE, 1, 1, 100);
	to = made_block(&w, NODE, 0, 2, 100);
	place_segment(p, &w, 3, name);
	history_single(1, &path);
	(void)collect(p, &path, from, to, 1, set);
	blockset_count(set, &forks, &blocks);
	assert_int_equal(blocks, 0);
	/* An end that is no record's. */
	cut = collect(p, &path, from, from + 40, 1, set);
	assert_non_null(strstr(cut.reason, "do not follow one another"));
	history_free(&path);
	blockset_free(set);
	made_free(&w);
}

static const char *
refused(struct place *p, const struct story *st)
{
	static struct walcollect w;
	struct blockset *set = blockset_new(1 << 20);
	struct history path;

	history_single(1, &path);
	w = collect(p, &path, st->lsn[0], st->lsn[st->n - 1], 2, set);
	history_free(&path);
	blockset_free(set);
	return w.reason;
}

static void
gaps_and_recycled_segments_are_seen(void **state)
{
	struct place *p = *state;
	static struct story st;
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192];
	uint64_t s;

	srand(1);
	st.w = made_new(p->segment_size, 1, 3, 6);
	tell(&st, 6 * (uint64_t)p->segment_size, 9000);
	for (s = 3; s < 9; s++)
		place_segment(p, &st.w, s, name);
	assert_string_equal(refused(p, &st), "");
	/* Segment 5 is overwritten by what comes later, under its name. */
	wal_segment_name(1, 5, p->segment_size, name);
	place_wal_path(p, name, path);
	place_write(path, st.w.bytes + 5 * p->segment_size, p->segment_size);
	assert_string_not_equal(refused(p, &st), "");
	/* When the repository has it, nothing is lost. */
	place_segment(p, &st.w, 5, name);
	place_push(p, name);
	place_write(path, st.w.bytes + 5 * p->segment_size, p->segment_size);
	assert_string_equal(refused(p, &st), "");
	/* Cut short, damaged in the middle, absent. */
	wal_segment_name(1, 6, p->segment_size, name);
	place_wal_path(p, name, path);
	place_write(path, st.w.bytes + 3 * p->segment_size, 4096);
	assert_string_not_equal(refused(p, &st), "");
	st.w.bytes[3 * p->segment_size + 300000] ^= 1;
	place_segment(p, &st.w, 6, name);
	assert_string_not_equal(refused(p, &st), "");
	remove_local(p, name);
	assert_string_equal(refused(p, &st), "WAL segment "
	    "000000010000000000000006 is neither in pg_wal nor in the "
	    "repository");
	made_free(&st.w);
}

/* The same segments as another server would have written them. */
static void
another_servers_wal_does_not_join(void **state)
{
	struct place *p = *state;
	static struct story one, two;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t s;

	srand(2);
	one.w = made_new(p->segment_size, 1, 3, 6);
	tell(&one, 6 * (uint64_t)p->segment_size, 9000);
	two.w = made_new(p->segment_size, 1, 3, 6);
	tell(&two, 6 * (uint64_t)p->segment_size, 8000);
	for (s = 3; s < 9; s++)
		place_segment(p, s < 6 ? &one.w : &two.w, s, name);
	one.lsn[one.n - 1] = two.lsn[two.n - 1];
	assert_string_not_equal(refused(p, &one), "");
	made_free(&one.w);
	made_free(&two.w);
}

/*
 * The data directory was set back to before the parent, and the server wrote
 * other WAL in the same place: what is stored is the parent's.
 */
static void
wal_of_a_server_that_was_set_back_is_no_evidence(void **state)
{
	struct place *p = *state;
	static struct story before, after;
	struct blockset *set = blockset_new(1 << 20);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct history path;
	struct walcollect w;
	uint64_t s, stored_to, from, to;

	srand(5);
	before.w = made_new(p->segment_size, 1, 3, 6);
	tell(&before, 6 * (uint64_t)p->segment_size, 9000);
	after.w = made_new(p->segment_size, 1, 3, 6);
	tell(&after, 6 * (uint64_t)p->segment_size, 8000);
	for (s = 3; s < 6; s++) {
		place_segment(p, &before.w, s, name);
		place_push(p, name);
	}
	for (s = 3; s < 9; s++)
		place_segment(p, &after.w, s, name);
	history_single(1, &path);
	from = after.lsn[0];
	to = after.lsn[after.n - 1];
	stored_to = wal_segment_start(6, p->segment_size);
	w = collect_stored(p, &path, from, to, stored_to, 3, set);
	assert_string_not_equal(w.reason, "");
	/* The test would see nothing if pg_wal alone did not pass. */
	w = collect(p, &path, from, to, 3, set);
	assert_string_equal(w.reason, "");
	history_free(&path);
	blockset_free(set);
	made_free(&before.w);
	made_free(&after.w);
}

static void
what_is_not_understood_stops_it(void **state)
{
	struct place *p = *state;
	static struct story st;
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint8_t off = 0;

	srand(3);
	st.w = made_new(p->segment_size, 1, 3, 1);
	tell(&st, p->segment_size / 2, 900);
	(void)made_record(&st.w, 130, 0, 3, &off, 1);
	tell(&st, p->segment_size, 900);
	place_segment(p, &st.w, 3, name);
	assert_non_null(strstr(refused(p, &st),
	    "there is WAL of an extension's resource manager"));
	made_free(&st.w);
	memset(&st, 0, sizeof(st));
	st.w = made_new(p->segment_size, 1, 3, 1);
	tell(&st, p->segment_size / 2, 900);
	(void)made_record(&st.w, RM_XLOG, 0x80, 3, &off, 1);
	tell(&st, p->segment_size, 900);
	place_segment(p, &st.w, 3, name);
	assert_non_null(strstr(refused(p, &st), "full_page_writes = off"));
	made_free(&st.w);
}

/*
 * Timeline 2 leaves 1 within segment 5: its file of that segment begins with
 * what 1 wrote. What 1 wrote afterwards is not of this history.
 */
static void
timelines_are_followed(void **state)
{
	struct place *p = *state;
	static struct story st, old;
	struct history_entry entries[] = { { 1, 0, 0 }, { 2, 0, UINT64_MAX } };
	struct history path = { 2, entries, 2 };
	struct blockset *set = blockset_new(1 << 20);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct walcollect w;
	uint64_t fork, s;

	srand(4);
	st.w = made_new(p->segment_size, 1, 3, 6);
	tell(&st, 2 * (uint64_t)p->segment_size + p->segment_size / 2, 9000);
	old = st;
	old.w.bytes = xcalloc(6, p->segment_size);
	memcpy(old.w.bytes, st.w.bytes, (size_t)6 * p->segment_size);
	fork = (made_lsn(&st.w) + 7) & ~UINT64_C(7);
	entries[0].end = entries[1].begin = fork;
	old.n += 5000; /* other blocks than those of timeline 2 */
	tell(&old, 6 * (uint64_t)p->segment_size, 9000);
	st.w.timeline = 2;
	tell(&st, 6 * (uint64_t)p->segment_size, 9000);
	for (s = 3; s < 9; s++) {
		place_segment(p, &old.w, s, name);
		st.w.timeline = s < 5 ? 1 : 2;
		place_segment(p, &st.w, s, name);
	}
	w = collect(p, &path, st.lsn[1], st.lsn[st.n - 1], 3, set);
	assert_string_equal(w.reason, "");
	assert_blocks(set, 1, st.n - 1, old.n);
	blockset_free(set);
	made_free(&st.w);
	made_free(&old.w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    any_range_is_collected_from_both_places, place_setup,
		    place_teardown),
		cmocka_unit_test_setup_teardown(
		    a_record_over_several_segments_is_not_lost, place_setup,
		    place_teardown),
		cmocka_unit_test_setup_teardown(only_main_forks_are_collected,
		    place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    gaps_and_recycled_segments_are_seen, place_setup,
		    place_teardown),
		cmocka_unit_test_setup_teardown(
		    another_servers_wal_does_not_join, place_setup,
		    place_teardown),
		cmocka_unit_test_setup_teardown(
		    wal_of_a_server_that_was_set_back_is_no_evidence,
		    place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_not_understood_stops_it, place_setup,
		    place_teardown),
		cmocka_unit_test_setup_teardown(timelines_are_followed,
		    place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
