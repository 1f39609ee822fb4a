/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_KEYRING_H
#define REPO_KEYRING_H

/*
 * The keys of an encrypted repository (FORMAT.md, keys).
 *
 * A *pair* (X25519) is what data keys are sealed to; the newest is written
 * to. Its private half is wrapped for each *recipient*, who is a pair too:
 * of a passphrase, of a key file, or somebody else's public half. A *set* of
 * secrets (fingerprints' seed, names' key, authentication) is sealed to the
 * pair, and what this host may know of it is in its state.
 *
 *	keyring_create(repo, &secret, ring, err)	`init`, before the
 *							identity object
 *	keyring_new(&k, ring, repo->id, &unlock)	reads nothing
 *	keyring_new_data_key(repo, &key, err)		to write
 *	keyring_open_data_key(repo, pair, sealed, &key, err)	to read
 *	keyring_release(k)
 *
 * Everything is looked up when it is needed first: a passphrase costs half a
 * second, and WAL that was fetched ahead needs no key. A ring is shared by a
 * repository and its clones; functions that take the repository use its
 * storage under the ring's lock, so any thread may call them with its own.
 *
 * Errors: ERR_CONFIG with a hint when no key is given, or none that opens
 * this; ERR_DAMAGED when an object's authentication does not hold: a store
 * cannot bring in a pair, recipient or set of its own.
 */
#include "core/sha256.h"
#include "repo/crypt.h"
#include "repo/repo.h"

#define KEYRING_ID 8
#define KEYRING_ID_TEXT 17
#define KEYRING_SEALED (KEYRING_ID + CRYPT_SEALED) /* set id, then the seal */
#define KEYRING_NAME_MAX 128
#define KEYRING_HASH 16

struct keyring;

enum keyring_kind {
	KEYRING_PASSPHRASE,
	KEYRING_KEY_FILE,
	KEYRING_PUBLIC_KEY
};

/* What opens a ring; one of them, or none. Texts are copied. */
struct keyring_unlock {
	const char *passphrase;
	const char *passphrase_file;
	const char *key_file;
	const char *state_directory; /* NULL: nothing is remembered */
	/*
	 * Without any of the three: this host is to write all the same, by a
	 * set of its own, when its state does not have one.
	 */
	bool public_only;
};

/* Who is let in when a ring is made or by `keys add`. */
struct keyring_recipient {
	enum keyring_kind kind;
	char id[KEYRING_ID_TEXT]; /* out */
	char name[KEYRING_NAME_MAX];
	const char *passphrase;		  /* KEYRING_PASSPHRASE */
	const uint8_t *key;		  /* KEYRING_KEY_FILE: its secret */
	uint8_t public_half[CRYPT_KEY];	  /* KEYRING_PUBLIC_KEY: given */
	uint64_t scrypt_n;		  /* 0: CRYPT_SCRYPT_N */
};

struct data_key {
	uint8_t key[CRYPT_KEY];
	uint8_t auth[CRYPT_KEY]; /* of the set: who lacks it cannot forge */
	uint64_t seed;		 /* of the set: of fingerprints */
	uint32_t pair;
	uint8_t sealed[KEYRING_SEALED];
};

/*
 * Make a ring with its first pair, set and recipient; its name, which the
 * identity object is to have, comes out. The objects are durable and read
 * back. What an attempt that failed put is garbage under another name.
 */
int keyring_create(struct repo *repo, struct keyring_recipient *first,
    char ring[KEYRING_ID_TEXT], struct err *err) ERR_USE;

/*
 * The same, and repo->ring is that ring, which can write; what it needs for
 * that is in this host's state. With a public key alone nothing else could:
 * ERR_CONFIG when no state can be kept.
 */
int keyring_begin(struct repo *repo, struct keyring_recipient *first,
    const struct keyring_unlock *unlock, struct err *err) ERR_USE;

/*
 * Changes need a ring with a key. What is new is durable and read back before
 * it counts, and before anything is removed: after an error the ring opens as
 * before, or as after, and the same can be done again (an ERR_LOCKED tells
 * what to look at first).
 *
 * add: r->id comes out. rotate: a new pair, to which is written from now on;
 * all recipients are let in, by their public halves. revoke: this id opens
 * nothing any more, unless its owner has kept copies: what is written from
 * the next rotation on it does not open in any case. ERR_REFUSED when a pair
 * would be left that nobody opens, ERR_NOT_FOUND.
 *
 * One at a time: two that rotate while a third adds may leave the third's
 * recipient with a wrap that does not hold, which it is told (ERR_DAMAGED);
 * revoked and added again it is let in.
 */
int keyring_add(struct repo *repo, struct keyring_recipient *r,
    struct err *err) ERR_USE;
int keyring_rotate(struct repo *repo, uint32_t *pair,
    struct err *err) ERR_USE;
int keyring_revoke(struct repo *repo, const char *id,
    struct err *err) ERR_USE;

/*
 * Before keyring_rotate(): vouch for a set that a host of the public half
 * made for itself, whose data nobody reads before. 16 digits; ERR_NOT_FOUND.
 */
