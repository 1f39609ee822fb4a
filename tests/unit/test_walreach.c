/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_reach.h"

static void
reach_goes_to_the_end_of_what_is_stored_without_a_gap(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;

	build(p, &a);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.end, 10 * MB);
	assert_int_equal(r.end_timeline, 1);
	assert_string_equal(r.last_segment, "000000010000000000000009");
	assert_string_equal(r.missing, "00000001000000000000000A");
	assert_false(r.gap);
	assert_false(r.ends_in_partial);
	assert_int_equal(r.max_commit_time, T0 + 50 * SEC);
	assert_int_equal(r.proven_time, T0 + 90 * SEC);
	assert_int_equal(r.proven_lsn, a.last);
	assert_int_equal(r.last_record, a.switched);
	assert_int_equal(r.fork, 0);
	drop(&a);
}

static void
reach_stops_before_a_gap_and_names_it(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct wal_found f;

	build(p, &a);
	remove_segment(p, "000000010000000000000007");
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_string_equal(r.missing, "000000010000000000000007");
	assert_string_equal(r.last_segment, "000000010000000000000006");
	assert_true(r.gap);
	assert_int_equal(r.max_commit_time, T0 + 20 * SEC + SEC);
	/* What lies beyond it is not found. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_NAME,
	    .name = "here" }, &f);
	assert_false(f.found);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 820,
	    .inclusive = true }, &f);
	assert_false(f.found);
	drop(&a);
}

static void
a_damaged_segment_is_as_good_as_missing(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	char path[700];
	struct keys k;

	build(p, &a);
	place_keys(p, "000000010000000000000008", &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(truncate(path, 2000), 0);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_string_equal(r.missing, "000000010000000000000008");
	assert_true(r.gap);
	assert_string_equal(r.last_segment, "000000010000000000000007");
	/* Stored again, as its next generation, it counts. */
	place_push(p, "000000010000000000000008");
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_string_equal(r.last_segment, "000000010000000000000009");
	drop(&a);
}

static void
a_time_stops_at_the_first_commit_or_abort_past_it(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;
	const struct {
		int64_t time;
		bool inclusive;
		uint64_t lsn;
		const char *segment;
	} cases[] = {
		{ T0 + 5 * SEC, true, 0, "000000010000000000000004" },
		{ T0 + 10 * SEC, false, 0, "000000010000000000000004" },
		{ T0 + 10 * SEC, true, 1, "000000010000000000000006" },
		{ T0 + 20 * SEC, true, 2, "000000010000000000000006" },
		{ T0 + 25 * SEC, true, 3, "000000010000000000000006" },
		{ T0 + 30 * SEC, false, 3, "000000010000000000000006" },
		{ T0 + 30 * SEC, true, 4, "000000010000000000000009" },
		{ T0 + 50 * SEC, false, 4, "000000010000000000000009" },
	};
	uint64_t lsns[5];
	size_t i;

	build(p, &a);
	lsns[0] = a.commit_1;
	lsns[1] = a.commit_2;
	lsns[2] = a.abort_1;
	lsns[3] = a.across;
	lsns[4] = a.commit_3;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
		    .time = cases[i].time, .inclusive = cases[i].inclusive },
		    &f);
		if (!f.found || f.use_lsn ||
		    f.event.lsn != lsns[cases[i].lsn] ||
		    strcmp(f.segment, cases[i].segment) != 0)
			fail_msg("case %zu: found %d at %llx", i, f.found,
			    (unsigned long long)f.event.lsn);
	}
	drop(&a);
}

