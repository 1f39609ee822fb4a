/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/process.h"
#include "core/time.h"
#include "storage/s3_source.h"

/* Everything that the sources look at. */
static const char *const variables[] = { "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
	"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION",
	"AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
	"AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" };

static char *dir;
static struct process *server;
static char base[64]; /* "http://127.0.0.1:PORT" */
static struct err err;

static char *
path(const char *name)
{
	static char paths[4][256];
	static unsigned n;

	n = (n + 1) % 4;
	(void)snprintf(paths[n], sizeof(paths[n]), "%s/%s", dir, name);
	return paths[n];
}

static void
file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(path(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path(name), mode), 0);
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

/* How many requests the service got. */
static unsigned
asked(void)
{
	struct err e = ERR_INIT;
	struct buf b;
	unsigned n = 0;
	size_t i;

	buf_init(&b, 1 << 20);
	if (io_read_file(path("log"), &b, &e) == 0)
		for (i = 0; i < b.len; i++)
			n += b.data[i] == '\n';
	buf_free(&b);
	return n;
}

static int
set_up(void **state)
{
	static char name[] = "/tmp/dapk-test-XXXXXX";
	char *src = getenv("DAPK_SRCDIR"), port[16] = "", *script;
	const char *argv[4] = { "/usr/bin/python3", NULL, NULL, NULL };
	struct process_spec spec = { .argv = argv, .out = PROCESS_PIPE };
	size_t got = 0, more;

	dir = mkdtemp(name);
	script = xasprintf("%s/tests/services/aws-keys.py", src != NULL ? src :
	    ".");
	argv[1] = script;
	argv[2] = dir;
	if (dir == NULL || process_start(&server, &spec, &err) != 0)
		return -1;
	while (strchr(port, '\n') == NULL && got < sizeof(port) - 1) {
		if (process_read(server, port + got, sizeof(port) - 1 - got,
		    &more, &err) != 0 || more == 0)
			return -1;
		got += more;
	}
	port[strcspn(port, "\n")] = '\0';
	(void)snprintf(base, sizeof(base), "http://127.0.0.1:%s", port);
	free(script);
	return 0;
}

static int
tear_down(void **state)
{
	struct err e = ERR_INIT;

	process_free(server);
	return io_remove_tree(dir, &e);
}

static int
clean(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		assert_int_equal(unsetenv(variables[i]), 0);
	set("HOME", path("nobody"));
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
	(void)unlink(path("rules"));
	(void)unlink(path("log"));
	(void)unlink(path("count"));
	err_clear(&err);
	return 0;
}

static struct s3_credentials *
open_source(const char *source)
{
	struct storage_settings settings = { .url = "s3://b/p",
		.timeout_ms = 3000, .credentials = source };
	struct s3_credentials *c;

	assert_int_equal(s3_credentials_new(&c, &settings, &err), 0);
	return c;
}

static void
gives(struct s3_credentials *c, const char *id, const char *secret,
    const char *token)
{
	struct s3_keys keys;

	if (s3_credentials_get(c, &keys, &err) != 0)
		fail_msg("%s", err.msg);
	assert_string_equal(keys.id, id);
	if (secret != NULL)
		assert_string_equal(keys.secret, secret);
	if (token == NULL)
		assert_null(keys.token);
	else
		assert_string_equal(keys.token, token);
	s3_keys_free(&keys);
}

/* No keys, and an error with these words and a next step. */
static void
refuses(struct s3_credentials *c, const char *words)
{
	struct s3_keys keys;

	assert_int_equal(s3_credentials_get(c, &keys, &err), -1);
	if (strstr(err.msg, words) == NULL)
		fail_msg("'%s' is not in: %s", words, err.msg);
	assert_true(err.hint[0] != '\0');
	assert_null(strstr(err.msg, "very-secret"));
	err_clear(&err);
}

static void
wait_until(int64_t when)
{
	while (time_boottime() < when)
		time_sleep_ms(20);
}

