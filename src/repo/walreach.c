/* SPDX-License-Identifier: PostgreSQL */
/*
 * A chain of stored segments along a path of timelines; each one's summary
 * says whether the target can be in it, and only then are its records read.
 *
 * A record that begins in one segment and ends in the next is in neither
 * summary. Such records are read before any hit behind them counts: a name
 * may be used twice, and clocks step back.
 */
#include "config.h"

#include "repo/walreach.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "repo/walchain.h"

#define AHEAD 64 /* links whose summaries are read together */

/* Times of the records of one link that count. */
struct times {
	pg_lsn from, to;
	pg_lsn last, end; /* of the last record */
	int64_t max_commit;
	int64_t max_time;
	pg_lsn max_time_lsn;
};

static bool
note_times(void *arg, const struct wal_event *ev)
{
	struct times *t = arg;

	if (ev->end > t->to)
		return true;
	t->end = ev->end;
	t->last = ev->lsn;
	if (ev->lsn < t->from || !ev->has_time)
		return false;
	if ((ev->type == WAL_EVENT_COMMIT || ev->type == WAL_EVENT_ABORT) &&
	    (t->max_commit == 0 || ev->time > t->max_commit))
		t->max_commit = ev->time;
	if (t->max_time_lsn == 0 || ev->time > t->max_time) {
		t->max_time = ev->time;
		t->max_time_lsn = ev->lsn;
	}
	return false;
}

static void
add_times(struct wal_reach *out, const struct times *t)
{
	if (t->end > out->end)
		out->end = t->end;
	if (t->max_commit != 0 &&
	    (out->max_commit_time == 0 ||
		t->max_commit > out->max_commit_time))
		out->max_commit_time = t->max_commit;
	if (t->max_time_lsn != 0 && t->max_time > out->proven_time) {
		out->proven_time = t->max_time;
		out->proven_lsn = t->max_time_lsn;
	}
}

/* The records of a link between t->from and t->to, if not known already. */
static int
scan_times(struct wal_chain *c, size_t at, struct times *t, struct err *err)
{
	const struct walview_span *known;
	struct walview_span span = { .from = t->from, .to = t->to };
	struct wal_link l;
	bool enough;

	if (wal_chain_link(c, at, &l, err) != 0)
		return -1;
	known = walview_find_span(c->view, l.item, t->from, t->to);
	if (known != NULL) {
		t->last = known->last;
		t->end = known->end;
		t->max_commit = known->max_commit_time;
		t->max_time = known->max_time;
		t->max_time_lsn = known->max_time_lsn;
		return 0;
	}
	if (wal_chain_scan(c, at, note_times, t, &enough, err) != 0 ||
	    wal_chain_link(c, at, &l, err) != 0)
		return -1;
	span.last = t->last;
	span.end = t->end;
	span.max_commit_time = t->max_commit;
	span.max_time = t->max_time;
	span.max_time_lsn = t->max_time_lsn;
	walview_add_span(c->view, l.item, &span);
	return 0;
}

/*
 * What a link adds. *ends: valid WAL ends in it (or at its limit), whatever
 * is stored after it.
 */
static int
reach_link(struct wal_chain *c, size_t at, pg_lsn stop, struct wal_reach *out,
    bool *ends, struct err *err)
{
	pg_lsn start = wal_chain_start(c, at), next = start + c->segment_size;
	struct times t = { .from = stop };
	const struct walview_item *sum;
	struct wal_link l;

	*ends = false;
	if (wal_chain_link(c, at, &l, err) != 0 ||
	    walview_facts(c->view, l.item, err) != 0)
		return -1;
	sum = l.item;
	t.to = l.limit;
	if (!sum->parsed) {
		/*
		 * Encrypted, by the server or for want of a key here: where
		 * records end is not known, but for the backup's own last
		 * one, which is in a segment that is stored whole.
		 */
		t.end = start < stop && stop <= next && !sum->partial ? stop :
									start;
		out->opaque = true;
	} else if (l.limit < next || (start < stop && stop < next)) {
		if (scan_times(c, at, &t, err) != 0)
			return -1;
		*ends = sum->ended && sum->end <= l.limit;
	} else {
		t.end = sum->end;
		if (start >= stop) {
			t.max_commit = sum->has_commits ?
			    sum->max_commit_time : 0;
			t.max_time = sum->max_time;
			t.max_time_lsn = sum->max_time_lsn;
		}
		*ends = sum->ended;
	}
	if (l.limit < next)
		out->past_fork = !sum->parsed || sum->end > l.limit ||
		    sum->unfinished >= l.limit;
	add_times(out, &t);
	return 0;
}

