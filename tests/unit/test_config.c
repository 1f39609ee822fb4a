/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"
#include "config/option.h"
#include "core/buf.h"
#include "core/mem.h"

extern char **environ;

static char path[] = "/tmp/dapk-test-config-XXXXXX";

static int
setup(void **state)
{
	int fd;

	(void)state;
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(path);
}

/* Nothing of the surroundings may decide a test. */
static int
clean_environment(void **state)
{
	const struct option *o;

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		if (o->env != NULL)
			(void)unsetenv(o->env);
	}
	(void)unsetenv("PGDATA");
	return 0;
}

static void
write_file(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* Load with these options, "name", "value", ..., NULL. */
static int
load(struct config *cfg, struct err *err, unsigned command, const char *file,
    ...)
{
	struct config_given given[16];
	struct config_sources sources = { .default_file = file,
		.command = command, .given = given };
	const char *name;
	va_list ap;

	va_start(ap, file);
	while ((name = va_arg(ap, const char *)) != NULL) {
		given[sources.n_given].option = option_find(name,
		    strlen(name), COMMAND_ANY);
		assert_non_null(given[sources.n_given].option);
		given[sources.n_given++].value = va_arg(ap, const char *);
	}
	va_end(ap);
	err_clear(err);
	config_init(cfg);
	return config_load(cfg, &sources, err);
}

#define NO_FILE "/nonexistent/dapk-backup.conf"

static void
it_works_with_no_file_at_all(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	(void)setenv("PGDATA", "/data/from/pgdata", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, NULL), 0);
	assert_null(cfg.config_file);
	assert_string_equal(cfg.cluster, "main");
	assert_false(cfg.cluster_given);
	assert_string_equal(cfg.pgdata, "/data/from/pgdata");
	assert_null(cfg.conninfo);
	assert_string_equal(cfg.repo.url,
	    "file:///var/lib/dapk-backup");
	assert_string_equal(cfg.state_directory,
	    "/var/lib/dapk-backup-state");
	assert_in_range(cfg.jobs, 1, 8);
	assert_int_equal(cfg.compress_level, 3);
	assert_int_equal(cfg.wal_compress_level, 1);
	assert_true(cfg.wal_header_check);
	assert_string_equal(cfg.timeline, "latest");
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_REPOSITORY", "/srv/elsewhere", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///srv/elsewhere");
	config_free(&cfg);
}

static void
default_is_below_file_below_environment_below_command_line(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, NULL), 0);
	assert_int_equal(cfg.compress_level, 3);
	config_free(&cfg);
	write_file("[global]\ncompress-level = 4\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.config_file, path);
	assert_int_equal(cfg.compress_level, 4);
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_COMPRESS_LEVEL", "5", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_int_equal(cfg.compress_level, 5);
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path,
	    "compress-level", "6", "compress-level", "7", NULL), 0);
	assert_int_equal(cfg.compress_level, 7);
	config_free(&cfg);
}

static void
every_key_of_the_file_has_its_effect(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("# comment\n"
	    "[global]\n"
	    "  jobs = 3\n"
	    "compress-level=9\n"
	    "wal-compress-level = 2\n"
	    "max-rate = 50MB\n"
	    "checkpoint = spread\n"
	    "archive-timeout = 7min\n"
	    "wal-header-check = no\n"
	    "prefetch = 0\n"
	    "state-directory = /st\n"
	    "verbose = yes\n"
	    "quiet = no\n"
	    "log-format = json\n"
	    "progress = never\n"
	    "\n"
	    "[cluster main]\n"
	    "pgdata = /pg/15\n"
	    "conninfo = host=/run user=postgres   ; by peer\n"
	    "repositories = local\n"
	    "[repository other]\n"
	    "url = /other\n"
	    "[repository local]\n"
	    "url = file:///repo\n"
	    "id = 00112233445566778899AABBCCDDEEFF\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_int_equal(cfg.jobs, 3);
	assert_int_equal(cfg.compress_level, 9);
	assert_int_equal(cfg.wal_compress_level, 2);
	assert_int_equal(cfg.max_rate, 50 << 20);
	assert_int_equal(cfg.checkpoint, CHECKPOINT_SPREAD);
	assert_int_equal(cfg.archive_timeout_ms, 420000);
	assert_false(cfg.wal_header_check);
	assert_int_equal(cfg.prefetch, 0);
	assert_string_equal(cfg.state_directory, "/st");
	assert_true(cfg.verbose);
	assert_int_equal(cfg.log_format, 1);
	assert_int_equal(cfg.progress, PROGRESS_NEVER);
	assert_string_equal(cfg.pgdata, "/pg/15");
	assert_string_equal(cfg.conninfo, "host=/run user=postgres");
	assert_string_equal(cfg.repo.name, "local");
	assert_string_equal(cfg.repo.url, "file:///repo");
	assert_string_equal(cfg.repo.id,
	    "00112233445566778899aabbccddeeff");
	config_free(&cfg);
}

/* The file must be refused with "FILE:LINE: " and this text (and hint). */
static void
refused(const char *text, unsigned line, const char *message,
    const char *hint)
{
	struct config cfg;
	struct err err = ERR_INIT;
	char *place = xasprintf("%s:%u: ", path, line);

	write_file(text, 0600);
	if (load(&cfg, &err, COMMAND_BACKUP, path, NULL) == 0)
		fail_msg("accepted: %s", text);
	config_free(&cfg);
	assert_int_equal(err.code, ERR_CONFIG);
	if (strstr(err.msg, place) == NULL ||
	    strstr(err.msg, message) == NULL)
		fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.msg, place,
		    message);
	if (hint != NULL && strstr(err.hint, hint) == NULL)
		fail_msg("hint \"%s\" lacks \"%s\"", err.hint, hint);
	free(place);
}

