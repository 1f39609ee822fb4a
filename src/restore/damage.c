/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/damage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"

#define LINE_MAX_BYTES ((size_t)32 << 10)
#define LOGGED_MAX 20 /* the list has all of them */

struct damage {
	pthread_mutex_t lock;
	const char *dir_name;
	int dir, fd;
	uint64_t lines, blocks;
	struct err failed; /* of the first write that failed */
};

int
damage_new(struct damage **out, int dir, const char *dir_name,
    struct err *err)
{
	struct damage *d;
	int fd;

	fd = openat(dir, DAMAGE_LIST, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, errno, "create %s/" DAMAGE_LIST, dir_name);
	d = xcalloc(1, sizeof(*d));
	(void)pthread_mutex_init(&d->lock, NULL); /* does not fail */
	d->dir = dir;
	d->dir_name = dir_name;
	d->fd = fd;
	*out = d;
	return 0;
}

void
damage_free(struct damage *d)
{
	if (d == NULL)
		return;
	if (d->fd >= 0)
		(void)close(d->fd); /* after an error */
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

static void
log_lost(const char *path, uint64_t block, uint64_t n, const struct err *why)
{
	if (block == DAMAGE_UNKNOWN_BLOCK)
		log_warning("lost: %s: %s", path, why->msg);
	else
		log_warning("lost: %s: %" PRIu64 " block%s from %" PRIu64
		    " on: %s", path, n, n == 1 ? "" : "s", block, why->msg);
}

void
damage_add(struct damage *d, const char *path, uint64_t block, uint64_t n,
    const struct err *why)
{
	struct buf line, name;

	buf_init(&line, LINE_MAX_BYTES);
	buf_init(&name, LINE_MAX_BYTES);
	text_escape(&name, path, strlen(path));
	if (block == DAMAGE_UNKNOWN_BLOCK)
		buf_printf(&line, "%s - 0 %s\n", buf_str(&name), why->msg);
	else
		buf_printf(&line, "%s %" PRIu64 " %" PRIu64 " %s\n",
		    buf_str(&name), block, n, why->msg);
	(void)pthread_mutex_lock(&d->lock);
	if (d->failed.code == ERR_NONE &&
	    io_write_full(d->fd, line.data, line.len, DAMAGE_LIST,
		&d->failed) != 0)
		log_err(LOG_ERROR, &d->failed);
	d->lines++;
	d->blocks += n;
	if (d->lines <= LOGGED_MAX)
		log_lost(buf_str(&name), block, n, why);
	if (d->lines == LOGGED_MAX + 1)
		log_warning("more is lost: " DAMAGE_LIST " has all");
	(void)pthread_mutex_unlock(&d->lock);
	buf_free(&name);
	buf_free(&line);
}

uint64_t
damage_lines(const struct damage *d)
{
	return d->lines;
}

uint64_t
damage_blocks(const struct damage *d)
{
	return d->blocks;
}

int
damage_finish(struct damage *d, struct err *err)
{
	int fd = d->fd;

	if (d->failed.code != ERR_NONE) {
		*err = d->failed;
		return -1;
	}
	if (d->lines == 0 && unlinkat(d->dir, DAMAGE_LIST, 0) != 0)
		return err_sys(err, errno, "remove %s/" DAMAGE_LIST,
		    d->dir_name);
	if (io_fsync(fd, DAMAGE_LIST, err) != 0)
		return -1;
	d->fd = -1;
	if (close(fd) != 0)
		return err_sys(err, errno, "close %s/" DAMAGE_LIST,
		    d->dir_name);
	return 0;
}
