/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

/*
 * A page (HTML) about a cluster's backups, for people: what can be recovered,
 * since when, from what. It holds all that it shows: no scripts, and nothing
 * is loaded from elsewhere.
 *
 *	struct report r = { .cluster = ..., .now = ... };
 *	report_write(&r, stream);
 *
 * The caller collects; this only shows. Texts are borrowed and may hold
 * anything. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "info/info.h"
#include "repo/lease.h"
#include "repo/notes.h"

/* A backup or dump that is being made. */
struct report_running {
	const struct info_incarnation *inc;
	enum repo_kind kind;
	struct lease_info lease;
};

/* A repository of the cluster. */
struct report_place {
	const char *name, *url; /* name may be NULL */
	int64_t retain; /* the promise, microseconds; 0: none */
	/* As `status` has it. */
	const struct notes *facts;
	const struct notes_judgement *judgement;
	/* What is there; NULL: it was not reached, because of `problem`. */
	const struct info *info;
	struct err problem;
	const struct report_running *running;
	size_t n_running;
};

/* A table, or what is known of one. */
struct report_table {
	char *database, *schema, *name; /* database, schema may be NULL */
	uint64_t bytes, rows;
	bool has_rows;
};

/* Tables, the largest first, by one source. */
#define REPORT_TABLES_MAX 25
struct report_tables {
	char *source; /* a sentence: where the figures come from */
	struct report_table list[REPORT_TABLES_MAX];
	size_t n;
	uint64_t all; /* tables, these among them */
	uint64_t bytes; /* of all */
};

struct report_setting {
	char *section; /* "repository local" */
	const char *key;
	char *value;
	bool changed; /* it is not the default */
};

struct report {
	const char *cluster, *host, *version;
	int64_t now;
	const struct report_place *places;
	size_t n_places;
	const struct report_tables *tables; /* or NULL */
	const struct report_setting *settings;
	size_t n_settings;
};

/* A failure is the stream's. */
void report_write(const struct report *r, FILE *f);

/*
 * A table takes its place among the largest, or is counted only; its texts
 * are copied.
 */
void report_tables_add(struct report_tables *t,
    const struct report_table *table);
void report_tables_free(struct report_tables *t); /* a zeroed one too */

#endif
