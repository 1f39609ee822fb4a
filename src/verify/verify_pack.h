/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_PACK_H
#define VERIFY_PACK_H

/*
 * Checking a whole pack in memory: header, index, every frame (header, zstd
 * with its checksum, hash, block list), the page sums against the blocks
 * themselves, maps; of a dump's packs chunks and chunk lists. A struct
 * pack_checker serves one thread.
 */
#include "core/buf.h"
#include "core/err.h"
#include "repo/chunklist.h"
#include "repo/format.h"
#include "repo/pack.h"
#include "repo/repo.h"
#include "verify/verify_facts.h"

struct pack_checker;
struct pack_checker *pack_checker_new(struct repo *repo);
void pack_checker_free(struct pack_checker *c);

/*
 * 0: everything holds. -1: the first thing that does not (ERR_DAMAGED), or
 * that this program does not know (ERR_UNSUPPORTED). *facts, which is the
 * checker's until the next call, is set whenever header and index hold: bad
 * frames are marked in it; else it is NULL. name is for messages.
 */
int pack_check(struct pack_checker *c, const uint8_t *bytes, size_t len,
    const char *name, const struct pack_id *id, const struct incarnation *inc,
    uint32_t block_size, const struct pack_facts **facts,
    struct err *err) ERR_USE; /* block_size: of a dump's pack 0 */

/* The first half of a chunk's hash. */
uint64_t pack_half_hash(const uint8_t hash[DUMP_CHUNK_HASH_SIZE]);

/* The facts of the last check, copied. */
int pack_checker_keep(const struct pack_checker *c, struct facts_store *store,
    const struct pack_facts **out, struct err *err) ERR_USE;

/*
 * The same from page sums alone: paths and block numbers stay unknown. Of a
 * dump's pack, which has none, only types and lengths become known.
 */
int pack_check_light(struct pack_checker *c, struct pack_cache *cache,
    const struct pack_id *id, uint64_t size, uint32_t block_size,
    const struct pack_facts **facts, struct err *err) ERR_USE;

#endif
