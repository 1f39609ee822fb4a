/* SPDX-License-Identifier: PostgreSQL */
/*
 * The sequence of a backup. Until the commit is put nothing counts: whatever
 * fails before, the session ends (and the server with it leaves backup mode)
 * and what was put is removed again as far as that can be done.
 */
#include "config.h"

#include "backup/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/basis.h"
#include "backup/conffiles.h"
#include "backup/copy.h"
#include "backup/dispatch.h"
#include "backup/entries.h"
#include "backup/leftover.h"
#include "backup/plan.h"
#include "backup/server.h"
#include "backup/settings.h"
#include "backup/source.h"
#include "backup/stream.h"
#include "backup/timing.h"
#include "backup/wait.h"
#include "core/bytes.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/time.h"
#include "pg/backupapi.h"
#include "repo/claim.h"
#include "repo/packlist.h"
#include "repo/putter.h"
#include "repo/setremove.h"

#define TICK_US 200000
#define PING_US 30000000
#define CHECK_US 1000000
#define POLL_MS 50
#define HOST_MAX 256
#define SWEEP_OLDER_US (INT64_C(86400) * 1000000)

struct run {
	const struct backup_params *params;
	struct commit *commit;
	struct server server;
	struct stream *stream; /* NULL: the data directory is read */
	struct claim claim;
	struct leftover *leftover; /* of earlier attempts */
	uint32_t attempt;
	struct err lease_lost; /* seen while a statement was waited for */
	struct backup_begin begin;
	struct backup_end end;
	struct basis basis;
	struct plan *plan;
	struct manifest_writer *manifest;
	struct pack_shared packs;
	struct copy_shared copy;
	struct entries entries;
	struct putter *putter;
	struct wait wait; /* for the segment before the start, then for all */
	bool stored_something; /* the repository may have objects of ours */
	bool archiving_sure;
	bool saved_config_used; /* what a restore left in the data directory */
	uint64_t total_bytes;
	int64_t next_tick, next_ping, next_check;
	struct timing timing;
};

static void
set_phase(struct run *r, enum backup_phase phase)
{
	atomic_store(&r->params->progress->phase, phase);
}

/*
 * What goes on beside everything that takes long: the display, a signal, a
 * sign of life for firewalls (TRAPS T32), a look at archiving (T57).
 */
static int
pulse(void *arg, struct err *err)
{
	struct run *r = arg;
	int64_t now = time_monotonic();

	if (cancel_check(err) != 0)
		return -1;
	if (now < r->next_tick)
		return 0;
	r->next_tick = now + TICK_US;
	if (r->params->tick != NULL)
		r->params->tick(r->params->tick_arg);
	if (lease_renew(r->claim.lease, err) != 0)
		return -1;
	if (now >= r->next_ping) {
		r->next_ping = now + PING_US;
		if (pg_ping(r->server.conn, err) != 0)
			return err_wrap(err, "the session of the backup");
		if (r->server.primary != NULL &&
		    pg_ping(r->server.primary->conn, err) != 0)
			return err_wrap(err, "the session with the primary");
	}
	if (now < r->next_check)
		return 0;
	r->next_check = now + CHECK_US;
	if (server_check_role(&r->server, err) != 0)
		return -1;
	return r->archiving_sure ? 0 :
	    wait_check_archiving(&r->wait, &r->archiving_sure, err);
}

/* While the server works on a statement: a checkpoint takes its time. */
static void
on_wait(void *arg)
{
	struct run *r = arg;

	if (r->params->tick != NULL)
		r->params->tick(r->params->tick_arg);
	if (r->lease_lost.code == ERR_NONE &&
	    lease_renew(r->claim.lease, &r->lease_lost) != 0)
		log_debug("the lease is lost");
}

static int
take_lease(struct run *r, struct err *err)
{
	if (claim_take(&r->claim, r->params->repo, &r->commit->inc, REPO_BACKUP,
	    r->params->lease_ms, err) != 0 ||
	    repo_begin_attempt(r->params->repo, err) != 0)
		return -1;
	pg_on_wait(r->server.conn, on_wait, r);
	return 0;
}

