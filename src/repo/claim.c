/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "repo/tombstone.h"
#include "repo/walstore.h"
#include "storage/retry.h"

#define SEGMENTS_MAX 1000000 /* 16 TB of WAL during a backup */
#define LOOKS 3 /* each has the storage's own patience */
#define LOOKS_MS 30000

int
claim_take(struct claim *c, struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, uint64_t lease_ms, struct err *err)
{
	return claim_take_for(c, repo, inc, kind, repo_kind_name(kind),
	    lease_ms, err);
}

int
claim_take_for(struct claim *c, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, const char *purpose,
    uint64_t lease_ms, struct err *err)
{
	struct lease_params lp = { .name = lease_name(kind),
		.purpose = purpose, .valid_ms = lease_ms };

	memset(c, 0, sizeof(*c));
	c->repo = repo;
	c->inc = *inc;
	c->kind = kind;
	return lease_take(&c->lease, repo, inc, &lp, err);
}

int
claim_intend(struct claim *c, const char *label, uint32_t attempt,
    const char *parent, struct err *err)
{
	return intent_put(c->repo, &c->inc, c->kind, label, attempt, parent,
	    c->intent, err);
}

/* Is all there that the commit names, and none of it about to go? */
static int
check_packs(const struct claim *c, struct packset *set,
    const struct commit *commit,
    struct err *err)
{
	const struct commit_pack *p;
	struct packset_info info;
	size_t i;

	/* Tombstones first: they outlive what they name. */
	if (packset_see_tombstones(set, err) != 0)
		return -1;
	for (i = 0; i < commit->n_packs; i++) {
		p = &commit->packs[i];
		if (packset_find(set, &p->id, &info, err) != 0)
			return -1;
		if (!packset_usable(set, p, &info))
			return err_set(err, ERR_LOCKED, "pack %u of attempt "
			    "%u of %s %s has been removed, or is about to be",
			    p->id.number, p->id.attempt,
			    repo_kind_name(c->kind), p->id.label);
	}
	return 0;
}

static int
check_parts(const struct claim *c, const struct commit *commit,
    struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint64_t size;
	size_t i;

	for (i = 0; i < commit->n_parts; i++) {
		manifest_part_generation_key(&c->inc, commit->kind,
		    commit->label, i, commit->attempt - 1, key);
		if (storage_stat(c->repo->st, key, &size, NULL, err) == 0)
			continue;
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_LOCKED;
		return err_wrap(err, "the manifest has been removed");
	}
	return 0;
}

/* Is any of these, which are of one name, there to stay? */
static bool
wal_stays(const struct claim *c, const struct tombstone_set *stones,
    const struct wal_stored *list, size_t n)
{
	char key[STORAGE_KEY_MAX], folder[STORAGE_KEY_MAX];
	size_t i;

	repo_key(&c->inc, "", folder);
	for (i = 0; i < n; i++) {
		wal_store_key(&c->inc, &list[i].file, list[i].hash,
		    list[i].generation, 0, key);
		if (!tombstone_names(stones, key + strlen(folder)))
			return true;
	}
	return false;
}

/* Of the segments from start to stop, which are as good as packs. */
static int
check_segments(const struct claim *c, const struct wal_file *files, size_t n,
    struct err *err)
{
	struct tombstone_set stones = { .n = 0 };
	struct wal_stored *list = NULL;
	size_t i, k, same, n_list = 0;
	int ret = -1;

	/* Tombstones first: they outlive what they name. */
	if (tombstone_list(c->repo, &c->inc, &stones, err) != 0 ||
	    wal_store_find_many(c->repo, &c->inc, files, n, &list, &n_list,
		err) != 0)
		goto out;
	for (i = k = 0; i < n; i++, k += same) {
		for (same = 0; k + same < n_list && strcmp(files[i].name,
		    list[k + same].file.name) == 0; same++)
			;
		if (wal_stays(c, &stones, list + k, same))
			continue;
		(void)err_set(err, ERR_LOCKED, "WAL segment %s has been "
		    "removed, or is about to be", files[i].name);
		goto out;
	}
	ret = 0;
out:
	tombstone_list_free(&stones);
	free(list);
	return ret;
}

static int
check_wal(const struct claim *c, const struct commit *commit,
    struct err *err)
{
	const uint32_t size = commit->wal_segment_size;
	char name[WAL_FILE_NAME_MAX];
	struct wal_file first, last, *files;
	uint64_t from, i, n;
	int rc = 0;

	if (commit->kind == REPO_DUMP)
		return 0;
	if (wal_file_parse(commit->wal_first, &first, err) != 0 ||
	    wal_file_parse(commit->wal_last, &last, err) != 0)
		return -1;
	from = wal_segno(&first, size);
	n = wal_segno(&last, size) - from + 1;
	if (n == 0 || n > SEGMENTS_MAX)
		return err_set(err, ERR_BUG, "the commit needs WAL from %s to "
		    "%s", commit->wal_first, commit->wal_last);
	files = xcalloc(n, sizeof(*files));
	for (i = 0; i < n && rc == 0; i++) {
		wal_segment_name(first.timeline, from + i, size, name);
		rc = wal_file_parse(name, &files[i], err);
	}
	if (rc == 0)
		rc = check_segments(c, files, (size_t)n, err);
	free(files);
	return rc;
}

static int
look(const struct claim *c, const struct commit *commit, struct err *err)
{
	struct packset *set;
	int rc;

	if (packset_new(&set, c->repo, &c->inc, err) != 0)
		return -1;
	rc = check_packs(c, set, commit, err);
	if (rc == 0)
		rc = check_parts(c, commit, err);
	if (rc == 0)
		rc = check_wal(c, commit, err);
	packset_free(set);
	return rc;
}

