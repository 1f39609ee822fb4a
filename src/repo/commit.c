/* SPDX-License-Identifier: PostgreSQL */
/*
 * The text is printed one member or list item a line, so that a person with
 * a pager can read it; jansson reads it back.
 */
#include "config.h"

#include "repo/commit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/json.h"
#include "repo/keyring.h"

#define KIND "commit"
#define TABLESPACES_MAX 100000
#define PACKS_MAX ((size_t)1 << 20)
#define COMMIT_BLOCK_MAX 1048576
#define OPTIONS_MAX 10000

static void
free_dump(struct commit_dump *d)
{
	size_t i;

	free(d->database);
	free(d->server_version);
	free(d->pg_dump_version);
	free(d->archive_version);
	free(d->encoding);
	for (i = 0; i < d->n_options; i++)
		free(d->options[i]);
	free(d->options);
}

void
commit_free(struct commit *c)
{
	size_t i;

	free_dump(&c->dump);

	free(c->method);
	free(c->program);
	free(c->host);
	for (i = 0; i < c->n_tablespaces; i++)
		free(c->tablespaces[i].path);
	free(c->tablespaces);
	for (i = 0; i < c->n_damaged; i++)
		free(c->damaged[i].path);
	free(c->damaged);
	free(c->parts);
	free(c->packs);
	memset(c, 0, sizeof(*c));
}

uint64_t
commit_pack_first_size(const struct commit_pack *p)
{
	return p->generation == 0 ? p->size : 0;
}

static void
add_text(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\": \"", name);
	if (value != NULL)
		text_escape(b, value, strlen(value));
	buf_add_str(b, "\"");
}

/* Text of our own, which people read: not escaped, so it must be ASCII. */
static void
add_plain(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "\"%s\": \"", name);
	for (; value != NULL && *value != '\0'; value++)
		buf_add_byte(b, *value < 0x20 || *value > 0x7e ||
		    *value == '"' || *value == '\\' ? '?' : (uint8_t)*value);
	buf_add_str(b, "\"");
}

static void
add_tablespaces(struct buf *b, const struct commit *c)
{
	size_t i;

	buf_add_str(b, "\"tablespaces\": [");
	for (i = 0; i < c->n_tablespaces; i++) {
		buf_printf(b, "%s\n  {\"oid\": %u, ", i == 0 ? "" : ",",
		    c->tablespaces[i].oid);
		add_text(b, "path", c->tablespaces[i].path);
		buf_add_str(b, "}");
	}
	buf_add_str(b, "],\n");
}

static void
add_damaged(struct buf *b, const struct commit *c)
{
	const struct damaged_page *d;
	size_t i;

	buf_add_str(b, "\"damaged\": [");
	for (i = 0; i < c->n_damaged && i < COMMIT_DAMAGED_MAX; i++) {
		d = &c->damaged[i];
		buf_add_str(b, i == 0 ? "\n  {" : ",\n  {");
		add_text(b, "path", d->path);
		buf_printf(b, ", \"block\": %" PRIu64 ", \"expected\": %u, "
		    "\"found\": %u, \"reason\": \"%s\"}", d->block,
		    d->expected, d->found, d->reason);
	}
	buf_printf(b, "],\n\"damaged_count\": %" PRIu64 ",\n",
	    c->damaged_count);
}

static void
add_objects(struct buf *b, const struct commit *c)
{
	const struct commit_pack *p;
	char hex[2 * sizeof(c->parts->sha256) + 1];
	size_t i;

	buf_add_str(b, "\"manifest\": [");
	for (i = 0; i < c->n_parts; i++) {
		text_hex(c->parts[i].sha256, sizeof(c->parts[i].sha256), hex);
		buf_printf(b, "%s\n  {\"part\": %zu, \"size\": %" PRIu64
		    ", \"sha256\": \"%s\"}", i == 0 ? "" : ",", i,
		    c->parts[i].size, hex);
	}
	buf_add_str(b, "],\n\"packs\": [");
	for (i = 0; i < c->n_packs; i++) {
		p = &c->packs[i];
		buf_printf(b, "%s\n  {\"label\": \"%s\", \"attempt\": %u, "
		    "\"number\": %u, \"size\": %" PRIu64, i == 0 ? "" : ",",
		    p->id.label, p->id.attempt, p->id.number, p->size);
		if (p->generation > 0)
			buf_printf(b, ", \"generation\": %u",
			    p->generation);
		buf_printf(b, ", \"plain\": %" PRIu64 ", \"live\": %" PRIu64
		    "}", p->plain, p->live);
	}
	buf_add_str(b, "],\n");
}

