/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <string.h>

#include "cli/progress.h"
#include "copy/copy.h"
#include "copy/mirror.h"
#include "core/log.h"
#include "core/text.h"
#include "repo/notes.h"

struct display {
	struct progress bar;
	struct copy_progress counts;
};

static void
tick(void *arg)
{
	struct display *d = arg;

	progress_update(&d->bar, "copying", atomic_load(&d->counts.done_bytes),
	    atomic_load(&d->counts.total_bytes));
}

static const char *
shown_name(const struct config_repository *r)
{
	return r->name != NULL ? r->name : r->url;
}

/* The configured one of this name: its number. */
static int
find_place(const struct config *cfg, const char *option, const char *name,
    unsigned *out, struct err *err)
{
	const struct config_repository *r;
	unsigned i;

	for (i = 0; (r = config_repository(cfg, i)) != NULL; i++)
		if (r->name != NULL && strcmp(r->name, name) == 0) {
			*out = i;
			return 0;
		}
	err_set(err, ERR_USAGE, "--%s=%s: cluster %s has no repository of "
	    "this name", option, name, cfg->cluster);
	return err_hint(err, "'repositories' of the cluster's section names "
	    "them");
}

/* From the nearest that is not the one to be written to. */
static int
choose(const struct config *cfg, unsigned *from, unsigned *to, bool *all,
    struct err *err)
{
	*from = 0;
	*to = 0;
	*all = cfg->copy_to == NULL;
	if (cfg->n_others == 0) {
		err_set(err, ERR_USAGE, "there is only one repository to copy "
		    "from and to, %s", shown_name(&cfg->repo));
		return err_hint(err, "name several in 'repositories' of the "
		    "cluster's section, and leave out --repository");
	}
	if (cfg->copy_to != NULL &&
	    find_place(cfg, "to", cfg->copy_to, to, err) != 0)
		return -1;
	if (cfg->copy_from != NULL)
		return find_place(cfg, "from", cfg->copy_from, from, err);
	if (cfg->copy_to != NULL && *to == 0)
		*from = 1;
	return 0;
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void
print_more(uint64_t n, const char *what)
{
	if (n > 0)
		(void)printf(", %" PRIu64 " %s", n, what);
}

/* One line a repository. */
static void
print_summary(const struct config *cfg, const struct config_repository *to,
    const struct copy_result *r)
{
	char size[TEXT_SIZE_MAX];
	const uint64_t there = r->wal.there + r->backups.there +
	    r->dumps.there;

	(void)printf("%s: %s %" PRIu64 " WAL file%s, %" PRIu64 " backup%s, %"
	    PRIu64 " dump%s (%s in %" PRIu64 " object%s); %" PRIu64
	    " %s there already", shown_name(to), cfg->dry_run ? "would get" :
	    "got", r->wal.copied, plural(r->wal.copied), r->backups.copied,
	    plural(r->backups.copied), r->dumps.copied,
	    plural(r->dumps.copied), text_human_size(r->bytes, size),
	    r->objects, plural(r->objects), there,
	    there == 1 ? "was" : "were");
	print_more(r->removed, "stay removed (--again brings them back)");
	print_more(r->vanished, "vanished at the source");
	print_more(r->damaged, "damaged at the source");
	print_more(r->conflicts, "in conflict");
	print_more(r->failed, "not complete");
	(void)printf("\n");
}

static void
print_json(const struct config *cfg, const struct config_repository *from,
    const struct config_repository *to, const struct copy_result *r)
{
	(void)printf("{\"from\": \"%s\", \"to\": \"%s\", \"dry_run\": %s,\n"
	    " \"wal\": %" PRIu64 ", \"backups\": %" PRIu64 ", \"dumps\": %"
	    PRIu64 ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 ",\n"
	    " \"there\": {\"wal\": %" PRIu64 ", \"backups\": %" PRIu64
	    ", \"dumps\": %" PRIu64 "},\n \"removed\": %" PRIu64
	    ", \"vanished\": %" PRIu64 ", \"damaged\": %" PRIu64
	    ", \"conflicts\": %" PRIu64 ", \"incomplete\": %" PRIu64
	    ", \"locked\": %s}", shown_name(from), shown_name(to),
	    cfg->dry_run ? "true" : "false", r->wal.copied, r->backups.copied,
	    r->dumps.copied, r->objects, r->bytes, r->wal.there,
	    r->backups.there, r->dumps.there, r->removed, r->vanished,
	    r->damaged, r->conflicts, r->failed,
	    r->locked.code != ERR_NONE ? "true" : "false");
}

static int
exit_code(const struct copy_result *r, struct err *err)
{
	if (r->damaged > 0 || r->failed > 0)
		return EXIT_DAMAGED;
	if (r->conflicts > 0)
		return EXIT_FOUND;
	if (r->locked.code == ERR_NONE)
		return EXIT_DONE;
	*err = r->locked;
	return -1;
}

static int
run(const struct config *cfg, struct repo *from, struct repo *to,
    unsigned place, struct copy_result *out, struct err *err)
{
	struct display d = { 0 };
	struct copy_params p = {
		.from = from,
		.to = to,
		.cluster = cfg->cluster_given ? cfg->cluster : NULL,
		.what = cfg->verify_wal_only ? COPY_WAL : COPY_EVERYTHING,
		.labels = cfg->arguments,
		.n_labels = (size_t)cfg->n_arguments,
		.again = cfg->copy_again,
		.dry_run = cfg->dry_run,
		.jobs = cfg->jobs,
		.max_rate = cfg->max_rate,
		.lease_ms = cfg->lease_ms,
		.progress = &d.counts,
		.tick = tick,
		.tick_arg = &d,
	};
	struct copy *c = NULL;
	int ret;

	if (copy_new(&c, &p, err) != 0)
		return -1;
	progress_start(&d.bar, cfg);
	ret = mirror_copy_all(cfg, place, c, &p, err);
	progress_end(&d.bar);
	*out = *copy_result(c);
	copy_free(c);
	return ret;
}

/* *shown: how many were told of so far. */
static int
copy_to(const struct config *cfg, struct repo *from, unsigned from_number,
    unsigned to, unsigned *shown, struct err *err)
{
	const struct config_repository *place = config_repository(cfg, to);
	struct copy_result result;
	struct repo *repo;
	int ret;

	if (repo_open_configured(&repo, place, err) != 0)
		return err_wrap(err, "repository %s", shown_name(place));
	ret = run(cfg, from, repo, to, &result, err);
	repo_close(repo);
	if (ret != 0)
		return err_wrap(err, "repository %s", shown_name(place));
	if (cfg->json) {
		(void)printf("%s", *shown > 0 ? ",\n" : "");
		print_json(cfg, config_repository(cfg, from_number), place,
		    &result);
	} else if (!cfg->quiet || cfg->dry_run)
		print_summary(cfg, place, &result);
	(*shown)++;
	ret = exit_code(&result, err);
	/* For `status`. */
	if (ret == EXIT_DONE && !cfg->dry_run && cfg->n_arguments == 0 &&
	    !cfg->verify_wal_only)
		notes_take_over(&(struct notes_of){ cfg->state_directory,
		    config_repository(cfg, from_number), cfg->cluster },
		    &(struct notes_of){ cfg->state_directory, place,
		    cfg->cluster });
	return ret;
}

/* To each; one that fails keeps no other from being brought up to date. */
static int
copy_to_all(const struct config *cfg, struct repo *from,
    unsigned from_number, unsigned *shown, struct err *err)
{
	struct err failed = ERR_INIT;
	int code = EXIT_DONE, rc;
	unsigned i;

	for (i = 0; i <= cfg->n_others; i++) {
		if (i == from_number)
			continue;
		err_clear(&failed);
		rc = copy_to(cfg, from, from_number, i, shown, &failed);
		if (rc > code)
			code = rc;
		if (rc >= 0)
			continue;
		if (err->code != ERR_NONE)
			log_err(LOG_ERROR, err);
		*err = failed;
		if (failed.code == ERR_CANCELLED)
			return -1;
	}
	return err->code != ERR_NONE ? -1 : code;
}

int
cmd_copy(const struct config *cfg, struct err *err)
{
	const struct config_repository *place;
	struct repo *repo = NULL;
	unsigned from, to, shown = 0;
	bool all;
	int ret;

	if (choose(cfg, &from, &to, &all, err) != 0)
		return -1;
	if (!all && from == to)
		return err_set(err, ERR_USAGE, "--from and --to name the same "
		    "repository");
	if (cfg->verify_wal_only && cfg->n_arguments > 0)
		return err_set(err, ERR_USAGE, "--wal-only copies no backup "
		    "or dump: leave out the label");
	place = config_repository(cfg, from);
	if (repo_open_configured(&repo, place, err) != 0)
		return err_wrap(err, "repository %s", shown_name(place));
	if (cfg->json)
		(void)printf("[");
	ret = all ? copy_to_all(cfg, repo, from, &shown, err) :
	    copy_to(cfg, repo, from, to, &shown, err);
	if (cfg->json)
		(void)printf("]\n");
	repo_close(repo);
	return ret;
}
