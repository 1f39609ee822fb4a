/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/conffiles.h"
#include "backup/streamcopy.h"
#include "backup/streammanifest.h"
#include "backup/streamparent.h"
#include "backup/streamtar.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/datafile.h"
#include "repo/hash.h"

#define LABEL "dapk-backup"
#define SOURCE_TEXT_MAX ((size_t)64 << 10)
#define TEXT_FILE_MAX ((size_t)16 << 20) /* backup_label, tablespace_map */
#define SKIP_SIZE 65536

struct stream {
	struct server *server; /* not owned */
	struct stream_params p;
	struct replication *r;
	struct base_backup_begin told;
	struct parent *parent; /* not owned */
	struct linestore *parent_lines;
	bool changes; /* only those are sent */
	struct streamtar *tar;
	struct streamcopy *copy;
	struct streammanifest *manifest;
	struct linestore *lines; /* of the new manifest */
	struct linestore *sent;	 /* what is no line of ours */
	struct buf label, map, control;
	struct manifest_entry control_line;
	bool keep_config; /* CONFFILES_DIR is in use */
	uint32_t timeline; /* the server's */
	int64_t now;
};

int
stream_open(struct stream **out, struct server *server,
    const struct stream_params *p, struct err *err)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->server = server;
	s->p = *p;
	buf_init(&s->label, TEXT_FILE_MAX);
	buf_init(&s->map, TEXT_FILE_MAX);
	buf_init(&s->control, CONTROL_FILE_SIZE);
	s->lines = linestore_new();
	s->sent = linestore_new();
	*out = s;
	return streamparent_connect(&s->r, server, &s->timeline, err);
}

void
stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	streamcopy_free(s->copy);
	streamtar_free(s->tar);
	streammanifest_free(s->manifest);
	linestore_free(s->lines);
	linestore_free(s->sent);
	linestore_free(s->parent_lines);
	base_backup_begin_free(&s->told);
	replication_close(s->r);
	buf_free(&s->label);
	buf_free(&s->map);
	buf_free(&s->control);
	free(s);
}

int
stream_source(struct stream *s, char out[COMMIT_SOURCE_LEN + 1],
    struct err *err)
{
	uint8_t hash[HASH_128_SIZE];
	struct buf text;
	char *dir = NULL;
	int rc;

	if (pg_query_value(s->server->conn, "SELECT"
	    " pg_catalog.current_setting('data_directory')", &dir, err) != 0)
		return -1;
	buf_init(&text, SOURCE_TEXT_MAX);
	buf_printf(&text, "stream\n%s\n%s\n%llu\n", s->server->name,
	    dir == NULL ? "" : dir,
	    (unsigned long long)s->server->control.system_id);
	rc = buf_check(&text, "name of the server", err);
	if (rc == 0) {
		hash_128(text.data, text.len, hash);
		text_hex(hash, sizeof(hash), out);
	}
	buf_free(&text);
	free(dir);
	return rc;
}

int
stream_position(struct stream *s, struct backup_begin *out, struct err *err)
{
	struct pg_result *res = NULL;
	uint64_t tli = 0;
	int rc = 0;

	if (pg_query(s->server->conn, &res, err, 0, NULL,
	    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN c.redo_lsn"
	    " ELSE pg_catalog.pg_current_wal_insert_lsn() END, CASE WHEN"
	    " pg_catalog.pg_is_in_recovery() THEN c.timeline_id::text ELSE"
	    " '' END FROM pg_catalog.pg_control_checkpoint() AS c") != 0)
		return -1;
	out->timeline = s->timeline;
	if (text_u64(pg_value(res, 0, 1), UINT32_MAX, &tli) && tli != 0)
		out->timeline = (uint32_t)tli;
	if (!lsn_parse(pg_value(res, 0, 0), &out->start_lsn))
		rc = err_set(err, ERR_POSTGRES, "the server does not tell "
		    "where it is");
	pg_result_free(res);
	if (rc == 0)
		rc = backup_api_time(s->server->conn, &out->start_time, err);
	s->now = out->start_time;
	return rc;
}

