/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/random.h"
#include "core/secret.h"
#include "core/text.h"
#include "repo/keyring_private.h"
#include "repo/state.h"

#define DATA_KEY "data key"

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : xstrdup(text);
}

int
keyring_new(struct keyring **out, const char *ring,
    const struct keyring_unlock *unlock, struct err *err)
{
	uint8_t id[KEYRING_ID];
	struct keyring *k;

	if (!text_unhex(ring, id, sizeof(id)))
		return err_set(err, ERR_DAMAGED, "'%.40s' is no name of a key "
		    "ring", ring);
	k = xcalloc(1, sizeof(*k));
	(void)pthread_mutex_init(&k->lock, NULL); /* cannot fail on Linux */
	k->users = 1;
	memcpy(k->name, ring, sizeof(k->name));
	if (unlock != NULL)
		keyring_give(k, unlock);
	*out = k;
	return 0;
}

static void
forget_unlock(struct keyring *k)
{
	secret_text_free(k->passphrase);
	free(k->passphrase_file);
	free(k->key_file);
	free(k->state_directory);
}

void
keyring_give(struct keyring *k, const struct keyring_unlock *unlock)
{
	forget_unlock(k);
	k->passphrase = copy_text(unlock->passphrase);
	k->passphrase_file = copy_text(unlock->passphrase_file);
	k->key_file = copy_text(unlock->key_file);
	k->state_directory = copy_text(unlock->state_directory);
	k->public_only = unlock->public_only;
}

void
keyring_lock(struct keyring *k)
{
	(void)pthread_mutex_lock(&k->lock); /* ours, not recursive */
}

int
keyring_unlock_with(struct keyring *k, int rc)
{
	(void)pthread_mutex_unlock(&k->lock); /* as above */
	return rc;
}

struct keyring *
keyring_share(struct keyring *k)
{
	keyring_lock(k);
	k->users++;
	(void)keyring_unlock_with(k, 0);
	return k;
}

static void
wipe_and_free(void *p, size_t len)
{
	if (p == NULL)
		return;
	explicit_bzero(p, len);
	free(p);
}

void
keyring_forget(struct keyring *k)
{
	wipe_and_free(k->halves, k->n_halves * sizeof(*k->halves));
	wipe_and_free(k->sets, k->n_sets * sizeof(*k->sets));
	k->halves = NULL;
	k->sets = NULL;
	k->n_halves = k->n_sets = 0;
	k->unlocked = false;
}

