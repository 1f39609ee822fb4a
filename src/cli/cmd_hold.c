/* SPDX-License-Identifier: PostgreSQL */
/*
 * hold and release: nothing is added to or removed from a cluster's
 * repositories, on whatever host, while somebody works on them; WAL is
 * archived all the same.
 */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/time.h"
#include "repo/hold.h"

static const char *
name_of(const struct config_repository *r)
{
	return r->name != NULL ? r->name : r->url;
}

/* A mistyped name would hold nothing. */
static int
warn_unknown(struct repo *repo, const char *cluster, struct err *err)
{
	struct incarnation *incs;
	size_t n;

	if (repo_incarnations(repo, cluster, &incs, &n, err) != 0)
		return -1;
	free(incs);
	if (n == 0)
		log_warning("there is nothing of cluster %s in %s so far",
		    cluster, storage_url(repo->st));
	return 0;
}

static int
hold_one(void *arg, struct repo *repo, const struct config_repository *to,
    struct err *err)
{
	const struct config *cfg = arg;
	struct hold hold = { .reason = cfg->reason }, *others;
	char since[TIME_TEXT_MAX];
	size_t n;
	int rc;

	if (warn_unknown(repo, cfg->cluster, err) != 0 ||
	    hold_list(repo, cfg->cluster, &others, &n, err) != 0)
		return -1;
	if (n > 0)
		cli_note_hold(cfg, to, &others[0]);
	if (n > 0)
		(void)printf("cluster %s is on hold in %s already, by %s on "
		    "%s since %s\n", cfg->cluster, name_of(to),
		    others[0].user, others[0].host,
		    time_format_local(others[0].created, since));
	holds_free(others, n);
	if (n > 0)
		return 0;
	rc = hold_put(repo, cfg->cluster, &hold, err);
	if (rc == 0)
		cli_note_hold(cfg, to, &hold);
	if (rc == 0)
		(void)printf("cluster %s is on hold in %s: no backup, dump, "
		    "copy or removal begins until 'dapk-backup release'\n",
		    cfg->cluster, name_of(to));
	free(hold.host);
	free(hold.user);
	return rc;
}

int
cmd_hold(const struct config *cfg, struct err *err)
{
	return cli_each_repository(cfg, hold_one,
	    (void *)(uintptr_t)cfg, err) != 0 ? -1 : EXIT_DONE;
}

static int
release_one(void *arg, struct repo *repo, const struct config_repository *to,
    struct err *err)
{
	const struct config *cfg = arg;
	size_t n;

	if (hold_remove(repo, cfg->cluster, &n, err) != 0)
		return -1;
	cli_note_hold(cfg, to, NULL);
	(void)printf("cluster %s is %s on hold in %s\n", cfg->cluster,
	    n > 0 ? "no longer" : "not", name_of(to));
	return 0;
}

int
cmd_release(const struct config *cfg, struct err *err)
{
	return cli_each_repository(cfg, release_one,
	    (void *)(uintptr_t)cfg, err) != 0 ? -1 : EXIT_DONE;
}
