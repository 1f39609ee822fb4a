/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/*
 * The shape is a promise (dapk-backup(1), "JSON"): members may be added, none
 * changes its meaning or goes. 64-bit identifiers are strings. Paths are
 * escaped as in FORMAT.md section 3, since they need not be UTF-8.
 */
#include "cli/info_show.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/status.h"
#include "core/text.h"
#include "core/time.h"

static json_t *
text(const char *s)
{
	struct buf b;
	json_t *j = json_string(s);

	if (j != NULL)
		return j;
	buf_init(&b, 1 << 16); /* not UTF-8 */
	text_escape(&b, s, strlen(s));
	j = json_string(buf_str(&b));
	buf_free(&b);
	return j;
}

static json_t *
escaped(const char *s)
{
	struct buf b;
	json_t *j;

	buf_init(&b, 1 << 16);
	text_escape(&b, s, strlen(s));
	j = json_string(buf_str(&b));
	buf_free(&b);
	return j;
}

static json_t *
lsn_json(pg_lsn lsn)
{
	char out[LSN_TEXT_MAX];

	return json_string(lsn_format(lsn, out));
}

static json_t *
time_json(int64_t t)
{
	char out[TIME_TEXT_MAX];

	return t == 0 ? json_null() : json_string(time_format(t, out));
}

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* jansson fails only when memory is out; the result is checked once. */
static void
set(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) != 0)
		abort();
}

static void
append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		abort();
}

static json_t *
problem_json(const struct err *err)
{
	json_t *j = json_object();

	set(j, "code", json_string(err_code_name(err->code)));
	set(j, "message", text(err->msg));
	return j;
}

