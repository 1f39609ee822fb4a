/* SPDX-License-Identifier: PostgreSQL */
/* What every storage must do: one suite, run over each of them. */
#include "config.h"

#include "place.h"
#include "stores.h"

static int
setup_mem(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->st = storage_mem_new();
	*state = p;
	return 0;
}

static int
setup_fault(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->st = storage_fault_new(storage_mem_new());
	*state = p;
	return 0;
}

/* A real server (stores.h); each test has a folder of its own there. */
static int
setup_server(void **state, const char *scheme)
{
	static unsigned number;
	struct place *p = xcalloc(1, sizeof(*p));
	struct storage_settings set;
	char *url = xasprintf("%s/contract-%ld-%lld-%u",
	    stores_env(scheme, &set), (long)getpid(), (long long)time_now(),
	    number++);
	int rc;

	err_clear(&err);
	set.url = url;
	rc = storage_open(&p->st, &set, &err);
	if (rc == 0)
		rc = storage_create(p->st, &err);
	if (rc != 0)
		print_error("%s: %s (%s)\n", url, err.msg, err.hint);
	free(url);
	*state = p;
	return rc;
}

static int
setup_s3(void **state)
{
	return setup_server(state, "s3");
}

static int
setup_sftp(void **state)
{
	return setup_server(state, "sftp");
}

static struct storage *
st_of(void **state)
{
	return ((struct place *)*state)->st;
}

static void
what_was_put_comes_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 5000000 };
	struct storage *st = st_of(state);
	uint8_t *data = noise(5000000);
	uint64_t size;
	int64_t mtime;
	struct buf b;
	char key[64];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(key, sizeof(key), "a/b/key-%zu.zst", i);
		OK(storage_put(st, key, data, sizes[i], &err));
		OK(storage_stat(st, key, &size, &mtime, &err));
		assert_int_equal(size, sizes[i]);
		assert_true(mtime > time_now() - 60000000 &&
		    mtime < time_now() + 60000000);
		buf_init(&b, 5000000);
		OK(storage_get_all(st, key, &b, &err));
		assert_int_equal(b.len, sizes[i]);
		assert_memory_equal(b.data, data, sizes[i]);
		buf_free(&b);
	}
	free(data);
}

static void
ranges_are_exact_and_past_the_end_is_damage(void **state)
{
	struct storage *st = st_of(state);
	char got[10];

	OK(storage_put(st, "k", "0123456789", 10, &err));
	OK(storage_get(st, "k", 3, 4, got, &err));
	assert_memory_equal(got, "3456", 4);
	OK(storage_get(st, "k", 10, 0, got, &err));
	FAILS(storage_get(st, "k", 8, 3, got, &err), ERR_DAMAGED);
	FAILS(storage_get(st, "k", 100, 1, got, &err), ERR_DAMAGED);
}

static void
what_is_missing_is_not_found(void **state)
{
	struct storage *st = st_of(state);
	uint64_t size;
	struct buf b;
	char c;

	OK(storage_put(st, "dir/file", "x", 1, &err));
	buf_init(&b, 10);
	FAILS(storage_get(st, "none", 0, 1, &c, &err), ERR_NOT_FOUND);
	FAILS(storage_get_all(st, "dir/none", &b, &err), ERR_NOT_FOUND);
	FAILS(storage_stat(st, "no/such/dir", &size, NULL, &err),
	    ERR_NOT_FOUND);
	/* A "directory" is no object, nor is anything below one. */
	FAILS(storage_stat(st, "dir", &size, NULL, &err), ERR_NOT_FOUND);
	FAILS(storage_get(st, "dir", 0, 1, &c, &err), ERR_NOT_FOUND);
	FAILS(storage_stat(st, "dir/file/x", &size, NULL, &err),
	    ERR_NOT_FOUND);
	assert_int_equal(storage_get(st, "some/key", 0, 1, &c, &err), -1);
	assert_non_null(strstr(err.msg, "some/key"));
	assert_non_null(strstr(err.msg, storage_url(st)));
	buf_free(&b);
}

static void
a_taken_name_is_refused_and_untouched(void **state)
{
	struct storage *st = st_of(state);
	struct storage_put *put;
	char got[3];

	OK(storage_put(st, "d/k", "one", 3, &err));
	FAILS(storage_put(st, "d/k", "two", 3, &err), ERR_EXISTS);
	FAILS(storage_put(st, "d/k", "one", 3, &err), ERR_EXISTS);
	OK(storage_put_begin(st, "d/k", &put, &err));
	OK(storage_put_append(put, "three", 5, &err));
	FAILS(storage_put_finish(put, &err), ERR_EXISTS);
	OK(storage_get(st, "d/k", 0, 3, got, &err));
	assert_memory_equal(got, "one", 3);
	OK(storage_settle(st, "d/k", &err));
}

