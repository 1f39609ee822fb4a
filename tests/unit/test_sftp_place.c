/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "storage/sftp_place.h"

static void
urls_are_taken_apart(void **state)
{
	static const struct {
		const char *url, *user, *host, *root, *shown;
		unsigned port;
	} t[] = {
		{ "sftp://me@host/srv/b", "me", "host", "/srv/b",
		    "sftp://me@host/srv/b", 22 },
		{ "sftp://host:2222/srv//", NULL, "host", "/srv",
		    "sftp://host:2222/srv", 2222 },
		{ "sftp://[2001:db8::1]:22/x", NULL, "2001:db8::1", "/x",
		    "sftp://[2001:db8::1]:22/x", 22 },
		{ "sftp://[::1]/x", NULL, "::1", "/x", "sftp://[::1]/x", 22 },
		{ "sftp://a.b@h/~/in/home", "a.b", "h", "in/home",
		    "sftp://a.b@h/~/in/home", 22 },
		{ "sftp://h/~", NULL, "h", ".", "sftp://h/~", 22 },
		{ "sftp://h/with space/ü", NULL, "h", "/with space/ü",
		    "sftp://h/with space/ü", 22 },
	};
	struct sftp_place p;
	struct err err = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (sftp_place_parse(&p, t[i].url, &err) != 0)
			fail_msg("%s: %s", t[i].url, err.msg);
		if (t[i].user == NULL)
			assert_null(p.user);
		else
			assert_string_equal(p.user, t[i].user);
		assert_string_equal(p.host, t[i].host);
		assert_string_equal(p.root, t[i].root);
		assert_string_equal(p.url, t[i].shown);
		assert_int_equal(p.port, t[i].port);
		sftp_place_free(&p);
	}
}

static void
what_makes_no_sense_is_refused_without_showing_a_password(void **state)
{
	static const char *const bad[] = { "sftp://host", "sftp://host/",
		"sftp:///srv", "sftp://@host/x", "sftp://host:0/x",
		"sftp://host:70000/x", "sftp://host:x/y", "sftp://::1/x",
		"sftp://[::1/x", "sftp://[::1]x/y", "sftp://host/a/../b",
		"sftp://host/a//b", "sftp://host/./b", "sftp://-oProxy/x",
		"sftp://h\no/x", "sftp://host/a\nb", "sftp://me:secret@h/x",
		"sftp://m\"e@h/x" };
	struct sftp_place p;
	struct err err = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		if (sftp_place_parse(&p, bad[i], &err) == 0)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_null(strstr(err.msg, "secret"));
		assert_true(err.hint[0] != '\0');
		assert_null(p.host);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(
		    what_makes_no_sense_is_refused_without_showing_a_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
