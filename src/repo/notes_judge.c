/* SPDX-License-Identifier: PostgreSQL */
/* From facts to a verdict. Pure. */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/time.h"
#include "repo/notes.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define CLOCKS HOUR /* no two agree better when somebody cares for none */
#define NOTES_LOOK_US (8 * DAY) /* a week, and a night that was missed */

const struct notes_limits notes_limits_default = {
	.backup_warning = 36 * HOUR,
	.backup_critical = 8 * DAY,
	.push_critical = 15 * MINUTE,
	.queue_warning = 15 * MINUTE,
	.queue_critical = DAY,
	.look_warning = NOTES_LOOK_US,
	.expire_warning = NOTES_LOOK_US,
	.retain = 30 * DAY,
};

const char *
notes_verdict_name(enum notes_verdict v)
{
	static const char *const names[] = { "ok", "warning", "unknown",
		"critical" };

	return names[v];
}

const char *
notes_age(int64_t us, char out[32])
{
	static const struct {
		int64_t us;
		const char *name;
	} units[] = { { DAY, "day" }, { HOUR, "hour" }, { MINUTE, "minute" },
		{ SECOND, "second" } };
	int64_t n = 0;
	size_t i;

	if (us < 0)
		us = 0;
	for (i = 0; i < 3; i++)
		if (us / units[i].us >= 2)
			break;
	n = us / units[i].us;
	(void)snprintf(out, 32, "%" PRId64 " %s%s", n, units[i].name,
	    n == 1 ? "" : "s");
	return out;
}

/* Behind those that are as bad. */
static void __attribute__((format(printf, 3, 4)))
add(struct notes_judgement *j, enum notes_verdict verdict, const char *fmt,
    ...)
{
	va_list ap;
	size_t i;

	if (j->n == NOTES_REASONS_MAX)
		return;
	for (i = j->n; i > 0 && j->reasons[i - 1].verdict < verdict; i--)
		j->reasons[i] = j->reasons[i - 1];
	j->reasons[i].verdict = verdict;
	va_start(ap, fmt);
	(void)vsnprintf(j->reasons[i].text, sizeof(j->reasons[i].text), fmt,
	    ap);
	va_end(ap);
	j->n++;
	if (verdict > j->verdict)
		j->verdict = verdict;
}

static bool
reached(int64_t age, int64_t limit)
{
	return limit > 0 && age >= limit;
}

static void
judge_age(const struct notes_set *set, const char *kind, int64_t now,
    int64_t warning, int64_t critical, struct notes_judgement *out)
{
	int64_t age = now - set->time;
	char text[32];

	if (reached(age, critical) || reached(age, warning))
		add(out, reached(age, critical) ? NOTES_CRITICAL :
		    NOTES_WARNING, "the last %s is %s old", kind,
		    notes_age(age, text));
	else if (age < -CLOCKS)
		add(out, NOTES_WARNING, "the last %s is %s in the future: a "
		    "clock is wrong", kind, notes_age(-age, text));
}

static void
judge_failure(const struct notes_set *set, const char *kind, int64_t now,
    struct notes_judgement *out)
{
	char text[32];

	if (set->failed != 0)
		add(out, NOTES_WARNING, "a %s failed %s ago: %s", kind,
		    notes_age(now - set->failed, text), set->error);
}

static void
judge_sets(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	if (f->backup.time == 0)
		add(out, NOTES_CRITICAL, "no backup is known");
	else
		judge_age(&f->backup, "backup", now, limits->backup_warning,
		    limits->backup_critical, out);
	/* Whoever says how old it may be wants one. */
	if (f->dump.time == 0 &&
	    (limits->dump_warning > 0 || limits->dump_critical > 0))
		add(out, limits->dump_critical > 0 ? NOTES_CRITICAL :
		    NOTES_WARNING, "no dump is known");
	else if (f->dump.time != 0)
		judge_age(&f->dump, "dump", now, limits->dump_warning,
		    limits->dump_critical, out);
	judge_failure(&f->backup, "backup", now, out);
	judge_failure(&f->dump, "dump", now, out);
	if (f->backup.damaged > 0)
		add(out, NOTES_WARNING, "the last backup found %" PRIu64
		    " damaged page%s", f->backup.damaged,
		    f->backup.damaged == 1 ? "" : "s");
}

