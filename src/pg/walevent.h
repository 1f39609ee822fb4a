/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALEVENT_H
#define PG_WALEVENT_H

/*
 * Internal to src/pg: what one whole WAL record says. Source: PostgreSQL
 * src/include/access/xlogrecord.h, xact.h, catalog/pg_control.h. Pure.
 */
#include <stddef.h>
#include <stdint.h>

#include "pg/walread.h"

#define WAL_RECORD_HEADER_SIZE 24

/* Offsets in XLogRecord. */
#define WAL_RECORD_AT_LENGTH 0
#define WAL_RECORD_AT_XID 4
#define WAL_RECORD_AT_PREV 8
#define WAL_RECORD_AT_INFO 16
#define WAL_RECORD_AT_RMGR 17
#define WAL_RECORD_AT_CRC 20

/* Page magic to major version, 0 when unknown. */
int wal_magic_major(uint16_t magic);

/*
 * Fill all of *out but lsn and end. record is len bytes, header included,
 * whose CRC holds; what does not parse is WAL_EVENT_OTHER.
 */
void wal_event_decode(const uint8_t *record, size_t len, int major,
    struct wal_event *out);

#endif
