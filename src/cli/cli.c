/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/privilege.h"
#include "pg/walname.h"

#define DATABASES_MAX 10000

static const char *const examples_init[] = {
	"dapk-backup init",
	"dapk-backup init --repository-url /srv/backup/dapk", NULL
};
static const char *const examples_check[] = {
	"dapk-backup check",
	"dapk-backup check --cluster main --archive-timeout 10min", NULL
};
static const char *const examples_push[] = {
	"archive_command = 'dapk-backup archive-push %p'    (postgresql.conf)",
	"dapk-backup archive-push --all /srv/dead/pg_wal", NULL
};
static const char *const examples_get[] = {
	"restore_command = 'dapk-backup archive-get %f \"%p\"'    "
	"(postgresql.conf)",
	NULL
};
static const char *const examples_backup[] = {
	"dapk-backup backup",
	"dapk-backup backup --jobs 4 --max-rate 100MB --checkpoint spread",
	NULL
};
static const char *const examples_dump[] = {
	"dapk-backup dump shop", "dapk-backup dump --all --jobs 4",
	"dapk-backup dump shop crm --globals",
	"dapk-backup dump shop --exclude-table-data 'log.*' --dry-run", NULL
};
static const char *const examples_load[] = {
	"dapk-backup load 20261122T013000Z --create --jobs 4",
	"dapk-backup load 20261122T013000Z --database shop --table "
	"public.orders",
	"dapk-backup load 20261122T013000Z --database shop --schema public "
	"--into-schema public_old", NULL
};
static const char *const examples_restore[] = {
	"dapk-backup restore -D /srv/restored --target-time "
	"'2026-11-22 14:31:07+01' --start",
	"dapk-backup restore -D /srv/restored --dry-run",
	"dapk-backup restore -D /srv/standby --standby --primary-conninfo "
	"'host=db1 user=replicator'",
	NULL
};
static const char *const examples_expire[] = {
	"dapk-backup expire --dry-run    # what stays or goes, and why",
	"dapk-backup expire              # nightly, from cron",
	"dapk-backup expire --backup=20261122T133107Z", NULL
};
static const char *const examples_export[] = {
	"dapk-backup export 20261122T013000Z --output /srv/tar",
	"dapk-backup export 20261122T013000Z --output - | ssh other 'tar -xf "
	"- -C /srv/data'",
	"dapk-backup export 20261123T013000Z --format directory --output "
	"/srv/shop.d    (a dump)",
	NULL
};
static const char *const examples_copy[] = {
	"dapk-backup copy    # from cron, for all repositories but the first",
	"dapk-backup copy --from offsite --to local    (after a disaster)",
	"dapk-backup copy 20261122T133107Z --to offsite", NULL
};
static const char *const examples_info[] = {
	"dapk-backup info", "dapk-backup info --json",
	"dapk-backup info 20261122T133107Z", NULL
};
static const char *const examples_verify[] = {
	"dapk-backup verify", "dapk-backup verify --quick",
	"dapk-backup verify --share 1/30    (each night)",
	"dapk-backup verify --repair --repair-from file:///mnt/copy", NULL
};

static const char *const examples_pin[] = {
	"dapk-backup pin 20261122T133107Z --until 2027-12-31 --reason 'year "
	"end'",
	"dapk-backup pin 20261122T133107Z", NULL
};
static const char *const examples_unpin[] = {
	"dapk-backup unpin 20261122T133107Z", NULL
};
static const char *const examples_hold[] = {
	"dapk-backup hold --reason 'new disks, Ada, until noon'", NULL
};
static const char *const examples_release[] = { "dapk-backup release", NULL };
static const char *const examples_status[] = {
	"dapk-backup status", "dapk-backup status --json",
	"dapk-backup status --cluster main --repository offsite",
	"dapk-backup status --format prometheus --output "
	"/var/lib/prometheus/node-exporter/dapk-backup.prom", NULL
};

static const char *const examples_report[] = {
	"dapk-backup report --output report.html",
	"dapk-backup report --cluster main > main.html", NULL
};

static const char *const examples_keys[] = {
	"dapk-backup keys list",
	"dapk-backup keys add --new-key-file /media/stick/dapk.key --name vault",
	"dapk-backup keys revoke 0123456789abcdef && dapk-backup keys rotate",
	"dapk-backup keys sheet --with-secret --output - | lpr", NULL
};

