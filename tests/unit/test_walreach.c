/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_wal.h"
#include "repo/walreach.h"

#define T0 INT64_C(100000000) /* the backup's stop */
#define SEC INT64_C(1000000)

/*
 * An archive of segments 4..9 on timeline 1 and a backup that starts in 4 and
 * stops in 4. `at` holds LSNs of interest.
 */
struct archive {
	struct made_wal w;
	struct commit backup;
	struct history path;
	uint64_t commit_1, commit_2, commit_3, abort_1, point, across;
	uint64_t last;
};

static void
make_backup(const struct place *p, struct archive *a, uint64_t start,
    uint64_t stop)
{
	memset(&a->backup, 0, sizeof(a->backup));
	(void)snprintf(a->backup.label, sizeof(a->backup.label), "test");
	a->backup.inc = p->inc;
	a->backup.timeline = 1;
	a->backup.wal_segment_size = p->segment_size;
	a->backup.start_lsn = start;
	a->backup.stop_lsn = stop;
	a->backup.start_time = T0 - 10 * SEC;
	a->backup.stop_time = T0;
}

static void
push_range(const struct place *p, const struct made_wal *w, uint64_t from,
    uint64_t to)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t i;

	for (i = from; i <= to; i++) {
		place_segment(p, w, i, name);
		place_push(p, name);
	}
}

static void
build(const struct place *p, struct archive *a)
{
	struct made_wal *w = &a->w;
	uint64_t start, stop;

	*w = made_new(p->segment_size, 1, 4, 6);
	made_fill(w, 10000);
	start = made_commit(w, 800, T0 - 5 * SEC);
	made_fill(w, 50000);
	(void)made_point(w, "before", T0 - 2 * SEC);
	made_fill(w, 100000);
	stop = (made_lsn(w) + 7) & ~UINT64_C(7);
	made_fill(w, 200000);
	a->commit_1 = made_commit(w, 810, T0 + 10 * SEC);
	made_fill(w, 2 * MB + 300000); /* segment 6 */
	a->commit_2 = made_commit(w, 812, T0 + 20 * SEC);
	a->abort_1 = made_abort(w, 811, T0 + 21 * SEC);
	made_fill(w, 3 * MB);
	/* A commit across the end of segment 6: 16 bytes before it. */
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes,
	    (uint32_t)(3 * MB - 16 - w->off - 29 - 3) & ~7u);
	w->off = (w->off + 7) & ~UINT64_C(7);
	assert_int_equal(w->off, 3 * MB - 16);
	a->across = made_commit(w, 820, T0 + 30 * SEC);
	made_fill(w, 3 * MB + 500000);
	a->point = made_point(w, "here", T0 + 40 * SEC);
	made_fill(w, 5 * MB + 400000); /* segment 9 */
	a->commit_3 = made_commit(w, 830, T0 + 50 * SEC);
	a->last = made_point(w, "last", T0 + 90 * SEC);
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes, 100);
	(void)made_switch(w);
	push_range(p, w, 4, 9);
	make_backup(p, a, start, stop);
	history_single(1, &a->path);
}

static void
drop(struct archive *a)
{
	history_free(&a->path);
	made_free(&a->w);
}

static void
find(const struct place *p, struct archive *a, struct wal_target t,
    struct wal_found *out)
{
	struct wal_reach reach;

	OK(wal_reach(p->repo, &a->backup, &a->path, &reach, &err));
	OK(wal_reach_find(p->repo, &a->backup, &a->path, &reach, &t, out,
	    &err));
}

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
	drop(&a);
}

static void
remove_segment(const struct place *p, const char *name)
{
	struct keys k;

	place_keys(p, name, &k);
	assert_int_equal(k.n, 1);
	OK(storage_remove(p->repo->st, k.key[0], &err));
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
	assert_int_equal(f.event.lsn, a.last);
	/* At the very time of the last commit: it belongs to the target. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 50 * SEC, .inclusive = true }, &f);
	assert_true(f.found && f.use_lsn);
	assert_true(f.event.lsn > a.commit_3);
	/* At the very last time there is: just behind that record. */
	find(p, &a, (struct wal_target){ .type = WAL_TARGET_TIME,
	    .time = T0 + 90 * SEC, .inclusive = true }, &f);
	assert_true(f.found && f.use_lsn);
	assert_true(f.event.lsn > a.last);
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
	drop(&a);
}

/*
 * Timeline 2 leaves 1 in segment 6, whose start it copies, and goes on to 8;
 * timeline 1 goes on to 7 by itself.
 */
struct fork {
	struct made_wal one, two;
	uint64_t at, commit_on_1, commit_on_2;
};