int
stream_parent(struct stream *s, struct parent *parent, const char *source,
    uint64_t full_read_every_ms, struct err *err)
{
	struct err why = ERR_INIT;
	int64_t age;

	s->parent = parent;
	if (parent == NULL)
		return 0;
	if (streamparent_load(parent, &s->parent_lines, err) != 0)
		return -1;
	age = s->now - parent->commit.full_read;
	if (age < 0 || (uint64_t)age / 1000 >= full_read_every_ms) {
		if (s->server->major >= STREAMPARENT_MAJOR)
			log_info("everything is read: the last backup that "
			    "did is long enough ago (full-read-every)");
		return 0;
	}
	if (!streamparent_usable(parent, s->server, source))
		return 0;
	if (streamparent_upload(s->r, s->server, parent, s->parent_lines,
	    &why) == 0) {
		s->changes = true;
		return 0;
	}
	if (why.code == ERR_CANCELLED) {
		*err = why;
		return -1;
	}
	log_warning("everything is read: the server does not take the "
	    "parent's manifest: %s", why.msg);
	replication_close(s->r);
	s->r = NULL;
	return streamparent_connect(&s->r, s->server, &s->timeline, err);
}

static int
begin_once(struct stream *s, struct err *err)
{
	const struct base_backup_params bp = { LABEL, s->p.checkpoint_fast,
		s->p.max_rate, s->changes };

	return base_backup_begin(s->r, &bp, &s->told, err);
}

int
stream_begin(struct stream *s, struct backup_begin *out, struct err *err)
{
	int rc = begin_once(s, err);

	if (rc != 0 && s->changes && err->code != ERR_CANCELLED) {
		log_warning("everything is read: the server cannot tell what "
		    "changed since the parent: %s", err->msg);
		err_clear(err);
		s->changes = false;
		replication_close(s->r);
		s->r = NULL;
		rc = streamparent_connect(&s->r, s->server, &s->timeline,
			    err);
		if (rc == 0)
			rc = begin_once(s, err);
	}
	if (rc != 0)
		return -1;
	if (s->changes && s->parent->commit.stop_lsn > s->told.start_lsn)
		return err_set(err, ERR_POSTGRES, "the backup would begin "
		    "before its parent ended");
	out->start_lsn = s->told.start_lsn;
	out->timeline = s->told.timeline;
	return backup_api_time(s->server->conn, &out->start_time, err);
}

void
stream_fill_commit(const struct stream *s, const struct parent *parent,
    struct commit *c)
{
	const struct base_backup_tablespace *ts;
	size_t i;

	if (s->changes) {
		c->read_all = false;
		c->full_read = parent->commit.full_read;
	}
	c->tablespaces = xcalloc(s->told.n_tablespaces + 1,
	    sizeof(*c->tablespaces));
	for (i = 0; i < s->told.n_tablespaces; i++) {
		ts = &s->told.tablespaces[i];
		if (ts->path != NULL && ts->path[0] == '/')
			c->tablespaces[c->n_tablespaces++] =
			    (struct commit_tablespace){ ts->oid,
				xstrdup(ts->path) };
	}
}

uint64_t
stream_size(const struct stream *s)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < s->told.n_tablespaces; i++)
		bytes += s->told.tablespaces[i].size;
	return bytes;
}

/* ---------------------------------------------------------- receiving */

static void
note_sent(struct stream *s, const struct streamtar_member *m, uint32_t crc)
{
	struct manifest_entry e = { .type = MANIFEST_FILE };

	e.path = m->path;
	e.size = m->size;
	e.crc = crc;
	linestore_add(s->sent, &e);
}

/* A small file into memory. */
static int
take_text(struct stream *s, const struct streamtar_member *m, struct buf *out,
    struct err *err)
{
	uint8_t data[4096];
	size_t got;

	buf_clear(out);
	do {
		if (streamtar_read(s->tar, data, sizeof(data), &got,
		    err) != 0)
			return -1;
		buf_add(out, data, got);
	} while (got == sizeof(data));
	if (buf_check(out, m->path, err) != 0)
		return -1;
	if (out->len != m->size)
		return err_set(err, ERR_POSTGRES, "%s ends early in the "
		    "server's archive", m->path);
	note_sent(s, m, crc32c(out->data, out->len));
	return 0;
}

