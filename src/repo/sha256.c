/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/sha256.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

#define CRYPTO_FUNCTIONS(X)     \
	X(EVP_Digest)           \
	X(EVP_sha256)           \
	X(EVP_MD_CTX_new)       \
	X(EVP_MD_CTX_free)      \
	X(EVP_DigestInit_ex)    \
	X(EVP_DigestUpdate)     \
	X(EVP_DigestFinal_ex)

/* Typed as the header has them, so that a wrong call does not compile. */
static struct {
	void *library;
#define CRYPTO_POINTER(name) __typeof__(&name) name;
	CRYPTO_FUNCTIONS(CRYPTO_POINTER)
#undef CRYPTO_POINTER
	bool complete;
	char why[256];
} crypto;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
load(void)
{
	static const char *const names[] = { "libcrypto.so.3",
		"libcrypto.so.1.1" };
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		crypto.library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		if (crypto.library != NULL)
			break;
		why = dlerror();
		if (i == 0)
			(void)snprintf(crypto.why, sizeof(crypto.why), "%s",
			    why == NULL ? "?" : why);
	}
	if (crypto.library == NULL)
		return;
	crypto.complete = true;
#define CRYPTO_RESOLVE(name)                                            \
	*(void **)&crypto.name = dlsym(crypto.library, #name);          \
	crypto.complete &= crypto.name != NULL;
	CRYPTO_FUNCTIONS(CRYPTO_RESOLVE)
#undef CRYPTO_RESOLVE
}

static int
need_crypto(struct err *err)
{
	(void)pthread_once(&once, load); /* fails for bad arguments only */
	if (crypto.complete)
		return 0;
	err_set(err, ERR_CONFIG, "cannot load libcrypto: %s",
	    crypto.library == NULL ? crypto.why : "it lacks SHA-256");
	return err_hint(err, "install OpenSSL 3, on Debian: "
			     "apt-get install libssl3");
}

int
sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	unsigned size = 0;

	if (need_crypto(err) != 0)
		return -1;
	if (crypto.EVP_Digest(data, len, out, &size, crypto.EVP_sha256(),
		NULL) != 1 || size != SHA256_SIZE)
		return err_set(err, ERR_BUG, "libcrypto: EVP_Digest failed");
	return 0;
}

struct sha256_state {
	EVP_MD_CTX *context;
};

int
sha256_new(struct sha256_state **out, struct err *err)
{
	struct sha256_state *s;

	if (need_crypto(err) != 0)
		return -1;
	s = xcalloc(1, sizeof(*s));
	s->context = crypto.EVP_MD_CTX_new();
	if (s->context == NULL || crypto.EVP_DigestInit_ex(s->context,
		crypto.EVP_sha256(), NULL) != 1) {
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
	if (crypto.EVP_DigestUpdate(s->context, data, len) != 1)
		return err_set(err, ERR_BUG,
		    "libcrypto: EVP_DigestUpdate failed");
	return 0;
}

int
sha256_finish(struct sha256_state *s, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	unsigned size = 0;

	if (crypto.EVP_DigestFinal_ex(s->context, out, &size) != 1 ||
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
	crypto.EVP_MD_CTX_free(s->context); /* NULL is fine there too */
	free(s);
}
