/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_WALSUMFILE_H
#define PG_WALSUMFILE_H

/*
 * The WAL summaries of PostgreSQL 17 and later (pg_wal/summaries). Source:
 * src/common/blkreftable.c, src/backend/backup/walsummary.c: names are
 * timeline, start and end LSN; a file has a magic, for each fork of a
 * relation its limit block and its changed blocks in chunks of 65536 (a list
 * of offsets, or a bitmap when there are many), an entry of zeroes, a
 * CRC-32C. Pure and thread safe.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "pg/history.h"
#include "pg/walblocks.h"
#include "pg/walname.h"

#define WAL_SUMFILE_DIR "pg_wal/summaries"
#define WAL_SUMFILE_NAME_MAX 64

struct wal_sumfile {
	uint32_t timeline;
	pg_lsn start, end; /* records that begin in start <= LSN < end */
};

/* False: not the name of a summary. */
bool wal_sumfile_parse(const char *name, struct wal_sumfile *out);
void wal_sumfile_name(const struct wal_sumfile *f,
    char out[WAL_SUMFILE_NAME_MAX]);

/*
 * The summary to read next when everything before `from` is known: one on the
 * timeline that the path has there, which reaches furthest. *reached is where
 * it, or the timeline, ends. NULL: there is none.
 */
const struct wal_sumfile *wal_sumfile_next(const struct wal_sumfile *list,
    size_t n, const struct history *path, pg_lsn from, pg_lsn *reached);

/*
 * Check a whole file and give what it says. ERR_DAMAGED: its CRC or its
 * lengths are wrong; some changes may have been given then.
 */
int wal_sumfile_decode(const uint8_t *data, size_t len, wal_change_fn fn,
    void *arg, struct err *err) ERR_USE;

#endif
