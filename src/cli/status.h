/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

/* What `status` shows, and `info` of the repositories that it does not. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "config/config.h"
#include "repo/notes.h"

enum status_format { STATUS_TEXT, STATUS_JSON, STATUS_PROMETHEUS };

/* A cluster in one of its repositories. */
struct status_line {
	const char *cluster, *repository, *url;
	bool first; /* of the cluster's: the one that archive-push asks */
	int64_t retain; /* the promise, microseconds; 0: none */
	struct notes facts;
	struct notes_judgement judgement;
	int64_t now;
};

/*
 * A line for each repository of cfg's cluster; the caller frees *out. Texts
 * are cfg's.
 */
void status_collect(const struct config *cfg, struct status_line **out,
    size_t *n);

void status_print_line(const struct status_line *l, FILE *out);
json_t *status_json(const struct status_line *l); /* NULL: no memory */

/*
 * Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/
 * exposition_formats), for the text file collector of the node exporter. The
 * names are a promise: dapk-backup-status(1) has them.
 */
void status_print_prometheus(const struct status_line *lines, size_t n,
    FILE *out);

#endif
