/* SPDX-License-Identifier: PostgreSQL */
/* What the repositories have of this cluster, and whether WAL gets there. */
#include "config.h"

#include "verify/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/notes.h"
#include "repo/queue.h"
#include "repo/walreach.h"

#define POLL_MS 250
#define NEWEST_BACKUPS 5 /* are looked at */
#define REACH_WAIT_US (5 * INT64_C(1000000))
/* Others follow in the background; one that is not there by then lags. */
#define OTHERS_WAIT_S 10.0

/* By the limits that `status` goes by. */
static void
tell_newest(struct check *c, const char *what, bool first, const char *label,
    size_t n)
{
	const int64_t warning = (int64_t)c->cfg->backup_warning_ms * 1000,
	    critical = (int64_t)c->cfg->backup_critical_ms * 1000;
	char text[32];
	int64_t at, age;

	if (!label_time(label, &at))
		at = time_now();
	age = time_now() - at;
	if ((warning == 0 || age < warning) &&
	    (critical == 0 || age < critical))
		check_tell(c, CHECK_OK, what, NULL, "%zu, the newest is %s", n,
		    label);
	else
		check_tell(c, critical != 0 && age >= critical ?
		    CHECK_FAILED : CHECK_NOTE, what, first ? "dapk-backup "
		    "backup; and each night: systemctl enable --now "
		    "dapk-backup-backup@CLUSTER.timer, or cron" :
		    "dapk-backup copy", "%zu, the newest, %s, is %s old", n,
		    label, notes_age(age, text));
}

/* Is the cluster's folder this server's? */
static void
check_incarnation(struct check *c, const struct check_place *p)
{
	struct err err = ERR_INIT;
	struct incarnation *list = NULL;
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	size_t n = 0, n_labels = 0, i;
	bool known = false;
	const bool first = p == c->places;
	char cluster[160], backups[160];

	(void)check_what(c, p, "cluster", cluster, sizeof(cluster));
	(void)check_what(c, p, "backups", backups, sizeof(backups));
	if (repo_incarnations(p->repo, NULL, &list, &n, &err) != 0) {
		check_tell_err(c, cluster, &err, NULL);
		return;
	}
	for (i = 0; i < n; i++) {
		if (list[i].system_id != c->inc.system_id)
			continue;
		if (strcmp(list[i].cluster, c->inc.cluster) != 0)
			check_tell(c, CHECK_FAILED, cluster, "name the cluster "
			    "in the same way everywhere: --cluster, "
			    "DAPK_BACKUP_CLUSTER or [cluster NAME]",
			    "this server's data is in the repository under "
			    "the name %s, and now it is called %s",
			    list[i].cluster, c->inc.cluster);
		else if (list[i].major == c->inc.major)
			known = true;
	}
	free(list);
	if (!known) {
		check_tell(c, CHECK_NOTE, cluster, first ?
		    "dapk-backup backup" : "dapk-backup copy",
		    "nothing of cluster %s, PostgreSQL %d, system identifier "
		    "%" PRIu64 " is in the repository yet", c->inc.cluster,
		    c->inc.major, c->inc.system_id);
		return;
	}
	if (catalogue_backups(p->repo, &c->inc, &labels, &n_labels, NULL,
	    &err) != 0)
		check_tell_err(c, backups, &err, NULL);
	else if (n_labels == 0)
		check_tell(c, CHECK_NOTE, backups, first ?
		    "dapk-backup backup" : "dapk-backup copy",
		    "there is none yet: WAL alone restores nothing");
	else
		tell_newest(c, backups, first, labels[n_labels - 1], n_labels);
	free(labels);
}

/* Which segment must arrive: a restore point in it makes it not empty. */
static char *
switch_wal(struct check *c)
{
	char *segment = check_query(c, "WAL switch", "SELECT pg_walfile_name("
	    "pg_create_restore_point('dapk-backup check'))");
	char *lsn = segment == NULL ? NULL :
	    check_query(c, "WAL switch", "SELECT pg_switch_wal()");

	if (lsn == NULL) {
		free(segment);
		return NULL;
	}
	free(lsn);
	return segment;
}

static void
tell_late(struct check *c, const char *segment, double seconds)
{
	char *sql = xasprintf("SELECT CASE WHEN last_archived_wal >= '%s' "
	    "THEN 'the server has archived it, but not to here' "
	    "WHEN last_failed_time > now() - interval '1 hour' "
	    "THEN 'the server''s last failure is ' || last_failed_wal || "
	    "' at ' || last_failed_time ELSE 'the server says nothing of a "
	    "failure; it may have a backlog' END FROM pg_stat_archiver",
	    segment);
	char *why = check_query(c, "archiving", sql);
	bool elsewhere = why != NULL && strstr(why, "not to here") != NULL;

	check_tell(c, CHECK_FAILED, "archiving", elsewhere ? "make archive_command "
	    "name the same repository and cluster as this check (--config, "
	    "--cluster, --repository-url)" : "look into the server's log for "
	    "archive-push; --archive-timeout waits longer",
	    "segment %s did not arrive in %s, cluster %s, within %.0f s; %s",
	    segment, c->places[0].from->url, c->cfg->cluster, seconds,
	    why != NULL ? why : "");
	free(why);
	free(sql);
}

