/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

/* Lists of hosts, and which of the servers a backup is taken from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/sources.h"
#include "pg/conninfo.h"

static void
each_host_gets_its_own_port(void **state)
{
	struct conninfo_host *list;
	struct err err = ERR_INIT;
	size_t n;

	(void)state;
	(void)unsetenv("PGHOST");
	(void)unsetenv("PGPORT");
	assert_int_equal(conninfo_split("host=a,b,/c port=1,2,3 "
	    "password='x y\\'z' target_session_attrs=read-write", &list, &n,
	    &err), 0);
	assert_int_equal(n, 3);
	assert_string_equal(list[1].name, "b:2");
	assert_string_equal(list[1].conninfo,
	    "password='x y\\'z' host='b' port='2'");
	assert_string_equal(list[2].name, "/c:3");
	conninfo_free(list, n);
	assert_int_equal(conninfo_split("postgresql://u@a:1,b:2/db", &list,
	    &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "a:1");
	conninfo_free(list, n);
}

static void
one_port_serves_all_hosts_and_two_for_three_are_refused(void **state)
{
	struct conninfo_host *list;
	struct err err = ERR_INIT;
	size_t n;

	(void)state;
	assert_int_equal(conninfo_split("host=a,b port=7", &list, &n, &err),
	    0);
	assert_string_equal(list[0].name, "a:7");
	assert_string_equal(list[1].name, "b:7");
	conninfo_free(list, n);
	assert_int_equal(conninfo_split("host=a,b,c port=1,2", &list, &n,
	    &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

static void
a_string_without_a_list_stays_as_it_is(void **state)
{
	static const char *const same[] = { "", "shipments",
		"host=a port=1 user=u", "user=u" };
	struct conninfo_host *list;
	struct err err = ERR_INIT;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(conninfo_split(same[i], &list, &n, &err), 0);
		assert_int_equal(n, 1);
		assert_string_equal(list[0].conninfo, same[i]);
		conninfo_free(list, n);
	}
}

static void
the_role_decides_and_then_how_far_a_standby_is(void **state)
{
	static char primary[] = "primary", behind[] = "behind",
	    near[] = "near";
	static const struct source servers[] = {
		{ .name = primary, .place = 0, .lsn = 100 },
		{ .name = behind, .place = 1, .standby = true, .lsn = 50 },
		{ .name = near, .place = 2, .standby = true, .lsn = 90 },
	};
	static const struct {
		enum source_from from;
		size_t fit;
		const char *first;
	} cases[] = {
		{ SOURCE_ANY, 3, "primary" },
		{ SOURCE_PRIMARY, 1, "primary" },
		{ SOURCE_STANDBY, 2, "near" },
		{ SOURCE_PREFER_STANDBY, 3, "near" },
	};
	struct source list[3];
	size_t i, fit;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(list, servers, sizeof(list));
		sources_sort(list, 3, cases[i].from, &fit);
		assert_int_equal(fit, cases[i].fit);
		assert_string_equal(list[0].name, cases[i].first);
	}
	memcpy(list, servers, sizeof(list));
	sources_sort(list, 1, SOURCE_STANDBY, &fit);
	assert_int_equal(fit, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_host_gets_its_own_port),
		cmocka_unit_test(
		    one_port_serves_all_hosts_and_two_for_three_are_refused),
		cmocka_unit_test(a_string_without_a_list_stays_as_it_is),
		cmocka_unit_test(
		    the_role_decides_and_then_how_far_a_standby_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
