/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "core/time.h"
#include "retain/policy_private.h"

/* Some 35,000 years on either side. */
#define SANE_MAX (INT64_MAX / 8)

int64_t
policy_sane_time(int64_t t)
{
	return t > SANE_MAX ? SANE_MAX : t < -SANE_MAX ? -SANE_MAX : t;
}

static int
by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
policy_lived_init(struct policy_lived *l, int64_t *times, size_t n,
    int64_t now, int64_t still)
{
	int64_t next;
	size_t i;

	memset(l, 0, sizeof(*l));
	l->now = now;
	if (n == 0)
		return;
	qsort(times, n, sizeof(*times), by_time);
	l->still = xcalloc(n, sizeof(*l->still));
	for (i = 0; i < n; i++) {
		next = i + 1 < n ? times[i + 1] : now;
		if (next - times[i] > still)
			l->still[l->n++] = (struct policy_stretch) {
				times[i], next };
	}
}

void
policy_lived_free(struct policy_lived *l)
{
	free(l->still);
	l->still = NULL;
	l->n = 0;
}

int64_t
policy_lived_back(const struct policy_lived *l, int64_t us)
{
	int64_t t = l->now;
	size_t i;

	for (i = l->n; i > 0; i--) {
		if (t - l->still[i - 1].to >= us)
			break;
		us -= t - l->still[i - 1].to;
		t = l->still[i - 1].from;
	}
	return t - us;
}

int64_t
policy_lived_still(const struct policy_lived *l, int64_t t)
{
	int64_t sum = 0;
	size_t i;

	for (i = l->n; i > 0 && l->still[i - 1].to > t; i--)
		sum += l->still[i - 1].to -
		    (l->still[i - 1].from > t ? l->still[i - 1].from : t);
	return sum;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
policy_period(enum policy_keep_rule rule, int64_t t)
{
	int64_t day = floor_div(t, POLICY_DAY); /* 2000-01-01 was a Saturday */
	time_t seconds = (time_t)(floor_div(t, POLICY_SECOND) +
	    TIME_UNIX_EPOCH_OFFSET);
	struct tm tm;

	if (rule == KEEP_DAILY)
		return day;
	if (rule == KEEP_WEEKLY)
		return floor_div(day + 5, 7);
	if (gmtime_r(&seconds, &tm) == NULL)
		return day;
	return rule == KEEP_MONTHLY ? (int64_t)tm.tm_year * 12 + tm.tm_mon :
	    tm.tm_year;
}