/* Does what is stored lead from this backup to the end of that segment? */
static int
reaches(const struct check *c, struct repo *repo, const char *label, const struct wal_file *file,
    bool *yes, struct buf *why, struct err *err)
{
	struct commit backup = { .label = "" };
	struct history path = { .entries = NULL };
	struct wal_reach reach;
	char timeline[16];
	int ret = -1;

	*yes = false;
	(void)snprintf(timeline, sizeof(timeline), "%" PRIu32, file->timeline);
	if (commit_get(repo, &c->inc, label, &backup, err) != 0 ||
	    wal_reach_path(repo, &c->inc, timeline, backup.timeline,
		backup.stop_lsn, &path, err) != 0 ||
	    wal_reach(repo, &backup, &path, &reach, err) != 0)
		goto out;
	*yes = reach.end_timeline == file->timeline &&
	    strcmp(reach.last_segment, file->segment) >= 0;
	if (!*yes && why->len == 0) /* the newest backup's reason */
		buf_printf(why, "from backup %s on %s is %s", label,
		    reach.missing, reach.conflict ?
		    "stored with two contents" : "not stored");
	ret = 0;
out:
	history_free(&path);
	commit_free(&backup);
	return ret;
}

/*
 * A segment that arrives is of no use when WAL before it is lost, or when it
 * is on a timeline that no backup leads to: after a restore whose archiving
 * was turned on later.
 */
static int
check_reach(struct check *c, struct repo *repo, const char *segment,
    struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct err e = ERR_INIT;
	struct wal_file file;
	const int64_t begun = time_monotonic();
	struct buf why;
	bool yes = false;
	size_t i = 0, n = 0;

	buf_init(&why, ERR_MSG_MAX);
	if (wal_file_parse(segment, &file, &e) != 0 ||
	    catalogue_backups(repo, &c->inc, &labels, &n, NULL, &e) != 0) {
		check_tell_err(c, "recovery", &e, NULL);
		goto out;
	}
	/* Segments that are pushed side by side arrive in any order. */
	while (n > 0 && !yes) {
		buf_clear(&why);
		for (i = n; i > 0 && !yes && i + NEWEST_BACKUPS > n; i--) {
			if (cancel_check(err) != 0)
				goto out;
			if (reaches(c, repo, labels[i - 1], &file, &yes, &why, &e) ==
			    0)
				continue;
			if (why.len == 0)
				buf_add_str(&why, e.msg);
			err_clear(&e);
		}
		if (time_monotonic() - begun > REACH_WAIT_US)
			break;
		if (!yes)
			time_sleep_ms(POLL_MS);
	}
	if (yes)
		check_tell(c, CHECK_OK, "recovery", NULL, "backup %s and the stored "
		    "WAL lead up to %s", labels[i], segment);
	else if (n > 0)
		check_tell(c, CHECK_FAILED, "recovery", "take a backup at once: "
		    "dapk-backup backup", "no backup leads to where the "
		    "server is now, timeline %" PRIu32 ", %s: %s",
		    file.timeline, segment, buf_str(&why));
out:
	free(labels);
	buf_free(&why);
	return err->code == ERR_CANCELLED ? -1 : 0;
}

const char *
check_what(const struct check *c, const struct check_place *p,
    const char *what, char *out, size_t size)
{
	if (c->n_places > 1)
		(void)snprintf(out, size, "%s %s", what, p->name);
	else
		(void)snprintf(out, size, "%s", what);
	return out;
}

void
check_incarnations(struct check *c)
{
	unsigned i;

	for (i = 0; i < c->n_places; i++)
		if (c->places[i].repo != NULL)
			check_incarnation(c, &c->places[i]);
}

/* Look once where the segment has not been seen yet; how many lack it. */
static unsigned
look_for(struct check *c, const struct wal_file *file, double seconds)
{
	struct err store = ERR_INIT;
	struct wal_stored *found = NULL;
	struct check_place *p;
	unsigned missing = 0;
	char what[160];
	size_t n;

	for (p = c->places; p < c->places + c->n_places; p++) {
		if (p->repo == NULL || p->arrived || p->lost)
			continue;
		n = 0;
		if (wal_store_find(p->repo, &c->inc, file, &found, &n,
		    &store) != 0) {
			check_tell_err(c, check_what(c, p, "archiving", what,
			    sizeof(what)), &store, NULL);
			err_clear(&store);
			p->lost = true;
			continue;
		}
		free(found);
		found = NULL;
		p->arrived = n > 0;
		p->seconds = seconds;
		missing += p->arrived ? 0 : 1;
	}
	return missing;
}

/* Does archive-push say "done" with what has arrived until now? */
static bool
pushed(const struct check *c)
{
	const bool all = c->cfg->push_success == PUSH_ALL;
	unsigned i, n = 0;

	for (i = 0; i < c->n_places; i++)
		n += c->places[i].arrived ? 1 : 0;
	if (c->cfg->push_success == PUSH_FIRST)
		return c->places[0].arrived;
	return all ? n == c->n_places : n > 0;
}

