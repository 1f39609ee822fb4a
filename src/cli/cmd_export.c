/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/progress.h"
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
		return err_hint(err, "add --output DIR, --output FILE.tar, "
		    "or --output - for standard output");
	}
	*to_stdout = strcmp(cfg->output, "-") == 0;
	if (*to_stdout && isatty(STDOUT_FILENO)) {
		(void)err_set(err, ERR_USAGE,
		    "standard output is a terminal: a tar archive is not for "
		    "the screen");
		return err_hint(err, "send it on: dapk-backup export %s "
		    "--output - | tar -xf - -C DIR", cfg->arguments[0]);
	}
	return 0;
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

int
cmd_export(const struct config *cfg, struct err *err)
{
	struct display d = { 0 };
	struct repo *repo = NULL;
	struct commit commit = { 0 };
	struct export_params params = {
		.cluster = cfg->cluster_given ? cfg->cluster : NULL,
		.label = cfg->arguments[0],
		.output = cfg->output,
		.fd = STDOUT_FILENO,
		.wal = cfg->export_wal,
		.progress = &d.counts,
		.tick = tick,
		.tick_arg = &d,
	};
	bool to_stdout = false;
	int ret;

	if (check_output(cfg, &to_stdout, err) != 0 ||
	    cli_open_repo(&repo, cfg, err) != 0)
		return -1;
	if (to_stdout)
		params.output = NULL;
	params.repo = repo;
	progress_start(&d.bar, cfg);
	ret = export_backup(&params, &commit, err);
	progress_end(&d.bar);
	if (ret == 0 && !to_stdout)
		print_done(&commit, cfg);
	commit_free(&commit);
	repo_close(repo);
	return ret == 0 ? EXIT_DONE : -1;
}
