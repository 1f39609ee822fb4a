/* SPDX-License-Identifier: PostgreSQL */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

/*
 * The typed configuration. Each setting is one row of the option table
 * (config/option.h), which gives it its name, type, range, default, where it
 * may stand (section of the file, environment, command line of which
 * commands) and its help. Values come from, in rising order: the default,
 * PGDATA, the file, the environment, the command line.
 *
 *	config_init(&cfg);
 *	config_load(&cfg, &sources, err);
 *	config_free(&cfg);
 *
 * After loading it is not changed any more and may be read by any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define CONFIG_FILE_DEFAULT "/etc/dapk-backup.conf"
#define CONFIG_REPOSITORY_DEFAULT "file:///var/lib/dapk-backup"
#define CONFIG_STATE_DEFAULT "/var/lib/dapk-backup-state"
/* A passphrase that stands in no file; never an option: argv can be seen. */
#define CONFIG_PASSPHRASE_ENV "DAPK_BACKUP_ENCRYPTION_PASSPHRASE"
#define CONFIG_JOBS_MAX 64
#define CONFIG_JOBS_AUTO_MAX 8

enum config_checkpoint { CHECKPOINT_FAST, CHECKPOINT_SPREAD };
enum config_method { METHOD_LOCAL, METHOD_STREAM };
/* As enum source_from of backup/sources.h. */
enum config_from { FROM_ANY, FROM_PRIMARY, FROM_STANDBY, FROM_PREFER_STANDBY };
enum config_progress { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };
enum config_target {
	TARGET_DEFAULT, /* none given: latest */
	TARGET_TIME,
	TARGET_XID,
	TARGET_LSN,
	TARGET_NAME,
	TARGET_IMMEDIATE,
	TARGET_LATEST
};
enum config_action { ACTION_PROMOTE, ACTION_PAUSE, ACTION_SHUTDOWN };

struct config_mapping { /* --tablespace-map OLD=NEW */
	char *from;
	char *to;
};

enum config_path_style { PATH_STYLE_AUTO, PATH_STYLE_YES, PATH_STYLE_NO };
enum config_host_key { HOST_KEY_STRICT, HOST_KEY_ACCEPT_NEW };
enum config_push_success { PUSH_FIRST, PUSH_ANY, PUSH_ALL };

/* One place where a repository lies: [repository NAME] of the file. */
struct config_repository {
	char *name; /* NULL: only a URL was given */
	char *url;
	char *id; /* expected id (restore writes it), or NULL */
	uint64_t timeout_ms;
	char *ca_file;
	char *endpoint, *region; /* S3 */
	enum config_path_style path_style;
	char *credentials, *access_key_id, *secret_access_key;
	char *server_side_encryption, *kms_key_id, *storage_class;
	unsigned object_lock_days;
	char *key_file, *key_passphrase_file, *password_file; /* SFTP */
	char *known_hosts;
	enum config_host_key host_key;
	char *encryption_key_file, *encryption_passphrase_file;
	char *encryption_public_key_file;
	const char *state_directory; /* borrowed: of the configuration */
	uint64_t retain_ms; /* 0: nothing is removed */
	unsigned keep_daily, keep_weekly, keep_monthly, keep_yearly;
};

struct config_passed { /* an option that is handed on to pg_dump */
	const char *name; /* "schema", of the option table */
	char *value;	  /* NULL: it takes none */
};

struct config {
	/* where */
	char *config_file; /* the file that was read, or NULL */
	char *cluster;	   /* "main" */
	bool cluster_given; /* named by the user, not the default */
	char **more_clusters; /* status, none named: the file's others */
	unsigned n_more_clusters;
	char *pgdata;	   /* NULL: not known */
	bool pgdata_given; /* on the command line */
	char *conninfo;	   /* NULL: libpq's environment */
	char *host, *username; /* already part of conninfo after loading */
	struct config_repository repo; /* in use: the first, or the one named */
	struct config_repository *others; /* the cluster's others, in order */
	unsigned n_others;
	/* The environment or the command line said more of repo than which. */
	bool repository_given;
	char *run_as; /* NULL: root is refused */
	char *state_directory;
	char *pg_bin_dir; /* of pg_dump and friends; NULL: look for them */

	/* how */
	unsigned jobs; /* never 0 after loading */
	int compress_level;
	int wal_compress_level;
	int dump_compress_level;
	uint64_t max_rate; /* bytes a second, 0: no limit */
	enum config_checkpoint checkpoint;
	uint64_t full_read_every_ms; /* check every page; 0: each time */
	uint64_t refresh_age_ms; /* store again what is older; 0: never */
	enum config_from backup_from;
	uint64_t grace_ms; /* between listing what is to go and removing */
	enum config_method method;
	uint64_t lease_ms; /* without renewal a lease ends after this */
	uint64_t archive_timeout_ms; /* how long to wait for WAL to arrive */
	enum config_push_success push_success; /* when archive-push is done */
	uint64_t push_ahead; /* archive-push: bytes of WAL at once, 0: none */
	bool wal_header_check; /* archive-push: page header against the name */
	uint64_t prefetch;     /* archive-get: bytes ahead, 0: none */

