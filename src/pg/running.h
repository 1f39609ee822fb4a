/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_RUNNING_H
#define PG_RUNNING_H

/*
 * Is a server running on a data directory, or using a directory beside it?
 * As far as this host and this user can tell. Thread safe.
 */
#include <limits.h>
#include <stdbool.h>

#include "core/err.h"

/*
 * ERR_REFUSED when postmaster.pid names a live process that is, or may be,
 * the directory's server, or when processes of a dead one are still attached
 * to its shared memory. A file that a crash left is fine.
 */
int running_refuse(const char *pgdata, struct err *err) ERR_USE;

/*
 * Does a running server of another data directory than `except` have its
 * pg_wal or a tablespace at (or is its data directory) `path`? Its data
 * directory comes out. A copy of a data directory has the original's links.
 */
bool running_uses(const char *path, const char *except, char out[PATH_MAX]);

#endif