static json_t *
damaged_json(const struct commit *c)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < c->n_damaged; i++) {
		json_t *j = json_object();

		set(j, "path", escaped(c->damaged[i].path));
		set(j, "block", number(c->damaged[i].block));
		set(j, "reason", text(c->damaged[i].reason));
		set(j, "expected", number(c->damaged[i].expected));
		set(j, "found", number(c->damaged[i].found));
		append(list, j);
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

		set(j, "oid", number(c->tablespaces[i].oid));
		set(j, "path", escaped(c->tablespaces[i].path));
		append(list, j);
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

	set(made, "packs", number(s->made_packs));
	set(made, "bytes", number(s->made_bytes));
	set(made, "plain", number(s->made_plain));
	set(made, "in_newest", number(s->made_live));
	set(refers, "backups", number(s->refers_backups));
	set(refers, "packs", number(s->refers_packs));
	set(refers, "bytes", number(s->refers_bytes));
	set(refers, "plain", number(s->refers_plain));
	set(refers, "needed", number(s->refers_live));
	set(j, "parent", *parent == '\0' ? json_null() :
	    json_string(parent));
	set(j, "made", made);
	set(j, "refers", refers);
	set(j, "frees_bytes", in->shares_known ? number(s->frees) :
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
	set(j, "until", pin->until == 0 ? json_null() :
	    json_string(time_format(pin->until, until)));
	set(j, "reason", escaped(pin->reason));
	return j;
}

/* What backups and dumps have in common; false: nothing more is known. */
static bool
set_state(json_t *j, const struct info_backup *b)
{
	const bool readable = b->problem.code == ERR_NONE;

	set(j, "label", json_string(b->label));
	set(j, "readable", json_boolean(readable));
	set(j, "usable", json_boolean(b->usable));
	if (!b->usable)
		set(j, "problem", problem_json(readable ? &b->unusable :
							  &b->problem));
	if (readable)
		set(j, "leaving", json_boolean(b->leaving));
	if (readable)
		set(j, "pinned", pin_json(b->pin));
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
		append(options, text(d->options[i]));
	set(j, "database", d->globals ? json_null() : text(d->database));
	set(j, "globals", json_boolean(d->globals));
	set(j, "start_time", time_json(c->start_time));
	set(j, "stop_time", time_json(c->stop_time));
	set(j, "snapshot_time", time_json(d->snapshot_time));
	set(j, "snapshot_lsn", lsn_json(d->snapshot_lsn));
	set(j, "from_standby", json_boolean(c->from_standby));
	set(j, "host", text(c->host != NULL ? c->host : ""));
	set(j, "server_version", text(d->server_version));
	set(j, "pg_dump_version", text(d->pg_dump_version));
	set(j, "archive_version", text(d->archive_version));
	set(j, "encoding", text(d->encoding));
	set(j, "options", options);
	set(j, "tables", number(d->tables));
	set(j, "rows", number(d->rows));
	set(j, "large_objects", number(d->large_objects));
	set(j, "original_bytes", number(c->original_bytes));
	set(j, "stored_bytes", number(c->stored_bytes));
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
		set(j, "path", escaped(list[i]->path));
		set(j, "schema", list[i]->schema == NULL ? json_null() :
		    text(list[i]->schema));
		set(j, "table", list[i]->name == NULL ? json_null() :
		    text(list[i]->name));
		set(j, "bytes", number(list[i]->size));
		set(j, "rows", number(list[i]->rows));
		append(out, j);
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
	set(j, "start_time", time_json(c->start_time));
	set(j, "stop_time", time_json(c->stop_time));
	set(j, "start_lsn", lsn_json(c->start_lsn));
	set(j, "stop_lsn", lsn_json(c->stop_lsn));
	set(j, "timeline", number(c->timeline));
	set(j, "wal_first", json_string(c->wal_first));
	set(j, "wal_last", json_string(c->wal_last));
	set(j, "method", text(c->method != NULL ? c->method : ""));
	set(j, "from_standby", json_boolean(c->from_standby));
	set(j, "host", text(c->host != NULL ? c->host : ""));
	set(j, "files", number(c->files));
	set(j, "original_bytes", number(c->original_bytes));
	set(j, "stored_bytes", number(c->stored_bytes));
	set_share(j, in, b);
	set(j, "data_checksums", json_boolean(c->data_checksums));
	set(j, "tablespaces", tablespaces_json(c));
	set(j, "damaged_count", number(c->damaged_count));
	set(j, "damaged", damaged_json(c));
	return j;
}

static json_t *
names_json(char (*names)[WAL_FILE_NAME_MAX], size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		append(list, json_string(names[i]));
	return list;
}

/* Why it is missing, where archive-queue-max gave it up. */
static void
add_reason(json_t *j, const struct gap *g)
{
	char at[TIME_TEXT_MAX];

	if (g == NULL)
		return;
	set(j, "given_up", json_string(time_format(g->from, at)));
	set(j, "host", text(g->host));
	set(j, "reason", text(g->reason));
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
		set(j, "first", json_string(r->first));
		set(j, "last", json_string(r->last));
		set(j, "segments", number(r->segments));
		set(j, "stored_bytes", number(r->stored_bytes));
		append(ranges, j);
		missing = info_gap(inc, i, first, last);
		if (missing == 0)
			continue;
		j = json_object();
		set(j, "first", json_string(first));
		set(j, "last", json_string(last));
		set(j, "segments", number(missing));
		add_reason(j, gap_find(inc->given_up, inc->n_given_up,
		    first));
		append(gaps, j);
	}
}

static json_t *
timeline_json(const struct info_incarnation *inc,
    const struct info_timeline *t)
{
	json_t *j = json_object(), *ranges = json_array(),
	       *gaps = json_array();

	add_ranges(inc, t->timeline, ranges, gaps);
	set(j, "timeline", number(t->timeline));
	set(j, "history_stored", json_boolean(t->has_history));
	set(j, "parent", t->parent == 0 ? json_null() : number(t->parent));
	set(j, "branched_at", t->parent == 0 ? json_null() :
	    lsn_json(t->branched_at));
	set(j, "ranges", ranges);
	set(j, "gaps", gaps);
	set(j, "partial", names_json(t->partials, t->n_partials));
	set(j, "conflicts", names_json(t->conflicts, t->n_conflicts));
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

		set(one, "backup", json_string(c->label));
		/* The stop itself is too early for a target time (T87). */
		set(one, "from_time", time_json(c->stop_time + 1));
		set(one, "from_lsn", lsn_json(c->stop_lsn));
		set(one, "to_time", time_json(w->reach.proven_time));
		set(one, "to_lsn", lsn_json(w->reach.end));
		set(one, "timeline", number(w->reach.end_timeline));
		set(one, "last_commit_time",
		    time_json(w->reach.max_commit_time));
		set(one, "missing_segment", w->reach.gap ?
		    json_string(w->reach.missing) : json_null());
		append(list, one);
	}
	set(j, "possible", json_boolean(inc->n_windows > 0));
	set(j, "reason", inc->n_windows > 0 ? json_null() :
	    text(info_no_recovery(inc)));
	set(j, "windows", list);
	return j;
}