/* Left out; but it is compared with what the server says it sent. */
static int
skip_file(struct stream *s, const struct streamtar_member *m, struct err *err)
{
	uint8_t *data = xmalloc(SKIP_SIZE);
	uint32_t crc = 0;
	size_t got;
	int rc;

	do {
		rc = streamtar_read(s->tar, data, SKIP_SIZE, &got, err);
		if (rc == 0)
			crc = crc32c_more(crc, data, got);
	} while (rc == 0 && got == SKIP_SIZE);
	if (rc == 0)
		note_sent(s, m, crc);
	free(data);
	return rc;
}

static int
take_file(struct stream *s, const struct streamtar_member *m, struct err *err)
{
	if (strcmp(m->path, "backup_label") == 0)
		return take_text(s, m, &s->label, err);
	if (strcmp(m->path, "tablespace_map") == 0)
		return take_text(s, m, &s->map, err);
	if (strcmp(m->path, CONTROL_PATH) == 0) {
		s->control_line.mode = m->mode;
		s->control_line.mtime = m->mtime;
		return take_text(s, m, &s->control, err);
	}
	if (datafile_excluded(m->path) || (!s->keep_config &&
	    strncmp(m->path, CONFFILES_PREFIX, strlen(CONFFILES_PREFIX)) == 0))
		return skip_file(s, m, err);
	return streamcopy_file(s->copy, m, s->tar, err);
}

static int
take_member(struct stream *s, const struct streamtar_member *m,
    struct err *err)
{
	struct manifest_entry e;

	memset(&e, 0, sizeof(e));
	e.path = m->path;
	e.mode = m->mode;
	switch (m->type) {
	case STREAMTAR_FILE:
		return take_file(s, m, err);
	case STREAMTAR_DIR:
		if (!s->keep_config && strcmp(m->path, CONFFILES_DIR) == 0)
			return 0;
		e.type = MANIFEST_DIR;
		break;
	case STREAMTAR_LINK:
		e.type = MANIFEST_LINK;
		e.target = m->target;
		break;
	}
	linestore_add(s->lines, &e);
	return 0;
}

/* The archive has no links of tablespaces: tablespace_map has them. */
static void
add_links(struct stream *s)
{
	struct manifest_entry e;
	char path[64];
	size_t i;

	for (i = 0; i < s->told.n_tablespaces; i++) {
		if (s->told.tablespaces[i].path == NULL ||
		    s->told.tablespaces[i].path[0] != '/')
			continue;
		(void)snprintf(path, sizeof(path), "pg_tblspc/%u",
		    s->told.tablespaces[i].oid);
		memset(&e, 0, sizeof(e));
		e.type = MANIFEST_LINK;
		e.path = path;
		e.target = s->told.tablespaces[i].path;
		linestore_add(s->lines, &e);
	}
}

static int
write_lines(struct stream *s, struct manifest_writer *w, struct err *err)
{
	struct manifest_entry e;
	size_t i, n = linestore_count(s->lines);

	for (i = 0; i < n; i++) {
		linestore_get(s->lines, i, &e);
		if (manifest_writer_add(w, &e, err) != 0)
			return -1;
	}
	return 0;
}

/* Without these it would be no backup, whatever the server says. */
static int
check_whole(struct stream *s, struct err *err)
{
	struct manifest_entry e;

	if (s->label.len == 0 || s->control.len != CONTROL_FILE_SIZE)
		return err_set(err, ERR_POSTGRES, "the server's archive lacks "
		    "%s", s->label.len == 0 ? "backup_label" : CONTROL_PATH);
	if (!linestore_find(s->lines, "PG_VERSION", &e))
		return err_set(err, ERR_POSTGRES, "the server's archive lacks "
		    "PG_VERSION");
	return streammanifest_check(s->manifest, s->lines, s->sent, err);
}

static int
receive_all(struct stream *s, struct err *err)
{
	struct streamtar_member m;
	int rc;

	while ((rc = streamtar_next(s->tar, &m, err)) == 1)
		if (take_member(s, &m, err) != 0)
			return -1;
	return rc;
}

