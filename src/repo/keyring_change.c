/* SPDX-License-Identifier: PostgreSQL */
/* Who is let in, and what is written to: add, rotate, revoke. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/text.h"
#include "repo/keyring_private.h"

static bool
has_wrap(const struct keyring_list *l, uint32_t pair, const char *id)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->items[i].type == ITEM_WRAP &&
		    l->items[i].pair == pair && strcmp(l->items[i].id, id) == 0)
			return true;
	return false;
}

/* Wraps of all pairs for one whose object follows: by it they count. */
static int
wrap_all(struct repo *repo, const char *id,
    const uint8_t public_half[CRYPT_KEY], struct err *err)
{
	const struct keyring *k = repo->ring;
	struct keyring_item wrap = { .type = ITEM_WRAP };
	size_t i;

	memcpy(wrap.id, id, sizeof(wrap.id));
	for (i = 0; i < k->n_halves; i++) {
		wrap.pair = k->halves[i].pair;
		if (keyring_put_sealed(repo, k->name, &wrap, public_half,
			k->halves[i].half, &k->sets[0], err) != 0)
			return -1;
	}
	return 0;
}

/* Another process may have rotated while wraps were put. */
static int
check_wraps(struct repo *repo, const char *id, struct err *err)
{
	struct keyring_list l;
	size_t i;
	int rc = 0;

	if (keyring_items(repo, repo->ring->name, &l, err) != 0)
		return -1;
	for (i = 0; i < l.n && rc == 0; i++)
		if (l.items[i].type == ITEM_PAIR &&
		    !has_wrap(&l, l.items[i].pair, id)) {
			(void)err_set(err, ERR_LOCKED, "recipient %s is not let "
			    "in to pair %u, which is new or which the key given "
			    "does not open", id, l.items[i].pair);
			rc = err_hint(err, "revoke %s and add it again", id);
		}
	free(l.items);
	return rc;
}

static int
add(struct repo *repo, struct keyring_recipient *r, struct err *err)
{
	struct keyring *k = repo->ring;
	struct keyring_person who;
	int rc;

	if (keyring_unlock(repo, err) != 0)
		return -1;
	rc = keyring_make_person(repo, r, &k->sets[0], &who, err);
	if (rc == 0)
		rc = wrap_all(repo, r->id, who.public_half, err);
	if (rc == 0)
		rc = keyring_put_recipient(repo, k->name, r->id, r->name, &who,
		    &k->sets[0], err);
	if (rc == 0)
		rc = check_wraps(repo, r->id, err);
	return rc;
}

int
keyring_add(struct repo *repo, struct keyring_recipient *r, struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, add(repo, r, err));
}

/* Higher than all: also than those of a rotation that failed. */
static int
next_pair(const struct keyring_list *l, uint32_t *out, struct err *err)
{
	size_t i;

	*out = 1;
	for (i = 0; i < l->n; i++)
		if (l->items[i].pair >= *out)
			*out = l->items[i].pair + 1;
	if (*out > KEYRING_PAIR_MAX)
		return err_set(err, ERR_REFUSED, "there are no numbers left "
		    "for pairs of keys");
	return 0;
}

/* The new pair's private half, for all who are let in. */
static int
wrap_for_each(struct repo *repo, const struct keyring_list *l, uint32_t pair,
    const uint8_t half[CRYPT_KEY], struct err *err)
{
	const struct keyring *k = repo->ring;
	struct keyring_item wrap = { .type = ITEM_WRAP, .pair = pair };
	struct keyring_person who;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->items[i].type != ITEM_RECIPIENT)
			continue;
		memcpy(wrap.id, l->items[i].id, sizeof(wrap.id));
		if (keyring_get_recipient(repo, k->name, wrap.id, &k->sets[0],
			&who, err) != 0 ||
		    keyring_put_sealed(repo, k->name, &wrap, who.public_half,
			half, &k->sets[0], err) != 0)
			return -1;
	}
	return 0;
}

static int
seal_sets(struct repo *repo, uint32_t pair,
    const uint8_t public_half[CRYPT_KEY], struct err *err)
{
	const struct keyring *k = repo->ring;
	struct keyring_item item = { .type = ITEM_SECRETS, .pair = pair };
	size_t i;

	for (i = 0; i < k->n_sets; i++) {
		const struct keyring_set *set = &k->sets[i];
		const bool own = set->unvouched &&
		    memcmp(set->id, k->accepted, KEYRING_ID) != 0;

		text_hex(set->id, KEYRING_ID, item.id);
		if (keyring_put_sealed(repo, k->name, &item, public_half,
			set->master, own ? set : &k->sets[0], err) != 0)
			return -1;
	}
	return 0;
}

