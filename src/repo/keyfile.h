/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_KEYFILE_H
#define REPO_KEYFILE_H

/*
 * A key file: text of four lines, which a person can type in from paper.
 *
 *	dapk-backup key 1
 *	32 bytes as hexadecimal digits, in groups of 8, on two lines
 *	check XXXXXXXX		(the first digits of SHA-256 over the bytes)
 *
 * Thread safe.
 */
#include <stdbool.h>

#include "core/err.h"
#include "repo/crypt.h"

/*
 * ERR_CONFIG: others have rights to it, it is no key file, or a digit is
 * wrong. ERR_NOT_FOUND, ERR_IO.
 */
int keyfile_read(const char *path, uint8_t key[CRYPT_KEY],
    struct err *err) ERR_USE;

/* Is it one, by its first line? Not that it is whole, nor who may read it. */
bool keyfile_is(const char *path);

/* A new file, mode 0600, durable. ERR_EXISTS: it is there, and untouched. */
int keyfile_write(const char *path, const uint8_t key[CRYPT_KEY],
    struct err *err) ERR_USE;

#endif
