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
 * The file of a public half is built alike, with "dapk-backup public key 1",
 * and may be read by anybody. On a printed sheet a key has four lines, each
 * with a check of its own, so that a mistyped one is known by its number:
 *
 *	N: 16 hexadecimal digits in groups of 4, check XXXX
 *
 * XXXX: the first digits of SHA-256 over the byte N and the line's 8 bytes.
 *
 * Thread safe.
 */
#include <stdbool.h>

#include "core/buf.h"
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

int keyfile_read_public(const char *path, uint8_t public_half[CRYPT_KEY],
    struct err *err) ERR_USE;
/* A new file, as above, with mode 0644. */
int keyfile_write_public(const char *path,
    const uint8_t public_half[CRYPT_KEY], struct err *err) ERR_USE;

/* The lines for a sheet; b is the caller's to wipe. */
int keyfile_to_sheet(const uint8_t key[CRYPT_KEY], struct buf *out,
    struct err *err) ERR_USE;
/* Back; what else stands there is passed over. ERR_CONFIG names the line. */
int keyfile_from_sheet(const char *text, uint8_t key[CRYPT_KEY],
    struct err *err) ERR_USE;

#endif
