/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_CONTROL_H
#define PG_CONTROL_H

/*
 * global/pg_control of PostgreSQL 13 to 18. Source: src/include/catalog/
 * pg_control.h of each; the CRC-32C stands at the end of the struct, whose
 * size differs by version. Decoding is pure; control_read() reads the file
 * again until its CRC holds, since the server overwrites it in place
 * (TRAPS T33).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"

#define CONTROL_FILE_SIZE 8192
#define CONTROL_PATH "global/pg_control"

enum control_state { /* DBState */
	CONTROL_STARTUP,
	CONTROL_SHUTDOWNED,
	CONTROL_SHUTDOWNED_IN_RECOVERY,
	CONTROL_SHUTDOWNING,
	CONTROL_IN_CRASH_RECOVERY,
	CONTROL_IN_ARCHIVE_RECOVERY,
	CONTROL_IN_PRODUCTION
};

struct control {
	int major; /* 13 .. 18, from pg_control_version and catalog version */
	uint32_t control_version;
	uint32_t catalog_version;
	uint64_t system_id;
	enum control_state state;
	int64_t time; /* unix seconds of the last update */
	pg_lsn checkpoint; /* of the last checkpoint record */
	pg_lsn checkpoint_redo;
	uint32_t checkpoint_timeline;
	int64_t checkpoint_time; /* unix seconds */
	pg_lsn min_recovery_point;
	uint32_t min_recovery_timeline;
	uint32_t wal_level; /* 0 minimal, 1 replica, 2 logical */
	uint32_t max_connections;
	uint32_t max_worker_processes;
	uint32_t max_wal_senders;
	uint32_t max_prepared_xacts;
	uint32_t max_locks_per_xact;
	uint32_t block_size;
	uint32_t relation_segment_blocks; /* RELSEG_SIZE: blocks a file */
	uint32_t wal_block_size;
	uint32_t wal_segment_size;
	uint32_t data_checksum_version; /* 0: off */
};

/*
 * ERR_DAMAGED: CRC wrong or too short. ERR_UNSUPPORTED: version unknown or
 * of the other byte order.
 */
int control_decode(const uint8_t *data, size_t len, struct control *out,
    struct err *err) ERR_USE;

/*
 * Read PGDATA/global/pg_control, again for up to a second while its CRC is
 * wrong. raw (CONTROL_FILE_SIZE bytes) takes the file as read, or is NULL.
 */
int control_read(const char *pgdata, struct control *out, uint8_t *raw,
    struct err *err) ERR_USE;

/*
 * Make a pg_control useless without backup_label: its checkpoint location
 * becomes one that cannot exist, the CRC is set anew. Recovery with a
 * backup_label never looks at the location; a start without one fails
 * instead of corrupting (TRAPS T90). data is CONTROL_FILE_SIZE bytes.
 */
int control_poison(uint8_t *data, struct err *err) ERR_USE;

/* The major of PGDATA/PG_VERSION ("15\n"). */
int control_read_major(const char *pgdata, int *major, struct err *err) ERR_USE;

#endif
