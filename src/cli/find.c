/* SPDX-License-Identifier: PostgreSQL */
/* In which of several repositories a backup or dump is. */
#include "config.h"

#include "cli/cli.h"

#include "core/cancel.h"
#include "core/log.h"
#include "export/export.h"

/* How long one of several may take to say that it is there. */
#define ANSWER_MS 15000u

static const char *
name_of(const struct config_repository *from)
{
	return from->name != NULL ? from->name : from->url;
}

static int
look(struct repo **repo, const struct config *cfg, unsigned i,
    const char *prefix, struct export_found *found, struct err *err)
{
	const char *cluster = cfg->cluster_given ? cfg->cluster : NULL;

	if (repo_open_within(repo, config_repository(cfg, i), ANSWER_MS,
		err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			err->code = ERR_STORAGE;
		return -1;
	}
	if (export_find(*repo, cluster, prefix, found, err) == 0)
		return 0;
	repo_close(*repo);
	*repo = NULL;
	return -1;
}

/*
 * Nobody has it: what the nearest said, unless one of them could not be
 * asked, which then may have it.
 */
static int
nowhere(const struct config *cfg, const struct err *first, bool unasked,
    struct err *err)
{
	*err = *first;
	if (first->code != ERR_NOT_FOUND || !unasked)
		return err_wrap(err, "repository %s", name_of(&cfg->repo));
	err->code = ERR_STORAGE;
	return err_wrap(err, "repository %s, and not all others could be "
	    "asked", name_of(&cfg->repo));
}

int
cli_find(struct repo **repo, struct export_found *found,
    const struct config *cfg, const char *prefix, struct err *err)
{
	const char *cluster = cfg->cluster_given ? cfg->cluster : NULL;
	struct err first = ERR_INIT;
	bool unasked = false;
	unsigned i;

	if (cfg->n_others == 0) {
		if (cli_open_repo(repo, cfg, err) != 0)
			return -1;
		return export_find(*repo, cluster, prefix, found, err);
	}
	for (i = 0; i <= cfg->n_others; i++) {
		err_clear(err);
		if (look(repo, cfg, i, prefix, found, err) == 0) {
			if (i > 0)
				log_info("%s is taken from repository %s",
				    found->label,
				    name_of(config_repository(cfg, i)));
			return 0;
		}
		if (err->code == ERR_CANCELLED || err->code == ERR_USAGE)
			return -1; /* it is there, more than once */
		if (err->code != ERR_NOT_FOUND) {
			log_warning("repository %s is passed over: %s",
			    name_of(config_repository(cfg, i)), err->msg);
			unasked = true;
		}
		if (i == 0)
			first = *err;
	}
	return nowhere(cfg, &first, unasked, err);
}

void
cli_hint_elsewhere(const struct config *cfg, const char *prefix,
    struct err *err)
{
	struct err ignored = ERR_INIT; /* the error at hand is told */
	struct export_found found;
	struct repo *repo = NULL;
	unsigned i;

	for (i = 1; i <= cfg->n_others; i++) {
		err_clear(&ignored);
		if (look(&repo, cfg, i, prefix, &found, &ignored) != 0)
			continue;
		repo_close(repo);
		err->hint[0] = '\0';
		(void)err_hint(err, "repository %s has %s: add --repository "
		    "%s", name_of(config_repository(cfg, i)), found.label,
		    name_of(config_repository(cfg, i)));
		return;
	}
}

static int
open_one(struct repo **repo, const struct config *cfg, unsigned i,
    struct err *err)
{
	if (cfg->n_others == 0)
		return cli_open_repo(repo, cfg, err);
	if (repo_open_within(repo, config_repository(cfg, i), ANSWER_MS,
		err) == 0)
		return 0;
	if (err->code == ERR_NOT_FOUND || err->code == ERR_CONFIG)
		err->code = ERR_STORAGE; /* a disk that is not mounted */
	return -1;
}

int
cli_each_repository(const struct config *cfg, cli_each_fn fn, void *arg,
    struct err *err)
{
	struct err failed = ERR_INIT;
	struct repo *repo;
	unsigned i;
	int rc;

	for (i = 0; i <= cfg->n_others; i++) {
		if (cancel_check(err) != 0)
			return -1;
		err_clear(&failed);
		repo = NULL;
		rc = open_one(&repo, cfg, i, &failed);
		if (rc == 0)
			rc = fn(arg, repo, config_repository(cfg, i), &failed);
		repo_close(repo);
		if (rc == 0)
			continue;
		if (cfg->n_others > 0)
			err_wrap(&failed, "repository %s",
			    name_of(config_repository(cfg, i)));
		if (err->code != ERR_NONE)
			log_err(LOG_ERROR, &failed);
		else
			*err = failed;
		if (failed.code == ERR_CANCELLED)
			break;
	}
	return err->code != ERR_NONE ? -1 : 0;
}
