/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a delta restore finds: is it a data directory that may be restored
 * over, and are the directories that its links lead to its own? A copy of a
 * data directory (cp -a) has the links of the original, whose server may be
 * running. Nothing is changed here.
 */
#include "config.h"

#include "restore/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/running.h"

#define OPEN_DIRS 16

static bool
is_there(const struct restore_plan *plan, const char *name)
{
	char *path = xasprintf("%s/%s", plan->dir, name);
	bool found = access(path, F_OK) == 0;

	free(path);
	return found;
}

/* The text of the marker of an unfinished restore; false: there is none. */
static bool
read_marker(const struct restore_plan *plan, struct buf *out)
{
	char *path = xasprintf("%s/" PLAN_MARKER, plan->dir);
	struct err ignored = ERR_INIT; /* then it proves nothing */
	bool found = access(path, F_OK) == 0 &&
	    io_read_file(path, out, &ignored) == 0;

	free(path);
	return found;
}

/* A whole line of the marker. */
static bool
has_line(struct buf *marker, const char *line)
{
	const size_t n = strlen(line);
	const char *p, *end;

	for (p = buf_str(marker); *p != '\0'; p = *end == '\0' ? end : end + 1) {
		end = p + strcspn(p, "\n");
		if ((size_t)(end - p) == n && memcmp(p, line, n) == 0)
			return true;
	}
	return false;
}

static int
other_system(const struct restore_plan *plan, struct err *err)
{
	err_hint(err, "is it the right directory (-D)? If all that is in it "
	    "may be lost: --force");
	return plan->config->force ? 0 : -1;
}

/* Whose data directory is it? pg_control says, or our own marker. */
static int
check_system(struct restore_plan *plan, struct err *err)
{
	char line[64];
	struct control c;
	struct buf marker;
	bool marked;
	int ret = 0;

	buf_init(&marker, PLAN_MARKER_MAX);
	(void)snprintf(line, sizeof(line), PLAN_MARKER_SYSTEM "%llu",
	    (unsigned long long)plan->inc.system_id);
	marked = read_marker(plan, &marker);
	if (control_read(plan->dir, &c, NULL, err) == 0) {
		plan->same_system = c.system_id == plan->inc.system_id;
		if (!plan->same_system) {
			err_set(err, ERR_REFUSED, "%s is the data directory "
			    "of system %llu, the backup is of %llu",
			    plan->dir, (unsigned long long)c.system_id,
			    (unsigned long long)plan->inc.system_id);
			ret = other_system(plan, err);
		}
	} else if (marked && has_line(&marker, line)) {
		plan->same_system = true;
	} else {
		err_wrap(err, "whose data directory %s is cannot be told",
		    plan->dir);
		err->code = ERR_REFUSED;
		err->hint[0] = '\0';
		ret = other_system(plan, err);
	}
	if (ret == 0)
		err_clear(err);
	buf_free(&marker);
	return ret;
}

static int
refuse_used(const char *path, const char *by, struct err *err)
{
	err_set(err, ERR_REFUSED, "%s belongs to the server that runs on %s",
	    path, by);
	return err_hint(err, "a copy of a data directory has the original's "
	    "links: remove them, or restore into an empty directory");
}

/* pg_wal may be a link, which is kept: then to a directory of its own. */
static int
check_wal(const struct restore_plan *plan, struct err *err)
{
	char *path = xasprintf("%s/pg_wal", plan->dir);
	char by[PATH_MAX];
	int ret = 0;

	if (running_uses(path, plan->dir, by))
		ret = refuse_used(path, by, err);
	free(path);
	return ret;
}

int
plan_old_directory(struct restore_plan *plan, struct err *err)
{
	struct stat st;

	if (running_refuse(plan->dir, err) != 0)
		return -1;
	if (!is_there(plan, "PG_VERSION") && !is_there(plan, PLAN_MARKER)) {
		err_set(err, ERR_REFUSED, "%s is not empty, and no data "
		    "directory: it has no PG_VERSION", plan->dir);
		return err_hint(err, "is it the right directory (-D)? "
		    "--delta restores over a data directory, or into an "
		    "empty one");
	}
	if (stat(plan->dir, &st) != 0)
		return err_sys(err, errno, "stat %s", plan->dir);
	if (st.st_uid != geteuid()) {
		err_set(err, ERR_REFUSED, "%s does not belong to the user "
		    "that restores", plan->dir);
		return err_hint(err, "run restore as the user that runs "
		    "PostgreSQL");
	}
	if (check_system(plan, err) != 0 || check_wal(plan, err) != 0)
		return -1;
	plan->delta = true;
	return 0;
}

bool
plan_same_directory(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 &&
	    x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Does the old directory's own link of this tablespace lead here? */
static bool
is_linked(const struct restore_plan *plan, const struct plan_tablespace *t)
{
	char *path = xasprintf("%s/pg_tblspc/%u", plan->dir,
	    (unsigned)t->oid);
	bool same = plan_same_directory(path, t->to);

	free(path);
	return same;
}

int
plan_old_tablespace(const struct restore_plan *plan,
    const struct plan_tablespace *t, struct err *err)
{
	char by[PATH_MAX];
	struct buf marker;
	bool ours = is_linked(plan, t);

	buf_init(&marker, PLAN_MARKER_MAX);
	if (!ours)
		ours = read_marker(plan, &marker) && has_line(&marker, t->to);
	buf_free(&marker);
	if (!ours) {
		err_set(err, ERR_REFUSED, "tablespace directory %s is not "
		    "empty, and %s/pg_tblspc/%u does not lead to it", t->to,
		    plan->dir, (unsigned)t->oid);
		return err_hint(err, "--tablespace-map %s=DIRECTORY: the one "
		    "that it has there, or an empty one", t->from);
	}
	return running_uses(t->to, plan->dir, by) ?
	    refuse_used(t->to, by, err) : 0;
}

static uint64_t sum; /* nftw() has no argument for its function */

static int
add_size(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_F && S_ISREG(st->st_mode))
		sum += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t
plan_old_bytes(const struct restore_plan *plan)
{
	size_t i;

	sum = 0; /* what cannot be read counts as nothing */
	(void)nftw(plan->dir, add_size, OPEN_DIRS, FTW_PHYS);
	for (i = 0; i < plan->n_tablespaces; i++)
		(void)nftw(plan->tablespaces[i].to, add_size, OPEN_DIRS,
		    FTW_PHYS);
	return sum;
}
