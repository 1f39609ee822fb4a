/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

static void
a_new_repository_opens_with_the_same_identity(void **state)
{
	struct fixture *f = *state;
	struct repo *again, *clone;
	struct storage *st;
	struct buf b;
	bool created = true;

	assert_int_equal(strlen(f->repo->id_text), 32);
	assert_true(f->repo->fingerprint_seed != 0);
	OK(storage_clone(f->st, &st, &err));
	OK(repo_open_storage(&again, st, &err));
	assert_memory_equal(again->id, f->repo->id, 16);
	assert_true(again->created == f->repo->created);
	assert_true(again->fingerprint_seed == f->repo->fingerprint_seed);
	OK(repo_clone(again, &clone, &err));
	repo_close(again);
	assert_memory_equal(clone->id, f->repo->id, 16);
	buf_init(&b, 1 << 20);
	OK(storage_get_all(clone->st, "README.recovery", &b, &err));
	assert_non_null(strstr(buf_str(&b), "dapk-backup restore"));
	repo_close(clone);
	/* Once more is fine and changes nothing. */
	OK(storage_clone(f->st, &st, &err));
	OK(repo_init_storage(&again, st, NULL, &created, &err));
	assert_false(created);
	assert_memory_equal(again->id, f->repo->id, 16);
	repo_close(again);
	repo_close(NULL);
	buf_free(&b);
}

static void
two_repositories_are_never_the_same(void **state)
{
	struct fixture *f = *state;
	struct repo *other;
	bool created = false;

	OK(repo_init_storage(&other, storage_mem_new(), NULL, &created, &err));
	assert_true(created);
	assert_memory_not_equal(other->id, f->repo->id, 16);
	assert_true(other->fingerprint_seed != f->repo->fingerprint_seed);
	repo_close(other);
}

static void
an_empty_place_is_no_repository_and_is_left_so(void **state)
{
	struct storage *st = storage_mem_new(), *keep;
	struct repo *repo;
	uint64_t size;

	OK(storage_clone(st, &keep, &err));
	FAILS(repo_open_storage(&repo, st, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "dapk-backup init"));
	FAILS(storage_stat(keep, "dapk-repository", &size, NULL, &err),
	    ERR_NOT_FOUND);
	storage_close(keep);
	FAILS(repo_open(&repo, &(struct storage_settings){ .url = "file:///nonexistent/dapk" }, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "mounted"));
	FAILS(repo_open(&repo, &(struct storage_settings){ .url = "nonsense" }, &err), ERR_CONFIG);
}

static void
a_place_with_other_content_is_refused(void **state)
{
	struct storage *st = storage_mem_new(), *keep;
	struct repo *repo;
	bool created;
	uint64_t size;

	OK(storage_put(st, "photos/cat.jpg", "x", 1, &err));
	OK(storage_clone(st, &keep, &err));
	FAILS(repo_init_storage(&repo, st, NULL, &created, &err), ERR_REFUSED);
	assert_non_null(strstr(err.msg, "photos"));
	FAILS(storage_stat(keep, "README.recovery", &size, NULL, &err),
	    ERR_NOT_FOUND);
	storage_close(keep);
}

/* An identity object with this JSON: the code of opening it. */
static enum err_code
open_with(const char *json)
{
	struct storage *st = storage_mem_new();
	struct repo *repo;
	struct buf b;

	buf_init(&b, 10000);
	text_object_encode("repository", json, strlen(json), &b);
	OK(storage_put(st, "dapk-repository", b.data, b.len, &err));
	buf_free(&b);
	if (repo_open_storage(&repo, st, &err) != 0)
		return err.code;
	repo_close(repo);
	return ERR_NONE;
}

#define ID "\"id\": \"00112233445566778899aabbccddeeff\""
#define CREATED "\"created\": \"2026-11-22 13:31:07.123456+00\""
#define SEED "\"fingerprint_seed\": \"0123456789abcdef\""

