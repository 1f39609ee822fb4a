/* SPDX-License-Identifier: PostgreSQL */
/* Timelines and their forks, conflicts, and what is stored at all. */
#include "config.h"

#include "fixture_reach.h"

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
remove_all_of_2(const struct place *p)
{
	remove_segment(p, "000000020000000000000006");
	remove_segment(p, "000000020000000000000007");
	remove_segment(p, "000000020000000000000008");
}

static void
reach_of_2(const struct place *p, struct archive *a, struct wal_reach *r)
{
	OK(wal_reach_path(p->repo, &p->inc, "2", 1, a->backup.stop_lsn,
	    &a->path, &err));
	OK(wal_reach(p->repo, &a->backup, &a->path, r, &err));
	history_free(&a->path);
}

static void
wal_of_the_old_timeline_after_a_fork_without_the_new_one_is_told(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct fork f;

	build_fork(p, &a, &f);
	reach_of_2(p, &a, &r);
	assert_int_equal(r.fork, 0);
	remove_all_of_2(p);
	reach_of_2(p, &a, &r);
	assert_int_equal(r.end, f.at);
	assert_int_equal(r.fork, f.at);
	assert_true(r.past_fork);
	assert_true(r.last_record != 0 && r.last_record < f.at);
	assert_int_equal(r.end_timeline, 1);
	assert_string_equal(r.missing, "000000020000000000000006");
	drop_fork(&f);
}

static void
a_fork_at_a_segments_end_is_passed_too(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;

	place_push_range(p, 1, 4, 7);
	place_push_text(p, "00000002.history", "1\t0/600000\tx\n");
	make_backup(p, &a, 4 * MB + 40, 4 * MB + 8000);
	reach_of_2(p, &a, &r);
	assert_string_equal(r.last_segment, "000000010000000000000005");
	assert_int_equal(r.fork, 6 * MB);
	assert_true(r.past_fork);
	remove_segment(p, "000000010000000000000006");
	reach_of_2(p, &a, &r);
	assert_false(r.past_fork);
}

/* The same object under another content's name. */
static void
add_conflict(const struct place *p, const char *name)
{
	char path[700], other[720];
	struct keys k;
	struct buf b;
	char *hash;

	place_keys(p, name, &k);
	assert_int_equal(k.n, 1);
	place_key_path(p, k.key[0], path);
	(void)snprintf(other, sizeof(other), "%s", path);
	hash = strrchr(other, '-') + 1;
	hash[0] = hash[0] == '0' ? '1' : '0';
	buf_init(&b, STORAGE_OBJECT_MAX);
	OK(io_read_file(path, &b, &err));
	place_write(other, b.data, b.len);
	buf_free(&b);
}

static void
two_contents_end_the_way_and_no_older_timeline_helps(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct fork f;

	build_fork(p, &a, &f);
	add_conflict(p, "000000020000000000000006");
	reach_of_2(p, &a, &r);
	assert_string_equal(r.last_segment, "000000010000000000000005");
	assert_string_equal(r.missing, "000000020000000000000006");
	assert_true(r.gap);
	assert_true(r.conflict);
	drop_fork(&f);
}

static void
without_its_own_history_a_timeline_is_refused(void **state)
{
	struct place *p = *state;
	struct history h;

	place_push_range(p, 3, 4, 5);
	FAILS(wal_reach_path(p->repo, &p->inc, "current", 3, 4 * MB, &h,
	    &err), ERR_REFUSED);
	SAYS("00000003.history");
	FAILS(wal_reach_path(p->repo, &p->inc, "latest", 3, 4 * MB, &h, &err),
	    ERR_REFUSED);
}

static void
what_is_stored_is_read_or_only_looked_for(void **state)
{
	struct place *p = *state;
	struct wal_proof proof;
	struct archive a;
	char path[700];
	struct keys k;
	FILE *file;

	build(p, &a);
	OK(wal_reach_prove(p->repo, &a.backup, &a.path, 9 * MB + 1,
	    100 * MB, &proof, &err));
	assert_true(proof.read);
	assert_int_equal(proof.segments, 6);
	place_keys(p, "000000010000000000000008", &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(chmod(path, 0600), 0);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 3000, SEEK_SET), 0);
	assert_int_equal(fputs("damage", file) < 0, 0);
	assert_int_equal(fclose(file), 0);
	FAILS(wal_reach_prove(p->repo, &a.backup, &a.path, 9 * MB + 1,
	    100 * MB, &proof, &err), ERR_DAMAGED);
	SAYS("000000010000000000000008");
	/* Before it, or without reading. */
	OK(wal_reach_prove(p->repo, &a.backup, &a.path, 8 * MB, 100 * MB,
	    &proof, &err));
	OK(wal_reach_prove(p->repo, &a.backup, &a.path, 9 * MB + 1, 1000,
	    &proof, &err));
	assert_false(proof.read);
	assert_true(proof.stored_bytes > 1000);
	drop(&a);
}

