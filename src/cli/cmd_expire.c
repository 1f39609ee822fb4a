/* SPDX-License-Identifier: PostgreSQL */
/*
 * Removal in two steps: of one backup or dump that is named, or of what
 * retention lets go, in each repository of the cluster.
 */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/expire_show.h"
#include "cli/jout.h"
#include "core/text.h"
#include "repo/commit.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/prove.h"
#include "retain/removal.h"

struct expire_one {
	const struct config *cfg;
	struct repo *repo;
	struct incarnation *incs;
	size_t n_incs;
	size_t chosen;		      /* that has the backup */
	enum repo_kind kind;	      /* of the label */
	char label[FORMAT_LABEL_MAX];
};

/* The one incarnation that has the backup or dump that was named. */
static int
find_backup(struct expire_one *e, struct err *err)
{
	char label[FORMAT_LABEL_MAX];
	enum repo_kind kind;
	size_t i, found = 0;

	for (i = 0; i < e->n_incs; i++) {
		if (catalogue_find_any(e->repo, &e->incs[i], e->cfg->backup,
			&kind, label, err) == 0) {
			memcpy(e->label, label, sizeof(label));
			e->kind = kind;
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
		err_set(err, ERR_NOT_FOUND, "no backup or dump of cluster %s "
		    "has a label that begins with '%s'", e->cfg->cluster,
		    e->cfg->backup);
	else
		err_set(err, ERR_USAGE, "several backups or dumps of cluster "
		    "%s have labels that begin with '%s'", e->cfg->cluster,
		    e->cfg->backup);
	return err_hint(err, "'dapk-backup info' lists them");
}

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void
print_mark(const struct expire_one *e, const struct removal_params *rp,
    const struct removal_report *r)
{
	const char *what = repo_kind_name(rp->kind);
	const bool dry = rp->dry_run, named = rp->n_labels > 0;
	char size[TEXT_SIZE_MAX];

	if (named && r->backups == 0)
		(void)printf("%s %s is listed already\n", what, e->label);
	if (r->objects > 0 && named && r->backups > 0)
		(void)printf("%s %s %s: ", what, e->label, dry ?
		    "would go" : "is to go");
	if (r->objects > 0)
		(void)printf("%zu object%s, %s, %s removed by an 'expire' "
		    "that runs after the grace period\n", r->objects,
		    plural(r->objects), text_human_size(r->bytes, size),
		    dry ? "would be" : r->objects == 1 ? "is" : "are");
	if (r->kept > 0)
		(void)printf("%zu pack%s of it, %s, stay%s, since other "
		    "%ss refer to %s\n", r->kept, plural(r->kept),
		    text_human_size(r->kept_bytes, size),
		    r->kept == 1 ? "s" : "", what,
		    r->kept == 1 ? "it" : "them");
}

/* Of a dry run: what would go, a line for each folder or, --verbose, object. */
struct shown {
	bool each;
	char folder[FORMAT_LABEL_MAX + 16];
	size_t n;
	uint64_t bytes;
};

static void
end_folder(struct shown *s)
{
	char size[TEXT_SIZE_MAX];

	if (s->n > 0)
		(void)printf("  %s: %zu object%s, %s\n", s->folder, s->n,
		    plural(s->n), text_human_size(s->bytes, size));
	s->n = 0;
	s->bytes = 0;
}

static void
show(void *arg, const char *name, uint64_t bytes)
{
	const char *label = strchr(name, '/'), *end;
	struct shown *s = arg;
	size_t len;

	if (s->each) {
		(void)printf("  %s, %" PRIu64 " bytes\n", name, bytes);
		return;
	}
	end = label == NULL ? NULL : strchr(label + 1, '/');
	len = end == NULL ? 0 : (size_t)(end - name);
	if (len >= sizeof(s->folder))
		len = 0;
	if (strncmp(s->folder, name, len) != 0 || s->folder[len] != '\0')
		end_folder(s);
	memcpy(s->folder, name, len);
	s->folder[len] = '\0';
	s->n++;
	s->bytes += bytes;
}

/* 1: it is there; 0: it has just gone. */
static int
still_there(const struct expire_one *e, const struct removal_params *rp,
    struct err *err)
{
	char again[FORMAT_LABEL_MAX];
	int rc = rp->kind == REPO_DUMP ?
	    catalogue_find_dump(e->repo, rp->inc, e->label, again, err) :
	    catalogue_find(e->repo, rp->inc, e->label, again, err);

	if (rc == 0)
		return 1;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	err_clear(err);
	return 0;
}

static int
remove_and_mark(const struct expire_one *e, struct removal_params *rp,
    struct err *err)
{
	struct shown shown = { .each = e->cfg->verbose };
	struct removal_params marking = *rp;
	struct removal_report report;
	int rc = 1;

	if (removal_run(rp, &report, err) != 0)
		return -1;
	expire_print_removed(&report, rp->kind, rp->dry_run);
	if (rp->n_labels > 0 && report.backups > 0)
		rc = still_there(e, rp, err);
	if (rc != 1)
		return rc;
	if (rp->dry_run) {
		marking.show = show;
		marking.show_arg = &shown;
	}
	if (removal_mark(&marking, &report, err) != 0)
		return -1;
	end_folder(&shown);
	print_mark(e, rp, &report);
	return 0;
}

static int
expire_kind(struct expire_one *e, const struct incarnation *inc,
    enum repo_kind kind, struct err *err)
{
	const struct config *cfg = e->cfg;
	struct lease_params lp = { .name = lease_name(kind),
		.purpose = "expire", .valid_ms = cfg->lease_ms };
	const char *const label = e->label;
	struct removal_params rp = { .repo = e->repo, .inc = inc,
		.kind = kind, .labels = &label, .n_labels = 1, .named = true,
		.grace_us = (int64_t)cfg->grace_ms * 1000,
		.force = cfg->force, .dry_run = cfg->dry_run,
		.prove = prove_set };
	int rc;

	if (!cfg->dry_run &&
	    hold_check(e->repo, inc->cluster, err) != 0)
		return -1;
	if (!cfg->dry_run &&
	    lease_take(&rp.lease, e->repo, inc, &lp, err) != 0)
		return -1;
	rc = remove_and_mark(e, &rp, err);
	lease_release(rp.lease);
	return rc;
}

static int
expire_named(const struct config *cfg, struct err *err)
{
	struct expire_one e = { .cfg = cfg };
	int ret;

	if (cli_open_repo(&e.repo, cfg, err) != 0)
		return -1;
	ret = repo_incarnations(e.repo, cfg->cluster, &e.incs, &e.n_incs,
	    err);
	if (ret == 0)
		ret = find_backup(&e, err);
	if (ret == 0)
		ret = expire_kind(&e, &e.incs[e.chosen], e.kind, err);
	free(e.incs);
	repo_close(e.repo);
	return ret;
}

struct all {
	const struct config *cfg;
	json_t *list; /* or NULL: text */
};

static int
expire_repository(void *arg, struct repo *repo,
    const struct config_repository *address, struct err *err)
{
	const struct all *all = arg;
	const struct expire_params params = { .repo = repo, .cfg = all->cfg,
		.address = address };
	struct expire x;
	int rc;

	rc = expire_run(&x, &params, err);
	expire_note(&x, all->cfg, repo, address, rc == 0 ? NULL : err);
	if (rc == 0)
		expire_look(&x, all->cfg, repo, address);
	if (all->list != NULL)
		jout_append(all->list, expire_json(&x, address,
		    rc == 0 ? NULL : err));
	else if (rc == 0 || x.n > 0)
		expire_print_text(&x, all->cfg, address);
	expire_free(&x);
	return rc;
}

/* Every one of the cluster's repositories by its own rules. */
static int
expire_all(const struct config *cfg, struct err *err)
{
	struct all all = { .cfg = cfg };
	struct err ignored = ERR_INIT;
	json_t *j;
	int rc;

	if (cfg->json)
		all.list = json_array();
	rc = cli_each_repository(cfg, expire_repository, &all, err);
	if (all.list == NULL)
		return rc;
	j = json_object();
	jout_set(j, "format", json_integer(1));
	jout_set(j, "dry_run", json_boolean(cfg->dry_run));
	jout_set(j, "repositories", all.list);
	if (jout_write(j, stdout, rc == 0 ? err : &ignored) != 0)
		rc = -1;
	return rc;
}

int
cmd_expire(const struct config *cfg, struct err *err)
{
	if (cfg->backup == NULL)
		return expire_all(cfg, err);
	if (cfg->json) {
		err_set(err, ERR_USAGE, "--json is for retention, not for "
		    "one backup that is named");
		return -1;
	}
	return expire_named(cfg, err);
}
