/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "pg/rights.h"

#define PROC_LOCKS_MAX ((size_t)4 << 20)
#define PIDFILE_MAX ((size_t)64 << 10)
#define START_TOLERANCE 120 /* seconds between two notes of the start */

static int
check_version(struct server *s, struct err *err)
{
	int version = pg_server_version(s->conn);

	s->major = version / 10000;
	if (s->major >= SERVER_MAJOR_MIN && s->major <= SERVER_MAJOR_MAX)
		return 0;
	return err_set(err, ERR_UNSUPPORTED,
	    "PostgreSQL %d is not supported: this program knows %d to %d",
	    s->major, SERVER_MAJOR_MIN, SERVER_MAJOR_MAX);
}

static char *
owner_name(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw == NULL ? xasprintf("#%u", (unsigned)uid) :
	    xstrdup(pw->pw_name);
}

/* Only the owner is sure to read all, and leaves nothing that it cannot. */
static int
check_user(struct server *s, struct err *err)
{
	struct stat st;
	char *owner, *me;

	if (stat(s->pgdata, &st) != 0)
		return err_sys(err, errno, "look at data directory %s",
		    s->pgdata);
	if (st.st_uid == geteuid())
		return 0;
	owner = owner_name(st.st_uid);
	me = owner_name(geteuid());
	err_set(err, ERR_CONFIG, "the data directory %s belongs to %s, and "
	    "this is %s", s->pgdata, owner, me);
	(void)err_hint(err, "run as: sudo -u %s dapk-backup backup", owner);
	free(owner);
	free(me);
	return -1;
}

static int
find_pgdata(struct server *s, const char *pgdata, struct err *err)
{
	char *theirs = NULL, *real_theirs = NULL;
	int rc = -1;

	if (pg_query_value(s->conn,
	    "SELECT pg_catalog.current_setting('data_directory')", &theirs,
	    err) != 0)
		return rights_hint(s->conn, "type: GRANT pg_monitor TO", ";",
		    err);
	if (theirs == NULL)
		theirs = xstrdup("");
	s->pgdata = realpath(pgdata == NULL ? theirs : pgdata, NULL);
	if (s->pgdata == NULL) {
		err_sys(err, errno, "data directory %s",
		    pgdata == NULL ? theirs : pgdata);
		err->code = ERR_CONFIG;
		(void)err_hint(err, "run this on the server's host, as the "
		    "owner of the data directory");
		goto out;
	}
	real_theirs = realpath(theirs, NULL);
	if (real_theirs == NULL || strcmp(real_theirs, s->pgdata) != 0) {
		err_set(err, ERR_CONFIG, "the server's data directory is %s, "
		    "not %s", theirs, s->pgdata);
		(void)err_hint(err, "give the connection of the server that "
		    "runs on %s, or pgdata = %s", s->pgdata, theirs);
		goto out;
	}
	rc = check_user(s, err);
out:
	free(theirs);
	free(real_theirs);
	return rc;
}

static int
check_system(struct server *s, struct err *err)
{
	char *id = NULL;
	uint64_t system_id;
	int rc = -1, major;

	if (control_read_major(s->pgdata, &major, err) != 0 ||
	    control_read(s->pgdata, &s->control, NULL, err) != 0)
		return -1;
	if (major != s->major || s->control.major != s->major)
		return err_set(err, ERR_REFUSED, "the server is PostgreSQL %d "
		    "and %s is of PostgreSQL %d", s->major, s->pgdata,
		    major == s->major ? s->control.major : major);
	if (pg_query_value(s->conn, "SELECT system_identifier FROM "
	    "pg_catalog.pg_control_system()", &id, err) != 0)
		return -1;
	/* PostgreSQL shows it as a signed number. */
	system_id = id == NULL ? 0 : (uint64_t)strtoull(id, NULL, 10);
	if (id != NULL && *id == '-')
		system_id = (uint64_t)strtoll(id, NULL, 10);
	if (system_id != s->control.system_id)
		err_set(err, ERR_REFUSED, "the server's system identifier is "
		    "%llu and that of %s is %llu",
		    (unsigned long long)system_id, s->pgdata,
		    (unsigned long long)s->control.system_id);
	else
		rc = 0;
	free(id);
	return rc;
}

