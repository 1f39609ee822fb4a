/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include "core/log.h"
#include "wal/cluster.h"
#include "wal/get.h"

int
cmd_archive_get(const struct config *cfg, struct err *err)
{
	struct repo *repo = NULL;
	struct wal_get_params params = {
		.repository_id = cfg->repo.id,
		.cluster = cfg->cluster,
		.pgdata = wal_cluster_directory(cli_server_directory(cfg),
		    cfg->arguments[1]),
		.name = cfg->arguments[0],
		.dest = cfg->arguments[1],
		.state_directory = cfg->state_directory,
		.prefetch = cfg->prefetch,
	};
	int ret;

	if (cli_open_repo(&repo, cfg, err) != 0) {
		/* Only wal_get() can prove that a file is absent. */
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_STORAGE;
		return -1;
	}
	params.repo = repo;
	ret = wal_get(&params, err);
	repo_close(repo);
	if (ret != 0)
		return -1;
	log_debug("%s delivered", params.name);
	return EXIT_DONE;
}