static int
ask_config_used(struct stream *s, struct err *err)
{
	char *used = NULL;

	if (pg_query_value(s->server->conn, "SELECT EXISTS (SELECT FROM ("
	    " SELECT setting FROM pg_catalog.pg_settings WHERE name IN"
	    " ('config_file', 'hba_file', 'ident_file') UNION ALL"
	    " SELECT sourcefile FROM pg_catalog.pg_settings) AS a(path)"
	    " WHERE pg_catalog.starts_with(path,"
	    " pg_catalog.current_setting('data_directory') || '/"
	    CONFFILES_PREFIX "'))", &used, err) != 0)
		return -1;
	s->keep_config = used != NULL && strcmp(used, "t") == 0;
	free(used);
	return 0;
}

int
stream_receive(struct stream *s, const struct stream_receive *p,
    struct err *err)
{
	const struct streamcopy_params cp = { p->entries, s->sent, p->pack,
		s->parent, s->parent_lines, p->commit, s->told.start_lsn,
		p->fingerprint_seed, p->compress_level, p->jobs,
		p->done_bytes, s->p.pulse, s->p.pulse_arg };

	s->manifest = streammanifest_new();
	if (ask_config_used(s, err) != 0 ||
	    streamtar_new(&s->tar, s->r, &s->told, err) != 0)
		return -1;
	streamtar_set_pulse(s->tar, s->p.pulse, s->p.pulse_arg);
	streamtar_set_manifest(s->tar, streammanifest_add, s->manifest);
	if (streamcopy_new(&s->copy, &cp, err) != 0)
		return -1;
	p->entries->keep = s->lines;
	if (receive_all(s, err) != 0 || streamcopy_finish(s->copy, err) != 0)
		return -1;
	p->entries->keep = NULL;
	add_links(s);
	linestore_sort(s->lines);
	linestore_sort(s->sent);
	if (check_whole(s, err) != 0)
		return -1;
	return write_lines(s, p->entries->manifest, err);
}

/* One file by SQL. 0: the role may not. */
static int
add_config_file(struct stream *s, struct entries *entries, const char *setting,
    const char *origin, struct err *err)
{
	const char *params[] = { origin };
	const char *name = strrchr(origin, '/');
	struct manifest_entry line;
	struct pg_result *res = NULL;
	char *path;
	int rc;

	if (pg_query(s->server->conn, &res, err, 1, params,
	    "SELECT pg_catalog.pg_read_file($1::text)") != 0) {
		if (err->code == ERR_CANCELLED)
			return -1;
		log_warning("%s is outside of the data directory and not in "
		    "this backup: %s", origin, err->msg);
		err_clear(err);
		return 0;
	}
	path = xasprintf(CONFFILES_PREFIX "%s", name == NULL ? origin :
	    name + 1);
	memset(&line, 0, sizeof(line));
	line.type = MANIFEST_CONFIG;
	line.path = path;
	line.target = origin;
	line.setting = setting;
	line.mode = 0600;
	line.mtime = s->now;
	rc = entries_add_memory(entries, &line,
	    (const uint8_t *)pg_value(res, 0, 0), strlen(pg_value(res, 0, 0)),
	    err);
	pg_result_free(res);
	free(path);
	return rc == 0 ? 1 : -1;
}

int
stream_add_config(struct stream *s, struct entries *entries, struct err *err)
{
	static const char *const settings[] = { "config_file", "hba_file",
		"ident_file" };
	struct pg_result *res = NULL;
	int i, rc, denied = 0;
	size_t k;

	if (pg_query(s->server->conn, &res, err, 0, NULL,
	    "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN"
	    " ('config_file', 'hba_file', 'ident_file') AND setting <> '' AND"
	    " NOT pg_catalog.starts_with(setting,"
	    " pg_catalog.current_setting('data_directory') || '/')"
	    " ORDER BY pg_catalog.regexp_replace(setting, '.*/', '')"
	    " COLLATE pg_catalog.\"C\"") != 0)
		return -1;
	for (i = 0; i < pg_rows(res); i++) {
		for (k = 0; k < sizeof(settings) / sizeof(settings[0]) &&
		    strcmp(settings[k], pg_value(res, i, 0)) != 0; k++)
			;
		if (k == sizeof(settings) / sizeof(settings[0]))
			continue; /* not asked for */
		rc = add_config_file(s, entries, settings[k],
		    pg_value(res, i, 1), err);
		if (rc < 0)
			break;
		denied += rc == 0;
	}
	rc = i < pg_rows(res) ? -1 : 0;
	pg_result_free(res);
	if (rc == 0 && denied > 0)
		log_warning("keep a copy of them yourself, or: GRANT "
		    "pg_read_server_files TO role; GRANT EXECUTE ON FUNCTION "
		    "pg_read_file(text) TO role");
	return rc;
}

