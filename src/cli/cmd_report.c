/* SPDX-License-Identifier: PostgreSQL */
/* A page about a cluster in all of its repositories. */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/info_known.h"
#include "cli/report_collect.h"
#include "cli/status.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "retain/retention.h"

/* Who looks does not wait as long as a backup does for a store's answer. */
#define PATIENCE_MS 15000u

/* A repository, and what came of it. */
struct place {
	struct repo *repo;
	struct info info;
	bool reached;
	struct err problem;
	struct report_running *running;
	size_t n_running;
};

struct work {
	const struct config *cfg;
	struct place *places;
	size_t n;
	struct report_tables tables;
	bool has_tables;
};

/* Of whom a lease says that he is at work; nobody else is asked. */
static void
add_running(struct place *p, const struct info_incarnation *inc,
    enum repo_kind kind)
{
	struct err ignored = ERR_INIT; /* the page does without */
	char process[LEASE_PROCESS_MAX];
	struct lease_info *list = NULL;
	size_t n = 0, i;

	if (lease_look(p->repo, &inc->inc, lease_name(kind), &list, &n,
		&ignored) != 0)
		return;
	lease_process(process);
	for (i = 0; i < n; i++) {
		if (list[i].ended || lease_process_dead(&list[i], process) ||
		    list[i].mtime + (int64_t)list[i].valid_ms * 1000 <
			time_now() ||
		    strcmp(list[i].purpose, repo_kind_name(kind)) != 0)
			continue;
		p->running = xreallocarray(p->running, p->n_running + 1,
		    sizeof(*p->running));
		p->running[p->n_running++] = (struct report_running){ inc,
			kind, list[i] };
	}
	free(list);
}

static int
look(struct work *w, unsigned i, struct err *err)
{
	struct config_repository here = *config_repository(w->cfg, i);
	const struct info_source from = {
		.cluster = w->cfg->cluster,
		.state_directory = w->cfg->state_directory,
	};
	struct place *p = &w->places[i];
	size_t k;

	if (here.timeout_ms > PATIENCE_MS)
		here.timeout_ms = PATIENCE_MS; /* the rest is borrowed */
	if (repo_open_configured(&p->repo, &here, err) != 0 ||
	    info_collect(&p->info, p->repo, &from, err) != 0)
		return -1;
	p->reached = true;
	p->info.url = here.url;
	retention_explain(&p->info, p->repo, w->cfg,
	    config_repository(w->cfg, i));
	info_known_note(w->cfg, config_repository(w->cfg, i), &p->info);
	for (k = 0; k < p->info.n; k++) {
		add_running(p, &p->info.incarnations[k], REPO_BACKUP);
		add_running(p, &p->info.incarnations[k], REPO_DUMP);
	}
	if (!w->has_tables && p->info.n > 0) {
		report_collect_tables(&w->tables, &p->info, p->repo);
		w->has_tables = true;
	}
	return 0;
}

/* All that can be reached; the first failure is the result, after the page. */
static int
look_at_all(struct work *w, struct err *first, struct err *err)
{
	struct place *p;
	unsigned i;

	for (i = 0; i < w->n; i++) {
		p = &w->places[i];
		if (look(w, i, &p->problem) == 0)
			continue;
		if (p->problem.code == ERR_CANCELLED ||
		    p->problem.code == ERR_BUG) {
			*err = p->problem;
			return -1;
		}
		if (first->code == ERR_NONE)
			*first = p->problem;
		else
			log_warning("%s: %s", config_repository(w->cfg, i)->url,
			    p->problem.msg);
	}
	return 0;
}

static void
write_page(const struct work *w, FILE *f)
{
	struct report_place *places = xcalloc(w->n, sizeof(*places));
	struct status_line *lines;
	struct report_setting *settings;
	char host[256] = "";
	struct report r = { .cluster = w->cfg->cluster, .host = host,
		.version = PACKAGE_VERSION, .now = time_now(),
		.places = places, .n_places = w->n,
		.tables = w->has_tables ? &w->tables : NULL };
	size_t n, i;

	(void)gethostname(host, sizeof(host) - 1);
	status_collect(w->cfg, &lines, &n);
	for (i = 0; i < w->n; i++)
		places[i] = (struct report_place){
			.name = lines[i].repository,
			.url = lines[i].url,
			.retain = lines[i].retain,
			.facts = &lines[i].facts,
			.judgement = &lines[i].judgement,
			.info = w->places[i].reached ? &w->places[i].info :
						       NULL,
			.problem = w->places[i].problem,
			.running = w->places[i].running,
			.n_running = w->places[i].n_running,
		};
	report_collect_settings(&settings, &r.n_settings, w->cfg);
	r.settings = settings;
	report_write(&r, f);
	report_settings_free(settings, r.n_settings);
	free(lines);
	free(places);
}

static int
write_file(const struct work *w, const char *path, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int rc;

	if (f == NULL)
		abort(); /* memory is out */
	write_page(w, f);
	if (fclose(f) != 0)
		abort(); /* memory is out */
	rc = io_write_file_durable(path, text, len, 0644, err);
	if (rc != 0 && err->code == ERR_NOT_FOUND)
		err->code = ERR_IO; /* its folder, and nothing of a backup */
	free(text);
	return rc;
}

static void
work_free(struct work *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		if (w->places[i].reached)
			info_free(&w->places[i].info);
		free(w->places[i].running);
		repo_close(w->places[i].repo);
	}
	report_tables_free(&w->tables);
	free(w->places);
}

int
cmd_report(const struct config *cfg, struct err *err)
{
	struct work w = { .cfg = cfg, .n = (size_t)cfg->n_others + 1 };
	struct err first = ERR_INIT;
	bool damaged = false;
	size_t i;
	int ret = -1;

	if (cfg->output == NULL && isatty(STDOUT_FILENO)) {
		err_set(err, ERR_USAGE, "a page is not for a terminal");
		return err_hint(err, "dapk-backup report --output "
		    "report.html");
	}
	w.places = xcalloc(w.n, sizeof(*w.places));
	if (look_at_all(&w, &first, err) != 0)
		goto out;
	if (cfg->output == NULL)
		write_page(&w, stdout);
	else if (write_file(&w, cfg->output, err) != 0)
		goto out;
	for (i = 0; i < w.n; i++)
		damaged = damaged || (w.places[i].reached &&
		    w.places[i].info.damaged);
	ret = damaged ? EXIT_DAMAGED : EXIT_DONE;
	if (first.code != ERR_NONE) {
		*err = first;
		ret = -1;
	}
out:
	work_free(&w);
	return ret;
}