static void
mistakes_in_the_file_name_file_and_line_and_suggest(void **state)
{
	char line[400], *text;

	(void)state;
	refused("[global]\njosb = 3\n", 2, "unknown key josb", "jobs");
	refused("\n\n[globl]\n", 3, "unknown section [globl]", "[global]");
	refused("[clutser main]\n", 1, "unknown section", "[cluster NAME]");
	refused("[frob]\n", 1, "unknown section", "[repository NAME]");
	refused("jobs = 3\n", 1, "before the first section", NULL);
	refused("[global]\njobs = 3\n\njobs = 4\n", 4, "in line 2", NULL);
	refused("[cluster a]\n[cluster a]\n", 2, "in line 1", NULL);
	refused("[global]\njobs\n", 2, "KEY = VALUE", NULL);
	refused("[global]\njobs =\n", 2, "has no value", NULL);
	refused("[global]\njobs = 65\n", 2, "from 1 to 64", NULL);
	refused("[global]\ncompress-level = 20\n", 2, "from 1 to 19", NULL);
	refused("[global]\npgdata = /x\n", 2, "does not belong",
	    "[cluster NAME]");
	refused("[cluster x]\njobs = 3\n", 2, "does not belong", "[global]");
	refused("[cluster]\n", 1, "name is missing", NULL);
	refused("[cluster a/b]\n", 1, "must be a name", NULL);
	refused("[global x]\n", 1, "takes no name", NULL);
	refused("[global\n", 1, "must be [global]", NULL);
	refused("[repository r]\nurl = ftp://b/p\n", 2, "ftp is not known",
	    NULL);
	refused("[repository r]\nretian = 30d\n", 2, "unknown key retian",
	    NULL);
	refused("[repository r]\nid = 12\nurl = /x\n", 2, "32 hex", NULL);
	refused("[repository r]\n", 1, "has no url", NULL);
	/* also of clusters that are not used now */
	refused("[cluster main]\n[cluster other]\npgdata = relative\n", 3,
	    "absolute", NULL);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	text = xasprintf("[global]\n\n[cluster x]\nconninfo = %s\n", line);
	refused(text, 4, "longest that can be read", "service=");
	free(text);
	/* a long comment is fine, a long section name too */
	text = xasprintf("# %s\n[cluster %.63s]\n[global]\njosb = 1\n", line,
	    line);
	refused(text, 4, "unknown key josb", NULL);
	free(text);
}

static void
the_last_line_needs_no_line_feed_and_crlf_is_fine(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("\xef\xbb\xbf[global]\r\njobs = 5\r\nmax-rate = 1MB",
	    0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_int_equal(cfg.jobs, 5);
	assert_int_equal(cfg.max_rate, 1 << 20);
	config_free(&cfg);
	refused("[global]\njosb = 5", 2, "unknown key josb", "jobs");
	refused("[global]\njobs", 2, "KEY = VALUE", NULL);
}

static void
a_file_that_was_asked_for_must_be_there(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, "config",
	    "/nonexistent/x.conf", NULL), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.msg, "/nonexistent/x.conf"));
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_CONFIG", "/nonexistent/y.conf", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, NULL), -1);
	assert_non_null(strstr(err.msg, "/nonexistent/y.conf"));
	config_free(&cfg);
}

static void
the_cluster_is_named_or_main_or_the_only_one(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("[cluster reports]\npgdata = /r\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.cluster, "reports");
	assert_string_equal(cfg.pgdata, "/r");
	config_free(&cfg);
	write_file("[cluster reports]\npgdata = /r\n[cluster main]\n"
	    "pgdata = /m\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.pgdata, "/m");
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "cluster",
	    "reports", NULL), 0);
	assert_string_equal(cfg.pgdata, "/r");
	assert_true(cfg.cluster_given);
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "cluster",
	    "report", NULL), -1);
	assert_non_null(strstr(err.msg, "[cluster report]"));
	assert_non_null(strstr(err.hint, "reports, main"));
	config_free(&cfg);
	write_file("[cluster a]\n[cluster b]\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_non_null(strstr(err.hint, "a, b"));
	config_free(&cfg);
}

