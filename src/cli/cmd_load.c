/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "export/export.h"
#include "load/load.h"
#include "repo/commit.h"

struct display {
	struct progress bar;
	struct load_progress counts;
};

/* The lists of patterns and what pg_restore gets. */
struct passed {
	const char **tables, **exclude_tables, **schemas, **exclude_schemas;
	struct load_option *options;
	size_t n_options;
};

static void
tick(void *arg)
{
	static const char *const phases[] = {
		[LOAD_PHASE_PRE] = "making definitions",
		[LOAD_PHASE_ROWS] = "loading",
		[LOAD_PHASE_POST] = "making indexes and constraints",
	};
	struct display *d = arg;
	unsigned phase = atomic_load(&d->counts.phase);

	progress_update(&d->bar, phases[phase],
	    atomic_load(&d->counts.done_bytes), phase == LOAD_PHASE_ROWS ?
	    atomic_load(&d->counts.total_bytes) : 0);
}

static void
add_pattern(const char ***list, unsigned room, const char *value)
{
	size_t n = 0;

	if (*list == NULL)
		*list = xcalloc(room + 1, sizeof(const char *));
	while ((*list)[n] != NULL)
		n++;
	(*list)[n] = value;
}

static void
sort_passed(const struct config *cfg, struct passed *p)
{
	const struct {
		const char *name;
		const char ***list;
	} lists[] = { { "table", &p->tables },
		{ "exclude-table", &p->exclude_tables },
		{ "schema", &p->schemas },
		{ "exclude-schema", &p->exclude_schemas } };
	unsigned i;
	size_t k;

	p->options = xcalloc(cfg->n_passed + 1, sizeof(*p->options));
	for (i = 0; i < cfg->n_passed; i++) {
		for (k = 0; k < 4; k++)
			if (strcmp(cfg->passed[i].name, lists[k].name) == 0)
				break;
		if (k < 4)
			add_pattern(lists[k].list, cfg->n_passed,
			    cfg->passed[i].value);
		else
			p->options[p->n_options++] = (struct load_option){
				cfg->passed[i].name, cfg->passed[i].value };
	}
}

static void
free_passed(struct passed *p)
{
	free(p->tables);
	free(p->exclude_tables);
	free(p->schemas);
	free(p->exclude_schemas);
	free(p->options);
}

static int
check_options(const struct config *cfg, struct err *err)
{
	if (cfg->load_create && cfg->load_database != NULL)
		return err_set(err, ERR_USAGE, "--create makes the database "
		    "with the name that it had: --database cannot name "
		    "another");
	if (cfg->load_data_only && cfg->load_schema_only)
		return err_set(err, ERR_USAGE, "--data-only and --schema-only "
		    "leave nothing to load");
	if (cfg->load_data_only && (cfg->load_create || cfg->load_clean))
		return err_set(err, ERR_USAGE, "--data-only loads into tables "
		    "that are there: not with --create or --clean");
	if (cfg->load_disable_triggers && !cfg->load_data_only)
		return err_set(err, ERR_USAGE, "--disable-triggers is for "
		    "--data-only: else triggers are made after the rows");
	return 0;
}

static void
print_done(const char *label, const struct load_result *r, double seconds)
{
	char size[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX];

	if (r->globals) {
		(void)printf("loaded the globals of dump %s\n", label);
		return;
	}
	(void)printf("loaded dump %s into database %s\n", label, r->database);
	(void)printf("  rows      %" PRIu64 " in %zu tables, %s, %" PRIu64
	    " large objects\n", r->rows, r->tables_whole,
	    text_human_size(r->bytes, size), r->large_objects);
	(void)printf("  took      %.1f s, %s/s\n", seconds,
	    text_human_size(seconds > 0 ? (uint64_t)((double)r->bytes /
		seconds) : 0, rate));
}

static void
print_plan(const char *label, const struct config *cfg,
    const struct load_result *r)
{
	char size[TEXT_SIZE_MAX];
	size_t i;

	(void)printf("dump %s would be loaded into %s%s, PostgreSQL %d, over "
	    "%u connections\n", label, r->globals || cfg->load_create ?
	    "" : "database ", r->globals ? "the server" :
	    cfg->load_create ? "a new database" : r->database,
	    r->server_version / 10000, r->globals ? 1 : cfg->jobs);
	for (i = 0; i < r->n_plan; i++)
		(void)printf("%12s %12" PRIu64 " rows  %s\n",
		    text_human_size(r->plan[i].bytes, size), r->plan[i].rows,
		    r->plan[i].name);
}