static int
make_label(struct run *r, struct err *err)
{
	struct leftover_found found = { .attempts = 0 };
	uint8_t random[8];

	/* What a server sends is not compared with what is left over. */
	if (r->stream == NULL && leftover_find(r->params->repo, &r->commit->inc,
	    r->begin.start_time, &found, err) != 0)
		return -1;
	if (found.label[0] != '\0') {
		memcpy(r->commit->label, found.label, sizeof(found.label));
		r->attempt = found.attempts + 1;
		log_info("backup %s was interrupted: going on with it, "
		    "attempt %u", found.label, r->attempt);
		return 0;
	}
	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	label_make(r->begin.start_time, get_le64(random), r->commit->label);
	return 0;
}

static void
fill_wait(struct run *r)
{
	struct wait *w = &r->wait;

	memset(w, 0, sizeof(*w));
	w->conn = r->server.conn;
	w->standby = r->server.standby;
	if (w->standby)
		w->conn = r->server.primary == NULL ? NULL :
		    r->server.primary->conn;
	w->repo = r->params->repo;
	w->inc = &r->commit->inc;
	w->pgdata_fd = r->server.pgdata_fd;
	w->timeline = r->begin.timeline;
	w->segment_size = r->server.control.wal_segment_size;
	w->timeout_ms = r->params->archive_timeout_ms;
}

static int
start(struct run *r, struct err *err)
{
	uint32_t seg = r->server.control.wal_segment_size;
	char lsn[LSN_TEXT_MAX];

	set_phase(r, BACKUP_PHASE_CHECKPOINT);
	if ((r->stream != NULL ? stream_begin(r->stream, &r->begin, err) :
	    backup_api_start(r->server.conn, "dapk-backup",
	    r->params->checkpoint_fast, &r->begin, err)) != 0)
		return -1;
	if (r->lease_lost.code != ERR_NONE) {
		*err = r->lease_lost;
		return -1;
	}
	if (make_label(r, err) != 0)
		return -1;
	/* Earlier attempts' packs go too when this one is cancelled. */
	r->stored_something = r->attempt > 1;
	log_info("backup %s: starts at %s on timeline %u", r->commit->label,
	    lsn_format(r->begin.start_lsn, lsn), r->begin.timeline);
	fill_wait(r);
	r->archiving_sure = r->begin.start_lsn < seg;
	if (!r->archiving_sure)
		wait_init(&r->wait, r->begin.start_lsn - seg,
		    r->begin.start_lsn - seg);
	r->next_ping = time_monotonic() + PING_US;
	return 0;
}

static int
make_plan(struct run *r, struct err *err)
{
	struct plan_params pp = { r->server.pgdata, r->server.major,
		r->server.control.catalog_version, false };
	const struct plan_totals *t;

	if (conffiles_dir_used(r->server.conn, r->server.pgdata,
	    &r->saved_config_used, err) != 0)
		return err_wrap(err, "find the configuration files");
	pp.skip_saved_config = !r->saved_config_used;
	if (plan_make(&r->plan, &pp, err) != 0)
		return err_wrap(err, "list the data directory");
	t = plan_totals(r->plan);
	r->total_bytes = t->bytes;
	atomic_store(&r->params->progress->total_bytes, t->bytes);
	log_debug("%llu files, %llu directories, %llu links, %llu bytes; "
	    "%llu files left out", (unsigned long long)t->files,
	    (unsigned long long)t->directories,
	    (unsigned long long)t->links, (unsigned long long)t->bytes,
	    (unsigned long long)t->left_out);
	return 0;
}

/* What the backup is compared with, and what need not be read. */
static int
choose_basis(struct run *r, struct err *err)
{
	struct basis_params bp = { r->params->repo, &r->server,
		&r->begin, r->commit, r->params->jobs, r->params->full,
		r->stream == NULL, r->params->refresh_age_ms,
		r->params->full_read_every_ms, pulse, r, NULL };

	if (r->attempt > 1 && leftover_read(&r->leftover, r->params->repo,
	    &r->commit->inc, r->commit->label, r->server.control.block_size,
	    pulse, r, err) != 0)
		return -1;
	bp.leftover = r->leftover;
	if ((r->stream != NULL ?
	    stream_source(r->stream, r->commit->source, err) :
	    source_id(r->server.pgdata, r->commit->source, err)) != 0)
		return -1;
	return basis_choose(&r->basis, &bp, err);
}

