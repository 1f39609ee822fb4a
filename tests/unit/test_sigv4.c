/* SPDX-License-Identifier: PostgreSQL */
/*
 * Requests and signatures that Amazon published: those of the "Signature
 * Version 4 test suite" (key id AKIDEXAMPLE), and the examples of the S3 API
 * Reference (AKIAIOSFODNN7EXAMPLE).
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/time.h"
#include "storage/sigv4.h"

#define EMPTY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUITE_TIME "20150830T123600Z"
#define HOST_AND_DATE { "host", "example.amazonaws.com" }, \
	{ "x-amz-date", SUITE_TIME }

struct vector {
	const char *name;
	const char *method;
	const char *path;
	struct sigv4_pair query[8];
	struct sigv4_pair headers[8];
	const char *payload_hash; /* NULL: of nothing */
	const char *signature;
};

static const struct vector suite[] = {
	{ "get-vanilla", "GET", "/", { { NULL, NULL } }, { HOST_AND_DATE },
	    NULL, "5fa00fa31553b73ebf1942676e86291e"
		  "8372ff2a2260956d9b8aae1d763fbf31" },
	{ "post-vanilla", "POST", "/", { { NULL, NULL } }, { HOST_AND_DATE },
	    NULL, "5da7c1a2acd57cee7505fc6676e4e544"
		  "621c30862966e37dddb68e92efbe5d6b" },
	{ "get-vanilla-empty-query-key", "GET", "/",
	    { { "Param1", "value1" } }, { HOST_AND_DATE }, NULL,
	    "a67d582fa61cc504c4bae71f336f98b9"
	    "7f1ea3c7a6bfe1b6e45aec72011b9aeb" },
	{ "get-vanilla-query-order-key-case", "GET", "/",
	    { { "Param2", "value2" }, { "Param1", "value1" } },
	    { HOST_AND_DATE }, NULL,
	    "b97d918cfa904a5beff61c982a1b6f45"
	    "8b799221646efd99d3219ec94cdf2500" },
	{ "get-vanilla-query-order-value", "GET", "/",
	    { { "Param1", "value2" }, { "Param1", "value1" } },
	    { HOST_AND_DATE }, NULL,
	    "5772eed61e12b33fae39ee5e7012498b"
	    "51d56abc0abb7c60486157bd471c4694" },
	{ "get-vanilla-utf8-query", "GET", "/", { { "\xe1\x88\xb4", "bar" } },
	    { HOST_AND_DATE }, NULL,
	    "2cdec8eed098649ff3a119c94853b13c"
	    "643bcf08f8b0a1d91e12c9027818dd04" },
	{ "get-utf8", "GET", "/\xe1\x88\xb4", { { NULL, NULL } },
	    { HOST_AND_DATE }, NULL,
	    "8318018e0b0f223aa2bbf98705b62bb7"
	    "87dc9c0e678f255a891fd03141be5d85" },
	{ "get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz", { { NULL, NULL } },
	    { HOST_AND_DATE }, NULL,
	    "07ef7494c76fa4850883e2b006601f94"
	    "0f8a34d404d0cfa977f52a65bbf5f24f" },
	{ "get-header-key-duplicate", "GET", "/", { { NULL, NULL } },
	    { HOST_AND_DATE, { "my-header1", "value2" },
	    { "my-header1", "value2" }, { "my-header1", "value1" } }, NULL,
	    "c9d5ea9f3f72853aea855b47ea873832"
	    "890dbdd183b4468f858259531a5138ea" },
	{ "get-header-value-order", "GET", "/", { { NULL, NULL } },
	    { { "my-header1", "value4" }, { "my-header1", "value1" },
	    { "my-header1", "value3" }, { "my-header1", "value2" },
	    HOST_AND_DATE }, NULL,
	    "08c7e5a9acfcfeb3ab6b2185e75ce8b1"
	    "deb5e634ec47601a50643f830c755c01" },
	{ "get-header-value-trim", "GET", "/", { { NULL, NULL } },
	    { HOST_AND_DATE, { "my-header1", " value1" },
	    { "my-header2", " \"a   b   c\" " } }, NULL,
	    "acc3ed3afb60bb290fc8d2dd0098b991"
	    "1fcaa05412b367055dee359757a9c736" },
	{ "post-header-key-sort", "POST", "/", { { NULL, NULL } },
	    { { "my-header1", "value1" }, HOST_AND_DATE }, NULL,
	    "c5410059b04c1ee005303aed430f6e66"
	    "45f61f4dc9e1461ec8f8916fdf18852c" },
	{ "post-x-www-form-urlencoded", "POST", "/", { { NULL, NULL } },
	    { { "content-type", "application/x-www-form-urlencoded" },
	    HOST_AND_DATE },
	    "9095672bbd1f56dfc5b65f3e153adc87"
	    "31a4a654192329106275f4c7b24d0b6e",
	    "ff11897932ad3f4e8b18135d722051e5"
	    "ac45fc38421b1da7b9d196a0fe09473a" },
};

