/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/* The shape is a promise, as that of `info --json` (dapk-backup(1), "JSON"). */
#include "cli/verify_show.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"

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

/* A message: as it is, where it is UTF-8. */
static json_t *
text(const char *s)
{
	json_t *j = json_string(s);

	return j != NULL ? j : escaped(s);
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

/* jansson fails only when memory is out. */
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
finding_json(const struct verify_finding *f)
{
	json_t *j = json_object();

	set(j, "kind", json_string(verify_kind_name(f->kind)));
	set(j, "object", escaped(f->object));
	set(j, "reason", text(f->reason));
	set(j, "other_generation_holds", json_boolean(f->spare));
	set(j, "marked", json_boolean(f->marked));
	set(j, "repaired", json_boolean(f->repaired));
	set(j, "from_time", time_json(f->from));
	set(j, "to_time", time_json(f->to));
	return j;
}

static json_t *
file_json(const struct verify_file *f, bool chunks)
{
	json_t *j = json_object(), *blocks = json_array(), *range;
	size_t i;

	for (i = 0; i < f->n_ranges; i++) {
		range = json_array();
		append(range, number(f->ranges[i].first));
		append(range, number(f->ranges[i].n));
		append(blocks, range);
	}
	set(j, "path", escaped(f->path));
	set(j, "reason", text(f->reason));
	set(j, chunks ? "bad_chunks" : "bad_blocks", number(f->bad_blocks));
	set(j, chunks ? "chunks" : "blocks", blocks);
	return j;
}

static json_t *
backup_json(const struct verify_backup *b, bool dump)
{
	json_t *j = json_object(), *files = json_array();
	size_t i;

	for (i = 0; i < b->n_list; i++)
		append(files, file_json(&b->list[i], dump));
	set(j, "label", json_string(b->label));
	if (dump)
		set(j, "database", b->database == NULL ||
		    b->database[0] == '\0' ? json_null() :
		    text(b->database));
	set(j, "stop_time", time_json(b->stop_time));
	set(j, "damaged", json_boolean(!verify_backup_holds(b)));
	set(j, "proved", json_boolean(b->proved));
	set(j, "removed", json_boolean(b->removed));
	set(j, "commit_damaged", json_boolean(b->commit_bad));
	set(j, "manifest_damaged", json_boolean(b->manifest_bad));
	if (!dump)
		set(j, "wal_damaged", json_boolean(b->wal_bad));
	set(j, "damaged_packs", number(b->bad_packs));
	set(j, dump ? "items" : "files", number(b->files));
	set(j, dump ? "damaged_items" : "damaged_files",
	    number(b->bad_files));
	set(j, dump ? "damaged_chunks" : "damaged_blocks",
	    number(b->bad_blocks));
	set(j, "list", files);
	return j;
}

static json_t *
windows_json(const struct verify_cluster *cl, bool lost)
{
	json_t *list = json_array(), *j;
	size_t i;

	for (i = 0; i < cl->n_windows; i++) {
		if (cl->windows[i].lost != lost)
			continue;
		j = json_object();
		set(j, "timeline", number(cl->windows[i].timeline));
		set(j, "from_time", time_json(cl->windows[i].from));
		set(j, "to_time", time_json(cl->windows[i].to));
		append(list, j);
	}
	return list;
}

static json_t *
cluster_json(const struct verify_cluster *cl)
{
	json_t *j = json_object(), *findings = json_array(),
	       *backups = json_array(), *dumps = json_array();
	char id[24];
	size_t i;

	(void)snprintf(id, sizeof(id), "%" PRIu64, cl->inc.system_id);
	for (i = 0; i < cl->n_findings; i++)
		append(findings, finding_json(&cl->findings[i]));
	for (i = 0; i < cl->n_backups; i++)
		append(backups, backup_json(&cl->backups[i], false));
	for (i = 0; i < cl->n_dumps; i++)
		append(dumps, backup_json(&cl->dumps[i], true));
	set(j, "cluster", json_string(cl->inc.cluster));
	set(j, "major", json_integer(cl->inc.major));
	set(j, "system_id", json_string(id));
	set(j, "findings", findings);
	set(j, "backups", backups);
	set(j, "dumps", dumps);
	set(j, "windows", windows_json(cl, false));
	set(j, "lost", windows_json(cl, true));
	set(j, "unreferenced_objects", number(cl->unreferenced));
	set(j, "unreferenced_bytes", number(cl->unreferenced_bytes));
	return j;
}

int
verify_print_json(const struct verify_result *r, const struct config *cfg,
    FILE *out, struct err *err)
{
	json_t *j = json_object(), *list = json_array();
	size_t i;
	int ret = 0;

	for (i = 0; i < r->n; i++)
		append(list, cluster_json(&r->clusters[i]));
	set(j, "format", json_integer(1));
	set(j, "quick", json_boolean(cfg->verify_quick));
	set(j, "damaged", number(r->damaged));
	set(j, "repaired", number(r->repaired));
	set(j, "unread", number(r->unread));
	set(j, "objects", number(r->objects));
	set(j, "bytes", number(r->bytes));
	set(j, "proved_backups", number(r->backups));
	set(j, "proved_files", number(r->files));
	set(j, "proved_dumps", number(r->dumps));
	set(j, "proved_items", number(r->items));
	set(j, "seconds", json_real((double)r->took_us / 1e6));
	set(j, "incarnations", list);
	if (json_dumpf(j, out, JSON_INDENT(2)) != 0)
		ret = err_set(err, ERR_IO, "cannot write the JSON text");
	else
		(void)fputc('\n', out); /* cli_flush() tells an error */
	json_decref(j);
	return ret;
}
