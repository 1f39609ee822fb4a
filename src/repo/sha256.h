/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_SHA256_H
#define REPO_SHA256_H

/*
 * SHA-256 by libcrypto, which is opened when first needed: linking it would
 * cost archive-push more than all its work. Thread safe (a state: one
 * thread).
 *
 *	sha256(data, len, out, err)		of bytes at hand
 *
 *	sha256_new(&s, err)			of bytes that come by and by
 *	sha256_add(s, data, len, err)
 *	sha256_finish(s, out, err)		once, and nothing after it
 *	sha256_free(s)
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SHA256_SIZE 32

/* ERR_CONFIG with a hint when libcrypto is not installed. */
int sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;

struct sha256_state;
int sha256_new(struct sha256_state **out, struct err *err) ERR_USE;
int sha256_add(struct sha256_state *s, const void *data, size_t len,
    struct err *err) ERR_USE;
int sha256_finish(struct sha256_state *s, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;
void sha256_free(struct sha256_state *s); /* NULL is fine */

#endif
