/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "dump/head.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/process.h"

#define PIECE ((size_t)64 * 1024)
#define FIXED_ARGS 12

struct args {
	char **list; /* NULL at the end */
	size_t n;
};

static void
add(struct args *a, char *arg)
{
	a->list[a->n++] = arg;
}

char *
head_option_text(const struct head_option *o)
{
	return o->value == NULL ? xasprintf("--%s", o->name) :
	    xasprintf("--%s=%s", o->name, o->value);
}

/* pg_dump 15 and older call large objects blobs; the letters stayed. */
static char *
option_argument(const struct head_option *o)
{
	if (strcmp(o->name, "large-objects") == 0)
		return xstrdup("-b");
	if (strcmp(o->name, "no-large-objects") == 0)
		return xstrdup("-B");
	return head_option_text(o);
}

static void
make_args(const struct head_params *p, struct args *a)
{
	size_t i;

	a->list = xcalloc(p->n_options + FIXED_ARGS, sizeof(*a->list));
	a->n = 0;
	add(a, xstrdup(p->tool->path));
	add(a, xstrdup("--no-password"));
	add(a, xstrdup("--format=custom"));
	add(a, xstrdup("--compress=0"));
	add(a, xasprintf("--snapshot=%s", p->snapshot));
	if (p->lock_wait_ms > 0)
		add(a, xasprintf("--lock-wait-timeout=%llu",
		    (unsigned long long)p->lock_wait_ms));
	if (p->role != NULL)
		add(a, xasprintf("--role=%s", p->role));
	for (i = 0; i < p->n_options; i++)
		add(a, option_argument(&p->options[i]));
	add(a, xstrdup("-d"));
	add(a, xstrdup(p->connection->dbname));
}

static void
free_args(struct args *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		free(a->list[i]);
	free(a->list);
}

void
head_log_warnings(const char *said)
{
	static const char prefix[] = "pg_dump: ", word[] = "warning:";
	bool warns = false;
	size_t len;

	for (; *said != '\0'; said += len + (said[len] == '\n')) {
		len = strcspn(said, "\n");
		if (strncmp(said, prefix, sizeof(prefix) - 1) == 0) {
			said += sizeof(prefix) - 1;
			len -= sizeof(prefix) - 1;
			/* An error of the data is none of ours. */
			if (strncmp(said, "error:", 6) == 0)
				warns = false;
			if (strncmp(said, word, sizeof(word) - 1) == 0)
				warns = true;
		}
		if (len > 0 && warns)
			log_warning("pg_dump: %.*s", (int)len, said);
	}
}

/* *ended: pg_dump closed its output before the head was complete. */
static int
feed(struct archive_reader *r, struct process *p, bool *ended,
    struct err *err)
{
	uint8_t *piece = xmalloc(PIECE);
	bool complete = false;
	size_t got = 0;
	int rc = 0;

	*ended = false;
	while (rc == 0 && !complete) {
		rc = process_read(p, piece, PIECE, &got, err);
		if (rc == 0 && got == 0) {
			*ended = true;
			break;
		}
		if (rc == 0)
			rc = archive_reader_feed(r, piece, got, &complete,
			    err);
	}
	free(piece);
	return rc;
}

int
head_read(struct archive_reader **out, char **said,
    const struct head_params *params, struct err *err)
{
	struct process_spec spec = { .out = PROCESS_PIPE,
		.env = params->connection->env, .code = ERR_POSTGRES };
	struct archive_reader *r = NULL;
	struct process *p = NULL;
	struct args args;
	bool ended = false;
	int rc = -1;

	make_args(params, &args);
	spec.argv = (const char *const *)args.list;
	archive_reader_new(&r);
	if (process_start(&p, &spec, err) != 0 ||
	    feed(r, p, &ended, err) != 0)
		goto out;
	if (ended) {
		/* It says why itself, unless it ended as if all was well. */
		if (process_wait(p, err) == 0)
			(void)archive_reader_early_end(r, err);
		goto out;
	}
	*said = xstrdup(process_said(p)); /* not that it was ended */
	process_terminate(p);
	*out = r;
	r = NULL;
	rc = 0;
out:
	/* pg_dump's fault: nothing in the repository is damaged. */
	if (rc != 0 && (err->code == ERR_DAMAGED ||
		err->code == ERR_UNSUPPORTED))
		err->code = ERR_POSTGRES;
	process_free(p);
	archive_reader_free(r);
	free_args(&args);
	return rc;
}
