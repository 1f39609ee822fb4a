/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_CONTENTHASH_H
#define REPO_CONTENTHASH_H

/*
 * The hash of a WAL file's content: what its object's name holds. XXH3-128,
 * in an encrypted repository an HMAC of that, so that the name tells nothing
 * of the content (an HMAC of the content takes half as long as storing it).
 * Of bytes that come by and by:
 *
 *	content_hash_new(&h, repo, NULL, err)
 *	content_hash_add(h, data, len)		as often as needed
 *	content_hash_finish(h, hash, plain, err)	frees
 *	content_hash_free(h)			unfinished
 *
 * One thread.
 */
#include "repo/repo.h"

#define CONTENT_HASH_SIZE 16

struct content_hash;

/*
 * set: whose names they are (the first bytes of a sealed data key), NULL: the
 * one that this host writes with. Not encrypted: it does not matter.
 */
int content_hash_new(struct content_hash **out, struct repo *repo,
    const uint8_t *set, struct err *err) ERR_USE;
void content_hash_add(struct content_hash *h, const void *data, size_t len);

/* plain (or NULL): XXH3-128, for what does not leave this host. */
int content_hash_finish(struct content_hash *h,
    uint8_t out[CONTENT_HASH_SIZE], uint8_t plain[CONTENT_HASH_SIZE],
    struct err *err) ERR_USE;
void content_hash_free(struct content_hash *h); /* NULL is fine */

/* As object headers name it: 1, or 2 when it is keyed. */
uint8_t content_hash_algorithm(const struct repo *repo);

#endif
