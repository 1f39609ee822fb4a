/* SPDX-License-Identifier: PostgreSQL */
/*
 * The set and the pair that this host writes with: out of its state, by its
 * key, or, with no more than a public half, made anew.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/keyring_private.h"

/* Another host may have rotated: how long it may go unnoticed. */
#define LOOK_EVERY_US (INT64_C(3600) * 1000000)

static int
newest_pair(struct repo *repo, uint32_t *out, struct err *err)
{
	struct keyring_list l;
	size_t i;

	*out = 0;
	if (keyring_items(repo, repo->ring->name, &l, err) != 0)
		return -1;
	for (i = 0; i < l.n; i++)
		if (l.items[i].type == ITEM_PAIR && l.items[i].pair > *out)
			*out = l.items[i].pair;
	free(l.items);
	if (*out == 0)
		return err_set(err, ERR_DAMAGED, "%s has no pair of keys in "
		    "keys/%s", storage_url(repo->st), repo->ring->name);
	return 0;
}

int
keyring_use_newest(struct repo *repo, struct err *err)
{
	struct keyring *k = repo->ring;
	uint32_t newest;

	if (keyring_unlock(repo, err) != 0 ||
	    newest_pair(repo, &newest, err) != 0 ||
	    keyring_get_pair(repo, k->name, newest, &k->sets[0],
		k->public_half, err) != 0)
		return -1;
	k->pair = newest;
	k->set = k->sets[0];
	k->looked = time_now();
	k->writing = true;
	return keyring_state_write(repo, err);
}

/*
 * The pair is believed as it stands: what could vouch for it was in the
 * state. So is what this host stores from now on believed by nobody, until
 * who has a key accepts it (keyring_accept()).
 */
static int
begin_anew(struct repo *repo, struct err *err)
{
	struct keyring_item item = { .type = ITEM_SECRETS };
	struct keyring *k = repo->ring;
	struct keyring_set set = { .unvouched = true };
	int rc = -1;

	if (!keyring_state_kept(repo)) {
		(void)err_set(err, ERR_CONFIG, "with a public key alone this "
		    "host writes to %s by what its state directory keeps, and "
		    "nothing can be kept there", storage_url(repo->st));
		return err_hint(err, "name one that it owns: "
		    "--state-directory DIR");
	}
	if (newest_pair(repo, &item.pair, err) != 0 ||
	    keyring_get_pair(repo, k->name, item.pair, NULL, k->public_half,
		err) != 0 ||
	    random_bytes(set.id, sizeof(set.id), err) != 0 ||
	    random_bytes(set.master, sizeof(set.master), err) != 0 ||
	    keyring_set_derive(&set, repo->id, err) != 0)
		goto out;
	text_hex(set.id, sizeof(set.id), item.id);
	if (keyring_put_sealed(repo, k->name, &item, k->public_half,
		set.master, &set, err) != 0)
		goto out;
	k->pair = item.pair;
	k->set = set;
	k->looked = time_now();
	k->writing = true;
	rc = keyring_state_write(repo, err);
	log_warning("this host has a public key alone, and no state of %s: "
	    "what it stores from now on is by secrets of its own (set %s), "
	    "which is read by nobody until who has the key types dapk-backup "
	    "keys rotate --accept %s; the next backup is a full one",
	    storage_url(repo->st), item.id, item.id);
out:
	explicit_bzero(&set, sizeof(set));
	return rc;
}

/* That nobody is there to ask is no reason not to write. */
int
keyring_look_again(struct repo *repo, struct err *err)
{
	struct keyring *k = repo->ring;
	uint8_t half[CRYPT_KEY];
	struct err why = ERR_INIT;
	uint32_t newest;

	if (newest_pair(repo, &newest, &why) != 0) {
		log_debug("no look at newer keys: %s", why.msg);
		return 0;
	}
	if (newest > k->pair) {
		/* A set that nobody vouches for cannot tell either. */
		if (keyring_get_pair(repo, k->name, newest,
			k->set.unvouched ? NULL : &k->set, half, err) != 0)
			return -1;
		log_info("%s: written to from now on is pair %u, not %u",
		    storage_url(repo->st), newest, k->pair);
		memcpy(k->public_half, half, CRYPT_KEY);
		k->pair = newest;
	}
	k->looked = time_now();
	return keyring_state_write(repo, err);
}

int
keyring_need_writing(struct repo *repo, struct err *err)
{
	struct keyring *k = repo->ring;
	int64_t age;

	keyring_state_read(repo);
	if (!k->writing && k->public_only && k->key_file == NULL &&
	    k->passphrase_file == NULL && k->passphrase == NULL)
		return begin_anew(repo, err);
	if (!k->writing)
		return keyring_use_newest(repo, err);
	age = time_now() - k->looked;
	return age >= 0 && age < LOOK_EVERY_US ? 0 :
	    keyring_look_again(repo, err);
}
