/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/command.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "restore/postmaster.h"
#include "restore/recovery.h"

#define COMMAND_TEXT_MAX ((size_t)64 << 10)

/* NAME = 'VALUE', NAME VALUE; what follows a # is a comment. */
static void
take_line(const char *line, const char *end, const char *name,
    struct buf *out)
{
	const size_t n = strlen(name);
	const char *p = line;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if ((size_t)(end - p) <= n || strncasecmp(p, name, n) != 0 ||
	    strchr(" \t=", p[n]) == NULL)
		return;
	p += n;
	while (p < end && strchr(" \t=", *p) != NULL)
		p++;
	buf_clear(out);
	if (p < end && *p == '\'') {
		for (p++; p < end; p++) {
			if (*p == '\'' && (p + 1 == end || p[1] != '\''))
				break;
			p += *p == '\'';
			buf_add_byte(out, (uint8_t)*p);
		}
		return;
	}
	while (p < end && strchr(" \t#\r", *p) == NULL)
		buf_add_byte(out, (uint8_t)*p++);
}

void
command_setting(const char *text, const char *name, struct buf *out)
{
	const char *line, *end;

	buf_clear(out);
	for (line = text; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = line + strcspn(line, "\n");
		take_line(line, end, name, out);
	}
}

/*
 * A file that the configuration names by its place at the source: the one of
 * that name in the restored directory is meant.
 */
static void
move_file(struct restore_plan *plan, const char *text, const char *name,
    char **slot)
{
	char *own;
	struct buf b;

	buf_init(&b, COMMAND_TEXT_MAX);
	command_setting(text, name, &b);
	if (*slot == NULL && b.len > 0 && buf_str(&b)[0] == '/') {
		own = xasprintf("%s%s", plan->dir, strrchr(buf_str(&b), '/'));
		if (access(own, F_OK) == 0) {
			*slot = own;
			own = NULL;
		} else
			log_warning("the restored configuration says %s = %s, "
			    "which the backup does not have", name,
			    buf_str(&b));
		free(own);
	}
	buf_free(&b);
}

int
command_find_settings(struct restore_plan *plan, struct err *err)
{
	static const char *const files[] = { "postgresql.conf",
		"postgresql.auto.conf" };
	struct buf text, b;
	char *path;
	size_t i;
	int ret = 0;

	buf_init(&text, 2 * RECOVERY_CONF_MAX);
	buf_init(&b, COMMAND_TEXT_MAX);
	for (i = 0; i < 2 && ret == 0; i++) {
		path = i == 0 && plan->saved.config_file != NULL ?
		    xstrdup(plan->saved.config_file) :
		    xasprintf("%s/%s", plan->dir, files[i]);
		if (access(path, F_OK) == 0)
			ret = io_read_file(path, &text, err);
		buf_add_byte(&text, '\n');
		free(path);
	}
	if (ret == 0) {
		command_setting(buf_str(&text), "data_directory", &b);
		plan->saved.names_directory = b.len > 0;
		move_file(plan, buf_str(&text), "hba_file",
		    &plan->saved.hba_file);
		move_file(plan, buf_str(&text), "ident_file",
		    &plan->saved.ident_file);
	}
	buf_free(&text);
	buf_free(&b);
	return ret;
}

static void
add_option(struct buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, "%s-c %s=", b->len == 0 ? "" : " ", name);
	if (value[0] != '\0')
		plan_shell_word(b, value);
}

/* pg_ctl hands its -o to a shell: words in a word. */
char *
restore_start_command(const struct restore_plan *plan)
{
	const struct plan_saved *s = &plan->saved;
	struct err ignored = ERR_INIT; /* then it is looked for in PATH */
	struct postmaster pm;
	struct buf options, b;
	char *log = xasprintf("%s.log", plan->dir), *out;
	bool found = postmaster_find(&pm, plan, &ignored) == 0;

	buf_init(&options, COMMAND_TEXT_MAX);
	buf_init(&b, COMMAND_TEXT_MAX);
	add_option(&options, "config_file", s->config_file);
	if (s->config_file != NULL || s->names_directory)
		add_option(&options, "data_directory", plan->dir);
	add_option(&options, "hba_file", s->hba_file);
	add_option(&options, "ident_file", s->ident_file);
	if (s->config_file != NULL)
		add_option(&options, "external_pid_file", "");
	plan_pg_ctl(plan, found ? pm.bin : NULL, &b);
	buf_add_str(&b, " -l ");
	plan_shell_word(&b, log);
	if (options.len > 0) {
		buf_add_str(&b, " -o ");
		plan_shell_word(&b, buf_str(&options));
	}
	buf_add_str(&b, " start");
	out = xstrdup(buf_str(&b));
	postmaster_free(&pm);
	buf_free(&options);
	buf_free(&b);
	free(log);
	return out;
}

bool
restore_start_needs_options(const struct restore_plan *plan)
{
	const struct plan_saved *s = &plan->saved;

	return s->config_file != NULL || s->hba_file != NULL ||
	    s->ident_file != NULL || s->names_directory;
}
