/* SPDX-License-Identifier: PostgreSQL */
/* Who is in a ring, and bringing it to a further place. */
#include "config.h"

#include "repo/keyring_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

int
keyring_public_of(const uint8_t key[CRYPT_KEY],
    uint8_t public_half[CRYPT_KEY], struct err *err)
{
	struct keyring_hand hand;
	int rc = keyring_hand_of_key(&hand, key, err);

	memcpy(public_half, hand.public_half, CRYPT_KEY);
	explicit_bzero(&hand, sizeof(hand));
	return rc;
}

int
keyring_fingerprint(const uint8_t public_half[CRYPT_KEY],
    char out[KEYRING_ID_TEXT], struct err *err)
{
	uint8_t sum[SHA256_SIZE];

	if (sha256(public_half, CRYPT_KEY, sum, err) != 0)
		return -1;
	text_hex(sum, KEYRING_ID, out);
	return 0;
}

static bool
has_item(const struct keyring_list *l, const struct keyring_item *like)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->items[i].type == like->type &&
		    l->items[i].pair == like->pair &&
		    strcmp(l->items[i].id, like->id) == 0)
			return true;
	return false;
}

static bool
pair_counts(const struct keyring_list *l, uint32_t pair)
{
	struct keyring_item like = { .type = ITEM_PAIR, .pair = pair };

	return has_item(l, &like);
}

static int
look_recipient(struct repo *repo, const struct keyring_list *l,
    const char *id, const struct keyring_set *root, struct keyring_entry *out,
    struct err *err)
{
	struct keyring_person who;
	size_t i;

	if (keyring_get_recipient(repo, repo->ring->name, id, root, &who,
		err) != 0)
		return -1;
	memcpy(out->id, id, sizeof(out->id));
	memcpy(out->name, who.name, sizeof(out->name));
	out->kind = who.kind;
	out->created = who.created;
	for (i = 0; i < l->n; i++)
		out->pairs += l->items[i].type == ITEM_WRAP &&
		    strcmp(l->items[i].id, id) == 0 &&
		    pair_counts(l, l->items[i].pair);
	return keyring_fingerprint(who.public_half, out->fingerprint, err);
}

static int
look_pair(struct repo *repo, uint32_t pair, const struct keyring_set *root,
    struct keyring_entry *out, struct err *err)
{
	uint8_t public_half[CRYPT_KEY];

	out->pair = pair;
	if (keyring_look_pair(repo, repo->ring->name, pair, root, public_half,
		&out->created, err) != 0)
		return -1;
	return keyring_fingerprint(public_half, out->fingerprint, err);
}

static int
entries(struct repo *repo, bool checked, struct keyring_entry **out,
    size_t *n, struct err *err)
{
	struct keyring *k = repo->ring;
	const struct keyring_set *root;
	struct keyring_list l;
	size_t i;
	int rc = 0;

	if ((checked && keyring_unlock(repo, err) != 0) ||
	    keyring_items(repo, k->name, &l, err) != 0)
		return -1;
	root = checked ? &k->sets[0] : NULL;
	*out = xcalloc(l.n + 1, sizeof(**out));
	*n = 0;
	for (i = 0; i < l.n && rc == 0; i++) {
		const struct keyring_item *item = &l.items[i];

		if (item->type == ITEM_PAIR)
			rc = look_pair(repo, item->pair, root, &(*out)[(*n)++],
			    err);
		else if (item->type == ITEM_RECIPIENT)
			rc = look_recipient(repo, &l, item->id, root,
			    &(*out)[(*n)++], err);
	}
	free(l.items);
	if (rc != 0)
		free(*out);
	return rc;
}

int
keyring_entries(struct repo *repo, bool checked, struct keyring_entry **out,
    size_t *n, struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, entries(repo, checked, out, n,
	    err));
}

int
keyring_unvouched(struct repo *repo, char (**out)[KEYRING_ID_TEXT],
    size_t *n, struct err *err)
{
	struct keyring *k = repo->ring;
	size_t i;
	int rc;

	*out = NULL;
	*n = 0;
	keyring_lock(k);
	rc = keyring_unlock(repo, err);
	if (rc == 0)
		*out = xcalloc(k->n_sets + 1, sizeof(**out));
	for (i = 0; rc == 0 && i < k->n_sets; i++)
		if (k->sets[i].unvouched)
			text_hex(k->sets[i].id, KEYRING_ID, (*out)[(*n)++]);
	return keyring_unlock_with(k, rc);
}

static int
get_raw(const struct repo *repo, const char *key, struct buf *b, struct err *err)
{
	buf_init(b, FORMAT_TEXT_MAX + 256);
	return storage_get_all(repo->st, key, b, err);
}

static int
copy_item(const struct repo *from, struct repo *to, const char *key,
    struct err *err)
{
	struct buf b;
	int rc = get_raw(from, key, &b, err);

	if (rc == 0)
		rc = storage_put(to->st, key, b.data, b.len, err);
	buf_free(&b);
	return rc == 0 ? 0 : err_wrap(err, "keys of %s",
	    storage_url(to->st));
}

/* A number that was given twice would split the ring for good. */
static int
check_same(const struct repo *from, struct repo *to, const char *key,
    struct err *err)
{
	struct buf a, b;
	bool same = false;
	int rc;

	buf_init(&b, 1);
	rc = get_raw(from, key, &a, err);
	if (rc == 0)
		rc = get_raw(to, key, &b, err);
	if (rc == 0)
		same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
	buf_free(&a);
	buf_free(&b);
	if (rc != 0 || same)
		return rc;
	(void)err_set(err, ERR_REFUSED, "%s is another pair in %s than in "
	    "%s: both were rotated, each by itself", key,
	    storage_url(to->st), storage_url(from->st));
	return err_hint(err, "objects can go from one to the other no more; "
	    "make one of them anew, in an empty place");
}

/* Pairs after all that belongs to them: by them it counts. */
static int
copy_items(const struct repo *from, struct repo *to, const struct keyring_list *have,
    const struct keyring_list *there, struct err *err)
{
	const char *ring = from->ring->name;
	char key[STORAGE_KEY_MAX];
	size_t i;
	int pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < have->n; i++) {
			const struct keyring_item *item = &have->items[i];
			const bool is_pair = item->type == ITEM_PAIR;

			if (is_pair != (pass == 1) || (item->pair > 0 &&
			    !pair_counts(have, item->pair)))
				continue;
			keyring_key(ring, item, key);
			if (!has_item(there, item)) {
				if (copy_item(from, to, key, err) != 0)
					return -1;
			} else if (is_pair &&
			    check_same(from, to, key, err) != 0)
				return -1;
		}
	return 0;
}

int
keyring_copy(const struct repo *from, struct repo *to, struct err *err)
{
	struct keyring_list have, there = { .items = NULL };
	int rc;

	if (strcmp(from->ring->name, to->ring->name) != 0)
		return err_set(err, ERR_REFUSED, "%s and %s have not the same "
		    "keys", storage_url(from->st), storage_url(to->st));
	if (keyring_items(from, from->ring->name, &have, err) != 0)
		return -1;
	rc = keyring_items(to, from->ring->name, &there, err);
	if (rc == 0)
		rc = copy_items(from, to, &have, &there, err);
	free(have.items);
	free(there.items);
	return rc;
}
