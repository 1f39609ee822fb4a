/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_POLICY_H
#define FIXTURE_POLICY_H

/*
 * Catalogues for the policy, in memory. 2026-11-22 14:00 is now, retention is
 * 30 days: the window begins 2026-10-23 14:00.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/time.h"
#include "retain/policy.h"

#define MB ((uint64_t)1 << 20)
#define SEG (16 * MB)
#define DAY (INT64_C(86400) * 1000000)
#define HOUR (INT64_C(3600) * 1000000)
#define NOW at("2026-11-22 14:00:00Z")

static inline int64_t
at(const char *text)
{
	struct err e = ERR_INIT;
	bool local;
	int64_t t;

	assert_int_equal(time_parse(text, &t, &local, &e), 0);
	return t;
}

static inline int64_t
days_ago(int n)
{
	return NOW - n * DAY;
}

/* One cluster. Grow it first, decide then: pointers move. */
static inline void
cat_new(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	p->now = NOW;
	p->rules.retain_us = 30 * DAY;
	p->rules.mirror_us = 7 * DAY;
}

static inline struct policy_line *
cat_line(struct policy *p, uint64_t system_id, int major)
{
	struct policy_line *l;

	p->lines = xreallocarray(p->lines, p->n + 1, sizeof(*p->lines));
	l = &p->lines[p->n++];
	memset(l, 0, sizeof(*l));
	l->system_id = system_id;
	l->major = major;
	l->wal_segment_size = SEG;
	return l;
}

static inline struct policy_set *
cat_set(struct policy_line *l)
{
	struct policy_set *s;

	l->sets = xreallocarray(l->sets, l->n + 1, sizeof(*l->sets));
	s = &l->sets[l->n];
	memset(s, 0, sizeof(*s));
	s->label = xasprintf("set-%zu", l->n++);
	s->readable = s->usable = s->clean = true;
	s->pin_reason = "";
	return s;
}

/* A good backup: begins in segment `seg`, ends in the next one. */
static inline struct policy_set *
cat_backup(struct policy_line *l, int64_t stop, uint32_t timeline,
    uint64_t seg)
{
	struct policy_set *s = cat_set(l);

	s->kind = REPO_BACKUP;
	s->start = stop - HOUR;
	s->stop = stop;
	s->timeline = timeline;
	s->start_lsn = seg * SEG + 40;
	s->stop_lsn = (seg + 1) * SEG + 80;
	return s;
}

static inline struct policy_set *
cat_dump(struct policy_line *l, int64_t stop, const char *database)
{
	struct policy_set *s = cat_set(l);

	s->kind = REPO_DUMP;
	s->start = stop - HOUR;
	s->stop = stop;
	s->database = database;
	s->options = "";
	return s;
}

/* parent 0: it has none; else it was left at `branch`. */
static inline struct policy_timeline *
cat_timeline(struct policy_line *l, uint32_t timeline, uint32_t parent,
    pg_lsn branch, uint64_t first, uint64_t last, int64_t newest)
{
	const struct history *from = NULL;
	struct policy_timeline *t;
	struct history *h = xcalloc(1, sizeof(*h));
	size_t i;

	for (i = 0; i < l->n_timelines; i++)
		if (parent != 0 && l->timelines[i].timeline == parent)
			from = l->timelines[i].path;
	h->timeline = timeline;
	h->entries = xcalloc((from == NULL ? 0 : from->n) + 1,
	    sizeof(*h->entries));
	/* A point before the parent's own beginning was the grandparent's. */
	for (i = 0; from != NULL && i < from->n; i++) {
		h->entries[h->n] = from->entries[i];
		if (h->entries[h->n++].end >= branch) {
			h->entries[h->n - 1].end = branch;
			break;
		}
	}
	h->entries[h->n++] = (struct history_entry) { timeline,
		from == NULL ? 0 : branch, UINT64_MAX };
	l->timelines = xreallocarray(l->timelines, l->n_timelines + 1,
	    sizeof(*l->timelines));
	t = &l->timelines[l->n_timelines++];
	memset(t, 0, sizeof(*t));
	t->timeline = timeline;
	t->path = h;
	t->first = first;
	t->last = last;
	t->newest = newest;
	return t;
}

static inline void
cat_free(struct policy *p)
{
	size_t i, k;

	policy_free(p);
	for (i = 0; i < p->n; i++) {
		struct policy_line *l = &p->lines[i];

		for (k = 0; k < l->n; k++)
			free((void *)(uintptr_t)l->sets[k].label);
		for (k = 0; k < l->n_timelines; k++) {
			struct history *h = (struct history *)
			    (uintptr_t)l->timelines[k].path;

			history_free(h);
			free(h);
		}
		free(l->sets);
		free(l->timelines);
	}
	free(p->lines);
}

#endif
