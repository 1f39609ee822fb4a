/* SPDX-License-Identifier: PostgreSQL */
/*
 * Removal with faults at every call, in random histories, and of dumps beside
 * backups.
 */
#include "config.h"

#include "fixture_removal.h"

/* Packs that some commit refers to. */
static int
referred_to(struct place *p)
{
	static struct pack_id seen[BACKUPS_MAX * PACKS_EACH];
	int i, n = 0, j;
	size_t k;

	for (i = 0; i < p->n; i++) {
		if (!committed(p, i))
			continue;
		for (k = 0; k < p->commits[i].n_packs; k++) {
			const struct pack_id *id =
			    &p->commits[i].packs[k].id;

			for (j = 0; j < n; j++)
				if (memcmp(&seen[j], id, sizeof(*id)) == 0)
					break;
			if (j == n)
				seen[n++] = *id;
		}
	}
	return n;
}

/* Two shared chains, of which every call fails once. */
static void
build(struct place *p)
{
	int i;

	for (i = 0; i < 6; i++) {
		pass_time(p, HOUR);
		(void)backup(p, i < 2 ? -1 : i - 2);
	}
	(void)store(p); /* garbage */
	pass_time(p, GRACE);
}

static void
fail_everywhere_kind(bool torn)
{
	struct place *p = NULL;
	struct removal_report did, marked;
	unsigned n, runs;
	bool failed = true;

	for (n = 1; failed; n++) {
		assert_int_equal(setup((void **)&p), 0);
		build(p);
		storage_fault_at(p->repo->st, n, torn);
		(void)(try_expire(p, p->commits[1].label, false, false, &did,
		    &marked) == 0 &&
		    try_expire(p, p->commits[2].label, false, false, &did,
			&marked) == 0);
		all_commits_restore(p);
		pass_time(p, GRACE);
		(void)(try_expire(p, p->commits[4].label, false, false, &did,
		    &marked) == 0);
		failed = storage_fault_calls(p->repo->st) >= n;
		storage_fault_at(p->repo->st, 0, false);
		all_commits_restore(p);
		/* To the end, asking again for what did not come about. */
		for (runs = 0; runs < 3; runs++) {
			static const int gone[] = { 1, 2, 4 };
			size_t i;

			for (i = 0; i < 3; i++)
				if (committed(p, gone[i]))
					expire(p, p->commits[gone[i]].label);
			expire(p, NULL);
			all_commits_restore(p);
			pass_time(p, GRACE);
		}
		expire(p, NULL);
		all_commits_restore(p);
		assert_int_equal(count(p).commits, 3);
		assert_int_equal(count(p).manifests, 3);
		assert_int_equal(count(p).packs, referred_to(p));
		assert_int_equal(count(p).stones, 0);
		(void)teardown((void **)&p);
	}
	print_message("%u calls\n", n - 1);
	assert_true(n > 60);
}

static void
fail_everywhere(bool torn)
{
	fail_everywhere_kind(torn);
	next_kind = REPO_DUMP;
	fail_everywhere_kind(torn);
	next_kind = REPO_BACKUP;
}

static void
any_call_may_fail(void **state)
{
	fail_everywhere(false);
}

static void
any_answer_may_be_lost(void **state)
{
	fail_everywhere(true);
}

/* Backups and expiries in any order, of which some fail or overlap. */
static void
random_history(uint32_t seed)
{
	struct place *p = NULL;
	struct commit *open = NULL;
	struct removal_report did, marked;
	char key[STORAGE_KEY_MAX];
	int i, at, left;

	assert_int_equal(setup((void **)&p), 0);
	p->seed = seed;
	(void)backup(p, -1);
	for (i = 0; i < 120; i++) {
		pass_time(p, (int64_t)chance(p, 20) * HOUR);
		at = (int)chance(p, (uint32_t)p->n);
		if (chance(p, 6) == 0)
			storage_fault_at(p->repo->st, 1 + chance(p, 40),
			    chance(p, 2) != 0);
		switch (chance(p, 5)) {
		case 0:
		case 1:
			storage_fault_at(p->repo->st, 0, false);
			if (open != NULL || p->n == BACKUPS_MAX)
				break;
			open = store(p);
			while (!committed(p, at))
				at = (at + 1) % p->n;
			refer(p, open, &p->commits[at]);
			break;
		case 2: /* what it refers to may be marked by now */
			storage_fault_at(p->repo->st, 0, false);
			if (open == NULL)
				break;
			/* The garbage of one that slept may be gone. */
			label_key(p, open->label, "manifest-00.zst", key);
			if (exists(p, key))
				OK(commit_put(p->repo, open, &err));
			open = NULL;
			break;
		default:
			if (!committed(p, at))
				at = -1;
			(void)(try_expire(p, at < 0 ? NULL :
			    p->commits[at].label, false, false, &did,
			    &marked) == 0);
			storage_fault_at(p->repo->st, 0, false);
			/* It looks before it commits. */
			if (open != NULL) {
				size_t k, kept = 0;

				for (k = 0; k < open->n_packs; k++) {
					pack_key(p, &open->packs[k].id, key);
					if (exists(p, key))
						open->packs[kept++] =
						    open->packs[k];
				}
				open->n_packs = kept;
			}
		}
		all_commits_restore(p);
	}
	for (i = 0, left = 0; i < p->n; i++)
		left += committed(p, i);
	assert_true(left >= 1);
	(void)teardown((void **)&p);
}

