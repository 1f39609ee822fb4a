/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_get.h"

/* Nothing but what was in pg_wal before: no half-written file. */
static void
assert_nothing_delivered(const struct place *p)
{
	char path[192], tmp[208];

	dest_path(p, path);
	assert_int_not_equal(access(path, F_OK), 0);
	(void)snprintf(tmp, sizeof(tmp), "%s.dapk-tmp", path);
	assert_int_not_equal(access(tmp, F_OK), 0);
}

static void
a_stored_segment_is_delivered_as_it_was(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);

	OK(try_get(p, "000000010000000000000005", 0));
	assert_delivered(p, w.bytes, p->segment_size);
	made_free(&w);
}

static void
a_long_segment_is_put_together_from_its_parts(void **state)
{
	struct place *p;
	struct made_wal w;

	(void)place_setup_size(state, 64 * MB);
	p = *state;
	w = push_some(p, 1);
	OK(try_get(p, "000000010000000000000005", 0));
	assert_delivered(p, w.bytes, p->segment_size);
	made_free(&w);
}

static void
a_damaged_segment_is_an_error_that_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 2);
	struct keys k;

	place_keys(p, "000000010000000000000005", &k);
	flip_byte(p, k.key[0], 3000);
	FAILS(try_get(p, "000000010000000000000005", 0), ERR_DAMAGED);
	assert_nothing_delivered(p);
	made_free(&w);
}

static void
an_older_generation_serves_when_the_newest_is_damaged(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	struct keys k;
	char path[700], saved[720];
	size_t i;

	/* Cut the first, so that a second generation is put; then undo. */
	place_keys(p, "000000010000000000000005", &k);
	place_key_path(p, k.key[0], path);
	(void)snprintf(saved, sizeof(saved), "%s/saved", p->dir);
	assert_int_equal(rename(path, saved), 0);
	place_write(path, "x", 1);
	place_push(p, "000000010000000000000005");
	assert_int_equal(rename(saved, path), 0);
	place_keys(p, "000000010000000000000005", &k);
	assert_int_equal(k.n, 2);
	for (i = 0; i < 2; i++)
		if (strstr(k.key[i], ".g1.") != NULL)
			flip_byte(p, k.key[i], 3000);
	OK(try_get(p, "000000010000000000000005", 0));
	assert_delivered(p, w.bytes, p->segment_size);
	made_free(&w);
}

static void
two_contents_of_a_name_are_refused_and_both_are_named(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	struct keys k;
	char path[700], hash[33], saved[128], name[25];
	struct err told;
	size_t i;

	/* Two hosts that raced: each put its own. */
	place_keys(p, "000000010000000000000005", &k);
	place_key_path(p, k.key[0], path);
	(void)snprintf(saved, sizeof(saved), "%s/saved", p->dir);
	assert_int_equal(rename(path, saved), 0);
	w.bytes[400000] ^= 1;
	place_segment(p, &w, 5, name);
	place_push(p, name);
	assert_int_equal(rename(saved, path), 0);
	FAILS(try_get(p, "000000010000000000000005", 0), ERR_REFUSED);
	told = err;
	place_keys(p, "000000010000000000000005", &k);
	assert_int_equal(k.n, 2);
	for (i = 0; i < 2; i++) {
		(void)snprintf(hash, sizeof(hash), "%.32s",
		    strrchr(k.key[i], '-') + 1);
		assert_non_null(strstr(told.msg, hash));
	}
	assert_nothing_delivered(p);
	made_free(&w);
}

static void
a_destination_that_cannot_be_written_is_never_absence(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .name = "000000010000000000000005",
		.dest = "no_such_directory/RECOVERYXLOG" };

	FAILS(wal_get(&params, &err), ERR_IO);
	made_free(&w);
}

static void
a_missing_data_directory_is_never_absence(void **state)
{
	struct place *p = *state;
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = "/nonexistent", .name = "000000010000000000000005",
		.dest = "x" };

	FAILS(wal_get(&params, &err), ERR_CONFIG);
}

