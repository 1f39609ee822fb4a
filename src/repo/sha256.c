/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/sha256.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

/* Typed as the header has them, so that a wrong call does not compile. */
static struct {
	void *library;
	__typeof__(&EVP_Digest) digest;
	__typeof__(&EVP_sha256) sha256;
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
	*(void **)&crypto.digest = dlsym(crypto.library, "EVP_Digest");
	*(void **)&crypto.sha256 = dlsym(crypto.library, "EVP_sha256");
}

int
sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err)
{
	unsigned size = 0;

	(void)pthread_once(&once, load); /* fails for bad arguments only */
	if (crypto.library == NULL || crypto.digest == NULL ||
	    crypto.sha256 == NULL) {
		err_set(err, ERR_CONFIG, "cannot load libcrypto: %s",
		    crypto.library == NULL ? crypto.why :
					     "it lacks EVP_Digest");
		return err_hint(err, "install OpenSSL 3, on Debian: "
				     "apt-get install libssl3");
	}
	if (crypto.digest(data, len, out, &size, crypto.sha256(), NULL) != 1 ||
	    size != SHA256_SIZE)
		return err_set(err, ERR_BUG, "libcrypto: EVP_Digest failed");
	return 0;
}
