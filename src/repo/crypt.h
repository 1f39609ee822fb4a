/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_CRYPT_H
#define REPO_CRYPT_H

/*
 * What encryption is built of: AES-256-GCM (NIST SP 800-38D), X25519
 * (RFC 7748), HKDF-SHA256 (RFC 5869), scrypt (RFC 7914), all by libcrypto,
 * and one construction of our own, sealing a secret to a public key
 * (FORMAT.md, keys). Pure; thread safe (a cipher: one thread). Secrets on
 * this module's stack are wiped.
 *
 * ERR_CONFIG when libcrypto is not installed, ERR_BUG when it fails;
 * ERR_DAMAGED when a key does not open what it was given.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define CRYPT_KEY 32   /* AES-256, X25519 halves, HMAC */
#define CRYPT_NONCE 12
#define CRYPT_TAG 16
#define CRYPT_SEALED 80 /* ephemeral public half, ciphertext, tag */

/* A key made ready for many messages. Freeing wipes it. */
struct crypt_cipher;

int crypt_cipher_new(struct crypt_cipher **out, const uint8_t key[CRYPT_KEY],
    struct err *err) ERR_USE;
void crypt_cipher_free(struct crypt_cipher *c); /* NULL is fine */

/* Bytes that are vouched for and not encrypted: they stand beside. */
struct crypt_aad {
	const void *data;
	size_t len;
};

/*
 * len bytes to len + CRYPT_TAG at out, which may be the place of `in`. A
 * nonce must not come again under the same key.
 */
int crypt_encrypt(struct crypt_cipher *c, const uint8_t nonce[CRYPT_NONCE],
    const struct crypt_aad *aad, const void *in, size_t len, void *out,
    struct err *err) ERR_USE;

/*
 * Back: len counts the tag, len - CRYPT_TAG bytes come out. After -1 (also
 * when it is not what was encrypted) out holds nothing of the plain bytes.
 */
int crypt_decrypt(struct crypt_cipher *c, const uint8_t nonce[CRYPT_NONCE],
    const struct crypt_aad *aad, const void *in, size_t len, void *out,
    struct err *err) ERR_USE;

/* What key material is drawn from, and for what. */
struct crypt_hkdf {
	const void *secret, *salt, *info;
	size_t secret_len, salt_len, info_len;
};

#define CRYPT_HKDF_MAX ((size_t)255 * 32)
#define CRYPT_HKDF_INFO_MAX ((size_t)256)

int crypt_hkdf(const struct crypt_hkdf *h, void *out, size_t len,
    struct err *err) ERR_USE;

/* Of a passphrase. n is a power of two; 128 * n * r bytes of memory. */
struct crypt_scrypt {
	const char *passphrase;
	const void *salt;
	size_t salt_len;
	uint64_t n;
	uint32_t r, p;
};

#define CRYPT_SCRYPT_N ((uint64_t)1 << 17)
#define CRYPT_SCRYPT_R 8u
#define CRYPT_SCRYPT_P 1u
/* More is refused (ERR_REFUSED): a hostile store could name any cost. */
#define CRYPT_SCRYPT_MEMORY_MAX ((uint64_t)1 << 30)
#define CRYPT_SCRYPT_P_MAX 16u

int crypt_scrypt(const struct crypt_scrypt *s, void *out, size_t len,
    struct err *err) ERR_USE;

/* The public half of a private one: any 32 bytes are one. */
int crypt_public(const uint8_t private_half[CRYPT_KEY],
    uint8_t out[CRYPT_KEY], struct err *err) ERR_USE;

/* X25519. A result of zeros (a point of low order) is ERR_DAMAGED. */
int crypt_shared(const uint8_t private_half[CRYPT_KEY],
    const uint8_t public_half[CRYPT_KEY], uint8_t out[CRYPT_KEY],
    struct err *err) ERR_USE;

/*
 * A secret of 32 bytes that only the holder of the private half can open,
 * and only by naming the same context: a seal is not taken for another one.
 */
int crypt_seal(const uint8_t public_half[CRYPT_KEY], const char *context,
    const uint8_t secret[CRYPT_KEY], uint8_t out[CRYPT_SEALED],
    struct err *err) ERR_USE;
int crypt_open(const uint8_t private_half[CRYPT_KEY], const char *context,
    const uint8_t sealed[CRYPT_SEALED], uint8_t secret[CRYPT_KEY],
    struct err *err) ERR_USE;

/* In a time that does not tell where they differ. */
bool crypt_equal(const void *a, const void *b, size_t len);

#endif