	/* what is kept, watched, and run beside */
	bool expire_after; /* backup, dump: apply retention then */
	uint64_t keep_for_mirror_ms; /* what another repository waits for */
	uint64_t archive_queue_max; /* bytes; 0: WAL is never given up */
	/* status; 0: never */
	uint64_t backup_warning_ms, backup_critical_ms;
	uint64_t dump_warning_ms, dump_critical_ms;
	uint64_t archive_warning_ms, archive_critical_ms;
	uint64_t lag_warning_ms, lag_critical_ms;
	char *hook_before, *hook_after, *hook_failure; /* or NULL */
	uint64_t hook_timeout_ms;

	/* output */
	bool quiet, verbose, json, dry_run;
	bool full; /* backup: refer to no earlier one */
	int log_format; /* enum log_format */
	enum config_progress progress;

	/* command arguments */
	bool push_all;	     /* archive-push --all DIR */
	char *restore_dir;   /* restore -D */
	enum config_target target;
	char *target_value; /* text of time, xid, lsn, name */
	bool exclusive;
	char *timeline; /* "latest", "current", or a number */
	enum config_action action;
	char *backup; /* label or its beginning, NULL: chosen */
	struct config_mapping *tablespace_maps;
	unsigned n_tablespace_maps;
	bool start;
	unsigned port; /* restore --start --port; else part of conninfo */
	uint64_t start_timeout_ms;
	bool standby;
	char *primary_conninfo;
	bool keep_archiving;
	bool delta, force, allow_damage; /* restore */
	int export_format; /* enum export_format */
	int status_format; /* enum status_format */
	char *compress;	   /* export: "gzip:6" */
	char *output; /* export: directory, file or "-"; status: file */
	bool export_wal;

	/* dump; with export and load what is selected */
	bool dump_all, dump_globals, no_role_passwords;
	bool serializable_deferrable;
	uint64_t lock_wait_ms; /* 0: as long as it takes */
	uint64_t snapshot_age_ms; /* warn beyond; 0: never */
	char *dump_role;
	struct config_passed *passed; /* in the order typed */
	unsigned n_passed;

	char *until, *reason; /* pin, hold; or NULL */

	bool refresh; /* info: believe nothing of what was seen before */

	/* verify */
	bool verify_quick, verify_wal_only, verify_repair;
	char *verify_share;	  /* "1/30", or NULL: everything */
	char *verify_repair_from; /* URL, or NULL */

	/* copy; verify_wal_only too */
	char *copy_from, *copy_to; /* names, or NULL */
	bool copy_again;

	/* init, keys */
	bool encrypt, with_secret;
	char *new_key_file, *new_passphrase_file, *new_public_key_file;
	char *key_name, *accept;

	/* load */
	char *load_database, *into_schema;
	bool load_create, load_clean, load_data_only, load_schema_only;
	bool load_disable_triggers, load_if_exists;

	char **arguments; /* what is left of the command line; not owned */
	int n_arguments;
};

struct option;

/* An option of the command line, in the order typed. */
struct config_given {
	const struct option *option;
	const char *value;
};

struct config_sources {
	const char *default_file; /* NULL: CONFIG_FILE_DEFAULT */
	unsigned command;	  /* enum option_command */
	const struct config_given *given;
	size_t n_given;
};

/* The defaults. */
void config_init(struct config *cfg);
void config_free(struct config *cfg); /* also of a zeroed one */

/*
 * Read file and environment and put the command line over them. Errors:
 * ERR_USAGE for the command line, ERR_CONFIG for the rest, with "FILE:LINE: "
 * or the variable's name before the message.
 */
int config_load(struct config *cfg, const struct config_sources *sources,
    struct err *err) ERR_USE;

/* The i-th repository, 0 is cfg->repo; NULL beyond the last. */
const struct config_repository *config_repository(const struct config *cfg,
    unsigned i);

/* Warn of DAPK_BACKUP_* variables that mean nothing. */
void config_warn_environment(void);

/*
 * A connection string with its passwords replaced by ***: the only form that
 * may be shown. Of one that cannot be read nothing is shown.
 */
void config_mask_conninfo(const char *conninfo, struct buf *out);
bool config_conninfo_has_secret(const char *conninfo);

#endif