static void
an_identity_that_makes_no_sense_is_refused(void **state)
{
	assert_int_equal(open_with("{" ID "," CREATED ",\"must_know\": [],"
	    "\"cipher\": \"none\"," SEED "}"), ERR_NONE);
	assert_int_equal(open_with("{" ID "," CREATED ",\"cipher\": \"none\","
	    SEED ",\"later\": {}}"), ERR_NONE);
	assert_int_equal(open_with("{" ID "," CREATED ",\"must_know\": "
	    "[\"x\"],\"cipher\": \"none\"," SEED "}"), ERR_UNSUPPORTED);
	assert_int_equal(open_with("{" ID "," CREATED
	    ",\"cipher\": \"aes-256-gcm\",\"ring\": \"0123456789abcdef\"}"),
	    ERR_NONE);
	assert_int_equal(open_with("{" ID "," CREATED
	    ",\"cipher\": \"aes-256-gcm\"}"), ERR_DAMAGED);
	assert_int_equal(open_with("{" ID "," CREATED
	    ",\"cipher\": \"aes-256-gcm\",\"ring\": \"../../etc/passwd\"}"),
	    ERR_DAMAGED);
	assert_int_equal(open_with("{" ID "," CREATED
	    ",\"cipher\": \"rot-13\"}"), ERR_UNSUPPORTED);
	assert_int_equal(open_with("{" ID "," CREATED ",\"cipher\": \"none\"}"),
	    ERR_DAMAGED);
	assert_int_equal(open_with("{" CREATED ",\"cipher\": \"none\"," SEED
	    "}"), ERR_DAMAGED);
	assert_int_equal(open_with("{" ID ",\"cipher\": \"none\"," SEED "}"),
	    ERR_DAMAGED);
	assert_int_equal(open_with("{}"), ERR_DAMAGED);
	assert_int_equal(open_with("[]"), ERR_DAMAGED);
	assert_int_equal(open_with(""), ERR_DAMAGED);
}

static void
a_damaged_identity_is_never_taken_for_an_empty_place(void **state)
{
	struct fixture *f = *state;
	struct storage *st;
	struct repo *repo;
	struct buf b;
	size_t i;
	bool created;

	buf_init(&b, 10000);
	OK(storage_get_all(f->st, "dapk-repository", &b, &err));
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, "dapk-repository", b.data, b.len);
		OK(storage_clone(f->st, &st, &err));
		assert_int_equal(repo_open_storage(&repo, st, &err), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		OK(storage_clone(f->st, &st, &err));
		assert_int_equal(repo_init_storage(&repo, st, NULL, &created, &err),
		    -1);
		b.data[i] ^= (uint8_t)(1 << i % 8);
		fixture_replace(f, "dapk-repository", b.data, i);
		OK(storage_clone(f->st, &st, &err));
		FAILS(repo_open_storage(&repo, st, &err), ERR_DAMAGED);
	}
	buf_free(&b);
}

static void
whatever_call_of_init_fails_a_second_init_succeeds(void **state)
{
	struct storage *first, *st;
	struct repo *repo;
	unsigned nth, torn;
	bool created;
	int rc = -1;

	for (torn = 0; torn < 2; torn++)
		for (nth = 1, rc = -1; rc != 0; nth++) {
			assert_true(nth < 20);
			first = storage_fault_new(storage_mem_new());
			OK(storage_clone(first, &st, &err));
			storage_fault_at(first, nth, torn != 0);
			rc = repo_init_storage(&repo, first, NULL, &created, &err);
			if (rc == 0)
				repo_close(repo);
			storage_fault_at(st, 0, false);
			OK(repo_init_storage(&repo, st, NULL, &created, &err));
			if (rc == 0)
				assert_false(created);
			assert_int_equal(strlen(repo->id_text), 32);
			repo_close(repo);
		}
}

