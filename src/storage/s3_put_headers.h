/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_PUT_HEADERS_H
#define STORAGE_S3_PUT_HEADERS_H

/*
 * What an S3 server is told of an object that is put: encryption, class,
 * lock. Thread safe once the rules are made.
 */
#include "storage/sigv4.h"
#include "storage/storage.h"

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
void s3_put_rules_free(struct s3_put_rules *rules);

struct s3_put_headers {
	struct sigv4_pair pairs[S3_PUT_HEADERS_MAX];
	size_t n;
};

/*
 * The headers for one object; all are signed. key is the storage's, now the
 * server's time. They are valid as long as rules and out are.
 */
int s3_put_headers(const struct s3_put_rules *rules, const char *key,
    const void *body, size_t len, int64_t now, struct s3_put_headers *out,
    struct err *err) ERR_USE;

#endif
