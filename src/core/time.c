/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/time.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MICRO 1000000

int64_t
time_from_unix(int64_t seconds)
{
	return (seconds - TIME_UNIX_EPOCH_OFFSET) * MICRO;
}

int64_t
time_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return time_from_unix(ts.tv_sec) + ts.tv_nsec / 1000;
}

int64_t
time_monotonic(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MICRO + ts.tv_nsec / 1000;
}

int64_t
time_boottime(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * MICRO + ts.tv_nsec / 1000;
}

void
time_deadline(unsigned timeout_ms, struct timespec *out)
{
	(void)clock_gettime(CLOCK_MONOTONIC, out);
	out->tv_sec += timeout_ms / 1000;
	out->tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (out->tv_nsec >= 1000000000) {
		out->tv_nsec -= 1000000000;
		out->tv_sec++;
	}
}

void
time_sleep_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* Exactly n digits at *s, moving past them. */
static bool
digits(const char **s, int n, int *out)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

static bool
skip(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool
parse_date(const char **s, struct tm *tm)
{
	if (!digits(s, 4, &tm->tm_year) || !skip(s, '-') ||
	    !digits(s, 2, &tm->tm_mon) || !skip(s, '-') ||
	    !digits(s, 2, &tm->tm_mday))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return true;
}

static bool
parse_clock(const char **s, struct tm *tm, int64_t *micro)
{
	int64_t unit = MICRO;

	*micro = 0;
	if (!digits(s, 2, &tm->tm_hour) || !skip(s, ':') ||
	    !digits(s, 2, &tm->tm_min))
		return false;
	if (!skip(s, ':'))
		return true;
	if (!digits(s, 2, &tm->tm_sec))
		return false;
	if (!skip(s, '.'))
		return true;
	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); (*s)++) {
		unit /= 10;
		*micro += unit * (**s - '0');
	}
	return true;
}

/* Z, UTC, +HH, +HHMM, +HH:MM to seconds east; *none when there is no zone. */
static bool
parse_zone(const char *s, long *east, bool *none)
{
	int h, m = 0, sign;

	while (*s == ' ')
		s++;
	*east = 0;
	*none = *s == '\0';
	if (*none || strcmp(s, "Z") == 0 || strcmp(s, "UTC") == 0)
		return true;
	sign = *s == '-' ? -1 : 1;
	if (!skip(&s, '+') && !skip(&s, '-'))
		return false;
	if (!digits(&s, 2, &h))
		return false;
	if (*s != '\0') {
		(void)skip(&s, ':');
		if (!digits(&s, 2, &m) || *s != '\0')
			return false;
	}
	if (h > 15 || m > 59)
		return false;
	*east = sign * (h * 3600L + m * 60L);
	return true;
}

static bool
same_clock(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon &&
	    a->tm_mday == b->tm_mday && a->tm_hour == b->tm_hour &&
	    a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/*
 * Local clock to seconds. mktime() accepts what does not exist and picks one
 * of what exists twice, so both kinds of daylight saving are tried.
 */
static int
local_to_unix(const struct tm *tm, const char *s, int64_t *out,
    struct err *err)
{
	struct tm back;
	time_t found[2];
	int n = 0;
	int dst;

	for (dst = 0; dst <= 1; dst++) {
		struct tm try = *tm;
		time_t t;

		try.tm_isdst = dst;
		t = mktime(&try);
		if (localtime_r(&t, &back) == NULL || !same_clock(&back, tm))
			continue;
		if (n == 0 || found[0] != t)
			found[n++] = t;
	}
	if (n == 1) {
		*out = found[0];
		return 0;
	}
	err_set(err, ERR_USAGE, "time '%s' %s in the local time zone", s,
	    n == 0 ? "does not exist" : "exists twice");
	return err_hint(err, "give the offset, as in '%s+00'", s);
}

int
time_parse(const char *s, int64_t *out, bool *assumed_local, struct err *err)
{
	struct tm tm, back;
	const char *p = s;
	int64_t micro, seconds;
	long east;
	time_t t;

	memset(&tm, 0, sizeof(tm));
	if (!parse_date(&p, &tm) || (!skip(&p, ' ') && !skip(&p, 'T')) ||
	    !parse_clock(&p, &tm, &micro) ||
	    !parse_zone(p, &east, assumed_local))
		goto bad;
	t = timegm(&(struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon,
	    .tm_mday = tm.tm_mday, .tm_hour = tm.tm_hour,
	    .tm_min = tm.tm_min, .tm_sec = tm.tm_sec });
	if (gmtime_r(&t, &back) == NULL || !same_clock(&back, &tm))
		goto bad; /* February 30, 24:61 */
	seconds = (int64_t)t - east;
	if (*assumed_local && local_to_unix(&tm, s, &seconds, err) != 0)
		return -1;
	*out = time_from_unix(seconds) + micro;
	return 0;
bad:
	err_set(err, ERR_USAGE, "'%s' is not a time", s);
	return err_hint(err,
	    "write it as '2026-11-22 14:31:07+01' (date, time, zone offset)");
}

static void
split(int64_t t, time_t *seconds, long *micro)
{
	int64_t s = t / MICRO;

	*micro = (long)(t % MICRO);
	if (*micro < 0) {
		*micro += MICRO;
		s--;
	}
	*seconds = (time_t)(s + TIME_UNIX_EPOCH_OFFSET);
}

const char *
time_format(int64_t t, char out[TIME_TEXT_MAX])
{
	struct tm tm;
	time_t seconds;
	long micro;
	size_t n;

	split(t, &seconds, &micro);
	(void)gmtime_r(&seconds, &tm);
	n = strftime(out, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm);
	(void)snprintf(out + n, TIME_TEXT_MAX - n, ".%06ld+00", micro);
	return out;
}

const char *
time_format_local(int64_t t, char out[TIME_TEXT_MAX])
{
	struct tm tm;
	time_t seconds;
	long micro;

	split(t, &seconds, &micro);
	(void)localtime_r(&seconds, &tm);
	(void)strftime(out, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S%z", &tm);
	return out;
}
