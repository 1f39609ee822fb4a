/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/crypt.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/libcrypto.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/sha256.h"

#define SEAL_INFO "dapk-backup seal 1 "

struct crypt_cipher {
	const struct libcrypto *lib;
	EVP_CIPHER_CTX *context;
	uint8_t key[CRYPT_KEY];
};

static int
failed(const char *function, struct err *err)
{
	return err_set(err, ERR_BUG, "libcrypto: %s failed", function);
}

int
crypt_cipher_new(struct crypt_cipher **out, const uint8_t key[CRYPT_KEY],
    struct err *err)
{
	const struct libcrypto *lib;
	struct crypt_cipher *c;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	c = xcalloc(1, sizeof(*c));
	c->lib = lib;
	memcpy(c->key, key, CRYPT_KEY);
	c->context = lib->EVP_CIPHER_CTX_new();
	/* The schedule of the key is made here, once for either direction. */
	if (c->context == NULL || lib->EVP_CipherInit_ex(c->context,
		lib->EVP_aes_256_gcm(), NULL, c->key, NULL, 1) != 1) {
		crypt_cipher_free(c);
		return failed("EVP_CipherInit_ex", err);
	}
	*out = c;
	return 0;
}

void
crypt_cipher_free(struct crypt_cipher *c)
{
	if (c == NULL)
		return;
	c->lib->EVP_CIPHER_CTX_free(c->context); /* wipes; NULL is fine */
	explicit_bzero(c, sizeof(*c));
	free(c);
}

/* Nonce and additional data, in either direction. */
static int
begin(struct crypt_cipher *c, const uint8_t nonce[CRYPT_NONCE],
    const struct crypt_aad *aad, size_t len, int encrypt, struct err *err)
{
	int n;

	if (len > INT_MAX || (aad != NULL && aad->len > INT_MAX))
		return err_set(err, ERR_BUG, "%zu bytes to encrypt", len);
	if (c->lib->EVP_CipherInit_ex(c->context, NULL, NULL, NULL, nonce,
		encrypt) != 1)
		return failed("EVP_CipherInit_ex", err);
	if (aad != NULL && aad->len > 0 && c->lib->EVP_CipherUpdate(c->context,
		NULL, &n, aad->data, (int)aad->len) != 1)
		return failed("EVP_CipherUpdate", err);
	return 0;
}

int
crypt_encrypt(struct crypt_cipher *c, const uint8_t nonce[CRYPT_NONCE],
    const struct crypt_aad *aad, const void *in, size_t len, void *out,
    struct err *err)
{
	uint8_t *to = out, none[CRYPT_TAG];
	int n = 0, rest;

	if (begin(c, nonce, aad, len, 1, err) != 0)
		return -1;
	if (len > 0 && (c->lib->EVP_CipherUpdate(c->context, to, &n, in,
		(int)len) != 1 || (size_t)n != len))
		return failed("EVP_CipherUpdate", err);
	/* GCM has no rest; but a place for one must be given. */
	if (c->lib->EVP_CipherFinal_ex(c->context, none, &rest) != 1 ||
	    rest != 0)
		return failed("EVP_CipherFinal_ex", err);
	if (c->lib->EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_GET_TAG,
		CRYPT_TAG, to + len) != 1)
		return failed("EVP_CIPHER_CTX_ctrl", err);
	return 0;
}

int
crypt_decrypt(struct crypt_cipher *c, const uint8_t nonce[CRYPT_NONCE],
    const struct crypt_aad *aad, const void *in, size_t len, void *out,
    struct err *err)
{
	uint8_t tag[CRYPT_TAG], none[CRYPT_TAG];
	int n = 0, rest;
	size_t plain;

	if (len < CRYPT_TAG)
		return err_set(err, ERR_DAMAGED,
		    "%zu bytes are too few for encrypted ones", len);
	plain = len - CRYPT_TAG;
	if (begin(c, nonce, aad, plain, 0, err) != 0)
		return -1;
	memcpy(tag, (const uint8_t *)in + plain, CRYPT_TAG);
	if (plain > 0 && (c->lib->EVP_CipherUpdate(c->context, out, &n, in,
		(int)plain) != 1 || (size_t)n != plain)) {
		explicit_bzero(out, plain);
		return failed("EVP_CipherUpdate", err);
	}
	if (c->lib->EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_TAG,
		CRYPT_TAG, tag) == 1 &&
	    c->lib->EVP_CipherFinal_ex(c->context, none, &rest) == 1)
		return 0;
	if (plain > 0)
		explicit_bzero(out, plain);
	return err_set(err, ERR_DAMAGED, "it was changed, or was encrypted "
	    "by another key or for another place");
}

