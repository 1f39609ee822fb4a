/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/* The shape is a promise, dapk-backup-expire(1), "JSON". */
#include "cli/expire_show.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/jout.h"

static const char *const reasons[] = {
	[POLICY_GOES] = "goes",
	[POLICY_NOT_ASKED] = "no-retain",
	[POLICY_WINDOW] = "window",
	[POLICY_BASE] = "base",
	[POLICY_SNAPSHOT] = "snapshot",
	[POLICY_PINNED] = "pinned",
	[POLICY_LAST] = "last",
	[POLICY_IN_USE] = "in-use",
	[POLICY_WANTED] = "wanted",
	[POLICY_FUTURE] = "future",
	[POLICY_UNREADABLE] = "unreadable",
};

static json_t *
set_json(const struct policy_set *s)
{
	json_t *j = json_object();

	jout_set(j, "kind", json_string(repo_kind_name(s->kind)));
	jout_set(j, "label", json_string(s->label));
	jout_set(j, "keep", json_boolean(s->keep));
	jout_set(j, "reason", json_string(reasons[s->reason]));
	jout_set(j, "why", jout_text(s->why));
	return j;
}

static void
set_incarnation(json_t *j, const struct incarnation *inc)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%" PRIu64, inc->system_id);
	jout_set(j, "cluster", json_string(inc->cluster));
	jout_set(j, "major", json_integer(inc->major));
	jout_set(j, "system_id", json_string(id));
}

static json_t *
line_json(const struct retention_line *l)
{
	json_t *j = json_object(), *sets = json_array();
	size_t i;

	for (i = 0; i < l->line->n; i++)
		jout_append(sets, set_json(&l->line->sets[i]));
	set_incarnation(j, &l->inc->inc);
	jout_set(j, "sets", sets);
	jout_set(j, "wal", jout_text(l->line->wal_why));
	return j;
}

static json_t *
removed_json(const struct removal_report *r)
{
	json_t *j = json_object();

	jout_set(j, "sets", jout_number(r->backups));
	jout_set(j, "objects", jout_number(r->objects));
	jout_set(j, "locked", jout_number(r->locked));
	jout_set(j, "wanted_again", jout_number(r->wanted));
	jout_set(j, "tombstones_done", jout_number(r->tombstones));
	jout_set(j, "tombstones_waiting", jout_number(r->waiting));
	jout_set(j, "next_due", jout_time(r->waiting > 0 ? r->next_due : 0));
	return j;
}

static json_t *
run_json(const struct expire_run *run)
{
	json_t *j = json_object(), *marked = json_object();

	set_incarnation(j, &run->inc);
	jout_set(j, "kind", json_string(repo_kind_name(run->kind)));
	jout_set(j, "passed_over", json_boolean(!run->done));
	jout_set(j, "removed", removed_json(&run->removed));
	jout_set(marked, "sets", jout_number(run->marked.backups));
	jout_set(marked, "objects", jout_number(run->marked.objects));
	jout_set(marked, "bytes", jout_number(run->marked.bytes));
	jout_set(marked, "wal_segments", jout_number(run->wal_segments));
	jout_set(marked, "wal_bytes", jout_number(run->wal_bytes));
	jout_set(marked, "more_wal", json_boolean(run->wal_more));
	jout_set(marked, "refused", jout_number(run->refused));
	jout_set(j, "marked", marked);
	return j;
}

json_t *
expire_json(const struct expire *x, const struct config_repository *address,
    const struct err *err)
{
	const struct policy *p = &x->retention.policy;
	json_t *j = json_object(), *lines = json_array(),
	       *runs = json_array(), *odd = json_array(), *e;
	size_t i;

	for (i = 0; i < p->n; i++)
		jout_append(lines, line_json(&x->retention.lines[i]));
	for (i = 0; i < p->n_odd; i++)
		jout_append(odd, jout_text(p->odd[i]));
	for (i = 0; i < x->n; i++)
		jout_append(runs, run_json(&x->runs[i]));
	jout_set(j, "repository", address->name == NULL ? json_null() :
	    jout_text(address->name));
	jout_set(j, "url", jout_text(address->url));
	jout_set(j, "retain_seconds",
	    json_integer(p->rules.retain_us / 1000000));
	jout_set(j, "promised_from", p->rules.retain_us == 0 || p->n == 0 ?
	    json_null() : jout_time(p->window));
	jout_set(j, "odd", odd);
	jout_set(j, "clock_ahead_seconds", json_integer(x->ahead / 1000000));
	jout_set(j, "incarnations", lines);
	jout_set(j, "runs", runs);
	e = err == NULL ? json_null() : json_object();
	if (err != NULL) {
		jout_set(e, "code", json_string(err_code_name(err->code)));
		jout_set(e, "message", jout_text(err->msg));
	}
	jout_set(j, "error", e);
	return j;
}
