/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/archive_tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* POSIX ustar; a size beyond 8 GiB in base 256, as GNU tar and pg_dump do. */
#define BLOCK 512
#define END_BLOCKS 2
#define OCTAL_SIZE_MAX ((uint64_t)077777777777)
enum {
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_CHECKSUM = 148,
	AT_TYPE = 156,
	AT_MAGIC = 257,
	AT_USER = 265,
	AT_GROUP = 297
};

struct archive_tar {
	archive_sink sink;
	void *arg;
	int64_t mtime;
	char name[ARCHIVE_NAME_MAX];
	uint64_t size, left;
};

static void
put_octal(uint8_t *at, int digits, uint64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%0*llo", digits,
	    (unsigned long long)v);
	memcpy(at, text, (size_t)digits);
}

static void
put_size(uint8_t *at, uint64_t size)
{
	int i;

	if (size <= OCTAL_SIZE_MAX) {
		put_octal(at, 11, size);
		return;
	}
	for (i = 11; i > 0; i--, size >>= 8)
		at[i] = (uint8_t)size;
	at[0] = 0x80;
}

static void
make_header(uint8_t h[BLOCK], const char *name, uint64_t size, int64_t mtime)
{
	unsigned sum = 0;
	size_t i;

	memset(h, 0, BLOCK);
	memcpy(h + AT_NAME, name, strlen(name));
	put_octal(h + AT_MODE, 7, 0600);
	put_octal(h + AT_UID, 7, 0);
	put_octal(h + AT_GID, 7, 0);
	put_size(h + AT_SIZE, size);
	put_octal(h + AT_MTIME, 11, mtime < 0 ? 0 : (uint64_t)mtime);
	h[AT_TYPE] = '0';
	memcpy(h + AT_MAGIC, "ustar\00000", 8);
	memcpy(h + AT_USER, "postgres", 8);
	memcpy(h + AT_GROUP, "postgres", 8);
	memset(h + AT_CHECKSUM, ' ', 8);
	for (i = 0; i < BLOCK; i++)
		sum += h[i];
	put_octal(h + AT_CHECKSUM, 6, sum);
	h[AT_CHECKSUM + 6] = '\0';
}

int
archive_tar_new(struct archive_tar **out, const struct archive_head *head,
    int64_t mtime, archive_sink sink, void *arg, struct err *err)
{
	struct archive_tar *t = xcalloc(1, sizeof(*t));
	struct buf b;
	int ret = -1;

	t->sink = sink;
	t->arg = arg;
	t->mtime = mtime;
	buf_init(&b, ARCHIVE_HEAD_MAX);
	if (archive_head_encode(head, ARCHIVE_TAR, ARCHIVE_NONE, &b,
	    err) == 0 &&
	    archive_tar_begin(t, "toc.dat", b.len, err) == 0 &&
	    archive_tar_data(t, b.data, b.len, err) == 0)
		ret = archive_tar_end(t, err);
	buf_free(&b);
	if (ret != 0) {
		archive_tar_free(t);
		t = NULL;
	}
	*out = t;
	return ret;
}

int
archive_tar_begin(struct archive_tar *t, const char *name, uint64_t size,
    struct err *err)
{
	uint8_t header[BLOCK];

	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	t->size = t->left = size;
	make_header(header, t->name, size, t->mtime);
	return t->sink(t->arg, header, sizeof(header), err);
}

int
archive_tar_data(struct archive_tar *t, const void *data, size_t len,
    struct err *err)
{
	if (len > t->left)
		return err_set(err, ERR_DAMAGED, "%s has more than its %llu "
		    "bytes", t->name, (unsigned long long)t->size);
	t->left -= len;
	return len == 0 ? 0 : t->sink(t->arg, data, len, err);
}

int
archive_tar_end(struct archive_tar *t, struct err *err)
{
	static const uint8_t zeros[BLOCK];
	const size_t over = (size_t)(t->size % BLOCK);

	if (t->left != 0)
		return err_set(err, ERR_DAMAGED, "%s lacks %llu of its %llu "
		    "bytes", t->name, (unsigned long long)t->left,
		    (unsigned long long)t->size);
	return over == 0 ? 0 : t->sink(t->arg, zeros, BLOCK - over, err);
}

int
archive_tar_finish(struct archive_tar *t, struct err *err)
{
	static const uint8_t zeros[END_BLOCKS * BLOCK];

	return t->sink(t->arg, zeros, sizeof(zeros), err);
}

void
archive_tar_free(struct archive_tar *t)
{
	free(t);
}