static void
another_repository_than_expected_is_refused(void **state)
{
	struct place *p = *state;
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .name = "000000010000000000000005",
		.dest = "pg_wal/RECOVERYXLOG",
		.repository_id = "00000000000000000000000000000000" };
	struct made_wal w = push_some(p, 1);

	FAILS(wal_get(&params, &err), ERR_CONFIG);
	params.repository_id = p->repo->id_text;
	OK(wal_get(&params, &err));
	made_free(&w);
}

static void
an_unknown_cluster_is_an_error_and_not_the_end_of_the_archive(void **state)
{
	struct place *p = *state;
	struct wal_get_params params = { .repo = p->repo, .cluster = "mian",
		.pgdata = p->pgdata, .name = "000000010000000000000005",
		.dest = "pg_wal/RECOVERYXLOG" };
	struct made_wal w = push_some(p, 1);

	FAILS(wal_get(&params, &err), ERR_REFUSED);
	SAYS("mian");
	made_free(&w);
}

static void
an_unmounted_repository_is_an_error_and_not_the_end(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	char from[128], to[128];

	(void)snprintf(from, sizeof(from), "%s/repo", p->dir);
	(void)snprintf(to, sizeof(to), "%s/away", p->dir);
	assert_int_equal(rename(from, to), 0);
	err_clear(&err);
	assert_int_not_equal(try_get(p, "000000010000000000000006", 0), 0);
	assert_int_not_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(mkdir(from, 0700), 0); /* the empty mount point */
	err_clear(&err);
	assert_int_not_equal(try_get(p, "000000010000000000000006", 0), 0);
	assert_int_not_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(rmdir(from), 0);
	assert_int_equal(rename(to, from), 0);
	made_free(&w);
}

/*
 * The archive of three timelines, segments of 1 MB:
 *   1: 3..9 without 7, left by 2 in the middle of 10 (0/A80000)
 *   2: 10..14, left by 3 exactly at the end of 14 (0/F00000)
 *   3: 15, 16
 *   4: only its history: left 2 in 20
 */
static void
build_timelines(const struct place *p)
{
	place_push_range(p, 1, 3, 6);
	place_push_range(p, 1, 8, 9);
	place_push_range(p, 2, 10, 14);
	place_push_range(p, 3, 15, 16);
	place_push_text(p, "00000002.history", "1\t0/A80000\tx\n");
	place_push_text(p, "00000003.history",
	    "1\t0/A80000\tx\n2\t0/F00000\ty\n");
}

static void
what_is_absent_and_what_is_a_gap(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *name;
		enum err_code code;
		const char *why;
	} cases[] = {
		{ "000000010000000000000002", ERR_DAMAGED,
		    "later segments of the timeline are there" },
		{ "000000010000000000000007", ERR_DAMAGED,
		    "a hole in the middle" },
		{ "00000001000000000000000A", ERR_NOT_FOUND,
		    "the fork's segment: timeline 2 has the copy" },
		{ "00000001000000000000000B", ERR_NOT_FOUND,
		    "an old timeline after it was left" },
		{ "000000020000000000000005", ERR_NOT_FOUND,
		    "a new timeline before it began" },
		{ "00000002000000000000000F", ERR_NOT_FOUND,
		    "left exactly at the segment's beginning" },
		{ "000000030000000000000010", ERR_NONE, "stored" },
		{ "000000030000000000000011", ERR_NOT_FOUND,
		    "the end of the newest timeline" },
		{ "000000030000000000000200", ERR_NOT_FOUND, "far after" },
		{ "000000030000000000000009", ERR_NOT_FOUND,
		    "long before it began" },
		{ "000000050000000000000011", ERR_NOT_FOUND,
		    "a timeline that nobody knows" },
		{ "00000001.history", ERR_NOT_FOUND, "timeline 1 has none" },
		{ "00000004.history", ERR_NOT_FOUND, "the next to be made" },
		{ "00000003.history", ERR_NONE, "stored" },
	};
	size_t i;

	build_timelines(p);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err_clear(&err);
		(void)!try_get(p, cases[i].name, 0);
		if (err.code != cases[i].code)
			fail_msg("%s (%s): %s %s", cases[i].name,
			    cases[i].why, err_code_name(err.code), err.msg);
	}
}