static void
fill_tablespaces(struct run *r)
{
	const struct plan_tablespace *ts;
	struct commit *c = r->commit;
	size_t i;

	ts = plan_tablespaces(r->plan, &c->n_tablespaces);
	c->tablespaces = xcalloc(c->n_tablespaces + 1,
	    sizeof(*c->tablespaces));
	for (i = 0; i < c->n_tablespaces; i++)
		c->tablespaces[i] = (struct commit_tablespace){ ts[i].oid,
			xstrdup(ts[i].path) };
}

static void
fill_commit(struct run *r)
{
	const struct control *ctl = &r->server.control;
	struct commit *c = r->commit;
	char host[HOST_MAX];

	c->catalog_version = ctl->catalog_version;
	c->method = xstrdup(r->stream != NULL ? "stream" : "local");
	c->from_standby = r->server.standby;
	c->program = xstrdup(PACKAGE_STRING);
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	c->host = xstrdup(host);
	c->attempt = r->attempt;
	c->read_all = r->basis.evidence == NULL;
	c->full_read = r->begin.start_time;
	if (r->basis.parent != NULL)
		memcpy(c->parent, r->basis.parent->commit.label,
		    sizeof(c->parent));
	else if (!c->read_all)
		abort(); /* evidence tells what changed since a parent */
	if (!c->read_all)
		c->full_read = r->basis.parent->commit.full_read;
	c->start_lsn = r->begin.start_lsn;
	c->timeline = r->begin.timeline;
	c->start_time = r->begin.start_time;
	c->block_size = ctl->block_size;
	c->relation_segment_blocks = ctl->relation_segment_blocks;
	c->wal_segment_size = ctl->wal_segment_size;
	c->data_checksums = ctl->data_checksum_version != 0;
	if (r->stream != NULL)
		stream_fill_commit(r->stream, r->basis.parent, c);
	else
		fill_tablespaces(r);
}

/* What puts into the repository, from here on. */
static int
open_outputs(struct run *r, struct err *err)
{
	const struct backup_params *p = r->params;
	struct commit *c = r->commit;

	r->stored_something = true;
	if (manifest_writer_new(&r->manifest, p->repo, &c->inc, c->label,
	    c->block_size, err) != 0 ||
	    putter_new(&r->putter, p->repo, &c->inc, err) != 0)
		return -1;
	manifest_writer_generation(r->manifest, r->attempt - 1);
	r->packs.repo = p->repo;
	r->packs.inc = c->inc;
	memcpy(r->packs.label, c->label, sizeof(r->packs.label));
	r->packs.attempt = r->attempt;
	r->packs.block_size = c->block_size;
	r->packs.target = pack_target(r->total_bytes, r->basis.parent != NULL);
	r->packs.put = putter_put;
	r->packs.put_arg = r->putter;
	return entries_init(&r->entries, r->manifest, &r->packs,
	    r->basis.parent == NULL ? NULL : &r->basis.parent->packs,
	    p->compress_level, err);
}

static int
add_tablespace_lines(struct run *r, struct err *err)
{
	struct manifest_entry line;
	const struct commit *c = r->commit;
	size_t i;

	for (i = 0; i < c->n_tablespaces; i++) {
		memset(&line, 0, sizeof(line));
		line.type = MANIFEST_TABLESPACE;
		line.oid = c->tablespaces[i].oid;
		line.target = c->tablespaces[i].path;
		if (manifest_writer_add(r->manifest, &line, err) != 0)
			return -1;
	}
	return 0;
}

static int
copy_files(struct run *r, struct err *err)
{
	struct copy_shared *s = &r->copy;
	struct dispatch d = { s, r->basis.parent, r->basis.evidence,
		&r->entries,
		r->params->jobs, r->commit, pulse, r };

	set_phase(r, BACKUP_PHASE_COPY);
	s->plan = r->plan;
	s->pgdata = r->server.pgdata;
	s->pgdata_fd = r->server.pgdata_fd;
	s->piece.block_size = r->commit->block_size;
	s->segment_blocks = r->commit->relation_segment_blocks;
	s->checksums = r->commit->data_checksums;
	s->piece.fingerprint_seed = r->params->repo->fingerprint_seed;
	s->piece.compress_level = r->params->compress_level;
	s->piece.pack = &r->packs;
	s->piece.parent = r->basis.parent;
	s->done_bytes = &r->params->progress->done_bytes;
	return dispatch_run(&d, err);
}

static int
add_conffiles(struct run *r, struct err *err)
{
	return conffiles_add(&r->entries, r->server.conn, r->server.pgdata,
	    r->saved_config_used, err);
}

