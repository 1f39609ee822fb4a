/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/*
 * The command is the first argument that is neither an option nor an
 * option's value; options may stand before and after it. The first pass only
 * finds it (an option takes a value or not, whichever command it belongs to),
 * the second reads the options as this command knows them.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define NAMES_MAX 200

struct cursor {
	int argc;
	char **argv;
	int i;
	const char *bundle; /* rest of "-nv", or NULL */
	bool no_more;	    /* "--" was seen */
};

/* One step: an option (maybe unknown) or an argument. */
struct item {
	const char *argument; /* not an option */
	const char *text;     /* as typed, for messages */
	size_t name_len;      /* of the long name at text + 2 */
	char short_name;
	const struct option *option;
	const char *value;
	bool negated; /* --no-x */
};

static const struct option *
find_long(struct item *item, const char *name, size_t len, unsigned commands)
{
	const struct option *o = option_find(name, len, commands);

	if (o != NULL || len <= 3 || strncmp(name, "no-", 3) != 0)
		return o;
	o = option_find(name + 3, len - 3, commands);
	if (o == NULL || o->type != OPTION_BOOL)
		return NULL;
	item->negated = true;
	return o;
}

static int
take_value(struct cursor *c, struct item *item, const char *attached,
    struct err *err)
{
	if (attached != NULL) {
		item->value = attached;
		return 1;
	}
	if (c->i >= c->argc)
		return err_set(err, ERR_USAGE, "option %.*s needs a value: %s",
		    (int)strcspn(item->text, "="), item->text,
		    item->option->value);
	item->value = c->argv[c->i++];
	return 1;
}

static int
next_short(struct cursor *c, struct item *item, unsigned commands,
    struct err *err)
{
	const char *rest;

	item->text = c->argv[c->i - 1];
	item->short_name = *c->bundle++;
	rest = *c->bundle != '\0' ? c->bundle : NULL;
	item->option = option_find_short(item->short_name, commands);
	if (item->option != NULL && option_takes_value(item->option)) {
		c->bundle = NULL;
		return take_value(c, item, rest, err);
	}
	item->value = "yes";
	if (rest == NULL)
		c->bundle = NULL;
	return 1;
}

static int
next_long(struct cursor *c, struct item *item, unsigned commands,
    struct err *err)
{
	const char *name = c->argv[c->i] + 2;
	const char *equals = strchr(name, '=');

	item->text = c->argv[c->i++];
	item->name_len = equals != NULL ? (size_t)(equals - name) :
					  strlen(name);
	item->option = find_long(item, name, item->name_len, commands);
	if (item->option == NULL)
		return 1;
	if (option_takes_value(item->option))
		return take_value(c, item, equals == NULL ? NULL : equals + 1,
		    err);
	if (equals != NULL && (item->negated ||
	    item->option->type == OPTION_META ||
	    item->option->type == OPTION_PASS_FLAG))
		return err_set(err, ERR_USAGE, "option --%.*s takes no value",
		    (int)item->name_len, name);
	item->value = equals != NULL ? equals + 1 :
	    item->negated	     ? "no" :
				       "yes";
	return 1;
}

/* 1: an item; 0: the end; -1: a value is missing. */
static int
next_item(struct cursor *c, struct item *item, unsigned commands,
    struct err *err)
{
	const char *arg;

	memset(item, 0, sizeof(*item));
	if (c->bundle != NULL)
		return next_short(c, item, commands, err);
	if (c->i >= c->argc)
		return 0;
	arg = c->argv[c->i];
	if (!c->no_more && strcmp(arg, "--") == 0) {
		c->no_more = true;
		c->i++;
		return next_item(c, item, commands, err);
	}
	if (c->no_more || arg[0] != '-' || arg[1] == '\0') {
		item->argument = arg;
		c->i++;
		return 1;
	}
	if (arg[1] == '-')
		return next_long(c, item, commands, err);
	c->i++;
	c->bundle = arg + 1;
	return next_short(c, item, commands, err);
}

