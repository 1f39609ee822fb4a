/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/pgtools.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/process.h"
#include "pg/conn_private.h"
#include "pg/conninfo.h"
#include "pg/libpq.h"

#define MAJOR_MAX 60 /* of the versions that are looked for */
#define SAID_MAX 4096
#define DBNAME_MAX 65536
#define WRAPPER "pg_wrapper"

static const char *const programs[] = { [PGTOOL_DUMP] = "pg_dump",
	[PGTOOL_DUMPALL] = "pg_dumpall", [PGTOOL_RESTORE] = "pg_restore",
	[PGTOOL_PSQL] = "psql" };

/* Before and after the major: Debian, PGDG on Red Hat, Gentoo, FreeBSD... */
static const struct {
	const char *before, *after;
} places[] = { { "/usr/lib/postgresql/", "/bin" }, { "/usr/pgsql-", "/bin" },
	{ "/usr/lib/postgresql", "/bin" }, { "/usr/local/pgsql-", "/bin" },
	{ "/opt/postgresql/", "/bin" } };

/* A search: the best one yet, and what was there and did not do. */
struct search {
	enum pgtool_name which;
	int major;
	struct pgtool best;
	struct buf seen;
};

const char *
pgtool_program(enum pgtool_name which)
{
	return programs[which];
}

int
pgtool_parse_version(const char *said, char text[PGTOOL_VERSION_MAX])
{
	const char *p = strstr(said, ") ");
	char *end;
	long major, minor = 0;

	if (p == NULL || p[2] < '0' || p[2] > '9')
		return -1;
	p += 2;
	major = strtol(p, &end, 10);
	if (*end == '.' && end[1] >= '0' && end[1] <= '9')
		minor = strtol(end + 1, NULL, 10);
	if (major < 1 || major > 999 || minor < 0 || minor > 9999)
		return -1;
	if (text != NULL)
		(void)snprintf(text, PGTOOL_VERSION_MAX, "%.*s",
		    (int)strcspn(p, " \n"), p);
	return (int)(major * 10000 + minor);
}

/* Debian's chooses a version by itself, from the user's settings. */
static bool
is_wrapper(const char *path)
{
	char *real = realpath(path, NULL);
	const char *slash = real != NULL ? strrchr(real, '/') : NULL;
	const bool is = slash != NULL && strcmp(slash + 1, WRAPPER) == 0;

	free(real);
	return is;
}

static int
ask_version(const char *path, struct pgtool *out, struct err *err)
{
	const char *argv[] = { path, "--version", NULL };
	const struct process_spec spec = { .argv = argv,
		.code = ERR_POSTGRES };
	struct buf said;
	int ret = -1;

	buf_init(&said, SAID_MAX);
	if (process_run(&spec, &said, err) != 0)
		goto out;
	out->version_num = pgtool_parse_version(buf_str(&said), out->version);
	if (out->version_num < 0) {
		(void)err_set(err, ERR_POSTGRES, "%s does not tell its version",
		    path);
		goto out;
	}
	ret = 0;
out:
	buf_free(&said);
	return ret;
}

static bool
found_exactly(const struct search *s)
{
	return s->best.path != NULL &&
	    s->best.version_num / 10000 == s->major;
}

/* Look into one directory. An error only when we are cancelled. */
static int
look_in(struct search *s, const char *dir, struct err *err)
{
	char *path = xasprintf("%s/%s", dir, programs[s->which]);
	const char *sep = s->seen.len > 0 ? ", " : "";
	struct pgtool found = { .path = NULL };
	struct err why = ERR_INIT;
	int ret = 0;

	if (access(path, X_OK) != 0)
		goto out;
	if (is_wrapper(path)) {
		buf_printf(&s->seen, "%s%s (" WRAPPER ")", sep, path);
	} else if (ask_version(path, &found, &why) != 0) {
		if (why.code == ERR_CANCELLED) {
			*err = why;
			ret = -1;
		}
		buf_printf(&s->seen, "%s%s (%s)", sep, path, why.msg);
	} else if (found.version_num / 10000 < s->major) {
		buf_printf(&s->seen, "%s%s (%s)", sep, path, found.version);
	} else if (s->best.path == NULL || found.version_num / 10000 <
		s->best.version_num / 10000) {
		free(s->best.path);
		s->best = found;
		s->best.path = path;
		path = NULL;
	}
out:
	free(path);
	return ret;
}

