/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/*
 * The command line: command table, dispatch, help. Each command turns its
 * configuration into one call of the library and prints the result; results
 * go to standard output, messages to standard error.
 */
#include <stdio.h>

#include "config/config.h"
#include "config/option.h"
#include "core/err.h"
#include "repo/repo.h"

struct command {
	const char *name;
	unsigned bit; /* enum option_command */
	const char *arguments; /* "NAME DEST", or "" */
	int min_arguments, max_arguments;
	const char *help;	 /* one line */
	const char *description; /* a few */
	const char *const *examples; /* NULL-terminated, "what\0"-free text */
	/* An exit code, or -1 with *err filled. */
	int (*run)(const struct config *cfg, struct err *err);
};

extern const struct command command_table[]; /* ends with a NULL name */

const struct command *command_find(const char *name);

/* What main() calls; returns the exit code. */
int cli_main(int argc, char **argv);

#define EXIT_DONE 0
#define EXIT_FOUND 1 /* absent, refused, or a check found something */
#define EXIT_USAGE 2
#define EXIT_STORAGE 3
#define EXIT_POSTGRES 4
#define EXIT_DAMAGED 5
#define EXIT_LOCKED 6
#define EXIT_BUG 70
/* status, as Nagios reads it */
#define EXIT_WARNING 1
#define EXIT_CRITICAL 2
#define EXIT_UNKNOWN 3
#define EXIT_RECOVERY_STOP 126 /* archive-get: PostgreSQL must not go on */

/*
 * The exit code of an error. standby: archive-get serves a standby, which
 * tries again after a plain failure.
 */
int cli_exit_code(unsigned command, const struct err *err, bool standby);

/*
 * Open the repository in use, the first of several, and check its id against
 * the expected one (ERR_CONFIG: another repository is mounted there).
 */
int cli_open_repo(struct repo **out, const struct config *cfg,
    struct err *err) ERR_USE;

/*
 * Open the nearest repository that has the backup or dump whose label begins
 * so. The caller closes *repo in any case. ERR_NOT_FOUND: none has it.
 */
struct export_found;
int cli_find(struct repo **repo, struct export_found *found,
    const struct config *cfg, const char *prefix, struct err *err) ERR_USE;

/*
 * A label was not found in the repository in use: when another has it, the
 * hint says which.
 */
void cli_hint_elsewhere(const struct config *cfg, const char *prefix,
    struct err *err);

/*
 * The same for each of the cluster's repositories. One that cannot be reached
 * or fails keeps no other from its turn: the first failure is the result,
 * further ones are logged. err is empty at the beginning.
 */
typedef int (*cli_each_fn)(void *arg, struct repo *repo,
    const struct config_repository *address, struct err *err);
int cli_each_repository(const struct config *cfg, cli_each_fn fn, void *arg,
    struct err *err) ERR_USE;

/*
 * For `status`: a backup or dump was stored (err NULL), or failed; unless
 * somebody stopped it.
 */
struct commit;
void cli_note_set(const struct config *cfg, enum repo_kind kind,
    const struct repo *repo, const struct commit *c, const struct err *err);

/* For `status`: the cluster is held there, or (hold NULL) is not. */
struct hold;
void cli_note_hold(const struct config *cfg,
    const struct config_repository *address, const struct hold *hold);

/* hold_check() of the repository in use; what it sees is noted too. */
int cli_check_hold(const struct config *cfg, struct repo *repo,
    struct err *err) ERR_USE;

/* What the server says of its archiver; that it does not answer is fine. */
void cli_note_server(const struct config *cfg);

/*
 * The data directory that archive-push and archive-get serve; NULL: the
 * current one. PostgreSQL calls them in its data directory, and a restored
 * server calls them with the configuration of its source: what that says must
 * not make them read or write another server's files.
 */
const char *cli_server_directory(const struct config *cfg);

/*
 * Does the data directory (NULL: the current one) say that its server is a
 * standby? With recovery.signal beside it, it is one too
 * (readRecoverySignalFile()).
 */
bool cli_is_standby(const char *pgdata);

/* Flush standard output: a full disk under it is an error. */
int cli_flush(struct err *err) ERR_USE;

/* The command line taken apart (parse.c). */
struct parsed {
	const struct command *command; /* NULL: only --help or --version */
	bool help, version;
	struct config_given *given;
	size_t n_given;
	char **arguments;
	int n_arguments;
};

/*
 * ERR_USAGE for what the option table does not know. *out keeps pointing into
 * argv; also after an error command, given and help tell what was understood.
 */
int parse_arguments(int argc, char **argv, struct parsed *out,
    struct err *err) ERR_USE;
void parsed_free(struct parsed *p);

/* help.c; command NULL: the program's. */
void help_print(const struct command *command, FILE *out);

int cmd_init(const struct config *cfg, struct err *err) ERR_USE;
int cmd_check(const struct config *cfg, struct err *err) ERR_USE;
int cmd_archive_push(const struct config *cfg, struct err *err) ERR_USE;
int cmd_archive_get(const struct config *cfg, struct err *err) ERR_USE;
int cmd_backup(const struct config *cfg, struct err *err) ERR_USE;
int cmd_copy(const struct config *cfg, struct err *err) ERR_USE;
int cmd_dump(const struct config *cfg, struct err *err) ERR_USE;

/*
 * Why dump does not take this option of pg_dump's; NULL: it is none. len 0:
 * the letter counts.
 */
const char *cmd_dump_refused(const char *name, size_t len, char letter);

int cmd_keys(const struct config *cfg, struct err *err) ERR_USE;
int cmd_load(const struct config *cfg, struct err *err) ERR_USE;
int cmd_restore(const struct config *cfg, struct err *err) ERR_USE;
int cmd_expire(const struct config *cfg, struct err *err) ERR_USE;
int cmd_export(const struct config *cfg, struct err *err) ERR_USE;
int cmd_hold(const struct config *cfg, struct err *err) ERR_USE;
int cmd_info(const struct config *cfg, struct err *err) ERR_USE;
int cmd_completion(const struct config *cfg, struct err *err) ERR_USE;
int cmd_pin(const struct config *cfg, struct err *err) ERR_USE;
int cmd_report(const struct config *cfg, struct err *err) ERR_USE;
int cmd_release(const struct config *cfg, struct err *err) ERR_USE;
int cmd_status(const struct config *cfg, struct err *err) ERR_USE;
int cmd_unpin(const struct config *cfg, struct err *err) ERR_USE;
int cmd_verify(const struct config *cfg, struct err *err) ERR_USE;

#endif
