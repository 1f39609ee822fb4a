/* SPDX-License-Identifier: PostgreSQL */
/*
 * A role's keys for a web identity (a pod's or workflow's token): the request
 * AssumeRoleWithWebIdentity of the AWS Security Token Service, which is not
 * signed: the token says who asks.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/secret.h"
#include "core/time.h"
#include "storage/s3_ask.h"
#include "storage/s3_xml.h"
#include "storage/sigv4.h"

#define REGION_DEFAULT "us-east-1"
#define BODY_MAX (3 * SECRET_FILE_MAX + 4096)

static char *
sts_url(const struct s3_source_context *c)
{
	const char *region = c->region != NULL ? c->region : REGION_DEFAULT;
	char *url = s3_source_getenv("AWS_ENDPOINT_URL_STS"), *whole;
	size_t len;

	if (url == NULL)
		return xasprintf("https://sts.%s.amazonaws.com%s/", region,
		    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	len = strlen(url);
	while (len > 0 && url[len - 1] == '/')
		len--;
	whole = xasprintf("%.*s/", (int)len, url);
	free(url);
	return whole;
}

/* What stands in the answer; also in one that says what is wrong. */
struct answer {
	struct s3_session session;
	char ends[64];
	char code[64];
	char message[256];
};

static bool
ends_with(const char *path, const char *end)
{
	const size_t len = strlen(path), n = strlen(end);

	return len >= n && strcmp(path + len - n, end) == 0;
}

static void
take_secret(char **to, const char *text)
{
	secret_text_free(*to);
	*to = *text == '\0' ? NULL : xstrdup(text);
}

static void
take_printable(char *to, size_t size, const char *text)
{
	size_t i;

	(void)snprintf(to, size, "%s", text);
	for (i = 0; to[i] != '\0'; i++)
		if (!isprint((unsigned char)to[i]))
			to[i] = ' ';
}

static int
note(void *arg, const char *path, const char *text, struct err *err)
{
	struct answer *a = arg;

	if (ends_with(path, "/Credentials/AccessKeyId"))
		take_secret(&a->session.keys.id, text);
	else if (ends_with(path, "/Credentials/SecretAccessKey"))
		take_secret(&a->session.keys.secret, text);
	else if (ends_with(path, "/Credentials/SessionToken"))
		take_secret(&a->session.keys.token, text);
	else if (ends_with(path, "/Credentials/Expiration"))
		take_printable(a->ends, sizeof(a->ends), text);
	else if (ends_with(path, "Error/Code"))
		take_printable(a->code, sizeof(a->code), text);
	else if (ends_with(path, "Error/Message"))
		take_printable(a->message, sizeof(a->message), text);
	return 0;
}

/* The keys, out of an answer of status 200. */
static int
read_keys(const struct s3_ask *ask, struct answer *a, struct err *err)
{
	bool local;
	int64_t ends;

	if (s3_xml_read(ask->body.data, ask->body.len, note, a, err) != 0)
		return -1;
	if (a->session.keys.id == NULL || a->session.keys.secret == NULL ||
	    a->session.keys.token == NULL)
		return err_set(err, ERR_STORAGE, "the answer has no keys");
	if (s3_source_check_keys(&a->session.keys, "answer", err) != 0 ||
	    time_parse(a->ends, &ends, &local, err) != 0)
		return -1;
	a->session.lifetime = ends - ask->now;
	return 0;
}

static int
refused(const struct s3_ask *ask, struct answer *a, struct err *err)
{
	struct err none = ERR_INIT;
	const struct buf *b = &ask->answer.other;

	/* Not all that answers here speaks XML. */
	if (s3_xml_read(b->data, b->len, note, a, &none) != 0)
		a->code[0] = a->message[0] = '\0';
	if (a->code[0] == '\0')
		err_set(err, ERR_STORAGE, "status %d", ask->status);
	else
		err_set(err, ask->status < 500 ? ERR_CONFIG : ERR_STORAGE,
		    "%s: %s (status %d)", a->code, a->message, ask->status);
	if (strstr(a->code, "Expired") != NULL)
		return err_hint(err, "the token file was not renewed in time: "
		    "see who writes AWS_WEB_IDENTITY_TOKEN_FILE");
	return err_hint(err, "does the role's trust policy allow this "
	    "identity? See AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE");
}

