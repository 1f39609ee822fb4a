/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/pathguard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static bool
below(const char *path, const char *dir)
{
	const size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

int
path_guard_check(const struct path_guard *g, const char *path,
    struct err *err)
{
	const char *p = path;
	size_t i, n;

	do {
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return err_set(err, ERR_DAMAGED,
			    "the manifest names \"%s\", which is no path "
			    "inside a data directory", path);
		p += n;
	} while (*p++ == '/');
	for (i = 0; i < g->n; i++)
		if (below(path, g->links[i]))
			return err_set(err, ERR_DAMAGED,
			    "the manifest names \"%s\", but \"%s\" is a "
			    "symbolic link that leads elsewhere", path,
			    g->links[i]);
	return 0;
}

int
path_guard_own(const struct path_guard *g, const char *path, struct err *err)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (strcmp(path, g->links[i]) == 0)
			return err_set(err, ERR_DAMAGED,
			    "the manifest makes \"%s\" a symbolic link, which "
			    "leads elsewhere", path);
	return path_guard_check(g, path, err);
}

void
path_guard_link(struct path_guard *g, const char *path)
{
	g->links = xreallocarray(g->links, g->n + 1, sizeof(*g->links));
	g->links[g->n++] = xstrdup(path);
}

void
path_guard_free(struct path_guard *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		free(g->links[i]);
	free(g->links);
	g->links = NULL;
	g->n = 0;
}
