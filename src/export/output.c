/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "export/job.h"

#define TABLESPACE_PREFIX "pg_tblspc/"
#define TAR_SUFFIX ".tar"

static bool
is_tar_name(const char *path)
{
	const size_t n = strlen(path), k = strlen(TAR_SUFFIX);

	return n > k && strcmp(path + n - k, TAR_SUFFIX) == 0;
}

static int
refuse_tablespaces(const struct commit *c, struct err *err)
{
	err_set(err, ERR_REFUSED, "backup %s has %zu tablespace%s: they do not "
	    "fit into one archive", c->label, c->n_tablespaces,
	    c->n_tablespaces == 1 ? "" : "s");
	return err_hint(err, "--output DIR writes base.tar and one archive a "
	    "tablespace into a directory");
}

/* A directory of ours: absent or empty. */
static int
open_directory(struct output *o, struct err *err)
{
	const char *dir = o->params->output;
	struct stat st;

	if (stat(dir, &st) != 0) {
		if (errno != ENOENT)
			return err_sys(err, errno, "stat %s", dir);
		o->made = true;
		return io_mkdir_p(dir, 0700, err);
	}
	if (S_ISDIR(st.st_mode))
		return 0; /* that no name is taken, each file looks for itself */
	err_set(err, ERR_REFUSED, "%s is there and no directory", dir);
	return err_hint(err, "--output takes a directory, a name that ends "
	    "with .tar, or - for standard output");
}

static int
open_named(struct output *o, const char *name, struct outfile *file,
    struct err *err)
{
	char *path = xasprintf("%s/%s", o->params->output, name);
	int ret = outfile_create(file, path, err);

	free(path);
	return ret;
}

int
output_open(struct output *o, const struct export_params *params,
    const struct commit *commit, struct err *err)
{
	const bool single = params->output == NULL ||
	    is_tar_name(params->output);

	o->params = params;
	o->commit = commit;
	o->directory = !single;
	if (single && commit->n_tablespaces > 0)
		return refuse_tablespaces(commit, err);
	if (params->output == NULL) {
		if (outfile_nameless(&o->manifest_fd, err) != 0)
			return -1;
		return tarfile_new(&o->base, params->fd, "standard output",
		    err);
	}
	if (single) {
		if (outfile_nameless(&o->manifest_fd, err) != 0 ||
		    outfile_create(&o->base_file, params->output, err) != 0)
			return -1;
	} else {
		if (open_directory(o, err) != 0 ||
		    open_named(o, "base" TAR_SUFFIX, &o->base_file, err) != 0 ||
		    open_named(o, PGMANIFEST_NAME, &o->manifest_file, err) != 0)
			return -1;
		o->manifest_fd = o->manifest_file.fd;
	}
	return tarfile_new(&o->base, o->base_file.fd, o->base_file.path, err);
}

static int
end_space(struct output *o, struct err *err)
{
	if (o->space == NULL)
		return 0;
	if (tarfile_finish(o->space, err) != 0)
		return -1;
	tarfile_free(o->space);
	o->space = NULL;
	return outfile_close(&o->spaces[o->n_spaces - 1], err);
}

static int
begin_space(struct output *o, uint32_t oid, struct err *err)
{
	struct outfile *file;
	char name[32];

	if (end_space(o, err) != 0)
		return -1;
	o->spaces = xreallocarray(o->spaces, o->n_spaces + 1,
	    sizeof(*o->spaces));
	file = &o->spaces[o->n_spaces];
	memset(file, 0, sizeof(*file));
	(void)snprintf(name, sizeof(name), "%u" TAR_SUFFIX, (unsigned)oid);
	if (open_named(o, name, file, err) != 0)
		return -1;
	o->n_spaces++;
	o->space_oid = oid;
	return tarfile_new(&o->space, file->fd, file->path, err);
}

static bool
is_tablespace(const struct output *o, uint64_t oid)
{
	size_t i;

	for (i = 0; i < o->commit->n_tablespaces; i++)
		if (o->commit->tablespaces[i].oid == oid)
			return true;
	return false;
}

int
output_route(struct output *o, const char *path, struct tarfile **tar,
    const char **inside, struct err *err)
{
	const char *rest, *digits = path + strlen(TABLESPACE_PREFIX);
	char number[16];
	uint64_t oid = 0;
	size_t n;

	*tar = o->base;
	*inside = path;
	if (strncmp(path, TABLESPACE_PREFIX, strlen(TABLESPACE_PREFIX)) != 0)
		return 0;
	n = strcspn(digits, "/");
	rest = digits + n;
	(void)snprintf(number, sizeof(number), "%.*s", (int)n, digits);
	if (n >= sizeof(number) || !text_u64(number, UINT32_MAX, &oid) ||
	    !is_tablespace(o, oid))
		return err_set(err, ERR_DAMAGED, "the manifest names %s, and "
		    "the commit no such tablespace", path);
	if (rest[0] == '\0') {
		*inside = NULL;
		return 0;
	}
	/* Paths ascend, so those of a tablespace stand together. */
	if ((o->space == NULL || o->space_oid != oid) &&
	    begin_space(o, (uint32_t)oid, err) != 0)
		return -1;
	*tar = o->space;
	*inside = rest + 1;
	return 0;
}

static bool
has_archive(const struct output *o, uint32_t oid)
{
	char name[32];
	size_t i;

	(void)snprintf(name, sizeof(name), "/%u" TAR_SUFFIX, (unsigned)oid);
	for (i = 0; i < o->n_spaces; i++)
		if (strcmp(strrchr(o->spaces[i].path, '/'), name) == 0)
			return true;
	return false;
}

int
output_end_spaces(struct output *o, struct err *err)
{
	size_t i;

	for (i = 0; i < o->commit->n_tablespaces; i++)
		if (!has_archive(o, o->commit->tablespaces[i].oid) &&
		    begin_space(o, o->commit->tablespaces[i].oid, err) != 0)
			return -1;
	return end_space(o, err);
}

int
output_publish(struct output *o, struct err *err)
{
	size_t i;

	if (tarfile_finish(o->base, err) != 0)
		return -1;
	if (o->params->output == NULL)
		return 0;
	if (outfile_close(&o->base_file, err) != 0)
		return -1;
	if (o->directory && outfile_close(&o->manifest_file, err) != 0)
		return -1;
	/* base.tar last: without it the others are no backup. */
	for (i = 0; i < o->n_spaces; i++)
		if (outfile_publish(&o->spaces[i], err) != 0)
			return -1;
	if (o->directory && outfile_publish(&o->manifest_file, err) != 0)
		return -1;
	if (outfile_publish(&o->base_file, err) != 0)
		return -1;
	return io_fsync_parent(o->base_file.path, err);
}

/* All or nothing. */
static void
drop(struct outfile *file, bool done)
{
	if (!done && file->published)
		(void)unlink(file->path); /* nothing more can be done */
	outfile_free(file);
}

void
output_free(struct output *o)
{
	const bool done = o->base_file.published;
	size_t i;

	tarfile_free(o->base);
	tarfile_free(o->space);
	if (!o->directory && o->manifest_fd >= 0)
		(void)close(o->manifest_fd); /* it has no name any more */
	drop(&o->base_file, done);
	drop(&o->manifest_file, done);
	for (i = 0; i < o->n_spaces; i++)
		drop(&o->spaces[i], done);
	free(o->spaces);
	if (o->made && !done)
		(void)rmdir(o->params->output); /* it may hold other things */
}
