/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which backup, along which timelines, and the proof that recovery will find
 * its target in what is stored. Everything here only reads the repository.
 *
 * The candidates are all backups of the incarnation, newest first. A time or
 * LSN is looked for from the newest backup that ended before it; where a
 * transaction or a restore point lies is not known beforehand, so each backup
 * is tried in turn (TRAPS T98).
 */
#include "config.h"

#include "restore/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/keyring.h"
#include "repo/gap.h"
#include "repo/commits.h"
#include "repo/walview.h"
#include "restore/proof.h"
#include "restore/refuse.h"
#include "restore/walleft.h"

#define TARGET_TEXT_MAX ((size_t)512)

struct candidate {
	struct commit c; /* without its packs and manifest parts */
	struct history path;
	bool has_path;
};

struct candidates {
	struct candidate *list; /* newest first */
	size_t n;
};

void
plan_note(struct restore_plan *plan, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_printf(&plan->notes, "%s\n", line);
}

static void
candidates_free(struct candidates *cs)
{
	size_t i;

	for (i = 0; i < cs->n; i++) {
		commit_free(&cs->list[i].c);
		if (cs->list[i].has_path)
			history_free(&cs->list[i].path);
	}
	free(cs->list);
}

static const char *
url_of(const struct restore_plan *plan)
{
	return storage_url(plan->params.repo->st);
}

/* The lists of a large backup would fill memory when every backup has one. */
static void
trim(struct commit *c)
{
	size_t i;

	free(c->packs);
	c->packs = NULL;
	c->n_packs = 0;
	free(c->parts);
	c->parts = NULL;
	c->n_parts = 0;
	for (i = 0; i < c->n_damaged; i++)
		free(c->damaged[i].path);
	free(c->damaged);
	c->damaged = NULL;
	c->n_damaged = 0;
}

static int
load_incarnation(struct restore_plan *plan, const struct incarnation *inc,
    struct candidates *cs, struct err *err)
{
	char (*labels)[FORMAT_LABEL_MAX] = NULL;
	const char *want = plan->config->backup;
	struct err e = ERR_INIT;
	struct commits *commits;
	struct commit *c;
	size_t i, n = 0;
	int ret = -1;

	if (catalogue_backups(plan->params.repo, inc, &labels, &n, NULL,
		err) != 0)
		return -1;
	commits = commits_new(plan->params.repo, inc, REPO_BACKUP, labels, n);
	cs->list = xreallocarray(cs->list, cs->n + n + 1, sizeof(*cs->list));
	for (i = 0; i < n; i++) {
		if (cancel_check(err) != 0)
			goto out;
		if (want != NULL && strncmp(labels[i], want, strlen(want)) != 0)
			continue;
		memset(&cs->list[cs->n], 0, sizeof(cs->list[0]));
		c = &cs->list[cs->n].c;
		if (commits_take(commits, i, c, &e) != 0) {
			if (e.code != ERR_DAMAGED || want != NULL) {
				*err = e;
				goto out;
			}
			log_err(LOG_WARNING, &e);
			plan_note(plan, "backup %s is passed over: its commit "
					"is damaged", labels[i]);
			continue;
		}
		trim(c);
		cs->n++;
	}
	ret = 0;
out:
	commits_free(commits);
	free(labels);
	return ret;
}

static int
newest_first(const void *a, const void *b)
{
	const struct commit *x = &((const struct candidate *)a)->c;
	const struct commit *y = &((const struct candidate *)b)->c;

	if (x->stop_time != y->stop_time)
		return x->stop_time > y->stop_time ? -1 : 1;
	if (x->stop_lsn != y->stop_lsn)
		return x->stop_lsn > y->stop_lsn ? -1 : 1;
	return strcmp(y->label, x->label);
}

static bool
same_incarnation(const struct incarnation *a, const struct incarnation *b)
{
	return a->major == b->major && a->system_id == b->system_id;
}