void
keyring_release(struct keyring *k)
{
	unsigned left;

	if (k == NULL)
		return;
	keyring_lock(k);
	left = --k->users;
	(void)keyring_unlock_with(k, 0);
	if (left > 0)
		return;
	(void)pthread_mutex_destroy(&k->lock); /* nobody else has it */
	forget_unlock(k);
	keyring_forget(k);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

static int
random_id(char out[KEYRING_ID_TEXT], struct err *err)
{
	uint8_t id[KEYRING_ID];

	if (random_bytes(id, sizeof(id), err) != 0)
		return -1;
	text_hex(id, sizeof(id), out);
	return 0;
}

/* A recipient as its object says it, and its hand. */
static int
hand_of_recipient(const struct keyring_recipient *r, struct keyring_person *who,
    struct keyring_hand *hand, struct err *err)
{
	memset(who, 0, sizeof(*who));
	memset(hand, 0, sizeof(*hand));
	who->kind = r->kind;
	who->vouched = r->kind != KEYRING_PUBLIC_KEY;
	if (r->kind == KEYRING_PUBLIC_KEY) {
		memcpy(who->public_half, r->public_half, CRYPT_KEY);
		return 0;
	}
	if (r->kind == KEYRING_KEY_FILE) {
		if (keyring_hand_of_key(hand, r->key, err) != 0)
			return -1;
	} else {
		who->stretch.n = r->scrypt_n != 0 ? r->scrypt_n :
						    CRYPT_SCRYPT_N;
		who->stretch.r = CRYPT_SCRYPT_R;
		who->stretch.p = CRYPT_SCRYPT_P;
		if (random_bytes(who->stretch.salt,
			sizeof(who->stretch.salt), err) != 0 ||
		    keyring_hand_of_passphrase(hand, r->passphrase,
			&who->stretch, err) != 0)
			return -1;
	}
	memcpy(who->public_half, hand->public_half, CRYPT_KEY);
	return 0;
}

int
keyring_make_person(struct repo *repo, struct keyring_recipient *r,
    const struct keyring_set *root, struct keyring_person *who,
    struct err *err)
{
	struct keyring_hand hand;
	int rc = hand_of_recipient(r, who, &hand, err);

	if (rc == 0)
		rc = random_id(r->id, err);
	if (rc == 0 && who->vouched)
		rc = keyring_vouch(hand.vouch, repo, root, who->vouch, err);
	explicit_bzero(&hand, sizeof(hand));
	return rc;
}

/* The recipient, and pair 1 wrapped for it. */
static int
put_first(struct repo *repo, const char *ring, struct keyring_recipient *r,
    const uint8_t half[CRYPT_KEY], const struct keyring_set *root,
    struct err *err)
{
	struct keyring_item wrap = { .type = ITEM_WRAP, .pair = 1 };
	struct keyring_person who;

	if (keyring_make_person(repo, r, root, &who, err) != 0 ||
	    keyring_put_recipient(repo, ring, r->id, r->name, &who, root,
		err) != 0)
		return -1;
	memcpy(wrap.id, r->id, sizeof(wrap.id));
	return keyring_put_sealed(repo, ring, &wrap, who.public_half, half,
	    root, err);
}

/* root and public_half come out too, for who goes on with them. */
static int
create(struct repo *repo, struct keyring_recipient *first,
    char ring[KEYRING_ID_TEXT], struct keyring_set *root,
    uint8_t public_half[CRYPT_KEY], struct err *err)
{
	struct keyring_item secrets = { .type = ITEM_SECRETS, .pair = 1 };
	uint8_t half[CRYPT_KEY];
	int rc = -1;

	if (random_id(ring, err) != 0 ||
	    random_bytes(root->id, sizeof(root->id), err) != 0 ||
	    random_bytes(root->master, sizeof(root->master), err) != 0 ||
	    random_bytes(half, sizeof(half), err) != 0 ||
	    keyring_set_derive(root, repo->id, err) != 0 ||
	    crypt_public(half, public_half, err) != 0)
		goto out;
	text_hex(root->id, sizeof(root->id), secrets.id);
	if (put_first(repo, ring, first, half, root, err) == 0 &&
	    keyring_put_sealed(repo, ring, &secrets, public_half,
		root->master, root, err) == 0)
		rc = keyring_put_pair(repo, ring, 1, public_half, root, err);
out:
	explicit_bzero(half, sizeof(half));
	return rc;
}

int
keyring_create(struct repo *repo, struct keyring_recipient *first,
    char ring[KEYRING_ID_TEXT], struct err *err)
{
	struct keyring_set root = { .seed = 0 };
	uint8_t public_half[CRYPT_KEY];
	int rc = create(repo, first, ring, &root, public_half, err);

	explicit_bzero(&root, sizeof(root));
	return rc;
}

/* Whoever writes without a key lives on what is remembered. */
static int
check_state(const struct keyring_recipient *first,
    const struct keyring_unlock *unlock, struct err *err)
{
	if (first->kind != KEYRING_PUBLIC_KEY ||
	    (unlock->state_directory != NULL &&
	    state_may_keep(unlock->state_directory)))
		return 0;
	(void)err_set(err, ERR_CONFIG, "with a public key alone this host "
	    "writes by what its state directory keeps, and nothing can be "
	    "kept in %s", unlock->state_directory == NULL ? "it" :
	    unlock->state_directory);
	return err_hint(err, "run this as the user that runs PostgreSQL, with "
	    "a --state-directory of its own");
}

int
keyring_begin(struct repo *repo, struct keyring_recipient *first,
    const struct keyring_unlock *unlock, struct err *err)
{
	struct keyring_set root = { .seed = 0 };
	uint8_t public_half[CRYPT_KEY];
	char ring[KEYRING_ID_TEXT];
	struct keyring *k;
	int rc;

	if (check_state(first, unlock, err) != 0)
		return -1;
	rc = create(repo, first, ring, &root, public_half, err);
	if (rc == 0)
		rc = keyring_new(&k, ring, unlock, err);
	if (rc == 0) {
		k->set = root;
		k->pair = 1;
		memcpy(k->public_half, public_half, CRYPT_KEY);
		k->state_read = k->writing = true;
		repo->ring = k;
		rc = keyring_state_write(repo, err);
	}
	explicit_bzero(&root, sizeof(root));
	return rc;
}

bool
keyring_has_key(const struct keyring *k)
{
	return k->passphrase != NULL || k->passphrase_file != NULL ||
	    k->key_file != NULL;
}

const char *
keyring_name(const struct keyring *k)
{
	return k->name;
}

int
keyring_need(struct repo *repo, struct err *err)
{
	if (repo->ring == NULL)
		return 0;
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, keyring_unlock(repo, err));
}