/* pg_control comes last: recovery begins where it says (TRAPS T33). */
static int
add_control(struct run *r, struct err *err)
{
	struct manifest_entry line;
	struct control now;
	struct stat st;
	uint8_t *raw = xmalloc(CONTROL_FILE_SIZE);
	int rc = -1;

	memset(&line, 0, sizeof(line));
	if (fstatat(r->server.pgdata_fd, CONTROL_PATH, &st, 0) != 0) {
		err_sys(err, errno, "read %s/" CONTROL_PATH,
		    r->server.pgdata);
		goto out;
	}
	if (control_read(r->server.pgdata, &now, raw, err) != 0)
		goto out;
	if (now.system_id != r->server.control.system_id) {
		err_set(err, ERR_REFUSED, "the system identifier of %s changed "
		    "during the backup", r->server.pgdata);
		goto out;
	}
	line.type = MANIFEST_CONTROL;
	line.path = CONTROL_PATH;
	entries_line_times(&line, &st);
	rc = entries_add_memory(&r->entries, &line, raw, CONTROL_FILE_SIZE,
	    err);
out:
	free(raw);
	return rc;
}

static int
add_text(struct run *r, enum manifest_type type, const char *data, size_t len,
    struct err *err)
{
	struct manifest_entry line;

	memset(&line, 0, sizeof(line));
	line.type = type;
	line.data = data;
	line.data_len = len;
	return manifest_writer_add(r->manifest, &line, err);
}

/*
 * A standby's backup ends at its minimum recovery point, which is in pg_control
 * as it was copied and covers each page that was read before (T55).
 */
static int
check_standby_end(struct run *r, struct err *err)
{
	struct control now;

	if (!r->server.standby)
		return 0;
	if (server_check_role(&r->server, err) != 0 ||
	    control_read(r->server.pgdata, &now, NULL, err) != 0)
		return -1;
	if (now.min_recovery_timeline != r->begin.timeline) {
		err_set(err, ERR_POSTGRES, "the standby follows timeline %u, "
		    "and its last restartpoint, where the backup begins, is "
		    "on timeline %u", now.min_recovery_timeline,
		    r->begin.timeline);
		return err_hint(err, "type CHECKPOINT on the primary, and "
		    "take the backup again");
	}
	if (r->end.stop_lsn < r->begin.start_lsn)
		return err_set(err, ERR_POSTGRES, "the backup would end before "
		    "it begins");
	return 0;
}

static int
stop(struct run *r, struct err *err)
{
	const struct control *ctl = &r->server.control;
	struct commit *c = r->commit;
	char lsn[LSN_TEXT_MAX];

	if ((r->stream != NULL ? stream_end(r->stream, &r->end, err) :
	    backup_api_stop(r->server.conn, &r->end, err)) != 0)
		return -1;
	if (r->end.label_timeline != 0 &&
	    r->end.label_timeline != r->begin.timeline)
		return err_set(err, ERR_POSTGRES, "the server moved from "
		    "timeline %u to %u during the backup", r->begin.timeline,
		    r->end.label_timeline);
	if (r->stream == NULL && check_standby_end(r, err) != 0)
		return -1;
	c->stop_lsn = r->end.stop_lsn;
	c->stop_time = r->end.stop_time;
	log_info("backup %s: all files copied, stops at %s", c->label,
	    lsn_format(c->stop_lsn, lsn));
	/* T56: a stop at a segment's first byte needs nothing of it. */
	fill_wait(r);
	wait_init(&r->wait, c->start_lsn, c->stop_lsn);
	wal_segment_name(c->timeline, r->wait.next, ctl->wal_segment_size,
	    c->wal_first);
	wal_segment_name(c->timeline, r->wait.last, ctl->wal_segment_size,
	    c->wal_last);
	if (add_text(r, MANIFEST_BACKUP_LABEL, r->end.label,
	    r->end.label_len, err) != 0)
		return -1;
	if (r->end.tablespace_map_len > 0 && add_text(r,
	    MANIFEST_TABLESPACE_MAP, r->end.tablespace_map,
	    r->end.tablespace_map_len, err) != 0)
		return -1;
	return settings_add(r->manifest, r->server.conn, err);
}

