/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PGMANIFEST_H
#define REPO_PGMANIFEST_H

/*
 * PostgreSQL's own backup_manifest, as a stream: what pg_verifybackup checks
 * a directory against, and what UPLOAD_MANIFEST (PostgreSQL 17) takes. Form
 * and order of the bytes: src/backend/backup/backup_manifest.c and the
 * chapter "Backup Manifest Format" of PostgreSQL's documentation.
 *
 *	pgmanifest_new(&m, major, system_id, put, arg, err)
 *	pgmanifest_file(m, path, size, mtime, crc, err)	  each file, any order
 *	pgmanifest_finish(m, timeline, start, stop, err)
 *	pgmanifest_free(m)
 *
 * Where the bytes go is the caller's: put() is called with pieces of some 64
 * kB; pgmanifest_to_buf() is one that adds them to a struct buf (arg). One
 * thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"

#define PGMANIFEST_NAME "backup_manifest"

typedef int (*pgmanifest_put)(void *arg, const void *data, size_t len,
    struct err *err);

struct pgmanifest;

/* Version 2, which states the system identifier, is that of 17 and later. */
int pgmanifest_new(struct pgmanifest **out, int major, uint64_t system_id,
    pgmanifest_put put, void *arg, struct err *err) ERR_USE;

/*
 * path: relative to the data directory, 0-terminated, any bytes (those of a
 * tablespace: pg_tblspc/OID/...). mtime: microseconds since 2000. crc: the
 * whole file's CRC-32C. Files below pg_wal do not belong here.
 */
int pgmanifest_file(struct pgmanifest *m, const char *path, uint64_t size,
    int64_t mtime, uint32_t crc, struct err *err) ERR_USE;

/* The WAL that makes the files consistent; all has been put afterwards. */
int pgmanifest_finish(struct pgmanifest *m, uint32_t timeline, pg_lsn start,
    pg_lsn stop, struct err *err) ERR_USE;
void pgmanifest_free(struct pgmanifest *m); /* NULL is fine */

int pgmanifest_to_buf(void *arg, const void *data, size_t len,
    struct err *err) ERR_USE;

#endif
