/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_removal.h"

/* A bucket without versions whose objects are locked for a time. */
static const struct storage_ops *unlocked_ops;
static const char *locked_name; /* part of the names that are; NULL: none */

static int
remove_unless_locked(struct storage *st, const char *key, struct err *e)
{
	if (locked_name != NULL && strstr(key, locked_name) != NULL)
		return err_set(e, ERR_REFUSED, "locked");
	return unlocked_ops->remove(st, key, e);
}

static void
what_the_store_keeps_locked_goes_in_a_later_run(void **state)
{
	static struct storage_ops ops;
	struct place *p = *state;
	struct removal_report did, marked;

	(void)backup(p, -1);
	(void)backup(p, -1);
	(void)backup(p, -1);
	expire(p, p->commits[0].label);
	unlocked_ops = p->repo->st->ops;
	ops = *unlocked_ops;
	ops.remove = remove_unless_locked;
	ops.remove_many = NULL;
	p->repo->st->ops = &ops;
	pass_time(p, GRACE);
	locked_name = "/commit";
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.locked, 1);
	assert_int_equal(did.objects, 0); /* what a commit names stays */
	assert_int_equal(did.tombstones, 0);
	assert_true(committed(p, 0));
	all_commits_restore(p);
	locked_name = "/pack-";
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.backups, 1);
	assert_int_equal(did.locked, PACKS_EACH);
	assert_false(committed(p, 0));
	assert_int_equal(count(p).stones, 1);
	all_commits_restore(p);
	locked_name = NULL; /* the locks have ended */
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.locked, 0);
	assert_int_equal(did.objects, PACKS_EACH);
	assert_int_equal(count(p).stones, 0);
	p->repo->st->ops = unlocked_ops;
	all_commits_restore(p);
}

static void
assert_noted(struct place *p, int i)
{
	struct removed_set set;

	OK(removed_list(p->repo, &p->inc, &set, &err));
	assert_true(removed_names(&set, p->kind, p->commits[i].label));
	removed_free(&set);
}

static void
nothing_goes_before_its_time_and_all_of_it_after(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;

	(void)backup(p, -1);
	pass_time(p, HOUR);
	(void)backup(p, -1);
	pass_time(p, HOUR);
	OK(try_expire(p, p->commits[0].label, false, true, &did, &marked));
	assert_int_equal(marked.backups, 1);
	assert_int_equal(marked.objects, PACKS_EACH + 2);
	assert_int_equal(count(p).stones, 0); /* a dry run */
	OK(try_expire(p, p->commits[0].label, false, false, &did, &marked));
	assert_int_equal(marked.objects, PACKS_EACH + 2);
	assert_int_equal(count(p).stones, 1);
	pass_time(p, GRACE - HOUR);
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.waiting, 1);
	assert_int_equal(did.objects, 0);
	assert_true(committed(p, 0));
	all_commits_restore(p);
	pass_time(p, HOUR);
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.backups, 1);
	assert_int_equal(did.objects, PACKS_EACH + 2);
	assert_false(committed(p, 0));
	/* And a note, so that no copy brings it back. */
	assert_int_equal(count(p).all, PACKS_EACH + 2 + 1);
	assert_noted(p, 0);
	all_commits_restore(p);
	/* Once more is the same as once. */
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.objects + marked.objects, 0);
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_NOT_FOUND);
}

static void
what_others_refer_to_stays_until_they_go(void **state)
{
	struct place *p = *state;
	struct commit *b;
	struct removal_report did, marked;

	(void)backup(p, -1);
	b = store(p);
	b->packs[b->n_packs++] = p->commits[0].packs[1];
	OK(commit_put(p->repo, b, &err));
	pass_time(p, HOUR);
	(void)backup(p, -1);
	OK(try_expire(p, p->commits[0].label, false, false, &did, &marked));
	assert_int_equal(marked.kept, 1);
	assert_int_equal(marked.kept_bytes, 101);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	all_commits_restore(p);
	assert_int_equal(count(p).packs, 2 * PACKS_EACH + 1);
	pass_time(p, GRACE);
	expire(p, b->label);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_int_equal(count(p).packs, PACKS_EACH);
	all_commits_restore(p);
}

/* The second generation of a pack, without its last `less` bytes. */
static void
put_repaired(struct place *p, const struct pack_id *id, size_t less)
{
	char key[STORAGE_KEY_MAX];
	struct object_writer w;

	fixture_empty_pack(&w, p->repo, &p->inc, id);
	repo_pack_key_generation(&p->inc, id, 1, key);
	OK(storage_put(p->mem, key, w.bytes.data, w.bytes.len - less, &err));
	object_writer_free(&w);
}

