/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "export/tarfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/libarchive.h"
#include "core/mem.h"
#include "core/time.h"

#define WRITE_BYTES (1 << 20)
#define LAST_RECORD 10240 /* tar's own unit */

struct tarfile {
	const struct libarchive *la;
	struct archive *archive;
	struct archive_entry *entry;
	char *name;
	int fd;
	uint64_t left; /* of the file begun */
	char *path;    /* of it */
	struct err failed; /* of a write, behind libarchive */
};

static la_ssize_t
write_out(struct archive *a, void *arg, const void *data, size_t len)
{
	struct tarfile *t = arg;

	(void)a;
	if (t->failed.code != ERR_NONE ||
	    io_write_full(t->fd, data, len, t->name, &t->failed) != 0)
		return -1;
	return (la_ssize_t)len;
}

static int
failed(struct tarfile *t, const char *what, struct err *err)
{
	const char *why = t->la->archive_error_string(t->archive);

	if (t->failed.code != ERR_NONE) {
		*err = t->failed;
		return -1;
	}
	return err_set(err, ERR_IO, "%s: %s: libarchive: %s", t->name, what,
	    why == NULL ? "no reason given" : why);
}

int
tarfile_new(struct tarfile **out, int fd, const char *name, struct err *err)
{
	const struct libarchive *la;
	struct tarfile *t;

	if (libarchive_get(&la, err) != 0)
		return -1;
	t = xcalloc(1, sizeof(*t));
	t->la = la;
	t->fd = fd;
	t->name = xstrdup(name);
	t->archive = la->archive_write_new();
	t->entry = la->archive_entry_new();
	if (t->archive == NULL || t->entry == NULL ||
	    la->archive_write_add_filter_none(t->archive) != ARCHIVE_OK ||
	    la->archive_write_set_format_gnutar(t->archive) != ARCHIVE_OK ||
	    la->archive_write_set_bytes_per_block(t->archive, WRITE_BYTES) !=
		ARCHIVE_OK ||
	    la->archive_write_set_bytes_in_last_block(t->archive,
		LAST_RECORD) != ARCHIVE_OK ||
	    la->archive_write_open(t->archive, t, NULL, write_out, NULL) !=
		ARCHIVE_OK) {
		failed(t, "begin", err);
		tarfile_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

void
tarfile_free(struct tarfile *t)
{
	if (t == NULL)
		return;
	/* It would write its end: not after an error. */
	if (t->failed.code == ERR_NONE)
		err_set(&t->failed, ERR_CANCELLED, "given up");
	if (t->entry != NULL)
		t->la->archive_entry_free(t->entry);
	if (t->archive != NULL)
		(void)t->la->archive_write_free(t->archive); /* given up */
	free(t->name);
	free(t->path);
	free(t);
}

static void
describe(struct tarfile *t, const char *path, unsigned type, uint32_t mode,
    int64_t mtime)
{
	const struct libarchive *la = t->la;

	la->archive_entry_clear(t->entry);
	la->archive_entry_set_pathname(t->entry, path);
	la->archive_entry_set_filetype(t->entry, type);
	la->archive_entry_set_perm(t->entry, (mode_t)(mode & 0777));
	/* Whole seconds, as PostgreSQL's. */
	la->archive_entry_set_mtime(t->entry, (time_t)(mtime / 1000000 +
	    TIME_UNIX_EPOCH_OFFSET), 0);
	la->archive_entry_set_uid(t->entry, (la_int64_t)geteuid());
	la->archive_entry_set_gid(t->entry, (la_int64_t)getegid());
	la->archive_entry_set_size(t->entry, 0);
}

/* What cannot be written as it is makes libarchive warn: an error here. */
static int
put_header(struct tarfile *t, const char *path, struct err *err)
{
	if (t->la->archive_write_header(t->archive, t->entry) != ARCHIVE_OK)
		return failed(t, path, err);
	return 0;
}

int
tarfile_dir(struct tarfile *t, const char *path, uint32_t mode, int64_t mtime,
    struct err *err)
{
	char *name = xasprintf("%s/", path);
	int ret;

	describe(t, name, AE_IFDIR, mode, mtime);
	ret = put_header(t, name, err);
	free(name);
	return ret;
}

int
tarfile_link(struct tarfile *t, const char *path, const char *target,
    int64_t mtime, struct err *err)
{
	describe(t, path, AE_IFLNK, 0777, mtime);
	t->la->archive_entry_set_symlink(t->entry, target);
	return put_header(t, path, err);
}

int
tarfile_begin(struct tarfile *t, const struct tarfile_about *about,
    struct err *err)
{
	describe(t, about->path, AE_IFREG, about->mode, about->mtime);
	t->la->archive_entry_set_size(t->entry, (la_int64_t)about->size);
	t->left = about->size;
	free(t->path);
	t->path = xstrdup(about->path);
	return put_header(t, about->path, err);
}

int
tarfile_data(struct tarfile *t, const void *data, size_t len, struct err *err)
{
	const char *p = data;
	la_ssize_t n;

	if (len > t->left)
		return err_set(err, ERR_DAMAGED, "%s has more bytes than its "
		    "size says", t->path);
	for (; len > 0; len -= (size_t)n) {
		n = t->la->archive_write_data(t->archive, p, len);
		if (n <= 0)
			return failed(t, t->path, err);
		p += n;
		t->left -= (uint64_t)n;
	}
	return 0;
}

int
tarfile_end(struct tarfile *t, struct err *err)
{
	if (t->left != 0)
		return err_set(err, ERR_DAMAGED, "%s has %llu bytes fewer "
		    "than its size says", t->path,
		    (unsigned long long)t->left);
	if (t->la->archive_write_finish_entry(t->archive) != ARCHIVE_OK)
		return failed(t, t->path, err);
	return 0;
}

int
tarfile_content(struct tarfile *t, const struct tarfile_about *about,
    const void *data, struct err *err)
{
	if (tarfile_begin(t, about, err) != 0 ||
	    tarfile_data(t, data, (size_t)about->size, err) != 0)
		return -1;
	return tarfile_end(t, err);
}

int
tarfile_finish(struct tarfile *t, struct err *err)
{
	if (t->la->archive_write_close(t->archive) != ARCHIVE_OK)
		return failed(t, "end", err);
	return 0;
}