/* Is there still one that may get it from archive-push itself? */
static bool
hopeful(const struct check *c)
{
	const struct check_place *p = c->places;
	unsigned i, usable = 0;

	for (i = 0; i < c->n_places; i++)
		usable += p[i].repo != NULL && !p[i].lost ? 1 : 0;
	if (c->cfg->push_success == PUSH_ANY)
		return usable > 0;
	return c->cfg->push_success == PUSH_ALL ? usable == c->n_places :
	    p[0].repo != NULL && !p[0].lost;
}

/*
 * Wait until it is everywhere, or time is over: all of archive-timeout for
 * what archive-push waits for, a little more for what follows by itself.
 */
static int
wait_for(struct check *c, const struct wal_file *file, double *seconds,
    struct err *err)
{
	const double limit = (double)c->cfg->archive_timeout_ms / 1000;
	const int64_t begun = time_monotonic();
	double done = -1;

	for (;;) {
		if (cancel_check(err) != 0)
			return -1;
		*seconds = (double)(time_monotonic() - begun) / 1e6;
		if (look_for(c, file, *seconds) == 0)
			return 0;
		if (done < 0 && pushed(c))
			done = *seconds;
		if (done < 0 && (*seconds > limit || !hopeful(c)))
			return 0;
		if (done >= 0 && (*seconds > limit ||
		    *seconds - done > OTHERS_WAIT_S))
			return 0;
		time_sleep_ms(POLL_MS);
	}
}

/* What this host knows of why `p` lags; false: it is not even queued. */
static bool
lag_text(const struct check *c, const struct check_place *p,
    const char *segment, struct buf *out)
{
	char since[TIME_TEXT_MAX];
	struct err err = ERR_INIT;
	struct queue *q = NULL;
	struct queue_item *items = NULL;
	struct queue_note note;
	size_t i, n = 0;
	int64_t oldest = 0;
	bool queued = false;

	if (p->from->name == NULL || queue_open(&q, c->cfg->state_directory,
	    p->repo, &c->inc, p->from->name, &err) != 0)
		return false;
	if (queue_list(q, &items, &n, &err) != 0)
		n = 0;
	for (i = 0; i < n; i++) {
		queued = queued || strcmp(items[i].name, segment) == 0;
		if (oldest == 0 || items[i].since < oldest)
			oldest = items[i].since;
	}
	queue_note_read(q, &note);
	if (n > 0)
		buf_printf(out, "; %zu object%s wait%s, since %s", n,
		    n == 1 ? "" : "s", n == 1 ? "s" : "",
		    time_format_local(oldest, since));
	if (note.error[0] != '\0')
		buf_printf(out, "; the last attempt failed: %s", note.error);
	queue_items_free(items, n);
	queue_close(q);
	return queued;
}

/* The others, and what archive-push waits for too. */
static void
tell_place(struct check *c, const struct check_place *p, const char *segment)
{
	const bool must = c->cfg->push_success == PUSH_ALL;
	char what[160];
	struct buf why;
	bool queued;

	(void)check_what(c, p, "archiving", what, sizeof(what));
	if (p->arrived) {
		check_tell(c, CHECK_OK, what, NULL, "segment %s arrived in "
		    "the repository after %.1f s", segment, p->seconds);
		return;
	}
	if (p->repo == NULL || p->lost)
		return; /* told */
	buf_init(&why, ERR_MSG_MAX / 2);
	queued = lag_text(c, p, segment, &why);
	check_tell(c, must || !queued ? CHECK_FAILED : CHECK_NOTE, what,
	    must ? "see the server's log for archive-push" :
	    "dapk-backup copy", "segment %s %s%s", segment, queued ?
	    "has not arrived yet" : "has not arrived, and this host does not "
	    "know that it should", buf_str(&why));
	buf_free(&why);
}

int
check_arrival(struct check *c, struct err *err)
{
	struct err store = ERR_INIT;
	struct wal_file file;
	char *segment = switch_wal(c);
	const struct check_place *p, *has = NULL;
	double seconds = 0;
	int ret = 0;

	if (segment == NULL)
		return 0;
	if (wal_file_parse(segment, &file, &store) != 0) {
		check_tell_err(c, "archiving", &store, NULL);
		goto out;
	}
	ret = wait_for(c, &file, &seconds, err);
	if (ret != 0)
		goto out;
	if (!pushed(c) && hopeful(c) &&
	    c->cfg->push_success != PUSH_ALL) {
		tell_late(c, segment, seconds);
		goto out;
	}
	for (p = c->places; p < c->places + c->n_places; p++) {
		tell_place(c, p, segment);
		if (has == NULL && p->arrived)
			has = p;
	}
	if (has != NULL) {
		check_content(c, has->repo, segment);
		ret = check_reach(c, has->repo, segment, err);
	}
out:
	free(segment);
	return ret;
}
