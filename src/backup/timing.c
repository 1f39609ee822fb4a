/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/timing.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"

#define LINE_MAX_LEN 512
#define US 1e6

void
timing_begin(struct timing *t)
{
	memset(t, 0, sizeof(*t));
	t->last = time_monotonic();
}

void
timing_lap(struct timing *t, const char *name)
{
	const int64_t now = time_monotonic(), us = now - t->last;

	t->last = now;
	if (t->n > 0 && strcmp(t->laps[t->n - 1].name, name) == 0) {
		t->laps[t->n - 1].us += us;
		return;
	}
	if (t->n == TIMING_LAPS_MAX)
		return;
	t->laps[t->n].name = name;
	t->laps[t->n++].us = us;
}

void
timing_log(const struct timing *t)
{
	char line[LINE_MAX_LEN];
	int64_t sum = 0;
	size_t i, len = 0;

	for (i = 0; i < t->n && len < sizeof(line); i++) {
		len += (size_t)snprintf(line + len, sizeof(line) - len,
		    "%s %.3f, ", t->laps[i].name,
		    (double)t->laps[i].us / US);
		sum += t->laps[i].us;
	}
	if (len < sizeof(line))
		log_debug("seconds: %ssum %.3f", line, (double)sum / US);
}
