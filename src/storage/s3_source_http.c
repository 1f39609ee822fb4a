/* SPDX-License-Identifier: PostgreSQL */
/* Keys from a service beside us: instance metadata, container's agent. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/secret.h"
#include "storage/s3_ask.h"

#define IMDS_IPV4 "http://169.254.169.254"
#define IMDS_IPV6 "http://[fd00:ec2::254]"
#define IMDS_ROLES "/latest/meta-data/iam/security-credentials/"
#define TOKEN_TTL_S "21600"
#define ROLE_MAX 128
#define CONTAINER_HOST "http://169.254.170.2"

static char *
imds_endpoint(void)
{
	char *endpoint =
	    s3_source_getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char *mode = NULL;
	size_t len;

	if (endpoint == NULL) {
		mode = s3_source_getenv(
		    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
		endpoint = xstrdup(mode != NULL &&
		    strcasecmp(mode, "IPv6") == 0 ? IMDS_IPV6 : IMDS_IPV4);
		free(mode);
	}
	len = strlen(endpoint);
	while (len > 0 && endpoint[len - 1] == '/')
		endpoint[--len] = '\0';
	return endpoint;
}

/* A text of one line in the body, without white space at its end. */
static bool
one_line(const struct s3_ask *ask, char *out, size_t size)
{
	const char *s = buf_str(&ask->body);
	size_t len = strcspn(s, "\r\n"), i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f)
			return false;
	if (len == 0 || len >= size)
		return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return true;
}

/*
 * Version 2 only. Version 1, which gives the keys to whoever can make this
 * host send a plain GET, is never asked.
 */
static int
imds_token(struct s3_ask *ask, const char *endpoint, char *token, size_t size,
    struct err *err)
{
	static const struct http_header ttl = {
		"x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_S
	};
	char *url = xasprintf("%s/latest/api/token", endpoint);
	const struct http_request request = { .method = "PUT", .url = url,
		.headers = &ttl, .n_headers = 1, .body = "" };
	int rc = s3_ask(ask, &request, url, err);

	if (rc == 0 && (ask->status != 200 || !one_line(ask, token, size)))
		rc = err_set(err, ERR_STORAGE, "%s: status %d instead of a "
		    "token", url, ask->status);
	if (rc != 0)
		(void)err_hint(err, "is this an EC2 instance, its metadata "
		    "service on, and in a container its hop limit 2? Else set "
		    "credentials (AWS_EC2_METADATA_DISABLED=true stops "
		    "asking)");
	free(url);
	return rc;
}

static int
imds_get(struct s3_ask *ask, const char *url, const char *token,
    struct err *err)
{
	const struct http_header header = { "x-aws-ec2-metadata-token",
		token };
	const struct http_request request = { .method = "GET", .url = url,
		.headers = &header, .n_headers = 1 };

	if (s3_ask(ask, &request, url, err) != 0)
		return -1;
	if (ask->status == 404) {
		err_set(err, ERR_CONFIG, "%s: there is no such thing; the "
		    "instance has no role", url);
		return err_hint(err, "attach an instance profile with a role "
		    "to the instance");
	}
	if (ask->status != 200)
		return err_set(err, ERR_STORAGE, "%s: status %d", url,
		    ask->status);
	return 0;
}

