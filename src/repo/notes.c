/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/notes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/hash.h"
#include "repo/queue.h"
#include "repo/state.h"

#define NOTE_MAX ((size_t)64 << 10)
#define WAL_NOTE_SIZE 160

static const char *
or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

char *
notes_folder(const char *state_directory,
    const struct config_repository *address)
{
	char hex[2 * HASH_128_SIZE + 1];
	uint8_t hash[HASH_128_SIZE];
	char *all;

	all = xasprintf("%s\n%s", address->url, or_empty(address->endpoint));
	hash_128(all, strlen(all), hash);
	free(all);
	text_hex(hash, sizeof(hash), hex);
	return xasprintf("%s/notes/%s", state_directory, hex);
}

static char *
path_of(const struct notes_of *of, const char *name)
{
	char *folder = notes_folder(of->state_directory, of->address);
	char *path = xasprintf("%s/%s%s%s", folder, of->cluster,
	    name[0] == '\0' ? "" : "/", name);

	free(folder);
	return path;
}

static bool
make_folder(const struct notes_of *of)
{
	struct err ignored = ERR_INIT;
	char *folder;
	bool ok;

	if (!state_may_keep(of->state_directory))
		return false;
	folder = path_of(of, "");
	ok = state_make(folder, &ignored) == 0;
	free(folder);
	return ok;
}

/*
 * One line of fixed length, written by one call: PostgreSQL's archiver waits
 * for this, and a reader that sees half of it sees a wrong hash.
 *
 *	HASH REPOSITORY SYSTEM TIME NAME, and blanks up to the line feed
 */
void
notes_put_wal(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	char line[WAL_NOTE_SIZE + 1], *path;
	int fd, n;

	if (strlen(name) != WAL_SEGMENT_NAME_LEN)
		return; /* a history, say */
	path = path_of(of, "wal");
	fd = open(path, flags, 0600);
	if (fd < 0 && errno == ENOENT && make_folder(of))
		fd = open(path, flags, 0600);
	free(path);
	if (fd < 0)
		return;
	n = snprintf(line + 17, sizeof(line) - 17, "%s %" PRIu64 " %" PRId64
	    " %s", repo->id_text, inc == NULL ? 0 : inc->system_id,
	    time_now(), name);
	if (n > 0 && (size_t)n < sizeof(line) - 18) {
		memset(line + 17 + n, ' ', sizeof(line) - 18 - (size_t)n);
		line[WAL_NOTE_SIZE - 1] = '\n';
		(void)snprintf(line, 17, "%016" PRIx64,
		    hash_64(line + 17, WAL_NOTE_SIZE - 17, 0));
		line[16] = ' ';
		if (pwrite(fd, line, WAL_NOTE_SIZE, 0) != WAL_NOTE_SIZE)
			n = -1; /* then the hash is wrong: no note */
	}
	(void)close(fd); /* what is lost is not known, no more */
}

static void
read_wal(const struct notes_of *of, struct notes *out)
{
	char line[WAL_NOTE_SIZE + 1] = "", *path = path_of(of, "wal");
	struct err ignored = ERR_INIT;
	uint64_t hash, system;
	char id[REPO_ID_TEXT], name[WAL_FILE_NAME_MAX];
	int64_t time;
	size_t got = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	if (fd < 0)
		return;
	if (io_pread_upto(fd, line, WAL_NOTE_SIZE, 0, &got, "note",
		&ignored) != 0)
		got = 0;
	(void)close(fd); /* only read from */
	if (got != WAL_NOTE_SIZE || !text_hex_u64(line, 16, &hash) ||
	    hash != hash_64(line + 17, WAL_NOTE_SIZE - 17, 0) ||
	    sscanf(line + 17, "%32s %" SCNu64 " %" SCNd64 " %63s", id,
		&system, &time, name) != 4)
		return;
	(void)snprintf(out->repository_id, sizeof(out->repository_id), "%s",
	    id);
	out->system_id = system;
	(void)snprintf(out->wal_file, sizeof(out->wal_file), "%s", name);
	out->wal_time = time;
}

void
notes_write(const struct notes_of *of, const char *name, json_t *j)
{
	struct err ignored = ERR_INIT;
	char *path, *text;

	text = j == NULL ? NULL : json_dumps(j, 0);
	json_decref(j);
	if (text == NULL || !make_folder(of)) {
		free(text);
		return;
	}
	path = path_of(of, name);
	if (state_replace(path, text, strlen(text), &ignored) != 0)
		(void)unlink(path); /* what was there is not so any more */
	free(path);
	free(text);
}