/* Line n (from 1) of postmaster.pid as a number; 0 when there is none. */
static uint64_t
pidfile_number(const char *text, int n)
{
	char *end;
	long long v;

	for (; n > 1 && text != NULL; n--) {
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	if (text == NULL)
		return 0;
	v = strtoll(text, &end, 10);
	return end == text || v < 0 ? 0 : (uint64_t)v;
}

/*
 * A copy of the cluster may lie under the same path on this host while the
 * connection leads to another: the lock file's start time and port must be
 * those of the server.
 */
static int
check_running(struct server *s, struct err *err)
{
	struct pg_result *res = NULL;
	char *path = xasprintf("%s/postmaster.pid", s->pgdata);
	struct buf text;
	uint64_t started, port, theirs;
	int rc = -1;

	buf_init(&text, PIDFILE_MAX);
	if (io_read_file(path, &text, err) != 0) {
		if (err->code == ERR_NOT_FOUND) {
			err_clear(err);
			err_set(err, ERR_REFUSED, "no server runs on %s: "
			    "postmaster.pid is missing", s->pgdata);
		}
		goto out;
	}
	if (pg_query(s->conn, &res, err, 0, NULL,
	    "SELECT extract(epoch from pg_catalog.pg_postmaster_start_time())"
	    "::bigint, pg_catalog.current_setting('port')") != 0)
		goto out;
	started = pidfile_number(buf_str(&text), 3);
	port = pidfile_number(buf_str(&text), 4);
	theirs = strtoull(pg_value(res, 0, 0), NULL, 10);
	if (port != strtoull(pg_value(res, 0, 1), NULL, 10) ||
	    started > theirs + START_TOLERANCE ||
	    theirs > started + START_TOLERANCE) {
		err_set(err, ERR_REFUSED, "the connection leads to another "
		    "server than the one that runs on %s", s->pgdata);
		goto out;
	}
	rc = 0;
out:
	pg_result_free(res);
	buf_free(&text);
	free(path);
	return rc;
}

static int
refuse_archiving(struct err *err, const char *name, const char *value,
    const char *wanted)
{
	err_set(err, ERR_REFUSED, "%s is \"%s\": without archived WAL a backup "
	    "cannot be restored", name, value);
	return err_hint(err, "set %s, and restart PostgreSQL if it asks for "
	    "it; then type: dapk-backup check", wanted);
}

/*
 * A standby gets its WAL from the primary, which is the one that archives it;
 * what the standby's own settings say is of no account.
 */
static int
check_settings(struct pg_conn *conn, struct err *err)
{
	struct pg_result *res = NULL;
	const char *level, *mode;
	int rc = -1;

	if (pg_query(conn, &res, err, 0, NULL,
	    "SELECT pg_catalog.current_setting('wal_level'),"
	    " pg_catalog.current_setting('archive_mode'),"
	    " pg_catalog.current_setting('archive_command'),"
	    " pg_catalog.current_setting('archive_library', true)") != 0)
		return -1;
	level = pg_value(res, 0, 0);
	mode = pg_value(res, 0, 1);
	if (strcmp(level, "replica") != 0 && strcmp(level, "logical") != 0)
		refuse_archiving(err, "wal_level", level,
		    "wal_level = replica");
	else if (strcmp(mode, "on") != 0 && strcmp(mode, "always") != 0)
		refuse_archiving(err, "archive_mode", mode,
		    "archive_mode = on and archive_command = 'dapk-backup "
		    "archive-push %p'");
	else if ((strcmp(pg_value(res, 0, 2), "") == 0 ||
	    strcmp(pg_value(res, 0, 2), "(disabled)") == 0) &&
	    strcmp(pg_value(res, 0, 3), "") == 0)
		refuse_archiving(err, "archive_command", pg_value(res, 0, 2),
		    "archive_command = 'dapk-backup archive-push %p'");
	else
		rc = 0;
	pg_result_free(res);
	return rc;
}

/* Pages that a standby flushes have no other source than images in WAL. */
static int
check_page_writes(struct server *s, struct err *err)
{
	char *value = NULL;
	int rc = 0;

	if (pg_query_value(s->primary->conn, "SELECT "
	    "pg_catalog.current_setting('full_page_writes')", &value,
	    err) != 0)
		return -1;
	if (value != NULL && strcmp(value, "off") == 0) {
		rc = err_set(err, ERR_REFUSED, "full_page_writes is off on "
		    "the primary %s: a backup of its standby could not be "
		    "restored", s->primary->name);
		(void)err_hint(err, "set full_page_writes = on there");
	}
	free(value);
	return rc;
}

static int
check_archiving(struct server *s, struct err *err)
{
	if (!s->standby)
		return check_settings(s->conn, err);
	if (s->primary == NULL) {
		log_warning("no primary is in reach: the backup ends when the "
		    "primary has archived the last WAL segment, and whether "
		    "it archives cannot be checked");
		return 0;
	}
	if (check_settings(s->primary->conn, err) != 0 ||
	    check_page_writes(s, err) != 0)
		return err_wrap(err, "the primary %s", s->primary->name);
	return 0;
}

int
server_check_role(struct server *s, struct err *err)
{
	char *value = NULL;
	bool promoted;

	if (!s->standby)
		return 0;
	if (pg_query_value(s->conn, "SELECT pg_catalog.pg_is_in_recovery()",
	    &value, err) != 0)
		return -1;
	promoted = value == NULL || strcmp(value, "t") != 0;
	free(value);
	if (!promoted)
		return 0;
	err_set(err, ERR_POSTGRES, "the standby was promoted during the "
	    "backup, which is of no use with that");
	return err_hint(err, "take it again: dapk-backup backup");
}

/* Is this the server that runs on the data directory, and may we read it? */
static int
check_place(struct server *s, const char *pgdata, struct err *err)
{
	free(s->pgdata);
	s->pgdata = NULL;
	if (check_version(s, err) != 0 || find_pgdata(s, pgdata, err) != 0 ||
	    check_system(s, err) != 0 || check_running(s, err) != 0)
		return -1;
	return 0;
}

/* Of the servers that may be used the first that runs here. */
static int
choose(struct server *s, const char *pgdata, struct source **out,
    struct err *err)
{
	struct sources *l = &s->sources;
	struct err first = ERR_INIT;
	size_t i;

	for (i = 0; i < l->n_fit; i++) {
		err_clear(err);
		s->conn = l->list[i].conn;
		if (check_place(s, pgdata, err) == 0) {
			*out = &l->list[i];
			return 0;
		}
		if (err->code == ERR_CANCELLED)
			return -1;
		if (l->named > 1)
			log_debug("%s: %s", l->list[i].name, err->msg);
		if (i == 0)
			first = *err;
	}
	*err = first;
	if (l->named == 1)
		return -1;
	return err_wrap(err, "none of the servers that may be used runs on a "
	    "data directory of this host; %s", l->list[0].name);
}

static int
use_source(struct server *s, struct source *used, enum source_from from,
    struct err *err)
{
	s->conn = used->conn;
	s->name = used->name;
	s->conninfo = used->conninfo;
	s->standby = used->standby;
	if (s->standby)
		s->primary = sources_primary(&s->sources, used);
	sources_say(&s->sources, used, from);
	return check_archiving(s, err);
}

/* What pg_control says, as far as SQL tells it. */
static int
ask_control(struct server *s, struct err *err)
{
	struct pg_result *res = NULL;
	struct control *c = &s->control;
	int rc = 0;

	if (pg_query(s->conn, &res, err, 0, NULL,
	    "SELECT s.pg_control_version, s.catalog_version_no,"
	    " i.database_block_size, i.blocks_per_segment,"
	    " i.bytes_per_wal_segment, i.data_page_checksum_version,"
	    " i.wal_block_size FROM pg_catalog.pg_control_system() AS s,"
	    " pg_catalog.pg_control_init() AS i") != 0)
		return -1;
	c->major = s->major;
	c->control_version = (uint32_t)strtoul(pg_value(res, 0, 0), NULL, 10);
	c->catalog_version = (uint32_t)strtoul(pg_value(res, 0, 1), NULL, 10);
	c->block_size = (uint32_t)strtoul(pg_value(res, 0, 2), NULL, 10);
	c->relation_segment_blocks = (uint32_t)strtoul(pg_value(res, 0, 3),
	    NULL, 10);
	c->wal_segment_size = (uint32_t)strtoul(pg_value(res, 0, 4), NULL,
	    10);
	c->data_checksum_version = (uint32_t)strtoul(pg_value(res, 0, 5),
	    NULL, 10);
	c->wal_block_size = (uint32_t)strtoul(pg_value(res, 0, 6), NULL, 10);
	if (c->block_size == 0 || c->relation_segment_blocks == 0 ||
	    c->wal_segment_size == 0)
		rc = err_set(err, ERR_POSTGRES, "the server does not tell its "
		    "block sizes");
	pg_result_free(res);
	return rc;
}

int
server_size(struct server *s, uint64_t *bytes, struct err *err)
{
	char *sum = NULL;

	if (pg_query_value(s->conn, "SELECT pg_catalog.sum("
	    "pg_catalog.pg_tablespace_size(oid)) FROM"
	    " pg_catalog.pg_tablespace", &sum, err) != 0)
		return -1;
	*bytes = sum == NULL ? 0 : strtoull(sum, NULL, 10);
	free(sum);
	return 0;
}

int
server_open_remote(struct server *s, const char *conninfo,
    enum source_from from, struct err *err)
{
	memset(s, 0, sizeof(*s));
	s->pgdata_fd = -1;
	if (sources_open(&s->sources, conninfo, err) != 0 ||
	    sources_order(&s->sources, from, err) != 0)
		return -1;
	s->conn = s->sources.list[0].conn;
	s->control.system_id = s->sources.list[0].system_id;
	if (check_version(s, err) != 0 || ask_control(s, err) != 0)
		return -1;
	return use_source(s, &s->sources.list[0], from, err);
}

int
server_open(struct server *s, const char *conninfo, const char *pgdata,
    enum source_from from, struct err *err)
{
	struct source *used = NULL;

	memset(s, 0, sizeof(*s));
	s->pgdata_fd = -1;
	if (sources_open(&s->sources, conninfo, err) != 0 ||
	    sources_order(&s->sources, from, err) != 0 ||
	    choose(s, pgdata, &used, err) != 0)
		return -1;
	if (use_source(s, used, from, err) != 0)
		return -1;
	s->pgdata_fd = open(s->pgdata, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->pgdata_fd < 0)
		return err_sys(err, errno, "open data directory %s",
		    s->pgdata);
	return 0;
}

/* The process that holds a flock on this file, from /proc/locks; 0: unknown. */
static long
lock_holder(const struct stat *st)
{
	struct err ignored = ERR_INIT;
	char want[64], *line, *save = NULL;
	struct buf text;
	long pid = 0;
	int off;

	(void)snprintf(want, sizeof(want), "%02x:%02x:%llu",
	    major(st->st_dev), minor(st->st_dev),
	    (unsigned long long)st->st_ino);
	buf_init(&text, PROC_LOCKS_MAX);
	/* Only to say more: without it the message is shorter. */
	if (io_read_file("/proc/locks", &text, &ignored) != 0 ||
	    text.len == 0)
		goto out;
	for (line = strtok_r((char *)text.data, "\n", &save);
	    line != NULL && pid == 0; line = strtok_r(NULL, "\n", &save)) {
		off = 0;
		if (strstr(line, "FLOCK") == NULL || strstr(line, "->") ||
		    sscanf(line, "%*s FLOCK %*s %*s %ld %n", &pid, &off) != 1 ||
		    off == 0 || strncmp(line + off, want, strlen(want)) != 0)
			pid = 0;
	}
out:
	buf_free(&text);
	return pid;
}

int
server_lock(struct server *s, struct err *err)
{
	struct stat st;
	long pid = 0;

	if (flock(s->pgdata_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EBADF || errno == ENOLCK || errno == EOPNOTSUPP) {
		/* NFS locks no directory. Two backups harm each other's
		 * speed, not their content. */
		log_warning("%s cannot be locked on its file system: a second "
		    "backup at the same time would not be noticed", s->pgdata);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return err_sys(err, errno, "lock data directory %s",
		    s->pgdata);
	if (fstat(s->pgdata_fd, &st) == 0)
		pid = lock_holder(&st);
	if (pid > 0)
		err_set(err, ERR_LOCKED, "another backup of %s is "
		    "running: process %ld", s->pgdata, pid);
	else
		err_set(err, ERR_LOCKED, "another backup of %s is running",
		    s->pgdata);
	return err_hint(err, "wait until it has ended; 'dapk-backup info' "
	    "lists it then");
}

void
server_close(struct server *s)
{
	if (s->sources.list != NULL && s->pgdata_fd >= 0)
		(void)close(s->pgdata_fd); /* only read */
	sources_close(&s->sources);
	free(s->pgdata);
	memset(s, 0, sizeof(*s));
	s->pgdata_fd = -1;
}
