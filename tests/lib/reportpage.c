/* SPDX-License-Identifier: PostgreSQL */
/*
 * reportpage DAYS > PAGE.html: a page of `report` as it is after DAYS of
 * nightly backups and dumps, at 2026-11-23 12:00 UTC. No test could wait for
 * that; 92-report.sh looks at how a browser draws it. The server's disk was
 * near full 9 days ago (WAL was given up), 4 days ago it was set back
 * (timeline 2), a backup is damaged, one failed, one runs. Below 20 days
 * nothing happened; 0: nothing is stored.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/time.h"
#include "report/report.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define GB (UINT64_C(1) << 30)
#define SEGMENT (16u << 20)
#define NOW (time_from_unix(1795435200)) /* 2026-11-23 12:00 UTC */
#define SYSTEM UINT64_C(7711405497757809640)

static void
add(struct info_set *set, enum repo_kind kind, int64_t at, unsigned night)
{
	struct info_backup *b;
	struct commit *c;

	set->list = xreallocarray(set->list, set->n + 1, sizeof(*b));
	b = &set->list[set->n++];
	memset(b, 0, sizeof(*b));
	c = &b->commit;
	(void)snprintf(b->label, sizeof(b->label), "2026%04uT%02u0000Z-"
	    "%08x%08x", night, kind == REPO_DUMP ? 3 : 1, night * 2654435761u,
	    (unsigned)kind);
	memcpy(c->label, b->label, sizeof(c->label));
	c->kind = kind;
	c->start_time = at;
	c->stop_time = at + (kind == REPO_DUMP ? 41 : 12) * 60 * SECOND;
	c->original_bytes = kind == REPO_DUMP ? 21 * GB + night * GB / 40 :
	    48 * GB + night * GB / 9;
	c->stored_bytes = set->n == 1 ? c->original_bytes / 4 :
	    c->original_bytes / 90;
	b->share.made_bytes = c->stored_bytes;
	if (set->n > 1)
		memcpy(c->parent, "x", 2);
	c->wal_segment_size = SEGMENT;
	(void)snprintf(c->wal_first, sizeof(c->wal_first),
	    "0000000100000001%08X", night);
	(void)snprintf(c->wal_last, sizeof(c->wal_last),
	    "0000000100000001%08X", night + 2);
	c->dump.database = xstrdup("logistics");
	c->dump.rows = 91234567 + night * 12345;
	c->method = xstrdup("local");
	b->usable = true;
	b->why = xasprintf("kept: %u days old, within 30 days", night);
}

static void
window(struct info_incarnation *inc, size_t backup, int64_t to,
    uint32_t timeline)
{
	struct info_window *w;

	inc->windows = xreallocarray(inc->windows, inc->n_windows + 1,
	    sizeof(*w));
	w = &inc->windows[inc->n_windows++];
	memset(w, 0, sizeof(*w));
	w->backup = backup;
	w->reach.proven_time = to;
	w->reach.end_timeline = timeline;
}

static void
fill_windows(struct info_incarnation *inc, unsigned days)
{
	static struct gap given_up = { .first = "0000000100000001000000AA",
		.last = "0000000100000001000000AF", .segments = 6 };
	struct wal_reach *r;

	if (days < 20) {
		window(inc, 0, NOW - 40 * SECOND, 1);
		return;
	}
	window(inc, 0, NOW - 9 * DAY - 6 * HOUR, 1);
	r = &inc->windows[0].reach;
	r->gap = true;
	(void)strcpy(r->missing, given_up.first);
	given_up.host = xstrdup("db1");
	given_up.reason = xstrdup("no space left on device <backup>");
	given_up.from = NOW - 9 * DAY - 5 * HOUR;
	inc->given_up = &given_up;
	inc->n_given_up = 1;
	window(inc, days - 8, NOW - 4 * DAY, 1);
	window(inc, days - 3, NOW - 40 * SECOND, 2);
}

