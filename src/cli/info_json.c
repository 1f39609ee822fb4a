/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/*
 * The shape is a promise (dapk-backup-info(1), "JSON"): members may be added,
 * none changes its meaning or goes. 64-bit identifiers are strings. Paths are
 * escaped as in FORMAT.md section 3, since they need not be UTF-8.
 */
#include "cli/info_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/jout.h"
#include "cli/status.h"
#include "core/text.h"
#include "core/time.h"

static json_t *
lsn_json(pg_lsn lsn)
{
	char out[LSN_TEXT_MAX];

	return json_string(lsn_format(lsn, out));
}

static json_t *
problem_json(const struct err *err)
{
	json_t *j = json_object();

	jout_set(j, "code", json_string(err_code_name(err->code)));
	jout_set(j, "message", jout_text(err->msg));
	return j;
}

static json_t *
damaged_json(const struct commit *c)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < c->n_damaged; i++) {
		json_t *j = json_object();

		jout_set(j, "path", jout_escaped(c->damaged[i].path));
		jout_set(j, "block", jout_number(c->damaged[i].block));
		jout_set(j, "reason", jout_text(c->damaged[i].reason));
		jout_set(j, "expected", jout_number(c->damaged[i].expected));
		jout_set(j, "found", jout_number(c->damaged[i].found));
		jout_append(list, j);
	}
	return list;
}

static json_t *
tablespaces_json(const struct commit *c)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < c->n_tablespaces; i++) {
		json_t *j = json_object();

		jout_set(j, "oid", jout_number(c->tablespaces[i].oid));
		jout_set(j, "path", jout_escaped(c->tablespaces[i].path));
		jout_append(list, j);
	}
	return list;
}

/* Which is not known is null. */
static void
set_share(json_t *j, const struct info_set *in, const struct info_backup *b)
{
	const struct info_share *s = &b->share;
	const char *parent = b->commit.parent;
	json_t *refers = json_object(), *made = json_object();

	jout_set(made, "packs", jout_number(s->made_packs));
	jout_set(made, "bytes", jout_number(s->made_bytes));
	jout_set(made, "plain", jout_number(s->made_plain));
	jout_set(made, "in_newest", jout_number(s->made_live));
	jout_set(refers, "backups", jout_number(s->refers_backups));
	jout_set(refers, "packs", jout_number(s->refers_packs));
	jout_set(refers, "bytes", jout_number(s->refers_bytes));
	jout_set(refers, "plain", jout_number(s->refers_plain));
	jout_set(refers, "needed", jout_number(s->refers_live));
	jout_set(j, "parent", *parent == '\0' ? json_null() :
	    json_string(parent));
	jout_set(j, "made", made);
	jout_set(j, "refers", refers);
	jout_set(j, "frees_bytes", in->shares_known ? jout_number(s->frees) :
	    json_null());
}

static json_t *
pin_json(const struct pin *pin)
{
	char until[TIME_TEXT_MAX];
	json_t *j;

	if (pin == NULL)
		return json_null();
	j = json_object();
	jout_set(j, "until", pin->until == 0 ? json_null() :
	    json_string(time_format(pin->until, until)));
	jout_set(j, "reason", jout_escaped(pin->reason));
	return j;
}

/* What backups and dumps have in common; false: nothing more is known. */
static bool
set_state(json_t *j, const struct info_backup *b)
{
	const bool readable = b->problem.code == ERR_NONE;

	jout_set(j, "label", json_string(b->label));
	jout_set(j, "readable", json_boolean(readable));
	jout_set(j, "usable", json_boolean(b->usable));
	if (!b->usable)
		jout_set(j, "problem", problem_json(readable ? &b->unusable :
							  &b->problem));
	if (readable)
		jout_set(j, "leaving", json_boolean(b->leaving));
	if (readable)
		jout_set(j, "pinned", pin_json(b->pin));
	jout_set(j, "expires", b->why == NULL ? json_null() :
	    json_boolean(b->expires));
	jout_set(j, "why", b->why == NULL ? json_null() : jout_text(b->why));
	return readable;
}

