/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_DUMP_H
#define EXPORT_DUMP_H

/*
 * A logical dump in one of pg_dump's own formats, for pg_restore and psql.
 *
 * What is read of the repository is checked on the way. A file or directory
 * appears under its name when all of it is on disk; after an error nothing is
 * left of it, and what went to a descriptor is cut short. Globals are plain
 * text. The calling thread writes files; a directory's are written by `jobs`
 * threads.
 */
#include <stdbool.h>

#include "core/err.h"
#include "export/export.h"
#include "pg/archive_pack.h"

struct export_dump_params {
	struct repo *repo;
	const struct incarnation *inc;
	const char *label;  /* whole */
	enum export_format format;
	/* false: zstd if the archive's version has it, else gzip; tar: none */
	bool compression_given;
	enum archive_compression compression;
	int level;
	const char *output; /* NULL: fd, but for a directory */
	int fd;
	const char *bin_dir; /* where pg_restore is (plain), or NULL */
	unsigned jobs;
	struct export_progress *progress; /* never NULL */
	void (*tick)(void *arg);
	void *tick_arg;
};

int export_dump(const struct export_dump_params *params,
    struct err *err) ERR_USE;

#endif
