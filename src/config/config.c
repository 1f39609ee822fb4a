/* SPDX-License-Identifier: PostgreSQL */
#include <config.h>

/*
 * Which value counts. The file may describe several clusters and
 * repositories, so cluster and repository are chosen first, then values are
 * put over each other: defaults, PGDATA, the file's sections, environment,
 * command line.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"
#include "config/option.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

extern char **environ;

static bool
is_text(const struct option *opt)
{
	switch (opt->type) {
	case OPTION_TEXT:
	case OPTION_PATH:
	case OPTION_NAME:
	case OPTION_URL:
	case OPTION_ID:
	case OPTION_CONNINFO:
	case OPTION_SECRET:
	case OPTION_TIMELINE:
		return true;
	case OPTION_META:
	case OPTION_BOOL:
	case OPTION_UNSIGNED:
	case OPTION_INT:
	case OPTION_JOBS:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_CHOICE:
	case OPTION_TARGET: /* all share target_value, freed by itself */
	case OPTION_TARGET_WORD:
	case OPTION_MAP:
	case OPTION_PASS: /* all share the list of what is handed on */
	case OPTION_PASS_FLAG:
		return false;
	}
	return false;
}

void
config_init(struct config *cfg)
{
	const struct option *o;
	struct err err = ERR_INIT;

	memset(cfg, 0, sizeof(*cfg));
	for (o = option_table; o->name != NULL; o++) {
		if (o->default_value != NULL &&
		    option_set(cfg, o, o->default_value, false, &err) != 0)
			abort(); /* a row of our own table is wrong */
	}
}

/* The repository's part of cfg->repo: what rows of the table put there. */
static bool
of_repository(const struct option *opt)
{
	return opt->offset >= offsetof(struct config, repo) &&
	    opt->offset < offsetof(struct config, repo) +
	    sizeof(struct config_repository);
}

/* Does it say more of the repository than which one is meant? */
static bool
says_how(const struct option *opt)
{
	return of_repository(opt) && strcmp(opt->name, "repository-id") != 0;
}

/* Free cfg->repo's texts and give it the defaults. */
static void
reset_repository(struct config *cfg, bool defaults)
{
	const struct option *o;
	struct err err = ERR_INIT;
	char **text;

	for (o = option_table; o->name != NULL; o++) {
		if (!of_repository(o) || !is_text(o))
			continue;
		text = (char **)((char *)cfg + o->offset);
		if (o->type == OPTION_SECRET && *text != NULL)
			explicit_bzero(*text, strlen(*text));
		free(*text);
	}
	memset(&cfg->repo, 0, sizeof(cfg->repo));
	for (o = option_table; defaults && o->name != NULL; o++) {
		if (of_repository(o) && o->default_value != NULL &&
		    option_set(cfg, o, o->default_value, false, &err) != 0)
			abort(); /* a row of our own table is wrong */
	}
}

const struct config_repository *
config_repository(const struct config *cfg, unsigned i)
{
	if (i == 0)
		return &cfg->repo;
	return i <= cfg->n_others ? &cfg->others[i - 1] : NULL;
}

void
config_free(struct config *cfg)
{
	const struct option *o;
	unsigned i;

	reset_repository(cfg, false);
	for (i = 0; i < cfg->n_others; i++) {
		cfg->repo = cfg->others[i];
		reset_repository(cfg, false);
	}
	free(cfg->others);

	for (o = option_table; o->name != NULL; o++) {
		if (is_text(o)) {
			free(*(char **)((char *)cfg + o->offset));
			*(char **)((char *)cfg + o->offset) = NULL;
		}
	}
	for (i = 0; i < cfg->n_more_clusters; i++)
		free(cfg->more_clusters[i]);
	free(cfg->more_clusters);
	free(cfg->target_value);
	for (i = 0; i < cfg->n_tablespace_maps; i++) {
		free(cfg->tablespace_maps[i].from);
		free(cfg->tablespace_maps[i].to);
	}
	free(cfg->tablespace_maps);
	for (i = 0; i < cfg->n_passed; i++)
		free(cfg->passed[i].value);
	free(cfg->passed);
	memset(cfg, 0, sizeof(*cfg));
}

