/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "report/scale.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/time.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

/* Steps between ticks, or the lengths of bars. */
struct step {
	enum scale_unit unit;
	int n;
	int64_t about; /* microseconds */
};

static const struct step tick_steps[] = {
	{ SCALE_MINUTE, 1, HOUR / 60 }, { SCALE_MINUTE, 2, HOUR / 30 },
	{ SCALE_MINUTE, 5, HOUR / 12 }, { SCALE_MINUTE, 10, HOUR / 6 },
	{ SCALE_MINUTE, 15, HOUR / 4 }, { SCALE_MINUTE, 30, HOUR / 2 },
	{ SCALE_HOUR, 1, HOUR }, { SCALE_HOUR, 2, 2 * HOUR },
	{ SCALE_HOUR, 3, 3 * HOUR }, { SCALE_HOUR, 6, 6 * HOUR },
	{ SCALE_HOUR, 12, 12 * HOUR }, { SCALE_DAY, 1, DAY },
	{ SCALE_DAY, 2, 2 * DAY }, { SCALE_DAY, 5, 5 * DAY },
	{ SCALE_DAY, 10, 10 * DAY }, { SCALE_MONTH, 1, 30 * DAY },
	{ SCALE_MONTH, 2, 61 * DAY }, { SCALE_MONTH, 3, 91 * DAY },
	{ SCALE_MONTH, 6, 182 * DAY }, { SCALE_YEAR, 1, 365 * DAY },
	{ SCALE_YEAR, 2, 730 * DAY }, { SCALE_YEAR, 5, 1826 * DAY },
	{ SCALE_YEAR, 10, 3652 * DAY }, { SCALE_YEAR, 100, 36524 * DAY },
};

static const struct {
	struct step step;
	const char *name;
} bar_steps[] = {
	{ { SCALE_HOUR, 1, HOUR }, "hour" },
	{ { SCALE_DAY, 1, DAY }, "day" },
	{ { SCALE_DAY, 7, 7 * DAY }, "week" },
	{ { SCALE_MONTH, 1, 28 * DAY }, "month" },
	{ { SCALE_YEAR, 1, 365 * DAY }, "year" },
};
#define BAR_STEPS (sizeof(bar_steps) / sizeof(bar_steps[0]))
#define TICK_STEPS (sizeof(tick_steps) / sizeof(tick_steps[0]))

double
scale_x(const struct scale *s, int64_t t)
{
	if (t <= s->from)
		return 0;
	if (t >= s->to)
		return 100;
	return 100.0 * (double)(t - s->from) / (double)(s->to - s->from);
}

static bool
broken_down(int64_t t, struct tm *tm)
{
	time_t unix_time = (time_t)(t / SECOND + TIME_UNIX_EPOCH_OFFSET);

	return localtime_r(&unix_time, tm) != NULL;
}

static int64_t
together(struct tm *tm)
{
	tm->tm_isdst = -1;
	return time_from_unix((int64_t)mktime(tm));
}

/* The last round moment that is not after it. */
static void
round_down(struct tm *tm, const struct step *step)
{
	tm->tm_sec = 0;
	if (step->unit == SCALE_MINUTE) {
		tm->tm_min -= tm->tm_min % step->n;
		return;
	}
	tm->tm_min = 0;
	if (step->unit == SCALE_HOUR) {
		tm->tm_hour -= tm->tm_hour % step->n;
		return;
	}
	tm->tm_hour = 0;
	if (step->unit == SCALE_DAY) {
		if (step->n == 7) /* from Monday */
			tm->tm_mday -= (tm->tm_wday + 6) % 7;
		else
			tm->tm_mday -= (tm->tm_mday - 1) % step->n;
		return;
	}
	tm->tm_mday = 1;
	if (step->unit == SCALE_MONTH) {
		tm->tm_mon -= tm->tm_mon % step->n;
		return;
	}
	tm->tm_mon = 0;
	tm->tm_year -= (tm->tm_year + 1900) % step->n;
}

/*
 * The next round one. Of days in steps of 2, 5 or 10 each month begins anew,
 * and the last tick before the next month's first is left out when it is near.
 */