static const char *const examples_completion[] = {
	"source <(dapk-backup completion bash)    (~/.bashrc)",
	"dapk-backup completion zsh > ~/.zfunc/_dapk-backup", NULL
};

const struct command command_table[] = {
	{ "init", COMMAND_INIT, "", 0, 0, "create the repository",
	    "Creates the repository and writes README.recovery into it. One "
	    "that is there\nalready stays as it is.",
	    examples_init, cmd_init },
	{ "check", COMMAND_CHECK, "", 0, 0,
	    "prove that backup and archiving work, from end to end",
	    "Checks configuration, connection, server settings and "
	    "repository, then makes the\nserver switch WAL and waits for that "
	    "segment to arrive in the repository. Each\nfailure says what to "
	    "type next.",
	    examples_check, cmd_check },
	{ "archive-push", COMMAND_ARCHIVE_PUSH, "PATH", 1, 1,
	    "store a WAL file (PostgreSQL's archive_command)",
	    "Stores one WAL file and returns when it is safe on disk. With "
	    "--all PATH is a\ndirectory, the pg_wal of a server that does not "
	    "run any more.",
	    examples_push, cmd_archive_push },
	{ "archive-get", COMMAND_ARCHIVE_GET, "NAME DEST", 2, 2,
	    "fetch a WAL file (PostgreSQL's restore_command)",
	    "Fetches one WAL file. Says \"not there\" (exit code 1) only when "
	    "that is proved;\nevery doubt is an error that stops recovery, "
	    "so that no server is promoted with\nWAL missing.",
	    examples_get, cmd_archive_get },
	{ "backup", COMMAND_BACKUP, "", 0, 0, "back up a running server",
	    "Copies the data directory of the running server into the "
	    "repository, pages\nthat an earlier backup has by reference, and "
	    "waits until the WAL that the backup\nneeds is there too.",
	    examples_backup, cmd_backup },
	{ "dump", COMMAND_DUMP, "[DB]...", 0, DATABASES_MAX,
	    "dump databases, as pg_dump does",
	    "Dumps each database into the repository under a snapshot of its "
	    "own: pg_dump's\ndefinitions, and the rows over several "
	    "connections, what an earlier dump has by\nreference. Without a "
	    "name it is the database that conninfo or PGDATABASE names.",
	    examples_dump, cmd_dump },
	{ "load", COMMAND_LOAD, "LABEL", 1, 1,
	    "load a dump into a database",
	    "Loads a dump (the beginning of its label is enough) into a "
	    "server of the same or a\nnewer major: definitions by pg_restore, "
	    "rows over several connections. A dump of\nglobals makes the roles "
	    "and tablespaces that are not there.",
	    examples_load, cmd_load },
	{ "restore", COMMAND_RESTORE, "", 0, 0,
	    "restore a backup and recover to a point in time",
	    "Proves that the target can be reached before anything is "
	    "written, then restores\nthe backup into a new directory and sets "
	    "up recovery.",
	    examples_restore, cmd_restore },
	{ "export", COMMAND_EXPORT, "LABEL", 1, 1,
	    "write a backup as plain tar, a dump in pg_dump's formats",
	    "Writes a backup as tar archives, laid out as pg_basebackup -Ft "
	    "does it: they\nunpack with tar and start with PostgreSQL alone. "
	    "Writes a dump as an archive for\npg_restore, or as plain SQL.",
	    examples_export, cmd_export },
	{ "info", COMMAND_INFO, "[LABEL]", 0, 1,
	    "show backups, dumps, WAL and the window that can be recovered to",
	    "Shows what the repository holds and which points in time can be "
	    "recovered to;\nwith the beginning of a label that backup or dump "
	    "alone, a dump with its tables.",
	    examples_info, cmd_info },
	{ "copy", COMMAND_COPY, "[LABEL]...", 0, 1000,
	    "bring another repository up to date",
	    "Copies WAL, backups and dumps that a repository lacks from another "
	    "one of the\ncluster, each object as it lies and checked on the "
	    "way: from the first to all\nothers, or as --from and --to say. "
	    "What is there is not sent again.",
	    examples_copy, cmd_copy },
	{ "status", COMMAND_STATUS, "", 0, 0,
	    "one line for each cluster and repository, without asking any",
	    "Says how each cluster stands in each of its repositories, the "
	    "worst first, from what\nthis host knows: no store or server is "
	    "contacted. Exit code as Nagios reads it: 0 ok,\n1 warning, 2 "
	    "critical, 3 unknown.",
	    examples_status, cmd_status },
	{ "report", COMMAND_REPORT, "", 0, 0,
	    "write a page (HTML) that shows what can be recovered",
	    "Writes one HTML page about a cluster in all of its repositories: "
	    "how it stands, a time\nline of what can be recovered, backups "
	    "and dumps, WAL by day, what is stored, the\nlargest tables, "
	    "settings. It holds all that it shows: nothing is loaded from "
	    "elsewhere.",
	    examples_report, cmd_report },
	{ "expire", COMMAND_EXPIRE, "", 0, 0,
	    "remove what retention lets go, in two steps",
	    "Lists what the promise of 'retain' (and keep-*, pins) does not "
	    "need in each of the\ncluster's repositories, or the backup or "
	    "dump that is named, and removes what an\nearlier run listed "
	    "longer ago than the grace period.",
	    examples_expire, cmd_expire },
	{ "pin", COMMAND_PIN, "LABEL", 1, 1, "keep a backup or dump",
	    "Keeps a backup or dump (the beginning of its label is enough) "
	    "whatever retention\nsays, until a time or until 'unpin', in "
	    "each repository of the cluster that has it.\nA second pin "
	    "replaces the first.",
	    examples_pin, cmd_pin },
	{ "unpin", COMMAND_UNPIN, "LABEL", 1, 1,
	    "leave a backup or dump to retention again",
	    "Ends what 'pin' began: retention decides about it again.",
	    examples_unpin, cmd_unpin },
	{ "hold", COMMAND_HOLD, "", 0, 0,
	    "let no backup, dump, copy or removal begin, on any host",
	    "Puts a cluster on hold in all its repositories: backup, dump, "
	    "copy and expire end\nat once with exit code 6 on whatever host "
	    "they are started. WAL is archived all the\nsame, and everything "
	    "can be restored.",
	    examples_hold, cmd_hold },
	{ "release", COMMAND_RELEASE, "", 0, 0, "end what 'hold' began",
	    "Removes the hold from all repositories of the cluster, whoever "
	    "put it.",
	    examples_release, cmd_release },
	{ "keys", COMMAND_KEYS,
	    "list|add|rotate|revoke|generate|sheet|from-sheet [ID|FILE]", 1,
	    2, "show and change who can open an encrypted repository",
	    "Lists who is let in to an encrypted repository, lets in others "
	    "(add), shuts one out\n(revoke ID), makes a new pair of keys to "
	    "write to (rotate), makes a key file and its\npublic half "
	    "(generate FILE), prints a sheet for a safe (sheet), and makes "
	    "the key file\nagain from it (from-sheet FILE). The other "
	    "repositories of the cluster follow.",
	    examples_keys, cmd_keys },
	{ "verify", COMMAND_VERIFY, "[LABEL]...", 0, 1000,
	    "prove that what is stored can be restored",
	    "Reads back everything that is stored, or the backups named, and "
	    "proves every file\nof every backup and the WAL after it. Says "
	    "which backups, files and times damage\naffects, and what can "
	    "still be restored.",
	    examples_verify, cmd_verify },
	{ "completion", COMMAND_COMPLETION, "bash|zsh", 1, 1,
	    "write what completes this program's commands in a shell",
	    "Writes the shell's code for completing commands, options, their "
	    "values, and the\nnames of clusters and repositories. Packages "
	    "have it in place already.",
	    examples_completion, cmd_completion },
	{ .name = NULL },
};