static void
pieces_make_one_object_and_nothing_shows_before(void **state)
{
	struct storage *st = st_of(state);
	uint8_t *data = noise(3000000);
	struct storage_put *put;
	uint64_t size;
	struct buf b;
	size_t done, step;

	OK(storage_put_begin(st, "p/k", &put, &err));
	for (done = 0, step = 1; done < 3000000; done += step, step *= 3) {
		if (step > 3000000 - done)
			step = 3000000 - done;
		OK(storage_put_append(put, data + done, step, &err));
		FAILS(storage_stat(st, "p/k", &size, NULL, &err),
		    ERR_NOT_FOUND);
	}
	OK(storage_put_finish(put, &err));
	buf_init(&b, 3000000);
	OK(storage_get_all(st, "p/k", &b, &err));
	assert_int_equal(b.len, 3000000);
	assert_memory_equal(b.data, data, b.len);
	OK(storage_put_begin(st, "p/gone", &put, &err));
	OK(storage_put_append(put, data, 100, &err));
	storage_put_abort(put);
	storage_put_abort(NULL);
	FAILS(storage_stat(st, "p/gone", &size, NULL, &err), ERR_NOT_FOUND);
	OK(storage_put_begin(st, "p/empty", &put, &err));
	OK(storage_put_finish(put, &err));
	OK(storage_stat(st, "p/empty", &size, NULL, &err));
	assert_int_equal(size, 0);
	buf_free(&b);
	free(data);
}

static void
listing_gives_what_begins_with_the_prefix(void **state)
{
	static const char *const keys[] = { "top", "wal/1/0/03-aa.zst",
		"wal/1/0/03-bb.zst", "wal/1/0/03.partial-cc.zst",
		"wal/1/0/04-dd.zst", "wal/1/1/00-ee.zst", "wal/2.history",
		"wal/10/0/03-ff.zst" };
	struct storage *st = st_of(state);
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		OK(storage_put(st, keys[i], "12345678", i + 1, &err));
	expect(st, "", true, "top=1 wal/ ");
	expect(st, "wal/", true, "1/ 10/ 2.history=7 ");
	expect(st, "wal/1", true, "/ 0/ ");
	expect(st, "wal/1/0/03-", true, "aa.zst=2 bb.zst=3 ");
	expect(st, "wal/1/0/03", true,
	    "-aa.zst=2 -bb.zst=3 .partial-cc.zst=4 ");
	expect(st, "wal/1/", false, "0/03-aa.zst=2 0/03-bb.zst=3 "
	    "0/03.partial-cc.zst=4 0/04-dd.zst=5 1/00-ee.zst=6 ");
	expect(st, "wal/1", false, "/0/03-aa.zst=2 /0/03-bb.zst=3 "
	    "/0/03.partial-cc.zst=4 /0/04-dd.zst=5 /1/00-ee.zst=6 "
	    "0/0/03-ff.zst=8 ");
	expect(st, "none/", true, "");
	expect(st, "wal/none", false, "");
	expect(st, "top/", true, "");
}