/* Keep only the backups of the newest one's incarnation. */
static void
keep_newest_incarnation(struct restore_plan *plan, struct candidates *cs,
    size_t n_incarnations)
{
	size_t i, kept = 0;

	for (i = 0; i < cs->n; i++) {
		if (same_incarnation(&cs->list[i].c.inc, &plan->inc))
			cs->list[kept++] = cs->list[i];
		else
			commit_free(&cs->list[i].c);
	}
	if (n_incarnations > 1)
		plan_note(plan,
		    "cluster %s has been %zu different systems (pg_upgrade or "
		    "a new initdb): the one with the newest backup is meant, "
		    "PostgreSQL %d, system identifier %llu (--backup LABEL "
		    "chooses another)",
		    plan->inc.cluster, n_incarnations, plan->inc.major,
		    (unsigned long long)plan->inc.system_id);
	cs->n = kept;
}

/* Is it a dump's label? Then *err says so. */
static int
look_for_dump(const struct restore_plan *plan, bool *found, struct err *err)
{
	const struct config *c = plan->config;
	struct incarnation *list = NULL;
	size_t i, n = 0;
	int rc;

	*found = false;
	rc = repo_incarnations(plan->params.repo, c->cluster, &list, &n, err);
	for (i = 0; rc == 0 && i < n && !*found; i++)
		rc = catalogue_other_kind(plan->params.repo, &list[i],
		    REPO_BACKUP, c->backup, found, err);
	free(list);
	if (*found)
		err->code = ERR_REFUSED;
	return rc;
}

static int
no_backup(const struct restore_plan *plan, struct err *err)
{
	const struct config *c = plan->config;
	bool dump;

	if (c->backup != NULL) {
		if (look_for_dump(plan, &dump, err) != 0 || dump)
			return -1;
		err_set(err, ERR_REFUSED,
		    "cluster %s has no backup %s in %s", c->cluster, c->backup,
		    url_of(plan));
		return err_hint(err, "dapk-backup info lists the backups");
	}
	err_set(err, ERR_REFUSED, "cluster %s has no backup in %s", c->cluster,
	    url_of(plan));
	return err_hint(err,
	    "dapk-backup info lists what is stored; --cluster names another "
	    "cluster, --repository-url another repository");
}

/* All backups that could be meant, newest first, and their incarnation. */
static int
load_candidates(struct restore_plan *plan, struct candidates *cs,
    struct err *err)
{
	struct incarnation *incs = NULL;
	size_t i, n = 0;
	int ret = -1;

	if (repo_incarnations(plan->params.repo, plan->config->cluster, &incs,
		&n, err) != 0)
		return -1;
	for (i = 0; i < n; i++)
		if (load_incarnation(plan, &incs[i], cs, err) != 0)
			goto out;
	if (cs->n == 0) {
		no_backup(plan, err);
		goto out;
	}
	if (plan->config->backup != NULL && cs->n > 1) {
		err_set(err, ERR_USAGE,
		    "--backup %s is not unique: %s and %s begin with it",
		    plan->config->backup, cs->list[0].c.label,
		    cs->list[1].c.label);
		goto out;
	}
	qsort(cs->list, cs->n, sizeof(*cs->list), newest_first);
	plan->inc = cs->list[0].c.inc;
	if (plan->config->backup == NULL)
		keep_newest_incarnation(plan, cs, n);
	ret = 0;
out:
	free(incs);
	return ret;
}

/*
 * The way of each backup to the wanted timeline. "latest" is meant for the
 * whole archive: when the highest timeline is not reached from the newest
 * backup (an old primary that went on), backups on the way to it are taken.
 */
static int
find_paths_in(struct restore_plan *plan, struct walview *view,
    struct candidates *cs, struct err *err)
{
	struct err refused = ERR_INIT, e = ERR_INIT;
	struct candidate *ca;
	uint32_t highest = 0;
	size_t i, found = 0;

