/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/status.h"

#include <inttypes.h>

#include "core/time.h"

/* How a repository stands with one kind of work. */
struct work {
	const char *kind;
	int64_t done;	/* the last success, 0: none is known */
	int64_t failed; /* later than that, or 0 */
};
#define N_WORK 7

static void
work_of(const struct status_line *l, struct work out[N_WORK])
{
	const struct notes *f = &l->facts;
	const struct work all[N_WORK] = {
		{ "backup", f->backup.time, f->backup.failed },
		{ "dump", f->dump.time, f->dump.failed },
		{ "archive", f->wal_time, f->push_failed },
		{ "copy", f->mirrored, f->mirror_error[0] == '\0' ? 0 :
		    f->mirror_failed },
		{ "expire", f->expired, f->expire_failed },
		{ "verify", f->verified, f->verify_failed },
		{ "look", f->looked, 0 },
	};
	size_t i;

	for (i = 0; i < N_WORK; i++)
		out[i] = all[i];
}

static int64_t
unix_seconds(int64_t t)
{
	return t / 1000000 + TIME_UNIX_EPOCH_OFFSET;
}

/* False: nothing is known, and there is no sample. */
static bool
time_value(int64_t t, int64_t *out)
{
	*out = unix_seconds(t);
	return t != 0;
}

static bool
set_value(const struct notes_set *set, uint64_t n, int64_t *out)
{
	*out = (int64_t)n;
	return set->time != 0;
}

enum family_id {
	STATUS,
	KNOWN,
	KNOWN_AGE,
	LAST_SUCCESS,
	FAILING,
	LAST_FAILURE,
	BACKUP_ORIGINAL,
	BACKUP_STORED,
	BACKUP_DURATION,
	DAMAGED_PAGES,
	DUMP_STORED,
	WINDOW_START,
	WINDOW_END,
	RETAIN,
	WAL_GAPS,
	WAL_CONFLICTS,
	WAL_GIVEN_UP,
	WAL_WAITING,
	WAL_WAITING_SINCE,
	SERVER_ASKED,
	SERVER_ARCHIVES,
	SERVER_ARCHIVED,
	SERVER_FAILURES,
	COPY_WAITING,
	COPY_WAITING_SINCE,
	VERIFY_DAMAGED,
	VERIFY_WHOLE,
	HOLD,
	N_FAMILIES
};