static int
new_data_key(struct repo *repo, struct data_key *out, struct err *err)
{
	struct keyring *k = repo->ring;

	if (keyring_need_writing(repo, err) != 0 ||
	    random_bytes(out->key, sizeof(out->key), err) != 0)
		return -1;
	out->pair = k->pair;
	memcpy(out->auth, k->set.auth, sizeof(out->auth));
	out->seed = k->set.seed;
	memcpy(out->sealed, k->set.id, KEYRING_ID);
	return crypt_seal(k->public_half, DATA_KEY, out->key,
	    out->sealed + KEYRING_ID, err);
}

int
keyring_new_data_key(struct repo *repo, struct data_key *out,
    struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, new_data_key(repo, out, err));
}

static bool
find_known(const struct keyring *k, uint32_t pair,
    const uint8_t sealed[KEYRING_SEALED], struct data_key *out)
{
	size_t i;

	if (!k->writing || memcmp(sealed, k->set.id, KEYRING_ID) != 0)
		return false;
	for (i = 0; i < k->n_known; i++)
		if (k->known[i].pair == pair &&
		    memcmp(k->known[i].sealed, sealed, KEYRING_SEALED) == 0) {
			memcpy(out->key, k->known[i].key, CRYPT_KEY);
			memcpy(out->auth, k->set.auth, CRYPT_KEY);
			out->seed = k->set.seed;
			return true;
		}
	return false;
}

/* Of the state, or, with a key, any in the ring. */
static const struct keyring_set *
find_set(const struct keyring *k, const uint8_t id[KEYRING_ID])
{
	size_t i;

	if (k->writing && memcmp(k->set.id, id, KEYRING_ID) == 0)
		return &k->set;
	for (i = 0; i < k->n_sets; i++)
		if (memcmp(k->sets[i].id, id, KEYRING_ID) == 0)
			return &k->sets[i];
	return NULL;
}

static int
no_set(const struct repo *repo, const uint8_t id[KEYRING_ID],
    struct err *err)
{
	char text[KEYRING_ID_TEXT];

	text_hex(id, KEYRING_ID, text);
	return err_set(err, ERR_DAMAGED, "the set of secrets %s is not in "
	    "%s/keys/%s", text, storage_url(repo->st), repo->ring->name);
}

/*
 * The store could have made such a set as well: whoever has the public half
 * can.
 */
static int
check_vouched(struct repo *repo, const struct keyring_set *set,
    struct err *err)
{
	char id[KEYRING_ID_TEXT];

	if (!set->unvouched)
		return 0;
	text_hex(set->id, KEYRING_ID, id);
	(void)err_set(err, ERR_REFUSED, "it was stored in %s by the secrets "
	    "%s, for which nobody vouches: by a host that has the public key "
	    "alone and had lost its state, or by somebody else who has it",
	    storage_url(repo->st), id);
	return err_hint(err, "if that host is yours (it has said so in its log): "
	    "dapk-backup keys rotate --accept %s", id);
}

static int
unlocked_open(struct repo *repo, const uint8_t sealed[KEYRING_SEALED],
    struct data_key *out, struct err *err)
{
	const struct keyring *k = repo->ring;
	const struct keyring_set *set = find_set(k, sealed);
	size_t i;