static void
keys_of_the_configuration_come_before_all_others(void **state)
{
	struct storage_settings settings = { .url = "s3://b/p",
		.access_key_id = "MINE", .secret_access_key = "s" };
	struct s3_credentials *c;

	set("AWS_ACCESS_KEY_ID", "OTHER");
	set("AWS_SECRET_ACCESS_KEY", "x");
	assert_int_equal(s3_credentials_new(&c, &settings, &err), 0);
	gives(c, "MINE", "s", NULL);
	s3_credentials_free(c);
	settings.secret_access_key = NULL;
	assert_int_equal(s3_credentials_new(&c, &settings, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	err_clear(&err);
	settings.credentials = "vault";
	assert_int_equal(s3_credentials_new(&c, &settings, &err), -1);
	assert_non_null(strstr(err.hint, "profile:NAME"));
}

static void
the_environment_gives_keys_without_line_ends(void **state)
{
	struct s3_credentials *c = open_source("env");

	refuses(c, "AWS_ACCESS_KEY_ID is not set");
	set("AWS_ACCESS_KEY_ID", "AKID\r\n");
	refuses(c, "AWS_SECRET_ACCESS_KEY is not");
	set("AWS_SECRET_ACCESS_KEY", "secret\n");
	set("AWS_SESSION_TOKEN", "tok\n");
	gives(c, "AKID", "secret", "tok");
	s3_credentials_free(c);
	set("AWS_SECRET_ACCESS_KEY", "sec\nret");
	c = open_source("auto");
	refuses(c, "characters that no key has");
	s3_credentials_free(c);
}

static void
a_file_of_keys_that_others_may_read_is_refused(void **state)
{
	char *source = xasprintf("file:%s", path("keys"));
	struct s3_credentials *c = open_source(source);
	struct s3_keys old;

	refuses(c, "No such file");
	/* As Windows writes it; a token longer than inih's lines. */
	char *token = xcalloc(1, 1501), *text;
	memset(token, 'T', 1500);
	text = xasprintf("\xef\xbb\xbf# made by hand\r\n[default]\r\n"
	    "aws_access_key_id = AK\r\naws_secret_access_key=s/+=\r\n"
	    "aws_session_token = %s\r\n[other]\r\n"
	    "aws_access_key_id = WRONG\r\n", token);
	file("keys", text, 0644);
	refuses(c, "0644");
	assert_int_equal(chmod(path("keys"), 0600), 0);
	gives(c, "AK", "s/+=", token);

	/* What the server takes for expired is read anew. */
	file("keys", "[default]\naws_access_key_id = NEW\n"
	    "aws_secret_access_key = n\n", 0600);
	gives(c, "AK", "s/+=", token);
	assert_int_equal(s3_credentials_get(c, &old, &err), 0);
	s3_credentials_refuse(c, &old);
	gives(c, "NEW", "n", NULL);
	s3_credentials_refuse(c, &old); /* told late: these are others */
	file("keys", "[default]\naws_access_key_id = X\n", 0600);
	gives(c, "NEW", "n", NULL);
	s3_keys_free(&old);
	s3_credentials_free(c);
	c = open_source(source);
	refuses(c, "no aws_secret_access_key");
	s3_credentials_free(c);
	free(token);
	free(text);
	free(source);
}

static void
profiles_are_found_where_the_aws_tools_have_them(void **state)
{
	struct storage_settings settings = { .url = "s3://b/p" };
	struct s3_credentials *c;
	char *region;

	set("HOME", path("home"));
	c = open_source("profile:backup");
	refuses(c, "there is no profile backup");
	(void)mkdir(path("home"), 0700);
	(void)mkdir(path("home/.aws"), 0700);
	file("home/.aws/credentials", "[default]\naws_access_key_id = D\n"
	    "aws_secret_access_key = d\n\n[backup]\n"
	    "aws_access_key_id = B # night\naws_secret_access_key = b\n", 0600);
	file("home/.aws/config", "[default]\nregion = eu-west-1\n"
	    "[profile backup]\nregion = eu-central-1\ns3 =\n"
	    "  aws_access_key_id = NESTED\n"
	    "[profile sso]\nsso_start_url = https://x\n"
	    "[profile process]\ncredential_process = /bin/keys\n"
	    "[profile only-here]\naws_access_key_id = C\n"
	    "aws_secret_access_key = c\n[backup]\nregion = nowhere\n", 0600);
	gives(c, "B", "b", NULL);
	s3_credentials_free(c);
	c = open_source("profile:only-here");
	gives(c, "C", "c", NULL);
	s3_credentials_free(c);
	c = open_source("auto");
	gives(c, "D", "d", NULL);
	assert_non_null(strstr(s3_credentials_source(c), "profile"));
	s3_credentials_free(c);
	c = open_source("profile:process");
	refuses(c, "credential_process, which this program does not");
	s3_credentials_free(c);
	c = open_source("profile:sso");
	refuses(c, "sso_start_url");
	s3_credentials_free(c);

	region = s3_credentials_region(&settings);
	assert_string_equal(region, "eu-west-1");
	free(region);
	set("AWS_PROFILE", "backup");
	region = s3_credentials_region(&settings);
	assert_string_equal(region, "eu-central-1");
	free(region);
	c = open_source("auto");
	gives(c, "B", "b", NULL);
	s3_credentials_free(c);
	set("AWS_REGION", "us-west-2");
	region = s3_credentials_region(&settings);
	assert_string_equal(region, "us-west-2");
	free(region);
	settings.credentials = "profile:backup";
	region = s3_credentials_region(&settings);
	assert_string_equal(region, "eu-central-1");
	free(region);
	set("AWS_PROFILE", "typo");
	c = open_source("auto"); /* not somebody else's keys instead */
	refuses(c, "there is no profile typo");
	s3_credentials_free(c);
	set("AWS_SHARED_CREDENTIALS_FILE", path("elsewhere"));
	file("elsewhere", "[typo]\naws_access_key_id = E\n"
	    "aws_secret_access_key = e\n", 0600);
	c = open_source("auto");
	gives(c, "E", "e", NULL);
	s3_credentials_free(c);
}

static void
without_any_keys_each_source_says_why(void **state)
{
	struct s3_credentials *c;

	c = open_source("auto");
	refuses(c, "AWS_ACCESS_KEY_ID is not set; AWS_WEB_IDENTITY_TOKEN_FILE "
	    "is not set; there is no profile default");
	s3_credentials_free(c);
	c = open_source("auto");
	refuses(c, "/latest/api/token");
	s3_credentials_free(c);
	set("AWS_EC2_METADATA_DISABLED", "true");
	c = open_source("auto");
	refuses(c, "AWS_EC2_METADATA_DISABLED");
	s3_credentials_free(c);
	c = open_source("imds");
	refuses(c, "AWS_EC2_METADATA_DISABLED");
	s3_credentials_free(c);
}

static void
instance_metadata_are_asked_by_version_2_only(void **state)
{
	struct s3_credentials *c;

	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", base);
	c = open_source("auto");
	gives(c, "KEY1", "very-secret-1", "session-token-1");
	gives(c, "KEY1", "very-secret-1", "session-token-1");
	assert_int_equal(asked(), 3); /* token, role, keys: once */
	assert_string_equal(s3_credentials_source(c), "the instance's role");
	s3_credentials_free(c);
	file("rules", "norole=1\n", 0600);
	c = open_source("imds");
	refuses(c, "no role");
	s3_credentials_free(c);
	file("rules", "status=403\n", 0600);
	c = open_source("imds");
	refuses(c, "status 403 instead of a token");
	s3_credentials_free(c);
	assert_int_equal(asked(), 6); /* nothing was tried in another way */
}

static void
a_container_s_keys_come_with_its_token(void **state)
{
	struct s3_credentials *c;

	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys");
	c = open_source("container");
	refuses(c, "without TLS");
	s3_credentials_free(c);
	char *url = xasprintf("%s/container", base);
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
	file("rules", "authorization=Bearer 1\n", 0600);
	c = open_source("container");
	refuses(c, "status 401");
	set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong");
	file("auth", "Bearer 1\n", 0644);
	set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path("auth"));
	gives(c, "KEY1", "very-secret-1", "session-token-1");
	s3_credentials_free(c);
	c = open_source("auto");
	gives(c, "KEY2", "very-secret-2", "session-token-2");
	s3_credentials_free(c);
	free(url);
}

static void
only_this_host_and_agents_are_asked_without_tls(void **state)
{
	static const char *const yes[] = { "https://any.example/x",
		"http://127.0.0.1/x", "http://127.9.8.7:80/x",
		"http://localhost:1/", "http://[::1]:9/x",
		"http://169.254.170.2/v2", "http://169.254.170.23/v1",
		"http://[fd00:ec2::23]/v1" };
	static const char *const no[] = { "http://example.com/",
		"http://127.0.0.1.example.com/", "http://127.0.0.1@evil.com/",
		"http://169.254.170.20/", "http://localhost.evil/", "ftp://x",
		"http://128.0.0.1/", "http://127.0.0.300/", "http://[::2]/",
		"http://" };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!s3_source_container_host_allowed(yes[i]))
			fail_msg("refused: %s", yes[i]);
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (s3_source_container_host_allowed(no[i]))
			fail_msg("allowed: %s", no[i]);
}

