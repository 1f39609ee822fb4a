/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_STREAMTAR_H
#define BACKUP_STREAMTAR_H

/*
 * What BASE_BACKUP sends, as members: the archives of the tablespaces and of
 * the data directory, read with libarchive, and backup_manifest behind them.
 * Paths are below the data directory ("pg_tblspc/OID/..." for tablespaces).
 *
 *	streamtar_new(&t, replication, &begin, err);
 *	while ((rc = streamtar_next(t, &member, err)) == 1)
 *		streamtar_read(t, data, len, &got, err);
 *	streamtar_manifest(t)
 *	streamtar_free(t);
 *
 * One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "pg/replication.h"

enum streamtar_type { STREAMTAR_FILE, STREAMTAR_DIR, STREAMTAR_LINK };

struct streamtar_member {
	enum streamtar_type type;
	const char *path; /* these until the next call */
	const char *target; /* LINK */
	uint32_t mode; /* permission bits */
	int64_t mtime; /* microseconds since 2000 */
	uint64_t size; /* FILE */
};

struct streamtar;

int streamtar_new(struct streamtar **out, struct replication *r,
    const struct base_backup_begin *begin, struct err *err) ERR_USE;
void streamtar_free(struct streamtar *t); /* NULL is fine */

/* Called now and then while there is nothing to read; its error ends all. */
void streamtar_set_pulse(struct streamtar *t,
    int (*pulse)(void *arg, struct err *err), void *arg);

/* 1: *out is filled; 0: all has been received; -1: error. */
int streamtar_next(struct streamtar *t, struct streamtar_member *out,
    struct err *err) ERR_USE;

/* The member's next `len` bytes; less only at its end. */
int streamtar_read(struct streamtar *t, void *data, size_t len, size_t *got,
    struct err *err) ERR_USE;

/* Where the text of backup_manifest goes, in pieces. */
void streamtar_set_manifest(struct streamtar *t,
    int (*put)(void *arg, const void *data, size_t len, struct err *err),
    void *arg);

#endif