#define S3_TIME "20130524T000000Z"
#define S3_HOST { "host", "examplebucket.s3.amazonaws.com" }
#define S3_EMPTY { "x-amz-content-sha256", EMPTY }
#define S3_DATE { "x-amz-date", S3_TIME }
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbb" \
	"a87d2b6b4b4e99e42034a8b803f8b072" /* of "Welcome to Amazon S3." */

static const struct vector s3[] = {
	{ "get an object", "GET", "/test.txt", { { NULL, NULL } },
	    { S3_HOST, { "range", "bytes=0-9" }, S3_EMPTY, S3_DATE }, NULL,
	    "f0e8bdb87c964420e857bd35b5d6ed31"
	    "0bd44f0170aba48dd91039c6036bdb41" },
	{ "put an object", "PUT", "/test$file.text", { { NULL, NULL } },
	    { S3_HOST, { "date", "Fri, 24 May 2013 00:00:00 GMT" }, S3_DATE,
	    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
	    { "x-amz-content-sha256", WELCOME } }, WELCOME,
	    "98ad721746da40c64f1a55b78f14c238"
	    "d841ea1380cd77a1b5971af0ece108bd" },
	{ "get a bucket's lifecycle", "GET", "/", { { "lifecycle", "" } },
	    { S3_HOST, S3_EMPTY, S3_DATE }, NULL,
	    "fea454ca298b7da1c68078a5d1bdbfbb"
	    "e0d65c699e0f91ac7a200a0136783543" },
	{ "list objects", "GET", "/", { { "prefix", "J" }, { "max-keys", "2" } },
	    { S3_HOST, S3_EMPTY, S3_DATE }, NULL,
	    "34b48302e7b5fa45bde8084f4b7868a8"
	    "6f0a534bc59db6670ed5711ef69dc6f7" },
};

static void
check(const struct vector *v, struct sigv4_request r)
{
	struct err err = ERR_INIT;
	struct sigv4_text text;
	const char *at;

	r.method = v->method;
	r.path = v->path;
	r.query = v->query;
	while (r.n_query < 8 && v->query[r.n_query].name != NULL)
		r.n_query++;
	r.headers = v->headers;
	while (r.n_headers < 8 && v->headers[r.n_headers].name != NULL)
		r.n_headers++;
	r.payload_hash = v->payload_hash == NULL ? EMPTY : v->payload_hash;
	sigv4_text_init(&text);
	if (sigv4_sign(&r, &text, &err) != 0)
		fail_msg("%s: %s", v->name, err.msg);
	at = strstr(buf_str(&text.authorization), "Signature=");
	assert_non_null(at);
	if (strcmp(at + 10, v->signature) != 0)
		fail_msg("%s: %s\n%s", v->name, at,
		    buf_str(&text.canonical));
	sigv4_text_free(&text);
}

