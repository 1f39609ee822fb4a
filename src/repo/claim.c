/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"
#include "repo/tombstone.h"

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
	packset_free(set);
	return rc;
}

static void
take_back(const struct claim *c, const char *label)
{
	struct err err = ERR_INIT;
	char tail[FORMAT_LABEL_MAX + 32], key[STORAGE_KEY_MAX];

	(void)snprintf(tail, sizeof(tail), "%s%s/commit",
	    repo_folder(c->kind), label);
	repo_key(&c->inc, tail, key);
	if (storage_remove(c->repo->st, key, &err) != 0) {
		log_error("the commit of %s %s could not be taken back: "
		    "remove it with 'dapk-backup expire --backup=%s'",
		    repo_kind_name(c->kind), label, label);
		log_err(LOG_ERROR, &err);
	}
}

int
claim_look_back(struct claim *c, const struct commit *commit,
    struct err *err)
{
	struct err why = ERR_INIT;

	if (lease_confirm(c->lease, &why) == 0)
		return 0;
	log_warning("%s; looking whether something that this %s refers "
	    "to was removed meanwhile", why.msg, repo_kind_name(c->kind));
	if (look(c, commit, err) == 0)
		return 0;
	take_back(c, commit->label);
	err_wrap(err, "%s %s came too late", repo_kind_name(c->kind),
	    commit->label);
	return err_hint(err, "start the %s again", repo_kind_name(c->kind));
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