static int
check_backup(const struct commit *backup, struct err *err)
{
	if (wal_segment_size_valid(backup->wal_segment_size))
		return 0;
	return err_set(err, ERR_DAMAGED,
	    "backup %s says its WAL segments have %u bytes", backup->label,
	    backup->wal_segment_size);
}

static int
build(struct wal_chain *c, struct repo *repo, const struct commit *backup,
    struct walview *view, const struct history *path, struct err *err)
{
	uint32_t size = backup->wal_segment_size;

	return wal_chain_build(c, repo, &backup->inc, view, size, path,
	    wal_segno_of_lsn(backup->start_lsn, size), err);
}

/* What the next links say, if it is time to read it. */
static int
look_ahead(struct wal_chain *c, size_t at, size_t limit, struct err *err)
{
	struct walview_item *items[AHEAD];
	struct wal_link l;
	size_t n;

	if (at % AHEAD != 0)
		return 0;
	/* Segments of 1 GB, four a folder: not more than the view keeps. */
	for (n = 0; n < AHEAD && at + n < limit; n++) {
		if (wal_chain_link(c, at + n, &l, err) != 0)
			return -1;
		items[n] = l.item;
	}
	return walview_facts_ahead(c->view, items, n, err);
}

/* The first `limit` links; *used: those before the first damaged one. */
static int
walk(struct wal_chain *c, const struct commit *backup, size_t limit,
    struct wal_reach *out, size_t *used, struct err *err)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	bool ends = false;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->begin = backup->start_lsn;
	out->proven_time = backup->stop_time;
	out->proven_lsn = backup->stop_lsn;
	out->end_timeline = backup->timeline;
	for (i = 0; i < limit && !ends; i++) {
		if (look_ahead(c, i, limit, err) != 0)
			return -1;
		if (reach_link(c, i, backup->stop_lsn, out, &ends, err) == 0)
			continue;
		if (err->code != ERR_DAMAGED)
			return -1;
		(void)wal_chain_name(c, i, name);
		log_warning("%s%s: %s; recovery cannot go past it", name,
		    i + 1 == c->n && c->ends_in_partial ? ".partial" : "",
		    err->msg);
		err_clear(err);
		out->damaged = true;
		break;
	}
	*used = i;
	if (i > 0)
		out->end_timeline = wal_chain_name(c, i - 1,
		    out->last_segment);
	return 0;
}

/*
 * Where the last whole record begins: summaries have its end only. It may
 * have begun in an earlier link, and end in a last one that has no other.
 * Where that record is wanted by nobody, only the latter is looked for.
 */
static int
find_last(struct wal_chain *c, size_t used, pg_lsn stop, bool wanted,
    struct wal_reach *out, struct err *err)
{
	struct times t = { .from = stop };
	const size_t n = c->n;
	pg_lsn item_end, unfinished;
	struct wal_link l;
	bool enough;
	size_t i;
	int ret;

	if (used == 0 || out->opaque || (!wanted &&
	    out->end > wal_chain_start(c, used - 1)))
		return 0;
	if (wal_chain_link(c, used - 1, &l, err) != 0)
		return -1;
	t.to = l.limit;
	ret = scan_times(c, used - 1, &t, err);
	c->n = used; /* for what is behind it nobody vouches */
	for (i = used - 1; ret == 0 && t.last == 0 && i > 0; i--) {
		ret = wal_chain_link(c, i - 1, &l, err);
		if (ret == 0)
			ret = walview_facts(c->view, l.item, err);
		if (ret != 0)
			break;
		item_end = l.item->end;
		unfinished = l.item->unfinished;
		if (unfinished != 0)
			ret = wal_chain_scan_across(c, i - 1, unfinished,
			    note_times, &t, &enough, err);
		if (ret == 0 && t.last == 0 && item_end != 0) {
			t.to = item_end;
			ret = scan_times(c, i - 1, &t, err);
		}
	}
	c->n = n;
	if (ret != 0)
		return -1;
	out->last_record = t.last;
	add_times(out, &t);
	return 0;
}

