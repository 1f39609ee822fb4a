/* SPDX-License-Identifier: PostgreSQL */
/*
 * Removal in two steps. Which backups or dumps go is said on the command
 * line; a policy would choose them here and call the same.
 */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"
#include "repo/commit.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/notes.h"
#include "retain/removal.h"

struct expire {
	const struct config *cfg;
	struct repo *repo;
	struct incarnation *incs;
	size_t n_incs;
	size_t chosen; /* that has the backup; with no --backup: all */
	enum repo_kind kind;	      /* of the label */
	char label[FORMAT_LABEL_MAX]; /* "": none was named */
	struct err locked; /* what was passed over, since it is in use */
};

static const char *
plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* The one incarnation that has the backup or dump that was named. */
static int
find_backup(struct expire *e, struct err *err)
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

/* "backup", "2 backups" */
static void
print_count(size_t n, enum repo_kind kind)
{
	(void)printf("%zu %s%s", n, repo_kind_name(kind), plural(n));
}

static void
print_run(const struct removal_report *r, const struct removal_params *rp)
{
	char due[TIME_TEXT_MAX];

	if (rp->dry_run && r->objects > 0)
		(void)printf("would remove up to %zu object%s that were listed "
		    "before\n", r->objects, plural(r->objects));
	else if (r->objects > 0) {
		(void)printf("removed %zu object%s, ", r->objects,
		    plural(r->objects));
		print_count(r->backups, rp->kind);
		(void)printf(" among them\n");
	}
	if (r->intents > 0)
		(void)printf("removed %zu intent%s of %ss that died\n",
		    r->intents, plural(r->intents), repo_kind_name(rp->kind));
	if (r->locked > 0)
		(void)printf("%zu object%s stay%s for a later run: the store "
		    "keeps %s locked\n", r->locked, plural(r->locked),
		    r->locked == 1 ? "s" : "", r->locked == 1 ? "it" : "them");
	if (r->waiting > 0)
		(void)printf("%zu list%s of what is to go wait%s, the first "
		    "until %s\n", r->waiting, plural(r->waiting),
		    r->waiting == 1 ? "s" : "",
		    time_format_local(r->next_due, due));
}

static void
print_mark(const struct expire *e, const struct removal_params *rp,
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
still_there(const struct expire *e, const struct removal_params *rp,
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
remove_and_mark(const struct expire *e, struct removal_params *rp,
    struct err *err)
{
	struct shown shown = { .each = e->cfg->verbose };
	struct removal_params marking = *rp;
	struct removal_report report;
	int rc = 1;

	if (removal_run(rp, &report, err) != 0)
		return -1;
	print_run(&report, rp);
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
expire_kind(struct expire *e, const struct incarnation *inc,
    enum repo_kind kind, struct err *err)
{
	const struct config *cfg = e->cfg;
	struct lease_params lp = { .name = lease_name(kind),
		.purpose = "expire", .valid_ms = cfg->lease_ms };
	const char *const label = e->label;
	struct removal_params rp = { .repo = e->repo, .inc = inc,
		.kind = kind, .labels = &label, .n_labels = label[0] != '\0',
		.grace_us = (int64_t)cfg->grace_ms * 1000,
		.force = cfg->force, .dry_run = cfg->dry_run };
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

/* Where no dump was ever made nothing need be locked for them. */
static int
has_dumps(struct expire *e, const struct incarnation *inc, bool *out,
    struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX];
	struct lease_info *leases;
	size_t n, unfinished, n_leases;

	if (catalogue_dumps(e->repo, inc, &labels, &n, &unfinished, err) != 0)
		return -1;
	free(labels);
	if (lease_look(e->repo, inc, LEASE_DUMPS, &leases, &n_leases, err) !=
	    0)
		return -1;
	free(leases);
	*out = n + unfinished + n_leases > 0;
	return 0;
}

/* For `status`. */
static void
note(const struct expire *e, const struct err *err)
{
	const struct notes_of of = { e->cfg->state_directory, &e->cfg->repo,
		e->cfg->cluster };

	if (!e->cfg->dry_run && e->n_incs > 0 &&
	    (err == NULL || (err->code != ERR_CANCELLED &&
		err->code != ERR_LOCKED)))
		notes_put_expire(&of, e->repo, &e->incs[e->n_incs - 1], err);
}

/*
 * Backups and dumps, one after the other. When a backup or dump is being made,
 * its kind is passed over, and that is told at the end.
 */
static int
expire_all(struct expire *e, const struct incarnation *inc, struct err *err)
{
	enum repo_kind kind;
	bool dumps;

	if (has_dumps(e, inc, &dumps, err) != 0)
		return -1;
	for (kind = REPO_BACKUP; kind <= REPO_DUMP; kind++) {
		if ((kind == REPO_DUMP && !dumps) ||
		    expire_kind(e, inc, kind, err) == 0)
			continue;
		if (err->code != ERR_LOCKED)
			return -1;
		if (e->locked.code == ERR_NONE)
			e->locked = *err;
		err_clear(err);
	}
	return 0;
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
			ret = expire_kind(&e, &e.incs[e.chosen], e.kind, err);
	} else {
		for (i = 0; i < e.n_incs && ret == 0; i++)
			ret = expire_all(&e, &e.incs[i], err);
		if (ret == 0 && e.locked.code != ERR_NONE) {
			*err = e.locked;
			ret = -1;
		}
		note(&e, ret == 0 ? NULL : err);
	}
	free(e.incs);
	repo_close(e.repo);
	return ret;
}
