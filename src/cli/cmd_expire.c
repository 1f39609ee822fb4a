/* SPDX-License-Identifier: PostgreSQL */
/*
 * Removal in two steps. Which backups go is said on the command line; a
 * policy would choose them here and call the same.
 */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/lease.h"
#include "retain/removal.h"

struct expire {
	const struct config *cfg;
	struct repo *repo;
	struct incarnation *incs;
	size_t n_incs;
	size_t chosen; /* that has the backup; with no --backup: all */
	char label[FORMAT_LABEL_MAX]; /* "": none was named */
};

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* The one incarnation that has the backup that was named. */
static int
find_backup(struct expire *e, struct err *err)
{
	char label[FORMAT_LABEL_MAX];
	size_t i, found = 0;

	for (i = 0; i < e->n_incs; i++) {
		if (catalogue_find(e->repo, &e->incs[i], e->cfg->backup,
		    label, err) == 0) {
			memcpy(e->label, label, sizeof(label));
			e->chosen = i;
			found++;
		} else if (err->code != ERR_NOT_FOUND) {
			return -1;
		} else {
			err_clear(err);
		}
	}
	if (found == 1)
		return 0;
	if (found == 0)
		err_set(err, ERR_NOT_FOUND, "no backup of cluster %s has a "
		    "label that begins with '%s'", e->cfg->cluster,
		    e->cfg->backup);
	else
		err_set(err, ERR_USAGE, "several backups of cluster %s have "
		    "labels that begin with '%s'", e->cfg->cluster,
		    e->cfg->backup);
	return err_hint(err, "'dapk-backup info' lists them");
}

static void
print_run(const struct removal_report *r, bool dry_run)
{
	char due[TIME_TEXT_MAX];

	if (dry_run && r->objects > 0)
		(void)printf("would remove up to %zu object%s that were listed "
		    "before\n", r->objects, plural(r->objects));
	else if (r->objects > 0)
		(void)printf("removed %zu object%s, %zu backup%s among them\n",
		    r->objects, plural(r->objects), r->backups,
		    plural(r->backups));
	if (r->intents > 0)
		(void)printf("removed %zu intent%s of backups that died\n",
		    r->intents, plural(r->intents));
	if (r->waiting > 0)
		(void)printf("%zu list%s of what is to go wait%s, the first "
		    "until %s\n", r->waiting, plural(r->waiting),
		    r->waiting == 1 ? "s" : "",
		    time_format_local(r->next_due, due));
}

static void
print_mark(const struct expire *e, const struct removal_report *r)
{
	const struct config *cfg = e->cfg;
	char size[TEXT_SIZE_MAX];

	if (e->label[0] != '\0' && r->backups == 0)
		(void)printf("backup %s is listed already\n", e->label);
	if (r->objects > 0 && e->label[0] != '\0' && r->backups > 0)
		(void)printf("backup %s %s: ", e->label, cfg->dry_run ?
		    "would go" : "is to go");
	if (r->objects > 0)
		(void)printf("%zu object%s, %s, %s removed by an 'expire' "
		    "that runs after the grace period\n", r->objects,
		    plural(r->objects), text_human_size(r->bytes, size),
		    cfg->dry_run ? "would be" :
		    r->objects == 1 ? "is" : "are");
	if (r->kept > 0)
		(void)printf("%zu pack%s of it, %s, stay%s, since other "
		    "backups refer to %s\n", r->kept, plural(r->kept),
		    text_human_size(r->kept_bytes, size),
		    r->kept == 1 ? "s" : "", r->kept == 1 ? "it" : "them");
}

static int
remove_and_mark(const struct expire *e, const struct removal_params *rp,
    struct err *err)
{
	struct removal_report report;
	char again[FORMAT_LABEL_MAX];

	if (removal_run(rp, &report, err) != 0)
		return -1;
	print_run(&report, rp->dry_run);
	if (rp->n_labels > 0 && report.backups > 0 &&
	    catalogue_find(e->repo, rp->inc, e->label, again, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err); /* it has just gone */
		return 0;
	}
	if (removal_mark(rp, &report, err) != 0)
		return -1;
	print_mark(e, &report);
	return 0;
}

static int
expire_one(const struct expire *e, const struct incarnation *inc,
    struct err *err)
{
	const struct config *cfg = e->cfg;
	struct lease_params lp = { .name = LEASE_BACKUPS,
		.purpose = "expire", .valid_ms = cfg->lease_ms };
	const char *const label = e->label;
	struct removal_params rp = { .repo = e->repo, .inc = inc,
		.labels = &label, .n_labels = label[0] != '\0',
		.grace_us = (int64_t)cfg->grace_ms * 1000,
		.force = cfg->force, .dry_run = cfg->dry_run };
	int rc;

	if (!cfg->dry_run &&
	    lease_take(&rp.lease, e->repo, inc, &lp, err) != 0)
		return -1;
	rc = remove_and_mark(e, &rp, err);
	lease_release(rp.lease);
	return rc;
}

int
cmd_expire(const struct config *cfg, struct err *err)
{
	struct expire e = { .cfg = cfg };
	size_t i;
	int ret;

	if (cli_open_repo(&e.repo, cfg, err) != 0)
		return -1;
	ret = repo_incarnations(e.repo, cfg->cluster, &e.incs, &e.n_incs,
	    err);
	if (ret == 0 && cfg->backup != NULL) {
		ret = find_backup(&e, err);
		if (ret == 0)
			ret = expire_one(&e, &e.incs[e.chosen], err);
	} else {
		for (i = 0; i < e.n_incs && ret == 0; i++)
			ret = expire_one(&e, &e.incs[i], err);
	}
	free(e.incs);
	repo_close(e.repo);
	return ret;
}