/* Names of the commands that take an option, for a message. */
static void
commands_of(unsigned commands, struct buf *out)
{
	const struct command *c;

	for (c = command_table; c->name != NULL; c++) {
		if ((c->bit & commands) != 0)
			buf_printf(out, "%s%s", out->len > 0 ? ", " : "",
			    c->name);
	}
}

static int
unknown_option(const struct command *command, const struct item *item,
    struct err *err)
{
	unsigned commands = command == NULL ? COMMAND_ANY : command->bit;
	const char *names[NAMES_MAX], *near;
	const struct option *o;
	struct buf takers;
	char *typed;
	size_t n = 0;

	if (item->name_len == 0) {
		typed = xasprintf("-%c", item->short_name);
		o = option_find_short(item->short_name, COMMAND_ANY);
	} else {
		struct item scratch = { 0 };

		typed = xasprintf("--%.*s", (int)item->name_len,
		    item->text + 2);
		o = find_long(&scratch, item->text + 2, item->name_len,
		    COMMAND_ANY);
	}
	if (o != NULL && command != NULL) {
		buf_init(&takers, 256);
		commands_of(o->commands, &takers);
		(void)err_set(err, ERR_USAGE, "%s takes no option %s",
		    command->name, typed);
		if (strcmp(o->name, "pgdata") == 0 &&
		    command->bit == COMMAND_RESTORE)
			(void)err_hint(err, "the directory to restore into "
			    "is named by -D or --directory");
		(void)err_hint(err, "it belongs to: %s; see dapk-backup %s "
		    "--help", buf_str(&takers), command->name);
		buf_free(&takers);
		free(typed);
		return -1;
	}
	for (o = option_table; o->name != NULL && n < NAMES_MAX; o++) {
		if ((o->commands & commands) != 0)
			names[n++] = o->name;
	}
	near = item->name_len == 0 ? NULL : option_nearest(typed + 2, names, n);
	(void)err_set(err, ERR_USAGE, "unknown option %s", typed);
	free(typed);
	if (near != NULL)
		return err_hint(err, "did you mean --%s?", near);
	return err_hint(err, "dapk-backup %s%s--help lists the options",
	    command != NULL ? command->name : "", command != NULL ? " " : "");
}

/* One of pg_dump's that cannot be handed on. 0: no such option. */
static int
refused_option(const struct command *command, const struct item *item,
    struct err *err)
{
	const char *why = NULL;

	if (command != NULL && command->bit == COMMAND_DUMP)
		why = cmd_dump_refused(item->text + 2, item->name_len,
		    item->short_name);
	if (why == NULL)
		return 0;
	if (item->name_len == 0)
		return err_set(err, ERR_USAGE, "dump does not take pg_dump's "
		    "-%c: %s", item->short_name, why);
	return err_set(err, ERR_USAGE, "dump does not take pg_dump's --%.*s: "
	    "%s", (int)item->name_len, item->text + 2, why);
}

static int
unknown_command(const char *typed, struct err *err)
{
	const char *names[32], *near;
	const struct command *c;
	size_t n = 0;

	for (c = command_table; c->name != NULL; c++)
		names[n++] = c->name;
	names[n++] = "help";
	near = option_nearest(typed, names, n);
	(void)err_set(err, ERR_USAGE, "unknown command %s", typed);
	if (near != NULL)
		return err_hint(err, "did you mean %s?", near);
	return err_hint(err, "dapk-backup --help lists the commands");
}

/* Find the command's place in argv; 0 when there is none. */
static int
find_command(int argc, char **argv, int *at, struct err *err)
{
	struct cursor c = { .argc = argc, .argv = argv, .i = 1 };
	struct item item;
	int rc;

	*at = 0;
	while ((rc = next_item(&c, &item, COMMAND_ANY, err)) == 1) {
		if (item.argument != NULL) {
			*at = c.i - 1;
			return 0;
		}
	}
	return rc;
}

static bool
is_help(const struct item *item)
{
	/* -h is help where it is not a host. */
	if (item->option == NULL)
		return item->name_len == 0 && item->short_name == 'h';
	return item->option->type == OPTION_META &&
	    strcmp(item->option->name, "help") == 0;
}