static void
a_listing_stops_with_the_callers_error(void **state)
{
	struct storage *st = st_of(state);
	struct listing l = { "", 2 };

	OK(storage_put(st, "a/1", "", 0, &err));
	OK(storage_put(st, "a/2", "", 0, &err));
	OK(storage_put(st, "b/3", "", 0, &err));
	assert_int_equal(storage_list(st, "", false, note, &l, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
}

static void
removing_is_certain_and_may_be_repeated(void **state)
{
	struct storage *st = st_of(state);
	uint64_t size;

	OK(storage_put(st, "d/e/k", "x", 1, &err));
	OK(storage_put(st, "d/k2", "x", 1, &err));
	OK(storage_remove(st, "d/e/k", &err));
	OK(storage_remove(st, "d/e/k", &err));
	OK(storage_remove(st, "no/such/key", &err));
	FAILS(storage_stat(st, "d/e/k", &size, NULL, &err), ERR_NOT_FOUND);
	/* Nothing is left of a "directory" whose objects are gone. */
	expect(st, "", true, "d/ ");
	expect(st, "d/", true, "k2=1 ");
	OK(storage_put(st, "d/e/k", "y", 1, &err));
	OK(storage_stat(st, "d/e/k", &size, NULL, &err));
}

static void
several_are_removed_at_once(void **state)
{
	static const char *const keys[] = { "m/1", "m/none", "m/2", "m/x/3" };
	struct storage *st = st_of(state);
	char *many[2500], key[64];
	const char *bad = "many/../x";
	size_t i;

	OK(storage_put(st, "m/1", "x", 1, &err));
	OK(storage_put(st, "m/2", "x", 1, &err));
	OK(storage_put(st, "m/x/3", "x", 1, &err));
	OK(storage_put(st, "m/stays", "x", 1, &err));
	OK(storage_remove_many(st, keys, 4, &err));
	OK(storage_remove_many(st, keys, 0, &err));
	expect(st, "", false, "m/stays=1 ");
	/* More than one request may have. */
	for (i = 0; i < 2500; i++) {
		(void)snprintf(key, sizeof(key), "many/%zu", i);
		many[i] = xstrdup(key);
		if (i % 1250 == 0)
			OK(storage_put(st, key, "", 0, &err));
	}
	OK(storage_remove_many(st, (const char *const *)many, 2500, &err));
	expect(st, "", false, "m/stays=1 ");
	FAILS(storage_remove_many(st, &bad, 1, &err), ERR_BUG);
	for (i = 0; i < 2500; i++)
		free(many[i]);
}

static void
what_is_too_large_is_refused(void **state)
{
	struct storage *st = st_of(state);
	uint8_t *data = xcalloc(1, STORAGE_OBJECT_MAX + 1);
	struct storage_put *put;
	uint64_t size;

	assert_int_equal(storage_put(st, "k", data, STORAGE_OBJECT_MAX + 1,
	    &err), -1);
	OK(storage_put_begin(st, "k", &put, &err));
	OK(storage_put_append(put, data, STORAGE_OBJECT_MAX, &err));
	assert_int_equal(storage_put_append(put, data, 1, &err), -1);
	assert_int_equal(storage_put_finish(put, &err), -1);
	FAILS(storage_stat(st, "k", &size, NULL, &err), ERR_NOT_FOUND);
	OK(storage_put(st, "k", data, STORAGE_OBJECT_MAX, &err));
	free(data);
}

static void
a_whole_object_respects_the_buffers_ceiling(void **state)
{
	struct storage *st = st_of(state);
	struct buf b;

	OK(storage_put(st, "k", "12345", 5, &err));
	buf_init(&b, 8);
	OK(storage_get_all(st, "k", &b, &err));
	FAILS(storage_get_all(st, "k", &b, &err), ERR_REFUSED);
	assert_string_equal(buf_str(&b), "12345");
	buf_free(&b);
}

static void
names_that_could_lead_elsewhere_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", "..",
		"../a", "a/../b", "a/.", ".hidden", "a/.b", "a b", "a\nb",
		"a%41", "\xc3\xa4", "a\\b", "a:b" };
	struct storage *st = st_of(state);
	char *longest = xcalloc(1, STORAGE_KEY_MAX + 10);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(storage_key_valid(bad[i]));
		FAILS(storage_put(st, bad[i], "x", 1, &err), ERR_BUG);
		FAILS(storage_remove(st, bad[i], &err), ERR_BUG);
	}
	memset(longest, 'a', 255);
	assert_true(storage_key_valid(longest));
	longest[255] = 'a';
	assert_false(storage_key_valid(longest));
	for (i = 0; i < STORAGE_KEY_MAX + 2; i++)
		longest[i] = i % 100 == 99 ? '/' : 'a';
	assert_false(storage_key_valid(longest));
	longest[STORAGE_KEY_MAX - 1] = '\0';
	assert_true(storage_key_valid(longest));
	OK(storage_put(st, longest, "x", 1, &err));
	free(longest);
}

static void
a_clone_sees_the_same_and_outlives_its_origin(void **state)
{
	struct place *p = *state;
	struct storage *clone;
	char c;

	OK(storage_put(p->st, "k", "x", 1, &err));
	OK(storage_clone(p->st, &clone, &err));
	OK(storage_put(clone, "k2", "y", 1, &err));
	OK(storage_get(p->st, "k2", 0, 1, &c, &err));
	storage_close(p->st);
	p->st = clone;
	OK(storage_get(p->st, "k", 0, 1, &c, &err));
	assert_int_equal(c, 'x');
}

static void
the_check_passes_and_leaves_nothing(void **state)
{
	struct storage *st = st_of(state);
	struct storage_check c;
	struct buf b;

	OK(storage_probe_root(st, &err));
	OK(storage_check(st, true, &c, &err));
	expect(st, "", false, "");
	assert_true(c.up > 0 && c.down > 0);
	/* The servers of the tests are on this host. */
	assert_true(c.clock_us > -2000000 && c.clock_us < 2000000);
	buf_init(&b, 1000);
	storage_check_text(&c, &b);
	assert_non_null(strstr(buf_str(&b), "put, get, range, list, "
	    "create-if-absent (the store refuses a taken name itself), "
	    "remove; clock "));
	assert_non_null(strstr(buf_str(&b), " MB/s up"));
	buf_free(&b);
}