static void
advance(struct tm *tm, const struct step *step)
{
	switch (step->unit) {
	case SCALE_MINUTE:
		tm->tm_min += step->n;
		break;
	case SCALE_HOUR:
		tm->tm_hour += step->n;
		break;
	case SCALE_DAY:
		tm->tm_mday += step->n;
		if (step->n != 1 && step->n != 7 &&
		    tm->tm_mday + step->n / 2 > 30) {
			tm->tm_mday = 1;
			tm->tm_mon++;
		}
		break;
	case SCALE_MONTH:
		tm->tm_mon += step->n;
		break;
	case SCALE_YEAR:
		tm->tm_year += step->n;
		break;
	}
}

static void
label(const struct step *step, const struct tm *tm, char out[16])
{
	const bool midnight = tm->tm_hour == 0 && tm->tm_min == 0;
	size_t n;

	if (step->unit == SCALE_YEAR)
		n = strftime(out, 16, "%Y", tm);
	else if (step->unit == SCALE_MONTH)
		n = strftime(out, 16, "%b %Y", tm);
	else if (step->unit == SCALE_DAY || midnight)
		n = strftime(out, 16, "%e %b", tm);
	else
		n = strftime(out, 16, "%H:%M", tm);
	if (n == 0)
		out[0] = '\0';
	if (out[0] == ' ') /* %e */
		memmove(out, out + 1, strlen(out));
}

size_t
scale_ticks(const struct scale *s, struct scale_tick out[SCALE_TICKS_MAX])
{
	const int64_t span = s->to - s->from;
	const struct step *step;
	struct tm tm;
	size_t i, n = 0;
	int64_t at, before = INT64_MIN;

	for (i = 0; i + 1 < TICK_STEPS; i++)
		if (span / tick_steps[i].about < SCALE_TICKS_MAX - 3)
			break;
	step = &tick_steps[i];
	if (!broken_down(s->from, &tm))
		return 0;
	round_down(&tm, step);
	for (at = together(&tm); at <= s->to && n < SCALE_TICKS_MAX;
	    at = together(&tm)) {
		if (at <= before) /* a clock that was set back in between */
			break;
		before = at;
		if (at >= s->from) {
			out[n].at = at;
			label(step, &tm, out[n].label);
			n++;
		}
		advance(&tm, step);
	}
	return n;
}

static bool
begin_bars(const struct scale *s, const struct step *step, struct tm *tm)
{
	return broken_down(s->from, tm) &&
	    (s->to - s->from) / step->about + 2 < SCALE_BARS_MAX;
}

size_t
scale_bars(const struct scale *s, struct scale_bar out[SCALE_BARS_MAX],
    const char **name)
{
	struct tm tm;
	size_t n = 0, i = s->to - s->from > 3 * DAY ? 1 : 0;
	int64_t at, next;

	while (i + 1 < BAR_STEPS && !begin_bars(s, &bar_steps[i].step, &tm))
		i++;
	*name = bar_steps[i].name;
	if (!broken_down(s->from, &tm))
		return 0;
	round_down(&tm, &bar_steps[i].step);
	for (at = together(&tm); at < s->to && n < SCALE_BARS_MAX;
	    at = next) {
		/* An hour that comes twice has two bars of its own. */
		if (bar_steps[i].step.unit == SCALE_HOUR) {
			next = at + HOUR;
		} else {
			advance(&tm, &bar_steps[i].step);
			next = together(&tm);
		}
		if (next <= at)
			break;
		out[n++] = (struct scale_bar){ at, next };
	}
	return n;
}

size_t
scale_bar_of(const struct scale_bar *bars, size_t n, int64_t t)
{
	size_t low = 0, high = n, middle;

	if (n == 0 || t < bars[0].from || t >= bars[n - 1].to)
		return n;
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (bars[middle].from <= t)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t
scale_round_up(uint64_t v)
{
	static const unsigned steps[] = { 1, 2, 3, 5, 8, 10, 15, 20, 30, 50,
		80, 100, 150, 200, 300, 500, 800 };
	uint64_t unit = 1;
	size_t i;

	for (; unit <= UINT64_MAX / 1024 / 1024; unit *= 1024)
		for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (steps[i] * unit >= v)
				return steps[i] * unit;
	return v;
}
