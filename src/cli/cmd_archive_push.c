/* SPDX-License-Identifier: PostgreSQL */
/*
 * archive-push with one or several repositories. Whatever the rule, 0 means
 * that the WAL is durable where the rule says; what the others lack is noted
 * in their queues, and somebody else's to bring there.
 */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "copy/mirror.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pipe/pool.h"
#include "repo/gap.h"
#include "repo/notes.h"
#include "repo/queue.h"
#include "storage/storage.h"
#include "wal/cluster.h"
#include "wal/push.h"
#include "wal/pushplace.h"
#include "wal/pushqueue.h"

/*
 * PostgreSQL asks again a second later, and shows a failure that is told in
 * pg_stat_archiver; so a store that is away is not waited for as long as a
 * backup waits. With another one to turn to even less.
 */
#define PATIENCE_MS 30000u
#define PATIENCE_ANY_MS 10000u
#define SLOW_US 1000000 /* a failure that costs time */
#define LOOK_MS 2000u	/* is a store back that was away? */

struct places;

/* One repository's part. */
struct place {
	struct places *all;
	struct config_repository address;
	bool is_local;
	bool failing; /* lately */
	bool failed;  /* now, with err */
	struct wal_place remembered;
	struct queue *queue; /* NULL: not needed so far */
	struct incarnation inc; /* of the queue */
	bool warned;
	struct wal_salvage_result salvaged;
	struct err err;
};

struct places {
	const struct config *cfg;
	struct incarnation inc; /* system_id 0: not known */
	struct place *places;
	unsigned n;
	unsigned jobs; /* for each place at work */
	struct place *storing; /* the one whose queue gets nothing, or NULL */
	bool any; /* whatever the rule: WAL would be given up */
};

/* archive-push adds what it has stored to the queues of the others. */
static void
add_to_queue(struct place *p, const struct repo *repo,
    const struct incarnation *inc, const char *name)
{
	struct err err = ERR_INIT;

	if (p->address.name == NULL)
		return;
	if ((p->queue == NULL && queue_open(&p->queue,
	    p->all->cfg->state_directory, repo, inc, p->address.name,
	    &err) != 0) || queue_add(p->queue, name, &err) != 0) {
		if (!p->warned)
			log_warning("%s is not in the queue of repository %s, "
			    "whose next comparison finds it: %s", name,
			    p->address.name, err.msg);
		p->warned = true;
	}
	p->inc = *inc;
}

static void
note_stored(void *arg, const struct repo *repo, const struct incarnation *inc,
    const char *name)
{
	struct places *all = arg;
	unsigned i;

	all->inc = *inc;
	for (i = 0; i < all->n; i++)
		if (&all->places[i] != all->storing)
			add_to_queue(&all->places[i], repo, inc, name);
}

/* For `status`. */
static void
note_pushed(const struct place *p, const struct repo *repo)
{
	const struct config *cfg = p->all->cfg;
	const struct notes_of of = { cfg->state_directory, &p->address,
		cfg->cluster };
	const char *slash = strrchr(cfg->arguments[0], '/');

	if (!cfg->push_all)
		notes_put_wal(&of, repo, p->all->inc.system_id == 0 ? NULL :
		    &p->all->inc, slash == NULL ? cfg->arguments[0] :
		    slash + 1);
}

static void
note_failed(const struct places *all, const struct err *err)
{
	const struct config *cfg = all->cfg;
	const struct notes_of of = { cfg->state_directory, &cfg->repo,
		cfg->cluster };

	if (!cfg->push_all && err->code != ERR_USAGE &&
	    err->code != ERR_CANCELLED)
		notes_put_push_failure(&of, err);
}

/*
 * Somebody may now bring the others up to date. Not before the outcome is
 * settled, and whatever comes of it changes nothing.
 */
static void
wake_others(const struct places *all)
{
	unsigned i;

	for (i = 0; i < all->n; i++)
		if (all->places[i].queue != NULL)
			mirror_wake(all->cfg, i, all->places[i].queue,
			    &all->places[i].inc);
}

static int
push_one(const struct place *p, const struct wal_push_params *params,
    struct err *err)
{
	struct wal_push_result result;
	char original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX];

	if (wal_push(params, &result, err) != 0)
		return -1;
	if (result.already)
		log_info("%s is stored already", params->path);
	else
		log_debug("%s stored in %s: %s in %s", params->path,
		    p->address.url,
		    text_human_size(result.original_bytes, original),
		    text_human_size(result.stored_bytes, stored));
	return 0;
}

/* Errors that another repository would have no better answer to. */
static bool
is_final(const struct err *err)
{
	return err->code == ERR_EXISTS || err->code == ERR_REFUSED ||
	    err->code == ERR_USAGE || err->code == ERR_CANCELLED ||
	    err->code == ERR_BUG;
}

