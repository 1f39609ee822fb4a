/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/refuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/time.h"

#define NAMES_TEXT_MAX ((size_t)512)
#define NAMES_SEGMENTS_MAX 4096

/* "these are there: 1, 2, 3" when a timeline cannot be reached. */
void
refuse_hint_timelines(const struct restore_plan *plan, struct err *err)
{
	struct err ignored = ERR_INIT; /* the refusal is the one to tell */
	struct buf b;
	uint32_t *list = NULL;
	size_t i, n = 0;

	buf_init(&b, NAMES_TEXT_MAX);
	if (wal_store_timelines(plan->params.repo, &plan->inc, &list, &n,
		&ignored) == 0)
		for (i = 0; i < n; i++)
			buf_printf(&b, "%s%u", i == 0 ? "" : ", ",
			    (unsigned)list[i]);
	err->hint[0] = '\0'; /* this one names them */
	err_hint(err, "timelines that have WAL stored: %s; dapk-backup info "
		      "shows which backup lies on which", buf_str(&b));
	free(list);
	buf_free(&b);
}

/* WAL that makes the backup consistent is not all there. */
int
refuse_incomplete(const struct commit *c, const struct wal_reach *r,
    struct err *err)
{
	err_set(err, ERR_REFUSED,
	    "backup %s needs WAL from %s to %s, and %s is not stored",
	    c->label, c->wal_first, c->wal_last, r->missing);
	return err_hint(err,
	    "dapk-backup info shows the ranges; if the server still has the "
	    "segment: dapk-backup archive-push --all DIR (its pg_wal)");
}

/* "--target-lsn 0/3000028": what is certainly found; "" where nothing is. */
static const char *
last_target(const struct commit *c, const struct wal_reach *r,
    char out[64])
{
	char lsn[LSN_TEXT_MAX];

	out[0] = '\0';
	if (r->last_record >= c->stop_lsn)
		(void)snprintf(out, 64, "--target-lsn %s",
		    lsn_format(r->last_record, lsn));
	else if (r->last_record != 0)
		(void)snprintf(out, 64, "--target immediate");
	return out;
}

int
refuse_gap(const struct commit *c, const struct wal_reach *r, struct err *err)
{
	char target[64], text[TIME_TEXT_MAX];

	if (r->conflict)
		err_set(err, ERR_REFUSED,
		    "WAL segment %s is stored with two contents: two servers "
		    "archived to this cluster's name; recovery from backup %s "
		    "cannot pass it", r->missing, c->label);
	else if (r->damaged)
		err_set(err, ERR_DAMAGED,
		    "WAL segment %s is stored damaged; recovery from backup "
		    "%s cannot pass it", r->missing, c->label);
	else
		err_set(err, ERR_REFUSED,
		    "WAL segment %s is missing although later ones are "
		    "stored; recovery from backup %s cannot pass it",
		    r->missing, c->label);
	return err_hint(err, "reachable: %s%s%s%s; %s",
	    last_target(c, r, target),
	    r->max_commit_time == 0 ? "" : " (the last commit before it: ",
	    r->max_commit_time == 0 ? "" :
				      time_format(r->max_commit_time, text),
	    r->max_commit_time == 0 ? "" : ")",
	    r->conflict ? "or find out which server's it is, and move the "
	    "other object away" : "if the server still has the segment: "
	    "dapk-backup archive-push PATH");
}

/*
 * Recovery takes a segment from the newest timeline that has it. With nothing
 * of the new one it would go on in the old one's WAL, past the place that the
 * new one was begun to leave: an accident would happen again.
 */
int
refuse_fork(const struct restore_plan *plan, const struct commit *c,
    const struct wal_reach *r, struct err *err)
{
	char lsn[LSN_TEXT_MAX], end[LSN_TEXT_MAX], target[64];
	uint32_t last = plan->path.timeline;

	if (r->past_fork)
		err_set(err, ERR_REFUSED,
		    "timeline %u left timeline %u at LSN %s, and its first "
		    "segment %s is not stored: recovery would go on in "
		    "timeline %u's WAL, which has records after that place",
		    (unsigned)last, (unsigned)r->end_timeline,
		    lsn_format(r->fork, lsn), r->missing,
		    (unsigned)r->end_timeline);
	else
		err_set(err, ERR_REFUSED,
		    "timeline %u left timeline %u at LSN %s, but the stored "
		    "WAL ends before it, at %s", (unsigned)last,
		    (unsigned)r->end_timeline, lsn_format(r->fork, lsn),
		    lsn_format(r->end, end));
	return err_hint(err,
	    "what was there when timeline %u began: --timeline %u %s; timeline "
	    "%u to its own end: --timeline %u; if a server of timeline %u "
	    "still exists: dapk-backup archive-push --all DIR",
	    (unsigned)last, (unsigned)r->end_timeline,
	    last_target(c, r, target), (unsigned)r->end_timeline,
	    (unsigned)r->end_timeline, (unsigned)last);
}

/*
 * The newest timeline that is stored cannot be reached: an older one is taken
 * when it is asked for, never by itself.
 */
