/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "fixture_repo.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/time.h"
#include "repo/commit.h"
#include "repo/intent.h"
#include "repo/lease.h"
#include "repo/packset.h"
#include "repo/pin.h"
#include "repo/removed.h"
#include "repo/tombstone.h"
#include "retain/removal.h"

#define HOUR INT64_C(3600000000)
#define GRACE (24 * HOUR)
#define FOLDER "clusters/main/15-7312345678901234567/"
#define PACKS_EACH 4
#define BACKUPS_MAX 40

struct place {
	struct storage *mem;
	struct repo *repo;
	struct incarnation inc;
	enum repo_kind kind;
	int64_t clock;
	uint32_t seed;
	/* The model: what each backup refers to. */
	struct commit commits[BACKUPS_MAX];
	bool removed[BACKUPS_MAX]; /* asked for */
	int n;
};

static enum repo_kind next_kind; /* of the places that setup() makes */

static int
setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	struct storage *st;
	bool created;

	p->mem = storage_mem_new();
	if (storage_clone(p->mem, &st, &err) != 0 ||
	    repo_init_storage(&p->repo, storage_fault_new(st), NULL, &created,
		&err) != 0)
		return -1;
	memcpy(p->inc.cluster, "main", 5);
	p->inc.major = 15;
	p->inc.system_id = UINT64_C(7312345678901234567);
	p->seed = 1;
	p->kind = next_kind;
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	int i;

	for (i = 0; i < p->n; i++)
		commit_free(&p->commits[i]);
	repo_close(p->repo);
	storage_close(p->mem);
	free(p);
	return 0;
}

static uint32_t
chance(struct place *p, uint32_t n)
{
	p->seed = p->seed * 1664525u + 1013904223u;
	return (p->seed >> 8) % n;
}

static void
pass_time(struct place *p, int64_t us)
{
	p->clock += us;
	storage_mem_clock(p->mem, p->clock);
}

static void
put_bytes(struct place *p, const char *key, size_t len)
{
	uint8_t bytes[256] = { 0 };

	OK(storage_put(p->mem, key, bytes, len, &err));
}

static void
pack_key(struct place *p, const struct pack_id *id, char *key)
{
	repo_pack_key(&p->inc, id, key);
}

static void
label_key(struct place *p, const char *label, const char *tail, char *key)
{
	(void)snprintf(key, STORAGE_KEY_MAX, FOLDER "%s%s/%s",
	    repo_folder(p->kind), label, tail);
}

static void
make_label(int i, char label[FORMAT_LABEL_MAX])
{
	(void)snprintf(label, FORMAT_LABEL_MAX, "20261101T%06dZ-%016d",
	    i, i);
}

static void
make_dump(struct commit_dump *d, const char *database)
{
	d->database = xstrdup(database);
	d->globals = database[0] == '\0';
	d->server_version = xstrdup("15.20");
	d->server_version_num = 150020;
	d->pg_dump_version = xstrdup("15.20");
	d->archive_version = xstrdup(d->globals ? "" : "1.14");
	d->encoding = xstrdup("UTF8");
}

/* What the next backup or dump stores; its commit is not put yet. */
static struct commit *
store(struct place *p)
{
	struct commit *c = &p->commits[p->n];
	char key[STORAGE_KEY_MAX];
	int i;

	memset(c, 0, sizeof(*c));
	make_label(p->n, c->label);
	c->inc = p->inc;
	c->kind = p->kind;
	if (p->kind == REPO_DUMP)
		make_dump(&c->dump, "shop");
	c->method = xstrdup("local");
	c->program = xstrdup("test");
	c->host = xstrdup("test");
	c->attempt = 1;
	c->read_all = true;
	c->timeline = 1;
	memcpy(c->wal_first, "000000010000000000000003", 25);
	memcpy(c->wal_last, "000000010000000000000005", 25);
	c->block_size = 8192;
	c->relation_segment_blocks = 131072;
	c->wal_segment_size = 16 << 20;
	c->parts = xcalloc(1, sizeof(*c->parts));
	c->n_parts = 1;
	c->parts[0].size = 10;
	c->packs = xcalloc(1000, sizeof(*c->packs));
	for (i = 0; i < PACKS_EACH; i++) {
		struct commit_pack *pack = &c->packs[c->n_packs++];

		memcpy(pack->id.label, c->label, sizeof(pack->id.label));
		pack->id.attempt = 1;
		pack->id.kind = p->kind;
		pack->id.number = (uint32_t)i;
		pack->size = 100 + (uint64_t)i;
		pack->live = 1;
		pack_key(p, &pack->id, key);
		put_bytes(p, key, pack->size);
	}
	label_key(p, c->label, "manifest-00.zst", key);
	put_bytes(p, key, 10);
	p->n++;
	return c;
}

