/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>

#include "core/log.h"
#include "core/text.h"
#include "core/time.h"
#include "wal/cluster.h"
#include "wal/push.h"

static int
push_one(const struct wal_push_params *params, struct err *err)
{
	struct wal_push_result result;
	char original[TEXT_SIZE_MAX], stored[TEXT_SIZE_MAX];

	if (wal_push(params, &result, err) != 0)
		return -1;
	if (result.already)
		log_info("%s is stored already", params->path);
	else
		log_debug("%s stored: %s in %s", params->path,
		    text_human_size(result.original_bytes, original),
		    text_human_size(result.stored_bytes, stored));
	return EXIT_DONE;
}

static int
push_all(const struct wal_push_params *params, struct err *err)
{
	struct wal_salvage_result r = { 0 };
	char lsn[LSN_TEXT_MAX], time[TIME_TEXT_MAX];

	if (wal_push_all(params, &r, err) != 0)
		return -1;
	(void)printf("stored %" PRIu64 " files, %" PRIu64
	    " were stored already, %" PRIu64 " failed\n", r.pushed, r.already,
	    r.failed);
	if (r.skipped != 0)
		(void)printf("%" PRIu64 " segments hold no WAL yet%s\n",
		    r.skipped, params->header_check ? "" :
						      ", or may not");
	if (r.reached != 0)
		(void)printf("WAL reaches %s on timeline %" PRIu32 "\n",
		    lsn_format(r.reached, lsn), r.timeline);
	if (r.last_commit_time != 0)
		(void)printf("last transaction: %s\n",
		    time_format_local(r.last_commit_time, time));
	return r.failed > 0 ? EXIT_FOUND : EXIT_DONE;
}

int
cmd_archive_push(const struct config *cfg, struct err *err)
{
	struct repo *repo = NULL;
	struct wal_push_params params = {
		.cluster = cfg->cluster,
		.pgdata = wal_cluster_directory(cli_server_directory(cfg),
		    cfg->arguments[0]),
		.path = cfg->arguments[0],
		.compress_level = cfg->wal_compress_level,
		.jobs = cfg->jobs,
		.header_check = cfg->wal_header_check,
	};
	int ret;

	if (cli_open_repo(&repo, cfg, err) != 0)
		return -1;
	params.repo = repo;
	ret = cfg->push_all ? push_all(&params, err) : push_one(&params, err);
	repo_close(repo);
	return ret;
}
