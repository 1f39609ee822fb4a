/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_HEAD_H
#define DUMP_HEAD_H

/*
 * pg_dump's part of a dump: run under the leader's snapshot until its table
 * of contents has come, which it writes before any data, and ended then.
 *
 *	head_read(&reader, &said, &params, err);
 *	archive_reader_head(reader)
 *
 * The thread that calls head_read() is pg_dump's parent and must live until
 * it returns.
 */
#include <stdint.h>

#include "core/err.h"
#include "pg/archive.h"
#include "pg/pgtools.h"

struct head_option { /* as config_passed of config/config.h */
	const char *name;
	const char *value; /* NULL: it takes none */
};

struct head_params {
	const struct pgtool *tool;
	const struct pgtool_connection *connection;
	const char *snapshot;
	const char *role; /* NULL: none */
	uint64_t lock_wait_ms;
	const struct head_option *options;
	size_t n_options;
};

/*
 * *out is to be freed with archive_reader_free(), *said, what pg_dump told on
 * its standard error until then, with free(). ERR_POSTGRES: pg_dump failed,
 * with what it said.
 */
int head_read(struct archive_reader **out, char **said,
    const struct head_params *params, struct err *err) ERR_USE;

/* Log the warnings among it. */
void head_log_warnings(const char *said);

/*
 * An option as text, "--table=public.*", as it was given; caller frees.
 */
char *head_option_text(const struct head_option *o);

#endif
