/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/*
 * The man pages and the option table say the same. An option stands as ".It
 * [Fl x ,] Fl -name" on the page of each command that takes it, or, when four
 * commands or more do, in dapk-backup(1) with their names; a key of the file in
 * dapk-backup.conf(5) as ".It Ic key No = ...", below its section; nothing else
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "core/io.h"
#include "core/mem.h"

#define PAGE_MAX_BYTES ((size_t)1 << 20)
#define ROWS_MAX 200
#define COMMON_FROM 4 /* commands */

static struct buf page1, page5;

static int
read_page(const char *name, struct buf *out)
{
	const char *top = getenv("DAPK_SRCDIR");
	struct err err = ERR_INIT;
	char *path = xasprintf("%s/man/%s", top == NULL ? "." : top, name);
	int ret;

	buf_init(out, PAGE_MAX_BYTES);
	ret = io_read_file(path, out, &err);
	free(path);
	return ret;
}

static void
read_command_page(const struct command *c, struct buf *out)
{
	char *name = xasprintf("dapk-backup-%s.1", c->name);

	if (read_page(name, out) != 0)
		fail_msg("there is no man/%s", name);
	free(name);
}

static int
setup(void **state)
{
	(void)state;
	return read_page("dapk-backup.1", &page1) == 0 &&
	    read_page("dapk-backup.conf.5", &page5) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&page1);
	buf_free(&page5);
	return 0;
}

static bool
is_common(const struct option *o)
{
	return __builtin_popcount(o->commands & COMMAND_ANY) >= COMMON_FROM;
}

/* Of all commands; completion looks at no repository, init makes its id. */
static bool
is_general(const struct option *o)
{
	return ((o->commands | COMMAND_COMPLETION | COMMAND_INIT) &
	    COMMAND_ANY) == COMMAND_ANY;
}

/* The item's text up to the next ".It" or ".El". */
static char *
item_text(const char *item)
{
	const char *it = strstr(item + 1, "\n.It "), *el = strstr(item,
	    "\n.El");

	assert_non_null(el);
	return xstrndup(item, (size_t)((it != NULL && it < el ? it : el) -
	    item));
}

/* Of an item "Fl x , Fl -name": the rows of that name that want says. */
static void
see_item(const char *page, const char *line, bool seen[ROWS_MAX],
    bool (*want)(const struct option *, unsigned), unsigned bit)
{
	const char *flag = line + strlen("\n.It Fl "), *end;
	const struct option *o;
	char short_name = 0;

	end = strchr(line + 1, '\n');
	assert_non_null(end);
	if (*flag != '-') {
		short_name = strncmp(flag, "\\&?", 3) == 0 ? '?' : *flag;
		flag = strstr(flag, "Fl -");
		assert_true(flag != NULL && flag < end);
		flag += strlen("Fl ");
	}
	flag++;
	for (o = option_table; o->name != NULL; o++) {
		if (strlen(o->name) == strcspn(flag, " \n") &&
		    strncmp(o->name, flag, strlen(o->name)) == 0 &&
		    want(o, bit) && !seen[o - option_table])
			break;
	}
	if (o->name == NULL)
		fail_msg("%s has --%.*s, the table not, or not for it", page,
		    (int)strcspn(flag, " \n"), flag);
	seen[o - option_table] = true;
	if (o->short_name != short_name)
		fail_msg("--%s: %s has -%c, the table -%c", o->name, page,
		    short_name, o->short_name);
}

/* Placeholder, default and variable, in an item of the page. */
static void
assert_item_says(const char *page, const char *text, const struct option *o)
{
	char *head, *want, *item;
	const char *at, *line;
	bool found = false;

	head = o->value == NULL ? xasprintf("Fl -%s\n", o->name) :
	    xasprintf("Fl -%s Ns = Ns Ar %s\n", o->name, o->value);
	for (at = text; !found && (at = strstr(at, head)) != NULL; at++) {
		for (line = at; line > text && line[-1] != '\n'; line--)
			;
		if (strncmp(line, ".It ", 4) != 0)
			continue; /* running text names options too */
		item = item_text(at);
		want = o->default_value == NULL ? xstrdup("") :
		    xasprintf("Default: %s.", o->default_value);
		found = strstr(item, want) != NULL &&
		    (o->env == NULL || strstr(item, o->env) != NULL);
		free(want);
		free(item);
	}
	if (!found)
		fail_msg("%s lacks --%s with its placeholder, default (%s) "
		    "and variable (%s)", page, o->name, o->default_value ==
		    NULL ? "none" : o->default_value, o->env == NULL ? "none" :
		    o->env);
	free(head);
}

static bool
wants_common(const struct option *o, unsigned bit)
{
	(void)bit;
	return o->commands != 0 && is_common(o);
}

static bool
wants_own(const struct option *o, unsigned bit)
{
	return (o->commands & bit) != 0 && !is_common(o);
}

/* "Commands: a, b." of an item, however its lines are broken. */
static void
assert_names_commands(const struct option *o)
{
	const char *at = buf_str(&page1);
	char *head, *item, *want = xstrdup("Commands:"), *more, *p;
	const struct command *c;

	if ((o->commands & COMMAND_ANY) == COMMAND_ANY)
		goto done;
	for (c = command_table; c->name != NULL; c++) {
		if ((o->commands & c->bit) == 0)
			continue;
		more = xasprintf("%s%s %s", want, want[strlen(want) - 1] == ':' ?
		    "" : ",", c->name);
		free(want);
		want = more;
	}
	more = xasprintf("%s.", want);
	free(want);
	want = more;
	head = o->value == NULL ? xasprintf("Fl -%s\n", o->name) :
	    xasprintf("Fl -%s Ns = Ns Ar %s\n", o->name, o->value);
	while ((at = strstr(at, head)) != NULL) {
		item = item_text(at++);
		for (p = item; *p != '\0'; p++)
			if (*p == '\n')
				*p = ' ';
		if (strstr(item, want) != NULL) {
			free(item);
			free(head);
			goto done;
		}
		free(item);
	}
	fail_msg("--%s in dapk-backup(1) lacks \"%s\"", o->name, want);
done:
	free(want);
}