	for (i = 0; i < cs->n; i++) {
		ca = &cs->list[i];
		if (wal_reach_path_view(view, plan->timeline,
			ca->c.timeline, ca->c.stop_lsn, &ca->path, &e) != 0) {
			if (e.code != ERR_REFUSED && e.code != ERR_NOT_FOUND) {
				*err = e;
				return -1;
			}
			if (refused.code == ERR_NONE)
				refused = e;
			err_clear(&e);
			continue;
		}
		ca->has_path = true;
		found++;
		if (ca->path.timeline > highest)
			highest = ca->path.timeline;
	}
	if (found == 0) {
		*err = refused;
		refuse_hint_timelines(plan, err);
		return -1;
	}
	if (strcmp(plan->timeline, "latest") != 0)
		return 0;
	if (refuse_abandoned(plan, highest, err) != 0)
		return -1;
	for (i = 0; i < cs->n; i++) {
		ca = &cs->list[i];
		if (!ca->has_path || ca->path.timeline == highest)
			continue;
		plan_note(plan,
		    "backup %s is passed over: it does not lead to the latest "
		    "timeline %u (--timeline %u does)", ca->c.label,
		    (unsigned)highest, (unsigned)ca->c.timeline);
		history_free(&ca->path);
		ca->has_path = false;
	}
	return 0;
}

/* Histories are asked of the store once. */
static int
find_paths(struct restore_plan *plan, struct candidates *cs, struct err *err)
{
	struct walview *view = walview_new(plan->params.repo, &plan->inc);
	int ret = find_paths_in(plan, view, cs, err);

	walview_free(view);
	return ret;
}

/* Does the backup end before the target (TRAPS T87)? */
static bool
ends_before_target(const struct restore_plan *plan, const struct commit *c)
{
	if (plan->target == TARGET_TIME)
		return c->stop_time < plan->want.time;
	if (plan->target == TARGET_LSN)
		return c->stop_lsn <= plan->want.lsn;
	return true;
}

/*
 * Does recovery from this backup reach the target? 0: yes, and plan->reach
 * and plan->found say where. ERR_REFUSED: no.
 */
static int
judge(struct restore_plan *plan, const struct candidate *ca, struct err *err)
{
	struct repo *repo = plan->params.repo;
	struct wal_reach *r = &plan->reach;

	memset(&plan->found, 0, sizeof(plan->found));
	if (wal_reach(repo, &ca->c, &ca->path, r, err) != 0)
		return -1;
	if (r->end < ca->c.stop_lsn)
		return refuse_incomplete(&ca->c, r, err);
	plan->path = ca->path; /* borrowed for messages */
	if (plan->target == TARGET_IMMEDIATE)
		return 0;
	if (plan->target == TARGET_LATEST) {
		/* Short of the fork it would not be that timeline at all. */
		if (r->fork != 0 && (r->past_fork || r->end < r->fork))
			return refuse_fork(plan, &ca->c, r, err);
		if (r->gap && !r->conflict && plan->config->standby) {
			plan_note(plan, "WAL segment %s is missing: the "
					"primary must still have it",
			    r->missing);
			return 0;
		}
		if (!r->gap || refuse_gap(&ca->c, r, err) == 0)
			return 0;
		return gap_explain(repo, &ca->c.inc, r->missing, err);
	}
	if (wal_reach_find(repo, &ca->c, &ca->path, r, &plan->want,
		&plan->found, err) != 0)
		return -1;
	if (plan->found.found || refuse_not_found(plan, &ca->c, r, err) == 0)
		return 0;
	return r->gap ? gap_explain(repo, &ca->c.inc, r->missing, err) : -1;
}

/*
 * A transaction or restore point that is not on this path may be on another:
 * an earlier recovery left it behind.
 */
static void
hint_elsewhere(struct restore_plan *plan, const struct candidate *oldest,
    struct err *err)
{
	struct candidate other = *oldest; /* its commit is borrowed */
	struct err ignored = ERR_INIT; /* the refusal is the one to tell */
	uint32_t *list = NULL;
	size_t i, n = 0;
	char name[PLAN_TIMELINE_MAX];
	bool found = false;