static void
a_web_identity_s_token_is_read_anew_each_time(void **state)
{
	struct s3_credentials *c;
	struct s3_keys keys;
	struct buf b;

	set("AWS_ENDPOINT_URL_STS", base);
	set("AWS_WEB_IDENTITY_TOKEN_FILE", path("identity"));
	c = open_source("auto");
	refuses(c, "AWS_ROLE_ARN is not");
	set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r1");
	set("AWS_ROLE_SESSION_NAME", "night run");
	refuses(c, "identity");
	file("identity", "identity/1\n", 0644);
	assert_int_equal(s3_credentials_get(c, &keys, &err), 0);
	assert_int_equal(strncmp(keys.id, "KEY", 3), 0);
	buf_init(&b, 4096);
	assert_int_equal(io_read_file(path("form"), &b, &err), 0);
	assert_string_equal(buf_str(&b), "AssumeRoleWithWebIdentity 2011-06-15 "
	    "arn:aws:iam::1:role/r1 night run");
	buf_free(&b);
	file("rules", "identity=identity/2\n", 0600);
	s3_credentials_refuse(c, &keys);
	refuses(c, "ExpiredTokenException: Token expired");
	file("identity", "identity/2\r\n", 0644);
	gives(c, "KEY2", NULL, "session-token-2");
	s3_keys_free(&keys);
	s3_credentials_free(c);
}