static int
look_in_places(struct search *s, struct err *err)
{
	char dir[128];
	size_t i;
	int m;

	for (m = s->major; m <= MAJOR_MAX && s->best.path == NULL; m++)
		for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			(void)snprintf(dir, sizeof(dir), "%s%d%s",
			    places[i].before, m, places[i].after);
			if (look_in(s, dir, err) != 0)
				return -1;
			if (found_exactly(s))
				return 0;
		}
	return 0;
}

static int
look_along_path(struct search *s, struct err *err)
{
	const char *p = getenv("PATH");
	size_t n;

	for (; p != NULL && *p != '\0'; p += n + (p[n] == ':')) {
		char *dir;
		int rc;

		n = strcspn(p, ":");
		if (n == 0 || *p != '/')
			continue; /* not out of whatever directory we are in */
		dir = xstrndup(p, n);
		rc = look_in(s, dir, err);
		free(dir);
		if (rc != 0 || found_exactly(s))
			return rc;
	}
	return look_in(s, "/usr/local/pgsql/bin", err);
}

static int
not_found(const struct search *s, const char *bin_dir, struct err *err)
{
	if (bin_dir != NULL)
		(void)err_set(err, ERR_POSTGRES, "pg-bin-dir %s holds no %s "
		    "of version %d or newer%s%s", bin_dir, programs[s->which],
		    s->major, s->seen.len > 0 ? ": there is " : "",
		    buf_str(&s->seen));
	else
		(void)err_set(err, ERR_POSTGRES, "no %s of version %d or "
		    "newer was found in /usr/lib/postgresql/%d/bin, its like "
		    "and PATH%s%s", programs[s->which], s->major, s->major,
		    s->seen.len > 0 ? "; passed over: " : "",
		    buf_str(&s->seen));
	return err_hint(err, "install it (on Debian: apt-get install "
	    "postgresql-client-%d), or name the directory that has it with "
	    "--pg-bin-dir or pg-bin-dir in the configuration file", s->major);
}

int
pgtool_find(struct pgtool *out, enum pgtool_name which, const char *bin_dir,
    int major, struct err *err)
{
	struct search s = { .which = which, .major = major };
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&s.seen, ERR_MSG_MAX / 2);
	if (bin_dir != NULL)
		rc = look_in(&s, bin_dir, err);
	else
		rc = look_in_places(&s, err);
	if (rc == 0 && bin_dir == NULL && !found_exactly(&s))
		rc = look_along_path(&s, err);
	if (rc == 0 && s.best.path == NULL)
		rc = not_found(&s, bin_dir, err);
	buf_free(&s.seen);
	if (rc == 0)
		*out = s.best;
	else
		free(s.best.path);
	return rc;
}

void
pgtool_free(struct pgtool *tool)
{
	free(tool->path);
	memset(tool, 0, sizeof(*tool));
}

/* "NAME=value", or "NAME" to remove it. */
static void
put(struct pgtool_connection *pc, char *entry)
{
	const size_t len = strcspn(entry, "=");
	size_t i;

	for (i = 0; i < pc->n; i++)
		if (strncmp(pc->owned[i], entry, len) == 0 &&
		    strcspn(pc->owned[i], "=") == len)
			break;
	if (i + 1 >= pc->room) {
		pc->room = pc->room == 0 ? 64 : pc->room * 2;
		pc->owned = xreallocarray(pc->owned, pc->room,
		    sizeof(*pc->owned));
	}
	if (i < pc->n)
		free(pc->owned[i]);
	else
		pc->owned[++pc->n] = NULL;
	pc->owned[i] = entry;
	pc->env = (const char *const *)pc->owned;
}

void
pgtool_set(struct pgtool_connection *pc, const char *name, const char *value)
{
	put(pc, xasprintf("%s=%s", name, value));
}

/* A variable gets what conn has; what conn does not have must not come from
 * elsewhere. */
