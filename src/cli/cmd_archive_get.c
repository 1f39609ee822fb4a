/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "wal/cluster.h"
#include "wal/get.h"

int
cmd_archive_get(const struct config *cfg, struct err *err)
{
	const struct config_repository **places;
	struct wal_get_params params = {
		.n_places = 1 + cfg->n_others,
		.cluster = cfg->cluster,
		.pgdata = wal_cluster_directory(cli_server_directory(cfg),
		    cfg->arguments[1]),
		.name = cfg->arguments[0],
		.dest = cfg->arguments[1],
		.state_directory = cfg->state_directory,
		.prefetch = cfg->prefetch,
		.standby = cli_is_standby(cli_server_directory(cfg)),
	};
	unsigned i;
	int ret;

	places = xcalloc(params.n_places, sizeof(*places));
	for (i = 0; i < params.n_places; i++)
		places[i] = config_repository(cfg, i);
	params.places = places;
	ret = wal_get(&params, err);
	free(places);
	if (ret != 0)
		return -1;
	log_debug("%s delivered", params.name);
	return EXIT_DONE;
}
