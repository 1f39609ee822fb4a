/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHED_H
#define WAL_PUSHED_H

/*
 * Internal to src/wal: what was stored ahead of the archiver's asking.
 *
 *	STATE/pushed/REPOSITORY-SYSTEM/PLACE/NAME
 *
 * A record says: the object of this key, made of so many bytes, was durable
 * at that place, and no other content was stored under the name. It is
 * written after the put and after the listing that shows it, and it answers
 * once: it is removed when it is used. So that it does not outlive the object
 * it counts for WAL_PUSHED_MAX_US only, in the boot that wrote it (another
 * host has another). The key has cluster, major, system, name and the hash of
 * the content, which is read again before the answer (by a hash without key). One thread.
 */
#include "wal/pushfile.h"

#define WAL_PUSHED_MAX_US ((int64_t)5 * 60 * 1000000)

struct wal_pushed {
	char *dir;
	char *boot;
};

/* Makes the folder; inc: of the files. */
int wal_pushed_open(struct wal_pushed *out, const char *state_directory,
    const struct repo *repo, const struct incarnation *inc,
    struct err *err) ERR_USE;
void wal_pushed_free(struct wal_pushed *p); /* a zeroed one is fine */

/* Is there a record of the name that may still count? */
bool wal_pushed_has(const struct wal_pushed *p, const char *name);

/* A record that cannot be written is one that is missing. */
void wal_pushed_add(const struct wal_pushed *p, const struct incarnation *inc,
    const struct wal_stored *ws, const uint8_t content[WAL_HASH_SIZE],
    uint64_t length);

/*
 * The record of the name, if it is of this key's content and length and
 * counts. It is removed in any case.
 */
bool wal_pushed_take(const struct wal_pushed *p,
    const struct incarnation *inc, const struct wal_file *file,
    const uint8_t content[WAL_HASH_SIZE], uint64_t length);

/* Remove what is too old to count. */
void wal_pushed_sweep(const struct wal_pushed *p);

/*
 * Is there a record of the file that is as it stands on disk now? Contacts
 * nothing. known: id and place of the repository.
 */
bool wal_pushed_answers(const struct wal_push_file *f,
    const struct repo *known, const char *state_directory);

#endif