	if (wal_store_timelines(plan->params.repo, &plan->inc, &list, &n,
		&ignored) != 0)
		return;
	for (i = n; i-- > 0 && !found;) {
		(void)snprintf(name, sizeof(name), "%u", (unsigned)list[i]);
		if (list[i] == oldest->path.timeline ||
		    wal_reach_path(plan->params.repo, &plan->inc, name,
			other.c.timeline, other.c.stop_lsn, &other.path,
			&ignored) != 0)
			continue;
		found = judge(plan, &other, &ignored) == 0;
		history_free(&other.path);
	}
	if (found) {
		err->hint[0] = '\0';
		err_hint(err, "it is on timeline %s: add --timeline %s", name,
		    name);
	}
	free(list);
}

/* No backup ends before the target, or all that do are damaged. */
static int
refuse_too_early(const struct restore_plan *plan, const struct candidates *cs,
    struct err *err)
{
	const struct commit *first = NULL, *damaged = NULL;
	struct buf b;
	char text[TIME_TEXT_MAX], local[TIME_TEXT_MAX], lsn[LSN_TEXT_MAX];
	size_t i;

	for (i = 0; i < cs->n; i++) {
		if (!cs->list[i].has_path)
			continue;
		if (cs->list[i].c.damaged_count == 0 ||
		    plan->config->backup != NULL)
			first = &cs->list[i].c;
		else if (damaged == NULL &&
		    ends_before_target(plan, &cs->list[i].c))
			damaged = &cs->list[i].c;
	}
	buf_init(&b, TARGET_TEXT_MAX);
	plan_target_text(plan, &b);
	if (damaged != NULL) {
		err_set(err, ERR_REFUSED,
		    "no undamaged backup reaches %s: backup %s holds %llu "
		    "pages with wrong checksums", buf_str(&b), damaged->label,
		    (unsigned long long)damaged->damaged_count);
		err_hint(err, "--backup %s uses it all the same; dapk-backup "
			      "info lists the pages", damaged->label);
	} else if (first != NULL) {
		err_set(err, ERR_REFUSED,
		    "%s is not after the end of %s %s (%s, LSN %s)",
		    buf_str(&b),
		    plan->config->backup != NULL ? "backup" :
						   "the first backup",
		    first->label, time_format_local(first->stop_time, local),
		    lsn_format(first->stop_lsn, lsn));
		err_hint(err,
		    "the earliest target is just after %s, or --target "
		    "immediate --backup %s",
		    time_format(first->stop_time, text), first->label);
	} else
		err_set(err, ERR_REFUSED, "no backup reaches %s", buf_str(&b));
	buf_free(&b);
	return -1;
}

/* Try the candidates from the newest on; *chosen is the one that holds. */
static int
choose(struct restore_plan *plan, struct candidates *cs,
    struct candidate **chosen, struct err *err)
{
	const bool search = plan->target == TARGET_XID ||
	    plan->target == TARGET_NAME || plan->target == TARGET_IMMEDIATE;
	const bool named = plan->config->backup != NULL;
	struct err refused = ERR_INIT, e = ERR_INIT;
	struct candidate *ca, *oldest = NULL;
	size_t i;

	for (i = 0; i < cs->n; i++) {
		ca = &cs->list[i];
		if (cancel_check(err) != 0)
			return -1;
		if (!ca->has_path || !ends_before_target(plan, &ca->c))
			continue;
		if (ca->c.damaged_count != 0 && !named) {
			plan_note(plan, "backup %s is passed over: it holds "
					"%llu damaged pages", ca->c.label,
			    (unsigned long long)ca->c.damaged_count);
			continue;
		}
		if (judge(plan, ca, &e) == 0) {
			*chosen = ca;
			return 0;
		}
		/* What is lost or damaged for one may be whole for another. */
		if (e.code != ERR_REFUSED && e.code != ERR_NOT_FOUND &&
		    e.code != ERR_DAMAGED) {
			*err = e;
			return -1;
		}
		if (refused.code == ERR_NONE)
			refused = e;
		err_clear(&e);
		oldest = ca;
		if (!search)
			break;
	}
	if (refused.code == ERR_NONE)
		return refuse_too_early(plan, cs, err);
	*err = refused;
	if (plan->target == TARGET_XID || plan->target == TARGET_NAME)
		hint_elsewhere(plan, oldest, err);
	if (plan->target == TARGET_NAME)
		refuse_hint_names(plan, &oldest->path, err);
	return -1;
}

