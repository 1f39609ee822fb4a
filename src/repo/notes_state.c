/* SPDX-License-Identifier: PostgreSQL */
/* Notes of what was found out: looks, verifications, removals, the server. */
#include "config.h"

#include "repo/notes_private.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/hold.h"
#include "repo/state.h"

#define SERVER_NOTE_MAX ((size_t)16 << 10)
#define READY ".ready"

static const char *
or_empty(const char *s)
{
	return s == NULL ? "" : s;
}

/* Text of people: as a terminal bears it. */
static void
plain(const char *text, char *out, size_t size)
{
	struct err as_error = ERR_INIT;
	char clean[NOTES_TEXT_MAX];

	(void)err_set(&as_error, ERR_IO, "%s", text);
	(void)snprintf(out, size, "%s", notes_message(&as_error, clean));
}

/* Of the same repository and server, an older backup was there once. */
static int64_t
known_since(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, int64_t since)
{
	struct notes f;

	notes_read(of, &f);
	if (f.since > 0 && f.since < since && f.system_id == inc->system_id &&
	    strcmp(f.repository_id, repo->id_text) == 0)
		return f.since;
	return since;
}

void
notes_put_look(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct notes_look *look)
{
	json_t *j = json_pack("{s:I,s:b,s:b,s:o,s:o}", "looked",
	    (json_int_t)time_now(), "recoverable", (int)look->recoverable,
	    "whole", (int)look->whole, "backup",
	    notes_set_json(look->backup), "dump",
	    notes_set_json(look->dump));
	json_t *wal = json_pack("{s:I,s:I,s:I,s:I,s:I,s:s}", "from",
	    (json_int_t)look->window_from, "to", (json_int_t)look->window_to,
	    "since", (json_int_t)known_since(of, repo, inc, look->since),
	    "gaps", (json_int_t)look->gaps, "conflicts",
	    (json_int_t)look->conflicts, "gap_behind",
	    or_empty(look->gap_behind));

	if (json_object_set_new(j, "wal", wal) != 0) {
		json_decref(j);
		j = NULL;
	}
	notes_write(of, "look", notes_ids(j, repo, inc));
}

static void
read_look(const struct notes_of *of, struct notes *out)
{
	struct err ignored = ERR_INIT;
	struct json_reader r;
	const json_t *wal;

	if (!notes_open(of, "look", &r))
		return;
	notes_take_ids(&r, out);
	out->looked = json_get_i64(&r, r.root, "looked");
	out->recoverable = json_get_bool(&r, r.root, "recoverable");
	out->whole = json_get_bool(&r, r.root, "whole");
	/* What it saw last counts, also that something is gone. */
	notes_take_set(&r, "backup", &out->backup);
	notes_take_set(&r, "dump", &out->dump);
	wal = json_object_get(r.root, "wal");
	out->window_from = json_get_i64(&r, wal, "from");
	out->window_to = json_get_i64(&r, wal, "to");
	out->since = json_get_i64(&r, wal, "since");
	out->gaps = json_get_u64(&r, wal, "gaps", INT64_MAX);
	out->conflicts = json_get_u64(&r, wal, "conflicts", INT64_MAX);
	json_copy_text(&r, wal, "gap_behind", out->gap_behind,
	    sizeof(out->gap_behind));
	if (json_check(&r, &ignored) != 0) {
		out->looked = out->since = 0;
		out->window_from = out->window_to = 0;
		out->gaps = out->conflicts = 0;
		out->gap_behind[0] = '\0';
	}
	json_close(&r);
}

/*
 * Damage that was found stays so until the same part, or all, was read again
 * and holds: a share reads another part each day.
 */
