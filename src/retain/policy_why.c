/* SPDX-License-Identifier: PostgreSQL */
/*
 * Why a backup, a dump or WAL stays or goes, in a sentence.
 */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/time.h"
#include "retain/policy_private.h"

struct sentence {
	char *out;
	size_t len;
};

static void __attribute__((format(printf, 2, 3)))
say(struct sentence *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->out + s->len, POLICY_WHY_MAX - s->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->len += (size_t)n;
	if (s->len >= POLICY_WHY_MAX) /* it was cut */
		s->len = POLICY_WHY_MAX - 1;
}

const char *
policy_why_span(int64_t us, char out[POLICY_TEXT_MAX])
{
	static const struct {
		int64_t us;
		const char *name;
	} units[] = { { POLICY_DAY, "day" }, { POLICY_HOUR, "hour" },
		{ 60 * POLICY_SECOND, "minute" }, { POLICY_SECOND, "second" } };
	size_t i = 0;
	int64_t n;

	if (us < 0)
		us = 0;
	/* 36 hours are not one day. */
	while (i < 3 && (us < units[i].us ||
	    (us < 2 * units[i].us && us % units[i].us >= units[i + 1].us)))
		i++;
	n = us / units[i].us;
	(void)snprintf(out, POLICY_TEXT_MAX, "%" PRId64 " %s%s", n,
	    units[i].name, n == 1 ? "" : "s");
	return out;
}

const char *
policy_why_time(int64_t t, char out[POLICY_TEXT_MAX])
{
	char all[TIME_TEXT_MAX];

	/* Times that gmtime() has no year for are nobody's. */
	if (t > 200 * 366 * POLICY_DAY * 40 || t < -50 * 366 * POLICY_DAY * 40)
		(void)snprintf(out, POLICY_TEXT_MAX, "an impossible time");
	else
		(void)snprintf(out, POLICY_TEXT_MAX, "%.19s+00",
		    time_format(t, all));
	return out;
}

const char *
policy_why_line(const struct policy_line *line, char out[POLICY_TEXT_MAX])
{
	(void)snprintf(out, POLICY_TEXT_MAX,
	    "system %" PRIu64 " (PostgreSQL %d)", line->system_id,
	    line->major);
	return out;
}

static const char *
noun(const struct policy_set *set)
{
	return set->kind == REPO_DUMP ? "dump" : "backup";
}

/*
 * "34 days old"; the time that was not lived is said apart, as far as it moves
 * the window: before that, what was stored may have been let go.
 */
static void
say_age(struct sentence *s, const struct policy_work *w,
    const struct policy_item *item)
{
	char age[POLICY_TEXT_MAX], still[POLICY_TEXT_MAX];
	const int64_t window = w->policy->window;
	int64_t us = policy_lived_still(&w->lived,
	    item->stop > window ? item->stop : window);

	say(s, "%s old", policy_why_span(w->now - item->stop, age));
	if (us > 0)
		say(s, " (%s in which nothing was stored do not count)",
		    policy_why_span(us, still));
}

/* "2026-08-31", "2026-W35", "2026-08", "2026" */
static void
say_period(struct sentence *s, enum policy_keep_rule rule, int64_t t)
{
	time_t seconds = (time_t)(t / POLICY_SECOND -
	    (t % POLICY_SECOND < 0)) + TIME_UNIX_EPOCH_OFFSET;
	char text[POLICY_TEXT_MAX];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%G-W%V", &tm) == 0)
		return;
	switch (rule) {
	case KEEP_DAILY:
		say(s, "daily snapshot of %d-%02d-%02d", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday);
		break;
	case KEEP_WEEKLY:
		say(s, "weekly snapshot of %s", text);
		break;
	case KEEP_MONTHLY:
		say(s, "monthly snapshot of %d-%02d", tm.tm_year + 1900,
		    tm.tm_mon + 1);
		break;
	case KEEP_YEARLY:
	default:
		say(s, "yearly snapshot of %d", tm.tm_year + 1900);
	}
}

static void
say_snapshot(struct sentence *s, const struct policy_item *item)
{
	bool first = true;
	int r;

	for (r = KEEP_YEARLY; r >= KEEP_DAILY; r--) {
		if (!(item->rules & (1u << r)))
			continue;
		say(s, "%s", first ? "" : ", ");
		first = false;
		say_period(s, (enum policy_keep_rule)r, item->stop);
	}
}

