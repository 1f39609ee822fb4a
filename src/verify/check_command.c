/* SPDX-License-Identifier: PostgreSQL */
/* What the server calls for each segment. */
#include "config.h"

#include "verify/check_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "repo/notes.h"

#define ENVIRONMENT_MAX ((size_t)1 << 20)
#define WORDS_MAX 64

/*
 * The statement that sets archive_command, with the options that lead to the
 * cluster and repository meant here: the server does not know what this
 * shell's environment says.
 */
static void
archive_command_next(const struct config *cfg, struct buf *out)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	/* With its place: the server's PATH need not be this shell's. */
	self[n < 0 ? 0 : n] = '\0';
	buf_printf(out, "ALTER SYSTEM SET archive_command = '%s",
	    n <= 0 || strpbrk(self, " '\\%") != NULL ? "dapk-backup" : self);
	if (cfg->config_file != NULL &&
	    strcmp(cfg->config_file, CONFIG_FILE_DEFAULT) != 0)
		buf_printf(out, " --config %s", cfg->config_file);
	if (cfg->cluster_given)
		buf_printf(out, " --cluster %s", cfg->cluster);
	if (cfg->repo.name == NULL && strcmp(cfg->repo.url,
	    CONFIG_REPOSITORY_DEFAULT) != 0)
		buf_printf(out, " --repository-url %s", cfg->repo.url);
	buf_add_str(out, " archive-push %p'; SELECT pg_reload_conf();");
}

/* PATH of the postmaster, whose child the command is; the caller frees. */
static char *
server_path(const struct check *c)
{
	char *file = xasprintf("%s/postmaster.pid", c->pgdata), *env;
	struct err ignored = ERR_INIT;
	const char *p, *end;
	char *path = NULL;
	struct buf b;

	buf_init(&b, ENVIRONMENT_MAX);
	if (io_read_file(file, &b, &ignored) != 0)
		goto out;
	env = xasprintf("/proc/%ld/environ", strtol(buf_str(&b), NULL, 10));
	buf_clear(&b);
	if (io_read_file(env, &b, &ignored) == 0) {
		end = (const char *)b.data + b.len;
		for (p = buf_str(&b); p < end; p += strlen(p) + 1)
			if (strncmp(p, "PATH=", 5) == 0)
				path = xstrdup(p + 5);
	}
	free(env);
out:
	buf_free(&b);
	free(file);
	return path;
}

static bool
is_on_path(const char *path, const char *program)
{
	const char *p = path;
	bool found = false;
	size_t len;
	char *file;

	while (!found) {
		len = strcspn(p, ":");
		file = xasprintf("%.*s/%s", (int)len, p, program);
		found = access(file, X_OK) == 0;
		free(file);
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
	return found;
}

/* A command taken apart as a shell would; n 0: that would need a shell. */
struct words {
	char *list[WORDS_MAX];
	size_t n;
};

static void
words_free(struct words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->list[i]);
	w->n = 0;
}

static void
words_parse(const char *command, struct words *w)
{
	const char *p = command;
	struct buf word;
	char quote = '\0';

	w->n = 0;
	if (strpbrk(command, "$`\\;&|()<>\n*?[#~") != NULL)
		return;
	buf_init(&word, ENVIRONMENT_MAX);
	while (*p != '\0' && w->n < WORDS_MAX) {
		p += strspn(p, " \t");
		if (*p == '\0')
			break;
		buf_clear(&word);
		for (; *p != '\0' && (quote != '\0' ||
		    (*p != ' ' && *p != '\t')); p++) {
			if (*p == quote)
				quote = '\0';
			else if (quote == '\0' && (*p == '\'' || *p == '"'))
				quote = *p;
			else
				buf_add(&word, p, 1);
		}
		w->list[w->n++] = xstrdup(buf_str(&word));
	}
	buf_free(&word);
	/* An assignment before the program changes what follows. */
	if (quote != '\0' || (w->n > 0 && strchr(w->list[0], '=') != NULL))
		words_free(w);
}

/* The value of --NAME VALUE or --NAME=VALUE, or NULL. */
static const char *
words_option(const struct words *w, const char *name)
{
	const size_t len = strlen(name);
	size_t i;

	for (i = 1; i < w->n; i++) {
		if (strncmp(w->list[i], name, len) != 0)
			continue;
		if (w->list[i][len] == '=')
			return w->list[i] + len + 1;
		if (w->list[i][len] == '\0' && i + 1 < w->n)
			return w->list[i + 1];
	}
	return NULL;
}

/* The server runs it in its data directory. */
static char *
as_server_sees(const struct check *c, const char *path)
{
	return path[0] == '/' ? xstrdup(path) :
	    xasprintf("%s/%s", c->pgdata, path);
}