json_t *
notes_ids(json_t *j, const struct repo *repo, const struct incarnation *inc)
{
	char system[24];

	(void)snprintf(system, sizeof(system), "%" PRIu64, inc->system_id);
	if (j == NULL || json_object_set_new(j, "repository",
	    json_string(repo->id_text)) != 0 ||
	    json_object_set_new(j, "system_id", json_string(system)) != 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

bool
notes_open(const struct notes_of *of, const char *name, struct json_reader *r)
{
	char *path = path_of(of, name);
	struct err ignored = ERR_INIT;
	struct buf b;
	bool ok;

	buf_init(&b, NOTE_MAX);
	ok = io_read_file(path, &b, &ignored) == 0 &&
	    json_open(r, buf_str(&b), b.len, &ignored) == 0;
	buf_free(&b);
	free(path);
	return ok;
}

const char *
notes_message(const struct err *err, char out[NOTES_TEXT_MAX])
{
	size_t i;

	for (i = 0; i < NOTES_TEXT_MAX - 1 && err->msg[i] != '\0'; i++)
		out[i] = (uint8_t)err->msg[i] >= 0x80 ||
		    (uint8_t)err->msg[i] < 0x20 ? '?' : err->msg[i];
	out[i] = '\0';
	return out;
}

json_t *
notes_error(const struct err *err)
{
	char text[NOTES_TEXT_MAX];

	return json_string(notes_message(err, text));
}

void
notes_put_push_failure(const struct notes_of *of, const struct err *err)
{
	int64_t now = time_now(), since = now;
	struct notes f;

	notes_read(of, &f);
	if (f.push_failing_since != 0)
		since = f.push_failing_since;
	notes_write(of, "push-failed", json_pack("{s:I,s:I,s:o}", "since",
	    (json_int_t)since, "last", (json_int_t)now, "error",
	    notes_error(err)));
}

static void
read_push_failure(const struct notes_of *of, struct notes *out)
{
	struct json_reader r;
	struct err ignored = ERR_INIT;

	if (!notes_open(of, "push-failed", &r))
		return;
	out->push_failing_since = json_get_i64(&r, r.root, "since");
	out->push_failed = json_get_i64(&r, r.root, "last");
	json_copy_text(&r, r.root, "error", out->push_error,
	    sizeof(out->push_error));
	if (json_check(&r, &ignored) != 0 ||
	    out->push_failed <= out->wal_time) {
		out->push_failing_since = out->push_failed = 0;
		out->push_error[0] = '\0';
	}
	json_close(&r);
}

/* What no backup has followed yet is one. */
void
notes_put_gap(const struct notes_of *of, const char *name)
{
	int64_t now = time_now();
	struct notes f;

	notes_read(of, &f);
	if (f.gap_time <= f.backup.time) {
		(void)snprintf(f.gap_first, sizeof(f.gap_first), "%s", name);
		f.gap_since = now;
		f.gap_segments = 0;
	}
	notes_write(of, "gap", json_pack("{s:s,s:s,s:I,s:I,s:I}", "first",
	    f.gap_first, "last", name, "segments",
	    (json_int_t)f.gap_segments + 1, "since", (json_int_t)f.gap_since,
	    "time", (json_int_t)now));
}

static void
read_gap(const struct notes_of *of, struct notes *out)
{
	struct json_reader r;
	struct err ignored = ERR_INIT;

	if (!notes_open(of, "gap", &r))
		return;
	json_copy_text(&r, r.root, "first", out->gap_first,
	    sizeof(out->gap_first));
	json_copy_text(&r, r.root, "last", out->gap_last,
	    sizeof(out->gap_last));
	out->gap_segments = json_get_u64(&r, r.root, "segments", INT64_MAX);
	out->gap_since = json_get_i64(&r, r.root, "since");
	out->gap_time = json_get_i64(&r, r.root, "time");
	if (json_check(&r, &ignored) != 0)
		out->gap_time = 0;
	json_close(&r);
}

json_t *
notes_set_json(const struct commit *c)
{
	if (c == NULL)
		return json_null();
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "label", c->label,
	    "time", (json_int_t)c->stop_time, "took",
	    (json_int_t)(c->stop_time - c->start_time), "damaged",
	    (json_int_t)c->damaged_count, "original_bytes",
	    (json_int_t)c->original_bytes, "stored_bytes",
	    (json_int_t)c->stored_bytes);
}

void
notes_put_set(const struct notes_of *of, enum repo_kind kind,
    const struct repo *repo, const struct commit *c, const struct err *err)
{
	const char *name = kind == REPO_DUMP ? "dump" : "backup";

	if (err != NULL)
		notes_write(of, kind == REPO_DUMP ? "dump-failed" :
						    "backup-failed",
		    json_pack("{s:I,s:o}", "time", (json_int_t)time_now(),
			"error", notes_error(err)));
	else
		notes_write(of, name, notes_ids(json_pack("{s:I,s:o}",
		    "noted", (json_int_t)time_now(), "set",
		    notes_set_json(c)), repo, &c->inc));
}

void
notes_take_ids(struct json_reader *r, struct notes *out)
{
	char system[24];

	if (out->system_id != 0)
		return;
	json_copy_text(r, r->root, "repository", out->repository_id,
	    sizeof(out->repository_id));
	json_copy_text(r, r->root, "system_id", system, sizeof(system));
	if (!text_u64(system, UINT64_MAX, &out->system_id))
		json_note(r, "system_id");
}

/* The later of what is known and what the object says. */
void
notes_take_set(struct json_reader *r, const char *member,
    struct notes_set *set)
{
	const json_t *o = json_object_get(r->root, member);
	struct notes_set s = { .time = 0 };

	if (!json_is_object(o))
		return;
	json_copy_text(r, o, "label", s.label, sizeof(s.label));
	s.time = json_get_i64(r, o, "time");
	s.took = json_get_i64(r, o, "took");
	s.damaged = json_get_u64(r, o, "damaged", UINT32_MAX);
	s.original_bytes = json_get_u64(r, o, "original_bytes", INT64_MAX);
	s.stored_bytes = json_get_u64(r, o, "stored_bytes", INT64_MAX);
	if (r->bad[0] == '\0' && s.time > set->time)
		*set = s;
}

static void
read_set(const struct notes_of *of, const char *name, struct notes *out,
    struct notes_set *set)
{
	struct json_reader r;

	if (!notes_open(of, name, &r))
		return;
	notes_take_ids(&r, out);
	notes_take_set(&r, "set", set);
	json_close(&r);
}

static void
read_failure(const struct notes_of *of, const char *name,
    struct notes_set *set)
{
	struct err ignored = ERR_INIT;
	struct json_reader r;

	if (!notes_open(of, name, &r))
		return;
	set->failed = json_get_i64(&r, r.root, "time");
	json_copy_text(&r, r.root, "error", set->error, sizeof(set->error));
	if (json_check(&r, &ignored) != 0 || set->failed <= set->time) {
		set->failed = 0;
		set->error[0] = '\0';
	}
	json_close(&r);
}

static void
read_queue(const struct notes_of *of, struct notes *out)
{
	const struct incarnation inc = { .system_id = out->system_id };
	struct err ignored = ERR_INIT;
	struct repo repo = { .st = NULL };
	struct queue_note note;
	struct queue *q;

	if (of->address->name == NULL || out->system_id == 0)
		return;
	memcpy(repo.id_text, out->repository_id, sizeof(repo.id_text));
	if (!queue_open_existing(&q, of->state_directory, &repo, &inc,
		of->address->name))
		return;
	out->has_queue = queue_lag(q, &out->waiting, &out->waiting_since,
	    &ignored) == 0;
	out->set_waits = queue_has_set(q);
	queue_note_read(q, &note);
	out->mirrored = note.last_success;
	out->mirror_failed = note.last_failure;
	if (note.failures > 0)
		(void)snprintf(out->mirror_error, sizeof(out->mirror_error),
		    "%s", note.error);
	queue_close(q);
}

void
notes_read(const struct notes_of *of, struct notes *out)
{
	memset(out, 0, sizeof(*out));
	read_wal(of, out);
	read_push_failure(of, out);
	read_gap(of, out);
	read_set(of, "backup", out, &out->backup);
	read_set(of, "dump", out, &out->dump);
	notes_read_state(of, out);
	read_failure(of, "backup-failed", &out->backup);
	read_failure(of, "dump-failed", &out->dump);
}

void
notes_read_queue(const struct notes_of *of, const char *repository_id,
    uint64_t system_id, struct notes *out)
{
	if (out->system_id == 0) {
		(void)snprintf(out->repository_id,
		    sizeof(out->repository_id), "%s", repository_id);
		out->system_id = system_id;
	}
	read_queue(of, out);
}

static void
take_over_set(const struct notes *f, const struct notes_set *set,
    enum repo_kind kind, const struct notes_of *to)
{
	struct repo repo = { .st = NULL };
	struct commit c = { .stop_time = set->time,
		.start_time = set->time - set->took,
		.damaged_count = set->damaged,
		.original_bytes = set->original_bytes,
		.stored_bytes = set->stored_bytes };

	if (set->time == 0)
		return;
	c.inc.system_id = f->system_id;
	memcpy(c.label, set->label, sizeof(c.label));
	memcpy(repo.id_text, f->repository_id, sizeof(repo.id_text));
	notes_put_set(to, kind, &repo, &c, NULL);
}

void
notes_take_over(const struct notes_of *from, const struct notes_of *to)
{
	struct notes f;

	notes_read(from, &f);
	take_over_set(&f, &f.backup, REPO_BACKUP, to);
	take_over_set(&f, &f.dump, REPO_DUMP, to);
}

void
notes_forget(const char *state_directory,
    const struct config_repository *address)
{
	struct err ignored = ERR_INIT;
	char *folder = notes_folder(state_directory, address);

	if (access(folder, F_OK) == 0 &&
	    io_remove_tree(folder, &ignored) != 0)
		err_clear(&ignored); /* the next look says what is so */
	free(folder);
}