static void
remove_stored(const struct place *p, const char *segment)
{
	struct keys k;

	place_keys(p, segment, &k);
	assert_int_equal(k.n, 1);
	OK(storage_remove(p->repo->st, k.key[0], &err));
}

static void
the_tail_of_a_timeline_that_others_left_later_is_a_gap(void **state)
{
	struct place *p = *state;

	build_timelines(p);
	remove_stored(p, "000000010000000000000009");
	FAILS(try_get(p, "000000010000000000000009", 0), ERR_DAMAGED);
	SAYS("timeline 2");
	/* Timeline 3 left 2 at the very end of segment 14. */
	remove_stored(p, "00000002000000000000000E");
	FAILS(try_get(p, "00000002000000000000000E", 0), ERR_DAMAGED);
	SAYS("timeline 3");
}

static void
a_message_about_a_gap_names_what_is_stored_after_it(void **state)
{
	struct place *p = *state;

	build_timelines(p);
	FAILS(try_get(p, "000000010000000000000007", 0), ERR_DAMAGED);
	SAYS("000000010000000000000008");
	assert_non_null(strstr(err.hint, "archive-push"));
}

/* TRAPS T28 */
static void
a_hole_in_the_histories_is_an_error(void **state)
{
	struct place *p = *state;

	place_push_range(p, 1, 3, 5);
	place_push_text(p, "00000003.history", "1\t0/580000\tx\n");
	FAILS(try_get(p, "00000002.history", 0), ERR_DAMAGED);
	OK(try_get(p, "00000003.history", 0));
	FAILS(try_get(p, "00000004.history", 0), ERR_NOT_FOUND);
}

static void
wal_of_a_timeline_without_its_history_is_an_error(void **state)
{
	struct place *p = *state;

	place_push_range(p, 1, 3, 5);
	place_push_range(p, 2, 5, 6);
	FAILS(try_get(p, "00000002.history", 0), ERR_DAMAGED);
	/* Nobody can know where timeline 2 left 1. */
	FAILS(try_get(p, "000000010000000000000006", 0), ERR_DAMAGED);
}

/* TRAPS T26: the tenth timeline, 0A. */
static void
timelines_are_hexadecimal(void **state)
{
	struct place *p = *state;

	place_push_range(p, 1, 3, 5);
	place_push_range(p, 10, 5, 6);
	place_push_text(p, "0000000A.history", "1\t0/580000\tx\n");
	OK(try_get(p, "0000000A0000000000000006", 0));
	FAILS(try_get(p, "0000000A0000000000000007", 0), ERR_NOT_FOUND);
	FAILS(try_get(p, "00000009.history", 0), ERR_DAMAGED);
}

static void
later_segments_in_another_log_folder_make_a_gap(void **state)
{
	struct place *p = *state;

	/* Segments of 1 MB: 4096 a log. */
	place_push_range(p, 1, 4090, 4090);
	place_push_range(p, 1, 4097, 4097);
	FAILS(try_get(p, "000000010000000000000FFB", 0), ERR_DAMAGED);
	SAYS("000000010000000100000001");
	FAILS(try_get(p, "000000010000000100000002", 0), ERR_NOT_FOUND);
}

static void
push_partial(const struct place *p, const struct made_wal *w, uint64_t segno)
{
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192], to[208], partial[40];

	place_segment(p, w, segno, name);
	place_wal_path(p, name, path);
	(void)snprintf(to, sizeof(to), "%s.partial", path);
	assert_int_equal(rename(path, to), 0);
	(void)snprintf(partial, sizeof(partial), "%s.partial", name);
	place_push(p, partial);
}

static void
a_partial_segment_at_the_end_is_delivered_for_the_whole(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);

	made_fill(&w, 300000);
	place_push_range(p, 1, 3, 5);
	push_partial(p, &w, 6);
	OK(try_get(p, "000000010000000000000006", 0));
	assert_delivered(p, w.bytes, p->segment_size);
	FAILS(try_get(p, "000000010000000000000007", 0), ERR_NOT_FOUND);
	made_free(&w);
}