static const struct {
	const char *name, *help;
	bool of_work; /* a sample for each kind of work */
} families[N_FAMILIES] = {
	[STATUS] = { "status", "Verdict of dapk-backup status: 0 ok, 1 "
	    "warning, 2 critical, 3 unknown.", false },
	[KNOWN] = { "knowledge_timestamp_seconds", "When this host learnt "
	    "something of the repository the last time.", false },
	[KNOWN_AGE] = { "knowledge_age_seconds", "How old that was when this "
	    "was written.", false },
	[LAST_SUCCESS] = { "last_success_timestamp_seconds", "When work of "
	    "this kind succeeded the last time.", true },
	[FAILING] = { "failing", "1 when the last attempt at work of this "
	    "kind failed, else 0.", true },
	[LAST_FAILURE] = { "last_failure_timestamp_seconds", "When work of "
	    "this kind failed, if it has not succeeded since.", true },
	[BACKUP_ORIGINAL] = { "backup_size_bytes", "Size of the files in the "
	    "last backup.", false },
	[BACKUP_STORED] = { "backup_stored_bytes", "What the last backup "
	    "added to the repository.", false },
	[BACKUP_DURATION] = { "backup_duration_seconds", "How long the last "
	    "backup took.", false },
	[DAMAGED_PAGES] = { "backup_damaged_pages", "Pages of the database "
	    "that failed their checks in the last backup.", false },
	[DUMP_STORED] = { "dump_stored_bytes", "What the last dump added to "
	    "the repository.", false },
	[WINDOW_START] = { "window_start_timestamp_seconds", "The earliest "
	    "moment from which on every one can be recovered.", false },
	[WINDOW_END] = { "window_end_timestamp_seconds", "The latest moment "
	    "that could be recovered at the last look.", false },
	[RETAIN] = { "retain_seconds", "How far back recovery is promised to "
	    "go.", false },
	[WAL_GAPS] = { "wal_gaps", "Breaks in the WAL of the promised time, "
	    "at the last look.", false },
	[WAL_CONFLICTS] = { "wal_conflicts", "WAL files stored with two "
	    "contents, at the last look.", false },
	[WAL_GIVEN_UP] = { "wal_given_up_segments", "WAL segments that "
	    "archive-queue-max gave up since the last backup.", false },
	[WAL_WAITING] = { "wal_waiting_files", "WAL files in pg_wal that "
	    "wait for the archiver.", false },
	[WAL_WAITING_SINCE] = { "wal_waiting_since_timestamp_seconds",
	    "Since when the first of them waits.", false },
	[SERVER_ASKED] = { "server_asked_timestamp_seconds", "When backup or "
	    "check asked the server about its archiver.", false },
	[SERVER_ARCHIVES] = { "server_archives", "1 when its settings called "
	    "archive-push, else 0.", false },
	[SERVER_ARCHIVED] = { "server_last_archived_timestamp_seconds",
	    "last_archived_time of pg_stat_archiver then.", false },
	[SERVER_FAILURES] = { "server_archive_failures", "failed_count of "
	    "pg_stat_archiver then.", false },
	[COPY_WAITING] = { "copy_waiting_items", "WAL files, backups and "
	    "dumps that the repository lacks.", false },
	[COPY_WAITING_SINCE] = { "copy_waiting_since_timestamp_seconds",
	    "Since when the first of them is missing there.", false },
	[VERIFY_DAMAGED] = { "verify_damaged_objects", "What verify found "
	    "damaged, until it finds it whole.", false },
	[VERIFY_WHOLE] = { "verify_whole_timestamp_seconds", "When verify "
	    "read everything the last time.", false },
	[HOLD] = { "hold", "1 while the cluster is on hold, as far as this "
	    "host knows, else 0.", false },
};

static int64_t
verdict_number(enum notes_verdict v)
{
	switch (v) {
	case NOTES_OK:
		return 0;
	case NOTES_WARNING:
		return 1;
	case NOTES_CRITICAL:
		return 2;
	case NOTES_UNKNOWN:
		break;
	}
	return 3;
}

static bool
work_value(const struct work *w, enum family_id id, int64_t *out)
{
	if (id == LAST_SUCCESS)
		return time_value(w->done, out);
	if (id == LAST_FAILURE)
		return time_value(w->failed, out);
	*out = w->failed != 0;
	return w->done != 0 || w->failed != 0;
}

static bool
wal_value(const struct status_line *l, enum family_id id, int64_t *out)
{
	const struct notes *f = &l->facts;
	const struct notes_server *s = &f->server;

	switch (id) {
	case WAL_GIVEN_UP:
		*out = f->gap_time <= f->backup.time ? 0 :
		    (int64_t)f->gap_segments;
		return true;
	case WAL_WAITING:
		*out = (int64_t)f->ready;
		return f->ready_known;
	case WAL_WAITING_SINCE:
		return time_value(f->ready_since, out);
	case SERVER_ASKED:
		return time_value(s->asked, out);
	case SERVER_ARCHIVES:
		*out = s->archives;
		return s->asked != 0;
	case SERVER_ARCHIVED:
		return time_value(s->archived_time, out);
	case SERVER_FAILURES:
		*out = (int64_t)s->failures;
		return s->asked != 0;
	case COPY_WAITING:
		*out = (int64_t)f->waiting;
		return f->has_queue;
	case COPY_WAITING_SINCE:
		return time_value(f->waiting_since, out);
	case VERIFY_DAMAGED:
		*out = (int64_t)f->verify_damaged;
		return f->verified != 0;
	case VERIFY_WHOLE:
		return time_value(f->verified_whole, out);
	default:
		*out = f->held_since != 0;
		return id == HOLD;
	}
}

