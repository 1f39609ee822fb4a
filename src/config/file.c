/* SPDX-License-Identifier: PostgreSQL */
#include <config.h>

/*
 * libinih splits lines into keys and values; its reader callback, ours,
 * counts the lines, keeps the section (inih cuts names at 50 characters) and
 * refuses lines that inih would cut at 200. Indentation is taken off, so that
 * inih does not take an indented key for the continuation of a value.
 */
#include "config/file.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/io.h"
#include "core/mem.h"

struct parser {
	struct config_file *f;
	const char *next; /* text not read yet */
	unsigned line;
	bool handled;	  /* inih has called us for this line */
	bool needs_handler; /* it is a key, so inih must call us */
	bool failed;
	struct err *err;
};

static void __attribute__((format(printf, 2, 3)))
fail(struct parser *p, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (p->failed)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(p->err, ERR_CONFIG, "%s:%u: %s", p->f->path, p->line,
	    text);
	p->failed = true;
}

static bool
blank_or_comment(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return *s == '\0' || *s == ';' || *s == '#';
}

static enum option_section
section_kind(const char *word, size_t len)
{
	if (len == 6 && strncmp(word, "global", len) == 0)
		return SECTION_GLOBAL;
	if (len == 7 && strncmp(word, "cluster", len) == 0)
		return SECTION_CLUSTER;
	if (len == 10 && strncmp(word, "repository", len) == 0)
		return SECTION_REPOSITORY;
	return SECTION_NONE;
}

static void
unknown_section(struct parser *p, const char *whole, const char *word)
{
	static const char *const words[] = { "global", "cluster",
		"repository" };
	const char *near = option_nearest(word, words, 3);

	fail(p, "unknown section [%s]", whole);
	if (near == NULL)
		(void)err_hint(p->err, "sections are [global], "
		    "[cluster NAME] and [repository NAME]");
	else
		(void)err_hint(p->err, "did you mean [%s%s]?", near,
		    near == words[0] ? "" : " NAME");
}

static void
add_section(struct parser *p, enum option_section kind, const char *name)
{
	struct config_file *f = p->f;
	const struct config_section *old = config_file_section(f, kind, name);

	if (old != NULL) {
		fail(p, "this section is there already, in line %u",
		    old->line);
		return;
	}
	f->sections = xreallocarray(f->sections, f->n_sections + 1,
	    sizeof(*f->sections));
	f->sections[f->n_sections].kind = kind;
	f->sections[f->n_sections].name = name == NULL ? NULL : xstrdup(name);
	f->sections[f->n_sections].line = p->line;
	f->n_sections++;
}

/* A line that begins with '['. */
static void
parse_section(struct parser *p, const char *line)
{
	const char *end = strchr(line, ']');
	struct config scratch = { 0 };
	struct err ignored = ERR_INIT;
	enum option_section kind;
	char *text, *name;
	size_t word;

	if (end == NULL || !blank_or_comment(end + 1)) {
		fail(p, "a section's line must be [global], [cluster NAME] or "
		    "[repository NAME]");
		return;
	}
	text = xstrndup(line + 1, (size_t)(end - line - 1));
	word = strcspn(text, " \t");
	kind = section_kind(text, word);
	name = text + word;
	name += strspn(name, " \t");
	if (kind == SECTION_NONE) {
		char *whole = xstrdup(text);

		text[word] = '\0';
		unknown_section(p, whole, text);
		free(whole);
	} else if (kind == SECTION_GLOBAL && *name != '\0') {
		fail(p, "[global] takes no name");
	} else if (kind == SECTION_GLOBAL) {
		add_section(p, kind, NULL);
	} else if (option_set(&scratch, option_find("cluster", 7,
	    COMMAND_ANY), name, true, &ignored) != 0) {
		text[word] = '\0';
		fail(p, "[%s NAME]: %s", text, *name == '\0' ?
		    "the name is missing" : ignored.msg);
	} else {
		add_section(p, kind, name);
	}
	config_free(&scratch);
	free(text);
}

