/* SPDX-License-Identifier: PostgreSQL */
#ifndef BACKUP_SOURCE_H
#define BACKUP_SOURCE_H

/*
 * Which data directory a backup was read from (FORMAT.md section 3.2.1, the
 * commit's "source"): 32 hexadecimal digits made of the machine, the real
 * path, and the directory's inode and device. Equal digits mean the same
 * directory; one that moved, or a machine whose devices were numbered anew,
 * only costs a backup that reads everything.
 */
#include "core/err.h"

#define SOURCE_ID_TEXT 33 /* 32 digits and the 0 */

/* pgdata: a path to the data directory. Thread safe. */
int source_id(const char *pgdata, char out[SOURCE_ID_TEXT],
    struct err *err) ERR_USE;

#endif