static int
ask_sts(struct s3_ask *ask, const char *url, const struct buf *body,
    struct s3_session *out, struct err *err)
{
	static const struct http_header header = { "Content-Type",
		"application/x-www-form-urlencoded" };
	const struct http_request request = { .method = "POST", .url = url,
		.headers = &header, .n_headers = 1, .body = body->data,
		.body_len = body->len };
	struct answer a;
	int rc;

	memset(&a, 0, sizeof(a));
	if (s3_ask(ask, &request, url, err) != 0)
		return -1;
	if (ask->status == 200)
		rc = read_keys(ask, &a, err);
	else
		rc = refused(ask, &a, err);
	if (rc != 0) {
		s3_session_free(&a.session);
		return err_wrap(err, "%s", url);
	}
	*out = a.session;
	return 0;
}

static int
make_body(const char *role, const char *session_name, const char *token_file,
    struct buf *body, struct err *err)
{
	struct buf token;
	char name[64];
	int rc;

	(void)snprintf(name, sizeof(name), "dapk-backup-%ld", (long)getpid());
	rc = secret_read_file(token_file, SECRET_ANY, &token, err);
	if (rc == 0 && token.len == 0)
		rc = err_set(err, ERR_CONFIG, "%s is empty", token_file);
	if (rc == 0) {
		(void)buf_reserve(body, 3 * token.len + 2048);
		buf_add_str(body, "Action=AssumeRoleWithWebIdentity"
		    "&Version=2011-06-15&RoleArn=");
		sigv4_encode(body, role, false);
		buf_add_str(body, "&RoleSessionName=");
		sigv4_encode(body, session_name != NULL ? session_name : name,
		    false);
		buf_add_str(body, "&WebIdentityToken=");
		sigv4_encode(body, buf_str(&token), false);
		rc = buf_check(body, "the request", err);
	}
	secret_buf_free(&token);
	return rc;
}

int
s3_source_assume_web_identity(const struct s3_source_context *c,
    const char *role, const char *session_name, const char *token_file,
    struct s3_session *out, struct err *err)
{
	char *url = sts_url(c);
	struct s3_ask ask;
	struct buf body;
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&body, BODY_MAX);
	rc = make_body(role, session_name, token_file, &body, err);
	if (rc != 0) {
		err->code = ERR_CONFIG;
		(void)err_wrap(err, "the web identity's token");
		(void)err_hint(err, "may the user that runs this program read "
		    "it? See AWS_WEB_IDENTITY_TOKEN_FILE, or the profile's "
		    "web_identity_token_file");
	} else {
		rc = s3_ask_begin(&ask, c, S3_ASK_WIDE, err);
		if (rc == 0)
			rc = ask_sts(&ask, url, &body, out, err);
		s3_ask_end(&ask);
	}
	secret_buf_free(&body);
	free(url);
	return rc;
}

int
s3_source_web_identity(const struct s3_source_context *c,
    struct s3_session *out, struct err *err)
{
	char *file = s3_source_getenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	char *role = s3_source_getenv("AWS_ROLE_ARN");
	char *name = s3_source_getenv("AWS_ROLE_SESSION_NAME");
	int rc = -1;

	memset(out, 0, sizeof(*out));
	if (file == NULL)
		err_set(err, ERR_NOT_FOUND,
		    "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	else if (role == NULL) {
		err_set(err, ERR_CONFIG, "AWS_WEB_IDENTITY_TOKEN_FILE is set "
		    "and AWS_ROLE_ARN is not");
		(void)err_hint(err, "set AWS_ROLE_ARN to the role's name, "
		    "arn:aws:iam::ACCOUNT:role/NAME");
	} else
		rc = s3_source_assume_web_identity(c, role, name, file, out,
		    err);
	free(file);
	free(role);
	free(name);
	return rc;
}