static void
sessions_are_renewed_before_they_end(void **state)
{
	struct s3_credentials *c;
	int64_t begun;
	unsigned n;

	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", base);
	file("rules", "lifetime=4\n", 0600);
	c = open_source("imds");
	gives(c, "KEY1", NULL, "session-token-1");
	begun = time_boottime();
	/* After half of their time, as long as the old ones hold. */
	wait_until(begun + 2500000);
	gives(c, "KEY2", NULL, "session-token-2");
	begun = time_boottime();
	/* The service is out of order: what is at hand goes on. */
	file("rules", "status=400\n", 0600);
	wait_until(begun + 2500000);
	n = asked();
	gives(c, "KEY2", NULL, "session-token-2");
	assert_int_equal(asked(), n + 1);
	gives(c, "KEY2", NULL, "session-token-2");
	assert_int_equal(asked(), n + 1); /* not asked at each request */
	wait_until(begun + 4500000);
	refuses(c, "status 400");
	file("rules", "", 0600);
	gives(c, "KEY3", NULL, "session-token-3");
	s3_credentials_free(c);
}

static void *
get_many(void *arg)
{
	struct err e = ERR_INIT;
	struct s3_keys keys;
	int64_t until = time_boottime() + 3000000;
	uintptr_t wrong = 0;

	while (time_boottime() < until) {
		if (s3_credentials_get(arg, &keys, &e) != 0 ||
		    strcmp(keys.id + 3, keys.token + 14) != 0 ||
		    strcmp(keys.id + 3, keys.secret + 12) != 0)
			wrong++;
		s3_keys_free(&keys);
		time_sleep_ms(2);
	}
	return (void *)wrong;
}

static void
threads_get_one_set_of_keys_while_others_come(void **state)
{
	struct s3_credentials *c;
	pthread_t t[4];
	void *wrong;
	size_t i;

	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", base);
	file("rules", "lifetime=2\nlate=0.05\n", 0600);
	c = open_source("imds");
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, get_many, c), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
	/* One after another, not one for each thread: 2 s last 1 or 2. */
	assert_true(asked() >= 6 && asked() <= 18);
	s3_credentials_free(c);
}

static void
what_a_service_sends_is_not_believed_blindly(void **state)
{
	static const char *const bad[] = { "", "[]", "{\"AccessKeyId\":1}",
		"{\"AccessKeyId\":\"a\"}", "{\"Code\":\"AssumeRoleUnauthorized"
		"Access\"}", "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":"
		"\"b\\r\\nX: y\"}", "{\"AccessKeyId\":\"a\",\"SecretAccessKey"
		"\":\"b\",\"Expiration\":\"soon\"}" };
	static const char good[] = "{\"AccessKeyId\":\"a\","
	    "\"SecretAccessKey\":\"b\",\"Token\":\"c\","
	    "\"Expiration\":\"2026-11-22T13:31:07Z\"}";
	struct s3_session s;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(s3_source_parse_json(bad[i], strlen(bad[i]),
		    0, &s, &err), -1);
		assert_null(s.keys.secret);
		err_clear(&err);
	}
	assert_int_equal(s3_source_parse_json(good, strlen(good),
	    time_from_unix(1795354267 - 60), &s, &err), 0);
	assert_int_equal(s.lifetime, 60 * 1000000);
	s3_session_free(&s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, clean)
	const struct CMUnitTest tests[] = {
		TEST(keys_of_the_configuration_come_before_all_others),
		TEST(the_environment_gives_keys_without_line_ends),
		TEST(a_file_of_keys_that_others_may_read_is_refused),
		TEST(without_any_keys_each_source_says_why),
		TEST(profiles_are_found_where_the_aws_tools_have_them),
		TEST(only_this_host_and_agents_are_asked_without_tls),
		TEST(instance_metadata_are_asked_by_version_2_only),
		TEST(a_container_s_keys_come_with_its_token),
		TEST(a_web_identity_s_token_is_read_anew_each_time),
		TEST(sessions_are_renewed_before_they_end),
		TEST(threads_get_one_set_of_keys_while_others_come),
		TEST(what_a_service_sends_is_not_believed_blindly),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
