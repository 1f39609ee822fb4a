/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/contenthash.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/hash.h"
#include "repo/keyring.h"

struct content_hash {
	struct hash_128_stream *plain;
	struct keyring_hash *keyed; /* NULL: not encrypted */
};

int
content_hash_new(struct content_hash **out, struct repo *repo,
    const uint8_t *set, struct err *err)
{
	struct content_hash *h = xcalloc(1, sizeof(*h));

	if (repo->ring != NULL &&
	    keyring_hash_new(repo, set, &h->keyed, err) != 0) {
		free(h);
		return -1;
	}
	h->plain = hash_128_stream_new();
	*out = h;
	return 0;
}

void
content_hash_add(struct content_hash *h, const void *data, size_t len)
{
	hash_128_stream_add(h->plain, data, len);
}

int
content_hash_finish(struct content_hash *h, uint8_t out[CONTENT_HASH_SIZE],
    uint8_t plain[CONTENT_HASH_SIZE], struct err *err)
{
	uint8_t own[CONTENT_HASH_SIZE];
	int rc = 0;

	hash_128_stream_finish(h->plain, own);
	h->plain = NULL;
	if (plain != NULL)
		memcpy(plain, own, sizeof(own));
	if (h->keyed == NULL)
		memcpy(out, own, sizeof(own));
	else if (keyring_hash_add(h->keyed, own, sizeof(own), err) != 0 ||
	    keyring_hash_finish(h->keyed, out, err) != 0)
		rc = -1;
	content_hash_free(h);
	return rc;
}

void
content_hash_free(struct content_hash *h)
{
	if (h == NULL)
		return;
	hash_128_stream_free(h->plain);
	keyring_hash_free(h->keyed);
	free(h);
}

uint8_t
content_hash_algorithm(const struct repo *repo)
{
	return repo->ring == NULL ? 1 : 2;
}
