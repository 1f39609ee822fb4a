/* SPDX-License-Identifier: PostgreSQL */
/* archive-get over two repositories, `near` and `far`, a copy of it. */
#include "config.h"

#include "core/time.h"
#include "fixture_wal.h"
#include "wal/tired.h"

#define SEG5 "000000010000000000000005"
#define SEG6 "000000010000000000000006"

struct pair {
	struct place *near, far;
	char near_url[128], far_url[128];
	struct config_repository config[2];
	const struct config_repository *places[2];
	bool standby;
};

static int
setup(void **state)
{
	struct pair *x = xcalloc(1, sizeof(*x));
	static char near[] = "near", far[] = "far";
	void *place;
	bool created;

	(void)place_setup(&place);
	x->near = place;
	x->far = *x->near;
	(void)snprintf(x->near_url, sizeof(x->near_url), "file://%s/repo",
	    x->near->dir);
	(void)snprintf(x->far_url, sizeof(x->far_url), "file://%s/far",
	    x->near->dir);
	OK(repo_init(&x->far.repo,
	    &(struct storage_settings){ .url = x->far_url }, x->near->repo,
	    &created, &err));
	x->config[0].name = near;
	x->config[0].url = x->near_url;
	x->config[1].name = far;
	x->config[1].url = x->far_url;
	x->config[0].timeout_ms = x->config[1].timeout_ms = 2000;
	x->places[0] = &x->config[0];
	x->places[1] = &x->config[1];
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *x = *state;
	void *place = x->near;

	repo_close(x->far.repo);
	(void)place_teardown(&place);
	free(x);
	return 0;
}

static int
try_get(const struct pair *x, const char *name)
{
	struct wal_get_params params = { .places = x->places, .n_places = 2,
		.cluster = "main", .pgdata = x->near->pgdata, .name = name,
		.dest = "pg_wal/RECOVERYXLOG",
		.state_directory = x->near->state, .standby = x->standby };

	return wal_get(&params, &err);
}

static void
assert_length(const struct pair *x, uint64_t want)
{
	char path[192];
	struct stat st;

	place_wal_path(x->near, "RECOVERYXLOG", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, want);
	assert_int_equal(unlink(path), 0);
}

static void
assert_nothing(const struct pair *x)
{
	char path[192];

	place_wal_path(x->near, "RECOVERYXLOG", path);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void
move(const struct pair *x, const char *from, const char *to)
{
	char a[128], b[128];

	(void)snprintf(a, sizeof(a), "%s/%s", x->near->dir, from);
	(void)snprintf(b, sizeof(b), "%s/%s", x->near->dir, to);
	assert_int_equal(rename(a, b), 0);
}

static void
the_nearest_that_delivers_is_the_only_one_asked(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	move(x, "far", "away");
	OK(try_get(x, SEG5));
	assert_length(x, MB);
	move(x, "away", "far");
}

static void
what_the_nearest_lacks_comes_from_the_next(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 4);
	place_push_range(&x->far, 1, 3, 5);
	OK(try_get(x, SEG5));
	assert_length(x, MB);
}

static void
a_gap_in_one_is_filled_by_the_other(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 4);
	place_push_range(x->near, 1, 6, 7);
	place_push_range(&x->far, 1, 3, 5);
	OK(try_get(x, SEG5));
	assert_length(x, MB);
	/* And without it in either, it stays a gap. */
	FAILS(try_get(x, "000000010000000000000002"), ERR_DAMAGED);
	assert_nothing(x);
}

static void
absent_is_what_all_prove_absent(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	place_push_range(&x->far, 1, 3, 5);
	FAILS(try_get(x, SEG6), ERR_NOT_FOUND);
	FAILS(try_get(x, "00000002.history"), ERR_NOT_FOUND);
}

/* TRAPS T24, both ways round, and a standby is told the same. */
static void
absence_in_one_and_an_error_in_the_other_is_an_error(void **state)
{
	struct pair *x = *state;
	static const char *const gone[2] = { "repo", "far" };
	size_t i;

	place_push_range(x->near, 1, 3, 5);
	place_push_range(&x->far, 1, 3, 5);
	for (i = 0; i < 4; i++) {
		x->standby = i >= 2;
		move(x, gone[i % 2], "away");
		err_clear(&err);
		assert_int_equal(try_get(x, SEG6), -1);
		assert_int_not_equal(err.code, ERR_NOT_FOUND);
		SAYS(i % 2 == 0 ? "near" : "far");
		OK(try_get(x, SEG5));
		assert_length(x, MB);
		move(x, "away", gone[i % 2]);
	}
	FAILS(try_get(x, SEG6), ERR_NOT_FOUND);
}

static void
a_later_segment_in_the_other_makes_it_a_gap(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 4);
	place_push_range(&x->far, 1, 3, 4);
	place_push_range(&x->far, 1, 6, 6);
	FAILS(try_get(x, SEG5), ERR_DAMAGED);
	SAYS("far");
}

static void
a_copy_that_has_nothing_yet_does_not_stop_recovery(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	FAILS(try_get(x, SEG6), ERR_NOT_FOUND);
}

static void
another_repository_without_the_cluster_proves_nothing(void **state)
{
	struct pair *x = *state;
	struct repo *other;
	bool created;

	place_push_range(x->near, 1, 3, 5);
	move(x, "far", "away");
	OK(repo_init(&other, &(struct storage_settings){ .url = x->far_url },
	    NULL, &created, &err));
	repo_close(other);
	FAILS(try_get(x, SEG6), ERR_REFUSED);
}

