/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/walread.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

struct wal_summariser {
	struct walread *reader;
	pg_lsn start;
	pg_lsn next; /* where the next piece belongs */
	uint32_t segment_size;
	struct wal_summary sum;
};

struct wal_summariser *
wal_summariser_new(pg_lsn start, uint32_t segment_size)
{
	struct wal_summariser *s = xcalloc(1, sizeof(*s));

	s->reader = walread_new(segment_size, 0);
	s->start = start;
	s->next = start;
	s->segment_size = segment_size;
	return s;
}

static void
note_time(struct wal_summary *sum, const struct wal_event *ev)
{
	if (sum->max_time_lsn != 0 && ev->time <= sum->max_time)
		return;
	sum->max_time = ev->time;
	sum->max_time_lsn = ev->lsn;
}

static void
note_transaction(struct wal_summary *sum, const struct wal_event *ev)
{
	if (sum->commits++ == 0) {
		sum->first_commit_time = ev->time;
		sum->min_commit_time = ev->time;
		sum->max_commit_time = ev->time;
		sum->min_xid = ev->xid;
		sum->max_xid = ev->xid;
	}
	sum->last_commit_time = ev->time;
	if (ev->time < sum->min_commit_time)
		sum->min_commit_time = ev->time;
	if (ev->time > sum->max_commit_time)
		sum->max_commit_time = ev->time;
	if (ev->xid < sum->min_xid)
		sum->min_xid = ev->xid;
	if (ev->xid > sum->max_xid)
		sum->max_xid = ev->xid;
}

static void
note_restore_point(struct wal_summary *sum, const struct wal_event *ev)
{
	struct wal_restore_point *p;

	if (sum->n_restore_points++ >= WAL_SUMMARY_RESTORE_POINTS_MAX)
		return;
	p = &sum->points[sum->n_restore_points - 1];
	p->lsn = ev->lsn;
	p->end = ev->end;
	p->time = ev->time;
	memcpy(p->name, ev->name, sizeof(p->name));
}

static void
note(struct wal_summary *sum, const struct wal_event *ev)
{
	if (sum->records++ == 0)
		sum->first_record = ev->lsn;
	sum->end = ev->end;
	if (ev->has_time)
		note_time(sum, ev);
	if (ev->type == WAL_EVENT_COMMIT || ev->type == WAL_EVENT_ABORT)
		note_transaction(sum, ev);
	else if (ev->type == WAL_EVENT_RESTORE_POINT)
		note_restore_point(sum, ev);
}

void
wal_summariser_feed(struct wal_summariser *s, const uint8_t *data, size_t len)
{
	struct wal_event ev;
	uint64_t left = s->start + s->segment_size - s->next;

	if (len > left)
		len = (size_t)left;
	walread_feed(s->reader, s->next, data, len);
	s->next += len;
	while (walread_next(s->reader, &ev))
		note(&s->sum, &ev);
}

void
wal_summariser_finish(struct wal_summariser *s, struct wal_summary *out)
{
	const char *reason;
	pg_lsn end;

	*out = s->sum;
	out->ended = walread_ended(s->reader, &end, &reason);
	out->unfinished = walread_unfinished(s->reader);
	/* A record that begins here and goes on may be the only one. */
	if (out->first_record == 0)
		out->first_record = out->unfinished;
	out->parsed = walread_page_seen(s->reader);
	walread_free(s->reader);
	free(s);
}

void
wal_summarise(const uint8_t *data, size_t len, pg_lsn start,
    uint32_t segment_size, struct wal_summary *out)
{
	struct wal_summariser *s = wal_summariser_new(start, segment_size);

	wal_summariser_feed(s, data, len);
	wal_summariser_finish(s, out);
}
