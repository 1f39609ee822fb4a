/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"
#include "export/dump.h"
#include "export/export.h"

struct display {
	struct progress bar;
	struct export_progress counts;
};

static void
tick(void *arg)
{
	struct display *d = arg;

	progress_update(&d->bar, "exporting",
	    atomic_load(&d->counts.done_bytes),
	    atomic_load(&d->counts.total_bytes));
}

static int
check_output(const struct config *cfg, bool *to_stdout, struct err *err)
{
	if (cfg->output == NULL) {
		(void)err_set(err, ERR_USAGE, "where to export to is missing");
		return err_hint(err, "add --output PATH, or --output - for "
		    "standard output");
	}
	*to_stdout = strcmp(cfg->output, "-") == 0;
	return 0;
}

static int
check_terminal(const struct config *cfg, struct err *err)
{
	if (!isatty(STDOUT_FILENO))
		return 0;
	(void)err_set(err, ERR_USAGE, "standard output is a terminal: a tar "
	    "archive is not for the screen");
	return err_hint(err, "send it on: dapk-backup export %s --output - | "
	    "tar -xf - -C DIR", cfg->arguments[0]);
}

static void
print_done(const struct commit *c, const struct config *cfg)
{
	size_t i;

	(void)printf("exported backup %s of cluster %s (PostgreSQL %d) to "
	    "%s\n", c->label, c->inc.cluster, c->inc.major, cfg->output);
	if (c->n_tablespaces > 0)
		(void)printf("tablespaces, each to be unpacked into its "
		    "directory before the start (tablespace_map in base.tar "
		    "names them):\n");
	for (i = 0; i < c->n_tablespaces; i++)
		(void)printf("  %u.tar: %s\n", (unsigned)c->tablespaces[i].oid,
		    c->tablespaces[i].path);
	(void)printf("the server that starts from it has the source's "
	    "archive_command: set archive_mode = off unless it takes the "
	    "source's place\n");
}

static int
export_a_backup(const struct config *cfg, struct repo *repo,
    const struct export_found *found, bool to_stdout, struct err *err)
{
	struct display d = { 0 };
	struct commit commit = { 0 };
	const struct export_params params = { .repo = repo,
		.inc = &found->inc, .label = found->label,
		.output = to_stdout ? NULL : cfg->output,
		.fd = STDOUT_FILENO, .wal = cfg->export_wal,
		.progress = &d.counts, .tick = tick, .tick_arg = &d };
	int ret;

	if ((cfg->export_format != EXPORT_AUTO &&
		cfg->export_format != EXPORT_TAR) || cfg->compress != NULL) {
		(void)err_set(err, ERR_USAGE, "%s is a backup of data files: "
		    "it is exported as tar, without compression",
		    found->label);
		return err_hint(err, "leave --format and --compress out");
	}
	if (to_stdout && check_terminal(cfg, err) != 0)
		return -1;
	progress_start(&d.bar, cfg);
	ret = export_backup(&params, &commit, err);
	progress_end(&d.bar);
	if (ret == 0 && !to_stdout)
		print_done(&commit, cfg);
	commit_free(&commit);
	return ret;
}

static int
dump_params(const struct config *cfg, struct export_dump_params *p,
    bool to_stdout, struct err *err)
{
	p->level = ARCHIVE_LEVEL_DEFAULT;
	p->compression_given = cfg->compress != NULL;
	if (cfg->compress != NULL && archive_compression_option(cfg->compress,
	    &p->compression, &p->level, err) != 0)
		return -1;
	if (to_stdout && p->format == EXPORT_DIRECTORY) {
		(void)err_set(err, ERR_USAGE, "a directory does not go to "
		    "standard output");
		return err_hint(err, "add --output DIR, or --format custom");
	}
	return 0;
}

static int
export_a_dump(const struct config *cfg, struct repo *repo,
    const struct export_found *found, bool to_stdout, struct err *err)
{
	struct display d = { 0 };
	struct export_dump_params params = { .repo = repo,
		.inc = &found->inc, .label = found->label,
		.format = (enum export_format)cfg->export_format,
		.output = to_stdout ? NULL : cfg->output,
		.fd = STDOUT_FILENO, .bin_dir = cfg->pg_bin_dir,
		.jobs = cfg->jobs, .progress = &d.counts, .tick = tick,
		.tick_arg = &d };
	int ret;

	if (dump_params(cfg, &params, to_stdout, err) != 0)
		return -1;
	progress_start(&d.bar, cfg);
	ret = export_dump(&params, err);
	progress_end(&d.bar);
	if (ret == 0 && !to_stdout)
		(void)printf("exported dump %s of cluster %s to %s\n",
		    found->label, found->inc.cluster, cfg->output);
	return ret;
}

int
cmd_export(const struct config *cfg, struct err *err)
{
	struct repo *repo = NULL;
	struct export_found found;
	bool to_stdout = false;
	int ret;

	if (check_output(cfg, &to_stdout, err) != 0)
		return -1;
	ret = cli_find(&repo, &found, cfg, cfg->arguments[0], err);
	if (ret == 0)
		ret = found.kind == REPO_DUMP ?
		    export_a_dump(cfg, repo, &found, to_stdout, err) :
		    export_a_backup(cfg, repo, &found, to_stdout, err);
	repo_close(repo);
	return ret == 0 ? EXIT_DONE : -1;
}
