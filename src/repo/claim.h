/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_CLAIM_H
#define REPO_CLAIM_H

/*
 * What keeps a backup or dump and the removal of others apart: the lease, the
 * intent, and a look after the commit.
 *
 *	claim_take(&claim, repo, &inc, kind, lease_ms, err);
 *	claim_intend(&claim, label, attempt, parent, err);
 *	lease_renew(claim.lease, err);		often
 *	claim_commit(&claim, &commit, err);
 *	claim_end(&claim, label);
 *
 * One thread.
 */
#include "core/err.h"
#include "repo/commit.h"
#include "repo/intent.h"
#include "repo/lease.h"

struct claim {
	struct repo *repo;
	struct incarnation inc;
	enum repo_kind kind;
	struct lease *lease;
	char intent[INTENT_ID_TEXT]; /* "": none */
	bool unknown; /* whether the commit is there: see claim_commit() */
};

/* ERR_LOCKED when another process, on whatever host, has the lease. */
int claim_take(struct claim *c, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, uint64_t lease_ms,
    struct err *err) ERR_USE;

/* The same for who makes none itself: "copy", in messages. */
int claim_take_for(struct claim *c, struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, const char *purpose,
    uint64_t lease_ms, struct err *err) ERR_USE;

/* Before the first reference to the parent's packs; parent "": none. */
int claim_intend(struct claim *c, const char *label, uint32_t attempt,
    const char *parent, struct err *err) ERR_USE;

/*
 * Puts the commit, with the lease confirmed before and after it.
 *
 * A store may obey and its answer be lost: after whatever error the object is
 * read back, a few times, and if the same bytes are there that is success.
 * When they are not, the error is the put's. When that cannot be known the
 * error says so, and c->unknown is true: then what the commit would name must
 * stay.
 *
 * When the lease was not held until the commit was there a removal may have
 * gone on meanwhile, and what the commit refers to is looked at again. When
 * something is missing or in a tombstone the commit is taken back:
 * ERR_LOCKED, as when another commit has appeared under the label.
 */
int claim_commit(struct claim *c, const struct commit *commit,
    struct err *err) ERR_USE;

/* The same with the object's bytes as they are: another place's. */
int claim_commit_bytes(struct claim *c, const struct commit *commit,
    const void *data, size_t len, struct err *err) ERR_USE;

/*
 * Ends intent and lease; also of a zeroed one. label: intents of dead attempts
 * of this backup, which is committed, go too; NULL: none.
 */
void claim_end(struct claim *c, const char *label);

/* Only the intent, as above: the lease is held for another one. */
void claim_end_intent(struct claim *c, const char *label);

#endif