/* Will the shell find the program, and may the server run it? */
static bool
check_program(struct check *c, const char *program, const char *next)
{
	char *path = NULL, *file = NULL;
	bool ok = true;

	if (strchr(program, '/') != NULL) {
		file = as_server_sees(c, program);
		ok = access(file, X_OK) == 0;
		if (!ok)
			check_tell(c, CHECK_FAILED, "archive_command", next,
			    "%s: %s%s", file, strerror(errno),
			    program[0] == '/' ? "" : " (the server runs it in "
			    "its data directory)");
	} else if ((path = server_path(c)) != NULL) {
		ok = is_on_path(path, program);
		if (!ok)
			check_tell(c, CHECK_FAILED, "archive_command", next,
			    "%s is not on the server's PATH, %s", program,
			    path);
	}
	free(file);
	free(path);
	return ok;
}

/* Does it mean the configuration and the cluster of this check? */
static bool
check_meaning(struct check *c, const struct words *w, const char *next)
{
	const char *config = words_option(w, "--config");
	const char *cluster = words_option(w, "--cluster");
	char *file = config == NULL ? NULL : as_server_sees(c, config);
	bool ok = true;

	if (file != NULL && access(file, R_OK) != 0) {
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "names the configuration %s: %s", file, strerror(errno));
		ok = false;
	}
	if (cluster != NULL && strcmp(cluster, c->cfg->cluster) != 0) {
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "archives into cluster %s, and this check is about %s",
		    cluster, c->cfg->cluster);
		ok = false;
	}
	free(file);
	return ok;
}

/* One that says "archived" of everything. */
static bool
stores_nothing(const char *command)
{
	static const char *const known[] = { "true", "/bin/true",
		"/usr/bin/true", ":", "exit 0", "cd ." };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(command, known[i]) == 0)
			return true;
	return false;
}

/* One that says so when archive-push has failed, too. */
static const char *
hides_failure(const char *command)
{
	static const char *const ends[] = { "|| true", "||true", "|| :",
		"|| exit 0", "|| /bin/true", "; true", ";true", "; :",
		"; exit 0", "&" };
	const size_t len = strlen(command);
	size_t i, n;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		n = strlen(ends[i]);
		if (len > n && strcmp(command + len - n, ends[i]) == 0)
			return ends[i];
	}
	return NULL;
}

/* What can be told of it from its text alone. */
static bool
check_text(struct check *c, const char *command, const char *next)
{
	const char *what = NULL;

	if (command[0] == '\0' || strcmp(command, "(disabled)") == 0)
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "is not set: WAL piles up in pg_wal");
	else if (stores_nothing(command))
		check_tell(c, CHECK_FAILED, "archive_command", next, "is '%s', "
		    "which stores nothing and says that it did: WAL is lost "
		    "as it is written; take a backup when it is set",
		    command);
	else if (strstr(command, "archive-push") == NULL)
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "does not call archive-push: %s", command);
	else if (strstr(command, "%p") == NULL)
		check_tell(c, CHECK_FAILED, "archive_command", next, "does not "
		    "give %%p to archive-push: %s", command);
	else if (!notes_command_archives(command))
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "calls another program: %s", command);
	else if ((what = hides_failure(command)) != NULL)
		check_tell(c, CHECK_FAILED, "archive_command", next,
		    "ends with '%s': what archive-push could not store counts "
		    "as archived, and is lost: %s", what, command);
	else
		return true;
	return false;
}

/* What stands in archive_command or archive_library. */
bool
check_archive_command(struct check *c)
{
	struct buf b;
	struct words w = { .n = 0 };
	char *library = check_query(c, "archive_library",
	    "SELECT coalesce(current_setting('archive_library', true), '')");
	char *command = check_query(c, "archive_command", "SHOW archive_command");
	bool ok = false;

	buf_init(&b, ERR_HINT_MAX);
	archive_command_next(c->cfg, &b);
	if (library == NULL || command == NULL)
		goto out;
	if (library[0] != '\0') {
		check_tell(c, CHECK_FAILED, "archive_library", "ALTER SYSTEM RESET "
		    "archive_library; SELECT pg_reload_conf();", "is '%s', so "
		    "archive_command is not used", library);
		goto out;
	}
	ok = check_text(c, command, buf_str(&b));
	if (ok && c->same_server)
		words_parse(command, &w);
	if (w.n > 0)
		ok = check_program(c, w.list[0], buf_str(&b)) &&
		    check_meaning(c, &w, buf_str(&b));
	words_free(&w);
	if (ok)
		check_tell(c, CHECK_OK, "archive_command", NULL, "%s", command);
out:
	free(library);
	free(command);
	buf_free(&b);
	return ok;
}
