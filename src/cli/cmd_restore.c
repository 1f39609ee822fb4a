/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "restore/restore.h"
#include "wal/push.h"

struct display {
	struct progress bar;
	struct restore_progress counts;
};

static void
tick(void *arg)
{
	struct display *d = arg;

	progress_update(&d->bar, "restoring",
	    atomic_load(&d->counts.done_bytes),
	    atomic_load(&d->counts.total_bytes));
}

/* What is wrong with the command line is said before anything is opened. */
static int
check_target(const struct config *cfg, struct err *err)
{
	int64_t time;
	uint64_t number;
	pg_lsn lsn;
	bool assumed_local;

	switch (cfg->target) {
	case TARGET_TIME:
		if (time_parse(cfg->target_value, &time, &assumed_local,
		    err) != 0)
			return err_wrap(err, "--target-time");
		return 0;
	case TARGET_XID:
		if (text_u64(cfg->target_value, UINT64_MAX, &number) &&
		    number >= 3)
			return 0;
		return err_set(err, ERR_USAGE, "--target-xid=%s: must be a "
		    "transaction's number, 3 or more", cfg->target_value);
	case TARGET_LSN:
		if (lsn_parse(cfg->target_value, &lsn))
			return 0;
		return err_set(err, ERR_USAGE, "--target-lsn=%s: must be a "
		    "WAL location such as 0/3000028", cfg->target_value);
	case TARGET_NAME:
		if (strlen(cfg->target_value) < 64)
			return 0;
		return err_set(err, ERR_USAGE, "--target-name: a restore "
		    "point's name has at most 63 bytes");
	case TARGET_DEFAULT:
	case TARGET_IMMEDIATE:
	case TARGET_LATEST:
		return 0;
	}
	return 0;
}

static int
check_combination(const struct config *cfg, struct err *err)
{
	bool to_end = cfg->target == TARGET_DEFAULT ||
	    cfg->target == TARGET_LATEST;

	if (cfg->restore_dir == NULL) {
		(void)err_set(err, ERR_USAGE,
		    "the directory to restore into is missing");
		return err_hint(err, "add -D DIR: one that is empty or does "
		    "not exist");
	}
	if (cfg->exclusive && (to_end || cfg->target == TARGET_IMMEDIATE ||
	    cfg->target == TARGET_NAME))
		return err_set(err, ERR_USAGE, "--exclusive needs one of "
		    "--target-time, --target-xid and --target-lsn");
	if (cfg->action != ACTION_PROMOTE && to_end)
		return err_set(err, ERR_USAGE, "--action needs a target: at "
		    "the end of all WAL PostgreSQL always promotes");
	if (cfg->standby && !to_end)
		return err_set(err, ERR_USAGE, "--standby follows its "
		    "primary without end and takes no target");
	if (cfg->primary_conninfo != NULL && !cfg->standby)
		return err_set(err, ERR_USAGE,
		    "--primary-conninfo needs --standby");
	if (cfg->force && !cfg->delta)
		return err_set(err, ERR_USAGE, "--force needs --delta: a "
		    "restore never overwrites by itself");
	if (cfg->port != 0 && !cfg->start)
		return err_set(err, ERR_USAGE, "--port needs --start");
	return check_target(cfg, err);
}

/* This program's own path, for restore_command. */
static int
own_path(char out[PATH_MAX], struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (n < 0)
		return err_sys(err, errno, "readlink /proc/self/exe");
	out[n] = '\0';
	return 0;
}

static void
print_reached(const struct config *cfg, const struct restore_reached *r)
{
	char lsn[LSN_TEXT_MAX], time[TIME_TEXT_MAX];

	(void)printf("reached %s on timeline %" PRIu32, lsn_format(r->lsn,
	    lsn), r->timeline);
	if (r->last_commit_time != 0)
		(void)printf(", last transaction %s",
		    time_format_local(r->last_commit_time, time));
	(void)printf("\n");
	if (cfg->action == ACTION_SHUTDOWN) {
		(void)printf("the server was shut down at the target, as "
		    "asked\n");
		return;
	}
	(void)printf("the server runs%s: psql -h %s -p %u\n",
	    cfg->standby ? " as a standby" :
	    cfg->action == ACTION_PAUSE ?
		" and has paused at the target" : "",
	    r->socket_directory, r->port);
	if (cfg->action == ACTION_PAUSE)
		(void)printf("to go on: SELECT pg_wal_replay_resume();\n");
	if (r->socket_temporary)
		(void)printf("the directory %s was made for its socket: "
		    "remove it when this server has been stopped\n",
		    r->socket_directory);
}

static void
print_start(const struct restore_plan *plan, const struct config *cfg)
{
	char *command = restore_start_command(plan);

	(void)printf("restored into %s; to start it:\n  %s\n",
	    cfg->restore_dir, command);
	if (restore_start_needs_options(plan))
		(void)printf("without these options it would look for its "
		    "data or configuration where the source had them\n");
	(void)printf("recovery then reads WAL from the repository; its "
	    "progress is in that log\n");
	free(command);
}