static void
pgdata_of_the_environment_does_not_beat_the_cluster_in_the_file(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	(void)setenv("PGDATA", "/of/another/cluster", 1);
	write_file("[cluster main]\npgdata = /m\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.pgdata, "/m");
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_PGDATA", "/meant", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.pgdata, "/meant");
	config_free(&cfg);
}

static void
the_repository_is_chosen_by_the_highest_source(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("[cluster main]\nrepositories = a\n[repository a]\n"
	    "url = /a\nid = 00112233445566778899aabbccddeeff\n"
	    "[repository b]\nurl = /b\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///a");
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_REPOSITORY", "/env", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///env");
	/* the id belongs to [repository a], not to this place */
	assert_null(cfg.repo.id);
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "repository",
	    "b", NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///b");
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path,
	    "repository-url", "/c", NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///c");
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path,
	    "repository-url", "/c", "repository", "b", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path,
	    "repository", "zz", NULL), -1);
	assert_non_null(strstr(err.hint, "a, b"));
	config_free(&cfg);
}

static void
several_repositories_need_a_choice(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("[repository a]\nurl = /a\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.repo.url, "file:///a");
	config_free(&cfg);
	write_file("[repository a]\nurl = /a\n[repository b]\nurl = /b\n",
	    0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_non_null(strstr(err.hint, "--repository"));
	config_free(&cfg);
}

/* [cluster main] with a near and a far repository. */
static const char two[] = "[cluster main]\nrepositories = near, far\n"
    "push-success = any\n"
    "[repository far]\nurl = s3://bucket/p\nendpoint = https://h:1\n"
    "region = r1\naccess-key-id = AK\nsecret-access-key = SK\n"
    "path-style = yes\ntimeout = 5s\nobject-lock-days = 7\n"
    "[repository near]\nurl = /near\n";

static void
a_cluster_may_have_several_repositories(void **state)
{
	const struct config_repository *far;
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file(two, 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.repo.name, "near");
	assert_string_equal(cfg.repo.url, "file:///near");
	assert_int_equal(cfg.repo.timeout_ms, 120000);
	assert_null(cfg.repo.endpoint);
	assert_int_equal(cfg.push_success, PUSH_ANY);
	assert_int_equal(cfg.n_others, 1);
	assert_ptr_equal(config_repository(&cfg, 0), &cfg.repo);
	far = config_repository(&cfg, 1);
	assert_string_equal(far->name, "far");
	assert_string_equal(far->url, "s3://bucket/p");
	assert_string_equal(far->endpoint, "https://h:1");
	assert_string_equal(far->region, "r1");
	assert_string_equal(far->secret_access_key, "SK");
	assert_int_equal(far->path_style, PATH_STYLE_YES);
	assert_int_equal(far->timeout_ms, 5000);
	assert_int_equal(far->object_lock_days, 7);
	assert_null(config_repository(&cfg, 2));
	config_free(&cfg);
	/* one that is named counts alone */
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "repository",
	    "far", "region", "r2", NULL), 0);
	assert_string_equal(cfg.repo.name, "far");
	assert_string_equal(cfg.repo.region, "r2");
	assert_string_equal(cfg.repo.endpoint, "https://h:1");
	assert_int_equal(cfg.n_others, 0);
	config_free(&cfg);
}

