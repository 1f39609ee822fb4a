/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/streamtar.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/libarchive.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/format.h"

struct streamtar {
	const struct libarchive *la;
	struct replication *r;
	const struct base_backup_begin *begin;
	struct archive *archive;     /* NULL: none is being read */
	struct base_backup_event ev; /* what ended the last one */
	bool has_event;
	struct err failure; /* of the connection, below libarchive */
	char prefix[64];    /* of the paths in the archive */
	char path[FORMAT_PATH_MAX];
	int (*pulse)(void *arg, struct err *err);
	void *pulse_arg;
	int (*put)(void *arg, const void *data, size_t len, struct err *err);
	void *put_arg;
};

int
streamtar_new(struct streamtar **out, struct replication *r,
    const struct base_backup_begin *begin, struct err *err)
{
	struct streamtar *t = xcalloc(1, sizeof(*t));

	if (libarchive_get(&t->la, err) != 0) {
		free(t);
		return -1;
	}
	t->r = r;
	t->begin = begin;
	*out = t;
	return 0;
}

void
streamtar_free(struct streamtar *t)
{
	if (t == NULL)
		return;
	if (t->archive != NULL)
		(void)t->la->archive_read_free(t->archive); /* only read */
	free(t);
}

void
streamtar_set_pulse(struct streamtar *t,
    int (*pulse)(void *arg, struct err *err), void *arg)
{
	t->pulse = pulse;
	t->pulse_arg = arg;
}

void
streamtar_set_manifest(struct streamtar *t,
    int (*put)(void *arg, const void *data, size_t len, struct err *err),
    void *arg)
{
	t->put = put;
	t->put_arg = arg;
}

/* The next piece of what is being received. 0: something else begins. */
static int
next_data(struct streamtar *t, struct err *err)
{
	if (t->has_event)
		return 0;
	if ((t->pulse != NULL && t->pulse(t->pulse_arg, err) != 0) ||
	    base_backup_next(t->r, &t->ev, err) != 0)
		return -1;
	if (t->ev.type == BASE_BACKUP_DATA)
		return 1;
	t->has_event = true;
	return 0;
}

/* libarchive's way to get more. */
static la_ssize_t
read_more(struct archive *a, void *arg, const void **out)
{
	struct streamtar *t = arg;
	int rc = next_data(t, &t->failure);

	*out = rc == 1 ? t->ev.data : NULL;
	return rc == 1 ? (la_ssize_t)t->ev.len : rc;
}

static int
archive_failed(const struct streamtar *t, struct err *err)
{
	const char *text = t->la->archive_error_string(t->archive);

	if (t->failure.code != ERR_NONE) {
		*err = t->failure;
		return -1;
	}
	return err_set(err, ERR_POSTGRES, "the server's archive cannot be "
	    "read: %s", text == NULL ? "unknown error" : text);
}

static int
open_archive(struct streamtar *t, struct err *err)
{
	const struct libarchive *la = t->la;
	uint32_t oid = t->begin->tablespaces[t->ev.tablespace].oid;

	t->has_event = false;
	t->prefix[0] = '\0';
	if (oid != 0)
		(void)snprintf(t->prefix, sizeof(t->prefix), "pg_tblspc/%u/",
		    oid);
	t->archive = la->archive_read_new();
	if (t->archive == NULL)
		return err_set(err, ERR_IO, "libarchive is out of memory");
	if (la->archive_read_support_filter_none(t->archive) != ARCHIVE_OK ||
	    la->archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
	    la->archive_read_open(t->archive, t, NULL, read_more, NULL) !=
	    ARCHIVE_OK)
		return archive_failed(t, err);
	return 0;
}

/* Behind the last member come zeros. */
static int
close_archive(struct streamtar *t, struct err *err)
{
	int rc;

	do
		rc = next_data(t, err);
	while (rc == 1);
	(void)t->la->archive_read_free(t->archive); /* only read */
	t->archive = NULL;
	return rc;
}

static int
take_manifest(struct streamtar *t, struct err *err)
{
	int rc;

	t->has_event = false;
	while ((rc = next_data(t, err)) == 1)
		if (t->put != NULL &&
		    t->put(t->put_arg, t->ev.data, t->ev.len, err) != 0)
			return -1;
	return rc;
}

