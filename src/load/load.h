/* SPDX-License-Identifier: PostgreSQL */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

/*
 * A stored dump into a server of the same or a newer major. pg_restore makes
 * the definitions, before and after the rows; the rows go in by COPY on
 * `jobs` connections, a large table's on several at once.
 *
 *	load_run(&params, &result, err);
 *	load_result_free(&result);
 *
 * The first error ends it. What was loaded until then stays: result tells,
 * also after an error. One thread calls; COPY runs in threads of its own.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/repo.h"

enum load_phase { LOAD_PHASE_PRE, LOAD_PHASE_ROWS, LOAD_PHASE_POST };

struct load_progress {
	_Atomic unsigned phase;
	_Atomic uint64_t done_bytes, total_bytes;
};

struct load_option { /* for pg_restore */
	const char *name;
	const char *value; /* NULL: it takes none */
};

/*
 * Patterns for names: "table" or "schema.table", with * and ? as in a shell.
 * No pattern: everything.
 */
struct load_selection {
	const char **tables, **exclude_tables;	 /* end with NULL, or NULL */
	const char **schemas, **exclude_schemas;
};

struct load_params {
	struct repo *repo;
	const struct incarnation *inc;
	const char *label; /* whole */
	const char *conninfo;
	const char *database; /* NULL: only with create, or of globals */
	const char *role;     /* NULL: none */
	const char *bin_dir;  /* of pg_restore and psql, or NULL */
	unsigned jobs;
	bool create; /* the database, named as it was */
	bool clean;  /* drop what is to be loaded first */
	bool dry_run; /* result.plan, and nothing is changed */
	bool data_only, schema_only, disable_triggers;
	struct load_selection select;
	const char *into_schema; /* what select.schemas has, a single name */
	const struct load_option *options;
	size_t n_options;
	struct load_progress *progress; /* never NULL */
	void (*tick)(void *arg);
	void *tick_arg;
};

/* Rows of a table, or large objects. */
struct load_planned {
	char *name;
	uint64_t rows, bytes;
};

struct load_result {
	char *database;
	bool globals;
	bool touched; /* something may have been made or dropped */
	bool definitions, post; /* made before, and after the rows */
	size_t n_tables, tables_whole;
	_Atomic uint64_t rows, bytes, large_objects;
	char *begun; /* names of tables that have some of their rows, or NULL */
	int server_version; /* 150020 */
	struct load_planned *plan; /* of a dry run, in their order */
	size_t n_plan;
};

int load_run(const struct load_params *params, struct load_result *out,
    struct err *err) ERR_USE;
void load_result_free(struct load_result *r); /* also of zeroes */

#endif
