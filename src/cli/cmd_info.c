/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include "cli/info_show.h"
#include "cli/info_known.h"
#include "retain/retention.h"

/* Who looks does not wait as long as a backup does for a store's answer. */
#define PATIENCE_MS 15000u

/* The one backup or dump that was asked for. */
static int
print_one(const struct config *cfg, const struct info *info,
    struct repo *repo, struct err *err)
{
	struct dumpset *items = NULL;
	struct info_found f;
	int rc = 0;

	if (info_find(info, cfg->arguments[0], &f, err) != 0)
		return -1;
	/* What it has is only known while its manifest can be read. */
	if (f.set == &f.inc->dumps && f.set->list[f.index].usable &&
	    dumpset_open(&items, repo, &f.inc->inc,
		f.set->list[f.index].label, err) != 0)
		return -1;
	if (cfg->json)
		rc = info_print_one_json(info, &f, items, stdout, err);
	else
		info_print_one_text(&f, items, cfg->verbose, stdout);
	dumpset_free(items);
	if (rc != 0)
		return -1;
	return f.set->list[f.index].usable ? EXIT_DONE : EXIT_DAMAGED;
}

int
cmd_info(const struct config *cfg, struct err *err)
{
	const struct info_source from = {
		.cluster = cfg->cluster_given ? cfg->cluster : NULL,
		.state_directory = cfg->state_directory,
		.refresh = cfg->refresh,
	};
	struct config_repository here = cfg->repo; /* borrowed */
	struct repo *repo = NULL;
	struct info info = { 0 };
	int ret = -1;

	if (here.timeout_ms > PATIENCE_MS)
		here.timeout_ms = PATIENCE_MS;
	if (repo_open_configured(&repo, &here, err) != 0 ||
	    info_collect(&info, repo, &from, err) != 0) {
		repo_close(repo);
		info_known_show(cfg, err);
		return -1;
	}
	info.url = cfg->repo.url;
	info.cfg = cfg;
	retention_explain(&info, repo, cfg, &cfg->repo);
	info_known_keep(cfg, &info);
	if (info.n == 0 && cfg->cluster_given) {
		(void)err_set(err, ERR_NOT_FOUND, "nothing of cluster %s is "
		    "in %s", cfg->cluster, cfg->repo.url);
		(void)err_hint(err, "dapk-backup info without --cluster "
		    "shows what is there");
		goto out;
	}
	if (cfg->n_arguments > 0) {
		ret = print_one(cfg, &info, repo, err);
		goto out;
	}
	if (cfg->json && info_print_json(&info, stdout, err) != 0)
		goto out;
	if (!cfg->json)
		info_print_text(&info, cfg->verbose, stdout);
	ret = info.damaged ? EXIT_DAMAGED : EXIT_DONE;
out:
	info_free(&info);
	repo_close(repo);
	return ret;
}