static void
the_overview_has_the_options_of_many_commands(void **state)
{
	bool seen[ROWS_MAX] = { false };
	const char *line = buf_str(&page1);
	const struct option *o;

	(void)state;
	while ((line = strstr(line, "\n.It Fl ")) != NULL) {
		see_item("dapk-backup(1)", line, seen, wants_common, 0);
		line++;
	}
	for (o = option_table; o->name != NULL; o++) {
		/* Secrets, without a command, stand in the file only. */
		if (!wants_common(o, 0))
			continue;
		if (!seen[o - option_table])
			fail_msg("dapk-backup(1) lacks --%s", o->name);
		assert_item_says("dapk-backup(1)", buf_str(&page1), o);
		assert_names_commands(o);
	}
}

/* What is described in dapk-backup(1) is named at least. */
static void
assert_named(const char *page, const char *text, const struct option *o)
{
	char *want = xasprintf("Fl -%s ", o->name);

	if (strstr(text, want) == NULL)
		fail_msg("%s does not name --%s", page, o->name);
	free(want);
}

static void
each_command_has_a_page_with_its_options_and_no_other(void **state)
{
	const struct command *c;

	(void)state;
	for (c = command_table; c->name != NULL; c++) {
		bool seen[ROWS_MAX] = { false };
		const struct option *o;
		const char *line;
		struct buf page;

		read_command_page(c, &page);
		line = buf_str(&page);
		while ((line = strstr(line, "\n.It Fl ")) != NULL) {
			see_item(c->name, line, seen, wants_own, c->bit);
			line++;
		}
		for (o = option_table; o->name != NULL; o++) {
			if (wants_own(o, c->bit)) {
				if (!seen[o - option_table])
					fail_msg("%s: its page lacks --%s",
					    c->name, o->name);
				assert_item_says(c->name, buf_str(&page), o);
			} else if ((o->commands & c->bit) != 0 &&
			    !option_is_storage(o) && !is_general(o))
				assert_named(c->name, buf_str(&page), o);
		}
		buf_free(&page);
	}
}

/* Examples come before the description. */
static void
each_page_begins_with_examples(void **state)
{
	const struct command *c;

	(void)state;
	for (c = command_table; c->name != NULL; c++) {
		const char *examples, *description;
		struct buf page;

		read_command_page(c, &page);
		examples = strstr(buf_str(&page), "\n.Sh AT A GLANCE\n");
		description = strstr(buf_str(&page), "\n.Sh DESCRIPTION\n");
		if (examples == NULL || description == NULL ||
		    examples > description)
			fail_msg("%s: its page does not begin with examples",
			    c->name);
		buf_free(&page);
	}
}

static void
the_overview_has_every_command_and_variable(void **state)
{
	const struct command *c;
	const struct option *o;
	char *want;

	(void)state;
	for (c = command_table; c->name != NULL; c++) {
		want = xasprintf("\n.It Xr dapk-backup-%s 1\n", c->name);
		if (strstr(buf_str(&page1), want) == NULL)
			fail_msg("the page lacks command %s", c->name);
		free(want);
	}
	for (o = option_table; o->name != NULL; o++) {
		if (o->env == NULL)
			continue;
		want = xasprintf("\n.It Ev %s\n", o->env);
		if (strstr(buf_str(&page1), want) == NULL)
			fail_msg("the page lacks variable %s", o->env);
		free(want);
	}
}

static enum option_section
section_of(const char *line)
{
	if (strncmp(line, ".Ss Section global", 18) == 0)
		return SECTION_GLOBAL;
	if (strncmp(line, ".Ss Section cluster", 19) == 0)
		return SECTION_CLUSTER;
	if (strncmp(line, ".Ss Section repository", 22) == 0)
		return SECTION_REPOSITORY;
	return SECTION_NONE;
}

static void
the_file_page_has_every_key_in_its_section_and_no_other(void **state)
{
	bool seen[ROWS_MAX] = { false };
	enum option_section section = SECTION_NONE;
	const char *line = buf_str(&page5);
	const struct option *o;
	char *key;
	size_t i;

	(void)state;
	for (; line != NULL; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, ".Ss ", 4) == 0 ||
		    strncmp(line, ".Sh ", 4) == 0)
			section = section_of(line);
		if (strncmp(line, ".It Ic ", 7) != 0)
			continue;
		key = xstrndup(line + 7, strcspn(line + 7, " \n"));
		o = option_find_key(key, section, NULL);
		if (o == NULL)
			fail_msg("the page has key %s in the wrong section, "
			    "or the table lacks it", key);
		assert_false(seen[o - option_table]);
		seen[o - option_table] = true;
		free(key);
	}
	for (i = 0; option_table[i].name != NULL; i++) {
		if (option_table[i].section != SECTION_NONE && !seen[i])
			fail_msg("key %s is missing in the page",
			    option_key(&option_table[i]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_overview_has_the_options_of_many_commands),
		cmocka_unit_test(
		    each_command_has_a_page_with_its_options_and_no_other),
		cmocka_unit_test(each_page_begins_with_examples),
		cmocka_unit_test(the_overview_has_every_command_and_variable),
		cmocka_unit_test(
		    the_file_page_has_every_key_in_its_section_and_no_other),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
