/* SPDX-License-Identifier: PostgreSQL */
/*
 * What real servers answer seldom, or only Amazon's or other firms' do: a
 * server of ours says it word by word. (tests/contract runs against a real
 * one.)
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/time.h"
#include "storage/storage.h"
#include "fixture_err.h"

#define STEPS_MAX 16
#define REQUEST_MAX 65536

/* One answer; its request is kept. */
struct step {
	const char *status; /* "404 Not Found"; NULL: close without a word */
	const char *headers; /* each ended by "\r\n"; NULL: none */
	const char *body; /* NULL: "" */
	bool no_length; /* the body ends with the connection */
};

struct server {
	pthread_t thread;
	int listening;
	const struct step *steps;
	size_t n, done;
	char *requests[STEPS_MAX];
	struct storage *st;
};

/* A request and its body; false: the connection ended. */
static bool
receive(int fd, char *out)
{
	size_t len = 0, want = 0;
	const char *end, *length;
	ssize_t got;

	for (;;) {
		out[len] = '\0';
		end = strstr(out, "\r\n\r\n");
		if (end != NULL) {
			length = strcasestr(out, "\r\nContent-Length:");
			want = (size_t)(end + 4 - out) + (length == NULL ? 0 :
			    (size_t)atoi(length + 17));
			if (len >= want)
				return true;
		}
		got = read(fd, out + len, REQUEST_MAX - 1 - len);
		if (got <= 0)
			return false;
		len += (size_t)got;
	}
}

