/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_LIBCRYPTO_H
#define CORE_LIBCRYPTO_H

/*
 * OpenSSL's libcrypto, opened with dlopen() when first needed: linking it
 * would cost archive-push more than all its work. Thread safe; a context
 * serves one thread.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/err.h"

#define LIBCRYPTO_FUNCTIONS(X)  \
	X(EVP_Digest)           \
	X(EVP_md5)              \
	X(EVP_sha256)           \
	X(EVP_MD_CTX_new)       \
	X(EVP_MD_CTX_free)      \
	X(EVP_DigestInit_ex)    \
	X(EVP_DigestUpdate)     \
	X(EVP_DigestFinal_ex)   \
	X(HMAC)                 \
	X(EVP_aes_256_gcm)      \
	X(EVP_CIPHER_CTX_new)   \
	X(EVP_CIPHER_CTX_free)  \
	X(EVP_CIPHER_CTX_ctrl)  \
	X(EVP_CipherInit_ex)    \
	X(EVP_CipherUpdate)     \
	X(EVP_CipherFinal_ex)   \
	X(EVP_PKEY_new_raw_private_key) \
	X(EVP_PKEY_new_raw_public_key)  \
	X(EVP_PKEY_get_raw_public_key)  \
	X(EVP_PKEY_free)        \
	X(EVP_PKEY_CTX_new)     \
	X(EVP_PKEY_CTX_free)    \
	X(EVP_PKEY_derive_init) \
	X(EVP_PKEY_derive_set_peer) \
	X(EVP_PKEY_derive)      \
	X(EVP_PBE_scrypt)

/* Typed as the header has them, so that a wrong call does not compile. */
struct libcrypto {
#define LIBCRYPTO_POINTER(name) __typeof__(&name) name;
	LIBCRYPTO_FUNCTIONS(LIBCRYPTO_POINTER)
#undef LIBCRYPTO_POINTER
};

/* *out stays valid until the process ends. ERR_CONFIG: not installed. */
int libcrypto_get(const struct libcrypto **out, struct err *err) ERR_USE;

#endif
