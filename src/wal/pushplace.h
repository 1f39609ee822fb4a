/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHPLACE_H
#define WAL_PUSHPLACE_H

/*
 * What archive-push remembers of a repository by its address, so that it can
 * answer from records of what it stored ahead (wal/push.h) without asking
 * the repository who it is, and does not wait again and again for one that
 * does not answer.
 *
 *	STATE/address/HASH-OF-THE-ADDRESS/identity	id and place
 *	STATE/address/HASH-OF-THE-ADDRESS/failing	until when
 *
 * Each opening of the repository compares: an identity is what the last real
 * contact read there, in this boot, and counts as long as a record does. When
 * another repository is found there, the records of the one before belong to
 * another id or place and are never looked at. One thread.
 */
#include "repo/repo.h"

struct wal_place {
	char *dir; /* NULL: nothing is remembered */
};

/* Never fails: what cannot be kept is not remembered. */
void wal_place_init(struct wal_place *out, const char *state_directory,
    const struct config_repository *address);
void wal_place_free(struct wal_place *p);

/*
 * Fills id_text and place_text of *out (nothing else) with what was there,
 * when that is known.
 */
bool wal_place_known(const struct wal_place *p, struct repo *out);

/* It was opened, as this. */
void wal_place_note(const struct wal_place *p, const struct repo *repo);

/* A new repository has been made there: what was before counts no more. */
void wal_place_forget(const char *state_directory,
    const struct config_repository *address);

/* It failed; for a minute it is not the first to be asked. And it did not. */
void wal_place_note_failure(const struct wal_place *p);
void wal_place_note_success(const struct wal_place *p);
bool wal_place_failing(const struct wal_place *p);

#endif
