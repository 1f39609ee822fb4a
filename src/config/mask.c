/* SPDX-License-Identifier: PostgreSQL */
#include <config.h>

/*
 * Passwords in connection strings, both of libpq's forms: "keyword = 'value'"
 * with backslashes, and URIs with user:password@ and ?password=. Source:
 * PostgreSQL documentation, "Connection Strings".
 */
#include "config/config.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static const char *const secrets[] = { "password", "sslpassword",
	"oauth_client_secret" };

static bool
is_secret(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (strlen(secrets[i]) == len &&
		    strncmp(word, secrets[i], len) == 0)
			return true;
	}
	return false;
}

static const char *
skip_space(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* The first character after a value that begins at s. */
static const char *
skip_value(const char *s)
{
	bool quoted = *s == '\'';

	if (quoted)
		s++;
	for (; *s != '\0'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		else if (quoted && *s == '\'')
			return s + 1;
		else if (!quoted && isspace((unsigned char)*s))
			break;
	}
	return s;
}

/* Returns whether there was a secret; out may be NULL. */
static bool
mask_keywords(const char *s, struct buf *out)
{
	bool found = false;
	const char *word, *word_end, *value, *end;

	for (s = skip_space(s); *s != '\0'; s = skip_space(end)) {
		word = s;
		while (*s != '\0' && *s != '=' && !isspace((unsigned char)*s))
			s++;
		word_end = s;
		s = skip_space(s);
		if (*s != '=') {
			/* Not a connection string: show none of it. */
			if (out != NULL) {
				buf_clear(out);
				buf_add_str(out, "***");
			}
			return true;
		}
		value = skip_space(s + 1);
		end = skip_value(value);
		if (out != NULL) {
			if (out->len > 0)
				buf_add_byte(out, ' ');
			buf_add(out, word, (size_t)(word_end - word));
			buf_add_byte(out, '=');
		}
		if (is_secret(word, (size_t)(word_end - word))) {
			found = true;
			value = end;
			if (out != NULL)
				buf_add_str(out, "***");
		}
		if (out != NULL)
			buf_add(out, value, (size_t)(end - value));
	}
	return found;
}

static bool
mask_uri(const char *s, struct buf *out)
{
	const char *authority = strstr(s, "://") + 3;
	const char *authority_end = authority + strcspn(authority, "/?");
	const char *at = NULL, *colon, *p, *end;
	bool found = false;

	for (p = authority; p < authority_end; p++) {
		if (*p == '@')
			at = p;
	}
	/* A raw '/' or '?' in a password moves the '@' out of sight. */
	if (at == NULL && strchr(authority_end, '@') != NULL) {
		at = strrchr(authority_end, '@');
		authority_end = at + 1 + strcspn(at + 1, "/?");
	}
	colon = at == NULL ? NULL :
			     memchr(authority, ':', (size_t)(at - authority));
	if (colon != NULL) {
		found = true;
		if (out != NULL) {
			buf_add(out, s, (size_t)(colon + 1 - s));
			buf_add_str(out, "***");
		}
		s = at;
	}
	if (out != NULL)
		buf_add(out, s, (size_t)(authority_end - s));
	for (p = authority_end; *p != '\0'; p = end) {
		size_t lead = strspn(p, "/?&");
		const char *word = p + lead;
		size_t word_len = strcspn(word, "=&?");

		end = word + strcspn(word, "&");
		if (end == p)
			break;
		/* A path such as /dbname?password=x: cut at the '?'. */
		if (memchr(word, '?', (size_t)(end - word)) != NULL)
			end = word + strcspn(word, "?");
		if (word[word_len] == '=' && is_secret(word, word_len)) {
			found = true;
			if (out != NULL) {
				buf_add(out, p, lead + word_len + 1);
				buf_add_str(out, "***");
			}
			continue;
		}
		if (out != NULL)
			buf_add(out, p, (size_t)(end - p));
	}
	return found;
}

static bool
is_uri(const char *s)
{
	return strncmp(s, "postgresql://", 13) == 0 ||
	    strncmp(s, "postgres://", 11) == 0;
}

void
config_mask_conninfo(const char *conninfo, struct buf *out)
{
	if (is_uri(conninfo))
		(void)mask_uri(conninfo, out); /* masked either way */
	else
		(void)mask_keywords(conninfo, out);
}

bool
config_conninfo_has_secret(const char *conninfo)
{
	return is_uri(conninfo) ? mask_uri(conninfo, NULL) :
				  mask_keywords(conninfo, NULL);
}
