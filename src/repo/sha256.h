/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_SHA256_H
#define REPO_SHA256_H

/*
 * SHA-256 by libcrypto, which is opened when first needed: linking it would
 * cost archive-push more than all its work. Thread safe.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SHA256_SIZE 32

/* ERR_CONFIG with a hint when libcrypto is not installed. */
int sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE],
    struct err *err) ERR_USE;

#endif