static void
no_history_loses_what_a_commit_names(void **state)
{
	uint32_t seed;

	for (seed = 1; seed <= 60; seed++) {
		next_kind = seed % 3 == 0 ? REPO_DUMP : REPO_BACKUP;
		random_history(seed);
	}
	next_kind = REPO_BACKUP;
}

static void
the_last_good_dump_of_each_database_stays(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	static const char *const of[] = { "shop", "stock", "shop", "" };
	char key[STORAGE_KEY_MAX];
	struct commit *c;
	size_t i;

	for (i = 0; i < 4; i++) {
		c = store(p);
		free(c->dump.database);
		free(c->dump.archive_version);
		c->dump.database = xstrdup(of[i]);
		c->dump.globals = of[i][0] == '\0';
		c->dump.archive_version = xstrdup(c->dump.globals ? "" :
								    "1.14");
		OK(commit_put(p->repo, c, &err));
		pass_time(p, HOUR);
	}
	FAILS(try_expire(p, p->commits[1].label, false, false, &did,
	    &marked), ERR_REFUSED);
	assert_non_null(strstr(err.msg, "database stock"));
	FAILS(try_expire(p, p->commits[3].label, false, false, &did,
	    &marked), ERR_REFUSED);
	assert_non_null(strstr(err.msg, "globals"));
	/* The newer one of "shop" lost a pack: the older is the last. */
	pack_key(p, &p->commits[2].packs[0].id, key);
	OK(storage_remove(p->mem, key, &err));
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_REFUSED);
	put_bytes(p, key, 100);
	expire(p, p->commits[0].label);
	/* What was forced away does not keep others from going. */
	OK(try_expire(p, p->commits[1].label, true, false, &did, &marked));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	assert_false(committed(p, 1));
	assert_true(committed(p, 2));
	assert_true(committed(p, 3));
	all_commits_restore(p);
}

static void
a_dump_of_one_table_stands_in_for_no_whole_one(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	struct commit *c;
	int i;

	for (i = 0; i < 3; i++) { /* all, one table, all */
		c = store(p);
		if (i == 1) {
			c->dump.options = xcalloc(1, sizeof(char *));
			c->dump.options[0] = xstrdup("--table=t");
			c->dump.n_options = 1;
		}
		if (i < 2)
			OK(commit_put(p->repo, c, &err));
	}
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_REFUSED);
	expire(p, p->commits[1].label); /* the other has it all */
	OK(commit_put(p->repo, &p->commits[2], &err));
	expire(p, p->commits[0].label);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	assert_false(committed(p, 1));
	assert_true(committed(p, 2));
}

static void
backups_and_dumps_are_removed_apart(void **state)
{
	struct place *p = *state;
	char id[INTENT_ID_TEXT];
	int i;

	for (i = 0; i < 4; i++) { /* dumps 0 and 1, backups 2 and 3 */
		p->kind = i < 2 ? REPO_DUMP : REPO_BACKUP;
		(void)backup(p, -1);
	}
	expire(p, p->commits[2].label);
	p->kind = REPO_DUMP;
	expire(p, p->commits[0].label);
	pass_time(p, GRACE - HOUR);
	/* A dump that is being made holds up no removal of backups. */
	OK(intent_put(p->repo, &p->inc, REPO_DUMP, LABEL_A, 1,
	    p->commits[1].label, id, &err));
	pass_time(p, HOUR);
	OK(intent_put(p->repo, &p->inc, REPO_DUMP, LABEL_A, 2,
	    p->commits[0].label, id, &err));
	p->kind = REPO_BACKUP;
	expire(p, NULL);
	assert_false(committed(p, 2));
	assert_true(committed(p, 3));
	p->kind = REPO_DUMP;
	expire(p, NULL);
	assert_true(committed(p, 0));
	assert_int_equal(count(p).stones, 1);
	/* Nor does a run for backups end a dump's intents, however old. */
	pass_time(p, GRACE);
	p->kind = REPO_BACKUP;
	expire(p, NULL);
	assert_int_equal(count(p).intents, 2);
	p->kind = REPO_DUMP;
	expire(p, NULL);
	assert_int_equal(count(p).intents, 0);
	assert_false(committed(p, 0));
	assert_true(committed(p, 1));
	assert_int_equal(count(p).stones, 0);
	assert_int_equal(count(p).packs, 2 * PACKS_EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DUMP_TEST(the_last_good_dump_of_each_database_stays),
		DUMP_TEST(a_dump_of_one_table_stands_in_for_no_whole_one),
		DUMP_TEST(backups_and_dumps_are_removed_apart),
		cmocka_unit_test(any_call_may_fail),
		cmocka_unit_test(any_answer_may_be_lost),
		cmocka_unit_test(no_history_loses_what_a_commit_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