static void
build_fork(const struct place *p, struct archive *a, struct fork *f)
{
	char text[64], lsn[LSN_TEXT_MAX];
	struct made_wal *w = &f->one;
	uint64_t start, stop, prev;

	*w = made_new(p->segment_size, 1, 4, 4);
	start = made_commit(w, 800, T0 - SEC);
	made_fill(w, 50000);
	stop = (made_lsn(w) + 7) & ~UINT64_C(7);
	made_fill(w, 2 * MB + 400000);
	(void)made_commit(w, 801, T0 + 10 * SEC);
	w->off = (w->off + 7) & ~UINT64_C(7);
	f->at = made_lsn(w);
	prev = w->prev;
	f->two = made_new(p->segment_size, 2, 6, 3);
	f->two.off = w->off - 2 * MB;
	memcpy(f->two.bytes, w->bytes + 2 * MB, f->two.off);
	f->two.prev = prev;
	f->commit_on_1 = made_commit(w, 802, T0 + 20 * SEC);
	made_fill(w, 4 * MB);
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes, 2000);
	f->commit_on_2 = made_commit(&f->two, 802, T0 + 25 * SEC);
	made_fill(&f->two, 3 * MB);
	(void)made_record(&f->two, RM_HEAP, 0, 3, w->bytes, 2000);
	push_range(p, w, 4, 7);
	push_range(p, &f->two, 6, 8);
	(void)snprintf(text, sizeof(text), "1\t%s\tx\n",
	    lsn_format(f->at, lsn));
	place_push_text(p, "00000002.history", text);
	make_backup(p, a, start, stop);
}

static void
drop_fork(struct fork *f)
{
	made_free(&f->one);
	made_free(&f->two);
}

static void
a_path_across_timelines_takes_each_segment_from_the_newest(void **state)
{
	struct place *p = *state;
	struct wal_target t = { .type = WAL_TARGET_XID, .xid = 802,
		.inclusive = true };
	struct archive a;
	struct wal_reach r;
	struct wal_found found;
	struct fork f;

	build_fork(p, &a, &f);
	OK(wal_reach_path(p->repo, &p->inc, "latest", 1, a.backup.stop_lsn,
	    &a.path, &err));
	assert_int_equal(a.path.timeline, 2);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.end_timeline, 2);
	assert_string_equal(r.last_segment, "000000020000000000000008");
	assert_string_equal(r.missing, "000000020000000000000009");
	OK(wal_reach_find(p->repo, &a.backup, &a.path, &r, &t, &found, &err));
	assert_true(found.found);
	assert_int_equal(found.event.time, T0 + 25 * SEC);
	assert_int_equal(found.timeline, 2);
	history_free(&a.path);
	/* And on the old one its own history. */
	OK(wal_reach_path(p->repo, &p->inc, "1", 1, a.backup.stop_lsn,
	    &a.path, &err));
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.end_timeline, 1);
	assert_string_equal(r.last_segment, "000000010000000000000007");
	OK(wal_reach_find(p->repo, &a.backup, &a.path, &r, &t, &found, &err));
	assert_true(found.found);
	assert_int_equal(found.event.time, T0 + 20 * SEC);
	history_free(&a.path);
	drop_fork(&f);
}

static void
an_old_timelines_wal_counts_only_up_to_the_fork(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct fork f;

	build_fork(p, &a, &f);
	remove_segment(p, "000000020000000000000006");
	OK(wal_reach_path(p->repo, &p->inc, "2", 1, a.backup.stop_lsn,
	    &a.path, &err));
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_int_equal(r.end, f.at);
	assert_string_equal(r.missing, "000000020000000000000006");
	assert_true(r.gap);
	assert_int_equal(r.max_commit_time, T0 + 10 * SEC);
	history_free(&a.path);
	drop_fork(&f);
}

static void
paths_are_chosen_and_refused_as_postgresql_does(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct fork f;

	build_fork(p, &a, &f);
	OK(wal_reach_path(p->repo, &p->inc, "current", 1, a.backup.stop_lsn,
	    &a.path, &err));
	assert_int_equal(a.path.timeline, 1);
	history_free(&a.path);
	FAILS(wal_reach_path(p->repo, &p->inc, "7", 1, a.backup.stop_lsn,
	    &a.path, &err), ERR_REFUSED);
	FAILS(wal_reach_path(p->repo, &p->inc, "x", 1, a.backup.stop_lsn,
	    &a.path, &err), ERR_USAGE);
	/* A backup of timeline 1 that was taken after 2 had left (T89). */
	FAILS(wal_reach_path(p->repo, &p->inc, "2", 1, f.at + 100, &a.path,
	    &err), ERR_REFUSED);
	SAYS("does not go on");
	/* For which the latest is its own. */
	OK(wal_reach_path(p->repo, &p->inc, "latest", 1, f.at + 100, &a.path,
	    &err));
	assert_int_equal(a.path.timeline, 1);
	history_free(&a.path);
	/* A newer one whose history is missing cannot be judged (T28). */
	place_push_range(p, 3, 9, 9);
	FAILS(wal_reach_path(p->repo, &p->inc, "latest", 1,
	    a.backup.stop_lsn, &a.path, &err), ERR_REFUSED);
	SAYS("00000003.history");
	drop_fork(&f);
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
		T(a_path_across_timelines_takes_each_segment_from_the_newest),
		T(an_old_timelines_wal_counts_only_up_to_the_fork),
		T(paths_are_chosen_and_refused_as_postgresql_does),
		T(a_partial_segment_at_the_end_counts),
		T(nothing_stored_reaches_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