static void
the_last_usable_backup_is_refused(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	char key[STORAGE_KEY_MAX];

	(void)backup(p, -1);
	(void)backup(p, -1);
	/* The second has a damaged pack: it does not count. */
	repo_damage_key(&p->inc, &p->commits[1].packs[2].id, 0, key);
	put_bytes(p, key, 5);
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_REFUSED);
	assert_true(err.hint[0] != '\0');
	assert_int_equal(count(p).stones, 0);
	/* Repaired, but cut off: no size is known to hold it against. */
	put_repaired(p, &p->commits[1].packs[2].id, 1);
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_REFUSED);
	/* Repaired: the new generation holds. */
	repo_pack_key_generation(&p->inc, &p->commits[1].packs[2].id, 1, key);
	OK(storage_remove(p->mem, key, &err));
	put_repaired(p, &p->commits[1].packs[2].id, 0);
	expire(p, p->commits[0].label);
	FAILS(try_expire(p, p->commits[1].label, false, false, &did,
	    &marked), ERR_REFUSED);
	OK(try_expire(p, p->commits[1].label, true, false, &did, &marked));
	pass_time(p, GRACE);
	/* Nothing forced the first: it waits while no other is usable. */
	expire(p, NULL);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_int_equal(count(p).packs, 0);
}

static struct commit *
backup_with_damaged_page(struct place *p)
{
	struct commit *c = store(p);

	c->damaged_count = 1;
	OK(commit_put(p->repo, c, &err));
	return c;
}

static void
damaged_pages_in_all_backups_do_not_keep_all_for_ever(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;

	(void)backup(p, -1);
	(void)backup_with_damaged_page(p);
	/* The first is better than the second. */
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_REFUSED);
	OK(try_expire(p, p->commits[0].label, true, false, &did, &marked));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	(void)backup_with_damaged_page(p);
	(void)backup_with_damaged_page(p);
	/* None is without: the newest counts, and stays. */
	FAILS(try_expire(p, p->commits[3].label, false, false, &did,
	    &marked), ERR_REFUSED);
	expire(p, p->commits[1].label);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 1));
	assert_true(committed(p, 3));
}

static void
damage_after_the_mark_keeps_the_last_usable_one(void **state)
{
	struct place *p = *state;
	char key[STORAGE_KEY_MAX];

	(void)backup(p, -1);
	(void)backup(p, -1);
	expire(p, p->commits[0].label);
	repo_pack_key(&p->inc, &p->commits[1].packs[2].id, key);
	OK(storage_remove(p->mem, key, &err));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_true(committed(p, 0));
	assert_int_equal(count(p).stones, 1);
	put_bytes(p, key, 102);
	expire(p, NULL);
	assert_false(committed(p, 0));
}

static void
a_backup_that_commits_between_the_steps_rescues_its_packs(void **state)
{
	struct place *p = *state;
	struct commit *c;

	(void)backup(p, -1);
	(void)backup(p, -1);
	/* It did not look: the removal must. */
	c = store(p);
	c->packs[c->n_packs++] = p->commits[0].packs[0];
	c->packs[c->n_packs++] = p->commits[0].packs[3];
	expire(p, p->commits[0].label);
	OK(commit_put(p->repo, c, &err));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	all_commits_restore(p);
	assert_int_equal(count(p).packs, 2 * PACKS_EACH + 2);
}

static void
an_intent_that_lives_holds_removal_up(void **state)
{
	struct place *p = *state;
	struct intent *list;
	char id[INTENT_ID_TEXT];
	size_t n;

	(void)backup(p, -1);
	(void)backup(p, -1);
	expire(p, p->commits[0].label);
	pass_time(p, GRACE - HOUR);
	OK(intent_put(p->repo, &p->inc, p->kind, LABEL_A, 1,
	    p->commits[0].label, id, &err));
	pass_time(p, HOUR);
	expire(p, NULL);
	assert_true(committed(p, 0));
	/* Its maker is gone for longer than the grace period: dead. */
	pass_time(p, GRACE);
	expire(p, NULL);
	OK(intent_list(p->repo, &p->inc, &list, &n, &err));
	free(list);
	assert_int_equal(n, 0);
	assert_false(committed(p, 0));
	/* One that ended holds nothing up. */
	(void)backup(p, -1);
	OK(intent_put(p->repo, &p->inc, p->kind, LABEL_A, 1,
	    p->commits[1].label, id, &err));
	expire(p, p->commits[1].label);
	pass_time(p, GRACE);
	OK(intent_remove(p->repo, &p->inc, id, &err));
	expire(p, NULL);
	assert_false(committed(p, 1));
}

