/* SPDX-License-Identifier: PostgreSQL */
/* Is there room for tomorrow? Estimated from what was stored until now. */
#include "config.h"

#include "verify/check_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/walstore.h"

#define BACKUPS 7 /* are looked at */
#define DUMPS 100
#define DAY_US INT64_C(86400000000)
#define HOUR_US (DAY_US / 24)
#define DAYS_NOTE 3 /* room for fewer is told, where nothing is removed */
#define ROOM_MIN (UINT64_C(64) << 20)
#define FILES_MIN 1000

/* What a day takes, as far as can be seen. */
struct rate {
	uint64_t backup; /* bytes that the next one stores */
	double wal;	 /* bytes that the server writes a day; 0: not known */
	double stored;	 /* of these in the repository */
	int64_t between; /* two backups; 0: not known */
	int64_t oldest; /* of the backups; 0: none */
};

/* The largest of the last ones; the very first says nothing of a night. */
static int
look_at_backups(struct check *c, struct repo *repo, struct rate *r,
    pg_lsn *lsn, int64_t *since, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct commit b;
	int64_t newest = 0;
	size_t i, n = 0;
	int rc;

	rc = catalogue_backups(repo, &c->inc, &labels, &n, NULL, err);
	if (rc == 0 && n > 0 && !label_time(labels[0], &r->oldest))
		r->oldest = 0;
	for (i = n; rc == 0 && i > 0 && i + BACKUPS > n; i--) {
		memset(&b, 0, sizeof(b));
		rc = commit_get(repo, &c->inc, labels[i - 1], &b, err);
		if (rc == 0 && (b.parent[0] != '\0' || i > 1) &&
		    b.stored_bytes > r->backup)
			r->backup = b.stored_bytes;
		if (rc == 0 && newest != 0 && r->between == 0)
			r->between = newest - b.stop_time;
		if (rc == 0 && newest == 0)
			newest = b.stop_time;
		/* The newest that is a day old tells a day's WAL. */
		if (rc == 0 && (*since == 0 || *since > time_now() - DAY_US)) {
			*since = b.stop_time;
			*lsn = b.stop_lsn;
		}
		commit_free(&b);
	}
	free(labels);
	return rc;
}

/* Dumps of the last day, but for a database's first. */
static int
look_at_dumps(struct check *c, struct repo *repo, struct rate *r,
    struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct commit d;
	int64_t at;
	size_t i, n = 0;
	int rc;

	rc = catalogue_dumps(repo, &c->inc, &labels, &n, NULL, err);
	for (i = n; rc == 0 && i > 0 && i + DUMPS > n; i--) {
		if (!label_time(labels[i - 1], &at) ||
		    at < time_now() - DAY_US)
			break;
		memset(&d, 0, sizeof(d));
		rc = commit_get_dump(repo, &c->inc, labels[i - 1], &d, err);
		if (rc == 0 && d.parent[0] != '\0')
			r->backup += d.stored_bytes;
		commit_free(&d);
	}
	free(labels);
	return rc;
}

/* How much smaller WAL gets: by the sixteen segments around the newest. */
static double
stored_share(struct check *c, struct repo *repo, const char *segment)
{
	struct err ignored = ERR_INIT;
	struct wal_stored *list = NULL;
	struct wal_file file;
	uint64_t bytes = 0;
	size_t i, n = 0;

	if (wal_file_parse(segment, &file, &ignored) != 0 ||
	    wal_store_sixteen(repo, &c->inc, &file, &list, &n, &ignored) != 0)
		n = 0;
	for (i = 0; i < n; i++)
		bytes += list[i].size;
	free(list);
	return n == 0 ? 1 : (double)bytes / (double)n /
	    (double)c->control.wal_segment_size;
}

static void
look_at_wal(struct check *c, struct repo *repo, struct rate *r, pg_lsn from,
    int64_t since)
{
	char *lsn, *segment;
	const int64_t took = time_now() - since;
	pg_lsn now;

	if (c->conn == NULL || c->in_recovery || since == 0 || took < HOUR_US)
		return;
	lsn = check_query(c, "space", "SELECT pg_current_wal_insert_lsn()");
	segment = check_query(c, "space", "SELECT pg_walfile_name("
	    "pg_current_wal_insert_lsn())");
	if (lsn != NULL && segment != NULL &&
	    lsn_parse(lsn, &now) && now > from) {
		r->wal = (double)(now - from) * (double)DAY_US / (double)took;
		r->stored = r->wal * stored_share(c, repo, segment);
	}
	free(segment);
	free(lsn);
}

/* Days until as much is kept as retain says, 0: it is; else growth ends. */
static double
days_to_fill(const struct check_place *p, const struct rate *r)
{
	const int64_t retain = (int64_t)p->from->retain_ms * 1000;

	if (retain == 0 || r->oldest == 0)
		return DAYS_NOTE;
	if (r->oldest <= time_now() - retain)
		return 0;
	return (double)(r->oldest - (time_now() - retain)) / (double)DAY_US;
}

