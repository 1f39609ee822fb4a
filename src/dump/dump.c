/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "dump/copyout.h"
#include "dump/store.h"
#include "dump/todir.h"
#include "dump/torepo.h"
#include "dump/work.h"
#include "pg/archive_pack.h"
#include "repo/dumpfolder.h"

#define TICK_US 200000
#define PING_US 30000000
#define HOST_MAX 256

struct run {
	const struct dump_params *params;
	struct commit *commit;
	struct dump_work work;
	struct dump_store *store;   /* with a repository */
	struct dump_folder *folder; /* with --output */
	_Atomic uint64_t rows, bytes; /* of COPY's text and large objects */
	bool copying;  /* the leader's session is free for a sign of life */
	bool age_told;
	struct err lease_lost; /* seen while a statement was waited for */
	int64_t next_tick, next_ping;
};

/*
 * An old snapshot keeps vacuum from removing anything that was deleted since
 * in the whole cluster (TRAPS T136).
 */
static void
look_at_age(struct run *r, int64_t now)
{
	const uint64_t limit = r->params->snapshot_age_ms;

	if (limit == 0 || r->age_told ||
	    (uint64_t)(now - r->work.leader.began) / 1000 < limit)
		return;
	r->age_told = true;
	log_warning("the dump's snapshot is older than %.1f min: until the "
	    "dump ends vacuum removes nothing that was deleted since; more "
	    "--jobs or a standby help",
	    (double)limit / 60000);
}

/* What goes on beside everything that takes long. */
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
	if (r->store != NULL && dump_store_pulse(r->store, err) != 0)
		return -1;
	if (!r->copying)
		return 0;
	look_at_age(r, now);
	if (now < r->next_ping)
		return 0;
	r->next_ping = now + PING_US;
	if (pg_ping(r->work.leader.session.conn, err) != 0)
		return err_wrap(err, "the session with the dump's snapshot");
	return 0;
}

/* While a lock is waited for, or the server works on a statement. */
static void
on_wait(void *arg)
{
	struct run *r = arg;

	if (r->params->tick != NULL)
		r->params->tick(r->params->tick_arg);
	if (r->store != NULL && r->lease_lost.code == ERR_NONE &&
	    dump_store_pulse(r->store, &r->lease_lost) != 0)
		log_debug("the lease is lost");
}

static const char *
option_value(const struct dump_params *p, const char *name)
{
	const char *value = NULL;
	size_t i;

	for (i = 0; i < p->n_options; i++)
		if (strcmp(p->options[i].name, name) == 0)
			value = p->options[i].value != NULL ?
			    p->options[i].value : "";
	return value;
}

static int
copy_all(struct run *r, const struct copyout_target *target, void *arg,
    struct err *err)
{
	const struct leader *l = &r->work.leader;
	char encoding[ARCHIVE_ENCODING_MAX];
	struct session_settings settings = {
		.encoding = encoding,
		.standard_strings = archive_head_std_strings(l->head),
		.row_security = option_value(r->params,
		    "enable-row-security") != NULL,
		.extra_float_digits = option_value(r->params,
		    "extra-float-digits"),
	};
	struct copyout job = {
		.leader = &r->work.leader.session,
		.conninfo = r->params->conninfo,
		.role = r->params->role,
		.snapshot = l->snapshot.name,
		.settings = &settings,
		.target = target,
		.target_arg = arg,
		.facts = &l->facts,
		.tasks = &r->work.tasks,
		.lobs = &r->work.lobs,
		.jobs = r->params->jobs,
		.done_bytes = &r->params->progress->done_bytes,
		.rows = &r->rows,
		.bytes = &r->bytes,
	};

	archive_head_encoding(l->head, encoding);
	if (encoding[0] == '\0')
		return err_set(err, ERR_UNSUPPORTED, "pg_dump's table of "
		    "contents tells no encoding");
	atomic_store(&r->params->progress->total_bytes, l->facts.bytes);
	atomic_store(&r->params->progress->phase, DUMP_PHASE_COPY);
	r->copying = true;
	r->next_ping = time_monotonic() + PING_US;
	if (copyout_run(&job, pulse, r, err) != 0)
		return -1;
	atomic_store(&r->params->progress->phase, DUMP_PHASE_COMMIT);
	/* Who held locks and snapshot until now held them all the time. */
	if (pg_ping(l->session.conn, err) != 0)
		return err_wrap(err, "the session with the dump's snapshot");
	return 0;
}

static int
prepare(struct run *r, struct err *err)
{
	char lsn[LSN_TEXT_MAX];

	pg_on_wait(r->work.leader.session.conn, on_wait, r);
	if (work_prepare(&r->work, err) != 0)
		return -1;
	if (r->lease_lost.code != ERR_NONE) {
		*err = r->lease_lost;
		return -1;
	}
	log_info("database %s: snapshot at %s, %zu tables with rows",
	    r->work.leader.session.database,
	    lsn_format(r->work.leader.snapshot.lsn, lsn),
	    r->work.leader.facts.n);
	return 0;
}

