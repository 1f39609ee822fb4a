/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_PAGE_H
#define PG_PAGE_H

/*
 * Data pages and their checksums. Source: PostgreSQL
 * src/include/storage/bufpage.h and checksum_impl.h (13 to 18), whose
 * algorithm is described there; the code here is our own. Pure, thread safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/walname.h"

#define PAGE_SIZE_MIN 1024
#define PAGE_SIZE_MAX 32768
#define PAGE_HEADER_SIZE 24

/*
 * The checksum that a page of `size` bytes (a power of two) must carry at
 * block number `block`, counted from the relation's beginning, not the
 * file's (TRAPS T38).
 */
uint16_t page_checksum(const uint8_t *page, size_t size, uint32_t block);

/* pd_checksum as stored, pd_lsn as stored. */
uint16_t page_stored_checksum(const uint8_t *page);
pg_lsn page_lsn(const uint8_t *page);

/* All zero: valid, PostgreSQL extends relations so (TRAPS T37). */
bool page_is_zero(const uint8_t *page, size_t size);

enum page_state {
	PAGE_OK,
	PAGE_ZERO,
	PAGE_BAD_CHECKSUM,
	PAGE_BAD_HEADER /* PageHeaderIsValid() of the server would fail */
};

/* with_checksum: the cluster has data checksums; otherwise only the header. */
enum page_state page_verify(const uint8_t *page, size_t size, uint32_t block,
    bool with_checksum);

#endif