static void
a_clusters_name_can_be_a_folder(void **state)
{
	char name[80];

	assert_true(cluster_name_valid("main"));
	assert_true(cluster_name_valid("0-prod_eu.2"));
	assert_false(cluster_name_valid(""));
	assert_false(cluster_name_valid(".."));
	assert_false(cluster_name_valid("-x"));
	assert_false(cluster_name_valid("a/b"));
	assert_false(cluster_name_valid("a b"));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_true(cluster_name_valid(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_false(cluster_name_valid(name));
}

static void
keys_are_what_the_format_says(void **state)
{
	struct fixture *f = *state;
	struct pack_id pack = { LABEL_A, 1, 7, REPO_BACKUP }, far = { LABEL_A, 123,
		12345678, REPO_BACKUP };
	char key[STORAGE_KEY_MAX];

	repo_key(&f->inc, "backups/", key);
	assert_string_equal(key,
	    "clusters/main/15-7312345678901234567/backups/");
	repo_pack_key(&f->inc, &pack, key);
	assert_string_equal(key, "clusters/main/15-7312345678901234567/"
	    "backups/" LABEL_A "/pack-01-000007.zst");
	assert_true(storage_key_valid(key));
	repo_pack_key(&f->inc, &far, key);
	assert_non_null(strstr(key, "/pack-123-12345678.zst"));
}

static void
incarnations_are_found_by_their_folders(void **state)
{
	struct fixture *f = *state;
	struct incarnation *list;
	size_t n;

	OK(repo_incarnations(f->repo, NULL, &list, &n, &err));
	assert_int_equal(n, 0);
	free(list);
	OK(storage_put(f->st, "clusters/main/15-7312345678901234567/x", "x", 1,
	    &err));
	OK(storage_put(f->st, "clusters/main/16-18446744073709551615/x", "x",
	    1, &err));
	OK(storage_put(f->st, "clusters/main2/13-1/x", "x", 1, &err));
	OK(storage_put(f->st, "clusters/main/notes/x", "x", 1, &err));
	OK(storage_put(f->st, "clusters/main/16-007/x", "x", 1, &err));
	OK(storage_put(f->st, "clusters/main/17-8", "x", 1, &err));
	OK(repo_incarnations(f->repo, "main", &list, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(list[0].cluster, "main");
	assert_int_equal(list[0].major + list[1].major, 31);
	assert_true(list[0].system_id == UINT64_MAX ||
	    list[1].system_id == UINT64_MAX);
	free(list);
	OK(repo_incarnations(f->repo, NULL, &list, &n, &err));
	assert_int_equal(n, 3);
	free(list);
	OK(repo_incarnations(f->repo, "none", &list, &n, &err));
	assert_int_equal(n, 0);
	free(list);
}

static void
text_objects_need_their_kind_and_no_unknown_features(void **state)
{
	struct fixture *f = *state;
	const char *json;
	struct buf b;
	size_t n;

	buf_init(&b, 10000);
	OK(repo_put_text(f->repo, "pins/1", "pin", "{\"a\": 1}", 8, &err));
	FAILS(repo_put_text(f->repo, "pins/1", "pin", "{}", 2, &err),
	    ERR_EXISTS);
	OK(repo_get_text(f->repo, "pins/1", "pin", &b, &json, &n, &err));
	assert_int_equal(n, 8);
	assert_memory_equal(json, "{\"a\": 1}", 8);
	buf_clear(&b);
	FAILS(repo_get_text(f->repo, "pins/1", "lease", &b, &json, &n, &err),
	    ERR_DAMAGED);
	buf_clear(&b);
	OK(repo_put_text(f->repo, "pins/2", "pin", "{\"must_know\": [\"z\"]}",
	    20, &err));
	FAILS(repo_get_text(f->repo, "pins/2", "pin", &b, &json, &n, &err),
	    ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "'z'"));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_repository_opens_with_the_same_identity),
		TEST(two_repositories_are_never_the_same),
		TEST(an_empty_place_is_no_repository_and_is_left_so),
		TEST(a_place_with_other_content_is_refused),
		TEST(an_identity_that_makes_no_sense_is_refused),
		TEST(a_damaged_identity_is_never_taken_for_an_empty_place),
		TEST(whatever_call_of_init_fails_a_second_init_succeeds),
		TEST(a_clusters_name_can_be_a_folder),
		TEST(keys_are_what_the_format_says),
		TEST(incarnations_are_found_by_their_folders),
		TEST(text_objects_need_their_kind_and_no_unknown_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