static void
add_where(struct buf *b, const struct commit *c)
{
	char start[LSN_TEXT_MAX], stop[LSN_TEXT_MAX];
	char began[TIME_TEXT_MAX], ended[TIME_TEXT_MAX];

	buf_printf(b, "\"start_lsn\": \"%s\",\n\"stop_lsn\": \"%s\",\n"
	    "\"timeline\": %u,\n\"start_time\": \"%s\",\n"
	    "\"stop_time\": \"%s\",\n", lsn_format(c->start_lsn, start),
	    lsn_format(c->stop_lsn, stop), c->timeline,
	    time_format(c->start_time, began),
	    time_format(c->stop_time, ended));
	buf_printf(b, "\"wal\": {\"timeline\": %u, \"first\": \"%s\", "
	    "\"last\": \"%s\"},\n", c->timeline, c->wal_first, c->wal_last);
}

static void
add_dump(struct buf *b, const struct commit *c)
{
	const struct commit_dump *d = &c->dump;
	char lsn[LSN_TEXT_MAX], when[TIME_TEXT_MAX];
	size_t i;

	buf_add_str(b, "\"dump\": {\n  ");
	add_text(b, "database", d->database);
	buf_printf(b, ", \"globals\": %s,\n  \"snapshot_lsn\": \"%s\", "
	    "\"snapshot_time\": \"%s\",\n  ",
	    d->globals ? "true" : "false", lsn_format(d->snapshot_lsn, lsn),
	    time_format(d->snapshot_time, when));
	add_plain(b, "server_version", d->server_version);
	buf_printf(b, ", \"server_version_num\": %u,\n  ",
	    d->server_version_num);
	add_plain(b, "pg_dump_version", d->pg_dump_version);
	buf_add_str(b, ", ");
	add_plain(b, "archive_version", d->archive_version);
	buf_add_str(b, ", ");
	add_plain(b, "encoding", d->encoding);
	buf_add_str(b, ",\n  \"options\": [");
	for (i = 0; i < d->n_options; i++) {
		buf_add_str(b, i == 0 ? "\"" : ", \"");
		text_escape(b, d->options[i], strlen(d->options[i]));
		buf_add_str(b, "\"");
	}
	buf_printf(b, "],\n  \"tables\": %" PRIu64 ", \"rows\": %" PRIu64
	    ", \"large_objects\": %" PRIu64 ", \"chunks\": %" PRIu64 "},\n",
	    d->tables, d->rows, d->large_objects, d->chunks);
}

/* Where it was read, and what makes it consistent. */
static void
add_physical(struct buf *out, const struct commit *c)
{
	char when[TIME_TEXT_MAX];

	buf_printf(out, "\"source\": \"%s\",\n\"read\": \"%s\",\n"
	    "\"full_read\": \"%s\",\n", c->source,
	    c->read_all ? "all" : "changes", time_format(c->full_read, when));
	add_where(out, c);
	buf_printf(out, "\"block_size\": %u,\n"
	    "\"relation_segment_blocks\": %u,\n\"wal_segment_size\": %u,\n"
	    "\"data_checksums\": %s,\n", c->block_size,
	    c->relation_segment_blocks, c->wal_segment_size,
	    c->data_checksums ? "true" : "false");
}

static void
add_times(struct buf *out, const struct commit *c)
{
	char began[TIME_TEXT_MAX], ended[TIME_TEXT_MAX];

	buf_printf(out, "\"start_time\": \"%s\",\n\"stop_time\": \"%s\",\n",
	    time_format(c->start_time, began),
	    time_format(c->stop_time, ended));
}

