/* SPDX-License-Identifier: PostgreSQL */
/* What S3 servers send, and what anybody could send in their place. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/s3_answer.h"
#include "storage/s3_place.h"
#include "storage/s3_xml.h"

static struct err err;

static int
note(void *arg, const char *path, const char *text, struct err *e)
{
	char *out = arg;
	size_t len = strlen(out);

	(void)snprintf(out + len, 1000 - len, "%s=%s ", path, text);
	if (strcmp(text, "stop") == 0)
		return err_set(e, ERR_CANCELLED, "stopped");
	return 0;
}

static int
read_xml(const char *xml, char out[1000])
{
	err_clear(&err);
	out[0] = '\0';
	return s3_xml_read(xml, strlen(xml), note, out, &err);
}

static void
elements_come_with_their_paths_and_texts(void **state)
{
	char out[1000];

	(void)state;
	assert_int_equal(read_xml("<?xml version=\"1.0\"?>\n"
	    "<R xmlns=\"http://x/\"><a>1</a><s:b xmlns:s=\"y\">&lt;2&amp;"
	    "&#65;</s:b><c><d/> <e>x<f>y</f>z</e></c></R>", out), 0);
	assert_string_equal(out, "/R/a=1 /R/b=<2&A /R/c/d= /R/c/e/f=y "
	    "/R/c/e=z /R/c= /R= ");
	assert_int_equal(read_xml("<R><a>stop</a><b/></R>", out), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_string_equal(out, "/R/a=stop ");
}

static void
what_is_no_whole_document_is_damage(void **state)
{
	static const char *const bad[] = { "", " ", "x", "<R>", "<R><a></R>",
		"<R/><R/>", "<R>&unknown;</R>", "<R>\x01</R>",
		"<R>\xff\xfe</R>", "<html><body><p>502 Bad Gateway</body>" };
	char out[1000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_xml(bad[i], out), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
	}
}

static void
hostile_documents_are_refused(void **state)
{
	static const char *const bad[] = {
		"<!DOCTYPE R [<!ENTITY a \"aaaaaaaaaa\">"
		"<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><R>&b;</R>",
		"<!DOCTYPE R [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
		"<R>&x;</R>",
		"<!DOCTYPE R SYSTEM \"http://127.0.0.1/x.dtd\"><R/>" };
	char out[1000], *deep = xcalloc(1, 100000);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_xml(bad[i], out), -1);
		assert_int_equal(err.code, ERR_DAMAGED);
		assert_non_null(strstr(err.msg, "document type"));
	}
	for (i = 0; i < 20000; i++)
		memcpy(deep + 3 * i, "<a>", 3);
	assert_int_equal(read_xml(deep, out), -1);
	assert_non_null(strstr(err.msg, "nested"));
	/* A text, and a name, that go on and on. */
	memset(deep, 'x', 99999);
	memcpy(deep, "<R>", 3);
	assert_int_equal(read_xml(deep, out), -1);
	assert_non_null(strstr(err.msg, "too long"));
	deep[2] = 'x';
	deep[90000] = '>';
	assert_int_equal(read_xml(deep, out), -1);
	free(deep);
}

static struct s3_failure
failure(int status, const char *body)
{
	struct s3_failure f;

	(void)s3_failure_read(&f, status, body, strlen(body));
	return f;
}

