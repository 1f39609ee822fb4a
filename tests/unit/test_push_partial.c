/* SPDX-License-Identifier: PostgreSQL */
/* archive-push of .partial files, of which several may be right. */
#include "config.h"

#include "fixture_push.h"

static void
a_partial_segment_is_stored_under_its_own_name(void **state)
{
	struct place *p = *state;
	struct made_wal w = one_segment(p);
	char name[WAL_SEGMENT_NAME_LEN + 1], path[192], to[192];

	place_segment(p, &w, 5, name);
	place_wal_path(p, name, path);
	place_wal_path(p, SEG ".partial", to);
	assert_int_equal(rename(path, to), 0);
	place_push(p, SEG ".partial");
	assert_stored(p, SEG ".partial", w.bytes, p->segment_size);
	made_free(&w);
}

/* w's first segment as that of a promotion or a salvage. */
static int
try_push_partial(const struct place *p, const struct made_wal *w,
    struct wal_push_result *r)
{
	char path[192];

	place_wal_path(p, SEG ".partial", path);
	place_write(path, w->bytes, p->segment_size);
	return place_try_push(p, SEG ".partial", r);
}

/*
 * The dead primary's was salvaged, then a standby is promoted and hands over
 * its own, before anything of its new timeline.
 */
static void
a_partial_with_the_same_records_is_stored_already(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);
	struct wal_push_result r;
	struct keys k;

	made_fill(&w, 300000);
	OK(try_push_partial(p, &w, &r));
	memset(w.bytes + 900000, 77, 1000);
	OK(try_push_partial(p, &w, &r));
	assert_true(r.already);
	place_keys(p, SEG, &k);
	assert_int_equal(k.n, 1);
	made_free(&w);
}

static void
a_partial_with_more_records_is_stored_beside(void **state)
{
	struct place *p = *state;
	struct made_wal some = made_new(p->segment_size, 1, 5, 1);
	struct made_wal more = made_new(p->segment_size, 1, 5, 1);
	struct wal_push_result r;
	struct keys k;

	made_fill(&some, 300000);
	made_fill(&more, 300000);
	made_fill(&more, 500000);
	OK(try_push_partial(p, &some, &r));
	OK(try_push_partial(p, &more, &r));
	assert_false(r.already);
	place_keys(p, SEG, &k);
	assert_int_equal(k.n, 2);
	memset(some.bytes + 900000, 77, 1000);
	OK(try_push_partial(p, &some, &r));
	assert_true(r.already);
	place_keys(p, SEG, &k);
	assert_int_equal(k.n, 2);
	made_free(&more);
	made_free(&some);
}

static void
a_partial_with_other_records_is_refused(void **state)
{
	struct place *p = *state;
	struct made_wal one = made_new(p->segment_size, 1, 5, 1);
	struct made_wal other = made_new(p->segment_size, 1, 5, 1);
	struct wal_push_result r;
	struct keys k;

	made_fill(&one, 300000);
	made_fill(&other, 200000);
	(void)made_commit(&other, 700, 5000000);
	made_fill(&other, 500000);
	OK(try_push_partial(p, &one, &r));
	FAILS(try_push_partial(p, &other, &r), ERR_EXISTS);
	place_keys(p, SEG, &k);
	assert_int_equal(k.n, 1);
	made_free(&other);
	made_free(&one);
}

static void
a_damaged_partial_stops_no_other(void **state)
{
	struct place *p = *state;
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);
	struct wal_push_result r;
	struct keys k;

	made_fill(&w, 300000);
	OK(try_push_partial(p, &w, &r));
	place_keys(p, SEG, &k);
	flip_byte(p, k.key[0], 3000);
	memset(w.bytes + 900000, 77, 1000);
	OK(try_push_partial(p, &w, &r));
	assert_false(r.already);
	made_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_partial_segment_is_stored_under_its_own_name),
		T(a_partial_with_the_same_records_is_stored_already),
		T(a_partial_with_more_records_is_stored_beside),
		T(a_partial_with_other_records_is_refused),
		T(a_damaged_partial_stops_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