static void
a_time_after_the_last_commit_but_proven_becomes_an_lsn(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;

	build(p, &a);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 60 * SEC, .inclusive = true }, &f);
	assert_true(f.found);
	assert_true(f.use_lsn);
	assert_int_equal(f.event.lsn, a.switched);
	assert_int_equal(f.event.end, 10 * MB);
	/* At the very time of the last commit: it belongs to the target. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 50 * SEC, .inclusive = true }, &f);
	assert_true(f.found && f.use_lsn);
	assert_int_equal(f.event.lsn, a.switched);
	/* At the very last time there is: just behind that record. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 90 * SEC, .inclusive = true }, &f);
	assert_true(f.found && f.use_lsn);
	assert_int_equal(f.event.lsn, a.switched);
	/* Later than anything in the archive: not proved. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 91 * SEC, .inclusive = true }, &f);
	assert_false(f.found);
	drop(&a);
}

static void
a_transaction_is_found_in_and_across_segments(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;

	build(p, &a);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 812,
	    .inclusive = true }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.commit_2);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 811,
	    .inclusive = false }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.type, WAL_EVENT_ABORT);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 820,
	    .inclusive = true }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.across);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 9,
	    .inclusive = true }, &f);
	assert_false(f.found);
	drop(&a);
}

static void
what_would_stop_recovery_before_it_is_consistent_is_not_found(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;

	build(p, &a);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_XID, .xid = 800,
	    .inclusive = true }, &f);
	assert_false(f.found);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_NAME,
	    .name = "before" }, &f);
	assert_false(f.found);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = a.backup.start_lsn + 8, .inclusive = true }, &f);
	assert_false(f.found);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 - 6 * SEC, .inclusive = true }, &f);
	assert_false(f.found);
	drop(&a);
}

static void
a_restore_point_is_found_by_its_name(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;

	build(p, &a);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_NAME,
	    .name = "here" }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.point);
	assert_string_equal(f.segment, "000000010000000000000007");
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_NAME,
	    .name = "elsewhere" }, &f);
	assert_false(f.found);
	drop(&a);
}

static void
an_lsn_stops_at_the_first_record_from_it_on(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_found f;

	build(p, &a);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = a.commit_2, .inclusive = true }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.commit_2);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = a.commit_2 + 1, .inclusive = false }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.abort_1);
	/* The record that begins in one segment and ends in the next. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = a.across, .inclusive = true }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, a.across);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = 10 * MB, .inclusive = true }, &f);
	assert_false(f.found);
	/* Everything before the end is everything there is. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = 10 * MB, .inclusive = false }, &f);
	assert_true(f.found && f.use_lsn);
	assert_int_equal(f.event.lsn, a.switched);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_LSN,
	    .lsn = 10 * MB + 8, .inclusive = false }, &f);
	assert_false(f.found);
	drop(&a);
}

/* The clock was set back by an hour after a restore point. */
static void
commits_of_a_clock_that_stepped_back_belong_to_the_target(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 4, 1);
	struct archive a;
	struct wal_found f;
	uint64_t start, last;

	memset(&a, 0, sizeof(a));
	start = made_commit(&w, 800, T0 - SEC);
	made_fill(&w, 50000);
	make_backup(p, &a, start, (made_lsn(&w) + 7) & ~UINT64_C(7));
	(void)made_commit(&w, 801, T0 + 10 * SEC);
	(void)made_point(&w, "ahead", T0 + 3600 * SEC);
	last = made_commit(&w, 802, T0 + 20 * SEC);
	push_range(p, &w, 4, 4);
	history_single(1, &a.path);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 60 * SEC, .inclusive = true }, &f);
	assert_true(f.found && f.use_lsn);
	assert_int_equal(f.event.lsn, last);
	a.w = w;
	drop(&a);
}

static void
a_name_used_twice_is_found_where_it_was_used_first(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 4, 3);
	struct archive a;
	struct wal_found f;
	uint64_t start, first;

	memset(&a, 0, sizeof(a));
	start = made_commit(&w, 800, T0 - SEC);
	made_fill(&w, 50000);
	make_backup(p, &a, start, (made_lsn(&w) + 7) & ~UINT64_C(7));
	made_fill(&w, MB - 4000);
	(void)made_record(&w, RM_HEAP, 0, 3, w.bytes,
	    (uint32_t)(MB - 16 - w.off - 29 - 3) & ~7u);
	w.off = (w.off + 7) & ~UINT64_C(7);
	first = made_point(&w, "twice", T0 + SEC); /* across the end */
	assert_true(first < 5 * MB && made_lsn(&w) > 5 * MB);
	made_fill(&w, 2 * MB + 1000);
	(void)made_point(&w, "twice", T0 + 2 * SEC);
	push_range(p, &w, 4, 6);
	history_single(1, &a.path);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_NAME,
	    .name = "twice", .inclusive = true }, &f);
	assert_true(f.found);
	assert_int_equal(f.event.lsn, first);
	a.w = w;
	drop(&a);
}

