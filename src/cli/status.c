/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/time.h"

#define LABEL_TIME 16

/* What the first had when all of its queue was brought here is here. */
static void
mirrored(const struct notes *f, const struct notes_set *first,
    struct notes_set *set)
{
	if (first->time <= set->time || f->mirrored <= first->time ||
	    f->set_waits)
		return;
	memcpy(set->label, first->label, sizeof(set->label));
	set->time = first->time;
	set->damaged = first->damaged;
}

static int64_t
micro(uint64_t ms)
{
	return (int64_t)ms * 1000;
}

static void
limits_of(const struct config *cfg, const struct config_repository *r,
    struct notes_limits *out)
{
	*out = notes_limits_default;
	out->backup_warning = micro(cfg->backup_warning_ms);
	out->backup_critical = micro(cfg->backup_critical_ms);
	out->dump_warning = micro(cfg->dump_warning_ms);
	out->dump_critical = micro(cfg->dump_critical_ms);
	out->wal_warning = micro(cfg->archive_warning_ms);
	out->push_critical = micro(cfg->archive_critical_ms);
	out->queue_warning = micro(cfg->lag_warning_ms);
	out->queue_critical = micro(cfg->lag_critical_ms);
	out->retain = micro(r->retain_ms);
}

static void
read_line(const struct config *cfg, unsigned i, struct status_line *l)
{
	const struct config_repository *r = config_repository(cfg, i);
	const struct notes_of of = { cfg->state_directory, r, cfg->cluster };

	l->cluster = cfg->cluster;
	l->repository = r->name;
	l->url = r->url;
	l->first = i == 0;
	l->retain = micro(r->retain_ms);
	l->now = time_now();
	notes_read(&of, &l->facts);
	if (l->first && cfg->pgdata != NULL)
		notes_read_ready(cfg->pgdata, &l->facts);
	/* What the server archives arrives in the others by the first. */
	if (!l->first)
		memset(&l->facts.server, 0, sizeof(l->facts.server));
}

static void
judge_line(const struct config *cfg, unsigned i, const char *id,
    uint64_t system, struct status_line *lines)
{
	const struct config_repository *r = config_repository(cfg, i);
	const struct notes_of of = { cfg->state_directory, r, cfg->cluster };
	struct status_line *l = &lines[i];
	struct notes_limits limits;

	notes_read_queue(&of, id, system, &l->facts);
	if (!l->first) {
		mirrored(&l->facts, &lines[0].facts.backup, &l->facts.backup);
		mirrored(&l->facts, &lines[0].facts.dump, &l->facts.dump);
	}
	limits_of(cfg, r, &limits);
	notes_judge(&l->facts, l->now, &limits, &l->judgement);
}

void
status_collect(const struct config *cfg, struct status_line **out, size_t *n)
{
	struct status_line *list;
	const char *id = "";
	uint64_t system = 0;
	unsigned i;

	*n = (size_t)cfg->n_others + 1;
	list = xcalloc(*n, sizeof(*list));
	for (i = 0; i < *n; i++) {
		read_line(cfg, i, &list[i]);
		if (system == 0 && list[i].facts.system_id != 0) {
			system = list[i].facts.system_id;
			id = list[i].facts.repository_id;
		}
	}
	for (i = 0; i < *n; i++)
		judge_line(cfg, i, id, system, list);
	*out = list;
}

/* Nagios takes what follows a '|' for numbers. */
static void
print_plain(const char *text, FILE *out)
{
	for (; *text != '\0'; text++)
		(void)fputc(*text == '|' ? '/' : *text, out);
}

static void
print_set(const struct notes_set *set, const char *kind, int64_t now,
    FILE *out)
{
	char age[32];

	if (set->time == 0)
		(void)fprintf(out, "no %s", kind);
	else
		(void)fprintf(out, "%s %s ago, %.*s", kind,
		    notes_age(now - set->time, age), LABEL_TIME, set->label);
}

