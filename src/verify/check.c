/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "verify/check_private.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "pg/pgtools.h"
#include "repo/commit.h"
#include "repo/notes.h"

void
check_tell(struct check *c, enum check_result result, const char *what,
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

void
check_tell_err(struct check *c, const char *what, const struct err *err,
    const char *next)
{
	check_tell(c, CHECK_FAILED, what, err->hint[0] != '\0' ? err->hint : next,
	    "%s", err->msg);
}

static void
check_configuration(struct check *c)
{
	struct buf shown, places;
	unsigned i;

	buf_init(&shown, 1 << 16);
	buf_init(&places, 1 << 16);
	for (i = 0; i <= c->cfg->n_others; i++)
		buf_printf(&places, "%s%s", i == 0 ? "" : ", ",
		    config_repository(c->cfg, i)->url);
	if (c->cfg->conninfo != NULL)
		config_mask_conninfo(c->cfg->conninfo, &shown);
	check_tell(c, CHECK_OK, "configuration", NULL,
	    "%s; cluster %s, repository %s, connection %s",
	    c->cfg->config_file != NULL ? c->cfg->config_file : "no file",
	    c->cfg->cluster, buf_str(&places), shown.len > 0 ?
	    buf_str(&shown) : "from libpq's environment");
	buf_free(&places);
	buf_free(&shown);
}

/* A setting's value, or NULL (told as a failure of `what`). */
char *
check_query(struct check *c, const char *what, const char *sql)
{
	struct err err = ERR_INIT;
	char *value = NULL;

	if (pg_query_value(c->conn, sql, &value, &err) != 0) {
		check_tell_err(c, what, &err, NULL);
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
		check_tell_err(c, "connection", &err, "is the server running, and "
		    "does conninfo (or -h, -p, -U) say where? Try: psql "
		    "-d postgres -c 'SELECT 1'");
		return;
	}
	text = check_query(c, "connection", "SELECT current_setting("
	    "'server_version') || ' as user ' || current_user");
	if (text == NULL)
		return;
	check_tell(c, CHECK_OK, "connection", NULL, "PostgreSQL %s", text);
	free(text);
	text = check_query(c, "connection", "SELECT pg_is_in_recovery()");
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
		c->pgdata = check_query(c, "data directory",
		    "SELECT current_setting('data_directory', true)");
	if (c->pgdata != NULL && c->pgdata[0] != '\0')
		return;
	free(c->pgdata);
	c->pgdata = NULL;
	check_tell(c, CHECK_FAILED, "data directory", "set pgdata in [cluster "
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
		check_tell(c, CHECK_FAILED, "data directory", "correct pgdata, "
		    "PGDATA or -D; the server says: SHOW data_directory",
		    "%s: %s", c->pgdata, strerror(errno));
		return false;
	}
	if (st.st_uid == geteuid()) {
		check_tell(c, CHECK_OK, "user", NULL, "owns %s", c->pgdata);
		return true;
	}
	owner = getpwuid(st.st_uid); /* one thread */
	(void)snprintf(next, sizeof(next), "sudo -u %s dapk-backup check",
	    owner != NULL ? owner->pw_name : "OWNER");
	check_tell(c, CHECK_FAILED, "user", next, "uid %u is not the owner of %s, "
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
		check_tell_err(c, "data directory", &err,
		    "is this a data directory, and may you read it?");
		return;
	}
	c->have_control = true;
	(void)snprintf(c->inc.cluster, sizeof(c->inc.cluster), "%s",
	    c->cfg->cluster);
	c->inc.major = c->control.major;
	c->inc.system_id = c->control.system_id;
	c->have_inc = true;
	check_tell(c, CHECK_OK, "data directory", NULL,
	    "%s: PostgreSQL %d, system identifier %" PRIu64, c->pgdata,
	    c->control.major, c->control.system_id);
}

/* A restored copy has its source's identifier: the directory tells. */
static void
check_directory(struct check *c)
{
	char *theirs = check_query(c, "data directory",
	    "SELECT current_setting('data_directory', true)");
	struct stat a, b;

	if (theirs == NULL)
		return;
	if (stat(theirs, &a) == 0 && stat(c->pgdata, &b) == 0 &&
	    (a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		check_tell(c, CHECK_FAILED, "data directory", "correct conninfo or "
		    "pgdata", "the connection leads to the server of %s, "
		    "which is a copy of %s or its source", theirs,
		    c->pgdata);
	else {
		c->same_server = true;
		check_tell(c, CHECK_OK, "same server", NULL,
		    "connection and data directory agree");
	}
	free(theirs);
}

/* Connection and data directory must be the same server's. */
static void
check_same(struct check *c)
{
	int major = pg_server_version(c->conn) / 10000;
	char *id = check_query(c, "system identifier",
	    "SELECT system_identifier FROM pg_control_system()");
	char mine[24];

	if (id == NULL)
		return;
	(void)snprintf(mine, sizeof(mine), "%" PRIu64, c->control.system_id);
	if (strcmp(id, mine) != 0)
		check_tell(c, CHECK_FAILED, "system identifier", "correct conninfo "
		    "or pgdata: they belong to different servers", "the "
		    "connection leads to server %s, the data directory is of "
		    "server %s", id, mine);
	else if (major != c->control.major)
		check_tell(c, CHECK_FAILED, "version", "correct conninfo or pgdata",
		    "the server is PostgreSQL %d, the data directory of %d",
		    major, c->control.major);
	else
		check_directory(c);
	free(id);
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
		check_tell_err(c, "archiver", &err, NULL);
		return;
	}
	if (pg_rows(res) == 1 && strcmp(pg_value(res, 0, 3), "t") == 0)
		check_tell(c, CHECK_FAILED, "archiver", "the server's log has the "
		    "message of archive-push; search it for archive-push",
		    "the last attempt failed: %s at %s (%s failures in all)",
		    pg_value(res, 0, 1), pg_value(res, 0, 2),
		    pg_value(res, 0, 0));
	else if (pg_rows(res) == 1 && !pg_is_null(res, 0, 4))
		check_tell(c, CHECK_OK, "archiver", NULL, "last archived %s at %s",
		    pg_value(res, 0, 4), pg_value(res, 0, 5));
	else
		check_tell(c, CHECK_NOTE, "archiver", NULL,
		    "has not archived anything yet");
	pg_result_free(res);
}

/* For `status`, which asks no server itself. */
static void
note_server(struct check *c)
{
	struct err ignored = ERR_INIT; /* the checks before have told */
	struct notes_server server;
	bool has_archiver;

	if (notes_ask_server(c->conn, &server, &has_archiver, &ignored) ==
	    0 && has_archiver)
		notes_put_server(c->cfg->state_directory, c->cfg->cluster,
		    &server);
}

static bool
has_dumps(const struct check *c)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct err ignored = ERR_INIT;
	size_t n = 0;
	bool some;

	some = c->have_inc && c->places[0].repo != NULL &&
	    catalogue_dumps(c->places[0].repo, &c->inc, &labels, &n, NULL,
		&ignored) == 0 && n > 0;
	free(labels);
	return some;
}

/* Only `dump` needs it: where none is made, its absence is no failure. */
static void
check_pg_dump(struct check *c)
{
	struct err err = ERR_INIT;
	const int major = pg_server_version(c->conn) / 10000;
	struct pgtool tool;

	if (pgtool_find(&tool, PGTOOL_DUMP, c->cfg->pg_bin_dir, major,
		&err) != 0) {
		check_tell(c, has_dumps(c) ? CHECK_FAILED : CHECK_NOTE,
		    "pg_dump", err.hint[0] == '\0' ? NULL :
		    err.hint, "%s; the dump command needs it", err.msg);
		return;
	}
	if (tool.version_num / 10000 == major)
		check_tell(c, CHECK_OK, "pg_dump", NULL, "%s, %s", tool.version,
		    tool.path);
	else
		check_tell(c, CHECK_NOTE, "pg_dump", "install the server's own",
		    "%s, %s, is newer than the server: what it dumps, older "
		    "pg_restores do not read", tool.version, tool.path);
	pgtool_free(&tool);
}

int
check_run(const struct config *cfg, check_say say, void *arg,
    unsigned *failed, struct err *err)
{
	struct check c = { .cfg = cfg, .say = say, .arg = arg };
	bool usable = false;
	unsigned i;
	int ret = 0;

	check_configuration(&c);
	check_connection(&c);
	find_pgdata(&c);
	if (c.pgdata != NULL && check_owner(&c))
		check_control(&c);
	if (c.conn != NULL) {
		if (c.have_control)
			check_same(&c);
		check_server(&c);
		check_archiver(&c);
		note_server(&c);
	}
	check_stores(&c);
	if (c.conn != NULL)
		check_pg_dump(&c);
	check_folders(&c);
	for (i = 0; i < c.n_places; i++)
		usable = usable || c.places[i].repo != NULL;
	if (c.have_inc) {
		check_incarnations(&c);
		check_holds(&c);
		if (c.conn != NULL && !c.in_recovery)
			check_others(&c);
		check_space(&c);
	}
	if (c.conn != NULL && usable && c.have_inc && c.archiving &&
	    !c.in_recovery)
		ret = check_arrival(&c, err);
	else
		check_tell(&c, CHECK_NOTE, "archiving", NULL, "no segment was sent "
		    "to prove it: %s", c.in_recovery ?
		    "run check on the primary" : "correct the failures first");
	*failed = c.failed;
	pg_disconnect(c.conn);
	check_stores_close(&c);
	free(c.pgdata);
	return ret;
}
