/* SPDX-License-Identifier: PostgreSQL */
/* Retention as the end of a backup or dump. */
#include "config.h"

#include "cli/cli.h"
#include "cli/expire_show.h"
#include "cli/info_known.h"

#include <inttypes.h>

#include "core/log.h"
#include "core/text.h"
#include "repo/notes.h"

void
expire_note(const struct expire *x, const struct config *cfg,
    const struct repo *repo, const struct config_repository *address,
    const struct err *err)
{
	const struct notes_of of = { cfg->state_directory, address,
		cfg->cluster };

	if (cfg->dry_run || x->info.n == 0 || (err != NULL &&
	    (err->code == ERR_CANCELLED || err->code == ERR_LOCKED)))
		return;
	notes_put_expire(&of, repo,
	    &x->info.incarnations[x->info.n - 1].inc, err);
}

/*
 * A run has looked at all there is, so `status` may judge the window without
 * anybody asking `info`. After a removal it is looked at again: what has just
 * gone is no part of it.
 */
void
expire_look(const struct expire *x, const struct config *cfg,
    struct repo *repo, const struct config_repository *address)
{
	const struct info_source from = { .cluster = cfg->cluster,
		.state_directory = cfg->state_directory };
	struct err ignored = ERR_INIT;
	struct info after;
	size_t i;

	if (cfg->dry_run)
		return;
	for (i = 0; i < x->n; i++)
		if (x->runs[i].removed.objects > 0)
			break;
	if (i == x->n)
		info_known_note(cfg, address, &x->info);
	else if (info_collect(&after, repo, &from, &ignored) == 0) {
		info_known_note(cfg, address, &after);
		info_free(&after);
	}
}

static void
print_short(const struct expire *x, const struct config *cfg,
    const struct config_repository *address)
{
	size_t i, marked = 0, removed = 0;
	uint64_t segments = 0;

	expire_warn(x);
	for (i = 0; i < x->n; i++) {
		marked += x->runs[i].marked.backups;
		segments += x->runs[i].wal_segments;
		removed += x->runs[i].removed.objects;
	}
	if (cfg->quiet || marked + segments + removed == 0)
		return;
	(void)printf("retention%s%s: removed %zu object%s; listed to go: %zu "
	    "backup%s or dump%s, %" PRIu64 " WAL segment%s\n",
	    cfg->n_others > 0 ? " in " : "", cfg->n_others == 0 ? "" :
	    address->name != NULL ? address->name : address->url, removed,
	    removed == 1 ? "" : "s", marked, marked == 1 ? "" : "s",
	    marked == 1 ? "" : "s", segments, segments == 1 ? "" : "s");
}

static int
one(void *arg, struct repo *repo, const struct config_repository *address,
    struct err *err)
{
	const struct config *cfg = arg;
	const struct expire_params params = { .repo = repo, .cfg = cfg,
		.address = address };
	struct expire x;
	int rc;

	rc = expire_run(&x, &params, err);
	expire_note(&x, cfg, repo, address, rc == 0 ? NULL : err);
	if (rc == 0)
		expire_look(&x, cfg, repo, address);
	if (rc == 0 || err->code == ERR_LOCKED)
		print_short(&x, cfg, address);
	if (rc != 0 && err->code == ERR_LOCKED) {
		/* Another backup, or what brings this place up to date. */
		log_info("retention waits for its next turn: %s", err->msg);
		err_clear(err);
		rc = 0;
	}
	expire_free(&x);
	return rc;
}

void
expire_after(const struct config *cfg)
{
	struct err err = ERR_INIT;
	union {
		const struct config *cfg;
		void *arg;
	} u = { .cfg = cfg };

	if (!cfg->expire_after)
		return;
	if (cli_each_repository(cfg, one, u.arg, &err) != 0 &&
	    err.code != ERR_CANCELLED) {
		err_wrap(&err, "what was stored is whole, but retention "
		    "failed");
		log_err(LOG_WARNING, &err);
	}
}