/* The last value given on the command line, or NULL. */
static const char *
given_value(const struct config_sources *sources, const char *name)
{
	size_t i = sources->n_given;

	while (i-- > 0) {
		if (strcmp(sources->given[i].option->name, name) == 0)
			return sources->given[i].value;
	}
	return NULL;
}

/* An empty variable counts as not set, as in most programs. */
static const char *
env_value(const struct option *opt)
{
	const char *v = opt->env == NULL ? NULL : getenv(opt->env);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

static const struct option *
row(const char *name)
{
	return option_find(name, strlen(name), COMMAND_ANY);
}

/* option_set() with the place before its message; secrets masked. */
static int
set_from(struct config *cfg, const struct option *opt, const char *value,
    const char *place, enum err_code code, struct err *err)
{
	struct buf shown;

	if (option_set(cfg, opt, value, false, err) == 0)
		return 0;
	if (err->code != ERR_BUG)
		err->code = code;
	buf_init(&shown, 1 << 16);
	if (opt->type == OPTION_CONNINFO)
		config_mask_conninfo(value, &shown);
	else if (opt->type == OPTION_URL && strchr(value, '@') != NULL)
		buf_add_str(&shown, "..."); /* there may be a password */
	else
		buf_add_str(&shown, value);
	(void)err_wrap(err, "%s%s=%.200s", place[0] == '-' ? "--" : "",
	    place[0] == '-' ? opt->name : place, buf_str(&shown));
	buf_free(&shown);
	return -1;
}

static int
set_given(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	if (opt->type == OPTION_CONNINFO && config_conninfo_has_secret(value)) {
		(void)err_set(err, ERR_USAGE, "--%s holds a password (or "
		    "cannot be read), and everybody on this machine can see "
		    "a command line", opt->name);
		return err_hint(err, "put the password into ~/.pgpass, "
		    "PGPASSWORD or a configuration file with mode 0600");
	}
	return set_from(cfg, opt, value, "-", ERR_USAGE, err);
}

/* The chosen configuration file, or NULL (none there and none asked for). */
static int
find_file(const struct config_sources *sources, struct config *cfg,
    struct err *err)
{
	const struct option *opt = row("config");
	const char *path = given_value(sources, "config");
	bool exists;

	if (path != NULL)
		return set_given(cfg, opt, path, err);
	path = env_value(opt);
	if (path != NULL)
		return set_from(cfg, opt, path, opt->env, ERR_CONFIG, err);
	path = sources->default_file != NULL ? sources->default_file :
					       CONFIG_FILE_DEFAULT;
	if (io_exists(path, &exists, err) != 0) {
		err->code = ERR_CONFIG;
		return err_wrap(err, "configuration file");
	}
	if (exists)
		cfg->config_file = xstrdup(path);
	return 0;
}

static void
list_sections(const struct config_file *f, enum option_section kind,
    struct buf *out)
{
	size_t i;

	for (i = 0; i < f->n_sections; i++) {
		if (f->sections[i].kind != kind)
			continue;
		buf_printf(out, "%s%s", out->len > 0 ? ", " : "",
		    f->sections[i].name);
	}
}

/* No section of this name: say which there are. */
static int
no_section(const struct config_file *f, enum option_section kind,
    const char *name, struct err *err)
{
	const char *word = kind == SECTION_CLUSTER ? "cluster" : "repository";
	struct buf names;

	buf_init(&names, ERR_HINT_MAX / 2);
	list_sections(f, kind, &names);
	(void)err_set(err, ERR_CONFIG, "%s: there is no section [%s %s]",
	    f->path, word, name);
	if (names.len > 0)
		(void)err_hint(err, "the file has: %s", buf_str(&names));
	else
		(void)err_hint(err, "add [%s %s] to it", word, name);
	buf_free(&names);
	return -1;
}

/*
 * The cluster: named on the command line or by the environment, else "main",
 * else the only one of the file.
 */
static int
choose_cluster(const struct config_sources *sources,
    const struct config_file *f, struct config *cfg, struct err *err)
{
	const struct option *opt = row("cluster");
	const char *given = given_value(sources, "cluster");
	const char *env = env_value(opt);
	size_t n = config_file_count(f, SECTION_CLUSTER), i;
	struct buf names;

	if (given != NULL && set_given(cfg, opt, given, err) != 0)
		return -1;
	if (given == NULL && env != NULL &&
	    set_from(cfg, opt, env, opt->env, ERR_CONFIG, err) != 0)
		return -1;
	cfg->cluster_given = given != NULL || env != NULL;
	if (n == 0 ||
	    config_file_section(f, SECTION_CLUSTER, cfg->cluster) != NULL)
		return 0;
	if (cfg->cluster_given)
		return no_section(f, SECTION_CLUSTER, cfg->cluster, err);
	if (n > 1 && sources->command != COMMAND_STATUS) {
		buf_init(&names, ERR_HINT_MAX / 2);
		list_sections(f, SECTION_CLUSTER, &names);
		(void)err_set(err, ERR_CONFIG,
		    "%s describes several clusters and none is named",
		    f->path);
		(void)err_hint(err, "add --cluster NAME, one of: %s",
		    buf_str(&names));
		buf_free(&names);
		return -1;
	}
	for (i = f->n_sections; i > 0; i--) {
		if (f->sections[i - 1].kind == SECTION_CLUSTER) {
			free(cfg->cluster);
			cfg->cluster = xstrdup(f->sections[i - 1].name);
		}
	}
	return 0;
}

/* status shows every cluster of the file when none is named. */
static void
list_more_clusters(const struct config_sources *sources,
    const struct config_file *f, struct config *cfg)
{
	size_t i;

	if (sources->command != COMMAND_STATUS || cfg->cluster_given)
		return;
	cfg->more_clusters = xcalloc(f->n_sections + 1,
	    sizeof(*cfg->more_clusters));
	for (i = 0; i < f->n_sections; i++)
		if (f->sections[i].kind == SECTION_CLUSTER &&
		    strcmp(f->sections[i].name, cfg->cluster) != 0)
			cfg->more_clusters[cfg->n_more_clusters++] =
			    xstrdup(f->sections[i].name);
}

/* The file's entries of one section; the repository is chosen elsewhere. */
static int
apply_section(const struct config_file *f,
    const struct config_section *section, struct config *cfg, struct err *err)
{
	size_t i;
	const struct config_entry *e;

	for (i = 0; section != NULL && i < f->n_entries; i++) {
		e = &f->entries[i];
		if (&f->sections[e->section] != section ||
		    strcmp(e->option->name, "repository") == 0)
			continue;
		if (option_set(cfg, e->option, e->value, true, err) != 0)
			return err_wrap(err, "%s:%u: %s", f->path, e->line,
			    option_key(e->option));
	}
	return 0;
}

/* Fill cfg->repo from the section that `name` has in the file. */
static int
use_repository(const struct config_file *f, const char *name,
    struct config *cfg, struct err *err)
{
	const struct config_section *section = config_file_section(f,
	    SECTION_REPOSITORY, name);

	if (section == NULL && cfg->config_file == NULL)
		return err_set(err, ERR_CONFIG, "repository %s: there is no "
		    "configuration file that describes it; a path or URL is "
		    "given with --repository-url", name);
	if (section == NULL)
		return no_section(f, SECTION_REPOSITORY, name, err);
	if (config_file_entry(f, section, "repository-url") == NULL)
		return err_set(err, ERR_CONFIG,
		    "%s:%u: [repository %s] has no url", f->path,
		    section->line, section->name);
	reset_repository(cfg, true);
	cfg->repo.name = xstrdup(name);
	return apply_section(f, section, cfg, err);
}

/* One name of `repositories`: the first, or one more of the others. */
static int
listed_repository(const struct config_file *f, const struct config_entry *e,
    const char *name, bool first, struct config *cfg, struct err *err)
{
	struct config_repository mine = cfg->repo;
	struct config_repository *others;
	unsigned i;
	int ret;

	for (i = 0; !first && config_repository(cfg, i) != NULL; i++) {
		if (strcmp(config_repository(cfg, i)->name, name) == 0)
			return err_set(err, ERR_CONFIG, "%s:%u: repositories "
			    "names %s twice", f->path, e->line, name);
	}
	if (first) {
		if (option_set(cfg, e->option, name, true, err) != 0)
			return err_wrap(err, "%s:%u: repositories", f->path,
			    e->line);
	} else
		memset(&cfg->repo, 0, sizeof(cfg->repo));
	ret = use_repository(f, name, cfg, err);
	if (ret != 0 && config_file_section(f, SECTION_REPOSITORY, name) ==
	    NULL)
		(void)err_wrap(err, "line %u, repositories = %s", e->line,
		    e->value);
	if (first)
		return ret;
	others = xreallocarray(cfg->others, cfg->n_others + 1,
	    sizeof(*others));
	others[cfg->n_others] = cfg->repo;
	cfg->others = others;
	cfg->n_others++;
	cfg->repo = mine;
	return ret;
}

/* The names of `repositories`, in the order of their nearness. */
static int
listed_repositories(const struct config_file *f, const struct config_entry *e,
    struct config *cfg, struct err *err)
{
	char *names = xstrdup(e->value), *save = NULL, *name;
	bool first = true;
	int ret = 0;

	for (name = strtok_r(names, ", \t", &save); name != NULL && ret == 0;
	    name = strtok_r(NULL, ", \t", &save)) {
		ret = listed_repository(f, e, name, first, cfg, err);
		first = false;
	}
	free(names);
	if (first)
		return err_set(err, ERR_CONFIG, "%s:%u: repositories names "
		    "none", f->path, e->line);
	return ret;
}

/* From the file alone: what the cluster lists, else the only one there is. */
static int
repository_of_file(const struct config_file *f, struct config *cfg,
    struct err *err)
{
	const struct config_section *cluster = config_file_section(f,
	    SECTION_CLUSTER, cfg->cluster);
	const struct config_entry *e = cluster == NULL ? NULL :
	    config_file_entry(f, cluster, "repository");
	size_t n = config_file_count(f, SECTION_REPOSITORY), i;

	if (e != NULL)
		return listed_repositories(f, e, cfg, err);
	if (n == 0)
		return 0; /* the default URL */
	if (n > 1) {
		(void)err_set(err, ERR_CONFIG, "%s describes several "
		    "repositories and [cluster %s] names none", f->path,
		    cfg->cluster);
		return err_hint(err, "add \"repositories = NAME, NAME\" below "
		    "[cluster %s], the nearest first, or --repository NAME",
		    cfg->cluster);
	}
	for (i = 0; i < f->n_sections; i++) {
		if (f->sections[i].kind == SECTION_REPOSITORY)
			return use_repository(f, f->sections[i].name, cfg,
			    err);
	}
	return 0;
}

/* The one that is named counts alone. */
static int
named_repository(const struct config_file *f, struct config *cfg,
    struct err *err)
{
	char *name = xstrdup(cfg->repo.name);
	int ret = use_repository(f, name, cfg, err);

	free(name);
	return ret;
}

/* init makes all of a cluster's repositories, as copies of the first. */
static int
check_init(const struct config_sources *sources, const struct config_file *f,
    const struct config *cfg, struct err *err)
{
	const struct config_section *cluster = config_file_section(f,
	    SECTION_CLUSTER, cfg->cluster);
	const struct config_entry *e = cluster == NULL ? NULL :
	    config_file_entry(f, cluster, "repository");

	if (sources->command != COMMAND_INIT || e == NULL ||
	    strpbrk(e->value, ", \t") == NULL)
		return 0;
	(void)err_set(err, ERR_USAGE, "--repository: init makes all "
	    "repositories of a cluster, the others as copies of the first, "
	    "and leaves those that are there");
	return err_hint(err, "leave --repository out");
}

static int
choose_repository(const struct config_sources *sources,
    const struct config_file *f, struct config *cfg, struct err *err)
{
	const struct option *name_row = row("repository");
	const struct option *url_row = row("repository-url");
	const char *name = given_value(sources, "repository");
	const char *url = given_value(sources, "repository-url");

	if (name != NULL && url != NULL)
		return err_set(err, ERR_USAGE, "--repository and "
		    "--repository-url say the same thing: give one");
	if (url != NULL)
		return set_given(cfg, url_row, url, err);
	if (name != NULL) {
		if (check_init(sources, f, cfg, err) != 0 ||
		    set_given(cfg, name_row, name, err) != 0)
			return -1;
		return named_repository(f, cfg, err);
	}
	name = env_value(name_row);
	url = env_value(url_row);
	if (name != NULL && url != NULL)
		return err_set(err, ERR_CONFIG, "%s and %s say the same "
		    "thing: set one", name_row->env, url_row->env);
	if (url != NULL)
		return set_from(cfg, url_row, url, url_row->env, ERR_CONFIG,
		    err);
	if (name != NULL) {
		if (set_from(cfg, name_row, name, name_row->env, ERR_CONFIG,
		    err) != 0)
			return -1;
		return named_repository(f, cfg, err);
	}
	return repository_of_file(f, cfg, err);
}

/* Chosen before the rest. */
static bool
chosen_apart(const struct option *opt)
{
	return strcmp(opt->name, "config") == 0 ||
	    strcmp(opt->name, "cluster") == 0 ||
	    strcmp(opt->name, "repository") == 0 ||
	    strcmp(opt->name, "repository-url") == 0;
}

/* What is said of "the" repository must have one that is meant. */
static int
check_one_repository(const struct config *cfg, const struct option *opt,
    const char *name, enum err_code code, struct err *err)
{
	if (!of_repository(opt) || cfg->n_others == 0)
		return 0;
	(void)err_set(err, code, "%s: the cluster has several repositories, "
	    "and none is named", name);
	return err_hint(err, "add --repository NAME, or put it into the "
	    "file, below [repository NAME]");
}

static int
apply_environment(struct config *cfg, struct err *err)
{
	const struct option *o;
	const char *value;

	for (o = option_table; o->name != NULL; o++) {
		value = env_value(o);
		if (value == NULL || chosen_apart(o))
			continue;
		if (check_one_repository(cfg, o, o->env, ERR_CONFIG, err) !=
		    0 || set_from(cfg, o, value, o->env, ERR_CONFIG, err) != 0)
			return -1;
		cfg->repository_given |= says_how(o);
	}
	return 0;
}

static int
apply_given(const struct config_sources *sources, struct config *cfg,
    struct err *err)
{
	size_t i;

	for (i = 0; i < sources->n_given; i++) {
		const struct config_given *g = &sources->given[i];

		if (chosen_apart(g->option) || g->option->type == OPTION_META)
			continue;
		if (check_one_repository(cfg, g->option, g->option->name,
		    ERR_USAGE, err) != 0 ||
		    set_given(cfg, g->option, g->value, err) != 0)
			return -1;
		cfg->repository_given |= says_how(g->option);
	}
	cfg->pgdata_given = given_value(sources, "pgdata") != NULL;
	return 0;
}

/* A file that holds a password must not be readable by everybody. */
static int
check_file_mode(const struct config_file *f, struct err *err)
{
	struct stat st;
	size_t i;
	mode_t too_much;

	for (i = 0; i < f->n_entries; i++) {
		if (strcmp(f->entries[i].option->name, "secret-access-key") !=
		    0 && (f->entries[i].option->type != OPTION_CONNINFO ||
		    !config_conninfo_has_secret(f->entries[i].value)))
			continue;
		if (stat(f->path, &st) != 0)
			continue; /* it was read a moment ago */
		/* root's file for a group: as PostgreSQL allows its key. */
		too_much = st.st_uid == 0 ? 0037 : 0077;
		if ((st.st_mode & too_much) == 0)
			continue;
		(void)err_set(err, ERR_CONFIG, "%s:%u: there is a secret, "
		    "and the file's mode is %04o: others can read it",
		    f->path, f->entries[i].line,
		    (unsigned)(st.st_mode & 07777));
		return err_hint(err, "chmod 0%s %s", st.st_uid == 0 ? "640" :
		    "600", f->path);
	}
	return 0;
}

/* Append keyword='value' with what libpq wants escaped. */
static void
add_keyword(struct buf *b, const char *keyword, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, "%s%s='", b->len > 0 ? " " : "", keyword);
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_byte(b, '\\');
		buf_add_byte(b, (uint8_t)*value);
	}
	buf_add_byte(b, '\'');
}