static void
the_published_suite_gives_the_published_signatures(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(suite) / sizeof(suite[0]); i++)
		check(&suite[i], (struct sigv4_request){ .time = SUITE_TIME,
		    .region = "us-east-1", .service = "service",
		    .key_id = "AKIDEXAMPLE",
		    .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" });
}

static void
the_examples_of_s3_give_the_published_signatures(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(s3) / sizeof(s3[0]); i++)
		check(&s3[i], (struct sigv4_request){ .time = S3_TIME,
		    .region = "us-east-1", .service = "s3",
		    .key_id = "AKIAIOSFODNN7EXAMPLE",
		    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" });
}

/* Each text apart: a server says only that the signature is wrong. */
static void
the_texts_on_the_way_are_the_published_ones(void **state)
{
	static const struct sigv4_pair headers[] = { S3_DATE, S3_EMPTY,
		{ "range", "bytes=0-9" }, S3_HOST };
	const struct sigv4_request r = { .method = "GET",
		.path = "/test.txt", .headers = headers, .n_headers = 4,
		.payload_hash = EMPTY, .time = S3_TIME,
		.region = "us-east-1", .service = "s3",
		.key_id = "AKIAIOSFODNN7EXAMPLE",
		.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
	struct err err = ERR_INIT;
	struct sigv4_text text;

	(void)state;
	sigv4_text_init(&text);
	assert_int_equal(sigv4_sign(&r, &text, &err), 0);
	assert_string_equal(buf_str(&text.canonical), "GET\n/test.txt\n\n"
	    "host:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
	    "x-amz-content-sha256:" EMPTY "\nx-amz-date:" S3_TIME "\n\n"
	    "host;range;x-amz-content-sha256;x-amz-date\n" EMPTY);
	assert_string_equal(buf_str(&text.to_sign), "AWS4-HMAC-SHA256\n"
	    S3_TIME "\n20130524/us-east-1/s3/aws4_request\n"
	    "7344ae5b7ee6c3e7e6b0fe0640412a37"
	    "625d1fbfff95c48bbb2dc43964946972");
	assert_string_equal(buf_str(&text.authorization),
	    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
	    "us-east-1/s3/aws4_request, SignedHeaders=host;range;"
	    "x-amz-content-sha256;x-amz-date, Signature="
	    "f0e8bdb87c964420e857bd35b5d6ed31"
	    "0bd44f0170aba48dd91039c6036bdb41");
	sigv4_text_free(&text);
}

static void
names_are_encoded_once_and_slashes_only_in_queries(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	sigv4_encode(&b, "/a b/c+d%20/\xc3\xa4~=&?", true);
	assert_string_equal(buf_str(&b), "/a%20b/c%2Bd%2520/%C3%A4~%3D%26%3F");
	buf_clear(&b);
	sigv4_encode(&b, "a/b c", false);
	assert_string_equal(buf_str(&b), "a%2Fb%20c");
	buf_clear(&b);
	/* '=' behind a name sorts after what may follow it there: "a-" */
	sigv4_query(&b, (const struct sigv4_pair[]){ { "a-", "1" },
	    { "a", "2" }, { "b", "" }, { "A", "/" } }, 4);
	assert_string_equal(buf_str(&b), "A=%2F&a=2&a-=1&b=");
	buf_free(&b);
}

static void
the_time_is_padded_with_zeros(void **state)
{
	char text[SIGV4_TIME_MAX];

	(void)state;
	sigv4_time(time_from_unix(1369353600), text);
	assert_string_equal(text, S3_TIME);
	sigv4_time(time_from_unix(978307201) + 999999, text);
	assert_string_equal(text, "20010101T000001Z");
}

static void
what_is_too_long_is_refused_and_not_cut(void **state)
{
	static char region[300], secret[2000], path[70000];
	struct sigv4_request r = { .method = "GET", .path = "/",
		.payload_hash = EMPTY, .time = S3_TIME, .region = "r",
		.service = "s3", .key_id = "k", .secret = "s" };
	struct sigv4_pair many[SIGV4_PAIRS_MAX + 1];
	struct err err = ERR_INIT;
	struct sigv4_request bad[4];
	struct sigv4_text text;
	size_t i;

	(void)state;
	memset(region, 'r', sizeof(region) - 1);
	memset(secret, 's', sizeof(secret) - 1);
	memset(path, '/', sizeof(path) - 1);
	for (i = 0; i < SIGV4_PAIRS_MAX + 1; i++)
		many[i] = (struct sigv4_pair){ "n", "v" };
	for (i = 0; i < 4; i++)
		bad[i] = r;
	bad[0].region = region;
	bad[1].secret = secret;
	bad[2].path = path;
	bad[3].headers = many;
	bad[3].n_headers = SIGV4_PAIRS_MAX + 1;
	for (i = 0; i < 4; i++) {
		sigv4_text_init(&text);
		err_clear(&err);
		assert_int_equal(sigv4_sign(&bad[i], &text, &err), -1);
		assert_null(strstr(err.msg, "ssss")); /* no secret is told */
		sigv4_text_free(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_published_suite_gives_the_published_signatures),
		cmocka_unit_test(
		    the_examples_of_s3_give_the_published_signatures),
		cmocka_unit_test(the_texts_on_the_way_are_the_published_ones),
		cmocka_unit_test(
		    names_are_encoded_once_and_slashes_only_in_queries),
		cmocka_unit_test(the_time_is_padded_with_zeros),
		cmocka_unit_test(what_is_too_long_is_refused_and_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
