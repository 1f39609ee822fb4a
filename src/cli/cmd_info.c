/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include "cli/info.h"

int
cmd_info(const struct config *cfg, struct err *err)
{
	struct repo *repo = NULL;
	struct info info = { 0 };
	int ret = -1;

	if (cli_open_repo(&repo, cfg, err) != 0)
		return -1;
	if (info_collect(&info, repo, cfg->cluster_given ? cfg->cluster :
	    NULL, err) != 0)
		goto out;
	info.url = cfg->repository_url;
	if (info.n == 0 && cfg->cluster_given) {
		(void)err_set(err, ERR_NOT_FOUND, "nothing of cluster %s is "
		    "in %s", cfg->cluster, cfg->repository_url);
		(void)err_hint(err, "dapk-backup info without --cluster "
		    "shows what is there");
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