static void
put_option(struct pgtool_connection *pc, const char *variable,
    const char *value)
{
	if (value != NULL && *value != '\0')
		pgtool_set(pc, variable, value);
	else
		put(pc, xstrdup(variable));
}

static bool
is_secret(const PQconninfoOption *o)
{
	return strchr(o->dispchar, '*') != NULL ||
	    strstr(o->keyword, "secret") != NULL ||
	    strstr(o->keyword, "password") != NULL ||
	    strncmp(o->keyword, "scram_", 6) == 0;
}

/* Keywords that say how our own connection was made, not where to. */
static bool
is_ours(const char *keyword)
{
	static const char *const ours[] = { "service", "servicefile",
		"client_encoding", "dbname", "host", "hostaddr", "port",
		"replication", "fallback_application_name", NULL };
	size_t i;

	for (i = 0; ours[i] != NULL; i++)
		if (strcmp(keyword, ours[i]) == 0)
			return true;
	return false;
}

static int
put_options(struct pgtool_connection *pc, const PQconninfoOption *opts,
    struct buf *dbname, struct err *err)
{
	const PQconninfoOption *o;

	for (o = opts; o != NULL && o->keyword != NULL; o++) {
		if (is_ours(o->keyword)) {
			/* What a service says is among the others already. */
			if (o->envvar != NULL)
				put(pc, xstrdup(o->envvar));
			continue;
		}
		if (o->envvar != NULL) {
			put_option(pc, o->envvar, o->val);
			continue;
		}
		if (o->val == NULL || *o->val == '\0')
			continue;
		if (!is_secret(o)) {
			conninfo_add(dbname, o->keyword, o->val);
			continue;
		}
		(void)err_set(err, ERR_CONFIG, "%s in the connection string "
		    "cannot be handed to PostgreSQL's own programs without "
		    "others seeing it", o->keyword);
		return err_hint(err, "use a connection that does without: a "
		    "key file without a pass phrase, or a password in "
		    "~/.pgpass");
	}
	return 0;
}

int
pgtool_connect(struct pgtool_connection *out, struct pg_conn *conn,
    const char *database, struct err *err)
{
	static const char *const dropped[] = { "PGSERVICE", "PGSERVICEFILE",
		"PGTZ", "PGDATESTYLE", "PGGEQO", "PGCLUSTER", NULL };
	PQconninfoOption *opts = conn->pq->PQconninfo(conn->conn);
	struct buf dbname;
	size_t i;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	buf_init(&dbname, DBNAME_MAX);
	if (opts == NULL) {
		(void)err_set(err, ERR_POSTGRES, "libpq is out of memory");
		goto out;
	}
	conninfo_add(&dbname, "dbname", database != NULL ? database :
	    conn->pq->PQdb(conn->conn));
	if (put_options(out, opts, &dbname, err) != 0 ||
	    buf_check(&dbname, "the connection string", err) != 0)
		goto out;
	for (i = 0; dropped[i] != NULL; i++)
		put(out, xstrdup(dropped[i]));
	/* The very server: a name may lead to several. */
	put_option(out, "PGHOST", conn->pq->PQhost(conn->conn));
	put_option(out, "PGHOSTADDR", conn->pq->PQhostaddr(conn->conn));
	put_option(out, "PGPORT", conn->pq->PQport(conn->conn));
	put_option(out, "PGUSER", conn->pq->PQuser(conn->conn));
	pgtool_set(out, "PG_COLOR", "never");
	out->dbname = xstrdup(buf_str(&dbname));
	ret = 0;
out:
	if (opts != NULL)
		conn->pq->PQconninfoFree(opts);
	buf_free(&dbname);
	if (ret != 0)
		pgtool_connection_free(out);
	return ret;
}

void
pgtool_connection_free(struct pgtool_connection *pc)
{
	size_t i;

	for (i = 0; i < pc->n; i++) {
		explicit_bzero(pc->owned[i], strlen(pc->owned[i]));
		free(pc->owned[i]);
	}
	free(pc->owned);
	free(pc->dbname);
	memset(pc, 0, sizeof(*pc));
}
