/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#define COPY_BYTES ((size_t)1 << 20)
#define DIR_MODE 0700
#define FILE_MODE 0600

struct archive_dir {
	char *path, *temp;
	const struct archive_head *head;
	enum archive_compression compression;
	int level;
	bool made, finished;
};

struct archive_file {
	char *name;
	int fd;
	struct archive_pack *pack; /* NULL: as it comes */
	bool rows;
	bool packed; /* it has members that came whole */
};

/* ---------------------------------------------------------- the folder */

static int
must_be_free(const char *path, struct err *err)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	bool empty = true;

	if (dir == NULL && errno == ENOENT)
		return 0;
	if (dir != NULL) {
		while (empty && (e = readdir(dir)) != NULL)
			empty = strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0;
		(void)closedir(dir); /* only read */
		if (empty)
			return 0;
	}
	(void)err_set(err, ERR_REFUSED, "%s exists already", path);
	return err_hint(err, "choose another --output, or remove it");
}

/* "x/" is the directory x: its temporary name stands beside it. */
static char *
without_slashes(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return xstrndup(path, n);
}

int
archive_dir_new(struct archive_dir **out, const char *path,
    enum archive_compression compression, int level, struct err *err)
{
	struct archive_dir *d = xcalloc(1, sizeof(*d));

	*out = NULL;
	d->path = without_slashes(path);
	d->temp = xasprintf("%s.tmp", d->path);
	d->compression = compression;
	d->level = level;
	if (must_be_free(d->path, err) != 0)
		goto failed;
	if (mkdir(d->temp, DIR_MODE) != 0) {
		(void)err_sys(err, errno, "make directory %s", d->temp);
		if (err->code == ERR_EXISTS)
			(void)err_hint(err, "another run is writing there, or "
			    "one was killed: rm -r %s", d->temp);
		goto failed;
	}
	d->made = true;
	*out = d;
	return 0;
failed:
	archive_dir_free(d);
	return -1;
}

int
archive_dir_head(struct archive_dir *d, const struct archive_head *head,
    struct err *err)
{
	d->head = head;
	return archive_compression_check(head, d->compression, err);
}

const char *
archive_dir_temp(const struct archive_dir *d)
{
	return d->temp;
}

static int
create(int *fd, char **name, const struct archive_dir *d, const char *base,
    const char *suffix, struct err *err)
{
	*name = xasprintf("%s/%s%s", d->temp, base, suffix);
	*fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	return *fd >= 0 ? 0 : err_sys(err, errno, "create %s", *name);
}

