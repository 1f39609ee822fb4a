/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/conffiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

/* The last two parts of a path; dir is empty when there is only one. */
static void
split(const char *path, const char **dir, size_t *dir_len, const char **base)
{
	const char *slash = strrchr(path, '/'), *before;

	*base = slash == NULL ? path : slash + 1;
	*dir = path;
	*dir_len = 0;
	if (slash == NULL)
		return;
	for (before = slash; before > path && before[-1] != '/'; before--)
		;
	*dir = before;
	*dir_len = (size_t)(slash - before);
}

static bool
is_taken(const struct conffiles *c, const char *path)
{
	struct stat st;
	char *full;
	bool taken;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->list[i].path, path) == 0)
			return true;
	if (c->pgdata == NULL)
		return false;
	full = xasprintf("%s/%s", c->pgdata, path);
	taken = lstat(full, &st) == 0;
	free(full);
	return taken;
}

char *
conffiles_name(const struct conffiles *c, const char *origin,
    const char *main_dir)
{
	const char *dir, *base;
	size_t dir_len, main_len = strlen(main_dir);
	unsigned number;
	bool beside;
	char *name, *prefix;

	split(origin, &dir, &dir_len, &base);
	beside = strncmp(origin, main_dir, main_len) == 0 &&
	    origin + main_len + 1 == base;
	prefix = beside || dir_len == 0 ? xstrdup(CONFFILES_PREFIX) :
	    xasprintf(CONFFILES_PREFIX "%.*s/", (int)dir_len, dir);
	name = xasprintf("%s%s", prefix, base);
	for (number = 2; is_taken(c, name); number++) {
		free(name);
		name = xasprintf("%s%u-%s", prefix, number, base);
	}
	free(prefix);
	return name;
}

static bool
is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	char *real = realpath(path, NULL);
	bool inside = real != NULL && strncmp(real, dir, n) == 0 &&
	    real[n] == '/';

	free(real);
	return inside;
}

static int
add(struct conffiles *c, const char *origin, const char *setting,
    const char *main_dir, struct err *err)
{
	const char *slash = strrchr(origin, '/');
	char *own_dir;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->list[i].origin, origin) == 0)
			return 0;
	if (c->n == CONFFILES_MAX)
		return err_set(err, ERR_REFUSED,
		    "more than %d configuration files", CONFFILES_MAX);
	if (c->n % 16 == 0)
		c->list = xreallocarray(c->list, c->n + 16,
		    sizeof(*c->list));
	own_dir = xstrndup(origin,
	    slash == NULL ? 0 : (size_t)(slash - origin));
	/* Only what is included keeps its directory's name. */
	c->list[c->n].path = conffiles_name(c, origin,
	    strcmp(setting, "include") == 0 ? main_dir : own_dir);
	free(own_dir);
	c->list[c->n].origin = xstrdup(origin);
	c->list[c->n].setting = setting;
	c->n++;
	return 0;
}

/* Add the files of a query: origin in column 0, all of them `setting`. */
static int
add_query(struct conffiles *c, struct pg_conn *conn, const char *sql,
    const char *setting, const char *pgdata, const char *main_dir,
    struct err *err)
{
	struct pg_result *res = NULL;
	int i, rc = 0;

	if (pg_query(conn, &res, err, 0, NULL, sql) != 0)
		return -1;
	for (i = 0; i < pg_rows(res) && rc == 0; i++)
		if (!is_inside(pg_value(res, i, 0), pgdata) &&
		    pg_value(res, i, 0)[0] == '/')
			rc = add(c, pg_value(res, i, 0), setting, main_dir,
			    err);
	pg_result_free(res);
	return rc;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct conffile *)a)->path,
	    ((const struct conffile *)b)->path);
}

/* What the role may look at decides where the included files come from. */
static int
add_included(struct conffiles *c, struct pg_conn *conn, const char *pgdata,
    const char *main_dir, struct err *err)
{
	char *may = NULL;
	const char *sql = "SELECT DISTINCT sourcefile FROM"
	    " pg_catalog.pg_file_settings WHERE sourcefile IS NOT NULL"
	    " ORDER BY 1";
	int rc;

	if (pg_query_value(conn, "SELECT pg_catalog.has_table_privilege("
	    "'pg_catalog.pg_file_settings', 'SELECT') AND"
	    " pg_catalog.has_function_privilege("
	    "'pg_catalog.pg_show_all_file_settings()', 'EXECUTE')", &may,
	    err) != 0)
		return -1;
	if (may == NULL || strcmp(may, "t") != 0) {
		log_debug("no right to read pg_file_settings: configuration "
		    "files without a setting in effect are not found");
		sql = "SELECT DISTINCT sourcefile FROM pg_catalog.pg_settings"
		    " WHERE sourcefile IS NOT NULL ORDER BY 1";
	}
	free(may);
	may = NULL;
	rc = add_query(c, conn, sql, "include", pgdata, main_dir, err);
	if (rc != 0 || pg_server_version(conn) < 160000)
		return rc;
	if (pg_query_value(conn, "SELECT pg_catalog.has_function_privilege("
	    "'pg_catalog.pg_hba_file_rules()', 'EXECUTE')", &may, err) != 0)
		return -1;
	if (may != NULL && strcmp(may, "t") == 0)
		rc = add_query(c, conn, "SELECT file_name FROM"
		    " pg_catalog.pg_hba_file_rules UNION SELECT file_name"
		    " FROM pg_catalog.pg_ident_file_mappings ORDER BY 1",
		    "include", pgdata, main_dir, err);
	free(may);
	return rc;
}

