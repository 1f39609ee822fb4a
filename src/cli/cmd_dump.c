/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/expire_show.h"
#include "cli/hook.h"
#include "cli/progress.h"
#include "copy/mirror.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "dump/dump.h"
#include "dump/globals.h"
#include "pg/conninfo.h"

struct display {
	struct progress bar;
	struct dump_progress counts;
};

static void
tick(void *arg)
{
	static const char *const phases[] = {
		[DUMP_PHASE_LOCK] = "locking tables, reading definitions",
		[DUMP_PHASE_COPY] = "dumping",
		[DUMP_PHASE_COMMIT] = "finishing",
	};
	struct display *d = arg;
	unsigned phase = atomic_load(&d->counts.phase);

	if (phase > DUMP_PHASE_COMMIT)
		phase = DUMP_PHASE_COPY;
	progress_update(&d->bar, phases[phase],
	    atomic_load(&d->counts.done_bytes), phase == DUMP_PHASE_COPY ?
	    atomic_load(&d->counts.total_bytes) : 0);
}

static const struct {
	const char *name; /* long, without -- */
	char letter;
	const char *why;
} refused[] = {
#define ROWS "rows are stored as COPY has them"
#define LATER "belongs to export and load: a dump can be written in every form"
	{ "inserts", 0, ROWS },
	{ "column-inserts", 0, ROWS },
	{ "attribute-inserts", 0, ROWS },
	{ "rows-per-insert", 0, ROWS },
	{ "on-conflict-do-nothing", 0, ROWS },
	{ "format", 'F', LATER },
	{ "file", 'f', LATER },
	{ "compress", 'Z', "--dump-compress-level says how dumps are "
	    "stored, and export has its own" },
	{ "snapshot", 0, "the dump takes its own, after the locks" },
	{ "no-synchronized-snapshots", 0,
	    "every connection reads the same snapshot" },
	{ "clean", 'c', LATER },
	{ "if-exists", 0, LATER },
	{ "create", 'C', LATER },
	{ "disable-triggers", 0, LATER },
	{ "use-set-session-authorization", 0, LATER },
	{ "no-sync", 0, "what is stored is always safe on disk" },
	{ "sync-method", 0, "what is stored is always safe on disk" },
	{ "password", 'W', "put the password into ~/.pgpass" },
	{ "no-password", 'w', "a password is never asked for" },
	{ "binary-upgrade", 0, "it is pg_upgrade's own" },
};

const char *
cmd_dump_refused(const char *name, size_t len, char letter)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (len == 0 ? refused[i].letter == letter :
		    strlen(refused[i].name) == len &&
		    memcmp(refused[i].name, name, len) == 0)
			return refused[i].why;
	}
	return NULL;
}

static void
print_outline(const struct dump_outline *o)
{
	char size[TEXT_SIZE_MAX];
	size_t i;

	(void)printf("database %s, PostgreSQL %s%s\n", o->database,
	    o->server_version, o->standby ? " (standby)" : "");
	(void)printf("  pg_dump        %s (%s)\n", o->pg_dump_path,
	    o->pg_dump_version);
	(void)printf("  definitions    %zu entries\n", o->n_entries);
	(void)printf("  large objects  %" PRIu64 "\n", o->large_objects);
	(void)printf("  tables         %zu with rows, %s on disk, read in "
	    "%zu pieces\n", o->n_tables, text_human_size(o->bytes, size),
	    o->tasks);
	for (i = 0; i < o->n_tables; i++) {
		(void)printf("%12s  %s", text_human_size(o->tables[i].bytes,
		    size), o->tables[i].name);
		if (o->tables[i].ranges > 1)
			(void)printf("  (%" PRIu32 " ranges)",
			    o->tables[i].ranges);
		(void)printf("\n");
	}
}

static void
print_summary(const struct commit *c, const char *output, double seconds)
{
	char original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX],
	    rate[TEXT_SIZE_MAX], lsn[LSN_TEXT_MAX], at[TIME_TEXT_MAX];

	if (c->dump.globals) {
		(void)printf("dump %s of roles and tablespaces, %s\n",
		    c->label, text_human_size(c->original_bytes, original));
		return;
	}
	if (output != NULL)
		(void)printf("database %s in %s\n", c->dump.database, output);
	else
		(void)printf("dump %s of database %s\n", c->label,
		    c->dump.database);
	(void)printf("  size      %s in %" PRIu64 " tables, %" PRIu64 " rows",
	    text_human_size(c->original_bytes, original), c->dump.tables,
	    c->dump.rows);
	if (output == NULL)
		(void)printf(", %s stored", text_human_size(c->stored_bytes,
		    stored));
	(void)printf("\n");
	(void)printf("  took      %.1f s, %s/s\n", seconds,
	    text_human_size(seconds > 0 ? (uint64_t)
		((double)c->original_bytes / seconds) : 0, rate));
	(void)printf("  snapshot  %s at %s\n",
	    time_format_local(c->dump.snapshot_time, at),
	    lsn_format(c->dump.snapshot_lsn, lsn));
}

static int
dump_one(const struct dump_params *all, const struct config *cfg,
    struct hook *hook, const char *database, struct err *err)
{
	struct dump_outline outline = { 0 };
	struct display d = { 0 };
	struct dump_params p = *all;
	struct commit commit = { 0 };
	int64_t begun = time_monotonic();
	int ret;