/* A warning for what the chosen one is, beside the proof. */
static void
note_backup(struct restore_plan *plan, const struct candidates *cs)
{
	if (plan->backup.damaged_count != 0) {
		plan_note(plan, "backup %s holds %llu pages with wrong "
				"checksums, chosen by --backup",
		    plan->backup.label,
		    (unsigned long long)plan->backup.damaged_count);
		log_warning("backup %s holds %llu damaged pages",
		    plan->backup.label,
		    (unsigned long long)plan->backup.damaged_count);
	}
	if (plan->found.use_lsn && plan->target == TARGET_TIME)
		plan_note(plan,
		    "no commit after the target time is stored, but WAL that "
		    "was written later: recovery gets the last record's LSN "
		    "as target");
	if (plan_recovery_timeline(plan) != plan->path.timeline)
		plan_note(plan, "nothing of timeline %u is stored after its "
		    "beginning: recovery is sent along timeline %u, where the "
		    "target lies", (unsigned)plan->path.timeline,
		    (unsigned)plan_recovery_timeline(plan));
	if (plan->reach.ends_in_partial &&
	    (!plan->found.found || plan->target == TARGET_LATEST))
		plan_note(plan, "the archive ends with the partial segment %s",
		    plan->reach.last_segment);
}

/*
 * Where nothing of a newer timeline is stored, PostgreSQL would look for it
 * all the same, and archive-get may not say that it is absent: a target that
 * lies before its fork is reached along the old timeline.
 */
uint32_t
plan_recovery_timeline(const struct restore_plan *plan)
{
	return plan->reach.fork != 0 && plan_has_target(plan) ?
	    plan->reach.end_timeline : plan->path.timeline;
}

/* The plan's backup and path become this candidate's, if all of it is there. */
static int
take(struct restore_plan *plan, struct candidate *ca, struct err *err)
{
	if (commit_get(plan->params.repo, &plan->inc, ca->c.label,
		&plan->backup, err) != 0)
		return -1;
	plan->path = ca->path;
	ca->has_path = false; /* now the plan's */
	if (proof_backup(plan, err) == 0)
		return 0;
	history_free(&plan->path);
	memset(&plan->path, 0, sizeof(plan->path));
	return -1;
}

/*
 * The newest that holds and is all there: one that lost packs is passed over
 * for an older one, unless it was asked for by name or with what is left.
 */
static int
choose_whole(struct restore_plan *plan, struct candidates *cs,
    struct err *err)
{
	const bool only = plan->config->backup != NULL ||
	    plan->config->allow_damage;
	struct candidate *chosen = NULL;
	struct err first = ERR_INIT, e = ERR_INIT;

	for (;;) {
		if (choose(plan, cs, &chosen, &e) != 0) {
			*err = first.code != ERR_NONE ? first : e;
			return -1;
		}
		if (take(plan, chosen, &e) == 0)
			break;
		if (only || e.code != ERR_DAMAGED) {
			*err = e;
			return -1;
		}
		plan_note(plan, "backup %s is passed over: %s",
		    chosen->c.label, e.msg);
		log_warning("backup %s is passed over: %s", chosen->c.label,
		    e.msg);
		if (first.code == ERR_NONE)
			first = e;
		err_clear(&e);
		commit_free(&plan->backup);
		memset(&plan->backup, 0, sizeof(plan->backup));
	}
	note_backup(plan, cs);
	return 0;
}