/*
 * What was given up before is told where the WAL after it has come: from then
 * on it is a gap, and not the end of the archive.
 */
static void
tell_given_up(const struct place *p, const struct wal_push_params *params)
{
	const struct config *cfg = p->all->cfg;
	struct err err = ERR_INIT;
	struct wal_cluster c = { .pgdata = NULL };

	if (p != p->all->storing || !gap_waits(cfg->state_directory) ||
	    strlen(wal_base_name(params->path)) != WAL_SEGMENT_NAME_LEN)
		return;
	if (wal_cluster_find(&c, cfg->cluster, params->pgdata, params->path,
		&err) != 0 || gap_flush(cfg->state_directory, params->repo,
		&c.inc, c.control.wal_segment_size, &err) != 0)
		log_warning("the repository is not told yet which WAL was "
		    "given up: %s", err.msg);
	wal_cluster_free(&c);
}

static int
open_and_push(struct place *p, struct wal_push_params *params,
    struct err *err)
{
	struct repo *repo = NULL;
	int ret = -1;

	if (repo_open_configured(&repo, &p->address, err) == 0) {
		params->repo = repo;
		if (!p->is_local)
			wal_place_note(&p->remembered, repo);
		ret = p->all->cfg->push_all ?
		    wal_push_all(params, &p->salvaged, err) :
		    push_one(p, params, err);
		if (ret == 0) {
			note_pushed(p, repo);
			tell_given_up(p, params);
		}
	}
	repo_close(repo);
	return ret;
}

static void
params_for(struct place *p, struct wal_push_params *out)
{
	const struct config *cfg = p->all->cfg;

	*out = (struct wal_push_params){
		.cluster = cfg->cluster,
		.pgdata = wal_cluster_directory(cli_server_directory(cfg),
		    cfg->arguments[0]),
		.path = cfg->arguments[0],
		.compress_level = cfg->wal_compress_level,
		.jobs = p->all->jobs,
		.header_check = cfg->wal_header_check,
		.state_directory = cfg->state_directory,
	};
	if (cfg->push_success != PUSH_ALL || p->all->any) {
		out->stored = note_stored;
		out->stored_arg = p->all;
	}
	if (!p->is_local && !cfg->push_all)
		out->ahead = cfg->push_ahead;
}

/* Has an earlier call stored it there, as the record of that says? */
static bool
was_ahead(struct place *p)
{
	struct repo known = { .st = NULL };
	struct wal_push_params params;

	params_for(p, &params);
	if (params.ahead == 0 || !wal_place_known(&p->remembered, &known) ||
	    (p->address.id != NULL &&
		strcmp(p->address.id, known.id_text) != 0) ||
	    !wal_push_was_ahead(&params, &known))
		return false;
	log_debug("%s was stored ahead in %s", params.path, p->address.url);
	note_pushed(p, &known);
	return true;
}

static int
push_to(struct place *p, struct err *err)
{
	struct wal_push_params params;
	int ret;

	if (was_ahead(p))
		return 0;
	params_for(p, &params);
	/* After a failure one at a time, which a poor line may stand. */
	if (p->failing)
		params.ahead = 0;
	ret = open_and_push(p, &params, err);
	if (ret == 0 && p->failing)
		wal_place_note_success(&p->remembered);
	else if (ret != 0 && !is_final(err))
		wal_place_note_failure(&p->remembered);
	return ret;
}

/* Each place has its own outcome, in p->err. */
static int
run_place(void *unused, void *job, bool skip, struct err *never)
{
	struct place *p = job;

	(void)unused;
	(void)never;
	p->failed = !skip && push_to(p, &p->err) != 0;
	return 0;
}

/* In all, at the same time; the first error, the others are logged. */
static int
push_everywhere(struct places *all, struct err *err)
{
	struct pool *pool;
	unsigned i;
	int ret = 0;

	if (pool_new(&pool, all->n, all->n, 1, NULL, NULL, NULL, err) != 0)
		return -1;
	for (i = 0; i < all->n && ret == 0; i++)
		ret = pool_submit(pool, run_place, &all->places[i], err);
	if (ret == 0)
		ret = pool_finish(pool, err);
	pool_free(pool);
	for (i = 0; i < all->n && ret == 0; i++) {
		struct place *p = &all->places[i];

		if (!p->failed)
			continue;
		if (err->code == ERR_NONE)
			*err = p->err;
		else
			log_err(LOG_WARNING, &p->err);
	}
	return ret == 0 && err->code == ERR_NONE ? 0 : -1;
}

/*
 * In one, the first that takes it. Those that have failed lately come last.
 * What is told in the end is how the first in the configuration's order
 * failed.
 */