void
commit_encode(const struct commit *c, const struct repo *repo,
    struct buf *out)
{
	char when[TIME_TEXT_MAX];

	buf_printf(out, "{\n\"kind\": \"%s\",\n\"label\": \"%s\",\n"
	    "\"cluster\": \"%s\",\n\"must_know\": [],\n"
	    "\"repository_id\": \"%s\",\n\"system_id\": \"%" PRIu64 "\",\n"
	    "\"major\": %d,\n\"catalog_version\": %u,\n",
	    repo_kind_name(c->kind), c->label,
	    c->inc.cluster, repo->id_text, c->inc.system_id, c->inc.major,
	    c->catalog_version);
	add_plain(out, "method", c->method);
	buf_printf(out, ",\n\"from_standby\": %s,\n",
	    c->from_standby ? "true" : "false");
	add_plain(out, "program", c->program);
	buf_add_str(out, ",\n");
	add_text(out, "host", c->host);
	if (c->parent[0] == '\0')
		buf_add_str(out, ",\n\"parent\": null,\n");
	else
		buf_printf(out, ",\n\"parent\": \"%s\",\n", c->parent);
	buf_printf(out, "\"attempt\": %u,\n", c->attempt);
	if (c->kind == REPO_DUMP)
		add_times(out, c);
	else
		add_physical(out, c);
	buf_printf(out, "\"files\": %" PRIu64 ",\n\"original_bytes\": %" PRIu64
	    ",\n\"stored_bytes\": %" PRIu64 ",\n", c->files,
	    c->original_bytes, c->stored_bytes);
	if (c->kind == REPO_DUMP) {
		add_dump(out, c);
	} else {
		add_tablespaces(out, c);
		add_damaged(out, c);
	}
	add_objects(out, c);
	buf_add_str(out, "\"key_ids\": [],\n\"lock_until\": ");
	if (c->lock_until == 0)
		buf_add_str(out, "null\n}");
	else
		buf_printf(out, "\"%s\"\n}", time_format(c->lock_until,
		    when));
}

static void
get_tablespaces(struct json_reader *j, struct commit *c)
{
	const json_t *list = json_get_list(j, j->root, "tablespaces",
	    TABLESPACES_MAX);
	const json_t *item;
	size_t i;

	c->tablespaces = xcalloc(json_array_size(list),
	    sizeof(*c->tablespaces));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		c->tablespaces[i].oid = (uint32_t)json_get_u64(j, item, "oid",
		    UINT32_MAX);
		c->tablespaces[i].path = json_get_escaped(j, item, "path");
		c->n_tablespaces++;
	}
}

/* The static text that stands for a reason. */
static const char *
reason_of(const char *text)
{
	static const char *const known[] = { "checksum", "header" };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i]) == 0)
			return known[i];
	return "other";
}

static void
get_damaged(struct json_reader *j, struct commit *c)
{
	const json_t *list = json_get_list(j, j->root, "damaged",
	    COMMIT_DAMAGED_MAX);
	const json_t *item;
	struct damaged_page *d;
	size_t i;

	c->damaged = xcalloc(json_array_size(list), sizeof(*c->damaged));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		d = &c->damaged[c->n_damaged++];
		d->path = json_get_escaped(j, item, "path");
		d->block = json_get_u64(j, item, "block", INT64_MAX);
		d->expected = (uint16_t)json_get_u64(j, item, "expected",
		    UINT16_MAX);
		d->found = (uint16_t)json_get_u64(j, item, "found",
		    UINT16_MAX);
		d->reason = reason_of(json_get_text(j, item, "reason"));
	}
	c->damaged_count = json_get_u64(j, j->root, "damaged_count",
	    INT64_MAX);
	if (c->damaged_count < c->n_damaged)
		json_note(j, "damaged_count");
}

