/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/delta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "pg/running.h"
#include "restore/sweep.h"
#include "restore/walleft.h"

#define CONTROL_DIR "global"
#define CONTROL_NAME "pg_control"

static int
remove_control(const struct restore_plan *plan, int dir, struct err *err)
{
	int fd, rc = 0;

	fd = openat(dir, CONTROL_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd < 0) /* then no server starts on it either */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ?
		    0 : err_sys(err, errno, "open directory %s/" CONTROL_DIR,
		    plan->dir);
	if (unlinkat(fd, CONTROL_NAME, 0) != 0 && errno != ENOENT &&
	    errno != EISDIR)
		rc = err_sys(err, errno, "remove %s/" CONTROL_PATH,
		    plan->dir);
	if (rc == 0)
		rc = io_fsync(fd, CONTROL_DIR, err);
	(void)close(fd); /* a directory */
	return rc;
}

int
delta_clear(struct restore_plan *plan, const struct pathset *set, int dir,
    struct err *err)
{
	struct restore_result *r = &plan->result;
	struct sweep_counts n;

	r->delta = true;
	/* Who was starting a server just now is too late after this. */
	if (remove_control(plan, dir, err) != 0 ||
	    running_refuse(plan->dir, err) != 0)
		return -1;
	if (walleft_move(plan->wal_left, plan, &r->kept_wal, err) != 0)
		return err_wrap(err, "move WAL that is not stored aside");
	if (sweep_run(plan, set, dir, false, &n, err) != 0)
		return -1;
	r->removed_files = n.files;
	r->removed_directories = n.directories;
	r->removed_links = n.links;
	return 0;
}

int
restore_plan_rehearse(struct restore_plan *plan, struct err *err)
{
	struct sweep_counts n;
	struct pathset set;
	int fd, rc;

	if (!plan->delta)
		return 0;
	if (pathset_read(&set, plan, err) != 0)
		return -1;
	fd = open(plan->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? err_sys(err, errno, "open directory %s", plan->dir) :
		      sweep_run(plan, &set, fd, true, &n, err);
	if (rc == 0)
		log_info("would be removed in all: %llu files, %llu "
		    "directories, %llu links",
		    (unsigned long long)n.files,
		    (unsigned long long)n.directories,
		    (unsigned long long)n.links);
	if (fd >= 0)
		(void)close(fd); /* a directory */
	pathset_free(&set);
	return rc;
}
