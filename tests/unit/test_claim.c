/* SPDX-License-Identifier: PostgreSQL */
/* A commit is put, and nobody is told the wrong thing about it. */
#include "config.h"

#include "fixture_repo.h"

#include "core/log.h"
#include "repo/claim.h"
#include "repo/tombstone.h"

static struct commit
sample(const struct fixture *f)
{
	static char method[] = "local", program[] = "test", host[] = "here";
	static struct manifest_part part = { .size = 1 };
	struct commit c = { .inc = f->inc, .label = LABEL_A,
		.method = method, .program = program, .host = host,
		.attempt = 1, .timeline = 1, .read_all = true,
		.wal_first = "000000010000000000000001",
		.wal_last = "000000010000000000000002",
		.block_size = 8192, .wal_segment_size = 16 << 20,
		.relation_segment_blocks = 131072, .parts = &part,
		.n_parts = 1 };

	return c;
}

static void
claim(struct fixture *f, struct claim *c)
{
	OK(claim_take(c, f->repo, &f->inc, REPO_BACKUP, 60000, &err));
	OK(claim_intend(c, LABEL_A, 1, "", &err));
}

/* Which of the next calls is the commit's put. */
static unsigned
put_call(struct fixture *f, const struct claim *c)
{
	int i;

	/* From the third on each renewal makes the same calls. */
	for (i = 0; i < 3; i++) {
		storage_fault_at(f->st, 0, false);
		OK(lease_confirm(c->lease, &err));
	}
	return storage_fault_calls(f->st) + 1;
}

static bool
is_there(struct fixture *f)
{
	struct commit got;
	int rc;

	storage_fault_at(f->st, 0, false);
	err_clear(&err);
	rc = commit_get(f->repo, &f->inc, LABEL_A, &got, &err);
	if (rc == 0)
		commit_free(&got);
	else
		assert_int_equal(err.code, ERR_NOT_FOUND);
	return rc == 0;
}

static void
put_object(struct fixture *f, const char *name)
{
	char key[STORAGE_KEY_MAX];

	repo_key(&f->inc, name, key);
	OK(storage_put(f->st, key, "x", 1, &err));
}

static void
remove_object(struct fixture *f, const char *name)
{
	char key[STORAGE_KEY_MAX];

	repo_key(&f->inc, name, key);
	OK(storage_remove(f->st, key, &err));
}

#define PART "backups/" LABEL_A "/manifest-00.zst"
#define SEGMENT(n) "wal/00000001/00000000/00000001000000000000000" #n \
	"-00112233445566778899aabbccddeeff.zst"

/* What the look after a lost lease asks for. */
static void
put_what_it_names(struct fixture *f)
{
	put_object(f, PART);
	put_object(f, SEGMENT(1));
	put_object(f, SEGMENT(2));
}

static void
a_commit_whose_answer_was_lost_is_a_commit(void **state)
{
	struct fixture *f = *state;
	const struct commit commit = sample(f);
	struct claim c;

	claim(f, &c);
	storage_fault_at(f->st, put_call(f, &c), true);
	OK(claim_commit(&c, &commit, &err));
	assert_true(storage_fault_calls(f->st) > 0);
	assert_false(c.unknown);
	assert_true(is_there(f));
	claim_end(&c, LABEL_A);
}

static void
a_commit_that_is_not_there_is_the_error_of_its_put(void **state)
{
	struct fixture *f = *state;
	const struct commit commit = sample(f);
	struct claim c;

	claim(f, &c);
	storage_fault_at(f->st, put_call(f, &c), false);
	FAILS(claim_commit(&c, &commit, &err), ERR_STORAGE);
	assert_false(c.unknown);
	assert_null(strstr(err.msg, "may or may not"));
	assert_false(is_there(f));
	claim_end(&c, NULL);
}

/* After the put nothing answers any more. */
static void
what_cannot_be_known_is_called_so(void **state)
{
	struct fixture *f = *state;
	const struct commit commit = sample(f);
	struct claim c;
	int torn;

	for (torn = 0; torn < 2; torn++) {
		claim(f, &c);
		storage_fault_from(f->st, put_call(f, &c), torn == 1);
		FAILS(claim_commit(&c, &commit, &err), ERR_STORAGE);
		assert_true(c.unknown);
		assert_non_null(strstr(err.msg, "may or may not be committed"));
		assert_non_null(strstr(err.msg, "dapk-backup info"));
		assert_int_equal(is_there(f), torn);
		claim_end(&c, NULL);
	}
}