static int
read_options(int argc, char **argv, int command_at, struct parsed *out,
    struct err *err)
{
	unsigned commands = out->command == NULL ? COMMAND_ANY :
						   out->command->bit;
	struct cursor c = { .argc = argc, .argv = argv, .i = 1 };
	struct item item;
	int rc;

	while ((rc = next_item(&c, &item, commands, err)) == 1) {
		if (item.argument != NULL) {
			if (c.i - 1 != command_at)
				out->arguments[out->n_arguments++] =
				    argv[c.i - 1];
		} else if (is_help(&item)) {
			out->help = true;
		} else if (item.option == NULL) {
			if (refused_option(out->command, &item, err) != 0)
				return -1;
			return unknown_option(out->command, &item, err);
		} else if (item.option->type == OPTION_META) {
			out->version = true;
		} else {
			out->given[out->n_given].option = item.option;
			out->given[out->n_given].value = item.value;
			out->n_given++;
		}
	}
	return rc;
}

static int
check_arguments(const struct parsed *p, struct err *err)
{
	const struct command *c = p->command;

	if (p->n_arguments > c->max_arguments) {
		(void)err_set(err, ERR_USAGE, "too many arguments, from \"%s\" "
		    "on", p->arguments[c->max_arguments]);
		return err_hint(err, "usage: dapk-backup %s [OPTION]... %s",
		    c->name, c->arguments);
	}
	if (p->n_arguments < c->min_arguments) {
		(void)err_set(err, ERR_USAGE, "%s is missing",
		    c->min_arguments - p->n_arguments == 1 ? "an argument" :
							     "what to do");
		if (c->bit == COMMAND_ARCHIVE_PUSH)
			(void)err_set(err, ERR_USAGE,
			    "the path of the WAL file is missing");
		if (c->bit == COMMAND_ARCHIVE_GET)
			(void)err_set(err, ERR_USAGE,
			    "the WAL file's name and where to put it are "
			    "needed");
		return err_hint(err, "usage: dapk-backup %s [OPTION]... %s",
		    c->name, c->arguments);
	}
	return 0;
}

/* "help" and "help COMMAND". */
static int
parse_help(int argc, char **argv, int at, struct parsed *out, struct err *err)
{
	out->help = true;
	if (at + 1 >= argc || argv[at + 1][0] == '-')
		return 0;
	out->command = command_find(argv[at + 1]);
	return out->command != NULL ? 0 : unknown_command(argv[at + 1], err);
}

int
parse_arguments(int argc, char **argv, struct parsed *out, struct err *err)
{
	size_t room = 1;
	int at = 0;
	int rc, i;

	memset(out, 0, sizeof(*out));
	for (i = 1; i < argc; i++)
		room += strlen(argv[i]); /* "-nv" holds several */
	out->given = xcalloc(room, sizeof(*out->given));
	out->arguments = xcalloc((size_t)argc + 1, sizeof(*out->arguments));
	if (argc == 2 && strcmp(argv[1], "-h") == 0) {
		out->help = true; /* a host only where there is a command */
		return 0;
	}
	/* An option that lacks its value is told by the second pass. */
	rc = find_command(argc, argv, &at, err);
	if (at > 0) {
		if (strcmp(argv[at], "help") == 0)
			return parse_help(argc, argv, at, out, err);
		out->command = command_find(argv[at]);
		if (out->command == NULL)
			return unknown_command(argv[at], err);
	}
	if (rc != 0)
		err_clear(err);
	if (read_options(argc, argv, at, out, err) != 0)
		return -1;
	if (out->help || out->version)
		return 0;
	if (out->command == NULL) {
		(void)err_set(err, ERR_USAGE, "no command is given");
		return err_hint(err, "dapk-backup --help lists the commands");
	}
	return check_arguments(out, err);
}

void
parsed_free(struct parsed *p)
{
	free(p->given);
	free(p->arguments);
	memset(p, 0, sizeof(*p));
}