static int
wait_wal(struct run *r, struct err *err)
{
	bool done = false;

	set_phase(r, BACKUP_PHASE_WAIT_WAL);
	r->archiving_sure = true; /* from here on this is what looks */
	for (;;) {
		if (putter_check(r->putter, err) != 0 ||
		    wait_step(&r->wait, &done, err) != 0)
			return -1;
		if (done)
			return 0;
		time_sleep_ms(POLL_MS);
		if (pulse(r, err) != 0)
			return -1;
	}
}

static uint64_t
live(void *arg, uint32_t number)
{
	return entries_live(arg, number);
}

static uint64_t
live_foreign(void *arg, uint32_t index)
{
	return entries_live_foreign(arg, index);
}

static int
list_packs(struct run *r, struct commit *c, struct err *err)
{
	struct parent *parent = r->basis.parent;

	return packlist_make(&(struct packlist_params){
	    .repo = r->params->repo, .putter = r->putter, .live = live,
	    .live_foreign = live_foreign, .live_arg = &r->entries,
	    .table = parent == NULL ? NULL : &parent->packs,
	    .set = parent == NULL ? NULL : parent->set, .pulse = pulse,
	    .pulse_arg = r }, c, err);
}

static int
finish(struct run *r, struct err *err)
{
	struct commit *c = r->commit;
	const struct manifest_part *parts;

	set_phase(r, BACKUP_PHASE_COMMIT);
	if (putter_finish(r->putter, err) != 0 ||
	    list_packs(r, c, err) != 0 ||
	    manifest_writer_finish(r->manifest, &parts, &c->n_parts,
	    err) != 0)
		return -1;
	c->parts = xcalloc(c->n_parts + 1, sizeof(*c->parts));
	memcpy(c->parts, parts, c->n_parts * sizeof(*parts));
	c->stored_bytes += manifest_writer_stored(r->manifest);
	c->files = r->entries.files;
	c->original_bytes = r->entries.bytes;
	if (cancel_check(err) != 0)
		return -1;
	leftover_say_used(c);
	return claim_commit(&r->claim, c, err);
}

/* Killed writers of archive-push leave files, and it has no time to look. */
static int
sweep(struct run *r, struct err *err)
{
	struct err failed = ERR_INIT;
	uint64_t removed = 0;

	if (storage_sweep(r->params->repo->st, SWEEP_OLDER_US, &removed,
	    &failed) != 0) /* they only take space: no reason to fail */
		log_err(LOG_WARNING, &failed);
	else if (removed > 0)
		log_info("removed %llu unfinished file%s of writers that died "
		    "from %s", (unsigned long long)removed,
		    removed == 1 ? "" : "s",
		    storage_url(r->params->repo->st));
	return 0;
}

static int
prepare(struct run *r, struct err *err)
{
	fill_commit(r);
	if (claim_intend(&r->claim, r->commit->label, r->attempt,
	    r->commit->parent, err) != 0)
		return -1;
	return open_outputs(r, err) != 0 ? -1 : add_tablespace_lines(r, err);
}

static int
flush_entries(struct run *r, struct err *err)
{
	return pack_writer_flush(r->entries.writer, err);
}

/* Comes before the start: the server is asked for what changed since. */
static int
open_stream(struct run *r, struct err *err)
{
	const struct stream_params sp = { r->params->checkpoint_fast,
		r->params->max_rate, pulse, r };

	if (stream_open(&r->stream, &r->server, &sp, err) != 0 ||
	    stream_position(r->stream, &r->begin, err) != 0 ||
	    choose_basis(r, err) != 0)
		return -1;
	return stream_parent(r->stream, r->basis.parent, r->commit->source,
	    r->params->full_read_every_ms, err);
}

static int
receive_files(struct run *r, struct err *err)
{
	const struct stream_receive sr = { &r->entries, &r->packs, r->commit,
		r->params->repo->fingerprint_seed, r->params->compress_level,
		r->params->jobs, &r->params->progress->done_bytes };

	set_phase(r, BACKUP_PHASE_COPY);
	return stream_receive(r->stream, &sr, err);
}

static int
add_sent_config(struct run *r, struct err *err)
{
	return stream_add_config(r->stream, &r->entries, err);
}

static int
add_sent_control(struct run *r, struct err *err)
{
	return stream_add_control(r->stream, &r->entries, err);
}

static int
note_size(struct run *r, struct err *err)
{
	r->total_bytes = stream_size(r->stream);
	atomic_store(&r->params->progress->total_bytes, r->total_bytes);
	return 0;
}