static void
what_is_said_of_one_of_several_repositories_must_say_which(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file(two, 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "region",
	    "r2", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_non_null(strstr(err.hint, "--repository NAME"));
	config_free(&cfg);
	err_clear(&err);
	(void)setenv("DAPK_BACKUP_REGION", "r2", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	(void)unsetenv("DAPK_BACKUP_REGION");
	config_free(&cfg);
	err_clear(&err);
	/* init makes all of them */
	assert_int_equal(load(&cfg, &err, COMMAND_INIT, path, "repository",
	    "far", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	config_free(&cfg);
	err_clear(&err);
	/* a secret key needs a private file */
	write_file(two, 0644);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_non_null(strstr(err.msg, "secret"));
	assert_null(strstr(err.msg, "SK"));
	config_free(&cfg);
	err_clear(&err);
	write_file("[cluster main]\nrepositories = a, a\n[repository a]\n"
	    "url = /a\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_non_null(strstr(err.msg, "twice"));
	config_free(&cfg);
}

static void
errors_say_where_the_value_came_from(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, "jobs",
	    "0", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_memory_equal(err.msg, "--jobs=0: ", 10);
	config_free(&cfg);
	(void)setenv("DAPK_BACKUP_JOBS", "many", 1);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, NULL), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_memory_equal(err.msg, "DAPK_BACKUP_JOBS=many: ", 23);
	config_free(&cfg);
}

static void
passwords_are_masked_in_every_form(void **state)
{
	static const char *const cases[][2] = {
		{ "host=a user=b", "host=a user=b" },
		{ "host=a password=geheim user=b",
		    "host=a password=*** user=b" },
		{ "password = 'ge h\\'eim' port=1", "password=*** port=1" },
		{ "sslpassword=x", "sslpassword=***" },
		{ "password=ge\\ heim host=a", "password=*** host=a" },
		{ "postgresql://u:geheim@h:1/d", "postgresql://u:***@h:1/d" },
		{ "postgres://u:g@h@x/d", "postgres://u:***@x/d" },
		{ "postgresql://h/d?user=u&password=geheim&port=1",
		    "postgresql://h/d?user=u&password=***&port=1" },
		{ "postgresql://h?password=geheim",
		    "postgresql://h?password=***" },
		{ "postgresql://u:ge/heim@h/d", "postgresql://u:***@h/d" },
		{ "geheim", "***" },
		{ "host=a geheim", "***" },
	};
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&b);
		config_mask_conninfo(cases[i][0], &b);
		assert_string_equal(buf_str(&b), cases[i][1]);
		assert_null(strstr(buf_str(&b), "heim"));
		assert_int_equal(config_conninfo_has_secret(cases[i][0]),
		    strstr(cases[i][1], "***") != NULL);
	}
	buf_free(&b);
}

static void
a_password_on_the_command_line_is_refused_and_not_shown(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE,
	    "conninfo", "host=a password=geheim", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_null(strstr(err.msg, "geheim"));
	config_free(&cfg);
}

static void
a_file_with_a_password_must_be_private(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	write_file("[cluster main]\nconninfo = password=geheim\n", 0644);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.msg, ":2: "));
	assert_null(strstr(err.msg, "geheim"));
	assert_non_null(strstr(err.hint, "chmod"));
	config_free(&cfg);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	assert_string_equal(cfg.conninfo, "password=geheim");
	config_free(&cfg);
	/* a group's file when root owns it, and only then */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL),
	    st.st_uid == 0 ? 0 : -1);
	config_free(&cfg);
	write_file("[cluster main]\nconninfo = host=a\n", 0644);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, NULL), 0);
	config_free(&cfg);
}

static void
host_port_and_user_are_put_over_the_connection_string(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	write_file("[cluster main]\nconninfo = host=a dbname=d\n", 0600);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "host",
	    "it's", "port", "5433", "username", "u", NULL), 0);
	assert_string_equal(cfg.conninfo,
	    "host=a dbname=d host='it\\'s' port='5433' user='u'");
	config_free(&cfg);
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, path, "conninfo",
	    "postgresql://h/d", "host", "b", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	config_free(&cfg);
	/* restore's port is the restored server's */
	assert_int_equal(load(&cfg, &err, COMMAND_RESTORE, path, "directory",
	    "/d", "port", "5433", NULL), 0);
	assert_string_equal(cfg.conninfo, "host=a dbname=d");
	assert_int_equal(cfg.port, 5433);
	config_free(&cfg);
}

static void
quiet_and_verbose_exclude_each_other(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&cfg, &err, COMMAND_BACKUP, NO_FILE, "quiet",
	    "yes", "verbose", "yes", NULL), -1);
	assert_int_equal(err.code, ERR_USAGE);
	config_free(&cfg);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, clean_environment, NULL)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_works_with_no_file_at_all),
		TEST(default_is_below_file_below_environment_below_command_line),
		TEST(every_key_of_the_file_has_its_effect),
		TEST(mistakes_in_the_file_name_file_and_line_and_suggest),
		TEST(the_last_line_needs_no_line_feed_and_crlf_is_fine),
		TEST(a_file_that_was_asked_for_must_be_there),
		TEST(the_cluster_is_named_or_main_or_the_only_one),
		TEST(
		    pgdata_of_the_environment_does_not_beat_the_cluster_in_the_file),
		TEST(the_repository_is_chosen_by_the_highest_source),
		TEST(several_repositories_need_a_choice),
		TEST(a_cluster_may_have_several_repositories),
		TEST(
		    what_is_said_of_one_of_several_repositories_must_say_which),
		TEST(errors_say_where_the_value_came_from),
		TEST(passwords_are_masked_in_every_form),
		TEST(a_password_on_the_command_line_is_refused_and_not_shown),
		TEST(a_file_with_a_password_must_be_private),
		TEST(host_port_and_user_are_put_over_the_connection_string),
		TEST(quiet_and_verbose_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
