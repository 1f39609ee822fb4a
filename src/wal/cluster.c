/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

const char *
wal_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

char *
wal_cluster_path(const char *pgdata, const char *path)
{
	if (path[0] == '/' || pgdata == NULL)
		return xstrdup(path);
	return xasprintf("%s/%s", pgdata, path);
}

static bool
has_control(const char *dir)
{
	char *path = xasprintf("%s/" CONTROL_PATH, dir);
	/* Not to be read is another error than not to be there. */
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

const char *
wal_cluster_directory(const char *configured, const char *path)
{
	return path[0] != '/' && has_control(".") ? NULL : configured;
}

/* "/a/b/pg_wal/NAME": "/a/b", as written, since pg_wal may be a link. */
static char *
data_directory_of(const char *path)
{
	static const char parent[] = "/pg_wal";
	const char *slash = strrchr(path, '/');
	size_t len, tail = sizeof(parent) - 1;

	if (path[0] != '/')
		return NULL;
	len = (size_t)(slash - path);
	if (len <= tail || strncmp(slash - tail, parent, tail) != 0)
		return NULL;
	return xstrndup(path, len - tail);
}

static int
locate(char **out, const char *pgdata, const char *path, struct err *err)
{
	char *dir = NULL;

	if (pgdata != NULL) {
		*out = xstrdup(pgdata);
		return 0;
	}
	if (path != NULL)
		dir = data_directory_of(path);
	if (dir != NULL && has_control(dir)) {
		*out = dir;
		return 0;
	}
	free(dir);
	if (has_control(".")) {
		*out = xstrdup(".");
		return 0;
	}
	err_set(err, ERR_CONFIG,
	    "no data directory: neither the current directory nor %s has "
	    CONTROL_PATH,
	    path == NULL ? "anything else" : path);
	return err_hint(err, "name it: --pgdata /var/lib/postgresql/15/main");
}

int
wal_cluster_find(struct wal_cluster *out, const char *cluster,
    const char *pgdata, const char *path, struct err *err)
{
	struct wal_cluster c = { .pgdata = NULL };
	int major;

	if (!cluster_name_valid(cluster))
		return err_set(err, ERR_CONFIG, "'%s' is no cluster name",
		    cluster);
	if (locate(&c.pgdata, pgdata, path, err) != 0)
		return -1;
	if (control_read(c.pgdata, &c.control, NULL, err) != 0 ||
	    control_read_major(c.pgdata, &major, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_CONFIG; /* nothing is proved by it */
		err_wrap(err, "data directory %s", c.pgdata);
		goto fail;
	}
	if (major != c.control.major) {
		err_set(err, ERR_CONFIG,
		    "data directory %s: PG_VERSION says %d, pg_control is of "
		    "PostgreSQL %d",
		    c.pgdata, major, c.control.major);
		goto fail;
	}
	(void)snprintf(c.inc.cluster, sizeof(c.inc.cluster), "%s", cluster);
	c.inc.major = major;
	c.inc.system_id = c.control.system_id;
	*out = c;
	return 0;
fail:
	wal_cluster_free(&c);
	return -1;
}

void
wal_cluster_free(struct wal_cluster *c)
{
	free(c->pgdata);
	c->pgdata = NULL;
}
