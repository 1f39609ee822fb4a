/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAMMANIFEST_H
#define BACKUP_STREAMMANIFEST_H

/*
 * The backup_manifest that the server sends behind the files: it says what
 * was sent, with a CRC of each file, and what we have is compared with it.
 * Form: PostgreSQL's documentation, "Backup Manifest Format". One thread.
 *
 *	m = streammanifest_new();
 *	streammanifest_add(m, data, len, err);	 pieces of the text
 *	streammanifest_check(m, &received, err);
 *	streammanifest_free(m);
 */
#include "core/err.h"
#include "repo/linestore.h"

struct streammanifest;

struct streammanifest *streammanifest_new(void);
void streammanifest_free(struct streammanifest *m); /* NULL is fine */

int streammanifest_add(void *m, const void *data, size_t len,
    struct err *err) ERR_USE;

/*
 * Is each file that it names in `stored` or else in `sent` (both sorted), with
 * that size and CRC? A server that sent none is taken at its word.
 */
int streammanifest_check(struct streammanifest *m, struct linestore *stored,
    struct linestore *sent, struct err *err) ERR_USE;

#endif
