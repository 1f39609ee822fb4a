/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include "repo/commit.h"
#include "repo/packset.h"

#define FOLDER "clusters/main/15-7312345678901234567/backups/" LABEL_A "/"

static void
put(struct fixture *f, const char *name, size_t len)
{
	char key[STORAGE_KEY_MAX], data[64] = "";

	(void)snprintf(key, sizeof(key), FOLDER "%s", name);
	OK(storage_put(f->st, key, data, len, &err));
}

static struct packset_info
find(struct packset *ps, uint32_t attempt, uint32_t number)
{
	struct pack_id id = { LABEL_A, attempt, number, REPO_BACKUP };
	struct packset_info info;

	OK(packset_find(ps, &id, &info, &err));
	return info;
}

static void
the_highest_generation_that_is_not_marked_counts(void **state)
{
	struct fixture *f = *state;
	struct packset *ps;
	struct packset_info i;

	put(f, "pack-01-000000.zst", 10);
	put(f, "pack-01-000001.zst", 11);
	put(f, "pack-01-000001.g0.damaged", 1);
	put(f, "pack-01-000002.zst", 12);
	put(f, "pack-01-000002.g0.damaged", 1);
	put(f, "pack-01-000002.g1.zst", 13);
	put(f, "pack-01-000003.g2.zst", 14);
	put(f, "pack-01-000003.g2.damaged", 1);
	put(f, "pack-01-000003.g1.zst", 15);
	put(f, "pack-01-000004.g0.damaged", 1);
	put(f, "pack-02-000000.zst", 16);
	put(f, "pack-02-1000000.zst", 17);
	put(f, "pack-2-000009.zst", 17); /* no names of ours */
	put(f, "pack-02-000008.zst.tmp", 17);
	put(f, "pack-02-000007.g0.zst", 17);
	put(f, "pack-02-000006.g01.zst", 17);
	put(f, "commit", 1);
	OK(packset_new(&ps, f->repo, &f->inc, &err));

	i = find(ps, 1, 0);
	assert_true(i.exists && !i.damaged && i.n_marked == 0);
	assert_int_equal(i.size, 10);
	assert_int_equal(i.generation, 0);
	i = find(ps, 1, 1);
	assert_true(i.exists && i.damaged && i.n_marked == 1);
	i = find(ps, 1, 2);
	assert_true(i.exists && !i.damaged && i.n_marked == 1);
	assert_int_equal(i.generation, 1);
	assert_int_equal(i.size, 13);
	i = find(ps, 1, 3);
	assert_true(i.exists && !i.damaged);
	assert_int_equal(i.generation, 1);
	assert_int_equal(i.size, 15);
	i = find(ps, 1, 4); /* a mark of what is not there */
	assert_true(!i.exists && !i.damaged);
	assert_int_equal(find(ps, 2, 0).size, 16);
	assert_int_equal(find(ps, 2, 1000000).size, 17);
	assert_false(find(ps, 2, 9).exists);
	assert_false(find(ps, 2, 8).exists);
	assert_false(find(ps, 2, 7).exists);
	assert_false(find(ps, 2, 6).exists);
	packset_free(ps);
}

static void
a_folder_is_listed_once_until_it_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct pack_id other = { LABEL_B, 1, 0, REPO_BACKUP };
	struct packset_info info;
	struct packset *ps;

	OK(packset_new(&ps, f->repo, &f->inc, &err));
	assert_false(find(ps, 1, 0).exists);
	OK(packset_find(ps, &other, &info, &err));
	assert_false(info.exists);
	put(f, "pack-01-000000.zst", 10);
	assert_false(find(ps, 1, 0).exists);
	packset_forget(ps, LABEL_B);
	assert_false(find(ps, 1, 0).exists);
	packset_forget(ps, LABEL_A);
	assert_true(find(ps, 1, 0).exists);
	packset_free(ps);
}

static void
only_what_is_whole_is_usable(void **state)
{
	struct fixture *f = *state;
	struct commit_pack pack = { .id = { LABEL_A, 1, 0, REPO_BACKUP }, .size = 10 };
	struct packset_info i = { .exists = true, .size = 10 };
	struct object_writer w;
	struct packset *ps;
	char key[STORAGE_KEY_MAX];
	size_t len;

	OK(packset_new(&ps, f->repo, &f->inc, &err));
	assert_true(packset_usable(ps, &pack, &i));
	pack.size = 11;
	assert_false(packset_usable(ps, &pack, &i));
	/* Repaired: the commit knows the first one's size, so it is opened. */
	fixture_empty_pack(&w, f->repo, &f->inc, &pack.id);
	repo_pack_key_generation(&f->inc, &pack.id, 1, key);
	for (len = 0; len <= w.bytes.len; len++) {
		OK(storage_put(f->st, key, w.bytes.data, len, &err));
		packset_forget(ps, NULL);
		OK(packset_find(ps, &pack.id, &i, &err));
		assert_int_equal(i.generation, 1);
		assert_int_equal(packset_usable(ps, &pack, &i),
		    len == w.bytes.len);
		/* A later commit knows the size of the second one. */
		pack.generation = 1;
		pack.size = w.bytes.len;
		assert_int_equal(packset_usable(ps, &pack, &i),
		    len == w.bytes.len);
		pack.generation = 0;
		pack.size = 11;
		OK(storage_remove(f->st, key, &err));
	}
	i.size = 11;
	i.generation = 0;
	assert_true(packset_usable(ps, &pack, &i));
	i.leaving = true;
	assert_false(packset_usable(ps, &pack, &i));
	i.leaving = false;
	i.damaged = true;
	assert_false(packset_usable(ps, &pack, &i));
	i.damaged = i.exists = false;
	assert_false(packset_usable(ps, &pack, &i));
	object_writer_free(&w);
	packset_free(ps);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_highest_generation_that_is_not_marked_counts),
		TEST(a_folder_is_listed_once_until_it_is_forgotten),
		TEST(only_what_is_whole_is_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