static bool
value(const struct status_line *l, enum family_id id, int64_t *out)
{
	const struct notes *f = &l->facts;

	switch (id) {
	case STATUS:
		*out = verdict_number(l->judgement.verdict);
		return true;
	case KNOWN:
		return time_value(notes_known(f), out);
	case KNOWN_AGE:
		*out = (l->now - notes_known(f)) / 1000000;
		*out = *out < 0 ? 0 : *out;
		return notes_known(f) != 0;
	case BACKUP_ORIGINAL:
		return set_value(&f->backup, f->backup.original_bytes, out);
	case BACKUP_STORED:
		return set_value(&f->backup, f->backup.stored_bytes, out);
	case BACKUP_DURATION:
		return set_value(&f->backup, (uint64_t)f->backup.took /
		    1000000, out);
	case DAMAGED_PAGES:
		return set_value(&f->backup, f->backup.damaged, out);
	case DUMP_STORED:
		return set_value(&f->dump, f->dump.stored_bytes, out);
	case WINDOW_START:
		return time_value(f->window_from, out);
	case WINDOW_END:
		return time_value(f->window_to, out);
	case RETAIN:
		*out = l->retain / 1000000;
		return l->retain != 0;
	case WAL_GAPS:
		*out = (int64_t)f->gaps;
		return f->looked != 0;
	case WAL_CONFLICTS:
		*out = (int64_t)f->conflicts;
		return f->looked != 0;
	default:
		return wal_value(l, id, out);
	}
}

/* A label's value: backslash, quote and line end are escaped. */
static void
print_label(const char *name, const char *text, FILE *out)
{
	(void)fprintf(out, "%s=\"", name);
	for (; *text != '\0'; text++)
		if (*text == '\n')
			(void)fputs("\\n", out);
		else if (*text == '\\' || *text == '"')
			(void)fprintf(out, "\\%c", *text);
		else
			(void)fputc(*text, out);
	(void)fputc('"', out);
}

static void
print_sample(const struct status_line *l, enum family_id id,
    const char *kind, int64_t v, bool *begun, FILE *out)
{
	const char *name = families[id].name;

	if (!*begun)
		(void)fprintf(out, "# HELP dapk_backup_%s %s\n"
		    "# TYPE dapk_backup_%s gauge\n", name, families[id].help,
		    name);
	*begun = true;
	(void)fprintf(out, "dapk_backup_%s{", name);
	print_label("cluster", l->cluster, out);
	(void)fputc(',', out);
	print_label("repository", l->repository != NULL ? l->repository :
	    l->url, out);
	if (kind != NULL) {
		(void)fputc(',', out);
		print_label("kind", kind, out);
	}
	(void)fprintf(out, "} %" PRId64 "\n", v);
}

static void
print_work(const struct status_line *l, enum family_id id, bool *begun,
    FILE *out)
{
	struct work work[N_WORK];
	int64_t v;
	size_t i;

	work_of(l, work);
	for (i = 0; i < N_WORK; i++)
		if (work_value(&work[i], id, &v))
			print_sample(l, id, work[i].kind, v, begun, out);
}

void
status_print_prometheus(const struct status_line *lines, size_t n, FILE *out)
{
	unsigned id;
	bool begun;
	int64_t v;
	size_t i;

	for (id = 0; id < N_FAMILIES; id++) {
		begun = false;
		for (i = 0; i < n; i++)
			if (families[id].of_work)
				print_work(&lines[i], id, &begun, out);
			else if (value(&lines[i], id, &v))
				print_sample(&lines[i], id, NULL, v, &begun,
				    out);
	}
}