	p.database = database;
	p.progress = &d.counts;
	p.tick_arg = &d;
	progress_start(&d.bar, cfg);
	ret = cfg->dry_run ? dump_plan(&p, &outline, err) :
	    dump_run(&p, &commit, err);
	progress_end(&d.bar);
	if (ret != 0)
		return database == NULL ? -1 :
		    err_wrap(err, "database %s", database);
	if (cfg->dry_run) {
		print_outline(&outline);
	} else {
		hook_stored(hook, &commit);
		if (!cfg->quiet)
			print_summary(&commit, cfg->output,
			    (double)(time_monotonic() - begun) / 1e6);
	}
	if (p.repo != NULL && !cfg->dry_run) {
		cli_note_set(cfg, REPO_DUMP, p.repo, &commit, NULL);
		mirror_tell(cfg, p.repo, &commit.inc, REPO_DUMP,
		    commit.label);
	}
	dump_outline_free(&outline);
	commit_free(&commit);
	return 0;
}

static int
dump_the_globals(const struct dump_params *p, const struct config *cfg,
    struct hook *hook, struct err *err)
{
	struct commit commit = { 0 };

	if (cfg->dry_run) {
		(void)printf("roles and tablespaces\n");
		return 0;
	}
	if (globals_run(p, &commit, err) != 0)
		return -1;
	hook_stored(hook, &commit);
	if (!cfg->quiet)
		print_summary(&commit, NULL, 0);
	mirror_tell(cfg, p->repo, &commit.inc, REPO_DUMP, commit.label);
	commit_free(&commit);
	return 0;
}

/*
 * One after the other. That one failed does not keep the others from being
 * dumped; the exit code is the first failure's.
 */
static int
dump_list(const struct dump_params *p, const struct config *cfg,
    struct hook *hook, char *const *names, size_t n, struct err *err)
{
	const bool globals = cfg->dump_all || cfg->dump_globals;
	struct err this = ERR_INIT;
	size_t i, failed = 0;
	int rc;

	for (i = 0; i < n + globals; i++) {
		if (cancel_requested())
			break;
		err_clear(&this);
		rc = i < n ? dump_one(p, cfg, hook, names[i], &this) :
		    dump_the_globals(p, cfg, hook, &this);
		if (rc == 0)
			continue;
		if (failed++ == 0)
			*err = this;
		else
			log_err(LOG_ERROR, &this);
	}
	if (failed > 1)
		log_error("%zu of %zu dumps failed", failed, n + globals);
	if (failed == 0 && cancel_requested())
		return cancel_error(err);
	return failed == 0 ? 0 : -1;
}

static int
dump_what(const struct dump_params *p, const struct config *cfg,
    struct hook *hook, struct err *err)
{
	char **names = NULL;
	size_t n = 0;
	int ret;

	if (cfg->dump_all) {
		if (cfg->n_arguments > 0)
			return err_set(err, ERR_USAGE, "--all dumps every "
			    "database: none can be named beside it");
		if (dump_databases(&names, &n, cfg->conninfo, err) != 0)
			return -1;
		ret = dump_list(p, cfg, hook, names, n, err);
		dump_databases_free(names, n);
		return ret;
	}
	if (cfg->n_arguments == 0 && !cfg->dump_globals) {
		/* Not "postgres": a dump of nothing looks like a dump. */
		if (!conninfo_names_database(cfg->conninfo)) {
			err_set(err, ERR_USAGE, "no database is named");
			return err_hint(err, "'dapk-backup dump NAME', or "
			    "'dapk-backup dump --all' for every database and "
			    "the globals");
		}
		return dump_one(p, cfg, hook, NULL, err);
	}
	return dump_list(p, cfg, hook, cfg->arguments,
	    (size_t)cfg->n_arguments, err);
}

static int
run(const struct config *cfg, struct hook *hook, struct err *err)
{
	struct head_option *options;
	struct repo *repo = NULL;
	struct dump_params params = {
		.cluster = cfg->cluster,
		.conninfo = cfg->conninfo,
		.output = cfg->output,
		.compress = cfg->compress,
		.role = cfg->dump_role,
		.bin_dir = cfg->pg_bin_dir,
		.n_options = cfg->n_passed,
		.jobs = cfg->jobs,
		.compress_level = cfg->dump_compress_level,
		.full = cfg->full,
		.no_role_passwords = cfg->no_role_passwords,
		.serializable_deferrable = cfg->serializable_deferrable,
		.lease_ms = cfg->lease_ms,
		.refresh_age_ms = cfg->refresh_age_ms,
		.lock_wait_ms = cfg->lock_wait_ms,
		.snapshot_age_ms = cfg->snapshot_age_ms,
		.tick = tick,
	};
	unsigned i;
	int ret = -1;

	options = xcalloc(cfg->n_passed + 1, sizeof(*options));
	for (i = 0; i < cfg->n_passed; i++)
		options[i] = (struct head_option){ cfg->passed[i].name,
			cfg->passed[i].value };
	params.options = options;
	if (cfg->output != NULL && (cfg->dump_all || cfg->dump_globals ||
	    cfg->n_arguments > 1)) {
		err_set(err, ERR_USAGE, "--output is for one database");
		goto out;
	}
	if (cfg->output == NULL && !cfg->dry_run &&
	    (cli_open_repo(&repo, cfg, err) != 0 ||
		cli_check_hold(cfg, repo, err) != 0))
		goto out;
	if (hook_before(hook, err) != 0)
		goto out;
	params.repo = repo;
	ret = dump_what(&params, cfg, hook, err);
	if (ret != 0 && repo != NULL)
		cli_note_set(cfg, REPO_DUMP, repo, NULL, err);
	else if (ret == 0 && repo != NULL)
		expire_after(cfg);
out:
	repo_close(repo);
	free(options);
	return ret;
}

int
cmd_dump(const struct config *cfg, struct err *err)
{
	struct hook hook;

	hook_init(&hook, cfg, "dump", COMMAND_DUMP, cfg->dry_run);
	return hook_end(&hook, run(cfg, &hook, err), err);
}
