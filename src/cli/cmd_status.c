/* SPDX-License-Identifier: PostgreSQL */
/* One line a cluster and repository, from what this host knows. */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>

#include "cli/status.h"

struct shown {
	enum notes_verdict worst;
	json_t *list; /* NULL: lines of text */
};

static void
show(const struct config *cfg, struct shown *s)
{
	struct status_line *lines;
	size_t i, n;

	status_collect(cfg, &lines, &n);
	for (i = 0; i < n; i++) {
		if (lines[i].judgement.verdict > s->worst)
			s->worst = lines[i].judgement.verdict;
		if (s->list == NULL)
			status_print_line(&lines[i], stdout);
		else if (json_array_append_new(s->list,
		    status_json(&lines[i])) != 0)
			abort(); /* memory is out */
	}
	free(lines);
}

/* Another cluster of the file. */
static int
show_cluster(const struct config *cfg, const char *name, struct shown *s,
    struct err *err)
{
	const struct config_given given[] = {
		{ option_find("cluster", 7, COMMAND_STATUS), name },
		{ option_find("state-directory", 15, COMMAND_STATUS),
		    cfg->state_directory },
	};
	const struct config_sources sources = {
		.default_file = cfg->config_file,
		.command = COMMAND_STATUS,
		.given = given,
		.n_given = 2,
	};
	struct config other;
	int rc;

	config_init(&other);
	rc = config_load(&other, &sources, err);
	if (rc == 0)
		show(&other, s);
	config_free(&other);
	return rc;
}

int
cmd_status(const struct config *cfg, struct err *err)
{
	struct shown s = { NOTES_OK, cfg->json ? json_array() : NULL };
	json_t *j;
	unsigned i;

	show(cfg, &s);
	for (i = 0; i < cfg->n_more_clusters; i++)
		if (show_cluster(cfg, cfg->more_clusters[i], &s, err) != 0) {
			json_decref(s.list);
			return -1;
		}
	if (cfg->json) {
		j = json_pack("{s:i,s:s,s:o}", "format", 1, "verdict",
		    notes_verdict_name(s.worst), "repositories", s.list);
		if (j == NULL || json_dumpf(j, stdout, JSON_INDENT(2)) != 0) {
			json_decref(j);
			return err_set(err, ERR_IO,
			    "cannot write the JSON text");
		}
		(void)fputc('\n', stdout); /* cli_flush() tells an error */
		json_decref(j);
	}
	return s.worst == NOTES_OK ? EXIT_DONE : EXIT_FOUND;
}