static bool
role_valid(const char *role)
{
	return role[strspn(role, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-")] == '\0';
}

static int
imds_ask(struct s3_ask *ask, const char *endpoint, struct s3_session *out,
    struct err *err)
{
	char token[1024], role[ROLE_MAX];
	char *roles = xasprintf("%s" IMDS_ROLES, endpoint), *url = NULL;
	int rc = -1;

	if (imds_token(ask, endpoint, token, sizeof(token), err) != 0 ||
	    imds_get(ask, roles, token, err) != 0)
		goto out;
	if (!one_line(ask, role, sizeof(role)) || !role_valid(role)) {
		err_set(err, ERR_STORAGE, "%s: no role's name was answered",
		    roles);
		goto out;
	}
	url = xasprintf("%s%s", roles, role);
	if (imds_get(ask, url, token, err) != 0)
		goto out;
	rc = s3_source_parse_json(ask->body.data, ask->body.len, ask->now,
	    out, err);
	if (rc != 0)
		(void)err_wrap(err, "%s", url);
out:
	explicit_bzero(token, sizeof(token));
	free(roles);
	free(url);
	return rc;
}

int
s3_source_imds(const struct s3_source_context *c, struct s3_session *out,
    struct err *err)
{
	char *off = s3_source_getenv("AWS_EC2_METADATA_DISABLED");
	char *endpoint;
	struct s3_ask ask;
	int rc;

	memset(out, 0, sizeof(*out));
	if (off != NULL && strcasecmp(off, "true") == 0) {
		free(off);
		return err_set(err, ERR_NOT_FOUND,
		    "AWS_EC2_METADATA_DISABLED is set");
	}
	free(off);
	endpoint = imds_endpoint();
	rc = s3_ask_begin(&ask, c, S3_ASK_LOCAL, err);
	if (rc == 0)
		rc = imds_ask(&ask, endpoint, out, err);
	s3_ask_end(&ask);
	free(endpoint);
	return rc;
}

bool
s3_source_container_host_allowed(const char *url)
{
	static const char *const hosts[] = { "localhost", "[::1]",
		"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };
	const char *host = url + strlen("http://");
	size_t len, i;
	unsigned a, b, c, d;
	char end;

	if (strncasecmp(url, "https://", 8) == 0)
		return true;
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	len = strcspn(host, "/?#");
	if (memchr(host, '@', len) != NULL)
		return false; /* what stands before it is not the host */
	len = *host == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/?#");
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strlen(hosts[i]) == len &&
		    strncasecmp(host, hosts[i], len) == 0)
			return true;
	/* All of 127.0.0.0/8. */
	return sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &end) >= 4 &&
	    a == 127 && b < 256 && c < 256 && d < 256 &&
	    strspn(host, "0123456789.") == len;
}

/* The address, or NULL with err filled. */
static char *
container_url(struct err *err)
{
	char *relative =
	    s3_source_getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	char *full = s3_source_getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char *url = NULL;

	if (relative != NULL && *relative == '/')
		url = xasprintf(CONTAINER_HOST "%s", relative);
	else if (relative != NULL)
		err_set(err, ERR_CONFIG,
		    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin "
		    "with '/'");
	else if (full == NULL)
		err_set(err, ERR_NOT_FOUND,
		    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are "
		    "not set");
	else if (s3_source_container_host_allowed(full))
		url = xstrdup(full);
	else {
		err_set(err, ERR_CONFIG, "AWS_CONTAINER_CREDENTIALS_FULL_URI "
		    "is %s: without TLS keys are asked for only of this host "
		    "and of the container's agent", full);
		(void)err_hint(err, "use https, or a host of 127.0.0.0/8, "
		    "[::1], 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
	}
	free(relative);
	free(full);
	return url;
}

/*
 * What goes into the Authorization header, b empty when there is none. The
 * file is read anew each time: whoever runs the container renews it.
 */
static int
container_token(struct buf *b, struct err *err)
{
	char *path =
	    s3_source_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	char *token;
	int rc = 0;

	if (path != NULL) {
		rc = secret_read_file(path, SECRET_ANY, b, err);
		if (rc != 0) {
			err->code = ERR_CONFIG;
			(void)err_wrap(err,
			    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
		}
		free(path);
	} else {
		buf_init(b, SECRET_FILE_MAX);
		token = s3_source_getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
		if (token != NULL)
			buf_add_str(b, token);
		secret_text_free(token);
	}
	if (rc == 0 && strpbrk(buf_str(b), "\r\n") != NULL)
		rc = err_set(err, ERR_CONFIG, "the container's authorization "
		    "token has several lines");
	return rc;
}

static int
container_ask(struct s3_ask *ask, const char *url, const char *token,
    struct s3_session *out, struct err *err)
{
	const struct http_header header = { "Authorization", token };
	const struct http_request request = { .method = "GET", .url = url,
		.headers = &header, .n_headers = *token == '\0' ? 0 : 1 };

	if (s3_ask(ask, &request, url, err) != 0)
		return -1;
	if (ask->status != 200)
		return err_set(err, ask->status == 401 || ask->status == 403 ?
		    ERR_CONFIG : ERR_STORAGE, "%s: status %d", url,
		    ask->status);
	if (s3_source_parse_json(ask->body.data, ask->body.len, ask->now, out,
	    err) != 0)
		return err_wrap(err, "%s", url);
	return 0;
}

int
s3_source_container(const struct s3_source_context *c, struct s3_session *out,
    struct err *err)
{
	struct s3_ask ask;
	struct buf token;
	char *url;
	int rc;

	memset(out, 0, sizeof(*out));
	url = container_url(err);
	if (url == NULL)
		return -1;
	rc = container_token(&token, err);
	if (rc == 0) {
		rc = s3_ask_begin(&ask, c, S3_ASK_LOCAL, err);
		if (rc == 0)
			rc = container_ask(&ask, url, buf_str(&token), out,
			    err);
		s3_ask_end(&ask);
	}
	if (rc != 0)
		(void)err_hint(err, "has the container's task or pod a role, "
		    "and is its agent there? The variables "
		    "AWS_CONTAINER_... come from it");
	secret_buf_free(&token);
	free(url);
	return rc;
}