static void
the_last_record_may_be_all_that_the_last_segment_has(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 4, 2);
	uint8_t *big = xcalloc(1, 900000);
	struct archive a;
	struct wal_reach r;
	uint64_t start, last;

	memset(&a, 0, sizeof(a));
	start = made_commit(&w, 800, T0 - SEC);
	make_backup(p, &a, start, (made_lsn(&w) + 7) & ~UINT64_C(7));
	made_fill(&w, 500000);
	last = made_record(&w, RM_HEAP, 0, 3, big, 900000);
	push_range(p, &w, 4, 5);
	history_single(1, &a.path);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.last_record, last);
	assert_int_equal(r.end, (made_lsn(&w) + 7) & ~UINT64_C(7));
	free(big);
	a.w = w;
	drop(&a);
}

static void
a_partial_segment_at_the_end_counts(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 4, 2);
	struct wal_target t = { .type = WAL_TARGET_XID, .xid = 900,
		.inclusive = true };
	char name[WAL_SEGMENT_NAME_LEN + 1], from[192], to[208];
	struct wal_found found;
	struct archive a;
	struct wal_reach r;
	uint64_t start, lsn;

	start = made_lsn(&w);
	made_fill(&w, MB + 300000);
	lsn = made_commit(&w, 900, T0 + SEC);
	push_range(p, &w, 4, 4);
	place_segment(p, &w, 5, name);
	place_wal_path(p, name, from);
	(void)snprintf(to, sizeof(to), "%s.partial", from);
	assert_int_equal(rename(from, to), 0);
	place_push(p, "000000010000000000000005.partial");
	make_backup(p, &a, start, start + 40000);
	history_single(1, &a.path);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_true(r.ends_in_partial);
	assert_string_equal(r.last_segment, "000000010000000000000005");
	assert_false(r.gap);
	assert_true(r.end > lsn);
	assert_int_equal(r.max_commit_time, T0 + SEC);
	OK(wal_reach_find(p->repo, &a.backup, &a.path, &r, &t, &found, &err));
	assert_true(found.found);
	assert_int_equal(found.event.lsn, lsn);
	history_free(&a.path);
	made_free(&w);
}

static void
nothing_stored_reaches_nowhere(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct wal_found f;

	make_backup(p, &a, 4 * MB + 40, 4 * MB + 8000);
	history_single(1, &a.path);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.end, 0);
	assert_string_equal(r.missing, "000000010000000000000004");
	assert_false(r.gap);
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + SEC, .inclusive = true }, &f);
	assert_false(f.found);
	history_free(&a.path);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(reach_goes_to_the_end_of_what_is_stored_without_a_gap),
		T(reach_stops_before_a_gap_and_names_it),
		T(a_damaged_segment_is_as_good_as_missing),
		T(a_time_stops_at_the_first_commit_or_abort_past_it),
		T(a_time_after_the_last_commit_but_proven_becomes_an_lsn),
		T(a_transaction_is_found_in_and_across_segments),
		T(what_would_stop_recovery_before_it_is_consistent_is_not_found),
		T(a_restore_point_is_found_by_its_name),
		T(an_lsn_stops_at_the_first_record_from_it_on),
		T(commits_of_a_clock_that_stepped_back_belong_to_the_target),
		T(a_name_used_twice_is_found_where_it_was_used_first),
		T(the_last_record_may_be_all_that_the_last_segment_has),
		T(a_partial_segment_at_the_end_counts),
		T(nothing_stored_reaches_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
