/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/report_collect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"
#include "core/mem.h"
#include "core/text.h"

static char *
masked(const char *conninfo)
{
	struct buf b;
	char *text;

	buf_init(&b, 1 << 16);
	config_mask_conninfo(conninfo, &b);
	text = xstrdup(buf_str(&b));
	buf_free(&b);
	return text;
}

/* PostgreSQL's units, as they are written in the file. */
static char *
duration(uint64_t ms)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" },
		{ 1000, "s" }, { 1, "ms" } };
	size_t i;

	for (i = 0; ms > 0 && i < sizeof(units) / sizeof(units[0]); i++)
		if (ms % units[i].ms == 0)
			return xasprintf("%" PRIu64 "%s", ms / units[i].ms,
			    units[i].name);
	return xstrdup("0");
}

static char *
size(uint64_t bytes)
{
	static const char *const units[] = { "TB", "GB", "MB", "kB" };
	uint64_t unit = UINT64_C(1) << 40;
	size_t i;

	for (i = 0; bytes > 0 && i < 4; i++, unit /= 1024)
		if (bytes % unit == 0)
			return xasprintf("%" PRIu64 "%s", bytes / unit,
			    units[i]);
	return xasprintf("%" PRIu64, bytes);
}

static char *
text_of(const char *s, enum option_type type)
{
	if (s == NULL)
		return NULL;
	if (type == OPTION_SECRET)
		return xstrdup("***");
	if (type == OPTION_CONNINFO)
		return masked(s);
	return xstrdup(s);
}

/* NULL: it has none. */
static char *
value_of(const struct option *o, const struct config *cfg)
{
	const void *at = (const char *)cfg + o->offset;
	int choice;

	switch (o->type) {
	case OPTION_BOOL:
		return xstrdup(*(const bool *)at ? "yes" : "no");
	case OPTION_TEXT:
	case OPTION_PATH:
	case OPTION_NAME:
	case OPTION_URL:
	case OPTION_SECRET:
	case OPTION_ID:
	case OPTION_CONNINFO:
		return text_of(*(char *const *)at, o->type);
	case OPTION_UNSIGNED:
	case OPTION_JOBS:
		return xasprintf("%u", *(const unsigned *)at);
	case OPTION_INT:
		return xasprintf("%d", *(const int *)at);
	case OPTION_SIZE:
		return size(*(const uint64_t *)at);
	case OPTION_DURATION:
		return duration(*(const uint64_t *)at);
	case OPTION_CHOICE:
		memcpy(&choice, at, sizeof(choice));
		return xstrdup(o->choices[choice]);
	default:
		return NULL;
	}
}

struct settings {
	struct report_setting *list;
	size_t n;
	const struct config *defaults;
};

static void
add_section(struct settings *s, const struct config *cfg,
    enum option_section section, const char *kind, const char *name)
{
	const struct option *o;
	struct report_setting *one;
	char *value, *usual;

	for (o = option_table; o->name != NULL; o++) {
		if (o->section != section ||
		    strcmp(o->name, "repository") == 0)
			continue;
		value = value_of(o, cfg);
		if (value == NULL)
			continue;
		usual = value_of(o, s->defaults);
		s->list = xreallocarray(s->list, s->n + 1, sizeof(*s->list));
		one = &s->list[s->n++];
		*one = (struct report_setting){ .key = option_key(o),
			.value = value, .section = name == NULL ?
			    xstrdup(kind) : xasprintf("%s %s", kind, name),
			.changed = usual == NULL ||
			    strcmp(usual, value) != 0 };
		free(usual);
	}
}

void
report_collect_settings(struct report_setting **out, size_t *n,
    const struct config *cfg)
{
	struct settings s = { 0 };
	struct config one = *cfg, defaults; /* one borrows */
	unsigned i;

	config_init(&defaults);
	/* "auto" is what it comes to here. */
	defaults.jobs = cfg->jobs;
	s.defaults = &defaults;
	add_section(&s, cfg, SECTION_GLOBAL, "global", NULL);
	add_section(&s, cfg, SECTION_CLUSTER, "cluster", cfg->cluster);
	for (i = 0; config_repository(cfg, i) != NULL; i++) {
		one.repo = *config_repository(cfg, i);
		add_section(&s, &one, SECTION_REPOSITORY, "repository",
		    one.repo.name);
	}
	config_free(&defaults);
	*out = s.list;
	*n = s.n;
}

void
report_settings_free(struct report_setting *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(list[i].section);
		free(list[i].value);
	}
	free(list);
}
