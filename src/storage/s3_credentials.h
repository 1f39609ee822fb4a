/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_CREDENTIALS_H
#define STORAGE_S3_CREDENTIALS_H

/*
 * The keys that S3 requests are signed with, from wherever the settings say.
 * One struct s3_credentials serves a storage and all its clones; thread safe.
 *
 *	s3_credentials_get(c, &keys, err);
 *	...					sign, send
 *	s3_credentials_refuse(c, &keys);	the server said "expired"
 *	s3_keys_free(&keys);
 */
#include "core/err.h"
#include "storage/storage.h"

struct s3_keys {
	char *id;
	char *secret;
	char *token; /* of a session; NULL: none */
};

/* Overwrites the secrets, then frees them; fine on a zeroed one. */
void s3_keys_free(struct s3_keys *keys);

struct s3_credentials;

/* ERR_CONFIG: the settings make no sense. Connects to nothing. */
int s3_credentials_new(struct s3_credentials **out,
    const struct storage_settings *set, struct err *err) ERR_USE;
void s3_credentials_free(struct s3_credentials *c); /* NULL is fine */

/* A copy of the keys of now: fetched anew shortly before they end. */
int s3_credentials_get(struct s3_credentials *c, struct s3_keys *out,
    struct err *err) ERR_USE;

/* The server takes `used` for expired: the next get fetches others. */
void s3_credentials_refuse(struct s3_credentials *c,
    const struct s3_keys *used);

/* Where the keys come from, for messages: "access-key-id of the file". */
const char *s3_credentials_source(struct s3_credentials *c);

/*
 * The region to begin with, a copy: the settings' own, that of a profile they
 * name, of AWS_REGION or AWS_DEFAULT_REGION, of the usual profile,
 * else us-east-1.
 */
char *s3_credentials_region(const struct storage_settings *set);

#endif
