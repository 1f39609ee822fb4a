/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushqueue.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/gap.h"
#include "repo/state.h"
#include "wal/push.h"

#define READY ".ready"
#define SLOW_US INT64_C(20000000)
#define MOMENT_US INT64_C(2000000)

/* How much the status file says to be waiting. */
static uint64_t
waits(const char *entry, const char *wal, const struct wal_queue *q)
{
	const size_t len = strlen(entry), tail = sizeof(READY) - 1;
	struct err ignored = ERR_INIT;
	char name[WAL_FILE_NAME_MAX];
	struct wal_file file;
	struct stat st;
	char *path;
	bool there;

	if (len <= tail || len - tail >= sizeof(name) ||
	    strcmp(entry + len - tail, READY) != 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(len - tail), entry);
	if (wal_file_parse(name, &file, &ignored) != 0 ||
	    (file.type != WAL_FILE_SEGMENT && file.type != WAL_FILE_PARTIAL) ||
	    !wal_file_fits(&file, q->cluster.control.wal_segment_size))
		return 0;
	path = xasprintf("%s/%s", wal, name);
	there = stat(path, &st) == 0; /* a status file alone fills no disk */
	free(path);
	return there ? (uint64_t)st.st_size : 0;
}

/* Is it the archiver's, or somebody's who calls by hand? */
static bool
is_queued(const struct wal_queue *q)
{
	char *path = xasprintf("%s/pg_wal/archive_status/%s" READY,
	    q->cluster.pgdata, q->file.name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static void
measure(struct wal_queue *q)
{
	char *wal = xasprintf("%s/pg_wal", q->cluster.pgdata);
	char *status = xasprintf("%s/archive_status", wal);
	struct dirent *e;
	DIR *d = opendir(status);

	if (d != NULL) {
		while ((e = readdir(d)) != NULL)
			q->waiting += waits(e->d_name, wal, q);
		(void)closedir(d); /* only read from */
	}
	free(status);
	free(wal);
}

int
wal_queue_find(struct wal_queue *q, const char *cluster, const char *pgdata,
    const char *path, struct err *err)
{
	memset(q, 0, sizeof(*q));
	if (wal_file_parse(wal_base_name(path), &q->file, err) != 0 ||
	    wal_cluster_find(&q->cluster, cluster, pgdata, path, err) != 0)
		return -1;
	q->may_go = q->file.type != WAL_FILE_HISTORY && is_queued(q);
	measure(q);
	return 0;
}

void
wal_queue_free(struct wal_queue *q)
{
	wal_cluster_free(&q->cluster);
}

int
wal_queue_give_up(const struct wal_queue *q, const char *state_directory,
    const struct err *why, struct err *err)
{
	if (!q->may_go)
		return err_set(err, ERR_BUG, "%s is never given up",
		    q->file.name);
	if (q->file.type != WAL_FILE_SEGMENT)
		return 0;
	return gap_note(state_directory, &q->cluster.inc, q->file.name, why,
	    err);
}

/*
 * STATE/unreachable/queue-CLUSTER: when the last attempt failed, and how; as
 * old as the last look. Nothing depends on it but how soon the next one is.
 */
static char *
slow_path(const char *cluster, const char *state_directory)
{
	return xasprintf("%s/unreachable/queue-%s", state_directory, cluster);
}

void
wal_queue_note_slow(const struct wal_queue *q, const char *state_directory,
    const struct err *why)
{
	char *folder = xasprintf("%s/unreachable", state_directory);
	char *path = slow_path(q->cluster.inc.cluster, state_directory);
	struct err ignored = ERR_INIT; /* then each call makes an attempt */
	struct buf b;

	buf_init(&b, 2 * ERR_MSG_MAX);
	buf_printf(&b, "%" PRId64 " %s", time_now(), why->msg);
	if (state_make(folder, &ignored) == 0)
		(void)!state_replace(path, b.data, b.len, &ignored);
	buf_free(&b);
	free(path);
	free(folder);
}

void
wal_queue_note_silent(const struct wal_queue *q, const char *state_directory)
{
	char *path = slow_path(q->cluster.inc.cluster, state_directory);

	(void)!utimensat(AT_FDCWD, path, NULL, 0); /* or it has gone */
	free(path);
}

void
wal_queue_forget_slow(const char *cluster, const char *state_directory)
{
	char *path = slow_path(cluster, state_directory);

	(void)unlink(path); /* mostly there is none */
	free(path);
}

/* Of two times of this host's clock, which may have been set back. */
static bool
within(int64_t now, int64_t time, int64_t limit)
{
	return now - time >= 0 && now - time < limit;
}

bool
wal_queue_was_slow(const struct wal_queue *q, const char *state_directory,
    bool *just, struct err *why)
{
	char *path = slow_path(q->cluster.inc.cluster, state_directory), *end;
	struct err ignored = ERR_INIT;
	const int64_t now = time_now();
	struct stat st;
	struct buf b;
	bool slow = false;

	*just = false;
	buf_init(&b, 2 * ERR_MSG_MAX);
	if (stat(path, &st) == 0 && io_read_file(path, &b, &ignored) == 0) {
		slow = within(now, strtoll(buf_str(&b), &end, 10), SLOW_US) &&
		    *end == ' ';
		*just = within(now, time_from_unix(st.st_mtim.tv_sec) +
		    st.st_mtim.tv_nsec / 1000, MOMENT_US);
	}
	if (slow)
		(void)err_set(why, ERR_STORAGE, "%s", end + 1);
	buf_free(&b);
	free(path);
	return slow;
}