static json_t *
dump_json(const struct info_set *in, const struct info_backup *b)
{
	const struct commit *c = &b->commit;
	const struct commit_dump *d = &c->dump;
	json_t *j = json_object(), *options = json_array();
	size_t i;

	if (!set_state(j, b)) {
		json_decref(options);
		return j;
	}
	for (i = 0; i < d->n_options; i++)
		jout_append(options, jout_text(d->options[i]));
	jout_set(j, "database",
	    d->globals ? json_null() : jout_text(d->database));
	jout_set(j, "globals", json_boolean(d->globals));
	jout_set(j, "start_time", jout_time(c->start_time));
	jout_set(j, "stop_time", jout_time(c->stop_time));
	jout_set(j, "snapshot_time", jout_time(d->snapshot_time));
	jout_set(j, "snapshot_lsn", lsn_json(d->snapshot_lsn));
	jout_set(j, "from_standby", json_boolean(c->from_standby));
	jout_set(j, "host", jout_text(c->host != NULL ? c->host : ""));
	jout_set(j, "server_version", jout_text(d->server_version));
	jout_set(j, "pg_dump_version", jout_text(d->pg_dump_version));
	jout_set(j, "archive_version", jout_text(d->archive_version));
	jout_set(j, "encoding", jout_text(d->encoding));
	jout_set(j, "options", options);
	jout_set(j, "tables", jout_number(d->tables));
	jout_set(j, "rows", jout_number(d->rows));
	jout_set(j, "large_objects", jout_number(d->large_objects));
	jout_set(j, "original_bytes", jout_number(c->original_bytes));
	jout_set(j, "stored_bytes", jout_number(c->stored_bytes));
	set_share(j, in, b);
	return j;
}

static json_t *
items_json(const struct dumpset *items)
{
	const struct dump_item **list;
	json_t *out = json_array(), *j;
	size_t n, i;

	list = info_largest_items(items, &n);
	for (i = 0; i < n; i++) {
		j = json_object();
		jout_set(j, "path", jout_escaped(list[i]->path));
		jout_set(j, "schema", list[i]->schema == NULL ? json_null() :
		    jout_text(list[i]->schema));
		jout_set(j, "table", list[i]->name == NULL ? json_null() :
		    jout_text(list[i]->name));
		jout_set(j, "bytes", jout_number(list[i]->size));
		jout_set(j, "rows", jout_number(list[i]->rows));
		jout_append(out, j);
	}
	free(list);
	return out;
}

static json_t *
backup_json(const struct info_set *in, const struct info_backup *b)
{
	const struct commit *c = &b->commit;
	json_t *j = json_object();

	if (!set_state(j, b))
		return j;
	jout_set(j, "start_time", jout_time(c->start_time));
	jout_set(j, "stop_time", jout_time(c->stop_time));
	jout_set(j, "start_lsn", lsn_json(c->start_lsn));
	jout_set(j, "stop_lsn", lsn_json(c->stop_lsn));
	jout_set(j, "timeline", jout_number(c->timeline));
	jout_set(j, "wal_first", json_string(c->wal_first));
	jout_set(j, "wal_last", json_string(c->wal_last));
	jout_set(j, "method", jout_text(c->method != NULL ? c->method : ""));
	jout_set(j, "from_standby", json_boolean(c->from_standby));
	jout_set(j, "host", jout_text(c->host != NULL ? c->host : ""));
	jout_set(j, "files", jout_number(c->files));
	jout_set(j, "original_bytes", jout_number(c->original_bytes));
	jout_set(j, "stored_bytes", jout_number(c->stored_bytes));
	set_share(j, in, b);
	jout_set(j, "data_checksums", json_boolean(c->data_checksums));
	jout_set(j, "tablespaces", tablespaces_json(c));
	jout_set(j, "damaged_count", jout_number(c->damaged_count));
	jout_set(j, "damaged", damaged_json(c));
	return j;
}