static void
print_archive(const struct status_line *l, FILE *out)
{
	const struct notes *f = &l->facts;
	char age[32], retain[32];

	if (f->wal_time != 0)
		(void)fprintf(out, "; WAL %s %s ago", f->wal_file,
		    notes_age(l->now - f->wal_time, age));
	if (f->ready > 0)
		(void)fprintf(out, "; %" PRIu64 " in pg_wal to be archived",
		    f->ready);
	if (f->has_queue && f->waiting > 0)
		(void)fprintf(out, "; %" PRIu64 " waiting for %s",
		    f->waiting, notes_age(l->now - f->waiting_since, age));
	if (f->mirrored != 0)
		(void)fprintf(out, "; up to date %s ago",
		    notes_age(l->now - f->mirrored, age));
	if (f->window_from != 0)
		(void)fprintf(out, "; goes back %s of %s",
		    notes_age(l->now - f->window_from, age), l->retain == 0 ?
		    "all time" : notes_age(l->retain, retain));
}

static void
print_knowledge(const struct status_line *l, FILE *out)
{
	const struct notes *f = &l->facts;
	char age[32];

	if (f->verified != 0)
		(void)fprintf(out, "; verified %s ago",
		    notes_age(l->now - f->verified, age));
	if (notes_known(f) != 0)
		(void)fprintf(out, "; heard of %s ago",
		    notes_age(l->now - notes_known(f), age));
	if (f->looked != 0)
		(void)fprintf(out, "; looked at %s ago",
		    notes_age(l->now - f->looked, age));
	else
		(void)fprintf(out, "; never looked at (dapk-backup info)");
}

void
status_print_line(const struct status_line *l, FILE *out)
{
	const struct notes *f = &l->facts;
	size_t i;

	(void)fprintf(out, "%s %s: %s", l->cluster, l->repository != NULL ?
	    l->repository : l->url,
	    notes_verdict_name(l->judgement.verdict));
	for (i = 0; i < l->judgement.n; i++) {
		(void)fputs(i == 0 ? ": " : "; ", out);
		print_plain(l->judgement.reasons[i].text, out);
	}
	if (l->judgement.verdict != NOTES_UNKNOWN) {
		(void)fputs(" [", out);
		print_set(&f->backup, "backup", l->now, out);
		if (f->dump.time != 0) {
			(void)fputs("; ", out);
			print_set(&f->dump, "dump", l->now, out);
		}
		print_archive(l, out);
		print_knowledge(l, out);
		(void)fputc(']', out);
	}
	(void)fputc('\n', out);
}

static json_t *
time_json(int64_t t)
{
	char out[TIME_TEXT_MAX];

	return t == 0 ? json_null() : json_string(time_format(t, out));
}

static json_t *
text_json(const char *s)
{
	return s == NULL || s[0] == '\0' ? json_null() : json_string(s);
}

static json_t *
age_json(int64_t now, int64_t t)
{
	return t == 0 ? json_null() : json_integer(now < t ? 0 :
	    (now - t) / 1000000);
}

static json_t *
set_json(const struct notes_set *set, int64_t now)
{
	const bool known = set->time != 0;

	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o}", "label",
	    text_json(set->label), "time", time_json(set->time),
	    "age_seconds", age_json(now, set->time), "took_seconds",
	    known ? json_integer(set->took / 1000000) : json_null(),
	    "original_bytes", known ? json_integer((json_int_t)
		set->original_bytes) : json_null(), "stored_bytes", known ?
	    json_integer((json_int_t)set->stored_bytes) : json_null(),
	    "damaged_count", (json_int_t)set->damaged, "last_failure",
	    time_json(set->failed), "error", text_json(set->error));
}

static json_t *
reasons_json(const struct notes_judgement *j)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < j->n; i++)
		if (json_array_append_new(list, json_pack("{s:s,s:s}",
			"verdict",
			notes_verdict_name(j->reasons[i].verdict),
			"message", j->reasons[i].text)) != 0)
			abort(); /* memory is out */
	return list;
}