static void
set_incarnation(json_t *j, const struct incarnation *inc)
{
	char id[24];

	(void)snprintf(id, sizeof(id), "%" PRIu64, inc->system_id);
	set(j, "cluster", json_string(inc->cluster));
	set(j, "major", json_integer(inc->major));
	set(j, "system_id", json_string(id));
}

static json_t *
incarnation_json(const struct info_incarnation *inc)
{
	json_t *j = json_object(), *backups = json_array(),
	       *dumps = json_array(), *timelines = json_array(),
	       *problems = json_array();
	size_t i;

	for (i = 0; i < inc->backups.n; i++)
		append(backups, backup_json(&inc->backups,
		    &inc->backups.list[i]));
	for (i = 0; i < inc->dumps.n; i++)
		append(dumps, dump_json(&inc->dumps, &inc->dumps.list[i]));
	for (i = 0; i < inc->n_timelines; i++)
		append(timelines, timeline_json(inc, &inc->timelines[i]));
	for (i = 0; i < inc->n_problems; i++)
		append(problems, problem_json(&inc->problems[i]));
	set_incarnation(j, &inc->inc);
	set(j, "wal_segment_size", number(inc->wal_segment_size));
	set(j, "recovery", recovery_json(inc));
	set(j, "backups", backups);
	set(j, "unfinished_backups", number(inc->backups.unfinished));
	set(j, "removed_backups_bytes", number(inc->backups.orphan_bytes));
	set(j, "dumps", dumps);
	set(j, "unfinished_dumps", number(inc->dumps.unfinished));
	set(j, "removed_dumps_bytes", number(inc->dumps.orphan_bytes));
	set(j, "wal", timelines);
	set(j, "problems", problems);
	return j;
}

static json_t *
repository_json(const struct info *info)
{
	json_t *j = json_object();

	set(j, "url", text(info->url));
	set(j, "id", json_string(info->repo->id_text));
	set(j, "created", time_json(info->repo->created));
	set(j, "reached", json_true());
	set(j, "listed_at", time_json(info->listed_at));
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
		append(list, status_json(&lines[i]));
	free(lines);
	return list;
}

static int
write_json(json_t *j, FILE *out, struct err *err)
{
	int ret = 0;

	if (json_dumpf(j, out, JSON_INDENT(2)) != 0)
		ret = err_set(err, ERR_IO, "cannot write the JSON text");
	else
		(void)fputc('\n', out); /* cli_flush() tells an error */
	json_decref(j);
	return ret;
}

int
info_print_json(const struct info *info, FILE *out, struct err *err)
{
	json_t *j = json_object(), *list = json_array();
	size_t i;

	for (i = 0; i < info->n; i++)
		append(list, incarnation_json(&info->incarnations[i]));
	set(j, "format", json_integer(1));
	set(j, "repository", repository_json(info));
	set(j, "incarnations", list);
	if (info->cfg != NULL)
		set(j, "others", others_json(info->cfg));
	return write_json(j, out, err);
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
		set(one, "items", items_json(items));
	set(j, "format", json_integer(1));
	set(j, "repository", repository_json(info));
	set_incarnation(j, &f->inc->inc);
	set(j, dump ? "dump" : "backup", one);
	return write_json(j, out, err);
}