void
notes_put_verify(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct notes_verified *v)
{
	int64_t now = time_now();
	struct notes f;
	char share[sizeof(f.verify_share)] = "";

	notes_read(of, &f);
	if (v->share_of > 1)
		(void)snprintf(share, sizeof(share), "%" PRIu64 "/%" PRIu64,
		    v->share_number % v->share_of + 1, v->share_of);
	if (v->damaged > 0) {
		f.verify_failed = now;
		f.verify_damaged = v->damaged;
		memcpy(f.verify_share, share, sizeof(share));
	} else if (v->whole || (share[0] != '\0' &&
	    strcmp(share, f.verify_share) == 0)) {
		f.verify_failed = 0;
		f.verify_damaged = 0;
		f.verify_share[0] = '\0';
	}
	notes_write(of, "verify", notes_ids(json_pack(
	    "{s:I,s:I,s:I,s:I,s:s}", "time", (json_int_t)now, "whole",
	    (json_int_t)(v->whole ? now : f.verified_whole), "failed",
	    (json_int_t)f.verify_failed, "damaged",
	    (json_int_t)f.verify_damaged, "share", f.verify_share), repo,
	    inc));
}

static void
read_verify(const struct notes_of *of, struct notes *out)
{
	struct err ignored = ERR_INIT;
	struct json_reader r;

	if (!notes_open(of, "verify", &r))
		return;
	notes_take_ids(&r, out);
	out->verified = json_get_i64(&r, r.root, "time");
	out->verified_whole = json_get_i64(&r, r.root, "whole");
	out->verify_failed = json_get_i64(&r, r.root, "failed");
	out->verify_damaged = json_get_u64(&r, r.root, "damaged", INT64_MAX);
	json_copy_text(&r, r.root, "share", out->verify_share,
	    sizeof(out->verify_share));
	if (json_check(&r, &ignored) != 0)
		out->verified = out->verified_whole = out->verify_failed = 0;
	json_close(&r);
}

void
notes_put_expire(const struct notes_of *of, const struct repo *repo,
    const struct incarnation *inc, const struct err *err)
{
	json_int_t now = time_now();

	if (err != NULL)
		notes_write(of, "expire-failed", json_pack("{s:I,s:o}",
		    "time", now, "error", notes_error(err)));
	else
		notes_write(of, "expire", notes_ids(json_pack("{s:I}",
		    "time", now), repo, inc));
}

static void
read_expire(const struct notes_of *of, struct notes *out)
{
	struct err ignored = ERR_INIT;
	struct json_reader r;

	if (notes_open(of, "expire", &r)) {
		notes_take_ids(&r, out);
		out->expired = json_get_i64(&r, r.root, "time");
		json_close(&r);
	}
	if (!notes_open(of, "expire-failed", &r))
		return;
	out->expire_failed = json_get_i64(&r, r.root, "time");
	json_copy_text(&r, r.root, "error", out->expire_error,
	    sizeof(out->expire_error));
	if (json_check(&r, &ignored) != 0 ||
	    out->expire_failed <= out->expired) {
		out->expire_failed = 0;
		out->expire_error[0] = '\0';
	}
	json_close(&r);
}

void
notes_put_hold(const struct notes_of *of, const struct hold *hold)
{
	char by[NOTES_NAME_MAX], reason[NOTES_NAME_MAX], *who;

	if (hold == NULL) {
		/* One who never saw a hold need not write that it ended. */
		struct notes f;

		notes_read(of, &f);
		if (f.held_since != 0)
			notes_write(of, "hold", json_pack("{s:i,s:s,s:s}",
			    "since", 0, "by", "", "reason", ""));
		return;
	}
	who = xasprintf("%s on %s", or_empty(hold->user),
	    or_empty(hold->host));
	plain(who, by, sizeof(by));
	plain(or_empty(hold->reason), reason, sizeof(reason));
	free(who);
	notes_write(of, "hold", json_pack("{s:I,s:s,s:s}", "since",
	    (json_int_t)hold->created, "by", by, "reason", reason));
}

static void
read_hold(const struct notes_of *of, struct notes *out)
{
	struct err ignored = ERR_INIT;
	struct json_reader r;

	if (!notes_open(of, "hold", &r))
		return;
	out->held_since = json_get_i64(&r, r.root, "since");
	json_copy_text(&r, r.root, "by", out->held_by, sizeof(out->held_by));
	json_copy_text(&r, r.root, "reason", out->held_reason,
	    sizeof(out->held_reason));
	if (json_check(&r, &ignored) != 0)
		out->held_since = 0;
	json_close(&r);
}

