/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_JOB_H
#define EXPORT_JOB_H

/*
 * Internal to src/export: where the archives go, and an export on its way.
 */
#include "export/export.h"
#include "export/outfile.h"
#include "export/tarfile.h"
#include "repo/fileread.h"
#include "repo/pathguard.h"
#include "repo/pgmanifest.h"

/* The archives and the manifest (output.c). */
struct output {
	const struct export_params *params;
	const struct commit *commit;
	bool directory, made; /* made: by us, and removed if all fails */
	struct outfile base_file;
	struct tarfile *base;
	struct outfile *spaces; /* of the tablespaces begun */
	size_t n_spaces;
	struct tarfile *space; /* the one being written */
	uint32_t space_oid;
	struct outfile manifest_file; /* beside the archives */
	int manifest_fd;	      /* that, or a file without a name */
};

/*
 * Where a path of the backup goes: *tar and *inside, the path in it; *inside
 * NULL: nowhere, since tablespace_map tells of it. The archive of a
 * tablespace is begun with its first path.
 */
int output_open(struct output *o, const struct export_params *params,
    const struct commit *commit, struct err *err) ERR_USE;
int output_route(struct output *o, const char *path, struct tarfile **tar,
    const char **inside, struct err *err) ERR_USE;
/* Archives of tablespaces that had no path; none is open afterwards. */
int output_end_spaces(struct output *o, struct err *err) ERR_USE;
/* All of it is on disk and has its names. */
int output_publish(struct output *o, struct err *err) ERR_USE;
void output_free(struct output *o); /* removes what was not published */

struct job {
	const struct export_params *params;
	const struct commit *commit;
	struct output out;
	struct fileread *files;
	struct manifest_reader *reader;
	struct pgmanifest *listing;
	struct buf control; /* pg_control, written last */
	struct tarfile_about control_about;
	bool have_label, have_config;
	struct path_guard guard; /* who unpacks it writes nowhere else */
};

/* The segments from start to stop, into pg_wal/ of base.tar (wal.c). */
int job_add_wal(struct job *j, struct err *err) ERR_USE;

#endif
