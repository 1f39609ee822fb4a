/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_EXPORT_H
#define EXPORT_EXPORT_H

/*
 * A physical backup as plain tar, laid out as pg_basebackup -Ft does it:
 * base.tar, OID.tar for each tablespace, backup_manifest beside them; with
 * the WAL that makes the backup consistent in pg_wal/ of base.tar, so that
 * what is unpacked starts on its own. A single archive (a file or a
 * descriptor) has backup_manifest in it and is for backups without
 * tablespaces.
 *
 * Every byte is checked on the way (repo/fileread.h). After an error nothing
 * is left of files; what went to a descriptor lacks global/pg_control, which
 * comes last. One thread.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "core/err.h"
#include "repo/commit.h"
#include "repo/repo.h"

/* EXPORT_AUTO: tar of a backup, custom of a dump, plain of globals. */
enum export_format {
	EXPORT_AUTO,
	EXPORT_TAR,
	EXPORT_CUSTOM,
	EXPORT_DIRECTORY,
	EXPORT_PLAIN
};

struct export_progress {
	atomic_ullong done_bytes;
	atomic_ullong total_bytes;
};

/* The one backup or dump whose label begins so, of any incarnation. */
struct export_found {
	struct incarnation inc;
	enum repo_kind kind;
	char label[FORMAT_LABEL_MAX];
};

/* cluster NULL: any. */
int export_find(struct repo *repo, const char *cluster, const char *prefix,
    struct export_found *out, struct err *err) ERR_USE;

struct export_params {
	struct repo *repo;
	const struct incarnation *inc;
	const char *label;  /* whole */
	const char *output; /* NULL: fd; NAME.tar: one file; else a directory */
	int fd;
	bool wal;
	struct export_progress *progress; /* never NULL */
	void (*tick)(void *arg);
	void *tick_arg;
};

/* *commit: the backup; free it (commit_free()) after an error too. */
int export_backup(const struct export_params *params, struct commit *commit,
    struct err *err) ERR_USE;

#endif