static char *
server_path(const char *state_directory, const char *cluster)
{
	return xasprintf("%s/notes/servers%s%s", state_directory,
	    cluster[0] == '\0' ? "" : "/", cluster);
}

void
notes_put_server(const char *state_directory, const char *cluster,
    const struct notes_server *server)
{
	char *folder = server_path(state_directory, ""), *path, *text;
	struct err ignored = ERR_INIT;
	json_t *j = json_pack("{s:I,s:b,s:s,s:s,s:s,s:I,s:I,s:I}", "asked",
	    (json_int_t)time_now(), "archives", (int)server->archives,
	    "trouble", server->trouble, "archived", server->archived,
	    "failed", server->failed, "archived_time",
	    (json_int_t)server->archived_time, "failed_time",
	    (json_int_t)server->failed_time, "failures",
	    (json_int_t)server->failures);

	text = j == NULL ? NULL : json_dumps(j, 0);
	json_decref(j);
	path = server_path(state_directory, cluster);
	if (text != NULL && state_may_keep(state_directory) &&
	    state_make(folder, &ignored) == 0)
		(void)!state_replace(path, text, strlen(text), &ignored);
	free(path);
	free(text);
	free(folder);
}

static void
read_server(const struct notes_of *of, struct notes_server *out)
{
	char *path = server_path(of->state_directory, of->cluster);
	struct err ignored = ERR_INIT;
	struct json_reader r;
	struct buf b;

	buf_init(&b, SERVER_NOTE_MAX);
	if (io_read_file(path, &b, &ignored) != 0 ||
	    json_open(&r, buf_str(&b), b.len, &ignored) != 0)
		goto out;
	out->asked = json_get_i64(&r, r.root, "asked");
	out->archives = json_get_bool(&r, r.root, "archives");
	json_copy_text(&r, r.root, "trouble", out->trouble,
	    sizeof(out->trouble));
	json_copy_text(&r, r.root, "archived", out->archived,
	    sizeof(out->archived));
	json_copy_text(&r, r.root, "failed", out->failed,
	    sizeof(out->failed));
	out->archived_time = json_get_i64(&r, r.root, "archived_time");
	out->failed_time = json_get_i64(&r, r.root, "failed_time");
	out->failures = json_get_u64(&r, r.root, "failures", INT64_MAX);
	if (json_check(&r, &ignored) != 0)
		memset(out, 0, sizeof(*out));
	json_close(&r);
out:
	buf_free(&b);
	free(path);
}

void
notes_read_state(const struct notes_of *of, struct notes *out)
{
	read_look(of, out);
	read_verify(of, out);
	read_expire(of, out);
	read_hold(of, out);
	read_server(of, &out->server);
}

void
notes_read_ready(const char *pgdata, struct notes *out)
{
	char *folder = xasprintf("%s/pg_wal/archive_status", pgdata), *path;
	const size_t tail = sizeof(READY) - 1;
	DIR *d = opendir(folder);
	struct dirent *e;
	struct stat st;
	size_t len;

	out->ready_known = d != NULL;
	while (d != NULL && (e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (len <= tail || len - tail >= sizeof(out->ready_first) ||
		    strcmp(e->d_name + len - tail, READY) != 0)
			continue;
		out->ready++;
		if (out->ready > 1 && strncmp(e->d_name, out->ready_first,
		    len - tail) >= 0)
			continue;
		memcpy(out->ready_first, e->d_name, len - tail);
		out->ready_first[len - tail] = '\0';
	}
	if (d != NULL)
		(void)closedir(d); /* only read from */
	path = xasprintf("%s/%s" READY, folder, out->ready_first);
	/* Gone meanwhile: then nothing is known of how long it waited. */
	if (out->ready > 0 && stat(path, &st) == 0)
		out->ready_since = time_from_unix(st.st_mtim.tv_sec);
	free(path);
	free(folder);
}

int64_t
notes_known(const struct notes *f)
{
	const int64_t times[] = { f->looked, f->backup.time, f->dump.time,
		f->wal_time, f->verified, f->expired, f->mirrored };
	int64_t known = 0;
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] > known)
			known = times[i];
	return known;
}