const struct command *
command_find(const char *name)
{
	const struct command *c;

	for (c = command_table; c->name != NULL; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int
plain_exit_code(const struct err *err)
{
	switch (err->code) {
	case ERR_NONE:
		return EXIT_DONE;
	case ERR_NOT_FOUND:
	case ERR_REFUSED:
		return EXIT_FOUND;
	case ERR_USAGE:
	case ERR_CONFIG:
		return EXIT_USAGE;
	case ERR_IO:
	case ERR_STORAGE:
	case ERR_EXISTS:
		return EXIT_STORAGE;
	case ERR_POSTGRES:
		return EXIT_POSTGRES;
	case ERR_DAMAGED:
	case ERR_UNSUPPORTED:
		return EXIT_DAMAGED;
	case ERR_LOCKED:
		return EXIT_LOCKED;
	case ERR_CANCELLED:
		return cancel_signal() == 0 ? EXIT_STORAGE :
					      128 + cancel_signal();
	case ERR_BUG:
		break;
	}
	return EXIT_BUG;
}

int
cli_exit_code(unsigned command, const struct err *err, bool standby)
{
	int code = plain_exit_code(err);

	/* No verdict: whatever the reason, nothing is known. */
	if (command == COMMAND_STATUS)
		return code == EXIT_BUG ? code : EXIT_UNKNOWN;
	/* Above 125 the archiver dies and the failure is not counted. */
	if (command == COMMAND_ARCHIVE_PUSH)
		return code > 125 ? EXIT_STORAGE : code;
	if (command != COMMAND_ARCHIVE_GET || code == EXIT_DONE ||
	    err->code == ERR_NOT_FOUND || code > 128)
		return code;
	/*
	 * PostgreSQL takes every plain code for "the archive ends here" and
	 * promotes, which would lose what comes after. A standby only asks
	 * again, which is what it should do.
	 */
	if (!standby)
		return EXIT_RECOVERY_STOP;
	return code == EXIT_FOUND ? EXIT_STORAGE : code;
}

const char *
cli_server_directory(const struct config *cfg)
{
	if (!cfg->pgdata_given && access("global/pg_control", F_OK) == 0)
		return NULL;
	return cfg->pgdata;
}

bool
cli_is_standby(const char *pgdata)
{
	char path[4200];

	if (pgdata == NULL)
		pgdata = ".";
	(void)snprintf(path, sizeof(path), "%s/standby.signal", pgdata);
	return access(path, F_OK) == 0;
}

int
cli_open_repo(struct repo **out, const struct config *cfg, struct err *err)
{
	return repo_open_configured(out, &cfg->repo, err);
}

int
cli_flush(struct err *err)
{
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return err_sys(err, errno, "write to standard output");
	return 0;
}

/*
 * Standard descriptors must be open, or a file would take their numbers and
 * get our messages. open(2) takes the lowest number that is free.
 */
static void
open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
}

/* The log's format and level, before the configuration is complete. */
static void
start_log(const struct parsed *p)
{
	const char *format = getenv("DAPK_BACKUP_LOG_FORMAT");
	size_t i;

	for (i = 0; i < p->n_given; i++) {
		if (strcmp(p->given[i].option->name, "log-format") == 0)
			format = p->given[i].value;
	}
	log_init(LOG_INFO, format != NULL && strcmp(format, "json") == 0 ?
	    LOG_JSON : LOG_TEXT, p->command == NULL ? NULL :
						      p->command->name);
}

/* These look into one repository; the label may be in another. */
static void
hint_elsewhere(unsigned bit, const struct config *cfg, struct err *err)
{
	const char *label = NULL;

	if ((bit & (COMMAND_INFO | COMMAND_VERIFY)) != 0 &&
	    cfg->n_arguments > 0)
		label = cfg->arguments[0];
	else if (bit == COMMAND_EXPIRE)
		label = cfg->backup;
	if (label != NULL && err->code == ERR_NOT_FOUND)
		cli_hint_elsewhere(cfg, label, err);
}

/* These make files of the caller's, and open no repository. */
static bool
root_may(const struct parsed *p)
{
	const char *what = p->n_arguments > 0 ? p->arguments[0] : "";

	return p->command->bit == COMMAND_COMPLETION ||
	    (p->command->bit == COMMAND_KEYS &&
		(strcmp(what, "generate") == 0 ||
		    strcmp(what, "from-sheet") == 0));
}

/*
 * What root makes PostgreSQL's user cannot read or remove: archiving would
 * fail, and a restored server not start (TRAPS T104). And what a hostile store
 * or server sends should meet no more rights than it must.
 */
static int
leave_root(const struct parsed *p, const struct config *cfg, struct err *err)
{
	const struct passwd *owner = NULL;
	const char *user;
	struct stat st;

	if (geteuid() != 0 || root_may(p))
		return 0;
	if (cfg->run_as != NULL)
		return privilege_become(cfg->run_as, err);
	if (cfg->pgdata != NULL && stat(cfg->pgdata, &st) == 0 &&
	    st.st_uid != 0)
		owner = getpwuid(st.st_uid); /* no threads yet */
	user = owner != NULL ? owner->pw_name : "postgres";
	err_set(err, ERR_CONFIG, "%s does not run as root: what it makes must "
	    "belong to the user that runs PostgreSQL", p->command->name);
	return err_hint(err, "sudo -u %s dapk-backup %s ..., or give "
	    "--run-as=%s (in the configuration's section global: run-as = %s)",
	    user, p->command->name, user, user);
}

static int
run_command(const struct parsed *p, struct config *cfg, struct err *err)
{
	struct config_sources sources = { .command = p->command->bit,
		.given = p->given, .n_given = p->n_given };
	int code;

	/* It is needed where there is no configuration, or none that holds. */
	if (p->command->bit != COMMAND_COMPLETION &&
	    config_load(cfg, &sources, err) != 0)
		return -1;
	log_init(cfg->quiet ? LOG_WARNING : cfg->verbose ? LOG_DEBUG :
	    LOG_INFO, (enum log_format)cfg->log_format, p->command->name);
	if (leave_root(p, cfg, err) != 0)
		return -1;
	config_warn_environment();
	cfg->arguments = p->arguments;
	cfg->n_arguments = p->n_arguments;
	cancel_install();
	code = p->command->run(cfg, err);
	if (code >= 0 && cli_flush(err) != 0)
		return -1;
	if (code < 0 && cfg->n_others > 0)
		hint_elsewhere(p->command->bit, cfg, err);
	return code;
}

/*
 * A restore_command with a mistyped "archive-get": a WAL file's name and
 * something after it. The usual code would let PostgreSQL promote.
 */
static bool
is_restore_command(int argc, char **argv)
{
	struct err ignored = ERR_INIT;
	struct wal_file file;
	bool named = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (named && argv[i][0] != '-')
			return true;
		if (wal_file_parse(argv[i], &file, &ignored) == 0)
			named = true;
	}
	return false;
}

