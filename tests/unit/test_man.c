/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/*
 * The man pages and the option table say the same: each option stands in
 * dapk-backup(1) as ".It [Fl x ,] Fl -name", each key in dapk-backup.conf(5)
 * as ".It Ic key No = ...", below its section; nothing else does.
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

static void
the_page_has_every_option_and_no_other(void **state)
{
	bool seen[ROWS_MAX] = { false };
	const char *line = buf_str(&page1), *flag;
	const struct option *o;
	size_t i;

	(void)state;
	while ((line = strstr(line, "\n.It Fl ")) != NULL) {
		const char *end = strchr(line + 1, '\n');
		unsigned passed = 0;
		char short_name = 0;

		flag = line + 8;
		if (*flag != '-') {
			short_name = strncmp(flag, "\\&?", 3) == 0 ? '?' :
								    *flag;
			flag = strstr(flag, "Fl -");
			assert_true(flag != NULL && flag < end);
			flag += 3;
		}
		flag++;
		o = option_find(flag, strcspn(flag, " \n"), COMMAND_ANY);
		if (o == NULL)
			fail_msg("the page has --%.*s, the table not",
			    (int)strcspn(flag, " \n"), flag);
		/* Several rows of one name are as many items, in order. */
		while (o != NULL && seen[o - option_table])
			o = option_find(flag, strcspn(flag, " \n"),
			    COMMAND_ANY & ~(passed |= o->commands));
		assert_non_null(o);
		seen[o - option_table] = true;
		if (o->short_name != short_name)
			fail_msg("--%s: the page has -%c, the table -%c",
			    o->name, short_name, o->short_name);
		line = end;
	}
	for (i = 0; option_table[i].name != NULL; i++) {
		/* Secrets stand in the file only. */
		if (!seen[i] && option_table[i].commands != 0)
			fail_msg("--%s is missing in the page",
			    option_table[i].name);
	}
}

/* An .It line that ends with this; running text names options too. */
static const char *
item_line(const char *page, const char *end)
{
	const char *at, *line;

	for (at = page; (at = strstr(at, end)) != NULL; at++) {
		for (line = at; line > page && line[-1] != '\n'; line--)
			;
		if (strncmp(line, ".It ", 4) == 0)
			return at;
	}
	return NULL;
}

static void
the_page_says_each_options_placeholder_default_and_variable(void **state)
{
	const struct option *o;
	char *want, *text;
	const char *item;

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		if (o->commands == 0)
			continue;
		want = o->value == NULL ? xasprintf("Fl -%s\n", o->name) :
		    xasprintf("Fl -%s Ns = Ns Ar %s\n", o->name, o->value);
		item = item_line(buf_str(&page1), want);
		if (item == NULL)
			fail_msg("the page lacks: %s", want);
		free(want);
		text = item_text(item);
		if (o->default_value != NULL) {
			want = xasprintf("Default: %s.", o->default_value);
			if (strstr(text, want) == NULL)
				fail_msg("--%s lacks: %s", o->name, want);
			free(want);
		}
		if (o->env != NULL && strstr(text, o->env) == NULL)
			fail_msg("--%s lacks %s", o->name, o->env);
		free(text);
	}
}

static void
the_page_has_every_command_and_variable(void **state)
{
	const struct command *c;
	const struct option *o;
	char *want;

	(void)state;
	for (c = command_table; c->name != NULL; c++) {
		want = xasprintf("\n.It Ic %s", c->name);
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
		cmocka_unit_test(the_page_has_every_option_and_no_other),
		cmocka_unit_test(
		    the_page_says_each_options_placeholder_default_and_variable),
		cmocka_unit_test(the_page_has_every_command_and_variable),
		cmocka_unit_test(
		    the_file_page_has_every_key_in_its_section_and_no_other),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