static void
judge_push(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	int64_t waits = now - f->ready_since;
	char text[32];

	if (f->push_failing_since != 0)
		add(out, reached(now - f->push_failing_since,
		    limits->push_critical) ? NOTES_CRITICAL : NOTES_WARNING,
		    "archiving has failed for %s: %s",
		    notes_age(now - f->push_failing_since, text),
		    f->push_error);
	else if (f->ready > 0 && f->ready_since != 0 &&
	    reached(waits, limits->push_critical))
		add(out, NOTES_CRITICAL, "%" PRIu64 " WAL file%s wait%s in "
		    "pg_wal to be archived, the first, %s, for %s", f->ready,
		    f->ready == 1 ? "" : "s", f->ready == 1 ? "s" : "",
		    f->ready_first, notes_age(waits, text));
	if (f->wal_time != 0 && reached(now - f->wal_time,
	    limits->wal_warning))
		add(out, NOTES_WARNING, "the last WAL was stored %s ago",
		    notes_age(now - f->wal_time, text));
}

/* Is segment a, of the same timeline, behind b? */
static bool
is_behind(const char *a, const char *b)
{
	return strlen(a) == WAL_SEGMENT_NAME_LEN &&
	    strlen(b) == WAL_SEGMENT_NAME_LEN && memcmp(a, b, 8) == 0 &&
	    strcmp(a, b) > 0;
}

/*
 * What archive-push cannot know: that it is not called, or not for here. What
 * it stored since then is newer.
 */
static void
judge_server(const struct notes *f, int64_t now, struct notes_judgement *out)
{
	const struct notes_server *s = &f->server;
	char text[32], asked[32];

	if (s->asked == 0 || f->wal_time > s->asked)
		return;
	(void)notes_age(now - s->asked, asked);
	if (!s->archives)
		add(out, NOTES_CRITICAL, "the server does not archive: %s "
		    "(asked %s ago)", s->trouble, asked);
	else if (s->failed_time > s->archived_time &&
	    f->push_failing_since == 0)
		add(out, NOTES_CRITICAL, "the server's archive_command "
		    "failed for %s, %" PRIu64 " time%s in all (asked %s ago; "
		    "its log says why)", s->failed, s->failures,
		    s->failures == 1 ? "" : "s", asked);
	else if (is_behind(s->archived, f->wal_file) &&
	    s->archived_time > f->wal_time + MINUTE)
		add(out, NOTES_CRITICAL, "the server archived %s %s ago, and "
		    "the last that came here is %s: archive_command leads "
		    "elsewhere", s->archived,
		    notes_age(now - s->archived_time, text), f->wal_file);
}

/* What was given up is lost; only a later backup makes it history. */
static void
judge_gap(const struct notes *f, int64_t now, struct notes_judgement *out)
{
	char text[32];

	if (f->gap_time == 0 || f->gap_time <= f->backup.time)
		return;
	add(out, NOTES_CRITICAL, "%" PRIu64 " WAL segment%s from %s on, the "
	    "last %s ago, %s given up (archive-queue-max), and no backup has "
	    "followed: nothing after that can be recovered until then",
	    f->gap_segments, f->gap_segments == 1 ? "" : "s", f->gap_first,
	    notes_age(now - f->gap_time, text),
	    f->gap_segments == 1 ? "was" : "were");
}

static void
judge_queue(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	int64_t age = now - f->waiting_since;
	char text[32];

	if (f->waiting > 0 && (reached(age, limits->queue_warning) ||
	    reached(age, limits->queue_critical)))
		add(out, reached(age, limits->queue_critical) ? NOTES_CRITICAL :
		    NOTES_WARNING, "%" PRIu64 " item%s wait%s for %s",
		    f->waiting, f->waiting == 1 ? "" : "s",
		    f->waiting == 1 ? "s" : "", notes_age(age, text));
	if (f->mirror_error[0] != '\0')
		add(out, NOTES_WARNING, "not reached %s ago: %s",
		    notes_age(now - f->mirror_failed, text),
		    f->mirror_error);
}