static void
get_parts(struct json_reader *j, struct commit *c)
{
	const json_t *list = json_get_list(j, j->root, "manifest",
	    MANIFEST_PARTS_MAX);
	const json_t *item;
	struct manifest_part *p;
	size_t i;

	if (json_array_size(list) == 0)
		json_note(j, "manifest");
	c->parts = xcalloc(json_array_size(list), sizeof(*c->parts));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		p = &c->parts[c->n_parts++];
		if (json_get_u64(j, item, "part", MANIFEST_PARTS_MAX) != i)
			json_note(j, "part");
		p->size = json_get_u64(j, item, "size", STORAGE_OBJECT_MAX);
		json_get_hex(j, item, "sha256", p->sha256, sizeof(p->sha256));
	}
}

static void
get_packs(struct json_reader *j, struct commit *c)
{
	const json_t *list = json_get_list(j, j->root, "packs", PACKS_MAX);
	const json_t *item;
	struct commit_pack *p;
	size_t i;

	c->packs = xcalloc(json_array_size(list), sizeof(*c->packs));
	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		p = &c->packs[c->n_packs++];
		p->id.kind = c->kind;
		json_copy_text(j, item, "label", p->id.label,
		    sizeof(p->id.label));
		if (!label_valid(p->id.label))
			json_note(j, "label");
		p->id.attempt = (uint32_t)json_get_u64(j, item, "attempt",
		    UINT32_MAX);
		p->id.number = (uint32_t)json_get_u64(j, item, "number",
		    UINT32_MAX);
		p->size = json_get_u64(j, item, "size", STORAGE_OBJECT_MAX);
		if (json_object_get(item, "generation") != NULL)
			p->generation = (uint32_t)json_get_u64(j, item,
			    "generation", UINT32_MAX);
		if (json_object_get(item, "plain") != NULL)
			p->plain = json_get_u64(j, item, "plain", INT64_MAX);
		p->live = json_get_u64(j, item, "live", INT64_MAX);
	}
}

static void
get_segment(struct json_reader *j, const json_t *wal, const char *member,
    char out[WAL_SEGMENT_NAME_LEN + 1])
{
	struct err ignored = ERR_INIT;
	struct wal_file f;

	json_copy_text(j, wal, member, out, WAL_SEGMENT_NAME_LEN + 1);
	/* Only that it is wrong counts here. */
	if (wal_file_parse(out, &f, &ignored) != 0 ||
	    f.type != WAL_FILE_SEGMENT)
		json_note(j, member);
}

static void
get_identity(struct json_reader *j, struct commit *c)
{
	const json_t *root = j->root;

	json_copy_text(j, root, "label", c->label, sizeof(c->label));
	if (!label_valid(c->label))
		json_note(j, "label");
	json_copy_text(j, root, "cluster", c->inc.cluster,
	    sizeof(c->inc.cluster));
	if (!cluster_name_valid(c->inc.cluster))
		json_note(j, "cluster");
	if (!text_u64(json_get_text(j, root, "system_id"), UINT64_MAX,
		&c->inc.system_id))
		json_note(j, "system_id");
	c->inc.major = (int)json_get_u64(j, root, "major", 1000);
	c->catalog_version = (uint32_t)json_get_u64(j, root,
	    "catalog_version", UINT32_MAX);
	c->method = xstrdup(json_get_text(j, root, "method"));
	c->from_standby = json_get_bool(j, root, "from_standby");
	c->program = xstrdup(json_get_text(j, root, "program"));
	c->host = json_get_escaped(j, root, "host");
	(void)snprintf(c->parent, sizeof(c->parent), "%s",
	    json_get_text_or_null(j, root, "parent"));
	if (c->parent[0] != '\0' && !label_valid(c->parent))
		json_note(j, "parent");
	c->attempt = (uint32_t)json_get_u64(j, root, "attempt", UINT32_MAX);
}

/* Commits of version 0.1 do not have these: they read all. */
static void
get_reading(struct json_reader *j, struct commit *c)
{
	const json_t *root = j->root;
	uint8_t source[COMMIT_SOURCE_LEN / 2];
	const char *read;

	c->read_all = true;
	c->full_read = c->start_time;
	if (json_object_get(root, "read") == NULL)
		return;
	read = json_get_text(j, root, "read");
	c->read_all = strcmp(read, "all") == 0;
	if (!c->read_all && strcmp(read, "changes") != 0)
		json_note(j, "read");
	c->full_read = json_get_time(j, root, "full_read");
	if (json_get_text(j, root, "source")[0] == '\0')
		return;
	json_copy_text(j, root, "source", c->source, sizeof(c->source));
	if (!text_unhex(c->source, source, sizeof(source)))
		json_note(j, "source");
}