/* HMAC of previous block, info, counter: RFC 5869 section 2.3. */
static int
hkdf_block(const uint8_t prk[SHA256_SIZE], const struct crypt_hkdf *h,
    uint8_t t[SHA256_SIZE], unsigned number, struct err *err)
{
	uint8_t in[SHA256_SIZE + CRYPT_HKDF_INFO_MAX + 1];
	size_t len = 0;
	int rc;

	if (number > 1) {
		memcpy(in, t, SHA256_SIZE);
		len = SHA256_SIZE;
	}
	if (h->info_len > 0)
		memcpy(in + len, h->info, h->info_len);
	len += h->info_len;
	in[len++] = (uint8_t)number;
	rc = sha256_hmac(prk, SHA256_SIZE, in, len, t, err);
	explicit_bzero(in, sizeof(in));
	return rc;
}

int
crypt_hkdf(const struct crypt_hkdf *h, void *out, size_t len, struct err *err)
{
	static const uint8_t no_salt[SHA256_SIZE];
	const void *salt = h->salt_len == 0 ? no_salt : h->salt;
	uint8_t prk[SHA256_SIZE], t[SHA256_SIZE], *to = out;
	size_t salt_len = h->salt_len == 0 ? sizeof(no_salt) : h->salt_len;
	size_t take;
	unsigned number;
	int rc;

	if (len > CRYPT_HKDF_MAX || h->info_len > CRYPT_HKDF_INFO_MAX)
		return err_set(err, ERR_BUG, "a key of %zu bytes", len);
	rc = sha256_hmac(salt, salt_len, h->secret, h->secret_len, prk, err);
	for (number = 1; rc == 0 && len > 0; number++) {
		rc = hkdf_block(prk, h, t, number, err);
		take = len < sizeof(t) ? len : sizeof(t);
		if (rc == 0)
			memcpy(to, t, take);
		to += take;
		len -= take;
	}
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(t, sizeof(t));
	return rc;
}

int
crypt_scrypt(const struct crypt_scrypt *s, void *out, size_t len,
    struct err *err)
{
	const struct libcrypto *lib;
	uint64_t memory;

	if (s->n < 2 || (s->n & (s->n - 1)) != 0 || s->r == 0 || s->p == 0 ||
	    s->p > CRYPT_SCRYPT_P_MAX ||
	    s->n > CRYPT_SCRYPT_MEMORY_MAX / 128 / s->r)
		return err_set(err, ERR_REFUSED, "scrypt with n=%llu r=%u p=%u: "
		    "that is more memory or time than a passphrase is given",
		    (unsigned long long)s->n, s->r, s->p);
	if (libcrypto_get(&lib, err) != 0)
		return -1;
	/* 128 * r * (n + p + 2), and its own small change. */
	memory = 128 * (uint64_t)s->r * (s->n + s->p + 2) + (1 << 20);
	if (lib->EVP_PBE_scrypt(s->passphrase, strlen(s->passphrase), s->salt,
		s->salt_len, s->n, s->r, s->p, memory, out, len) != 1)
		return failed("EVP_PBE_scrypt", err);
	return 0;
}

int
crypt_public(const uint8_t private_half[CRYPT_KEY], uint8_t out[CRYPT_KEY],
    struct err *err)
{
	const struct libcrypto *lib;
	size_t len = CRYPT_KEY;
	EVP_PKEY *key;
	int rc;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	key = lib->EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
	    private_half, CRYPT_KEY);
	rc = key != NULL && lib->EVP_PKEY_get_raw_public_key(key, out,
	    &len) == 1 && len == CRYPT_KEY ? 0 :
	    failed("EVP_PKEY_get_raw_public_key", err);
	lib->EVP_PKEY_free(key);
	return rc;
}

static bool
all_zero(const uint8_t key[CRYPT_KEY])
{
	static const uint8_t zeros[CRYPT_KEY];

	return crypt_equal(key, zeros, CRYPT_KEY);
}