static void
an_error_document_is_read_and_told(void **state)
{
	struct s3_failure f = failure(403, "<?xml version=\"1.0\" "
	    "encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code>"
	    "<Message>Access Denied</Message><BucketName>b</BucketName>"
	    "<RequestId>tx0001</RequestId><HostId>h</HostId></Error>");

	(void)state;
	err_clear(&err);
	assert_int_equal(s3_failure_tell(&f, "vault", "the environment",
	    &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_string_equal(err.msg, "the server says AccessDenied: Access "
	    "Denied (HTTP status 403, request tx0001)");
	assert_non_null(strstr(err.hint, "vault"));
	assert_non_null(strstr(err.hint, "the environment"));
	assert_non_null(strstr(err.hint, "s3:PutObject"));
}

static void
nothing_that_a_terminal_obeys_is_told(void **state)
{
	struct s3_failure f = failure(500, "<Error><Code>A&#9;b\x7f</Code>"
	    "<Message>x&#10;\xc2\x9b" "31m</Message></Error>");
	char long_text[3000] = "<Error><Message>";

	(void)state;
	assert_string_equal(f.code, "A?b?");
	assert_string_equal(f.message, "x???31m");
	memset(long_text + strlen(long_text), 'm', 2500);
	strcat(long_text, "</Message></Error>");
	f = failure(500, long_text);
	assert_int_equal(strlen(f.message), sizeof(f.message) - 1);
}

static void
half_an_error_document_is_none(void **state)
{
	struct s3_failure f = failure(404,
	    "<Error><Code>NoSuchKey</Code><Message>");

	(void)state;
	assert_string_equal(f.code, "");
	assert_int_equal(s3_failure_kind(&f), S3_KIND_UNCLEAR);
	f = failure(404, "<html><Code>NoSuchKey</Code></html>");
	assert_int_equal(s3_failure_kind(&f), S3_KIND_UNCLEAR);
	assert_false(s3_failure_read(&f, 200, "<ListBucketResult/>", 19));
	assert_true(s3_failure_read(&f, 200, "<Error/>", 8));
}

static void
what_may_go_better_is_told_from_what_may_not(void **state)
{
	static const struct {
		int status;
		const char *code;
		enum s3_kind kind;
	} cases[] = {
		{ 500, "InternalError", S3_KIND_AGAIN },
		{ 500, "", S3_KIND_AGAIN },
		{ 502, "", S3_KIND_AGAIN },
		{ 503, "SlowDown", S3_KIND_AGAIN },
		{ 504, "", S3_KIND_AGAIN },
		{ 429, "", S3_KIND_AGAIN },
		{ 408, "", S3_KIND_AGAIN },
		{ 499, "", S3_KIND_AGAIN },
		{ 409, "OperationAborted", S3_KIND_AGAIN },
		{ 409, "ConditionalRequestConflict", S3_KIND_AGAIN },
		{ 409, "InvalidBucketState", S3_KIND_REFUSED },
		{ 400, "RequestTimeout", S3_KIND_AGAIN },
		{ 400, "BadDigest", S3_KIND_AGAIN },
		{ 400, "XAmzContentSHA256Mismatch", S3_KIND_AGAIN },
		{ 400, "InvalidArgument", S3_KIND_REFUSED },
		{ 403, "RequestTimeTooSkewed", S3_KIND_CLOCK },
		{ 403, "SignatureDoesNotMatch", S3_KIND_KEYS },
		{ 403, "InvalidAccessKeyId", S3_KIND_KEYS },
		{ 400, "ExpiredToken", S3_KIND_EXPIRED },
		{ 403, "", S3_KIND_DENIED },
		{ 403, "SomethingNew", S3_KIND_DENIED },
		{ 404, "NoSuchBucket", S3_KIND_NO_BUCKET },
		{ 404, "NoSuchKey", S3_KIND_NO_KEY },
		{ 404, "", S3_KIND_UNCLEAR },
		{ 404, "NoSuchUpload", S3_KIND_REFUSED },
		{ 412, "", S3_KIND_TAKEN },
		{ 416, "InvalidRange", S3_KIND_RANGE },
		{ 501, "", S3_KIND_UNKNOWN },
		{ 400, "NotImplemented", S3_KIND_UNKNOWN },
		{ 301, "PermanentRedirect", S3_KIND_REGION },
		{ 306, "", S3_KIND_AGAIN }, /* a bit turned over */
		{ 507, "", S3_KIND_FULL },
		{ 403, "QuotaExceeded", S3_KIND_FULL },
		{ 200, "InternalError", S3_KIND_AGAIN },
	};
	struct s3_failure f;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&f, 0, sizeof(f));
		f.status = cases[i].status;
		strcpy(f.code, cases[i].code);
		if (s3_failure_kind(&f) != cases[i].kind)
			fail_msg("%d %s", f.status, f.code);
	}
}

static void
texts_are_escaped_for_xml(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	s3_xml_add(&b, "a<b>&\"'\n\xc3\xa4");
	assert_string_equal(buf_str(&b),
	    "a&#60;b&#62;&#38;&#34;&#39;&#10;\xc3\xa4");
	buf_free(&b);
}