/* As a process of this machine, which had that pid, would have put it. */
static void
put_intent_of(struct place *p, pid_t pid)
{
	char key[STORAGE_KEY_MAX], process[LEASE_PROCESS_MAX], text[1024];

	lease_process(process);
	(void)snprintf(text, sizeof(text), "{\"id\": \"0123456789abcdef\", "
	    "\"kind\": \"%s\", "
	    "\"label\": \"" LABEL_A "\", \"attempt\": 1, \"parent\": "
	    "\"%s\", \"host\": \"h\", \"pid\": %ld, \"process\": \"%s\", "
	    "\"started\": \"2026-11-01 00:00:00+00\"}",
	    repo_kind_name(p->kind), p->commits[0].label, (long)pid, process);
	repo_key(&p->inc, "intents/0123456789abcdef", key);
	OK(repo_put_text(p->repo, key, "intent", text, strlen(text), &err));
}

static void
an_intent_of_a_process_that_died_holds_nothing_up(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	char id[INTENT_ID_TEXT];
	int status;
	pid_t pid;

	(void)backup(p, -1);
	(void)backup(p, -1);
	expire(p, p->commits[0].label);
	pass_time(p, GRACE - HOUR);
	OK(intent_put(p->repo, &p->inc, p->kind, LABEL_A, 1,
	    p->commits[0].label, id, &err));
	pass_time(p, HOUR);
	expire(p, NULL);
	assert_true(committed(p, 0)); /* of this process, which lives */
	OK(intent_remove(p->repo, &p->inc, id, &err));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	put_intent_of(p, pid);
	expire(p, NULL);
	assert_false(committed(p, 0));
	OK(try_expire(p, NULL, false, false, &did, &marked));
	assert_int_equal(did.intents, 0); /* it went in the run before */
}

static void
garbage_of_dead_attempts_goes_and_of_living_ones_stays(void **state)
{
	struct place *p = *state;
	struct commit *dead, *young;
	char id[INTENT_ID_TEXT];

	(void)backup(p, -1);
	dead = store(p);
	pass_time(p, GRACE);
	young = store(p);
	(void)dead;
	OK(intent_put(p->repo, &p->inc, p->kind, young->label, 1, "", id,
	    &err));
	expire(p, NULL);
	pass_time(p, GRACE - HOUR);
	expire(p, NULL);
	assert_int_equal(count(p).packs, 3 * PACKS_EACH);
	pass_time(p, HOUR);
	expire(p, NULL); /* the dead one goes, the young one is marked */
	assert_int_equal(count(p).packs, 2 * PACKS_EACH);
	/* It goes on after all, and commits: its packs stay. */
	OK(commit_put(p->repo, young, &err));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_int_equal(count(p).packs, 2 * PACKS_EACH);
	all_commits_restore(p);
}

static void
superseded_generations_and_marks_of_nothing_go(void **state)
{
	struct place *p = *state;
	struct commit *c;
	char old[STORAGE_KEY_MAX], mark[STORAGE_KEY_MAX];
	char lone[STORAGE_KEY_MAX], new[STORAGE_KEY_MAX];
	int i;

	c = backup(p, -1);
	pack_key(p, &c->packs[1].id, old);
	repo_damage_key(&p->inc, &c->packs[1].id, 0, mark);
	repo_pack_key_generation(&p->inc, &c->packs[1].id, 1, new);
	/* Only marked: there is nothing better. */
	repo_damage_key(&p->inc, &c->packs[2].id, 0, lone);
	put_bytes(p, mark, 1);
	put_bytes(p, lone, 1);
	/* What is cut off replaces nothing. */
	put_repaired(p, &c->packs[1].id, 1);
	for (i = 0; i < 4; i++) {
		expire(p, NULL);
		pass_time(p, GRACE);
	}
	assert_true(exists(p, old));
	OK(storage_remove(p->mem, new, &err));
	put_repaired(p, &c->packs[1].id, 0);
	for (i = 0; i < 4; i++) {
		expire(p, NULL);
		pass_time(p, GRACE);
	}
	assert_false(exists(p, old));
	assert_false(exists(p, mark));
	assert_true(exists(p, new));
	assert_true(exists(p, lone));
	assert_int_equal(count(p).packs, PACKS_EACH + 1);
}

static void
wal_goes_only_if_no_backup_needs_it(void **state)
{
	struct place *p = *state;
	static const char *const names[] = {
		"wal/00000001/00000000/000000010000000000000002-"
		"00000000000000000000000000000001.zst",
		"wal/00000001/00000000/000000010000000000000004-"
		"00000000000000000000000000000001.zst",
	};
	struct lease_params lp = { .name = LEASE_BACKUPS,
		.purpose = "expire" };
	struct removal_params sp = { .repo = p->repo, .inc = &p->inc,
		.objects = names, .n_objects = 2 };
	struct removal_report report;
	char key[STORAGE_KEY_MAX];
	int i;

	(void)backup(p, -1);
	for (i = 0; i < 2; i++) {
		repo_key(&p->inc, names[i], key);
		put_bytes(p, key, 10);
	}
	OK(lease_take(&sp.lease, p->repo, &p->inc, &lp, &err));
	OK(removal_mark(&sp, &report, &err));
	assert_int_equal(report.objects, 1);
	OK(removal_run(&sp, &report, &err));
	lease_release(sp.lease);
	repo_key(&p->inc, names[0], key);
	assert_false(exists(p, key));
	repo_key(&p->inc, names[1], key);
	assert_true(exists(p, key));
}

