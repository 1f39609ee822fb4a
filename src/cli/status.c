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

void
status_collect(const struct config *cfg, struct status_line **out, size_t *n)
{
	const struct config_repository *r;
	const char *id = "";
	struct status_line *list;
	uint64_t system = 0;
	size_t i;

	list = xcalloc((size_t)cfg->n_others + 1, sizeof(*list));
	for (i = 0; (r = config_repository(cfg, (unsigned)i)) != NULL; i++) {
		const struct notes_of of = { cfg->state_directory, r,
			cfg->cluster };

		list[i].cluster = cfg->cluster;
		list[i].repository = r->name;
		list[i].url = r->url;
		list[i].now = time_now();
		notes_read(&of, &list[i].facts);
		if (system == 0 && list[i].facts.system_id != 0) {
			system = list[i].facts.system_id;
			id = list[i].facts.repository_id;
		}
	}
	*n = i;
	for (i = 0; i < *n; i++) {
		const struct notes_of of = { cfg->state_directory,
			config_repository(cfg, (unsigned)i), cfg->cluster };

		notes_read_queue(&of, id, system, &list[i].facts);
		if (i > 0) {
			mirrored(&list[i].facts, &list[0].facts.backup,
			    &list[i].facts.backup);
			mirrored(&list[i].facts, &list[0].facts.dump,
			    &list[i].facts.dump);
		}
		notes_judge(&list[i].facts, list[i].now,
		    &notes_limits_default, &list[i].judgement);
	}
	*out = list;
}

static void
print_set(const struct notes_set *set, const char *kind, int64_t now,
    FILE *out)
{
	char age[32];

	if (set->time == 0)
		return;
	(void)fprintf(out, "; %s %s ago (%.*s)", kind,
	    notes_age(now - set->time, age), LABEL_TIME, set->label);
}

void
status_print_line(const struct status_line *l, FILE *out)
{
	const struct notes *f = &l->facts;
	char age[32];
	size_t i;

	(void)fprintf(out, "%s %s: %s", l->cluster, l->repository != NULL ?
	    l->repository : l->url,
	    notes_verdict_name(l->judgement.verdict));
	for (i = 0; i < l->judgement.n; i++)
		(void)fprintf(out, "%s %s", i == 0 ? "," : ",",
		    l->judgement.reasons[i].text);
	print_set(&f->backup, "backup", l->now, out);
	print_set(&f->dump, "dump", l->now, out);
	if (f->wal_time != 0)
		(void)fprintf(out, "; WAL %s %s ago", f->wal_file,
		    notes_age(l->now - f->wal_time, age));
	if (f->has_queue && f->waiting > 0)
		(void)fprintf(out, "; %" PRIu64 " waiting for %s",
		    f->waiting, notes_age(l->now - f->waiting_since, age));
	if (f->mirrored != 0)
		(void)fprintf(out, "; up to date %s ago",
		    notes_age(l->now - f->mirrored, age));
	if (f->looked != 0)
		(void)fprintf(out, "; looked at %s ago",
		    notes_age(l->now - f->looked, age));
	else
		(void)fprintf(out, "; never looked at (dapk-backup info)");
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
	return json_pack("{s:o,s:o,s:o,s:I,s:o,s:o}", "label",
	    text_json(set->label), "time", time_json(set->time),
	    "age_seconds", age_json(now, set->time), "damaged_count",
	    (json_int_t)set->damaged, "last_failure", time_json(set->failed),
	    "error", text_json(set->error));
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

json_t *
status_json(const struct status_line *l)
{
	const struct notes *f = &l->facts;
	json_t *wal, *queue;

	wal = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "last",
	    text_json(f->wal_file), "time", time_json(f->wal_time),
	    "age_seconds", age_json(l->now, f->wal_time), "failing_since",
	    time_json(f->push_failing_since), "last_failure",
	    time_json(f->push_failed), "error", text_json(f->push_error));
	queue = json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "waiting",
	    (json_int_t)f->waiting, "since", time_json(f->waiting_since),
	    "lag_seconds", age_json(l->now, f->waiting_since),
	    "last_success", time_json(f->mirrored), "last_failure",
	    time_json(f->mirror_failed), "error",
	    text_json(f->mirror_error));
	return json_pack("{s:s,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}",
	    "cluster", l->cluster, "repository", text_json(l->repository),
	    "url", l->url, "verdict",
	    notes_verdict_name(l->judgement.verdict), "reasons",
	    reasons_json(&l->judgement), "backup",
	    set_json(&f->backup, l->now), "dump",
	    set_json(&f->dump, l->now), "wal", wal, "queue", queue,
	    "looked_at", time_json(f->looked));
}
