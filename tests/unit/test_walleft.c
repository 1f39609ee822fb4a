/* SPDX-License-Identifier: PostgreSQL */
/* WAL that a delta restore finds: what may go, what is kept, what is pushed. */
#include "config.h"

#include "fixture_wal.h"
#include "restore/walleft.h"

static void
touch(const struct place *p, const char *name, const void *data, size_t len)
{
	char path[192];

	place_wal_path(p, "archive_status", path);
	(void)mkdir(path, 0700);
	place_wal_path(p, name, path);
	place_write(path, data, len);
}

/* Segments 1 to n of a timeline; the last is cut short. */
static void
put_segments(const struct place *p, uint32_t timeline, uint64_t n)
{
	struct made_wal w = made_new(MB, timeline, 1, n);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t i;

	made_fill(&w, n * MB - MB / 2);
	for (i = 0; i < n; i++)
		place_segment(p, &w, 1 + i, name);
	made_free(&w);
}

static struct walleft *
look(const struct place *p, bool same_system)
{
	struct config cfg = { .jobs = 1 };
	struct restore_params params = { .repo = p->repo, .config = &cfg };
	struct restore_plan *plan = plan_new(&params);
	struct walleft *w = NULL;

	plan->inc = p->inc;
	plan->dir = xstrdup(p->pgdata);
	plan->same_system = same_system;
	OK(walleft_find(&w, plan, &err));
	restore_plan_free(plan);
	return w;
}

static void
check(const struct place *p, bool same_system, size_t n, size_t wanted)
{
	struct walleft *w = look(p, same_system);
	size_t i, k = 0;

	for (i = 0; i < w->n; i++)
		k += w->list[i].wanted;
	assert_int_equal(w->n, n);
	assert_int_equal(k, wanted);
	walleft_free(w);
}

static void
what_is_stored_may_go(void **state)
{
	const struct place *p = *state;

	put_segments(p, 1, 2);
	place_push(p, "000000010000000000000001");
	check(p, true, 1, 0);
	check(p, false, 2, 0); /* another system's: stored nowhere */
}

static void
a_damaged_copy_in_the_repository_does_not_count(void **state)
{
	const struct place *p = *state;
	char command[256];

	put_segments(p, 1, 2);
	place_push(p, "000000010000000000000001");
	(void)snprintf(command, sizeof(command), "f=$(find %s/repo -name "
	    "'000000010000000000000001-*') && chmod u+w $f && "
	    "printf x | dd of=$f bs=1 seek=900 conv=notrunc status=none",
	    p->dir);
	assert_int_equal(system(command), 0);
	check(p, true, 2, 0);
}

static void
what_its_server_archives_belongs_into_the_repository(void **state)
{
	const struct place *p = *state;

	put_segments(p, 1, 3);
	place_push(p, "000000010000000000000001");
	touch(p, "archive_status/000000010000000000000002.ready", "", 0);
	check(p, true, 2, 2);
	check(p, false, 3, 0);
}

static void
without_archiving_it_is_only_kept(void **state)
{
	const struct place *p = *state;

	put_segments(p, 1, 3);
	check(p, true, 3, 0);
}

static void
a_timeline_that_the_repository_does_not_know_is_only_kept(void **state)
{
	const struct place *p = *state;
	static const char history[] = "1\t0/200000\tno recovery target\n";
	static const char other[] = "1\t0/280000\tno recovery target\n";

	put_segments(p, 2, 2);
	touch(p, "archive_status/000000020000000000000001.ready", "", 0);
	touch(p, "00000002.history", history, sizeof(history) - 1);
	check(p, true, 3, 0);
	place_push(p, "00000002.history");
	check(p, true, 2, 2);
	/* Another server was promoted to a timeline of the same number. */
	touch(p, "00000002.history", other, sizeof(other) - 1);
	check(p, true, 3, 0);
}

static void
one_conflict_makes_the_whole_timeline_suspect(void **state)
{
	const struct place *p = *state;
	struct made_wal w = made_new(MB, 1, 1, 1);
	char name[WAL_SEGMENT_NAME_LEN + 1];

	(void)made_commit(&w, 700, 1000000);
	made_fill(&w, MB - 5000);
	(void)made_switch(&w);
	place_segment(p, &w, 1, name);
	place_push(p, name);
	put_segments(p, 1, 3); /* overwrites the first with another content */
	touch(p, "archive_status/000000010000000000000002.ready", "", 0);
	check(p, true, 3, 0);
	made_free(&w);
}

static void
segments_for_later_use_hold_nothing(void **state)
{
	const struct place *p = *state;
	char from[192], to[192];
	uint8_t *zeros = xcalloc(1, MB);

	put_segments(p, 1, 1);
	place_wal_path(p, "000000010000000000000001", from);
	place_wal_path(p, "000000010000000000000009", to);
	assert_int_equal(rename(from, to), 0);
	touch(p, "00000001000000000000000A", zeros, MB);
	touch(p, "000000010000000000000001.tmp", "x", 1);
	check(p, true, 0, 0);
	/* What cannot be judged is kept. */
	memset(zeros, 0x5a, 100);
	touch(p, "00000001000000000000000A", zeros, MB);
	check(p, true, 1, 0);
	free(zeros);
}

static void
what_is_moved_never_replaces_anything(void **state)
{
	const struct place *p = *state;
	struct config cfg = { .jobs = 1 };
	struct restore_params params = { .repo = p->repo, .config = &cfg };
	struct restore_plan *plan = plan_new(&params);
	struct walleft *w;
	struct stat st;
	char path[256];
	uint64_t moved;
	int i;

	plan->inc = p->inc;
	plan->dir = xstrdup(p->pgdata);
	plan->same_system = true;
	for (i = 0; i < 3; i++) {
		put_segments(p, 1, 1);
		w = look(p, true);
		OK(walleft_move(w, plan, &moved, &err));
		assert_int_equal(moved, 1);
		walleft_free(w);
	}
	for (i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), i == 0 ? "%s/%s/%s" :
		    i == 1 ? "%s/%s/%s.1" : "%s/%s/%s.2", p->pgdata,
		    PLAN_KEPT_WAL, "000000010000000000000001");
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, MB);
	}
	check(p, true, 0, 0);
	restore_plan_free(plan);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_stored_may_go),
		TEST(a_damaged_copy_in_the_repository_does_not_count),
		TEST(what_its_server_archives_belongs_into_the_repository),
		TEST(without_archiving_it_is_only_kept),
		TEST(a_timeline_that_the_repository_does_not_know_is_only_kept),
		TEST(one_conflict_makes_the_whole_timeline_suspect),
		TEST(segments_for_later_use_hold_nothing),
		TEST(what_is_moved_never_replaces_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
