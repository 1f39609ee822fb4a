/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "export/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"

static int
must_not_exist(const char *path, struct err *err)
{
	bool exists;

	if (io_exists(path, &exists, err) != 0)
		return -1;
	if (!exists)
		return 0;
	err_set(err, ERR_REFUSED, "%s exists already", path);
	return err_hint(err, "choose another --output, or remove it");
}

int
outfile_create(struct outfile *o, const char *path, struct err *err)
{
	if (must_not_exist(path, err) != 0)
		return -1;
	o->path = xstrdup(path);
	o->temp = xasprintf("%s.tmp", path);
	o->published = false;
	/* One that a killed export left is of no use to anybody. */
	o->fd = open(o->temp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (o->fd < 0) {
		err_sys(err, errno, "create %s", o->temp);
		free(o->path);
		free(o->temp);
		o->path = o->temp = NULL;
		return -1;
	}
	return 0;
}

int
outfile_close(struct outfile *o, struct err *err)
{
	const int fd = o->fd;
	int rc;

	rc = io_fsync(fd, o->temp, err);
	o->fd = -1;
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, errno, "close %s", o->temp);
	return rc;
}

int
outfile_publish(struct outfile *o, struct err *err)
{
	if (must_not_exist(o->path, err) != 0)
		return -1;
	if (rename(o->temp, o->path) != 0)
		return err_sys(err, errno, "rename %s to %s", o->temp,
		    o->path);
	o->published = true;
	return 0;
}

void
outfile_free(struct outfile *o)
{
	if (o->path == NULL)
		return;
	if (o->fd >= 0)
		(void)close(o->fd); /* it is given up */
	if (!o->published)
		(void)unlink(o->temp); /* nothing more can be done */
	free(o->path);
	free(o->temp);
	o->path = o->temp = NULL;
}

int
outfile_nameless(int *fd, struct err *err)
{
	const char *dir = getenv("TMPDIR");
	char *path = xasprintf("%s/dapk-backup-XXXXXX",
	    dir == NULL || dir[0] == '\0' ? "/tmp" : dir);
	int ret = 0;

	*fd = mkostemp(path, O_CLOEXEC);
	if (*fd < 0)
		ret = err_sys(err, errno, "create a temporary file %s", path);
	else if (unlink(path) != 0)
		ret = err_sys(err, errno, "remove %s", path);
	free(path);
	return ret;
}
