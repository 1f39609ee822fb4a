/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_KEYRING_PRIVATE_H
#define REPO_KEYRING_PRIVATE_H

/* What the parts of repo/keyring.h share. Callers hold the ring's lock. */
#include <pthread.h>

#include "repo/keyring.h"

#define KEYRING_ITEMS_MAX 100000u
#define KEYRING_PAIR_MAX 99999999u
#define KEYRING_MAC_TEXT (2 * SHA256_SIZE)

/* Of a set's master secret, by HKDF. */
struct keyring_set {
	uint8_t id[KEYRING_ID];
	uint8_t master[CRYPT_KEY];
	uint8_t auth[CRYPT_KEY], name[CRYPT_KEY];
	uint64_t seed;
	bool unvouched; /* its host made it for itself; the root set's did not */
};

struct keyring_private_half {
	uint32_t pair;
	uint8_t half[CRYPT_KEY];
};

/* What this host has made and may read. */
struct keyring_known {
	uint8_t key[CRYPT_KEY];
	uint8_t sealed[KEYRING_SEALED];
	uint32_t pair;
};

struct keyring {
	pthread_mutex_t lock;
	unsigned users;
	char name[KEYRING_ID_TEXT];
	char *passphrase, *passphrase_file, *key_file, *state_directory;
	bool public_only; /* to write, when there is no key and no state */
	uint8_t accepted[KEYRING_ID]; /* a set to vouch for by rotating */

	bool state_read;
	bool writing; /* set, pair and public_half are there */
	struct keyring_set set;
	int64_t looked; /* when keys/ was last looked at for a newer pair */
	uint32_t pair;
	uint8_t public_half[CRYPT_KEY];
	struct keyring_known known[KEYRING_REMEMBERED];
	size_t n_known;

	bool unlocked; /* private halves of all pairs that this key opens */
	struct keyring_private_half *halves;
	size_t n_halves;
	struct keyring_set *sets; /* opened; the root set is the first */
	size_t n_sets;
};

/* What a recipient's secret gives. */
struct keyring_hand {
	uint8_t half[CRYPT_KEY];  /* private */
	uint8_t vouch[CRYPT_KEY]; /* keys an HMAC; zeros of a public half */
	uint8_t public_half[CRYPT_KEY];
};

struct keyring_stretch {
	uint8_t salt[16];
	uint64_t n;
	uint32_t r, p;
};

/* An object below keys/RING/, as far as its name goes. */
struct keyring_item {
	enum { ITEM_PAIR, ITEM_RECIPIENT, ITEM_WRAP, ITEM_SECRETS } type;
	uint32_t pair;		  /* not of a recipient */
	char id[KEYRING_ID_TEXT]; /* of a recipient or a set */
};

struct keyring_list {
	struct keyring_item *items;
	size_t n;
};

struct keyring_person {
	enum keyring_kind kind;
	uint8_t public_half[CRYPT_KEY];
	struct keyring_stretch stretch;
	uint8_t vouch[SHA256_SIZE];
	bool vouched;
	char name[KEYRING_NAME_MAX];
	int64_t created;
};

/* keyring_objects.c */
int keyring_set_derive(struct keyring_set *set, const uint8_t repository[16],
    struct err *err) ERR_USE;
int keyring_vouch(const uint8_t vouch[CRYPT_KEY], const struct repo *repo,
    const struct keyring_set *root, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;
int keyring_mac_text(const struct keyring_set *set, const char *kind,
    const char *key, struct buf *json, struct err *err) ERR_USE;
int keyring_mac_verify(const struct keyring_set *set, const char *kind,
    const char *key, const char *json, size_t len, struct err *err) ERR_USE;
int keyring_items(const struct repo *repo, const char *ring,
    struct keyring_list *out, struct err *err) ERR_USE;
void keyring_key(const char *ring, const struct keyring_item *item,
    char out[STORAGE_KEY_MAX]);
int keyring_put_pair(struct repo *repo, const char *ring, uint32_t pair,
    const uint8_t public_half[CRYPT_KEY], const struct keyring_set *root,
    struct err *err) ERR_USE;
/* root NULL: its authentication is not looked at */
int keyring_get_pair(struct repo *repo, const char *ring, uint32_t pair,
    const struct keyring_set *root, uint8_t public_half[CRYPT_KEY],
    struct err *err) ERR_USE;
/* The same, with when it was made. */
int keyring_look_pair(struct repo *repo, const char *ring, uint32_t pair,
    const struct keyring_set *root, uint8_t public_half[CRYPT_KEY],
    int64_t *created, struct err *err) ERR_USE;
int keyring_put_recipient(struct repo *repo, const char *ring, const char *id,
    const char *name, const struct keyring_person *who,
    const struct keyring_set *root, struct err *err) ERR_USE;
int keyring_get_recipient(struct repo *repo, const char *ring, const char *id,
    const struct keyring_set *root, struct keyring_person *out,
    struct err *err) ERR_USE;
int keyring_put_sealed(struct repo *repo, const char *ring,
    const struct keyring_item *item, const uint8_t public_half[CRYPT_KEY],
    const uint8_t secret[CRYPT_KEY], const struct keyring_set *root,
    struct err *err) ERR_USE;
int keyring_get_sealed(struct repo *repo, const char *ring,
    const struct keyring_item *item, const uint8_t half[CRYPT_KEY],
    const struct keyring_set *root, uint8_t secret[CRYPT_KEY],
    struct err *err) ERR_USE;

/* keyring.c */
void keyring_lock(struct keyring *k);
int keyring_unlock_with(struct keyring *k, int rc); /* gives rc */
void keyring_forget(struct keyring *k); /* what a key opened */
/* Make the newest pair the one to write to, here and in the state. */
int keyring_use_newest(struct repo *repo, struct err *err) ERR_USE;
/* Gives r its id. */
int keyring_make_person(struct repo *repo, struct keyring_recipient *r,
    const struct keyring_set *root, struct keyring_person *who,
    struct err *err) ERR_USE;

/* keyring_write.c: set and pair to write with are there afterwards */
int keyring_need_writing(struct repo *repo, struct err *err) ERR_USE;
/* Is the pair still the newest? ERR_* only where that is damage. */
int keyring_look_again(struct repo *repo, struct err *err) ERR_USE;

/* keyring_unlock.c */
int keyring_hand_of_key(struct keyring_hand *out,
    const uint8_t key[CRYPT_KEY], struct err *err) ERR_USE;
int keyring_hand_of_passphrase(struct keyring_hand *out,
    const char *passphrase, const struct keyring_stretch *stretch,
    struct err *err) ERR_USE;
int keyring_unlock(struct repo *repo, struct err *err) ERR_USE;

/* keyring_state.c: that there is none, or a damaged one, is no error */
bool keyring_state_kept(struct repo *repo);
void keyring_state_read(struct repo *repo);
int keyring_state_write(struct repo *repo, struct err *err) ERR_USE;

#endif
