/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHAHEAD_H
#define WAL_PUSHAHEAD_H

/*
 * Internal to src/wal: a file and those that the archiver will ask for next,
 * at once. Where each request takes its time, one after another is slow: here
 * several are on their way together, and one look at what is stored before
 * and one after serve them all. `jobs` threads compress, a few more wait for
 * the store; each has a clone of the storage and one part in memory (16 MiB
 * of content, compressed).
 */
#include "wal/pushfile.h"

/*
 * Transfers under way beside those whose file is being compressed; in all not
 * more than this unless `jobs` are: an SSH server turns away some of more than
 * ten that log in at the same moment (MaxStartups).
 */
#define WAL_AHEAD_EXTRA 4u
#define WAL_AHEAD_MAX 9u

/*
 * The contract of wal_push_file() for `first`, whose own outcome is what is
 * returned; of the others a failure is a warning. They are further complete
 * segments and .backup files of its timeline from archive_status, which must
 * be the one of `pgdata`, up to `bytes` with the first, and get records
 * (wal/pushed.h). After the first failure, or when much time has passed, no
 * more is begun.
 */
int wal_push_ahead(const struct wal_push_file *first, const char *pgdata,
    const char *state_directory, uint64_t bytes, struct wal_push_result *out,
    struct err *err) ERR_USE;

#endif