static int
push_anywhere(struct places *all, struct err *err)
{
	unsigned i, round;

	for (i = 0; i < all->n; i++)
		if (was_ahead(&all->places[i]))
			return 0;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < all->n; i++) {
			struct place *p = &all->places[i];

			if (p->failing != (round > 0))
				continue;
			all->storing = p;
			if (push_to(p, &p->err) == 0)
				return 0;
			if (is_final(&p->err)) {
				*err = p->err;
				return -1;
			}
			log_err(LOG_WARNING, &p->err);
		}
	}
	*err = all->places[0].err;
	return -1;
}

static int
push_by_rule(struct places *all, struct err *err)
{
	all->storing = &all->places[0];
	if (all->n > 1 && all->cfg->push_success == PUSH_ANY)
		return push_anywhere(all, err);
	if (all->n > 1 && all->cfg->push_success == PUSH_ALL)
		return push_everywhere(all, err);
	return push_to(all->storing, err);
}

/*
 * Before WAL is given up any repository that takes it will do; the others'
 * queues say what they lack.
 */
static bool
push_elsewhere(struct places *all)
{
	struct err err = ERR_INIT;
	unsigned i;

	if (all->n == 1 || all->cfg->push_success == PUSH_ANY)
		return false;
	all->any = true;
	for (i = 0; i < all->n; i++) {
		struct place *p = &all->places[i];

		if (all->cfg->push_success == PUSH_ALL ? p->failed : i == 0)
			continue; /* it has failed just now */
		all->storing = p;
		err_clear(&err);
		if (push_to(p, &err) == 0) {
			log_warning("%s is stored in repository %s alone for "
			    "now: more than archive-queue-max waits",
			    all->cfg->arguments[0], p->address.name);
			return true;
		}
		log_err(LOG_WARNING, &err);
	}
	return false;
}

static bool
give_up_now(const struct places *all, const struct wal_queue *q,
    const struct err *why)
{
	const struct config *cfg = all->cfg;
	char waiting[TEXT_SIZE_MAX], limit[TEXT_SIZE_MAX];
	struct err err = ERR_INIT;
	unsigned i;

	if (wal_queue_give_up(q, cfg->state_directory, why, &err) != 0) {
		log_err(LOG_ERROR, &err);
		return false; /* nobody would know */
	}
	log_error("WAL FILE %s IS GIVEN UP and will never be archived: %s of "
	    "WAL wait, more than archive-queue-max (%s), and archiving fails: "
	    "%s", q->file.name, text_human_size(q->waiting, waiting),
	    text_human_size(cfg->archive_queue_max, limit), why->msg);
	if (q->file.type == WAL_FILE_SEGMENT)
		log_error("nothing after it can be recovered until a new backup is "
	    "made: 'dapk-backup backup' as soon as archiving works again");
	for (i = 0; i < all->n && q->file.type == WAL_FILE_SEGMENT; i++) {
		const struct notes_of of = { cfg->state_directory,
			&all->places[i].address, cfg->cluster };

		notes_put_gap(&of, q->file.name);
	}
	return true;
}

/* Is it better to lose this file than to fill the disk? *err: the failure. */
static bool
give_up(struct places *all, const struct err *why, bool slow)
{
	const struct config *cfg = all->cfg;
	struct err err = ERR_INIT;
	struct wal_queue q = { .waiting = 0 };
	bool done = false;

	if (cfg->archive_queue_max == 0 || cfg->push_all ||
	    why->code == ERR_USAGE || why->code == ERR_CANCELLED)
		return false;
	if (wal_queue_find(&q, cfg->cluster, wal_cluster_directory(
		cli_server_directory(cfg), cfg->arguments[0]),
		cfg->arguments[0], &err) != 0)
		log_err(LOG_WARNING, &err);
	else if (q.may_go && q.waiting > cfg->archive_queue_max) {
		log_err(LOG_WARNING, why);
		done = push_elsewhere(all) || give_up_now(all, &q, why);
		if (done && slow && !is_final(why))
			wal_queue_note_slow(&q, cfg->state_directory, why);
	}
	wal_queue_free(&q);
	return done;
}

/* Does any of them answer at all, now? */
static bool
any_answers(const struct places *all)
{
	struct err why = ERR_INIT;
	struct repo *repo;
	unsigned i;

	for (i = 0; i < all->n; i++) {
		if (repo_open_within(&repo, &all->places[i].address, LOOK_MS,
		    &why) == 0) {
			repo_close(repo);
			return true;
		}
		log_err(LOG_DEBUG, &why);
		err_clear(&why);
	}
	return false;
}

