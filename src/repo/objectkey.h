/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_OBJECTKEY_H
#define REPO_OBJECTKEY_H

/*
 * The key of one object in an encrypted repository (FORMAT.md section 4.4):
 * made of the data key of its attempt and of what the object is, so that a
 * frame opens in its own object only, whoever moves it. Its header is in
 * clear, and vouched for by a mac. Pure.
 *
 *	object_key_derive(&key, &data_key, &header, err)
 *	object_key_seal(&key, &data_key, &header, err)	then encode the header
 *	object_key_check(&key, sum, &header, err)	who has read it
 */
#include "core/err.h"
#include "repo/crypt.h"
#include "repo/format.h"

#define OBJECT_KEY_SUM 32

struct data_key; /* repo/keyring.h */

struct object_key {
	uint32_t id; /* the pair that its data key is sealed to; 0: no key */
	uint8_t key[CRYPT_KEY];
};

/* Of h count type, ids, name, part, attempt and number. */
int object_key_derive(struct object_key *out, const struct data_key *key,
    const struct object_header *h, struct err *err) ERR_USE;

/* Fills in cipher, key id, data key and mac: all else is there. */
int object_key_seal(const struct object_key *key, const struct data_key *data,
    struct object_header *h, struct err *err) ERR_USE;

/* What the mac counts of an encoded header, kept until there is a key. */
int object_key_sum(const uint8_t *header, size_t len,
    uint8_t sum[OBJECT_KEY_SUM], struct err *err) ERR_USE;
int object_key_check(const struct object_key *key,
    const uint8_t sum[OBJECT_KEY_SUM], const struct object_header *h,
    struct err *err) ERR_USE;

#endif