static void
get_where(struct json_reader *j, struct commit *c)
{
	const json_t *root = j->root, *wal = json_object_get(root, "wal");

	c->start_lsn = json_get_lsn(j, root, "start_lsn");
	c->stop_lsn = json_get_lsn(j, root, "stop_lsn");
	c->timeline = (uint32_t)json_get_u64(j, root, "timeline", UINT32_MAX);
	c->start_time = json_get_time(j, root, "start_time");
	c->stop_time = json_get_time(j, root, "stop_time");
	get_segment(j, wal, "first", c->wal_first);
	get_segment(j, wal, "last", c->wal_last);
	if (json_get_u64(j, wal, "timeline", UINT32_MAX) != c->timeline)
		json_note(j, "wal");
	if (c->stop_lsn < c->start_lsn)
		json_note(j, "stop_lsn");
}

static void
get_sizes(struct json_reader *j, struct commit *c)
{
	const json_t *root = j->root;

	c->block_size = (uint32_t)json_get_u64(j, root, "block_size",
	    COMMIT_BLOCK_MAX);
	if (c->block_size == 0)
		json_note(j, "block_size");
	c->relation_segment_blocks = (uint32_t)json_get_u64(j, root,
	    "relation_segment_blocks", UINT32_MAX);
	c->wal_segment_size = (uint32_t)json_get_u64(j, root,
	    "wal_segment_size", UINT32_MAX);
	if (!wal_segment_size_valid(c->wal_segment_size))
		json_note(j, "wal_segment_size");
	c->data_checksums = json_get_bool(j, root, "data_checksums");
}

static void
get_totals(struct json_reader *j, struct commit *c)
{
	const json_t *root = j->root;

	c->files = json_get_u64(j, root, "files", INT64_MAX);
	c->original_bytes = json_get_u64(j, root, "original_bytes", INT64_MAX);
	c->stored_bytes = json_get_u64(j, root, "stored_bytes", INT64_MAX);
}

static void
get_options(struct json_reader *j, const json_t *dump, struct commit_dump *d)
{
	const json_t *list = json_get_list(j, dump, "options", OPTIONS_MAX);
	const char *text;
	struct buf b;
	size_t i;

	d->options = xcalloc(json_array_size(list) + 1, sizeof(*d->options));
	buf_init(&b, FORMAT_TEXT_MAX);
	for (i = 0; i < json_array_size(list); i++) {
		text = json_string_value(json_array_get(list, i));
		buf_clear(&b);
		if (text == NULL || !text_unescape(&b, text) ||
		    strlen(buf_str(&b)) != b.len)
			json_note(j, "options");
		d->options[d->n_options++] = xstrdup(buf_str(&b));
	}
	buf_free(&b);
}

static void
get_dump(struct json_reader *j, struct commit *c)
{
	const json_t *dump = json_object_get(j->root, "dump");
	struct commit_dump *d = &c->dump;

	c->start_time = json_get_time(j, j->root, "start_time");
	c->stop_time = json_get_time(j, j->root, "stop_time");
	d->database = json_get_escaped(j, dump, "database");
	d->globals = json_get_bool(j, dump, "globals");
	d->snapshot_lsn = json_get_lsn(j, dump, "snapshot_lsn");
	d->snapshot_time = json_get_time(j, dump, "snapshot_time");
	d->server_version = xstrdup(json_get_text(j, dump, "server_version"));
	d->server_version_num = (uint32_t)json_get_u64(j, dump,
	    "server_version_num", INT32_MAX);
	d->pg_dump_version = xstrdup(json_get_text(j, dump,
	    "pg_dump_version"));
	d->archive_version = xstrdup(json_get_text(j, dump,
	    "archive_version"));
	d->encoding = xstrdup(json_get_text(j, dump, "encoding"));
	get_options(j, dump, d);
	d->tables = json_get_u64(j, dump, "tables", INT64_MAX);
	d->rows = json_get_u64(j, dump, "rows", INT64_MAX);
	d->large_objects = json_get_u64(j, dump, "large_objects", INT64_MAX);
	d->chunks = json_get_u64(j, dump, "chunks", INT64_MAX);
}

