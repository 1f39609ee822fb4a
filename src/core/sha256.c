/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/sha256.h"

#include <stdlib.h>

#include "core/libcrypto.h"
#include "core/mem.h"

int
sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	const struct libcrypto *lib;
	unsigned size = 0;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	if (lib->EVP_Digest(data, len, out, &size, lib->EVP_sha256(),
		NULL) != 1 || size != SHA256_SIZE)
		return err_set(err, ERR_BUG, "libcrypto: EVP_Digest failed");
	return 0;
}

int
sha256_hmac(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_SIZE], struct err *err)
{
	const struct libcrypto *lib;
	unsigned size = 0;

	if (key_len > SHA256_HMAC_KEY_MAX)
		return err_set(err, ERR_BUG, "a key of %zu bytes", key_len);
	if (libcrypto_get(&lib, err) != 0)
		return -1;
	if (lib->HMAC(lib->EVP_sha256(), key, (int)key_len, data, len, out,
		&size) == NULL || size != SHA256_SIZE)
		return err_set(err, ERR_BUG, "libcrypto: HMAC failed");
	return 0;
}

struct sha256_state {
	const struct libcrypto *lib;
	EVP_MD_CTX *context;
};

int
sha256_new(struct sha256_state **out, struct err *err)
{
	const struct libcrypto *lib;
	struct sha256_state *s;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	s = xcalloc(1, sizeof(*s));
	s->lib = lib;
	s->context = lib->EVP_MD_CTX_new();
	if (s->context == NULL || lib->EVP_DigestInit_ex(s->context,
		lib->EVP_sha256(), NULL) != 1) {
		sha256_free(s);
		return err_set(err, ERR_BUG,
		    "libcrypto: EVP_DigestInit_ex failed");
	}
	*out = s;
	return 0;
}

int
sha256_add(struct sha256_state *s, const void *data, size_t len,
    struct err *err)
{
	if (s->lib->EVP_DigestUpdate(s->context, data, len) != 1)
		return err_set(err, ERR_BUG,
		    "libcrypto: EVP_DigestUpdate failed");
	return 0;
}

int
sha256_finish(struct sha256_state *s, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	unsigned size = 0;

	if (s->lib->EVP_DigestFinal_ex(s->context, out, &size) != 1 ||
	    size != SHA256_SIZE)
		return err_set(err, ERR_BUG,
		    "libcrypto: EVP_DigestFinal_ex failed");
	return 0;
}

void
sha256_free(struct sha256_state *s)
{
	if (s == NULL)
		return;
	s->lib->EVP_MD_CTX_free(s->context); /* NULL is fine there too */
	free(s);
}