int
stream_add_control(struct stream *s, struct entries *entries,
    struct err *err)
{
	struct manifest_entry line = s->control_line;
	struct control now;

	if (control_decode(s->control.data, s->control.len, &now, err) != 0)
		return err_wrap(err, "%s as it was sent", CONTROL_PATH);
	if (now.system_id != s->server->control.system_id)
		return err_set(err, ERR_REFUSED, "the server that sent the "
		    "files has another system identifier");
	if (s->server->standby &&
	    now.min_recovery_timeline != s->told.timeline) {
		err_set(err, ERR_POSTGRES, "the standby follows timeline %u, "
		    "and its last restartpoint, where the backup begins, is "
		    "on timeline %u", now.min_recovery_timeline,
		    s->told.timeline);
		return err_hint(err, "type CHECKPOINT on the primary, and "
		    "take the backup again");
	}
	line.type = MANIFEST_CONTROL;
	line.path = CONTROL_PATH;
	return entries_add_memory(entries, &line, s->control.data,
	    s->control.len, err);
}

/* The label is that of the backup that the server began for us. */
static int
check_label(struct stream *s, struct err *err)
{
	char want[64 + LSN_TEXT_MAX], lsn[LSN_TEXT_MAX];

	(void)snprintf(want, sizeof(want), "START WAL LOCATION: %s ",
	    lsn_format(s->told.start_lsn, lsn));
	if (strstr(buf_str(&s->label), want) == NULL)
		return err_set(err, ERR_POSTGRES, "the backup_label that the "
		    "server sent is of another backup");
	if (s->server->standby !=
	    (strstr(buf_str(&s->label), "BACKUP FROM: standby") != NULL))
		return err_set(err, ERR_POSTGRES, "the server changed its "
		    "role before the backup began: take it again");
	return 0;
}

/*
 * With our map the backup is no incremental one, and a server that found these
 * lines in its backup_label would not start.
 */
static void
drop_incremental(struct buf *label)
{
	static const char mark[] = "\nINCREMENTAL FROM ";
	char *text = xstrndup(buf_str(label), label->len), *p, *end;

	while ((p = strstr(text, mark)) != NULL) {
		end = strchr(p + 1, '\n');
		if (end == NULL)
			*p = '\0';
		else
			memmove(p, end, strlen(end) + 1);
	}
	buf_clear(label);
	buf_add_str(label, text);
	free(text);
}

int
stream_end(struct stream *s, struct backup_end *out, struct err *err)
{
	struct base_backup_end end;

	memset(out, 0, sizeof(*out));
	if (base_backup_finish(s->r, &end, err) != 0 ||
	    check_label(s, err) != 0)
		return -1;
	if (end.timeline != s->told.timeline)
		return err_set(err, ERR_POSTGRES, "the server moved from "
		    "timeline %u to %u during the backup", s->told.timeline,
		    end.timeline);
	if (end.stop_lsn < s->told.start_lsn)
		return err_set(err, ERR_POSTGRES, "the backup would end before "
		    "it begins");
	if (s->changes)
		drop_incremental(&s->label);
	streamcopy_damage(s->copy, end.stop_lsn);
	if (end.bad_checksums)
		log_warning("the server found damaged pages too");
	out->stop_lsn = end.stop_lsn;
	out->label_timeline = end.timeline;
	out->label = xstrndup(buf_str(&s->label), s->label.len);
	out->label_len = s->label.len;
	out->tablespace_map = xstrndup(buf_str(&s->map), s->map.len);
	out->tablespace_map_len = s->map.len;
	return backup_api_time(s->server->conn, &out->stop_time, err);
}