static int
fail(const struct parsed *p, unsigned bit, const struct config *cfg,
    struct err *err)
{
	const char *pgdata = cli_server_directory(cfg);
	size_t i;

	/* The configuration may be what failed. */
	for (i = 0; i < p->n_given; i++) {
		if (strcmp(p->given[i].option->name, "pgdata") == 0)
			pgdata = p->given[i].value;
	}
	if (err->code == ERR_BUG)
		(void)err_hint(err, "this is a mistake of this program: "
		    "please report it with the message above");
	/* "Not there" is a usual answer of archive-get, not an error. */
	log_err(bit == COMMAND_ARCHIVE_GET && err->code == ERR_NOT_FOUND ?
	    LOG_INFO : LOG_ERROR, err);
	return cli_exit_code(bit, err, bit == COMMAND_ARCHIVE_GET &&
	    cli_is_standby(pgdata));
}

int
cli_main(int argc, char **argv)
{
	struct parsed p;
	struct config cfg;
	struct err err = ERR_INIT;
	unsigned bit = 0;
	int code;

	open_standard_files();
	config_init(&cfg);
	code = parse_arguments(argc, argv, &p, &err);
	start_log(&p);
	if (code == 0 && p.help) {
		help_print(p.command, stdout);
		code = cli_flush(&err);
	} else if (code == 0 && p.version) {
		(void)printf("dapk-backup %s\n", PACKAGE_VERSION);
		code = cli_flush(&err);
	} else if (code == 0) {
		code = run_command(&p, &cfg, &err);
	}
	if (p.command != NULL)
		bit = p.command->bit;
	else if (is_restore_command(argc, argv))
		bit = COMMAND_ARCHIVE_GET;
	if (code < 0)
		code = fail(&p, bit, &cfg, &err);
	config_free(&cfg);
	parsed_free(&p);
	return code;
}