static void
get_physical(struct json_reader *j, struct commit *c)
{
	get_where(j, c);
	get_reading(j, c);
	get_sizes(j, c);
	get_tablespaces(j, c);
	get_damaged(j, c);
}

static int
decode(struct json_reader *j, struct commit *out, struct err *err)
{
	const char *kind = json_get_text(j, j->root, "kind");

	if (strcmp(kind, repo_kind_name(REPO_DUMP)) == 0)
		out->kind = REPO_DUMP;
	else if (strcmp(kind, repo_kind_name(REPO_BACKUP)) != 0)
		return err_set(err, ERR_UNSUPPORTED,
		    "is neither a backup nor a dump but a '%.40s'", kind);
	get_identity(j, out);
	if (out->kind == REPO_DUMP)
		get_dump(j, out);
	else
		get_physical(j, out);
	get_totals(j, out);
	get_parts(j, out);
	get_packs(j, out);
	if (json_is_string(json_object_get(j->root, "lock_until")))
		out->lock_until = json_get_time(j, j->root, "lock_until");
	return json_check(j, err);
}

int
commit_decode(const char *json, size_t len, struct commit *out,
    struct err *err)
{
	struct json_reader j;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (json_open(&j, json, len, err) != 0)
		return -1;
	if (json_check_must_know(&j, err) == 0)
		ret = decode(&j, out, err);
	json_close(&j);
	if (ret != 0)
		commit_free(out);
	return ret;
}

const char *
repo_kind_name(enum repo_kind kind)
{
	return kind == REPO_DUMP ? "dump" : "backup";
}

void
commit_key(const struct incarnation *inc, enum repo_kind kind,
    const char *label, char out[STORAGE_KEY_MAX])
{
	char tail[128];

	(void)snprintf(tail, sizeof(tail), "%s%s/commit", repo_folder(kind),
	    label);
	repo_key(inc, tail, out);
}

/*
 * Until when everything is locked that this backup stored itself: its first
 * object may have been put when it began.
 */
static int64_t
lock_of(const struct repo *repo, const struct commit *c)
{
	const int64_t until = storage_lock_until(repo->st);
	const int64_t took = time_now() - c->start_time;

	return until == 0 || took < 0 ? until : until - took;
}

/* In an encrypted repository: whose it is, so that nobody else makes one. */
static int
authenticate(struct repo *repo, const struct commit *c, struct buf *json,
    struct err *err)
{
	char key[STORAGE_KEY_MAX], hex[KEYRING_ID_TEXT];
	uint8_t set[KEYRING_ID];

	if (repo->ring == NULL)
		return 0;
	if (keyring_writing_set(repo, set, err) != 0)
		return -1;
	text_hex(set, sizeof(set), hex);
	json->len -= 2; /* line feed and brace */
	buf_printf(json, ",\n\"set\": \"%s\"\n}", hex);
	commit_key(&c->inc, c->kind, c->label, key);
	return keyring_mac_add(repo, KIND, key, json, err);
}

/*
 * Was it made by who knows the repository's secrets? Without a key a host can
 * tell of its own set only, and list or remove, and read nothing.
 */
static int
check_mac(struct repo *repo, const char *key, const struct buf *bytes,
    struct json_reader *j, struct err *err)
{
	uint8_t set[KEYRING_ID];
	const char *json;
	size_t len;

	if (repo->ring == NULL)
		return 0;
	json_get_hex(j, j->root, "set", set, sizeof(set));
	if (json_check(j, err) != 0 ||
	    text_object_decode(bytes->data, bytes->len, KIND, &json, &len,
		err) != 0)
		return -1;
	if (keyring_mac_check(repo, set, KIND, key, json, len, err) == 0)
		return 0;
	if (err->code != ERR_CONFIG)
		return -1;
	log_debug("%s is not authenticated: %s", key, err->msg);
	err_clear(err);
	return 0;
}

