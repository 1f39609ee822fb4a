/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/* The shape is a promise, dapk-backup-verify(1), "JSON". */
#include "cli/verify_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/jout.h"
#include "core/text.h"
#include "core/time.h"

static json_t *
finding_json(const struct verify_finding *f)
{
	json_t *j = json_object();

	jout_set(j, "kind", json_string(verify_kind_name(f->kind)));
	jout_set(j, "object", jout_escaped(f->object));
	jout_set(j, "reason", jout_text(f->reason));
	jout_set(j, "other_generation_holds", json_boolean(f->spare));
	jout_set(j, "marked", json_boolean(f->marked));
	jout_set(j, "repaired", json_boolean(f->repaired));
	jout_set(j, "from_time", jout_time(f->from));
	jout_set(j, "to_time", jout_time(f->to));
	return j;
}

static json_t *
file_json(const struct verify_file *f, bool chunks)
{
	json_t *j = json_object(), *blocks = json_array(), *range;
	size_t i;

	for (i = 0; i < f->n_ranges; i++) {
		range = json_array();
		jout_append(range, jout_number(f->ranges[i].first));
		jout_append(range, jout_number(f->ranges[i].n));
		jout_append(blocks, range);
	}
	jout_set(j, "path", jout_escaped(f->path));
	jout_set(j, "reason", jout_text(f->reason));
	jout_set(j, chunks ? "bad_chunks" : "bad_blocks",
	    jout_number(f->bad_blocks));
	jout_set(j, chunks ? "chunks" : "blocks", blocks);
	return j;
}

static json_t *
backup_json(const struct verify_backup *b, bool dump)
{
	json_t *j = json_object(), *files = json_array();
	size_t i;

	for (i = 0; i < b->n_list; i++)
		jout_append(files, file_json(&b->list[i], dump));
	jout_set(j, "label", json_string(b->label));
	if (dump)
		jout_set(j, "database", b->database == NULL ||
		    b->database[0] == '\0' ? json_null() :
		    jout_text(b->database));
	jout_set(j, "stop_time", jout_time(b->stop_time));
	jout_set(j, "damaged", json_boolean(!verify_backup_holds(b)));
	jout_set(j, "proved", json_boolean(b->proved));
	jout_set(j, "removed", json_boolean(b->removed));
	jout_set(j, "commit_damaged", json_boolean(b->commit_bad));
	jout_set(j, "manifest_damaged", json_boolean(b->manifest_bad));
	if (!dump)
		jout_set(j, "wal_damaged", json_boolean(b->wal_bad));
	jout_set(j, "damaged_packs", jout_number(b->bad_packs));
	jout_set(j, dump ? "items" : "files", jout_number(b->files));
	jout_set(j, dump ? "damaged_items" : "damaged_files",
	    jout_number(b->bad_files));
	jout_set(j, dump ? "damaged_chunks" : "damaged_blocks",
	    jout_number(b->bad_blocks));
	jout_set(j, "list", files);
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
		jout_set(j, "timeline", jout_number(cl->windows[i].timeline));
		jout_set(j, "from_time", jout_time(cl->windows[i].from));
		jout_set(j, "to_time", jout_time(cl->windows[i].to));
		jout_append(list, j);
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
		jout_append(findings, finding_json(&cl->findings[i]));
	for (i = 0; i < cl->n_backups; i++)
		jout_append(backups, backup_json(&cl->backups[i], false));
	for (i = 0; i < cl->n_dumps; i++)
		jout_append(dumps, backup_json(&cl->dumps[i], true));
	jout_set(j, "cluster", json_string(cl->inc.cluster));
	jout_set(j, "major", json_integer(cl->inc.major));
	jout_set(j, "system_id", json_string(id));
	jout_set(j, "findings", findings);
	jout_set(j, "backups", backups);
	jout_set(j, "dumps", dumps);
	jout_set(j, "windows", windows_json(cl, false));
	jout_set(j, "lost", windows_json(cl, true));
	jout_set(j, "unreferenced_objects", jout_number(cl->unreferenced));
	jout_set(j, "unreferenced_bytes", jout_number(cl->unreferenced_bytes));
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
		jout_append(list, cluster_json(&r->clusters[i]));
	jout_set(j, "format", json_integer(1));
	jout_set(j, "quick", json_boolean(cfg->verify_quick));
	jout_set(j, "damaged", jout_number(r->damaged));
	jout_set(j, "repaired", jout_number(r->repaired));
	jout_set(j, "unread", jout_number(r->unread));
	jout_set(j, "objects", jout_number(r->objects));
	jout_set(j, "bytes", jout_number(r->bytes));
	jout_set(j, "proved_backups", jout_number(r->backups));
	jout_set(j, "proved_files", jout_number(r->files));
	jout_set(j, "proved_dumps", jout_number(r->dumps));
	jout_set(j, "proved_items", jout_number(r->items));
	jout_set(j, "seconds", json_real((double)r->took_us / 1e6));
	jout_set(j, "incarnations", list);
	if (json_dumpf(j, out, JSON_INDENT(2)) != 0)
		ret = err_set(err, ERR_IO, "cannot write the JSON text");
	else
		(void)fputc('\n', out); /* cli_flush() tells an error */
	json_decref(j);
	return ret;
}