static void
a_missing_part_is_damage(void **state)
{
	struct place *p = *state;
	char key[STORAGE_KEY_MAX];
	struct wal_stored ws;
	struct wal_proof proof;
	struct archive a;
	struct wal_file file;

	place_push_range(p, 1, 4, 4);
	make_backup(p, &a, 128 * MB + 40, 128 * MB + 8000);
	history_single(1, &a.path);
	OK(wal_reach_prove(p->repo, &a.backup, &a.path, 129 * MB, 1, &proof,
	    &err));
	assert_int_equal(proof.segments, 1);
	OK(wal_file_parse("000000010000000000000004", &file, &err));
	OK(wal_store_pick(p->repo, &p->inc, &file, &ws, &err));
	wal_store_key(&p->inc, &file, ws.hash, 0, 1, key);
	OK(storage_remove(p->repo->st, key, &err));
	FAILS(wal_reach_prove(p->repo, &a.backup, &a.path, 129 * MB, 1,
	    &proof, &err), ERR_DAMAGED);
	SAYS("part-0001");
	history_free(&a.path);
}

static int
place_setup_32(void **state)
{
	return place_setup_size(state, 32 * MB);
}

static void
a_partial_does_not_stand_in_for_a_whole_segment_that_existed(void **state)
{
	struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	char from[192], to[192];

	place_push_range(p, 1, 4, 4);
	place_push_range(p, 1, 5, 5);
	remove_segment(p, "000000010000000000000005");
	place_wal_path(p, "000000010000000000000005", from);
	place_wal_path(p, "000000010000000000000005.partial", to);
	assert_int_equal(rename(from, to), 0);
	place_push(p, "000000010000000000000005.partial");
	make_backup(p, &a, 4 * MB + 40, 4 * MB + 8000);
	history_single(1, &a.path);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_true(r.ends_in_partial);
	place_push_text(p, "00000002.history", "1\t0/700000\tx\n");
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_false(r.ends_in_partial);
	assert_string_equal(r.last_segment, "000000010000000000000004");
	history_free(&a.path);
}

/* The longer one's records go on from the shorter one's. */
static void
of_several_partials_the_longest_counts(void **state)
{
	static const char name[] = "000000010000000000000005";
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 4, 2);
	struct archive a;
	struct wal_reach r;
	char from[192], to[192], segment[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t last = 0;
	int i;

	made_fill(&w, MB + 100000);
	push_range(p, &w, 4, 4);
	place_wal_path(p, name, from);
	place_wal_path(p, "000000010000000000000005.partial", to);
	for (i = 0; i < 2; i++) {
		last = made_commit(&w, (uint32_t)(800 + i), T0 + SEC);
		place_segment(p, &w, 5, segment);
		assert_int_equal(rename(from, to), 0);
		place_push(p, "000000010000000000000005.partial");
	}
	make_backup(p, &a, 4 * MB + 40, 4 * MB + 8000);
	history_single(1, &a.path);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	assert_true(r.ends_in_partial);
	assert_false(r.conflict);
	assert_int_equal(r.last_record, last);
	history_free(&a.path);
	made_free(&w);
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

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_path_across_timelines_takes_each_segment_from_the_newest),
		T(an_old_timelines_wal_counts_only_up_to_the_fork),
		T(paths_are_chosen_and_refused_as_postgresql_does),
		T(wal_of_the_old_timeline_after_a_fork_without_the_new_one_is_told),
		T(a_fork_at_a_segments_end_is_passed_too),
		T(two_contents_end_the_way_and_no_older_timeline_helps),
		T(without_its_own_history_a_timeline_is_refused),
		T(what_is_stored_is_read_or_only_looked_for),
		T(a_partial_does_not_stand_in_for_a_whole_segment_that_existed),
		T(of_several_partials_the_longest_counts),
		cmocka_unit_test_setup_teardown(a_missing_part_is_damage,
		    place_setup_32, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