	if (set == NULL)
		return no_set(repo, sealed, err);
	if (check_vouched(repo, set, err) != 0)
		return -1;
	memcpy(out->auth, set->auth, CRYPT_KEY);
	out->seed = set->seed;
	for (i = 0; i < k->n_halves; i++)
		if (k->halves[i].pair == out->pair)
			return crypt_open(k->halves[i].half, DATA_KEY,
			    sealed + KEYRING_ID, out->key, err);
	(void)err_set(err, ERR_CONFIG, "the key given does not open pair %u, "
	    "which this was sealed to", out->pair);
	return err_hint(err, "give another key that was let in to it");
}

static int
open_data_key(struct repo *repo, const uint8_t sealed[KEYRING_SEALED],
    struct data_key *out, struct err *err)
{
	keyring_state_read(repo);
	if (find_known(repo->ring, out->pair, sealed, out))
		return 0;
	if (keyring_unlock(repo, err) != 0)
		return -1;
	return unlocked_open(repo, sealed, out, err);
}

int
keyring_open_data_key(struct repo *repo, uint32_t pair,
    const uint8_t sealed[KEYRING_SEALED], struct data_key *out,
    struct err *err)
{
	out->pair = pair;
	memcpy(out->sealed, sealed, KEYRING_SEALED);
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, open_data_key(repo, sealed, out, err));
}

static void
know(struct keyring *k, const struct data_key *key)
{
	struct keyring_known *to;

	if (k->n_known == KEYRING_REMEMBERED) {
		memmove(&k->known[0], &k->known[1],
		    (KEYRING_REMEMBERED - 1) * sizeof(k->known[0]));
		k->n_known--;
	}
	to = &k->known[k->n_known++];
	to->pair = key->pair;
	memcpy(to->key, key->key, CRYPT_KEY);
	memcpy(to->sealed, key->sealed, KEYRING_SEALED);
}

int
keyring_accept(struct repo *repo, const char *set, struct err *err)
{
	struct keyring *k = repo->ring;
	uint8_t id[KEYRING_ID];
	bool found = false;
	size_t i;
	int rc;

	if (!text_unhex(set, id, sizeof(id)))
		return err_set(err, ERR_USAGE, "'%s' is no set of secrets: "
		    "they have 16 hexadecimal digits", set);
	keyring_lock(k);
	rc = keyring_unlock(repo, err);
	for (i = 0; rc == 0 && i < k->n_sets; i++)
		found = found || (k->sets[i].unvouched &&
		    memcmp(k->sets[i].id, id, sizeof(id)) == 0);
	if (rc == 0 && !found)
		rc = err_set(err, ERR_NOT_FOUND, "%s has no secrets %s that "
		    "nobody vouches for", storage_url(repo->st), set);
	if (rc == 0)
		memcpy(k->accepted, id, sizeof(id));
	return keyring_unlock_with(k, rc);
}

int
keyring_look(struct repo *repo, struct err *err)
{
	int rc;

	keyring_lock(repo->ring);
	rc = keyring_need_writing(repo, err);
	if (rc == 0)
		rc = keyring_look_again(repo, err);
	return keyring_unlock_with(repo->ring, rc);
}

int
keyring_remember(struct repo *repo, const struct data_key *key,
    struct err *err)
{
	struct keyring *k = repo->ring;
	int rc;

	keyring_lock(k);
	rc = keyring_need_writing(repo, err);
	if (rc == 0) {
		know(k, key);
		rc = keyring_state_write(repo, err);
	}
	return keyring_unlock_with(k, rc);
}

int
keyring_seed(struct repo *repo, uint64_t *out, struct err *err)
{
	int rc;

	keyring_lock(repo->ring);
	rc = keyring_need_writing(repo, err);
	if (rc == 0)
		*out = repo->ring->set.seed;
	return keyring_unlock_with(repo->ring, rc);
}

int
keyring_writing_set(struct repo *repo, uint8_t set[KEYRING_ID],
    struct err *err)
{
	int rc;

	keyring_lock(repo->ring);
	rc = keyring_need_writing(repo, err);
	if (rc == 0)
		memcpy(set, repo->ring->set.id, KEYRING_ID);
	return keyring_unlock_with(repo->ring, rc);
}

