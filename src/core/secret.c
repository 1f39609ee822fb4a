/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"

void
secret_buf_free(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

void
secret_text_free(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

static int
check_file(int fd, const char *path, enum secret_mode mode, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "%s is not a file", path);
	if (mode == SECRET_PRIVATE && (st.st_mode & 0077) != 0) {
		err_set(err, ERR_CONFIG, "%s holds a secret and has mode "
		    "%04o: others than its owner have rights to it", path,
		    (unsigned)(st.st_mode & 07777));
		return err_hint(err, "chmod 600 %s", path);
	}
	if ((uint64_t)st.st_size > SECRET_FILE_MAX)
		return err_set(err, ERR_CONFIG, "%s has %llu bytes: that is "
		    "no file of keys", path, (unsigned long long)st.st_size);
	return 0;
}

static int
read_all(int fd, const char *path, struct buf *b, struct err *err)
{
	size_t got;
	uint8_t *p = buf_reserve(b, SECRET_FILE_MAX);

	if (io_pread_upto(fd, p, SECRET_FILE_MAX, 0, &got, path, err) != 0)
		return -1;
	while (got > 0 && isspace(p[got - 1]))
		got--;
	p[got] = 0;
	b->len = got;
	if (memchr(p, 0, got) != NULL)
		return err_set(err, ERR_CONFIG, "%s is not text", path);
	return 0;
}

int
secret_read_file(const char *path, enum secret_mode mode, struct buf *b,
    struct err *err)
{
	int fd, rc;

	buf_init(b, SECRET_FILE_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	rc = check_file(fd, path, mode, err);
	if (rc == 0)
		rc = read_all(fd, path, b, err);
	(void)close(fd); /* only read */
	return rc;
}