/* Lately the stores were waited for in vain, and the queue is full. */
static bool
give_up_at_once(const struct places *all)
{
	const struct config *cfg = all->cfg;
	struct err why = ERR_INIT, ignored = ERR_INIT;
	struct wal_queue q = { .waiting = 0 };
	bool done, just;

	if (cfg->archive_queue_max == 0 || cfg->push_all)
		return false;
	done = wal_queue_find(&q, cfg->cluster, wal_cluster_directory(
		cli_server_directory(cfg), cfg->arguments[0]),
		cfg->arguments[0], &ignored) == 0 && q.may_go &&
	    q.waiting > cfg->archive_queue_max &&
	    wal_queue_was_slow(&q, cfg->state_directory, &just, &why);
	if (done && !just) {
		done = !any_answers(all);
		if (done)
			wal_queue_note_silent(&q, cfg->state_directory);
	}
	done = done && give_up_now(all, &q, &why);
	wal_queue_free(&q);
	return done;
}

static int
show_salvage(const struct wal_salvage_result *r, bool header_check)
{
	char lsn[LSN_TEXT_MAX], time[TIME_TEXT_MAX];

	(void)printf("stored %" PRIu64 " files, %" PRIu64
	    " were stored already, %" PRIu64 " failed\n", r->pushed,
	    r->already, r->failed);
	if (r->skipped != 0)
		(void)printf("%" PRIu64 " segments hold no WAL yet%s\n",
		    r->skipped, header_check ? "" : ", or may not");
	if (r->reached != 0)
		(void)printf("WAL reaches %s on timeline %" PRIu32 "\n",
		    lsn_format(r->reached, lsn), r->timeline);
	if (r->last_commit_time != 0)
		(void)printf("last transaction: %s\n",
		    time_format_local(r->last_commit_time, time));
	return r->failed > 0 ? EXIT_FOUND : EXIT_DONE;
}

/* What each repository got; with rule `all` there are several. */
static int
show_all(const struct places *all)
{
	bool several = all->n > 1 && all->cfg->push_success == PUSH_ALL;
	int code = EXIT_DONE, rc;
	unsigned i;

	for (i = 0; i < all->n; i++) {
		const struct place *p = &all->places[i];

		if (!several && p != all->storing)
			continue;
		if (several)
			(void)printf("repository %s: ", p->address.name);
		rc = show_salvage(&p->salvaged, all->cfg->wal_header_check);
		if (rc != EXIT_DONE)
			code = rc;
	}
	return code;
}

static void
places_init(struct places *all, const struct config *cfg)
{
	uint64_t patience = PATIENCE_MS;
	unsigned i;

	all->cfg = cfg;
	all->n = 1 + cfg->n_others;
	all->places = xcalloc(all->n, sizeof(*all->places));
	all->jobs = cfg->jobs;
	all->storing = NULL;
	all->any = false;
	memset(&all->inc, 0, sizeof(all->inc));
	if (all->n > 1 && cfg->push_success == PUSH_ALL) {
		all->jobs /= all->n;
		if (all->jobs == 0)
			all->jobs = 1;
	}
	if (all->n > 1 && cfg->push_success == PUSH_ANY)
		patience = PATIENCE_ANY_MS;
	for (i = 0; i < all->n; i++) {
		struct place *p = &all->places[i];

		p->all = all;
		p->address = *config_repository(cfg, i); /* borrowed */
		if (p->address.timeout_ms > patience && !cfg->push_all)
			p->address.timeout_ms = patience;
		p->is_local = storage_is_local(p->address.url);
		if (p->is_local && all->n == 1)
			continue; /* nothing to remember: no state is needed */
		wal_place_init(&p->remembered, cfg->state_directory,
		    &p->address);
		p->failing = wal_place_failing(&p->remembered);
	}
}

static void
places_free(struct places *all)
{
	unsigned i;

	for (i = 0; i < all->n; i++) {
		queue_close(all->places[i].queue);
		wal_place_free(&all->places[i].remembered);
	}
	free(all->places);
}

int
cmd_archive_push(const struct config *cfg, struct err *err)
{
	const int64_t begun = time_monotonic();
	struct places all;
	int code = -1;

	places_init(&all, cfg);
	if (give_up_at_once(&all)) {
		code = EXIT_DONE;
	} else if (push_by_rule(&all, err) == 0) {
		code = cfg->push_all ? show_all(&all) : EXIT_DONE;
		if (cfg->archive_queue_max != 0)
			wal_queue_forget_slow(cfg->cluster,
			    cfg->state_directory);
	} else {
		note_failed(&all, err);
		if (give_up(&all, err, time_monotonic() - begun > SLOW_US))
			code = EXIT_DONE;
	}
	if (code >= 0 && all.n > 1)
		wake_others(&all);
	places_free(&all);
	return code;
}
