/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_FACTS_H
#define VERIFY_FACTS_H

/*
 * What is known of a pack once it was read: of each frame which blocks of
 * which file it has, and their CRCs. Compact, since all packs of a repository
 * are kept until the last backup is proved.
 *
 * facts_store: memory that only grows, of any thread; beyond its limit it is
 * a file without a name, which the kernel pages. What was got never moves.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define FACTS_NO_LIST UINT32_MAX

struct pack_frame {
	uint64_t path_hash; /* XXH3-64 of the path */
	uint64_t first;	    /* first block, without a list; of a chunk half of
			       its hash: pack_half_hash() */
	uint32_t plain_len;
	uint32_t n;	  /* blocks; of a chunk: line feeds */
	uint32_t crcs;	  /* where its blocks' CRCs begin */
	uint32_t list;	  /* where its block numbers do, or FACTS_NO_LIST */
	uint32_t crc;	  /* of the whole frame */
	uint8_t type;
	bool bad; /* cannot be read */
};

struct pack_facts {
	const struct pack_frame *frames;
	const uint32_t *crcs;
	const uint64_t *lists;
	uint32_t n;
	uint32_t block_size;
	uint64_t plain; /* bytes of file data and maps, or chunks and lists */
	bool paths;	/* path_hash and block numbers are known; of a dump's
			   pack: all but type and length */
};

struct facts_store;
struct facts_store *facts_store_new(size_t memory);
void facts_store_free(struct facts_store *s); /* NULL is fine */

/* `len` bytes, aligned to 8. */
int facts_store_get(struct facts_store *s, size_t len, void **out,
    struct err *err) ERR_USE;

/* A copy that lives as long as the store. */
int facts_store_keep(struct facts_store *s, const struct pack_facts *f,
    uint32_t n_crcs, uint32_t n_lists, const struct pack_facts **out,
    struct err *err) ERR_USE;

#endif