/* What inih calls for each line. */
static char *
next_line(char *out, int size, void *arg)
{
	struct parser *p = arg;
	const char *start = p->next, *eol;
	size_t len;

	if (p->needs_handler && !p->handled)
		fail(p, "must be KEY = VALUE");
	if (p->failed || *start == '\0')
		return NULL;
	p->line++;
	eol = strchrnul(start, '\n');
	p->next = *eol == '\0' ? eol : eol + 1;
	if (p->line == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3; /* a byte order mark */
	while (start < eol && isspace((unsigned char)*start))
		start++;
	while (eol > start && isspace((unsigned char)eol[-1]))
		eol--;
	len = (size_t)(eol - start);
	p->handled = false;
	p->needs_handler = false;
	if (len > 0 && (*start == '#' || *start == ';'))
		len = 0; /* however long a comment is */
	if (len + 3 > (size_t)size) {
		fail(p, "line of %zu characters; the longest that can be read "
		    "has %d", len, size - 3);
		(void)err_hint(p->err, "a long connection string fits into "
		    "a service file: conninfo = service=NAME");
		return NULL;
	}
	memcpy(out, start, len);
	out[len] = '\0';
	if (out[0] == '[') {
		parse_section(p, out);
		if (p->failed)
			return NULL;
		out[0] = '\0'; /* nothing left for inih */
	}
	p->needs_handler = out[0] != '\0';
	return out;
}

static const char *
section_label(enum option_section kind)
{
	return kind == SECTION_GLOBAL ? "[global]" :
	    kind == SECTION_CLUSTER	? "[cluster NAME]" :
					  "[repository NAME]";
}

static void
unknown_key(struct parser *p, const char *key, enum option_section section)
{
	enum option_section elsewhere;
	const char *names[64], *near;
	const struct option *o;
	size_t n = 0;

	if (option_find_key(key, section, &elsewhere) == NULL &&
	    elsewhere != SECTION_NONE) {
		fail(p, "%s does not belong into %s", key,
		    section_label(section));
		(void)err_hint(p->err, "put it below %s",
		    section_label(elsewhere));
		return;
	}
	for (o = option_table; o->name != NULL && n < 64; o++) {
		if (o->section != SECTION_NONE)
			names[n++] = option_key(o);
	}
	fail(p, "unknown key %s", key);
	near = option_nearest(key, names, n);
	if (near != NULL)
		(void)err_hint(p->err, "did you mean %s?", near);
	else
		(void)err_hint(p->err, "see man 5 dapk-backup.conf");
}

/* Check the value; a list of repositories name by name, later. */
static void
check_value(struct parser *p, const struct option *opt, const char *value)
{
	struct config scratch = { 0 };
	struct err err = ERR_INIT;
	struct buf shown;

	if (strcmp(opt->name, "repository") == 0) {
		if (value[0] == '\0')
			fail(p, "%s has no value", option_key(opt));
		return;
	}
	if (option_set(&scratch, opt, value, true, &err) != 0) {
		buf_init(&shown, 1 << 16);
		if (opt->type == OPTION_CONNINFO)
			config_mask_conninfo(value, &shown);
		else
			buf_add_str(&shown, value);
		fail(p, "%s = %.200s: %s", option_key(opt), buf_str(&shown),
		    err.msg);
		if (err.hint[0] != '\0')
			(void)err_hint(p->err, "%s", err.hint);
		buf_free(&shown);
	}
	config_free(&scratch);
}

/* What inih calls for each KEY = VALUE; the section is ours, not inih's. */
static int
take_entry(void *arg, const char *inih_section, const char *key,
    const char *value)
{
	struct parser *p = arg;
	struct config_file *f = p->f;
	const struct config_section *section;
	const struct config_entry *old;
	const struct option *opt;

	p->handled = true;
	if (p->failed)
		return 1;
	if (f->n_sections == 0) {
		fail(p, "%s stands before the first section", key);
		(void)err_hint(p->err, "put [global], [cluster NAME] or "
		    "[repository NAME] before it");
		return 1;
	}
	section = &f->sections[f->n_sections - 1];
	opt = option_find_key(key, section->kind, NULL);
	if (opt == NULL) {
		unknown_key(p, key, section->kind);
		return 1;
	}
	old = config_file_entry(f, section, opt->name);
	if (old != NULL) {
		fail(p, "%s is there already, in line %u", key, old->line);
		return 1;
	}
	check_value(p, opt, value);
	f->entries = xreallocarray(f->entries, f->n_entries + 1,
	    sizeof(*f->entries));
	f->entries[f->n_entries].section = f->n_sections - 1;
	f->entries[f->n_entries].option = opt;
	f->entries[f->n_entries].value = xstrdup(value);
	f->entries[f->n_entries].line = p->line;
	f->n_entries++;
	return 1;
}

int
config_file_parse(struct config_file *f, const char *path, const char *text,
    struct err *err)
{
	struct parser p = { .f = f, .next = text, .err = err };
	int rc;

	memset(f, 0, sizeof(*f));
	f->path = xstrdup(path);
	rc = ini_parse_stream(next_line, &p, take_entry, &p);
	if (!p.failed && rc != 0)
		fail(&p, "cannot be read as KEY = VALUE");
	if (!p.failed)
		return 0;
	config_file_free(f);
	return -1;
}

int
config_file_read(struct config_file *f, const char *path, struct err *err)
{
	struct buf text;
	int ret = -1;

	memset(f, 0, sizeof(*f));
	buf_init(&text, CONFIG_FILE_SIZE_MAX);
	if (io_read_file(path, &text, err) != 0) {
		(void)err_wrap(err, "configuration file");
		if (err->sys_errno == EACCES)
			(void)err_hint(err, "make it readable for this user, "
			    "or run as the user that owns the data directory");
		err->code = ERR_CONFIG;
		goto out;
	}
	if (text.len != strlen(buf_str(&text))) {
		(void)err_set(err, ERR_CONFIG,
		    "%s: is not a text file (it holds a byte 0)", path);
		goto out;
	}
	ret = config_file_parse(f, path, buf_str(&text), err);
out:
	buf_free(&text);
	return ret;
}

void
config_file_free(struct config_file *f)
{
	size_t i;

	for (i = 0; i < f->n_sections; i++)
		free(f->sections[i].name);
	for (i = 0; i < f->n_entries; i++)
		free(f->entries[i].value);
	free(f->sections);
	free(f->entries);
	free(f->path);
	memset(f, 0, sizeof(*f));
}

const struct config_section *
config_file_section(const struct config_file *f, enum option_section kind,
    const char *name)
{
	size_t i;

	for (i = 0; i < f->n_sections; i++) {
		if (f->sections[i].kind == kind && (name == NULL ||
		    strcmp(f->sections[i].name, name) == 0))
			return &f->sections[i];
	}
	return NULL;
}

size_t
config_file_count(const struct config_file *f, enum option_section kind)
{
	size_t i, n = 0;

	for (i = 0; i < f->n_sections; i++)
		n += f->sections[i].kind == kind;
	return n;
}

const struct config_entry *
config_file_entry(const struct config_file *f,
    const struct config_section *section, const char *option_name)
{
	size_t i;

	for (i = 0; i < f->n_entries; i++) {
		if (&f->sections[f->entries[i].section] == section &&
		    strcmp(f->entries[i].option->name, option_name) == 0)
			return &f->entries[i];
	}
	return NULL;
}