static void
send_all(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	char *request, *answer;
	int fd = -1;

	while (s->done < s->n) {
		const struct step *step = &s->steps[s->done];
		const char *body = step->body == NULL ? "" : step->body;

		if (fd < 0)
			fd = accept(s->listening, NULL, NULL);
		request = xcalloc(1, REQUEST_MAX);
		if (fd < 0 || !receive(fd, request)) {
			free(request);
			if (fd < 0)
				break; /* the test is over */
			(void)close(fd);
			fd = -1;
			continue;
		}
		s->requests[s->done++] = request;
		if (step->status != NULL) {
			answer = xasprintf("HTTP/1.1 %s\r\n%s", step->status,
			    step->headers == NULL ? "" : step->headers);
			send_all(fd, answer);
			free(answer);
			answer = step->no_length ? xasprintf("\r\n%s", body) :
			    xasprintf("Content-Length: %zu\r\n\r\n%s",
				strlen(body), body);
			send_all(fd, answer);
			free(answer);
		}
		if (step->status == NULL || step->no_length) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return NULL;
}

static void
server_start(struct server *s, const struct step *steps, size_t n,
    const char *region)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	char endpoint[64];
	const struct storage_settings set = { .url = "s3://vault/pre",
		.endpoint = endpoint, .region = region, .timeout_ms = 4000,
		.access_key_id = "AKIDTEST", .secret_access_key = "hush" };

	assert_true(n <= STEPS_MAX);
	memset(s, 0, sizeof(*s));
	s->steps = steps;
	s->n = n;
	s->listening = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(s->listening >= 0);
	assert_int_equal(bind(s->listening, (struct sockaddr *)&a,
	    sizeof(a)), 0);
	assert_int_equal(listen(s->listening, 10), 0);
	assert_int_equal(getsockname(s->listening, (struct sockaddr *)&a,
	    &len), 0);
	(void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
	    ntohs(a.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	err_clear(&err);
	if (storage_open(&s->st, &set, &err) != 0)
		fail_msg("%s", err.msg);
}

/* All that was to be asked was asked. */
static void
server_end(struct server *s)
{
	size_t i;

	storage_close(s->st);
	(void)shutdown(s->listening, SHUT_RDWR);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->listening);
	assert_int_equal(s->done, s->n);
	for (i = 0; i < s->done; i++)
		free(s->requests[i]);
}

#define START(steps, region) \
	server_start(&s, steps, sizeof(steps) / sizeof((steps)[0]), region)
#define HAS(n, text) assert_non_null(strcasestr(s.requests[n], text))
#define LACKS(n, text) assert_null(strcasestr(s.requests[n], text))

#define ERROR(code) "<Error><Code>" code "</Code><Message>Words of " code \
	"</Message></Error>"
#define META(size) "Content-Range: bytes 0-0/" size "\r\n" \
	"Last-Modified: Mon, 23 Nov 2026 06:00:00 GMT\r\n"
#define PAGE(inside) "<?xml version=\"1.0\"?><ListBucketResult>" inside \
	"</ListBucketResult>"
#define OBJECT(key) "<Contents><Key>" key "</Key><LastModified>" \
	"2026-11-23T06:00:00.123Z</LastModified><Size>7</Size></Contents>"

static void
without_conditions_a_put_looks_first(void **state)
{
	static const struct step steps[] = {
		{ "501 Not Implemented", NULL, ERROR("NotImplemented"), false },
		{ "404 Not Found", NULL, ERROR("NoSuchKey"), false },
		{ "200 OK", NULL, NULL, false },
		{ "206 Partial Content", META("3"), "x", false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_put(s.st, "k", "new", 3, &err));
	HAS(0, "if-none-match: *");
	HAS(1, "GET /vault/pre/k ");
	HAS(2, "PUT /vault/pre/k ");
	LACKS(2, "if-none-match");
	FAILS(storage_put(s.st, "k", "other", 5, &err), ERR_EXISTS);
	server_end(&s);
}

static void
the_bucket_is_followed_where_it_is_unless_a_region_was_said(void **state)
{
	static const struct step follow[] = {
		{ "400 Bad Request", NULL, "<Error><Code>"
		    "AuthorizationHeaderMalformed</Code><Region>eu-west-9"
		    "</Region></Error>", false },
		{ "200 OK", NULL, NULL, false },
		{ "301 Moved", "x-amz-bucket-region: eu-west-7\r\n",
		    ERROR("PermanentRedirect"), false },
		{ "200 OK", NULL, NULL, false },
	};
	struct server s;

	(void)state;
	START(follow, NULL);
	OK(storage_put(s.st, "k", "x", 1, &err));
	HAS(1, "/eu-west-9/s3/aws4_request");
	OK(storage_put(s.st, "k", "x", 1, &err));
	HAS(3, "/eu-west-7/s3/aws4_request");
	server_end(&s);
	server_start(&s, follow, 1, "us-east-2");
	FAILS(storage_put(s.st, "k", "x", 1, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "eu-west-9"));
	server_end(&s);
}

static void
a_wrong_clock_is_allowed_for_once(void **state)
{
	static const struct step steps[] = {
		{ "403 Forbidden", "Date: Sat, 01 Jan 2033 12:00:00 GMT\r\n",
		    ERROR("RequestTimeTooSkewed"), false },
		{ "200 OK", NULL, NULL, false },
		{ "403 Forbidden", "Date: Sat, 01 Jan 2033 12:00:01 GMT\r\n",
		    ERROR("RequestTimeTooSkewed"), false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_put(s.st, "k", "x", 1, &err));
	HAS(1, "x-amz-date: 20330101T1200");
	FAILS(storage_put(s.st, "k", "x", 1, &err), ERR_CONFIG);
	assert_non_null(strstr(err.hint, "clock"));
	server_end(&s);
}

static void
what_cannot_get_better_fails_at_once_without_a_secret(void **state)
{
	static const char *const codes[] = {
		ERROR("SignatureDoesNotMatch"), ERROR("InvalidAccessKeyId"),
		ERROR("AccessDenied"), ERROR("ExpiredToken"),
		ERROR("NoSuchBucket"), "<html>Forbidden</html>" };
	struct step step = { "403 Forbidden", NULL, NULL, false };
	struct server s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		step.body = codes[i];
		server_start(&s, &step, 1, NULL);
		FAILS(storage_put(s.st, "k", "x", 1, &err), ERR_CONFIG);
		assert_non_null(strstr(err.msg, "s3://vault/pre/k"));
		assert_string_not_equal(err.hint, "");
		assert_null(strstr(err.msg, "hush"));
		assert_null(strstr(err.hint, "hush"));
		server_end(&s);
	}
}

static void
a_missing_object_is_told_from_a_missing_bucket(void **state)
{
	static const struct step unclear[] = {
		{ "404 Not Found", NULL, NULL, false },
		{ "200 OK", NULL, PAGE(""), false },
		{ "404 Not Found", NULL, "<html>none</html>", false },
		{ "404 Not Found", NULL, ERROR("NoSuchBucket"), false },
	};
	struct server s;
	uint64_t size;
	char c;

	(void)state;
	START(unclear, NULL);
	FAILS(storage_stat(s.st, "k", &size, NULL, &err), ERR_NOT_FOUND);
	HAS(1, "prefix=pre%2Fk ");
	FAILS(storage_get(s.st, "k", 0, 1, &c, &err), ERR_CONFIG);
	server_end(&s);
}

static void
the_server_says_when_to_come_back(void **state)
{
	static const struct step steps[] = {
		{ "503 Slow Down", "Retry-After: 1\r\n", ERROR("SlowDown"),
		    false },
		{ "200 OK", NULL, NULL, false },
	};
	int64_t begun = time_monotonic();
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_put(s.st, "k", "x", 1, &err));
	assert_true(time_monotonic() - begun >= 1000000);
	server_end(&s);
}

/* curl itself sends again what a kept connection that was closed lost. */
static void
a_put_that_was_sent_twice_finds_its_own_bytes(void **state)
{
	static const struct step steps[] = {
		{ "200 OK", NULL, NULL, false },
		{ NULL, NULL, NULL, false }, /* obeyed, and died */
		{ "412 Precondition Failed", NULL,
		    ERROR("PreconditionFailed"), false },
		{ "206 Partial Content", META("3") "ETag: "
		    "\"900150983CD24FB0D6963F7D28E17F72\"\r\n", "a", false },
		{ "412 Precondition Failed", NULL,
		    ERROR("PreconditionFailed"), false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_put(s.st, "first", "x", 1, &err));
	OK(storage_put(s.st, "k", "abc", 3, &err)); /* its MD5 is above */
	FAILS(storage_put(s.st, "k", "abc", 3, &err), ERR_EXISTS);
	server_end(&s);
}

static void
others_bytes_are_not_taken_for_ours(void **state)
{
	static const struct step steps[] = {
		{ "500 Oops", NULL, ERROR("InternalError"), false },
		{ "412 Precondition Failed", NULL,
		    ERROR("PreconditionFailed"), false },
		{ "206 Partial Content", META("3") "ETag: \"unknown\"\r\n",
		    "a", false },
		{ "206 Partial Content", "Content-Range: bytes 0-2/3\r\n",
		    "abX", false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	FAILS(storage_put(s.st, "k", "abc", 3, &err), ERR_EXISTS);
	server_end(&s);
}

static int
note(void *arg, const struct storage_entry *e, struct err *why)
{
	char *out = arg;
	size_t len = strlen(out);

	(void)why;
	(void)snprintf(out + len, 500 - len, "%s%s ", e->name,
	    e->is_directory ? "" : e->size == 7 ? "=7" : "=?");
	return 0;
}

static void
pages_come_once_each_and_without_what_is_not_ours(void **state)
{
	static const struct step steps[] = {
		{ "200 OK", NULL, PAGE("<IsTruncated>true</IsTruncated>"
		    OBJECT("pre/a%2D1") "<CommonPrefixes><Prefix>pre/d/"
		    "</Prefix></CommonPrefixes><NextContinuationToken>t+/&amp;"
		    "</NextContinuationToken>"), false },
		/* cut, an error in disguise, and then whole */
		{ "200 OK", NULL, "<ListBucketResult>" OBJECT("pre/b"),
		    false },
		{ "200 OK", NULL, ERROR("InternalError"), false },
		{ "200 OK", NULL, PAGE(OBJECT("pre/b") OBJECT("pre/%2E%2E%2Fx")
		    OBJECT("pre/a+b") OBJECT("other/c") OBJECT("pre/folder/")),
		    false },
	};
	struct server s;
	char out[500] = "";

	(void)state;
	START(steps, NULL);
	OK(storage_list(s.st, "", true, note, out, &err));
	assert_string_equal(out, "a-1=7 d/ b=7 ");
	LACKS(0, "continuation");
	HAS(0, "delimiter=%2F");
	HAS(0, "encoding-type=url");
	HAS(1, "continuation-token=t%2B%2F%26&");
	HAS(3, "continuation-token=t%2B%2F%26&");
	server_end(&s);
}

static void
a_listing_that_makes_no_sense_is_an_error(void **state)
{
	static const struct step again[] = {
		{ "200 OK", NULL, PAGE("<IsTruncated>true</IsTruncated>"
		    "<NextContinuationToken>t</NextContinuationToken>"),
		    false },
		{ "200 OK", NULL, PAGE("<IsTruncated>true</IsTruncated>"
		    "<NextContinuationToken>t</NextContinuationToken>"),
		    false },
	};
	struct server s;
	char out[500] = "";

	(void)state;
	START(again, NULL);
	FAILS(storage_list(s.st, "", true, note, out, &err), ERR_STORAGE);
	assert_non_null(strstr(err.msg, "same page"));
	server_end(&s);
}

static void
what_an_object_holds_is_no_error_of_the_server(void **state)
{
	static const struct step steps[] = {
		{ "200 OK", NULL, ERROR("InternalError"), false },
		{ "206 Partial Content", "Content-Range: bytes 0-6/70\r\n",
		    "<Error>", false },
	};
	struct server s;
	struct buf b;
	char got[7];

	(void)state;
	START(steps, NULL);
	buf_init(&b, 1000);
	OK(storage_get_all(s.st, "k", &b, &err));
	assert_string_equal(buf_str(&b), ERROR("InternalError"));
	OK(storage_get(s.st, "k", 0, 7, got, &err));
	assert_memory_equal(got, "<Error>", 7);
	buf_free(&b);
	server_end(&s);
}

static void
a_cut_is_never_taken_for_the_end(void **state)
{
	static const struct step steps[] = {
		/* A body that may have ended anywhere. */
		{ "200 OK", NULL, "0123", true },
		{ "200 OK", "ETag: \"e\"\r\nContent-Length: 10\r\n", "0123",
		    true },
		{ "206 Partial Content", "Content-Range: bytes 4-9/10\r\n",
		    "456789", false },
		/* Another range than was asked for. */
		{ "206 Partial Content", "Content-Range: bytes 5-6/10\r\n",
		    "56", false },
		{ "206 Partial Content", "Content-Range: bytes 4-5/10\r\n",
		    "45", false },
		/* The object is shorter. */
		{ "206 Partial Content", "Content-Range: bytes 8-9/10\r\n",
		    "89", false },
		/* No ranges known. */
		{ "200 OK", NULL, "0123456789", false },
	};
	struct server s;
	struct buf b;
	char got[10];

	(void)state;
	START(steps, NULL);
	buf_init(&b, 1000);
	OK(storage_get_all(s.st, "k", &b, &err));
	assert_string_equal(buf_str(&b), "0123456789");
	HAS(2, "range: bytes=4-9");
	HAS(2, "if-match: \"e\"");
	OK(storage_get(s.st, "k", 4, 2, got, &err));
	assert_memory_equal(got, "45", 2);
	FAILS(storage_get(s.st, "k", 8, 4, got, &err), ERR_DAMAGED);
	OK(storage_get(s.st, "k", 0, 10, got, &err));
	buf_free(&b);
	server_end(&s);
}

static const char *const three[] = { "a", "b", "c" };

static void
of_a_batch_each_keys_outcome_counts(void **state)
{
	static const struct step steps[] = {
		{ "200 OK", NULL, "<DeleteResult><Deleted><Key>pre/b</Key>"
		    "</Deleted><Error><Key>pre/a</Key><Code>InternalError"
		    "</Code></Error><Error><Key>pre/c</Key><Code>NoSuchKey"
		    "</Code></Error></DeleteResult>", false },
		{ "200 OK", NULL, ERROR("SlowDown"), false },
		{ "200 OK", NULL, "<DeleteResult><Deleted><Key>pre/a</Key>"
		    "</Deleted></DeleteResult>", false },
		{ "200 OK", NULL, "<DeleteResult><Deleted><Key>pre/a</Key>"
		    "</Deleted><Error><Key>pre/c</Key><Code>AccessDenied"
		    "</Code><Message>locked</Message></Error></DeleteResult>",
		    false },
		/* one by one, to see why; and is it locked? */
		{ "204 No Content", NULL, NULL, false },
		{ "204 No Content", NULL, NULL, false },
		{ "403 Forbidden", NULL, ERROR("AccessDenied"), false },
		{ "403 Forbidden", NULL, ERROR("AccessDenied"), false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_remove_many(s.st, three, 3, &err));
	HAS(0, "POST /vault?delete");
	HAS(0, "Content-MD5: ");
	HAS(0, "<Key>pre/b</Key>");
	HAS(1, "<Key>pre/a</Key>");
	LACKS(1, "<Key>pre/b</Key>");
	FAILS(storage_remove_many(s.st, three, 3, &err), ERR_CONFIG);
	HAS(6, "DELETE /vault/pre/c ");
	assert_non_null(strstr(err.msg, "AccessDenied"));
	server_end(&s);
}

static void
without_batches_objects_go_one_by_one(void **state)
{
	static const struct step steps[] = {
		{ "501 Not Implemented", NULL, ERROR("NotImplemented"), false },
		{ "204 No Content", NULL, NULL, false },
		{ "404 Not Found", NULL, ERROR("NoSuchKey"), false },
		{ "204 No Content", NULL, NULL, false },
	};
	struct server s;

	(void)state;
	START(steps, NULL);
	OK(storage_remove_many(s.st, three, 3, &err));
	HAS(3, "DELETE /vault/pre/c ");
	server_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_conditions_a_put_looks_first),
		cmocka_unit_test(
		the_bucket_is_followed_where_it_is_unless_a_region_was_said),
		cmocka_unit_test(a_wrong_clock_is_allowed_for_once),
		cmocka_unit_test(
		    what_cannot_get_better_fails_at_once_without_a_secret),
		cmocka_unit_test(
		    a_missing_object_is_told_from_a_missing_bucket),
		cmocka_unit_test(the_server_says_when_to_come_back),
		cmocka_unit_test(a_put_that_was_sent_twice_finds_its_own_bytes),
		cmocka_unit_test(others_bytes_are_not_taken_for_ours),
		cmocka_unit_test(
		    pages_come_once_each_and_without_what_is_not_ours),
		cmocka_unit_test(a_listing_that_makes_no_sense_is_an_error),
		cmocka_unit_test(
		    what_an_object_holds_is_no_error_of_the_server),
		cmocka_unit_test(a_cut_is_never_taken_for_the_end),
		cmocka_unit_test(of_a_batch_each_keys_outcome_counts),
		cmocka_unit_test(without_batches_objects_go_one_by_one),
	};

	/* What a developer's environment has must not matter. */
	(void)unsetenv("AWS_REGION");
	(void)unsetenv("AWS_DEFAULT_REGION");
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
