/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/option.h"
#include "core/mem.h"

static const struct option *
row(const char *name)
{
	const struct option *o = option_find(name, strlen(name), COMMAND_ANY);

	assert_non_null(o);
	return o;
}

/* Does this row take this text? A taken value must be what is stored. */
static bool
takes(const char *name, const char *value)
{
	struct config cfg;
	struct err err = ERR_INIT;
	bool taken;

	config_init(&cfg);
	taken = option_set(&cfg, row(name), value, false, &err) == 0;
	assert_int_equal(err.code, taken ? ERR_NONE : ERR_CONFIG);
	config_free(&cfg);
	return taken;
}

static void
every_number_takes_its_range_ends_and_nothing_beyond(void **state)
{
	const struct option *o;
	char text[40];

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		if (o->type != OPTION_INT && o->type != OPTION_UNSIGNED &&
		    o->type != OPTION_JOBS && o->type != OPTION_SIZE)
			continue;
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)o->min);
		assert_true(takes(o->name, text));
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)o->max);
		assert_true(takes(o->name, text));
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)o->max + 1);
		assert_false(takes(o->name, text));
		if (o->min > 0) {
			(void)snprintf(text, sizeof(text), "%llu",
			    (unsigned long long)o->min - 1);
			assert_false(takes(o->name, text));
		}
		assert_false(takes(o->name, "-1"));
		assert_false(takes(o->name, "x"));
		assert_false(takes(o->name, "1x"));
		assert_false(takes(o->name, "99999999999999999999999"));
		assert_false(takes(o->name, ""));
	}
}

static void
every_duration_takes_its_range_ends_and_nothing_beyond(void **state)
{
	const struct option *o;
	char text[40];
	unsigned seen = 0;

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		if (o->type != OPTION_DURATION)
			continue;
		seen++;
		(void)snprintf(text, sizeof(text), "%llums",
		    (unsigned long long)o->min);
		assert_true(takes(o->name, text));
		(void)snprintf(text, sizeof(text), "%llums",
		    (unsigned long long)o->max);
		assert_true(takes(o->name, text));
		(void)snprintf(text, sizeof(text), "%llums",
		    (unsigned long long)o->max + 1);
		assert_false(takes(o->name, text));
		(void)snprintf(text, sizeof(text), "%llums",
		    (unsigned long long)o->min - 1);
		assert_false(takes(o->name, text));
		assert_false(takes(o->name, "5 fortnights"));
	}
	assert_true(seen > 0);
}

static void
every_choice_takes_its_words_and_no_other(void **state)
{
	const struct option *o;
	struct config cfg;
	struct err err = ERR_INIT;
	int i, stored;

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		if (o->type != OPTION_CHOICE)
			continue;
		for (i = 0; o->choices[i] != NULL; i++) {
			config_init(&cfg);
			assert_int_equal(option_set(&cfg, o, o->choices[i],
			    false, &err), 0);
			memcpy(&stored, (char *)&cfg + o->offset,
			    sizeof(stored));
			assert_int_equal(stored, i);
			config_free(&cfg);
		}
		assert_false(takes(o->name, "sometimes"));
	}
}

static void
every_switch_takes_yes_and_no(void **state)
{
	static const char *const words[][2] = { { "yes", "no" },
		{ "on", "off" }, { "true", "false" }, { "1", "0" } };
	const struct option *o;
	struct config cfg;
	struct err err = ERR_INIT;
	size_t w;

	(void)state;
	config_init(&cfg);
	for (o = option_table; o->name != NULL; o++) {
		const bool *at = (const bool *)((const char *)&cfg +
		    o->offset);

		if (o->type != OPTION_BOOL)
			continue;
		for (w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
			assert_int_equal(option_set(&cfg, o, words[w][0],
			    false, &err), 0);
			assert_true(*at);
			assert_int_equal(option_set(&cfg, o, words[w][1],
			    false, &err), 0);
			assert_false(*at);
		}
		assert_int_equal(option_set(&cfg, o, "maybe", false, &err),
		    -1);
		err_clear(&err);
	}
	config_free(&cfg);
}

