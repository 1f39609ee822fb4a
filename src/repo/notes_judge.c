/* SPDX-License-Identifier: PostgreSQL */
/* From facts to a verdict. Pure. */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "repo/notes.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const struct notes_limits notes_limits_default = {
	.backup_warning = 36 * HOUR,
	.backup_critical = 8 * DAY,
	.push_critical = 15 * MINUTE,
	.queue_warning = 15 * MINUTE,
	.queue_critical = DAY,
};

const char *
notes_verdict_name(enum notes_verdict v)
{
	static const char *const names[] = { "ok", "warning", "critical" };

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

static void
judge_backup(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	int64_t age = now - f->backup.time;
	char text[32];

	if (f->backup.time == 0)
		add(out, NOTES_CRITICAL, "no backup is known");
	else if (age >= limits->backup_critical)
		add(out, NOTES_CRITICAL, "the last backup is %s old",
		    notes_age(age, text));
	else if (age >= limits->backup_warning)
		add(out, NOTES_WARNING, "the last backup is %s old",
		    notes_age(age, text));
	if (f->backup.failed != 0)
		add(out, NOTES_WARNING, "a backup failed %s ago: %s",
		    notes_age(now - f->backup.failed, text),
		    f->backup.error);
	if (f->dump.failed != 0)
		add(out, NOTES_WARNING, "a dump failed %s ago: %s",
		    notes_age(now - f->dump.failed, text), f->dump.error);
	if (f->backup.damaged > 0)
		add(out, NOTES_WARNING, "the last backup found %" PRIu64
		    " damaged page%s", f->backup.damaged,
		    f->backup.damaged == 1 ? "" : "s");
}

static void
judge_push(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	char text[32];

	if (f->push_failing_since == 0)
		return;
	add(out, now - f->push_failing_since >= limits->push_critical ?
	    NOTES_CRITICAL : NOTES_WARNING, "archiving has failed for %s: %s",
	    notes_age(now - f->push_failing_since, text), f->push_error);
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

	if (f->waiting > 0 && age >= limits->queue_warning)
		add(out, age >= limits->queue_critical ? NOTES_CRITICAL :
		    NOTES_WARNING, "%" PRIu64 " item%s wait%s for %s",
		    f->waiting, f->waiting == 1 ? "" : "s",
		    f->waiting == 1 ? "s" : "", notes_age(age, text));
	if (f->mirror_error[0] != '\0')
		add(out, NOTES_WARNING, "not reached %s ago: %s",
		    notes_age(now - f->mirror_failed, text),
		    f->mirror_error);
}

void
notes_judge(const struct notes *f, int64_t now,
    const struct notes_limits *limits, struct notes_judgement *out)
{
	memset(out, 0, sizeof(*out));
	judge_backup(f, now, limits, out);
	judge_push(f, now, limits, out);
	judge_gap(f, now, out);
	judge_queue(f, now, limits, out);
	if (f->looked != 0 && !f->recoverable && f->backup.time != 0 &&
	    f->backup.time <= f->looked)
		add(out, NOTES_CRITICAL, "nothing could be recovered when it "
		    "was looked at");
	else if (f->looked != 0 && !f->whole)
		add(out, NOTES_WARNING, "something was damaged or missing "
		    "when it was looked at");
}