int
commit_object(struct repo *repo, const struct commit *c, struct buf *out,
    struct err *err)
{
	struct commit locked = *c, again;
	struct buf b;
	int ret = -1;

	buf_init(&b, FORMAT_TEXT_MAX);
	locked.lock_until = lock_of(repo, c);
	commit_encode(&locked, repo, &b);
	if (buf_check(&b, "the commit", err) != 0 ||
	    authenticate(repo, c, &b, err) != 0)
		goto out;
	/*
	 * What could not be read back must not become a backup: this is the
	 * last moment at which it only costs the attempt.
	 */
	if (buf_check(&b, "the commit", err) != 0)
		goto out;
	if (commit_decode(buf_str(&b), b.len, &again, err) != 0) {
		err->code = ERR_BUG;
		err_wrap(err, "commit of %s %s", repo_kind_name(c->kind),
		    c->label);
		goto out;
	}
	commit_free(&again);
	text_object_encode(KIND, buf_str(&b), b.len, out);
	ret = buf_check(out, "the commit", err);
out:
	buf_free(&b);
	return ret;
}

int
commit_put(struct repo *repo, const struct commit *c, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct buf b;
	int ret = -1;

	buf_init(&b, FORMAT_TEXT_MAX + 256);
	commit_key(&c->inc, c->kind, c->label, key);
	if (commit_object(repo, c, &b, err) == 0)
		ret = storage_put(repo->st, key, b.data, b.len, err);
	buf_free(&b);
	return ret;
}

static int
check_identity(const struct repo *repo, const struct incarnation *inc,
    const char *label, enum repo_kind kind, struct json_reader *j,
    const struct commit *c, struct err *err)
{
	uint8_t id[sizeof(repo->id)];

	json_get_hex(j, j->root, "repository_id", id, sizeof(id));
	if (memcmp(id, repo->id, sizeof(id)) != 0)
		return err_set(err, ERR_DAMAGED,
		    "it belongs to another repository");
	if (strcmp(c->label, label) != 0 ||
	    c->inc.system_id != inc->system_id ||
	    c->inc.major != inc->major ||
	    strcmp(c->inc.cluster, inc->cluster) != 0)
		return err_set(err, ERR_DAMAGED,
		    "it belongs to %s of cluster %s", c->label,
		    c->inc.cluster);
	if (c->kind != kind)
		return err_set(err, ERR_DAMAGED, "it is of a %s",
		    repo_kind_name(c->kind));
	return 0;
}

int
commit_get(struct repo *repo, const struct incarnation *inc,
    const char *label, struct commit *out, struct err *err)
{
	return commit_get_kind(repo, inc, REPO_BACKUP, label, out, err);
}

int
commit_get_dump(struct repo *repo, const struct incarnation *inc,
    const char *label, struct commit *out, struct err *err)
{
	return commit_get_kind(repo, inc, REPO_DUMP, label, out, err);
}

int
commit_get_bytes(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct commit *out,
    struct buf *bytes, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct json_reader j;
	int ret;

	memset(out, 0, sizeof(*out));
	commit_key(inc, kind, label, key);
	if (repo_get_json(repo, key, KIND, bytes, &j, err) != 0)
		return -1;
	ret = decode(&j, out, err);
	if (ret == 0)
		ret = check_identity(repo, inc, label, kind, &j, out, err);
	if (ret == 0)
		ret = check_mac(repo, key, bytes, &j, err);
	json_close(&j);
	if (ret != 0) {
		commit_free(out);
		err_wrap(err, "%s/%s", storage_url(repo->st), key);
	}
	return ret;
}

int
commit_get_kind(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct commit *out,
    struct err *err)
{
	struct buf b;
	int ret;

	buf_init(&b, STORAGE_OBJECT_MAX);
	ret = commit_get_bytes(repo, inc, kind, label, out, &b, err);
	buf_free(&b);
	return ret;
}
