/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_REMOVAL_H
#define FIXTURE_REMOVAL_H

/* Backups or dumps that refer to each other, and their removal. */

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

static inline int
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

static inline int
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

static inline uint32_t
chance(struct place *p, uint32_t n)
{
	p->seed = p->seed * 1664525u + 1013904223u;
	return (p->seed >> 8) % n;
}

static inline void
pass_time(struct place *p, int64_t us)
{
	p->clock += us;
	storage_mem_clock(p->mem, p->clock);
}

static inline void
put_bytes(struct place *p, const char *key, size_t len)
{
	uint8_t bytes[256] = { 0 };

	OK(storage_put(p->mem, key, bytes, len, &err));
}

static inline void
pack_key(struct place *p, const struct pack_id *id, char *key)
{
	repo_pack_key(&p->inc, id, key);
}

static inline void
label_key(struct place *p, const char *label, const char *tail, char *key)
{
	(void)snprintf(key, STORAGE_KEY_MAX, FOLDER "%s%s/%s",
	    repo_folder(p->kind), label, tail);
}

static inline void
make_label(int i, char label[FORMAT_LABEL_MAX])
{
	(void)snprintf(label, FORMAT_LABEL_MAX, "20261101T%06dZ-%016d",
	    i, i);
}

static inline void
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
static inline struct commit *
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
static inline void
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

static inline bool
exists(struct place *p, const char *key)
{
	uint64_t size;

	err_clear(&err);
	return storage_stat(p->mem, key, &size, NULL, &err) == 0;
}

static inline bool
committed(struct place *p, int i)
{
	char key[STORAGE_KEY_MAX];

	label_key(p, p->commits[i].label, "commit", key);
	return exists(p, key);
}

static inline struct commit *
backup(struct place *p, int to)
{
	struct commit *c = store(p);

	if (to >= 0)
		refer(p, c, &p->commits[to]);
	OK(commit_put(p->repo, c, &err));
	return c;
}

/* What would hurt: a commit that names what is not there. */
static inline void
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

static inline int
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

static inline struct count
count(struct place *p)
{
	struct count n;

	memset(&n, 0, sizeof(n));
	OK(storage_list(p->mem, FOLDER, false, count_one, &n, &err));
	return n;
}

/* One run of `expire`; label NULL: only the second step and garbage. */
static inline int
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

static inline void
expire(struct place *p, const char *label)
{
	struct removal_report did, marked;

	/* What stood in a tombstone may have gone by this very run. */
	if (try_expire(p, label, false, false, &did, &marked) != 0 &&
	    (err.code != ERR_NOT_FOUND || did.backups == 0))
		fail_msg("expire: %s", err.msg);
}

static inline int
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

#endif
