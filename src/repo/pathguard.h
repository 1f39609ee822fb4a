/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PATHGUARD_H
#define REPO_PATHGUARD_H

/*
 * Paths of a manifest stay inside the directory that they are relative to:
 * whoever writes them somewhere, a data directory or an archive that others
 * unpack, asks here first. A repository may be somebody else's work.
 *
 *	struct path_guard g = { 0 };
 *	path_guard_check(&g, path, err);	before anything gets that path
 *	path_guard_link(&g, path);		it is a symbolic link now
 *	path_guard_own(&g, path, &err);		before what no line names
 *	path_guard_free(&g);
 *
 * One thread.
 */
#include <stddef.h>

#include "core/err.h"

struct path_guard {
	char **links; /* that may lead out: nothing is written below them */
	size_t n;
};

/* ERR_DAMAGED: absolute, with "." or "..", with an empty part, below a link. */
int path_guard_check(const struct path_guard *g, const char *path,
    struct err *err) ERR_USE;
/*
 * The same for what is written besides the manifest's lines, pg_control or a
 * segment of WAL: a line may have made a link of that very name.
 */
int path_guard_own(const struct path_guard *g, const char *path,
    struct err *err) ERR_USE;
void path_guard_link(struct path_guard *g, const char *path);
void path_guard_free(struct path_guard *g);

#endif