static void
every_key_has_a_variable_and_every_row_is_whole(void **state)
{
	const struct option *o, *p;
	char env[80];
	size_t i;

	(void)state;
	for (o = option_table; o->name != NULL; o++) {
		assert_non_null(o->help);
		if (o->type == OPTION_SECRET) {
			/* of a private file, and of nothing else */
			assert_true(o->commands == 0 && o->env == NULL);
			continue;
		}
		assert_true(o->commands != 0);
		assert_true((o->value != NULL) == option_takes_value(o));
		if (o->section != SECTION_NONE)
			assert_non_null(o->env);
		if (o->env != NULL && strncmp(o->name, "repository", 10) !=
		    0) {
			(void)snprintf(env, sizeof(env), "DAPK_BACKUP_%s",
			    o->name);
			for (i = 0; env[i] != '\0'; i++)
				env[i] = env[i] == '-' ? '_' :
				    env[i] >= 'a' && env[i] <= 'z' ?
				    (char)(env[i] - 'a' + 'A') : env[i];
			assert_string_equal(o->env, env);
		}
		/* No command may find two rows under one name. */
		for (p = o + 1; p->name != NULL; p++) {
			if ((o->commands & p->commands) == 0)
				continue;
			assert_string_not_equal(o->name, p->name);
			if (o->short_name != 0)
				assert_int_not_equal(o->short_name,
				    p->short_name);
		}
	}
	assert_string_equal(row("repository-url")->env,
	    "DAPK_BACKUP_REPOSITORY");
}

static void
jobs_auto_is_between_one_and_eight(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("jobs"), "auto", false, &err),
	    0);
	assert_in_range(cfg.jobs, 1, 8);
	assert_int_equal(option_set(&cfg, row("jobs"), "64", false, &err), 0);
	assert_int_equal(cfg.jobs, 64);
	config_free(&cfg);
}

static void
sizes_and_times_have_postgresql_units(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("max-rate"), "100MB", false,
	    &err), 0);
	assert_int_equal(cfg.max_rate, 100 << 20);
	assert_int_equal(option_set(&cfg, row("archive-timeout"), "10min",
	    false, &err), 0);
	assert_int_equal(cfg.archive_timeout_ms, 600000);
	assert_int_equal(option_set(&cfg, row("archive-timeout"), "90", false,
	    &err), 0);
	assert_int_equal(cfg.archive_timeout_ms, 90000);
	config_free(&cfg);
}

static void
urls_become_file_urls_and_other_schemes_are_refused(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("repository-url"), "/srv/x/",
	    true, &err), 0);
	assert_string_equal(cfg.repo.url, "file:///srv/x");
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "file:///srv/y", true, &err), 0);
	assert_string_equal(cfg.repo.url, "file:///srv/y");
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "s3://bucket/x//", true, &err), 0);
	assert_string_equal(cfg.repo.url, "s3://bucket/x");
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "sftp://me@host:22/~/x", true, &err), 0);
	assert_string_equal(cfg.repo.url, "sftp://me@host:22/~/x");
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "sftp://me:secret@host/x", true, &err), -1);
	assert_null(strstr(err.msg, "secret"));
	assert_int_equal(option_set(&cfg, row("repository-url"), "s3:///x",
	    true, &err), -1);
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "ftp://host/x", true, &err), -1);
	assert_non_null(strstr(err.msg, "ftp is not known"));
	assert_int_equal(option_set(&cfg, row("repository-url"),
	    "file://srv/y", true, &err), -1);
	assert_int_equal(option_set(&cfg, row("repository-url"), "srv/y",
	    true, &err), -1);
	/* Typed by hand, a relative path means the current directory. */
	assert_int_equal(option_set(&cfg, row("repository-url"), "srv/y",
	    false, &err), 0);
	assert_memory_equal(cfg.repo.url, "file:///", 8);
	config_free(&cfg);
}

static void
a_path_in_a_file_must_be_absolute(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("pgdata"), "data", true, &err),
	    -1);
	assert_int_equal(option_set(&cfg, row("pgdata"), "data", false,
	    &err), 0);
	assert_int_equal(cfg.pgdata[0], '/');
	config_free(&cfg);
}

