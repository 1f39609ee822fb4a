/* SPDX-License-Identifier: PostgreSQL */
#include <config.h>

#include "config/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/text.h"

#define NAME_LEN_MAX 63
#define TEXT_LEN_MAX 4096
#define MAPS_MAX 10000
#define PASSED_MAX 100000

static void *
member(struct config *cfg, const struct option *opt)
{
	return (char *)cfg + opt->offset;
}

static void
store_text(struct config *cfg, const struct option *opt, char *text)
{
	char **at = member(cfg, opt);

	free(*at);
	*at = text;
}

/* An enum or int: both have the size of an int here. */
static void
store_int(struct config *cfg, const struct option *opt, int value)
{
	_Static_assert(sizeof(enum config_progress) == sizeof(int), "enum");
	memcpy(member(cfg, opt), &value, sizeof(value));
}

static int
set_bool(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	static const char *const yes[] = { "yes", "on", "true", "1" };
	static const char *const no[] = { "no", "off", "false", "0" };
	bool *at = member(cfg, opt);
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(value, yes[i]) == 0) {
			*at = true;
			return 0;
		}
		if (strcmp(value, no[i]) == 0) {
			*at = false;
			return 0;
		}
	}
	return err_set(err, ERR_CONFIG, "must be yes or no");
}