/* Wherever it fails, once or for good: what is said is what is there. */
static void
whatever_call_fails_the_word_about_the_commit_is_true(void **state)
{
	struct fixture *f = *state;
	const struct commit commit = sample(f);
	char key[STORAGE_KEY_MAX];
	struct claim c;
	unsigned at, how, unknown = 0;
	int rc;

	put_what_it_names(f);
	commit_key(&f->inc, REPO_BACKUP, LABEL_A, key);
	for (how = 0; how < 4; how++)
		for (at = 1; at < 30; at++) {
			claim(f, &c);
			if (how < 2)
				storage_fault_at(f->st, at, how == 1);
			else
				storage_fault_from(f->st, at, how == 3);
			err_clear(&err);
			rc = claim_commit(&c, &commit, &err);
			unknown += c.unknown;
			if (rc == 0)
				assert_false(c.unknown);
			if (rc == 0 || !c.unknown)
				assert_int_equal(is_there(f), rc == 0);
			storage_fault_at(f->st, 0, false);
			claim_end(&c, NULL);
			OK(storage_remove(f->st, key, &err));
		}
	assert_true(unknown > 0);
}

static void
drop_stones(struct fixture *f)
{
	struct tombstone_set set;
	size_t i;

	OK(tombstone_list(f->repo, &f->inc, &set, &err));
	for (i = 0; i < set.n; i++)
		OK(tombstone_remove(f->repo, &f->inc, set.list[i].id, &err));
	tombstone_list_free(&set);
}

/* That the lease was held cannot be confirmed: then all is looked for. */
static void
what_was_removed_meanwhile_takes_the_commit_back(void **state)
{
	static const char *const names[] = { PART, SEGMENT(1), SEGMENT(2) };
	char stone[] = SEGMENT(2);
	char *stones[] = { stone };
	const struct tombstone going = { .objects = stones, .n = 1 };
	struct fixture *f = *state;
	const struct commit commit = sample(f);
	char key[STORAGE_KEY_MAX];
	struct claim c;
	size_t i;

	put_what_it_names(f);
	commit_key(&f->inc, REPO_BACKUP, LABEL_A, key);
	for (i = 0; i <= 4; i++) {
		claim(f, &c);
		if (i < 3)
			remove_object(f, names[i]);
		else if (i == 3)
			OK(tombstone_put(f->repo, &f->inc, &going, &err));
		/* The renewal after the commit fails. */
		storage_fault_at(f->st, put_call(f, &c) + 1, false);
		if (i < 4)
			FAILS(claim_commit(&c, &commit, &err), ERR_LOCKED);
		else
			OK(claim_commit(&c, &commit, &err));
		assert_false(c.unknown);
		assert_int_equal(is_there(f), i == 4);
		claim_end(&c, NULL);
		if (i < 3)
			put_object(f, names[i]);
		else if (i == 3)
			drop_stones(f);
	}
	OK(storage_remove(f->st, key, &err));
}

static void
another_commit_under_the_label_stays(void **state)
{
	struct fixture *f = *state;
	struct commit commit = sample(f), got;
	struct claim c;

	commit.files = 7;
	OK(commit_put(f->repo, &commit, &err));
	claim(f, &c);
	commit.files = 8;
	FAILS(claim_commit(&c, &commit, &err), ERR_LOCKED);
	commit.files = 7;
	OK(claim_commit(&c, &commit, &err)); /* the same is success */
	claim_end(&c, NULL);
	OK(commit_get(f->repo, &f->inc, LABEL_A, &got, &err));
	assert_int_equal(got.files, 7);
	commit_free(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_whose_answer_was_lost_is_a_commit),
		TEST(a_commit_that_is_not_there_is_the_error_of_its_put),
		TEST(what_cannot_be_known_is_called_so),
		TEST(whatever_call_fails_the_word_about_the_commit_is_true),
		TEST(what_was_removed_meanwhile_takes_the_commit_back),
		TEST(another_commit_under_the_label_stays),
	};

	log_init(LOG_ERROR + 1, LOG_TEXT, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