static void
say_pin(struct sentence *s, const struct policy_work *w,
    const struct policy_set *set)
{
	char until[POLICY_TEXT_MAX];

	say(s, "pinned");
	if (set->pin_until != 0) {
		/* A date says enough when the pin ends with a day. */
		policy_why_time(policy_sane_time(set->pin_until), until);
		if (strcmp(until + 10, " 00:00:00+00") == 0)
			until[10] = '\0';
		say(s, " until %s", until);
		if (policy_sane_time(set->pin_until) <= w->now)
			say(s, ", and that long nothing was stored");
	}
	if (set->pin_reason != NULL && set->pin_reason[0] != '\0')
		say(s, " (%.100s)", set->pin_reason);
}

static void
say_base(struct sentence *s, const struct policy_work *w,
    const struct policy_item *item)
{
	const struct policy_slot *main_slot = item->line->main;
	char t[POLICY_TEXT_MAX];

	say(s, "kept although ");
	say_age(s, w, item);
	say(s, ": ");
	if (item->line->blind)
		say(s, "the history of a timeline is not stored, which may "
		    "need it");
	else if (item->base_place)
		say(s, "by its place in the WAL it is newer than its clock "
		    "said");
	else if (item->base_damaged)
		say(s, "the newest from before %s that is whole, though it "
		    "has damaged pages",
		    policy_why_time(w->policy->window, t));
	else if (main_slot != NULL && item->base_of != main_slot->timeline)
		say(s, "needed to restore what is on timeline %u",
		    item->base_of);
	else
		say(s, "needed to restore %s%s",
		    policy_why_time(w->policy->window, t),
		    item->set->clean ? "" : ", though it has damaged pages");
}

static void
say_last(struct sentence *s, const struct policy_item *item)
{
	const struct policy_set *set = item->set;
	char line[POLICY_TEXT_MAX];

	policy_why_line(item->line->line, line);
	if (set->kind == REPO_DUMP) {
		say(s, "kept: the %s dump of %s%.120s%s",
		    item->good ? "last good" : set->usable ?
			"newest usable" : "newest",
		    set->database != NULL && set->database[0] != '\0' ?
			"database " : "the globals",
		    set->database != NULL ? set->database : "",
		    set->options != NULL && set->options[0] != '\0' ?
			" with its options" : "");
	} else if (item->only_bad) {
		say(s, "kept: no backup of %s is usable, so none goes", line);
	} else if (item->base_place) {
		say(s, "kept: by its place in the WAL it is the last backup "
		    "of %s, whatever its clock said", line);
	} else if (item == item->line->last) {
		say(s, "kept: the last good backup of %s", line);
	} else if (item->good && item->base_of != 0) {
		say(s, "kept: the last good backup for timeline %u of %s",
		    item->base_of, line);
	} else {
		say(s, "kept: the newest usable backup of %s%s", line,
		    set->clean ? "" : ", though it has damaged pages");
	}
}

static void
say_goes(struct sentence *s, const struct policy_work *w,
    const struct policy_item *item)
{
	const struct policy_set *set = item->set;
	char retain[POLICY_TEXT_MAX];

	policy_why_span(w->policy->rules.retain_us, retain);
	say(s, "goes: ");
	if (set->dismissed) {
		say(s, "somebody named it to be removed");
		return;
	}
	say_age(s, w, item);
	if (set->kind == REPO_DUMP)
		say(s, ", more than %s, and a newer one of the same database "
		    "is kept", retain);
	else if (!set->usable)
		say(s, ", and not usable");
	else
		say(s, ", and nothing within %s needs it%s", retain,
		    set->clean ? "" : "; it has damaged pages");
	if (set->wanted_by != NULL)
		say(s, "; repository %.60s waits for it longer than is "
		    "allowed", set->wanted_by);
}

static void
say_window(struct sentence *s, const struct policy_work *w,
    const struct policy_item *item)
{
	char retain[POLICY_TEXT_MAX];

	policy_why_span(w->policy->rules.retain_us, retain);
	say(s, "kept: ");
	if (item->displaced) {
		say(s, "its place in the WAL is within %s, whatever its clock "
		    "said", retain);
		return;
	}
	say_age(s, w, item);
	say(s, ", within %s", retain);
}

