/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/dirmanifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/crc32c.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/pgmanifest.h"
#include "restore/recovery.h"

#define AUTO_CONF "postgresql.auto.conf"
#define WAL_PREFIX "pg_wal/"

struct dirmanifest {
	const struct restore_plan *plan;
	struct pgmanifest *text;
	int dir, fd;
};

static int
put(void *arg, const void *data, size_t len, struct err *err)
{
	const struct dirmanifest *m = arg;

	return io_write_full(m->fd, data, len, PGMANIFEST_NAME, err);
}

int
dirmanifest_new(struct dirmanifest **out, const struct restore_plan *plan,
    int dir, struct err *err)
{
	struct dirmanifest *m = xcalloc(1, sizeof(*m));

	m->plan = plan;
	m->dir = dir;
	m->fd = openat(dir, PGMANIFEST_NAME, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (m->fd < 0)
		err_sys(err, errno, "create %s/" PGMANIFEST_NAME, plan->dir);
	else if (pgmanifest_new(&m->text, plan->inc.major,
		plan->inc.system_id, put, m, err) == 0) {
		*out = m;
		return 0;
	}
	dirmanifest_free(m);
	return -1;
}

void
dirmanifest_free(struct dirmanifest *m)
{
	if (m == NULL)
		return;
	pgmanifest_free(m->text);
	if (m->fd >= 0)
		(void)close(m->fd); /* after an error: finish() closed it */
	free(m);
}

int
dirmanifest_add(struct dirmanifest *m, const struct manifest_entry *e,
    struct err *err)
{
	/* What changes with recovery; pg_verifybackup does not look there. */
	if (strcmp(e->path, AUTO_CONF) == 0 ||
	    strncmp(e->path, WAL_PREFIX, strlen(WAL_PREFIX)) == 0)
		return 0;
	return pgmanifest_file(m->text, e->path, e->size, e->mtime, e->crc,
	    err);
}

int
dirmanifest_add_data(struct dirmanifest *m, const char *path,
    const void *data, size_t len, struct err *err)
{
	return pgmanifest_file(m->text, path, len, time_now(),
	    crc32c(data, len), err);
}

/* As restore has written it. */
static int
add_auto_conf(struct dirmanifest *m, struct err *err)
{
	struct buf b;
	int fd, ret;

	fd = openat(m->dir, AUTO_CONF, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s/" AUTO_CONF,
		    m->plan->dir);
	buf_init(&b, 2 * RECOVERY_CONF_MAX);
	ret = io_read_fd(fd, AUTO_CONF, &b, err);
	if (ret == 0)
		ret = dirmanifest_add_data(m, AUTO_CONF, b.data, b.len, err);
	buf_free(&b);
	(void)close(fd); /* only read from */
	return ret;
}

int
dirmanifest_finish(struct dirmanifest *m, struct err *err)
{
	const struct commit *c = &m->plan->backup;
	int fd;

	if (add_auto_conf(m, err) != 0 ||
	    pgmanifest_finish(m->text, c->timeline, c->start_lsn,
		c->stop_lsn, err) != 0)
		return -1;
	fd = m->fd;
	m->fd = -1;
	if (close(fd) != 0)
		return err_sys(err, errno, "close %s/" PGMANIFEST_NAME,
		    m->plan->dir);
	return 0;
}
