/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_CRC32C_H
#define CORE_CRC32C_H

/*
 * CRC-32C (Castagnoli: reflected polynomial 0x82f63b78, initial and final
 * value all ones; RFC 3720 section 12.1), the checksum that PostgreSQL puts
 * into pg_control, WAL records and backup_manifest. Uses the processor's
 * instruction where there is one. Pure and thread safe.
 */
#include <stddef.h>
#include <stdint.h>

/* The CRC of the bytes; of more bytes, given the CRC of those before. */
uint32_t crc32c(const void *data, size_t len);
uint32_t crc32c_more(uint32_t crc, const void *data, size_t len);

/* The CRC of A followed by B, from theirs and the length of B in bytes. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

/*
 * The same for many B of one length: the shift of that length is computed
 * once and costs each combination a few dozen instructions.
 */
uint32_t crc32c_shift(uint64_t len_b);
uint32_t crc32c_combine_shift(uint32_t crc_a, uint32_t crc_b, uint32_t shift);

#endif