static void
no_cluster_in_any_is_an_error(void **state)
{
	FAILS(try_get(*state, SEG6), ERR_REFUSED);
}

static void
two_contents_in_the_nearest_are_not_decided_by_the_next(void **state)
{
	struct pair *x = *state;
	struct made_wal w = made_new(MB, 1, 5, 1);
	char path[700], saved[128], name[25];
	struct keys k;

	place_push_range(x->near, 1, 5, 5);
	place_push_range(&x->far, 1, 5, 5);
	place_keys(x->near, SEG5, &k);
	place_key_path(x->near, k.key[0], path);
	(void)snprintf(saved, sizeof(saved), "%s/saved", x->near->dir);
	assert_int_equal(rename(path, saved), 0);
	made_fill(&w, 400000);
	place_segment(x->near, &w, 5, name);
	place_push(x->near, name);
	assert_int_equal(rename(saved, path), 0);
	FAILS(try_get(x, SEG5), ERR_REFUSED);
	assert_nothing(x);
	made_free(&w);
}

static void
what_is_damaged_in_one_comes_from_the_other(void **state)
{
	struct pair *x = *state;
	char path[700];
	struct keys k;

	place_push_range(x->near, 1, 3, 5);
	place_push_range(&x->far, 1, 3, 5);
	place_keys(x->near, SEG5, &k);
	place_key_path(x->near, k.key[0], path);
	assert_int_equal(truncate(path, 5000), 0);
	OK(try_get(x, SEG5));
	assert_length(x, MB);
}

static void
push_partial(const struct place *p, uint64_t until)
{
	struct made_wal w = made_new(MB, 1, 6, 1);
	char name[25], path[192], to[208], partial[40];

	made_fill(&w, until);
	place_segment(p, &w, 6, name);
	place_wal_path(p, name, path);
	(void)snprintf(to, sizeof(to), "%s.partial", path);
	assert_int_equal(rename(path, to), 0);
	(void)snprintf(partial, sizeof(partial), "%s.partial", name);
	place_push(p, partial);
	made_free(&w);
}

/* The first bytes of it, zeros behind: which one is it? */
static uint64_t
delivered_records(const struct pair *x)
{
	struct buf b;
	char path[192];
	uint64_t n;

	place_wal_path(x->near, "RECOVERYXLOG", path);
	buf_init(&b, 2 * MB);
	OK(io_read_file(path, &b, &err));
	for (n = b.len; n > 0 && b.data[n - 1] == 0; n--)
		;
	buf_free(&b);
	assert_int_equal(unlink(path), 0);
	return n;
}

/* A partial in the nearest ends recovery: not while the next has it whole. */
static void
a_whole_segment_in_the_next_counts_more_than_a_partial(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	push_partial(x->near, 300000);
	place_push_range(&x->far, 1, 3, 6);
	OK(try_get(x, SEG6));
	assert_true(delivered_records(x) > 900000);
}

static void
of_two_partials_the_one_that_goes_further_counts(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	place_push_range(&x->far, 1, 3, 5);
	push_partial(x->near, 300000);
	push_partial(&x->far, 600000);
	OK(try_get(x, SEG6));
	assert_in_range(delivered_records(x), 500000, 650000);
	move(x, "far", "away");
	err_clear(&err);
	assert_int_equal(try_get(x, SEG6), -1);
	assert_int_not_equal(err.code, ERR_NOT_FOUND);
	assert_nothing(x);
	move(x, "away", "far");
}

static void
one_that_did_not_answer_is_asked_last_for_a_while(void **state)
{
	struct pair *x = *state;

	place_push_range(x->near, 1, 3, 5);
	place_push_range(&x->far, 1, 3, 4);
	wal_tired_note(x->near->state, x->near_url);
	assert_true(wal_tired(x->near->state, x->near_url));
	assert_false(wal_tired(x->near->state, x->far_url));
	/* Only it has the segment: it is asked after the other. */
	OK(try_get(x, SEG5));
	assert_length(x, MB);
	assert_false(wal_tired(x->near->state, x->near_url));
	/* Absence needs it too; but a standby is not kept waiting. */
	wal_tired_note(x->near->state, x->near_url);
	FAILS(try_get(x, SEG6), ERR_NOT_FOUND);
	wal_tired_note(x->near->state, x->near_url);
	x->standby = true;
	FAILS(try_get(x, SEG6), ERR_STORAGE);
	OK(try_get(x, "000000010000000000000004"));
	assert_length(x, MB);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_nearest_that_delivers_is_the_only_one_asked),
		T(what_the_nearest_lacks_comes_from_the_next),
		T(a_gap_in_one_is_filled_by_the_other),
		T(absent_is_what_all_prove_absent),
		T(absence_in_one_and_an_error_in_the_other_is_an_error),
		T(a_later_segment_in_the_other_makes_it_a_gap),
		T(a_copy_that_has_nothing_yet_does_not_stop_recovery),
		T(another_repository_without_the_cluster_proves_nothing),
		T(no_cluster_in_any_is_an_error),
		T(two_contents_in_the_nearest_are_not_decided_by_the_next),
		T(what_is_damaged_in_one_comes_from_the_other),
		T(a_whole_segment_in_the_next_counts_more_than_a_partial),
		T(of_two_partials_the_one_that_goes_further_counts),
		T(one_that_did_not_answer_is_asked_last_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
