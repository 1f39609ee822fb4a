/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_SHA256_H
#define CORE_SHA256_H

/*
 * SHA-256 and its HMAC (RFC 2104) by libcrypto (core/libcrypto.h). Thread
 * safe (a state: one thread).
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
#define SHA256_HMAC_KEY_MAX ((size_t)1 << 20)

/* ERR_CONFIG with a hint when libcrypto is not installed. */
int sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;

int sha256_hmac(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_SIZE], struct err *err) ERR_USE;

struct sha256_state;
int sha256_new(struct sha256_state **out, struct err *err) ERR_USE;
int sha256_add(struct sha256_state *s, const void *data, size_t len,
    struct err *err) ERR_USE;
int sha256_finish(struct sha256_state *s, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;
void sha256_free(struct sha256_state *s); /* NULL is fine */

#endif
