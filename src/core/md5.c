/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/md5.h"

#include "core/libcrypto.h"

int
md5(const void *data, size_t len, uint8_t out[MD5_SIZE], struct err *err)
{
	const struct libcrypto *lib;
	unsigned size = 0;

	if (libcrypto_get(&lib, err) != 0)
		return -1;
	if (lib->EVP_Digest(data, len, out, &size, lib->EVP_md5(),
		NULL) != 1 || size != MD5_SIZE)
		return err_set(err, ERR_UNSUPPORTED,
		    "libcrypto has no MD5 on this machine");
	return 0;
}