static void
a_partial_segment_with_later_ones_is_a_gap(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);

	made_fill(&w, 300000);
	place_push_range(p, 1, 3, 5);
	push_partial(p, &w, 6);
	place_push_range(p, 1, 7, 7);
	FAILS(try_get(p, "000000010000000000000006", 0), ERR_DAMAGED);
	assert_nothing_delivered(p);
	made_free(&w);
}

/*
 * Two of them, of which neither was there when the other was pushed, or the
 * second has more records.
 */
static void
push_partials(const struct place *p, const struct made_wal *one,
    const struct made_wal *other, bool apart)
{
	char path[700], saved[128];
	struct keys k;

	push_partial(p, one, 6);
	place_keys(p, "000000010000000000000006", &k);
	assert_int_equal(k.n, 1);
	place_key_path(p, k.key[0], path);
	(void)snprintf(saved, sizeof(saved), "%s/saved", p->dir);
	if (apart)
		assert_int_equal(rename(path, saved), 0);
	push_partial(p, other, 6);
	if (apart)
		assert_int_equal(rename(saved, path), 0);
	place_keys(p, "000000010000000000000006", &k);
	assert_int_equal(k.n, 2);
}

static void
of_several_partials_the_one_with_most_records_is_delivered(void **state)
{
	struct place *p = *state;
	struct made_wal some = made_new(p->segment_size, 1, 6, 1);
	struct made_wal more = made_new(p->segment_size, 1, 6, 1);
	struct keys k;
	unsigned i;

	made_fill(&some, 300000);
	memset(some.bytes + 900000, 77, 1000);
	made_fill(&more, 300000);
	made_fill(&more, 500000);
	place_push_range(p, 1, 3, 5);
	push_partials(p, &some, &more, false);
	OK(try_get(p, "000000010000000000000006", 0));
	assert_delivered(p, more.bytes, p->segment_size);
	/* Damaged, it may have held more than the other. */
	place_keys(p, "000000010000000000000006", &k);
	for (i = 0; i < k.n; i++)
		flip_byte(p, k.key[i], 3000);
	FAILS(try_get(p, "000000010000000000000006", 0), ERR_DAMAGED);
	assert_nothing_delivered(p);
	made_free(&more);
	made_free(&some);
}

static void
partials_with_the_same_records_are_as_good_as_one(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);
	struct made_wal v = made_new(p->segment_size, 1, 6, 1);
	char path[192];

	made_fill(&w, 300000);
	made_fill(&v, 300000);
	memset(v.bytes + 900000, 77, 1000);
	place_push_range(p, 1, 3, 5);
	push_partials(p, &w, &v, true);
	OK(try_get(p, "000000010000000000000006", 0));
	dest_path(p, path);
	assert_int_equal(access(path, F_OK), 0);
	made_free(&v);
	made_free(&w);
}

static void
partials_with_other_records_are_refused(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);
	struct made_wal v = made_new(p->segment_size, 1, 6, 1);

	made_fill(&w, 300000);
	made_fill(&v, 200000);
	(void)made_commit(&v, 700, 5000000);
	made_fill(&v, 500000);
	place_push_range(p, 1, 3, 5);
	push_partials(p, &w, &v, true);
	FAILS(try_get(p, "000000010000000000000006", 0), ERR_REFUSED);
	assert_nothing_delivered(p);
	made_free(&v);
	made_free(&w);
}

/*
 * A recovery to a point in time ended on timeline 2, whose server died before
 * its first segment was archived. "Absent" would send the next recovery into
 * the parent's segment, and bring back what that point was to leave out.
 */