static void
what_is_pinned_stays(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	char reason[] = "audit";
	struct pin pin = { .kind = REPO_BACKUP, .reason = reason };

	(void)backup(p, -1);
	(void)backup(p, 0);
	memcpy(pin.label, p->commits[0].label, sizeof(pin.label));
	pin.until = 0;
	OK(pin_put(p->repo, &p->inc, &pin, &err));
	FAILS(try_expire(p, pin.label, true, false, &did, &marked),
	    ERR_REFUSED);
	assert_non_null(strstr(err.msg, "audit"));
	assert_non_null(strstr(err.hint, "unpin"));
	OK(pin_remove(p->repo, &p->inc, pin.id, &err));

	/* Pinned between the two steps. */
	expire(p, pin.label);
	OK(pin_put(p->repo, &p->inc, &pin, &err));
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_true(committed(p, 0));
	assert_int_equal(count(p).stones, 0);
	all_commits_restore(p);
	OK(pin_remove(p->repo, &p->inc, pin.id, &err));
	expire(p, pin.label);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 0));
	all_commits_restore(p);
}

static void
a_commit_that_cannot_be_read_stops_all_but_its_own_removal(void **state)
{
	struct place *p = *state;
	struct removal_report did, marked;
	char key[STORAGE_KEY_MAX];

	(void)backup(p, -1);
	(void)backup(p, 0);
	(void)backup(p, 1);
	label_key(p, p->commits[1].label, "commit", key);
	OK(storage_remove(p->mem, key, &err));
	put_bytes(p, key, 50);
	FAILS(try_expire(p, p->commits[0].label, false, false, &did,
	    &marked), ERR_DAMAGED);
	assert_non_null(strstr(err.hint, "expire --backup"));
	assert_int_equal(count(p).stones, 0);
	expire(p, p->commits[1].label);
	pass_time(p, GRACE);
	expire(p, NULL);
	assert_false(committed(p, 1));
	all_commits_restore(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REMOVAL_TEST(what_the_store_keeps_locked_goes_in_a_later_run),
		REMOVAL_TEST(nothing_goes_before_its_time_and_all_of_it_after),
		REMOVAL_TEST(what_others_refer_to_stays_until_they_go),
		REMOVAL_TEST(the_last_usable_backup_is_refused),
		REMOVAL_TEST(
		    damaged_pages_in_all_backups_do_not_keep_all_for_ever),
		REMOVAL_TEST(damage_after_the_mark_keeps_the_last_usable_one),
		REMOVAL_TEST(
		    a_backup_that_commits_between_the_steps_rescues_its_packs),
		REMOVAL_TEST(an_intent_that_lives_holds_removal_up),
		REMOVAL_TEST(an_intent_of_a_process_that_died_holds_nothing_up),
		REMOVAL_TEST(
		    garbage_of_dead_attempts_goes_and_of_living_ones_stays),
		REMOVAL_TEST(superseded_generations_and_marks_of_nothing_go),
		REMOVAL_TEST(wal_goes_only_if_no_backup_needs_it),
		REMOVAL_TEST(what_is_pinned_stays),
		REMOVAL_TEST(
		    a_commit_that_cannot_be_read_stops_all_but_its_own_removal),
		DUMP_TEST(what_the_store_keeps_locked_goes_in_a_later_run),
		DUMP_TEST(nothing_goes_before_its_time_and_all_of_it_after),
		DUMP_TEST(what_others_refer_to_stays_until_they_go),
		DUMP_TEST(the_last_usable_backup_is_refused),
		DUMP_TEST(damage_after_the_mark_keeps_the_last_usable_one),
		DUMP_TEST(
		    a_backup_that_commits_between_the_steps_rescues_its_packs),
		DUMP_TEST(an_intent_that_lives_holds_removal_up),
		DUMP_TEST(an_intent_of_a_process_that_died_holds_nothing_up),
		DUMP_TEST(
		    garbage_of_dead_attempts_goes_and_of_living_ones_stays),
		DUMP_TEST(superseded_generations_and_marks_of_nothing_go),
		DUMP_TEST(
		    a_commit_that_cannot_be_read_stops_all_but_its_own_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