int
plan_choose(struct restore_plan *plan, struct err *err)
{
	struct candidates cs = { 0 };
	int ret = -1;

	if (plan_target_parse(plan, err) != 0)
		return -1;
	if (load_candidates(plan, &cs, err) != 0 ||
	    find_paths(plan, &cs, err) != 0 ||
	    choose_whole(plan, &cs, err) != 0)
		goto out;
	ret = proof_recovery(plan, err);
	if (ret != 0)
		history_free(&plan->path);
out:
	if (ret != 0)
		memset(&plan->path, 0, sizeof(plan->path));
	candidates_free(&cs);
	return ret;
}

int
plan_survey(struct restore_plan *plan, struct plan_survey *out,
    struct err *err)
{
	struct candidates cs = { 0 };
	struct candidate *chosen = NULL;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (plan_target_parse(plan, err) != 0)
		return -1;
	if (load_candidates(plan, &cs, err) == 0 &&
	    find_paths(plan, &cs, err) == 0 &&
	    choose(plan, &cs, &chosen, err) == 0) {
		out->backup_time = chosen->c.stop_time;
		out->system_id = plan->inc.system_id;
		out->major = plan->inc.major;
		out->timeline = chosen->path.timeline;
		out->end = plan->reach.end;
		ret = 0;
	}
	memset(&plan->path, 0, sizeof(plan->path)); /* was borrowed */
	candidates_free(&cs);
	return ret;
}

struct restore_plan *
plan_new(const struct restore_params *params)
{
	struct restore_plan *plan = xcalloc(1, sizeof(*plan));

	plan->params = *params;
	plan->config = params->config;
	buf_init(&plan->notes, PLAN_NOTES_MAX);
	return plan;
}

int
restore_plan(struct restore_plan **out, const struct restore_params *params,
    struct err *err)
{
	struct restore_plan *plan;

	*out = NULL;
	plan = plan_new(params);
	if (keyring_need(params->repo, err) != 0 ||
	    plan_choose(plan, err) != 0 || plan_destination(plan, err) != 0) {
		restore_plan_free(plan);
		return -1;
	}
	*out = plan;
	return 0;
}

const struct commit *
restore_plan_backup(const struct restore_plan *plan)
{
	return &plan->backup;
}

size_t
restore_plan_wal_left(const struct restore_plan *plan, size_t *wanted)
{
	const struct walleft *w = plan->wal_left;
	size_t i;

	*wanted = 0;
	for (i = 0; w != NULL && i < w->n; i++)
		*wanted += w->list[i].wanted;
	return w == NULL ? 0 : w->n;
}

bool
restore_plan_wal_wanted(const struct restore_plan *plan, const char *name)
{
	const struct walleft *w = plan->wal_left;
	size_t i;

	for (i = 0; w != NULL && i < w->n; i++)
		if (strcmp(w->list[i].name, name) == 0)
			return w->list[i].wanted;
	return false;
}

const struct restore_result *
restore_plan_result(const struct restore_plan *plan)
{
	return &plan->result;
}

void
restore_plan_free(struct restore_plan *plan)
{
	struct plan_settings *s;
	size_t i;

	if (plan == NULL)
		return;
	commit_free(&plan->backup);
	if (plan->path.entries != NULL)
		history_free(&plan->path);
	for (i = 0; i < plan->n_tablespaces; i++) {
		free(plan->tablespaces[i].from);
		free(plan->tablespaces[i].to);
	}
	free(plan->tablespaces);
	s = &plan->settings;
	free(s->archive_mode);
	free(s->max_connections);
	free(s->max_worker_processes);
	free(s->max_wal_senders);
	free(s->max_prepared_transactions);
	free(s->max_locks_per_transaction);
	free(plan->saved.config_file);
	free(plan->saved.hba_file);
	free(plan->saved.ident_file);
	free(plan->dir);
	free(plan->kept_wal_dir);
	wal_proof_free(&plan->proof);
	free(plan->damage_list);
	walleft_free(plan->wal_left);
	buf_free(&plan->notes);
	free(plan);
}
