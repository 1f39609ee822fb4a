/* SPDX-License-Identifier: PostgreSQL */
#ifndef EXPORT_OUTFILE_H
#define EXPORT_OUTFILE_H

/*
 * Internal to src/export: a file that appears under its name when it is whole
 * and on disk, and not at all otherwise.
 *
 *	outfile_create(&o, path, err)	PATH.tmp; PATH must not exist
 *	write to o.fd
 *	outfile_close(&o, err)		on disk
 *	outfile_publish(&o, err)	under its name (sync the directory)
 *	outfile_free(&o)		removes what was not published
 *
 * One thread.
 */
#include <stdbool.h>

#include "core/err.h"

struct outfile {
	char *path, *temp;
	int fd; /* -1: closed */
	bool published;
};

int outfile_create(struct outfile *o, const char *path,
    struct err *err) ERR_USE;
int outfile_close(struct outfile *o, struct err *err) ERR_USE;
int outfile_publish(struct outfile *o, struct err *err) ERR_USE;
void outfile_free(struct outfile *o); /* also a zeroed one */

/*
 * A file without a name, in TMPDIR or /tmp: for what has to be whole before
 * its place in an archive.
 */
int outfile_nameless(int *fd, struct err *err) ERR_USE;

#endif