static void
set_end(const struct wal_chain *c, size_t used, struct wal_reach *out)
{
	if (used == c->n) {
		memcpy(out->missing, c->missing, sizeof(out->missing));
		out->gap = c->gap;
		out->conflict = c->conflict;
		out->ends_in_partial = c->ends_in_partial;
		out->fork = c->fork;
		out->past_fork |= c->goes_on;
	} else { /* it ended before the last link */
		(void)wal_chain_name(c, used, out->missing);
		out->gap = true;
	}
	out->past_fork &= out->fork != 0;
}

/* last: where the last whole record begins is wanted. */
static int
reach(struct repo *repo, const struct commit *backup, struct walview *view,
    const struct history *path, bool last, struct wal_reach *out,
    struct err *err)
{
	struct wal_chain c;
	bool damaged = false; /* the link at the limit */
	size_t limit, used;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (check_backup(backup, err) != 0)
		return -1;
	if (build(&c, repo, backup, view, path, err) != 0)
		goto out;
	for (limit = c.n;; limit = used - 1) {
		if (walk(&c, backup, limit, out, &used, err) != 0)
			goto out;
		if (find_last(&c, used, backup->stop_lsn, last, out, err) == 0)
			break;
		if (err->code != ERR_DAMAGED)
			goto out;
		log_warning("%s: %s; recovery cannot go past it",
		    out->last_segment, err->msg);
		err_clear(err);
		damaged = true;
	}
	out->damaged |= damaged;
	set_end(&c, used, out);
	ret = 0;
out:
	wal_chain_free(&c);
	return ret;
}

int
wal_reach(struct repo *repo, const struct commit *backup,
    const struct history *path, struct wal_reach *out, struct err *err)
{
	return reach(repo, backup, NULL, path, true, out, err);
}

int
wal_reach_view(struct repo *repo, struct walview *view,
    const struct commit *backup, const struct history *path,
    struct wal_reach *out, struct err *err)
{
	return reach(repo, backup, view, path, false, out, err);
}

/* A target that is looked for. */
struct search {
	const struct wal_target *target;
	const struct wal_reach *reach;
	pg_lsn stop; /* of the backup: consistent from here on */
	bool decided;
	bool too_early; /* recovery would stop before it is consistent */
	struct wal_event event;
};

/*
 * recoveryStopsBefore() and recoveryStopsAfter() of xlogrecovery.c (xlog.c
 * before 15): *before tells which of them.
 */
static bool
stops_here(const struct wal_target *t, const struct wal_event *ev,
    bool *before)
{
	bool ends_xact = ev->type == WAL_EVENT_COMMIT ||
	    ev->type == WAL_EVENT_ABORT;

	*before = !t->inclusive;
	switch (t->type) {
	case WAL_TARGET_TIME:
		/* Inclusive too: after the last commit of that time. */
		*before = true;
		return ends_xact && ev->has_time &&
		    (t->inclusive ? ev->time > t->time : ev->time >= t->time);
	case WAL_TARGET_XID:
		return ends_xact && ev->xid == t->xid;
	case WAL_TARGET_LSN:
		return ev->lsn >= t->lsn;
	case WAL_TARGET_NAME:
	default:
		*before = false;
		return ev->type == WAL_EVENT_RESTORE_POINT &&
		    strcmp(ev->name, t->name) == 0;
	}
}

static bool
judge(void *arg, const struct wal_event *ev)
{
	struct search *s = arg;
	bool before;

	if (ev->lsn < s->reach->begin)
		return false;
	if (ev->end > s->reach->end)
		return true; /* not proved to be reached */
	if (!stops_here(s->target, ev, &before))
		return false;
	s->decided = true;
	s->too_early = (before ? ev->lsn : ev->end) < s->stop;
	s->event = *ev;
	return true;
}

static bool
knows_name(const struct wal_summary *sum, const char *name)
{
	uint32_t i;

	if (sum->n_restore_points > WAL_SUMMARY_RESTORE_POINTS_MAX)
		return true;
	for (i = 0; i < sum->n_restore_points; i++)
		if (strcmp(sum->points[i].name, name) == 0)
			return true;
	return false;
}

/* Can the target be in a link with this summary? */
static bool
is_candidate(const struct search *s, const struct wal_summary *sum,
    pg_lsn next)
{
	const struct wal_target *t = s->target;

	if (!sum->parsed)
		return true;
	switch (t->type) {
	case WAL_TARGET_TIME:
		return sum->commits > 0 &&
		    (t->inclusive ? sum->max_commit_time > t->time :
				    sum->max_commit_time >= t->time);
	case WAL_TARGET_XID:
		return sum->commits > 0 && sum->min_xid <= t->xid &&
		    t->xid <= sum->max_xid;
	case WAL_TARGET_LSN:
		return next > t->lsn;
	case WAL_TARGET_NAME:
	default:
		return knows_name(sum, t->name);
	}
}

