/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

/*
 * A logical dump of one database: pg_dump's own table of contents, and the
 * rows read by COPY on several connections under the same snapshot, stored as
 * one label in dumps/. Nothing of it counts before its commit is put; after
 * an error or a signal what was stored is removed again.
 *
 *	dump_databases(&list, &n, conninfo, err);	for --all
 *	dump_run(&params, &commit, err);
 *	dump_plan(&params, &outline, err);		stores nothing
 *
 * One thread calls; COPY runs in threads of its own.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "dump/head.h"
#include "repo/commit.h"
#include "repo/repo.h"

enum dump_phase {
	DUMP_PHASE_LOCK, /* locks, snapshot, table of contents */
	DUMP_PHASE_COPY,
	DUMP_PHASE_COMMIT
};

struct dump_progress {
	_Atomic unsigned phase;
	_Atomic uint64_t done_bytes; /* of what the tables have on disk */
	_Atomic uint64_t total_bytes;
};

struct dump_params {
	struct repo *repo;
	const char *output; /* into this directory instead; NULL: repo */
	const char *compress; /* with it: \"gzip:6\"; NULL: as fits */
	const char *cluster;
	const char *conninfo;
	const char *database; /* NULL: as conninfo or environment say */
	const char *role;     /* NULL: none */
	const char *bin_dir;  /* where pg_dump is; NULL: looked for */
	const struct head_option *options; /* for pg_dump */
	size_t n_options;
	unsigned jobs;
	int compress_level;
	bool full; /* refer to no earlier dump */
	bool serializable_deferrable;
	bool no_role_passwords; /* of globals */
	uint64_t lease_ms;
	uint64_t refresh_age_ms;
	uint64_t lock_wait_ms;	  /* 0: wait */
	uint64_t snapshot_age_ms; /* warn beyond; 0: never */
	struct dump_progress *progress;
	void (*tick)(void *arg); /* a few times a second */
	void *tick_arg;
};

/* *out is filled on success; commit_free() it then. */
int dump_run(const struct dump_params *params, struct commit *out,
    struct err *err) ERR_USE;

struct dump_outline {
	char *database;
	char *server_version, *pg_dump_path, *pg_dump_version;
	bool standby;
	struct dump_outline_table {
		char *name; /* quoted, with its schema */
		uint64_t bytes;
		uint32_t ranges;
	} *tables; /* in the order in which they are copied */
	size_t n_tables;
	size_t n_entries; /* of pg_dump's table of contents */
	uint64_t large_objects;
	uint64_t bytes;
	size_t tasks;
};

/* What dump_run() would do: takes locks and snapshot, and stores nothing. */
int dump_plan(const struct dump_params *params, struct dump_outline *out,
    struct err *err) ERR_USE;
void dump_outline_free(struct dump_outline *o); /* also of zeroes */

/* Every database that allows connections and is no template, by name. */
int dump_databases(char ***out, size_t *n, const char *conninfo,
    struct err *err) ERR_USE;
void dump_databases_free(char **list, size_t n);

#endif
