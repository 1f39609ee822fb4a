/* SPDX-License-Identifier: PostgreSQL */
/* What is remembered of an archive is what is there, or is forgotten. */
#include "config.h"

#include "fixture_reach.h"
#include "core/time.h"
#include "repo/walcache.h"

#define SECOND_US INT64_C(1000000)

struct seen {
	size_t items, ranges;
	uint64_t segments;
	struct wal_reach reach;
};

static int
count_items(void *arg, struct walview_item *items, size_t n, struct err *e)
{
	size_t *count = arg;

	(void)items;
	(void)e;
	*count += n;
	return 0;
}

/* What info asks, from a cache (or none) in `folder`. */
static void
look(const struct place *p, struct archive *a, const char *folder,
    bool refresh, struct seen *out)
{
	struct walcache *c = folder == NULL ? NULL :
	    walcache_open(folder, p->repo, &p->inc);
	struct walview *v = walview_new(p->repo, &p->inc);
	struct wal_range *ranges;
	struct history path;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (c != NULL && refresh)
		walcache_refresh(c);
	walview_remember(v, c);
	OK(walview_each_folder(v, 1, count_items, &out->items, &err));
	OK(walview_ranges(v, p->segment_size, &ranges, &out->ranges, &err));
	for (i = 0; i < out->ranges; i++)
		out->segments += ranges[i].segments;
	OK(wal_reach_path_view(v, "latest", 1, a->backup.stop_lsn, &path,
	    &err));
	OK(wal_reach_view(p->repo, v, &a->backup, &path, &out->reach, &err));
	walview_keep(v);
	history_free(&path);
	free(ranges);
	walview_free(v);
	walcache_close(c);
}

static void
same(const struct seen *a, const struct seen *b)
{
	assert_int_equal(a->items, b->items);
	assert_int_equal(a->ranges, b->ranges);
	assert_int_equal(a->segments, b->segments);
	assert_int_equal(a->reach.end, b->reach.end);
	assert_int_equal(a->reach.proven_time, b->reach.proven_time);
	assert_int_equal(a->reach.proven_lsn, b->reach.proven_lsn);
	assert_int_equal(a->reach.max_commit_time, b->reach.max_commit_time);
	assert_int_equal(a->reach.gap, b->reach.gap);
	assert_string_equal(a->reach.missing, b->reach.missing);
	assert_string_equal(a->reach.last_segment, b->reach.last_segment);
}

/* A folder for the cache, below the place's. */
static char *
cache_folder(const struct place *p)
{
	char *dir = xasprintf("%s/cache", p->dir);

	assert_int_equal(mkdir(dir, 0700), 0);
	return dir;
}

/* The folder of the archive's segments: its time is this much ago. */
static void
wait_until_settled(void)
{
	time_sleep_ms(2100);
}

static void
a_view_says_what_restore_proves(void **state)
{
	const struct place *p = *state;
	struct archive a;
	struct wal_reach r;
	struct seen s;

	build(p, &a);
	OK(wal_reach(p->repo, &a.backup, &a.path, &r, &err));
	look(p, &a, NULL, false, &s);
	assert_int_equal(s.items, 6);
	assert_int_equal(s.reach.end, r.end);
	assert_int_equal(s.reach.proven_time, r.proven_time);
	assert_int_equal(s.reach.max_commit_time, r.max_commit_time);
	assert_string_equal(s.reach.last_segment, r.last_segment);
	drop(&a);
}

