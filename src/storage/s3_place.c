/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_place.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

#define PREFIX_MAX 500 /* S3's names have 1024 bytes, ours up to 511 of them */
#define BUCKET_MAX 255 /* Amazon's 63, older ones of others more */

static bool
bucket_valid(const char *name)
{
	size_t i, len = strlen(name);

	if (len == 0 || len > BUCKET_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("._-", name[i]) == NULL)
			return false;
	return true;
}

/* Can it stand before a host and be under the certificate of "*.host"? */
static bool
bucket_is_label(const char *name)
{
	for (; *name != '\0'; name++)
		if (!islower((unsigned char)*name) &&
		    !isdigit((unsigned char)*name) && *name != '-')
			return false;
	return true;
}

/* Servers and what is in between read "//" and dots in several ways. */
static bool
prefix_valid(const char *prefix)
{
	const char *part = prefix;
	size_t len;

	if (strlen(prefix) > PREFIX_MAX)
		return false;
	for (; *part != '\0'; part += len + (part[len] == '/')) {
		len = strcspn(part, "/");
		if (len == 0 || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
	}
	for (; *prefix != '\0'; prefix++)
		if ((unsigned char)*prefix < ' ' || *prefix == 0x7f)
			return false;
	return true;
}

static int
parse_url(struct s3_place *place, const char *url, struct err *err)
{
	const char *bucket = url + strlen("s3://");
	size_t len = strcspn(bucket, "/"), end;
	const char *prefix = bucket + len + (bucket[len] == '/');

	place->bucket = xstrndup(bucket, len);
	for (end = strlen(prefix); end > 0 && prefix[end - 1] == '/';)
		end--;
	place->prefix = xasprintf("%.*s%s", (int)end, prefix,
	    end > 0 ? "/" : "");
	if (!bucket_valid(place->bucket)) {
		err_set(err, ERR_CONFIG, "'%s' is not a bucket's name",
		    place->bucket);
		return err_hint(err, "write the address as s3://bucket/prefix");
	}
	if (!prefix_valid(place->prefix)) {
		err_set(err, ERR_CONFIG, "'%s' cannot be the prefix of a "
		    "repository in a bucket", prefix);
		return err_hint(err, "it has at most %d characters, no empty "
		    "parts, and none that is '.' or '..'", PREFIX_MAX);
	}
	return 0;
}

static int
bad_endpoint(const char *endpoint, struct err *err)
{
	/* Never repeated: somebody may have put a password into it. */
	if (strchr(endpoint, '@') != NULL)
		err_set(err, ERR_CONFIG, "the endpoint has a user's name");
	else
		err_set(err, ERR_CONFIG, "'%s' is not an endpoint", endpoint);
	return err_hint(err, "write it as https://host or https://host:port");
}

/* "host", "host:port", "[::1]:port" in small letters, the usual port gone. */
static int
parse_endpoint(struct s3_place *place, const char *endpoint, struct err *err)
{
	const char *host, *usual, *colon;
	size_t len, i;

	place->https = strncasecmp(endpoint, "https://", 8) == 0;
	if (!place->https && strncasecmp(endpoint, "http://", 7) != 0)
		return bad_endpoint(endpoint, err);
	host = endpoint + (place->https ? 8 : 7);
	usual = place->https ? ":443" : ":80";
	len = strcspn(host, "/");
	if (strspn(host + len, "/") != strlen(host + len))
		return bad_endpoint(endpoint, err);
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) &&
		    strchr("-._:[]", host[i]) == NULL)
			return bad_endpoint(endpoint, err);
	place->host = xstrndup(host, len);
	for (i = 0; i < len; i++)
		place->host[i] = (char)tolower((unsigned char)host[i]);
	colon = strrchr(place->host, ':');
	if (colon != NULL && strchr(colon, ']') == NULL) {
		if (colon[1] == '\0' ||
		    strspn(colon + 1, "0123456789") != strlen(colon + 1))
			return bad_endpoint(endpoint, err);
		if (strcmp(colon, usual) == 0)
			place->host[colon - place->host] = '\0';
	}
	if (place->host[0] == '\0' || place->host[0] == ':')
		return bad_endpoint(endpoint, err);
	return 0;
}

/* An address cannot have a name before it. */
static bool
is_address(const char *host)
{
	return host[0] == '[' || strspn(host, "0123456789.:") == strlen(host);
}

int
s3_place_init(struct s3_place *place, const struct storage_settings *set,
    struct err *err)
{
	memset(place, 0, sizeof(*place));
	if (parse_url(place, set->url, err) != 0)
		return -1;
	place->https = true;
	if (set->endpoint != NULL &&
	    parse_endpoint(place, set->endpoint, err) != 0)
		return -1;
	switch (set->path_style) {
	case STORAGE_PATH_YES:
		place->in_path = true;
		break;
	case STORAGE_PATH_NO:
		if (place->host != NULL && is_address(place->host)) {
			err_set(err, ERR_CONFIG, "the bucket's name cannot "
			    "stand before the address %s", place->host);
			return err_hint(err, "set path-style to yes, or name "
			    "the endpoint's host");
		}
		break;
	case STORAGE_PATH_AUTO:
		place->in_path = place->host != NULL ||
		    !bucket_is_label(place->bucket);
		break;
	}
	return 0;
}

void
s3_place_free(struct s3_place *place)
{
	free(place->bucket);
	free(place->prefix);
	free(place->host);
}

void
s3_place_host(const struct s3_place *place, const char *region,
    struct buf *out)
{
	if (!place->in_path)
		buf_printf(out, "%s.", place->bucket);
	if (place->host != NULL)
		buf_add_str(out, place->host);
	else
		buf_printf(out, "s3.%s.amazonaws.com%s", region,
		    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

void
s3_place_path(const struct s3_place *place, const char *key, struct buf *out)
{
	buf_add_byte(out, '/');
	if (place->in_path)
		buf_add_str(out, place->bucket);
	if (key == NULL)
		return;
	if (place->in_path)
		buf_add_byte(out, '/');
	buf_printf(out, "%s%s", place->prefix, key);
}