/* The text as an absolute path without a slash at its end. */
static char *
absolute(const char *value)
{
	char cwd[TEXT_LEN_MAX];
	char *path;
	size_t len;

	if (value[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		path = xstrdup(value);
	else if (strcmp(value, ".") == 0)
		path = xstrdup(cwd);
	else if (strncmp(value, "./", 2) == 0)
		path = xasprintf("%s/%s", cwd, value + 2);
	else
		path = xasprintf("%s/%s", cwd, value);
	for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	return path;
}

static int
set_path(struct config *cfg, const struct option *opt, const char *value,
    bool from_file, struct err *err)
{
	if (from_file && value[0] != '/')
		return err_set(err, ERR_CONFIG,
		    "must be an absolute path (one that begins with /)");
	store_text(cfg, opt, absolute(value));
	return 0;
}

/* s3:// and sftp://; the storage checks the rest. */
static int
set_remote_url(struct config *cfg, const struct option *opt,
    const char *value, const char *place, struct err *err)
{
	size_t host = strcspn(place, "/"), len = strlen(value);
	const char *at = memchr(place, '@', host);

	if (host == 0)
		return err_set(err, ERR_CONFIG, "must name a bucket, "
		    "s3://bucket/prefix, or a host, sftp://user@host/path");
	if (at != NULL && memchr(place, ':', (size_t)(at - place)) != NULL) {
		/* The value is shown with every message. */
		(void)err_set(err, ERR_CONFIG,
		    "must not hold a password: URLs are shown in messages");
		return err_hint(err, "put it into a file of mode 0600, "
		    "password-file, or use a key");
	}
	while (len > 0 && value[len - 1] == '/')
		len--;
	store_text(cfg, opt, xstrndup(value, len));
	return 0;
}

static int
set_url(struct config *cfg, const struct option *opt, const char *value,
    bool from_file, struct err *err)
{
	const char *scheme_end = strstr(value, "://");
	const char *path = value;
	char *made;

	if (strncmp(value, "s3://", 5) == 0 ||
	    strncmp(value, "sftp://", 7) == 0)
		return set_remote_url(cfg, opt, value, scheme_end + 3, err);
	if (scheme_end != NULL) {
		if (strncmp(value, "file://", 7) != 0)
			return err_set(err, ERR_CONFIG, "storage %.*s is not "
			    "known; must be file:///path or an absolute path, "
			    "s3://bucket/prefix or sftp://user@host:port/path",
			    (int)(scheme_end - value), value);
		path = value + 7;
		if (path[0] != '/')
			return err_set(err, ERR_CONFIG, "must have three "
			    "slashes, file:///path: the path is absolute");
	}
	if (from_file && path[0] != '/')
		return err_set(err, ERR_CONFIG,
		    "must be file:///path or an absolute path");
	made = absolute(path);
	store_text(cfg, opt, xasprintf("file://%s", made));
	free(made);
	return 0;
}

static int
set_name(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(value);

	if (len > NAME_LEN_MAX || strspn(value, letters) != len ||
	    strchr("_.-", value[0]) != NULL) {
		err_set(err, ERR_CONFIG, "must be a name: 1 to %d of the "
		    "characters a-z A-Z 0-9 _ . -, the first a letter or "
		    "digit", NAME_LEN_MAX);
		if (strcmp(opt->name, "repository") == 0 &&
		    strchr(value, '/') != NULL)
			return err_hint(err, "a path or URL is given with "
			    "--repository-url");
		return -1;
	}
	store_text(cfg, opt, xstrdup(value));
	return 0;
}

static int
set_id(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	uint8_t id[16];
	char *text;

	if (!text_unhex(value, id, sizeof(id)))
		return err_set(err, ERR_CONFIG,
		    "must be a repository's id, 32 hexadecimal digits");
	text = xmalloc(2 * sizeof(id) + 1);
	text_hex(id, sizeof(id), text);
	store_text(cfg, opt, text);
	return 0;
}

static int
bad_range(const struct option *opt, struct err *err)
{
	char range[OPTION_RANGE_MAX];

	return err_set(err, ERR_CONFIG, "must be %s",
	    option_range(opt, range));
}

static int
set_number(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	uint64_t v;
	unsigned u;
	long online;

	if (opt->type == OPTION_JOBS && strcmp(value, "auto") == 0) {
		online = sysconf(_SC_NPROCESSORS_ONLN);
		v = online < 1 ? 1 : (uint64_t)online;
		if (v > CONFIG_JOBS_AUTO_MAX)
			v = CONFIG_JOBS_AUTO_MAX;
	} else if (!text_u64(value, opt->max, &v) || v < opt->min) {
		return bad_range(opt, err);
	}
	if (opt->type == OPTION_INT) {
		store_int(cfg, opt, (int)v);
		return 0;
	}
	u = (unsigned)v;
	memcpy(member(cfg, opt), &u, sizeof(u));
	return 0;
}

static int
set_quantity(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	uint64_t v;
	bool ok = opt->type == OPTION_SIZE ? text_size(value, &v) :
					     text_duration(value, &v);

	if (!ok || v < opt->min || v > opt->max)
		return bad_range(opt, err);
	memcpy(member(cfg, opt), &v, sizeof(v));
	return 0;
}

static int
set_choice(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	int i;

	for (i = 0; opt->choices[i] != NULL; i++) {
		if (strcmp(value, opt->choices[i]) == 0) {
			store_int(cfg, opt, i);
			return 0;
		}
	}
	return bad_range(opt, err);
}

static const char *
target_name(enum config_target target)
{
	const struct option *o;

	for (o = option_table; o->name != NULL; o++) {
		if (o->type == OPTION_TARGET && o->min == (uint64_t)target)
			return o->name;
	}
	return "target";
}

static int
set_target(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	enum config_target target;

	if (opt->type == OPTION_TARGET)
		target = (enum config_target)opt->min;
	else if (strcmp(value, "immediate") == 0)
		target = TARGET_IMMEDIATE;
	else if (strcmp(value, "latest") == 0)
		target = TARGET_LATEST;
	else
		return bad_range(opt, err);
	if (cfg->target != TARGET_DEFAULT && cfg->target != target)
		return err_set(err, ERR_CONFIG, "only one target can be "
		    "given, and there is --%s already",
		    target_name(cfg->target));
	cfg->target = target;
	if (opt->type == OPTION_TARGET)
		store_text(cfg, opt, xstrdup(value));
	return 0;
}

static int
set_timeline(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	uint64_t v;
	bool number;

	/* As a WAL file's name has it: hexadecimal. */
	if (strncmp(value, "0x", 2) == 0 || strncmp(value, "0X", 2) == 0)
		number = strlen(value + 2) <= 8 &&
		    text_hex_u64(value + 2, strlen(value + 2), &v);
	else
		number = text_u64(value, UINT32_MAX, &v);
	if (strcmp(value, "latest") != 0 && strcmp(value, "current") != 0 &&
	    (!number || v == 0))
		return bad_range(opt, err);
	store_text(cfg, opt, xstrdup(value));
	return 0;
}

/* "OLD=NEW"; "\=" is a '=' that belongs to a name (as in pg_basebackup). */
static int
set_map(struct config *cfg, const char *value, struct err *err)
{
	char *parts[2] = { xmalloc(strlen(value) + 1),
		xmalloc(strlen(value) + 1) };
	size_t len[2] = { 0, 0 };
	unsigned part = 0;
	struct config_mapping *maps;

	for (; *value != '\0' && part < 2; value++) {
		if (*value == '=')
			part++;
		else if (*value == '\\' && value[1] == '=')
			parts[part][len[part]++] = *++value;
		else
			parts[part][len[part]++] = *value;
	}
	parts[0][len[0]] = parts[1][len[1]] = '\0';
	if (part != 1 || len[0] == 0 || parts[1][0] != '/' ||
	    cfg->n_tablespace_maps >= MAPS_MAX) {
		free(parts[0]);
		free(parts[1]);
		return err_set(err, ERR_CONFIG, "must be OLD=NEW, the old "
		    "directory (or the tablespace's oid) and the new one as "
		    "an absolute path");
	}
	maps = xreallocarray(cfg->tablespace_maps,
	    cfg->n_tablespace_maps + 1, sizeof(*maps));
	maps[cfg->n_tablespace_maps].from = parts[0];
	maps[cfg->n_tablespace_maps].to = parts[1];
	cfg->tablespace_maps = maps;
	cfg->n_tablespace_maps++;
	return 0;
}

static int
add_passed(struct config *cfg, const struct option *opt, const char *value,
    struct err *err)
{
	struct config_passed *list;

	if (cfg->n_passed >= PASSED_MAX)
		return err_set(err, ERR_CONFIG, "is given too often");
	list = xreallocarray(cfg->passed, cfg->n_passed + 1, sizeof(*list));
	list[cfg->n_passed].name = opt->name;
	list[cfg->n_passed].value = opt->type == OPTION_PASS ?
	    xstrdup(value) : NULL;
	cfg->passed = list;
	cfg->n_passed++;
	return 0;
}

int
option_set(struct config *cfg, const struct option *opt, const char *value,
    bool from_file, struct err *err)
{
	if (value[0] == '\0')
		return err_set(err, ERR_CONFIG, "has no value");
	if (strlen(value) > TEXT_LEN_MAX)
		return err_set(err, ERR_CONFIG,
		    "is longer than %d characters", TEXT_LEN_MAX);
	switch (opt->type) {
	case OPTION_META:
		break;
	case OPTION_BOOL:
		return set_bool(cfg, opt, value, err);
	case OPTION_TEXT:
	case OPTION_SECRET:
	case OPTION_CONNINFO:
		store_text(cfg, opt, xstrdup(value));
		return 0;
	case OPTION_PATH:
		return set_path(cfg, opt, value, from_file, err);
	case OPTION_NAME:
		return set_name(cfg, opt, value, err);
	case OPTION_URL:
		return set_url(cfg, opt, value, from_file, err);
	case OPTION_ID:
		return set_id(cfg, opt, value, err);
	case OPTION_TIMELINE:
		return set_timeline(cfg, opt, value, err);
	case OPTION_UNSIGNED:
	case OPTION_INT:
	case OPTION_JOBS:
		return set_number(cfg, opt, value, err);
	case OPTION_SIZE:
	case OPTION_DURATION:
		return set_quantity(cfg, opt, value, err);
	case OPTION_CHOICE:
		return set_choice(cfg, opt, value, err);
	case OPTION_TARGET:
	case OPTION_TARGET_WORD:
		return set_target(cfg, opt, value, err);
	case OPTION_MAP:
		return set_map(cfg, value, err);
	case OPTION_PASS:
	case OPTION_PASS_FLAG:
		return add_passed(cfg, opt, value, err);
	}
	return err_set(err, ERR_BUG, "option %s has no setter", opt->name);
}

/* A size or duration in the largest unit that divides it. */
static void
quantity_text(const struct option *opt, uint64_t v, char *out, size_t size)
{
	static const struct {
		const char *unit;
		uint64_t factor;
	} sizes[] = { { "TB", (uint64_t)1 << 40 }, { "GB", 1u << 30 },
		{ "MB", 1u << 20 }, { "kB", 1u << 10 }, { "", 1 } },
	  times[] = { { "d", 86400000 }, { "h", 3600000 }, { "min", 60000 },
		  { "s", 1000 }, { "ms", 1 } };
	size_t i;

	if (v == 0) {
		(void)snprintf(out, size, "0");
		return;
	}
	for (i = 0; i < 5; i++) {
		uint64_t f = opt->type == OPTION_SIZE ? sizes[i].factor :
							times[i].factor;

		if (v % f != 0)
			continue;
		(void)snprintf(out, size, "%llu%s",
		    (unsigned long long)(v / f), opt->type == OPTION_SIZE ?
		    sizes[i].unit : times[i].unit);
		return;
	}
}

const char *
option_range(const struct option *opt, char out[OPTION_RANGE_MAX])
{
	char low[32] = "", high[32] = "";
	size_t len = 0;
	int i;

	out[0] = '\0';
	switch (opt->type) {
	case OPTION_BOOL:
		(void)snprintf(out, OPTION_RANGE_MAX, "yes or no");
		break;
	case OPTION_UNSIGNED:
	case OPTION_INT:
	case OPTION_JOBS:
		(void)snprintf(out, OPTION_RANGE_MAX,
		    "%sa whole number from %llu to %llu",
		    opt->type == OPTION_JOBS ? "auto or " : "",
		    (unsigned long long)opt->min,
		    (unsigned long long)opt->max);
		break;
	case OPTION_SIZE:
	case OPTION_DURATION:
		quantity_text(opt, opt->min, low, sizeof(low));
		quantity_text(opt, opt->max, high, sizeof(high));
		(void)snprintf(out, OPTION_RANGE_MAX,
		    opt->type == OPTION_SIZE ?
			"a size from %s to %s (units kB, MB, GB, TB)" :
			"a time from %s to %s (units ms, s, min, h, d)",
		    low, high);
		break;
	case OPTION_CHOICE:
	case OPTION_TARGET_WORD:
		for (i = 0; opt->choices[i] != NULL &&
		    len < OPTION_RANGE_MAX; i++)
			len += (size_t)snprintf(out + len,
			    OPTION_RANGE_MAX - len, "%s%s", i == 0 ? "" :
			    opt->choices[i + 1] == NULL ? " or " : ", ",
			    opt->choices[i]);
		break;
	case OPTION_TIMELINE:
		(void)snprintf(out, OPTION_RANGE_MAX, "latest, current or a "
		    "number from 1 to %u", UINT32_MAX);
		break;
	case OPTION_META:
	case OPTION_TEXT:
	case OPTION_SECRET:
	case OPTION_PATH:
	case OPTION_NAME:
	case OPTION_URL:
	case OPTION_ID:
	case OPTION_CONNINFO:
	case OPTION_TARGET:
	case OPTION_MAP:
	case OPTION_PASS:
	case OPTION_PASS_FLAG:
		break;
	}
	return out;
}
