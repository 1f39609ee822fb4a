/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/streamparent.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "repo/pgmanifest.h"

int
streamparent_connect(struct replication **out, const struct server *server,
    uint32_t *timeline, struct err *err)
{
	struct replication_system system;

	if (replication_open(out, server->conninfo, "backup", err) != 0)
		return -1;
	if (replication_identify(*out, &system, err) != 0)
		return -1;
	if (system.system_id != server->control.system_id)
		return err_set(err, ERR_REFUSED, "the replication connection "
		    "leads to another cluster: system identifier %llu, not "
		    "%llu", (unsigned long long)system.system_id,
		    (unsigned long long)server->control.system_id);
	*timeline = system.timeline;
	return 0;
}

int
streamparent_load(struct parent *parent, struct linestore **out,
    struct err *err)
{
	struct manifest_entry e;
	int rc;

	*out = linestore_new();
	while ((rc = manifest_reader_next(parent->reader, &e, err)) == 1)
		if (e.type == MANIFEST_FILE)
			linestore_add(*out, &e);
	if (rc < 0 && err->code != ERR_CANCELLED) {
		log_warning("parent %s: %s: the files from there on are "
		    "stored anew", parent->commit.label, err->msg);
		err_clear(err);
		parent->ended = true; /* it is no evidence then */
		rc = 0;
	}
	linestore_sort(*out);
	return rc;
}

static bool
summaries_on(struct server *server)
{
	struct err ignored = ERR_INIT;
	char *value = NULL;
	bool on;

	if (pg_query_value(server->conn, "SELECT"
	    " pg_catalog.current_setting('summarize_wal', true)", &value,
	    &ignored) != 0)
		return false; /* the next statement fails with a message */
	on = value != NULL && strcmp(value, "on") == 0;
	free(value);
	return on;
}

/* What is not sent cannot be stored anew. */
static bool
all_packs_there(struct parent *p)
{
	struct packset_info info;
	struct err err = ERR_INIT;
	uint32_t i;

	for (i = 0; i < p->packs.n; i++)
		if (packset_find(p->set, &p->packs.list[i].id, &info,
		    &err) != 0 ||
		    !packset_usable(p->set, &p->packs.list[i], &info))
			return false;
	return true;
}

bool
streamparent_usable(struct parent *p, struct server *server,
    const char *source)
{
	const char *why = NULL;

	if (server->major < STREAMPARENT_MAJOR)
		return false; /* such servers always send everything */
	if (!p->on_history)
		why = "the parent is of another history";
	else if (source[0] == '\0' || strcmp(p->commit.source, source) != 0)
		why = "the parent was not read from this server by this "
		      "method";
	else if (p->ended)
		why = "the parent's manifest cannot be read to its end";
	else if (p->commit.damaged_count > p->commit.n_damaged)
		why = "the parent has more damaged pages than its list holds";
	else if (!summaries_on(server))
		why = "summarize_wal is off on the server";
	else if (!all_packs_there(p))
		why = "packs of the parent are missing or damaged";
	if (why != NULL)
		log_info("everything is read: %s", why);
	return why == NULL;
}

static int
put(void *arg, const void *data, size_t len, struct err *err)
{
	return replication_upload_put(arg, data, len, err);
}

int
streamparent_upload(struct replication *r, const struct server *server,
    const struct parent *parent, struct linestore *lines, struct err *err)
{
	const struct commit *c = &parent->commit;
	struct pgmanifest *m = NULL;
	struct manifest_entry e;
	size_t i, n = linestore_count(lines);
	int rc = -1;

	if (replication_upload_begin(r, err) != 0 ||
	    pgmanifest_new(&m, server->major, server->control.system_id, put,
	    r, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		linestore_get(lines, i, &e);
		if (pgmanifest_file(m, e.path, e.size, e.mtime, e.crc,
		    err) != 0)
			goto out;
	}
	if (pgmanifest_finish(m, c->timeline, c->start_lsn, c->stop_lsn,
	    err) == 0)
		rc = replication_upload_end(r, err);
out:
	pgmanifest_free(m);
	return rc;
}