static int
write_toc(const struct archive_dir *d, struct err *err)
{
	struct archive_file f = { .fd = -1 };
	struct buf b;
	int ret = -1;

	buf_init(&b, ARCHIVE_HEAD_MAX);
	if (archive_head_encode(d->head, ARCHIVE_DIRECTORY, d->compression, &b,
	    err) == 0 &&
	    create(&f.fd, &f.name, d, "toc.dat", "", err) == 0 &&
	    io_write_full(f.fd, b.data, b.len, f.name, err) == 0)
		ret = 0;
	if (f.fd >= 0 && close(f.fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", f.name);
	free(f.name);
	buf_free(&b);
	return ret;
}

int
archive_dir_finish(struct archive_dir *d, struct err *err)
{
	if (write_toc(d, err) != 0 || io_sync_tree(d->temp, err) != 0 ||
	    must_be_free(d->path, err) != 0)
		return -1;
	/* Takes the place of an empty directory, and of nothing else. */
	if (rename(d->temp, d->path) != 0)
		return err_sys(err, errno, "rename %s to %s", d->temp, d->path);
	d->finished = true;
	return io_fsync_parent(d->path, err);
}

void
archive_dir_free(struct archive_dir *d)
{
	struct err ignored = ERR_INIT;

	if (d == NULL)
		return;
	if (d->made && !d->finished &&
	    io_remove_tree(d->temp, &ignored) != 0)
		log_warning("%s is left: %s", d->temp, ignored.msg);
	free(d->path);
	free(d->temp);
	free(d);
}

/* ------------------------------------------------------------- a file */

static int
file_new(struct archive_file **out, struct archive_dir *d, const char *base,
    bool compressed, struct err *err)
{
	struct archive_file *f = xcalloc(1, sizeof(*f));

	*out = NULL;
	f->fd = -1;
	if (create(&f->fd, &f->name, d, base,
	    compressed ? archive_suffix(d->compression) : "", err) != 0 ||
	    (compressed && archive_pack_new(&f->pack, d->compression,
	    d->level, ARCHIVE_PACK_FILE, err) != 0)) {
		archive_file_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

int
archive_file_open(struct archive_file **out, struct archive_dir *d,
    const struct archive_entry *e, struct err *err)
{
	char name[ARCHIVE_NAME_MAX];

	if (!archive_data_name(d->head, e, ARCHIVE_DIRECTORY, name))
		return err_set(err, ERR_BUG, "entry %d has no data",
		    (int)e->dump_id);
	if (file_new(out, d, name, true, err) != 0)
		return -1;
	(*out)->rows = true;
	return 0;
}

int
archive_file_open_object(struct archive_file **out, struct archive_dir *d,
    uint32_t oid, struct err *err)
{
	char name[ARCHIVE_NAME_MAX];

	archive_object_name(oid, name);
	return file_new(out, d, name, true, err);
}

int
archive_file_open_list(struct archive_file **out, struct archive_dir *d,
    const struct archive_entry *e, struct err *err)
{
	char name[ARCHIVE_NAME_MAX];

	archive_list_name(d->head, e, name);
	return file_new(out, d, name, false, err);
}

static int
put(void *arg, const void *data, size_t len, struct err *err)
{
	const struct archive_file *f = arg;

	return io_write_full(f->fd, data, len, f->name, err);
}

int
archive_file_write(struct archive_file *f, const void *data, size_t len,
    struct err *err)
{
	if (f->pack == NULL)
		return put(f, data, len, err);
	return archive_pack_write(f->pack, data, len, put, f, err);
}

int
archive_file_list(struct archive_file *f, uint32_t oid, struct err *err)
{
	char line[ARCHIVE_LINE_MAX];

	archive_object_line(oid, line);
	return put(f, line, strlen(line), err);
}

static int
end_member(struct archive_file *f, struct err *err)
{
	f->packed = true;
	return !archive_pack_begun(f->pack) ? 0 :
	    archive_pack_end(f->pack, put, f, err);
}

int
archive_file_packed(struct archive_file *f, const void *data, size_t len,
    struct err *err)
{
	if (end_member(f, err) != 0)
		return -1;
	return put(f, data, len, err);
}

int
archive_file_append(struct archive_file *f, int fd, uint64_t len,
    struct err *err)
{
	uint8_t *data = xmalloc(COPY_BYTES);
	uint64_t at = 0;
	size_t n;
	int ret = end_member(f, err);

	while (ret == 0 && at < len) {
		n = len - at < COPY_BYTES ? (size_t)(len - at) : COPY_BYTES;
		ret = io_pread_full(fd, data, n, at, f->name, err);
		if (ret == 0)
			ret = put(f, data, n, err);
		at += n;
	}
	free(data);
	return ret;
}

int
archive_file_close(struct archive_file *f, struct err *err)
{
	int ret = 0;

	if (f->rows)
		ret = archive_file_write(f, ARCHIVE_ROWS_END,
		    strlen(ARCHIVE_ROWS_END), err);
	if (ret == 0 && f->pack != NULL &&
	    (!f->packed || archive_pack_begun(f->pack)))
		ret = archive_pack_end(f->pack, put, f, err);
	if (close(f->fd) != 0 && ret == 0)
		ret = err_sys(err, errno, "close %s", f->name);
	f->fd = -1;
	archive_file_free(f);
	return ret;
}

void
archive_file_free(struct archive_file *f)
{
	if (f == NULL)
		return;
	if (f->fd >= 0)
		(void)close(f->fd); /* it is given up */
	archive_pack_free(f->pack);
	free(f->name);
	free(f);
}