int keyring_accept(struct repo *repo, const char *set,
    struct err *err) ERR_USE;

/*
 * What lies in the ring of `from` and not in that of `to`, a further place
 * with the same ring, as it lies: no key is needed. What is there stays, also
 * who was revoked in `from` alone. ERR_REFUSED when the same number is another
 * pair there: both were rotated, each by itself.
 */
int keyring_copy(const struct repo *from, struct repo *to, struct err *err) ERR_USE;

/* What is in a ring, pairs first, each in the order of its number or id. */
struct keyring_entry {
	uint32_t pair;		  /* 0: a recipient */
	char id[KEYRING_ID_TEXT]; /* of a recipient */
	enum keyring_kind kind;
	char name[KEYRING_NAME_MAX];
	int64_t created;
	char fingerprint[KEYRING_ID_TEXT]; /* of the public half */
	unsigned pairs; /* that it is let in to */
};

/*
 * checked: a key opens the ring, and it speaks for all of them (an error if
 * not); else they are what the store says. The caller frees *out.
 */
int keyring_entries(struct repo *repo, bool checked,
    struct keyring_entry **out, size_t *n, struct err *err) ERR_USE;

/*
 * The sets that nobody vouches for, of a ring that a key opens:
 * keyring_accept(). The caller frees *out.
 */
int keyring_unvouched(struct repo *repo, char (**out)[KEYRING_ID_TEXT],
    size_t *n, struct err *err) ERR_USE;

/* The public half of a key file's secret: who is let in by it. */
int keyring_public_of(const uint8_t key[CRYPT_KEY],
    uint8_t public_half[CRYPT_KEY], struct err *err) ERR_USE;
/* What a person compares: 16 digits of the hash of a public half. */
int keyring_fingerprint(const uint8_t public_half[CRYPT_KEY],
    char out[KEYRING_ID_TEXT], struct err *err) ERR_USE;

/* ring: as the identity object has it; ERR_DAMAGED if it is no name of one. */
int keyring_new(struct keyring **out, const char *ring,
    const struct keyring_unlock *unlock, struct err *err) ERR_USE;
const char *keyring_name(const struct keyring *k);
/* Was a passphrase or key file given? Not that it opens anything. */
bool keyring_has_key(const struct keyring *k);
/* Before anything was read with it: what opens it, for one made without. */
void keyring_give(struct keyring *k, const struct keyring_unlock *unlock);
struct keyring *keyring_share(struct keyring *k);
void keyring_release(struct keyring *k); /* wipes; NULL is fine */

/*
 * For what cannot be done with a host's own state alone: ERR_CONFIG says at
 * once that no key is given. Nothing in a repository without a ring.
 */
int keyring_need(struct repo *repo, struct err *err) ERR_USE;

int keyring_new_data_key(struct repo *repo, struct data_key *out,
    struct err *err) ERR_USE;
int keyring_open_data_key(struct repo *repo, uint32_t pair,
    const uint8_t sealed[KEYRING_SEALED], struct data_key *out,
    struct err *err) ERR_USE;

/*
 * Keep the key of a backup or dump that this host makes, so that it can read
 * it as the next one's parent. Only the newest KEYRING_REMEMBERED are kept.
 */
#define KEYRING_REMEMBERED 128
/* First: was there a rotation? (keyring_new_data_key() asks once an hour.) */
int keyring_look(struct repo *repo, struct err *err) ERR_USE;
int keyring_remember(struct repo *repo, const struct data_key *key,
    struct err *err) ERR_USE;

/* Of the set that this host writes with. */
int keyring_seed(struct repo *repo, uint64_t *out, struct err *err) ERR_USE;

/*
 * HMAC-SHA-256 of bytes that come by and by, cut to 128 bits: a name. set:
 * whose, NULL: the one that this host writes with.
 */
struct keyring_hash;
int keyring_hash_new(struct repo *repo, const uint8_t *set,
    struct keyring_hash **out, struct err *err) ERR_USE;
int keyring_hash_add(struct keyring_hash *h, const void *data, size_t len,
    struct err *err) ERR_USE;
int keyring_hash_finish(struct keyring_hash *h, uint8_t out[KEYRING_HASH],
    struct err *err) ERR_USE;
void keyring_hash_free(struct keyring_hash *h); /* NULL is fine */

/*
 * Authentication of a text object: json ends with "\n}", and gets a last
 * member "mac". It counts the kind, the key and all that stands before.
 * The set that this host writes with comes out, for the object to name: call
 * keyring_writing_set() before the JSON is made.
 */
int keyring_writing_set(struct repo *repo, uint8_t set[KEYRING_ID],
    struct err *err) ERR_USE;
int keyring_mac_add(struct repo *repo, const char *kind, const char *key,
    struct buf *json, struct err *err) ERR_USE;
int keyring_mac_check(struct repo *repo, const uint8_t set[KEYRING_ID],
    const char *kind, const char *key, const char *json, size_t len,
    struct err *err) ERR_USE;

#endif