/* The pair's object is the last: by it all the rest counts. */
static int
put_pair(struct repo *repo, const struct keyring_list *l, uint32_t *pair,
    struct err *err)
{
	uint8_t half[CRYPT_KEY], public_half[CRYPT_KEY];
	int rc;

	rc = next_pair(l, pair, err);
	if (rc == 0)
		rc = random_bytes(half, sizeof(half), err);
	if (rc == 0)
		rc = crypt_public(half, public_half, err);
	if (rc == 0)
		rc = wrap_for_each(repo, l, *pair, half, err);
	if (rc == 0)
		rc = seal_sets(repo, *pair, public_half, err);
	if (rc == 0)
		rc = keyring_put_pair(repo, repo->ring->name, *pair,
		    public_half, &repo->ring->sets[0], err);
	explicit_bzero(half, sizeof(half));
	return rc;
}

static int
rotate(struct repo *repo, uint32_t *pair, struct err *err)
{
	struct keyring_list l;
	int rc;

	if (keyring_unlock(repo, err) != 0 ||
	    keyring_items(repo, repo->ring->name, &l, err) != 0)
		return -1;
	rc = put_pair(repo, &l, pair, err);
	free(l.items);
	if (rc != 0 && err->code == ERR_EXISTS) {
		err->code = ERR_LOCKED;
		return err_hint(err, "another process rotates: look at what "
		    "is there, and try again");
	}
	if (rc != 0)
		return -1;
	/* What is known was read before: the new pair is to be written to. */
	keyring_forget(repo->ring);
	return keyring_use_newest(repo, err);
}

int
keyring_rotate(struct repo *repo, uint32_t *pair, struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, rotate(repo, pair, err));
}

/* Somebody else who is let in to it, and whom the root set speaks for. */
static int
somebody_else(struct repo *repo, const struct keyring_list *l, uint32_t pair,
    const char *id, bool *is, struct err *err)
{
	const struct keyring *k = repo->ring;
	struct keyring_person who;
	size_t i;

	*is = false;
	for (i = 0; i < l->n && !*is; i++) {
		const struct keyring_item *r = &l->items[i];

		if (r->type != ITEM_RECIPIENT || strcmp(r->id, id) == 0 ||
		    !has_wrap(l, pair, r->id))
			continue;
		if (keyring_get_recipient(repo, k->name, r->id, &k->sets[0],
			&who, err) != 0)
			return -1;
		*is = true;
	}
	return 0;
}

static int
check_others(struct repo *repo, const struct keyring_list *l, const char *id,
    struct err *err)
{
	bool is;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->items[i].type != ITEM_PAIR)
			continue;
		if (somebody_else(repo, l, l->items[i].pair, id, &is,
			err) != 0)
			return -1;
		if (is)
			continue;
		(void)err_set(err, ERR_REFUSED, "nobody but recipient %s could "
		    "open pair %u: what was written to it would be lost", id,
		    l->items[i].pair);
		return err_hint(err, "add another key first");
	}
	return 0;
}

/* The recipient first: without it, wraps mean nothing. Again is fine. */
static int
remove_recipient(struct repo *repo, const struct keyring_list *l,
    const char *id, struct err *err)
{
	struct keyring_item item = { .type = ITEM_RECIPIENT };
	char key[STORAGE_KEY_MAX];
	bool found = false;
	size_t i;

	for (i = 0; i < l->n; i++)
		found |= l->items[i].type != ITEM_SECRETS &&
		    strcmp(l->items[i].id, id) == 0;
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "there is no recipient %s "
		    "in %s", id, storage_url(repo->st));
	memcpy(item.id, id, sizeof(item.id));
	keyring_key(repo->ring->name, &item, key);
	if (storage_remove(repo->st, key, err) != 0)
		return -1;
	for (i = 0; i < l->n; i++) {
		if (l->items[i].type != ITEM_WRAP ||
		    strcmp(l->items[i].id, id) != 0)
			continue;
		keyring_key(repo->ring->name, &l->items[i], key);
		if (storage_remove(repo->st, key, err) != 0)
			return -1;
	}
	return 0;
}

static int
revoke(struct repo *repo, const char *id, struct err *err)
{
	struct keyring_list l;
	uint8_t bytes[KEYRING_ID];
	int rc;

	if (!text_unhex(id, bytes, sizeof(bytes)))
		return err_set(err, ERR_USAGE, "'%.40s' is no recipient's id",
		    id);
	if (keyring_unlock(repo, err) != 0 ||
	    keyring_items(repo, repo->ring->name, &l, err) != 0)
		return -1;
	rc = check_others(repo, &l, id, err);
	if (rc == 0)
		rc = remove_recipient(repo, &l, id, err);
	free(l.items);
	return rc;
}

int
keyring_revoke(struct repo *repo, const char *id, struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, revoke(repo, id, err));
}