static int
not_known(struct claim *c, const char *label, struct err *err)
{
	c->unknown = true;
	return err_wrap(err, "%s %s may or may not be committed ('dapk-backup "
	    "info' tells once the store answers)", repo_kind_name(c->kind),
	    label);
}

static int
take_back(struct claim *c, const char *label, struct err *why)
{
	struct err err = ERR_INIT;
	char key[STORAGE_KEY_MAX];

	commit_key(&c->inc, c->kind, label, key);
	if (storage_remove(c->repo->st, key, &err) != 0) {
		log_error("the commit of %s %s could not be taken back: "
		    "remove it with 'dapk-backup expire --backup=%s'",
		    repo_kind_name(c->kind), label, label);
		log_err(LOG_ERROR, &err);
		return not_known(c, label, why);
	}
	return -1;
}

/* The commit was put: was the lease held until then? */
static int
look_back(struct claim *c, const struct commit *commit, struct err *err)
{
	struct err why = ERR_INIT;

	if (lease_confirm(c->lease, &why) == 0)
		return 0;
	log_warning("%s; looking whether something that this %s refers "
	    "to was removed meanwhile", why.msg, repo_kind_name(c->kind));
	if (look(c, commit, err) == 0)
		return 0;
	err_wrap(err, "%s %s came too late", repo_kind_name(c->kind),
	    commit->label);
	err_hint(err, "start the %s again", repo_kind_name(c->kind));
	return take_back(c, commit->label, err);
}

/* What is under the name now: *there, *same. */
static int
read_back(const struct claim *c, const char *key, const void *data,
    size_t len, bool *there, bool *same, struct err *err)
{
	struct buf b;
	int ret;

	*same = false;
	*there = true;
	buf_init(&b, STORAGE_OBJECT_MAX);
	ret = storage_get_all(c->repo->st, key, &b, err);
	if (ret == 0) {
		*same = b.len == len && memcmp(b.data, data, len) == 0;
		/* It counts as stored from here on. */
		if (*same)
			ret = storage_settle(c->repo->st, key, err);
	} else if (err->code == ERR_NOT_FOUND) {
		*there = false;
		ret = 0;
	}
	buf_free(&b);
	return ret;
}

/* The put failed with *err: did the store obey it all the same? */
static int
settle_outcome(struct claim *c, const char *label, const char *key,
    const void *data, size_t len, struct err *err)
{
	struct err why = ERR_INIT;
	bool there, same;
	struct retry r;
	int tries = 1;

	retry_begin(&r, LOOKS_MS);
	while (read_back(c, key, data, len, &there, &same, &why) != 0) {
		log_err(LOG_DEBUG, &why);
		err_clear(&why);
		if (tries++ == LOOKS || lease_renew(c->lease, &why) != 0 ||
		    !retry_wait(&r, 0))
			return not_known(c, label, err);
	}
	if (there && !same)
		return err_set(err, ERR_LOCKED, "%s/%s appeared meanwhile, "
		    "with another content", storage_url(c->repo->st), key);
	if (!there) /* an error as any: nothing is committed */
		return -1;
	/* After a failed fsync(2) no later one proves anything. */
	if (err->code != ERR_EXISTS && storage_is_local(storage_url(
	    c->repo->st)))
		return not_known(c, label, err);
	log_info("the commit of %s %s is there, although putting it failed: "
	    "%s", repo_kind_name(c->kind), label, err->msg);
	err_clear(err);
	return 0;
}

int
claim_commit_bytes(struct claim *c, const struct commit *commit,
    const void *data, size_t len, struct err *err)
{
	char key[STORAGE_KEY_MAX];

	c->unknown = false;
	if (lease_confirm(c->lease, err) != 0)
		return -1;
	commit_key(&c->inc, c->kind, commit->label, key);
	if (storage_put(c->repo->st, key, data, len, err) != 0 &&
	    settle_outcome(c, commit->label, key, data, len, err) != 0)
		return -1;
	return look_back(c, commit, err);
}

int
claim_commit(struct claim *c, const struct commit *commit, struct err *err)
{
	struct buf b;
	int ret = -1;

	buf_init(&b, STORAGE_OBJECT_MAX);
	if (commit_object(c->repo, commit, &b, err) == 0)
		ret = claim_commit_bytes(c, commit, b.data, b.len, err);
	buf_free(&b);
	return ret;
}

static int
remove_intents_of(const struct claim *c, const char *label, struct err *err)
{
	struct intent *list;
	size_t i, n;
	int rc;

	rc = intent_list(c->repo, &c->inc, &list, &n, err);
	for (i = 0; i < n && rc == 0; i++)
		if (strcmp(list[i].label, label) == 0)
			rc = intent_remove(c->repo, &c->inc, list[i].id, err);
	free(list);
	return rc;
}

void
claim_end_intent(struct claim *c, const char *label)
{
	struct err err = ERR_INIT;

	if (label != NULL && remove_intents_of(c, label, &err) != 0)
		log_err(LOG_DEBUG, &err);
	err_clear(&err);

	if (c->intent[0] != '\0' &&
	    intent_remove(c->repo, &c->inc, c->intent, &err) != 0)
		log_err(LOG_DEBUG, &err); /* the removal counts it as dead */
	c->intent[0] = '\0';
}

void
claim_end(struct claim *c, const char *label)
{
	claim_end_intent(c, label);
	lease_release(c->lease);
	memset(c, 0, sizeof(*c));
}