/* The last thing that a tired reader sees. */
static void
print_archiving(const struct config *cfg)
{
	if (cfg->keep_archiving || cfg->standby)
		return;
	(void)printf("ARCHIVING IS OFF in the restored server. If it takes "
	    "the old one's place, turn it on: remove the line archive_mode "
	    "from %s/postgresql.auto.conf, restart, type dapk-backup check, "
	    "and take a backup at once: dapk-backup backup\n",
	    cfg->restore_dir);
}

/* What a delta restore did, for who has to explain it tomorrow. */
static void
print_delta(const struct restore_result *r)
{
	char equal[TEXT_SIZE_MAX], written[TEXT_SIZE_MAX];

	if (!r->delta)
		return;
	(void)printf("%s were equal already, %s were fetched and written: "
	    "%" PRIu64 " files changed, %" PRIu64 " new, %" PRIu64
	    " untouched\n", text_human_size(r->equal_bytes, equal),
	    text_human_size(r->written_bytes, written), r->changed_files,
	    r->new_files, r->equal_files);
	(void)printf("removed, since the backup does not have them: %" PRIu64
	    " files, %" PRIu64 " directories, %" PRIu64 " links\n",
	    r->removed_files, r->removed_directories, r->removed_links);
	if (r->kept_wal > 0)
		(void)printf("%" PRIu64 " WAL files that are in no repository "
		    "were moved into %s: look whether they are needed before "
		    "you remove them\n", r->kept_wal, r->kept_wal_dir);
}

/* The exit code, and the last word, of a restore that lost something. */
static int
print_damage(const struct restore_result *r)
{
	if (r->damage_lines == 0)
		return EXIT_DONE;
	(void)printf("DATA IS LOST: %" PRIu64 " blocks could not be restored "
	    "and hold zeros now; %s names them (%" PRIu64 " lines). Reading "
	    "their tables fails or gives less than there was: dump what is "
	    "left, and do not go on with this cluster\n", r->lost_blocks,
	    r->damage_list, r->damage_lines);
	return EXIT_DAMAGED;
}

static int
run_plan(struct restore_plan *plan, const struct config *cfg,
    struct display *d, struct err *err)
{
	const struct restore_result *result = restore_plan_result(plan);
	struct restore_reached reached = { 0 };
	int ret;

	restore_plan_print(plan, stdout);
	if (cli_flush(err) != 0)
		return -1;
	if (cfg->dry_run) {
		if (restore_plan_rehearse(plan, err) != 0)
			return -1;
		(void)printf("nothing was written (--dry-run)\n");
		return EXIT_DONE;
	}
	progress_start(&d->bar, cfg);
	ret = restore_apply(plan, err);
	progress_end(&d->bar);
	if (ret != 0)
		return -1;
	print_delta(result);
	if (!cfg->start) {
		print_start(plan, cfg);
		print_archiving(cfg);
		return print_damage(result);
	}
	if (restore_start(plan, &reached, err) != 0)
		return -1;
	print_reached(cfg, &reached);
	print_archiving(cfg);
	return print_damage(result);
}

static bool
is_wanted(void *plan, const char *name)
{
	return restore_plan_wal_wanted(plan, name);
}

/*
 * WAL that the old directory's server did not get to archive: it goes into
 * the repository first, and may then be recovered too. Where that fails it is
 * moved aside by the restore. *archived: something was.
 */
static void
archive_left(struct restore_plan *plan, const struct config *cfg,
    struct repo *repo, bool *archived)
{
	struct wal_push_params params = {
		.repo = repo,
		.cluster = cfg->cluster,
		.path = cfg->restore_dir,
		.compress_level = cfg->wal_compress_level,
		.jobs = cfg->jobs,
		.header_check = cfg->wal_header_check,
		.want = is_wanted,
		.want_arg = plan,
	};
	struct wal_salvage_result r = { 0 };
	struct err err = ERR_INIT;
	size_t wanted;

	*archived = false;
	(void)restore_plan_wal_left(plan, &wanted);
	if (wanted == 0 || cfg->dry_run)
		return;
	if (wal_push_all(&params, &r, &err) != 0) {
		log_err(LOG_WARNING, &err);
		log_warning("WAL that is not in the repository could not be "
		    "archived: it is moved aside instead");
	}
	if (r.pushed > 0)
		log_info("archived %" PRIu64 " WAL files of %s that were not "
		    "in the repository", r.pushed, cfg->restore_dir);
	*archived = r.pushed > 0;
}

static int
make_plan(struct restore_plan **plan, struct restore_params *params,
    struct err *err)
{
	bool archived;

	if (restore_choose(plan, params, err) != 0)
		return -1;
	archive_left(*plan, params->config, params->repo, &archived);
	if (!archived)
		return 0;
	restore_plan_free(*plan);
	*plan = NULL;
	return restore_plan(plan, params, err);
}

int
cmd_restore(const struct config *cfg, struct err *err)
{
	struct display d = { 0 };
	struct restore_plan *plan = NULL;
	struct restore_params params = {
		.config = cfg,
		.progress = &d.counts,
		.tick = tick,
		.tick_arg = &d,
	};
	char program[PATH_MAX];
	int ret = -1;

	if (check_combination(cfg, err) != 0 || own_path(program, err) != 0)
		return -1;
	params.program = program;
	if (make_plan(&plan, &params, err) == 0)
		ret = run_plan(plan, cfg, &d, err);
	restore_plan_free(plan);
	repo_close(params.repo);
	return ret;
}
