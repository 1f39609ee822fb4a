/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_source.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/secret.h"
#include "core/time.h"

#define KEY_LEN_MAX 256
#define TOKEN_LEN_MAX 16384

void
s3_session_free(struct s3_session *s)
{
	s3_keys_free(&s->keys);
	s->lifetime = 0;
}

char *
s3_source_getenv(const char *name)
{
	const char *s = getenv(name);
	size_t len;

	if (s == NULL)
		return NULL;
	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	return len == 0 ? NULL : xstrndup(s, len);
}

static bool
key_valid(const char *s, size_t max)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (i >= max || (unsigned char)s[i] <= 0x20 ||
		    (unsigned char)s[i] >= 0x7f)
			return false;
	return i > 0;
}

/* White space around it goes. */
static void
trim(char *s)
{
	size_t len, start = 0;

	if (s == NULL)
		return;
	while (isspace((unsigned char)s[start]))
		start++;
	len = strlen(s + start);
	memmove(s, s + start, len + 1);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		s[--len] = '\0';
}

int
s3_source_check_keys(struct s3_keys *keys, const char *where, struct err *err)
{
	const char *what = NULL;

	trim(keys->id);
	trim(keys->secret);
	trim(keys->token);
	if (!key_valid(keys->id, KEY_LEN_MAX))
		what = "key's id";
	else if (!key_valid(keys->secret, KEY_LEN_MAX))
		what = "secret key";
	else if (keys->token != NULL && !key_valid(keys->token, TOKEN_LEN_MAX))
		what = "session token";
	if (what == NULL)
		return 0;
	err_set(err, ERR_CONFIG, "%s: the %s is empty or has characters that "
	    "no key has", where, what);
	return err_hint(err, "write it again, without blanks, quotes or line "
	    "ends in it");
}

int
s3_source_env(struct s3_session *out, struct err *err)
{
	struct s3_keys *keys = &out->keys;
	int rc = -1;

	memset(out, 0, sizeof(*out));
	out->lifetime = S3_SESSION_FOREVER;
	keys->id = s3_source_getenv("AWS_ACCESS_KEY_ID");
	keys->secret = s3_source_getenv("AWS_SECRET_ACCESS_KEY");
	keys->token = s3_source_getenv("AWS_SESSION_TOKEN");
	if (keys->id == NULL)
		err_set(err, ERR_NOT_FOUND, "AWS_ACCESS_KEY_ID is not set");
	else if (keys->secret == NULL) {
		err_set(err, ERR_CONFIG, "AWS_ACCESS_KEY_ID is set and "
		    "AWS_SECRET_ACCESS_KEY is not");
		(void)err_hint(err, "set both where this program runs: "
		    "PostgreSQL's archiver has the server's environment");
	} else
		rc = s3_source_check_keys(keys, "environment", err);
	if (rc != 0)
		s3_session_free(out);
	return rc;
}

/* A copy of a text of the object, or NULL; the object's own is wiped. */
static char *
take_text(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	const char *s = json_string_value(value);
	char *copy;

	if (s == NULL || *s == '\0')
		return NULL;
	copy = xstrdup(s);
	/* jansson's own copy of a secret would stay in freed memory. */
	explicit_bzero((void *)(uintptr_t)s, json_string_length(value));
	return copy;
}

static int
read_expiration(json_t *object, int64_t now, struct s3_session *out,
    struct err *err)
{
	const char *text =
	    json_string_value(json_object_get(object, "Expiration"));
	bool local;
	int64_t ends;

	out->lifetime = S3_SESSION_FOREVER;
	if (text == NULL)
		return 0;
	if (time_parse(text, &ends, &local, err) != 0)
		return err_wrap(err, "the end of the keys' time");
	out->lifetime = ends - now;
	return 0;
}

int
s3_source_parse_json(const void *data, size_t len, int64_t now,
    struct s3_session *out, struct err *err)
{
	json_error_t e;
	json_t *object;
	const char *code;
	int rc = -1;

	memset(out, 0, sizeof(*out));
	object = json_loadb(data, len, 0, &e);
	if (!json_is_object(object)) {
		/* e.text may quote what was read, which may be a secret. */
		err_set(err, ERR_STORAGE, "what was answered is not JSON "
		    "(line %d, column %d)", e.line, e.column);
		goto out;
	}
	code = json_string_value(json_object_get(object, "Code"));
	if (code != NULL && strcmp(code, "Success") != 0) {
		err_set(err, ERR_STORAGE, "the answer's code is %.60s", code);
		goto out;
	}
	out->keys.id = take_text(object, "AccessKeyId");
	out->keys.secret = take_text(object, "SecretAccessKey");
	out->keys.token = take_text(object, "Token");
	if (out->keys.id == NULL || out->keys.secret == NULL)
		err_set(err, ERR_STORAGE, "the answer has no keys");
	else if (s3_source_check_keys(&out->keys, "answer", err) == 0)
		rc = read_expiration(object, now, out, err);
out:
	json_decref(object);
	if (rc != 0)
		s3_session_free(out);
	return rc;
}
