/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PUTTER_H
#define REPO_PUTTER_H

/*
 * Puts sealed packs into the repository in its own threads, so that waiting
 * for the disk goes on beside compression. A bounded number of packs is kept
 * in memory, three, or over a network nine while they are no more than 72 MiB
 * together: who seals one more waits.
 *
 *	putter_new(&p, repo, &inc, err);
 *	shared.put = putter_put; shared.put_arg = p;	(any thread)
 *	putter_finish(p, err);		all are durable
 *	putter_packs(p, &n);
 *	putter_free(p);
 *
 * All but putter_put() belong to one thread, the owner.
 */
#include "core/err.h"
#include "repo/pack.h"
#include "repo/repo.h"

struct putter;

int putter_new(struct putter **out, struct repo *repo,
    const struct incarnation *inc, struct err *err) ERR_USE;

/* struct pack_shared's put. */
int putter_put(void *arg, const struct pack_id *id,
    struct object_writer *object, struct err *err) ERR_USE;

/* Wait until every pack given is durable. */
int putter_finish(struct putter *p, struct err *err) ERR_USE;

/* Has putting failed? For who waits for something else meanwhile. */
int putter_check(struct putter *p, struct err *err) ERR_USE;

struct putter_pack {
	uint64_t size;	/* 0: no such pack */
	uint64_t plain; /* of files' content and maps in it */
};

/* After putter_finish(): the packs by number. */
const struct putter_pack *putter_packs(const struct putter *p, size_t *n);

/* Drops what is not put yet. NULL is fine. */
void putter_free(struct putter *p);

#endif
