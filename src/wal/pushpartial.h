/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHPARTIAL_H
#define WAL_PUSHPARTIAL_H

/*
 * Internal to src/wal: a .partial file beside others of its name. A dead
 * primary's that was salvaged and a promoted standby's have the same records
 * and different rests; to refuse the second would stop the new primary's
 * archiving for good, since PostgreSQL hands it over first.
 */
#include "wal/pushfile.h"

enum wal_partial_verdict {
	WAL_PARTIAL_BESIDE,  /* ours has more records: to be stored too */
	WAL_PARTIAL_COVERED, /* its records are in `which`, which holds */
	WAL_PARTIAL_DIVERGES /* from `which`: a conflict */
};

struct wal_partial_judgement {
	enum wal_partial_verdict verdict;
	const struct wal_stored *which; /* in the list given, or NULL */
};

/*
 * The file (fd, size bytes, of this hash) against the stored contents with
 * another hash, which are read whole. A damaged one of them is in nobody's
 * way.
 */
int wal_push_partial_judge(const struct wal_push_file *f, int fd,
    uint64_t size, const uint8_t hash[WAL_HASH_SIZE],
    const struct wal_stored *ws, size_t n,
    struct wal_partial_judgement *out, struct err *err) ERR_USE;

#endif