static void
expect_place(const struct storage_settings *set, const char *host,
    const char *path)
{
	struct s3_place place;
	struct buf b;

	err_clear(&err);
	buf_init(&b, 1000);
	if (s3_place_init(&place, set, &err) != 0)
		fail_msg("%s: %s", set->url, err.msg);
	s3_place_host(&place, "eu-west-1", &b);
	assert_string_equal(buf_str(&b), host);
	buf_clear(&b);
	s3_place_path(&place, "k/e.y", &b);
	assert_string_equal(buf_str(&b), path);
	s3_place_free(&place);
	buf_free(&b);
}

#define SET(u, e, s) (&(struct storage_settings){ .url = (u),           \
	.endpoint = (e), .path_style = STORAGE_PATH_##s })

static void
hosts_and_paths_follow_from_the_settings(void **state)
{
	(void)state;
	expect_place(SET("s3://b-1/p", NULL, AUTO),
	    "b-1.s3.eu-west-1.amazonaws.com", "/p/k/e.y");
	/* No certificate is for two names before the host. */
	expect_place(SET("s3://my.b/p/q//", NULL, AUTO),
	    "s3.eu-west-1.amazonaws.com", "/my.b/p/q/k/e.y");
	expect_place(SET("s3://Old_b", NULL, AUTO),
	    "s3.eu-west-1.amazonaws.com", "/Old_b/k/e.y");
	expect_place(SET("s3://b", NULL, YES),
	    "s3.eu-west-1.amazonaws.com", "/b/k/e.y");
	expect_place(SET("s3://b/", "https://Ceph.Local:443/", AUTO),
	    "ceph.local", "/b/k/e.y");
	expect_place(SET("s3://b/", "http://ceph.local:443", NO),
	    "b.ceph.local:443", "/k/e.y");
	expect_place(SET("s3://b/a b%20", "http://[::1]:80", AUTO),
	    "[::1]", "/b/a b%20/k/e.y");
	expect_place(SET("s3://b", "https://[::1]", AUTO), "[::1]",
	    "/b/k/e.y");
}

static void
settings_that_make_no_sense_are_told(void **state)
{
	const struct storage_settings *const bad[] = {
		SET("s3://", NULL, AUTO), SET("s3:///x", NULL, AUTO),
		SET("s3://-b/x", NULL, AUTO), SET("s3://b?x/y", NULL, AUTO),
		SET("s3://b/a//b", NULL, AUTO), SET("s3://b/../x", NULL, AUTO),
		SET("s3://b/a\nb", NULL, AUTO),
		SET("s3://b", "ceph.local", AUTO),
		SET("s3://b", "ftp://ceph.local", AUTO),
		SET("s3://b", "https://", AUTO),
		SET("s3://b", "https://:80", AUTO),
		SET("s3://b", "https://h:80x", AUTO),
		SET("s3://b", "https://h/path", AUTO),
		SET("s3://b", "https://h?x", AUTO),
		SET("s3://b", "https://me:secret@h", AUTO),
		SET("s3://b", "https://127.0.0.1:9000", NO) };
	struct s3_place place;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		if (s3_place_init(&place, bad[i], &err) == 0)
			fail_msg("%s %s", bad[i]->url, bad[i]->endpoint);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_string_not_equal(err.hint, "");
		assert_null(strstr(err.msg, "secret"));
		s3_place_free(&place);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_with_their_paths_and_texts),
		cmocka_unit_test(what_is_no_whole_document_is_damage),
		cmocka_unit_test(hostile_documents_are_refused),
		cmocka_unit_test(an_error_document_is_read_and_told),
		cmocka_unit_test(nothing_that_a_terminal_obeys_is_told),
		cmocka_unit_test(half_an_error_document_is_none),
		cmocka_unit_test(what_may_go_better_is_told_from_what_may_not),
		cmocka_unit_test(texts_are_escaped_for_xml),
		cmocka_unit_test(hosts_and_paths_follow_from_the_settings),
		cmocka_unit_test(settings_that_make_no_sense_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
