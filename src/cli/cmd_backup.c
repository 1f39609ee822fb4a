/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>

#include "backup/backup.h"
#include "cli/expire_show.h"
#include "cli/hook.h"
#include "cli/progress.h"
#include "copy/mirror.h"
#include "core/log.h"
#include "core/text.h"
#include "core/time.h"

#define DAMAGED_SHOWN 10

struct display {
	struct progress bar;
	struct backup_progress counts;
};

static void
tick(void *arg)
{
	static const char *const phases[] = {
		[BACKUP_PHASE_CHECKPOINT] = "waiting for the checkpoint",
		[BACKUP_PHASE_COPY] = "copying",
		[BACKUP_PHASE_WAIT_WAL] = "waiting for WAL in the repository",
		[BACKUP_PHASE_COMMIT] = "finishing",
	};
	struct display *d = arg;
	unsigned phase = atomic_load(&d->counts.phase);

	if (phase > BACKUP_PHASE_COMMIT)
		phase = BACKUP_PHASE_COPY;
	progress_update(&d->bar, phases[phase],
	    atomic_load(&d->counts.done_bytes), phase == BACKUP_PHASE_COPY ?
	    atomic_load(&d->counts.total_bytes) : 0);
}

static void
print_summary(const struct commit *c, double seconds)
{
	char original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX],
	    rate[TEXT_SIZE_MAX], start[LSN_TEXT_MAX], stop[LSN_TEXT_MAX],
	    begun[TIME_TEXT_MAX], ended[TIME_TEXT_MAX];

	(void)printf("backup %s\n", c->label);
	(void)printf("  size      %s in %" PRIu64 " files, %s stored\n",
	    text_human_size(c->original_bytes, original), c->files,
	    text_human_size(c->stored_bytes, stored));
	(void)printf("  took      %.1f s, %s/s\n", seconds,
	    text_human_size(seconds > 0 ? (uint64_t)
		((double)c->original_bytes / seconds) : 0, rate));
	(void)printf("  time      %s to %s\n",
	    time_format_local(c->start_time, begun),
	    time_format_local(c->stop_time, ended));
	(void)printf("  WAL       %s to %s on timeline %" PRIu32 ", %s to "
	    "%s\n", lsn_format(c->start_lsn, start),
	    lsn_format(c->stop_lsn, stop), c->timeline, c->wal_first,
	    c->wal_last);
}

static void
print_damaged(const struct commit *c)
{
	size_t i;

	log_error("%" PRIu64 " damaged page%s in the database; the backup is "
	    "complete and holds them as they are", c->damaged_count,
	    c->damaged_count == 1 ? "" : "s");
	for (i = 0; i < c->n_damaged && i < DAMAGED_SHOWN; i++) {
		const struct damaged_page *d = &c->damaged[i];

		log_error("damaged: %s block %" PRIu64 ": %s, expected %04x, "
		    "found %04x", d->path, d->block, d->reason, d->expected,
		    d->found);
	}
	if (c->damaged_count > DAMAGED_SHOWN)
		log_error("and %" PRIu64 " more: dapk-backup info --json "
		    "lists them", c->damaged_count - DAMAGED_SHOWN);
	log_error("what to do: keep the older backups; find the relation with "
	    "\"SELECT oid::regclass FROM pg_class WHERE "
	    "pg_relation_filepath(oid) = 'PATH'\"; an index is repaired by "
	    "REINDEX, a table from an older backup; check memory and disk");
}

static int
run(const struct config *cfg, struct hook *hook, struct err *err)
{
	struct display d = { 0 };
	struct repo *repo = NULL;
	struct commit commit = { 0 };
	struct backup_params params = {
		.cluster = cfg->cluster,
		.pgdata = cfg->pgdata,
		.conninfo = cfg->conninfo,
		.stream = cfg->method == METHOD_STREAM,
		.from = (enum source_from)cfg->backup_from,
		.jobs = cfg->jobs,
		.compress_level = cfg->compress_level,
		.max_rate = cfg->max_rate,
		.checkpoint_fast = cfg->checkpoint == CHECKPOINT_FAST,
		.lease_ms = cfg->lease_ms,
		.archive_timeout_ms = cfg->archive_timeout_ms,
		.full = cfg->full,
		.refresh_age_ms = cfg->refresh_age_ms,
		.full_read_every_ms = cfg->full_read_every_ms,
		.dry_run = cfg->dry_run,
		.progress = &d.counts,
		.tick = tick,
		.tick_arg = &d,
	};
	int64_t begun = time_monotonic();
	char size[TEXT_SIZE_MAX];
	int ret;

	if (cli_open_repo(&repo, cfg, err) != 0)
		return -1;
	if (!cfg->dry_run && (cli_check_hold(cfg, repo, err) != 0 ||
	    hook_before(hook, err) != 0)) {
		repo_close(repo);
		return -1;
	}
	params.repo = repo;
	progress_start(&d.bar, cfg);
	ret = backup_run(&params, &commit, err);
	progress_end(&d.bar);
	if (!cfg->dry_run)
		cli_note_set(cfg, REPO_BACKUP, repo, &commit,
		    ret == 0 ? NULL : err);
	if (ret == 0 && !cfg->dry_run)
		cli_note_server(cfg);
	if (ret == 0 && cfg->dry_run) {
		(void)printf("would copy %s of cluster %s into %s\n",
		    text_human_size(commit.original_bytes, size),
		    cfg->cluster, cfg->repo.url);
	} else if (ret == 0) {
		hook_stored(hook, &commit);
		if (!cfg->quiet)
			print_summary(&commit,
			    (double)(time_monotonic() - begun) / 1e6);
		if (commit.damaged_count > 0) {
			print_damaged(&commit);
			ret = EXIT_FOUND;
		}
		/* Before the mirror begins: both want the same lease. */
		expire_after(cfg);
		mirror_tell(cfg, repo, &commit.inc, REPO_BACKUP,
		    commit.label);
	}
	commit_free(&commit);
	repo_close(repo);
	return ret;
}

int
cmd_backup(const struct config *cfg, struct err *err)
{
	struct hook hook;

	hook_init(&hook, cfg, "backup", COMMAND_BACKUP, cfg->dry_run);
	return hook_end(&hook, run(cfg, &hook, err), err);
}
