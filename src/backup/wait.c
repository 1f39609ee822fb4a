/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/walstore.h"

#define SWITCH_EACH_US INT64_C(5000000)

/* pg_stat_archiver, as far as it matters here. */
struct archiver {
	char count[32];
	char last_wal[WAL_FILE_NAME_MAX];
	char failed_wal[WAL_FILE_NAME_MAX];
	char failed_time[TIME_TEXT_MAX];
	char failures[32];
	bool failing; /* the last attempt failed */
	double seconds_since; /* the last success; negative: never */
};

static void
copy_text(char *out, size_t size, const char *s)
{
	(void)snprintf(out, size, "%s", s);
}

static int
ask_archiver(struct wait *w, struct archiver *a, struct err *err)
{
	struct pg_result *res = NULL;

	memset(a, 0, sizeof(*a));
	if (pg_query(w->conn, &res, err, 0, NULL,
	    "SELECT archived_count, last_archived_wal, last_failed_wal,"
	    " last_failed_time, failed_count,"
	    " last_failed_time > coalesce(last_archived_time, '-infinity'),"
	    " coalesce(extract(epoch from pg_catalog.clock_timestamp()"
	    " - last_archived_time), -1)"
	    " FROM pg_catalog.pg_stat_archiver") != 0)
		return -1;
	if (pg_rows(res) == 1) {
		copy_text(a->count, sizeof(a->count), pg_value(res, 0, 0));
		copy_text(a->last_wal, sizeof(a->last_wal),
		    pg_value(res, 0, 1));
		copy_text(a->failed_wal, sizeof(a->failed_wal),
		    pg_value(res, 0, 2));
		copy_text(a->failed_time, sizeof(a->failed_time),
		    pg_value(res, 0, 3));
		copy_text(a->failures, sizeof(a->failures),
		    pg_value(res, 0, 4));
		a->failing = strcmp(pg_value(res, 0, 5), "t") == 0;
		a->seconds_since = strtod(pg_value(res, 0, 6), NULL);
	}
	pg_result_free(res);
	return 0;
}

void
wait_init(struct wait *w, pg_lsn from, pg_lsn to)
{
	w->next = wal_segno_of_lsn(from, w->segment_size);
	w->last = wal_segno_of_lsn(to > from ? to - 1 : from,
	    w->segment_size);
	w->began = w->progress = time_monotonic();
	w->archived[0] = '\0';
	w->next_switch = 0;
}

/* Does the server still have to archive this segment? By SQL. */
static int
ask_pending(struct wait *w, const char *name, struct err *err)
{
	const char *params[] = { name };
	struct pg_result *res = NULL;
	int rc;

	if (w->conn == NULL || w->blind)
		return 0;
	if (pg_query(w->conn, &res, err, 1, params,
	    "SELECT FROM pg_catalog.pg_ls_archive_statusdir() AS a"
	    " WHERE a.name ="
	    " pg_catalog.concat($1::text, '.ready')") != 0) {
		if (err->code == ERR_CANCELLED)
			return -1;
		log_warning("what the server still has to archive cannot be "
		    "seen, only what is stored: %s. To allow it: GRANT "
		    "pg_monitor TO role", err->msg);
		err_clear(err);
		w->blind = true;
		return 0;
	}
	rc = pg_rows(res) > 0;
	pg_result_free(res);
	return rc;
}

/* Does the server still have to archive this segment? 1, 0, or -1. */
static int
is_pending(const struct wait *w, const char *name, struct err *err)
{
	char path[64 + WAL_FILE_NAME_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "pg_wal/archive_status/%s.ready",
	    name);
	if (fstatat(w->pgdata_fd, path, &st, 0) == 0)
		return 1;
	return errno == ENOENT ? 0 : err_sys(err, errno, "look at %s", path);
}