static json_t *
wal_json(const struct status_line *l)
{
	const struct notes *f = &l->facts;
	json_t *j = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "last",
	    text_json(f->wal_file), "time", time_json(f->wal_time),
	    "age_seconds", age_json(l->now, f->wal_time), "failing_since",
	    time_json(f->push_failing_since), "last_failure",
	    time_json(f->push_failed), "error", text_json(f->push_error));

	/* null: archive_status cannot be read from here */
	(void)json_object_set_new(j, "waiting", f->ready_known ?
	    json_integer((json_int_t)f->ready) : json_null());
	(void)json_object_set_new(j, "waiting_since",
	    time_json(f->ready_since));
	(void)json_object_set_new(j, "given_up_segments", json_integer(
	    (json_int_t)f->gap_segments));
	(void)json_object_set_new(j, "given_up_at", time_json(f->gap_time));
	(void)json_object_set_new(j, "conflicts", json_integer(
	    (json_int_t)f->conflicts));
	return j;
}

static json_t *
server_json(const struct notes_server *s)
{
	if (s->asked == 0)
		return json_null();
	return json_pack("{s:o,s:b,s:o,s:o,s:o,s:o,s:o,s:I}", "asked_at",
	    time_json(s->asked), "archives", (int)s->archives, "trouble",
	    text_json(s->trouble), "last_archived", text_json(s->archived),
	    "last_archived_time", time_json(s->archived_time), "last_failed",
	    text_json(s->failed), "last_failed_time",
	    time_json(s->failed_time), "failed_count",
	    (json_int_t)s->failures);
}

static json_t *
window_json(const struct status_line *l)
{
	const struct notes *f = &l->facts;

	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:I}", "from",
	    time_json(f->window_from), "to", time_json(f->window_to),
	    "seconds", f->window_from == 0 ? json_null() : json_integer(
		(f->window_to - f->window_from) / 1000000),
	    "promised_seconds", l->retain == 0 ? json_null() :
	    json_integer(l->retain / 1000000), "backups_since",
	    time_json(f->since), "missing_segment",
	    text_json(f->gap_behind), "gaps", (json_int_t)f->gaps);
}

static json_t *
queue_json(const struct status_line *l)
{
	const struct notes *f = &l->facts;

	return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "waiting",
	    (json_int_t)f->waiting, "since", time_json(f->waiting_since),
	    "lag_seconds", age_json(l->now, f->waiting_since),
	    "last_success", time_json(f->mirrored), "last_failure",
	    time_json(f->mirror_failed), "error",
	    text_json(f->mirror_error));
}

static json_t *
care_json(const struct notes *f, json_t *j)
{
	(void)json_object_set_new(j, "verify", json_pack(
	    "{s:o,s:o,s:I,s:o,s:o}", "time", time_json(f->verified),
	    "whole_time", time_json(f->verified_whole), "damaged",
	    (json_int_t)f->verify_damaged, "last_failure",
	    time_json(f->verify_failed), "share",
	    text_json(f->verify_share)));
	(void)json_object_set_new(j, "expire", json_pack("{s:o,s:o,s:o}",
	    "time", time_json(f->expired), "last_failure",
	    time_json(f->expire_failed), "error",
	    text_json(f->expire_error)));
	(void)json_object_set_new(j, "hold", f->held_since == 0 ?
	    json_null() : json_pack("{s:o,s:o,s:o}", "since",
		time_json(f->held_since), "by", text_json(f->held_by),
		"reason", text_json(f->held_reason)));
	return j;
}

/* NULL when memory is out. */
json_t *
status_json(const struct status_line *l)
{
	const struct notes *f = &l->facts;

	return care_json(f, json_pack("{s:s,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,"
	    "s:o,s:o,s:o,s:o,s:o}",
	    "cluster", l->cluster, "repository", text_json(l->repository),
	    "url", l->url, "verdict",
	    notes_verdict_name(l->judgement.verdict), "reasons",
	    reasons_json(&l->judgement), "backup",
	    set_json(&f->backup, l->now), "dump",
	    set_json(&f->dump, l->now), "wal", wal_json(l), "window",
	    window_json(l), "server", server_json(&f->server), "queue",
	    queue_json(l), "looked_at", time_json(f->looked), "known_at",
	    time_json(notes_known(f)), "known_age_seconds",
	    age_json(l->now, notes_known(f))));
}
