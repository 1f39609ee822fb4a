/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_CLUSTER_H
#define WAL_CLUSTER_H

/*
 * Which cluster a WAL file belongs to, from its data directory alone: the
 * archiver may not depend on a connection or on a catalogue. Thread safe.
 */
#include "core/err.h"
#include "pg/control.h"
#include "repo/repo.h"

struct wal_cluster {
	char *pgdata;
	struct incarnation inc;
	struct control control;
};

/*
 * The data directory is `pgdata`; when that is NULL, the one whose pg_wal the
 * (absolute) path names, else the current directory. path may be NULL. The
 * directory may be a symbolic link (TRAPS T14). ERR_CONFIG when there is no
 * data directory.
 */
int wal_cluster_find(struct wal_cluster *out, const char *cluster,
    const char *pgdata, const char *path, struct err *err) ERR_USE;
void wal_cluster_free(struct wal_cluster *c); /* a zeroed one is fine */

/*
 * The data directory that a relative path (%p) belongs to. PostgreSQL runs
 * archive_command and restore_command in its data directory, while a
 * configured one may be another cluster's: that which this one was restored
 * from. So NULL (the current directory) when path is relative and a cluster
 * is here, else the configured one.
 */
const char *wal_cluster_directory(const char *configured, const char *path);

/* path as it is when absolute, else below pgdata. The caller frees. */
char *wal_cluster_path(const char *pgdata, const char *path);

/* The last part of a path, without looking at trailing slashes. */
const char *wal_base_name(const char *path);

#endif