static void
fill_commit(struct run *r)
{
	const struct leader *l = &r->work.leader;
	struct commit *c = r->commit;
	char host[HOST_MAX], encoding[ARCHIVE_ENCODING_MAX];
	struct commit_dump *d = &c->dump;
	size_t i;

	c->kind = REPO_DUMP;
	c->program = xstrdup(PACKAGE_STRING);
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	c->host = xstrdup(host);
	c->from_standby = l->session.standby;
	c->method = xstrdup("copy");
	archive_head_encoding(l->head, encoding);
	d->database = xstrdup(l->session.database);
	d->snapshot_lsn = l->snapshot.lsn;
	d->snapshot_time = l->snapshot.time;
	d->server_version = xstrdup(l->session.version);
	d->server_version_num = (uint32_t)l->session.version_num;
	d->pg_dump_version = xstrdup(l->tool.version);
	d->archive_version = xasprintf("%u.%u", l->head->version / 256,
	    l->head->version % 256);
	d->encoding = xstrdup(encoding);
	d->options = xcalloc(r->params->n_options + 1, sizeof(*d->options));
	for (i = 0; i < r->params->n_options; i++)
		d->options[d->n_options++] =
		    head_option_text(&r->params->options[i]);
	d->tables = l->facts.n;
	d->large_objects = r->work.lobs.objects;
}

static int
to_directory(struct run *r, struct err *err)
{
	const struct dump_params *p = r->params;
	enum archive_compression how;
	int level = ARCHIVE_LEVEL_DEFAULT, rc = -1;

	/* What the pg_dump that wrote the contents could have chosen. */
	how = r->work.leader.tool.version_num >= 160000 ? ARCHIVE_ZSTD :
	    ARCHIVE_GZIP;
	if (p->compress != NULL &&
	    archive_compression_option(p->compress, &how, &level, err) != 0)
		return -1;
	if (dump_folder_new(&r->folder, p->output, how, level, err) != 0)
		return -1;
	if (prepare(r, err) != 0)
		goto out;
	fill_commit(r);
	if (dump_folder_head(r->folder, r->work.leader.head, err) != 0 ||
	    copy_all(r, &todir_target, r->folder, err) != 0)
		goto out;
	r->commit->dump.rows = r->rows;
	r->commit->original_bytes = r->bytes;
	rc = dump_folder_finish(r->folder, err);
out:
	dump_folder_free(r->folder);
	return rc;
}

/* pg_dump's part, as it came. */
static int
store_head(struct run *r, struct err *err)
{
	const struct dump_store_item item = { .path = "archive",
		.ranges = 1 };
	struct dump_writer *w = NULL;
	const void *data;
	size_t len;
	int rc;

	archive_reader_raw(r->work.leader.reader, &data, &len);
	if (dump_writer_new(&w, r->store, err) != 0)
		return -1;
	rc = dump_writer_begin(w, &item, err);
	if (rc == 0)
		rc = dump_writer_write(w, data, len, true, err);
	if (rc == 0)
		rc = dump_writer_end(w, err);
	dump_writer_free(w);
	return rc;
}

/* Lease and label come first: who may not dump shall not lock tables. */
static int
open_store(struct run *r, struct err *err)
{
	const struct dump_params *p = r->params;
	struct dump_store_params sp = {
		.repo = p->repo,
		.inc = &r->commit->inc,
		.database = r->work.leader.session.database,
		.compress_level = p->compress_level,
		.full = p->full,
		.lease_ms = p->lease_ms,
		.refresh_age_ms = p->refresh_age_ms,
	};

	if (session_time(&r->work.leader.session, &sp.start_time, err) != 0 ||
	    dump_store_new(&r->store, &sp, err) != 0)
		return -1;
	r->commit->start_time = sp.start_time;
	log_info("dump %s of database %s", dump_store_label(r->store),
	    r->work.leader.session.database);
	return 0;
}

static int
to_repository(struct run *r, struct err *err)
{
	int rc = -1;

	if (open_store(r, err) != 0)
		return -1;
	if (prepare(r, err) != 0)
		goto out;
	fill_commit(r);
	dump_store_expect(r->store, r->work.leader.facts.bytes);
	if (store_head(r, err) != 0 ||
	    copy_all(r, &torepo_target, r->store, err) != 0 ||
	    session_time(&r->work.leader.session, &r->commit->stop_time,
	    err) != 0)
		goto out;
	/* The locks are not needed for what is left. */
	leader_release(&r->work.leader);
	rc = dump_store_finish(r->store, r->commit, err);
out:
	dump_store_free(r->store);
	r->store = NULL;
	return rc;
}

int
dump_run(const struct dump_params *params, struct commit *out,
    struct err *err)
{
	struct run r;
	int rc;

	memset(&r, 0, sizeof(r));
	memset(out, 0, sizeof(*out));
	r.params = params;
	r.commit = out;
	atomic_store(&params->progress->done_bytes, 0);
	atomic_store(&params->progress->phase, DUMP_PHASE_LOCK);
	rc = work_open(&r.work, params, pulse, &r, err);
	if (rc == 0) {
		(void)snprintf(out->inc.cluster, sizeof(out->inc.cluster),
		    "%s", params->cluster);
		out->inc.major = r.work.leader.session.major;
		out->inc.system_id = r.work.leader.session.system_id;
		rc = params->output != NULL ? to_directory(&r, err) :
		    to_repository(&r, err);
		work_close(&r.work);
	}
	if (rc != 0) {
		commit_free(out);
		memset(out, 0, sizeof(*out));
	}
	return rc;
}
