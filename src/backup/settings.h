/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_SETTINGS_H
#define BACKUP_SETTINGS_H

/*
 * The server's settings that a restore compares or shows (FORMAT.md section
 * 7), as lines of the manifest. One thread.
 */
#include "core/err.h"
#include "pg/conn.h"
#include "repo/manifest.h"

int settings_add(struct manifest_writer *manifest, struct pg_conn *conn,
    struct err *err) ERR_USE;

#endif
