/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_DATAFILE_H
#define PG_DATAFILE_H

/*
 * What a path below the data directory is: a relation's file (database,
 * filenode, fork, segment), something a base backup leaves out, or another
 * file. Source: PostgreSQL src/backend/backup/basebackup.c (excludeDirContents,
 * excludeFiles), src/backend/storage/file/reinit.c, src/common/relpath.c, 13
 * to 18. Pure and thread safe.
 *
 * Paths are relative to PGDATA, a tablespace's files under
 * "pg_tblspc/OID/PG_15_202209061/DBOID/...".
 */
#include <stdbool.h>
#include <stdint.h>

enum datafile_fork { FORK_MAIN, FORK_FSM, FORK_VM, FORK_INIT };

enum datafile_kind {
	DATAFILE_RELATION, /* pages with checksums */
	DATAFILE_TEMP_RELATION, /* tNNN_NNN: left out */
	DATAFILE_OTHER
};

struct datafile {
	enum datafile_kind kind;
	uint32_t tablespace; /* of a relation: its OID, 1663 for base/... */
	uint32_t database;   /* 0 in global/ */
	uint32_t filenode;
	enum datafile_fork fork;
	uint32_t segment; /* the .N of the name, 0 without */
};

/* Classify a regular file. */
void datafile_parse(const char *path, struct datafile *out);

/*
 * Is a base backup to leave this file out? (postmaster.pid, pg_internal.init
 * and its .PID, backup_label, pgsql_tmp*, temporary relations, signal files,
 * ...; TRAPS T42, T44, T45). Unlogged relations are the caller's: they show
 * only by an _init fork beside them (T43).
 */
bool datafile_excluded(const char *path);

/*
 * Is this directory kept but its content left out? ("pg_replslot",
 * "pg_stat_tmp", "pg_wal" and its archive_status too: WAL comes from the
 * archive.) pgsql_tmp directories are left out whole by datafile_excluded().
 */
bool datafile_dir_emptied(const char *path);

/*
 * The directory below a tablespace that this server uses, as
 * "PG_15_202209061" (TRAPS T46).
 */
#define DATAFILE_TABLESPACE_DIR_MAX 32
const char *datafile_tablespace_dir(int major, uint32_t catalog_version,
    char out[DATAFILE_TABLESPACE_DIR_MAX]);

#endif
