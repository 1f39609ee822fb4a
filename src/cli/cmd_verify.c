/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <string.h>

#include "cli/progress.h"
#include "cli/verify_show.h"
#include "core/log.h"
#include "core/text.h"
#include "core/time.h"
#include "repo/keyring.h"
#include "repo/notes.h"

#define SHARE_MAX 3650
#define DAY_US INT64_C(86400000000)

struct display {
	struct progress bar;
	struct verify_progress counts;
};

static void
tick(void *arg)
{
	static const char *const phases[] = {
		[VERIFY_PHASE_LIST] = "listing",
		[VERIFY_PHASE_READ] = "reading",
		[VERIFY_PHASE_PROVE] = "proving each file",
	};
	struct display *d = arg;
	unsigned phase = atomic_load(&d->counts.phase);

	if (phase > VERIFY_PHASE_PROVE)
		phase = VERIFY_PHASE_READ;
	progress_update(&d->bar, phases[phase],
	    atomic_load(&d->counts.done_bytes), phase == VERIFY_PHASE_READ ?
	    atomic_load(&d->counts.total_bytes) : 0);
}

/* "1/30": which 30th it is depends on the day. */
static int
parse_share(const struct config *cfg, struct verify_params *p,
    struct err *err)
{
	if (cfg->verify_share == NULL)
		return 0;
	if (strncmp(cfg->verify_share, "1/", 2) != 0 ||
	    !text_u64(cfg->verify_share + 2, SHARE_MAX, &p->share_of) ||
	    p->share_of == 0)
		return err_set(err, ERR_USAGE, "--share=%s: must be 1/N, such "
		    "as 1/30, N at most %d", cfg->verify_share, SHARE_MAX);
	p->share_number = (uint64_t)(time_now() / DAY_US);
	return 0;
}

static int
check_combination(const struct config *cfg, struct err *err)
{
	if (cfg->verify_quick && cfg->verify_repair)
		return err_set(err, ERR_USAGE, "--repair reads everything: "
		    "leave out --quick");
	if (cfg->verify_repair_from != NULL && !cfg->verify_repair)
		return err_set(err, ERR_USAGE,
		    "--repair-from needs --repair");
	return 0;
}

static int
open_source(const struct config *cfg, const struct repo *repo,
    struct repo **out, struct err *err)
{
	struct storage_settings set;
	struct keyring_unlock unlock;

	if (cfg->verify_repair_from == NULL)
		return 0;
	/* With the keys of the one in use: a copy is beside it. */
	repo_settings(&cfg->repo, &set);
	set.url = cfg->verify_repair_from;
	if (repo_open(out, &set, err) != 0)
		return err_wrap(err, "--repair-from");
	repo_unlock(&cfg->repo, &unlock);
	if ((*out)->ring != NULL)
		keyring_give((*out)->ring, &unlock);
	if (memcmp((*out)->id, repo->id, sizeof(repo->id)) == 0 &&
	    (*out)->fingerprint_seed == repo->fingerprint_seed)
		return 0;
	err_set(err, ERR_CONFIG, "--repair-from: %s is repository %s, and a "
	    "copy of repository %s is needed", cfg->verify_repair_from,
	    (*out)->id_text, repo->id_text);
	repo_close(*out);
	*out = NULL;
	return -1;
}

/*
 * For `status`, all incarnations of a cluster (r's at i is the first) in one.
 * What could not be read says nothing of damage.
 */
static void
note_cluster(const struct verify_result *r, size_t i,
    const struct verify_params *p, const struct config *cfg)
{
	const bool all = p->n_labels == 0 && !p->quick && !p->wal_only &&
	    r->unread == 0;
	const struct incarnation *inc = &r->clusters[i].inc;
	const struct notes_of of = { cfg->state_directory, &cfg->repo,
		inc->cluster };
	struct notes_verified v = { .whole = all && p->share_of <= 1,
		.share_number = p->share_number,
		.share_of = all ? p->share_of : 0 };
	size_t k;

	for (k = i; k < r->n; k++) {
		if (strcmp(r->clusters[k].inc.cluster, inc->cluster) != 0)
			continue;
		v.damaged += r->clusters[k].damaged;
		inc = &r->clusters[k].inc;
	}
	notes_put_verify(&of, p->repo, inc, &v);
}

static void
note(const struct verify_result *r, const struct verify_params *p,
    const struct config *cfg)
{
	size_t i, k;

	for (i = 0; i < r->n && !p->dry_run; i++) {
		for (k = 0; k < i; k++)
			if (strcmp(r->clusters[k].inc.cluster,
				r->clusters[i].inc.cluster) == 0)
				break;
		if (k == i)
			note_cluster(r, i, p, cfg);
	}
}

static int
show(const struct verify_result *r, const struct config *cfg,
    struct err *err)
{
	if (cfg->json) {
		if (verify_print_json(r, cfg, stdout, err) != 0)
			return -1;
	} else
		verify_print_text(r, cfg, stdout);
	if (r->damaged > 0)
		return EXIT_DAMAGED;
	if (r->unread == 0)
		return EXIT_DONE;
	if (cli_flush(err) != 0)
		return -1;
	*err = r->unread_err;
	return err_wrap(err, "not all could be read");
}

int
cmd_verify(const struct config *cfg, struct err *err)
{
	struct display d = { 0 };
	struct repo *repo = NULL, *source = NULL;
	struct verify_result result = { 0 };
	struct verify_params p = {
		.cluster = cfg->cluster_given ? cfg->cluster : NULL,
		.labels = cfg->arguments,
		.n_labels = (size_t)cfg->n_arguments,
		.quick = cfg->verify_quick,
		.wal_only = cfg->verify_wal_only,
		.repair = cfg->verify_repair,
		.dry_run = cfg->dry_run,
		.jobs = cfg->jobs,
		.max_rate = cfg->max_rate,
		.sources = &source,
		.progress = &d.counts,
		.tick = tick,
		.tick_arg = &d,
	};
	int ret = -1;

	if (check_combination(cfg, err) != 0 ||
	    parse_share(cfg, &p, err) != 0 ||
	    cli_open_repo(&repo, cfg, err) != 0)
		return -1;
	if (open_source(cfg, repo, &source, err) != 0)
		goto out;
	p.repo = repo;
	p.n_sources = source != NULL;
	progress_start(&d.bar, cfg);
	ret = verify_run(&p, &result, err);
	progress_end(&d.bar);
	if (ret == 0 && result.n == 0 && cfg->cluster_given) {
		ret = err_set(err, ERR_NOT_FOUND, "nothing of cluster %s is "
		    "in %s", cfg->cluster, cfg->repo.url);
		(void)err_hint(err, "dapk-backup info without --cluster shows "
		    "what is there");
	}
	if (ret == 0)
		note(&result, &p, cfg);
	if (ret == 0)
		ret = show(&result, cfg, err);
out:
	verify_result_free(&result);
	repo_close(source);
	repo_close(repo);
	return ret;
}
