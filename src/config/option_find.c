/* SPDX-License-Identifier: PostgreSQL */
/* Looking rows of the option table up. */
#include <config.h>

#include "config/option.h"

#include <string.h>

bool
option_is_storage(const struct option *opt)
{
	return opt->section == SECTION_REPOSITORY &&
	    strcmp(opt->name, "repository-url") != 0 &&
	    strcmp(opt->name, "repository-id") != 0;
}

const char *
option_key(const struct option *opt)
{
	return opt->key != NULL ? opt->key : opt->name;
}

bool
option_takes_value(const struct option *opt)
{
	return opt->type != OPTION_BOOL && opt->type != OPTION_META &&
	    opt->type != OPTION_PASS_FLAG;
}

const struct option *
option_find(const char *name, size_t len, unsigned commands)
{
	const struct option *o;

	for (o = option_table; o->name != NULL; o++) {
		if ((o->commands & commands) != 0 && strlen(o->name) == len &&
		    memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

const struct option *
option_find_short(char c, unsigned commands)
{
	const struct option *o;

	for (o = option_table; o->name != NULL; o++) {
		if ((o->commands & commands) != 0 && o->short_name == c)
			return o;
	}
	return NULL;
}

const struct option *
option_find_env(const char *name)
{
	const struct option *o;

	for (o = option_table; o->name != NULL; o++) {
		if (o->env != NULL && strcmp(o->env, name) == 0)
			return o;
	}
	return NULL;
}

const struct option *
option_find_key(const char *key, enum option_section section,
    enum option_section *elsewhere)
{
	const struct option *o;

	if (elsewhere != NULL)
		*elsewhere = SECTION_NONE;
	for (o = option_table; o->name != NULL; o++) {
		if (o->section == SECTION_NONE ||
		    strcmp(option_key(o), key) != 0)
			continue;
		if (o->section == section)
			return o;
		if (elsewhere != NULL)
			*elsewhere = o->section;
	}
	return NULL;
}

#define NEAREST_MAX 64

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Edits that lead from a to b; two neighbours swapped count as one. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned rows[3][NEAREST_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > NEAREST_MAX || lb > NEAREST_MAX)
		return NEAREST_MAX;
	for (j = 0; j <= lb; j++)
		last[j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		row[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			row[j] = min3(last[j] + 1, row[j - 1] + 1,
			    last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[lb];
}

const char *
option_nearest(const char *typed, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t len = strlen(typed), i;
	unsigned d, best_d = (unsigned)(len / 3) + 2;

	for (i = 0; i < n; i++) {
		d = distance(typed, names[i]);
		/* A beginning is what a hasty hand leaves. */
		if (len >= 3 && strncmp(typed, names[i], len) == 0)
			d = d < 2 ? d : 1;
		if (d < best_d && d < strlen(names[i])) {
			best = names[i];
			best_d = d;
		}
	}
	return best;
}