/* Refer to some packs of a backup, except those under a tombstone. */
static void
refer(struct place *p, struct commit *c, const struct commit *to)
{
	struct tombstone_set stones;
	size_t i, k;

	OK(tombstone_list(p->repo, &p->inc, &stones, &err));
	for (i = 0; i < to->n_packs; i++) {
		for (k = 0; k < c->n_packs; k++)
			if (memcmp(&c->packs[k].id, &to->packs[i].id,
				sizeof(c->packs[k].id)) == 0)
				break;
		if (k == c->n_packs && c->n_packs < 900 &&
		    chance(p, 4) != 0 &&
		    !tombstone_names_pack(&stones, &to->packs[i].id, 0))
			c->packs[c->n_packs++] = to->packs[i];
	}
	tombstone_list_free(&stones);
}

static bool
exists(struct place *p, const char *key)
{
	uint64_t size;

	err_clear(&err);
	return storage_stat(p->mem, key, &size, NULL, &err) == 0;
}

static bool
committed(struct place *p, int i)
{
	char key[STORAGE_KEY_MAX];

	label_key(p, p->commits[i].label, "commit", key);
	return exists(p, key);
}

static struct commit *
backup(struct place *p, int to)
{
	struct commit *c = store(p);

	if (to >= 0)
		refer(p, c, &p->commits[to]);
	OK(commit_put(p->repo, c, &err));
	return c;
}

/* What would hurt: a commit that names what is not there. */
static void
all_commits_restore(struct place *p)
{
	char key[STORAGE_KEY_MAX];
	size_t k;
	int i;

	for (i = 0; i < p->n; i++) {
		const struct commit *c = &p->commits[i];

		if (!committed(p, i))
			continue;
		for (k = 0; k < c->n_packs; k++) {
			pack_key(p, &c->packs[k].id, key);
			if (!exists(p, key))
				fail_msg("%s needs %s", c->label, key);
		}
		label_key(p, c->label, "manifest-00.zst", key);
		assert_true(exists(p, key));
	}
}

struct count {
	int packs, manifests, commits, stones, intents, all;
};

static int
count_one(void *arg, const struct storage_entry *entry, struct err *e)
{
	struct count *n = arg;

	n->all++;
	n->packs += strstr(entry->name, "/pack-") != NULL;
	n->manifests += strstr(entry->name, "/manifest-") != NULL;
	n->commits += strstr(entry->name, "/commit") != NULL;
	n->stones += strncmp(entry->name, "tombstones/", 11) == 0;
	n->intents += strncmp(entry->name, "intents/", 8) == 0;
	return 0;
}

static struct count
count(struct place *p)
{
	struct count n;

	memset(&n, 0, sizeof(n));
	OK(storage_list(p->mem, FOLDER, false, count_one, &n, &err));
	return n;
}

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

/* One run of `expire`; label NULL: only the second step and garbage. */
static int
try_expire(struct place *p, const char *label, bool force, bool dry,
    struct removal_report *did, struct removal_report *marked)
{
	struct lease_params lp = { .name = lease_name(p->kind),
		.purpose = "expire" };
	struct removal_params sp = { .repo = p->repo, .inc = &p->inc,
		.kind = p->kind, .grace_us = GRACE, .labels = &label,
		.n_labels = label != NULL, .force = force, .dry_run = dry };
	struct lease *lease;
	int rc;

	err_clear(&err);
	if (lease_take(&lease, p->repo, &p->inc, &lp, &err) != 0) {
		pass_time(p, HOUR);
		return -1;
	}
	sp.lease = lease;
	rc = removal_run(&sp, did, &err);
	if (rc == 0)
		rc = removal_mark(&sp, marked, &err);
	lease_release(lease);
	pass_time(p, HOUR / 4); /* what could not be released ends */
	return rc;
}

static void
expire(struct place *p, const char *label)
{
	struct removal_report did, marked;

	/* What stood in a tombstone may have gone by this very run. */
	if (try_expire(p, label, false, false, &did, &marked) != 0 &&
	    (err.code != ERR_NOT_FOUND || did.backups == 0))
		fail_msg("expire: %s", err.msg);
}

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
	struct place *p;
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
	struct place *p;
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

static int
setup_dumps(void **state)
{
	int rc;

	next_kind = REPO_DUMP;
	rc = setup(state);
	next_kind = REPO_BACKUP;
	return rc;
}

#define REMOVAL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define DUMP_TEST(f)                                                          \
	cmocka_unit_test_setup_teardown(f, setup_dumps, teardown)

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
		DUMP_TEST(the_last_good_dump_of_each_database_stays),
		DUMP_TEST(a_dump_of_one_table_stands_in_for_no_whole_one),
		DUMP_TEST(backups_and_dumps_are_removed_apart),
		cmocka_unit_test(any_call_may_fail),
		cmocka_unit_test(any_answer_may_be_lost),
		cmocka_unit_test(no_history_loses_what_a_commit_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