int
keyring_mac_add(struct repo *repo, const char *kind, const char *key,
    struct buf *json, struct err *err)
{
	int rc;

	keyring_lock(repo->ring);
	rc = keyring_need_writing(repo, err);
	if (rc == 0)
		rc = keyring_mac_text(&repo->ring->set, kind, key, json, err);
	return keyring_unlock_with(repo->ring, rc);
}

/* Any set: this host's own, or of those that a key opens. */
static int
need_set(struct repo *repo, const uint8_t id[KEYRING_ID],
    const struct keyring_set **out, struct err *err)
{
	keyring_state_read(repo);
	*out = find_set(repo->ring, id);
	if (*out != NULL)
		return 0;
	if (keyring_unlock(repo, err) != 0)
		return -1;
	*out = find_set(repo->ring, id);
	return *out != NULL ? 0 : no_set(repo, id, err);
}

static int
mac_check(struct repo *repo, const uint8_t id[KEYRING_ID], const char *kind,
    const char *key, const char *json, size_t len, struct err *err)
{
	const struct keyring_set *set;

	if (need_set(repo, id, &set, err) != 0)
		return -1;
	if (set != &repo->ring->set && check_vouched(repo, set, err) != 0)
		return -1;
	return keyring_mac_verify(set, kind, key, json, len, err);
}

int
keyring_mac_check(struct repo *repo, const uint8_t set[KEYRING_ID],
    const char *kind, const char *key, const char *json, size_t len,
    struct err *err)
{
	keyring_lock(repo->ring);
	return keyring_unlock_with(repo->ring, mac_check(repo, set, kind, key, json,
	    len, err));
}

/* RFC 2104 over SHA-256: libcrypto's own of bytes by and by is deprecated. */
struct keyring_hash {
	struct sha256_state *inner;
	uint8_t outer_pad[64];
};

static int
name_key(struct repo *repo, const uint8_t *id, uint8_t key[CRYPT_KEY],
    struct err *err)
{
	const struct keyring_set *set = &repo->ring->set;

	if (id == NULL) {
		if (keyring_need_writing(repo, err) != 0)
			return -1;
	} else if (need_set(repo, id, &set, err) != 0)
		return -1;
	memcpy(key, set->name, CRYPT_KEY);
	return 0;
}

int
keyring_hash_new(struct repo *repo, const uint8_t *set,
    struct keyring_hash **out, struct err *err)
{
	struct keyring_hash *h = xcalloc(1, sizeof(*h));
	uint8_t pad[64] = { 0 };
	size_t i;
	int rc;

	keyring_lock(repo->ring);
	rc = keyring_unlock_with(repo->ring, name_key(repo, set, pad, err));
	for (i = 0; i < sizeof(pad); i++) {
		h->outer_pad[i] = pad[i] ^ 0x5c;
		pad[i] ^= 0x36;
	}
	if (rc == 0)
		rc = sha256_new(&h->inner, err);
	if (rc == 0)
		rc = sha256_add(h->inner, pad, sizeof(pad), err);
	explicit_bzero(pad, sizeof(pad));
	if (rc == 0)
		*out = h;
	else
		keyring_hash_free(h);
	return rc;
}

int
keyring_hash_add(struct keyring_hash *h, const void *data, size_t len,
    struct err *err)
{
	return sha256_add(h->inner, data, len, err);
}

int
keyring_hash_finish(struct keyring_hash *h, uint8_t out[KEYRING_HASH],
    struct err *err)
{
	uint8_t both[64 + SHA256_SIZE], whole[SHA256_SIZE];
	int rc;

	memcpy(both, h->outer_pad, 64);
	rc = sha256_finish(h->inner, both + 64, err);
	if (rc == 0)
		rc = sha256(both, sizeof(both), whole, err);
	if (rc == 0)
		memcpy(out, whole, KEYRING_HASH);
	explicit_bzero(both, sizeof(both));
	return rc;
}

void
keyring_hash_free(struct keyring_hash *h)
{
	if (h == NULL)
		return;
	sha256_free(h->inner);
	explicit_bzero(h, sizeof(*h));
	free(h);
}