static void
two_different_targets_are_refused(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("target-lsn"), "0/3000028",
	    false, &err), 0);
	assert_int_equal(cfg.target, TARGET_LSN);
	assert_string_equal(cfg.target_value, "0/3000028");
	assert_int_equal(option_set(&cfg, row("target-xid"), "700", false,
	    &err), -1);
	assert_non_null(strstr(err.msg, "--target-lsn"));
	assert_int_equal(option_set(&cfg, row("target"), "latest", false,
	    &err), -1);
	config_free(&cfg);
}

static void
tablespace_maps_gather_and_know_escaped_equal_signs(void **state)
{
	struct config cfg;
	struct err err = ERR_INIT;

	(void)state;
	config_init(&cfg);
	assert_int_equal(option_set(&cfg, row("tablespace-map"), "/a=/b",
	    false, &err), 0);
	assert_int_equal(option_set(&cfg, row("tablespace-map"),
	    "/c\\=d=/e\\=f", false, &err), 0);
	assert_int_equal(cfg.n_tablespace_maps, 2);
	assert_string_equal(cfg.tablespace_maps[0].from, "/a");
	assert_string_equal(cfg.tablespace_maps[1].from, "/c=d");
	assert_string_equal(cfg.tablespace_maps[1].to, "/e=f");
	config_free(&cfg);
	assert_false(takes("tablespace-map", "/a"));
	assert_false(takes("tablespace-map", "/a=/b=/c"));
	assert_false(takes("tablespace-map", "/a=b"));
	assert_false(takes("tablespace-map", "=/b"));
}

static void
names_ids_and_timelines_are_checked(void **state)
{
	(void)state;
	assert_true(takes("cluster", "main_15.a-b"));
	assert_false(takes("cluster", "-x"));
	assert_false(takes("cluster", "a/b"));
	assert_true(takes("cluster", "a23456789012345678901234567890"
	    "123456789012345678901234567890123"));
	assert_false(takes("cluster", "a23456789012345678901234567890"
	    "1234567890123456789012345678901234"));
	assert_true(takes("repository-id",
	    "00112233445566778899aabbccddeeff"));
	assert_false(takes("repository-id", "0011"));
	assert_true(takes("timeline", "current"));
	assert_true(takes("timeline", "4294967295"));
	assert_true(takes("timeline", "0x1F"));
	assert_false(takes("timeline", "0x"));
	assert_false(takes("timeline", "0x0"));
	assert_false(takes("timeline", "0x123456789"));
	assert_false(takes("timeline", "0"));
	assert_false(takes("timeline", "4294967296"));
	assert_false(takes("timeline", "newest"));
}

static void
the_nearest_name_is_suggested_only_when_it_is_near(void **state)
{
	static const char *const names[] = { "jobs", "compress-level",
		"max-rate", "restore" };

	(void)state;
	assert_string_equal(option_nearest("job", names, 4), "jobs");
	assert_string_equal(option_nearest("jbos", names, 4), "jobs");
	assert_string_equal(option_nearest("compress_level", names, 4),
	    "compress-level");
	assert_string_equal(option_nearest("compress", names, 4),
	    "compress-level");
	assert_string_equal(option_nearest("restoer", names, 4), "restore");
	assert_null(option_nearest("frobnicate", names, 4));
	assert_null(option_nearest("", names, 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_number_takes_its_range_ends_and_nothing_beyond),
		cmocka_unit_test(
		    every_duration_takes_its_range_ends_and_nothing_beyond),
		cmocka_unit_test(every_choice_takes_its_words_and_no_other),
		cmocka_unit_test(every_switch_takes_yes_and_no),
		cmocka_unit_test(
		    every_key_has_a_variable_and_every_row_is_whole),
		cmocka_unit_test(jobs_auto_is_between_one_and_eight),
		cmocka_unit_test(sizes_and_times_have_postgresql_units),
		cmocka_unit_test(
		    urls_become_file_urls_and_other_schemes_are_refused),
		cmocka_unit_test(a_path_in_a_file_must_be_absolute),
		cmocka_unit_test(two_different_targets_are_refused),
		cmocka_unit_test(
		    tablespace_maps_gather_and_know_escaped_equal_signs),
		cmocka_unit_test(names_ids_and_timelines_are_checked),
		cmocka_unit_test(
		    the_nearest_name_is_suggested_only_when_it_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