static void
fill(struct info_incarnation *inc, unsigned days)
{
	static struct pin pin;
	unsigned i, n;

	inc->inc.major = 15;
	inc->inc.system_id = SYSTEM;
	inc->wal_segment_size = SEGMENT;
	inc->promised_from = NOW - 30 * DAY;
	inc->backups.shares_known = inc->dumps.shares_known = true;
	for (i = 0; i < days; i++) {
		add(&inc->backups, REPO_BACKUP, NOW - (int64_t)(days - i) *
		    DAY + 13 * HOUR, i);
		add(&inc->dumps, REPO_DUMP, NOW - (int64_t)(days - i) * DAY +
		    15 * HOUR, i);
	}
	for (i = 0; i < days * 24; i++) {
		n = 10 + (i % 24 < 12 ? i % 24 : 24 - i % 24) * 4 +
		    (i / 24 % 7 < 5 ? 20 : 0);
		for (; n > 0; n--)
			info_rate_add(inc, NOW - (int64_t)(days * 24 - i) *
			    HOUR, SEGMENT / 5);
	}
	if (days > 0)
		fill_windows(inc, days);
	if (days < 20)
		return;
	pin.reason = xstrdup("before the new release");
	pin.until = NOW + 90 * DAY;
	inc->backups.list[days - 15].pin = &pin;
	inc->backups.list[days - 6].commit.damaged_count = 3;
	inc->backups.list[0].leaving = true;
}

static void
fill_facts(struct notes *f, const struct info_incarnation *inc)
{
	memset(f, 0, sizeof(*f));
	f->system_id = SYSTEM;
	if (inc->backups.n == 0)
		return;
	f->backup.time = inc->backups.list[inc->backups.n - 1]
	    .commit.stop_time;
	f->dump.time = inc->dumps.list[inc->dumps.n - 1].commit.stop_time;
	f->backup.failed = f->backup.time + 8 * HOUR;
	(void)strcpy(f->backup.error, "connection to server failed");
	f->looked = f->wal_time = NOW - 40 * SECOND;
	(void)strcpy(f->wal_file, "000000020000000100000FA3");
	f->recoverable = f->whole = true;
	f->window_from = inc->backups.list[inc->windows[inc->n_windows -
	    1].backup].commit.stop_time;
	f->window_to = NOW - 40 * SECOND;
	f->verified = f->verified_whole = NOW - 2 * DAY;
}

static void
fill_tables(struct report_tables *t)
{
	struct report_table one = { .database = xstrdup("logistics"),
		.schema = xstrdup("public"), .has_rows = true };
	char name[40];
	unsigned i;

	t->source = xstrdup("Rows as COPY writes them, without indexes, by "
	    "the newest dump of the database.");
	for (i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), i % 3 == 0 ?
		    "shipments_%u" : "events_%u", 1990 + i);
		one.name = name;
		one.bytes = UINT64_C(21000000000) / (i + 1);
		one.rows = one.bytes / 211;
		report_tables_add(t, &one);
	}
}

int
main(int argc, char **argv)
{
	struct info_incarnation inc = { 0 };
	struct info info = { .incarnations = &inc, .n = 1 };
	struct notes facts, nothing = { 0 };
	struct notes_limits limits = notes_limits_default;
	struct notes_judgement judgement, unknown;
	struct report_running run = { .inc = &inc, .kind = REPO_BACKUP };
	struct report_tables tables = { 0 };
	struct report_setting settings[] = {
		{ xstrdup("cluster main"), "conninfo",
		    xstrdup("host=/run/postgresql user=postgres"), true },
		{ xstrdup("repository local"), "retain", xstrdup("30d"),
		    false },
	};
	struct report_place places[2] = {
		{ .name = "local", .url = "file:///var/lib/dapk-backup",
		    .retain = 30 * DAY, .facts = &facts,
		    .judgement = &judgement, .info = &info, .running = &run },
		{ .name = "offsite", .url = "s3://backups/main",
		    .retain = 90 * DAY, .facts = &nothing,
		    .judgement = &unknown },
	};
	const struct report r = { .cluster = "main", .host = "db1",
		.version = PACKAGE_VERSION, .now = NOW, .places = places,
		.n_places = 2, .tables = &tables, .settings = settings,
		.n_settings = 2 };

	fill(&inc, argc > 1 ? (unsigned)atoi(argv[1]) : 40);
	fill_facts(&facts, &inc);
	fill_tables(&tables);
	limits.retain = 30 * DAY;
	notes_judge(&facts, NOW, &limits, &judgement);
	notes_judge(&nothing, NOW, &limits, &unknown);
	(void)err_set(&places[1].problem, ERR_STORAGE,
	    "s3://backups/main: no answer in 15 seconds");
	(void)strcpy(run.lease.purpose, "backup");
	(void)strcpy(run.lease.host, "db1");
	run.lease.started = NOW - 25 * 60 * SECOND;
	places[0].n_running = inc.backups.n > 0;
	report_write(&r, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