/* 1: stored, 0: not yet. */
static int
is_stored(struct wait *w, const char *name, struct err *err)
{
	const bool elsewhere = w->standby || w->pgdata_fd < 0;
	struct wal_stored stored;
	struct wal_file file;
	int rc;

	if (wal_file_parse(name, &file, err) != 0)
		return -1;
	rc = elsewhere ? 0 : is_pending(w, name, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (wal_store_pick(w->repo, w->inc, &file, &stored, err) == 0) {
		rc = elsewhere ? ask_pending(w, name, err) : 0;
		return rc < 0 ? -1 : rc == 0;
	}
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static bool
timed_out(const struct wait *w, int64_t since)
{
	return time_monotonic() - since > (int64_t)w->timeout_ms * 1000;
}

static int
fail_archiving(const struct archiver *a, struct err *err)
{
	err_set(err, ERR_POSTGRES,
	    "archiving fails on the server: %s failures, the last at %s for "
	    "%s", a->failures, a->failed_time, a->failed_wal);
	return err_hint(err, "the server's log has what archive_command "
	    "printed; then type: dapk-backup check");
}

static int
fail_elsewhere(const struct wait *w, const char *what, struct err *err)
{
	err_set(err, ERR_STORAGE,
	    "the server has archived %s, but it is not in this repository "
	    "(cluster \"%s\", %s)", what, w->inc->cluster,
	    storage_url(w->repo->st));
	return err_hint(err, "does archive_command name the same repository "
	    "and cluster? type: dapk-backup check");
}

static int
fail_waiting(struct wait *w, const char *name, const struct archiver *a,
    struct err *err)
{
	if (a->failing)
		fail_archiving(a, err);
	else if (strlen(a->last_wal) >= WAL_SEGMENT_NAME_LEN &&
	    strncmp(a->last_wal, name, WAL_SEGMENT_NAME_LEN) >= 0)
		fail_elsewhere(w, name, err);
	else {
		err_set(err, ERR_POSTGRES,
		    "nothing was archived for %llu seconds; the last was %s",
		    (unsigned long long)(w->timeout_ms / 1000),
		    a->last_wal[0] == '\0' ? "none" : a->last_wal);
		(void)err_hint(err, "type: dapk-backup check");
	}
	return err_wrap(err, "waiting for WAL segment %s", name);
}

/* Where the primary writes: timeline and segment. */
static int
ask_primary(struct wait *w, uint32_t *timeline, uint64_t *segno,
    struct err *err)
{
	struct pg_result *res = NULL;
	uint64_t tli = 0;
	pg_lsn lsn = 0;
	int rc = -1;

	if (pg_query(w->conn, &res, err, 0, NULL,
	    "SELECT lsn, pg_catalog.substr(pg_catalog.pg_walfile_name(lsn), 1,"
	    " 8) FROM pg_catalog.pg_current_wal_insert_lsn() AS a(lsn)") != 0)
		return -1;
	if (pg_rows(res) == 1 && lsn_parse(pg_value(res, 0, 0), &lsn) &&
	    text_hex_u64(pg_value(res, 0, 1), 8, &tli)) {
		*timeline = (uint32_t)tli;
		*segno = wal_segno_of_lsn(lsn, w->segment_size);
		rc = 0;
	} else
		err_set(err, ERR_POSTGRES, "the primary does not tell where "
		    "it writes WAL");
	pg_result_free(res);
	return rc;
}

/*
 * T55: the last segment is archived when the primary has filled it, which on
 * an idle one takes for ever. Something is written before the switch, as
 * PostgreSQL does not switch at a segment's first byte. Only a help: what it
 * cannot do is said, and the primary's own writing ends the segment too.
 */
static void
switch_primary(struct wait *w)
{
	struct err err = ERR_INIT;
	uint32_t timeline = 0;
	uint64_t segno = 0;
	int rc;

	if (time_monotonic() < w->next_switch)
		return;
	w->next_switch = time_monotonic() + SWITCH_EACH_US;
	rc = ask_primary(w, &timeline, &segno, &err);
	if (rc == 0 && (timeline != w->timeline || segno > w->last))
		return;
	if (rc == 0)
		rc = pg_execute(w->conn, "SELECT"
		    " pg_catalog.pg_logical_emit_message(false, 'dapk-backup',"
		    " 'end of a backup'), pg_catalog.pg_switch_wal()", &err);
	if (rc != 0) {
		log_err(LOG_WARNING, &err);
		log_warning("the primary cannot be told to finish the WAL "
		    "segment; waiting until it has. To allow it: GRANT EXECUTE "
		    "ON FUNCTION pg_switch_wal() TO role");
		w->next_switch = INT64_MAX;
	}
}

/* A standby, and nobody to ask about the archiver. */
static int
fail_out_of_reach(const struct wait *w, const char *name, struct err *err)
{
	err_set(err, ERR_POSTGRES, "waiting for WAL segment %s: nothing "
	    "arrived in the repository for %llu seconds, and the standby's "
	    "primary, which archives it, is not in reach", name,
	    (unsigned long long)(w->timeout_ms / 1000));
	return err_hint(err, "name the primary too (host=standby,primary in "
	    "conninfo), type there SELECT pg_switch_wal(), or give more time "
	    "with --archive-timeout; does the primary archive to this "
	    "repository?");
}

int
wait_step(struct wait *w, bool *done, struct err *err)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct archiver a;
	int rc;

	for (; w->next <= w->last; w->next++) {
		wal_segment_name(w->timeline, w->next, w->segment_size, name);
		rc = is_stored(w, name, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		w->progress = time_monotonic();
	}
	*done = w->next > w->last;
	if (!*done && w->standby && w->conn != NULL)
		switch_primary(w);
	if (*done || !timed_out(w, w->progress))
		return 0;
	if (w->conn == NULL)
		return fail_out_of_reach(w, name, err);
	if (ask_archiver(w, &a, err) != 0)
		return -1;
	/* A backlog before our first segment moves: that is progress. */
	if (strcmp(a.count, w->archived) != 0 && w->archived[0] != '\0') {
		copy_text(w->archived, sizeof(w->archived), a.count);
		w->progress = time_monotonic();
		return 0;
	}
	if (w->archived[0] == '\0' && !a.failing &&
	    a.seconds_since >= 0 &&
	    a.seconds_since * 1000 < (double)w->timeout_ms &&
	    strcmp(a.last_wal, name) < 0) {
		copy_text(w->archived, sizeof(w->archived), a.count);
		w->progress = time_monotonic();
		return 0;
	}
	return fail_waiting(w, name, &a, err);
}

int
wait_check_archiving(struct wait *w, bool *sure, struct err *err)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	struct archiver a;
	int64_t elapsed = time_monotonic() - w->began;
	int rc;

	wal_segment_name(w->timeline, w->next, w->segment_size, name);
	rc = is_stored(w, name, err);
	if (rc != 0) {
		*sure = rc == 1;
		return rc < 0 ? -1 : 0;
	}
	if (!timed_out(w, w->began) || w->conn == NULL)
		return 0;
	if (ask_archiver(w, &a, err) != 0)
		return -1;
	if (a.failing)
		return fail_archiving(&a, err);
	if (a.seconds_since < 0 || a.seconds_since * 1e6 > (double)elapsed)
		return 0; /* nothing since the start: nothing is proved */
	rc = is_stored(w, a.last_wal, err);
	if (rc == 0)
		return fail_elsewhere(w, a.last_wal, err);
	*sure = rc == 1;
	return rc < 0 ? -1 : 0;
}