static const struct step {
	int (*run)(struct run *r, struct err *err);
	const char *name; /* in the log of times */
} local_steps[] = {
	{ take_lease, "lease" }, { sweep, "lease" }, { start, "checkpoint" },
	{ make_plan, "list" }, { choose_basis, "parent" },
	{ prepare, "parent" }, { copy_files, "copy" },
	{ add_conffiles, "stop" }, { add_control, "stop" }, { stop, "stop" },
	{ flush_entries, "stop" }, { wait_wal, "wait for WAL" },
	{ finish, "commit" }, { NULL, NULL },
}, stream_steps[] = {
	{ take_lease, "lease" }, { sweep, "lease" },
	{ open_stream, "parent" }, { start, "checkpoint" },
	{ note_size, "list" }, { prepare, "parent" },
	{ receive_files, "copy" }, { add_sent_config, "stop" },
	{ add_sent_control, "stop" },
	{ stop, "stop" }, { flush_entries, "stop" },
	{ wait_wal, "wait for WAL" }, { finish, "commit" }, { NULL, NULL },
};

static int
run_all(struct run *r, struct err *err)
{
	const struct step *s = r->params->stream ? stream_steps : local_steps;

	for (; s->run != NULL; s++) {
		if (s->run(r, err) != 0)
			return -1;
		timing_lap(&r->timing, s->name);
	}
	timing_log(&r->timing);
	return 0;
}

static void
remove_or_keep(struct run *r, const struct err *why)
{
	struct err err = ERR_INIT;

	/* Who has the lease now may be at work on what we left. */
	if (why->code == ERR_LOCKED || r->claim.unknown ||
	    lease_confirm(r->claim.lease, &err) != 0) {
		log_err(LOG_DEBUG, &err);
		return;
	}
	if (!r->params->stream && leftover_may_stay(why))
		return;
	if (set_remove(r->params->repo, &r->commit->inc, REPO_BACKUP,
	    r->commit->label, &err) != 0) {
		log_warning("could not remove the unfinished backup %s, which "
		    "is harmless", r->commit->label);
		log_err(LOG_DEBUG, &err);
	}
}

static void
clean_up(struct run *r, const struct err *why)
{
	const bool failed = why != NULL;

	stream_free(r->stream); /* ends its workers */
	putter_free(r->putter);
	entries_free(&r->entries);
	manifest_writer_free(r->manifest);
	basis_free(&r->basis);
	plan_free(r->plan);
	backup_end_free(&r->end);
	copy_shared_free(&r->copy);
	server_close(&r->server);
	leftover_free(r->leftover);
	if (failed && r->stored_something)
		remove_or_keep(r, why);
	claim_end(&r->claim, failed || r->attempt == 1 ? NULL :
	    r->commit->label);
	if (failed) {
		commit_free(r->commit);
		memset(r->commit, 0, sizeof(*r->commit));
	}
}

static int
dry_run(struct run *r, struct err *err)
{
	const struct plan_totals *t;

	if (r->params->stream)
		return server_size(&r->server, &r->commit->original_bytes,
		    err);
	if (make_plan(r, err) != 0)
		return -1;
	t = plan_totals(r->plan);
	fill_commit(r);
	r->commit->files = t->files + 1; /* and pg_control */
	r->commit->original_bytes = t->bytes + CONTROL_FILE_SIZE;
	return 0;
}

int
backup_run(const struct backup_params *params, struct commit *out,
    struct err *err)
{
	struct run r;
	int rc;

	memset(&r, 0, sizeof(r));
	memset(out, 0, sizeof(*out));
	r.params = params;
	r.commit = out;
	r.attempt = 1;
	timing_begin(&r.timing);
	copy_shared_init(&r.copy, params->max_rate);
	rc = params->stream ?
	    server_open_remote(&r.server, params->conninfo, params->from, err) :
	    server_open(&r.server, params->conninfo, params->pgdata,
	    params->from, err);
	if (rc == 0 && !params->stream)
		rc = server_lock(&r.server, err);
	if (rc == 0) {
		(void)snprintf(out->inc.cluster, sizeof(out->inc.cluster),
		    "%s", params->cluster);
		out->inc.major = r.server.major;
		out->inc.system_id = r.server.control.system_id;
		timing_lap(&r.timing, "connect");
		rc = params->dry_run ? dry_run(&r, err) : run_all(&r, err);
	}
	clean_up(&r, rc != 0 ? err : NULL);
	return rc;
}