static json_t *
names_json(char (*names)[WAL_FILE_NAME_MAX], size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		jout_append(list, json_string(names[i]));
	return list;
}

/* Why it is missing, where archive-queue-max gave it up. */
static void
add_reason(json_t *j, const struct gap *g)
{
	char at[TIME_TEXT_MAX];

	if (g == NULL)
		return;
	jout_set(j, "given_up", json_string(time_format(g->from, at)));
	jout_set(j, "host", jout_text(g->host));
	jout_set(j, "reason", jout_text(g->reason));
}

static void
add_ranges(const struct info_incarnation *inc, uint32_t timeline,
    json_t *ranges, json_t *gaps)
{
	char first[WAL_SEGMENT_NAME_LEN + 1], last[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t missing;
	size_t i;

	for (i = 0; i < inc->n_ranges; i++) {
		const struct wal_range *r = &inc->ranges[i];
		json_t *j;

		if (r->timeline != timeline)
			continue;
		j = json_object();
		jout_set(j, "first", json_string(r->first));
		jout_set(j, "last", json_string(r->last));
		jout_set(j, "segments", jout_number(r->segments));
		jout_set(j, "stored_bytes", jout_number(r->stored_bytes));
		jout_append(ranges, j);
		missing = info_gap(inc, i, first, last);
		if (missing == 0)
			continue;
		j = json_object();
		jout_set(j, "first", json_string(first));
		jout_set(j, "last", json_string(last));
		jout_set(j, "segments", jout_number(missing));
		jout_set(j, "removed", json_boolean(
		    info_gap_was_removed(inc, i)));
		add_reason(j, gap_find(inc->given_up, inc->n_given_up,
		    first));
		jout_append(gaps, j);
	}
}

static json_t *
timeline_json(const struct info_incarnation *inc,
    const struct info_timeline *t)
{
	json_t *j = json_object(), *ranges = json_array(),
	       *gaps = json_array();

	add_ranges(inc, t->timeline, ranges, gaps);
	jout_set(j, "timeline", jout_number(t->timeline));
	jout_set(j, "history_stored", json_boolean(t->has_history));
	jout_set(j, "parent",
	    t->parent == 0 ? json_null() : jout_number(t->parent));
	jout_set(j, "branched_at", t->parent == 0 ? json_null() :
	    lsn_json(t->branched_at));
	jout_set(j, "ranges", ranges);
	jout_set(j, "gaps", gaps);
	jout_set(j, "partial", names_json(t->partials, t->n_partials));
	jout_set(j, "conflicts", names_json(t->conflicts, t->n_conflicts));
	return j;
}

static json_t *
recovery_json(const struct info_incarnation *inc)
{
	json_t *j = json_object(), *list = json_array();
	size_t i;

	for (i = 0; i < inc->n_windows; i++) {
		const struct info_window *w = &inc->windows[i];
		const struct commit *c = &inc->backups.list[w->backup].commit;
		json_t *one = json_object();

		jout_set(one, "backup", json_string(c->label));
		/* The stop itself is too early for a target time (T87). */
		jout_set(one, "from_time", jout_time(c->stop_time + 1));
		jout_set(one, "from_lsn", lsn_json(c->stop_lsn));
		jout_set(one, "to_time", jout_time(w->reach.proven_time));
		jout_set(one, "to_lsn", lsn_json(w->reach.end));
		jout_set(one, "timeline", jout_number(w->reach.end_timeline));
		jout_set(one, "last_commit_time",
		    jout_time(w->reach.max_commit_time));
		jout_set(one, "missing_segment", w->reach.gap ?
		    json_string(w->reach.missing) : json_null());
		jout_append(list, one);
	}
	jout_set(j, "possible", json_boolean(inc->n_windows > 0));
	jout_set(j, "reason", inc->n_windows > 0 ? json_null() :
	    jout_text(info_no_recovery(inc)));
	jout_set(j, "windows", list);
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
incarnation_json(const struct info_incarnation *inc)
{
	json_t *j = json_object(), *backups = json_array(),
	       *dumps = json_array(), *timelines = json_array(),
	       *problems = json_array();
	size_t i;

	for (i = 0; i < inc->backups.n; i++)
		jout_append(backups, backup_json(&inc->backups,
		    &inc->backups.list[i]));
	for (i = 0; i < inc->dumps.n; i++)
		jout_append(dumps, dump_json(&inc->dumps, &inc->dumps.list[i]));
	for (i = 0; i < inc->n_timelines; i++)
		jout_append(timelines, timeline_json(inc, &inc->timelines[i]));
	for (i = 0; i < inc->n_problems; i++)
		jout_append(problems, problem_json(&inc->problems[i]));
	set_incarnation(j, &inc->inc);
	jout_set(j, "wal_segment_size", jout_number(inc->wal_segment_size));
	jout_set(j, "recovery", recovery_json(inc));
	jout_set(j, "backups", backups);
	jout_set(j, "unfinished_backups", jout_number(inc->backups.unfinished));
	jout_set(j, "removed_backups_bytes",
	    jout_number(inc->backups.orphan_bytes));
	jout_set(j, "dumps", dumps);
	jout_set(j, "unfinished_dumps", jout_number(inc->dumps.unfinished));
	jout_set(j, "removed_dumps_bytes",
	    jout_number(inc->dumps.orphan_bytes));
	jout_set(j, "wal", timelines);
	jout_set(j, "promised_from", jout_time(inc->promised_from));
	jout_set(j, "wal_kept", inc->why_wal == NULL ? json_null() :
	    jout_text(inc->why_wal));
	jout_set(j, "problems", problems);
	return j;
}

static json_t *
repository_json(const struct info *info)
{
	json_t *j = json_object();

	jout_set(j, "url", jout_text(info->url));
	jout_set(j, "id", json_string(info->repo->id_text));
	jout_set(j, "created", jout_time(info->repo->created));
	jout_set(j, "reached", json_true());
	jout_set(j, "listed_at", jout_time(info->listed_at));
	return j;
}

/* The cluster's other repositories, by what this host knows of them. */
static json_t *
others_json(const struct config *cfg)
{
	json_t *list = json_array();
	struct status_line *lines;
	size_t i, n;

	status_collect(cfg, &lines, &n);
	for (i = 1; i < n; i++)
		jout_append(list, status_json(&lines[i]));
	free(lines);
	return list;
}

int
info_print_json(const struct info *info, FILE *out, struct err *err)
{
	json_t *j = json_object(), *list = json_array(), *odd = json_array();
	size_t i;

	for (i = 0; i < info->n_odd; i++)
		jout_append(odd, jout_text(info->odd[i]));
	for (i = 0; i < info->n; i++)
		jout_append(list, incarnation_json(&info->incarnations[i]));
	jout_set(j, "format", json_integer(1));
	jout_set(j, "repository", repository_json(info));
	jout_set(j, "incarnations", list);
	jout_set(j, "odd", odd);
	if (info->cfg != NULL)
		jout_set(j, "others", others_json(info->cfg));
	return jout_write(j, out, err);
}

int
info_print_one_json(const struct info *info, const struct info_found *f,
    const struct dumpset *items, FILE *out, struct err *err)
{
	const struct info_backup *b = &f->set->list[f->index];
	const bool dump = f->set == &f->inc->dumps;
	json_t *j = json_object(), *one = dump ? dump_json(f->set, b) :
						 backup_json(f->set, b);

	if (items != NULL)
		jout_set(one, "items", items_json(items));
	jout_set(j, "format", json_integer(1));
	jout_set(j, "repository", repository_json(info));
	set_incarnation(j, &f->inc->inc);
	jout_set(j, dump ? "dump" : "backup", one);
	return jout_write(j, out, err);
}
