/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_PUT_HEADERS_H
#define STORAGE_S3_PUT_HEADERS_H

/*
 * What an S3 server is told of an object that is put: encryption, class,
 * lock. Thread safe once the rules are made.
 *
 * Lock: x-amz-object-lock-mode COMPLIANCE, so that within the time nobody can
 * remove that version of the object, the account's owner included; the bucket
 * must have been made with object lock, which implies versions. A DELETE
 * (which never names a version here) then puts a delete marker: the object is
 * gone from reads and listings, counts as removed, and its locked version
 * stays underneath until the bucket's lifecycle rule takes it away after the
 * lock's end. A name under a delete marker is free: If-None-Match: * lets a
 * put pass, which becomes the current version.
 */
#include "storage/sigv4.h"
#include "storage/storage.h"

#include <stdbool.h>

#define S3_PUT_HEADERS_MAX 8

/* The settings that matter here, copied. */
struct s3_put_rules {
	char *server_side_encryption; /* NULL: not said */
	char *kms_key_id;
	char *storage_class;
	unsigned object_lock_days; /* 0: no lock */
};

void s3_put_rules_init(struct s3_put_rules *rules,
    const struct storage_settings *set);

/* Do the settings make sense? ERR_CONFIG. */
int s3_put_rules_check(const struct s3_put_rules *rules,
    struct err *err) ERR_USE;

void s3_put_rules_free(struct s3_put_rules *rules);

/*
 * Is an object of this key made to last? Leases, intents, tombstones, pins,
 * probes and marks of damage come and go: they are not locked, and are not
 * put into a storage class that has a shortest time. Pure.
 */
bool s3_put_lasts(const char *key);

/* When the lock of an object ends that is put now; 0: it gets none. Pure. */
int64_t s3_put_lock_until(const struct s3_put_rules *rules, int64_t now);

struct s3_put_headers {
	struct sigv4_pair pairs[S3_PUT_HEADERS_MAX];
	size_t n;
	char until[32]; /* what pairs point to */
	char digest[32];
};

/*
 * The headers for one object; all are signed. key is the storage's, now the
 * server's time. They are valid as long as rules and out are.
 */
int s3_put_headers(const struct s3_put_rules *rules, const char *key,
    const void *body, size_t len, int64_t now, struct s3_put_headers *out,
    struct err *err) ERR_USE;

#endif