static void
say_other(struct sentence *s, const struct policy_work *w,
    const struct policy_item *item)
{
	char t[POLICY_TEXT_MAX];

	switch (item->set->reason) {
	case POLICY_NOT_ASKED:
		say(s, "kept: no retain is set, so nothing goes");
		break;
	case POLICY_IN_USE:
		say(s, "kept: in use by a %s that is being made",
		    noun(item->set));
		break;
	case POLICY_WANTED:
		say(s, "kept although ");
		say_age(s, w, item);
		say(s, ": repository %.60s waits for it",
		    item->set->wanted_by);
		break;
	case POLICY_FUTURE:
		if (item->future)
			say(s, "kept: it ended %s, later than this host's "
			    "clock says it is",
			    policy_why_time(item->stop, t));
		else
			say(s, "kept: this host's clock is behind most of "
			    "what is stored of this system");
		break;
	case POLICY_UNREADABLE:
	default:
		say(s, "kept: its commit cannot be read, so nobody knows what "
		    "it is");
	}
}

/* What tells most: the first of these that holds. */
static const enum policy_reason order[] = { POLICY_UNREADABLE, POLICY_FUTURE,
	POLICY_NOT_ASKED, POLICY_WINDOW, POLICY_BASE, POLICY_PINNED,
	POLICY_SNAPSHOT, POLICY_LAST, POLICY_IN_USE, POLICY_WANTED };

void
policy_why_set(const struct policy_work *w, struct policy_item *item)
{
	struct policy_set *set = item->set;
	struct sentence s = { .out = set->why };
	size_t i;

	set->why[0] = '\0';
	set->reason = POLICY_GOES;
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (item->why & POLICY_BIT(order[i])) {
			set->reason = order[i];
			break;
		}
	}
	switch (set->reason) {
	case POLICY_GOES:
		say_goes(&s, w, item);
		return;
	case POLICY_WINDOW:
		say_window(&s, w, item);
		break;
	case POLICY_BASE:
		say_base(&s, w, item);
		break;
	case POLICY_SNAPSHOT:
		say(&s, "kept: ");
		say_snapshot(&s, item);
		break;
	case POLICY_PINNED:
		say(&s, "kept: ");
		say_pin(&s, w, set);
		break;
	case POLICY_LAST:
		say_last(&s, item);
		break;
	default:
		say_other(&s, w, item);
	}
	/* Whoever pinned it wants to see that. */
	if (set->reason != POLICY_PINNED &&
	    (item->why & POLICY_BIT(POLICY_PINNED))) {
		say(&s, "; also ");
		say_pin(&s, w, set);
	}
}

static void
say_wal_from(struct sentence *s, const struct policy_work *w,
    const struct policy_line_work *lw)
{
	const struct policy_slot *slot = lw->main;
	char name[WAL_SEGMENT_NAME_LEN + 1], t[POLICY_TEXT_MAX];
	char line[POLICY_TEXT_MAX];
	uint32_t timeline = slot->timeline;

	if (slot->base != NULL)
		timeline = slot->base->set->timeline;
	if (slot->from == 0) {
		say(s, "all WAL of timeline %u is kept: no good backup on its "
		    "path ended before %s", slot->timeline,
		    policy_why_time(w->policy->window, t));
		return;
	}
	wal_segment_name(timeline, slot->from, lw->line->wal_segment_size,
	    name);
	say(s, "kept from %s on: ", name);
	if (lw->in_window)
		say(s, "needed to restore %s and later",
		    policy_why_time(w->policy->window, t));
	else
		say(s, "needed to restore the last good backup of %s to its "
		    "end", policy_why_line(lw->line, line));
}

void
policy_why_wal(const struct policy_work *w, struct policy_line_work *lw)
{
	struct sentence s = { .out = lw->line->wal_why };
	char line[POLICY_TEXT_MAX];

	lw->line->wal_why[0] = '\0';
	policy_why_line(lw->line, line);
	if (w->policy->rules.retain_us == 0)
		say(&s, "all WAL is kept: no retain is set");
	else if (lw->ahead && lw->line->wal_segment_size != 0)
		say(&s, "all WAL is kept: this host's clock is behind what is "
		    "stored");
	else if (lw->line->wal_segment_size == 0)
		say(&s, "all WAL is kept: the size of its segments is not "
		    "known");
	else if (lw->unreadable)
		say(&s, "all WAL is kept: a backup's commit cannot be read, "
		    "and what it needs is not known");
	else if (!lw->usable)
		say(&s, "all WAL is kept: %s has no usable backup", line);
	else if (lw->blind)
		say(&s, "all WAL is kept: the history of a timeline that is "
		    "needed is not stored");
	else if (lw->main != NULL)
		say_wal_from(&s, w, lw);
}