static void
the_forks_segment_is_a_gap_when_the_parents_goes_past_it(void **state)
{
	struct place *p = *state;

	place_push_range(p, 1, 3, 6);
	place_push_text(p, "00000002.history", "1\t0/580000\tx\n");
	FAILS(try_get(p, "000000020000000000000005", 0), ERR_DAMAGED);
	SAYS("timeline 2 begins");
	assert_non_null(strstr(err.hint, "--timeline 1"));
	assert_nothing_delivered(p);
	/* Recovery of the parent alone has its answers. */
	OK(try_get(p, "000000010000000000000005", 0));
	FAILS(try_get(p, "000000010000000000000007", 0), ERR_NOT_FOUND);
	FAILS(try_get(p, "000000020000000000000004", 0), ERR_NOT_FOUND);
	/* Of a timeline that is left again in the same segment too. */
	place_push_text(p, "00000003.history",
	    "1\t0/580000\tx\n2\t0/5A0000\ty\n");
	FAILS(try_get(p, "000000030000000000000005", 0), ERR_DAMAGED);
	/* Once the segment is stored all is well. */
	place_push_range(p, 3, 5, 5);
	OK(try_get(p, "000000030000000000000005", 0));
}

/* The ordinary promotion, and one in the middle of a salvaged segment. */
static void
the_forks_segment_is_absent_when_the_parents_ends_there(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 6, 1);
	char text[64];

	made_fill(&w, 300000);
	place_push_range(p, 1, 3, 5);
	push_partial(p, &w, 6);
	(void)snprintf(text, sizeof(text), "1\t0/%X\tx\n",
	    (unsigned)((made_lsn(&w) + 7) & ~UINT64_C(7)));
	place_push_text(p, "00000002.history", text);
	FAILS(try_get(p, "000000020000000000000006", 0), ERR_NOT_FOUND);
	OK(try_get(p, "000000010000000000000006", 0));
	place_push_text(p, "00000003.history", "1\t0/601000\tx\n");
	FAILS(try_get(p, "000000030000000000000006", 0), ERR_DAMAGED);
	SAYS(".partial goes on");
	made_free(&w);
}

/* pg_rewind -c: an absolute path, from anywhere, and no --pgdata. */
static void
the_data_directory_may_come_from_the_destination(void **state)
{
	struct place *p = *state;
	struct made_wal w = push_some(p, 1);
	char dest[192];
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.name = "000000010000000000000005", .dest = dest };

	dest_path(p, dest);
	OK(wal_get(&params, &err));
	assert_delivered(p, w.bytes, p->segment_size);
	made_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stored_segment_is_delivered_as_it_was),
		T16(a_stored_segment_is_delivered_as_it_was),
		cmocka_unit_test_teardown(
		    a_long_segment_is_put_together_from_its_parts,
		    place_teardown),
		T(a_damaged_segment_is_an_error_that_leaves_nothing),
		T(an_older_generation_serves_when_the_newest_is_damaged),
		T(two_contents_of_a_name_are_refused_and_both_are_named),
		T(a_destination_that_cannot_be_written_is_never_absence),
		T(a_missing_data_directory_is_never_absence),
		T(another_repository_than_expected_is_refused),
		T(an_unknown_cluster_is_an_error_and_not_the_end_of_the_archive),
		T(an_unmounted_repository_is_an_error_and_not_the_end),
		T(what_is_absent_and_what_is_a_gap),
		T(the_tail_of_a_timeline_that_others_left_later_is_a_gap),
		T(a_message_about_a_gap_names_what_is_stored_after_it),
		T(a_hole_in_the_histories_is_an_error),
		T(wal_of_a_timeline_without_its_history_is_an_error),
		T(timelines_are_hexadecimal),
		T(later_segments_in_another_log_folder_make_a_gap),
		T(a_partial_segment_at_the_end_is_delivered_for_the_whole),
		T(a_partial_segment_with_later_ones_is_a_gap),
		T(of_several_partials_the_one_with_most_records_is_delivered),
		T(partials_with_the_same_records_are_as_good_as_one),
		T(partials_with_other_records_are_refused),
		T(the_forks_segment_is_a_gap_when_the_parents_goes_past_it),
		T(the_forks_segment_is_absent_when_the_parents_ends_there),
		T(the_data_directory_may_come_from_the_destination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
