/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_MD5_H
#define CORE_MD5_H

/*
 * MD5 by libcrypto, for what S3 asks for: no protection against anybody.
 * Thread safe.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define MD5_SIZE 16

/*
 * ERR_UNSUPPORTED when this machine does not allow it (FIPS), ERR_CONFIG when
 * libcrypto is not installed.
 */
int md5(const void *data, size_t len, uint8_t out[MD5_SIZE],
    struct err *err) ERR_USE;

#endif
