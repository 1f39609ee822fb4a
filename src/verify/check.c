/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "verify/check.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/time.h"
#include "pg/conn.h"
#include "pg/control.h"
#include "pg/pgtools.h"
#include "repo/commit.h"
#include "repo/repo.h"
#include "repo/walreach.h"

#define POLL_MS 250
#define NEWEST_BACKUPS 5 /* are looked at */
#define REACH_WAIT_US (5 * INT64_C(1000000))

struct check {
	const struct config *cfg;
	check_say say;
	void *arg;
	unsigned failed;
	char *pgdata; /* NULL: not known */
	struct control control;
	bool have_control;
	struct pg_conn *conn; /* NULL: no connection */
	struct repo *repo;    /* NULL: could not be opened */
	bool in_recovery;
	bool archiving; /* the settings say that WAL is archived by us */
	struct incarnation inc;
	bool have_inc;
};

static void __attribute__((format(printf, 5, 6)))
tell(struct check *c, enum check_result result, const char *what,
    const char *next, const char *fmt, ...)
{
	char detail[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	if (result == CHECK_FAILED)
		c->failed++;
	c->say(c->arg, result, what, detail, next);
}

static void
tell_err(struct check *c, const char *what, const struct err *err,
    const char *next)
{
	tell(c, CHECK_FAILED, what, err->hint[0] != '\0' ? err->hint : next,
	    "%s", err->msg);
}

static void
check_configuration(struct check *c)
{
	struct buf shown;

	buf_init(&shown, 1 << 16);
	if (c->cfg->conninfo != NULL)
		config_mask_conninfo(c->cfg->conninfo, &shown);
	tell(c, CHECK_OK, "configuration", NULL,
	    "%s; cluster %s, repository %s, connection %s",
	    c->cfg->config_file != NULL ? c->cfg->config_file : "no file",
	    c->cfg->cluster, c->cfg->repo.url, shown.len > 0 ?
	    buf_str(&shown) : "from libpq's environment");
	buf_free(&shown);
}

/* A setting's value, or NULL (told as a failure of `what`). */
static char *
query(struct check *c, const char *what, const char *sql)
{
	struct err err = ERR_INIT;
	char *value = NULL;

	if (pg_query_value(c->conn, sql, &value, &err) != 0) {
		tell_err(c, what, &err, NULL);
		return NULL;
	}
	return value != NULL ? value : xstrdup("");
}

static void
check_connection(struct check *c)
{
	struct err err = ERR_INIT;
	char *text;

	if (pg_connect(&c->conn, c->cfg->conninfo, "check", &err) != 0) {
		c->conn = NULL;
		tell_err(c, "connection", &err, "is the server running, and "
		    "does conninfo (or -h, -p, -U) say where? Try: psql "
		    "-d postgres -c 'SELECT 1'");
		return;
	}
	text = query(c, "connection", "SELECT current_setting("
	    "'server_version') || ' as user ' || current_user");
	if (text == NULL)
		return;
	tell(c, CHECK_OK, "connection", NULL, "PostgreSQL %s", text);
	free(text);
	text = query(c, "connection", "SELECT pg_is_in_recovery()");
	c->in_recovery = text != NULL && text[0] == 't';
	free(text);
}

/* The data directory: configured, else what the server says. */
static void
find_pgdata(struct check *c)
{
	if (c->cfg->pgdata != NULL)
		c->pgdata = xstrdup(c->cfg->pgdata);
	else if (c->conn != NULL)
		c->pgdata = query(c, "data directory",
		    "SELECT current_setting('data_directory', true)");
	if (c->pgdata != NULL && c->pgdata[0] != '\0')
		return;
	free(c->pgdata);
	c->pgdata = NULL;
	tell(c, CHECK_FAILED, "data directory", "set pgdata in [cluster "
	    "NAME], PGDATA, or add -D DIR", "is not known");
}

/* False when there is nothing there to look into. */
static bool
check_owner(struct check *c)
{
	struct stat st;
	struct passwd *owner;
	char next[256];

	if (stat(c->pgdata, &st) != 0) {
		tell(c, CHECK_FAILED, "data directory", "correct pgdata, "
		    "PGDATA or -D; the server says: SHOW data_directory",
		    "%s: %s", c->pgdata, strerror(errno));
		return false;
	}
	if (st.st_uid == geteuid()) {
		tell(c, CHECK_OK, "user", NULL, "owns %s", c->pgdata);
		return true;
	}
	owner = getpwuid(st.st_uid); /* one thread */
	(void)snprintf(next, sizeof(next), "sudo -u %s dapk-backup check",
	    owner != NULL ? owner->pw_name : "OWNER");
	tell(c, CHECK_FAILED, "user", next, "uid %u is not the owner of %s, "
	    "which is %s (uid %u); backup and archiving run as that user",
	    (unsigned)geteuid(), c->pgdata, owner != NULL ? owner->pw_name :
	    "nobody known", (unsigned)st.st_uid);
	return true;
}

static void
check_control(struct check *c)
{
	struct err err = ERR_INIT;

	if (control_read(c->pgdata, &c->control, NULL, &err) != 0) {
		tell_err(c, "data directory", &err,
		    "is this a data directory, and may you read it?");
		return;
	}
	c->have_control = true;
	(void)snprintf(c->inc.cluster, sizeof(c->inc.cluster), "%s",
	    c->cfg->cluster);
	c->inc.major = c->control.major;
	c->inc.system_id = c->control.system_id;
	c->have_inc = true;
	tell(c, CHECK_OK, "data directory", NULL,
	    "%s: PostgreSQL %d, system identifier %" PRIu64, c->pgdata,
	    c->control.major, c->control.system_id);
}

/* A restored copy has its source's identifier: the directory tells. */
static void
check_directory(struct check *c)
{
	char *theirs = query(c, "data directory",
	    "SELECT current_setting('data_directory', true)");
	struct stat a, b;

	if (theirs == NULL)
		return;
	if (stat(theirs, &a) == 0 && stat(c->pgdata, &b) == 0 &&
	    (a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		tell(c, CHECK_FAILED, "data directory", "correct conninfo or "
		    "pgdata", "the connection leads to the server of %s, "
		    "which is a copy of %s or its source", theirs,
		    c->pgdata);
	else
		tell(c, CHECK_OK, "same server", NULL,
		    "connection and data directory agree");
	free(theirs);
}

/* Connection and data directory must be the same server's. */
static void
check_same(struct check *c)
{
	int major = pg_server_version(c->conn) / 10000;
	char *id = query(c, "system identifier",
	    "SELECT system_identifier FROM pg_control_system()");
	char mine[24];

	if (id == NULL)
		return;
	(void)snprintf(mine, sizeof(mine), "%" PRIu64, c->control.system_id);
	if (strcmp(id, mine) != 0)
		tell(c, CHECK_FAILED, "system identifier", "correct conninfo "
		    "or pgdata: they belong to different servers", "the "
		    "connection leads to server %s, the data directory is of "
		    "server %s", id, mine);
	else if (major != c->control.major)
		tell(c, CHECK_FAILED, "version", "correct conninfo or pgdata",
		    "the server is PostgreSQL %d, the data directory of %d",
		    major, c->control.major);
	else
		check_directory(c);
	free(id);
}

static void
check_wal_level(struct check *c)
{
	char *level = query(c, "wal_level", "SHOW wal_level");

	if (level == NULL)
		return;
	if (strcmp(level, "minimal") == 0)
		tell(c, CHECK_FAILED, "wal_level", "ALTER SYSTEM SET "
		    "wal_level = 'replica'; then restart the server",
		    "is minimal, and such WAL cannot be recovered from");
	else
		tell(c, CHECK_OK, "wal_level", NULL, "%s", level);
	free(level);
}

bool
check_command_archives(const char *command)
{
	const char *p = strstr(command, "archive-push");

	return p != NULL && strstr(p, "%p") != NULL;
}

/*
 * The statement that sets archive_command, with the options that lead to the
 * cluster and repository meant here: the server does not know what this
 * shell's environment says.
 */
static void
archive_command_next(const struct config *cfg, struct buf *out)
{
	buf_add_str(out, "ALTER SYSTEM SET archive_command = 'dapk-backup");
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

/* What stands in archive_command or archive_library. */
static bool
check_archive_command(struct check *c)
{
	struct buf b;
	const char *next;
	char *library = query(c, "archive_library",
	    "SELECT coalesce(current_setting('archive_library', true), '')");
	char *command = query(c, "archive_command", "SHOW archive_command");
	bool ok = false;

	buf_init(&b, ERR_HINT_MAX);
	archive_command_next(c->cfg, &b);
	next = buf_str(&b);
	if (library == NULL || command == NULL)
		goto out;
	if (library[0] != '\0')
		tell(c, CHECK_FAILED, "archive_library", "ALTER SYSTEM RESET "
		    "archive_library; SELECT pg_reload_conf();", "is '%s', so "
		    "archive_command is not used", library);
	else if (command[0] == '\0' || strcmp(command, "(disabled)") == 0)
		tell(c, CHECK_FAILED, "archive_command", next,
		    "is not set: WAL piles up in pg_wal");
	else if (strstr(command, "archive-push") == NULL)
		tell(c, CHECK_FAILED, "archive_command", next,
		    "does not call archive-push: %s", command);
	else if (!check_command_archives(command))
		tell(c, CHECK_FAILED, "archive_command", next, "does not "
		    "give %%p to archive-push: %s", command);
	else
		ok = true;
	if (ok)
		tell(c, CHECK_OK, "archive_command", NULL, "%s", command);
out:
	free(library);
	free(command);
	buf_free(&b);
	return ok;
}

static void
check_archive_settings(struct check *c)
{
	char *mode = query(c, "archive_mode", "SHOW archive_mode");
	char *timeout = query(c, "archive_timeout", "SELECT setting FROM "
	    "pg_settings WHERE name = 'archive_timeout'");
	bool on = mode != NULL && strcmp(mode, "off") != 0;
	bool command;

	if (mode != NULL && !on)
		tell(c, CHECK_FAILED, "archive_mode", "ALTER SYSTEM SET "
		    "archive_mode = on; then restart the server (a reload is "
		    "not enough)", "is off: no WAL is archived, and nothing "
		    "after a backup could be recovered");
	else if (mode != NULL)
		tell(c, CHECK_OK, "archive_mode", NULL, "%s", mode);
	command = check_archive_command(c);
	c->archiving = on && command;
	if (on && c->in_recovery && strcmp(mode, "always") != 0) {
		c->archiving = false;
		tell(c, CHECK_NOTE, "archive_mode", NULL, "this server is a "
		    "standby and archives nothing itself");
	}
	if (timeout != NULL && strcmp(timeout, "0") == 0)
		tell(c, CHECK_NOTE, "archive_timeout", "ALTER SYSTEM SET "
		    "archive_timeout = '1min'; SELECT pg_reload_conf();",
		    "is 0: while little is written, the last transactions can "
		    "wait for hours in a segment that is not archived yet");
	free(mode);
	free(timeout);
}

/* Failures that are more recent than the last success. */
static void
check_archiver(struct check *c)
{
	struct err err = ERR_INIT;
	struct pg_result *res = NULL;

	if (pg_query(c->conn, &res, &err, 0, NULL, "SELECT failed_count, "
	    "last_failed_wal, last_failed_time, coalesce(last_failed_time > "
	    "last_archived_time, last_failed_time IS NOT NULL), "
	    "last_archived_wal, last_archived_time FROM pg_stat_archiver") !=
	    0) {
		tell_err(c, "archiver", &err, NULL);
		return;
	}
	if (pg_rows(res) == 1 && strcmp(pg_value(res, 0, 3), "t") == 0)
		tell(c, CHECK_FAILED, "archiver", "the server's log has the "
		    "message of archive-push; search it for archive-push",
		    "the last attempt failed: %s at %s (%s failures in all)",
		    pg_value(res, 0, 1), pg_value(res, 0, 2),
		    pg_value(res, 0, 0));
	else if (pg_rows(res) == 1 && !pg_is_null(res, 0, 4))
		tell(c, CHECK_OK, "archiver", NULL, "last archived %s at %s",
		    pg_value(res, 0, 4), pg_value(res, 0, 5));
	else
		tell(c, CHECK_NOTE, "archiver", NULL,
		    "has not archived anything yet");
	pg_result_free(res);
}

static void
check_repository(struct check *c)
{
	struct err err = ERR_INIT;
	struct storage *st = NULL;

	struct storage_settings set;

	repo_settings(&c->cfg->repo, &set);
	if (repo_open(&c->repo, &set, &err) != 0) {
		c->repo = NULL;
		tell_err(c, "repository", &err, "dapk-backup init");
		return;
	}
	if (c->cfg->repo.id != NULL &&
	    strcmp(c->cfg->repo.id, c->repo->id_text) != 0)
		tell(c, CHECK_FAILED, "repository", "is another disk mounted "
		    "there?", "%s has id %s, expected is %s",
		    c->cfg->repo.url, c->repo->id_text,
		    c->cfg->repo.id);
	else
		tell(c, CHECK_OK, "repository", NULL, "%s, id %s",
		    c->cfg->repo.url, c->repo->id_text);
	if (storage_open(&st, &set, &err) != 0 ||
	    storage_check(st, &err) != 0)
		tell_err(c, "storage", &err, "dapk-backup must be able to "
		    "write there as the user that runs PostgreSQL");
	else
		tell(c, CHECK_OK, "storage", NULL,
		    "put, get, list and remove work, nothing is overwritten");
	storage_close(st);
}

/* Is the cluster's folder this server's? */
static void
check_incarnation(struct check *c)
{
	struct err err = ERR_INIT;
	struct incarnation *list = NULL;
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	size_t n = 0, n_labels = 0, i;
	bool known = false;

	if (repo_incarnations(c->repo, NULL, &list, &n, &err) != 0) {
		tell_err(c, "cluster", &err, NULL);
		return;
	}
	for (i = 0; i < n; i++) {
		if (list[i].system_id != c->inc.system_id)
			continue;
		if (strcmp(list[i].cluster, c->inc.cluster) != 0)
			tell(c, CHECK_FAILED, "cluster", "name the cluster "
			    "in the same way everywhere: --cluster, "
			    "DAPK_BACKUP_CLUSTER or [cluster NAME]",
			    "this server's data is in the repository under "
			    "the name %s, and now it is called %s",
			    list[i].cluster, c->inc.cluster);
		else if (list[i].major == c->inc.major)
			known = true;
	}
	free(list);
	if (!known) {
		tell(c, CHECK_NOTE, "cluster", "dapk-backup backup",
		    "nothing of cluster %s, PostgreSQL %d, system identifier "
		    "%" PRIu64 " is in the repository yet", c->inc.cluster,
		    c->inc.major, c->inc.system_id);
		return;
	}
	if (catalogue_backups(c->repo, &c->inc, &labels, &n_labels, NULL,
	    &err) != 0)
		tell_err(c, "backups", &err, NULL);
	else if (n_labels == 0)
		tell(c, CHECK_NOTE, "backups", "dapk-backup backup",
		    "there is none yet: WAL alone restores nothing");
	else
		tell(c, CHECK_OK, "backups", NULL, "%zu, the newest is %s",
		    n_labels, labels[n_labels - 1]);
	free(labels);
}

/* Which segment must arrive: a restore point in it makes it not empty. */
static char *
switch_wal(struct check *c)
{
	char *segment = query(c, "WAL switch", "SELECT pg_walfile_name("
	    "pg_create_restore_point('dapk-backup check'))");
	char *lsn = segment == NULL ? NULL :
	    query(c, "WAL switch", "SELECT pg_switch_wal()");

	if (lsn == NULL) {
		free(segment);
		return NULL;
	}
	free(lsn);
	return segment;
}

static void
tell_late(struct check *c, const char *segment, double seconds)
{
	char *sql = xasprintf("SELECT CASE WHEN last_archived_wal >= '%s' "
	    "THEN 'the server has archived it, but not to here' "
	    "WHEN last_failed_time > now() - interval '1 hour' "
	    "THEN 'the server''s last failure is ' || last_failed_wal || "
	    "' at ' || last_failed_time ELSE 'the server says nothing of a "
	    "failure; it may have a backlog' END FROM pg_stat_archiver",
	    segment);
	char *why = query(c, "archiving", sql);
	bool elsewhere = why != NULL && strstr(why, "not to here") != NULL;

	tell(c, CHECK_FAILED, "archiving", elsewhere ? "make archive_command "
	    "name the same repository and cluster as this check (--config, "
	    "--cluster, --repository-url)" : "look into the server's log for "
	    "archive-push; --archive-timeout waits longer",
	    "segment %s did not arrive in %s, cluster %s, within %.0f s; %s",
	    segment, c->cfg->repo.url, c->cfg->cluster, seconds,
	    why != NULL ? why : "");
	free(why);
	free(sql);
}

/* Does what is stored lead from this backup to the end of that segment? */
static int
reaches(struct check *c, const char *label, const struct wal_file *file,
    bool *yes, struct buf *why, struct err *err)
{
	struct commit backup = { .label = "" };
	struct history path = { .entries = NULL };
	struct wal_reach reach;
	char timeline[16];
	int ret = -1;

	*yes = false;
	(void)snprintf(timeline, sizeof(timeline), "%" PRIu32, file->timeline);
	if (commit_get(c->repo, &c->inc, label, &backup, err) != 0 ||
	    wal_reach_path(c->repo, &c->inc, timeline, backup.timeline,
		backup.stop_lsn, &path, err) != 0 ||
	    wal_reach(c->repo, &backup, &path, &reach, err) != 0)
		goto out;
	*yes = reach.end_timeline == file->timeline &&
	    strcmp(reach.last_segment, file->segment) >= 0;
	if (!*yes && why->len == 0) /* the newest backup's reason */
		buf_printf(why, "from backup %s on %s is %s", label,
		    reach.missing, reach.conflict ?
		    "stored with two contents" : "not stored");
	ret = 0;
out:
	history_free(&path);
	commit_free(&backup);
	return ret;
}

/*
 * A segment that arrives is of no use when WAL before it is lost, or when it
 * is on a timeline that no backup leads to: after a restore whose archiving
 * was turned on later.
 */
static int
check_reach(struct check *c, const char *segment, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct err e = ERR_INIT;
	struct wal_file file;
	const int64_t begun = time_monotonic();
	struct buf why;
	bool yes = false;
	size_t i = 0, n = 0;

	buf_init(&why, ERR_MSG_MAX);
	if (wal_file_parse(segment, &file, &e) != 0 ||
	    catalogue_backups(c->repo, &c->inc, &labels, &n, NULL, &e) != 0) {
		tell_err(c, "recovery", &e, NULL);
		goto out;
	}
	/* Segments that are pushed side by side arrive in any order. */
	while (n > 0 && !yes) {
		buf_clear(&why);
		for (i = n; i > 0 && !yes && i + NEWEST_BACKUPS > n; i--) {
			if (cancel_check(err) != 0)
				goto out;
			if (reaches(c, labels[i - 1], &file, &yes, &why, &e) ==
			    0)
				continue;
			if (why.len == 0)
				buf_add_str(&why, e.msg);
			err_clear(&e);
		}
		if (time_monotonic() - begun > REACH_WAIT_US)
			break;
		if (!yes)
			time_sleep_ms(POLL_MS);
	}
	if (yes)
		tell(c, CHECK_OK, "recovery", NULL, "backup %s and the stored "
		    "WAL lead up to %s", labels[i], segment);
	else if (n > 0)
		tell(c, CHECK_FAILED, "recovery", "take a backup at once: "
		    "dapk-backup backup", "no backup leads to where the "
		    "server is now, timeline %" PRIu32 ", %s: %s",
		    file.timeline, segment, buf_str(&why));
out:
	free(labels);
	buf_free(&why);
	return err->code == ERR_CANCELLED ? -1 : 0;
}

/* Returns -1 only when cancelled. */
static int
check_arrival(struct check *c, struct err *err)
{
	struct err store = ERR_INIT;
	struct wal_file file;
	struct wal_stored *found = NULL;
	char *segment = switch_wal(c);
	int64_t begun = time_monotonic();
	double seconds = 0;
	size_t n = 0;
	int ret = 0;

	if (segment == NULL)
		return 0;
	if (wal_file_parse(segment, &file, &store) != 0) {
		tell_err(c, "archiving", &store, NULL);
		goto out;
	}
	while (n == 0 && seconds * 1000 < (double)c->cfg->archive_timeout_ms) {
		if (cancel_check(err) != 0) {
			ret = -1;
			goto out;
		}
		if (wal_store_find(c->repo, &c->inc, &file, &found, &n,
		    &store) != 0) {
			tell_err(c, "archiving", &store, NULL);
			goto out;
		}
		free(found);
		found = NULL;
		seconds = (double)(time_monotonic() - begun) / 1e6;
		if (n == 0)
			time_sleep_ms(POLL_MS);
	}
	if (n > 0) {
		tell(c, CHECK_OK, "archiving", NULL, "segment %s arrived in "
		    "the repository after %.1f s", segment, seconds);
		ret = check_reach(c, segment, err);
	} else
		tell_late(c, segment, seconds);
out:
	free(segment);
	return ret;
}

/* Only `dump` needs it, so that it is not there is no failure. */
static void
check_pg_dump(struct check *c)
{
	struct err err = ERR_INIT;
	const int major = pg_server_version(c->conn) / 10000;
	struct pgtool tool;

	if (pgtool_find(&tool, PGTOOL_DUMP, c->cfg->pg_bin_dir, major,
		&err) != 0) {
		tell(c, CHECK_NOTE, "pg_dump", err.hint[0] == '\0' ? NULL :
		    err.hint, "%s; the dump command needs it", err.msg);
		return;
	}
	if (tool.version_num / 10000 == major)
		tell(c, CHECK_OK, "pg_dump", NULL, "%s, %s", tool.version,
		    tool.path);
	else
		tell(c, CHECK_NOTE, "pg_dump", "install the server's own",
		    "%s, %s, is newer than the server: what it dumps, older "
		    "pg_restores do not read", tool.version, tool.path);
	pgtool_free(&tool);
}

int
check_run(const struct config *cfg, check_say say, void *arg,
    unsigned *failed, struct err *err)
{
	struct check c = { .cfg = cfg, .say = say, .arg = arg };
	int ret = 0;

	check_configuration(&c);
	check_connection(&c);
	find_pgdata(&c);
	if (c.pgdata != NULL && check_owner(&c))
		check_control(&c);
	if (c.conn != NULL) {
		if (c.have_control)
			check_same(&c);
		check_wal_level(&c);
		check_archive_settings(&c);
		check_archiver(&c);
		check_pg_dump(&c);
	}
	check_repository(&c);
	if (c.repo != NULL && c.have_inc)
		check_incarnation(&c);
	if (c.conn != NULL && c.repo != NULL && c.have_inc && c.archiving &&
	    !c.in_recovery)
		ret = check_arrival(&c, err);
	else
		tell(&c, CHECK_NOTE, "archiving", NULL, "no segment was sent "
		    "to prove it: %s", c.in_recovery ?
		    "run check on the primary" : "correct the failures first");
	*failed = c.failed;
	pg_disconnect(c.conn);
	repo_close(c.repo);
	free(c.pgdata);
	return ret;
}