int
crypt_shared(const uint8_t private_half[CRYPT_KEY],
    const uint8_t public_half[CRYPT_KEY], uint8_t out[CRYPT_KEY],
    struct err *err)
{
	const struct libcrypto *lib;
	EVP_PKEY *own, *other;
	EVP_PKEY_CTX *context = NULL;
	size_t len = CRYPT_KEY;
	int rc = -1;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	own = lib->EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
	    private_half, CRYPT_KEY);
	other = lib->EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL,
	    public_half, CRYPT_KEY);
	if (own != NULL && other != NULL)
		context = lib->EVP_PKEY_CTX_new(own, NULL);
	if (context == NULL || lib->EVP_PKEY_derive_init(context) != 1 ||
	    lib->EVP_PKEY_derive_set_peer(context, other) != 1)
		(void)failed("EVP_PKEY_derive_init", err);
	/* libcrypto itself fails for zeros; not every build of it may. */
	else if (lib->EVP_PKEY_derive(context, out, &len) != 1 ||
	    len != CRYPT_KEY || all_zero(out))
		(void)err_set(err, ERR_DAMAGED,
		    "the public half is none that a key could have");
	else
		rc = 0;
	lib->EVP_PKEY_CTX_free(context);
	lib->EVP_PKEY_free(other);
	lib->EVP_PKEY_free(own);
	return rc;
}

/* The cipher that a seal was or is made with. */
static int
seal_cipher(struct crypt_cipher **out, const uint8_t shared[CRYPT_KEY],
    const uint8_t ephemeral[CRYPT_KEY], const uint8_t recipient[CRYPT_KEY],
    const char *context, struct err *err)
{
	uint8_t salt[2 * CRYPT_KEY], key[CRYPT_KEY];
	char info[CRYPT_HKDF_INFO_MAX] = SEAL_INFO;
	struct crypt_hkdf h = { .secret = shared, .secret_len = CRYPT_KEY,
		.salt = salt, .salt_len = sizeof(salt), .info = info };
	int rc;

	if (strlen(context) >= sizeof(info) - sizeof(SEAL_INFO))
		return err_set(err, ERR_BUG, "context %s is long", context);
	memcpy(info + sizeof(SEAL_INFO) - 1, context, strlen(context) + 1);
	h.info_len = strlen(info);
	memcpy(salt, ephemeral, CRYPT_KEY);
	memcpy(salt + CRYPT_KEY, recipient, CRYPT_KEY);
	rc = crypt_hkdf(&h, key, sizeof(key), err);
	if (rc == 0)
		rc = crypt_cipher_new(out, key, err);
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* Its key serves one message. */
static const uint8_t seal_nonce[CRYPT_NONCE];

int
crypt_seal(const uint8_t public_half[CRYPT_KEY], const char *context,
    const uint8_t secret[CRYPT_KEY], uint8_t out[CRYPT_SEALED],
    struct err *err)
{
	struct crypt_cipher *c = NULL;
	uint8_t ephemeral[CRYPT_KEY], shared[CRYPT_KEY];
	int rc = random_bytes(ephemeral, sizeof(ephemeral), err);

	if (rc == 0)
		rc = crypt_public(ephemeral, out, err);
	if (rc == 0)
		rc = crypt_shared(ephemeral, public_half, shared, err);
	if (rc == 0)
		rc = seal_cipher(&c, shared, out, public_half, context, err);
	if (rc == 0)
		rc = crypt_encrypt(c, seal_nonce, NULL, secret, CRYPT_KEY,
		    out + CRYPT_KEY, err);
	crypt_cipher_free(c);
	explicit_bzero(ephemeral, sizeof(ephemeral));
	explicit_bzero(shared, sizeof(shared));
	return rc;
}

int
crypt_open(const uint8_t private_half[CRYPT_KEY], const char *context,
    const uint8_t sealed[CRYPT_SEALED], uint8_t secret[CRYPT_KEY],
    struct err *err)
{
	struct crypt_cipher *c = NULL;
	uint8_t recipient[CRYPT_KEY], shared[CRYPT_KEY];
	int rc = crypt_public(private_half, recipient, err);

	if (rc == 0)
		rc = crypt_shared(private_half, sealed, shared, err);
	if (rc == 0)
		rc = seal_cipher(&c, shared, sealed, recipient, context, err);
	if (rc == 0)
		rc = crypt_decrypt(c, seal_nonce, NULL, sealed + CRYPT_KEY,
		    CRYPT_KEY + CRYPT_TAG, secret, err);
	crypt_cipher_free(c);
	explicit_bzero(shared, sizeof(shared));
	return rc;
}

bool
crypt_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;
	size_t i;

	for (i = 0; i < len; i++)
		differ |= (uint8_t)(x[i] ^ y[i]);
	return differ == 0;
}