/*
 * Is the promise kept? As it was when somebody looked, and not for longer than
 * there have been backups at all.
 */
static void
judge_window(const struct notes *f, const struct notes_limits *limits,
    struct notes_judgement *out)
{
	int64_t promised = f->looked - limits->retain;
	char text[32], retain[32];

	if (limits->retain == 0 || f->window_from == 0)
		return;
	if (promised < f->since)
		promised = f->since;
	if (f->window_from <= promised)
		return;
	add(out, NOTES_WARNING, "only the last %s can be recovered without a "
	    "break, promised are %s (retain)",
	    notes_age(f->looked - f->window_from, text),
	    notes_age(limits->retain, retain));
}

static void
judge_look(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	const bool newer = f->backup.time > f->looked;
	char text[TIME_TEXT_MAX];

	if (f->looked == 0)
		return;
	/* A mirror gets WAL in any order; what it lacks is its lag. */
	if (!newer && f->gap_behind[0] != '\0' && f->waiting == 0)
		add(out, NOTES_CRITICAL, "WAL segment %s is missing and no "
		    "backup has followed: nothing after %s can be recovered",
		    f->gap_behind, time_format_local(f->window_to, text));
	else if (!newer && !f->recoverable && f->backup.time != 0)
		add(out, NOTES_CRITICAL, "nothing could be recovered when it "
		    "was looked at");
	else if (!f->whole)
		add(out, NOTES_WARNING, "something was damaged or missing "
		    "when it was looked at");
	if (f->conflicts > 0)
		add(out, NOTES_WARNING, "%" PRIu64 " WAL file%s stored with "
		    "two different contents: two servers archive as one",
		    f->conflicts, f->conflicts == 1 ? " is" : "s are");
	judge_window(f, limits, out);
	if (reached(now - f->looked, limits->look_warning))
		add(out, NOTES_WARNING, "nobody has looked at it for %s "
		    "(dapk-backup info does)", notes_age(now - f->looked,
		    text));
}

static void
judge_care(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	char text[32];

	if (f->verify_failed != 0)
		add(out, NOTES_CRITICAL, "verify found %" PRIu64
		    " damaged object%s %s ago%s%s", f->verify_damaged,
		    f->verify_damaged == 1 ? "" : "s",
		    notes_age(now - f->verify_failed, text),
		    f->verify_share[0] != '\0' ? " in share " : "",
		    f->verify_share);
	if (f->expire_failed != 0)
		add(out, NOTES_WARNING, "expire failed %s ago: %s", notes_age(now - f->expire_failed, text),
		    f->expire_error);
	else if (limits->retain != 0 && f->expired != 0 &&
	    reached(now - f->expired, limits->expire_warning))
		add(out, NOTES_WARNING, "expire last ran %s ago",
		    notes_age(now - f->expired, text));
	if (f->held_since != 0)
		add(out, NOTES_WARNING, "on hold for %s by %s%s%s: no backup, "
		    "dump or removal until 'dapk-backup release'",
		    notes_age(now - f->held_since, text), f->held_by,
		    f->held_reason[0] != '\0' ? ", " : "", f->held_reason);
}

static bool
knows_nothing(const struct notes *f)
{
	return notes_known(f) == 0 && f->push_failing_since == 0 &&
	    f->backup.failed == 0 && f->dump.failed == 0 &&
	    f->gap_time == 0 && !f->has_queue && f->held_since == 0 &&
	    f->server.asked == 0;
}

void
notes_judge(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	memset(out, 0, sizeof(*out));
	if (knows_nothing(f)) {
		add(out, NOTES_UNKNOWN, "nothing is known of it on this host "
		    "('dapk-backup info' looks, 'dapk-backup check' tries "
		    "all of it)");
		return;
	}
	judge_sets(f, now, limits, out);
	judge_push(f, now, limits, out);
	judge_server(f, now, out);
	judge_gap(f, now, out);
	judge_queue(f, now, limits, out);
	judge_look(f, now, limits, out);
	judge_care(f, now, limits, out);
}
