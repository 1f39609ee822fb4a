/* SPDX-License-Identifier: PostgreSQL */
#include <config.h>

#include "config/option.h"

#define AT(member) .offset = offsetof(struct config, member)
#define CONNECTING (COMMAND_CHECK | COMMAND_BACKUP)
/* They connect to databases, not to a cluster. */
#define SQL_ONLY (COMMAND_DUMP | COMMAND_LOAD)

/* What pg_dump takes and dump hands on. */
#define PASS(long_name, letter, placeholder, text)                       \
	{ .name = (long_name), .short_name = (letter), .type = OPTION_PASS, \
	    .commands = COMMAND_DUMP, .value = (placeholder), .help = (text) }
/* What load takes of tables and schemas, and hands on to pg_restore. */
#define CHOOSE(long_name, letter, placeholder, text)                     \
	{ .name = (long_name), .short_name = (letter), .type = OPTION_PASS, \
	    .commands = COMMAND_LOAD, .value = (placeholder), .help = (text) }
#define HAND_ON(long_name, letter, text)                                    \
	{ .name = (long_name), .short_name = (letter),                      \
	    .type = OPTION_PASS_FLAG, .commands = COMMAND_LOAD,             \
	    .help = (text) }
#define PASS_FLAG(long_name, letter, text)                                  \
	{ .name = (long_name), .short_name = (letter),                      \
	    .type = OPTION_PASS_FLAG, .commands = COMMAND_DUMP,             \
	    .help = (text) }
/* How a storage is reached: keys of [repository], all of one kind. */
#define STORAGE_ROW(option_type, long_name, variable, placeholder, at, text) \
	{ .name = (long_name), .type = (option_type),                        \
	    .section = SECTION_REPOSITORY, .commands = COMMAND_ANY,          \
	    .env = "DAPK_BACKUP_" variable, .value = (placeholder),          \
	    AT(repo.at), .help = (text) }
#define STORAGE_TEXT(long_name, variable, placeholder, at, text) \
	STORAGE_ROW(OPTION_TEXT, long_name, variable, placeholder, at, text)
#define STORAGE_PATH(long_name, variable, placeholder, at, text) \
	STORAGE_ROW(OPTION_PATH, long_name, variable, placeholder, at, text)
#define MINUTE_MS UINT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)

static const char *const checkpoint_choices[] = { "fast", "spread", NULL };
static const char *const method_choices[] = { "local", "stream", NULL };
static const char *const from_choices[] = { "any", "primary", "standby",
	"prefer-standby", NULL };
static const char *const progress_choices[] = { "auto", "always", "never",
	NULL };
static const char *const format_choices[] = { "text", "json", NULL };
static const char *const auto_choices[] = { "auto", "yes", "no", NULL };
static const char *const host_key_choices[] = { "strict", "accept-new",
	NULL };
static const char *const success_choices[] = { "first", "any", "all", NULL };
static const char *const action_choices[] = { "promote", "pause", "shutdown",
	NULL };
static const char *const export_choices[] = { "auto", "tar", "custom",
	"directory", "plain", NULL };
static const char *const status_choices[] = { "text", "json", "prometheus",
	NULL };
static const char *const target_choices[] = { "immediate", "latest", NULL };