int
refuse_abandoned(const struct restore_plan *plan, uint32_t reached,
    struct err *err)
{
	uint32_t *list = NULL, highest = 0;
	size_t n = 0;

	if (wal_store_timelines(plan->params.repo, &plan->inc, &list, &n,
		err) != 0)
		return -1;
	if (n > 0)
		highest = list[n - 1];
	free(list);
	if (highest <= reached)
		return 0;
	err_set(err, ERR_REFUSED,
	    "timeline %u is the latest that is stored, and no backup%s%s leads "
	    "to it; what can be reached is timeline %u", (unsigned)highest,
	    plan->config->backup == NULL ? "" : " ",
	    plan->config->backup == NULL ? "" : plan->config->backup,
	    (unsigned)reached);
	return err_hint(err, "--timeline %u takes the older one; a backup of "
	    "the server on timeline %u makes that one reachable",
	    (unsigned)reached, (unsigned)highest);
}

static void
hint_latest(const struct restore_plan *plan, const struct wal_reach *r,
    const struct commit *c, struct err *err)
{
	char text[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX], target[64];
	int64_t t = r->proven_time > c->stop_time ? r->proven_time :
						    c->stop_time;

	if (plan->target == TARGET_TIME)
		err_hint(err,
		    "what can be reached from backup %s: times after its end "
		    "and up to %s, or (without a target, or with %s) "
		    "everything up to LSN %s", c->label, time_format(t, text),
		    last_target(c, r, target), lsn_format(r->end, lsn));
	else
		err_hint(err,
		    "the stored WAL is proved up to LSN %s, its last time is "
		    "%s; without a target, or with %s, everything that is "
		    "stored is replayed", lsn_format(r->end, lsn),
		    time_format(t, text), last_target(c, r, target));
}

int
refuse_not_found(const struct restore_plan *plan, const struct commit *c,
    const struct wal_reach *r, struct err *err)
{
	struct buf b;
	char lsn[LSN_TEXT_MAX], text[TIME_TEXT_MAX];

	if (r->gap)
		return refuse_gap(c, r, err);
	if (r->fork != 0)
		return refuse_fork(plan, c, r, err);
	buf_init(&b, NAMES_TEXT_MAX);
	plan_target_text(plan, &b);
	if (plan->target == TARGET_XID || plan->target == TARGET_NAME)
		err_set(err, ERR_REFUSED,
		    "%s is not in the stored WAL after backup %s (timeline %u, "
		    "up to LSN %s)", buf_str(&b), c->label,
		    (unsigned)r->end_timeline, lsn_format(r->end, lsn));
	else
		err_set(err, ERR_REFUSED,
		    "%s is after the end of the archive: the stored WAL on the "
		    "way to timeline %u ends with %s at LSN %s, its last "
		    "commit is %s", buf_str(&b), (unsigned)plan->path.timeline,
		    r->last_segment, lsn_format(r->end, lsn),
		    r->max_commit_time == 0 ?
			"before the backup" :
			time_format(r->max_commit_time, text));
	buf_free(&b);
	if (plan->target != TARGET_NAME)
		hint_latest(plan, r, c, err);
	return -1;
}

/* Restore points of a timeline's stretch, for the hint. */
static int
collect_names(const struct restore_plan *plan, const struct history_entry *h,
    struct buf *out, struct err *err)
{
	struct wal_stored *list = NULL;
	struct wal_summary s;
	struct format_wal_tag tag;
	size_t i, n = 0;
	uint32_t k;
	int ret = -1;

	if (wal_store_segments(plan->params.repo, &plan->inc, h->timeline, true,
		&list, &n, err) != 0)
		return -1;
	for (i = n > NAMES_SEGMENTS_MAX ? n - NAMES_SEGMENTS_MAX : 0; i < n;
	    i++) {
		if (wal_store_describe(plan->params.repo, &plan->inc, &list[i],
			&tag, &s, err) != 0 || cancel_check(err) != 0)
			goto out;
		for (k = 0; k < s.n_restore_points &&
		    k < WAL_SUMMARY_RESTORE_POINTS_MAX; k++)
			if (s.points[k].lsn < h->end)
				buf_printf(out, "%s\"%s\"",
				    out->len == 0 ? "" : ", ",
				    s.points[k].name);
	}
	ret = 0;
out:
	free(list);
	return ret;
}

void
refuse_hint_names(const struct restore_plan *plan, const struct history *path,
    struct err *err)
{
	struct err ignored = ERR_INIT; /* the refusal is the one to tell */
	struct buf b;
	size_t i;

	buf_init(&b, NAMES_TEXT_MAX);
	for (i = 0; i < path->n; i++)
		if (collect_names(plan, &path->entries[i], &b, &ignored) != 0)
			break;
	if (b.len == 0)
		err_hint(err, "no restore point is stored on this timeline");
	else
		err_hint(err, "restore points on this timeline: %s%s",
		    buf_str(&b), b.overflow ? ", ..." : "");
	buf_free(&b);
}