/* What is there after an error, since nothing is taken back. */
static void
print_failed(const struct config *cfg, const struct load_result *r)
{
	if (r->globals || r->database == NULL)
		return;
	if (!r->touched) {
		(void)fprintf(stderr, "nothing was changed in database %s\n",
		    r->database);
		return;
	}
	(void)fprintf(stderr, "what was loaded into database %s stays: ",
	    r->database);
	if (!r->definitions && !cfg->load_data_only)
		(void)fprintf(stderr, "definitions in part, no rows\n");
	else if (r->n_tables == 0)
		(void)fprintf(stderr, "%s no rows\n",
		    r->definitions ? "the definitions," : "");
	else
		(void)fprintf(stderr, "%s%zu of %zu tables whole, %" PRIu64
		    " rows, %" PRIu64 " large objects%s%s%s\n",
		    r->definitions ? "the definitions, " : "",
		    r->tables_whole, r->n_tables, r->rows, r->large_objects,
		    r->begun != NULL ? "; in part: " : "",
		    r->begun != NULL ? r->begun : "",
		    r->tables_whole == r->n_tables ? "; indexes, constraints "
		    "and access rights in part" : "");
}

static int
find_dump(struct repo **repo, const struct config *cfg,
    struct incarnation *inc, char label[FORMAT_LABEL_MAX], struct err *err)
{
	struct export_found found;

	if (cli_find(repo, &found, cfg, cfg->arguments[0], err) != 0)
		return -1;
	if (found.kind != REPO_DUMP) {
		(void)err_set(err, ERR_USAGE, "%s is a backup of data files, "
		    "not a dump", found.label);
		return err_hint(err, "dapk-backup restore -D DIR --backup %s",
		    found.label);
	}
	*inc = found.inc;
	(void)snprintf(label, FORMAT_LABEL_MAX, "%s", found.label);
	return 0;
}

static int
load_it(struct repo *repo, const struct incarnation *inc, const char *label,
    const struct config *cfg, struct passed *p, struct err *err)
{
	struct load_result result = { 0 };
	struct display d = { 0 };
	const int64_t begun = time_monotonic();
	struct load_params params = { .repo = repo, .inc = inc,
		.label = label, .conninfo = cfg->conninfo,
		.database = cfg->load_database, .role = cfg->dump_role,
		.bin_dir = cfg->pg_bin_dir, .jobs = cfg->jobs,
		.create = cfg->load_create, .clean = cfg->load_clean,
		.dry_run = cfg->dry_run,
		.data_only = cfg->load_data_only,
		.schema_only = cfg->load_schema_only,
		.disable_triggers = cfg->load_disable_triggers,
		.select = { p->tables, p->exclude_tables, p->schemas,
			p->exclude_schemas },
		.into_schema = cfg->into_schema, .options = p->options,
		.n_options = p->n_options, .progress = &d.counts,
		.tick = tick, .tick_arg = &d };
	int ret;

	progress_start(&d.bar, cfg);
	ret = load_run(&params, &result, err);
	progress_end(&d.bar);
	if (ret == 0 && cfg->dry_run)
		print_plan(label, cfg, &result);
	else if (ret == 0)
		print_done(label, &result,
		    (double)(time_monotonic() - begun) / 1e6);
	else
		print_failed(cfg, &result);
	load_result_free(&result);
	return ret;
}

int
cmd_load(const struct config *cfg, struct err *err)
{
	struct passed passed = { .tables = NULL };
	char label[FORMAT_LABEL_MAX];
	struct incarnation inc;
	struct repo *repo = NULL;
	int ret;

	if (check_options(cfg, err) != 0)
		return -1;
	ret = find_dump(&repo, cfg, &inc, label, err);
	if (ret == 0) {
		sort_passed(cfg, &passed);
		ret = load_it(repo, &inc, label, cfg, &passed, err);
		free_passed(&passed);
	}
	repo_close(repo);
	return ret == 0 ? EXIT_DONE : -1;
}