static void
what_is_remembered_is_not_read_again(void **state)
{
	const struct place *p = *state;
	char *folder = cache_folder(p), path[700];
	struct seen cold, warm;
	struct archive a;
	struct keys k;

	build(p, &a);
	wait_until_settled();
	look(p, &a, folder, false, &cold);
	/* Its folder does not show it: to see it, it would have to be read. */
	place_keys(p, "000000010000000000000006", &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(truncate(path, 0), 0);
	look(p, &a, folder, false, &warm);
	same(&cold, &warm);
	free(folder);
	drop(&a);
}

static void
a_segment_that_was_removed_or_put_is_noticed(void **state)
{
	const struct place *p = *state;
	struct seen all, less, again;
	char *folder = cache_folder(p);
	struct archive a;

	build(p, &a);
	wait_until_settled();
	look(p, &a, folder, false, &all);
	remove_segment(p, "000000010000000000000007");
	look(p, &a, folder, false, &less);
	assert_int_equal(less.items, 5);
	assert_int_equal(less.ranges, 2);
	assert_true(less.reach.gap);
	/* It came back at once, and the folder's time may be the same. */
	push_range(p, &a.w, 7, 7);
	look(p, &a, folder, false, &again);
	same(&all, &again);
	free(folder);
	drop(&a);
}

static void
an_object_of_another_size_is_read_again_once_it_is_listed(void **state)
{
	const struct place *p = *state;
	char *folder = cache_folder(p), path[700];
	struct seen s;
	struct archive a;
	struct keys k;

	build(p, &a);
	wait_until_settled();
	look(p, &a, folder, false, &s);
	place_keys(p, "000000010000000000000006", &k);
	place_key_path(p, k.key[0], path);
	assert_int_equal(truncate(path, 100), 0);
	look(p, &a, folder, true, &s);
	assert_true(s.reach.damaged);
	assert_string_equal(s.reach.missing, "000000010000000000000006");
	free(folder);
	drop(&a);
}

static void
read_cache(const char *folder, struct buf *b)
{
	char *path = xasprintf("%s/wal", folder);

	buf_init(b, MB);
	OK(io_read_file(path, b, &err));
	free(path);
}

static void
write_cache(const char *folder, const void *bytes, size_t len)
{
	char *path = xasprintf("%s/wal", folder);

	place_write(path, bytes, len);
	free(path);
}

/* Is anything known, and do its items hold? */
static void
knows(const struct place *p, const char *folder, bool *table, bool *items)
{
	struct walcache *c = walcache_open(folder, p->repo, &p->inc);
	const struct walcache_folder *f = walcache_find(c, 1, 0);
	struct walview_item *list = f == NULL ? NULL : walcache_load(c, f);
	size_t n;

	*table = f != NULL;
	*items = list != NULL;
	if (f != NULL && list == NULL)
		assert_null(walcache_find(c, 1, 0)); /* not any more */
	(void)walcache_spans(c, &n);
	assert_true((n > 0) == *table);
	free(list);
	walcache_close(c);
}

static void
a_damaged_cache_is_as_none(void **state)
{
	const struct place *p = *state;
	char *folder = cache_folder(p);
	struct archive a;
	struct seen s, t;
	struct buf b;
	size_t i, n_table = 0;
	bool table, items;

	build(p, &a);
	wait_until_settled();
	look(p, &a, folder, false, &s);
	read_cache(folder, &b);
	assert_true(b.len > 500);
	knows(p, folder, &table, &items);
	assert_true(table && items);
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= (uint8_t)(1 << i % 8);
		write_cache(folder, b.data, b.len);
		knows(p, folder, &table, &items);
		assert_false(items);
		n_table += !table;
		b.data[i] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(n_table, b.len - 6 * 84);
	for (i = 0; i <= b.len; i += i + 100 < b.len ? 7 : 1) {
		write_cache(folder, b.data, i);
		knows(p, folder, &table, &items);
		assert_true(table == (i == b.len));
	}
	write_cache(folder, b.data, b.len - 1);
	look(p, &a, folder, false, &t);
	same(&s, &t);
	/* Only of the items: the folder is listed, the answer the same. */
	b.data[b.len - 1] ^= 1;
	write_cache(folder, b.data, b.len);
	look(p, &a, folder, false, &t);
	same(&s, &t);
	knows(p, folder, &table, &items);
	assert_true(table && items);
	buf_free(&b);
	free(folder);
	drop(&a);
}

/* A folder of `n` items, of which one says `mark`. */
static void
put_folder(struct walcache *c, struct walcache_folder *f, uint32_t log,
    uint32_t n, uint32_t mark)
{
	struct walview_item *items = xcalloc(n, sizeof(*items));
	uint32_t i;

	*f = (struct walcache_folder){ .timeline = 1, .log = log,
		.changed = 1, .n_items = n };
	for (i = 0; i < n; i++) {
		items[i].timeline = 1;
		items[i].log = log;
		items[i].seg = i;
		items[i].generation = mark;
	}
	assert_true(walcache_put(c, f, items));
	free(items);
}

static bool
has_file(const char *folder, const char *name)
{
	char *path = xasprintf("%s/%s", folder, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* All that the cache has: folders 0..n-1, of which one says `mark`. */
static void
check_all(const struct place *p, const char *folder, uint32_t n,
    uint32_t marked, uint32_t mark)
{
	struct walcache *c = walcache_open(folder, p->repo, &p->inc);
	const struct walcache_folder *f;
	struct walview_item *items;
	uint32_t i, k;

	for (i = 0; i < n; i++) {
		f = walcache_find(c, 1, i);
		assert_non_null(f);
		items = walcache_load(c, f);
		assert_non_null(items);
		assert_int_equal(f->n_items, 3);
		for (k = 0; k < f->n_items; k++) {
			assert_int_equal(items[k].log, i);
			assert_int_equal(items[k].generation,
			    i == marked ? mark : 0);
		}
		free(items);
	}
	assert_null(walcache_find(c, 1, n));
	walcache_close(c);
}

static void
what_little_is_new_is_kept_beside_the_rest(void **state)
{
	const struct place *p = *state;
	struct walcache_folder list[101];
	const struct walcache_folder *f;
	char *folder = cache_folder(p);
	struct walcache *c, *other;
	uint32_t i;

	c = walcache_open(folder, p->repo, &p->inc);
	for (i = 0; i < 100; i++)
		put_folder(c, &list[i], i, 3, 0);
	walcache_save(c, list, 100, NULL, 0);
	walcache_close(c);
	assert_false(has_file(folder, "wal-newer"));
	check_all(p, folder, 100, 0, 0);

	/* One is another, and one came. */
	c = walcache_open(folder, p->repo, &p->inc);
	other = walcache_open(folder, p->repo, &p->inc);
	for (i = 0; i < 100; i++) {
		f = walcache_find(c, 1, i);
		list[i] = *f;
	}
	put_folder(c, &list[70], 70, 3, 7);
	put_folder(c, &list[100], 100, 3, 0);
	walcache_save(c, list, 101, NULL, 0);
	walcache_close(c);
	assert_true(has_file(folder, "wal-newer"));
	check_all(p, folder, 101, 70, 7);

	/* All anew, by someone who came at the same time. */
	for (i = 0; i < 99; i++)
		put_folder(other, &list[i], i, 3, i == 5 ? 9 : 0);
	walcache_save(other, list, 99, NULL, 0);
	walcache_close(other);
	assert_false(has_file(folder, "wal-newer"));
	check_all(p, folder, 99, 5, 9);
	free(folder);
}

static void
what_is_newer_counts_with_its_own_base_only(void **state)
{
	const struct place *p = *state;
	struct walcache_folder list[100];
	char *folder = cache_folder(p);
	struct walcache *c, *late;
	uint32_t i;

	c = walcache_open(folder, p->repo, &p->inc);
	for (i = 0; i < 100; i++)
		put_folder(c, &list[i], i, 3, 0);
	walcache_save(c, list, 100, NULL, 0);
	late = walcache_open(folder, p->repo, &p->inc);
	for (i = 0; i < 100; i++)
		put_folder(c, &list[i], i, 3, i == 1 ? 4 : 0);
	walcache_save(c, list, 100, NULL, 0);
	walcache_close(c);
	/* It knows the base that is gone. */
	for (i = 0; i < 100; i++)
		list[i] = *walcache_find(late, 1, i);
	put_folder(late, &list[1], 1, 3, 6);
	walcache_save(late, list, 100, NULL, 0);
	walcache_close(late);
	assert_true(has_file(folder, "wal-newer"));
	check_all(p, folder, 100, 1, 4);
	free(folder);
}

static void
the_cache_of_another_repository_place_or_server_is_none(void **state)
{
	const struct place *p = *state;
	struct incarnation inc = p->inc;
	char *folder = cache_folder(p);
	struct repo repo = *p->repo;
	struct walcache *c;
	struct archive a;
	struct seen s;
	int i;

	build(p, &a);
	look(p, &a, folder, false, &s);
	for (i = 0; i < 4; i++) {
		repo = *p->repo;
		inc = p->inc;
		repo.id[3] ^= i == 1;
		repo.place_text[31] = i == 2 ? repo.place_text[31] == '0' ?
		    '1' : '0' : repo.place_text[31];
		inc.system_id += i == 3;
		c = walcache_open(folder, &repo, &inc);
		assert_true((walcache_find(c, 1, 0) != NULL) == (i == 0));
		walcache_close(c);
	}
	free(folder);
	drop(&a);
}

static void
a_listing_is_believed_only_with_a_proof(void **state)
{
	const struct place *p = *state;
	const int64_t now = time_now(), old = now - 3600 * SECOND_US;
	const uint64_t margin = 2 * SECOND_US;
	char *folder = cache_folder(p);
	struct walcache *c = walcache_open(folder, p->repo, &p->inc);
	struct walcache_folder f = { .changed = old, .first_seen = now,
		.listed_at = now };

	/* The folder's time: as it was, and not of just before the listing. */
	assert_true(walcache_believes(c, &f, old, margin, true));
	assert_false(walcache_believes(c, &f, old + 1, margin, true));
	f.changed = now - SECOND_US;
	assert_false(walcache_believes(c, &f, f.changed, margin, true));
	f.changed = now + 3600 * SECOND_US; /* the store's clock is ahead */
	assert_false(walcache_believes(c, &f, f.changed, margin, true));
	f.first_seen = now - 4 * SECOND_US; /* but it did not move meanwhile */
	assert_true(walcache_believes(c, &f, f.changed, margin, true));
	f.changed = 0;
	assert_false(walcache_believes(c, &f, 0, margin, true));
	/* Where there are no such times: for a while, and not of new ones. */
	assert_true(walcache_believes(c, &f, 0, 0, false));
	assert_false(walcache_believes(c, &f, 0, 0, true));
	f.listed_at = now - WALCACHE_BELIEVE_US - 1;
	assert_false(walcache_believes(c, &f, 0, 0, false));
	f.listed_at = now + 3600 * SECOND_US; /* our clock was set back */
	assert_false(walcache_believes(c, &f, 0, 0, false));
	walcache_refresh(c);
	f.changed = old;
	f.listed_at = now;
	assert_false(walcache_believes(c, &f, old, margin, false));
	walcache_close(c);
	free(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_view_says_what_restore_proves),
		TEST(what_is_remembered_is_not_read_again),
		TEST(a_segment_that_was_removed_or_put_is_noticed),
		TEST(an_object_of_another_size_is_read_again_once_it_is_listed),
		TEST(a_damaged_cache_is_as_none),
		TEST(what_little_is_new_is_kept_beside_the_rest),
		TEST(what_is_newer_counts_with_its_own_base_only),
		TEST(the_cache_of_another_repository_place_or_server_is_none),
		TEST(a_listing_is_believed_only_with_a_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