/* Records across the ends of the links from..to-1. */
static int
search_boundaries(struct wal_chain *c, struct search *s,
    const pg_lsn *unfinished, size_t from, size_t to, struct err *err)
{
	bool enough;
	size_t i;

	for (i = from; i < to && i + 1 < c->n && !s->decided; i++)
		if (wal_chain_scan_across(c, i, unfinished[i], judge, s,
		    &enough, err) != 0)
			return -1;
	return 0;
}

static int
search_chain(struct wal_chain *c, struct search *s, struct err *err)
{
	enum wal_target_type type = s->target->type;
	pg_lsn *unfinished = xcalloc(c->n + 1, sizeof(*unfinished));
	size_t i, searched = 0; /* boundaries */
	struct format_wal_tag tag;
	struct wal_summary sum;
	struct wal_link l;
	bool enough;
	int ret = 0;

	for (i = 0; ret == 0 && i < c->n && !s->decided; i++) {
		ret = wal_chain_link(c, i, &l, err);
		if (ret == 0)
			ret = wal_chain_describe(c, &l, &tag, &sum, err);
		if (ret != 0)
			break;
		unfinished[i] = sum.parsed ? sum.unfinished : 0;
		if (is_candidate(s, &sum, wal_chain_start(c, i) +
		    c->segment_size)) {
			if (type != WAL_TARGET_LSN) {
				ret = search_boundaries(c, s, unfinished,
				    searched, i, err);
				searched = i;
			}
			if (ret == 0 && !s->decided)
				ret = wal_chain_scan(c, i, judge, s, &enough,
				    err);
			if (ret == 0 && !s->decided &&
			    type == WAL_TARGET_LSN)
				ret = search_boundaries(c, s, unfinished, i,
				    i + 1, err);
		}
	}
	if (ret == 0 && !s->decided && type != WAL_TARGET_LSN)
		ret = search_boundaries(c, s, unfinished, searched, c->n,
		    err);
	free(unfinished);
	return ret;
}

static void
set_found(const struct wal_chain *c, const struct wal_event *ev,
    struct wal_found *out)
{
	size_t i;

	for (i = c->n - 1; i > 0; i--)
		if (wal_chain_start(c, i) <= ev->lsn)
			break;
	out->found = true;
	out->event = *ev;
	out->timeline = wal_chain_name(c, i, out->segment);
}

/* All that is stored belongs to the target. */
static void
take_everything(const struct wal_chain *c, const struct wal_reach *reach,
    struct wal_found *out)
{
	struct wal_event ev = { .type = WAL_EVENT_OTHER,
		.lsn = reach->last_record, .end = reach->end,
		.has_time = true, .time = reach->proven_time };

	if (reach->last_record == 0)
		return;
	set_found(c, &ev, out);
	out->use_lsn = true;
}

/*
 * No commit is past the time, so that each one belongs to the target, in
 * whatever order their times are (clocks step back). PostgreSQL would go to
 * the end of WAL and fail there; the last record's LSN serves instead. That
 * the archive is complete up to the time needs something later in it.
 */
static void
prove_time(const struct wal_chain *c, const struct wal_target *t,
    const struct wal_reach *reach, struct wal_found *out)
{
	/* What is lost in a gap may have the same time. */
	if (reach->gap ? reach->proven_time > t->time :
			 reach->proven_time >= t->time)
		take_everything(c, reach, out);
}

/* Only what wal_reach() has proved. */
static void
cut_chain(struct wal_chain *c, const struct wal_reach *reach)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	size_t i;

	for (i = 0; i < c->n; i++) {
		(void)wal_chain_name(c, i, name);
		if (strcmp(name, reach->last_segment) == 0)
			break;
	}
	if (i < c->n)
		c->n = i + 1;
}