/* Host, port and username of the command line become part of conninfo. */
static int
complete_conninfo(const struct config_sources *sources, struct config *cfg,
    struct err *err)
{
	const char *port = given_value(sources, "port");
	struct buf b;
	int ret = -1;

	/* -p of restore is the restored server's */
	if (sources->command == COMMAND_RESTORE)
		return 0;
	if (cfg->host == NULL && cfg->username == NULL && port == NULL)
		return 0;
	if (cfg->conninfo != NULL && strstr(cfg->conninfo, "://") != NULL)
		return err_set(err, ERR_USAGE, "--host, --port and --username "
		    "cannot be put over a connection URI: change the URI");
	buf_init(&b, 1 << 16);
	if (cfg->conninfo != NULL)
		buf_add_str(&b, cfg->conninfo);
	/* What comes last counts. */
	add_keyword(&b, "host", cfg->host);
	add_keyword(&b, "port", port);
	add_keyword(&b, "user", cfg->username);
	if (buf_check(&b, "conninfo", err) == 0) {
		free(cfg->conninfo);
		cfg->conninfo = xstrdup(buf_str(&b));
		ret = 0;
	}
	buf_free(&b);
	return ret;
}

/* What a repository's keys are remembered in. */
static void
lend_state_directory(struct config *cfg)
{
	unsigned i;

	cfg->repo.state_directory = cfg->state_directory;
	for (i = 0; i < cfg->n_others; i++)
		cfg->others[i].state_directory = cfg->state_directory;
}

