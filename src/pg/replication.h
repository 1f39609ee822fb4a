/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_REPLICATION_H
#define PG_REPLICATION_H

/*
 * BASE_BACKUP over the replication protocol, PostgreSQL 13 to 18. Source:
 * PostgreSQL's documentation, "Streaming Replication Protocol".
 *
 *	replication_open(&r, conninfo, "backup", err);
 *	replication_identify(r, &system, err);
 *	base_backup_begin(r, &params, &begin, err);
 *	while (base_backup_next(r, &event, err) == 0 &&
 *	    event.type != BASE_BACKUP_END) ...
 *	base_backup_finish(r, &end, err);
 *	base_backup_begin_free(&begin);
 *	replication_close(r);
 *
 * Closing the connection ends a backup on the server. One thread. A signal
 * (core/cancel.h) ends each wait with ERR_CANCELLED.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "pg/walname.h"

struct replication;

int replication_open(struct replication **out, const char *conninfo,
    const char *command, struct err *err) ERR_USE;
void replication_close(struct replication *r); /* NULL is fine */

struct replication_system {
	uint64_t system_id;
	uint32_t timeline;
};

int replication_identify(struct replication *r,
    struct replication_system *out, struct err *err) ERR_USE;

struct base_backup_params {
	const char *label;
	bool fast;	   /* an immediate checkpoint */
	uint64_t max_rate; /* bytes a second, 0: no limit */
	bool incremental;  /* 17 and later, after an upload */
};

struct base_backup_tablespace {
	uint32_t oid; /* 0: the data directory itself */
	char *path;   /* NULL with that */
	uint64_t size; /* bytes, about */
};

struct base_backup_begin {
	pg_lsn start_lsn;
	uint32_t timeline;
	struct base_backup_tablespace *tablespaces; /* in their order */
	size_t n_tablespaces;
};

/* Waits for the checkpoint. */
int base_backup_begin(struct replication *r,
    const struct base_backup_params *params, struct base_backup_begin *out,
    struct err *err) ERR_USE;
void base_backup_begin_free(struct base_backup_begin *b);

enum base_backup_type {
	BASE_BACKUP_ARCHIVE,  /* a tar begins: .tablespace */
	BASE_BACKUP_MANIFEST, /* backup_manifest begins */
	BASE_BACKUP_DATA,     /* of what began last: .data, .len */
	BASE_BACKUP_END
};

struct base_backup_event {
	enum base_backup_type type;
	size_t tablespace; /* index in base_backup_begin */
	const uint8_t *data; /* until the next call */
	size_t len;
};

int base_backup_next(struct replication *r, struct base_backup_event *out,
    struct err *err) ERR_USE;

struct base_backup_end {
	pg_lsn stop_lsn;
	uint32_t timeline;
	bool bad_checksums; /* the server found pages whose checksum is wrong */
};

int base_backup_finish(struct replication *r, struct base_backup_end *out,
    struct err *err) ERR_USE;

/*
 * UPLOAD_MANIFEST (17 and later), before an incremental BASE_BACKUP: begin,
 * put pieces, end.
 */
int replication_upload_begin(struct replication *r, struct err *err) ERR_USE;
int replication_upload_put(struct replication *r, const void *data, size_t len,
    struct err *err) ERR_USE;
int replication_upload_end(struct replication *r, struct err *err) ERR_USE;

#endif
