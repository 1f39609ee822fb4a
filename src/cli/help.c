/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define WIDTH 79
#define COLUMN 6

/* Words of text from a column on, broken before WIDTH. */
static void
print_wrapped(FILE *out, const char *text, int column)
{
	int at = column;
	int len;

	(void)fprintf(out, "%*s", column, "");
	while (*text != '\0') {
		len = (int)strcspn(text, " ");
		if (at > column && at + 1 + len > WIDTH) {
			(void)fprintf(out, "\n%*s", column, "");
			at = column;
		}
		at += fprintf(out, "%s%.*s", at > column ? " " : "", len,
		    text);
		text += len;
		text += strspn(text, " ");
	}
	(void)fputc('\n', out);
}

static void
print_option(FILE *out, const struct option *o)
{
	char range[OPTION_RANGE_MAX];
	char *text, *more;

	(void)fprintf(out, "  ");
	if (o->short_name != 0)
		(void)fprintf(out, "-%c, ", o->short_name);
	(void)fprintf(out, "--%s%s%s\n", o->name, o->value == NULL ? "" : "=",
	    o->value == NULL ? "" : o->value);
	(void)option_range(o, range);
	text = xstrdup(o->help);
	if (o->type != OPTION_META && o->type != OPTION_TARGET_WORD &&
	    o->type != OPTION_TIMELINE && range[0] != '\0' &&
	    (o->type != OPTION_BOOL || o->default_value != NULL)) {
		more = xasprintf("%s; %s", text, range);
		free(text);
		text = more;
	}
	if (o->default_value != NULL) {
		more = xasprintf("%s (default %s)", text, o->default_value);
		free(text);
		text = more;
	}
	if (o->env != NULL) {
		more = xasprintf("%s [%s]", text, o->env);
		free(text);
		text = more;
	}
	print_wrapped(out, text, COLUMN);
	free(text);
}

static const char exit_codes[] =
    "Exit codes:\n"
    "  0    done\n"
    "  1    what was asked for is not there or was refused, or a check found\n"
    "       something\n"
    "  2    usage or configuration\n"
    "  3    storage, file or network\n"
    "  4    PostgreSQL\n"
    "  5    damage found\n"
    "  6    another process holds the lock, or the cluster is on hold\n"
    "  70   a mistake of this program\n"
    "  128+ ended by this signal\n";

static const char push_codes[] =
    "Exit codes:\n"
    "  0    stored and durable\n"
    "  1 to 125 for every failure (2 configuration, 3 storage, 5 damage,\n"
    "       70 a mistake of this program): PostgreSQL counts it and tries\n"
    "       again\n";

static const char get_codes[] =
    "Exit codes:\n"
    "  0    delivered\n"
    "  1    the file is not in the repository, and that is proved\n"
    "  126  any error: recovery stops instead of going on without the file\n"
    "  2 to 70  an error on a standby (standby.signal), which tries again\n";

/* How a storage is reached: seldom typed, so their names are enough. */
static void
print_storage_options(FILE *out)
{
	const struct option *o;
	char *text = xstrdup(""), *more;

	(void)fprintf(out, "\nHow a repository is reached and "
	    "opened (keys of [repository NAME], see man 5\ndapk-backup.conf; "
	    "as options for --repository-url):\n");
	for (o = option_table; o->name != NULL; o++) {
		if (!option_is_storage(o) || o->commands == 0)
			continue;
		more = xasprintf("%s%s--%s", text, text[0] == '\0' ? "" :
		    " ", o->name);
		free(text);
		text = more;
	}
	print_wrapped(out, text, 2);
	free(text);
}

static void
print_command(const struct command *c, FILE *out)
{
	const struct option *o;
	size_t i;

	(void)fprintf(out, "Usage: dapk-backup %s [OPTION]...%s%s\n\n%s\n",
	    c->name, c->arguments[0] == '\0' ? "" : " ", c->arguments,
	    c->description);
	(void)fprintf(out, "\nExamples:\n");
	for (i = 0; c->examples[i] != NULL; i++)
		(void)fprintf(out, "  %s\n", c->examples[i]);
	(void)fprintf(out, "\nOptions (those with a name in brackets may be "
	    "set by that environment\nvariable):\n");
	for (o = option_table; o->name != NULL; o++) {
		if ((o->commands & c->bit) != 0 && !option_is_storage(o))
			print_option(out, o);
	}
	print_storage_options(out);
	(void)fprintf(out, "\n%s\nMore: man dapk-backup-%s\n",
	    c->bit == COMMAND_ARCHIVE_PUSH ? push_codes : c->bit ==
	    COMMAND_ARCHIVE_GET ? get_codes : exit_codes, c->name);
}

void
help_print(const struct command *command, FILE *out)
{
	const struct command *c;
	const struct option *o;

	if (command != NULL) {
		print_command(command, out);
		return;
	}
	(void)fprintf(out,
	    "dapk-backup backs up PostgreSQL, archives its WAL and recovers "
	    "to a point in time.\n\n"
	    "Usage: dapk-backup [OPTION]... COMMAND [OPTION]... [ARGUMENT]...\n"
	    "\nCommands:\n");
	for (c = command_table; c->name != NULL; c++)
		(void)fprintf(out, "  %-14s %s\n", c->name, c->help);
	(void)fprintf(out, "  %-14s %s\n", "help COMMAND",
	    "show a command's options and examples");
	(void)fprintf(out, "\nFirst steps, as the user that runs PostgreSQL:\n"
	    "  dapk-backup init\n"
	    "  archive_mode = on and archive_command = 'dapk-backup "
	    "archive-push %%p'\n"
	    "      in postgresql.conf, then restart PostgreSQL\n"
	    "  dapk-backup check\n"
	    "  dapk-backup backup\n"
	    "  dapk-backup info\n");
	(void)fprintf(out, "\nOptions of all commands:\n");
	for (o = option_table; o->name != NULL; o++) {
		if (o->commands == COMMAND_ANY && !option_is_storage(o))
			print_option(out, o);
	}
	(void)fprintf(out, "\nConfiguration: --config, DAPK_BACKUP_CONFIG or "
	    CONFIG_FILE_DEFAULT ";\nnone is needed. See man 5 "
	    "dapk-backup.conf.\n\n%s\nMore: man dapk-backup\n", exit_codes);
}
