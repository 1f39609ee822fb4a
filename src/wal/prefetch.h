/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PREFETCH_H
#define WAL_PREFETCH_H

/*
 * Internal to src/wal: a process of its own that decompresses the segments
 * after the one that recovery has got, into the spool. It goes on by itself
 * while recovery takes them, and ends when there is nothing further to do:
 * at the archive's end, on any error, or when nothing was taken for a while
 * (core/detach.h). Several segments are fetched at once, so that a store over
 * a network keeps up with replay: memory is bounded by their number.
 */
#include "wal/spool.h"

struct wal_prefetch {
	struct repo *repo;
	const struct incarnation *inc;
	const struct wal_spool *spool;
	uint32_t segment_size;
	uint64_t window; /* bytes ahead; two segments at least */
};

/*
 * `segment` has been delivered: let the process know, or start it. It must
 * be called without other threads. Failure costs look-ahead only.
 */
void wal_prefetch_go(const struct wal_prefetch *p, const char *segment);

/* What the process does, in this one: for tests. Returns when it would end. */
void wal_prefetch_run(const struct wal_prefetch *p, unsigned idle_ms);

#endif
