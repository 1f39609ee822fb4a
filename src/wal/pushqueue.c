/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "wal/pushqueue.h"

#include <dirent.h>
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

/* STATE/unreachable/queue-CLUSTER-SYSTEM: the error, as old as the file. */
static char *
slow_path(const struct wal_queue *q, const char *state_directory)
{
	return xasprintf("%s/unreachable/queue-%s-%llu", state_directory,
	    q->cluster.inc.cluster,
	    (unsigned long long)q->cluster.inc.system_id);
}

void
wal_queue_note_slow(const struct wal_queue *q, const char *state_directory,
    const struct err *why)
{
	char *folder = xasprintf("%s/unreachable", state_directory);
	char *path = slow_path(q, state_directory);
	struct err ignored = ERR_INIT; /* then each call makes an attempt */

	if (state_make(folder, &ignored) == 0)
		(void)!state_replace(path, why->msg, strlen(why->msg),
		    &ignored);
	free(path);
	free(folder);
}

bool
wal_queue_was_slow(const struct wal_queue *q, const char *state_directory,
    struct err *why)
{
	char *path = slow_path(q, state_directory);
	struct err ignored = ERR_INIT;
	struct stat st;
	struct buf b;
	int64_t age;
	bool slow = false;

	buf_init(&b, ERR_MSG_MAX);
	if (stat(path, &st) == 0) {
		age = time_now() - time_from_unix(st.st_mtime);
		slow = age >= 0 && age < SLOW_US &&
		    io_read_file(path, &b, &ignored) == 0 && b.len > 0;
	}
	if (slow)
		(void)err_set(why, ERR_STORAGE, "%s", buf_str(&b));
	buf_free(&b);
	free(path);
	return slow;
}