int
config_load(struct config *cfg, const struct config_sources *sources,
    struct err *err)
{
	struct config_file f = { 0 };
	const char *pgdata = getenv("PGDATA");
	int ret = -1;

	if (find_file(sources, cfg, err) != 0)
		return -1;
	if (cfg->config_file != NULL &&
	    config_file_read(&f, cfg->config_file, err) != 0)
		return -1;
	if (check_file_mode(&f, err) != 0)
		goto out;
	if (choose_cluster(sources, &f, cfg, err) != 0)
		goto out;
	list_more_clusters(sources, &f, cfg);
	if (pgdata != NULL && pgdata[0] != '\0' && set_from(cfg,
	    row("pgdata"), pgdata, "PGDATA", ERR_CONFIG, err) != 0)
		goto out;
	if (apply_section(&f, config_file_section(&f, SECTION_GLOBAL, NULL),
	    cfg, err) != 0 || apply_section(&f, config_file_section(&f,
	    SECTION_CLUSTER, cfg->cluster), cfg, err) != 0)
		goto out;
	if (choose_repository(sources, &f, cfg, err) != 0 ||
	    apply_environment(cfg, err) != 0 ||
	    apply_given(sources, cfg, err) != 0 ||
	    complete_conninfo(sources, cfg, err) != 0)
		goto out;
	if (cfg->quiet && cfg->verbose) {
		(void)err_set(err, ERR_USAGE,
		    "quiet and verbose exclude each other");
		goto out;
	}
	lend_state_directory(cfg);
	ret = 0;
out:
	config_file_free(&f);
	return ret;
}

void
config_warn_environment(void)
{
	static const char prefix[] = "DAPK_BACKUP_";
	const char *names[64], *near;
	const struct option *o;
	size_t n = 0;
	char **e;
	char name[128];

	for (e = environ; *e != NULL; e++) {
		if (strncmp(*e, prefix, sizeof(prefix) - 1) != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%.*s",
		    (int)strcspn(*e, "="), *e);
		/* Where restore --start finds PostgreSQL: not an option. */
		if (option_find_env(name) != NULL ||
		    strcmp(name, "DAPK_BACKUP_PGBIN") == 0 ||
		    strcmp(name, CONFIG_PASSPHRASE_ENV) == 0)
			continue;
		for (n = 0, o = option_table; o->name != NULL; o++) {
			if (o->env != NULL && n < 64)
				names[n++] = o->env;
		}
		near = option_nearest(name, names, n);
		log_warning("environment variable %s means nothing%s%s%s",
		    name, near != NULL ? "; did you mean " : "",
		    near != NULL ? near : "", near != NULL ? "?" : "");
	}
}
