/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/process.h"
#include "export/dumpjob.h"
#include "pg/pgtools.h"

/*
 * Options of the dump that archives do not have in them: what pg_dump would
 * have written with them as plain SQL, pg_restore writes when it is told.
 */
static const char *const handed_on[] = { "--clean", "--create", "--if-exists",
	"--no-owner", "--no-privileges", "--no-acl", "--no-comments",
	"--no-publications", "--no-security-labels", "--no-subscriptions",
	"--no-tablespaces", "--no-table-access-method", "--disable-triggers",
	"--enable-row-security", "--use-set-session-authorization",
	"--superuser" };

static bool
is_handed_on(const char *option)
{
	const size_t n = strcspn(option, "=");
	size_t i;

	for (i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++)
		if (strlen(handed_on[i]) == n &&
		    strncmp(handed_on[i], option, n) == 0)
			return true;
	return false;
}

static int
feed(void *arg, const void *data, size_t len, struct err *err)
{
	return process_write(arg, data, len, err);
}

static int
run_restore(struct dumpjob *j, const char *const *argv, int fd,
    struct err *err)
{
	const struct process_spec spec = { .argv = argv, .in = PROCESS_PIPE,
		.out = PROCESS_FD, .out_fd = fd, .name = "pg_restore",
		.code = ERR_POSTGRES };
	struct process *p = NULL;
	int ret;

	if (process_start(&p, &spec, err) != 0)
		return -1;
	ret = dumpjob_custom(j, ARCHIVE_NONE, feed, p, NULL, err);
	if (ret == 0) {
		process_close_in(p);
		ret = process_wait(p, err);
	}
	process_free(p);
	return ret;
}

int
dumpjob_plain(struct dumpjob *j, int fd, struct err *err)
{
	const struct commit_dump *d = &dumpset_commit(j->set)->dump;
	struct pgtool tool = { 0 };
	const char **argv;
	size_t n = 0, i;
	int ret;

	if (pgtool_find(&tool, PGTOOL_RESTORE, j->params->bin_dir,
	    dumpjob_major(j), err) != 0)
		return -1;
	argv = xcalloc(d->n_options + 4, sizeof(*argv));
	argv[n++] = tool.path;
	argv[n++] = "--file=-";
	for (i = 0; i < d->n_options; i++)
		if (is_handed_on(d->options[i]))
			argv[n++] = d->options[i];
	ret = run_restore(j, argv, fd, err);
	free(argv);
	pgtool_free(&tool);
	return ret;
}