/* No path that leads out of the data directory. */
static bool
path_is_sound(const char *path)
{
	const char *part = path;

	if (*path == '\0' || *path == '/')
		return false;
	for (; part != NULL; part = strchr(part, '/')) {
		part += *part == '/';
		if (*part == '/' || *part == '\0' ||
		    (part[0] == '.' && (part[1] == '/' || part[1] == '\0')) ||
		    (part[0] == '.' && part[1] == '.' &&
		    (part[2] == '/' || part[2] == '\0')))
			return false;
	}
	return true;
}

static int
fill_path(struct streamtar *t, struct archive_entry *e, struct err *err)
{
	const char *name = t->la->archive_entry_pathname(e);
	size_t n, prefix = strlen(t->prefix);

	if (name == NULL)
		return err_set(err, ERR_POSTGRES, "the server's archive has a "
		    "member without a name");
	if (name[0] == '.' && name[1] == '/')
		name += 2;
	n = strlen(name);
	while (n > 0 && name[n - 1] == '/')
		n--;
	if (prefix + n >= sizeof(t->path))
		return err_set(err, ERR_REFUSED, "path too long: %s", name);
	memcpy(t->path, t->prefix, prefix);
	memcpy(t->path + prefix, name, n);
	t->path[prefix + n] = '\0';
	if (n == 0 || !path_is_sound(t->path))
		return err_set(err, ERR_REFUSED, "the server's archive has a "
		    "member with the name \"%s\"", name);
	return 0;
}

static int
fill_member(struct streamtar *t, struct archive_entry *e,
    struct streamtar_member *out, struct err *err)
{
	const struct libarchive *la = t->la;
	la_int64_t size = la->archive_entry_size(e);

	memset(out, 0, sizeof(*out));
	if (fill_path(t, e, err) != 0)
		return -1;
	out->path = t->path;
	out->mode = (uint32_t)la->archive_entry_mode(e) & 07777;
	out->mtime = time_from_unix(la->archive_entry_mtime(e));
	switch (la->archive_entry_filetype(e)) {
	case AE_IFREG:
		out->type = STREAMTAR_FILE;
		out->size = size > 0 ? (uint64_t)size : 0;
		return 1;
	case AE_IFDIR:
		out->type = STREAMTAR_DIR;
		return 1;
	case AE_IFLNK:
		out->type = STREAMTAR_LINK;
		out->target = la->archive_entry_symlink(e);
		if (out->target != NULL)
			return 1;
		break;
	default:
		break;
	}
	return err_set(err, ERR_POSTGRES, "the server's archive has a member "
	    "of a kind that is not known: %s", t->path);
}

int
streamtar_next(struct streamtar *t, struct streamtar_member *out,
    struct err *err)
{
	struct archive_entry *e = NULL;
	int rc;

	for (;;) {
		if (t->archive != NULL) {
			rc = t->la->archive_read_next_header(t->archive, &e);
			if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN)
				return fill_member(t, e, out, err);
			if (rc != ARCHIVE_EOF)
				return archive_failed(t, err);
			if (close_archive(t, err) != 0)
				return -1;
		}
		rc = next_data(t, err);
		if (rc < 0)
			return -1;
		if (rc == 1)
			return err_set(err, ERR_POSTGRES, "the server sends "
			    "data without an archive");
		if (t->ev.type == BASE_BACKUP_END)
			return 0;
		rc = t->ev.type == BASE_BACKUP_ARCHIVE ? open_archive(t, err) :
		    take_manifest(t, err);
		if (rc != 0)
			return -1;
	}
}

int
streamtar_read(struct streamtar *t, void *data, size_t len, size_t *got,
    struct err *err)
{
	la_ssize_t n;

	for (*got = 0; *got < len; *got += (size_t)n) {
		n = t->la->archive_read_data(t->archive, (uint8_t *)data +
		    *got, len - *got);
		if (n < 0)
			return archive_failed(t, err);
		if (n == 0)
			break;
	}
	return 0;
}