const struct option option_table[] = {
	/* where things are */
	{ .name = "config", .type = OPTION_PATH, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_CONFIG", .value = "FILE", AT(config_file),
	    .help = "read this configuration file; without it "
		    CONFIG_FILE_DEFAULT ", if it exists" },
	{ .name = "cluster", .type = OPTION_NAME,
	    .commands = COMMAND_ANY, .env = "DAPK_BACKUP_CLUSTER", .value = "NAME", AT(cluster),
	    .default_value = "main",
	    .help = "the database cluster, as the repository names it; "
		    "info shows all of them without this" },
	{ .name = "pgdata", .short_name = 'D', .type = OPTION_PATH,
	    .section = SECTION_CLUSTER, .env = "DAPK_BACKUP_PGDATA",
	    .commands = CONNECTING | COMMAND_ARCHIVE_PUSH |
		COMMAND_ARCHIVE_GET, .value = "DIR", AT(pgdata),
	    .help = "the cluster's data directory; archive-push and "
		    "archive-get take the current directory, where "
		    "PostgreSQL calls them, unless this is given on the "
		    "command line; without any it is PGDATA or what the "
		    "server says" },
	{ .name = "conninfo", .short_name = 'd', .type = OPTION_CONNINFO,
	    .section = SECTION_CLUSTER, .env = "DAPK_BACKUP_CONNINFO",
	    .commands = CONNECTING | SQL_ONLY, .value = "STRING", AT(conninfo),
	    .help = "how to connect: a libpq connection string; what it "
		    "does not say comes from libpq's own environment" },
	{ .name = "host", .short_name = 'h', .type = OPTION_TEXT,
	    .commands = CONNECTING | SQL_ONLY, .value = "HOST", AT(host),
	    .help = "server's host or socket directory" },
	{ .name = "port", .short_name = 'p', .type = OPTION_UNSIGNED,
	    .commands = CONNECTING | SQL_ONLY | COMMAND_RESTORE, .value = "PORT",
	    .min = 1, .max = 65535, AT(port),
	    .help = "server's port; with restore --start the port that the "
		    "restored server gets" },
	{ .name = "username", .short_name = 'U', .type = OPTION_TEXT,
	    .commands = CONNECTING | SQL_ONLY, .value = "NAME", AT(username),
	    .help = "database user to connect as" },
	{ .name = "repository", .key = "repositories", .type = OPTION_NAME,
	    .section = SECTION_CLUSTER, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_REPOSITORY_NAME", .value = "NAME",
	    AT(repo.name),
	    .help = "use the repository that the file calls so, and no "
		    "other" },
	{ .name = "repository-url", .key = "url", .type = OPTION_URL,
	    .section = SECTION_REPOSITORY, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_REPOSITORY", .value = "URL",
	    AT(repo.url), .default_value = CONFIG_REPOSITORY_DEFAULT,
	    .help = "where the repository is: file:///path or an absolute "
		    "path, s3://bucket/prefix, or "
		    "sftp://user@host:port/path" },
	{ .name = "repository-id", .key = "id", .type = OPTION_ID,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_ANY & ~(unsigned)COMMAND_INIT,
	    .env = "DAPK_BACKUP_REPOSITORY_ID", .value = "ID",
	    AT(repo.id),
	    .help = "refuse a repository that has another id; "
		    "restore writes this into restore_command" },
	{ .name = "storage-timeout", .key = "timeout",
	    .type = OPTION_DURATION, .section = SECTION_REPOSITORY,
	    .commands = COMMAND_ANY, .env = "DAPK_BACKUP_STORAGE_TIMEOUT",
	    .value = "TIME", .default_value = "2min", .min = 1000,
	    .max = DAY_MS, AT(repo.timeout_ms),
	    .help = "try again for this long what a network or a busy server "
		    "makes fail" },
	STORAGE_PATH("ca-file", "CA_FILE", "FILE", ca_file,
	    "certificates of the authorities that the server's must be "
	    "signed by, in PEM; without this the system's"),
	STORAGE_TEXT("endpoint", "ENDPOINT", "URL", endpoint,
	    "S3: the server, as https://host:port; without this Amazon's of "
	    "the region"),
	STORAGE_TEXT("region", "REGION", "NAME", region,
	    "S3: the bucket's region; without this AWS_REGION, the region of "
	    "the profile, or us-east-1"),
	{ .name = "path-style", .type = OPTION_CHOICE,
	    .section = SECTION_REPOSITORY, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_PATH_STYLE", .value = "WHEN",
	    .default_value = "auto", .choices = auto_choices,
	    AT(repo.path_style),
	    .help = "S3: the bucket's name stands in the path (yes) or "
		    "before the host (no); auto: in the path where an "
		    "endpoint is given or the name has a dot" },
	STORAGE_TEXT("credentials", "CREDENTIALS", "SOURCE", credentials,
	    "S3: where the keys come from: auto, env, file:PATH, "
	    "profile:NAME, imds, web-identity or container; without this "
	    "access-key-id of the file, else auto: the first of these that "
	    "is there"),
	{ .name = "access-key-id", .type = OPTION_SECRET,
	    .section = SECTION_REPOSITORY, AT(repo.access_key_id),
	    .value = "KEY", .help = "S3: the key's id" },
	{ .name = "secret-access-key", .type = OPTION_SECRET,
	    .section = SECTION_REPOSITORY, AT(repo.secret_access_key),
	    .value = "SECRET", .help = "S3: the key's secret half" },
	STORAGE_TEXT("server-side-encryption", "SERVER_SIDE_ENCRYPTION",
	    "METHOD", server_side_encryption,
	    "S3: AES256 or aws:kms: the server encrypts what it keeps; "
	    "without this as the bucket has it"),
	STORAGE_TEXT("kms-key-id", "KMS_KEY_ID", "ID", kms_key_id,
	    "S3: the key for aws:kms; without this the server's own"),
	STORAGE_TEXT("storage-class", "STORAGE_CLASS", "NAME", storage_class,
	    "S3: the class of what is stored, as STANDARD_IA; one that must "
	    "be thawed before it can be read does not fit"),
	{ .name = "object-lock-days", .type = OPTION_UNSIGNED,
	    .section = SECTION_REPOSITORY, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_OBJECT_LOCK_DAYS", .value = "DAYS",
	    .default_value = "0", .max = 3650, AT(repo.object_lock_days),
	    .help = "S3: nobody can remove or replace an object for this "
		    "long (the bucket must have object lock); 0: off" },
	STORAGE_PATH("key-file", "KEY_FILE", "FILE", key_file,
	    "SFTP: the private key; without this the agent's keys, then "
	    "those in ~/.ssh. A key file of an encrypted repository opens "
	    "that, over any store"),
	STORAGE_PATH("key-passphrase-file", "KEY_PASSPHRASE_FILE", "FILE",
	    key_passphrase_file,
	    "SFTP: a file of mode 0600 with the key's passphrase"),
	STORAGE_PATH("password-file", "PASSWORD_FILE", "FILE", password_file,
	    "SFTP: a file of mode 0600 with the password"),
	STORAGE_PATH("known-hosts", "KNOWN_HOSTS", "FILE", known_hosts,
	    "SFTP: the file with the host keys that are trusted; without "
	    "this ~/.ssh/known_hosts, then /etc/ssh/ssh_known_hosts"),
	{ .name = "host-key", .type = OPTION_CHOICE,
	    .section = SECTION_REPOSITORY, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_HOST_KEY", .value = "RULE",
	    .default_value = "strict", .choices = host_key_choices,
	    AT(repo.host_key),
	    .help = "SFTP: strict: a host that known-hosts lacks is refused; "
		    "accept-new: its key is added there when it is seen "
		    "first. Another key than the known one is always "
		    "refused" },
	STORAGE_PATH("encryption-key-file", "ENCRYPTION_KEY_FILE", "FILE",
	    encryption_key_file,
	    "the key file that opens an encrypted repository, mode 0600; a "
	    "host that has its state needs it only to read what others wrote"),
	STORAGE_PATH("encryption-passphrase-file",
	    "ENCRYPTION_PASSPHRASE_FILE", "FILE", encryption_passphrase_file,
	    "a file of mode 0600 with the passphrase that opens an encrypted "
	    "repository"),
	STORAGE_PATH("encryption-public-key-file",
	    "ENCRYPTION_PUBLIC_KEY_FILE", "FILE", encryption_public_key_file,
	    "the public half of somebody else's key: this host writes and "
	    "cannot read"),
	{ .name = "run-as", .type = OPTION_TEXT,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_RUN_AS", .value = "USER", AT(run_as),
	    .help = "started as root, become this user before anything is "
		    "opened; without this root is refused" },
	{ .name = "state-directory", .type = OPTION_PATH,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_STATE_DIRECTORY", .value = "DIR",
	    AT(state_directory), .default_value = CONFIG_STATE_DEFAULT,
	    .help = "keep here what makes the next call faster: WAL fetched "
		    "ahead, what was pushed ahead, what other repositories "
		    "still lack; losing it costs time, never data" },
	{ .name = "pg-bin-dir", .type = OPTION_PATH,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_CHECK | COMMAND_EXPORT | COMMAND_DUMP |
		COMMAND_LOAD,
	    .env = "DAPK_BACKUP_PG_BIN_DIR", .value = "DIR", AT(pg_bin_dir),
	    .help = "directory of pg_dump, pg_dumpall, pg_restore and psql; "
		    "without this they are looked for, the server's version "
		    "or a newer one" },

	/* how it is done */
	{ .name = "jobs", .short_name = 'j', .type = OPTION_JOBS,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ARCHIVE_PUSH |
		COMMAND_BACKUP | COMMAND_RESTORE | COMMAND_VERIFY |
		COMMAND_EXPORT | COMMAND_DUMP | COMMAND_LOAD | COMMAND_COPY,
	    .env = "DAPK_BACKUP_JOBS", .value = "N", .default_value = "auto",
	    .min = 1, .max = CONFIG_JOBS_MAX, AT(jobs),
	    .help = "threads that copy and compress; "
		    "auto: one a processor, at most 8" },
	{ .name = "compress-level", .type = OPTION_INT,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP,
	    .env = "DAPK_BACKUP_COMPRESS_LEVEL", .value = "N",
	    .default_value = "3", .min = 1, .max = 19, AT(compress_level),
	    .help = "zstd level of backups" },
	{ .name = "wal-compress-level", .type = OPTION_INT,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ARCHIVE_PUSH,
	    .env = "DAPK_BACKUP_WAL_COMPRESS_LEVEL", .value = "N",
	    .default_value = "1", .min = 1, .max = 19, AT(wal_compress_level),
	    .help = "zstd level of WAL" },
	{ .name = "dump-compress-level", .type = OPTION_INT,
	    .section = SECTION_GLOBAL, .commands = COMMAND_DUMP,
	    .env = "DAPK_BACKUP_DUMP_COMPRESS_LEVEL", .value = "N",
	    .default_value = "1", .min = 1, .max = 19,
	    AT(dump_compress_level),
	    .help = "zstd level of dumps; of text 3 takes longer and is "
		    "hardly smaller, if at all" },
	{ .name = "max-rate", .type = OPTION_SIZE, .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP | COMMAND_VERIFY | COMMAND_COPY,
	    .env = "DAPK_BACKUP_MAX_RATE",
	    .value = "SIZE", .default_value = "0", .max = (uint64_t)1 << 40,
	    AT(max_rate),
	    .help = "read at most this much a second (100MB); 0: no limit" },
	{ .name = "checkpoint", .type = OPTION_CHOICE,
	    .section = SECTION_GLOBAL, .commands = COMMAND_BACKUP,
	    .env = "DAPK_BACKUP_CHECKPOINT", .value = "MODE",
	    .default_value = "fast", .choices = checkpoint_choices,
	    AT(checkpoint),
	    .help = "begin with a checkpoint at once, or one spread over "
		    "time that disturbs the server less" },
	{ .name = "full", .type = OPTION_BOOL,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP, AT(full),
	    .help = "store everything, also what an earlier backup has "
		    "already" },
	{ .name = "full-read-every", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL, .commands = COMMAND_BACKUP,
	    .env = "DAPK_BACKUP_FULL_READ_EVERY", .value = "TIME",
	    .default_value = "7d", .max = 365 * DAY_MS,
	    AT(full_read_every_ms),
	    .help = "read and check every page when the last backup that did "
		    "is this old; the others read only what WAL says has "
		    "changed; 0: each time" },
	{ .name = "refresh-age", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_REFRESH_AGE", .value = "TIME",
	    .default_value = "120d", .max = 3650 * DAY_MS,
	    AT(refresh_age_ms),
	    .help = "store again what did not change for this long, a share "
		    "each night and never more than about a fifth, so that "
		    "no backup leans on older objects; 0: never" },
	{ .name = "method", .type = OPTION_CHOICE,
	    .section = SECTION_CLUSTER, .commands = COMMAND_BACKUP,
	    .env = "DAPK_BACKUP_METHOD", .value = "METHOD",
	    .default_value = "local", .choices = method_choices, AT(method),
	    .help = "local: read the data directory, on the server's host; "
		    "stream: let the server send its files, over the "
		    "replication protocol, to any host" },
	{ .name = "backup-from", .type = OPTION_CHOICE,
	    .section = SECTION_CLUSTER, .commands = COMMAND_BACKUP,
	    .env = "DAPK_BACKUP_BACKUP_FROM", .value = "ROLE",
	    .default_value = "any", .choices = from_choices, AT(backup_from),
	    .help = "which server of those that conninfo names "
		    "(host=a,b,c) to take the backup from; any: the first "
		    "that fits" },
	{ .name = "archive-timeout", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL, .commands = CONNECTING,
	    .env = "DAPK_BACKUP_ARCHIVE_TIMEOUT", .value = "TIME",
	    .default_value = "2min", .min = 1000, .max = 7 * DAY_MS,
	    AT(archive_timeout_ms),
	    .help = "wait this long for WAL to arrive in the repository, "
		    "counted anew whenever a segment arrives" },
	{ .name = "lease-timeout", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP | COMMAND_EXPIRE | COMMAND_DUMP |
		COMMAND_COPY,
	    .env = "DAPK_BACKUP_LEASE_TIMEOUT", .value = "TIME",
	    .default_value = "10min", .min = 1000, .max = DAY_MS,
	    AT(lease_ms),
	    .help = "a process that was killed, or whose host died, keeps "
		    "others from this cluster's backups for this long" },
	{ .name = "push-success", .type = OPTION_CHOICE,
	    .section = SECTION_CLUSTER, .commands = COMMAND_ARCHIVE_PUSH,
	    .env = "DAPK_BACKUP_PUSH_SUCCESS", .value = "RULE",
	    .default_value = "first", .choices = success_choices,
	    AT(push_success),
	    .help = "with several repositories: archive-push is done when the "
		    "first has the segment, or any of them, or all; the "
		    "others follow in the background" },
	{ .name = "push-ahead", .type = OPTION_SIZE,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ARCHIVE_PUSH,
	    .env = "DAPK_BACKUP_PUSH_AHEAD", .value = "SIZE",
	    .default_value = "256MB", .max = (uint64_t)64 << 30,
	    AT(push_ahead),
	    .help = "into S3 or SFTP: store up to this much of the WAL that "
		    "waits to be archived at once, in parallel; 0: one "
		    "segment at a time" },
	{ .name = "wal-header-check", .type = OPTION_BOOL,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ARCHIVE_PUSH,
	    .env = "DAPK_BACKUP_WAL_HEADER_CHECK", .default_value = "yes",
	    AT(wal_header_check),
	    .help = "refuse WAL whose page header does not agree with its "
		    "name and cluster; no: for servers that encrypt WAL" },
	{ .name = "prefetch", .type = OPTION_SIZE, .section = SECTION_GLOBAL,
	    .commands = COMMAND_ARCHIVE_GET, .env = "DAPK_BACKUP_PREFETCH",
	    .value = "SIZE", .default_value = "128MB",
	    .max = (uint64_t)64 << 30, AT(prefetch),
	    .help = "fetch this much WAL ahead of recovery; 0: none" },

	/* what is kept, watched, and run beside */
	{ .name = "retain", .type = OPTION_DURATION,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO | COMMAND_STATUS,
	    .env = "DAPK_BACKUP_RETAIN", .value = "TIME", .default_value = "30d",
	    .max = 36500 * DAY_MS, AT(repo.retain_ms),
	    .help = "keep what it takes to restore every moment of this "
		    "long: the newest backup that is older, all WAL since, "
		    "and dumps of that age; 0: remove nothing" },
	{ .name = "keep-daily", .type = OPTION_UNSIGNED,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO,
	    .env = "DAPK_BACKUP_KEEP_DAILY", .value = "N",
	    .default_value = "0",
	    .max = 1000, AT(repo.keep_daily),
	    .help = "keep the last backup, and the last dump of each "
		    "database, of each day (UTC) that has one, for the last "
		    "N of these, also when it is older than retain" },
	{ .name = "keep-weekly", .type = OPTION_UNSIGNED,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO,
	    .env = "DAPK_BACKUP_KEEP_WEEKLY", .value = "N",
	    .default_value = "0",
	    .max = 1000, AT(repo.keep_weekly),
	    .help = "keep the last backup, and the last dump of each "
		    "database, of each week, Monday to Sunday (UTC) that "
		    "has one, for the last N of these, also when it is "
		    "older than retain" },
	{ .name = "keep-monthly", .type = OPTION_UNSIGNED,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO,
	    .env = "DAPK_BACKUP_KEEP_MONTHLY", .value = "N",
	    .default_value = "0",
	    .max = 1000, AT(repo.keep_monthly),
	    .help = "keep the last backup, and the last dump of each "
		    "database, of each month (UTC) that has one, for the "
		    "last N of these, also when it is older than retain" },
	{ .name = "keep-yearly", .type = OPTION_UNSIGNED,
	    .section = SECTION_REPOSITORY,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO,
	    .env = "DAPK_BACKUP_KEEP_YEARLY", .value = "N",
	    .default_value = "0",
	    .max = 1000, AT(repo.keep_yearly),
	    .help = "keep the last backup, and the last dump of each "
		    "database, of each year (UTC) that has one, for the "
		    "last N of these, also when it is older than retain" },
	{ .name = "expire", .type = OPTION_BOOL,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_EXPIRE", .default_value = "yes",
	    AT(expire_after),
	    .help = "when it has succeeded, apply retention as expire does" },
	{ .name = "keep-for-mirror", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_EXPIRE | COMMAND_BACKUP | COMMAND_DUMP |
		COMMAND_INFO,
	    .env = "DAPK_BACKUP_KEEP_FOR_MIRROR", .value = "TIME",
	    .default_value = "7d",
	    .max = 365 * DAY_MS, AT(keep_for_mirror_ms),
	    .help = "keep what another repository still waits for, in the "
		    "one that it is copied from, for at most this long "
		    "beyond retain; only the host that has the queue, as it "
		    "archives or backs up, knows what that is" },
	{ .name = "archive-queue-max", .type = OPTION_SIZE,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_ARCHIVE_PUSH,
	    .env = "DAPK_BACKUP_ARCHIVE_QUEUE_MAX", .value = "SIZE", .default_value = "0",
	    .max = (uint64_t)64 << 40, AT(archive_queue_max),
	    .help = "when more WAL than this waits to be archived, give it "
		    "up so that the disk of the server does not fill: a gap "
		    "in the archive, which status calls critical until a "
		    "new backup is made; 0: never" },
	{ .name = "backup-warning", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_BACKUP_WARNING", .value = "TIME", .default_value = "36h",
	    .max = 3650 * DAY_MS, AT(backup_warning_ms),
	    .help = "status says warning when the last backup is this old "
		    "(0: never)" },
	{ .name = "backup-critical", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_BACKUP_CRITICAL", .value = "TIME", .default_value = "8d",
	    .max = 3650 * DAY_MS, AT(backup_critical_ms),
	    .help = "status says critical when the last backup is this old "
		    "(0: never)" },
	{ .name = "dump-warning", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_DUMP_WARNING", .value = "TIME", .default_value = "0",
	    .max = 3650 * DAY_MS, AT(dump_warning_ms),
	    .help = "status says warning when the last dump is this old, "
		    "where dumps are made (0: never)" },
	{ .name = "dump-critical", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_DUMP_CRITICAL", .value = "TIME", .default_value = "0",
	    .max = 3650 * DAY_MS, AT(dump_critical_ms),
	    .help = "status says critical when the last dump is this old, "
		    "where dumps are made (0: never)" },
	{ .name = "archive-warning", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_ARCHIVE_WARNING", .value = "TIME", .default_value = "0",
	    .max = 3650 * DAY_MS, AT(archive_warning_ms),
	    .help = "status says warning when the last WAL stored is this "
		    "old, for servers that always write (0: never)" },
	{ .name = "archive-critical", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_ARCHIVE_CRITICAL", .value = "TIME", .default_value = "15min",
	    .max = 3650 * DAY_MS, AT(archive_critical_ms),
	    .help = "status says critical when archiving has failed, or WAL "
		    "has waited to be archived, for this long (0: never)" },
	{ .name = "lag-warning", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_LAG_WARNING", .value = "TIME", .default_value = "15min",
	    .max = 3650 * DAY_MS, AT(lag_warning_ms),
	    .help = "status says warning when what another repository lacks "
		    "has waited for this long (0: never)" },
	{ .name = "lag-critical", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_STATUS,
	    .env = "DAPK_BACKUP_LAG_CRITICAL", .value = "TIME", .default_value = "1d",
	    .max = 3650 * DAY_MS, AT(lag_critical_ms),
	    .help = "status says critical when what another repository "
		    "lacks has waited for this long (0: never)" },
	{ .name = "hook-before", .type = OPTION_TEXT,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_HOOK_BEFORE", .value = "COMMAND",
	    AT(hook_before),
	    .help = "run this command by the shell before a backup or dump "
		    "begins; when it fails nothing is begun; it gets a JSON "
		    "description on standard input" },
	{ .name = "hook-after", .type = OPTION_TEXT,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_HOOK_AFTER", .value = "COMMAND",
	    AT(hook_after),
	    .help = "run this command by the shell after a backup or dump "
		    "has succeeded; it gets a JSON description on standard "
		    "input" },
	{ .name = "hook-failure", .type = OPTION_TEXT,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_HOOK_FAILURE", .value = "COMMAND",
	    AT(hook_failure),
	    .help = "run this command by the shell after a backup or dump "
		    "has failed; it gets a JSON description on standard "
		    "input" },
	{ .name = "hook-timeout", .type = OPTION_DURATION,
	    .section = SECTION_CLUSTER,
	    .commands = COMMAND_BACKUP | COMMAND_DUMP,
	    .env = "DAPK_BACKUP_HOOK_TIMEOUT", .value = "TIME", .default_value = "10min",
	    .min = 1000, .max = DAY_MS, AT(hook_timeout_ms),
	    .help = "end a hook that runs for longer than this" },

	/* what is asked for */
	{ .name = "all", .type = OPTION_BOOL, .commands = COMMAND_ARCHIVE_PUSH,
	    AT(push_all),
	    .help = "PATH is the pg_wal of a server that is down: store all "
		    "of it that is not stored yet" },
	{ .name = "directory", .short_name = 'D', .type = OPTION_PATH,
	    .commands = COMMAND_RESTORE, .value = "DIR", AT(restore_dir),
	    .help = "restore into this directory, which is empty or does "
		    "not exist" },
	{ .name = "target-time", .type = OPTION_TARGET,
	    .commands = COMMAND_RESTORE, .value = "TIME", .min = TARGET_TIME,
	    AT(target_value),
	    .help = "recover to this time: '2026-11-22 14:31:07+01'; the "
		    "local time zone when none is said" },
	{ .name = "target-xid", .type = OPTION_TARGET,
	    .commands = COMMAND_RESTORE, .value = "XID", .min = TARGET_XID,
	    AT(target_value), .help = "recover up to this transaction" },
	{ .name = "target-lsn", .type = OPTION_TARGET,
	    .commands = COMMAND_RESTORE, .value = "LSN", .min = TARGET_LSN,
	    AT(target_value), .help = "recover up to this WAL location" },
	{ .name = "target-name", .type = OPTION_TARGET,
	    .commands = COMMAND_RESTORE, .value = "NAME", .min = TARGET_NAME,
	    AT(target_value),
	    .help = "recover to this restore point "
		    "(pg_create_restore_point)" },
	{ .name = "target", .type = OPTION_TARGET_WORD,
	    .commands = COMMAND_RESTORE, .value = "WHAT",
	    .choices = target_choices, AT(target),
	    .help = "immediate: stop as soon as the backup is consistent; "
		    "latest: all WAL there is (what is done without a "
		    "target)" },
	{ .name = "exclusive", .type = OPTION_BOOL,
	    .commands = COMMAND_RESTORE, AT(exclusive),
	    .help = "stop just before the target instead of just after" },
	{ .name = "timeline", .type = OPTION_TIMELINE,
	    .commands = COMMAND_RESTORE, .value = "TIMELINE", AT(timeline),
	    .default_value = "latest",
	    .help = "recover along this timeline: latest, current (the "
		    "backup's) or a number" },
	{ .name = "action", .type = OPTION_CHOICE,
	    .commands = COMMAND_RESTORE, .value = "ACTION",
	    .default_value = "promote", .choices = action_choices, AT(action),
	    .help = "what the server does at the target" },
	{ .name = "encrypt", .type = OPTION_BOOL, .commands = COMMAND_INIT,
	    AT(encrypt),
	    .help = "encrypt all that will be stored, for whoever has the key "
		    "file, passphrase or public key that is named; without "
		    "any a passphrase is asked for" },
	{ .name = "new-key-file", .type = OPTION_PATH,
	    .commands = COMMAND_KEYS, .value = "FILE", AT(new_key_file),
	    .help = "add: let in who has this key file, which is made if it "
		    "is not there" },
	{ .name = "new-passphrase-file", .type = OPTION_PATH,
	    .commands = COMMAND_KEYS, .value = "FILE",
	    AT(new_passphrase_file),
	    .help = "add: let in who knows the passphrase in this file of "
		    "mode 0600; without any of these it is asked for" },
	{ .name = "new-public-key-file", .type = OPTION_PATH,
	    .commands = COMMAND_KEYS, .value = "FILE",
	    AT(new_public_key_file),
	    .help = "add: let in who has the key of which this is the public "
		    "half" },
	{ .name = "name", .type = OPTION_TEXT,
	    .commands = COMMAND_INIT | COMMAND_KEYS, .value = "TEXT",
	    AT(key_name),
	    .help = "what the recipient is called in lists; without it as the "
		    "file" },
	{ .name = "accept", .type = OPTION_TEXT, .commands = COMMAND_KEYS,
	    .value = "ID", AT(accept),
	    .help = "rotate: vouch for the secrets of this id, which a host "
		    "with the public key alone made when it had lost its "
		    "state" },
	{ .name = "with-secret", .type = OPTION_BOOL,
	    .commands = COMMAND_KEYS, AT(with_secret),
	    .help = "sheet: print the key file's secret too, for a safe; "
		    "needs --output" },
	{ .name = "output", .short_name = 'o', .type = OPTION_TEXT,
	    .commands = COMMAND_KEYS, .value = "FILE", AT(output),
	    .help = "sheet: write a new file of mode 0600; - for standard "
		    "output" },
	{ .name = "until", .type = OPTION_TEXT,
	    .commands = COMMAND_PIN, .value = "TIME", AT(until),
	    .help = "the pin ends then: '2027-01-31 12:00+01', or a date "
		    "for the end of that day" },
	{ .name = "reason", .type = OPTION_TEXT,
	    .commands = COMMAND_PIN | COMMAND_HOLD, .value = "TEXT",
	    AT(reason), .help = "a word for those who find it" },
	{ .name = "backup", .type = OPTION_TEXT,
	    .commands = COMMAND_RESTORE | COMMAND_EXPIRE,
	    .value = "LABEL", AT(backup),
	    .help = "this backup (the beginning of its label is enough): "
		    "restore it instead of the one that fits best; with "
		    "expire, the one, or the dump, to be removed" },
	{ .name = "grace", .type = OPTION_DURATION,
	    .section = SECTION_GLOBAL, .commands = COMMAND_EXPIRE,
	    .env = "DAPK_BACKUP_GRACE", .value = "TIME",
	    .default_value = "1d", .max = 365 * DAY_MS, AT(grace_ms),
	    .help = "what was listed for removal goes in a run that comes "
		    "at least this much later" },
	{ .name = "tablespace-map", .short_name = 'T', .type = OPTION_MAP,
	    .commands = COMMAND_RESTORE, .value = "OLD=NEW",
	    AT(tablespace_maps),
	    .help = "put the tablespace of directory (or oid) OLD into NEW; "
		    "may be repeated; \\= is an = in a directory's name" },
	{ .name = "delta", .type = OPTION_BOOL, .commands = COMMAND_RESTORE,
	    AT(delta),
	    .help = "make the data directory that is there into what the "
		    "backup has: only pages that differ are fetched, what "
		    "the backup does not have is removed" },
	{ .name = "force", .type = OPTION_BOOL,
	    .commands = COMMAND_RESTORE | COMMAND_EXPIRE, AT(force),
	    .help = "with restore --delta: also over the data directory of "
		    "another system, whose content is lost; with expire: "
		    "also the last usable backup, or dump of a database" },
	{ .name = "allow-damage", .type = OPTION_BOOL,
	    .commands = COMMAND_RESTORE, AT(allow_damage),
	    .help = "restore what is left of a backup whose packs are "
		    "missing or damaged: lost blocks become zeros, and are "
		    "listed" },
	{ .name = "start", .type = OPTION_BOOL, .commands = COMMAND_RESTORE,
	    AT(start),
	    .help = "start the restored server, wait for the target and say "
		    "what was reached" },
	{ .name = "start-timeout", .type = OPTION_DURATION,
	    .commands = COMMAND_RESTORE, .value = "TIME", .min = 1000,
	    .max = 7 * DAY_MS, .default_value = "1d", AT(start_timeout_ms),
	    .help = "with --start: give up when recovery has made no progress "
		    "for this long" },
	{ .name = "standby", .type = OPTION_BOOL, .commands = COMMAND_RESTORE,
	    AT(standby), .help = "make a standby server" },
	{ .name = "primary-conninfo", .type = OPTION_CONNINFO,
	    .commands = COMMAND_RESTORE, .value = "STRING",
	    AT(primary_conninfo),
	    .help = "with --standby: how the standby reaches its primary; "
		    "without it WAL comes from the repository only" },
	{ .name = "keep-archiving", .type = OPTION_BOOL,
	    .commands = COMMAND_RESTORE, AT(keep_archiving),
	    .help = "let the restored server archive into this repository; "
		    "only for a server that takes the old one's place" },
	{ .name = "format", .type = OPTION_CHOICE, .commands = COMMAND_EXPORT,
	    .value = "FORMAT", .default_value = "auto",
	    .choices = export_choices, AT(export_format),
	    .help = "of a backup tar, as pg_basebackup -Ft writes it; of a "
		    "dump one of pg_dump's formats, or plain SQL. auto: tar "
		    "of a backup, custom of a dump, plain of globals" },
	{ .name = "compress", .type = OPTION_TEXT,
	    .commands = COMMAND_EXPORT | COMMAND_DUMP,
	    .value = "METHOD", AT(compress),
	    .help = "of a dump in custom or directory format (dump: with "
		    "--output): none, gzip, gzip:1 to gzip:9, zstd, or "
		    "zstd:1 to zstd:19. Without it zstd, or gzip for what "
		    "pg_dump 15 or older began, since pg_restore knows zstd "
		    "from 16 on. Exported as zstd without a level, what is "
		    "stored is taken as it is" },
	{ .name = "output", .short_name = 'o', .type = OPTION_TEXT,
	    .commands = COMMAND_EXPORT, .value = "PATH", AT(output),
	    .help = "of a backup a directory, which gets an archive for the "
		    "data directory and one for each tablespace, or a file "
		    "whose name ends with .tar; of a dump a file, or in "
		    "directory format a directory; or - for standard "
		    "output" },
	{ .name = "format", .type = OPTION_CHOICE, .commands = COMMAND_STATUS,
	    .value = "FORM", .default_value = "text",
	    .choices = status_choices, AT(status_format),
	    .help = "print lines of text, JSON, or metrics in Prometheus' "
		    "text format" },
	{ .name = "output", .short_name = 'o', .type = OPTION_PATH,
	    .commands = COMMAND_STATUS | COMMAND_REPORT, .value = "FILE",
	    AT(output),
	    .help = "write into this file, which is replaced as a whole, "
		    "instead of standard output: for the text file "
		    "collector of Prometheus' node exporter, or for a web "
		    "server" },
	{ .name = "wal", .type = OPTION_BOOL, .commands = COMMAND_EXPORT,
	    .default_value = "yes", AT(export_wal),
	    .help = "put the WAL that the backup needs into pg_wal of the "
		    "archive, so that what is unpacked starts on its own" },
	{ .name = "refresh", .type = OPTION_BOOL, .commands = COMMAND_INFO,
	    AT(refresh),
	    .help = "list everything anew, also what cannot have changed since "
		    "the last time" },
	{ .name = "quick", .type = OPTION_BOOL, .commands = COMMAND_VERIFY,
	    AT(verify_quick),
	    .help = "look only whether everything is there and has its "
		    "size; read nothing" },
	{ .name = "wal-only", .type = OPTION_BOOL,
	    .commands = COMMAND_VERIFY | COMMAND_COPY, AT(verify_wal_only),
	    .help = "look at the stored WAL only; with copy: copy no backups "
		    "and dumps" },
	{ .name = "from", .type = OPTION_NAME, .commands = COMMAND_COPY,
	    .value = "NAME", AT(copy_from),
	    .help = "copy from this repository; without it from the first "
		    "one that is not copied to" },
	{ .name = "to", .type = OPTION_NAME, .commands = COMMAND_COPY,
	    .value = "NAME", AT(copy_to),
	    .help = "copy to this repository; without it to all others" },
	{ .name = "again", .type = OPTION_BOOL, .commands = COMMAND_COPY,
	    AT(copy_again),
	    .help = "copy also what was there, and was removed there on "
		    "purpose" },
	{ .name = "share", .key = "verify-share", .type = OPTION_TEXT,
	    .section = SECTION_GLOBAL, .commands = COMMAND_VERIFY,
	    .env = "DAPK_BACKUP_SHARE", .value = "1/N",
	    AT(verify_share),
	    .help = "read one Nth of everything, another one each day: with "
		    "a run each day all is read in N days" },
	{ .name = "repair", .type = OPTION_BOOL, .commands = COMMAND_VERIFY,
	    AT(verify_repair),
	    .help = "store what is damaged anew, beside the damaged object, "
		    "from what is left of it and from --repair-from" },
	{ .name = "repair-from", .type = OPTION_URL,
	    .commands = COMMAND_VERIFY, .value = "URL",
	    AT(verify_repair_from),
	    .help = "with --repair: another copy of this repository" },
	{ .name = "dry-run", .type = OPTION_BOOL,
	    .commands = COMMAND_DUMP | COMMAND_LOAD,
	    AT(dry_run),
	    .help = "show what would be dumped and in which pieces, or "
		    "loaded, and change nothing" },
	{ .name = "dry-run", .short_name = 'n', .type = OPTION_BOOL,
	    .commands = COMMAND_BACKUP | COMMAND_RESTORE | COMMAND_EXPIRE |
		COMMAND_VERIFY | COMMAND_COPY,
	    AT(dry_run),
	    .help = "say what would be done and do nothing" },

	/* dump, load */
#include "config/option_dump_rows.h"

	/* output */
	{ .name = "json", .type = OPTION_BOOL,
	    .commands = COMMAND_INFO | COMMAND_VERIFY | COMMAND_COPY |
		COMMAND_STATUS | COMMAND_EXPIRE | COMMAND_KEYS,
	    AT(json), .help = "print the result as JSON" },
	{ .name = "quiet", .short_name = 'q', .type = OPTION_BOOL,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_QUIET", AT(quiet),
	    .help = "print warnings and errors only" },
	{ .name = "verbose", .short_name = 'v', .type = OPTION_BOOL,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_VERBOSE", AT(verbose),
	    .help = "print details too" },
	{ .name = "log-format", .type = OPTION_CHOICE,
	    .section = SECTION_GLOBAL, .commands = COMMAND_ANY,
	    .env = "DAPK_BACKUP_LOG_FORMAT", .value = "FORMAT",
	    .default_value = "text", .choices = format_choices,
	    AT(log_format),
	    .help = "messages on standard error as text or as one JSON "
		    "object a line" },
	{ .name = "progress", .type = OPTION_CHOICE,
	    .section = SECTION_GLOBAL,
	    .commands = COMMAND_BACKUP | COMMAND_COPY | COMMAND_RESTORE |
		COMMAND_EXPORT | COMMAND_VERIFY | COMMAND_DUMP |
		COMMAND_LOAD,
	    .env = "DAPK_BACKUP_PROGRESS", .value = "WHEN",
	    .default_value = "auto", .choices = progress_choices,
	    AT(progress),
	    .help = "show a progress bar; auto: on a terminal" },
	{ .name = "help", .short_name = '?', .type = OPTION_META,
	    .commands = COMMAND_ANY, .help = "show this help" },
	{ .name = "version", .short_name = 'V', .type = OPTION_META,
	    .commands = COMMAND_ANY, .help = "show the version" },
	{ .name = NULL },
};
