/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_CONFFILES_H
#define BACKUP_CONFFILES_H

/*
 * Configuration files that are in use but stand outside the data directory,
 * as Debian has them: config_file, hba_file, ident_file, and what they
 * include. One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "backup/entries.h"
#include "core/err.h"
#include "pg/conn.h"

#define CONFFILES_DIR "dapk-backup-config" /* in the data directory */
#define CONFFILES_PREFIX CONFFILES_DIR "/"
#define CONFFILES_MAX 1000
#define CONFFILE_SIZE_MAX ((size_t)16 << 20)

struct conffile {
	char *origin; /* absolute path on the server */
	char *path;   /* in the backup: CONFFILES_PREFIX... */
	const char *setting; /* "config_file", ..., or "include" */
};

struct conffiles {
	struct conffile *list; /* ascending by path */
	size_t n;
	const char *pgdata; /* names that are taken there are not given */
};

/*
 * A restore leaves CONFFILES_DIR in the data directory it makes. Does the
 * server use what is in it? Else it is a copy of what is found elsewhere now,
 * and must not come into a backup under the same names.
 */
int conffiles_dir_used(struct pg_conn *conn, const char *pgdata, bool *used,
    struct err *err) ERR_USE;

/* dir_used: as conffiles_dir_used() said when the plan was made. */
int conffiles_find(struct conffiles *out, struct pg_conn *conn,
    const char *pgdata, bool dir_used, struct err *err) ERR_USE;
void conffiles_free(struct conffiles *c); /* also of a zeroed one */

/* Find them and put them into the backup, with their lines. */
int conffiles_add(struct entries *entries, struct pg_conn *conn,
    const char *pgdata, bool dir_used, struct err *err) ERR_USE;

/*
 * Name in the backup of a file in use: its base name, with the directory's
 * before it when that is not `main_dir` (include directories); a number
 * makes it unlike those in the list. Caller frees. Pure.
 */
char *conffiles_name(const struct conffiles *c, const char *origin,
    const char *main_dir);

#endif