int
wal_reach_find(struct repo *repo, const struct commit *backup,
    const struct history *path, const struct wal_reach *reach,
    const struct wal_target *target, struct wal_found *out, struct err *err)
{
	struct search s = { .target = target, .reach = reach,
		.stop = backup->stop_lsn };
	struct wal_chain c;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (check_backup(backup, err) != 0)
		return -1;
	if (build(&c, repo, backup, NULL, path, err) != 0)
		goto out;
	cut_chain(&c, reach);
	ret = c.n == 0 ? 0 : search_chain(&c, &s, err);
	if (ret != 0 || c.n == 0)
		goto out;
	if (s.decided && !s.too_early)
		set_found(&c, &s.event, out);
	else if (!s.decided && target->type == WAL_TARGET_TIME)
		prove_time(&c, target, reach, out);
	else if (!s.decided && target->type == WAL_TARGET_LSN &&
	    !target->inclusive && target->lsn > reach->last_record &&
	    target->lsn <= reach->end)
		take_everything(&c, reach, out);
out:
	wal_chain_free(&c);
	return ret;
}

/* The caller's own. */
static int
copy_history(const struct history *h, struct history *out)
{
	*out = *h;
	out->entries = xcalloc(h->n, sizeof(*out->entries));
	memcpy(out->entries, h->entries, h->n * sizeof(*out->entries));
	return 0;
}

/*
 * The backup's own timeline. PostgreSQL asks for its history whichever way
 * the timeline is named, and archive-get does not say that there is none of
 * a timeline that has WAL (T28): without it nothing can be recovered.
 */
static int
own_path(struct walview *view, uint32_t from, struct history *out,
    struct err *err)
{
	const struct history *h;

	if (walview_history(view, from, &h, err) == 0)
		return copy_history(h, out);
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_set(err, ERR_REFUSED, "%08X.history is not stored, and the backup "
	    "is of timeline %u: recovery needs it", from, from);
	return err_hint(err, "a server that was on timeline %u still has it: "
	    "dapk-backup archive-push PGDATA/pg_wal/%08X.history", from, from);
}

/* The newest stored timeline that goes on from here. */
static int
latest_path(struct walview *view, uint32_t from, pg_lsn lsn,
    struct history *out, struct err *err)
{
	const struct history *h;
	const uint32_t *timelines;
	size_t i, n = 0;

	if (walview_timelines(view, &timelines, &n, err) != 0)
		return -1;
	for (i = n; i > 0 && timelines[i - 1] > from; i--) {
		uint32_t t = timelines[i - 1];

		if (walview_history(view, t, &h, err) != 0) {
			if (err->code != ERR_NOT_FOUND)
				return -1;
			/* It may be the latest: nobody can know (T28). */
			err_set(err, ERR_REFUSED,
			    "%08X.history is not stored, though WAL of "
			    "timeline %u is: which timeline is the latest "
			    "cannot be told", t, t);
			return err_hint(err, "archive it (dapk-backup "
			    "archive-push PGDATA/pg_wal/%08X.history)", t);
		}
		if (history_contains(h, from, lsn))
			return copy_history(h, out);
	}
	return own_path(view, from, out, err);
}

/* A timeline by its number. */
static int
number_path(struct walview *view, uint32_t number, uint32_t from, pg_lsn lsn,
    struct history *out, struct err *err)
{
	const struct history *h;
	char text[LSN_TEXT_MAX];

	if (walview_history(view, number, &h, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_set(err, ERR_REFUSED,
		    "timeline %u is not in the repository: it has no "
		    "%08X.history", number, number);
		return err_hint(err, "see which there are: dapk-backup info");
	}
	if (history_contains(h, from, lsn))
		return copy_history(h, out);
	err_set(err, ERR_REFUSED,
	    "timeline %u does not go on from the backup, which ended at %s "
	    "of timeline %u", number, lsn_format(lsn, text), from);
	return err_hint(err, "choose an older backup, or another timeline: "
	    "dapk-backup info");
}

int
wal_reach_path_view(struct walview *view, const char *timeline, uint32_t from,
    pg_lsn lsn, struct history *out, struct err *err)
{
	uint64_t number;

	if (timeline == NULL || strcmp(timeline, "latest") == 0)
		return latest_path(view, from, lsn, out, err);
	if (strcmp(timeline, "current") == 0)
		return own_path(view, from, out, err);
	if (!text_u64(timeline, UINT32_MAX, &number) || number == 0)
		return err_set(err, ERR_USAGE,
		    "'%s' is no timeline: latest, current or a number",
		    timeline);
	return number_path(view, (uint32_t)number, from, lsn, out, err);
}

int
wal_reach_path(struct repo *repo, const struct incarnation *inc,
    const char *timeline, uint32_t from, pg_lsn lsn, struct history *out,
    struct err *err)
{
	struct walview *view = walview_new(repo, inc);
	int rc = wal_reach_path_view(view, timeline, from, lsn, out, err);

	walview_free(view);
	return rc;
}