int
conffiles_dir_used(struct pg_conn *conn, const char *pgdata, bool *used,
    struct err *err)
{
	struct pg_result *res = NULL;
	char *dir = xasprintf("%s/" CONFFILES_DIR, pgdata);
	int i, rc;

	*used = false;
	rc = pg_query(conn, &res, err, 0, NULL,
	    "SELECT setting FROM pg_catalog.pg_settings WHERE name IN ("
	    "'config_file', 'hba_file', 'ident_file') UNION SELECT sourcefile"
	    " FROM pg_catalog.pg_settings WHERE sourcefile IS NOT NULL");
	if (rc == 0)
		for (i = 0; i < pg_rows(res) && !*used; i++)
			*used = is_inside(pg_value(res, i, 0), dir);
	pg_result_free(res);
	free(dir);
	return rc;
}

int
conffiles_find(struct conffiles *out, struct pg_conn *conn,
    const char *pgdata, bool dir_used, struct err *err)
{
	static const char *const settings[] = { "config_file", "hba_file",
		"ident_file" };
	char *file = NULL, *main_dir = NULL, *sql, *slash;
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	out->pgdata = dir_used ? pgdata : NULL;
	for (i = 0; i < 3 && rc == 0; i++) {
		sql = xasprintf("SELECT pg_catalog.current_setting('%s')",
		    settings[i]);
		rc = pg_query_value(conn, sql, &file, err);
		free(sql);
		if (rc != 0 || file == NULL)
			break;
		if (main_dir == NULL) {
			main_dir = xstrdup(file);
			slash = strrchr(main_dir, '/');
			if (slash != NULL)
				*slash = '\0';
		}
		if (*file != '\0' && !is_inside(file, pgdata))
			rc = add(out, file, settings[i], main_dir, err);
		free(file);
		file = NULL;
	}
	if (rc == 0 && main_dir != NULL)
		rc = add_included(out, conn, pgdata, main_dir, err);
	if (rc != 0)
		conffiles_free(out);
	else if (out->n > 1)
		qsort(out->list, out->n, sizeof(*out->list), compare);
	free(main_dir);
	return rc;
}

void
conffiles_free(struct conffiles *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->list[i].origin);
		free(c->list[i].path);
	}
	free(c->list);
	memset(c, 0, sizeof(*c));
}

static int
add_one(struct entries *entries, const struct conffile *cf, struct err *err)
{
	struct manifest_entry line;
	struct stat st;
	struct buf data;
	int fd, rc = -1;

	buf_init(&data, CONFFILE_SIZE_MAX);
	fd = open(cf->origin, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		if (errno == ENOENT && strcmp(cf->setting, "include") == 0) {
			log_warning("configuration file %s is gone, left out",
			    cf->origin);
			rc = 0;
		} else
			err_sys(err, errno, "read configuration file %s",
			    cf->origin);
		goto out;
	}
	if (io_read_fd(fd, cf->origin, &data, err) != 0)
		goto out;
	memset(&line, 0, sizeof(line));
	line.type = MANIFEST_CONFIG;
	line.path = cf->path;
	line.target = cf->origin;
	line.setting = cf->setting;
	entries_line_times(&line, &st);
	rc = entries_add_memory(entries, &line, data.data, data.len, err);
out:
	if (fd >= 0)
		(void)close(fd); /* only read */
	buf_free(&data);
	return rc;
}

int
conffiles_add(struct entries *entries, struct pg_conn *conn,
    const char *pgdata, bool dir_used, struct err *err)
{
	struct conffiles cf;
	size_t i;
	int rc = 0;

	if (conffiles_find(&cf, conn, pgdata, dir_used, err) != 0)
		return err_wrap(err, "find the configuration files");
	for (i = 0; i < cf.n && rc == 0; i++)
		rc = add_one(entries, &cf.list[i], err);
	conffiles_free(&cf);
	return rc;
}
