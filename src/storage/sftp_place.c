/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/sftp_place.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

#define SCHEME "sftp://"
#define PORT_DEFAULT 22
#define PATH_LEN_MAX 500

static int
bad(const char *url, const char *why, struct err *err)
{
	err_set(err, ERR_CONFIG, "'%s': %s", url, why);
	return err_hint(err, "write it as sftp://user@host:port/absolute/path, "
	    "or sftp://user@host/~/path below the user's home");
}

static bool
user_valid(const char *s)
{
	for (; *s != '\0'; s++)
		if (!isgraph((unsigned char)*s) || strchr(":/@\"'\\", *s) !=
		    NULL)
			return false;
	return true;
}

static bool
host_valid(const char *s)
{
	if (*s == '\0' || *s == '-')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(".-_:%", *s) == NULL)
			return false;
	return true;
}

/* Parts that lead elsewhere would make two names of one place. */
static bool
path_valid(const char *path)
{
	const char *part = path;
	size_t len;

	if (strlen(path) > PATH_LEN_MAX)
		return false;
	for (; *path != '\0'; path++)
		if ((unsigned char)*path < ' ' || *path == 0x7f)
			return false;
	for (; *part != '\0'; part += len + (part[len] == '/')) {
		len = strcspn(part, "/");
		if (len == 0 || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
	}
	return true;
}

/* "host", "host:port", "[address]:port": cuts the port off. */
static int
take_port(struct sftp_place *p, char *host, const char *url, struct err *err)
{
	char *port = strrchr(host, ':'), *end = strchr(host, ']');
	uint64_t v = PORT_DEFAULT;

	if (host[0] == '[') {
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return bad(url, "a [ without its ]", err);
		port = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		host++;
	} else if (port != NULL && strchr(host, ':') != port) {
		return bad(url, "an IPv6 address stands in brackets", err);
	}
	if (port != NULL) {
		*port = '\0';
		if (!text_u64(port + 1, 65535, &v) || v == 0)
			return bad(url, "the port is no number from 1 to "
			    "65535", err);
	}
	if (!host_valid(host))
		return bad(url, "names no host", err);
	p->host = xstrdup(host);
	p->port = (unsigned)v;
	return 0;
}

static int
take_path(struct sftp_place *p, const char *path, const char *url,
    struct err *err)
{
	size_t len = strlen(path);
	char *trimmed;
	int ret = 0;

	while (len > 0 && path[len - 1] == '/')
		len--;
	trimmed = xstrndup(path, len);
	if (strncmp(trimmed, "/~/", 3) == 0)
		p->root = xstrdup(trimmed + 3);
	else if (strcmp(trimmed, "/~") == 0)
		p->root = xstrdup(".");
	else if (trimmed[0] == '/' && trimmed[1] != '\0')
		p->root = xstrdup(trimmed);
	else
		ret = bad(url, "names no directory", err);
	if (ret == 0 && strcmp(p->root, ".") != 0 &&
	    !path_valid(p->root + (p->root[0] == '/')))
		ret = bad(url, "the path has empty parts, '.' or '..'", err);
	free(trimmed);
	return ret;
}

int
sftp_place_parse(struct sftp_place *out, const char *url, struct err *err)
{
	const char *rest = url + strlen(SCHEME);
	size_t len = strcspn(rest, "/"), url_len = strlen(url);
	char *authority = xstrndup(rest, len);
	char *at = strrchr(authority, '@');
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (at != NULL) {
		*at = '\0';
		if (authority[0] == '\0' || !user_valid(authority)) {
			/* What is before the @ is not shown: a password? */
			(void)bad("sftp://...", "no name of a user stands "
			    "before the @ (a password belongs into "
			    "password-file)", err);
			goto out;
		}
		out->user = xstrdup(authority);
	}
	if (take_port(out, at == NULL ? authority : at + 1, url, err) != 0 ||
	    take_path(out, rest + len, url, err) != 0)
		goto out;
	while (url[url_len - 1] == '/')
		url_len--;
	out->url = xstrndup(url, url_len);
	ret = 0;
out:
	free(authority);
	if (ret != 0)
		sftp_place_free(out);
	return ret;
}

void
sftp_place_free(struct sftp_place *p)
{
	free(p->url);
	free(p->user);
	free(p->host);
	free(p->root);
	memset(p, 0, sizeof(*p));
}