static void
tell_room(struct check *c, const struct check_place *p, const char *path,
    const struct rate *r)
{
	const double need = (double)r->backup + r->stored;
	const double fill = days_to_fill(p, r);
	char free_text[TEXT_SIZE_MAX], need_text[TEXT_SIZE_MAX],
	    wal_text[TEXT_SIZE_MAX], what[160];
	const char *next = "give it a larger file system, or keep less: "
	    "retain of [repository NAME]";
	struct statvfs v;
	uint64_t room;

	if (statvfs(path, &v) != 0)
		return;
	room = (uint64_t)v.f_bavail * v.f_frsize;
	(void)text_human_size(room, free_text);
	(void)text_human_size((uint64_t)need, need_text);
	(void)text_human_size((uint64_t)r->stored, wal_text);
	(void)check_what(c, p, "space", what, sizeof(what));
	if (v.f_files > 0 && v.f_favail < FILES_MIN)
		check_tell(c, CHECK_FAILED, what, next, "%s has room for %"
		    PRIu64 " more files only (df -i)", path,
		    (uint64_t)v.f_favail);
	if ((double)room < need || room < ROOM_MIN)
		check_tell(c, CHECK_FAILED, what, next, "%s are free in %s, "
		    "and a day takes about %s (a backup and dumps, and %s of "
		    "WAL): there is no room for tomorrow", free_text, path,
		    need_text, wal_text);
	else if ((double)room < fill * need)
		check_tell(c, CHECK_NOTE, what, next, "%s are free in %s: "
		    "room for %.0f days of about %s, and it grows for %.0f "
		    "days more until it has what retain says", free_text,
		    path, (double)room / need, need_text, fill);
	else if (need > 0)
		check_tell(c, CHECK_OK, what, NULL, "%s are free, a day takes "
		    "about %s", free_text, need_text);
	else
		check_tell(c, CHECK_OK, what, NULL, "%s are free; what a day "
		    "takes is not known yet", free_text);
}

/* Without it nothing is remembered, and archive-get has no room ahead. */
static void
tell_state(struct check *c)
{
	char room_text[TEXT_SIZE_MAX];
	struct statvfs v;
	uint64_t room;

	if (statvfs(c->cfg->state_directory, &v) != 0)
		return;
	room = (uint64_t)v.f_bavail * v.f_frsize;
	if (room < ROOM_MIN)
		check_tell(c, CHECK_FAILED, "state-directory", "free some "
		    "space there, or set state-directory to a place that has "
		    "it", "%s are free in %s", text_human_size(room,
			room_text), c->cfg->state_directory);
}

/* When archiving stops, WAL stays where it is written. */
static void
tell_pg_wal(struct check *c, const struct rate *r)
{
	char room_text[TEXT_SIZE_MAX], *path;
	struct statvfs v;
	double hours;

	if (c->pgdata == NULL || r->wal <= 0)
		return;
	path = xasprintf("%s/pg_wal", c->pgdata);
	if (statvfs(path, &v) == 0) {
		hours = (double)v.f_bavail * (double)v.f_frsize / r->wal * 24;
		if (hours < 24)
			check_tell(c, CHECK_NOTE, "pg_wal", "a larger file "
			    "system for pg_wal; archive-queue-max rather "
			    "loses WAL than the server", "%s are free: if "
			    "archiving fails, the server stops after about "
			    "%.1f hours", text_human_size((uint64_t)
				v.f_bavail * v.f_frsize, room_text), hours);
	}
	free(path);
}

static void
tell_retain(struct check *c, const struct check_place *p,
    const struct rate *r)
{
	const int64_t retain = (int64_t)p->from->retain_ms * 1000;
	char what[160];

	(void)check_what(c, p, "retain", what, sizeof(what));
	if (retain != 0 && r->between > retain)
		check_tell(c, CHECK_NOTE, what, "take backups more often, or "
		    "make retain longer", "is %.1f days, and the last two "
		    "backups are %.1f days apart: to keep to it, backups must "
		    "stay for longer than it says, and cost space", (double)retain / (double)DAY_US,
		    (double)r->between / (double)DAY_US);
}

void
check_space(struct check *c)
{
	struct err ignored = ERR_INIT; /* the checks before have told */
	const struct check_place *p;
	struct rate r = { 0 };

	for (p = c->places; p < c->places + c->n_places; p++) {
		pg_lsn lsn = 0;
		int64_t since = 0;

		if (p->repo == NULL)
			continue;
		memset(&r, 0, sizeof(r));
		if (look_at_backups(c, p->repo, &r, &lsn, &since, &ignored) !=
		    0) {
			err_clear(&ignored);
			continue;
		}
		if (look_at_dumps(c, p->repo, &r, &ignored) != 0)
			err_clear(&ignored);
		look_at_wal(c, p->repo, &r, lsn, since);
		if (strncmp(p->from->url, "file://", 7) == 0)
			tell_room(c, p, p->from->url + 7, &r);
		tell_retain(c, p, &r);
		if (p == c->places)
			tell_pg_wal(c, &r);
	}
	tell_state(c);
}
