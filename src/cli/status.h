/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

/* What `status` shows, and `info` of the repositories that it does not. */
#include <jansson.h>
#include <stdio.h>

#include "config/config.h"
#include "repo/notes.h"

/* A cluster in one of its repositories. */
struct status_line {
	const char *cluster, *repository, *url;
	struct notes facts;
	struct notes_judgement judgement;
	int64_t now;
};

/* A line for each repository of cfg's cluster; the caller frees *out. */
void status_collect(const struct config *cfg, struct status_line **out,
    size_t *n);

void status_print_line(const struct status_line *l, FILE *out);
json_t *status_json(const struct status_line *l);

#endif