#define RACERS 8
#define ROUNDS 40

struct racer {
	struct storage *st;
	int number;
	pthread_barrier_t *barrier;
	int won[ROUNDS];
	int bad;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	struct err mine = ERR_INIT;
	char key[64], content[64];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		(void)snprintf(key, sizeof(key), "race/%d/key", i);
		(void)snprintf(content, sizeof(content), "racer %d", r->number);
		(void)pthread_barrier_wait(r->barrier);
		if (storage_put(r->st, key, content, strlen(content),
			&mine) == 0)
			r->won[i] = 1;
		else if (mine.code != ERR_EXISTS)
			r->bad++;
	}
	return NULL;
}

static void
of_parallel_puts_of_one_name_exactly_one_wins(void **state)
{
	struct storage *st = st_of(state);
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	pthread_barrier_t barrier;
	char key[64], wanted[64], got[8];
	int i, round, winners, winner = 0;

	memset(racers, 0, sizeof(racers));
	assert_int_equal(pthread_barrier_init(&barrier, NULL, RACERS), 0);
	for (i = 0; i < RACERS; i++) {
		OK(storage_clone(st, &racers[i].st, &err));
		racers[i].number = i;
		racers[i].barrier = &barrier;
		assert_int_equal(pthread_create(&threads[i], NULL, race,
		    &racers[i]), 0);
	}
	for (i = 0; i < RACERS; i++) {
		(void)pthread_join(threads[i], NULL);
		storage_close(racers[i].st);
		assert_int_equal(racers[i].bad, 0);
	}
	for (round = 0; round < ROUNDS; round++) {
		for (winners = i = 0; i < RACERS; i++)
			if (racers[i].won[round]) {
				winners++;
				winner = i;
			}
		assert_int_equal(winners, 1);
		(void)snprintf(key, sizeof(key), "race/%d/key", round);
		(void)snprintf(wanted, sizeof(wanted), "racer %d", winner);
		OK(storage_get(st, key, 0, 7, got, &err));
		assert_memory_equal(got, wanted, 7);
	}
	(void)pthread_barrier_destroy(&barrier);
}

#define SUITE(s)                                                              \
	TEST(s, what_was_put_comes_back),                                     \
	    TEST(s, ranges_are_exact_and_past_the_end_is_damage),             \
	    TEST(s, what_is_missing_is_not_found),                            \
	    TEST(s, a_taken_name_is_refused_and_untouched),                   \
	    TEST(s, pieces_make_one_object_and_nothing_shows_before),         \
	    TEST(s, listing_gives_what_begins_with_the_prefix),               \
	    TEST(s, a_listing_stops_with_the_callers_error),                  \
	    TEST(s, removing_is_certain_and_may_be_repeated),                 \
	    TEST(s, several_are_removed_at_once),                             \
	    TEST(s, what_is_too_large_is_refused),                            \
	    TEST(s, a_whole_object_respects_the_buffers_ceiling),             \
	    TEST(s, names_that_could_lead_elsewhere_are_refused),             \
	    TEST(s, a_clone_sees_the_same_and_outlives_its_origin),           \
	    TEST(s, the_check_passes_and_leaves_nothing),                     \
	    TEST(s, of_parallel_puts_of_one_name_exactly_one_wins)

int
main(void)
{
	const struct CMUnitTest mem[] = { SUITE(setup_mem) };
	const struct CMUnitTest fault[] = { SUITE(setup_fault) };
	const struct CMUnitTest posix[] = { SUITE(setup_posix) };
	const struct CMUnitTest s3[] = { SUITE(setup_s3) };
	const struct CMUnitTest sftp[] = { SUITE(setup_sftp) };
	struct storage_settings set;
	int failed = 0;

	/* Only these then: the rest needs no server. */
	if (stores_env("s3", &set) != NULL)
		failed += cmocka_run_group_tests_name("s3", s3, NULL, NULL);
	if (stores_env("sftp", &set) != NULL)
		failed += cmocka_run_group_tests_name("sftp", sftp, NULL,
		    NULL);
	if (stores_env("s3", &set) != NULL || stores_env("sftp", &set) != NULL)
		return failed;
	failed += cmocka_run_group_tests_name("mem", mem, NULL, NULL);
	failed += cmocka_run_group_tests_name("fault", fault, NULL, NULL);
	failed += cmocka_run_group_tests_name("posix", posix, NULL, NULL);
	return failed;
}
