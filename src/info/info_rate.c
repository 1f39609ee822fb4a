/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <string.h>

#include "core/mem.h"
#include "info/info.h"

#define HOUR (INT64_C(3600) * 1000000)
#define HOURS_MAX 100000 /* eleven years: the oldest are put together */

/* Index of the first that is not before this hour. */
static size_t
find(const struct info_incarnation *inc, int64_t hour)
{
	size_t low = 0, high = inc->n_hours, middle;

	/* Most come in order. */
	if (high > 0 && inc->hours[high - 1].hour < hour)
		return high;
	if (high > 0 && inc->hours[high - 1].hour == hour)
		return high - 1;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (inc->hours[middle].hour < hour)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
insert(struct info_incarnation *inc, size_t at, int64_t hour)
{
	if (inc->n_hours == inc->cap_hours) {
		inc->cap_hours = inc->cap_hours * 2 + 64;
		inc->hours = xreallocarray(inc->hours, inc->cap_hours,
		    sizeof(*inc->hours));
	}
	memmove(inc->hours + at + 1, inc->hours + at,
	    (inc->n_hours - at) * sizeof(*inc->hours));
	inc->hours[at] = (struct info_hour){ .hour = hour };
	inc->n_hours++;
}

static void
join_oldest(struct info_incarnation *inc)
{
	struct info_hour *list = inc->hours;

	list[1].segments += list[0].segments;
	list[1].bytes += list[0].bytes;
	memmove(list, list + 1, --inc->n_hours * sizeof(*list));
}

void
info_rate_add(struct info_incarnation *inc, int64_t mtime, uint64_t size)
{
	int64_t hour = mtime / HOUR - (mtime % HOUR < 0);
	size_t at;

	if (inc->n_hours == HOURS_MAX)
		join_oldest(inc);
	at = find(inc, hour);
	if (at == inc->n_hours || inc->hours[at].hour != hour)
		insert(inc, at, hour);
	inc->hours[at].segments++;
	inc->hours[at].bytes += size;
}
